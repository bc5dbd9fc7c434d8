"""What several scorers agree on: their agreement, their ranking, and their consensus.

Scorings of a night are (..., scorers, epochs) int8 with any leading axes; here an epoch that
somebody left unscored (-1) counts as a stage of its own.

Source: Guillot et al., "Dreem Open Datasets: Multi-Scored Sleep Datasets to Compare Human and
Automated Sleep Staging", IEEE TNSRE 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sleep_lab.evaluation.metrics import Floats
from sleep_lab.stages import STAGES, UNSCORED

CHOICES = (*STAGES, "unscored")
"""What a scorer may say of an epoch; indexed by stage code, -1 being the last."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """The stages that most scorers gave.

    Attributes:
        stages: (..., epochs) int8.
        agreement: (..., epochs) share of the scorers who gave that stage, 0 to 1.
    """

    stages: NDArray[np.int8]
    agreement: Floats

    @property
    def unanimous(self) -> NDArray[np.bool_]:
        """(..., epochs) whether all scorers gave that stage."""
        return self.agreement == 1


def votes(scorings: NDArray[np.int8]) -> NDArray[np.int64]:
    """How many scorers gave each stage: (..., epochs, 6), the last being those who gave none."""
    codes = np.arange(UNSCORED, len(STAGES))
    counts = (scorings[..., None] == codes).sum(-3)
    return np.roll(counts, -1, axis=-1)


def soft_agreement(scorings: NDArray[np.int8]) -> Floats:
    """How far each scorer agrees with the others: (scorers, epochs) to (scorers,), 0 to 1.

    Per epoch, the other scorers' votes for the stage that this one gave, over their votes for the
    stage that most of them gave; then the mean over epochs. nan without others, or without epochs.
    """
    scorers, epochs = scorings.shape
    if scorers < 2 or not epochs:
        return np.full(scorers, np.nan)
    own = np.eye(len(CHOICES), dtype=np.int64)[scorings]
    others = votes(scorings) - own  # (scorers, epochs, 6)
    shared = np.take_along_axis(others, _column(scorings)[..., None], axis=-1)[..., 0]
    return (shared / others.max(-1)).mean(-1)


def ranking(agreement: Floats, names: Sequence[str]) -> NDArray[np.intp]:
    """The scorers' indices from the best to the worst agreement, equal ones by name."""
    # two means of the same numbers may differ in their last digit, by the order of the epochs
    return np.lexsort((np.asarray(names), -agreement.round(12)))


def consensus(ranked: NDArray[np.int8]) -> Consensus:
    """The consensus of scorings (..., scorers, epochs) whose best scorer comes first.

    Per epoch the stage with most votes; among stages with equally many, that of the scorer who
    comes first.
    """
    counts = votes(ranked)  # (..., epochs, 6)
    most = counts.max(-1)
    given = np.swapaxes(ranked, -1, -2)  # (..., epochs, scorers)
    backed = np.take_along_axis(counts, _column(given), axis=-1) == most[..., None]
    decides = backed.argmax(-1)[..., None]
    stages = np.take_along_axis(given, decides, axis=-1)[..., 0]
    return Consensus(stages, most / ranked.shape[-2])


def consensus_of_best(scorings: NDArray[np.int8], rank: NDArray[np.intp]) -> Consensus:
    """What models are held against: the consensus of all but the last-ranked scorer, (epochs,)."""
    return consensus(scorings[rank[:-1]])


def consensus_of_others(scorings: NDArray[np.int8], rank: NDArray[np.intp]) -> Consensus:
    """What scorers are held against: for each the consensus of the others, (scorers, epochs)."""
    scorers = np.arange(len(rank))
    others = np.broadcast_to(rank, (len(rank), len(rank)))
    others = others[others != scorers[:, None]].reshape(len(rank), -1)
    return consensus(scorings[others])


def _column(stages: NDArray[np.int8]) -> NDArray[np.int64]:
    """Where a stage is among `CHOICES`."""
    return stages.astype(np.int64) % len(CHOICES)
