"""A recorded signal's facts."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["eeg", "eog", "emg", "ecg", "other"]


@dataclass(frozen=True)
class Channel:
    """One recorded signal.

    Attributes:
        name: as the file has it.
        kind: eeg, eog, emg, ecg or other.
        sampling_rate: samples per second.
        samples: number of samples in the whole file.
        unit: "uV" for electric signals, otherwise the file's own unit.
    """

    name: str
    kind: Kind
    sampling_rate: float
    samples: int
    unit: str = "uV"
