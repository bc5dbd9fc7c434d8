import json
import pickle
from datetime import datetime

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.recordings import Channel, Recording, open_recording, write_h5
from tests.recordings.nights import write_edf, write_reference_h5

RNG = np.random.default_rng(3)
SIGNAL = RNG.normal(0, 30, 9000).astype(np.float32)
STAGES = np.array([0, 1, 2], np.int8)


class Arrays:
    def __init__(self, *signals):
        self.signals = signals

    def read(self, channel, start, stop):
        return self.signals[channel][start:stop]


def night(*channels: tuple[Channel, np.ndarray], **facts) -> Recording:
    return Recording(
        **{
            "id": "night",
            "channels": tuple(channel for channel, _ in channels),
            "source": Arrays(*(signal for _, signal in channels)),
            "hypnogram": None,
            "start_time": None,
            "origin": "memory",
            "start_s": 0.0,
            "duration_s": 90.0,
            **facts,
        }
    )


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["eeg", "eog", "emg", "ecg", "other"]), min_size=1, max_size=4),
    rate=st.sampled_from([1.0, 99.5, 100.0, 256.0]),
    stages=st.none() | st.lists(st.integers(-1, 4), min_size=3, max_size=3),
    start=st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
    scorings=st.dictionaries(
        st.from_regex(r"[a-zA-Z0-9_][\w .+-]{0,9}", fullmatch=True),
        st.lists(st.integers(-1, 4), min_size=3, max_size=3),
        max_size=3,
    ),
)
def test_a_written_night_reads_back_the_same(
    tmp_path_factory, kinds, rate, stages, start, scorings
):
    path = tmp_path_factory.mktemp("h5") / "night.h5"
    samples = round(90 * rate)
    channels = [
        (
            Channel(f"C{n}/A2", kind, rate, samples, "bpm" if kind == "other" else "uV"),
            RNG.normal(0, 30, samples).astype(np.float32),
        )
        for n, kind in enumerate(kinds)
    ]
    hypnogram = None if stages is None else np.array(stages, np.int8)
    further = {name: np.array(codes, np.int8) for name, codes in scorings.items()}
    written = night(*channels, hypnogram=hypnogram, start_time=start, scorings=further)
    write_h5(written, path)
    back = open_recording(path)

    # "C0/A2" is a dataset "A2" in a group "C0": the name is the whole path below the kind
    assert back.channels == written.channels
    for channel, signal in channels:
        np.testing.assert_array_equal(back.read(channel.name), signal)
    if hypnogram is None or (hypnogram == -1).all():
        assert back.hypnogram is None
    else:
        np.testing.assert_array_equal(back.hypnogram, hypnogram)
    assert back.start_time == start
    assert {name: codes.tolist() for name, codes in back.scorings.items()} == scorings
    assert all(codes.dtype == np.int8 for codes in back.scorings.values())


def test_a_cut_night_is_written_as_cut(tmp_path):
    whole = night((Channel("C3", "eeg", 100, 9000), SIGNAL), hypnogram=STAGES)
    write_h5(whole.cut(1, 3), tmp_path / "cut.h5")
    back = open_recording(tmp_path / "cut.h5")
    np.testing.assert_array_equal(back.read("C3"), SIGNAL[3000:])
    np.testing.assert_array_equal(back.hypnogram, STAGES[1:])


def test_a_night_of_the_dreem_open_datasets_is_read(tmp_path):
    paths = ["signals/eeg/C3_M2", "signals/emg/EMG", "signals/emg/ECG", "signals/eog/EOG1"]
    entries = [{"path": path, "fs": 100, "visualisation": {}} for path in paths]
    path = write_reference_h5(
        tmp_path / "n.h5",
        {name: SIGNAL + n for n, name in enumerate(paths)},
        hypnogram=STAGES.astype(np.int64),
        description=np.bytes_(json.dumps(entries)),
    )
    with h5py.File(path, "a") as file:
        file["start_time"] = 1_500_000_000
    recording = open_recording(path)
    assert [(c.name, c.kind, c.unit) for c in recording.channels] == [
        ("C3_M2", "eeg", "uV"),
        ("EMG", "emg", "uV"),
        ("ECG", "ecg", "uV"),
        ("EOG1", "eog", "uV"),
    ]
    np.testing.assert_array_equal(recording.read("EOG1"), SIGNAL + 3)
    assert recording.hypnogram.dtype == np.int8
    np.testing.assert_array_equal(recording.hypnogram, STAGES)
    assert recording.start_time == datetime(2017, 7, 14, 2, 40)


def test_a_name_in_two_groups_is_told_apart_by_its_group(tmp_path):
    signals = {"signals/eeg/A": SIGNAL, "signals/eog/A": SIGNAL + 1, "signals/eog/B": SIGNAL}
    recording = open_recording(write_reference_h5(tmp_path / "n.h5", signals))
    assert [channel.name for channel in recording.channels] == ["eeg/A", "eog/A", "B"]
    write_h5(recording, tmp_path / "again.h5")
    again = open_recording(tmp_path / "again.h5")
    assert again.channels == recording.channels
    np.testing.assert_array_equal(again.read("eog/A"), SIGNAL + 1)


