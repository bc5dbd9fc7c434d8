"""A config whose data is several datasets, and what it asks of a network."""

import re
from copy import deepcopy

from omegaconf import DictConfig, OmegaConf

from sleep_lab.data import Split
from sleep_lab.data.several import numbers_of_channels, told
from sleep_lab.errors import InputError
from sleep_lab.models import ModuloNet

ALONE = ""
"""The name of a dataset that is the only one."""


def datasets_of(config: DictConfig) -> dict[str, DictConfig]:
    """The config of each of the data's datasets as if it were alone, by its name.

    Raises:
        InputError: no dataset, or a name that cannot begin a night's id.
    """
    if "datasets" not in config.data:
        return {ALONE: config}
    if not config.data.datasets:
        raise InputError(
            "data.datasets is empty: name some, each by '+data@data.datasets.NAME=sleep_edf' and "
            "data.datasets.NAME.folder=PATH"
        )
    alone = {}
    for name in map(str, config.data.datasets):
        if not re.fullmatch(r"\w+", name):
            raise InputError(
                f"data.datasets.{name}: a dataset's name is of letters, digits and underscores"
            )
        alone[name] = deepcopy(config)
        # resolved first, for it may refer to what all datasets share
        alone[name].data = OmegaConf.to_container(config.data.datasets[name], resolve=True)
    return alone


def require_channels(model: ModuloNet, split: Split) -> None:
    """Raise InputError if nights have different numbers of channels and the network minds it."""
    if model.any_channels:
        return
    nights = [part.night for parts in split.values() for part in parts]
    for group, numbers in numbers_of_channels(nights).items():
        if len(numbers) > 1:
            raise InputError(
                f"group {group}: {told(numbers)}; give all the same (data.signals=channels), or "
                "take a network of any channels (experiment=paper/robust_sleep_net)"
            )
