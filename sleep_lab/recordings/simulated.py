"""Nights of people who do not exist, for first runs, notebooks and tests.

The stages follow sleep cycles, and the signals follow the stages closely enough to be staged, with
the overlaps that make staging hard: everybody's amplitudes, rhythms and muscle tone differ, N1 is
part wakefulness and part sleep, and what tells two stages apart is often a single event or what
came before. The hypnogram is the truth that the signals were made from; who asks for scorers gets
people who scored that night, each with errors of their own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.recordings.channel import Channel, Kind
from sleep_lab.recordings.recording import Recording
from sleep_lab.recordings.simulated_course import Course, Floats, Person
from sleep_lab.recordings.simulated_events import Rendered, draw_events, draw_heartbeats
from sleep_lab.recordings.simulated_hypnogram import simulate_hypnogram
from sleep_lab.recordings.simulated_montage import kind_of, sensitivity
from sleep_lab.recordings.simulated_scorers import Scorer, draw_difficulty, simulate_scoring
from sleep_lab.recordings.simulated_signals import Blocks, channel_signal, rhythm_amplitudes
from sleep_lab.stages import SLEEP_EPOCH_S

SIMULATOR_VERSION = 1
"""Changes whenever the same arguments give another night."""

DEFAULT_MONTAGE: dict[str, str] = {
    "F3-M2": "eeg",
    "C3-M2": "eeg",
    "O1-M2": "eeg",
    "E1-M2": "eog",
    "E2-M2": "eog",
    "EMG chin": "emg",
}
"""Names and kinds of the channels of a night for which none are asked: the AASM's, one side."""

_SHORTEST_MIN = 10
_SLOWEST_HZ = 64


@dataclass(frozen=True)
class SimulatedNight:
    """A night that is computed when it is opened; equal arguments give equal bits.

    Attributes:
        id: the night's name; with the seed it decides what happens in the night.
        person: the sleeper's name; with the seed it decides what is the same in all their nights.
        seed: of chance.
        hours: from lights off to lights on.
        sampling_rate: samples per second of every channel.
        montage: name and kind of each channel.
        scorers: how many people scored it beside the expert, who makes no errors.
    """

    id: str
    person: str
    seed: int = 0
    hours: float = 8.0
    sampling_rate: float = 128.0
    montage: tuple[tuple[str, str], ...] = tuple(DEFAULT_MONTAGE.items())
    scorers: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """None: the night is computed."""
        return ()

    @property
    def identity(self) -> dict[str, Any]:
        """All that the night is computed from."""
        return {**asdict(self), "simulator_version": SIMULATOR_VERSION}

    def open(self) -> Recording:
        """The recording, with its scorings; signals are computed when they are read."""
        return simulate(
            self.id,
            self.person,
            self.seed,
            self.hours,
            self.sampling_rate,
            dict(self.montage),
            self.scorers,
        )


def simulated_nights(
    nights: int = 12,
    hours: float = 8.0,
    sampling_rate: float = 128.0,
    channels: Mapping[str, str] | Sequence[str] | None = None,
    nights_per_person: int = 1,
    seed: int = 0,
    scorers: int = 0,
) -> list[SimulatedNight]:
    """Nights to train on without having any.

    Args:
        nights: how many.
        hours: length of each.
        sampling_rate: samples per second of every channel, 64 or more.
        channels: names of channels, or names and their kinds (eeg, eog, emg, ecg);
            `DEFAULT_MONTAGE` if None.
        nights_per_person: how many of the nights in a row are one person's.
        seed: other seeds give other people and other nights.
        scorers: how many imperfect scorers each night carries beside its true hypnogram:
            `scorer_1` and so on, the same people in all nights.

    Raises:
        InputError: an argument that makes no night.
    """
    if nights < 1 or nights_per_person < 1:
        raise InputError(
            f"simulated nights: nights={nights} and nights_per_person={nights_per_person} "
            "must be 1 or more"
        )
    montage = _montage(channels)
    _check(hours, sampling_rate, seed, scorers)
    return [
        SimulatedNight(
            id=f"simulated-{night:03d}",
            person=f"person-{night // nights_per_person:03d}",
            seed=int(seed),
            hours=float(hours),
            sampling_rate=float(sampling_rate),
            montage=montage,
            scorers=int(scorers),
        )
        for night in range(nights)
    ]


def simulate(
    id: str = "simulated-000",
    person: str = "person-000",
    seed: int = 0,
    hours: float = 8.0,
    sampling_rate: float = 128.0,
    channels: Mapping[str, str] | Sequence[str] | None = None,
    scorers: int = 0,
) -> Recording:
    """One simulated night; the arguments are those of `SimulatedNight` and `simulated_nights`.

    Raises:
        InputError: an argument that makes no night.
    """
    montage = _montage(channels)
    epochs = _check(hours, sampling_rate, seed, scorers)
    samples = round(epochs * SLEEP_EPOCH_S * sampling_rate)
    source = SimulatedSignals(id, person, seed, epochs, sampling_rate, montage)
    return Recording(
        id=id,
        channels=tuple(Channel(name, kind, sampling_rate, samples) for name, kind in montage),
        source=source,
        hypnogram=source.hypnogram.copy(),
        start_time=None,
        origin=id,
        start_s=0.0,
        duration_s=float(epochs * SLEEP_EPOCH_S),
        scorings={name: source.scoring(name) for name in scorer_names(scorers)},
    )


