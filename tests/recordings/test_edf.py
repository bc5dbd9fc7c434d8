import logging
import pickle
from datetime import datetime
from functools import partial

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.recordings import open_recording
from sleep_lab.recordings.channel_kind import channel_kind
from sleep_lab.recordings.edf import open_edf
from tests.recordings.nights import (
    patched,
    patched_signal,
    signals,
    write_edf,
)
from tests.shared import SHARED, needs_shared

CASES = SHARED / "recordings" / "edf_cases"
SC4001 = SHARED / "recordings" / "sleep_edf" / "SC4001E0-PSG.edf"
SC4001_SCORING = SHARED / "recordings" / "sleep_edf" / "SC4001EC-Hypnogram.edf"

RECORDS, DURATION, RESERVED = (236, 8), (244, 8), (192, 44)


def close_to_float32(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "duplicate_labels_persyst.edf",
        "generator_datarecord_2s.bdf",
        "reserved_field_fractional_record_dur.edf",
        "short_psg.edf",
        "subsecond_start.edf",
        "utf8_header.edf",
    ],
)
def test_odd_files_are_read_as_pyedflib_reads_them(name):
    recording = open_edf(CASES / name).recording()
    with pyedflib.EdfReader(str(CASES / name)) as reader:
        assert [c.name for c in recording.channels] == reader.getSignalLabels()
        assert recording.duration_s == reader.file_duration
        assert recording.start_time.replace(microsecond=0) == reader.getStartdatetime().replace(
            microsecond=0
        )
        for n, channel in enumerate(recording.channels):
            assert channel.sampling_rate == pytest.approx(reader.getSampleFrequency(n), rel=1e-9)
            close_to_float32(recording.source.read(n, 0, channel.samples), reader.readSignal(n))


@needs_shared
def test_a_nox_file_is_read_as_edfio_reads_it_with_its_labels_right():
    # pyedflib refuses this file: its labels are UTF-8
    recording = open_recording(CASES / "nox_a1_90ch_utf8_labels_120s.edf")
    reference = edfio.read_edf(CASES / "nox_a1_90ch_utf8_labels_120s.edf", header_encoding="utf-8")
    assert [c.name for c in recording.channels] == [s.label for s in reference.signals]
    assert recording.channel("1 Impédance").kind == "other"
    assert recording.start_time == datetime(2018, 2, 6, 1, 36, 50)
    for channel, signal in zip(recording.channels, reference.signals, strict=True):
        volts = signal.physical_dimension == "V"
        assert channel.unit == ("uV" if volts else signal.physical_dimension)
        assert channel.sampling_rate == signal.sampling_frequency
        close_to_float32(recording.read(channel.name), signal.data * (1e6 if volts else 1))


@needs_shared
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("duplicate_labels_persyst.edf", "lasts 10 s, less than one sleep epoch"),
        ("reserved_field_fractional_record_dur.edf", "lasts 9.59375 s, less than one sleep epoch"),
        ("hmc_SN001_sleepscoring_annotations_only.edf", "no signals"),
    ],
)
def test_a_file_without_a_sleep_epoch_is_no_night(name, said):
    with pytest.raises(InputError, match=rf"{name}.*{said}"):
        open_recording(CASES / name)


@needs_shared
def test_a_name_that_two_channels_have_cannot_be_read():
    recording = open_edf(CASES / "duplicate_labels_persyst.edf").recording()
    with pytest.raises(InputError, match="2 channels are called 'EEG F1-Ref'"):
        recording.read("EEG F1-Ref")
    assert recording.read("EEG F2-Ref").size == 2500


@needs_shared
def test_a_start_within_a_second_is_kept():
    start = open_recording(CASES / "subsecond_start.edf").start_time
    assert start == datetime(2020, 1, 24, 4, 5, 56, 394531)


