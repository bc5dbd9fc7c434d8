"""Splits: no person on two sides, no epoch seen twice, and clear refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.data import describe, folds, holdout, learning_curve, transfer, within_recording
from sleep_lab.errors import InputError
from tests.data.people import of_people, people_of


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
        (
            lambda n: folds(of_people(n, *"abcd"), 5, 4, -1),
            r"split\.fold is a whole number from 0 on, not -1",
        ),
        (lambda n: folds(of_people(n, *"abcd"), 5, 2, validation=2), r"split\.validation=2 of 2"),
        (lambda n: holdout(of_people(n, "a", "b", "a"), 5), r"at least 3 people.*not 2 \(a, b\)"),
        (lambda n: holdout(of_people(n, *"abcd"), 5, test=3), r"split\.test=3 of 4 people"),
        (lambda n: holdout(of_people(n, "a", "b", "c"), 101), r"100 sleep epochs, fewer than"),
        (lambda n: within_recording([n], 51), "too short to be cut in three"),
        (lambda n: within_recording([n], 5, 0.5, 0.5), "leave some to train on"),
        (lambda n: within_recording([n], 5, "a"), r"split\.validation is a share .*, not 'a'"),
        (lambda n: within_recording([n], 5, 0.2, 2), r"split\.test is a share above 0 .*, not 2"),
        (lambda n: transfer(of_datasets(n, {"x": "abc", "y": "ab"}), 5, 5), r"train_on is a list"),
        (lambda n: transfer(of_datasets(n, {"x": "ab", "y": "ab"}), 5, [1]), "no dataset '1'; av"),
    ],
)
def test_a_split_that_cannot_be_says_why(night, split, message):
    with pytest.raises(InputError, match=message):
        split(night)


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


# who there is of each dataset; a person may have several nights
DATASETS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.lists(st.integers(0, 9), min_size=1, max_size=15),
    min_size=2,
).filter(lambda d: sum(len(set(people)) for people in d.values()) > 4)


def of_datasets(night, datasets):
    return [n for name, people in datasets.items() for n in of_people(night, *people, dataset=name)]


def shuffled(nights, seed=0):
    return [nights[i] for i in np.random.default_rng(seed).permutation(len(nights))]


def require_apart(split):
    groups = people_of(split)
    assert sum(map(len, groups.values())) == len(set.union(*groups.values()))


@settings(deadline=None)
@given(datasets=DATASETS, seed=st.integers(0, 1000), data=st.data())
def test_folds_hold_as_much_of_every_dataset_and_everybody_once(night, datasets, seed, data):
    nights = of_datasets(night, datasets)
    everybody = {n.person for n in nights}
    number = data.draw(st.integers(2, len(everybody) - 1))
    splits = [folds(shuffled(nights, seed), 5, number, fold, seed=seed) for fold in range(number)]
    tested = [people_of(split)["test"] for split in splits]
    assert sorted(person for fold in tested for person in fold) == sorted(everybody)
    for those in (everybody, *({n.person for n in nights if n.dataset == d} for d in datasets)):
        sizes = [len(fold & those) for fold in tested]
        assert max(sizes) - min(sizes) <= 1
    for split in splits:
        require_apart(split)


@settings(deadline=None)
@given(people=st.integers(4, 30), seed=st.integers(0, 1000), data=st.data())
def test_folds_of_one_dataset_are_those_of_a_permutation_cut_evenly(night, people, seed, data):
    nights = of_people(night, *(f"p{number:02d}" for number in range(people)))
    number = data.draw(st.integers(2, people))
    drawn = np.random.default_rng(seed).permutation(sorted(n.person for n in nights)).tolist()
    larger, size = people % number, people // number
    for fold in range(number):
        start = fold * size + min(fold, larger)
        split = folds(nights, 5, number, fold, validation=1, seed=seed)
        assert people_of(split)["test"] == set(drawn[start : start + size + (fold < larger)])


@settings(deadline=None)
@given(
    people=st.lists(st.integers(0, 12), min_size=6, max_size=30).filter(lambda p: len(set(p)) > 5),
    trial=st.integers(0, 50),
    seed=st.integers(0, 50),
)
def test_curves_of_a_trial_grow_and_share_their_test_nights(night, people, trial, seed):
    nights = of_people(night, *people)
    sizes = range(1, sum(people.count(p) for p in sorted(set(people), key=people.count)[:-5]) + 1)
    splits = [
        learning_curve(shuffled(nights, size), 5, size, trial, validation=2, test=3, seed=seed)
        for size in sizes
    ]
    before: set[str] = set()
    for size, split in zip(sizes, splits, strict=True):
        require_apart(split)
        ids = {part.night.id for part in split["train"]}
        assert len(ids) == size
        assert before < ids
        before = ids
        assert {name: len(those) for name, those in people_of(split).items()} | {"train": 0} == {
            "train": 0,
            "validation": 2,
            "test": 3,
        }
        for name in ("validation", "test"):
            assert split[name] == splits[0][name]
            assert {n.id for n in nights if n.person in people_of(split)[name]} == {
                part.night.id for part in split[name]
            }


def test_another_trial_has_other_people(night):
    nights = of_people(night, *(f"p{number:02d}" for number in range(20)))
    tested = {str(people_of(learning_curve(nights, 5, 4, trial))["test"]) for trial in range(20)}
    assert len(tested) > 15
    assert learning_curve(nights, 5, 4, 3, seed=1) != learning_curve(nights, 5, 4, 3)
    two = [*of_people(night, *"abcdefgh", dataset="x"), *of_people(night, *"ab", dataset="y")]
    validated = {
        str(people_of(transfer(two, 5, "x", trial=trial))["validation"]) for trial in range(10)
    }
    assert len(validated) > 3


@settings(deadline=None)
@given(datasets=DATASETS, trial=st.integers(0, 50), data=st.data())
def test_transfer_tests_all_of_one_dataset_and_trains_on_none_of_it(night, datasets, trial, data):
    nights = of_datasets(night, datasets)
    tested = data.draw(st.sampled_from(sorted(datasets)))
    others = {n.person for n in nights if n.dataset != tested}
    if len(others) < 2:
        return
    split = transfer(shuffled(nights, trial), 5, test_on=tested, trial=trial)
    require_apart(split)
    assert {p.night.id for p in split["test"]} == {n.id for n in nights if n.dataset == tested}
    groups = people_of(split)
    assert groups["train"] | groups["validation"] == others
    assert len(groups["validation"]) == max(1, round(0.3 * len(others)))
    named = sorted(set(datasets) - {tested})
    assert transfer(nights, 5, named, [tested], trial) == split
    assert transfer(nights, 5, train_on=named, trial=trial) == split


def test_people_of_the_same_name_in_different_datasets_are_different(night):
    nights = of_datasets(night, {"x": "abc", "y": "abc"})
    split = transfer(nights, 5, train_on="x")
    assert people_of(split)["test"] == {"y-a", "y-b", "y-c"}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            lambda n: learning_curve(of_people(n, *"abcdefgh"), 5, 3),
            r"split\.training_nights=3: 2 of 8 nights are left where 3 people are for test and 3 "
            r"for validation; set it from 1 to 2",
        ),
        (lambda n: learning_curve(of_people(n, *"abcdefgh"), 5, 0), "training_nights=0: 2 of 8"),
        (
            lambda n: learning_curve(of_people(n, *"abcdefgh"), 5, 1, -1),
            r"split\.trial is a whole number from 0 on, not -1",
        ),
        (lambda n: learning_curve(of_people(n, *"abcd"), 5, 1), r"split\.test=3 of 4 people"),
        (
            lambda n: learning_curve(of_people(n, *"abcde"), 5, 1),
            r"split\.validation=3 of 5 people",
        ),
        (
            lambda n: transfer(of_people(n, *"abc"), 5, test_on="x"),
            "split=transfer is for several datasets; take data=dodh_and_dodo",
        ),
        (
            lambda n: transfer(of_datasets(n, {"x": "abc", "y": "ab"}), 5),
            r"set split\.train_on or split\.test_on; the datasets are x, y",
        ),
        (
            lambda n: transfer(of_datasets(n, {"dodh": "abc", "mass": "ab"}), 5, "dohd"),
            r"split\.train_on: no dataset 'dohd'; did you mean 'dodh'\?",
        ),
        (
            lambda n: transfer(of_datasets(n, {"x": "abc", "y": "ab"}), 5, ["x", "y"], "y"),
            r"split\.train_on and split\.test_on both name 'y'",
        ),
        (
            lambda n: transfer(of_datasets(n, {"x": "abc", "y": "ab"}), 5, ["x", "y"]),
            "no dataset to train on or to test on; name fewer of x, y",
        ),
        (
            lambda n: transfer(of_datasets(n, {"x": "a", "y": "ab"}), 5, "x"),
            r"split\.validation=0\.3 of 1 people leaves a part empty",
        ),
    ],
)
def test_nights_that_do_not_suffice_are_refused_with_what_to_type(night, split, message):
    with pytest.raises(InputError, match=message):
        split(night)


@pytest.mark.parametrize("value", ["abc", 1.5, True, [1], float("nan"), -1])
@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (holdout, "validation"),
        (holdout, "test"),
        (holdout, "seed"),
        (folds, "folds"),
        (folds, "fold"),
        (folds, "validation"),
        (folds, "seed"),
        (learning_curve, "training_nights"),
        (learning_curve, "trial"),
        (learning_curve, "validation"),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_by_its_name(night, kind, key, value):
    given = {"training_nights": 1} if kind is learning_curve else {}
    with pytest.raises(InputError, match=rf"split\.{key}(=| is a)") as error:
        kind(of_people(night, *"abcdefghij"), 5, **{**given, key: value})
    assert "\n" not in str(error.value)


def test_a_number_of_people_may_be_written_with_a_point(night):
    nights = of_people(night, *"abcdefghij")
    assert holdout(nights, 5, 2.0, 3.0) == holdout(nights, 5, 2, 3)


def require_of_each_dataset(drawn, left, number):
    """Of the people `left`, a number is drawn: of each dataset that can spare one, if it suffices.

    And none is used up while another has people to spare.
    """
    of = {dataset: {p for p in left if p[0] == dataset} for dataset in {p[0] for p in left}}
    can = {dataset for dataset, people in of.items() if len(people) > 1}
    assert len(drawn) == number
    if number >= len(can):
        assert can <= {person[0] for person in drawn}
    if number <= sum(len(people) - 1 for people in of.values()):
        assert not any(people <= drawn for people in of.values())


@settings(deadline=None)
@given(datasets=DATASETS, seed=st.integers(0, 1000), data=st.data())
def test_each_dataset_is_in_every_validation_part_where_it_can_be(night, datasets, seed, data):
    nights = shuffled(of_datasets(night, datasets), seed)
    everybody = {n.person for n in nights}
    few = st.integers(1, (len(everybody) - 1) // 2)
    validating, testing = data.draw(few), data.draw(few)
    held = people_of(holdout(nights, 5, validating, testing, seed))
    require_of_each_dataset(held["test"], everybody, testing)
    require_of_each_dataset(held["validation"], everybody - held["test"], validating)
    for fold in range(3):
        folded = people_of(folds(nights, 5, 3, fold, 1 + fold % 2, seed))
        others = everybody - folded["test"]
        require_of_each_dataset(folded["validation"], others, 1 + fold % 2)
    test_on = data.draw(st.sampled_from(sorted(datasets)))
    others = {person for person in everybody if person[0] != test_on}
    if len(others) > 1:
        moved = people_of(transfer(nights, 5, test_on=test_on, validation=1, seed=seed))
        require_of_each_dataset(moved["validation"], others, 1)


def test_datasets_are_drawn_from_by_their_shares(night):
    nights = of_datasets(night, {"a": range(40), "b": range(10)})
    split = people_of(holdout(nights, 5, validation=10, test=10))
    for name in ("validation", "test"):
        assert sorted(person[0] for person in split[name]) == ["a"] * 8 + ["b"] * 2


@settings(deadline=None)
@given(people=st.integers(10, 30), seed=st.integers(0, 1000), further=st.integers(0, 4))
def test_people_of_one_dataset_are_the_first_of_a_permutation(night, people, seed, further):
    nights = of_people(night, *(f"p{number:02d}" for number in range(people)))
    everybody = sorted(n.person for n in nights)
    drawn = np.random.default_rng(seed).permutation(everybody).tolist()
    split = people_of(holdout(nights, 5, validation=3, test=2, seed=seed))
    assert (split["test"], split["validation"]) == (set(drawn[:2]), set(drawn[2:5]))

    split = people_of(folds(nights, 5, 5, further, validation=3, seed=seed))
    others = sorted(set(everybody) - split["test"])
    drawn = np.random.default_rng((seed, further)).permutation(others).tolist()
    assert split["validation"] == set(drawn[:3])

    split = people_of(learning_curve(nights, 5, 3, further, validation=3, test=2, seed=seed))
    drawn = np.random.default_rng((seed, further)).permutation(everybody).tolist()
    assert [split[name] for name in ("test", "validation", "train")] == [
        set(drawn[a:b]) for a, b in ((0, 2), (2, 5), (5, 8))
    ]
