"""The jobs that a sweep was to have, from the `multirun.yaml` that Hydra's own sweeper writes."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

from hydra import initialize_config_module
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def planned_jobs(sweep: Path) -> list[dict[str, str]]:
    """What each job of the sweep was to be told, key to value.

    Empty if that cannot be known, as for a sweeper that chooses values as it goes.
    """
    path = sweep / "multirun.yaml"
    if not path.is_file():
        return []
    try:
        config = OmegaConf.load(path)
        if OmegaConf.select(config, "hydra.sweeper._target_") != BASIC_SWEEPER:
            return []
        swept = OmegaConf.select(config, "hydra.sweeper.params") or {}
        typed = [f"{key}={value}" for key, value in swept.items()]
        typed += map(str, OmegaConf.select(config, "hydra.overrides.task"))
        return [told(job) for job in product(*_choices(typed))]
    except (HydraException, OmegaConfBaseException):
        return []


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
