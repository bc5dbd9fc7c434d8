"""Splits that somebody has written down, in the config or in a file."""

import json
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from sleep_lab.data import (
    NightPart,
    describe,
    from_file,
    holdout,
    named,
    within_recording,
    write_split,
)
from sleep_lab.errors import InputError
from tests.data.people import of_people


@pytest.mark.parametrize(
    ("split", "message"),
    [
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
        (
            lambda n: named(of_people(n, *"ab"), 5, ["night-0"], ["night-1"], ["night-0"]),
            r"night 'night-0': test and train see the same sleep epochs; put it in one of them",
        ),
        (
            lambda n: named(of_people(n, *"abc"), 5, "night-0", ["night-1"], ["night-2"]),
            r"split\.train is a list of nights' ids: write \[night-0\]",
        ),
        (
            lambda n: named(of_people(n, *"abc"), 5, ["night-0"], 7, ["night-2"]),
            r"split\.validation is a list of nights' ids: write \[7\]",
        ),
        (
            lambda n: named(of_people(n, *"abc"), 5, ["night-0"], ["night-1"], [2]),
            r"split\.test: no night '2'; .*available: night-0, night-1, night-2",
        ),
        (lambda n: from_file(of_people(n, *"abc"), 5, 7), r"split\.file=7: cannot be read"),
    ],
)
def test_named_nights_that_make_no_split_are_refused(night, split, message):
    with pytest.raises(InputError, match=message):
        split(night)


LISTS = {"train": ["night-0", "night-3"], "validation": ["night-2"], "test": ["night-1"]}


@pytest.mark.parametrize("name", ["split.json", "split.yaml"])
def test_lists_in_a_file_are_the_named_split(night, tmp_path, name):
    nights = of_people(night, *"abcde")
    text = json.dumps(LISTS) if name.endswith("json") else OmegaConf.to_yaml(LISTS)
    (tmp_path / name).write_text(text)
    split = from_file(nights, 5, str(tmp_path / name))
    assert describe(split) == describe(named(nights, 5, **LISTS))


def test_ids_in_yaml_that_look_like_numbers_stay_what_they_are(night, tmp_path):
    ids = ["01_002", "1e3", "2020-01-01"]
    nights = [
        replaced
        for replaced, name in zip(of_people(night, *"abc"), ids, strict=True)
        if not object.__setattr__(replaced, "id", name)
    ]
    (tmp_path / "split.yaml").write_text("train: [01_002]\nvalidation: [1e3]\ntest: [2020-01-01]\n")
    split = from_file(nights, 5, str(tmp_path / "split.yaml"))
    assert [part.night.id for parts in split.values() for part in parts] == ids


@pytest.mark.parametrize("kind", [holdout, within_recording])
def test_the_split_of_a_run_is_made_again_from_its_file(night, tmp_path, kind):
    nights = of_people(night, *"aabcde")
    split = kind(nights, 5)
    write_split(tmp_path / "split.json", split, {"seed": 0})
    again = from_file(nights[::-1], 5, str(tmp_path / "split.json"))
    assert again == split
    content = json.loads((tmp_path / "split.json").read_text())
    assert content["options"] == {"seed": 0}
    assert {part["person"] for part in content["test"]} == {p.night.person for p in split["test"]}


def test_parts_of_a_file_that_see_the_same_epochs_are_refused(night, tmp_path):
    split = within_recording([night], 5)
    facts = describe(split)
    facts["test"][0]["visible_first"] = facts["train"][0]["last"] - 1
    (tmp_path / "split.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"'night': .*train and test see the same sleep epochs"):
        from_file([night], 5, str(tmp_path / "split.json"))


def test_a_person_in_two_parts_of_a_file_is_refused(night, tmp_path):
    nights = of_people(night, "a", "b", "c", "a")
    (tmp_path / "split.json").write_text(
        json.dumps(describe(holdout(of_people(night, *"abcd"), 5)))
    )
    with pytest.raises(InputError, match="person 'a' is in two parts of the split"):
        from_file(nights, 5, str(tmp_path / "split.json"))


@pytest.mark.parametrize("moved", ["train", "test"])
def test_that_one_night_is_cut_excuses_nobody_else_s_nights_on_two_sides(night, tmp_path, moved):
    cut, *whole = of_people(night, *"abcd")
    split = within_recording([cut], 5)
    for name, another in zip(split, whole, strict=True):
        split[name].append(NightPart.whole(another))
    assert_read(tmp_path, split, [cut, *whole])
    split[moved].append(NightPart.whole(replace(night, id="another", person="c")))
    with pytest.raises(InputError, match=rf"person 'c' is in two .*'another' in {moved}[,;]"):
        assert_read(tmp_path, split, [cut, *whole, split[moved][-1].night])


@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_a_whole_night_of_a_person_whose_other_night_is_cut_is_refused(night, tmp_path, side):
    cut, whole = of_people(night, "a", "a")
    split = within_recording([cut], 5)
    split[side].append(NightPart.whole(whole))
    with pytest.raises(
        InputError, match=r"'a' is in two .*'night-0' in train and validation and test, night '"
    ):
        assert_read(tmp_path, split, [cut, whole])


def assert_read(folder, split, nights):
    """Its file is read as the split itself."""
    write_split(folder / "split.json", split, {})
    assert from_file(nights, 5, str(folder / "split.json")) == split


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"split\.file=.*: cannot be read: .*No such file"),
        ("{", r"split\.file=.*: cannot be read: "),
        ("[1]", r"no list 'train' in it; it wants \{train: "),
        ('{"train": [], "validation": []}', "no list 'test' in it"),
        ('{"train": ["night-9"], "validation": [], "test": []}', "no night 'night-9'"),
        (
            '{"train": [{"night": "night-0"}], "validation": [], "test": []}',
            "no split that train.py wrote",
        ),
        (
            '{"train": [{"night": "night-0"}, "night-1"], "validation": [], "test": []}',
            "no split that train.py wrote",
        ),
        *(
            (
                '{"train": [{"night": "night-0", "visible_first": 0, "visible_last": 9, '
                f'"first": {limits}}}], "validation": [], "test": []}}',
                r"no split that train\.py wrote \(night 'night-0' from ",
            )
            for limits in ('-1, "last": 5', '5, "last": 5', '7, "last": 5')
        ),
        (
            '{"train": [{"night": "gone"}], "validation": [], "test": []}',
            "night 'gone' of the split is gone",
        ),
    ],
)
def test_a_file_that_holds_no_split_says_why(night, tmp_path, content, message):
    if content is not None:
        (tmp_path / "split.json").write_text(content)
    with pytest.raises(InputError, match=message):
        from_file(of_people(night, *"abc"), 5, str(tmp_path / "split.json"))
