"""Simulated nights: what they may be asked for, and that equal questions get equal answers."""

import pickle
import zlib

import numpy as np
import pytest
from omegaconf import OmegaConf

from sleep_lab.errors import InputError
from sleep_lab.recordings.night_source import NightSource
from sleep_lab.recordings.simulated import (
    DEFAULT_MONTAGE,
    SimulatedNight,
    simulate,
    simulated_nights,
)

DODH = [
    *("C3_M2", "F4_M1", "F3_F4", "F3_M2", "F4_O2", "F3_O1"),
    *("FP1_F3", "FP1_M2", "FP1_O1", "FP2_F4", "FP2_M1", "FP2_O2"),
    *("EMG", "ECG", "EOG1", "EOG2"),
]


def test_equal_arguments_give_equal_nights():
    first, again = (simulated_nights(nights=2, hours=0.5, seed=3)[1].open() for _ in range(2))
    np.testing.assert_array_equal(first.hypnogram, again.hypnogram)
    for channel in first.channels:
        np.testing.assert_array_equal(first.read(channel.name), again.read(channel.name))


def test_the_stages_of_a_night_are_the_same_on_every_machine():
    hypnogram = simulate(seed=1).hypnogram
    assert hypnogram.dtype == np.int8
    assert hypnogram.shape == (960,)
    assert zlib.crc32(hypnogram.tobytes()) == 2925591688


def test_nights_seeds_and_channels_differ():
    nights = [night.open() for night in simulated_nights(nights=2, hours=1)]
    nights.append(simulated_nights(nights=1, hours=1, seed=1)[0].open())
    signals = [night.read(name) for night in nights for name in ("F3-M2", "C3-M2")]
    likeness = np.corrcoef(signals)
    assert np.abs(likeness[[0, 0, 2], [2, 4, 4]]).max() < 0.1
    assert 0.3 < likeness[0, 1] < 0.95  # one brain, two electrodes


def test_what_is_read_does_not_depend_on_what_was_read_before():
    straight, backwards = simulate(hours=0.5), simulate(hours=0.5)
    whole = [straight.read(channel.name) for channel in straight.channels]
    for position in reversed(range(len(whole))):
        part = backwards.source.read(position, 1000, 5001)
        np.testing.assert_array_equal(part, whole[position][1000:5001])


def test_a_channel_is_the_same_in_every_montage():
    alone = simulate(hours=0.5, channels=["C3-M2"])
    among = simulate(hours=0.5, channels={"EMG": "emg", "C3-M2": "eeg", "Pz-Oz": "eeg"})
    np.testing.assert_array_equal(alone.read("C3-M2"), among.read("C3-M2"))


def test_what_a_reader_does_to_samples_stays_with_the_reader():
    night = simulate(hours=0.5)
    night.read("C3-M2")[:] = 0
    assert night.read("C3-M2").std() > 1


def test_a_recording_that_was_read_pickles_small_and_whole():
    night = simulate(hours=0.5)
    signal = night.read("O1-M2")
    packed = pickle.dumps(night)
    assert len(packed) < 5000
    np.testing.assert_array_equal(pickle.loads(packed).read("O1-M2"), signal)


@pytest.mark.parametrize("sampling_rate", [64.0, 100.0, 127.5, 250.0])
def test_signals_last_as_long_as_the_hypnogram_at_any_rate(sampling_rate):
    night = simulate(hours=0.25, sampling_rate=sampling_rate)
    assert night.duration_s == 900
    assert night.epochs == night.hypnogram.size == 30
    for channel in night.channels:
        signal = night.read(channel.name)
        assert signal.dtype == np.float32
        assert signal.shape == (round(900 * sampling_rate),) == (channel.samples,)
        assert np.isfinite(signal).all()


def test_the_shortest_night_is_ten_minutes():
    night = simulate(hours=1 / 6)
    assert night.epochs == 20
    assert night.read("C3-M2").shape == (600 * 128,)


