"""Hypnograms of people who do not exist: a Markov chain that sleep cycles steer."""

import numpy as np
from numpy.typing import NDArray

from sleep_lab.stages import SLEEP_EPOCH_S, W

_EPOCHS_PER_MIN = 60 / SLEEP_EPOCH_S

# One row per cycle of a night, minutes: the last one holds for all that follow. Cycles last some
# 90 minutes, slow-wave sleep belongs to the first of them and REM sleep to the last.
_NREM_MIN = (82.0, 76.0, 68.0, 62.0, 58.0)
_REM_MIN = (10.0, 21.0, 29.0, 33.0, 36.0)
_DEPTH = (1.1, 0.85, 0.5, 0.2, 0.08)

# Probability of going from a stage (row) to a stage (column) at the next sleep epoch, both in the
# order W, N1, N2, N3, REM.
_LIGHT_NREM = (
    (0.600, 0.390, 0.010, 0.000, 0.000),
    (0.070, 0.500, 0.430, 0.000, 0.000),
    (0.020, 0.022, 0.953, 0.005, 0.000),
    (0.015, 0.010, 0.275, 0.700, 0.000),
    (0.060, 0.100, 0.840, 0.000, 0.000),
)
_DEEP_NREM = (
    (0.480, 0.480, 0.040, 0.000, 0.000),
    (0.040, 0.330, 0.630, 0.000, 0.000),
    (0.012, 0.010, 0.798, 0.180, 0.000),
    (0.010, 0.002, 0.026, 0.962, 0.000),
    (0.060, 0.100, 0.840, 0.000, 0.000),
)
_REM_SLEEP = (
    (0.520, 0.470, 0.005, 0.000, 0.005),
    (0.070, 0.500, 0.150, 0.000, 0.280),
    (0.020, 0.060, 0.550, 0.000, 0.370),
    (0.010, 0.020, 0.970, 0.000, 0.000),
    (0.016, 0.006, 0.006, 0.000, 0.972),
)
_LYING_AWAKE = (
    (0.970, 0.030, 0.000, 0.000, 0.000),
    (0.500, 0.500, 0.000, 0.000, 0.000),
    (0.500, 0.300, 0.200, 0.000, 0.000),
    (0.500, 0.100, 0.400, 0.000, 0.000),
    (0.600, 0.200, 0.000, 0.000, 0.200),
)


def simulate_hypnogram(
    epochs: int, depth: float, latency_min: float, rng: np.random.Generator
) -> NDArray[np.int8]:
    """A night's stages: (epochs,) int8 codes of W, N1, N2, N3 and REM.

    After lying awake the sleeper goes through cycles of NREM and REM sleep. Where in its cycle an
    epoch is decides how likely each transition is. Over many nights the shares of the stages,
    latencies and efficiency are those of healthy young adults in Ohayon et al., "Meta-analysis of
    quantitative sleep parameters from childhood to old age", Sleep 2004; 27:1255-1273.

    Args:
        epochs: length of the night.
        depth: how much slow-wave sleep this person gets; 1 is the average.
        latency_min: minutes from lights off to falling asleep.
        rng: where chance comes from.
    """
    latency = min(round(latency_min * _EPOCHS_PER_MIN), epochs)
    transitions = np.concatenate(
        [
            np.broadcast_to(np.eye(5)[W], (latency, 5, 5)),
            _transitions(epochs - latency, depth, rng),
        ]
    )
    chances = rng.random(epochs)
    thresholds = transitions.cumsum(-1)[..., :-1]
    hypnogram = np.empty(epochs, np.int8)
    stage = W
    for epoch in range(epochs):  # a chain: every stage depends on the one before
        stage = int(thresholds[epoch, stage].searchsorted(chances[epoch], side="right"))
        hypnogram[epoch] = stage
    return hypnogram


def _transitions(epochs: int, depth: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Transition probabilities from every epoch of sleep to the next: (epochs, 5, 5)."""
    deepness, in_rem = _cycles(epochs, depth, rng)
    share = deepness[:, None, None]
    transitions = (1 - share) * np.array(_LIGHT_NREM) + share * np.array(_DEEP_NREM)
    transitions[in_rem] = _REM_SLEEP
    transitions[_long_awakenings(epochs, rng)] = _LYING_AWAKE
    return transitions


def _cycles(
    epochs: int, depth: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How deep sleep wants to be (0 to 1), and whether it is REM sleep's turn, at every epoch."""
    cycles = 1 + int(epochs / _EPOCHS_PER_MIN / 40)
    row = np.minimum(np.arange(cycles), len(_DEPTH) - 1)
    nrem = np.array(_NREM_MIN)[row] * np.clip(rng.lognormal(0, 0.12, cycles), 0.7, 1.4)
    rem = np.array(_REM_MIN)[row] * np.clip(rng.lognormal(0, 0.25, cycles), 0.5, 1.8)
    peaks = np.array(_DEPTH)[row] * depth * rng.lognormal(0, 0.2, cycles)

    starts = np.concatenate([[0.0], np.cumsum(nrem + rem)[:-1]])
    minutes = np.arange(epochs) / _EPOCHS_PER_MIN
    cycle = starts.searchsorted(minutes, side="right") - 1
    position = (minutes - starts[cycle]) / nrem[cycle]  # 0 to 1 through NREM sleep, then REM's
    # slow waves build up in the first third of a cycle and are gone before REM sleep
    shape = np.clip(1.25 * np.sin(np.pi * np.clip((position - 0.08) / 0.8, 0, 1)), 0, 1)
    return np.clip(peaks[cycle] * shape, 0, 1), position >= 1


def _long_awakenings(epochs: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Epochs in which the sleeper lies awake: one or two stretches of minutes in eight hours."""
    awakenings = rng.poisson(epochs / 600)
    first = rng.integers(0, max(epochs, 1), awakenings)[:, None]
    last = first + rng.gamma(2.0, 2.0 * _EPOCHS_PER_MIN, awakenings)[:, None]
    epoch = np.arange(epochs)
    return np.any((epoch >= first) & (epoch < last), axis=0)
