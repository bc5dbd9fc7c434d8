"""How sure a result over nights is: bootstrap over nights.

Nights, not epochs, are what a study draws: the epochs of one night depend on each other. A
resample is a row of draws (resamples, nights), how often each night was drawn, and a statistic is
a function from such rows to (resamples, ...) values; it sees all resamples and scores at once.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from sleep_lab.errors import InputError
from sleep_lab.evaluation.metrics import Floats, ratio

Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Resampling:
    """How intervals are found.

    Attributes:
        resamples: how often the nights are drawn.
        confidence: share of such intervals that hold the truth, between 0 and 1.
        seed: the same seed gives the same intervals.

    Raises:
        InputError: no resample, or a confidence out of range.
    """

    resamples: int = 5000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise InputError(f"resamples is {self.resamples}; give 1 or more (2000 is usual)")
        if not isinstance(self.confidence, int | float) or not 0 < self.confidence < 1:
            raise InputError(f"confidence is {self.confidence}; give a share such as 0.95")

    def draws(self, nights: int) -> Floats:
        """(resamples, nights) how often each night is drawn in each resample."""
        drawn = np.random.default_rng(self.seed).integers(0, nights, (self.resamples, nights))
        rows = np.arange(self.resamples)[:, None] * nights
        counts = np.bincount((drawn + rows).ravel(), minlength=self.resamples * nights)
        return counts.reshape(self.resamples, nights).astype(np.float64)


def mean_over_nights(values: Floats) -> Statistic:
    """The mean of the drawn nights' values (nights, judgements, ...), undefined ones left out.

    A night's judgements are its values of the same thing, one per scorer for instance; each counts
    the same.
    """
    defined = ~np.isnan(values)
    sums = np.where(defined, values, 0.0).sum(1)
    counts = defined.sum(1).astype(np.float64)
    return lambda draws: ratio(
        np.tensordot(draws, sums, axes=1), np.tensordot(draws, counts, axes=1)
    )


def pooled(confusions: Floats, score: Callable[[Floats], Floats]) -> Statistic:
    """`score` of the sum of the drawn nights' confusion matrices (nights, ..., 5, 6)."""
    return lambda draws: score(np.tensordot(draws, confusions, axes=1))


def estimate(statistic: Statistic, nights: int) -> Floats:
    """The statistic of the nights as they are."""
    return statistic(np.ones((1, nights)))[0]


def bca_interval(statistic: Statistic, nights: int, resampling: Resampling) -> NDArray[np.float64]:
    """Bias-corrected and accelerated bootstrap interval of a statistic: (2, ...), low and high.

    nan where there is no interval because a single night decides whether the statistic is
    defined, as with one night. Resamples in which it is not defined are left out.

    Source: Efron, "Better bootstrap confidence intervals", 1987.
    """
    found = estimate(statistic, nights)
    without_one = statistic(1 - np.eye(nights))
    drawn = statistic(resampling.draws(nights))
    defined = ~np.isnan(drawn)
    resamples = defined.sum(0)
    close = _rounding(drawn, defined)
    below = (drawn < found - close).sum(0) + (drawn <= found + close).sum(0)
    # kept off 0 and 1, where the correction would be infinite
    share = np.clip(ratio(below, 2 * resamples), 0.5 / resampling.resamples, None)
    bias = ndtri(np.minimum(share, 1 - 0.5 / resampling.resamples))

    tail = (1 - resampling.confidence) / 2
    levels = ndtri(np.array([tail, 1 - tail])).reshape(2, *(1 for _ in found.shape))
    shifted = bias + levels
    stretch = np.maximum(1 - _acceleration(without_one) * shifted, np.finfo(float).tiny)
    interval = _quantiles(drawn, resamples, ndtr(bias + shifted / stretch))
    return np.where(np.isnan(without_one).any(0), np.nan, interval)


def _rounding(drawn: Floats, defined: NDArray[np.bool_]) -> Floats:
    """How far apart two values (resamples, ...) may be and still be equal but for rounding."""
    highest = drawn.max(0, where=defined, initial=-np.inf)
    lowest = drawn.min(0, where=defined, initial=np.inf)
    return 1e-10 * (highest - lowest)


def _acceleration(without_one: Floats) -> Floats:
    """Skewness of the statistic's jackknife values (nights, ...), 0 if they are all the same."""
    if not len(without_one):
        return np.zeros(without_one.shape[1:])
    influence = without_one.mean(0) - without_one
    spread = (influence**2).sum(0) ** 1.5
    return np.nan_to_num(ratio((influence**3).sum(0), 6 * spread))


def _quantiles(drawn: Floats, resamples: NDArray[np.int64], levels: Floats) -> Floats:
    """Quantiles (2, ...) of the defined values (resamples, ...), each with its own level."""
    ordered = np.sort(drawn, axis=0)  # the undefined ones last
    position = np.nan_to_num(levels) * np.maximum(resamples - 1, 0)
    lower = np.floor(position).astype(np.int64)
    upper = np.minimum(lower + 1, np.maximum(resamples - 1, 0))
    at_lower = np.take_along_axis(ordered, lower, axis=0)
    at_upper = np.take_along_axis(ordered, upper, axis=0)
    return at_lower + (position - lower) * (at_upper - at_lower)
