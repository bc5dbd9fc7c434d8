"""A staged night: what a model said of it, and what else there is to show beside that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES, UNSCORED


@dataclass(frozen=True, eq=False)
class NightResult:
    """What a model said of a night, or of a part of it.

    Attributes:
        id: the night's name; it names the night's files.
        hypnodensity: (epochs, 5) float32, the stages' probabilities in each sleep epoch.
        expert: (epochs,) int8 stage codes of the same epochs, or None if nobody scored them.
        start_time: wall-clock time of the recording's first sample, or None.
        signal: (samples,) float32, one channel of the same epochs, for the picture; or None.
        signal_name: what to call that channel.
        sampling_rate: of `signal`, in samples per second, at least 2.
        first_epoch: number of the first of these epochs, counted from the recording's start.
        uncalibrated: (epochs, 5) float32, the hypnodensity before temperature scaling; None if the
            model has no temperature.
        scorings: further scorers' names -> (epochs,) int8 stage codes of the same epochs.

    Raises:
        InputError: the parts do not fit together.
    """

    id: str
    hypnodensity: NDArray[np.float32]
    expert: NDArray[np.int8] | None = None
    start_time: datetime | None = None
    signal: NDArray[np.float32] | None = None
    signal_name: str = ""
    sampling_rate: float = 0.0
    first_epoch: int = 0
    uncalibrated: NDArray[np.float32] | None = None
    scorings: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.hypnodensity.shape
        if len(shape) != 2 or shape[0] == 0 or shape[1] != len(STAGES):
            raise InputError(
                f"{self.id}: the hypnodensity has shape {shape}; it must be (epochs, {len(STAGES)})"
            )
        if self.uncalibrated is not None and self.uncalibrated.shape != shape:
            raise InputError(
                f"{self.id}: the hypnodensity has shape {shape}, before temperature scaling "
                f"{self.uncalibrated.shape}; both must be of the same epochs"
            )
        for scorer, stages in (("an expert", self.expert), *self.scorings.items()):
            if stages is not None and stages.shape != shape[:1]:
                raise InputError(
                    f"{self.id}: {shape[0]} staged epochs but {scorer}'s hypnogram of shape "
                    f"{stages.shape}; cut both to the same epochs"
                )
        if self.signal is not None and not self._can_be_drawn(self.signal):
            raise InputError(
                f"{self.id}: a signal of shape {self.signal.shape} at {self.sampling_rate} Hz "
                "cannot be drawn; give one channel of 30 s or more at 2 Hz or more"
            )

    @property
    def epochs(self) -> int:
        """Number of sleep epochs."""
        return len(self.hypnodensity)

    @property
    def hypnogram(self) -> NDArray[np.int8]:
        """(epochs,) the most probable stage of each sleep epoch."""
        return self.hypnodensity.argmax(axis=1).astype(np.int8)

    @property
    def scored_expert(self) -> NDArray[np.int8] | None:
        """The expert's hypnogram if it has a stage anywhere, or else None."""
        if self.expert is None or (self.expert == UNSCORED).all():
            return None
        return self.expert

    def _can_be_drawn(self, signal: NDArray[np.float32]) -> bool:
        rate = self.sampling_rate
        return signal.ndim == 1 and rate >= 2 and len(signal) / rate >= SLEEP_EPOCH_S
