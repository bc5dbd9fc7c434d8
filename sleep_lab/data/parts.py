"""Parts of nights, and what every split of them into training, validation and test must be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, nearest
from sleep_lab.preparation import PreparedNight

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class NightPart:
    """The sleep epochs of a night that belong to one part of a split.

    All indices count the night's sleep epochs; negative ones and those from `night.epochs` on are
    padding.

    Attributes:
        night: the prepared night.
        first, last: the part is the epochs from `first` up to, not including, `last`.
        visible_first, visible_last: what windows may see as context around it.
    """

    night: PreparedNight
    first: int
    last: int
    visible_first: int
    visible_last: int

    @classmethod
    def whole(cls, night: PreparedNight) -> "NightPart":
        """The whole night, with its padding as context."""
        return cls(night, 0, night.epochs, -night.padding, night.epochs + night.padding)

    @property
    def scorings(self) -> dict[str, NDArray[np.int8]]:
        """The night's further scorings by the scorers' names, cut to the part."""
        return {
            name: stages[self.first : self.last] for name, stages in self.night.scorings.items()
        }


Split = dict[str, list[NightPart]]
"""For "train", "validation" and "test", the parts of nights, sorted by the nights' ids."""


def checked(split: Split, context: int, one_person_many_parts: bool = False) -> Split:
    """The split itself, if every part has scored epochs, long enough nights, and its own people.

    Raises:
        InputError: says which part or person is wrong.
    """
    for name, parts in split.items():
        if not parts:
            raise InputError(f"the split's {name} part has no night; change split or add nights")
        if not any((part.night.hypnogram[part.first : part.last] >= 0).any() for part in parts):
            raise InputError(
                f"the split's {name} part has no scored sleep epoch "
                f"({', '.join(part.night.id for part in parts)}); give it scored nights"
            )
        for part in parts:
            if part.night.epochs < context:
                raise InputError(
                    f"night {part.night.id!r} has {part.night.epochs} sleep epochs, fewer than "
                    f"the context's {context}; set context.length lower or leave the night out"
                )
    if not one_person_many_parts:
        _refuse_shared_people(split)
    return split


def _refuse_shared_people(split: Split) -> None:
    owner: dict[str, tuple[str, str]] = {}
    for name, parts in split.items():
        for part in parts:
            known, night = owner.setdefault(part.night.person, (name, part.night.id))
            if known != name:
                raise InputError(
                    f"person {part.night.person!r} is in two parts of the split: night {night!r} "
                    f"in {known}, night {part.night.id!r} in {name}; put them in one"
                )


def describe(split: Split) -> Mapping[str, list[dict[str, object]]]:
    """The split as plain data, from which `restore` makes it again."""
    return {
        name: [
            {
                "night": part.night.id,
                "person": part.night.person,
                "dataset": part.night.dataset,
                "first": part.first,
                "last": part.last,
                "visible_first": part.visible_first,
                "visible_last": part.visible_last,
            }
            for part in parts
        ]
        for name, parts in split.items()
    }


def restore(
    parts: Sequence[Mapping[str, int | str]], nights: Sequence[PreparedNight]
) -> list[NightPart]:
    """One part of a described split, over these prepared nights.

    Raises:
        InputError: a night is missing or is shorter than it was.
    """
    by_id = {night.id: night for night in nights}
    restored = []
    for part in parts:
        night_id = str(part["night"])
        if night_id not in by_id:
            raise InputError(f"night {night_id!r} of the split is gone; {nearest(night_id, by_id)}")
        limits = [int(part[k]) for k in ("first", "last", "visible_first", "visible_last")]
        if limits[1] > by_id[night_id].epochs:
            raise InputError(
                f"night {night_id!r} has {by_id[night_id].epochs} sleep epochs; the split "
                f"was made when it had {limits[1]} or more"
            )
        restored.append(NightPart(by_id[night_id], *limits))
    return restored
