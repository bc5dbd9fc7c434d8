"""Channels by what the field calls them: found where they are meant, never mistaken for others."""

import logging
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.recordings import Channel, Recording, open_recording
from sleep_lab.recordings.channel_kind import channel_kind
from tests.nights import recording
from tests.shared import SHARED, needs_shared

SHARED_BY_BOTH = ["C3_M2", "F3_F4", "F3_M2", "F4_O2", "F3_O1", "EMG", "ECG", "EOG1", "EOG2"]
FRONTAL = ["FP1_F3", "FP1_M2", "FP1_O1", "FP2_F4", "FP2_M1", "FP2_O2"]
DODH = [*SHARED_BY_BOTH, "F4_M1", *FRONTAL]
DODO = [*SHARED_BY_BOTH, "C4_M1", "O1_M2", "O2_M1"]
MASS = ["C4", "O1", "F4", "F8", "Cz", "EOG Left Horiz", "EOG Right Horiz", "EMG Chin1", "EMG Chin2"]


def of(*names, rate=100.0, **other) -> Recording:
    """A night with these channels, of the kinds that their names say or `other` gives."""
    like = recording(1, rate, names)
    channels = tuple(
        replace(channel, kind=other.get(channel.name, channel_kind(channel.name)))
        for channel in like.channels
    )
    return replace(like, channels=channels)


@pytest.mark.parametrize("names", [DODH, DODO], ids=["DOD-H", "DOD-O"])
@pytest.mark.parametrize(
    "written",
    [
        lambda name: f"EEG {name.replace('_', '-')}" if "_" in name else name,
        lambda name: name.replace("_", ":").replace("M2", "A2").replace("M1", "A1"),
        lambda name: name.replace("_", "-").title(),
        lambda name: {"EMG": "Chin1-Chin2", "ECG": "EKG", "EOG1": "LOC-A2", "EOG2": "ROC-A1"}.get(
            name, f"POL {name.replace('_', ' - ')}"
        ),
        lambda name: {"EMG": "EMG submental", "EOG1": "EOG E1:M2", "EOG2": "EOG(R)"}.get(
            name, f"EEG {name.replace('_', '/')}"
        ),
    ],
)
def test_a_dataset_s_names_are_found_as_others_write_them(names, written):
    elsewhere = [written(name) for name in names]
    night = of(*elsewhere, "EEG C3-O1", "EMG Tib", "Airflow")
    assert [night.channel(name).name for name in names] == elsewhere


@pytest.mark.parametrize("reference", ["CLE", "LER"])
def test_the_electrodes_of_mass_are_found_whatever_the_ears_are_linked_by(reference):
    labels = [f"EEG {site}-{reference}" for site in ("C4", "O1", "F4", "F8", "Cz", "C3", "Pz")]
    night = of(*labels, "EOG Left Horiz", "EOG Right Horiz", "EMG Chin1", "EMG Chin2", "EMG Chin3")
    found = [night.channel(name).name for name in MASS]
    assert found == [*labels[:5], *MASS[5:]]


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ("T3-A1", "T7-M1"),
        ("EEG P8-M1", "T6_A1"),
        ("C4", "EEG C4-REF"),
        ("EEG C4-LE", "C4"),
        ("EOG L", "E1-M2"),
        ("E2", "EOG right"),
        ("E1-M2", "EOG Left Horiz"),
        ("chin", "EMG"),
        ("EMG Chin 1-Chin 2", "EMG chin"),
        ("EKG", "ECG"),
        ("E1-E2", "LOC-ROC"),
        ("C3-M2", "C3A2"),
        ("C3_M2", "EEG C3A2"),
        ("C4-A1", "C4A1"),
        ("EMG", "EMG1-EMG2"),
        ("EMG Chin1-Chin2", "EMG1-EMG2"),
        ("ECG", "ECG I"),
        ("EKG", "ECG II"),
        ("ECG II", "EKG-II"),
        ("ECG", "ECG1-ECG2"),
    ],
)
def test_one_signal_has_many_names(asked, recorded):
    assert of(recorded, "Fz-Pz").channel(asked).name == recorded
    assert of(asked, "Fz-Pz").channel(recorded).name == asked


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ("C4", "C4-M1"),
        ("C4-M1", "C4"),
        ("C4-M1", "C4-M2"),
        ("C4-M1", "M1-C4"),
        ("C4-LE", "C4-REF"),
        ("C4", "C4-AVG"),
        ("Fpz", "EEG Fpz-Cz"),
        ("EEG", "EEG C4-M1"),
        ("E1", "E1-E2"),
        ("E1-M2", "E1-M1"),
        ("EOG1", "EOG horizontal"),
        ("EOG1", "EOG Left Vert"),
        ("EMG", "EMG Chin1"),
        ("EMG", "EMG Tib L"),
        ("EMG", "Chin1-Chin3"),
        ("EMG", "EMG2-EMG1"),
        ("EMG", "EMG1-EMG3"),
        ("ECG I", "ECG II"),
        ("ECG II", "ECG1-ECG2"),
        ("ECG", "ECG III"),
        ("ECG", "ECG V2"),
        ("C3", "C3A2"),
        ("C3A1", "C3-A2"),
        ("C3", "C3'"),
        ("M1", "M2"),
    ],
)
def test_another_signal_is_never_taken(asked, recorded):
    for wanted, there in ((asked, recorded), (recorded, asked)):
        with pytest.raises(InputError, match="no channel"):
            of(there).channel(wanted)


