"""A function of a config as a command: composed by Hydra, with errors of one line."""

import errno
import functools
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import hydra
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.syntax import Syntax
from rich.tree import Tree

from sleep_lab.commands import sweep
from sleep_lab.commands.first_job import asks_for_sweeps_config, of_first_job
from sleep_lab.commands.help import asks_for_help, show_help
from sleep_lab.errors import InputError, nearest, one_line
from sleep_lab.experiment import missing_keys, require_complete
from sleep_lab.held_folder import LOCK
from sleep_lab.instantiation import TARGETS, trusted_by_user
from sleep_lab.training.run_folder import holds_run
from sleep_lab.whole_file import write_whole

CONFIG_PACKAGE = "pkg://sleep_lab.conf"
TRACEBACK_VARIABLE = "SLEEP_LAB_TRACEBACK"
"""Environment variable that, when set, shows the traceback of a user's error as well."""


def hydra_command(
    config_name: str, optional: Sequence[str] = ()
) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a command of a function of a config.

    The command composes `conf/CONFIG_NAME.yaml` with its command line, shows the result as a tree
    and calls the function. What the user can mend ends in one line on stderr and status 2.

    Args:
        config_name: the primary config.
        optional: beginnings of keys that may be left without a value.
    """

    def decorate(run: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(run)
        def job(config: DictConfig) -> Any:
            logging.captureWarnings(True)
            rank_zero_only(keep_config)(Path(HydraConfig.get().runtime.output_dir), config)
            if sweep.in_sweep():
                return sweep.run_job(checked, config)
            try:
                return checked(config)
            except InputError:
                remove_empty_run(Path(HydraConfig.get().runtime.output_dir))
                raise

        def checked(config: DictConfig) -> Any:
            require_complete(config, optional)
            if not sweep.in_sweep():
                rank_zero_only(show)(config, f"{config_name} config")
            try:
                return run(config)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                where = error.filename or HydraConfig.get().runtime.output_dir
                raise InputError(f"{where}: {error.strerror}; make room") from error

        command = hydra.main(
            config_path=CONFIG_PACKAGE, config_name=config_name, **arguments_of_this_hydra()
        )(job)

        @functools.wraps(run)
        def main() -> None:
            # Hydra prints errors its own way, over many lines, unless it is told to raise them
            os.environ["HYDRA_FULL_ERROR"] = "1"
            HydraConfig.instance().cfg = None
            try:
                if find_spec(CONFIG_PACKAGE.removeprefix("pkg://")) is None:
                    raise InputError("sleep_lab is not installed: run pip install --editable .")
                if asks_for_help(sys.argv[1:]):
                    show_help(config_name, sys.argv[1:])
                    return
                if asks_for_sweeps_config(sys.argv[1:]):
                    sys.argv[1:] = of_first_job(config_name, sys.argv[1:])
                with sweep.reported():
                    command()
            except (InputError, HydraException, OmegaConfBaseException) as error:
                if os.environ.get(TRACEBACK_VARIABLE):
                    raise
                sys.stderr.write(f"error: {_message(error, config_name)}\n")
                sys.exit(2)
            except KeyboardInterrupt:
                sys.stderr.write("stopped\n")
                sys.exit(130)

        return main

    return decorate


def arguments_of_this_hydra() -> dict[str, Any]:
    """What `hydra.main` wants: 1.3 the version whose defaults hold, 1.4 a whitelist instead."""
    if "execution_whitelist" in inspect.signature(hydra.main).parameters:
        return {"execution_whitelist": [*TARGETS, *trusted_by_user()]}
    return {"version_base": "1.3"}


def keep_config(folder: Path, config: DictConfig) -> None:
    """Write the config to `.hydra` of a run's folder, if there is no run yet whose config is there.

    Hydra itself would write over it before anybody could refuse to.
    """
    if holds_run(folder):
        return
    hydra: Any = HydraConfig.get()
    for name, node in {
        "config": config,
        "hydra": OmegaConf.create({"hydra": hydra}),
        "overrides": hydra.overrides.task,
    }.items():
        write_whole(folder / ".hydra" / f"{name}.yaml", OmegaConf.to_yaml(node).encode())


def remove_empty_run(folder: Path) -> None:
    """Remove a run's folder if it holds nothing but what was there before the run began."""
    before = [*(folder / ".hydra").glob("*.yaml"), *folder.glob("*.log"), *folder.glob(LOCK)]
    if set(folder.rglob("*")) - {folder / ".hydra"} == set(before):
        for path in before:
            path.unlink()
        for empty in (folder / ".hydra", folder):
            empty.rmdir()


def show(config: DictConfig, title: str) -> None:
    """Print the config as a tree, resolved unless something is left without a value."""
    tree = Tree(f"[bold]{title}")
    complete = not any(missing_keys(config))
    values = cast(dict[str, Any], OmegaConf.to_container(config, resolve=complete))
    for name, value in values.items():
        _branch(tree, name, value)
    Console(stderr=True).print(tree)


def _branch(tree: Tree, name: str, value: Any) -> None:
    if isinstance(value, Mapping) and value:
        branch = tree.add(f"[cyan]{name}")
        for key, inner in value.items():
            _branch(branch, str(key), inner)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        branch = tree.add(f"[cyan]{name}")
        for number, item in enumerate(value):
            _branch(branch, str(number), item)
    else:
        tree.add(Syntax(f"{name}: {value}", "yaml", background_color="default", word_wrap=True))


def _message(error: Exception, config_name: str) -> str:
    text = one_line(error)
    if isinstance(error, InputError):
        return text
    if isinstance(error.__cause__, OmegaConfBaseException):
        text = f"{text}; {one_line(error.__cause__)}"
    for appendix in (" Config search path:", " full_key:", " See https:", " To append to your"):
        text = text.partition(appendix)[0]
    unknown = re.match(r"Could not override '([^']+)'", text)
    return f"{text} {_nearest_key(unknown[1], config_name)}" if unknown else text


def _nearest_key(key: str, config_name: str) -> str:
    """What the default config has where it does not have `key`."""
    with initialize_config_module(CONFIG_PACKAGE.removeprefix("pkg://"), version_base=None):
        node: Any = compose(config_name)
    *parents, last = key.split(".")
    known = []
    for parent in parents:
        if not isinstance(node, DictConfig) or parent not in node:
            last = parent
            break
        known.append(f"{parent}.")
        node = node[parent]
    keys = list(node) if isinstance(node, DictConfig) else []
    return f"There is no {''.join(known)}{last}: {nearest(last, map(str, keys))}"
