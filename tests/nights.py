"""Small recordings and prepared nights for tests, made in a moment."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleep_lab.preparation import (
    EpochCycleIndex,
    EpochIndex,
    Filter,
    Padding,
    Preparation,
    PreparedNight,
    Resample,
    prepare,
)
from sleep_lab.preparation.preparation import Derivation
from sleep_lab.recordings import Channel, Recording
from sleep_lab.stages import SLEEP_EPOCH_S


@dataclass(frozen=True, eq=False)
class Samples:
    """A source that holds its samples."""

    values: NDArray[np.float32]

    def read(self, channel, start, stop):
        return self.values[channel, start:stop]


def recording(
    epochs: int = 40,
    rate: float = 50.0,
    names: tuple[str, ...] = ("A", "B"),
    seed: int = 0,
    hypnogram: Any = "random",
    night_id: str = "night",
    tail: int = 0,
) -> Recording:
    """White noise with a random hypnogram; `tail` samples more than the epochs."""
    rng = np.random.default_rng(seed)
    samples = round(epochs * SLEEP_EPOCH_S * rate) + tail
    values = (rng.standard_normal((len(names), samples)) * 20).astype(np.float32)
    if isinstance(hypnogram, str):
        hypnogram = rng.integers(0, 5, epochs).astype(np.int8)
    return Recording(
        id=night_id,
        channels=tuple(Channel(name, "eeg", rate, samples) for name in names),
        source=Samples(values),
        hypnogram=hypnogram,
        start_time=datetime(2020, 1, 1, 23, 0),
        origin=f"{night_id}.test",
        start_s=0.0,
        duration_s=samples / rate,
    )


@dataclass(frozen=True)
class Night:
    """A night source over `recording`, opened with these arguments."""

    id: str = "night"
    person: str = "person"
    arguments: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    @property
    def identity(self) -> dict[str, Any]:
        return {"id": self.id, **{k: str(v) for k, v in self.arguments.items()}}

    def open(self) -> Recording:
        return recording(night_id=self.id, **self.arguments)


def preparation(
    channels: tuple[str, ...] = ("A", "B"), padding_s: float = 90, rate: float = 10.0
) -> Preparation:
    """Low-rate nights that take no time: filtered, 10 Hz, padded by three epochs."""
    return Preparation(
        groups={"psg": Derivation(channels, (Filter(), Resample(rate), Padding(padding_s)))},
        features={"epoch_index": EpochIndex(), "epoch_cycle_index": EpochCycleIndex()},
    )


def prepared_night(store: Path, night_id: str = "night", person: str | None = None, **arguments):
    """A prepared night of `recording(**arguments)`."""
    own = {key: arguments.pop(key) for key in ("padding_s", "rate_out") if key in arguments}
    names = arguments.get("names", ("A", "B"))
    prep = preparation(names, own.get("padding_s", 90), own.get("rate_out", 10.0))
    night: PreparedNight = prepare(Night(night_id, person or night_id, arguments), prep, store)
    return night
