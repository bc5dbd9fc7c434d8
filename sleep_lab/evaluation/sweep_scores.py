"""The scores of a sweep's jobs together: over nights or trials, and how sure they are."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sleep_lab.evaluation.bootstrap import Resampling, bca_interval, mean_over_nights
from sleep_lab.evaluation.metrics import Floats, mean_and_std, scores_of
from sleep_lab.evaluation.summary import OVERALL, score_values
from sleep_lab.evaluation.sweep import SEED, TRIAL, Job, JobScores, Setting
from sleep_lab.stages import STAGES

SCORES = (*OVERALL, *(f"f1_{stage}" for stage in STAGES))
FEWEST_FOR_AN_INTERVAL = 3
RESAMPLING = Resampling()


@dataclass(frozen=True, eq=False)
class Collected:
    """The scores of some jobs together: (9,) the overall ones, then the F1 of each stage.

    A night that was tested under several seeds counts once for each. Undefined scores are nan.

    Attributes:
        over: what mean and std are over: "trials" if the jobs are of several, their means over
            their test nights; otherwise "nights".
        resampled: what is drawn for the interval: "trials", or "people" where some person has
            several nights, or "nights".
        number: of what `over` names.
        nights: number of test nights.
        epochs: number of their scored sleep epochs.
        mean: over nights or trials.
        std: likewise, the population's standard deviation.
        interval: (2, 9) 95 % BCa bootstrap interval of the mean; nan if fewer than 3 were drawn.
        pooled: the scores of the sum of the confusion matrices.
        undefined: in how many nights each score is undefined, which mean and std leave out.
    """

    over: str
    resampled: str
    number: int
    nights: int
    epochs: int
    mean: Floats
    std: Floats
    interval: Floats
    pooled: Floats
    undefined: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ScoredSetting:
    """A setting with its scores.

    Attributes:
        setting: what it is.
        scores: of all its jobs together; None if none of them has any.
        of_jobs: of each job alone, in the order of `setting.jobs`.
    """

    setting: Setting
    scores: Collected | None
    of_jobs: tuple[Collected | None, ...]


def scored(settings: Sequence[Setting]) -> list[ScoredSetting]:
    """The settings with their scores."""
    found = []
    for setting in settings:
        of_jobs = tuple(collected([job]) for job in setting.jobs)
        together = of_jobs[0] if len(of_jobs) == 1 else collected(setting.jobs)
        found.append(ScoredSetting(setting, together, of_jobs))
    return found


def collected(jobs: Sequence[Job]) -> Collected | None:
    """The scores of these jobs together; None if none of them has any."""
    done = [(job, job.scores) for job in jobs if job.scores]
    if not done:
        return None
    nights = np.array([night for _, scores in done for night in scores.nights.values()])
    pooled = scores_of(np.sum([scores.confusion for _, scores in done], axis=0))
    if len({job.overrides.get(TRIAL) for job in jobs}) > 1:
        over = resampled = "trials"
        rows = _trial_means(done)
        units = rows[:, None]
    else:
        over, rows = "nights", nights
        resampled, units = _by_person([scores for _, scores in done])
    mean, std = mean_and_std(rows)
    return Collected(
        over=over,
        resampled=resampled,
        number=len(rows),
        nights=len(nights),
        epochs=pooled.scored,
        mean=mean,
        std=std,
        interval=_interval(units),
        pooled=score_values(pooled),
        undefined=np.isnan(nights).sum(0),
    )


def _trial_means(done: Sequence[tuple[Job, JobScores]]) -> Floats:
    """(trials, 9) each trial's mean over its nights; another seed is another trial."""
    trials: dict[tuple[str | None, ...], list[Floats]] = defaultdict(list)
    for job, scores in done:
        key = (job.overrides.get(SEED), job.overrides.get(TRIAL))
        trials[key] += scores.nights.values()
    return np.array([mean_and_std(np.array(nights))[0] for nights in trials.values()])


def _by_person(scores: Sequence[JobScores]) -> tuple[str, Floats]:
    """What does not depend on each other, people or nights, and (units, most nights, 9) of them."""
    nights = {night for job in scores for night in job.nights}
    people = {night: person for job in scores for night, person in job.people.items()}
    known = nights <= people.keys() and len({people[night] for night in nights}) < len(nights)
    units: dict[str, list[Floats]] = defaultdict(list)
    for job in scores:
        for night, values in job.nights.items():
            units[people[night] if known else night].append(values)
    padded = np.full((len(units), max(map(len, units.values())), len(SCORES)), np.nan)
    for row, judgements in zip(padded, units.values(), strict=True):
        row[: len(judgements)] = judgements
    return "people" if known else "nights", padded


def _interval(units: Floats) -> Floats:
    """(2, 9) interval of the mean of units (units, judgements, 9)."""
    interval = bca_interval(mean_over_nights(units), len(units), RESAMPLING)
    enough = (~np.isnan(units)).any(1).sum(0) >= FEWEST_FOR_AN_INTERVAL
    return np.where(enough, interval, np.nan)
