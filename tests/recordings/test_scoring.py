import re
from datetime import date, time

import edfio
import numpy as np
import pyedflib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.recordings import open_recording
from sleep_lab.recordings.edf import open_edf
from sleep_lab.recordings.scoring import Annotation, scoring_of_annotations, stages_of_texts
from tests.recordings.nights import (
    patched,
    stage_annotations,
    write_edf,
    write_reference_h5,
    write_scoring,
)
from tests.shared import SHARED, needs_shared

CASES = SHARED / "recordings" / "edf_cases"
SC4001 = SHARED / "recordings" / "sleep_edf" / "SC4001E0-PSG.edf"
SC4001_SCORING = SHARED / "recordings" / "sleep_edf" / "SC4001EC-Hypnogram.edf"


@needs_shared
def test_sc4001_around_sleep_is_what_the_reference_staged():
    golden = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")
    night = open_recording(SC4001, SC4001_SCORING)
    cut = night.around_sleep(30)
    assert cut.start_s == 961 * 30
    np.testing.assert_array_equal(cut.hypnogram, golden["expert"])
    np.testing.assert_array_equal(night.hypnogram[961:1801], golden["expert"])
    np.testing.assert_array_equal(
        cut.read("EOG horizontal"), night.read("EOG horizontal")[961 * 3000 : 1801 * 3000]
    )


@needs_shared
def test_an_aasm_scoring_with_other_events_between_is_read():
    path = CASES / "hmc_SN001_sleepscoring_annotations_only.edf"
    stages = open_edf(path).scoring(None).stages
    with pyedflib.EdfReader(str(path)) as reader:
        onsets, _, texts = reader.readAnnotations()
    names = dict(zip(["W", "N1", "N2", "N3", "R"], range(5), strict=True))
    expected = {
        round(onset / 30): names[text.removeprefix("Sleep stage ")]
        for onset, text in zip(onsets, texts, strict=True)
        if text.startswith("Sleep stage")
    }
    assert sorted(expected) == list(range(len(stages)))
    np.testing.assert_array_equal(stages, [expected[n] for n in range(len(stages))])


def staged(tmp_path, annotations, epochs=4, **options):
    """A night of some epochs with these annotations."""
    return open_recording(write_edf(tmp_path / "n.edf", epochs, annotations), **options)


@pytest.mark.parametrize(
    "annotations",
    [
        stage_annotations(["W", "2", "2", "R"]),
        [
            edfio.EdfAnnotation(0, 30, "Sleep stage W"),
            edfio.EdfAnnotation(30, 60, "Sleep stage N2"),
            edfio.EdfAnnotation(90, 30, "Sleep stage R"),
            edfio.EdfAnnotation(17.3, 4, "Arousal"),
            edfio.EdfAnnotation(0, None, "Lights off@@EEG C3-M2"),
        ],
        [
            edfio.EdfAnnotation(0.4, None, "Sleep stage W"),
            edfio.EdfAnnotation(30.4, 0, "Sleep stage N2"),
            edfio.EdfAnnotation(90.4, None, "Sleep stage R@@EEG C3-M2"),
        ],
        stage_annotations(["W", "N2", "N2", "R", "?", "?", "?"]),
        [
            edfio.EdfAnnotation(0, 120, "Sleep stage ?"),
            *stage_annotations(["W", "N2", "N2", "R"]),
        ],
    ],
    ids=["epoch by epoch", "runs and events", "no durations", "unscored beyond", "unscored below"],
)
def test_annotations_make_the_hypnogram(tmp_path, annotations):
    np.testing.assert_array_equal(staged(tmp_path, annotations).hypnogram, [0, 2, 2, 4])


