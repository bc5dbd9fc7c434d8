from dataclasses import replace
from datetime import datetime

import edfio
import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.recordings import Channel, Recording, open_recording
from tests.recordings.nights import stage_annotations, write_edf, write_reference_h5, write_scoring


class Counting:
    """Channel n holds n * 1e6, n * 1e6 + 1, ..."""

    def read(self, channel, start, stop):
        return np.arange(start, stop, dtype=np.float32) + channel * 1e6


def night(hypnogram=None, duration_s=300.0, channels=("C3", "E1")) -> Recording:
    return Recording(
        id="night",
        channels=tuple(Channel(name, "eeg", 100, int(duration_s * 100)) for name in channels),
        source=Counting(),
        hypnogram=None if hypnogram is None else np.array(hypnogram, np.int8),
        start_time=datetime(2020, 1, 1, 23, 59, 30),
        origin="night.edf",
        start_s=0.0,
        duration_s=duration_s,
    )


def test_a_channel_is_found_by_its_name_whatever_the_case():
    assert night().channel("e1").name == "E1"
    assert night().read("e1")[0] == 1e6
    two = night(channels=("c3", "C3"))
    assert two.read("C3")[0] == 1e6
    with pytest.raises(InputError, match=r"no channel 'cz'; .*available: c3, C3"):
        two.read("cz")


def test_an_unknown_channel_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"night\.edf: no channel 'C4'; did you mean 'C3'"):
        night().read("C4")


def test_cuts_of_a_cut_keep_time_signal_and_stages_together():
    cut = night(hypnogram=np.arange(10) % 5).cut(2, 9).cut(1, 4)
    assert cut.hypnogram.tolist() == [3, 4, 0]
    np.testing.assert_array_equal(cut.read("C3"), np.arange(9000, 18000))
    assert (cut.start_s, cut.duration_s, cut.epochs) == (90, 90, 3)
    assert cut.start_time == datetime(2020, 1, 2, 0, 1)


def test_further_scorings_are_cut_with_the_hypnogram():
    scored = night(hypnogram=[0, 0, 1, 2, 0, 0, 0, 0, 0, 0])
    whole = replace(scored, scorings={"Anna": np.arange(10, dtype=np.int8) % 5})
    assert whole.cut(2, 9).cut(1, 4).scorings["Anna"].tolist() == [3, 4, 0]
    assert whole.around_sleep(0.5).scorings["Anna"].tolist() == [1, 2, 3]
    assert whole.from_second(10).scorings == {}


@pytest.mark.parametrize("name", ["", ".", "..", "../Anna", "a/b", "a\\b", "a\nb", "a" * 101, "-a"])
def test_a_name_that_could_lead_elsewhere_is_no_scorers(name):
    with pytest.raises(InputError, match="is no name for a scorer") as error:
        replace(night(), scorings={name: np.zeros(10, np.int8)})
    assert "\n" not in str(error.value)


def test_a_scoring_of_another_length_is_refused():
    with pytest.raises(InputError, match=r"'Dr. Ü' scored has shape \(9,\).*each of 10"):
        replace(night(), scorings={"Dr. Ü": np.zeros(9, np.int8)})


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (3, 3), (4, 3), (0, 11)])
def test_epochs_that_are_not_there_cannot_be_cut_out(first, last):
    with pytest.raises(InputError, match="out of 10"):
        night().cut(first, last)


@pytest.mark.parametrize(
    ("minutes", "first", "last"), [(0, 3, 7), (0.5, 2, 7), (1, 1, 8), (1.5, 0, 9), (30, 0, 10)]
)
def test_minutes_around_sleep_count_from_the_first_and_last_onset(minutes, first, last):
    stages = [0, 0, -1, 1, 0, -1, 4, 0, -1, 0]
    cut = night(stages).around_sleep(minutes)
    assert (cut.start_s / 30, cut.start_s / 30 + cut.epochs) == (first, last)
    assert cut.hypnogram.tolist() == stages[first:last]


@pytest.mark.parametrize("stages", [None, [0] * 9 + [-1]])
def test_a_night_without_sleep_stays_whole(stages):
    assert night(stages).around_sleep(5).epochs == 10


def test_negative_minutes_around_sleep_are_refused():
    with pytest.raises(InputError, match="-1 minutes"):
        night([2] * 10).around_sleep(-1)


