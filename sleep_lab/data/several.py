"""Nights of several datasets together: their names, and what they must share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sleep_lab.errors import InputError
from sleep_lab.preparation import PreparedNight


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
            ("features", nights[0].features, night.features),
        ):
            if found != expected:
                raise InputError(
                    f"night {nights[0].id!r} has the {what} {expected}, night {night.id!r} "
                    f"{found}; prepare all datasets alike"
                )


def numbers_of_channels(nights: Sequence[PreparedNight]) -> dict[str, dict[int, str]]:
    """For each group the numbers of channels that there are, each with who has it first."""
    numbers: dict[str, dict[int, str]] = {}
    for night in nights:
        for name, group in night.groups.items():
            first = numbers.setdefault(name, {})
            first.setdefault(len(group.channels), night.dataset or f"night {night.id!r}")
    return numbers


def told(numbers: Mapping[int, str]) -> str:
    """Who has how many channels, in a message."""
    return ", ".join(sorted(f"{who} has {number} channels" for number, who in numbers.items()))


def _rates(night: PreparedNight) -> dict[str, Any]:
    return {name: group.sampling_rate for name, group in night.groups.items()}