@settings(deadline=None)
@given(data=st.data(), stages=st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_runs_epochs_and_open_ends_say_the_same_in_any_order(data, stages):
    names = ["W", "N1", "N2", "N3", "R"]
    annotations = []
    n = 0
    while n < len(stages):
        longest = next((k for k in range(n, len(stages)) if stages[k] != stages[n]), len(stages))
        end = data.draw(st.integers(n + 1, longest))
        # without a duration, the last stage lasts one epoch
        may_be_open = end < len(stages) or end == n + 1
        duration = None if may_be_open and data.draw(st.booleans()) else 30.0 * (end - n)
        annotations.append(Annotation(30.0 * n, duration, f"Sleep stage {names[stages[n]]}"))
        n = end
    shuffled = data.draw(st.permutations(annotations))
    assert scoring_of_annotations(shuffled, 0.0, "memory").stages.tolist() == stages


def test_rechtschaffen_and_kales_stages_are_translated(tmp_path):
    annotations = [
        *stage_annotations(["1", "3", "4", "?"]),
        edfio.EdfAnnotation(120, 30, "Movement time"),
        edfio.EdfAnnotation(150, 30, "Sleep stage W"),
    ]
    np.testing.assert_array_equal(staged(tmp_path, annotations, 6).hypnogram, [1, 3, 3, -1, -1, 0])


def test_a_night_whose_annotations_are_no_stages_is_unscored(tmp_path):
    assert staged(tmp_path, [edfio.EdfAnnotation(3, 1, "Arousal")]).hypnogram is None
    assert staged(tmp_path, stage_annotations(["?"] * 4)).hypnogram is None


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        (
            [*stage_annotations(["W"]), *stage_annotations(["R"] * 2, start=42)],
            "begins 42 s after the first sample, 12 s off",
        ),
        (
            [edfio.EdfAnnotation(20 * n, 20, f"Sleep stage {s}") for n, s in enumerate("WR12")],
            "begins 20 s after the first sample, 10 s off",
        ),
        (
            [
                edfio.EdfAnnotation(0, 45, "Sleep stage W"),
                edfio.EdfAnnotation(60, 60, "Sleep stage R"),
            ],
            "ends 45 s after",
        ),
        (
            [
                edfio.EdfAnnotation(0, 90, "Sleep stage W"),
                edfio.EdfAnnotation(60, 60, "Sleep stage R"),
            ],
            "sleep epoch 2 is both W and REM",
        ),
        ([edfio.EdfAnnotation(0, 4294967280, "Sleep stage W")], "stages last 1193046 h"),
        (stage_annotations(["W"] * 5), r"5 epochs \(0:02 h\), the signals .* 4 epochs .*=cut"),
        (stage_annotations(["W"] * 2), r"2 epochs \(0:01 h\), the signals .* 4 epochs .*=cut"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(tmp_path, annotations, said):
    with pytest.raises(InputError, match=rf"n\.edf: .*{said}"):
        staged(tmp_path, annotations)


def test_one_incomplete_last_epoch_is_dropped(tmp_path):
    stages = [*stage_annotations(["W", "W", "N2"])]
    assert staged(tmp_path, stages, 2.5).hypnogram.tolist() == [0, 0]
    ends_early = [edfio.EdfAnnotation(0, 75, "Sleep stage W")]
    assert staged(tmp_path, ends_early, 2.5).hypnogram.tolist() == [0, 0]


def test_one_missing_last_epoch_is_unscored(tmp_path):
    assert staged(tmp_path, stage_annotations(["W", "W", "W"])).hypnogram.tolist() == [0, 0, 0, -1]


@pytest.mark.parametrize("stages", [["W", "N1", "N2", "N3", "R", "R"], ["W", "N1"]])
def test_a_cut_keeps_what_both_cover_and_says_so(tmp_path, stages, caplog):
    recording = staged(tmp_path, stage_annotations(stages), length_mismatch="cut")
    kept = min(4, len(stages))
    assert recording.hypnogram.tolist() == list(range(kept))
    assert recording.read("EEG C3-M2").size == kept * 3000
    assert "what both cover is kept" in caplog.text


def test_a_night_begins_with_the_sleep_epochs_of_its_scoring(tmp_path, caplog):
    stages = stage_annotations(["W", "N1", "N2", "R"], start=43.7)
    whole = staged(tmp_path, [], 7)
    for length_mismatch, expected in (("error", [-1, 0, 1, 2, 4, -1]), ("cut", [0, 1, 2, 4, -1])):
        caplog.clear()
        night = staged(tmp_path, stages, 7, length_mismatch=length_mismatch)
        assert night.hypnogram.tolist() == expected
        lead = expected.index(0)
        assert night.start_s == 43.7 - 30 * lead
        np.testing.assert_array_equal(
            night.cut(lead, lead + 4).read("EEG C3-M2"),
            whole.read("EEG C3-M2")[4370 : 4370 + 12000],
        )
        assert "its sleep epochs begin 13.7 s after the first sample" in caplog.text


@pytest.mark.parametrize("start", [0.9, 29.1])
def test_a_scoring_within_a_second_of_the_signals_epochs_has_no_epochs_of_its_own(
    tmp_path, start, caplog
):
    night = staged(tmp_path, stage_annotations(["W", "N1", "N2"], start=start), 4)
    assert night.start_s == 0
    assert night.hypnogram.tolist() == ([0, 1, 2, -1] if start < 1 else [-1, 0, 1, 2])
    assert not caplog.text


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["W", "N1", "n2", "N3", "REM", "R", "?"], [0, 1, 2, 3, 4, 4, -1]),
        (["Wake", "S1", "s2", "S3", "S4", "rem", "MT"], [0, 1, 2, 3, 3, 4, -1]),
        (["W", "1", "2", "3", "4", "R"], [0, 1, 2, 3, 3, 4]),
        (["Sleep stage W", "Sleep stage 4", "Movement time"], [0, 3, -1]),
        (["0", "1", "2", "3", "4", "-1", " "], [0, 1, 2, 3, 4, -1, -1]),
        (["0.0", "4.0", ""], [0, 4, -1]),
    ],
)
def test_names_and_codes_of_stages_are_read(texts, expected):
    stages = stages_of_texts(np.array(texts), "n.csv")
    assert stages.dtype == np.int8
    assert stages.tolist() == expected


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["W", "N1", "Nap", "W"], "'Nap' in sleep epoch 2"),
        (["0", "1", "5"], "5 in sleep epoch 2"),
        (["1.5"], "1.5 in sleep epoch 0"),
        (["nan"], "nan in sleep epoch 0"),
    ],
)
def test_what_is_no_stage_is_refused_with_its_place(texts, said):
    with pytest.raises(InputError, match=rf"n\.csv: the hypnogram holds {said}, which is no stage"):
        stages_of_texts(np.array(texts), "n.csv")


