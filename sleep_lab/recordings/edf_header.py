"""The headers of EDF and BDF files.

Kemp et al. 1992 (EDF), Kemp and Olivan 2003 (EDF+), BioSemi's 24-bit variant (BDF).
"""

import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from sleep_lab.errors import InputError

logger = logging.getLogger(__name__)

EDF_VERSION = b"0       "
BDF_VERSION = b"\xffBIOSEMI"

_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_FIXED_BYTES = 256
_SIGNAL_FIELDS = {
    "label": 16,
    "transducer": 80,
    "unit": 8,
    "physical minimum": 8,
    "physical maximum": 8,
    "digital minimum": 8,
    "digital maximum": 8,
    "prefiltering": 80,
    "samples per data record": 8,
    "reserved": 32,
}


@dataclass(frozen=True)
class EdfSignal:
    """One signal of the header.

    Attributes:
        label: as in the file, without the spaces around it.
        unit: "uV" for a voltage, otherwise as in the file.
        samples: number of samples in a data record.
        first_byte: where they begin in a data record.
        gain, offset: value in `unit` = gain * integer + offset.
    """

    label: str
    unit: str
    samples: int
    first_byte: int
    gain: float
    offset: float

    @property
    def is_annotations(self) -> bool:
        """Whether its bytes are texts."""
        return self.label in _ANNOTATIONS


@dataclass(frozen=True)
class EdfHeader:
    """What the header says about where things are.

    Attributes:
        path: the file.
        sample_bytes: 2 (EDF) or 3 (BDF).
        start_time: local time of the start of the file, or None if the header has none.
        discontinuous: whether it may have gaps (EDF+D).
        records: number of data records.
        record_s: duration of a data record in seconds.
        signals: all of them, in order, annotations among them.
    """

    path: Path
    sample_bytes: int
    start_time: datetime | None
    discontinuous: bool
    records: int
    record_s: float
    signals: tuple[EdfSignal, ...]

    @property
    def header_bytes(self) -> int:
        """Where the data records begin in the file."""
        return _FIXED_BYTES * (1 + len(self.signals))

    @property
    def record_bytes(self) -> int:
        """Length of a data record."""
        return self.sample_bytes * sum(signal.samples for signal in self.signals)


def read_edf_header(path: Path) -> EdfHeader:
    """The header of an EDF, EDF+, BDF or BDF+ file; the number of data records is checked.

    Raises:
        InputError: a field cannot be read, or the file is shorter or longer than the header says.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        version = file.read(8)
        file.seek(168)
        start = f"{_text(file.read(8))} {_text(file.read(8))}"
        header_bytes = _integer(path, "header length", file.read(8))
        reserved = _text(file.read(44))
        records = _integer(path, "number of data records", file.read(8))
        record_s = _number(path, "duration of a data record", file.read(8))
        count = _integer(path, "number of signals", file.read(4))
        if count < 1 or header_bytes != _FIXED_BYTES * (1 + count) or header_bytes > size:
            raise InputError(
                f"{path}: the header says that it is {header_bytes} bytes long for {count} "
                f"signals, in a file of {size} bytes; it is damaged, copy or export it again"
            )
        sample_bytes = 3 if version == BDF_VERSION else 2
        signals = _signals(path, file, count, sample_bytes)
    header = EdfHeader(
        path=path,
        sample_bytes=sample_bytes,
        start_time=_start_time(start),
        discontinuous=reserved[3:5] == "+D",
        records=records,
        record_s=record_s,
        signals=signals,
    )
    return _with_checked_records(header, size)


def _with_checked_records(header: EdfHeader, size: int) -> EdfHeader:
    path = header.path
    if not header.record_bytes:
        raise InputError(f"{path}: its data records are empty; export it again")
    held, rest = divmod(size - header.header_bytes, header.record_bytes)
    # -1: the recorder was still writing, or never closed the file
    records = held if header.records == -1 else header.records
    if records < 1:
        raise InputError(f"{path}: it holds {records} data records, so there is no signal in it")
    if records != held:
        fault = "truncated, copy it again" if records > held else "damaged, export it again"
        raise InputError(
            f"{path}: the header says {records} data records of {header.record_s:g} s, "
            f"the file holds {held}; it is {fault}"
        )
    if rest:
        logger.warning("%s: %d bytes after the last data record are left out", path, rest)
    return replace(header, records=records)


def _signals(path: Path, file: BinaryIO, count: int, sample_bytes: int) -> tuple[EdfSignal, ...]:
    fields = {
        name: [file.read(width) for _ in range(count)] for name, width in _SIGNAL_FIELDS.items()
    }
    signals: list[EdfSignal] = []
    first_byte = 0
    for values in zip(*fields.values(), strict=True):
        signal = _signal(path, dict(zip(fields, values, strict=True)), first_byte)
        first_byte += signal.samples * sample_bytes
        signals.append(signal)
    return tuple(signals)


def _signal(path: Path, fields: dict[str, bytes], first_byte: int) -> EdfSignal:
    label = _text(fields["label"])
    samples = _integer(path, f"{label}: samples per data record", fields["samples per data record"])
    if samples < 0:
        raise InputError(f"{path}: {label}: {samples} samples per data record; export it again")
    unit, factor = _microvolts(_text(fields["unit"]))
    if label in _ANNOTATIONS:
        return EdfSignal(label, unit, samples, first_byte, gain=1.0, offset=0.0)
    low, high, digital_low, digital_high = (
        _number(path, f"{label}: {name}", fields[name])
        for name in ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
    )
    if digital_low == digital_high:
        raise InputError(
            f"{path}: {label}: digital minimum and maximum are both {digital_low:g}, so its "
            "values are unknown; remove the channel or export the file again"
        )
    gain = (high - low) / (digital_high - digital_low)
    return EdfSignal(
        label, unit, samples, first_byte, factor * gain, factor * (low - gain * digital_low)
    )


def _microvolts(unit: str) -> tuple[str, float]:
    """The unit to use, and what to multiply by to get there from `unit`."""
    # whatever became of the letter mu in the file's encoding: no other prefix is outside ASCII
    volts = re.fullmatch(r"([num]|[^\x00-\x7f]+|micro|milli|nano)?v(olts?)?", unit, re.IGNORECASE)
    if volts is None:
        return unit, 1.0
    prefix = (volts[1] or "").lower()
    factors = {"": 1e6, "m": 1e3, "milli": 1e3, "n": 1e-3, "nano": 1e-3}
    return "uV", factors.get(prefix, 1.0)


def _start_time(text: str) -> datetime | None:
    """The start of a header's date (dd.mm.yy) and time (hh.mm.ss); None if it is no date."""
    numbers = re.findall(r"\d+", text)
    try:
        day, month, year, hour, minute, second = (int(number) for number in numbers)
        return datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError:
        return None


def _text(field: bytes) -> str:
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.strip(" \x00")


def _number(path: Path, name: str, field: bytes) -> float:
    try:
        return float(_text(field).replace(",", "."))
    except ValueError:
        raise InputError(
            f"{path}: {name} is {_text(field)!r}, which is no number; export the file again"
        ) from None


def _integer(path: Path, name: str, field: bytes) -> int:
    number = _number(path, name, field)
    if not number.is_integer():
        raise InputError(f"{path}: {name} is {number:g}, which is no whole number")
    return int(number)
