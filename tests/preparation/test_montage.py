"""A preparation with other channels."""

import logging

import pytest

from sleep_lab.errors import InputError
from sleep_lab.preparation import Preparation, Resample, ShannonEntropy, WeightedSum
from sleep_lab.preparation.montage import with_channels
from sleep_lab.preparation.preparation import Derivation

OWN = Preparation(
    {"psg": Derivation(("C3-M2", "E1-M2"), (Resample(100),))},
    {"entropy": ShannonEntropy(channels=("E1-M2", "C3-M2"))},
)


def test_other_channels_take_the_places_of_the_model_s_and_features_follow(caplog):
    with caplog.at_level(logging.WARNING):
        other = with_channels(OWN, {"psg": ["Fpz-Cz", "EOG"]})
    assert other.channels("psg") == ("Fpz-Cz", "EOG")
    assert other.groups["psg"].processings == OWN.groups["psg"].processings
    assert other.features["entropy"].channels == ("EOG", "Fpz-Cz")
    assert "Fpz-Cz, EOG take the places of C3-M2, E1-M2" in caplog.text


def test_the_only_group_need_not_be_called_the_same(caplog):
    with caplog.at_level(logging.WARNING):
        assert with_channels(OWN, {"eeg": ["C3-M2", "E1-M2"]}) == OWN
    assert not caplog.text


def test_a_derivation_may_take_a_channel_s_place():
    sum_of_two = {
        "channels": ["C3", "M2"],
        "processings": [
            {"_target_": "sleep_lab.preparation.processings.WeightedSum", "weights": [1, -1]}
        ],
    }
    other = with_channels(OWN, {"psg": [sum_of_two, "E1-M2"]})
    assert other.groups["psg"].channels == (
        Derivation(("C3", "M2"), (WeightedSum((1, -1)),)),
        "E1-M2",
    )


def test_as_many_channels_as_the_model_has_are_due_unless_any_number_will_do():
    with pytest.raises(
        InputError, match=r"psg: the model wants 2 channels \(C3-M2, E1-M2\), not 1 \(C3\)"
    ):
        with_channels(OWN, {"psg": ["C3"]})
    assert with_channels(OWN, {"psg": ["C3"]}, any_number=True).channels("psg") == ("C3",)


def test_an_unknown_group_is_refused():
    with pytest.raises(InputError, match="no such group; it has psg"):
        with_channels(OWN, {"psg": ["A", "B"], "eog": ["C"]})


def test_features_of_signals_follow_another_channel_where_there_is_no_group(caplog):
    alone = Preparation({}, {"entropy": ShannonEntropy(channels=("F4_M1",))}, padding_s=900)
    with caplog.at_level(logging.WARNING):
        other = with_channels(alone, {"features": ["EEG Fpz-Cz"]})
    assert other.features["entropy"].channels == ("EEG Fpz-Cz",)
    assert other.padding_s == 900
    assert "EEG Fpz-Cz take the places of F4_M1" in caplog.text
    with pytest.raises(InputError, match=r"features of F4_M1; .*\+montage\.features="):
        with_channels(alone, {"psg": ["EEG Fpz-Cz"]})
    with pytest.raises(InputError, match="features are of 1 channels"):
        with_channels(alone, {"features": ["A", "B"]})