def at(hour, minute, second=0, day=1):
    return {
        "recording": edfio.Recording(startdate=date(2020, 5, day)),
        "starttime": time(hour, minute, second),
    }


def test_a_scoring_that_starts_at_another_time_is_moved_by_the_difference(tmp_path):
    night = write_edf(tmp_path / "n.edf", **at(23, 59))
    late = write_scoring(tmp_path / "late.edf", stage_annotations(["R"] * 2), **at(0, 0, day=2))
    assert open_recording(night, late).hypnogram.tolist() == [-1, -1, 4, 4]
    early = write_scoring(
        tmp_path / "early.edf", stage_annotations(["?", "?", "W", "N1", "N2", "N3"]), **at(23, 58)
    )
    assert open_recording(night, early).hypnogram.tolist() == [0, 1, 2, 3]


def test_a_scoring_outside_the_signals_is_refused_or_cut(tmp_path):
    night = write_edf(tmp_path / "n.edf", **at(23, 59))
    early = write_scoring(tmp_path / "e.edf", stage_annotations(["R"] * 6), **at(23, 58))
    with pytest.raises(InputError, match=r"6 epochs \(0:03 h\) from epoch -2, the signals"):
        open_recording(night, early)
    assert open_recording(night, early, "cut").hypnogram.tolist() == [4, 4, 4, 4]
    other_day = write_scoring(tmp_path / "o.edf", stage_annotations(["R"] * 4), **at(23, 59, day=4))
    for length_mismatch in ("error", "cut"):
        with pytest.raises(InputError, match="all its stages are outside the signals"):
            open_recording(night, other_day, length_mismatch)


def test_a_start_within_a_second_moves_the_annotations_with_the_signals(tmp_path):
    # the night starts 0.75 s after the header's second, and so does its first stage
    header = {"starttime": time(22, 0, 0, 750_000)}
    path = write_edf(tmp_path / "n.edf", 4, stage_annotations(["W", "N1", "N2", "N3"]), **header)
    file = open_edf(path)
    assert file.annotations()[1].onset_s == 30
    assert file.scoring(file.local_start).stages.tolist() == [0, 1, 2, 3]
    assert open_recording(path).start_time.time() == time(22, 0, 0, 750_000)


