"""The jobs of a sweep as its folder has them: what each was told, and how it scored."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.override_parser.overrides_parser import OverridesParser
from numpy.typing import NDArray
from omegaconf import OmegaConf

from sleep_lab.errors import InputError, one_line
from sleep_lab.evaluation.metrics import Floats
from sleep_lab.evaluation.summary import OVERALL
from sleep_lab.stages import STAGES

SEED = "seed"
REPETITIONS = ("split.fold", SEED)
"""Overrides that repeat a setting instead of changing it."""

OVERRIDES = Path(".hydra") / "overrides.yaml"
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True, eq=False)
class JobScores:
    """What a job's `metrics.json` says.

    Attributes:
        nights: by id, (9,) the overall scores, then the F1 of each stage; nan where undefined.
        confusion: (5, 5) number of epochs of all the nights, rows the expert's stages.
    """

    nights: Mapping[str, Floats]
    confusion: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Job:
    """One job of a sweep.

    Attributes:
        name: its folder below the sweep's; "" if it has none.
        overrides: what it was told, key to value.
        scores: of its test nights, or None.
        problem: why there are no scores.
        training_s: seconds that the training took, or None if nothing tells.
    """

    name: str
    overrides: Mapping[str, str]
    scores: JobScores | None = None
    problem: str = ""
    training_s: float | None = None


@dataclass(frozen=True, eq=False)
class Setting:
    """The jobs that differ in nothing but their fold and seed.

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
    folders = sorted((path.parents[1] for path in sweep.rglob(str(OVERRIDES))), key=_in_numbers)
    if not folders:
        raise InputError(
            f"{sweep}: no jobs ({OVERRIDES}) in it; give the folder of a sweep, such as "
            "runs/sweeps/DATE/TIME"
        )
    jobs = [_job(folder, sweep) for folder in folders]
    there = [job.overrides for job in jobs]
    absent = [overrides for overrides in _expected(sweep) if overrides not in there]
    return jobs + [Job("", overrides, problem="failed, and left no folder") for overrides in absent]


def what_differs(jobs: Sequence[Job]) -> list[str]:
    """The overrides that are not the same in all jobs, in the order of their first mention."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1]


def told_apart(job: Job, jobs: Sequence[Job]) -> dict[str, str]:
    """The job's overrides that are not the same in all the jobs."""
    return {key: job.overrides[key] for key in what_differs(jobs) if key in job.overrides}


def described(overrides: Mapping[str, str]) -> str:
    """Overrides as on a command line."""
    return " ".join(f"{key}={value}" for key, value in overrides.items())


def settings_of(jobs: Sequence[Job]) -> list[Setting]:
    """The settings of a sweep: jobs of equal overrides but for those that repeat a setting.

    Raises:
        InputError: a night is in the test nights of two jobs of one setting and seed.
    """
    keys = [key for key in what_differs(jobs) if key not in REPETITIONS]
    groups: dict[tuple[str | None, ...], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[tuple(job.overrides.get(key) for key in keys)].append(job)
    settings = [
        Setting({key: job.overrides[key] for key in keys if key in job.overrides}, (job, *more))
        for job, *more in groups.values()
    ]
    for setting in settings:
        _refuse_a_night_twice(setting)
    return settings


def _refuse_a_night_twice(setting: Setting) -> None:
    seen: dict[tuple[str | None, str], str] = {}
    for job in setting.jobs:
        for night in job.scores.nights if job.scores else ():
            key = (job.overrides.get(SEED), night)
            if key in seen:
                raise InputError(
                    f"night {night!r} is a test night of jobs {seen[key]} and {job.name}, which "
                    f"have one setting ({described(setting.overrides) or '-'}) and one "
                    "seed, so it would count twice; move one of the jobs out of the folder"
                )
            seen[key] = job.name


def _job(folder: Path, sweep: Path) -> Job:
    name = folder.relative_to(sweep).as_posix()
    overrides = _told(OmegaConf.load(folder / OVERRIDES))
    path = folder / "metrics.json"
    if not path.is_file():
        return Job(name, overrides, problem="no metrics.json: it failed, or is not done")
    try:
        scores = _scores(json.loads(path.read_text()))
        timed = folder / "training.json"
        training_s = float(json.loads(timed.read_text())["seconds"]) if timed.is_file() else None
    except (OSError, LookupError, TypeError, ValueError) as error:
        return Job(name, overrides, problem=f"its files cannot be read: {one_line(error)}")
    return Job(name, overrides, scores, training_s=training_s)


def _scores(metrics: Mapping[str, Any]) -> JobScores:
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
    return JobScores(nights, confusion)


def _expected(sweep: Path) -> list[dict[str, str]]:
    """The overrides of all jobs that the sweep was to have; [] if that cannot be told."""
    path = sweep / "multirun.yaml"
    if not path.is_file():
        return []
    config = OmegaConf.load(path)
    if OmegaConf.select(config, "hydra.sweeper._target_") != BASIC_SWEEPER:
        return []
    swept = OmegaConf.select(config, "hydra.sweeper.params") or {}
    told = [f"{key}={value}" for key, value in swept.items()]
    told += [str(override) for override in config.hydra.overrides.task]
    choices = []
    for override in OverridesParser.create().parse_overrides(told):
        if override.is_sweep_override():
            key = override.get_key_element()
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            choices.append([str(override.input_line)])
    return [_told(job) for job in product(*choices)]


def _told(overrides: Any) -> dict[str, str]:
    """{key: value} of a list of overrides, "key=value" each."""
    pairs = (str(override).partition("=") for override in overrides)
    return {key.lstrip("+~"): value for key, _, value in pairs}


def _in_numbers(folder: Path) -> tuple[tuple[bool, int, str], ...]:
    """Sorts 2 before 10."""
    return tuple(
        (not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in folder.parts
    )
