"""The scores of several nights as plain values: per night, over nights, and pooled."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from sleep_lab.evaluation.metrics import Floats, Scores, mean_and_std, scores_of
from sleep_lab.stages import STAGES

OVERALL = ("accuracy", "cohen_kappa", "weighted_f1", "macro_f1")
"""The scores that say one number about a night, in the order in which they are listed."""


def summarise(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """The scores of a run's nights, by night id, as a dict that JSON can hold.

    "nights" has each night's scores; "mean" and "std" are over nights, undefined scores left out,
    the standard deviation being the population's, as in the field's published tables; "pooled" is
    of the sum of the confusion matrices, and has it as "confusion_matrix": a list of rows, the
    expert's stages, of columns, the predicted ones, both in the order W, N1, N2, N3, REM. An
    undefined score is None.
    """
    table = np.array([score_values(night) for night in scores.values()])
    mean, std = mean_and_std(table)
    pooled = scores_of(
        np.sum([night.confusion for night in scores.values()], axis=0),
        epochs=sum(night.epochs for night in scores.values()),
    )
    return {
        "nights": {name: _counted(night) for name, night in scores.items()},
        "mean": _named(mean),
        "std": _named(std),
        "pooled": {**_counted(pooled), "confusion_matrix": pooled.confusion.tolist()},
    }


def score_values(scores: Scores) -> Floats:
    """(9,) the overall scores, then the F1 of each stage; nan where undefined."""
    return np.array([*(getattr(scores, name) for name in OVERALL), *scores.f1.values()])


def _counted(scores: Scores) -> dict[str, Any]:
    return {"epochs": scores.epochs, "scored": scores.scored, **_named(score_values(scores))}


def _named(values: Floats) -> dict[str, Any]:
    plain = [None if math.isnan(value) else value for value in values.tolist()]
    overall, f1 = plain[: len(OVERALL)], plain[len(OVERALL) :]
    return {**dict(zip(OVERALL, overall, strict=True)), "f1": dict(zip(STAGES, f1, strict=True))}
