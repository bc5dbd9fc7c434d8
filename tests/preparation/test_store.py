"""The store of prepared nights: whole or absent, reused or made again."""

import json
import logging
import multiprocessing
import os
import pickle
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.preparation import (
    Filter,
    Padding,
    Preparation,
    PreparedNight,
    Resample,
    Signal,
    WeightedSum,
    prepare,
    prepare_all,
    prepare_nights,
)
from sleep_lab.preparation.preparation import Derivation
from sleep_lab.recordings import recording_file, write_h5
from tests.nights import Night, preparation, prepared_night, recording


def partial_folders(store):
    return list(store.rglob("*.partial"))


def test_stored_arrays_are_the_processings_applied_to_each_channel(tmp_path):
    night = prepared_night(tmp_path, padding_s=90)
    source = recording(night_id="night")
    stored = night.signals("psg")
    assert stored.shape == (46, 300, 2)
    assert night.padding == 3
    for column, name in enumerate(("A", "B")):
        signals = [Signal(name, source.read(name), 50.0)]
        for processing in (Filter(), Resample(10), Padding(90)):
            signals = processing(signals)
        expected = next(iter(signals)).values.astype(np.float32)
        np.testing.assert_array_equal(stored[:, :, column].ravel(), expected)
    np.testing.assert_array_equal(night.hypnogram, source.hypnogram)
    np.testing.assert_array_equal(night.padded_hypnogram[:3], -1)
    index = night.feature("epoch_index")[3:-3, 0]
    np.testing.assert_array_equal(index, np.arange(40, dtype=np.float32) / np.float32(1200))


def test_further_scorings_are_kept_by_the_scorers_names(tmp_path):
    rng = np.random.default_rng(1)
    scorings = {name: rng.integers(-1, 5, 40).astype(np.int8) for name in ("Ben", "Anna", "Dr. Ü")}
    path = tmp_path / "night.h5"
    write_h5(replace(recording(), scorings=scorings), path)
    for night in (
        prepare(recording_file(path), preparation(padding_s=90), tmp_path / "store"),  # made
        prepare(recording_file(path), preparation(padding_s=90), tmp_path / "store"),  # reused
    ):
        assert night.padding == 3
        assert set(night.scorings) == set(night.scorers) == set(scorings)
        for name, stages in scorings.items():
            np.testing.assert_array_equal(night.scorings[name], stages)
        np.testing.assert_array_equal(night.hypnogram, recording().hypnogram)
    assert json.loads((night.folder / "night.json").read_text())["scorers"] == list(night.scorers)


def test_a_night_that_one_person_scored_has_no_further_scorings(tmp_path):
    assert prepared_night(tmp_path).scorings == {}


def test_a_night_prepared_by_an_older_version_is_prepared_anew(tmp_path):
    night = prepared_night(tmp_path)
    description = night.folder / "night.json"
    facts = json.loads(description.read_text())
    description.write_text(json.dumps({**facts, "format": facts["format"] - 1}))
    with pytest.raises(InputError, match=r"not a prepared night .*; delete the folder"):
        PreparedNight.read(night.folder)
    assert prepared_night(tmp_path) == night
    assert json.loads(description.read_text()) == facts


def test_nested_groups_are_processed_before_their_group(tmp_path):
    difference = Derivation(("A", "B"), (WeightedSum((1.0, -1.0)),))
    prep = Preparation({"psg": Derivation(("B", difference), (Resample(10),))}, features={})
    night = prepare(Night(), prep, tmp_path)
    source = recording(night_id="night")
    a, b = (source.read(name)[::5] for name in ("A", "B"))
    np.testing.assert_allclose(night.signals("psg")[:, :, 0].ravel(), b, rtol=1e-6)
    np.testing.assert_allclose(night.signals("psg")[:, :, 1].ravel(), a - b, atol=1e-4)
    assert night.groups["psg"].channels == ("B", "A + -1 B")


def test_a_preparation_survives_json_with_the_same_fingerprint():
    difference = Derivation(("A", Derivation(("B",), (Resample(20),))), (WeightedSum(),))
    prep = Preparation({"psg": Derivation((difference, "C"), (Filter(),))}, preparation().features)
    again = Preparation.from_dict(**json.loads(json.dumps(prep.to_dict())))
    assert again == prep
    assert again.fingerprint == prep.fingerprint
    assert preparation(padding_s=60).fingerprint != preparation(padding_s=90).fingerprint
    assert preparation(("A", "B")).fingerprint != preparation(("B", "A")).fingerprint


def test_a_stored_preparation_can_name_nothing_but_processings():
    facts = preparation().to_dict()
    for target in ("os.getcwd", "sleep_lab.preparation.store.shutil.rmtree", "pathlib.Path"):
        facts["processings"] = [{"_target_": target}]
        with pytest.raises(InputError, match="whitelist"):
            Preparation.from_dict(**facts)


def test_a_prepared_night_is_reused_until_its_file_changes(tmp_path):
    path = tmp_path / "night.h5"
    write_h5(recording(), path)
    first = prepare(recording_file(path), preparation(), tmp_path / "store")
    made = (first.folder / "night.json").stat().st_mtime_ns

    os.utime(path, ns=(1, 1))  # touched, but the same
    assert prepare(recording_file(path), preparation(), tmp_path / "store") == first
    assert (first.folder / "night.json").stat().st_mtime_ns == made

    write_h5(recording(seed=1), path)
    again = prepare(recording_file(path), preparation(), tmp_path / "store")
    assert (again.folder / "night.json").stat().st_mtime_ns != made
    np.testing.assert_array_equal(again.hypnogram, recording(seed=1).hypnogram)


