"""A night as networks want it: a folder of raw arrays that are mapped into memory, never loaded."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.preparation.preparation import FORMAT_VERSION
from sleep_lab.stages import SLEEP_EPOCH_S

DESCRIPTION = "night.json"


@dataclass(frozen=True)
class PreparedGroup:
    """One group of a prepared night.

    Attributes:
        channels: names of its signals, in the order of the stored columns.
        sampling_rate: samples per second.
    """

    channels: tuple[str, ...]
    sampling_rate: float

    @property
    def samples(self) -> int:
        """Samples of a sleep epoch."""
        return round(SLEEP_EPOCH_S * self.sampling_rate)


@dataclass(frozen=True)
class PreparedNight:
    """A prepared night: its facts, and its arrays on demand.

    Stored arrays include `padding` sleep epochs before and after the `epochs` of the night.
    Pickling carries the facts only; every process maps the files anew.

    Attributes:
        folder: where its files are.
        id: the night's name.
        person: whose night it is.
        epochs: number of sleep epochs, without padding.
        padding: sleep epochs of padding on each side.
        groups: the signals.
        features: width of each feature.
        first_epoch: number of its first epoch in the recording, where the night is a cut of it.
        start_time: wall-clock time of the first epoch, or None.
        scored: whether the recording has a hypnogram.
        scorers: names of those whose scorings it carries beside the hypnogram.
        dataset: which of several datasets it is from; not stored, as a night may be used in any.
    """

    folder: Path
    id: str
    person: str
    epochs: int
    padding: int
    groups: dict[str, PreparedGroup]
    features: dict[str, int]
    first_epoch: int
    start_time: datetime | None
    scored: bool
    scorers: tuple[str, ...] = ()
    dataset: str = ""

    @property
    def padded_epochs(self) -> int:
        """Number of sleep epochs in the stored arrays."""
        return self.epochs + 2 * self.padding

    @property
    def recording_start(self) -> datetime | None:
        """Wall-clock time of the recording's first sleep epoch, or None."""
        if self.start_time is None:
            return None
        return self.start_time - timedelta(seconds=self.first_epoch * SLEEP_EPOCH_S)

    @property
    def hypnogram(self) -> NDArray[np.int8]:
        """(epochs,) stage codes without padding; -1 where nobody scored."""
        return self.padded_hypnogram[self.padding : self.padding + self.epochs]

    @cached_property
    def padded_hypnogram(self) -> NDArray[np.int8]:
        """(padded_epochs,) stage codes, -1 in the padding."""
        return np.fromfile(self.folder / "hypnogram.mm", dtype=np.int8)

    @cached_property
    def scorings(self) -> dict[str, NDArray[np.int8]]:
        """What further people scored, by their names: (epochs,) stage codes without padding."""
        stored = np.fromfile(self.folder / "scorings.mm", dtype=np.int8)
        stages = stored.reshape(len(self.scorers), self.padded_epochs)
        night = stages[:, self.padding : self.padding + self.epochs]
        return dict(zip(self.scorers, night, strict=True))

    def signals(self, group: str) -> NDArray[np.float32]:
        """(padded_epochs, samples, channels), mapped; time first, as it is stored."""
        return self._signals[group]

    def feature(self, name: str) -> NDArray[np.float32]:
        """(padded_epochs, width)."""
        return self._features[name]

    @cached_property
    def _signals(self) -> dict[str, NDArray[np.float32]]:
        return {
            name: _mapped(
                self.folder / "signals" / f"{name}.mm",
                (self.padded_epochs, group.samples, len(group.channels)),
            )
            for name, group in self.groups.items()
        }

    @cached_property
    def _features(self) -> dict[str, NDArray[np.float32]]:
        return {
            name: _mapped(self.folder / "features" / f"{name}.mm", (self.padded_epochs, width))
            for name, width in self.features.items()
        }

    def __getstate__(self) -> dict[str, Any]:
        """The facts without the mapped arrays."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def describe(self) -> dict[str, Any]:
        """The facts as plain data, from which `read` makes the same night."""
        facts = asdict(self)
        del facts["folder"], facts["dataset"]
        facts["start_time"] = self.start_time and self.start_time.isoformat()
        return {"format": FORMAT_VERSION, **facts}

    @classmethod
    def read(cls, folder: Path) -> "PreparedNight":
        """The prepared night in `folder`.

        Raises:
            InputError: the folder holds no prepared night of this version.
        """
        try:
            facts = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            if facts["format"] != FORMAT_VERSION:
                raise ValueError(f"format {facts['format']}, not {FORMAT_VERSION}")
            start = facts["start_time"]
            return cls(
                folder=folder,
                id=facts["id"],
                person=facts["person"],
                epochs=facts["epochs"],
                padding=facts["padding"],
                groups={
                    name: PreparedGroup(tuple(group["channels"]), group["sampling_rate"])
                    for name, group in facts["groups"].items()
                },
                features=facts["features"],
                first_epoch=facts["first_epoch"],
                start_time=start and datetime.fromisoformat(start),
                scored=facts["scored"],
                scorers=tuple(facts["scorers"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder}: not a prepared night ({error}); delete the folder to prepare it anew"
            ) from error


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    # copy on write: torch wants writable memory, and the file must never change
    return np.memmap(path, dtype=np.float32, mode="c", shape=shape)
