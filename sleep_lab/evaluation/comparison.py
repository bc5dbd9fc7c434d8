"""Models and scorers against the consensus of scorers, over nights: two comparisons.

The published one holds models against the consensus of the night's best scorers (all but the
last-ranked) and each scorer against that of the others: the models' reference has the scorers'
best, so the two are not judged alike. The fair one holds models and scorers against the same
references: for each scorer in turn, this scorer and every model against the consensus of the
others, averaged over the scorers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sleep_lab.evaluation.alignment import AlignedNight, Alignment
from sleep_lab.evaluation.bootstrap import (
    Resampling,
    Statistic,
    bca_interval,
    estimate,
    mean_over_nights,
    pooled,
)
from sleep_lab.evaluation.consensus import (
    consensus_of_best,
    consensus_of_others,
    ranking,
    soft_agreement,
)
from sleep_lab.evaluation.metrics import Floats, mean_and_std
from sleep_lab.evaluation.weighted_scores import (
    SCORES,
    Conventions,
    weighted_confusion,
    weighted_scores,
)

Kind = Literal["published", "fair"]
Part = Literal["all", "split", "unanimous"]


@dataclass(frozen=True, eq=False)
class Judgement:
    """Everybody against their references, night by night.

    The confusion matrices are those of `weighted_confusion`, (..., 2, 5, 6).

    Attributes:
        conventions: how epochs count.
        records: names of the nights.
        models: names of the models.
        scorers: names of the scorers.
        against_best: (nights, models, 2, 5, 6) models against the consensus of the best scorers.
        against_others: (nights, models, scorers, 2, 5, 6) models against the consensus of all
            scorers but one.
        scorer_against_others: (nights, scorers, 2, 5, 6) that one against the same consensus.
        soft_agreement: (nights, scorers).
        rankings: (nights, scorers) indices of the scorers, the best one first.
        consensus_epochs: (6,) number of epochs per stage, then unscored ones, of the consensus of
            the best scorers.
    """

    conventions: Conventions
    records: tuple[str, ...]
    models: tuple[str, ...]
    scorers: tuple[str, ...]
    against_best: Floats
    against_others: Floats
    scorer_against_others: Floats
    soft_agreement: Floats
    rankings: NDArray[np.intp]
    consensus_epochs: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of models and scorers, in the order of `SCORES`; nan where undefined.

    Attributes:
        kind: "published" or "fair".
        part: the epochs that count: "all", or those where the reference is "split" or "unanimous".
        conventions: how they count.
        records: names of the nights.
        models: names of the models.
        scorers: names of the scorers.
        model_scores: (nights, models, 19), averaged over the references if it is the fair one.
        scorer_scores: (nights, scorers, 19).
        overall_scores: (nights, judgements, 19) all scorers together: in the published comparison
            a judgement per scorer, in the fair one their average on that night.
        model_confusions: (nights, models, 5, 6), summed over the references.
        scorer_confusions: (nights, scorers, 5, 6).
    """

    kind: Kind
    part: Part
    conventions: Conventions
    records: tuple[str, ...]
    models: tuple[str, ...]
    scorers: tuple[str, ...]
    model_scores: Floats
    scorer_scores: Floats
    overall_scores: Floats
    model_confusions: Floats
    scorer_confusions: Floats


def judge(alignment: Alignment, conventions: Conventions) -> Judgement:
    """Hold every model and scorer against its references."""
    nights = [_judge_night(night, alignment.scorers, conventions) for night in alignment.nights]
    against_best, against_others, scorers, agreement, rank, counts = (
        np.stack(column) for column in zip(*nights, strict=True)
    )
    return Judgement(
        conventions,
        alignment.records,
        alignment.models,
        alignment.scorers,
        against_best,
        against_others,
        scorers,
        agreement,
        rank,
        counts.sum(0),
    )


