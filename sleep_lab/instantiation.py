"""Building objects from config: Hydra's instantiate, for targets on a whitelist only.

A config can come from elsewhere: from a colleague's folder, from inside a checkpoint. Hydra 1.3
imports and calls whatever `_target_` it finds there; Hydra 1.4 takes a whitelist from the caller.
This module gives 1.4 ours and enforces the same on 1.3.
"""

import inspect
import os
import pkgutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from sleep_lab.errors import InputError, one_line

TRUSTED_VARIABLE = "SLEEP_LAB_TRUSTED"
"""Environment variable with further whitelist entries, separated by commas, for users' own parts.

It is read from the environment since a config that could extend the whitelist would make it void.
"""

TARGETS = (
    "sleep_lab.*",
    "torch.optim.*",
    "torch.nn.modules.loss.*",
    "pytorch_lightning.*",
)
"""What a config given on the command line may instantiate: exact names, or packages as `name.*`."""

NIGHT_TARGETS = (
    "sleep_lab.recordings.edf_folder",
    "sleep_lab.recordings.feature_tables",
    "sleep_lab.recordings.h5_folder",
    "sleep_lab.recordings.mass",
    "sleep_lab.recordings.simulated_nights",
    "sleep_lab.recordings.sleep_edf",
)
"""What a checkpoint may instantiate to find its own nights again."""

PREPARATION_TARGETS = (
    "sleep_lab.preparation.features.*",
    "sleep_lab.preparation.processings.*",
)
"""What the preparation stored in a checkpoint may instantiate."""

MODEL_TARGETS = (
    "sleep_lab.models.encoders.*",
    "sleep_lab.models.features_encoders.*",
    "sleep_lab.models.normalizers.*",
    "sleep_lab.models.reducers.*",
    "sleep_lab.models.sequence_encoders.*",
)
"""What the architecture stored in a checkpoint may instantiate."""


def instantiate(config: Any, *args: Any, allowed: Sequence[str] = TARGETS, **kwargs: Any) -> Any:
    """The object that `config` describes, as `hydra.utils.instantiate` builds it.

    Containers in the config arrive as plain dicts and lists.

    Args:
        config: a config node or plain dict or list with `_target_` entries.
        *args: positional arguments for the outermost target.
        allowed: the whitelist; the user's own `SLEEP_LAB_TRUSTED` entries are added.
        **kwargs: keyword arguments for the outermost target.

    Raises:
        InputError: a target is not on the whitelist, does not exist, or rejects its arguments.
    """
    whitelist = (*allowed, *trusted_by_user())
    if not OmegaConf.is_config(config):
        config = OmegaConf.create(config)
    for target in _targets(OmegaConf.to_container(config, resolve=True)):
        _check(target, whitelist)
    try:
        with execution_whitelist(whitelist):
            return hydra.utils.instantiate(config, *args, _convert_="all", **kwargs)
    except InputError:
        raise
    except Exception as error:
        # whatever a part does not like about its arguments; Hydra 1.3 wraps it, 1.4 does not
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        if isinstance(cause, InputError):
            raise cause from None
        raise InputError(f"cannot build {_name(config)}: {one_line(cause or error)}") from error


def trusted_by_user() -> tuple[str, ...]:
    """The whitelist entries in the environment variable `SLEEP_LAB_TRUSTED`."""
    entries = os.environ.get(TRUSTED_VARIABLE, "").split(",")
    return tuple(entry.strip() for entry in entries if entry.strip())


def execution_whitelist(whitelist: Sequence[str]) -> AbstractContextManager[Any]:
    """Hydra's own whitelist scope where it has one (1.4 and later)."""
    scope = getattr(hydra.utils, "execution_whitelist", None)
    return nullcontext() if scope is None else scope(list(whitelist))


def _check(target: str, whitelist: Sequence[str]) -> None:
    refusal = InputError(
        f"config may not instantiate {target!r}: it is not on the whitelist "
        f"({', '.join(whitelist)}); add your own package with {TRUSTED_VARIABLE}=package.*"
    )
    if not _listed(target, whitelist):
        raise refusal
    try:
        resolved = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"config names {target!r}: {one_line(error)}") from error
    if not (inspect.isclass(resolved) or inspect.isroutine(resolved)):
        raise refusal
    # a whitelisted module also exposes what it imports: sleep_lab.x.os.system is os.system
    identity = f"{resolved.__module__}.{resolved.__qualname__}"
    if target not in whitelist and not _listed(identity, whitelist):
        raise refusal


def _listed(target: str, whitelist: Sequence[str]) -> bool:
    return any(
        target == entry or (entry.endswith(".*") and target.startswith(entry[:-1]))
        for entry in whitelist
    )


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _name(config: DictConfig | ListConfig) -> str:
    if isinstance(config, DictConfig) and "_target_" in config:
        return str(config["_target_"])
    return "this part of the config"
