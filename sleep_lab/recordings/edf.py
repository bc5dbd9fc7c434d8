"""Nights in EDF, EDF+, BDF and BDF+ files, read by edfio.

Kemp et al. 1992 (EDF), Kemp and Olivan 2003 (EDF+), BioSemi's 24-bit variant (BDF). edfio takes
files that are shorter than their header says, or interrupted, for whole ones: `open_edf` does not.
"""

import logging
import re
import warnings
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import edfio
import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, one_line
from sleep_lab.recordings.channel import Channel
from sleep_lab.recordings.channel_kind import channel_kind
from sleep_lab.recordings.recording import Recording
from sleep_lab.recordings.scoring import Annotation, Scoring, scoring_of_annotations

logger = logging.getLogger(__name__)

EDF_VERSION = b"0       "
BDF_VERSION = b"\xffBIOSEMI"

_ANNOTATIONS = (b"EDF Annotations", b"BDF Annotations")
# how a data record says when it begins (EDF+ specification, section 2.2.4)
_RECORD_TIME = re.compile(rb"([+-]\d+(?:\.\d+)?)\x14\x14")


@dataclass(frozen=True)
class EdfSource:
    """The samples of an EDF or BDF file; the file is open only during a read.

    Attributes:
        path: the file.
        positions: which of edfio's signals each channel is, as their labels may be equal.
    """

    path: Path
    positions: tuple[int, ...]

    def read(self, channel: int, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of a channel, in uV if electric.

        Raises:
            InputError: the header gives the channel no range of values, or the file is gone.
        """
        try:
            signal = _edf(self.path).signals[self.positions[channel]]
            for name, (low, high) in (
                ("physical", signal.physical_range),
                ("digital", signal.digital_range),
            ):
                if low == high:
                    raise InputError(
                        f"{self.path}: {signal.label}: {name} minimum and maximum are equal, so "
                        "its values are unknown; leave the channel out or export the file again"
                    )
            rate = signal.sampling_frequency
            values = signal.get_data_slice(start / rate, stop / rate)
        except (OSError, ValueError, IndexError) as error:
            raise InputError(
                f"{self.path}: cannot be read: {one_line(error)}; copy the file again"
            ) from error
        return (values * _microvolts(signal.physical_dimension)[1]).astype(np.float32)


@dataclass(frozen=True)
class EdfFile:
    """An EDF or BDF file whose header and length agree.

    Attributes:
        path: the file.
        edf: as edfio has it.
        local_start: local time of the first sample, or None if the header has no date.
    """

    path: Path
    edf: edfio.Edf | edfio.Bdf
    local_start: datetime | None

    def recording(self) -> Recording:
        """The night without its hypnogram.

        Raises:
            InputError: the file has no signals.
        """
        signals = self.edf.signals
        positions = tuple(n for n in range(len(signals)) if signals[n].samples_per_data_record)
        if not positions:
            raise InputError(
                f"{self.path}: it has no signals; if it is a scoring, name it as the scoring of "
                "a recording"
            )
        return Recording(
            id=self.path.stem,
            channels=tuple(self._channel(signals[n]) for n in positions),
            source=EdfSource(self.path, positions),
            hypnogram=None,
            start_time=self.local_start,
            origin=str(self.path),
            start_s=0.0,
            duration_s=self.edf.duration,
        )

    def scoring(self, local_start: datetime | None) -> Scoring | None:
        """The stages among the annotations, for a recording that began at `local_start`.

        Without a `local_start`, or without a date in this file, both began together.

        Raises:
            InputError: the annotations are damaged or do not fit the recording's sleep epochs.
        """
        shift_s = 0.0
        if self.local_start is not None and local_start is not None:
            shift_s = (self.local_start - local_start).total_seconds()
        return scoring_of_annotations(self.annotations(), shift_s, str(self.path))

    def annotations(self) -> list[Annotation]:
        """All annotations in order; their onsets count from the first sample.

        Raises:
            InputError: they are damaged, or not in UTF-8 as EDF+ asks.
        """
        try:
            found = self.edf.annotations
        except IndexError:
            # edfio's answer to an annotation signal that is empty
            return []
        except ValueError as error:
            raise InputError(
                f"{self.path}: its annotations cannot be read: {one_line(error)}; export it again, "
                "in UTF-8, or name its scoring in another file"
            ) from error
        return [Annotation(a.onset, a.duration, a.text.strip()) for a in found if a.text.strip()]

    def annotation_texts(self) -> list[str]:
        """The different texts, in order."""
        return list(dict.fromkeys(annotation.text for annotation in self.annotations()))

    def _channel(self, signal: edfio.EdfSignal | edfio.BdfSignal) -> Channel:
        label = signal.label.strip(" \x00")
        unit, _ = _microvolts(signal.physical_dimension)
        return Channel(
            name=label,
            kind=channel_kind(label) if unit == "uV" else "other",
            sampling_rate=signal.sampling_frequency,
            samples=signal.samples_per_data_record * self.edf.num_data_records,
            unit=unit,
        )


def open_edf(path: Path) -> EdfFile:
    """An EDF or BDF file, checked; of a BDF edfio reads all samples, of an EDF none yet.

    Raises:
        InputError: the file is damaged, truncated or interrupted.
    """
    header = _header(path)
    times = _record_times(path, header, _records(path, header))
    try:
        record_s = float(header[244:252])
        if not record_s > 0 and any(
            f.rstrip() not in _ANNOTATIONS for f in _fields(header, 256, 16)
        ):
            raise InputError(
                f"{path}: a data record lasts {record_s:g} s, so that the signals have no "
                "sampling rate; export it again"
            )
        edf = _edf(path)
    except ValueError as error:
        raise InputError(
            f"{path}: its header cannot be read: {one_line(error)}; export it again"
        ) from error
    _check_ranges(path, edf)
    if edf.signals and edf.reserved[3:5] == "+D":
        _refuse_gaps(path, times, record_s)
    start = _start_time(header)
    return EdfFile(path, edf, start and start + timedelta(seconds=float(np.nan_to_num(times[0]))))


def _edf(path: Path) -> edfio.Edf | edfio.Bdf:
    header = _header(path)
    try:
        header[256:].decode("utf-8")
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "latin-1"
    with warnings.catch_warnings():
        # about the file's length, which `_records` checks
        warnings.simplefilter("ignore")
        if header.startswith(BDF_VERSION):
            return edfio.read_bdf(path, header_encoding=encoding)
        return edfio.read_edf(path, lazy_load_data=True, header_encoding=encoding)


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        fixed = file.read(256)
        length = _whole(path, "header length", fixed[184:192])
        count = _whole(path, "number of signals", fixed[252:256])
        header = fixed + file.read(256 * max(count, 0))
    if count < 1 or not length == len(header) == 256 * (1 + count):
        raise InputError(
            f"{path}: the header says that it is {length} bytes long for {count} signals, "
            f"{len(header)} were found; it is damaged, copy or export it again"
        )
    return header


def _fields(header: bytes, first_byte: int, width: int) -> list[bytes]:
    """One field of every signal, in order; `first_byte` is where it would be for one signal."""
    count = len(header) // 256 - 1
    begin = 256 + (first_byte - 256) * count
    return [header[begin + width * n :][:width] for n in range(count)]


def _records(path: Path, header: bytes) -> NDArray[np.uint8]:
    """The bytes of the file's data records, (records, bytes), mapped; their number is checked."""
    samples = [_whole(path, "samples per data record", f) for f in _fields(header, 472, 8)]
    size = sum(samples) * (3 if header.startswith(BDF_VERSION) else 2)
    if min(samples) < 0 or not size:
        raise InputError(
            f"{path}: a signal has {min(samples)} samples per data record; export it again"
        )
    held, rest = divmod(path.stat().st_size - len(header), size)
    said = _whole(path, "number of data records", header[236:244])
    if said == 0 or held == 0:
        raise InputError(f"{path}: it holds 0 data records, so there is no signal in it")
    # -1: the recorder was still writing, or never closed the file
    if said not in (held, -1):
        fault = "truncated, copy it again" if said > held else "damaged, export it again"
        raise InputError(
            f"{path}: the header says {said} data records, the file holds {held}; it is {fault}"
        )
    if rest:
        logger.warning("%s: %d bytes after the last data record are left out", path, rest)
    return np.memmap(path, np.uint8, mode="r", offset=len(header), shape=(held, size))


def _record_times(path: Path, header: bytes, records: NDArray[np.uint8]) -> NDArray[np.float64]:
    """When each data record begins, in seconds after the header's start; NaN where it is not said.

    edfio takes a record's first annotation for its time and drops one without its final zero:
    stages would be lost without a word.
    """
    labels = [label.rstrip() for label in _fields(header, 256, 16)]
    samples = [int(field) for field in _fields(header, 472, 8)]
    texts_in = (n for n, label in enumerate(labels) if label in _ANNOTATIONS and samples[n])
    first = next(texts_in, None)
    if first is None:
        return np.full(len(records), np.nan)
    sample_bytes = records.shape[1] // sum(samples)
    begin, end = sample_bytes * sum(samples[:first]), sample_bytes * sum(samples[: first + 1])
    texts = np.array(records[:, begin:end])
    found = [_RECORD_TIME.match(text.tobytes()) for text in texts]
    times = np.array([float(time[1]) if time else np.nan for time in found])
    odd = (np.isnan(times) & texts.any(axis=1)) | (texts[:, -1] != 0)
    odd[0] |= texts.any() and np.isnan(times[0])
    if odd.any():
        raise InputError(
            f"{path}: the annotations of data record {np.argmax(odd)} do not begin with its time "
            "and end with a zero, as EDF+ asks; export it again"
        )
    return times


def _check_ranges(path: Path, edf: edfio.Edf | edfio.Bdf) -> None:
    """Read the numbers without which edfio would give a signal's integers for its values."""
    for signal in edf.signals:
        try:
            _ = signal.digital_range, signal.physical_range
        except ValueError as error:
            raise InputError(
                f"{path}: {signal.label}: its range is unreadable: {one_line(error)}; export the "
                "file again"
            ) from error


def _refuse_gaps(path: Path, times: NDArray[np.float64], record_s: float) -> None:
    expected = times[0] + record_s * np.arange(len(times))
    late = ~(np.abs(times - expected) <= 0.01)
    if late.any():
        gap = int(np.argmax(late))
        raise InputError(
            f"{path}: the recording is interrupted (EDF+D): data record {gap} begins "
            f"{times[gap]:g} s after the start, not {expected[gap]:g} s; export it as one "
            "continuous EDF per part"
        )


def _start_time(header: bytes) -> datetime | None:
    """The header's date (dd.mm.yy) and time (hh.mm.ss), None if they are none: that of EDF+'s
    recording field is often anonymized when this one is not.
    """
    try:
        numbers = re.findall(rb"\d+", header[168:176] + b" " + header[176:184])
        day, month, year, hour, minute, second = (int(number) for number in numbers)
        return datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError:
        return None


def _microvolts(unit: str) -> tuple[str, float]:
    """The unit to use, and what to multiply by to get there from `unit`."""
    # whatever became of the letter mu in the file's encoding: no other prefix is outside ASCII
    volts = re.fullmatch(r"([num]|[^\x00-\x7f]+|micro|milli|nano)?v(olts?)?", unit, re.IGNORECASE)
    if volts is None:
        return unit, 1.0
    prefix = (volts[1] or "").lower()
    factors = {"": 1e6, "m": 1e3, "milli": 1e3, "n": 1e-3, "nano": 1e-3}
    return "uV", factors.get(prefix, 1.0)


def _whole(path: Path, name: str, field: bytes) -> int:
    try:
        return int(field)
    except ValueError:
        text = field.decode("latin-1").strip()
        raise InputError(
            f"{path}: {name} is {text!r}, which is no number; export the file again"
        ) from None
