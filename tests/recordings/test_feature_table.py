"""Tables of features: every format gives the same night, and bad ones are told in a line."""

import csv
import sys

import numpy as np
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyarrow import parquet

from sleep_lab.errors import InputError
from sleep_lab.recordings import feature_tables
from tests.shared import SHARED, needs_shared

BAND_POWERS = SHARED / "recordings" / "sleep_edf_band_powers.npz"

NAMES = ["delta", "theta, alpha", "bêta"]
VALUES = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32) * 1e3
STAGES = np.array([0, 1, 2, 3, 4, -1], np.int8)


def write_csv(path, columns, encoding="utf-8"):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def write_parquet(path, columns):
    parquet.write_table(pyarrow.table({name: list(c) for name, c in columns.items()}), path)


def write_npz(path, columns):
    names = [name for name in columns if name not in ("stage", "person")]
    facts = {"person": columns["person"][0]} if "person" in columns else {}
    np.savez(
        path,
        features=np.stack([columns[name] for name in names], axis=1),
        stages=columns["stage"],
        columns=names,
        **facts,
    )


WRITERS = {".csv": write_csv, ".parquet": write_parquet, ".npz": write_npz}


def written(folder, suffix=".csv", night="n1", values=VALUES, stages=STAGES, names=NAMES, **more):
    """A table of one night, the stages amid the features."""
    columns = dict(zip(names, values.T, strict=True))
    first, *others = columns.items()
    path = folder / f"{night}{suffix}"
    WRITERS[suffix](path, dict([first, ("stage", stages), *others, *more.items()]))
    return path


def opened(folder, **arguments):
    """The only night, opened and read."""
    (night,) = feature_tables(folder, **arguments)
    recording = night.open()
    values_of(recording)
    return recording


def values_of(recording):
    return np.stack([recording.read(c.name) for c in recording.channels], axis=1)


@pytest.mark.parametrize("suffix", WRITERS)
@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_format_gives_the_night_that_was_written(tmp_path, suffix, data):
    numbers = st.floats(-(2.0**99), 2.0**99, width=32)
    values = data.draw(
        arrays(np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=numbers)
    )
    stages = data.draw(arrays(np.int8, len(values), elements=st.integers(-1, 4)))
    path = written(tmp_path, suffix, values=values, stages=stages)
    night = opened(path)
    assert [channel.name for channel in night.channels] == NAMES
    assert {(c.kind, c.sampling_rate, c.unit) for c in night.channels} == {("other", 1 / 30, "")}
    np.testing.assert_array_equal(values_of(night), values)
    assert night.epochs == len(values)
    if (stages == -1).all():
        assert night.hypnogram is None
    else:
        np.testing.assert_array_equal(night.hypnogram, stages)
        assert night.hypnogram.dtype == np.int8


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_stages_may_be_names_and_a_column_may_name_the_person(tmp_path, suffix):
    names = np.array(["W", "1", "N2", "S4", "R", "?"])
    for night, person in (("a", "p1"), ("b", "p1"), ("c", "p2")):
        written(tmp_path, suffix, night, stages=names, person=np.array([person] * 6))
    nights = feature_tables(tmp_path)
    assert [(night.id, night.person) for night in nights] == [("a", "p1"), ("b", "p1"), ("c", "p2")]
    assert nights[0].open().hypnogram.tolist() == STAGES.tolist()
    assert [channel.name for channel in nights[0].open().channels] == NAMES
    by_name = feature_tables(tmp_path, person_pattern=".")
    assert [night.person for night in by_name] == ["a", "b", "c"]
    assert by_name[0].open().channels == nights[0].open().channels


def test_a_numeric_person_under_another_name_is_named(tmp_path):
    written(tmp_path, subject=np.full(6, 17))
    assert [n.person for n in feature_tables(tmp_path, person="subject")] == ["17"]
    assert len(opened(tmp_path, person="subject").channels) == 3
    with pytest.raises(InputError, match=r"no column 'subjct' \(data\.person\); did you mean"):
        feature_tables(tmp_path, person="subjct")
    with pytest.raises(InputError, match=r"data\.person or data\.person_pattern, not both"):
        feature_tables(tmp_path, person="subject", person_pattern="n")


@pytest.mark.parametrize("suffix", WRITERS)
def test_columns_of_another_order_are_put_in_the_first_table_s(tmp_path, suffix):
    written(tmp_path, suffix, "a")
    written(tmp_path, suffix, "b", VALUES[:, ::-1], names=NAMES[::-1])
    first, second = (night.open() for night in feature_tables(tmp_path))
    assert first.channels == second.channels
    np.testing.assert_array_equal(values_of(second), values_of(first))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["delta", "theta, alpha", "sigma"], "no column 'bêta', unlike the first"),
        ([*NAMES, "beta"], "one more column 'beta', unlike the first"),
        (["delta"], "no column 'theta, alpha'"),
    ],
)
def test_nights_of_different_columns_are_refused(tmp_path, names, said):
    written(tmp_path, night="a")
    written(tmp_path, night="b", values=np.ones((6, len(names))), names=names)
    nights = feature_tables(tmp_path)
    nights[0].open()
    with pytest.raises(InputError, match=rf"b\.csv: it has {said}"):
        nights[1].open()