def scorer_names(scorers: int) -> list[str]:
    """What the scorers of simulated nights are called."""
    return [f"scorer_{number}" for number in range(1, scorers + 1)]


@dataclass(frozen=True)
class SimulatedSignals:
    """Computes a night's channels, each from its own stream of chance, whatever was read before.

    It keeps what it computed last; pickling leaves that out.
    """

    id: str
    person: str
    seed: int
    epochs: int
    sampling_rate: float
    montage: tuple[tuple[str, Kind], ...]

    def read(self, channel: int, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of channel number `channel` in microvolts."""
        kept = self.__dict__.get("_kept")
        if kept is None or kept[0] != channel:
            kept = (channel, self._compute(channel))
            self.__dict__["_kept"] = kept
        return kept[1][start:stop].copy()

    @cached_property
    def hypnogram(self) -> NDArray[np.int8]:
        """(epochs,) stage codes."""
        rng = self._stream(self.id, "hypnogram")
        latency_min = self._sleeper.latency_min * rng.uniform(0.7, 1.3)
        return simulate_hypnogram(self.epochs, self._sleeper.depth, latency_min, rng)

    def scoring(self, scorer: str) -> NDArray[np.int8]:
        """(epochs,) stage codes that somebody of this name gives to the night."""
        return simulate_scoring(
            self.hypnogram,
            draw_difficulty(self.epochs, self._stream(self.id, "difficulty")),
            Scorer.draw(self._stream(scorer, "scorer")),
            self._stream(self.id, "scoring", scorer),
        )

    @cached_property
    def _sleeper(self) -> Person:
        return Person.draw(self._stream(self.person, "person"))

    @cached_property
    def _night(self) -> tuple[Floats, tuple[Rendered, ...]]:
        course = Course.draw(self.hypnogram, self._stream(self.id, "course"))
        amplitudes = rhythm_amplitudes(course, self._sleeper, self._stream(self.id, "rhythms"))
        events = draw_events(course, self._sleeper, self._stream(self.id, "events"))
        heart = draw_heartbeats(self.epochs * SLEEP_EPOCH_S, self._stream(self.id, "heart"))
        blocks = self._blocks
        return amplitudes, tuple(
            group.render(blocks.sampling_rate, blocks.samples) for group in (*events, heart)
        )

    @cached_property
    def _blocks(self) -> Blocks:
        return Blocks(self.sampling_rate, round(self.epochs * SLEEP_EPOCH_S * self.sampling_rate))

    @cached_property
    def _shared(self) -> NDArray[np.complex64]:
        return self._blocks.noise(self._stream(self.id, "shared"))

    def _compute(self, channel: int) -> NDArray[np.float32]:
        name, kind = self.montage[channel]
        amplitudes, events = self._night
        return channel_signal(
            self._blocks,
            amplitudes,
            self._sleeper,
            events,
            sensitivity(name, kind),
            self._shared if kind in ("eeg", "eog") else None,
            self._stream(self.id, "channel", name),
        )

    def _stream(self, *names: str) -> np.random.Generator:
        return np.random.default_rng(
            np.random.SeedSequence([self.seed, *"\0".join(names).encode()])
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}


def _montage(channels: Mapping[str, str] | Sequence[str] | None) -> tuple[tuple[str, Kind], ...]:
    """Names and kinds of the channels asked for."""
    if channels is None:
        channels = DEFAULT_MONTAGE
    if isinstance(channels, Mapping):
        montage = tuple(
            (str(name), kind_of(str(name), str(kind))) for name, kind in channels.items()
        )
    else:
        montage = tuple((str(name), kind_of(str(name))) for name in channels)
    names = [name for name, _ in montage]
    if not names:
        raise InputError("simulated nights: no channels; name at least one, such as 'C3-M2'")
    if len(set(names)) < len(names):
        raise InputError(f"simulated nights: a channel is named twice in {', '.join(names)}")
    return montage


def _check(hours: float, sampling_rate: float, seed: int, scorers: int) -> int:
    """The number of sleep epochs, if a night can be computed from these."""
    epochs = hours * 3600 / SLEEP_EPOCH_S
    if not math.isfinite(epochs) or epochs * SLEEP_EPOCH_S < _SHORTEST_MIN * 60:
        raise InputError(f"simulated nights: hours={hours} is less than {_SHORTEST_MIN} minutes")
    if abs(epochs - round(epochs)) > 1e-6:
        raise InputError(
            f"simulated nights: hours={hours} is not a whole number of {SLEEP_EPOCH_S} s epochs; "
            f"{round(epochs) * SLEEP_EPOCH_S / 3600:g} is"
        )
    if not sampling_rate >= _SLOWEST_HZ:
        raise InputError(
            f"simulated nights: sampling_rate={sampling_rate} Hz is too low for the signals; "
            f"use {_SLOWEST_HZ} or more"
        )
    if seed < 0:
        raise InputError(f"simulated nights: seed={seed} is negative; use 0 or more")
    if scorers < 0:
        raise InputError(f"simulated nights: scorers={scorers} is negative; use 0 or more")
    return round(epochs)
