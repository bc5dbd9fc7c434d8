"""Whether a model measures what an expert measures: Bland and Altman's limits, and the ICC.

A measurement is one number per night, a sleep statistic say. Nights where a side has none (nan)
are left out and counted. What the nights left are too few or too equal to tell is nan.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from sleep_lab.errors import InputError
from sleep_lab.evaluation.metrics import Floats
from sleep_lab.evaluation.sleep_statistics import STATISTICS, SleepStatistics, statistic_values

Interval = tuple[float, float]
UNDEFINED: Interval = (np.nan, np.nan)


@dataclass(frozen=True)
class BlandAltman:
    """How far a model's measurements are from an expert's: differences are model minus expert.

    Attributes:
        nights: number of nights that both sides measured.
        left_out: number of nights that they did not.
        bias: mean difference.
        bias_interval: its confidence interval.
        spread: standard deviation of the differences (n - 1).
        limits: of agreement, lower and upper: bias -+ 1.96 `spread` for 95% of the differences.
        lower_interval: the confidence interval of the lower limit.
        upper_interval: the confidence interval of the upper limit.
        slope: of the differences over the means of both sides: proportional bias.
        slope_p: p value of no slope, two-sided.
    """

    nights: int
    left_out: int
    bias: float
    bias_interval: Interval
    spread: float
    limits: Interval
    lower_interval: Interval
    upper_interval: Interval
    slope: float
    slope_p: float


@dataclass(frozen=True)
class IntraclassCorrelation:
    """A reliability, at most 1, with its confidence interval.

    Attributes:
        nights: number of nights that all sides measured.
        left_out: number of nights that they did not.
        value: the coefficient.
        interval: its confidence interval.
    """

    nights: int
    left_out: int
    value: float
    interval: Interval


@dataclass(frozen=True)
class StatisticAgreement:
    """How a model and an expert agree on one sleep statistic.

    Attributes:
        bland_altman: see `bland_altman`.
        icc_agreement: see `icc_agreement`.
        icc_consistency: see `icc_consistency`.
    """

    bland_altman: BlandAltman
    icc_agreement: IntraclassCorrelation
    icc_consistency: IntraclassCorrelation


def agreement_per_statistic(
    model: Mapping[str, SleepStatistics], expert: Mapping[str, SleepStatistics]
) -> dict[str, StatisticAgreement]:
    """The agreement on every sleep statistic over the nights, which are the keys of both.

    Raises:
        InputError: one side has a night that the other has not.
    """
    if model.keys() != expert.keys():
        odd = sorted(model.keys() ^ expert.keys())[0]
        raise InputError(
            f"night {odd!r} has sleep statistics of one side only; give the same nights to the "
            "model and the expert"
        )
    pairs = np.array(
        [[statistic_values(model[night]), statistic_values(expert[night])] for night in model]
    ).reshape(-1, 2, len(STATISTICS))
    return {
        name: StatisticAgreement(
            bland_altman(pairs[:, 0, column], pairs[:, 1, column]),
            icc_agreement(pairs[:, :, column]),
            icc_consistency(pairs[:, :, column]),
        )
        for column, name in enumerate(STATISTICS)
    }


def bland_altman(
    model: ArrayLike, expert: ArrayLike, coverage: float = 0.95, confidence: float = 0.95
) -> BlandAltman:
    """Limits of agreement of two measurements of the same nights, (nights,) each.

    The intervals are exact for normally distributed differences: Student's t for the bias, the
    noncentral t for each limit.

    Args:
        model: in the measurement's unit; nan where undefined.
        expert: likewise.
        coverage: share of the differences that the limits should hold.
        confidence: of the intervals.

    Raises:
        InputError: the two are not rows of one length.

    Source: Bland and Altman, "Measuring agreement in method comparison studies", 1999; Carkeet,
    "Exact parametric confidence intervals for Bland-Altman limits of agreement", 2015.
    """
    pairs, left_out = _complete(_side_by_side(model, expert))
    nights = len(pairs)
    differences = pairs[:, 0] - pairs[:, 1]
    bias = float(differences.mean()) if nights else np.nan
    spread = float(differences.std(ddof=1)) if nights > 1 else np.nan
    z = float(stats.norm.ppf((1 + coverage) / 2))
    slope, slope_p = _proportional_bias(pairs.mean(axis=1), differences)
    below, above = _limit_factors(nights, z, confidence)
    half = _student_factor(nights, confidence) * spread
    return BlandAltman(
        nights=nights,
        left_out=left_out,
        bias=bias,
        bias_interval=(bias - half, bias + half),
        spread=spread,
        limits=(bias - z * spread, bias + z * spread),
        lower_interval=(bias - above * spread, bias - below * spread),
        upper_interval=(bias + below * spread, bias + above * spread),
        slope=slope,
        slope_p=slope_p,
    )


def icc_agreement(measurements: ArrayLike, confidence: float = 0.95) -> IntraclassCorrelation:
    """ICC(2,1), absolute agreement: a constant difference between the sides lowers it.

    Args:
        measurements: (nights, sides), two sides or more; nan where undefined.
        confidence: of the interval.

    Raises:
        InputError: another shape.

    Source: Shrout and Fleiss, "Intraclass correlations: uses in assessing rater reliability", 1979;
    McGraw and Wong, "Forming inferences about some intraclass correlation coefficients", 1996.
    """
    complete, left_out = _complete(np.asarray(measurements, float))
    nights, sides = complete.shape
    of_nights, of_sides, rest = _mean_squares(complete)
    noise = sides * of_sides + (sides * nights - sides - nights) * rest
    total = nights * of_nights + noise
    if _nothing_varies(complete, of_nights, rest) or not total > 0:
        return IntraclassCorrelation(nights, left_out, np.nan, UNDEFINED)
    value = nights * (of_nights - rest) / total
    if of_sides == rest == 0:
        return IntraclassCorrelation(nights, left_out, value, (1.0, 1.0))
    # Satterthwaite's degrees of freedom of the sides and the rest together; a negative share of
    # the variance would make them nonsense
    share = max(value, 0.0)
    a = sides * share * of_sides
    b = (nights * (1 - share) + sides * share * (nights - 1)) * rest
    freedom = (a + b) ** 2 / (a**2 / (sides - 1) + b**2 / ((nights - 1) * (sides - 1)))
    tail = (1 + confidence) / 2
    low, high = stats.f.ppf(tail, nights - 1, freedom), stats.f.ppf(tail, freedom, nights - 1)
    lower = nights * (of_nights - low * rest) / (low * noise + nights * of_nights)
    upper = nights * (high * of_nights - rest) / (noise + nights * high * of_nights)
    return IntraclassCorrelation(nights, left_out, value, (float(lower), float(upper)))


def icc_consistency(measurements: ArrayLike, confidence: float = 0.95) -> IntraclassCorrelation:
    """ICC(3,1), consistency: a constant difference between the sides does not matter.

    Arguments, errors and sources as for `icc_agreement`.
    """
    complete, left_out = _complete(np.asarray(measurements, float))
    nights, sides = complete.shape
    of_nights, _, rest = _mean_squares(complete)
    total = of_nights + (sides - 1) * rest
    if _nothing_varies(complete, of_nights, rest):
        return IntraclassCorrelation(nights, left_out, np.nan, UNDEFINED)
    tail, freedom = (1 + confidence) / 2, (nights - 1) * (sides - 1)
    # the observed F, divided by the quantiles of F: everything times `rest`, which may be 0
    low = of_nights / stats.f.ppf(tail, nights - 1, freedom)
    high = of_nights * stats.f.ppf(tail, freedom, nights - 1)
    return IntraclassCorrelation(
        nights,
        left_out,
        value=(of_nights - rest) / total,
        interval=(
            float((low - rest) / (low + (sides - 1) * rest)),
            float((high - rest) / (high + (sides - 1) * rest)),
        ),
    )


def _side_by_side(model: ArrayLike, expert: ArrayLike) -> Floats:
    sides = np.asarray(model, float), np.asarray(expert, float)
    if sides[0].ndim != 1 or sides[0].shape != sides[1].shape:
        raise InputError(
            f"the model's measurements have shape {sides[0].shape} and the expert's "
            f"{sides[1].shape}; give one number per night to both"
        )
    return np.stack(sides, axis=1)


def _complete(measurements: Floats) -> tuple[Floats, int]:
    """The nights where every side has a number, and how many were left out."""
    if measurements.ndim != 2 or measurements.shape[1] < 2:
        raise InputError(
            f"measurements of shape {measurements.shape}; give (nights, sides) with two sides or "
            "more"
        )
    complete = measurements[np.isfinite(measurements).all(axis=1)]
    return complete, len(measurements) - len(complete)


def _student_factor(nights: int, confidence: float) -> float:
    if nights < 2:
        return np.nan
    return float(stats.t.ppf((1 + confidence) / 2, nights - 1) / np.sqrt(nights))


def _limit_factors(nights: int, z: float, confidence: float) -> Interval:
    """Between how many standard deviations from the bias the true upper limit is."""
    if nights < 2:
        return UNDEFINED
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    below, above = stats.nct.ppf(tails, nights - 1, z * np.sqrt(nights)) / np.sqrt(nights)
    return float(below), float(above)


def _proportional_bias(means: Floats, differences: Floats) -> Interval:
    """Slope of the differences over the means, and its p value."""
    if len(means) < 3 or np.ptp(means) == 0:
        return UNDEFINED
    line = stats.linregress(means, differences)
    return float(line.slope), float(line.pvalue)


def _nothing_varies(complete: Floats, of_nights: float, rest: float) -> bool:
    """Whether nothing tells the nights apart: fewer than two, or equal ones."""
    return len(complete) < 2 or np.ptp(complete) == 0 or of_nights == rest == 0


def _mean_squares(measurements: Floats) -> tuple[float, float, float]:
    """Of the nights, the sides and the rest, by two-way analysis of variance; nan for one night."""
    nights, sides = measurements.shape
    if nights < 2:
        return np.nan, np.nan, np.nan
    deviations = measurements - measurements.mean()
    of_nights = deviations.mean(axis=1, keepdims=True)
    of_sides = deviations.mean(axis=0, keepdims=True)
    rest = deviations - of_nights - of_sides
    return (
        float(sides * (of_nights**2).sum() / (nights - 1)),
        float(nights * (of_sides**2).sum() / (sides - 1)),
        float((rest**2).sum() / ((nights - 1) * (sides - 1))),
    )
