"""Data that is several datasets: each with its own config, its own names, and what they share."""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sleep_lab.errors import InputError
from sleep_lab.models import ModuloNet
from sleep_lab.preparation import PreparedNight

ALONE = ""
"""The name of a dataset that is the only one."""


def datasets_of(config: DictConfig) -> dict[str, DictConfig]:
    """The config of each of the data's datasets as if it were alone, by its name.

    Raises:
        InputError: no dataset, or a name that cannot begin a night's id.
    """
    if "datasets" not in config.data:
        return {ALONE: config}
    alone = {}
    for name in config.data.datasets:
        if not re.fullmatch(r"\w+", str(name)):
            raise InputError(
                f"data.datasets.{name}: a dataset's name is of letters, digits and underscores"
            )
        own = deepcopy(config)
        # resolved first, for it may refer to what all datasets share
        own.data = OmegaConf.to_container(config.data.datasets[name], resolve=True)
        alone[str(name)] = own
    if not alone:
        raise InputError(
            "data.datasets is empty: name some, each by '+data@data.datasets.NAME=sleep_edf' with "
            "data.datasets.NAME.folder=PATH"
        )
    return alone


def name_in(dataset: str, name: str) -> str:
    """What a night or person of a dataset is called among those of several datasets."""
    return f"{dataset}-{name}" if dataset else name


def in_dataset(nights: Sequence[PreparedNight], dataset: str) -> Iterator[PreparedNight]:
    """The nights, with names that no other dataset's nights and people have."""
    for night in nights:
        yield replace(
            night,
            id=name_in(dataset, night.id),
            person=name_in(dataset, night.person),
            dataset=dataset,
        )


def require_alike(nights: Sequence[PreparedNight]) -> None:
    """Raise InputError unless one network can see all nights, numbers of channels apart."""
    for night in nights:
        for what, expected, found in (
            ("groups", list(nights[0].groups), list(night.groups)),
            ("sampling rates", _rates(nights[0]), _rates(night)),
            ("widths of features", nights[0].features, night.features),
        ):
            if found != expected:
                raise InputError(
                    f"night {nights[0].id!r} and night {night.id!r} have different {what}: "
                    f"{expected} and {found}; prepare all datasets alike"
                )


def require_channels(model: ModuloNet, nights: Sequence[PreparedNight]) -> None:
    """Raise InputError if some nights have other numbers of channels and the network minds it."""
    if not model.any_channels:
        for group, counts in channels_of_datasets(nights).items():
            if len(counts) > 1:
                raise InputError(
                    f"group {group}: {told(counts)}; give all as many (data.signals=channels, or "
                    "data.montage of each), or take a network of any channels "
                    "(experiment=paper/robust_sleep_net)"
                )


def channels_of_datasets(nights: Sequence[PreparedNight]) -> dict[str, dict[int, str]]:
    """For each group its numbers of channels, each with the name of who has it first."""
    counts: dict[str, dict[int, str]] = {}
    for night in nights:
        for name, group in night.groups.items():
            first = counts.setdefault(name, {})
            first.setdefault(len(group.channels), night.dataset or f"night {night.id!r}")
    return counts


def told(counts: Mapping[int, str]) -> str:
    """Who has how many channels, in a message."""
    return ", ".join(f"{who} has {count} channels" for count, who in counts.items())


def _rates(night: PreparedNight) -> dict[str, Any]:
    return {name: group.sampling_rate for name, group in night.groups.items()}
