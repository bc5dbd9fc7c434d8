"""Single events of a simulated night: spindles, slow waves, eye movements, heartbeats."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sleep_lab.recordings.simulated_course import STEP_S, Course, Floats, Person, wander

Waveform = Callable[[Floats, Floats], Floats]
"""Shape of an event of amplitude 1, given the progress through it (0 to 1) and the phase."""

Range = tuple[float, float]


@dataclass(frozen=True)
class Rendered:
    """Events at a sampling rate.

    Attributes:
        source: what they come from.
        where: (m,) the samples that they touch, maybe several times.
        values: (m,) microvolts to add to each.
    """

    source: str
    where: NDArray[np.int64]
    values: NDArray[np.float32]


@dataclass(frozen=True)
class Events:
    """All events of one sort in a night, as the place that shows them best shows them.

    Attributes:
        source: what they come from; a name of `simulated_montage.SOURCES`.
        waveform: their shape.
        onset_s: (n,) when they start.
        duration_s: (n,) how long they last.
        frequency_hz: (n,) of those that oscillate.
        amplitude_uv: (n,) peak, with its sign.
    """

    source: str
    waveform: Waveform
    onset_s: Floats
    duration_s: Floats
    frequency_hz: Floats
    amplitude_uv: Floats

    def render(self, sampling_rate: float, samples: int) -> Rendered:
        """The same in samples, for a signal that is `samples` long."""
        first = np.ceil(self.onset_s * sampling_rate).astype(np.int64)
        longest = self.duration_s.max(initial=0.0)
        where = first[:, None] + np.arange(int(longest * sampling_rate) + 1)
        time_s = where / sampling_rate - self.onset_s[:, None]
        inside = (time_s <= self.duration_s[:, None]) & (where < samples)
        event = np.nonzero(inside)[0]
        time_s = time_s[inside]
        progress = time_s / self.duration_s[event]
        phase = 2 * np.pi * self.frequency_hz[event] * time_s
        values = self.amplitude_uv[event] * self.waveform(progress, phase)
        return Rendered(self.source, where[inside], values.astype(np.float32))


def _oscillation(progress: Floats, phase: Floats) -> Floats:
    return np.sin(np.pi * progress) ** 2 * np.sin(phase)


def _slow_wave(progress: Floats, _phase: Floats) -> Floats:
    return -np.sin(2 * np.pi * progress**0.9) * np.sqrt(
        np.sin(np.pi * np.minimum(progress, 1 - progress))
    )


def _k_complex(progress: Floats, _phase: Floats) -> Floats:
    return _bell(progress, 0.62, 0.17) * 0.7 - _bell(progress, 0.25, 0.1)


def _sharp_wave(progress: Floats, _phase: Floats) -> Floats:
    return -_bell(progress, 0.4, 0.15)


def _sawtooth(progress: Floats, phase: Floats) -> Floats:
    return np.sin(np.pi * progress) ** 2 * ((phase / np.pi) % 2 - 1)


def _saccade(progress: Floats, _phase: Floats) -> Floats:
    # the eye jumps and stays; the amplifier's high-pass lets the step decay
    return np.tanh(progress / 0.05) * (np.exp(-3 * progress) - np.exp(-3.0))


def _bump(progress: Floats, _phase: Floats) -> Floats:
    return np.sin(np.pi * progress) ** 2


def _heartbeat(progress: Floats, _phase: Floats) -> Floats:
    r_wave = _bell(progress, 0.2, 0.015) - 0.15 * _bell(progress, 0.25, 0.02)
    return r_wave + 0.25 * _bell(progress, 0.75, 0.08)


def _bell(progress: Floats, centre: float, width: float) -> Floats:
    return np.exp(-0.5 * ((progress - centre) / width) ** 2)


@dataclass(frozen=True)
class Sort:
    """A sort of event: what makes it, its shape, and the ranges its measures are drawn from.

    Attributes:
        source: a name of `simulated_montage.SOURCES`.
        waveform: the shape.
        duration_s: shortest and longest.
        amplitude_uv: smallest and largest peak, where it shows best.
        frequency_hz: lowest and highest, of what oscillates.
        either_sign: whether half of them are upside down.
    """

    source: str
    waveform: Waveform
    duration_s: Range
    amplitude_uv: Range
    frequency_hz: Range = (0.0, 0.0)
    either_sign: bool = False

    def draw(self, per_min: Floats, rng: np.random.Generator, size: float = 1.0) -> Events:
        """Events at the rates `per_min`, one for every step, `size` times as large as usual."""
        count = rng.poisson(per_min * (STEP_S / 60))
        step = np.repeat(np.arange(count.size), count)
        n = step.size
        sign = rng.choice((-1.0, 1.0), n) if self.either_sign else np.ones(n)
        return Events(
            self.source,
            self.waveform,
            onset_s=(step + rng.random(n)) * STEP_S,
            duration_s=rng.uniform(*self.duration_s, n),
            frequency_hz=rng.uniform(*self.frequency_hz, n),
            amplitude_uv=size * sign * rng.uniform(*self.amplitude_uv, n),
        )


_SPINDLE = Sort("sigma", _oscillation, (0.6, 1.5), (14, 34), (-0.5, 0.5))
_SLOW_WAVE = Sort("slow", _slow_wave, (0.7, 1.6), (38, 85))
_K_COMPLEX = Sort("slow", _k_complex, (0.8, 1.3), (70, 130))
_VERTEX_WAVE = Sort("sigma", _sharp_wave, (0.2, 0.35), (30, 60))
_SAWTOOTH = Sort("theta", _sawtooth, (2, 5), (10, 22), (2.5, 4.5))
_RAPID_EYE_MOVEMENT = Sort("eyes", _saccade, (0.8, 1.6), (30, 130), either_sign=True)
_SLOW_EYE_MOVEMENT = Sort("eyes", _oscillation, (2.5, 5), (30, 90), (0.2, 0.5), True)
_BLINK = Sort("lids", _bump, (0.25, 0.4), (60, 150))
_TWITCH = Sort("muscle", _oscillation, (0.1, 0.6), (5, 30), (12, 45))
_MOVEMENT = Sort("body", _oscillation, (2, 6), (40, 180), (0.3, 1.2), True)


def draw_events(course: Course, person: Person, rng: np.random.Generator) -> tuple[Events, ...]:
    """The events that go with a course.

    Shapes, durations and amplitudes are those that the AASM manual (2007) scores stages by.
    """
    stage = course.stage
    awake, n1, n2, n3, rem = ((stage == code).astype(float) for code in range(5))
    # spindles and K-complexes come in runs, and not while something disturbs sleep
    mood = np.exp(0.8 * wander(stage.size, 60.0, rng)) * ~(course.arousal | course.moving)
    eyes_jump = 24 * course.phasic + 14 * course.eyes_open + 1.5 * (rem + awake)
    eyes = person.eye_movements
    low, high = _SPINDLE.frequency_hz
    spindle = replace(_SPINDLE, frequency_hz=(person.spindle_hz + low, person.spindle_hz + high))
    return (
        spindle.draw(person.spindles * mood * (3.6 * n2 + 1.6 * n3), rng),
        _SLOW_WAVE.draw(75 * course.slow_share, rng, person.slow_waves),
        _K_COMPLEX.draw(0.9 * mood * n2, rng, person.slow_waves),
        _VERTEX_WAVE.draw(2.5 * n1, rng),
        _SAWTOOTH.draw(1.5 * course.phasic, rng),
        _RAPID_EYE_MOVEMENT.draw(eyes_jump, rng, eyes),
        _SLOW_EYE_MOVEMENT.draw(7 * n1 + 2.5 * awake, rng, eyes),
        _BLINK.draw(14.0 * course.eyes_open, rng),
        _TWITCH.draw(1.5 + 8 * course.phasic, rng),
        _MOVEMENT.draw(12.0 * course.moving, rng),
    )


def draw_heartbeats(duration_s: float, rng: np.random.Generator) -> Events:
    """The night's R waves, at 50 to 70 a minute with the swing of breathing."""
    mean_s = 60 / rng.uniform(50, 70)
    beats = np.arange(int(duration_s / mean_s * 1.1) + 10)
    intervals = mean_s * (1 + 0.05 * np.sin(beats / 2.2) + 0.02 * rng.standard_normal(beats.size))
    onset_s = np.cumsum(intervals)
    onset_s = onset_s[onset_s < duration_s]
    ones = np.ones(onset_s.size)
    return Events("heart", _heartbeat, onset_s, 0.6 * ones, 0 * ones, 900 * ones)
