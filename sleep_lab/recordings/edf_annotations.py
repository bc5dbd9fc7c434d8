"""The texts and times in the annotation signals of EDF+ and BDF+ files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.recordings.edf_header import EdfHeader, EdfSignal
from sleep_lab.recordings.scoring import Annotation

# a time-stamped annotation list: onset, duration, texts (EDF+ specification, section 2.2.2)
_LIST = re.compile(rb"([+-]\d+\.?\d*)(?:\x15(\d+\.?\d*))?\x14([^\x00]*)\x00")


@dataclass(frozen=True)
class EdfAnnotations:
    """What the annotation signals hold.

    Attributes:
        annotations: in the file's order; onsets count from the header's start time.
        first_sample_s: when the first sample was taken, in seconds from the header's start time:
            EDF+ keeps the fraction of a second here.
    """

    annotations: tuple[Annotation, ...]
    first_sample_s: float


def read_edf_annotations(header: EdfHeader) -> EdfAnnotations:
    """All annotations of a file; none if it has no annotation signal.

    Raises:
        InputError: the file is an EDF+D whose signals have gaps.
    """
    signals = [signal for signal in header.signals if signal.is_annotations]
    annotations: list[Annotation] = []
    record_onsets = np.full(header.records, np.nan)
    for signal in signals:
        for record, onset_s, duration_s, texts in _lists(header, signal):
            if signal is signals[0] and not texts[0] and np.isnan(record_onsets[record]):
                record_onsets[record] = onset_s
            annotations += [Annotation(onset_s, duration_s, text) for text in texts if text]
    # a file of annotations alone keeps no time: nothing in it can be interrupted
    if header.discontinuous and len(signals) < len(header.signals):
        _refuse_gaps(header, record_onsets)
    return EdfAnnotations(tuple(annotations), float(np.nan_to_num(record_onsets[0])))


def _lists(
    header: EdfHeader, signal: EdfSignal
) -> Iterator[tuple[int, float, float | None, list[str]]]:
    """Data record, onset, duration and texts of every annotation list of a signal."""
    bytes_of_records = record_bytes(header, signal, 0, header.records)
    # one more zero each: a list never runs on into the next record
    ended = np.pad(bytes_of_records, ((0, 0), (0, 1)))
    for found in _LIST.finditer(ended.tobytes()):
        onset, duration, texts = found.groups()
        yield (
            found.start() // ended.shape[1],
            float(onset),
            None if duration is None else float(duration),
            [text.decode("utf-8", errors="replace").strip() for text in texts.split(b"\x14")],
        )


def record_bytes(header: EdfHeader, signal: EdfSignal, first: int, last: int) -> NDArray[np.uint8]:
    """The bytes of one signal in data records [first, last): (records, bytes), read from the
    file's pages that hold them and no others.
    """
    records = np.memmap(
        header.path,
        np.uint8,
        mode="r",
        offset=header.header_bytes,
        shape=(header.records, header.record_bytes),
    )
    stop = signal.first_byte + signal.samples * header.sample_bytes
    return np.array(records[first:last, signal.first_byte : stop])


def _refuse_gaps(header: EdfHeader, record_onsets: NDArray[np.float64]) -> None:
    expected = record_onsets[0] + header.record_s * np.arange(header.records)
    late = ~(np.abs(record_onsets - expected) <= 0.01)
    if late.any():
        gap = int(np.argmax(late))
        raise InputError(
            f"{header.path}: the recording is interrupted (EDF+D): data record {gap} begins "
            f"{record_onsets[gap]:g} s after the start, not {expected[gap]:g} s; export it as "
            "one continuous EDF per part"
        )
