"""Hypnograms are cut only where it is told."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.evaluation.alignment import align
from sleep_lab.evaluation.scorings import read_hypnograms
from sleep_lab.stages import UNSCORED
from tests.shared import SHARED, needs_shared

DODH_LIGHTS = {
    "5bf0f969-304c-581e-949c-50c108f62846": (60, None),
    "b5d5785d-87ee-5078-b9b9-aac6abd4d8de": (60, None),
    "3e842aa8-bcd9-521e-93a2-72124233fe2c": (None, 620),
}


def stages(*codes):
    return np.array(codes, np.int8)


def one_night(**hypnograms):
    return {name: {"night": stages(*codes)} for name, codes in hypnograms.items()}


def test_the_epochs_that_every_scorer_covers_are_kept_and_the_rest_is_told(caplog):
    scorers = one_night(
        a=[-1, 0, 1, -1, 2, 3, 4, 0],
        b=[0, 0, 1, 2, 2, 3, -1, -1],
    )
    models = one_night(whole=[0, 1, 2, 3, 4, 0, 1, 2], trimmed=[4, 4, 3, 3, 2])
    with caplog.at_level(logging.INFO):
        alignment = align(scorers, models)
    (night,) = alignment.nights
    np.testing.assert_array_equal(night.scorings, [[0, 1, -1, 2, 3], [0, 1, 2, 2, 3]])
    assert alignment.models == ("trimmed", "whole")
    np.testing.assert_array_equal(night.predictions, [[4, 4, 3, 3, 2], [1, 2, 3, 4, 0]])
    assert night.cut.predictions == {"trimmed": (0, 0), "whole": (1, 2)}
    assert night.cut.text == "night: 5 of 8 epochs kept; 1 cut before (a); 2 cut after (b)"
    assert "1 of 1 nights are cut to the epochs that all cover (3 of 8 epochs go)" in caplog.text


def test_lights_cut_further_than_the_scorers_and_never_less():
    scorers = one_night(a=[-1, 0, 1, 2, 3, 4], b=[0, 0, 1, 2, 3, 4])
    model = one_night(m=[0, 1, 2, 3, 4, 0])
    for lights, kept in {
        (2, None): (2, 6),
        (None, 4): (1, 4),
        (0, 99): (1, 6),
        (3, 4): (3, 4),
    }.items():
        cut = align(scorers, model, {"night": lights, "another": (0, 1)}).nights[0].cut
        assert (cut.first, cut.end) == kept
    cut = align(scorers, model, {"night": (2, 5)}).nights[0].cut
    assert (cut.first_by, cut.end_by) == ("lights off", "lights on")


def test_a_prediction_of_another_length_is_an_error_that_names_night_and_lengths():
    scorers = one_night(a=[-1, 0, 1, 2, 3, 4], b=[0, 0, 1, 2, 3, 4])
    for epochs in (3, 4, 7):
        with pytest.raises(InputError) as caught:
            align(scorers, one_night(net=[0] * epochs))
        assert str(caught.value).startswith(
            f"night night: the hypnogram of net has {epochs} epochs and stages epochs 0 to "
            f"{epochs - 1}, the scorings have 6 and have 1 to 5 in common; check"
        )
    with pytest.raises(InputError, match=r"scorings differ in length \(a 2, b 3 epochs\)"):
        align(one_night(a=[0, 1], b=[0, 1, 2]), {})


def test_on_request_other_lengths_are_cut_to_what_all_cover_and_told(caplog):
    scorers = one_night(a=[-1, 0, 1, 2, 3, 4], b=[0, 0, 1, 2, 3])
    models = one_night(short=[0, 1, 2], long=[0, 1, 2, 3, 4, 0, 1, 2])
    (night,) = align(scorers, models, length_mismatch="cut").nights
    for told in ("differ in length (a 6, b 5 epochs)", "of long has 8", "of short has 3"):
        assert told in caplog.text
    np.testing.assert_array_equal(night.scorings, [[0, 1], [0, 1]])
    np.testing.assert_array_equal(night.predictions, [[1, 2], [1, 2]])
    assert night.cut.predictions == {"long": (1, 5), "short": (1, 0)}
    assert night.cut.text == (
        "night: 2 of 6 epochs kept; 1 cut before (a); 3 cut after (short); "
        "of long 1 before and 5 after; of short 1 before and 0 after"
    )
    assert night.cut.is_cut


def test_a_list_that_begins_unscored_is_counted_from_the_recording_s_start():
    scorers = one_night(a=[-1, -1, 0, 1, 2, -1], b=[-1, 0, 0, 1, 2, -1])
    exported = one_night(m=[-1, -1, 3, 1, 2])
    (night,) = align(scorers, exported).nights
    np.testing.assert_array_equal(night.predictions, [[3, 1, 2]])
    np.testing.assert_array_equal(night.scorings, [[0, 1, 2], [0, 1, 2]])


def test_epochs_that_a_model_did_not_stage_are_cut_for_all_and_not_held_against_it():
    scorers = one_night(a=[0, 1, 2, 3, 4], b=[0, 1, 2, 3, 4])
    models = one_night(late=[-1, 1, 2, -1, 4], early=[0, 1, 2, 3, -1])
    with pytest.raises(InputError, match="early has 5 epochs and stages epochs 0 to 3, the scor"):
        align(scorers, models)
    (night,) = align(scorers, models, length_mismatch="cut").nights
    np.testing.assert_array_equal(night.predictions, [[1, 2, 3], [1, 2, -1]])
    assert night.cut.text == "night: 3 of 5 epochs kept; 1 cut before (late); 1 cut after (early)"


def test_a_start_says_where_a_prediction_lies():
    scorers = one_night(a=[-1, -1, 0, 1, 2, -1], b=[-1, 0, 0, 1, 2, -1])
    model = one_night(m=[3, 0, 1, 2])
    (night,) = align(scorers, model, starts={"night": 1}).nights
    np.testing.assert_array_equal(night.predictions, [[0, 1, 2]])
    with pytest.raises(InputError, match="m has 4 epochs and stages epochs 3 to 6"):
        align(scorers, model, starts={"night": 3})
    (night,) = align(scorers, model, starts={"night": 3}, length_mismatch="cut").nights
    np.testing.assert_array_equal(night.predictions, [[3, 0]])
    np.testing.assert_array_equal(night.scorings, [[1, 2], [1, 2]])


@given(
    st.integers(2, 4),
    st.integers(4, 30),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_every_kept_epoch_is_the_same_epoch_in_all_hypnograms(scorers, epochs, data):
    # epoch n of everybody has the stage n % 5, so that a shifted one would show
    night = (np.arange(epochs) % 5).astype(np.int8)
    scorings = {}
    for index in range(scorers):
        before = data.draw(st.integers(0, epochs // 2 - 1))
        after = data.draw(st.integers(0, epochs // 2 - 1))
        stages_given = night.copy()
        stages_given[:before] = stages_given[epochs - after :] = UNSCORED
        scorings[f"scorer {index}"] = {"night": stages_given}
    scored = np.array([nights["night"] for nights in scorings.values()]) != UNSCORED
    common = np.flatnonzero(scored.all(0))
    models = {"whole": {"night": night}, "trimmed": {"night": night[common]}}
    aligned = align(scorings, models).nights[0]
    np.testing.assert_array_equal(aligned.scorings, np.tile(night[common], (scorers, 1)))
    np.testing.assert_array_equal(aligned.predictions, np.tile(night[common], (2, 1)))
    assert aligned.cut.first + len(common) + aligned.cut.cut_after == epochs


@pytest.mark.parametrize(
    ("scorers", "models", "options", "message"),
    [
        (one_night(a=[0]), {}, {}, "two scorers or more; found a"),
        ({}, {}, {}, "found none"),
        ({"a": {}, "b": {}}, {}, {}, "a has no nights"),
        ({"a": {"n": stages(0)}, "b": {"o": stages(0)}}, {}, {}, "b has no hypnogram of night n"),
        (one_night(a=[0], b=[0]), {"m": {}}, {}, "m has no hypnogram of night night"),
        (one_night(a=[0, -1], b=[-1, 0]), {}, {}, "no epoch is common to all"),
        (one_night(a=[0, 0], b=[-1, -1]), {}, {}, "b scored no epoch"),
        (one_night(a=[0], b=[0]), {}, {"lights": {"night": (5, None)}}, "lights off begins at"),
        (one_night(a=[0], b=[0]), {}, {"length_mismatch": "pad"}, "give error or cut"),
    ],
)
def test_what_cannot_be_aligned_is_one_clear_line(scorers, models, options, message):
    with pytest.raises(InputError, match=message) as caught:
        align(scorers, models, **options)
    assert "\n" not in str(caught.value)


@needs_shared
def test_the_published_predictions_are_aligned_with_their_five_scorers():
    scorers = read_hypnograms(SHARED / "dod" / "dodh_scorers.npz")
    models = read_hypnograms(SHARED / "dod" / "dodh_base_models.npz")
    alignment = align(scorers, models, DODH_LIGHTS)
    assert (len(alignment.scorers), len(alignment.models), len(alignment.nights)) == (5, 6, 25)
    for night in alignment.nights:
        lengths = {len(models[name][night.record]) for name in alignment.models}
        assert night.scorings.shape[1] in lengths
        assert night.cut.predictions == dict.fromkeys(alignment.models, (0, 0))
    with pytest.raises(
        InputError, match=r"3e842aa8.* has 620 epochs and .*, the scorings have 791"
    ):
        align(scorers, models)
