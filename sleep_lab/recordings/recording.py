"""A night as it was recorded: channels, signals read on demand, and a scoring if there is one."""

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, nearest
from sleep_lab.recordings.channel import Channel, Kind
from sleep_lab.recordings.channel_synonyms import electrodes_of_derivations, synonymous
from sleep_lab.stages import SLEEP_EPOCH_S, UNSCORED, W

logger = logging.getLogger(__name__)

# files and folders get these names, so none may lead elsewhere
_SCORER_NAME = re.compile(r"\w[\w .+-]{0,99}")


class SignalSource(Protocol):
    """Where a recording's samples come from. It holds paths or parameters, never open files."""

    def read(self, channel: int, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of channel number `channel`, in the channel's unit."""
        ...


@dataclass(frozen=True)
class Recording:
    """One night. Signals stay in the file until `read` asks for a channel.

    Attributes:
        id: the night's name, unique in its folder.
        channels: what was recorded, in the file's order.
        source: where the samples come from.
        hypnogram: (epochs,) int8 stage codes of the expert that networks learn from, or None if
            there is none.
        start_time: time of the first sample, without time zone, or None: local time in EDF, UTC
            in h5.
        origin: what to call the recording in messages: its path.
        start_s: where the recording starts in its source, in seconds.
        duration_s: how long it lasts, in seconds.
        scorings: what further people scored, by their names: (epochs,) int8 stage codes each.

    Raises:
        InputError: a scorer's name is not made of letters, digits, spaces and _ . + - alone, or
            there is not one stage for each sleep epoch in a further scoring.
    """

    id: str
    channels: tuple[Channel, ...]
    source: SignalSource
    hypnogram: NDArray[np.int8] | None
    start_time: datetime | None
    origin: str
    start_s: float
    duration_s: float
    scorings: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, stages in self.scorings.items():
            if not _SCORER_NAME.fullmatch(name):
                raise InputError(
                    f"{self.origin}: {name[:100]!r} is no name for a scorer; use letters, digits, "
                    "spaces and _ . + -, a letter or digit first"
                )
            if stages.shape != (self.epochs,):
                raise InputError(
                    f"{self.origin}: what {name!r} scored has shape {stages.shape}; it has to be "
                    f"one stage for each of {self.epochs} sleep epochs"
                )

    @property
    def epochs(self) -> int:
        """Number of whole sleep epochs."""
        # a hundredth of a second: what rounding in a file's header may cost
        return int((self.duration_s + 0.01) // SLEEP_EPOCH_S)

    def channel(self, name: str) -> Channel:
        """The channel called `name`: exactly, or else whatever the case of its letters, or else by
        what the field calls the same signal (`channel_synonyms`).

        Raises:
            InputError: no channel has that name, or more than one; the message lists them.
        """
        return self.channels[self._position(name)]

    def names_of(self, *kinds: Kind, faster_than_hz: float = 0.0) -> tuple[str, ...]:
        """Names of the channels of these kinds, in the file's order, that can be used together.

        An electrode that is recorded beside a derivation of it is left out, and so are channels of
        one name, with a warning: nobody can tell which is which.

        Args:
            kinds: eeg, eog, emg, ecg or other.
            faster_than_hz: only channels of more samples per second than this.
        """
        suitable = [
            channel
            for channel in self.channels
            if channel.kind in kinds and channel.sampling_rate > faster_than_hz
        ]
        electrodes = electrodes_of_derivations(suitable)
        names = [c.name for n, c in enumerate(suitable) if n not in electrodes]
        called = Counter(channel.name for channel in self.channels)
        unclear = sorted({name for name in names if called[name] > 1})
        if unclear:
            logger.warning(
                "%s: left out, as other channels have the same name: %s",
                self.origin,
                ", ".join(unclear),
            )
        return tuple(name for name in names if called[name] == 1)

    def read(self, name: str) -> NDArray[np.float32]:
        """All samples of the channel called `name` within the recording, in the channel's unit.

        Raises:
            InputError: no channel, or more than one, has that name, or its samples are damaged.
        """
        position = self._position(name)
        channel = self.channels[position]
        start = round(self.start_s * channel.sampling_rate)
        stop = min(start + round(self.duration_s * channel.sampling_rate), channel.samples)
        return self.source.read(position, start, stop)

    def cut(self, first: int, last: int) -> "Recording":
        """The recording from sleep epoch `first` up to, not including, sleep epoch `last`.

        Raises:
            InputError: there are no such sleep epochs.
        """
        if not 0 <= first < last <= self.epochs:
            raise InputError(
                f"{self.origin}: cannot cut sleep epochs {first} to {last} out of {self.epochs}"
            )
        offset = first * SLEEP_EPOCH_S
        return replace(
            self,
            hypnogram=None if self.hypnogram is None else self.hypnogram[first:last],
            scorings={name: stages[first:last] for name, stages in self.scorings.items()},
            start_time=self.start_time and self.start_time + timedelta(seconds=offset),
            start_s=self.start_s + offset,
            duration_s=float((last - first) * SLEEP_EPOCH_S),
        )

    def from_second(self, second: float) -> "Recording":
        """The recording without its first seconds, nor scorings, whose epochs these would move.

        Raises:
            InputError: nothing is left.
        """
        if not 0 <= second < self.duration_s:
            raise InputError(
                f"{self.origin}: cannot begin {second:g} s after the start of {self.duration_s:g} s"
            )
        return replace(
            self,
            hypnogram=None,
            scorings={},
            start_time=self.start_time and self.start_time + timedelta(seconds=second),
            start_s=self.start_s + second,
            duration_s=self.duration_s - second,
        )

    def around_sleep(self, minutes: float) -> "Recording":
        """The recording from `minutes` before the first to `minutes` after the last sleep epoch.

        Both count from the epoch's onset, and the last sleep epoch is always kept. A recording
        without a scoring, or with no sleep in it, comes back whole.

        Raises:
            InputError: `minutes` is negative.
        """
        if minutes < 0:
            raise InputError(
                f"{self.origin}: {minutes:g} minutes around sleep; 0 or more can be kept"
            )
        if self.hypnogram is None:
            return self
        asleep = np.flatnonzero((self.hypnogram != W) & (self.hypnogram != UNSCORED))
        if not asleep.size:
            return self
        margin = round(minutes * 60 / SLEEP_EPOCH_S)
        first = max(0, int(asleep[0]) - margin)
        last = min(self.epochs, int(asleep[-1]) + max(margin, 1))
        return self.cut(first, last)

    def _position(self, name: str) -> int:
        names = [channel.name for channel in self.channels]
        exact = [n for n, other in enumerate(names) if other == name]
        found = (
            exact
            or [n for n, other in enumerate(names) if other.casefold() == name.casefold()]
            or synonymous(name, self.channels)
        )
        if not found:
            raise InputError(f"{self.origin}: no channel {name!r}; {nearest(name, names)}")
        if len(exact) > 1:
            raise InputError(
                f"{self.origin}: {len(exact)} channels are called {name!r}; rename them in the file"
            )
        if len(found) > 1:
            raise InputError(
                f"{self.origin}: {name!r} may be {len(found)} channels "
                f"({', '.join(repr(names[n]) for n in found)}); give the one that you mean"
            )
        return found[0]
