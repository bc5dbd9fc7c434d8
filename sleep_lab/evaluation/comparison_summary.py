"""All that several scorers say about models, as plain values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from sleep_lab.evaluation.agreement import scorer_agreement
from sleep_lab.evaluation.alignment import AlignedNight, Alignment
from sleep_lab.evaluation.bootstrap import Resampling
from sleep_lab.evaluation.comparison import (
    Comparison,
    Judgement,
    Kind,
    compare,
    intervals,
    judge,
    pooled_table,
    table,
)
from sleep_lab.evaluation.consensus import CHOICES
from sleep_lab.evaluation.metrics import Floats, mean_and_std
from sleep_lab.evaluation.paired import paired_comparisons
from sleep_lab.evaluation.weighted_scores import OVERALL, SCORES, Conventions

MEAN_SCORER = "scorers (mean)"
"""What the scorers together are called where they are compared with models in pairs."""


def summarise_comparison(
    alignment: Alignment,
    conventions: Conventions | None = None,
    resampling: Resampling | None = None,
) -> dict[str, Any]:
    """What JSON can hold of models and scorers against the consensus; None where undefined.

    "models", "scorers" and "overall_scorers" are the published comparison: {SCORE: [mean, std]}.
    "published" and "fair" have for either comparison its "table" (the same form), the means'
    "intervals", the scores of all epochs "pooled" ([value, low, high]), the tables on "unanimous"
    and on "split" epochs, and its "paired" comparisons by each overall score: of models, and in
    the fair one of models and the mean of the scorers. Then "conventions", the scorers'
    "agreement", and "nights" with each night's scores (published), ranking and cut.
    """
    judgement = judge(alignment, conventions or Conventions())
    resampling = resampling or Resampling()
    published = _comparison(judgement, "published", resampling)
    return plain(
        {
            **published["table"],
            "conventions": {
                **asdict(judgement.conventions),
                "text": judgement.conventions.text,
                **asdict(resampling),
            },
            "published": published,
            "fair": _comparison(judgement, "fair", resampling),
            "agreement": _agreement(alignment, judgement),
            "nights": _nights(alignment, judgement),
        }
    )


def plain(value: Any) -> Any:
    """Nested dicts and sequences as JSON knows them, nan as None."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _comparison(judgement: Judgement, kind: Kind, resampling: Resampling) -> dict[str, Any]:
    comparison = compare(judgement, kind)
    return {
        "table": table(comparison),
        "intervals": intervals(comparison, resampling),
        "pooled": pooled_table(comparison, resampling),
        "unanimous": table(compare(judgement, kind, "unanimous")),
        "split": table(compare(judgement, kind, "split")),
        "paired": _paired(comparison, resampling),
    }


def _paired(comparison: Comparison, resampling: Resampling) -> dict[str, Any]:
    """{SCORE: [a dict per pair]}."""
    columns = {
        name: comparison.model_scores[:, index] for index, name in enumerate(comparison.models)
    }
    if comparison.kind == "fair":
        columns[MEAN_SCORER] = mean_and_std(comparison.overall_scores.swapaxes(0, 1))[0]
    return {
        score: [
            asdict(pair)
            for pair in paired_comparisons(
                {
                    name: dict(zip(comparison.records, column[:, index], strict=True))
                    for name, column in columns.items()
                },
                resampling,
            )
        ]
        for index, score in enumerate(OVERALL)
    }


def _agreement(alignment: Alignment, judgement: Judgement) -> dict[str, Any]:
    found = scorer_agreement([night.scorings for night in alignment.nights])
    names = alignment.scorers
    return {
        "soft_agreement": dict(zip(names, mean_and_std(judgement.soft_agreement)[0], strict=True)),
        "fleiss_kappa": found.fleiss_kappa,
        "fleiss_kappa_over_nights": mean_and_std(found.fleiss_kappa_per_night),
        "pairwise_kappa": {
            name: dict(zip(names, row, strict=True))
            for name, row in zip(names, found.pairwise_kappa, strict=True)
        },
        "mean_pairwise_kappa": found.mean_pairwise_kappa,
        "unanimous": found.unanimous,
        "unanimous_over_nights": mean_and_std(found.unanimous_per_night),
        "consensus_epochs": dict(zip(CHOICES, judgement.consensus_epochs, strict=True)),
    }


def _nights(alignment: Alignment, judgement: Judgement) -> dict[str, Any]:
    comparison = compare(judgement, "published")
    return {
        night.record: {
            "models": _by_name(alignment.models, comparison.model_scores[index]),
            "scorers": _by_name(alignment.scorers, comparison.scorer_scores[index]),
            "soft_agreement": dict(
                zip(alignment.scorers, judgement.soft_agreement[index], strict=True)
            ),
            "ranking": [alignment.scorers[scorer] for scorer in judgement.rankings[index]],
            "cut": _cut(night),
        }
        for index, night in enumerate(alignment.nights)
    }


def _by_name(names: Sequence[str], scores: Floats) -> dict[str, dict[str, float]]:
    return {
        name: dict(zip(SCORES, row, strict=True)) for name, row in zip(names, scores, strict=True)
    }


def _cut(night: AlignedNight) -> dict[str, Any]:
    cut = night.cut
    return {**asdict(cut), "before": cut.first, "after": cut.cut_after, "text": cut.text}
