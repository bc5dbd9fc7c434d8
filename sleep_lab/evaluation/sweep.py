"""The jobs of a sweep as its folder has them: what each was told, and how it scored."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from sleep_lab.errors import InputError, one_line
from sleep_lab.evaluation.metrics import Floats
from sleep_lab.evaluation.summary import OVERALL
from sleep_lab.evaluation.sweep_plan import BASIC_SWEEPER, planned_jobs, told
from sleep_lab.held_folder import is_held
from sleep_lab.stages import STAGES

FOLD, TRIAL, SEED = "split.fold", "split.trial", "seed"
REPETITIONS = (FOLD, TRIAL, SEED)
"""Overrides that repeat a setting instead of changing it."""

FAILED = "failed.txt"
"""Why a job of a sweep has not come to its end, on one line; only there while it has not."""

OVERRIDES = Path(".hydra") / "overrides.yaml"
NOT_DONE = "not done: run the sweep again with resume=true"
RUNNING = "running"
NOT_BEGUN = "not begun"
NO_FOLDER = "not done, and left no folder: run the sweep again with resume=true"
LOGGED_ERROR = re.compile(
    r"^\[.*\]\[(?:ERROR|CRITICAL)\] - (.+)$"  # a line of Hydra's log
    r"|^([\w.]+(?:Error|Exception)\b.*)$"  # the last line of a traceback
)


@dataclass(frozen=True, eq=False)
class JobScores:
    """What a job's `metrics.json` and `split.json` say of its test nights.

    Attributes:
        nights: by id, (9,) the overall scores, then the F1 of each stage; nan where undefined.
        confusion: (5, 5) number of epochs of all the nights, rows the expert's stages.
        people: whose night it is, by the night's id; empty if nothing tells.
    """

    nights: Mapping[str, Floats]
    confusion: NDArray[np.int64]
    people: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Job:
    """One job of a sweep.

    Attributes:
        name: its folder below the sweep's; "" if it has none.
        overrides: what it was told, key to value.
        scores: of its test nights, or None.
        problem: why there are no scores.
        training_s: seconds that the training took, or None if nothing tells.
        best_score: of the monitored metric in training, or None if nothing tells.
    """

    name: str
    overrides: Mapping[str, str]
    scores: JobScores | None = None
    problem: str = ""
    training_s: float | None = None
    best_score: float | None = None


@dataclass(frozen=True)
class Search:
    """A sweep whose values are chosen as it goes, by how the jobs before have scored.

    Attributes:
        monitor: name of the metric that it goes by.
        higher_is_better: whether it looks for the highest.
    """

    monitor: str
    higher_is_better: bool


@dataclass(frozen=True, eq=False)
class Setting:
    """The jobs that differ in nothing but their fold, trial and seed.

    Attributes:
        overrides: those that tell it from the sweep's other settings.
        jobs: at least one.
    """

    overrides: Mapping[str, str]
    jobs: tuple[Job, ...]


def jobs_of(sweep: Path) -> list[Job]:
    """The jobs of a sweep, in the order of their numbers, then those that left no folder.

    A job that fails early leaves no folder; it is told from the sweep's `multirun.yaml` if that
    lists all jobs, as Hydra's own sweeper does.

    Raises:
        InputError: the folder has no jobs.
    """
    jobs = [_job(folder, sweep) for folder in _folders(sweep)]
    there = [job.overrides for job in jobs]
    absent = [overrides for overrides in planned_jobs(sweep) if overrides not in there]
    problem = NOT_BEGUN if is_held(sweep) else NO_FOLDER
    return jobs + [Job("", overrides, problem=problem) for overrides in absent]


def search_of(sweep: Path) -> Search | None:
    """What the sweep looks for if it is a search; None for one whose jobs are known beforehand.

    Raises:
        InputError: the folder has no jobs.
    """
    hydra = _folders(sweep)[0] / ".hydra"
    if not (hydra / "hydra.yaml").is_file() or not (hydra / "config.yaml").is_file():
        return None
    sweeper = OmegaConf.select(OmegaConf.load(hydra / "hydra.yaml"), "hydra.sweeper._target_")
    if sweeper in (None, BASIC_SWEEPER):
        return None
    config = OmegaConf.load(hydra / "config.yaml")
    return Search(config.monitor, config.monitor_mode == "max")


def what_differs(jobs: Sequence[Job]) -> list[str]:
    """The overrides that are not the same in all jobs, in the order of their first mention."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1]


def told_apart(job: Job, jobs: Sequence[Job]) -> dict[str, str]:
    """The job's overrides that are not the same in all the jobs."""
    return {key: job.overrides[key] for key in what_differs(jobs) if key in job.overrides}


def described(overrides: Mapping[str, str]) -> str:
    """Overrides as on a command line; an experiment by its name alone."""
    return " ".join(
        value if key.partition("/")[0] == "experiment" else f"{key}={value}"
        for key, value in overrides.items()
    )


