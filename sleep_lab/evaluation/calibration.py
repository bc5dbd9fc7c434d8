"""Whether a hypnodensity says what scorers say, and means the probabilities that it gives.

A label is a row of five probabilities. Those of several scorers are the shares of their votes
(`scorer_distribution`), those of one hypnogram are 0 and 1 (`hard_labels`); a row of nan is a sleep
epoch that nobody scored, and is left out everywhere. Logarithms are natural ones.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax
from scipy.stats import rankdata

from sleep_lab.errors import InputError
from sleep_lab.evaluation.metrics import Floats
from sleep_lab.recordings.scoring import stages_of_codes
from sleep_lab.stages import STAGES, UNSCORED

BINS = 10
TEMPERATURES = (0.01, 100.0)
"""Between which `fit_temperature` looks."""

LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""What a probability of 0 counts as: float32 holds no smaller one, and its logarithm is finite."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: how often what a model gives a probability is so.

    Attributes:
        edges: (bins + 1,) of the bins of probability; a value on an edge belongs to the bin below.
        epochs: (bins,) number of sleep epochs in each bin.
        predicted: (bins,) mean probability in the bin, nan if it is empty.
        observed: (bins,) mean share of the labels that it came true for, nan likewise.
        calibration_error: expected calibration error: |predicted - observed|, weighted by epochs.
    """

    edges: Floats
    epochs: NDArray[np.int64]
    predicted: Floats
    observed: Floats
    calibration_error: float


def scorer_distribution(hypnograms: ArrayLike) -> Floats:
    """(epochs, 5) the share of the scorers that chose each stage: soft labels.

    Args:
        hypnograms: (scorers, epochs) stage codes. An unscored epoch of a scorer is no vote.

    Raises:
        InputError: another shape, or something that is not a stage code.
    """
    votes = _votes(hypnograms)
    count = votes.sum(axis=1, keepdims=True)
    return np.divide(votes, count, out=np.full(votes.shape, np.nan), where=count > 0)


def hard_labels(hypnogram: ArrayLike) -> Floats:
    """(epochs, 5) 1 for each epoch's stage, 0 for the others; nan where it is unscored.

    Raises:
        InputError: it is not one row of stage codes.
    """
    stages = stages_of_codes(np.asarray(hypnogram), "labels")
    return np.where(stages[:, None] == UNSCORED, np.nan, np.eye(len(STAGES))[stages])


def cross_entropy(hypnodensity: ArrayLike, labels: ArrayLike) -> float:
    """Mean over sleep epochs of -sum(label * log(probability)), at least the labels' own entropy.

    Args:
        hypnodensity: (epochs, 5) probabilities.
        labels: (epochs, 5) likewise.

    Raises:
        InputError: shapes that differ or are no hypnodensity's.
    """
    probabilities, target = _labelled(hypnodensity, labels)
    return _mean(-(target * _logarithms(probabilities)).sum(axis=1))


def cosine_similarity(hypnodensity: ArrayLike, labels: ArrayLike) -> float:
    """Averaged cosine similarity (ACS): mean over sleep epochs, 1 where both are proportional.

    Arguments and errors as for `cross_entropy`.

    Source: Fiorillo et al., "Multi-scored sleep databases: how to exploit the multiple-labels in
    automated sleep scoring", Sleep 2023.
    """
    probabilities, target = _labelled(hypnodensity, labels)
    lengths = np.linalg.norm(probabilities, axis=1) * np.linalg.norm(target, axis=1)
    return _mean((probabilities * target).sum(axis=1) / lengths)


def brier_score(hypnodensity: ArrayLike, labels: ArrayLike) -> float:
    """Mean over sleep epochs of the squared distance, summed over the stages: 0 to 2.

    Arguments and errors as for `cross_entropy`.

    Source: Brier, "Verification of forecasts expressed in terms of probability", 1950.
    """
    probabilities, target = _labelled(hypnodensity, labels)
    return _mean(((probabilities - target) ** 2).sum(axis=1))


def reliability(hypnodensity: ArrayLike, labels: ArrayLike, bins: int = BINS) -> Reliability:
    """The diagram of the most probable stage: its probability, and how often it is right.

    Arguments and errors as for `cross_entropy`; the bins are equally wide.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """
    probabilities, target = _labelled(hypnodensity, labels)
    best = probabilities.argmax(axis=1)[:, None]
    chosen = np.take_along_axis(probabilities, best, axis=1)[:, 0]
    return _reliability(chosen, np.take_along_axis(target, best, axis=1)[:, 0], bins)


def reliability_per_stage(
    hypnodensity: ArrayLike, labels: ArrayLike, bins: int = BINS
) -> dict[str, Reliability]:
    """By stage name, the diagram of the stage's probability in every sleep epoch.

    Arguments and errors as for `reliability`.

    Source: Kull et al., "Beyond temperature scaling: obtaining well-calibrated multi-class
    probabilities with Dirichlet calibration", 2019.
    """
    probabilities, target = _labelled(hypnodensity, labels)
    columns = zip(STAGES, probabilities.T, target.T, strict=True)
    return {stage: _reliability(given, true, bins) for stage, given, true in columns}