@pytest.mark.parametrize("stages", [None, np.full(3, -1)])
def test_a_night_that_nobody_scored_has_no_hypnogram(tmp_path, stages):
    path = write_reference_h5(tmp_path / "n.h5", {"signals/eeg/A": SIGNAL}, hypnogram=stages)
    assert open_recording(path).hypnogram is None


def test_no_file_stays_open_and_a_recording_can_be_pickled(tmp_path):
    path = write_reference_h5(tmp_path / "n.h5", {"signals/eeg/A": SIGNAL})
    recording = pickle.loads(pickle.dumps(open_recording(path)))
    recording.read("A")
    # h5 refuses to open a file for writing that is open for reading
    with h5py.File(path, "a") as file:
        file["signals/eeg/A"][0] = 77
    assert recording.read("A")[0] == 77


A = "signals/eeg/A"


@pytest.mark.parametrize(
    ("description", "named"),
    [
        ("no json", "description"),
        ("[]", "description"),
        ("3", "description"),
        ('[{"fs": 100}]', "description"),
        ('[{"path": "signals/eeg/A"}]', "signals/eeg/A in .* has fs None"),
        ('[{"path": "signals/eeg/A", "fs": 0}]', "fs 0"),
        ('[{"path": "signals/eeg/A", "fs": "fast"}]', "fs 'fast'"),
        ('[{"path": "signals/eeg/B", "fs": 100}]', "signals/eeg/B, which is not in the file"),
        ('[{"path": "signals/eeg", "fs": 100}]', "signals/eeg, which is not in the file"),
        ('[{"path": "B", "fs": 100}]', "lists B, which is not in the file"),
    ],
)
def test_a_wrong_description_is_named(tmp_path, description, named):
    path = write_reference_h5(tmp_path / "n.h5", {A: SIGNAL}, description=description)
    with pytest.raises(InputError, match=rf"n\.h5.*{named}") as error:
        open_recording(path)
    assert "\n" not in str(error.value)


def test_a_missing_description_is_named(tmp_path):
    path = write_reference_h5(tmp_path / "n.h5", {A: SIGNAL})
    with h5py.File(path, "a") as file:
        del file.attrs["description"]
    with pytest.raises(InputError, match="'description' is missing"):
        open_recording(path)


@pytest.mark.parametrize("samples", [SIGNAL.reshape(-1, 2), np.array([b"a", b"b"])])
def test_a_signal_that_is_no_row_of_numbers_is_named(tmp_path, samples):
    path = write_reference_h5(tmp_path / "n.h5", {A: samples})
    with pytest.raises(InputError, match=f"{A} is an array"):
        open_recording(path)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([0, 5, 1], "holds 5"),
        ([0, -2, 1], "holds -2"),
        ([0, 1.5, 1], "holds 1.5"),
        ([0, np.nan, 1], "holds nan"),
        ([[0], [1], [2]], "one row"),
        ([b"W", b"W", b"W"], "one row"),
    ],
)
def test_codes_that_are_no_stages_are_refused(tmp_path, codes, said):
    path = write_reference_h5(tmp_path / "n.h5", {A: SIGNAL}, hypnogram=np.array(codes))
    with pytest.raises(InputError, match=f"hypnogram.*{said}"):
        open_recording(path)


def test_a_start_time_that_is_no_time_is_refused(tmp_path):
    path = write_reference_h5(tmp_path / "n.h5", {A: SIGNAL})
    with h5py.File(path, "a") as file:
        file.attrs["start_time"] = "yesterday"
    with pytest.raises(InputError, match="start_time"):
        open_recording(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = write_reference_h5(tmp_path / "n.h5", {A: SIGNAL})
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"n\.h5"):
        open_recording(path)


def test_damaged_samples_are_named(tmp_path):
    path = tmp_path / "n.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset(A, data=SIGNAL, chunks=(1000,), fletcher32=True)
        file["hypnogram"] = STAGES
        file.attrs["description"] = json.dumps([{"path": A, "fs": 100}])
        place = file[A].id.get_chunk_info(2).byte_offset
    content = bytearray(path.read_bytes())
    content[place + 100] ^= 255
    path.write_bytes(content)
    recording = open_recording(path)
    np.testing.assert_array_equal(recording.source.read(0, 0, 2000), SIGNAL[:2000])
    with pytest.raises(InputError, match=rf"n\.h5: {A} cannot be read"):
        recording.read("A")


