"""Scores against a consensus, whose epochs may count by how far its scorers agree.

Every score is a function of weighted confusion matrices (..., 5, 6): rows the consensus' stages,
columns the stages that were given, the last column those left unscored, which are wrong. They
differ from `sleep_lab.evaluation.metrics`, whose single expert leaves no such choice, in that
kappa is over all epochs, also those given a stage that the consensus never has.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.evaluation.consensus import CHOICES, Consensus
from sleep_lab.evaluation.metrics import Floats, ratio
from sleep_lab.stages import STAGES, UNSCORED

AbsentStage = Literal["zero", "skip"]
Weighting = Literal["agreement", "plain"]

OVERALL = ("weighted_f1", "accuracy", "cohen_kappa", "macro_f1")
"""The scores that say one number about a night."""

SCORES = (
    *OVERALL,
    *(f"{score}_{stage}" for score in ("f1", "accuracy", "cohen_kappa") for stage in STAGES),
)
"""Names of what `weighted_scores` gives, in its order."""


@dataclass(frozen=True)
class Conventions:
    """The choices that move scores by points; the defaults are those of the published DOD tables.

    Attributes:
        absent_stage: the F1 of a stage that neither the consensus nor the prediction has on a
            night: "zero", or "skip" to leave it out of that night's macro F1 and of the means.
        weighting: what an epoch counts: "agreement", the share of the scorers who gave the
            consensus' stage, or "plain", every epoch the same.

    Raises:
        InputError: something else.
    """

    absent_stage: AbsentStage = "zero"
    weighting: Weighting = "agreement"

    def __post_init__(self) -> None:
        for name, choices in (("absent_stage", AbsentStage), ("weighting", Weighting)):
            if getattr(self, name) not in get_args(choices):
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; give {' or '.join(get_args(choices))}"
                )

    @property
    def text(self) -> str:
        """The conventions in words, for under a table."""
        weighting = {
            "agreement": "epochs weighted by the scorers' agreement",
            "plain": "all epochs count the same",
        }
        absent = {"zero": "counts as 0", "skip": "is left out"}
        return (
            f"{weighting[self.weighting]}; the F1 of a stage that neither side has on a night "
            f"{absent[self.absent_stage]}"
        )


def weighted_confusion(
    reference: Consensus, prediction: NDArray[np.int8], weighting: Weighting
) -> Floats:
    """Weight of the epochs per pair of stages: (..., 2, 5, 6), split epochs, then unanimous ones.

    Epochs without a stage in the consensus are left out. The leading axes of `reference` and of
    `prediction` (..., epochs) are broadcast; an epoch is unanimous if all scorers of the
    reference gave the same stage.
    """
    stages, agreement, given = np.broadcast_arrays(
        reference.stages, reference.agreement, prediction
    )
    leading, epochs = stages.shape[:-1], stages.shape[-1]
    cells = (2, len(STAGES), len(CHOICES))
    row = np.repeat(np.arange(np.prod(leading, dtype=int)), epochs).reshape(stages.shape)
    scored = stages != UNSCORED
    unanimous = np.broadcast_to(reference.unanimous, stages.shape)
    column = given.astype(np.int64) % len(CHOICES)
    flat = np.ravel_multi_index(
        (row[scored], unanimous[scored].astype(int), stages[scored].astype(int), column[scored]),
        (max(1, row.size), *cells),
    )
    weights = agreement[scored] if weighting == "agreement" else None
    size = int(np.prod(leading, dtype=int) * np.prod(cells))
    return np.bincount(flat, weights, size).astype(np.float64).reshape(*leading, *cells)


def weighted_scores(confusion: Floats, absent_stage: AbsentStage) -> Floats:
    """All `SCORES` of confusion matrices: (..., 5, 6) to (..., 19); nan where undefined.

    The weighted F1 is the stages' F1 averaged by their weight in the consensus, the macro F1 their
    plain average. Per stage: F1, the share of the consensus' epochs of that stage that were given
    it (accuracy), and Cohen's kappa of the stage against the rest.
    """
    agreed, true, given = _margins(confusion)
    total = true.sum(-1)
    f1 = ratio(2 * agreed, true + given)
    if absent_stage == "zero":
        f1 = np.where(np.isnan(f1) & (total > 0)[..., None], 0.0, f1)
    defined = ~np.isnan(f1)
    known = np.where(defined, f1, 0.0)
    whole = total[..., None]
    rest_agreed = whole - true - given + 2 * agreed
    rest_chance = true * given + (whole - true) * (whole - given)
    overall = [
        ratio((known * true).sum(-1), total),
        ratio(agreed.sum(-1), total),
        cohen_kappa(confusion),
        ratio(known.sum(-1), defined.sum(-1)),
    ]
    return np.concatenate(
        [np.stack(overall, -1), f1, ratio(agreed, true), _kappa(whole, rest_agreed, rest_chance)],
        axis=-1,
    )


def cohen_kappa(confusion: Floats) -> Floats:
    """Agreement beyond chance over all epochs: (..., 5, 5) or (..., 5, 6) to (...).

    Source: Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    agreed, true, given = _margins(confusion)
    return _kappa(true.sum(-1), agreed.sum(-1), (true * given).sum(-1))


def _margins(confusion: Floats) -> tuple[Floats, Floats, Floats]:
    """Per stage, the weight agreed on, that of the consensus, and that given."""
    agreed = np.diagonal(confusion, axis1=-2, axis2=-1)
    return agreed, confusion.sum(-1), confusion.sum(-2)[..., : len(STAGES)]


def _kappa(total: Floats, agreed: Floats, chance: Floats) -> Floats:
    return ratio(total * agreed - chance, total**2 - chance)
