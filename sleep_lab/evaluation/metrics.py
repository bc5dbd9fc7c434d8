"""Scores of a hypnogram against an expert's, as pure functions.

Every score is a function of confusion matrices (..., 5, 5), rows the expert's stages and columns
the predicted ones, with any leading axes (one matrix per night, say). A score that has no value,
such as the F1 of a stage that nobody saw, is nan.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sleep_lab.errors import InputError
from sleep_lab.stages import STAGES, UNSCORED

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """How a prediction compares with an expert.

    Attributes:
        epochs: number of sleep epochs.
        scored: number of those that the expert scored; nothing else counts below.
        accuracy: share of the scored epochs that agree, 0 to 1.
        cohen_kappa: see `cohen_kappa`.
        weighted_f1: see `weighted_f1`.
        macro_f1: see `macro_f1`.
        f1: per stage name, see `f1_per_stage`.
        confusion: (5, 5) number of epochs, rows the expert's stages.
    """

    epochs: int
    scored: int
    accuracy: float
    cohen_kappa: float
    weighted_f1: float
    macro_f1: float
    f1: dict[str, float]
    confusion: NDArray[np.int64]


def evaluate(prediction: ArrayLike, target: ArrayLike) -> Scores:
    """Scores of the hypnogram `prediction` against the expert's hypnogram `target`.

    Both hold one stage code per sleep epoch; epochs where `target` is -1 are left out.

    Raises:
        InputError: different lengths, or something that is not a stage code.
    """
    return scores_of(confusion_matrix(target, prediction), epochs=np.size(target))


def scores_of(confusion: NDArray[np.int64], epochs: int | None = None) -> Scores:
    """Scores of one (5, 5) confusion matrix, out of `epochs` sleep epochs (default: as many)."""
    scored = int(confusion.sum())
    return Scores(
        epochs=scored if epochs is None else epochs,
        scored=scored,
        accuracy=float(accuracy(confusion)),
        cohen_kappa=float(cohen_kappa(confusion)),
        weighted_f1=float(weighted_f1(confusion)),
        macro_f1=float(macro_f1(confusion)),
        f1=dict(zip(STAGES, f1_per_stage(confusion).tolist(), strict=True)),
        confusion=confusion,
    )


def confusion_matrix(target: ArrayLike, prediction: ArrayLike) -> NDArray[np.int64]:
    """Number of sleep epochs per pair of stages: (5, 5), rows `target`, columns `prediction`.

    The two have one shape, any shape; epochs where `target` is -1 are left out.

    Raises:
        InputError: different shapes, or something that is not a stage code.
    """
    expert, predicted = np.asarray(target), np.asarray(prediction)
    if expert.shape != predicted.shape:
        raise InputError(
            f"the expert's hypnogram has shape {expert.shape} and the predicted one "
            f"{predicted.shape}; give one stage code per sleep epoch to both"
        )
    _check_codes(expert, "the expert's hypnogram", lowest=UNSCORED)
    _check_codes(predicted, "the predicted hypnogram", lowest=0)
    scored = expert != UNSCORED
    pairs = expert[scored].astype(np.int64) * len(STAGES) + predicted[scored].astype(np.int64)
    counts = np.bincount(pairs, minlength=len(STAGES) ** 2)
    return counts.reshape(len(STAGES), len(STAGES)).astype(np.int64)


def accuracy(confusion: NDArray[np.int64]) -> Floats:
    """Share of epochs on the diagonal: (..., 5, 5) to (...)."""
    return ratio(_agreed(confusion).sum(-1), confusion.sum((-2, -1)))


def cohen_kappa(confusion: NDArray[np.int64]) -> Floats:
    """Agreement beyond chance, over the stages that the expert used: (..., 5, 5) to (...).

    As in the published evaluations of sleep staging networks, the columns of stages that are
    absent from the target are dropped first, and the epochs in them with them. Where the target
    has all five stages this is the usual kappa; elsewhere it is a little higher. Not defined if
    the target has a single stage.

    Source: Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    present = confusion.sum(-1) > 0
    kept = confusion * present[..., None, :]
    total = kept.sum((-2, -1))
    chance = (kept.sum(-1) * kept.sum(-2)).sum(-1)
    # numerator and denominator times total squared: whole numbers, so that 0 is exactly 0
    return ratio(total * _agreed(kept).sum(-1) - chance, total**2 - chance)


def f1_per_stage(confusion: NDArray[np.int64]) -> Floats:
    """Harmonic mean of precision and recall of each stage: (..., 5, 5) to (..., 5).

    0 for a stage that is never hit, not defined for one that neither side used.
    """
    return ratio(2 * _agreed(confusion), confusion.sum(-1) + confusion.sum(-2))


def weighted_f1(confusion: NDArray[np.int64]) -> Floats:
    """Mean F1 of the stages, weighted by their epochs in the target: (..., 5, 5) to (...)."""
    epochs = confusion.sum(-1)
    f1 = np.where(epochs > 0, f1_per_stage(confusion), 0.0)
    return ratio((f1 * epochs).sum(-1), epochs.sum(-1))


def macro_f1(confusion: NDArray[np.int64]) -> Floats:
    """Plain mean F1 of the stages that are present in the target: (..., 5, 5) to (...)."""
    present = confusion.sum(-1) > 0
    f1 = np.where(present, f1_per_stage(confusion), 0.0)
    return ratio(f1.sum(-1), present.sum(-1))


def mean_and_std(values: Floats) -> tuple[Floats, Floats]:
    """Mean and population standard deviation over the first axis, undefined values left out.

    Both are nan where nothing is defined.
    """
    defined = ~np.isnan(values)
    count = defined.sum(0)
    mean = ratio(np.where(defined, values, 0.0).sum(0), count)
    squares = np.where(defined, values - mean, 0.0) ** 2
    return mean, np.sqrt(ratio(squares.sum(0), count))


def _agreed(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def ratio(numerator: NDArray[np.number], denominator: NDArray[np.number]) -> Floats:
    undefined = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=np.asarray(denominator) != 0)


def _check_codes(stages: NDArray[np.generic], name: str, lowest: int) -> None:
    if stages.size == 0:
        return
    highest = len(STAGES) - 1
    if not np.issubdtype(stages.dtype, np.integer):
        raise InputError(f"{name} holds {stages.dtype}; give whole-number stage codes")
    if stages.min() < lowest or stages.max() > highest:
        raise InputError(
            f"{name} has codes from {stages.min()} to {stages.max()}; "
            f"stage codes are {lowest} to {highest}"
        )
