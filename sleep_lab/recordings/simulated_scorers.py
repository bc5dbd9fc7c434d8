"""People who score simulated nights, with errors as people make them.

A scorer sees some transitions an epoch early or late, and takes some epochs for a stage that looks
alike. Both happen more often where the night itself is doubtful, so scorers err together; and some
scorers err more often than others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sleep_lab.recordings.simulated_course import Floats, wander
from sleep_lab.stages import SLEEP_EPOCH_S

# Chance that an average scorer sees a transition early, and as large a one that it is late.
_MOVED = 0.11

# Chance that an average scorer takes an epoch for another stage, in the order W, N1, N2, N3, REM,
# and for which (rows: the true stage). What is taken for what is as with the five scorers of DOD-H
# (Guillot et al. 2020, IEEE TNSRE) against their majority; the chances make simulated scorers agree
# as far as those do.
_CONFUSED = np.array((0.09, 0.28, 0.095, 0.12, 0.075))
_CONFUSED_WITH = np.array(
    (
        (0.00, 0.56, 0.29, 0.05, 0.10),
        (0.38, 0.00, 0.47, 0.02, 0.13),
        (0.15, 0.33, 0.00, 0.39, 0.13),
        (0.03, 0.01, 0.96, 0.00, 0.00),
        (0.11, 0.33, 0.56, 0.00, 0.00),
    )
)

# Share of the variance of borders, of confusions and of what is confused that a night has in common
# for all its scorers.
_SHARED = np.array(((0.3,), (0.3,), (0.6,)))

# Errors come in runs: what is doubtful now is doubtful for minutes.
_DOUBT_S = 120.0


@dataclass(frozen=True, eq=False)
class Scorer:
    """How often somebody errs, whatever the night; factors are 1 for the average scorer.

    Attributes:
        moved: factor of the chance that a transition is seen early or late.
        confused: (5,) factors of the chance that an epoch of each stage is taken for another.
    """

    moved: float
    confused: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Scorer":
        """A scorer at random."""
        haste = np.clip(rng.lognormal(0, 0.2), 0.65, 1.4)
        blind_spots = np.clip(rng.lognormal(0, 0.2, 5), 0.65, 1.5)
        return cls(moved=float(haste), confused=haste * blind_spots)


def draw_difficulty(epochs: int, rng: np.random.Generator) -> Floats:
    """How doubtful a night is at every epoch: (3, epochs) noise of unit variance.

    The rows are which way its border with the epoch before it may be moved, whether it is likely to
    be confused, and with what.
    """
    border = rng.standard_normal(epochs)
    confused, alternative = (wander(epochs, _DOUBT_S, rng, SLEEP_EPOCH_S) for _ in range(2))
    return np.stack([border, confused, alternative])


def simulate_scoring(
    hypnogram: NDArray[np.int8], difficulty: Floats, scorer: Scorer, rng: np.random.Generator
) -> NDArray[np.int8]:
    """What somebody scores: (epochs,) int8 codes of W, N1, N2, N3 and REM.

    Args:
        hypnogram: (epochs,) the truth, every epoch scored.
        difficulty: (3, epochs) of the night, as `draw_difficulty` gives it.
        scorer: who scores.
        rng: this scorer's chance in this night.
    """
    own = draw_difficulty(hypnogram.size, rng)
    border, confused, alternative = ndtr(np.sqrt(_SHARED) * difficulty + np.sqrt(1 - _SHARED) * own)
    seen = hypnogram[_moved_epochs(border, _MOVED * scorer.moved)]
    errs = confused < (_CONFUSED * scorer.confused)[seen]
    likelihood = _CONFUSED_WITH.cumsum(1)[seen, :-1]
    other = (alternative[:, None] > likelihood).sum(1)
    return np.where(errs, other, seen).astype(np.int8)


def _moved_epochs(border: Floats, chance: float) -> NDArray[np.intp]:
    """Which epoch's stage every epoch gets after its borders were moved: (epochs,).

    A border moves to an earlier epoch if its number, even between 0 and 1, is below `chance`, and
    to a later one if it is above 1 - `chance`.
    """
    epochs = border.size
    after = np.append(border[1:] < chance, False)
    before = border > 1 - chance
    return np.clip(np.arange(epochs) + after - before, 0, epochs - 1)
