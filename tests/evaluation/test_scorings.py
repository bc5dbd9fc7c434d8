"""Hypnograms are read as they are, or not at all."""

import json

import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.evaluation.scorings import of_records, read_hypnograms
from sleep_lab.stages import N1, N2, N3, REM, UNSCORED, W


def stages(*codes):
    return np.array(codes, np.int8)


def write(folder, name, record, content):
    file = folder / name / f"{record}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_a_folder_of_codes_names_or_annotation_texts_is_read(tmp_path):
    write(tmp_path, "ann", "n1", [0, 1, 2, 3, 4, -1])
    write(tmp_path, "bob", "n1", ["W", "N1", "N2", "N3", "REM", None])
    write(tmp_path, "cleo", "n1", ["Sleep stage W", 1, "Sleep stage 2", 3.0, "Sleep stage R", "?"])
    write(tmp_path, ".hidden", "n1", "no json")
    (tmp_path / "README.md").write_text("about these scorings")
    found = read_hypnograms(tmp_path)
    assert list(found) == ["ann", "bob", "cleo"]
    for nights in found.values():
        assert nights["n1"].dtype == np.int8
        np.testing.assert_array_equal(nights["n1"], [W, N1, N2, N3, REM, UNSCORED])


def test_a_folder_and_an_npz_file_of_the_same_hypnograms_are_the_same(tmp_path):
    rng = np.random.default_rng(0)
    hypnograms = {
        f"{name}/night {n}": rng.integers(-1, 5, 40 + n) for name in ("a", "b") for n in range(3)
    }
    np.savez(tmp_path / "all.npz", **hypnograms)
    for key, codes in hypnograms.items():
        write(tmp_path / "folder", *key.split("/"), codes.tolist())
    packed, listed = read_hypnograms(tmp_path / "all.npz"), read_hypnograms(tmp_path / "folder")
    assert {name: set(nights) for name, nights in packed.items()} == {
        name: set(nights) for name, nights in listed.items()
    }
    for key, codes in hypnograms.items():
        name, record = key.split("/")
        np.testing.assert_array_equal(packed[name][record], codes)
        np.testing.assert_array_equal(listed[name][record], codes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[0, 1", "cannot be read as json"),
        ('{"stages": [0]}', "holds no list"),
        ("[]", "is empty"),
        ("[0, 7]", r"holds 7\b.* which is no stage"),
        ("[0, NaN]", r"holds nan\b.* which is no stage"),
        ('["W", "S2"]', "'S2' is no stage; write W, N1"),
        ("[[0], [1]]", "is no stage"),
        ("[" * 100_000, "cannot be read as json"),
        ("\x00\xff", "cannot be read as json"),
    ],
)
def test_a_json_file_that_is_no_hypnogram_is_one_clear_line(tmp_path, content, message):
    file = write(tmp_path, "ann", "n1", content)
    with pytest.raises(InputError, match=message) as caught:
        read_hypnograms(tmp_path)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ann": [0]}, "'ann'; name it NAME/RECORD"),
        ({"ann/../n": [0]}, "name it NAME/RECORD"),
        ({"../n1": [0]}, "name it NAME/RECORD"),
        ({"ann/n1": [[0], [1]]}, "ann/n1: the hypnogram is an array of int64 with shape"),
        ({"ann/n1": [9]}, "holds 9"),
        ({"ann/n1": np.array([{"a": 1}], dtype=object)}, "cannot be read as npz"),
        ({}, "holds no hypnograms"),
    ],
)
def test_an_npz_file_that_holds_no_hypnograms_is_one_clear_line(tmp_path, arrays, message):
    np.savez(tmp_path / "all.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        read_hypnograms(tmp_path / "all.npz")
    assert "\n" not in str(caught.value)


def test_what_is_neither_a_folder_nor_an_npz_file_is_one_clear_line(tmp_path):
    (tmp_path / "noise.npz").write_bytes(b"PK\x03\x04 and then nothing")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "empty" / "ann").mkdir(parents=True)
    for name, message in {
        "noise.npz": "cannot be read as npz",
        "one.npy": "holds one array",
        "missing": "not found",
        "empty": "ann: no json files",
        "empty/ann": "no folders in it",
    }.items():
        with pytest.raises(InputError, match=message):
            read_hypnograms(tmp_path / name)


def test_some_of_the_nights_can_be_taken():
    scorers = {"a": {"n1": stages(0), "n2": stages(1)}, "b": {"n1": stages(2), "n2": stages(3)}}
    assert of_records(scorers, ["n2"]) == {"a": {"n2": stages(1)}, "b": {"n2": stages(3)}}
    with pytest.raises(InputError, match="a has no hypnogram of night n3; did you mean"):
        of_records(scorers, ["n3"])
