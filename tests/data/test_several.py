"""Nights of several datasets: names that cannot collide, and what one network can see."""

from dataclasses import replace

import pytest

from sleep_lab.data.several import in_dataset, numbers_of_channels, require_alike
from sleep_lab.errors import InputError
from tests.nights import prepared_night


def test_nights_and_people_of_one_name_are_others_in_another_dataset(tmp_path):
    night = prepared_night(tmp_path, epochs=5)
    (alone,) = in_dataset([night], "")
    assert alone == night
    (here,), (there,) = in_dataset([night], "here"), in_dataset([night], "there")
    assert (here.id, here.person, here.dataset) == ("here-night", "here-night", "here")
    assert not {here.id, here.person} & {there.id, there.person}
    assert here.hypnogram.tolist() == night.hypnogram.tolist()


def test_only_the_channels_of_datasets_may_differ(tmp_path):
    night = prepared_night(tmp_path, "a", epochs=5)
    channels = prepared_night(tmp_path, "b", epochs=5, names=("C",))
    require_alike([night, channels])
    assert numbers_of_channels([replace(night, dataset="x"), channels]) == {
        "psg": {2: "x", 1: "night 'b'"}
    }
    rate = prepared_night(tmp_path, "c", epochs=5, rate_out=12.0)
    with pytest.raises(InputError, match=r"'a' has the sampling rates .*10.* night 'c' .*12"):
        require_alike([night, rate])
    features = replace(night, id="d", features={"epoch_index": 1})
    with pytest.raises(InputError, match=r"'a' has the features .* night 'd' .*; prepare all"):
        require_alike([night, features])
    groups = replace(night, id="e", groups={"eeg": night.groups["psg"]})
    with pytest.raises(InputError, match=r"'a' has the groups \['psg'\], night 'e' \['eeg'\]"):
        require_alike([night, groups])