def number_of(value: str) -> float | None:
    """An override's value as a number; None if it is none, or not finite."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def shortened(value: str) -> str:
    """An override's value as typed; of a number of many digits the first three."""
    number = number_of(value)
    return f"{number:.3g}" if number is not None and len(value) > 6 else value


def settings_of(jobs: Sequence[Job], search: Search | None = None) -> list[Setting]:
    """The settings of a sweep: jobs of equal overrides but for those that repeat a setting.

    In a search every job is a setting of its own, and the best come first.

    Raises:
        InputError: a night is in the test nights of two jobs of one setting, seed and trial.
    """
    keys = [key for key in what_differs(jobs) if search or key not in REPETITIONS]
    groups: dict[tuple[str | None, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        number = job.name if search else None
        groups[(number, *(job.overrides.get(key) for key in keys))].append(job)
    settings = [
        Setting({key: job.overrides[key] for key in keys if key in job.overrides}, (job, *more))
        for job, *more in groups.values()
    ]
    for setting in settings:
        _refuse_a_night_twice(setting)
    if search:
        sign = -1 if search.higher_is_better else 1
        settings.sort(key=lambda setting: _rank(setting.jobs[0], sign))
    return settings


def _rank(job: Job, sign: int) -> tuple[bool, float]:
    return job.best_score is None, 0.0 if job.best_score is None else sign * job.best_score


def _refuse_a_night_twice(setting: Setting) -> None:
    seen: dict[tuple[str | None, ...], str] = {}
    for job in setting.jobs:
        for night in job.scores.nights if job.scores else ():
            key = (job.overrides.get(SEED), job.overrides.get(TRIAL), night)
            if key in seen:
                raise InputError(
                    f"night {night!r} is a test night of jobs {seen[key]} and {job.name}, which "
                    f"have one setting ({described(setting.overrides) or '-'}), one seed and one "
                    "trial, so it would count twice; move one of the jobs out of the folder"
                )
            seen[key] = job.name


def job_folders(sweep: Path) -> list[Path]:
    """The folders of a sweep's jobs, in the order of their numbers.

    Those of launchers, whose names begin with a dot, hold none.
    """
    found = [path.parents[1] for path in sweep.rglob(str(OVERRIDES))]
    folders = [
        folder
        for folder in found
        if not any(part.startswith(".") for part in folder.relative_to(sweep).parts)
    ]
    return sorted(folders, key=_in_numbers)


def _folders(sweep: Path) -> list[Path]:
    folders = job_folders(sweep)
    if not folders:
        raise InputError(
            f"{sweep}: no jobs ({OVERRIDES}) in it; give the folder of a sweep, such as "
            "runs/sweeps/DATE/TIME"
        )
    return folders


def _job(folder: Path, sweep: Path) -> Job:
    name = folder.relative_to(sweep).as_posix()
    overrides = told(OmegaConf.load(folder / OVERRIDES))
    try:
        problem = _problem(folder)
        scores = None if problem else _scores(folder)
        timed = folder / "training.json"
        training = json.loads(timed.read_text()) if timed.is_file() else {}
        training_s, best_score = (_number(training.get(key)) for key in ("seconds", "best_score"))
    except (OSError, AttributeError, LookupError, TypeError, ValueError) as error:
        return Job(name, overrides, problem=f"its files cannot be read: {one_line(error)}")
    return Job(name, overrides, scores, problem, training_s, best_score)


def _problem(folder: Path) -> str:
    """Why a job has no scores; "" if it has."""
    if is_held(folder):
        return RUNNING
    failed = folder / FAILED
    if failed.is_file():
        return f"failed: {' '.join(failed.read_text().split()) or 'nothing says why'}"
    if (folder / "metrics.json").is_file():
        return ""
    logs = [log.read_text(errors="replace") for log in sorted(folder.glob("*.log"))]
    errors = [found for log in logs for found in map(LOGGED_ERROR.match, log.splitlines()) if found]
    return f"failed: {errors[-1][1] or errors[-1][2]}" if errors else NOT_DONE


def _scores(folder: Path) -> JobScores:
    metrics = json.loads((folder / "metrics.json").read_text())
    nights = {
        name: np.array(
            [*(night[score] for score in OVERALL), *(night["f1"][stage] for stage in STAGES)],
            dtype=np.float64,  # None, which is what JSON has for undefined, becomes nan
        )
        for name, night in metrics["nights"].items()
    }
    confusion = np.array(metrics["pooled"]["confusion_matrix"], dtype=np.int64)
    if confusion.shape != (len(STAGES), len(STAGES)):
        raise ValueError(f"a confusion matrix of shape {confusion.shape}")
    split = folder / "split.json"
    tested: list[Mapping[str, Any]] = []
    if split.is_file():
        tested = json.loads(split.read_text())["test"]
    people = {part["night"]: part["person"] for part in tested if part.get("person")}
    return JobScores(nights, confusion, people)


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _in_numbers(folder: Path) -> tuple[tuple[bool, int, str], ...]:
    """Sorts 2 before 10."""
    return tuple(
        (not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in folder.parts
    )
