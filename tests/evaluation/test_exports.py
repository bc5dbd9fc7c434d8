"""Exported hypnograms are read back by other programs, and by sleep_lab, as they were."""

import csv
import json
from datetime import date, datetime, time
from pathlib import Path

import edfio
import numpy as np
import pyedflib
import pytest

from sleep_lab.errors import InputError
from sleep_lab.evaluation import NightResult
from sleep_lab.evaluation.exports import EDF_TEXTS, annotations_edf, write_exports
from sleep_lab.recordings import SimulatedNight, open_recording, write_h5
from sleep_lab.recordings.edf import open_edf
from sleep_lab.stages import STAGE_OF_ANNOTATION, STAGES, UNSCORED

START = datetime(2024, 3, 2, 22, 31, 5)


def night(**changes) -> NightResult:
    rng = np.random.default_rng(0)
    facts = {
        "id": "night-1",
        "hypnodensity": rng.dirichlet(np.ones(5), 60).astype(np.float32),
        "expert": rng.integers(-1, 5, 60).astype(np.int8),
        "start_time": START,
    }
    return NightResult(**{**facts, **changes})


def written(folder: Path, result: NightResult) -> Path:
    write_exports(folder, result, "model")
    return folder / "edf" / f"{result.id}.edf"


def read_by_pyedflib(path: Path) -> tuple[datetime, int, list, list, list]:
    with pyedflib.EdfReader(str(path)) as file:
        onsets, durations, texts = (column.tolist() for column in file.readAnnotations())
        return file.getStartdatetime(), file.signals_in_file, onsets, durations, texts


def test_a_night_has_these_files_and_no_others(tmp_path):
    write_exports(tmp_path, night(), "model")
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    bids = {"bids/night-1_events.tsv", "bids/night-1_events.json"}
    assert found == {"json/model/night-1.json", "edf/night-1.edf", *bids}


@pytest.mark.parametrize("first_epoch", [0, 7])
def test_the_list_of_stages_begins_with_the_recording(tmp_path, first_epoch):
    write_exports(tmp_path, night(first_epoch=first_epoch), "model")
    found = json.loads((tmp_path / "json" / "model" / "night-1.json").read_text())
    assert found == [UNSCORED] * first_epoch + night().hypnogram.tolist()


@pytest.mark.parametrize("first_epoch", [0, 7])
def test_pyedflib_reads_stages_times_and_start(tmp_path, first_epoch):
    path = written(tmp_path, night(first_epoch=first_epoch))
    start, signals, onsets, durations, texts = read_by_pyedflib(path)
    assert (start, signals) == (START, 0)
    assert onsets == [30 * (first_epoch + k) for k in range(60)]
    assert durations == [30] * 60
    assert [STAGE_OF_ANNOTATION[text] for text in texts] == night().hypnogram.tolist()


def test_the_texts_are_the_standard_ones_of_each_stage():
    assert [STAGE_OF_ANNOTATION[text] for text in EDF_TEXTS] == list(range(len(STAGES)))


def test_two_days_of_sleep_epochs_fit_into_a_file(tmp_path):
    rows = np.random.default_rng(1).dirichlet(np.ones(5), 5760).astype(np.float32)
    long = night(hypnodensity=rows, expert=None)
    _, _, onsets, _, texts = read_by_pyedflib(written(tmp_path, long))
    assert onsets[-1] == 30 * 5759
    assert [STAGE_OF_ANNOTATION[text] for text in texts] == long.hypnogram.tolist()


def test_sleep_lab_lays_the_stages_over_the_edf_recording_that_they_came_from(tmp_path):
    started = START.replace(microsecond=250_000)
    signal = edfio.EdfSignal(np.random.default_rng(2).normal(0, 30, 67 * 30 * 64), 64, label="EEG")
    recording = tmp_path / "psg.edf"
    edfio.Edf(
        [signal],
        recording=edfio.Recording(startdate=date(2024, 3, 2)),
        starttime=started.time(),
        annotations=[edfio.EdfAnnotation(0, None, "lights off")],
    ).write(recording)
    scoring = written(tmp_path, night(start_time=started, first_epoch=7))
    found = open_recording(recording, scoring)
    assert found.hypnogram is not None
    assert found.hypnogram[:7].tolist() == [UNSCORED] * 7
    assert found.hypnogram[7:67].tolist() == night().hypnogram.tolist()


