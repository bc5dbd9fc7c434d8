"""A sweep of a command: what becomes of its jobs, and what is said at its end."""

import logging
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.utilities import rank_zero_only

from sleep_lab.commands.search import has_value
from sleep_lab.commands.sweep_folder import ELSEWHERE, make_folder, require_ours
from sleep_lab.errors import InputError, one_line
from sleep_lab.evaluation.sweep import (
    FAILED,
    Job,
    described,
    job_folders,
    jobs_of,
    told_apart,
)
from sleep_lab.evaluation.sweep_plan import BASIC_SWEEPER
from sleep_lab.experiment import whole_number
from sleep_lab.held_folder import held
from sleep_lab.whole_file import write_whole

logger = logging.getLogger(__name__)

EXTRAS = {
    "hydra_joblib_launcher": "joblib",
    "hydra_ray_launcher": "ray",
    "hydra_submitit_launcher": "slurm",
    "hydra_optuna_sweeper": "optuna",
}
"""Which extra of sleep_lab brings an engine's package."""

LAUNCHERS = {
    "hydra_joblib_launcher.joblib_launcher.JoblibLauncher": "launchers.JoblibLauncher",
    "hydra_ray_launcher.ray_launcher.RayLauncher": "launchers.RayLauncher",
    "hydra_submitit_launcher.submitit_launcher.LocalLauncher": "submitit_jobs.LocalLauncher",
    "hydra_submitit_launcher.submitit_launcher.SlurmLauncher": "submitit_jobs.SlurmLauncher",
}
"""Launchers of Hydra's plugins, and ours that take their place."""


def gpus_of_a_job(accelerator: str) -> int:
    """How many GPUs a job asks of its engine: one, or none where it computes on the CPU."""
    here = accelerator == "auto" and torch.cuda.is_available()
    return int(here or accelerator in ("gpu", "cuda"))


def prefer_our_engines() -> None:
    """Put our configs of engines, and our launchers, before those of Hydra's plugins.

    Hydra merges a config with what its store has of the same name, and refuses some of these pairs.
    """
    plugins = Plugins.instance()  # the store is full from here on
    stored: Any = ConfigStore.instance().repo["hydra"]
    for group in ("launcher", "sweeper"):
        for file in (files("sleep_lab.conf") / "hydra" / group).iterdir():
            stored[group].pop(file.name, None)
    for theirs, ours in LAUNCHERS.items():
        if f"hydra_plugins.{theirs}" in plugins.class_name_to_class:
            launcher = get_class(f"sleep_lab.commands.{ours}")
            plugins.class_name_to_class[f"hydra_plugins.{theirs}"] = launcher


OmegaConf.register_new_resolver("gpus_of_a_job", gpus_of_a_job, replace=True)
prefer_our_engines()


class Refused(BaseException):
    """A sweep or run may not begin, for its cause; Hydra only warns of callbacks' Exceptions."""


class KnownSweep(Callback):
    """Makes the config of a sweep known as Hydra's own, before its first job and after its last.

    Attributes:
        folder: of the sweep that this process has begun; None if it has not.
        holding: what keeps other processes out of it.
    """

    folder: ClassVar[Path | None] = None
    holding: ClassVar[ExitStack] = ExitStack()

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the folder of a single run."""
        del kwargs
        try:
            make_folder(config, "hydra.run.dir")
        except InputError as error:
            raise Refused from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the sweep's folder, and hold it, unless it is another's."""
        del kwargs
        HydraConfig.instance().set_config(config)
        if missing_extra():
            return
        try:
            # of processes that train together, the first does so for all
            rank_zero_only(begin)(config)
        except Exception as error:
            raise Refused from error


def begin(config: DictConfig) -> None:
    """Make a sweep's folder, hold it, and write there what its jobs are to be.

    Raises:
        InputError: the folder is another sweep's, or at work, or cannot be made; or a search is to
            have no trials.
    """
    if "n_trials" in config.hydra.sweeper:
        whole_number(config, "hydra.sweeper.n_trials", 1)
    make_folder(config, "paths.runs")  # an engine may want to write there first
    folder = make_folder(config, "hydra.sweep.dir")
    KnownSweep.holding.enter_context(held(folder, "hydra.sweep.dir"))
    require_ours(config)
    KnownSweep.folder = folder
    # Hydra's own sweeper does so too, others do not
    write_whole(folder / "multirun.yaml", OmegaConf.to_yaml(config).encode())


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
    write = rank_zero_only(write_whole)
    write(note, b"stopped before its end\n")
    try:
        result = run(config)
    except Exception as error:
        mendable = isinstance(error, InputError)
        text = one_line(error) if mendable else f"{type(error).__name__}: {one_line(error)}"
        write(note, f"{text}\n".encode())
        logger.error("%s", text, exc_info=None if mendable else error)
        return None
    rank_zero_only(note.unlink)(missing_ok=True)
    return result


@contextmanager
def reported() -> Iterator[None]:
    """Around a command: say which jobs of its sweep are done; for a single run, nothing.

    Raises:
        InputError: some jobs are not done, or what runs them failed.
    """
    KnownSweep.folder = None
    try:
        with KnownSweep.holding:
            yield
    except Refused as refused:
        raise refused.__cause__ or refused from None
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
        if not job_folders(KnownSweep.folder):
            raise InputError(f"the sweep did not begin: {one_line(error)}") from error
        tell(KnownSweep.folder)
        cause = f"the sweep was cut short ({one_line(error)})"
        if isinstance(error, ValueError) and found_nothing():
            cause = "no trial of the search has a value"
        raise InputError(f"{cause}; {again()}") from error
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


def found_nothing() -> bool:
    """Whether the sweep is a search of which no trial has a value; Optuna looks for the best."""
    sweeper: Any = HydraConfig.get().sweeper
    searches = sweeper._target_ != BASIC_SWEEPER and "study_name" in sweeper
    return searches and not has_value(sweeper.storage, sweeper.study_name)


def again() -> str:
    """How to run what is missing."""
    hydra: Any = HydraConfig.get()
    typed = any(word.startswith("hydra.sweep.dir=") for word in hydra.overrides.hydra)
    # the default is a new one by itself
    elsewhere = f"; {ELSEWHERE}" if typed else ""
    if study := hydra.sweeper.get("study_name"):
        return f"to search on, repeat the command with hydra.sweeper.study_name={study}{elsewhere}"
    if hydra.job.config_name != "train":
        return f"mend what is wrong and repeat the command{elsewhere}"
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