def fit_temperature(hypnodensity: ArrayLike, labels: ArrayLike) -> float:
    """The temperature for `apply_temperature` that makes the cross-entropy least.

    Above 1, the model was too sure of itself. Fit it on validation nights, never on those that it
    is judged by. The cross-entropy is convex in 1 / temperature, so this is the only minimum.
    Labels that are always right or useless have theirs outside `TEMPERATURES`: its end is returned.

    Args:
        hypnodensity: (epochs, 5) probabilities: the softmax of a network's logits.
        labels: (epochs, 5), hard or soft.

    Raises:
        InputError: shapes that differ or are no hypnodensity's, or no epoch is scored.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """
    probabilities, target = _labelled(hypnodensity, labels)
    if not len(target):
        raise InputError("no sleep epoch is scored: a temperature needs scored validation nights")
    logits = _logarithms(probabilities)
    reached = (target * logits).sum()

    def slope(sharpness: float) -> float:
        return float((softmax(sharpness * logits, axis=1) * logits).sum() - reached)

    coldest, hottest = TEMPERATURES
    if slope(1 / coldest) <= 0:
        return coldest
    if slope(1 / hottest) >= 0:
        return hottest
    return float(1 / brentq(slope, 1 / hottest, 1 / coldest, xtol=1e-12))


def apply_temperature(hypnodensity: ArrayLike, temperature: float) -> NDArray[np.float32]:
    """The hypnodensity as if the logits had been divided by the temperature: the hypnogram stays.

    Raises:
        InputError: it is no (epochs, 5) array, or the temperature is not a positive number.
    """
    if not 0 < temperature < np.inf:
        raise InputError(f"temperature is {temperature}; it has to be a positive number")
    logits = _logarithms(_hypnodensity(hypnodensity))
    return softmax(logits / temperature, axis=1).astype(np.float32)


def entropy(hypnodensity: ArrayLike) -> Floats:
    """(epochs,) how undecided each sleep epoch is: 0 if one stage is sure, 1 if all are alike.

    Raises:
        InputError: it is no (epochs, 5) array.
    """
    # sorted: rows of the same probabilities have the same entropy to the last digit
    probabilities = np.sort(_hypnodensity(hypnodensity), axis=1)
    return -(probabilities * _logarithms(probabilities)).sum(axis=1) / np.log(len(STAGES))


def disagreement_auc(hypnodensity: ArrayLike, hypnograms: ArrayLike) -> float:
    """Area under the ROC curve of the entropy as a predictor of scorers who disagree.

    It is the probability that an epoch with two opinions has more entropy than one with a single
    opinion; nan if all epochs are of one kind. Epochs with fewer than two votes are left out.

    Args:
        hypnodensity: (epochs, 5) probabilities.
        hypnograms: (scorers, epochs) stage codes.

    Raises:
        InputError: shapes that do not fit together, or something that is not a stage code.

    Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically
    larger than the other", 1947.
    """
    votes = _votes(hypnograms)
    _check_same_epochs(_hypnodensity(hypnodensity), votes)
    known = votes.sum(axis=1) >= 2
    split = (votes[known] > 0).sum(axis=1) > 1
    pairs = int(split.sum()) * int((~split).sum())
    if not pairs:
        return np.nan
    ranks = rankdata(entropy(hypnodensity)[known])
    least = split.sum() * (split.sum() + 1) / 2
    return float((ranks[split].sum() - least) / pairs)


def _votes(hypnograms: ArrayLike) -> NDArray[np.int64]:
    """(epochs, 5) number of scorers per stage."""
    codes = np.asarray(hypnograms)
    if codes.ndim != 2 or len(codes) == 0:
        raise InputError(
            f"hypnograms of shape {codes.shape}; give (scorers, epochs), all of the same epochs"
        )
    stages = np.stack([stages_of_codes(row, f"scorer {n}") for n, row in enumerate(codes, 1)])
    return np.stack([(stages == code).sum(axis=0) for code in range(len(STAGES))], axis=1)


def _hypnodensity(probabilities: ArrayLike) -> Floats:
    rows = np.asarray(probabilities, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(STAGES):
        raise InputError(
            f"probabilities of shape {rows.shape}; give (epochs, {len(STAGES)}), one per stage"
        )
    return rows


def _check_same_epochs(hypnodensity: Floats, labels: NDArray[np.number]) -> None:
    if len(hypnodensity) != len(labels):
        raise InputError(
            f"{len(hypnodensity)} epochs of probabilities and {len(labels)} of labels; cut both to "
            "the same epochs"
        )


def _labelled(hypnodensity: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """Probabilities and labels of the sleep epochs that have a label."""
    probabilities, target = _hypnodensity(hypnodensity), _hypnodensity(labels)
    _check_same_epochs(probabilities, target)
    scored = ~np.isnan(target).any(axis=1)
    return probabilities[scored], target[scored]


def _logarithms(probabilities: Floats) -> Floats:
    """Of rows that may sum to 1 in float32 only."""
    return log_softmax(np.log(np.maximum(probabilities, LEAST_PROBABILITY)), axis=1)


def _reliability(given: Floats, true: Floats, bins: int) -> Reliability:
    if bins < 1:
        raise InputError(f"{bins} bins; a reliability diagram needs one or more")
    edges = np.linspace(0, 1, bins + 1)
    # a sure thing may be a little above 1 in float32
    position = np.clip(np.searchsorted(edges, given, side="left") - 1, 0, bins - 1)
    epochs = np.bincount(position, minlength=bins)
    sums = np.stack([np.bincount(position, values, minlength=bins) for values in (given, true)])
    means = np.divide(sums, epochs, out=np.full(sums.shape, np.nan), where=epochs > 0)
    gaps = np.abs(sums[0] - sums[1]).sum()
    error = float(gaps / len(given)) if len(given) else np.nan
    return Reliability(edges, epochs.astype(np.int64), means[0], means[1], error)


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else np.nan
