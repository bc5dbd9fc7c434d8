"""Whether one is better than another, on the same nights."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata, wilcoxon

from sleep_lab.errors import InputError
from sleep_lab.evaluation.bootstrap import (
    Resampling,
    bca_interval,
    estimate,
    mean_over_nights,
)
from sleep_lab.evaluation.metrics import Floats, mean_and_std


@dataclass(frozen=True)
class PairedComparison:
    """Two on the same nights, by one score; nan where undefined.

    Attributes:
        first: the one.
        second: the other.
        nights: number of nights on which both have the score.
        difference: mean of `first` minus `second` over these nights.
        low: lower end of its bootstrap interval.
        high: upper end.
        probability_better: share of the resamples in which `first` has the higher mean, those in
            which both have the same counting half.
        rank_biserial: matched-pairs rank-biserial correlation, -1 to 1 where `first` is better on
            every night; 0 if there is no difference.
        p_value: of the Wilcoxon signed rank test, two-sided; nights without a difference do not
            count. 1 if there is no difference at all.
        p_holm: the same, corrected for the number of pairs by Holm's method.
    """

    first: str
    second: str
    nights: int
    difference: float
    low: float
    high: float
    probability_better: float
    rank_biserial: float
    p_value: float
    p_holm: float


def paired_comparisons(
    scores: Mapping[str, Mapping[str, float]], resampling: Resampling
) -> list[PairedComparison]:
    """Every two of `scores`, NAME -> RECORD -> score, on the nights on which both have one.

    All pairs are one family for Holm's correction.

    Raises:
        InputError: the names do not have the same nights.

    Sources: Wilcoxon, "Individual comparisons by ranking methods", 1945; Holm, "A simple
    sequentially rejective multiple test procedure", 1979; Kerby, "The simple difference formula",
    2014.
    """
    records = _same_nights(scores)
    pairs = list(combinations(scores, 2))
    if not pairs:
        return []
    values = np.array([[scores[name][record] for record in records] for name in scores])
    first, second = np.triu_indices(len(scores), 1)
    # what is left after rounding is no difference, and has no rank
    differences = (values[first] - values[second]).T.round(12)  # (nights, pairs)

    statistic = mean_over_nights(differences[:, None])
    nights = len(records)
    low, high = bca_interval(statistic, nights, resampling)
    drawn = statistic(resampling.draws(nights)).round(12)
    better = np.where(np.isnan(drawn), np.nan, (np.sign(drawn) + 1) / 2)
    defined = [column[~np.isnan(column)] for column in differences.T]
    p_values = np.array([_wilcoxon_p(column) for column in defined])
    columns = zip(
        pairs,
        map(len, defined),
        estimate(statistic, nights).tolist(),
        low.tolist(),
        high.tolist(),
        mean_and_std(better)[0].tolist(),
        map(_rank_biserial, defined),
        p_values.tolist(),
        holm(p_values).tolist(),
        strict=True,
    )
    return [PairedComparison(*pair, *rest) for pair, *rest in columns]


def holm(p_values: Floats) -> Floats:
    """P-values (tests,) corrected for their number, undefined ones not being tests.

    Source: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    order = np.argsort(p_values)  # the undefined ones last
    tests = int((~np.isnan(p_values)).sum())
    factors = np.maximum(tests - np.arange(len(p_values)), 1)
    stepped = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1)
    corrected = np.empty_like(stepped)
    corrected[order] = stepped
    return corrected


def _same_nights(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    nights = {name: set(values) for name, values in scores.items()}
    for (name, own), (other, others) in combinations(nights.items(), 2):
        if own != others:
            lacking, record = min(
                [(other, record) for record in own - others]
                + [(name, record) for record in others - own]
            )
            raise InputError(
                f"{name} and {other} were scored on different nights ({lacking} lacks {record}), "
                "so they cannot be compared in pairs; score both on the same nights"
            )
    return sorted(set().union(*nights.values()))


def _wilcoxon_p(differences: Floats) -> float:
    if not differences.size:
        return float("nan")
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences).pvalue)


def _rank_biserial(differences: Floats) -> float:
    if not differences.size:
        return float("nan")
    changed = differences[differences != 0]
    ranks = rankdata(np.abs(changed))
    return float((np.sign(changed) * ranks).sum() / max(ranks.sum(), 1))
