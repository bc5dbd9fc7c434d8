"""A sweep's config is shown as that of its first job."""

import sys
from collections.abc import Sequence

from hydra import initialize_config_module
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

from sleep_lab.errors import InputError
from sleep_lab.evaluation.sweep import Job, what_differs
from sleep_lab.evaluation.sweep_plan import planned, told

MULTIRUN = ("-m", "--multirun")


def asks_for_sweeps_config(arguments: Sequence[str]) -> bool:
    """Whether a command line asks to show the config of a sweep, which Hydra cannot."""
    return any(flag in arguments for flag in MULTIRUN) and bool(
        get_args_parser().parse_args([*arguments]).cfg
    )


def of_first_job(config_name: str, arguments: Sequence[str]) -> list[str]:
    """A sweep's command line as that of its first job; stderr is told of how many it is the first.

    Raises:
        InputError: its jobs are only known as it goes.
    """
    parsed = get_args_parser().parse_args([*arguments])
    own = [f"hydra.searchpath=[file://{parsed.config_dir}]"] if parsed.config_dir else []
    with initialize_config_module("sleep_lab.conf", version_base="1.3"):
        config = (
            GlobalHydra.instance()
            .config_loader()
            .load_configuration(config_name, [*parsed.overrides, *own], RunMode.MULTIRUN)
        )
        jobs = planned(config)
    if not jobs:
        raise InputError(
            "a search draws its jobs' values as it goes: leave out -m, and these values"
        )
    keys = what_differs([Job("", told(job)) for job in jobs])
    apart = f", which differ in {', '.join(keys)}" if keys else ""
    sys.stderr.write(f"the first of {len(jobs)} jobs{apart}\n")
    flags = [word for word in arguments if word not in (*MULTIRUN, *parsed.overrides)]
    hydras = [word for word in config.hydra.overrides.hydra if word not in own]
    return [*flags, *jobs[0], *hydras]