def test_a_channel_of_another_kind_is_never_taken():
    night = of("EEG C3-M2", "EMG chin", **{"EEG C3-M2": "other", "EMG chin": "ecg"})
    for name in ("C3_M2", "EMG"):
        with pytest.raises(InputError, match="no channel"):
            night.channel(name)
    # its own name is enough
    assert night.channel("EEG C3-M2").kind == "other"


def test_a_name_that_fits_two_channels_is_an_error_that_names_both():
    night = of("EEG C4-CLE", "EEG C4-REF", "EOG E1-M2", "LOC")
    with pytest.raises(InputError, match=r"'C4' may be 2 channels \('EEG C4-CLE', 'EEG C4-REF'\)"):
        night.channel("C4")
    with pytest.raises(InputError, match=r"'EOG1' may be 2 channels"):
        night.read("EOG1")
    assert night.channel("C4-REF").name == "EEG C4-REF"


def test_of_two_leads_neither_is_the_ecg_nor_left_out():
    night = of("ECG I", "ECG II", "C3A2", "C3-Ref")
    with pytest.raises(InputError, match=r"'ECG' may be 2 channels \('ECG I', 'ECG II'\)"):
        night.channel("ECG")
    assert night.channel("EKG II").name == "ECG II"
    assert of("ECG", "ECG I").names_of("ecg") == ("ECG", "ECG I")
    # the electrode beside its derivation
    assert night.names_of("eeg", "ecg") == ("ECG I", "ECG II", "C3A2")


SITES = st.sampled_from(
    [*("C3", "C4", "Fp1", "T3", "T7", "M1", "A1", "M2", "A2"), *("E1", "LOC", "EOG1", "E2", "ROC")]
)
TOGETHER = st.sampled_from(["C3A2", "EMG1", "EMG2", "ECG I", "ECG1", "ECG2", "II"])
NAMES = st.builds(
    lambda prefix, parts, separator: prefix + separator.join(parts),
    st.sampled_from(["", "EEG ", "EOG ", "POL ", "EMG ", "eeg "]),
    st.lists(
        st.one_of(SITES, TOGETHER, st.sampled_from(["REF", "CLE", "AVG", "chin"])), max_size=3
    ),
    st.sampled_from(["-", "_", ":", " "]),
)


def finds(wanted, there):
    try:
        return bool(of(there).channel(wanted))
    except InputError:
        return False


@given(names=st.lists(NAMES.filter(bool), min_size=1, max_size=8), asked=NAMES.filter(bool))
def test_a_name_means_one_channel_or_none_and_its_own_before_any_other(names, asked):
    exact = [name for name in names if name == asked]
    folded = [name for name in names if name.casefold() == asked.casefold()]
    candidates = exact or folded or [name for name in names if finds(asked, name)]
    if len(candidates) == 1:
        assert of(*names).channel(asked).name == candidates[0]
    else:
        with pytest.raises(InputError):
            of(*names).channel(asked)


@given(a=NAMES, b=NAMES)
def test_what_a_name_finds_finds_it_back_and_is_of_its_kind(a, b):
    assert finds(a, b) == finds(b, a)
    assert not finds(a, b) or a.casefold() == b.casefold() or channel_kind(a) == channel_kind(b)


@needs_shared
def test_robust_sleep_net_gets_the_eeg_and_eog_of_sleep_edf():
    night = open_recording(SHARED / "recordings" / "sleep_edf" / "SC4001E0-PSG.edf")
    eeg_and_eog = ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal")
    assert night.names_of("eeg", "eog", faster_than_hz=60) == eeg_and_eog
    assert night.names_of("eeg", faster_than_hz=100) == ()


@needs_shared
def test_neither_impedances_nor_electrodes_of_derivations_are_signals_of_a_nox_recorder():
    folder = SHARED / "recordings" / "edf_cases"
    night = open_recording(folder / "nox_a1_90ch_utf8_labels_120s.edf")
    assert night.names_of("eeg", "eog", faster_than_hz=60) == (
        *("C3-M2", "C4-M1", "E1-M2", "E2-M1", "F3-M2", "F4-M1", "O1-M2", "O2-M1"),
    )
    assert night.channel("C3_M2").name == "C3-M2"
    assert night.channel("EEG C3-Ref").name == "C3"


def test_channels_of_one_name_cannot_be_told_apart_so_none_is_listed(caplog):
    night = of("C3-M2", "C3-M2", "O1-M2", "E1-M2", "ECG")
    with caplog.at_level(logging.WARNING):
        assert night.names_of("eeg", "eog") == ("O1-M2", "E1-M2")
    assert "left out, as other channels have the same name: C3-M2" in caplog.text


def test_slow_channels_are_left_out():
    night = of("C3-M2", "O1-M2")
    slow = replace(night, channels=(*night.channels, Channel("Fz", "eeg", 1.0, 30)))
    assert slow.names_of("eeg", faster_than_hz=60) == ("C3-M2", "O1-M2")
    assert slow.names_of("eeg") == ("C3-M2", "O1-M2", "Fz")