def test_a_failed_writing_leaves_the_old_file_and_no_other(tmp_path):
    channel = Channel("A", "eeg", 100, 9000)
    write_h5(night((channel, SIGNAL)), tmp_path / "n.h5")
    old = (tmp_path / "n.h5").read_bytes()
    with pytest.raises(InputError, match="2 channels are called 'A'"):
        write_h5(night((channel, SIGNAL), (channel, SIGNAL)), tmp_path / "n.h5")
    with pytest.raises(InputError, match="cannot be written"):
        write_h5(night((Channel("", "eeg", 100, 9000), SIGNAL)), tmp_path / "n.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["n.h5"]
    assert (tmp_path / "n.h5").read_bytes() == old


def test_an_edf_converted_to_h5_stays_the_same_night(tmp_path):
    edf = open_recording(write_edf(tmp_path / "n.edf"))
    write_h5(edf, tmp_path / "n.h5")
    h5 = open_recording(tmp_path / "n.h5")
    assert h5.channels == edf.channels
    assert h5.start_time == edf.start_time
    for channel in edf.channels:
        np.testing.assert_array_equal(h5.read(channel.name), edf.read(channel.name))


def test_who_reads_a_night_while_it_is_written_again_sees_it_whole(tmp_path):
    channel = Channel("A", "eeg", 100, 9000)
    write_h5(night((channel, SIGNAL)), tmp_path / "n.h5")
    old = (tmp_path / "n.h5").read_bytes()
    with (tmp_path / "n.h5").open("rb") as reader:
        write_h5(night((channel, SIGNAL + 1)), tmp_path / "n.h5")
        assert reader.read() == old
    np.testing.assert_array_equal(open_recording(tmp_path / "n.h5").read("A"), SIGNAL + 1)


def scored_h5(path, samples=9000, hypnogram=None, **scorings):
    write_reference_h5(path, {A: np.ones(samples)}, hypnogram=hypnogram)
    with h5py.File(path, "a") as file:
        for name, codes in scorings.items():
            file[f"scorings/{name}"] = codes
    return path


def test_a_further_scoring_follows_the_sleep_epochs_as_a_hypnogram_does(tmp_path):
    # a third of a fourth epoch is recorded: its stage is dropped, as unscored epochs outside are
    path = scored_h5(
        tmp_path / "n.h5", 10000, same=[1, 2, 3], begun=[1, 2, 3, 4], outside=[1, 2, 3, 4, -1, -1],
        short=[1, 2],
    )  # fmt: skip
    scorings = open_recording(path).scorings
    assert {name: codes.tolist() for name, codes in scorings.items()} == {
        "same": [1, 2, 3],
        "begun": [1, 2, 3],
        "outside": [1, 2, 3],
        "short": [1, 2, -1],
    }


@pytest.mark.parametrize(("codes", "kept"), [([1], [1, -1, -1]), ([1, 2, 3, 4], [1, 2, 3])])
def test_a_further_scoring_that_does_not_fit_is_refused_or_fitted_aloud(
    tmp_path, caplog, codes, kept
):
    path = scored_h5(tmp_path / "n.h5", hypnogram=STAGES, Anna=codes)
    with pytest.raises(InputError, match=r"n\.h5: scorings/Anna: the hypnogram has . epochs"):
        open_recording(path)
    recording = open_recording(path, length_mismatch="cut")
    assert recording.scorings["Anna"].tolist() == kept
    np.testing.assert_array_equal(recording.hypnogram, STAGES)
    assert "scorings/Anna" in caplog.text


def test_further_scorings_are_cut_where_the_hypnogram_ends(tmp_path):
    path = scored_h5(tmp_path / "n.h5", 15000, hypnogram=STAGES, Anna=[4, 3, 2, 1, 0])
    recording = open_recording(path, length_mismatch="cut")
    assert recording.epochs == 3
    assert recording.scorings["Anna"].tolist() == [4, 3, 2]


def test_further_scorings_come_from_the_file_of_the_hypnogram(tmp_path):
    night = scored_h5(tmp_path / "n.h5", hypnogram=STAGES, Anna=[0, 0, 0])
    scoring = scored_h5(tmp_path / "s.h5", 1, hypnogram=STAGES, Ben=[4, 4, 4])
    assert list(open_recording(night).scorings) == ["Anna"]
    assert list(open_recording(night, scoring).scorings) == ["Ben"]


@pytest.mark.parametrize(
    ("name", "codes", "said"),
    [
        ("scorings/Anna", [0, 7, 1], "scorings/Anna: the hypnogram holds 7 in sleep epoch 1"),
        ("scorings/Anna/morning", [0, 1, 2], "scorings has to be a group with one dataset"),
        ("scorings", [0, 1, 2], "scorings has to be a group with one dataset"),
        ("scorings/..", [0, 1, 2], r"'\.\.' is no name for a scorer"),
        ("scorings/a\\b", [0, 1, 2], "is no name for a scorer"),
    ],
)
def test_further_scorings_that_cannot_be_used_are_named_in_a_line(tmp_path, name, codes, said):
    path = write_reference_h5(tmp_path / "n.h5", {A: SIGNAL})
    with h5py.File(path, "a") as file:
        file[name] = codes
    with pytest.raises(InputError, match=rf"n\.h5: .*{said}") as error:
        open_recording(path)
    assert "\n" not in str(error.value)
