"""Splits: which nights, or which hours of them, a network learns from and is tested on.

A split is a pure function of sorted ids, a seed and the context's length; no person is ever in two
parts.
"""

from collections.abc import Collection, Mapping, Sequence
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


def holdout(
    nights: Sequence[PreparedNight],
    context: int,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Split:
    """Some people for validation, some for test, the rest for training.

    Args:
        nights: prepared nights, in any order.
        context: sleep epochs in a window.
        validation: share of the people if below 1, otherwise their number; at least one person.
        test: likewise.
        seed: of the draw among the sorted people.

    Raises:
        InputError: fewer people than parts, or no one left to train on.
    """
    people = _people(nights)
    if len(people) < len(PARTS):
        raise InputError(
            f"split=holdout wants at least {len(PARTS)} people, one for each part, not "
            f"{len(people)} ({', '.join(people)}); add nights, or use split=within_recording"
        )
    testing = _count(test, len(people), len(people) - 2, "test")
    validating = _count(validation, len(people), len(people) - 2, "validation")
    drawn = np.random.default_rng(seed).permutation(people).tolist()
    return _by_person(nights, context, drawn[testing : testing + validating], drawn[:testing])


def folds(
    nights: Sequence[PreparedNight],
    context: int,
    folds: int | None = 5,
    fold: int = 0,
    validation: float = 0.2,
    seed: int = 0,
) -> Split:
    """Cross-validation: people in `folds` sets of nearly equal numbers, one of which is for test.

    Over all folds every person is tested once.

    Args:
        nights: prepared nights, in any order.
        context: sleep epochs in a window.
        folds: how many sets; as many as people (leave one person out) if None.
        fold: which set is for test, from 0 on.
        validation: share of the other people if below 1, otherwise their number; at least one.
        seed: of the draws among the sorted people.

    Raises:
        InputError: fewer people than folds, no such fold, or no one left to train on.
    """
    people = _people(nights)
    number = len(people) if folds is None else folds
    if not 2 <= number <= len(people) or len(people) < len(PARTS):
        raise InputError(
            f"split=folds cannot make {number} folds of {len(people)} people "
            f"({', '.join(people)}); set split.folds from 2 to the number of people, of 3 or more"
        )
    if not 0 <= fold < number:
        raise InputError(f"split.fold={fold}: the {number} folds are 0 to {number - 1}")
    sets = np.array_split(np.random.default_rng(seed).permutation(people), number)
    testers = sets[fold].tolist()
    others = sorted(set(people) - set(testers))
    validating = _count(validation, len(others), len(others) - 1, "validation")
    drawn = np.random.default_rng((seed, fold)).permutation(others).tolist()
    return _by_person(nights, context, drawn[:validating], testers)


def named(
    nights: Sequence[PreparedNight],
    context: int,
    train: Sequence[str],
    validation: Sequence[str],
    test: Sequence[str],
) -> Split:
    """The nights that the user lists for each part; others are not used.

    Raises:
        InputError: an unknown id, a person in two parts, an empty part.
    """
    by_id = {night.id: night for night in nights}
    lists = dict(zip(PARTS, (train, validation, test), strict=True))
    for name, ids in lists.items():
        for night_id in ids:
            if night_id not in by_id:
                raise InputError(f"split.{name}: no night {night_id!r}; {nearest(night_id, by_id)}")
        if len(set(ids)) < len(ids):
            raise InputError(f"split.{name}: a night is listed twice; list each once")
    return checked(
        {name: [NightPart.whole(by_id[i]) for i in sorted(ids)] for name, ids in lists.items()},
        context,
    )


def within_recording(
    nights: Sequence[PreparedNight],
    context: int,
    validation: float = 0.2,
    test: float = 0.2,
) -> Split:
    """Every night cut into consecutive training, validation and test parts.

    For who has one night. The parts lie a context's length apart and windows reach half of it into
    the gap, so no sleep epoch is seen from two parts. Scores from one night say little about
    another person's.

    Args:
        nights: prepared nights.
        context: sleep epochs in a window.
        validation: share of the night's epochs for validation.
        test: share for test.

    Raises:
        InputError: a night too short for three parts and two gaps.
    """
    if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
        raise InputError(
            "split=within_recording wants shares above 0 that leave some to train on, not "
            f"validation={validation:g} and test={test:g}"
        )
    split: Split = {name: [] for name in PARTS}
    for night in sorted(nights, key=lambda night: night.id):
        usable = night.epochs - 2 * context
        lengths = [round(usable * share) for share in (1 - validation - test, validation)]
        lengths.append(usable - sum(lengths))
        if min(lengths) < 1:
            raise InputError(
                f"night {night.id!r} of {night.epochs} sleep epochs is too short to be cut in "
                f"three with gaps of {context}; set context.length lower"
            )
        first = 0
        for name, length in zip(PARTS, lengths, strict=True):
            last = first + length
            visible_first = -night.padding if first == 0 else first - context // 2
            visible_last = (
                night.epochs + night.padding if name == PARTS[-1] else last + context // 2
            )
            split[name].append(NightPart(night, first, last, visible_first, visible_last))
            first = last + context
    return checked(split, context, one_person_many_parts=True)


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


def _people(nights: Sequence[PreparedNight]) -> list[str]:
    return sorted({night.person for night in nights})


def _by_person(
    nights: Sequence[PreparedNight],
    context: int,
    validators: Collection[str],
    testers: Collection[str],
) -> Split:
    """Whole nights; those of other people are for training."""
    split: Split = {name: [] for name in PARTS}
    for night in sorted(nights, key=lambda night: night.id):
        name = (
            "test"
            if night.person in testers
            else "validation"
            if night.person in validators
            else "train"
        )
        split[name].append(NightPart.whole(night))
    return checked(split, context)


def _count(wanted: float, people: int, most: int, name: str) -> int:
    """How many people a share, or a number, is."""
    count = max(1, round(wanted * people)) if 0 < wanted < 1 else int(wanted)
    if not 1 <= count <= most:
        raise InputError(
            f"split.{name}={wanted:g} of {people} people leaves a part empty; choose another share"
        )
    return count


def describe(split: Split) -> Mapping[str, list[dict[str, object]]]:
    """The split as plain data, from which `restore` makes it again."""
    return {
        name: [
            {
                "night": part.night.id,
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