@needs_shared
def test_sc4001_is_read_whole_and_its_stray_byte_is_said_once(caplog):
    with caplog.at_level(logging.WARNING):
        recording = open_recording(SC4001, SC4001_SCORING)
    assert [r.getMessage() for r in caplog.records] == [
        f"{SC4001}: 1 bytes after the last data record are left out"
    ]
    assert [(c.name, c.kind, c.sampling_rate) for c in recording.channels] == [
        ("EEG Fpz-Cz", "eeg", 100),
        ("EEG Pz-Oz", "eeg", 100),
        ("EOG horizontal", "eog", 100),
        ("Resp oro-nasal", "other", 1),
        ("EMG submental", "emg", 1),
        ("Temp rectal", "other", 1),
        ("Event marker", "other", 1),
    ]
    assert recording.start_time == datetime(1989, 4, 24, 16, 13)
    assert recording.epochs == len(recording.hypnogram) == 2650
    with pyedflib.EdfReader(str(SC4001)) as reader:
        close_to_float32(recording.read("EEG Fpz-Cz"), reader.readSignal(0))
        close_to_float32(recording.read("Temp rectal"), reader.readSignal(5))


@pytest.fixture(scope="module", params=["1", "0.7"])
def two_rates(request, tmp_path_factory):
    path = write_edf(tmp_path_factory.mktemp("edf") / "n.edf", annotations=[])
    # data records of 0.7 s: the sampling rates are no decimal numbers
    return open_recording(patched(path, DURATION[0], request.param, DURATION[1]))


@settings(deadline=None)
@given(data=st.data(), channel=st.sampled_from([0, 1]))
def test_a_part_reads_as_that_part_of_the_whole(two_rates, data, channel):
    samples = two_rates.channels[channel].samples
    start = data.draw(st.integers(0, samples))
    stop = data.draw(st.integers(start, samples))
    whole = two_rates.source.read(channel, 0, samples)
    part = two_rates.source.read(channel, start, stop)
    assert part.dtype == np.float32
    np.testing.assert_array_equal(part, whole[start:stop])


def test_negative_24_bit_samples_keep_their_sign(tmp_path):
    values = np.linspace(-3000, 3000, 3100)
    signal = edfio.BdfSignal(values, 100, label="C3", physical_dimension="uV")
    edfio.Bdf([signal], data_record_duration=1).write(tmp_path / "night.wrong")
    recording = open_recording(tmp_path / "night.wrong")
    np.testing.assert_allclose(recording.read("C3"), values, atol=1e-3)
    np.testing.assert_allclose(recording.source.read(0, 1234, 1401), values[1234:1401], atol=1e-3)


@pytest.mark.parametrize("unit", ["uV", "mV", "V"])
def test_voltages_become_microvolts(tmp_path, unit):
    recording = open_recording(write_edf(tmp_path / "n.edf", unit=unit))
    assert {channel.unit for channel in recording.channels} == {"uV"}
    np.testing.assert_allclose(recording.read("EEG C3-M2"), signals(4)["EEG C3-M2"], atol=0.01)


@pytest.mark.parametrize("unit", ["µV", "\u00c2\u00b5V", "æV", "uv", "UV", "microvolts"])
def test_a_microvolt_is_known_in_any_encoding(tmp_path, unit):
    path = patched_signal(write_edf(tmp_path / "n.edf"), 0, "unit", unit[:8])
    recording = open_recording(path)
    expected = "uV" if unit != "microvolts" else "microvol"
    assert recording.channels[0].unit == expected


def test_a_signal_without_an_electric_unit_is_other(tmp_path):
    path = patched_signal(write_edf(tmp_path / "n.edf"), 0, "unit", "V/s")
    channel = open_recording(path).channel("EEG C3-M2")
    assert (channel.kind, channel.unit) == ("other", "V/s")


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        (
            "eeg",
            "EEG|EEG(sec)|EEG Fpz-Cz|C3-M2|C3_M2|FP1_F3|C4A1|O1:A2|Cz|T3|EEG1|F3-AVG|EEG C3-CLE",
        ),
        ("eog", "EOG1|EOG(L)|EOG E1-M2|LOC|LOC-A2|ROC-LOC|E1|E2-M1|EOG Left Horiz|E1_M2"),
        ("emg", "EMG|EMG submental|L Chin|Chin1-Chin2|chin|EMG1-EMG2"),
        ("ecg", "ECG|EKG|ECG II|ECG1-ECG2|EKG1"),
        ("other", "M1|A2|M1M2|SaO2|CO2|Flow|F|1-2|Position|Snore|Event marker|Plethysmogram|Thor"),
    ],
)
def test_a_channel_is_known_by_its_label(kind, labels):
    assert {label: channel_kind(label) for label in labels.split("|")} == dict.fromkeys(
        labels.split("|"), kind
    )


