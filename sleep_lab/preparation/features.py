"""Features: what is computed once for each sleep epoch and given to the network as it is."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sleep_lab.recordings import Recording


class Feature(Protocol):
    """A function of the recording with one row for each sleep epoch, padding included."""

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, width): `padding` rows, the recording's epochs, `padding` rows."""
        ...


@dataclass(frozen=True)
class EpochIndex:
    """How far the night has come: the sleep epoch's index over `scale` (1200 is ten hours).

    Padding before the night has index 0, padding after it the last index.
    """

    scale: float = 1200.0

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, 1)."""
        return _padded_index(recording, padding)[:, None] / self.scale


@dataclass(frozen=True)
class EpochCycleIndex:
    """The sleep epoch's index on slow waves, cos(pi index / length), to tell where in a cycle.

    Padded as EpochIndex.

    Attributes:
        lengths: half periods in sleep epochs; one column each.
    """

    lengths: tuple[float, ...] = (10.0, 30.0, 60.0, 90.0, 120.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", tuple(float(length) for length in self.lengths))

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, lengths)."""
        index = _padded_index(recording, padding)
        return np.cos(np.pi * index[:, None] / np.asarray(self.lengths))


def _padded_index(recording: Recording, padding: int) -> NDArray[np.float64]:
    return np.pad(np.arange(recording.epochs, dtype=np.float64), padding, mode="edge")
