"""The jobs that a sweep was to have, from the `multirun.yaml` that Hydra's own sweeper writes."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any, cast

from hydra import initialize_config_module
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def planned_jobs(sweep: Path) -> list[dict[str, str]]:
    """What each job of the sweep was to be told, key to value.

    Empty if that cannot be known, as for a sweeper that chooses values as it goes.
    """
    try:
        return [told(job) for job in planned(_multirun(sweep))]
    except (HydraException, OmegaConfBaseException):
        return []


def planned(config: DictConfig) -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep, in the order of their numbers.

    Empty for a sweeper that chooses values as it goes.

    Args:
        config: the sweep's, with Hydra's own.

    Raises:
        HydraException: what was typed cannot be read.
    """
    if OmegaConf.select(config, "hydra.sweeper._target_") != BASIC_SWEEPER:
        return []
    return list(product(*_choices(_typed(config))))


def swept_keys(sweep: Path) -> list[str]:
    """The keys that a sweep goes through or a search chooses for; empty if nothing tells."""
    try:
        overrides = OverridesParser.create().parse_overrides(_typed(_multirun(sweep)))
    except (HydraException, OmegaConfBaseException):
        return []
    # what was typed last holds
    swept = {each.get_key_element().lstrip("+~"): each.is_sweep_override() for each in overrides}
    return [key for key, is_swept in swept.items() if is_swept]


def told(overrides: Iterable[Any]) -> dict[str, str]:
    """{key: value} of a list of overrides, "key=value" each.

    Those that say where files go or whether to go on, but not what to compute, are left out.
    """
    pairs = (str(override).partition("=") for override in overrides)
    values = {key.lstrip("+~"): value for key, _, value in pairs}
    return {
        key: value
        for key, value in values.items()
        if key != "resume" and not key.startswith(("paths.", "hydra."))
    }


def _multirun(sweep: Path) -> DictConfig:
    """The config of the sweep in a folder; an empty one if nothing tells."""
    path = sweep / "multirun.yaml"
    return cast(DictConfig, OmegaConf.load(path)) if path.is_file() else DictConfig({})


def _typed(config: DictConfig) -> list[str]:
    """What a sweep's jobs are told, as typed or in a file."""
    params = OmegaConf.select(config, "hydra.sweeper.params") or {}
    typed = [f"{key}={value}" for key, value in params.items()]
    return typed + [str(word) for word in OmegaConf.select(config, "hydra.overrides.task") or ()]


def _choices(typed: list[str]) -> list[list[str]]:
    """For each override, the forms that it takes in the jobs."""
    loader = _config_loader() if any("glob(" in override for override in typed) else None
    choices: dict[str, list[str]] = {}
    for override in OverridesParser.create(loader).parse_overrides(typed):
        key = override.get_key_element()
        if override.is_sweep_override():
            values = list(override.sweep_string_iterator())
        else:
            values = [override.get_value_element_as_str()]
        choices[key] = [f"{key}={value}" for value in values]  # what was typed last holds
    return list(choices.values())


def _config_loader() -> ConfigLoader:
    """What knows the options of each group, which a glob over them needs."""
    with initialize_config_module("sleep_lab.conf", version_base=None):
        return GlobalHydra.instance().config_loader()