def test_a_night_has_the_same_course_at_every_rate():
    slow, fast = (simulate(hours=0.5, sampling_rate=rate).read("E1-M2") for rate in (64, 128))
    slow_s, fast_s = (np.abs(x).reshape(1800, -1).max(1) for x in (slow, fast))
    assert np.corrcoef(slow_s, fast_s)[0, 1] > 0.5


def test_the_montage_of_dodh_gets_its_kinds_from_its_names():
    night = simulate(hours=0.25, sampling_rate=250, channels=DODH)
    assert [c.name for c in night.channels] == DODH
    assert [c.kind for c in night.channels] == ["eeg"] * 12 + ["emg", "ecg", "eog", "eog"]
    assert {c.unit for c in night.channels} == {"uV"}
    assert all(night.read(name).std() > 1 for name in DODH)


def test_nights_are_sources_with_sorted_names_and_shared_people():
    nights: list[NightSource] = list(simulated_nights(nights=5, nights_per_person=2))
    assert [n.id for n in nights] == [f"simulated-00{i}" for i in range(5)]
    assert [n.person for n in nights] == [f"person-00{i}" for i in (0, 0, 1, 1, 2)]
    assert {n.files for n in nights} == {()}
    assert nights[0].open().id == "simulated-000"


def test_identities_tell_nights_apart_and_hold_every_argument():
    night = simulated_nights(nights=1)[0]
    others = [
        *simulated_nights(nights=2)[1:],
        *simulated_nights(nights=1, hours=4),
        *simulated_nights(nights=1, sampling_rate=100),
        *simulated_nights(nights=1, channels=["C3-M2"]),
        *simulated_nights(nights=1, seed=1),
    ]
    assert night == simulated_nights(nights=1)[0]
    assert all(other.identity != night.identity for other in others)
    assert set(night.identity) == {*SimulatedNight.__dataclass_fields__, "simulator_version"}


def test_two_nights_of_one_person_are_more_alike_than_nights_of_two():
    nights = simulated_nights(
        nights=24, hours=2, sampling_rate=64, nights_per_person=2, channels=["EMG"]
    )
    tone = np.log([np.median(np.abs(night.open().read("EMG"))) for night in nights])
    same_person = np.abs(np.diff(tone.reshape(-1, 2), axis=1))
    anybody = np.abs(np.subtract.outer(tone, tone))
    assert same_person.mean() < 0.6 * anybody.mean()


def test_arguments_may_be_hydra_containers():
    config = OmegaConf.create({"names": ["C3-M2", "EMG"], "kinds": {"Fpz-Cz": "eeg", "x": "eog"}})
    by_name = simulated_nights(nights=1, channels=config.names)[0]
    by_kind = simulated_nights(nights=1, channels=config.kinds)[0]
    assert by_name.montage == (("C3-M2", "eeg"), ("EMG", "emg"))
    assert by_kind.montage == (("Fpz-Cz", "eeg"), ("x", "eog"))
    assert simulated_nights(nights=1)[0].montage == tuple(DEFAULT_MONTAGE.items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nights": 0}, "nights=0"),
        ({"nights_per_person": 0}, "nights_per_person=0"),
        ({"hours": 0.1}, "less than 10 minutes"),
        ({"hours": float("nan")}, "less than 10 minutes"),
        ({"hours": 1.001}, r"hours=1.001 is not a whole number of 30 s epochs; 1 is"),
        ({"sampling_rate": 50}, "sampling_rate=50 Hz is too low"),
        ({"seed": -1}, "seed=-1 is negative"),
        ({"channels": []}, "no channels"),
        ({"channels": ["C3-M2", "C3-M2"]}, "named twice"),
        ({"channels": ["Flow"]}, "'Flow' does not say the channel's kind; give it too"),
        ({"channels": {"Flow": "airflow"}}, "unknown kind 'airflow'; .*eeg, eog, emg, ecg"),
        ({"channels": {"Flow": "other"}}, "unknown kind 'other'"),
    ],
)
def test_arguments_that_make_no_night_are_refused_in_a_line(wrong, message):
    with pytest.raises(InputError, match=message) as refusal:
        simulated_nights(**wrong)
    assert "\n" not in str(refusal.value)