def test_sleep_lab_lays_the_stages_over_an_h5_recording(tmp_path):
    path = tmp_path / "psg.h5"
    original = SimulatedNight("psg", "somebody", hours=0.5).open()
    write_h5(original, path)
    rows = np.eye(5, dtype=np.float32)[np.random.default_rng(3).integers(0, 5, original.epochs)]
    result = night(hypnodensity=rows, expert=None, start_time=original.start_time)
    found = open_recording(path, written(tmp_path, result))
    assert found.hypnogram is not None
    np.testing.assert_array_equal(found.hypnogram, result.hypnogram)


def test_a_night_without_a_start_time_is_dated_as_edf_dates_the_unknown(tmp_path):
    path = written(tmp_path, night(start_time=None))
    start, _, onsets, _, _ = read_by_pyedflib(path)
    assert (start, onsets[0]) == (datetime(1985, 1, 1), 0)
    scoring = open_edf(path).scoring(None)
    assert scoring is not None
    np.testing.assert_array_equal(scoring.stages, night().hypnogram)


def test_a_fraction_of_a_second_of_the_start_is_kept(tmp_path):
    path = written(tmp_path, night(start_time=START.replace(microsecond=250_000)))
    assert open_edf(path).local_start == START.replace(microsecond=250_000)
    assert edfio.read_edf(path).starttime == time(22, 31, 5, 250_000)


def test_events_are_a_table_with_probabilities_and_na_for_what_nobody_scored(tmp_path):
    result = night(first_epoch=7)
    write_exports(tmp_path, result, "model")
    with (tmp_path / "bids" / "night-1_events.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    columns = json.loads((tmp_path / "bids" / "night-1_events.json").read_text())
    assert list(columns) == list(rows[0])
    # the first two columns are BIDS's own rule
    assert list(rows[0])[:3] == ["onset", "duration", "trial_type"]
    assert [float(row["onset"]) for row in rows] == [30.0 * (7 + k) for k in range(60)]
    assert {row["duration"] for row in rows} == {"30"}
    assert [row["trial_type"] for row in rows] == [STAGES[k] for k in result.hypnogram]
    expert = ["n/a" if code == UNSCORED else STAGES[code] for code in night().expert]
    assert [row["expert"] for row in rows] == expert
    read = [[float(row[f"p_{stage}"]) for stage in STAGES] for row in rows]
    np.testing.assert_allclose(read, result.hypnodensity, atol=5e-7)


def test_events_of_a_night_without_an_expert_have_na_for_one(tmp_path):
    write_exports(tmp_path, night(expert=None), "model")
    lines = (tmp_path / "bids" / "night-1_events.tsv").read_text().splitlines()
    assert len(lines) == 61
    assert {line.split("\t")[3] for line in lines[1:]} == {"n/a"}


def test_nights_of_similar_names_share_no_file(tmp_path):
    names = ["a", "a_events", "a_events.tsv"]
    for name in names:
        write_exports(tmp_path, night(id=name), "model")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4 * len(names)


@pytest.mark.parametrize("name", ["", "..", "../night", "sub/night"])
def test_an_id_that_would_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot name its files"):
        write_exports(tmp_path / "run", night(id=name), "model")
    assert not list(tmp_path.iterdir())


def test_a_start_that_edf_cannot_hold_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"night-1: .* starts at 1970-01-01.*start time"):
        write_exports(tmp_path / "run", night(start_time=datetime(1970, 1, 1)), "model")
    assert not list(tmp_path.iterdir())


def test_the_same_night_gives_the_same_bytes():
    assert annotations_edf(night()) == annotations_edf(night())
