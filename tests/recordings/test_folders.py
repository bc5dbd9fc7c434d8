import logging
from pathlib import Path

import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.recordings import (
    edf_folder,
    h5_folder,
    mass,
    open_recording,
    recording_file,
    sleep_edf,
)
from tests.recordings.nights import stage_annotations, write_edf, write_reference_h5, write_scoring
from tests.shared import SHARED, needs_shared


def touched(folder: Path, *names: str) -> Path:
    """A folder with these files, all empty: listing opens none."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_h5_nights_are_listed_in_order_with_the_folder_in_their_names(tmp_path):
    touched(tmp_path, "b.h5", "site2/a.h5", "site1/night.1.h5", "notes.txt", "site1/._b.h5")
    nights = h5_folder(tmp_path)
    assert [(night.id, night.person) for night in nights] == [
        ("b", "b"),
        ("site1-night.1", "site1-night.1"),
        ("site2-a", "site2-a"),
    ]
    assert nights[1].files == (tmp_path / "site1" / "night.1.h5",)
    assert [night.id for night in h5_folder(str(tmp_path), pattern="site?/a*")] == ["site2-a"]


@pytest.mark.parametrize(("pattern", "person"), [(r"(p\d+)-n\d", "p07"), (r"p\d", "p0")])
def test_the_person_is_found_in_the_name(tmp_path, pattern, person):
    touched(tmp_path, "p07/n1.h5", "p07/n2.h5")
    assert {night.person for night in h5_folder(tmp_path, person_pattern=pattern)} == {person}


def test_two_files_of_one_night_are_both_named(tmp_path):
    touched(tmp_path, "a/b.h5", "a-b.h5")
    with pytest.raises(InputError, match=r"a/b\.h5 and .*a-b\.h5 are both night 'a-b'"):
        h5_folder(tmp_path)


@pytest.mark.parametrize("pattern", ["(s\\d+)", "(p"])
def test_a_pattern_that_finds_no_person_is_refused(tmp_path, pattern):
    touched(tmp_path, "p07.h5")
    with pytest.raises(InputError, match="person_pattern"):
        h5_folder(tmp_path, person_pattern=pattern)


@pytest.mark.parametrize("listing", [h5_folder, edf_folder, sleep_edf])
def test_a_folder_without_nights_says_what_is_there(tmp_path, listing):
    with pytest.raises(InputError, match="there is no such folder"):
        listing(tmp_path / "nothing")
    with pytest.raises(InputError, match="found: no files"):
        listing(tmp_path)
    touched(tmp_path, "a.EDF", "deep/b.EDF", "c.txt", "README")
    with pytest.raises(InputError, match=r"no \*.* found: 2 x \.EDF, 1 x no suffix, 1 x \.txt"):
        listing(tmp_path)
    with pytest.raises(InputError, match="a file, not a folder"):
        listing(tmp_path / "c.txt")


def test_scorings_are_paired_with_their_recordings_and_are_no_nights(tmp_path):
    touched(
        tmp_path,
        *("a.edf", "a-Hypnogram.edf", "b.edf", "b_HYPNOGRAM.edf", "SN001.edf"),
        *("SN001_sleepscoring.edf", "x/a.edf", "x/a_hypnogram.h5", "alone.edf"),
    )
    nights = edf_folder(tmp_path, around_sleep_min=15, length_mismatch="cut")
    assert {n.id: n.scoring and str(n.scoring.relative_to(tmp_path)) for n in nights} == {
        "SN001": "SN001_sleepscoring.edf",
        "a": "a-Hypnogram.edf",
        "alone": None,
        "b": "b_HYPNOGRAM.edf",
        "x-a": "x/a_hypnogram.h5",
    }
    assert {(n.around_sleep_min, n.length_mismatch) for n in nights} == {(15, "cut")}


def test_other_suffixes_of_scorings_can_be_named(tmp_path):
    touched(tmp_path, "a.edf", "a-my.stages.edf", "a-hypnogram.edf")
    nights = edf_folder(tmp_path, scoring_suffixes=[".stages", "-my.stages"])
    assert [(n.id, n.scoring and n.scoring.name) for n in nights] == [
        ("a", "a-my.stages.edf"),
        ("a-hypnogram", None),
    ]


def test_two_scorings_for_one_night_are_refused(tmp_path):
    touched(tmp_path, "a.edf", "a-Hypnogram.edf", "a_scoring.edf")
    with pytest.raises(InputError, match=r"a\.edf: it has 2 scorings"):
        edf_folder(tmp_path)


def test_a_folder_of_scorings_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recording found"):
        edf_folder(touched(tmp_path, "a-Hypnogram.edf"))


def test_sleep_edf_nights_find_the_scoring_of_another_hand(tmp_path, caplog):
    touched(
        tmp_path,
        *("sc/SC4001E0-PSG.edf", "sc/SC4001EC-Hypnogram.edf", "sc/SC4002E0-PSG.edf"),
        *("st/ST7011J0-PSG.edf", "st/ST7011JP-Hypnogram.edf", "sc/SC4012EC-Hypnogram.edf"),
    )
    with caplog.at_level(logging.WARNING):
        nights = sleep_edf(tmp_path)
    assert [(n.id, n.person, n.scoring and n.scoring.name) for n in nights] == [
        ("SC4001E0", "SC400", "SC4001EC-Hypnogram.edf"),
        ("SC4002E0", "SC400", None),
        ("ST7011J0", "ST701", "ST7011JP-Hypnogram.edf"),
    ]
    (warning,) = caplog.records
    assert "SC4002E?-Hypnogram.edf" in warning.getMessage()


def test_a_sleep_edf_night_that_lies_there_twice_is_refused(tmp_path):
    touched(tmp_path, "a/SC4001E0-PSG.edf", "b/SC4001E0-PSG.edf")
    with pytest.raises(InputError, match=r"both night 'SC4001E0'"):
        sleep_edf(tmp_path)


def test_mass_nights_are_cut_to_what_their_scorers_saw(tmp_path, caplog):
    (tmp_path / "ss3").mkdir()
    rates = {"EEG C4-CLE": 256.0, "EEG O1-CLE": 256.0}
    psg = write_edf(tmp_path / "ss3" / "01-03-0001 PSG.edf", 8, channels=rates)
    base = stage_annotations(["?", "W", "1", "4", "R"], start=71.25)
    write_scoring(tmp_path / "ss3" / "01-03-0001 Base.edf", base)
    touched(tmp_path, "ss3/01-03-0002 PSG.edf", "ss3/01-03-0003 Base.edf")
    with caplog.at_level(logging.WARNING):
        nights = mass(tmp_path)
    assert [(n.id, n.person, n.scoring and n.scoring.name) for n in nights] == [
        ("01-03-0001", "01-03-0001", "01-03-0001 Base.edf"),
        ("01-03-0002", "01-03-0002", None),
    ]
    assert "no 01-03-0002 Base.edf beside it" in caplog.text
    night = nights[0].open()
    assert night.hypnogram.tolist() == [-1, 0, 1, 3, 4]
    assert (night.start_s, night.epochs) == (71.25, 5)
    np.testing.assert_array_equal(
        night.read("C4"), open_recording(psg).read("EEG C4-CLE")[18240 : 18240 + 38400]
    )
    assert "its sleep epochs begin 11.25 s after the first sample" in caplog.text


@needs_shared
def test_the_real_sleep_edf_night_opens_around_its_sleep():
    (night,) = sleep_edf(SHARED / "recordings" / "sleep_edf")
    recording = night.open()
    golden = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")["expert"]
    assert (recording.id, night.person) == ("SC4001E0", "SC400")
    assert recording.start_s == 961 * 30
    np.testing.assert_array_equal(recording.hypnogram, golden)


def test_a_listed_night_opens_under_its_own_name(tmp_path):
    stages = ["W", "W", "N1", "N2", "W", "W"]
    (tmp_path / "p1").mkdir()
    write_edf(tmp_path / "p1" / "n.edf", 6)
    write_scoring(tmp_path / "p1" / "n-Hypnogram.edf", stage_annotations(stages))
    (night,) = edf_folder(tmp_path, person_pattern="p.", around_sleep_min=0.5)
    recording = night.open()
    assert (night.id, night.person, recording.id) == ("p1-n", "p1", "p1-n")
    assert recording.hypnogram.tolist() == [0, 1, 2]
    assert night.identity == {
        "files": [str(path.resolve()) for path in night.files],
        "around_sleep_min": 0.5,
        "length_mismatch": "error",
    }


def test_a_file_of_its_own_is_a_night(tmp_path):
    path = write_reference_h5(tmp_path / "n.h5", {"signals/eeg/A": np.zeros(3000)})
    night = recording_file(str(path))
    assert (night.id, night.person, night.files) == ("n", "n", (path,))
    assert night.open().epochs == 1
