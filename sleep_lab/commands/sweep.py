"""A sweep of a command: what becomes of its jobs, and what is said at its end."""

import logging
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import torch
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sleep_lab.errors import InputError, one_line
from sleep_lab.evaluation.sweep import FAILED, Job, described, jobs_of, told_apart
from sleep_lab.whole_file import write_whole

logger = logging.getLogger(__name__)

EXTRAS = {
    "hydra_joblib_launcher": "joblib",
    "hydra_ray_launcher": "ray",
    "hydra_submitit_launcher": "slurm",
    "hydra_optuna_sweeper": "optuna",
}
"""Which extra of sleep_lab brings an engine's package."""


RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"


def gpus_of_a_job(accelerator: str) -> int:
    """How many GPUs a job asks of its engine: one, or none where it computes on the CPU."""
    here = accelerator == "auto" and torch.cuda.is_available()
    return int(here or accelerator in ("gpu", "cuda"))


def prefer_our_engines() -> None:
    """Put our configs of engines, and our launcher for Ray, before those of Hydra's plugins.

    Hydra merges a config with what its store has of the same name, and refuses some of these pairs.
    """
    plugins = Plugins.instance()  # the store is full from here on
    stored: Any = ConfigStore.instance().repo["hydra"]
    for group in ("launcher", "sweeper"):
        for file in (files("sleep_lab.conf") / "hydra" / group).iterdir():
            stored[group].pop(file.name, None)
    if RAY in plugins.class_name_to_class:
        from sleep_lab.commands.ray_jobs import SurvivingRayLauncher

        plugins.class_name_to_class[RAY] = SurvivingRayLauncher


OmegaConf.register_new_resolver("gpus_of_a_job", gpus_of_a_job, replace=True)
prefer_our_engines()


class KnownSweep(Callback):
    """Makes the config of a sweep known as Hydra's own, before its first job and after its last.

    Attributes:
        folder: of the sweep that this process has begun; None if it has not.
    """

    folder: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the folders as well: an engine may want to write there first."""
        del kwargs
        HydraConfig.instance().set_config(config)
        if missing_extra():
            return
        KnownSweep.folder = Path(config.hydra.sweep.dir)
        for folder in (config.paths.runs, config.hydra.sweep.dir):
            Path(folder).mkdir(parents=True, exist_ok=True)


def in_sweep() -> bool:
    """Whether Hydra's config is that of a sweep, or of one of its jobs."""
    return HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN


def run_job(run: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """Run a job of a sweep; if it fails that is kept in its folder, and the others go on.

    Returns:
        What `run` returns, or None if it failed.
    """
    if multiprocessing.get_start_method(allow_none=True) == "loky":
        # a process of joblib's starts others in a way that they do not know
        multiprocessing.set_start_method(None, force=True)
    note = Path(HydraConfig.get().runtime.output_dir) / FAILED
    write_whole(note, b"stopped before its end\n")
    try:
        result = run(config)
    except Exception as error:
        mendable = isinstance(error, InputError)
        text = one_line(error) if mendable else f"{type(error).__name__}: {one_line(error)}"
        write_whole(note, f"{text}\n".encode())
        logger.error("%s", text, exc_info=None if mendable else error)
        return None
    note.unlink()
    return result


@contextmanager
def reported() -> Iterator[None]:
    """Around a command: say which jobs of its sweep are done; for a single run, nothing.

    Raises:
        InputError: some jobs are not done, or what runs them failed.
    """
    KnownSweep.folder = None
    try:
        yield
    except KeyboardInterrupt:
        if KnownSweep.folder and tell(KnownSweep.folder):
            sys.stderr.write(f"{again()}\n")
        raise
    except (InputError, HydraException, OmegaConfBaseException):
        raise
    except Exception as error:
        if in_sweep() and (missing := missing_extra()):
            raise InputError(missing) from error
        if not KnownSweep.folder:
            raise
        tell(KnownSweep.folder)
        raise InputError(f"the sweep was cut short ({one_line(error)}); {again()}") from error
    if KnownSweep.folder and (missing := tell(KnownSweep.folder)):
        raise InputError(f"{missing}; {again()}")


def tell(folder: Path) -> str:
    """Print how many jobs of a sweep are done, and why the others are not; "" if all are."""
    try:
        jobs = jobs_of(folder)
    except InputError:
        return ""  # none has begun
    problems = {job: problem for job in jobs if (problem := problem_of(job, folder))}
    lines = [
        f"{len(jobs) - len(problems)} of {len(jobs)} jobs done",
        *(
            f"  #{job.name or '-'} ({described(told_apart(job, jobs)) or '-'}): {problem}"
            for job, problem in problems.items()
        ),
        f"scores: python -m sleep_lab.evaluation.collect {folder}",
    ]
    sys.stderr.write("\n".join([*lines, ""]))
    return f"{len(problems)} of {len(jobs)} jobs not done" if problems else ""


def problem_of(job: Job, folder: Path) -> str:
    """Why a job is not done; "" if it is."""
    if not job.name:
        return job.problem
    note = folder / job.name / FAILED
    return note.read_text().strip() if note.is_file() else ""


def again() -> str:
    """How to run what is missing."""
    hydra: Any = HydraConfig.get()
    if study := hydra.sweeper.get("study_name"):
        return f"to search on, repeat the command with hydra.sweeper.study_name={study}"
    if hydra.job.config_name != "train":
        return "mend what is wrong and repeat the command"
    folder = f"hydra.sweep.dir={hydra.sweep.dir}"
    return f"to run only these, repeat the command with {folder} resume=true"


def missing_extra() -> str:
    """What to install for the sweep's launcher or sweeper; "" if both are there."""
    hydra: Any = HydraConfig.get()
    for group in ("launcher", "sweeper"):
        package = str(hydra[group]._target_).removeprefix("hydra_plugins.").partition(".")[0]
        try:
            if package in EXTRAS:
                distribution(package)
        except PackageNotFoundError:
            return (
                f"hydra/{group}={hydra.runtime.choices[f'hydra/{group}']} needs the extra: "
                f"pip install --constraint constraints.txt '.[{EXTRAS[package]}]'"
            )
    return ""
