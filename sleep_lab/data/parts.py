"""Parts of nights, and what every split of them into training, validation and test must be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

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


def checked(split: Split, context: int) -> Split:
    """The split itself, if every part has scored epochs, long enough nights, and its own people.

    A person may be on several sides only where each of their nights is cut among those.

    Raises:
        InputError: says which part, night or person is wrong.
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
    _refuse_shared_epochs(split)
    _refuse_shared_people(split)
    return split


def _refuse_shared_epochs(split: Split) -> None:
    sides: dict[str, list[tuple[int, int, str]]] = {}
    for name, parts in split.items():
        for part in parts:
            seen = (part.visible_first, part.visible_last, name)
            sides.setdefault(part.night.id, []).append(seen)
    for night, spans in sides.items():
        for (_, last, one), (first, _, other) in combinations(sorted(spans), 2):
            if one != other and first < last:
                raise InputError(
                    f"night {night!r}: {one} and {other} see the same sleep epochs; put it in one "
                    "of them, or leave a gap"
                )


def _refuse_shared_people(split: Split) -> None:
    sides: dict[str, dict[str, list[str]]] = {}
    for name, parts in split.items():
        for part in parts:
            own = sides.setdefault(part.night.person, {}).setdefault(part.night.id, [])
            if name not in own:
                own.append(name)
    for person, nights in sides.items():
        (night, known), *others = nights.items()
        for other, names in others:
            if names != known:
                raise InputError(
                    f"person {person!r} is in two parts of the split: night {night!r} in "
                    f"{' and '.join(known)}, night {other!r} in {' and '.join(names)}; put them "
                    "in one"
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

    A part that begins or ends with its night sees all the padding that the night has now.

    Raises:
        InputError: a night is missing or is shorter than it was.
        ValueError: a part has no sleep epoch.
    """
    by_id = {night.id: night for night in nights}
    restored = []
    for part in parts:
        night_id = str(part["night"])
        if night_id not in by_id:
            raise InputError(f"night {night_id!r} of the split is gone; {nearest(night_id, by_id)}")
        whole = NightPart.whole(by_id[night_id])
        first, last, visible_first, visible_last = (
            int(part[key]) for key in ("first", "last", "visible_first", "visible_last")
        )
        if last > whole.last:
            raise InputError(
                f"night {night_id!r} has {whole.last} sleep epochs; the split was made when it had "
                f"{last} or more"
            )
        if not 0 <= first < last:
            raise ValueError(f"night {night_id!r} from {first} to {last}")
        if first == 0 or visible_first < whole.visible_first:
            visible_first = whole.visible_first
        if last == whole.last or visible_last > whole.visible_last:
            visible_last = whole.visible_last
        restored.append(NightPart(whole.night, first, last, visible_first, visible_last))
    return restored