def compare(judgement: Judgement, kind: Kind, part: Part = "all") -> Comparison:
    """One of the two comparisons, on all epochs or on a part of them."""
    absent = judgement.conventions.absent_stage
    scorer_confusions = _part(judgement.scorer_against_others, part)
    scorer_scores = weighted_scores(scorer_confusions, absent)
    if kind == "fair":
        confusions = _part(judgement.against_others, part)
        model_scores = _mean(weighted_scores(confusions, absent), axis=2)
        model_confusions = confusions.sum(2)
        overall = _mean(scorer_scores, axis=1)[:, None]
    else:
        model_confusions = _part(judgement.against_best, part)
        model_scores = weighted_scores(model_confusions, absent)
        overall = scorer_scores
    return Comparison(
        kind,
        part,
        judgement.conventions,
        judgement.records,
        judgement.models,
        judgement.scorers,
        model_scores,
        scorer_scores,
        overall,
        model_confusions,
        scorer_confusions,
    )


def table(comparison: Comparison) -> dict[str, Any]:
    """Mean and population standard deviation over nights, undefined scores left out.

    {"models": {NAME: {SCORE: [mean, std]}}, "scorers": {...}, "overall_scorers": {SCORE: ...}};
    None where undefined. In the published comparison "overall_scorers" is over all pairs of night
    and scorer.
    """
    overall = comparison.overall_scores.reshape(-1, len(SCORES))
    return {
        "models": _named(comparison.models, mean_and_std(comparison.model_scores)),
        "scorers": _named(comparison.scorers, mean_and_std(comparison.scorer_scores)),
        "overall_scorers": _scores(mean_and_std(overall)),
    }


def intervals(comparison: Comparison, resampling: Resampling) -> dict[str, Any]:
    """BCa intervals over nights of the means in `table`, under the same keys: [low, high]."""
    nights = len(comparison.records)

    def interval(values: Floats) -> Floats:
        return bca_interval(mean_over_nights(values), nights, resampling)

    return {
        "models": _named(comparison.models, interval(comparison.model_scores[:, None])),
        "scorers": _named(comparison.scorers, interval(comparison.scorer_scores[:, None])),
        "overall_scorers": _scores(interval(comparison.overall_scores)),
    }


def pooled_table(comparison: Comparison, resampling: Resampling) -> dict[str, Any]:
    """Scores of all nights' epochs together, under the same keys: [value, low, high]."""
    nights = len(comparison.records)

    def with_interval(confusions: Floats) -> Floats:
        statistic = _pooled_scores(confusions, comparison.conventions)
        interval = bca_interval(statistic, nights, resampling)
        return np.concatenate([estimate(statistic, nights)[None], interval])

    return {
        "models": _named(comparison.models, with_interval(comparison.model_confusions)),
        "scorers": _named(comparison.scorers, with_interval(comparison.scorer_confusions)),
        "overall_scorers": _scores(with_interval(comparison.scorer_confusions.sum(1))),
    }


def _judge_night(
    night: AlignedNight, scorers: Sequence[str], conventions: Conventions
) -> tuple[Any, ...]:
    weighting = conventions.weighting
    agreement = soft_agreement(night.scorings)
    rank = ranking(agreement, scorers)
    best = consensus_of_best(night.scorings, rank)
    others = consensus_of_others(night.scorings, rank)
    return (
        weighted_confusion(best, night.predictions, weighting),
        weighted_confusion(others, night.predictions[:, None], weighting),
        weighted_confusion(others, night.scorings, weighting),
        agreement,
        rank,
        np.roll(np.bincount(best.stages.astype(np.int64) + 1, minlength=6), -1),
    )


def _part(confusions: Floats, part: Part) -> Floats:
    if part == "all":
        return confusions.sum(-3)
    return confusions[..., int(part == "unanimous"), :, :]


def _pooled_scores(confusions: Floats, conventions: Conventions) -> Statistic:
    return pooled(confusions, lambda sums: weighted_scores(sums, conventions.absent_stage))


def _mean(scores: Floats, axis: int) -> Floats:
    return mean_and_std(np.moveaxis(scores, axis, 0))[0]


def _named(names: Sequence[str], columns: Iterable[Floats]) -> dict[str, Any]:
    """{NAME: {SCORE: [...]}} of columns (names, 19) each."""
    rows = np.stack(list(columns), axis=1)  # (names, columns, 19)
    return {name: _scores(row) for name, row in zip(names, rows, strict=True)}


def _scores(columns: Iterable[Floats]) -> dict[str, list[float | None]]:
    """{SCORE: [...]} of columns (19,) each."""
    values = np.stack(list(columns), axis=-1).tolist()
    plain = [[None if np.isnan(v) else v for v in row] for row in values]
    return dict(zip(SCORES, plain, strict=True))
