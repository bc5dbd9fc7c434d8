"""A setting is broken where it can be read on, and never inside a number."""

import re

from hypothesis import given
from hypothesis import strategies as st

from sleep_lab.evaluation.setting_label import JOINT, broken, longest_piece

KEYS = st.sampled_from(["optimizer.lr", "encoder", "split.training_nights", "data.channels"])
NUMBERS = st.floats(1e-9, 1e9).map(str) | st.integers(0, 10**9).map(str)
VALUES = NUMBERS | st.sampled_from(["simple_sleep", "paper/chambon", "[C3-M2,EOG1]"])
LABELS = st.lists(st.builds("{}={}".format, KEYS, VALUES), min_size=1, max_size=4).map(" ".join)


@given(LABELS, st.integers(0, 30))
def test_a_label_is_whole_in_lines_that_fit_and_its_numbers_are_unbroken(label, more):
    width = longest_piece([label]) + more
    lines = broken(label, width)
    assert "".join(lines).replace(" ", "") == label.replace(" ", "")
    assert all(0 < len(line) <= width for line in lines)
    number = r"(?<![\w.])\d[\d.e+-]*"
    assert sorted(re.findall(number, "\n".join(lines))) == sorted(re.findall(number, label))


def test_words_stay_together_where_they_can():
    label = "encoder=simple_sleep optimizer.lr=0.00161"
    assert broken(label, 41) == [label]
    assert broken(label, 40) == label.split()
    assert broken(label, 15) == ["encoder=simple_", "sleep", "optimizer.lr=", "0.00161"]
    assert broken(label, 10) == ["encoder=", "simple_", "sleep", "optimizer.", "lr=0.00161"]


def test_only_what_is_wider_than_a_line_is_broken_anywhere():
    assert broken("x=0.0012520653", 8) == ["x=0.0012", "520653"]
    assert longest_piece(["x=0.0012520653", "reducer=max_pool"]) == len("0.0012520653")
    assert longest_piece([]) == 0
    assert JOINT.split("split.fold=1.5e-3") == ["split.", "fold=", "1.5e-3"]