@pytest.mark.parametrize(
    ("stages", "kept"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 1, 2, 3, -1, -1, -1], [0, 1, 2, 3]),
        ([0, 1, 2], [0, 1, 2, -1]),
        ([0, 1, 2, 3, 4], "error"),
        ([0, 1, 2, 3, -1, 4], "error"),
        ([0, 1], "error"),
    ],
)
def test_an_h5_hypnogram_is_held_against_its_signals(tmp_path, stages, kept):
    path = write_reference_h5(
        tmp_path / "n.h5", {"signals/eeg/A": np.zeros(12000)}, hypnogram=np.array(stages)
    )
    if kept == "error":
        with pytest.raises(InputError, match=r"0:02 h.*data\.length_mismatch=cut"):
            open_recording(path)
        cut = open_recording(path, length_mismatch="cut")
        assert cut.hypnogram.tolist() == stages[:4]
        assert cut.epochs == len(cut.hypnogram)
    else:
        assert open_recording(path).hypnogram.tolist() == kept


def test_without_a_date_annotations_still_count_from_the_first_sample(tmp_path):
    # stages 0.75 s after the header's second are on the grid, 1.5 s after it they are not
    header = {"starttime": time(22, 0, 0, 750_000)}
    path = write_edf(tmp_path / "n.edf", 4, stage_annotations(["W", "N1", "N2", "N3"]), **header)
    recording = open_recording(patched(path, 168, "xx.xx.xx", 8))
    assert recording.start_time is None
    assert recording.hypnogram.tolist() == [0, 1, 2, 3]


def test_an_empty_annotation_does_not_move_the_start(tmp_path):
    path = write_edf(tmp_path / "n.edf", 4, [edfio.EdfAnnotation(0.4, 3, "")], **at(22, 0))
    assert open_recording(path).start_time.time() == time(22, 0)


def test_an_annotation_without_its_final_zero_is_refused_not_lost(tmp_path):
    path = write_scoring(tmp_path / "s.edf", stage_annotations(["W", "N2"]))
    content = path.read_bytes()
    path.write_bytes(content.rstrip(b"\x00").ljust(len(content), b"\x14"))
    with pytest.raises(InputError, match=r"s\.edf: .* data record 0 .* end with a zero"):
        open_edf(path)


def test_a_stage_in_the_place_of_a_records_time_is_refused_not_lost(tmp_path):
    path = write_scoring(tmp_path / "s.edf", stage_annotations(["W", "N2"]))
    content = path.read_bytes()
    untimed = content.replace(b"+0\x14\x14\x00", b"").ljust(len(content), b"\x00")
    path.write_bytes(untimed)
    with pytest.raises(InputError, match=r"s\.edf: .* data record 0 do not begin with its time"):
        open_edf(path)


def test_an_empty_annotation_signal_holds_no_annotations(tmp_path):
    path = write_edf(tmp_path / "n.edf", annotations=[], **at(22, 0))
    content = re.sub(rb"\+\d+\x14\x14", lambda m: bytes(len(m[0])), path.read_bytes())
    path.write_bytes(content)
    recording = open_recording(path)
    assert recording.hypnogram is None
    assert recording.start_time.time() == time(22, 0)


def test_annotations_that_are_not_utf_8_are_refused(tmp_path):
    path = write_edf(tmp_path / "n.edf", 4, [edfio.EdfAnnotation(3, 1, "Lights on")])
    path.write_bytes(path.read_bytes().replace(b"Lights on", b"Lumi\xe8re 1"))
    with pytest.raises(InputError, match=r"n\.edf: its annotations .* in UTF-8") as error:
        open_recording(path)
    assert "\n" not in str(error.value)
    assert open_edf(path).recording().epochs == 4


def test_a_scoring_may_be_spread_over_data_records_of_any_time(tmp_path):
    path = write_scoring(tmp_path / "s.edf", stage_annotations(["W", "N2"]))
    content = path.read_bytes()
    later = content[512:].replace(b"+0\x14\x14", b"+7\x14\x14").replace(b"stage W", b"stage R")
    later = later.replace(b"+30", b"+90").replace(b"+0\x15", b"+60\x15")[: len(content) - 512]
    path.write_bytes(content + later)
    patched(patched(path, 192, "EDF+D", 44), 236, "2", 8)
    assert open_edf(path).scoring(None).stages.tolist() == [0, 2, 4, 2]
