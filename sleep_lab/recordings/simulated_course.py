"""How a simulated night goes, two seconds at a time: what brain, eyes and muscles are doing."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr

from sleep_lab.stages import N1, N2, N3, REM, SLEEP_EPOCH_S, W

STEP_S = 2
"""Seconds between two values of a course."""

_STEPS_PER_EPOCH = SLEEP_EPOCH_S // STEP_S
# a stage begins up to 12 s before or after the border of the sleep epoch that is scored with it
_BORDER_STEPS = 6

# epochs before and after that say whether N3 is near
_NEAR_EPOCHS = 11
# now and then the brain slips, for seconds, into a stage beside the one that is scored
_LAPSE = np.array([N1, N2, N1, N2, N1])
_LAPSE_CHANCE = np.array([0.15, 0.15, 0.15, 0.12, 0.15])

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Person:
    """What the nights of one person share; factors are 1 for the average person.

    Attributes:
        depth: factor of the amount of slow-wave sleep.
        latency_min: minutes that falling asleep usually takes.
        alpha_hz: frequency of the posterior rhythm.
        spindle_hz: frequency of the sleep spindles.
        rhythms: (rhythms,) factors of the amplitudes of `simulated_montage.RHYTHMS`.
        slow_waves: factor of the amplitude of single slow waves.
        spindles: factor of the number of spindles.
        atonia: chin muscle tone in REM sleep over tone in N2.
        eye_movements: factor of the amplitude of eye movements.
    """

    depth: float
    latency_min: float
    alpha_hz: float
    spindle_hz: float
    rhythms: Floats
    slow_waves: float
    spindles: float
    atonia: float
    eye_movements: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Person":
        """A person at random."""
        return cls(
            depth=float(np.clip(rng.lognormal(0, 0.2), 0.6, 1.5)),
            latency_min=float(np.clip(rng.gamma(6, 2.1), 5, 25)),
            alpha_hz=float(np.clip(rng.normal(9.9, 0.8), 8.3, 11.7)),
            spindle_hz=float(np.clip(rng.normal(13.2, 0.5), 12, 14.5)),
            # background, slow, theta, alpha, sigma, beta, muscle, mains
            rhythms=rng.lognormal(0, (0.15, 0.2, 0.2, 0.3, 0.2, 0.2, 0.35, 0.5)),
            slow_waves=float(rng.lognormal(0, 0.18)),
            spindles=float(np.clip(rng.lognormal(0, 0.25), 0.6, 1.8)),
            atonia=float(rng.uniform(0.4, 0.9)),
            eye_movements=float(rng.lognormal(0, 0.2)),
        )


@dataclass(frozen=True)
class Course:
    """The night on a grid of `STEP_S` seconds; every array is (steps,).

    Attributes:
        stage: the stage that the brain is in, N1's wake-like moments counted as W.
        alpha: whether the posterior rhythm is on.
        eyes_open: awake with open eyes.
        phasic: REM sleep with bursts of eye movements.
        slow_share: share of the time filled with slow waves.
        arousal: brief arousal within sleep.
        moving: the body moves.
    """

    stage: NDArray[np.int8]
    alpha: Flags
    eyes_open: Flags
    phasic: Flags
    slow_share: Floats
    arousal: Flags
    moving: Flags

    @classmethod
    def draw(cls, hypnogram: NDArray[np.int8], rng: np.random.Generator) -> "Course":
        """A course that a scorer would give this hypnogram."""
        stage = _blurred(hypnogram, rng)
        steps = stage.size
        waking = (stage == W) & (np.roll(stage, 1) != W)
        lapse = _now_and_then(_LAPSE_CHANCE[stage], 8, rng)
        stage = np.where(lapse, _LAPSE[stage], stage)
        awake = stage == W
        eyes_open = awake & _now_and_then(np.full(steps, 0.25), 120, rng)
        alpha_chance = np.array([0.75, 0.35, 0.03, 0.01, 0.08])[stage]
        alpha = ~eyes_open & _now_and_then(alpha_chance, 6, rng)
        phasic = (stage == REM) & _now_and_then(np.full(steps, 0.5), 50, rng)
        arousal = _lasting(rng.random(steps) < np.array([0, 0.006, 0.005, 0.001, 0.005])[stage], 3)
        moving = (
            (waking & (rng.random(steps) < 0.5))
            | (arousal & (rng.random(steps) < 0.05))
            | (awake & (rng.random(steps) < 0.02))
        )
        return cls(
            stage=np.where((stage == N1) & alpha, W, stage).astype(np.int8),
            alpha=alpha | arousal,
            eyes_open=eyes_open,
            phasic=phasic,
            slow_share=_slow_share(hypnogram, stage, rng),
            arousal=arousal,
            moving=_lasting(moving, 3),
        )


def wander(steps: int, seconds: float, rng: np.random.Generator, step_s: float = STEP_S) -> Floats:
    """Noise of unit variance that remembers its past for about `seconds`: (steps,)."""
    memory = np.exp(-step_s / seconds)
    noise = rng.standard_normal(steps) * np.sqrt(1 - memory**2)
    noise[:1] /= np.sqrt(1 - memory**2)
    return lfilter([1.0], [1.0, -memory], noise)


def _now_and_then(chance: Floats, seconds: float, rng: np.random.Generator) -> Flags:
    """Stretches of about `seconds`, present at a step with the probability `chance`."""
    return ndtr(wander(chance.size, seconds, rng)) < chance


def _lasting(starts: Flags, steps: int) -> Flags:
    """Each start, held for `steps` steps."""
    return np.convolve(starts, np.ones(steps))[: starts.size] > 0


def _blurred(hypnogram: NDArray[np.int8], rng: np.random.Generator) -> NDArray[np.int8]:
    """The hypnogram at every step, with its transitions moved off the epochs' borders."""
    shifts = rng.integers(-_BORDER_STEPS, _BORDER_STEPS + 1, hypnogram.size + 1)
    step = np.arange(hypnogram.size * _STEPS_PER_EPOCH)
    nearest_border = (step + _STEPS_PER_EPOCH // 2) // _STEPS_PER_EPOCH
    epoch = (step + shifts[nearest_border]) // _STEPS_PER_EPOCH
    return hypnogram[np.clip(epoch, 0, hypnogram.size - 1)]


def _slow_share(
    hypnogram: NDArray[np.int8], stage: NDArray[np.int8], rng: np.random.Generator
) -> Floats:
    """Share of time in slow waves: above a fifth is N3 (AASM), and N2 near N3 comes close to it."""
    epochs = hypnogram.size
    weights = np.hanning(2 * _NEAR_EPOCHS + 1)
    near_n3 = np.convolve(hypnogram == N3, weights / weights.sum())[_NEAR_EPOCHS:][:epochs]
    per_epoch = np.stack(
        [
            np.zeros(epochs),
            np.full(epochs, 0.01),
            0.02 + 0.16 * np.clip(2 * near_n3, 0, 1) * rng.beta(3, 2, epochs),
            0.20 + 0.30 * np.clip(near_n3, 0, 1) * rng.beta(2, 2, epochs),
            np.full(epochs, 0.005),
        ]
    )
    epoch = np.arange(stage.size) // _STEPS_PER_EPOCH
    return per_epoch[stage, epoch]
