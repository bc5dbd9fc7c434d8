"""How far scorers agree among themselves."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sleep_lab.evaluation.consensus import votes
from sleep_lab.evaluation.metrics import Floats, mean_and_std, ratio
from sleep_lab.evaluation.weighted_scores import cohen_kappa
from sleep_lab.stages import STAGES, UNSCORED


@dataclass(frozen=True, eq=False)
class ScorerAgreement:
    """How far the scorers of some nights agree; kappa and share nan where undefined.

    Attributes:
        fleiss_kappa: see `fleiss_kappa`, of all nights' epochs together.
        fleiss_kappa_per_night: (nights,).
        pairwise_kappa: (scorers, scorers), see `pairwise_kappa`, of all nights' epochs together.
        pairwise_kappa_per_night: (nights, scorers, scorers).
        unanimous: see `unanimous_share`, of all nights' epochs together.
        unanimous_per_night: (nights,).
    """

    fleiss_kappa: float
    fleiss_kappa_per_night: Floats
    pairwise_kappa: Floats
    pairwise_kappa_per_night: Floats
    unanimous: float
    unanimous_per_night: Floats

    @property
    def mean_pairwise_kappa(self) -> float:
        """Mean over the pairs of scorers that have a kappa."""
        pairs = self.pairwise_kappa[np.triu_indices(len(self.pairwise_kappa), 1)]
        return float(mean_and_std(pairs)[0])


def scorer_agreement(nights: Sequence[NDArray[np.int8]]) -> ScorerAgreement:
    """The agreement of the same scorers on several nights, each (scorers, epochs)."""
    together = np.concatenate(nights, axis=1)
    return ScorerAgreement(
        fleiss_kappa=fleiss_kappa(together),
        fleiss_kappa_per_night=np.array([fleiss_kappa(night) for night in nights]),
        pairwise_kappa=pairwise_kappa(together),
        pairwise_kappa_per_night=np.array([pairwise_kappa(night) for night in nights]),
        unanimous=unanimous_share(together),
        unanimous_per_night=np.array([unanimous_share(night) for night in nights]),
    )


def fleiss_kappa(scorings: NDArray[np.int8]) -> float:
    """Agreement of all scorers beyond chance, on the epochs (scorers, epochs) that all scored.

    Source: Fleiss, "Measuring nominal scale agreement among many raters", 1971.
    """
    counts = _complete_votes(scorings)
    scorers = len(scorings)
    pairs = scorers * (scorers - 1)
    observed = ratio((counts * (counts - 1)).sum(), np.asarray(pairs * len(counts)))
    shares = ratio(counts.sum(0), np.asarray(counts.sum()))
    chance = (shares**2).sum()
    return float(ratio(observed - chance, 1 - chance))


def pairwise_kappa(scorings: NDArray[np.int8]) -> Floats:
    """Cohen's kappa of every two scorers, on the epochs that both scored: (scorers, scorers)."""
    scorers, epochs = scorings.shape
    given = (scorings[..., None] == np.arange(len(STAGES))).astype(np.float64)
    flat = given.transpose(0, 2, 1).reshape(scorers * len(STAGES), epochs)
    joint = (flat @ flat.T).reshape(scorers, len(STAGES), scorers, len(STAGES))
    return cohen_kappa(joint.swapaxes(1, 2))


def unanimous_share(scorings: NDArray[np.int8]) -> float:
    """Share of the epochs (scorers, epochs) that all scored on which all gave one stage."""
    counts = _complete_votes(scorings)
    return float(ratio((counts.max(-1) == len(scorings)).sum(), np.asarray(len(counts))))


def _complete_votes(scorings: NDArray[np.int8]) -> NDArray[np.int64]:
    """(epochs, 5) votes on the epochs that all scored."""
    scored = (scorings != UNSCORED).all(0)
    return votes(scorings[:, scored])[:, : len(STAGES)]
