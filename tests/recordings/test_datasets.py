"""The data configs: each names its channels once, and finds them in files of that dataset."""

import edfio
import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.experiment import plain, preparation_of, preparations_of
from sleep_lab.instantiation import instantiate
from sleep_lab.preparation import Preparation, prepare
from sleep_lab.preparation.montage import with_channels
from sleep_lab.recordings import write_h5
from tests.nights import recording
from tests.recordings.nights import stage_annotations, write_scoring
from tests.test_config import composed

DATASETS = {"simulated": 6, "sleep_edf": 3, "dodh": 16, "dodo": 12, "mass": 5}


def of(data, *overrides):
    folder = [] if data == "simulated" else ["data.folder=somewhere"]
    return composed(f"data={data}", *folder, *overrides)


@pytest.mark.parametrize("data", DATASETS)
def test_all_that_a_config_says_of_channels_is_among_them(data):
    config = plain(of(data).data)
    channels = config["channels"]
    assert len(channels) == DATASETS[data]
    assert config["montage"] == {"psg": channels}
    assert all(channel in channels for channel in config["eeg_and_eog"])
    assert len(config["single_channel"]) == 1
    assert config["single_channel"][0] in channels
    recorded = preparation_of(of(data)).channels("psg")
    assert config["feature_channel"] in recorded
    if data.startswith("dod"):
        left_out = set(channels) - set(config["eeg_and_eog"])
        assert left_out == {"EMG", "ECG"}


@pytest.mark.parametrize("data", ["edf_folder", "h5_folder", *DATASETS])
@pytest.mark.parametrize("key", ["data.channels", "data.montage.psg"])
def test_channels_are_typed_once(data, key):
    config = of(data, f"{key}=[Fpz-Cz,EOG]")
    assert preparation_of(config).channels("psg") == ("Fpz-Cz", "EOG")
    # nothing in it is left to be said
    plain(config)


@pytest.mark.parametrize("data", ["edf_folder", "h5_folder"])
def test_channels_follow_those_that_are_given(data):
    config = plain(of(data, "data.channels=[Fpz-Cz,EOG]").data)
    assert config["eeg_and_eog"] == ["Fpz-Cz", "EOG"]
    assert config["single_channel"] == [config["feature_channel"]] == ["Fpz-Cz"]
    with pytest.raises(InputError, match=r"no channels; name them: data\.channels=\[\.\.\.\]"):
        preparation_of(of(data))


@pytest.mark.parametrize("data", ["dodh_and_dodo", "simulated_datasets"])
@pytest.mark.parametrize("signals", ["channels", "eeg_and_eog", "single_channel"])
def test_one_key_says_what_the_network_sees_of_every_dataset(data, signals):
    folders = [f"data.datasets.{name}.folder=there" for name in ("dodh", "dodo")]
    config = composed(
        f"data={data}", f"data.signals={signals}", *(folders if data.startswith("dod") else ())
    )
    assert config.data.dataset_names.split(",") == list(config.data.datasets)
    seen = {name: prep.channels("psg") for name, prep in preparations_of(config).items()}
    assert list(seen) == list(config.data.datasets)
    if signals == "eeg_and_eog":
        assert len(set(map(len, seen.values()))) == len(seen)
        assert all(not name.startswith(("EMG", "ECG")) for own in seen.values() for name in own)
        assert set.intersection(*map(set, seen.values()))
    else:
        assert set(seen.values()) == {tuple(config.data[signals])}
    for name, own in seen.items():
        alone = config.data.datasets[name]
        if "simulated" in data:
            assert set(own) <= set(alone.nights.channels)
        else:
            assert set(own) <= set(of(name).data.channels)


def test_features_of_several_datasets_are_of_a_channel_that_all_have():
    folders = [f"data.datasets.{name}.folder=there" for name in ("dodh", "dodo")]
    for preparation in preparations_of(
        composed("data=dodh_and_dodo", "features=shannon_entropy", *folders)
    ).values():
        assert preparation.features["shannon_entropy"].channels == ("F4_O2",)


def test_mixed_features_are_of_the_dataset_s_channel():
    for data, channel in (("dodh", "F4_M1"), ("dodo", "F4_O2"), ("mass", "C4")):
        features = preparation_of(of(data, "features=mixed")).features
        assert {feature.channels for feature in features.values()} == {(channel,)}
    other = preparation_of(of("dodh", "features=mixed", "data.feature_channel=F4_O2"))
    assert other.features["signal_statistics"].channels == ("F4_O2",)


MASS = ["EEG C4-LER", "EEG O1-LER", "EEG F4-LER", "EEG F8-LER", "EEG Cz-LER", "EEG C3-LER"]
MASS += ["EOG Left Horiz", "EOG Right Horiz", "EMG Chin1", "EMG Chin2", "EMG Chin3"]


def test_a_mass_night_is_prepared_from_the_published_derivations(tmp_path):
    rng = np.random.default_rng(0)
    signals = {name: rng.uniform(-90, 90, 256 * 120) for name in MASS}
    edfio.Edf(
        [
            edfio.EdfSignal(
                values, 256, label=name, physical_dimension="uV", physical_range=(-100, 100)
            )
            for name, values in signals.items()
        ],
        data_record_duration=1,
    ).write(tmp_path / "01-03-0001 PSG.edf")
    base = stage_annotations(["W", "2", "R"], start=12.5)
    write_scoring(tmp_path / "01-03-0001 Base.edf", base)
    config = composed("data=mass", f"data.folder={tmp_path}", "features=none")
    config.preparation.processings = []
    (source,) = instantiate(config.data.nights)
    night = prepare(source, preparation_of(config), tmp_path / "store")
    assert night.hypnogram.tolist() == [0, 2, 4]
    c4, o1, f4, f8, cz, _, left, right, chin1, chin2, _ = (
        signal[3200 : 3200 + 256 * 90] for signal in signals.values()
    )
    derived = [c4 - o1, f4 - left, f8 - cz, (right + left) / 2, (chin1 + chin2) / 2]
    stored = night.signals("psg").reshape(-1, 5)
    # the file has 16 bits for 200 uV
    np.testing.assert_allclose(stored, np.transpose(derived), atol=0.01)
    assert night.groups["psg"].channels == ("C4-O1", "F4-EOG left", "F8-Cz", "EOG", "EMG chin")


def test_derivations_of_a_config_take_the_places_of_a_model_s_channels():
    model = Preparation.from_dict({"eeg": ["A", "B", "C", "D", "E"]}, [], {})
    channels = plain(of("mass").data.montage)
    other = with_channels(model, channels)
    assert other.groups["eeg"].channels == preparation_of(of("mass")).groups["psg"].channels
    assert Preparation.from_dict(**other.to_dict()) == other
    assert with_channels(other, channels) == other


def test_dod_channels_are_found_in_a_file_that_names_them_otherwise(tmp_path):
    names = ("EEG C3-A2", "EEG F4:M1", "EOG LOC", "Chin EMG")
    write_h5(recording(2, 100.0, names), tmp_path / "n.h5")
    config = composed("data=dodh", f"data.folder={tmp_path}", "features=none")
    # an h5 file says itself which kind a channel is
    config.data.channels = ["C3_M2", "F4_M1"]
    (source,) = instantiate(config.data.nights)
    night = prepare(source, preparation_of(config), tmp_path / "store")
    assert night.groups["psg"].channels == ("EEG C3-A2", "EEG F4:M1")
