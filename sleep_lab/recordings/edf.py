"""Nights in EDF, EDF+, BDF and BDF+ files.

The reader is our own: edfio misreads UTF-8 labels, takes EDF+D with gaps and truncated files for
whole ones and loads all of a BDF at once; pyedflib refuses UTF-8 labels.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.recordings.channel_kind import channel_kind
from sleep_lab.recordings.edf_annotations import (
    EdfAnnotations,
    read_edf_annotations,
    record_bytes,
)
from sleep_lab.recordings.edf_header import EdfHeader, EdfSignal, read_edf_header
from sleep_lab.recordings.recording import Channel, Recording
from sleep_lab.recordings.scoring import Scoring, scoring_of_annotations


@dataclass(frozen=True)
class EdfSource:
    """The samples of an EDF or BDF file; the file is open only during a read."""

    header: EdfHeader
    signals: tuple[EdfSignal, ...]

    def read(self, channel: int, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of a channel, in uV if electric, read from its data records only.

        Raises:
            InputError: the header gives the channel no physical range, or the file is gone.
        """
        signal = self.signals[channel]
        if signal.gain == 0:
            raise InputError(
                f"{self.header.path}: {signal.label}: physical minimum and maximum are equal, so "
                "its values are unknown; leave the channel out or export the file again"
            )
        first = start // signal.samples
        last = -(-stop // signal.samples)
        try:
            data = record_bytes(self.header, signal, first, last)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.header.path}: {signal.label} cannot be read: {error}"
            ) from error
        skipped = first * signal.samples
        digital = _integers(data, self.header.sample_bytes)[start - skipped : stop - skipped]
        return (digital * signal.gain + signal.offset).astype(np.float32)


@dataclass(frozen=True)
class EdfFile:
    """An EDF or BDF file: its header and its annotations."""

    header: EdfHeader
    texts: EdfAnnotations

    @property
    def local_start(self) -> datetime | None:
        """Local time of the first sample, or None if the header has no date."""
        start = self.header.start_time
        return start and start + timedelta(seconds=self.texts.first_sample_s)

    def recording(self) -> Recording:
        """The night without its hypnogram.

        Raises:
            InputError: the file has no signals, or they have no sampling rate.
        """
        header = self.header
        signals = tuple(s for s in header.signals if not s.is_annotations and s.samples)
        if not signals:
            raise InputError(
                f"{header.path}: it has no signals; if it is a scoring, name it as the scoring of "
                "a recording"
            )
        if not header.record_s > 0:
            raise InputError(
                f"{header.path}: a data record lasts {header.record_s:g} s, so that the signals "
                "have no sampling rate; export it again"
            )
        return Recording(
            id=header.path.stem,
            channels=tuple(self._channel(signal) for signal in signals),
            source=EdfSource(header, signals),
            hypnogram=None,
            start_time=self.local_start,
            origin=str(header.path),
            start_s=0.0,
            duration_s=header.records * header.record_s,
        )

    def scoring(self, local_start: datetime | None) -> Scoring | None:
        """The stages among the annotations, for a recording that began at `local_start`.

        Without a `local_start`, or without a date in this file, both began together.

        Raises:
            InputError: the stages do not fit the recording's sleep epochs.
        """
        shift_s = -self.texts.first_sample_s
        if self.header.start_time is not None and local_start is not None:
            shift_s = (self.header.start_time - local_start).total_seconds()
        return scoring_of_annotations(self.texts.annotations, shift_s, str(self.header.path))

    def annotation_texts(self) -> list[str]:
        """The different texts, in order."""
        return list(dict.fromkeys(annotation.text for annotation in self.texts.annotations))

    def _channel(self, signal: EdfSignal) -> Channel:
        return Channel(
            name=signal.label,
            kind=channel_kind(signal.label) if signal.unit == "uV" else "other",
            sampling_rate=signal.samples / self.header.record_s,
            samples=signal.samples * self.header.records,
            unit=signal.unit,
        )


def open_edf(path: Path) -> EdfFile:
    """An EDF or BDF file, its headers and annotations read, its signals not yet.

    Raises:
        InputError: the file is damaged, truncated or interrupted.
    """
    header = read_edf_header(path)
    return EdfFile(header, read_edf_annotations(header))


def _integers(data: NDArray[np.uint8], sample_bytes: int) -> NDArray[np.integer]:
    """The little-endian integers of 16 or 24 bits in (records, bytes), in a row."""
    if sample_bytes == 2:
        return data.reshape(-1).view("<i2")
    # 24 bits in the upper part of 32, then shifted down: the sign comes along
    upper = np.pad(data.reshape(-1, 3), ((0, 0), (1, 0)))
    return upper.reshape(-1).view("<i4") >> 8
