"""What a clinician reads off a hypnogram.

The hypnogram's span is the time in bed: cut it to lights off and lights on first. Definitions are
those of the AASM Manual for the Scoring of Sleep and Associated Events (Iber et al. 2007), section
"sleep scoring data to be reported", and where it has none, those of the papers that are named.

An unscored sleep epoch takes time and is nothing else: it counts in the time in bed and in every
latency that passes over it, but is neither sleep nor wake, ends a run of persistent sleep, and
begins and ends no stage shift. What does not exist, such as the REM latency of a night without
REM, is nan.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sleep_lab.evaluation.metrics import Floats, confusion_matrix
from sleep_lab.recordings.scoring import stages_of_codes
from sleep_lab.stages import N1, N2, REM, SLEEP_EPOCH_S, STAGES, UNSCORED, W

EPOCH_MIN = SLEEP_EPOCH_S / 60
"""Duration of a sleep epoch in minutes."""

PERSISTENT_SLEEP_MIN = 10


@dataclass(frozen=True)
class SleepStatistics:
    """A night in numbers: minutes, counts, percent.

    Attributes:
        time_in_bed_min: from lights off to lights on.
        total_sleep_time_min: of N1, N2, N3 and REM.
        sleep_efficiency_percent: share of the time in bed that is sleep.
        sleep_onset_latency_min: from lights off to the first epoch of sleep.
        persistent_sleep_latency_min: from lights off to the beginning of the first 10 minutes of
            sleep without a break.
        rem_latency_min: from sleep onset to the first epoch of REM.
        wake_after_sleep_onset_min: of W between sleep onset and lights on, the time after the last
            awakening included.
        awakenings: shifts from sleep to W, the last awakening included.
        stage_shifts: sleep epochs of another stage than the one before.
        fragmentation_index_per_h: shifts from sleep to W and from N2, N3 or REM to N1, per hour of
            sleep (Morrell et al., "Sleep fragmentation, awake blood pressure, and sleep-disordered
            breathing in a population-based study", 2000).
        w_min: of W, from lights off to lights on.
        n1_min: of N1; n2_min, n3_min and rem_min likewise.
        n1_percent: share of the total sleep time that is N1; and so on.
        unscored_min: of sleep epochs without a stage.
    """

    time_in_bed_min: float
    total_sleep_time_min: float
    sleep_efficiency_percent: float
    sleep_onset_latency_min: float
    persistent_sleep_latency_min: float
    rem_latency_min: float
    wake_after_sleep_onset_min: float
    awakenings: float
    stage_shifts: float
    fragmentation_index_per_h: float
    w_min: float
    n1_min: float
    n2_min: float
    n3_min: float
    rem_min: float
    n1_percent: float
    n2_percent: float
    n3_percent: float
    rem_percent: float
    unscored_min: float


STATISTICS = tuple(field.name for field in fields(SleepStatistics))
"""Names of the statistics, in the order in which they are listed; the ending is the unit."""


def sleep_statistics(hypnogram: ArrayLike) -> SleepStatistics:
    """The statistics of one night's hypnogram, (epochs,) stage codes from lights off to lights on.

    If nothing is scored, all but the time in bed and the unscored time are nan.

    Raises:
        InputError: it is not one row of stage codes.
    """
    stages = stages_of_codes(np.asarray(hypnogram), "sleep statistics")
    shifts = transition_counts(stages) * ~np.eye(len(STAGES), dtype=bool)
    minutes = np.bincount(stages + 1, minlength=len(STAGES) + 1) * EPOCH_MIN
    asleep = stages > W
    onset = _first(asleep)
    in_bed, sleep = len(stages) * EPOCH_MIN, asleep.sum() * EPOCH_MIN
    arousals = shifts[N1:, W].sum() + shifts[N2:, N1].sum()
    known = np.nan if (stages == UNSCORED).all() else 1.0
    percent = 100 * _per(minutes[2:], sleep)
    return SleepStatistics(
        time_in_bed_min=in_bed,
        total_sleep_time_min=float(known * sleep),
        sleep_efficiency_percent=float(known * 100 * _per(sleep, in_bed)),
        sleep_onset_latency_min=onset * EPOCH_MIN,
        persistent_sleep_latency_min=_first(_persistent(asleep)) * EPOCH_MIN,
        rem_latency_min=(_first(stages == REM) - onset) * EPOCH_MIN,
        wake_after_sleep_onset_min=_wake_after(stages, onset) * EPOCH_MIN,
        awakenings=float(known * shifts[N1:, W].sum()),
        stage_shifts=float(known * shifts.sum()),
        fragmentation_index_per_h=float(_per(arousals, sleep / 60)),
        **_per_stage(known * minutes[1:], "min", STAGES),
        **_per_stage(percent, "percent", STAGES[1:]),
        unscored_min=float(minutes[0]),
    )


def statistic_values(statistics: SleepStatistics) -> Floats:
    """(statistics,) the values in the order of `STATISTICS`."""
    return np.array([getattr(statistics, name) for name in STATISTICS])


def transition_counts(hypnogram: ArrayLike) -> NDArray[np.int64]:
    """(5, 5) how often each stage (row) was followed by each (column) in the next sleep epoch.

    Pairs with an unscored epoch are left out; staying in a stage counts.

    Raises:
        InputError: it is not one row of stage codes.
    """
    stages = stages_of_codes(np.asarray(hypnogram), "transitions")
    before, after = stages[:-1], stages[1:]
    scored = after != UNSCORED
    return confusion_matrix(before[scored], after[scored])


def transition_probabilities(counts: NDArray[np.int64]) -> Floats:
    """(..., 5, 5) probability of each stage (column) after each (row); nan where a row is empty.

    `counts` are those of `transition_counts`, of a night or summed over nights.
    """
    return _per(counts, counts.sum(-1, keepdims=True))


def _persistent(asleep: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether 10 minutes of sleep begin with each epoch; shorter than `asleep`."""
    run = round(PERSISTENT_SLEEP_MIN / EPOCH_MIN)
    slept = np.concatenate([[0], np.cumsum(asleep)])
    return slept[run:] - slept[:-run] == run


def _wake_after(stages: NDArray[np.int8], onset: float) -> float:
    """Epochs of W from epoch number `onset` on."""
    return np.nan if np.isnan(onset) else float((stages[int(onset) :] == W).sum())


def _first(where: NDArray[np.bool_]) -> float:
    """Number of the first true epoch, nan if there is none."""
    return float(np.argmax(where)) if where.any() else np.nan


def _per(amount: ArrayLike, whole: ArrayLike) -> Floats:
    """Their ratio, nan where the whole is nothing."""
    part, total = np.broadcast_arrays(np.asarray(amount, float), np.asarray(whole, float))
    return np.divide(part, total, out=np.full(part.shape, np.nan), where=total != 0)


def _per_stage(
    values: NDArray[np.floating], unit: str, stages: tuple[str, ...]
) -> dict[str, float]:
    names = (f"{stage.lower()}_{unit}" for stage in stages)
    return dict(zip(names, values.tolist(), strict=True))
