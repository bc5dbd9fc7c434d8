"""Splits: no person on two sides, no epoch seen twice, and clear refusals."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.data import describe, folds, holdout, named, restore, within_recording
from sleep_lab.errors import InputError
from sleep_lab.preparation import prepare
from sleep_lab.recordings import simulated_nights
from tests.nights import preparation, prepared_night


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return prepared_night(tmp_path_factory.mktemp("store"), epochs=100)


def of_people(night, *people):
    return [replace(night, id=f"night-{i}", person=p) for i, p in enumerate(people)]


def people_of(split):
    return {name: {part.night.person for part in parts} for name, parts in split.items()}


@settings(deadline=None)
@given(
    people=st.lists(st.integers(0, 12), min_size=3, max_size=30).filter(lambda p: len(set(p)) > 2),
    seed=st.integers(0, 1000),
)
def test_holdout_keeps_people_apart_and_loses_nobody(night, people, seed):
    nights = of_people(night, *(f"p{p}" for p in people))
    split = holdout(nights, 5, seed=seed)
    groups = people_of(split)
    assert groups["train"] | groups["validation"] | groups["test"] == {n.person for n in nights}
    assert sum(len(group) for group in groups.values()) == len({n.person for n in nights})
    assert all(groups.values())
    shuffled = np.random.default_rng(seed).permutation(len(nights))
    assert describe(holdout([nights[i] for i in shuffled], 5, seed=seed)) == describe(split)


def test_a_part_has_its_own_share_of_every_scoring(tmp_path):
    source = simulated_nights(nights=1, hours=1, sampling_rate=64, channels=["C3-M2"], scorers=2)[0]
    night = prepare(source, preparation(("C3-M2",)), tmp_path)
    parts = [part for kind in within_recording([night], 5).values() for part in kind]
    assert [part.first for part in parts] == sorted({part.first for part in parts})
    for part in parts:
        assert list(part.scorings) == ["scorer_1", "scorer_2"]
        for name, stages in source.open().scorings.items():
            np.testing.assert_array_equal(part.scorings[name], stages[part.first : part.last])


def test_holdout_draws_by_its_seed_and_counts_people(night):
    nights = of_people(night, *"abcdefghij")
    assert len({str(describe(holdout(nights, 5, seed=s))["test"]) for s in range(10)}) > 3
    counts = {name: len(parts) for name, parts in holdout(nights, 5, 1, 3).items()}
    assert counts == {"train": 6, "validation": 1, "test": 3}


@settings(deadline=None)
@given(
    people=st.lists(st.integers(0, 12), min_size=3, max_size=30).filter(lambda p: len(set(p)) > 2),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_over_all_folds_everybody_is_tested_once_and_never_known_before(night, people, seed, data):
    nights = of_people(night, *(f"p{p}" for p in people))
    everybody = {n.person for n in nights}
    asked = data.draw(
        st.one_of(st.none(), st.integers(2 if len(everybody) > 3 else 3, len(everybody)))
    )
    number = asked or len(everybody)
    splits = [folds(nights, 5, asked, fold, seed=seed) for fold in range(number)]
    tested = [part.night.id for split in splits for part in split["test"]]
    assert sorted(tested) == sorted(n.id for n in nights)
    sizes = [len(people_of(split)["test"]) for split in splits]
    assert max(sizes) - min(sizes) <= 1
    for split in splits:
        groups = people_of(split)
        assert groups["train"] | groups["validation"] | groups["test"] == everybody
        assert sum(len(group) for group in groups.values()) == len(everybody)
        rest = len(everybody) - len(groups["test"])
        assert len(groups["validation"]) == max(1, round(0.2 * rest))
    shuffled = [nights[i] for i in np.random.default_rng(seed).permutation(len(nights))]
    assert describe(folds(shuffled, 5, asked, 0, seed=seed)) == describe(splits[0])


def test_folds_are_drawn_by_their_seed_and_each_has_its_own_validation(night):
    nights = of_people(night, *"abcdefghij")
    assert len({str(describe(folds(nights, 5, seed=s))["test"]) for s in range(10)}) > 3
    validated = {
        str(describe(folds(nights, 5, fold=f, validation=1))["validation"]) for f in range(5)
    }
    assert len(validated) > 1
    counts = {name: len(parts) for name, parts in folds(nights, 5, 10, 3, validation=4).items()}
    assert counts == {"train": 5, "validation": 4, "test": 1}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            lambda n: folds(of_people(n, *"abcd"), 5, 5),
            r"cannot make 5 folds of 4 people \(a, b, c, d",
        ),
        (lambda n: folds(of_people(n, *"ab"), 5, None), r"cannot make 2 folds of 2 people"),
        (lambda n: folds(of_people(n, *"abcd"), 5, 1), r"cannot make 1 folds"),
        (lambda n: folds(of_people(n, *"abcd"), 5, 4, 4), r"split\.fold=4: the 4 folds are 0 to 3"),
        (lambda n: folds(of_people(n, *"abcd"), 5, 4, -1), r"split\.fold=-1"),
        (lambda n: folds(of_people(n, *"abcd"), 5, 2, validation=2), r"split\.validation=2 of 2"),
        (lambda n: holdout(of_people(n, "a", "b", "a"), 5), r"at least 3 people.*not 2 \(a, b\)"),
        (lambda n: holdout(of_people(n, *"abcd"), 5, test=3), r"split\.test=3 of 4 people"),
        (
            lambda n: named(of_people(n, "a", "b", "a"), 5, ["night-0"], ["night-1"], ["night-2"]),
            r"person 'a' is in two parts of the split: night 'night-0' in train, night 'night-2'",
        ),
        (
            lambda n: named(of_people(n, "a", "b", "c"), 5, ["night-0"], ["night-1"], []),
            "the split's test part has no night",
        ),
        (
            lambda n: named(of_people(n, "a", "b", "c"), 5, ["night-0"], ["nigth-1"], ["night-2"]),
            r"no night 'nigth-1'; did you mean 'night-1'\?",
        ),
        (
            lambda n: named(
                of_people(n, "a", "b", "c"), 5, ["night-0", "night-0"], ["night-1"], ["night-2"]
            ),
            "listed twice",
        ),
        (lambda n: holdout(of_people(n, "a", "b", "c"), 101), r"100 sleep epochs, fewer than"),
        (lambda n: within_recording([n], 51), "too short to be cut in three"),
        (lambda n: within_recording([n], 5, 0.5, 0.5), "leave some to train on"),
    ],
)
def test_a_split_that_cannot_be_says_why(night, split, message):
    with pytest.raises(InputError, match=message):
        split(night)


def test_an_unscored_part_is_refused(tmp_path):
    nights = [
        prepared_night(tmp_path, f"n{i}", hypnogram=None if i == 2 else "random", seed=i)
        for i in range(3)
    ]
    with pytest.raises(InputError, match=r"test part has no scored sleep epoch \(n2\)"):
        named(nights, 5, ["n0"], ["n1"], ["n2"])


@pytest.mark.parametrize("context", [1, 5, 21])
def test_parts_of_one_recording_are_consecutive_and_see_nothing_of_each_other(night, context):
    split = within_recording([night], context)
    train, validation, test = (split[name][0] for name in ("train", "validation", "test"))
    assert train.first == 0
    assert validation.first - train.last == context
    assert test.first - validation.last == context
    assert test.last == night.epochs
    assert train.visible_last <= validation.visible_first
    assert validation.visible_last <= test.visible_first
    assert train.visible_first == -night.padding
    assert test.visible_last == night.epochs + night.padding
    lengths = np.array([part.last - part.first for part in (train, validation, test)])
    np.testing.assert_allclose(lengths / lengths.sum(), [0.6, 0.2, 0.2], atol=0.02)


def test_a_described_split_is_restored(night):
    nights = of_people(night, *"abcd")
    split = holdout(nights, 5)
    facts = describe(split)
    for name, parts in split.items():
        assert restore(facts[name], nights) == parts
    with pytest.raises(InputError, match="is gone"):
        restore(facts["train"], [])
