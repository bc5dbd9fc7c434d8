"""Parts of nights: what a split must be, and how it is written down and found again."""

import numpy as np
import pytest

from sleep_lab.data import (
    Context,
    WindowDataset,
    describe,
    holdout,
    named,
    restore,
    within_recording,
)
from sleep_lab.errors import InputError
from sleep_lab.preparation import prepare
from sleep_lab.recordings import simulated_nights
from tests.data.people import of_people
from tests.nights import preparation, prepared_night


def test_a_part_has_its_own_share_of_every_scoring(tmp_path):
    source = simulated_nights(nights=1, hours=1, sampling_rate=64, channels=["C3-M2"], scorers=2)[0]
    night = prepare(source, preparation(("C3-M2",)), tmp_path)
    parts = [part for kind in within_recording([night], 5).values() for part in kind]
    assert [part.first for part in parts] == sorted({part.first for part in parts})
    for part in parts:
        assert list(part.scorings) == ["scorer_1", "scorer_2"]
        for name, stages in source.open().scorings.items():
            np.testing.assert_array_equal(part.scorings[name], stages[part.first : part.last])


def test_an_unscored_part_is_refused(tmp_path):
    nights = [
        prepared_night(tmp_path, f"n{i}", hypnogram=None if i == 2 else "random", seed=i)
        for i in range(3)
    ]
    with pytest.raises(InputError, match=r"test part has no scored sleep epoch \(n2\)"):
        named(nights, 5, ["n0"], ["n1"], ["n2"])


def test_a_described_split_is_restored(night):
    nights = of_people(night, *"abcd")
    split = holdout(nights, 5)
    facts = describe(split)
    for name, parts in split.items():
        assert restore(facts[name], nights) == parts
    with pytest.raises(InputError, match="is gone"):
        restore(facts["train"], [])


@pytest.mark.parametrize("kind", [holdout, within_recording])
@pytest.mark.parametrize("padding_s", [0, 60, 150])
def test_a_split_of_nights_that_had_other_padding_is_the_split_of_today(
    night, tmp_path, kind, padding_s
):
    nights = of_people(prepared_night(tmp_path, epochs=100, padding_s=padding_s), *"abcd")
    facts = describe(kind(of_people(night, *"abcd"), 5))
    again = {name: restore(parts, nights) for name, parts in facts.items()}
    assert again == kind(nights, 5)
    for parts in again.values():
        windows = WindowDataset(parts, Context(5))
        windows.__getitems__(range(len(windows)))


def test_a_part_inside_a_night_never_reaches_beyond_the_padding(night, tmp_path):
    short = prepared_night(tmp_path, epochs=100, padding_s=0)
    facts = {"night": "night", "first": 1, "last": 99, "visible_first": -3, "visible_last": 103}
    (wide,), (narrow,) = restore([facts], [night]), restore([facts], [short])
    assert (wide.visible_first, wide.visible_last) == (-3, 103)
    assert (narrow.first, narrow.last) == (1, 99)
    assert (narrow.visible_first, narrow.visible_last) == (0, 100)