def test_a_person_that_only_some_tables_name_is_refused(tmp_path):
    written(tmp_path, night="a")
    written(tmp_path, night="b", person=np.array(["p"] * 6))
    with pytest.raises(InputError, match=r"b\.csv: it has one more column 'person'"):
        feature_tables(tmp_path)[1].open()
    written(tmp_path, night="a", person=np.array(["p"] * 6))
    written(tmp_path, night="b")
    with pytest.raises(InputError, match=r"b\.csv: no column 'person', which the first table has"):
        feature_tables(tmp_path)


def test_nobody_need_have_scored_the_nights(tmp_path):
    np.savez(tmp_path / "n.npz", features=VALUES)
    night = opened(tmp_path, stage=None)
    assert night.hypnogram is None
    assert [channel.name for channel in night.channels] == ["column 0", "column 1", "column 2"]
    with pytest.raises(InputError, match=r"no array 'stages'; .*available: features"):
        feature_tables(tmp_path)


def test_a_night_without_index_or_order_mark_is_the_same_table(tmp_path):
    write_csv(tmp_path / "n.csv", {"stage": STAGES, "a": range(6)}, encoding="utf-8-sig")
    with (tmp_path / "n.csv").open("a") as file:
        file.write("\n\n")
    assert values_of(opened(tmp_path)).ravel().tolist() == [0, 1, 2, 3, 4, 5]


CSV = "stage,a,b\nW,1,2\nN1,3,4\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CSV.replace("3", "nan"), r"column 'a', row 2 is nan"),
        (CSV.replace("4", "1e39"), r"column 'b', row 2 is 1e39"),
        (CSV.replace("2", "high"), r"column 'b', row 1: 'high' is no number"),
        (CSV.replace("2", ""), r"column 'b', row 1: '' is no number"),
        (CSV.replace("N1", "Nap"), r"column 'stage': .* 'Nap' in sleep epoch 1"),
        (CSV.replace("stage", "stadium"), r"no column 'stage'; set data\.stage .*'stadium'"),
        (CSV.replace(",4", ""), r"line 3 has 2 cells, the header has 3"),
        (CSV.replace("a,b", "a,a"), r"two columns are called 'a'"),
        (CSV.replace("a,b", ",b"), r"column 2 has no name"),
        ("stage,a\n", "it has no rows"),
        ("stage\nW\n", "it has no column of features"),
        ("", "no column 'stage'; .*available: none"),
        ("stage,a,person\nW,1,x\nW,1,y\n", r"column 'person' names more than one person \(x, y\)"),
        (CSV.replace("N1", "\xff"), "cannot be read: .*; save it as UTF-8"),
        (CSV.replace(",", ";"), "cells must be separated by commas"),
        (CSV.replace(",", "\t"), "cells must be separated by commas"),
    ],
)
def test_a_bad_csv_says_where(tmp_path, text, said):
    (tmp_path / "n.csv").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=rf"n\.csv: {said}") as error:
        opened(tmp_path)
    assert "\n" not in str(error.value)


