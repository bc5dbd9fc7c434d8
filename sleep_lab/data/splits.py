"""Splits: which nights, or which hours of them, a network learns from and is tested on.

A split is a pure function of sorted ids, a seed and the context's length. No person is ever in two
parts, but of `within_recording`. People of different datasets are different people; validation and
test have some of each dataset where there are enough.
"""

from collections.abc import Collection, Sequence

import numpy as np

from sleep_lab.data.parts import PARTS, NightPart, Split, checked
from sleep_lab.data.split_options import names, number_of_people, share, whole_number
from sleep_lab.errors import InputError, nearest
from sleep_lab.preparation import PreparedNight


def holdout(
    nights: Sequence[PreparedNight],
    context: int,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> Split:
    """Some people for validation, some for test, the rest for training.

    Each dataset's people are spread evenly over the three.

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
    testing = number_of_people("test", test, len(people), len(people) - 2)
    validating = number_of_people("validation", validation, len(people), len(people) - 2)
    drawn = _drawn(people, seed)
    testers = _of_each_dataset(nights, drawn, testing)
    validators = _of_each_dataset(nights, _without(drawn, testers), validating)
    return _by_person(nights, context, validators, testers)


def folds(
    nights: Sequence[PreparedNight],
    context: int,
    folds: int | None = 5,
    fold: int = 0,
    validation: float = 0.2,
    seed: int = 0,
) -> Split:
    """Cross-validation: people in `folds` sets of nearly equal numbers, one of which is for test.

    Over all folds every person is tested once. Each dataset's people are spread evenly over the
    folds, and over validation and training.

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
    number = len(people) if folds is None else whole_number("folds", folds)
    if not 2 <= number <= len(people) or len(people) < len(PARTS):
        raise InputError(
            f"split=folds cannot make {number} folds of {len(people)} people "
            f"({', '.join(people)}); set split.folds from 2 to the number of people, of 3 or more"
        )
    if whole_number("fold", fold) >= number:
        raise InputError(f"split.fold={fold}: the {number} folds are 0 to {number - 1}")
    testers: list[str] = []
    dealt = 0
    for dataset in sorted({night.dataset for night in nights}):
        own = _people([night for night in nights if night.dataset == dataset])
        sets = np.array_split(_drawn(own, seed), number)
        # the first sets may be larger by one: those follow where the last dataset's ended
        testers += sets[(fold - dealt) % number].tolist()
        dealt += len(own)
    others = _without(people, testers)
    validating = number_of_people("validation", validation, len(others), len(others) - 1)
    validators = _of_each_dataset(nights, _drawn(others, seed, fold), validating)
    return _by_person(nights, context, validators, testers)


def learning_curve(
    nights: Sequence[PreparedNight],
    context: int,
    training_nights: int,
    trial: int = 0,
    validation: float = 3,
    test: float = 3,
    seed: int = 0,
) -> Split:
    """A number of training nights of people drawn for a trial: how much data does a network need?

    Splits of one trial have the same validation and test nights, and fewer training nights are
    among the more.

    Args:
        nights: prepared nights, in any order.
        context: sleep epochs in a window.
        training_nights: how many.
        trial: another draw of people for every number from 0 on.
        validation: number of people, or their share if below 1.
        test: likewise.
        seed: of the draws among the sorted people.

    Raises:
        InputError: fewer nights than that are left to train on.
    """
    people = _people(nights)
    testing = number_of_people("test", test, len(people), len(people) - 2)
    validating = number_of_people("validation", validation, len(people), len(people) - testing - 1)
    drawn = _drawn(people, seed, whole_number("trial", trial))
    testers = _of_each_dataset(nights, drawn, testing)
    validators = _of_each_dataset(nights, _without(drawn, testers), validating)
    training = _without(drawn, [*testers, *validators])
    left = [night for night in nights if night.person in training]
    left.sort(key=lambda night: (training.index(night.person), night.id))
    if not 1 <= whole_number("training_nights", training_nights) <= len(left):
        raise InputError(
            f"split.training_nights={training_nights}: {len(left)} of {len(nights)} nights are "
            f"left where {testing} people are for test and {validating} for validation; set it "
            f"from 1 to {len(left)}"
        )
    kept = {night.id for night in left[:training_nights]} | {
        night.id for night in nights if night.person in {*testers, *validators}
    }
    chosen = [night for night in nights if night.id in kept]
    return _by_person(chosen, context, validators, testers)


def transfer(
    nights: Sequence[PreparedNight],
    context: int,
    train_on: str | Sequence[str] | None = None,
    test_on: str | Sequence[str] | None = None,
    trial: int = 0,
    validation: float = 0.3,
    seed: int = 0,
) -> Split:
    """Train on some datasets, test on all nights of others.

    Args:
        nights: prepared nights of several datasets, in any order.
        context: sleep epochs in a window.
        train_on: a dataset's name, or several; all that are not in `test_on` if None.
        test_on: likewise; one of the two must be given.
        trial: another draw of people for validation for every number from 0 on.
        validation: share of the people of `train_on` if below 1, otherwise their number.
        seed: of the draw among the sorted people.

    Raises:
        InputError: an unknown dataset, one on both sides, or none on one.
    """
    known = sorted({night.dataset for night in nights})
    if len(known) < 2:
        raise InputError("split=transfer is for several datasets; take data=dodh_and_dodo, say")
    if train_on is None and test_on is None:
        raise InputError(
            f"split=transfer: set split.train_on or split.test_on; the datasets are "
            f"{', '.join(known)}"
        )
    training = _datasets(train_on, known, "train_on")
    testing = _datasets(test_on, known, "test_on") or set(known) - training
    training = training or set(known) - testing
    for dataset in sorted(training & testing):
        raise InputError(f"split.train_on and split.test_on both name {dataset!r}; leave one out")
    if not training or not testing:
        raise InputError(
            "split=transfer leaves no dataset to train on or to test on; name fewer of "
            f"{', '.join(known)}"
        )
    people = _people([night for night in nights if night.dataset in training])
    validating = number_of_people("validation", validation, len(people), len(people) - 1)
    drawn = _drawn(people, seed, whole_number("trial", trial))
    validators = _of_each_dataset(nights, drawn, validating)
    testers = _people([night for night in nights if night.dataset in testing])
    chosen = [night for night in nights if night.dataset in training | testing]
    return _by_person(chosen, context, validators, testers)


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
    if share("validation", validation) + share("test", test) >= 1:
        raise InputError(
            "split=within_recording wants shares that leave some to train on, not "
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
    return checked(split, context)


def _datasets(given: str | Sequence[str] | None, known: Sequence[str], key: str) -> set[str]:
    """The datasets of these names, which exist."""
    if given is None:
        return set()
    chosen = [given] if isinstance(given, str) else names(key, given, "datasets")
    for name in chosen:
        if name not in known:
            raise InputError(f"split.{key}: no dataset {name!r}; {nearest(name, known)}")
    return set(chosen)


def _people(nights: Sequence[PreparedNight]) -> list[str]:
    return sorted({night.person for night in nights})


def _drawn(people: Sequence[str], seed: int, *further: int) -> list[str]:
    """The people in an order that depends on the numbers alone."""
    generator = np.random.default_rng((whole_number("seed", seed), *further))
    return generator.permutation(people).tolist()


def _without(people: Sequence[str], others: Collection[str]) -> list[str]:
    return [person for person in people if person not in others]


def _of_each_dataset(
    nights: Sequence[PreparedNight], drawn: Sequence[str], number: int
) -> list[str]:
    """A number of the people drawn: the first ones of each dataset, about its share of them.

    The people of a dataset lie evenly between 0 and 1 in the order drawn, and the number goes to
    the lowest: where it suffices every dataset is among them, and no dataset is used up, unless
    it has only one person.
    """
    dataset_of = {night.person: night.dataset for night in nights}
    places: dict[str, float] = {}
    for dataset in {dataset_of[person] for person in drawn}:
        own = [person for person in drawn if dataset_of[person] == dataset]
        ends = np.linspace(0, 1, len(own)) if len(own) > 1 else [1.0]
        places |= zip(own, ends, strict=True)
    return sorted(drawn, key=places.__getitem__)[:number]


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
