"""Features of tables: columns as they are and as z-scores, and nights without signals."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sleep_lab.errors import InputError
from sleep_lab.preparation import (
    Columns,
    EpochIndex,
    PerNight,
    Preparation,
    ShannonEntropy,
    prepare,
    prepare_all,
)
from sleep_lab.preparation.preparation import Derivation
from sleep_lab.recordings import feature_tables
from tests.nights import Night, Samples, recording
from tests.shared import SHARED, needs_shared


def table(values):
    """A night whose channels are these columns, (epochs, columns)."""
    names = tuple("ABCDEFGH"[: values.shape[1]])
    night = recording(len(values), 1 / 30, names)
    return replace(night, source=Samples(np.asarray(values.T, dtype=np.float32)))


TABLES = arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 3)),
    elements=st.floats(-1024, 1024, width=32),
)


@given(values=TABLES, padding=st.integers(0, 3))
def test_columns_are_the_table_between_its_first_and_last_row(values, padding):
    rows = Columns()(table(values), padding)
    np.testing.assert_array_equal(rows[padding : padding + len(values)], values)
    np.testing.assert_array_equal(rows[:padding], values[[0] * padding])
    np.testing.assert_array_equal(rows[padding + len(values) :], values[[-1] * padding])


def test_columns_are_chosen_by_name_in_the_order_given():
    values = np.arange(12.0).reshape(4, 3)
    np.testing.assert_array_equal(Columns(("C", "A"))(table(values), 0), values[:, [2, 0]])
    with pytest.raises(InputError, match=r"no channel 'D'; .*available: A, B, C"):
        Columns(("D",))(table(values), 0)


def test_columns_of_a_cut_are_its_rows():
    values = np.arange(80.0).reshape(40, 2)
    np.testing.assert_array_equal(Columns()(table(values).cut(7, 33), 0), values[7:33])


def test_a_resolved_preparation_reads_another_table_by_the_names_of_the_first(tmp_path):
    first, other, short = (tmp_path / f"{name}.csv" for name in ("first", "other", "short"))
    first.write_text("stage,a,b\nW,1,2\nN1,3,5\n")
    other.write_text("b,scored,extra,a\n2,W,x,1\n5,N1,y,3\n")
    short.write_text("stage,a\nW,1\nN1,3\n")
    features = {"raw": Columns(), "scaled": PerNight(Columns()), "index": EpochIndex()}
    (source,) = feature_tables(first)
    prep = Preparation({}, features).resolved(source.open())
    assert prep.features == {
        "raw": Columns(("a", "b")),
        "scaled": PerNight(Columns(("a", "b"))),
        "index": EpochIndex(),
    }
    for path, stage in ((first, "stage"), (first, None), (other, "scored"), (other, None)):
        (source,) = feature_tables(path, stage=stage)
        night = prepare(source, prep, tmp_path / "store")
        np.testing.assert_array_equal(night.feature("raw"), [[1, 2], [3, 5]])
        np.testing.assert_array_equal(night.feature("scaled"), [[-1, -1], [1, 1]])
        assert night.scored == (stage is not None)
    (source,) = feature_tables(short)
    with pytest.raises(InputError, match=r"short\.csv: no channel 'b'"):
        prepare(source, prep, tmp_path / "store")


def test_names_that_were_given_stay_when_a_preparation_is_resolved():
    prep = Preparation({}, {"some": PerNight(Columns(("C", "A"))), "index": EpochIndex()})
    assert prep.resolved(table(np.ones((2, 3)))) == prep


def test_a_signal_is_no_column():
    with pytest.raises(InputError, match=r"'A' is a signal of 50 Hz; take another feature"):
        Columns()(recording(4), 0)


@settings(deadline=None)
@given(values=TABLES, padding=st.integers(0, 3), shift=st.sampled_from([0.0, 1e4]))
def test_each_column_of_a_night_has_mean_0_and_deviation_1_unless_it_is_constant(
    values, padding, shift
):
    values = values + np.float32(shift)
    rows = PerNight(Columns())(table(values), padding)
    constant = (values == values[0]).all(axis=0)
    np.testing.assert_array_equal(rows[:, constant], 0)
    night = rows[padding : padding + len(values)]
    expected = scipy.stats.zscore(values[:, ~constant].astype(np.float64), axis=0)
    np.testing.assert_allclose(night[:, ~constant], expected, atol=1e-9)
    np.testing.assert_array_equal(rows[:padding], night[[0] * padding])


def test_any_feature_can_be_put_on_the_night_s_scale():
    night = recording(20, 50.0)
    entropy = ShannonEntropy(("A", "B"))
    plain = entropy(night, 0)
    scaled = PerNight(entropy)(night, 2)
    expected = (plain - plain.mean(axis=0)) / plain.std(axis=0)
    np.testing.assert_allclose(scaled[2:-2], expected, rtol=1e-12)
    # padding is mapped like the night
    np.testing.assert_allclose(scaled[0], -plain.mean(axis=0) / plain.std(axis=0), rtol=1e-12)


def test_a_preparation_of_features_alone_survives_json():
    features = {"table": PerNight(Columns()), "some": Columns(("A",)), "index": EpochIndex()}
    prep = Preparation({}, features, padding_s=900)
    again = Preparation.from_dict(**json.loads(json.dumps(prep.to_dict())))
    assert again == prep
    assert again.fingerprint == prep.fingerprint
    assert Preparation({}, features, padding_s=600).fingerprint != prep.fingerprint


def test_a_null_in_the_montage_leaves_the_group_out_and_its_padding_to_the_preparation():
    facts = {
        "montage": {"psg": None, "eog": ["A"]},
        "processings": [],
        "features": {"index": {"_target_": "sleep_lab.preparation.features.EpochIndex"}},
        "padding_s": 900,
    }
    assert Preparation.from_dict(**facts) == Preparation(
        {"eog": Derivation(("A",))}, {"index": EpochIndex()}
    )
    alone = Preparation.from_dict(**{**facts, "montage": {"psg": None}})
    assert alone == Preparation({}, {"index": EpochIndex()}, padding_s=900)


def test_padding_that_cannot_be_is_refused():
    features = {"index": EpochIndex()}
    for padding_s in (-30, 40):
        with pytest.raises(InputError, match=f"padding_s is a multiple of 30, not {padding_s}"):
            Preparation({}, features, padding_s=padding_s)
    with pytest.raises(InputError, match="want a Padding instead"):
        Preparation({"psg": Derivation(("A",))}, features, padding_s=900)


def test_a_night_without_signals_is_padded_as_the_preparation_says(tmp_path):
    prep = Preparation({}, {"index": EpochIndex(scale=1)}, padding_s=90)
    night = prepare(Night(), prep, tmp_path)
    assert (night.padding, night.padded_epochs, night.groups) == (3, 46, {})
    np.testing.assert_array_equal(night.feature("index")[:5, 0], [0, 0, 0, 0, 1])
    assert night.padded_hypnogram[:3].tolist() == [-1] * 3
    np.testing.assert_array_equal(night.hypnogram, recording().hypnogram)


def test_a_table_that_changes_is_prepared_again(tmp_path):
    path = tmp_path / "n.npz"
    prep = Preparation({}, {"table": Columns()}, padding_s=30)
    for number in (1.0, 2.0):
        np.savez(path, features=np.full((4, 2), number), stages=[0, 1, 2, 3])
        (source,) = feature_tables(path)
        night = prepare(source, prep, tmp_path / "store")
        np.testing.assert_array_equal(night.feature("table"), np.full((6, 2), number))


@needs_shared
def test_the_real_band_powers_are_prepared_as_the_baseline_had_them(tmp_path):
    path = SHARED / "recordings" / "sleep_edf_band_powers.npz"
    sources = feature_tables(path, person_pattern="^.{5}")
    prep = Preparation({}, {"table": PerNight(Columns())}, padding_s=60)
    nights = prepare_all(sources, prep, tmp_path, workers=1)
    raw = np.load(path)
    for night in nights:
        features = raw[f"{night.id}/features"]
        expected = scipy.stats.zscore(features.astype(np.float64), axis=0)
        np.testing.assert_allclose(night.feature("table")[2:-2], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(night.hypnogram, raw[f"{night.id}/stages"])
    assert sum(night.epochs for night in nights) == 20230