@pytest.mark.parametrize(("duration_s", "epochs"), [(299.995, 10), (299.9, 9), (30, 1), (29.9, 0)])
def test_only_whole_epochs_count(duration_s, epochs):
    assert night(duration_s=duration_s).epochs == epochs


@pytest.mark.parametrize("name", ["night.h5", "night.edf", "night"])
def test_the_format_is_told_by_the_content_not_by_the_name(tmp_path, name):
    write_edf(tmp_path / name)
    assert open_recording(tmp_path / name).channels[0].name == "EEG C3-M2"
    write_reference_h5(tmp_path / name, {"signals/eeg/C3_M2": np.zeros(3000)})
    assert open_recording(str(tmp_path / name)).channels[0].name == "C3_M2"


def test_what_is_no_recording_is_refused_with_the_reason(tmp_path):
    write_edf(tmp_path / "night1.edf")
    (tmp_path / "notes.edf").write_text("slept well")
    for name in ("empty.edf", "table.csv", "table.parquet", "TABLE.NPZ"):
        (tmp_path / name).touch()
    for name, said in {
        "nigth1.edf": r"no such file; did you mean .*night1\.edf",
        "nowhere/night.edf": "nor a folder",
        ".": "this is a folder",
        "notes.edf": r"neither h5 nor EDF or BDF \(it begins with b'slept we'\)",
        "empty.edf": "neither h5 nor EDF or BDF",
        "table.csv": r"use data=feature_table data\.folder=.*table\.csv$",
        "table.parquet": r"use data=feature_table data\.folder=.*table\.parquet$",
        "TABLE.NPZ": r"use data=feature_table data\.folder=.*TABLE\.NPZ$",
    }.items():
        with pytest.raises(InputError, match=said) as error:
            open_recording(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_night_shorter_than_a_sleep_epoch_is_refused(tmp_path):
    for path in (
        write_edf(tmp_path / "n.edf", epochs=0.9),
        write_reference_h5(tmp_path / "n.h5", {"signals/eeg/A": np.zeros(2700)}),
    ):
        with pytest.raises(InputError, match="lasts 27 s, less than one sleep epoch of 30 s"):
            open_recording(path)


def test_a_named_scoring_counts_more_than_the_one_in_the_file(tmp_path):
    path = write_edf(tmp_path / "n.edf", 4, stage_annotations(["W"] * 4))
    edf = write_scoring(tmp_path / "s.edf", stage_annotations(["N1", "N2", "N3", "R"]))
    h5 = write_reference_h5(
        tmp_path / "s.h5", {"signals/eeg/A": np.zeros(1)}, hypnogram=np.array([4, 3, 2, 1])
    )
    assert open_recording(path).hypnogram.tolist() == [0] * 4
    assert open_recording(path, edf).hypnogram.tolist() == [1, 2, 3, 4]
    assert open_recording(path, str(h5)).hypnogram.tolist() == [4, 3, 2, 1]


def test_a_scoring_in_edf_serves_an_h5_night(tmp_path):
    path = write_reference_h5(tmp_path / "n.h5", {"signals/eeg/A": np.zeros(12000)})
    edf = write_scoring(tmp_path / "s.edf", stage_annotations(["N1", "N2", "N3", "R"]))
    assert open_recording(path, edf).hypnogram.tolist() == [1, 2, 3, 4]


def test_a_scoring_without_stages_says_what_it_holds(tmp_path):
    path = write_edf(tmp_path / "n.edf")
    texts = [edfio.EdfAnnotation(n, 1, f"Event {n // 2}") for n in range(14)]
    scoring = write_scoring(tmp_path / "s.edf", texts)
    with pytest.raises(InputError, match=r"s\.edf: .* found: 'Event 0', .*, 'Event 4'$"):
        open_recording(path, scoring)
    h5 = write_reference_h5(tmp_path / "s.h5", {"signals/eeg/A": np.zeros(1)})
    with pytest.raises(InputError, match=r"s\.h5: .*'hypnogram'"):
        open_recording(path, h5)
    (tmp_path / "s.csv").write_text("epoch,stage\n0,W\n")
    with pytest.raises(InputError, match=r"s\.csv: it is neither .*; convert it to EDF$"):
        open_recording(path, tmp_path / "s.csv")


def test_an_unknown_way_to_treat_a_mismatch_is_refused(tmp_path):
    with pytest.raises(InputError, match="length_mismatch is 'crop'"):
        open_recording(write_edf(tmp_path / "n.edf"), length_mismatch="crop")
