"""Whether a sweep, or a run, may have the folder that it asks for."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from sleep_lab.errors import InputError
from sleep_lab.evaluation.sweep import OVERRIDES, described, job_folders
from sleep_lab.evaluation.sweep_plan import BASIC_SWEEPER, planned, told
from sleep_lab.training.run_folder import MAY_DIFFER, PLACES

ELSEWHERE = "choose another hydra.sweep.dir"


def make_folder(config: DictConfig, key: str) -> Path:
    """Make the folder that a config has at `key`, unless it is there.

    Raises:
        InputError: it cannot be made.
    """
    folder = Path(OmegaConf.select(config, key))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{key}={folder} is no folder ({error.strerror}): choose another"
        ) from error
    return folder


def require_ours(config: DictConfig) -> None:
    """Refuse a folder with jobs, unless they are this sweep's and what is missing is to be run.

    Raises:
        InputError: the folder is another sweep's, or `resume` is false, or this is a search, of
            which each command has a folder.
    """
    folder = Path(config.hydra.sweep.dir)
    there = job_folders(folder)
    if not there:
        return
    if config.hydra.sweeper._target_ != BASIC_SWEEPER:
        raise InputError(
            f"{folder} holds a sweep already: {ELSEWHERE}; a search goes on there by "
            "hydra.sweeper.study_name=NAME"
        )
    if not config.get("resume"):
        mend = "resume=true runs what is missing, or " if "resume" in config else ""
        raise InputError(f"{folder} holds a sweep already: {mend}{ELSEWHERE}")
    jobs = planned(config)
    for job in there:
        # a folder of another name says itself what its job is
        if job.parent == folder and job.name.isdecimal() and int(job.name) < len(jobs):
            _require_same(job, told(OmegaConf.load(job / OVERRIDES)), told(jobs[int(job.name)]))


def _require_same(job: Path, was: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise InputError if a job would compute something else than it did."""
    keys = [
        key
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key)
        and not f"{key}.".startswith(MAY_DIFFER)
        and not key.endswith(PLACES)
    ]
    if keys:
        then, today = (
            described({key: told.get(key, "default") for key in keys}) for told in (was, now)
        )
        raise InputError(
            f"job {job.name} was {then}, and would be {today}: repeat the sweep's command, or "
            f"{ELSEWHERE}"
        )