def test_nights_of_one_name_from_two_folders_do_not_overwrite_each_other(tmp_path):
    nights = []
    for seed, place in enumerate(("one", "two")):
        (tmp_path / place).mkdir()
        write_h5(recording(seed=seed), tmp_path / place / "night.h5")
        source = recording_file(tmp_path / place / "night.h5")
        nights.append(prepare(source, preparation(), tmp_path / "store"))
    assert nights[0].folder != nights[1].folder
    for seed, night in enumerate(nights):
        np.testing.assert_array_equal(night.hypnogram, recording(seed=seed).hypnogram)


def test_a_prepared_night_is_pickled_as_facts(tmp_path):
    night = prepared_night(tmp_path)
    night.signals("psg")
    carried = pickle.dumps(night)
    assert len(carried) < 2000
    np.testing.assert_array_equal(pickle.loads(carried).signals("psg"), night.signals("psg"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (np.nan, r"night.test: channel 'B': 1 samples are NaN or infinite, the first after 2.00 s"),
        (np.inf, r"channel 'B': 1 samples are NaN or infinite"),
        ("flat", r"channel 'B' is flat: every sample is 3 uV; .*leave the channel out"),
    ],
)
def test_unusable_samples_are_named_and_nothing_is_left(tmp_path, spoil, message):
    class Spoiled(Night):
        def open(self):
            night = super().open()
            if spoil == "flat":
                night.source.values[1] = 3
            else:
                night.source.values[1, 100] = spoil
            return night

    with pytest.raises(InputError, match=message):
        prepare(Spoiled(), preparation(), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert not partial_folders(tmp_path)


@pytest.mark.parametrize(
    ("prep", "message"),
    [
        (preparation(("A", "b1")), r"no channel 'b1'; did you mean 'B'\? available: A, B"),
        (preparation(padding_s=40), "padding of 40 s is no multiple of 30 s"),
        (preparation(rate=10.01), r"10.01 Hz does not divide 30 s into whole samples"),
    ],
)
def test_a_preparation_that_does_not_suit_the_night_says_why(tmp_path, prep, message):
    with pytest.raises(InputError, match=message):
        prepare(Night(), prep, tmp_path)
    assert not partial_folders(tmp_path)


def test_the_last_incomplete_epoch_is_dropped(tmp_path):
    night = prepared_night(tmp_path, tail=600)
    assert night.epochs == 40
    assert night.signals("psg").shape[0] == 46


class Endless(Night):
    def open(self):
        night = super().open()
        object.__setattr__(night, "source", Slow(night.source))
        return night


class Slow:
    def __init__(self, source):
        self.source = source

    def read(self, channel, start, stop):
        if channel == 1:
            time.sleep(60)
        return self.source.read(channel, start, stop)


def test_a_killed_preparation_leaves_no_night_and_the_next_one_cleans_up(tmp_path):
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=prepare, args=(Endless(), preparation(), tmp_path))
    process.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("psg.mm")):
        assert time.monotonic() < deadline, "the preparation never began to write"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert partial_folders(tmp_path)
    assert not list(tmp_path.rglob("night.json"))

    night = prepare(Night(), preparation(), tmp_path)
    assert isinstance(night, PreparedNight)
    assert not partial_folders(tmp_path)


class Counted(Night):
    def open(self):
        with Path(self.arguments["log"]).open("a") as log:
            log.write("opened\n")
        return recording(night_id=self.id)


def test_two_processes_do_not_prepare_one_night_twice(tmp_path):
    source = Counted(arguments={"log": str(tmp_path / "log")})
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=prepare, args=(source, preparation(), tmp_path)) for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "opened\n"


def test_good_nights_go_on_and_the_end_lists_the_bad_ones(tmp_path):
    sources = [
        Night("a", "a"),
        Night("b", "b", {"names": ("A", "X")}),
        Night("c", "c", {"seed": 3}),
    ]
    nights, errors = prepare_nights(sources, preparation(), tmp_path, workers=2)
    assert [night.id for night in nights] == ["a", "c"]
    assert len(errors) == 1
    with pytest.raises(InputError, match=r"1 of 3 nights cannot be prepared, the first: b.test"):
        prepare_all(sources, preparation(), tmp_path, workers=1)
    kept = prepare_all(sources, preparation(), tmp_path, workers=1, skip_bad_nights=True)
    assert kept == nights


def test_the_log_says_of_each_night_whether_it_failed(tmp_path, caplog):
    sources = [Night("a"), Night("b", "b", {"names": ("A", "X")})]
    with caplog.at_level(logging.INFO):
        prepare_nights(sources, preparation(), tmp_path, workers=1)
    assert caplog.messages[1:] == ["prepared 1/2: a", "failed 2/2: b"]


def test_two_nights_with_one_id_are_refused(tmp_path):
    with pytest.raises(InputError, match="two nights have the same id: a"):
        prepare_nights([Night("a"), Night("a", "b")], preparation(), tmp_path)


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match="No space left on device"):
        prepare(Night(), preparation(), tmp_path)
    assert not partial_folders(tmp_path)