def test_a_column_of_text_is_an_error_where_it_is_read_and_nowhere_else(tmp_path):
    written(tmp_path, sleep=np.array(["W"] * 6))
    (night,) = feature_tables(tmp_path)
    recording = night.open()
    np.testing.assert_array_equal(np.stack([recording.read(n) for n in NAMES], axis=1), VALUES)
    with pytest.raises(InputError, match=r"n1\.csv: column 'sleep', row 1: 'W' is no number"):
        recording.read("sleep")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"features": VALUES, "stages": STAGES[:-1]}, r"stages have shape \(5,\), features 6"),
        ({"features": VALUES.ravel(), "stages": STAGES}, r"float32 with shape \(18,\)"),
        ({"features": VALUES.astype(str), "stages": STAGES}, r"array of <U"),
        ({"features": VALUES.astype(object), "stages": STAGES}, r"cannot be read: .*allow_pickle"),
        ({"features": VALUES, "stages": STAGES.astype(object)}, r"cannot be read: .*allow_pickle"),
        ({"features": VALUES[:0], "stages": STAGES[:0]}, "it has no rows"),
        ({"features": VALUES, "stages": STAGES + 3}, "5 in sleep epoch 2"),
        ({"features": VALUES, "stages": STAGES, "columns": ["a", "b"]}, "2 names.* 3 columns"),
        (
            {"features": VALUES, "stages": STAGES, "columns": ["a", "b", "a"]},
            "two columns are called 'a'",
        ),
        (
            {"features": VALUES, "stages": STAGES, "columns": ["a", "b", "stage"]},
            "two columns are called 'stage'",
        ),
        ({"other": VALUES}, "no array 'features'; .*available: other"),
    ],
)
def test_a_bad_npz_says_what_is_wrong(tmp_path, contents, said):
    np.savez(tmp_path / "n.npz", **contents)
    with pytest.raises(InputError, match=rf"n\.npz: .*{said}") as error:
        opened(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_file_that_is_no_table_is_refused(tmp_path, suffix):
    path = tmp_path / f"n{suffix}"
    path.write_text("slept well")
    with pytest.raises(InputError, match=rf"n\{suffix}: cannot be read") as error:
        opened(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"called \.npz, \.csv, \.parquet, not \.txt"):
        feature_tables(path.rename(tmp_path / "n.txt"))
    with pytest.raises(InputError, match=r"no \*\.npz or \*\.csv or \*\.parquet .* 1 x \.txt"):
        feature_tables(tmp_path)


def test_a_parquet_of_other_things_than_numbers_says_which(tmp_path):
    def table(**columns):
        parquet.write_table(pyarrow.table({"stage": [0, 1], **columns}), tmp_path / "n.parquet")
        return opened(tmp_path)

    assert len(table(a=[1, 2], __index_level_0__=[5, 6]).channels) == 1
    assert table(a=[True, False]).read("a").tolist() == [1, 0]
    nights = np.array(["2020-01-01", "2020-01-02"], "datetime64[ns]")
    for column, said in (
        ([1.0, None], r"column 'a', row 2 is nan"),
        (["x", "y"], r"column 'a', row 1: 'x' is no number"),
        ([1, None], r"column 'a', row 2 is nan"),
        ([[1], [2]], r"column 'a', row 1: .* is no number"),
        (nights, r"column 'a' holds datetime64\[ns\]"),
    ):
        with pytest.raises(InputError, match=said):
            table(a=column)


def test_without_pyarrow_parquet_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "n.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'sleep-lab\[parquet\]'"):
        feature_tables(tmp_path)


def test_one_npz_may_hold_many_nights(tmp_path):
    np.savez(
        tmp_path / "all.npz",
        **{f"site/{n}/features": VALUES + n for n in range(3)},
        **{f"site/{n}/stages": STAGES for n in range(3)},
        columns=NAMES,
    )
    nights = feature_tables(tmp_path / "all.npz", person_pattern=r"site-(\d)")
    assert [(night.id, night.person) for night in nights] == [
        ("site-0", "0"),
        ("site-1", "1"),
        ("site-2", "2"),
    ]
    np.testing.assert_array_equal(values_of(nights[2].open()), VALUES + 2)
    assert [channel.name for channel in nights[2].open().channels] == NAMES
    assert len({str(night.identity) for night in nights}) == 3
    assert len({night.files for night in nights}) == 1


def test_a_table_that_lies_there_in_two_formats_is_refused(tmp_path):
    written(tmp_path, ".csv")
    written(tmp_path, ".npz")
    with pytest.raises(InputError, match=r"n1\.csv and .*n1\.npz are both night 'n1'"):
        feature_tables(tmp_path)
    assert opened(tmp_path, pattern="*.npz").epochs == 6


def test_a_part_of_a_table_has_its_rows_and_stages(tmp_path):
    rows = np.arange(4000.0).reshape(2000, 2)
    stages = np.resize(STAGES, 2000)
    path = written(tmp_path, ".npz", values=rows, stages=stages, names=["a", "b"])
    night = opened(path)
    for first, last in ((0, 2000), (1, 2), (1998, 2000), (333, 1666)):
        part = night.cut(first, last)
        np.testing.assert_array_equal(values_of(part), rows[first:last])
        np.testing.assert_array_equal(part.hypnogram, stages[first:last])
    assert night.around_sleep(0).start_s == 30


@needs_shared
def test_the_real_table_of_sleep_edf_opens_night_by_night():
    nights = feature_tables(BAND_POWERS, person_pattern="^.{5}")
    assert (len(nights), len({night.person for night in nights})) == (20, 10)
    raw = np.load(BAND_POWERS)
    for night in nights:
        recording = night.open()
        np.testing.assert_array_equal(values_of(recording), raw[f"{night.id}/features"])
        np.testing.assert_array_equal(recording.hypnogram, raw[f"{night.id}/stages"])
    assert sum(night.open().epochs for night in nights) == 20230
