"""Which sleep epochs a person should look at first, and what that is worth.

The epochs come in the order of the error to expect of them: 1 - the probability of the stage that
they were given; among equal ones, the most undecided first (entropy), then the earlier one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sleep_lab.errors import InputError
from sleep_lab.evaluation.calibration import entropy
from sleep_lab.evaluation.metrics import Floats
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.recordings.scoring import stages_of_codes
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES, UNSCORED

MOST_EPOCHS = 100


@dataclass(frozen=True)
class ReviewEpoch:
    """A sleep epoch that a person should look at.

    Attributes:
        night: the night's id.
        epoch: its number, counted from the recording's start.
        onset_s: where it begins, in seconds from the recording's first sample.
        time: the same on the clock, or None if the recording's start is unknown.
        stage: name of the stage that it was given.
        probabilities: of the five stages.
        expected_error: 1 - the probability of `stage`.
    """

    night: str
    epoch: int
    onset_s: int
    time: datetime | None
    stage: str
    probabilities: tuple[float, ...]
    expected_error: float


@dataclass(frozen=True, eq=False)
class ReviewCurve:
    """Accuracy against the share of the epochs that a person has reviewed and put right.

    Attributes:
        share: (epochs + 1,) 0 to 1.
        accuracy: (epochs + 1,) from the model's own to 1, over the scored epochs.
        area: under the curve. Epochs in a random order have (1 + the model's accuracy) / 2.
    """

    share: Floats
    accuracy: Floats
    area: float


def review_order(hypnodensity: ArrayLike) -> NDArray[np.intp]:
    """(epochs,) the positions of the rows of a hypnodensity (epochs, 5), the first to review first.

    Raises:
        InputError: it is no (epochs, 5) array.
    """
    undecided = entropy(hypnodensity)
    surest = np.asarray(hypnodensity).max(axis=1)
    return np.lexsort((-undecided, surest))


def review_list(nights: Sequence[NightResult], most: int = MOST_EPOCHS) -> list[ReviewEpoch]:
    """The first epochs to review of all these nights together, at most `most` of them."""
    if not nights:
        return []
    hypnodensity = np.concatenate([night.hypnodensity for night in nights])
    night_of = np.repeat(np.arange(len(nights)), [night.epochs for night in nights])
    row_of = np.concatenate([np.arange(night.epochs) for night in nights])
    first = review_order(hypnodensity)[:most]
    return [
        _review_epoch(nights[night], row)
        for night, row in zip(night_of[first].tolist(), row_of[first].tolist(), strict=True)
    ]


def review_curve(hypnodensity: ArrayLike, expert: ArrayLike) -> ReviewCurve:
    """What a review in this order brings: every epoch that was reviewed is right from then on.

    Args:
        hypnodensity: (epochs, 5) of one night, or of several one after the other.
        expert: (epochs,) stage codes of the same epochs; unscored ones are left out.

    Raises:
        InputError: the two do not fit together, something is not a stage code, or nothing is
            scored.
    """
    probabilities = np.asarray(hypnodensity)
    stages = stages_of_codes(np.asarray(expert), "review curve")
    if len(probabilities) != len(stages):
        raise InputError(
            f"{len(probabilities)} staged epochs but an expert's hypnogram of {len(stages)}; cut "
            "both to the same epochs"
        )
    scored = stages != UNSCORED
    if not scored.any():
        raise InputError("no sleep epoch is scored: a review curve needs an expert's stages")
    order = review_order(probabilities[scored])
    wrong = (probabilities[scored].argmax(axis=1) != stages[scored])[order]
    left = wrong.sum() - np.concatenate([[0], np.cumsum(wrong)])
    accuracy = 1 - left / len(wrong)
    share = np.linspace(0, 1, len(accuracy))
    return ReviewCurve(share, accuracy, float(np.trapezoid(accuracy, share)))


def _review_epoch(night: NightResult, row: int) -> ReviewEpoch:
    probabilities = night.hypnodensity[row]
    onset_s = (night.first_epoch + row) * SLEEP_EPOCH_S
    start = night.start_time
    return ReviewEpoch(
        night=night.id,
        epoch=night.first_epoch + row,
        onset_s=onset_s,
        time=None if start is None else start + timedelta(seconds=onset_s),
        stage=STAGES[int(probabilities.argmax())],
        probabilities=tuple(probabilities.tolist()),
        expected_error=1 - float(probabilities.max()),
    )