def test_no_file_stays_open_and_a_recording_can_be_pickled(tmp_path):
    path = write_edf(tmp_path / "n.edf")
    recording = open_recording(path)
    expected = recording.read("EEG C3-M2")
    again = pickle.loads(pickle.dumps(recording))
    np.testing.assert_array_equal(again.read("EEG C3-M2"), expected)
    path.unlink()
    with pytest.raises(InputError, match=r"n\.edf: cannot be read"):
        recording.read("EEG C3-M2")


def test_a_record_count_of_a_recorder_still_at_work_is_counted(tmp_path):
    path = write_edf(tmp_path / "n.edf")
    expected = open_recording(path).read("EOG E1-M2")
    recording = open_recording(patched(path, RECORDS[0], "-1", RECORDS[1]))
    np.testing.assert_array_equal(recording.read("EOG E1-M2"), expected)


def test_a_header_without_a_date_gives_no_start_time(tmp_path):
    assert (
        open_recording(patched(write_edf(tmp_path / "n.edf"), 168, "xx.xx.xx", 8)).start_time
        is None
    )


def discontinuous(path, moved: int | None = None):
    """An EDF+D; from data record `moved` on half a minute later."""
    patched(write_edf(path, annotations=[]), RESERVED[0], "EDF+D", RESERVED[1])
    if moved is not None:
        content = path.read_bytes()
        for second in reversed(range(moved, 120)):
            late = b"+%d\x14\x14" % (second + 30)
            now = b"+%d\x14\x14" % second
            content = content.replace(now + b"\x00" * (len(late) - len(now)), late)
        path.write_bytes(content)
    return path


def test_an_edf_plus_d_without_gaps_is_a_night(tmp_path):
    recording = open_recording(discontinuous(tmp_path / "n.edf"))
    np.testing.assert_allclose(recording.read("EEG C3-M2"), signals(4)["EEG C3-M2"], atol=0.01)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (partial(patched, offset=RECORDS[0], text="0", width=8), "holds 0 data records"),
        (partial(patched, offset=RECORDS[0], text="many", width=8), "'many', which is no number"),
        (partial(patched, offset=RECORDS[0], text="119", width=8), "says 119 .* file holds 120"),
        (partial(patched, offset=DURATION[0], text="0", width=8), "lasts 0 s"),
        (partial(patched, offset=184, text="99999999", width=8), "header says .* 99999999 bytes"),
        (partial(patched, offset=252, text="0", width=4), "for 0 signals"),
        (partial(patched_signal, signal=0, field="pmax", text="?"), r"EEG C3-M2: its range .*'\?'"),
        (partial(patched_signal, signal=0, field="samples", text="-5"), "a signal has -5 samples"),
        (lambda p: p.write_bytes(p.read_bytes()[:-301]), "says 120 .* file holds 118"),
        (lambda p: p.write_bytes(p.read_bytes()[:700]), "header says"),
        (lambda p: p.write_bytes(p.read_bytes()[:100]), "header length is '', which is no number"),
        (partial(discontinuous, moved=50), "interrupted .* data record 50 begins 80 s"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path, damage, said):
    path = write_edf(tmp_path / "n.edf")
    damage(path)
    with pytest.raises(InputError, match=rf"n\.edf: .*{said}") as error:
        open_recording(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("field", "text", "said"), [("pmax", "-200", "physical"), ("dmin", "32767", "digital")]
)
def test_a_channel_without_a_range_spoils_no_other(tmp_path, field, text, said):
    recording = open_recording(patched_signal(write_edf(tmp_path / "n.edf"), 0, field, text))
    with pytest.raises(InputError, match=f"EEG C3-M2: {said} minimum and maximum"):
        recording.read("EEG C3-M2")
    assert recording.read("EOG E1-M2").std() > 1


def test_a_latin_1_label_is_read(tmp_path):
    path = patched_signal(write_edf(tmp_path / "n.edf"), 0, "label", "Impédance")
    assert [c.name for c in open_recording(path).channels] == ["Impédance", "EOG E1-M2"]
