"""ModuloNet: how parts are joined, what it refuses, and that it is rebuilt from plain data."""

import copy
import io
import json

import pytest
import torch

from sleep_lab.errors import InputError
from sleep_lab.models import build
from tests.models.simple_sleep_net import FEATURES, fitted, signals, simple_sleep_net


def batch(groups, features=FEATURES, windows=2, context=5):
    """Signals and features of a few windows."""
    torch.manual_seed(0)
    return (
        {
            name: signals(windows * context, channels, seed=3).unflatten(0, (windows, context))
            for name, channels in groups.items()
        },
        {name: torch.randn(windows, context, width) for name, width in features.items()},
    )


def changed(**entries):
    return {**copy.deepcopy(simple_sleep_net()), **entries}


@pytest.mark.parametrize(
    ("groups", "features"),
    [({"psg": 3}, FEATURES), ({"eeg": 2, "eog": 1}, FEATURES), ({"psg": 3}, {}), ({}, FEATURES)],
)
def test_forward_is_encode_then_sequence(groups, features):
    architecture = simple_sleep_net(groups, features)
    if not groups:
        architecture |= {"encoder": None, "reducer": None}
    model = fitted(build(architecture))
    windows, expert = batch(groups, features)
    logits = model(windows, expert)
    encoded = model.encode({name: x.flatten(0, 1) for name, x in windows.items()})
    assert encoded.shape == ((10, 50 * len(groups)) if groups else (0, 0))
    assert model.encoded_width == 50 * len(groups)
    encoded = encoded.reshape(2, 5, model.encoded_width)
    assert torch.equal(model.sequence(encoded, expert), logits)
    assert logits.shape == (2, 5, 5)
    assert logits.isfinite().all()


@torch.no_grad()
def test_epochs_are_encoded_the_same_in_any_batch():
    model = fitted(build(simple_sleep_net({"eeg": 2, "eog": 1}, {})))
    night = {"eeg": signals(9, 2), "eog": signals(9, 1)}
    parts = [
        model.encode({name: x[start : start + 4] for name, x in night.items()})
        for start in (0, 4, 8)
    ]
    torch.testing.assert_close(torch.cat(parts), model.encode(night), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_the_order_of_a_batch_s_groups_and_features_does_not_matter():
    model = fitted(build(simple_sleep_net({"eeg": 2, "eog": 1})))
    windows, expert = batch({"eeg": 2, "eog": 1})
    backwards = [dict(reversed(part.items())) for part in (windows, expert)]
    assert torch.equal(model(*backwards), model(windows, expert))


@torch.no_grad()
def test_every_epoch_of_a_window_hears_of_the_others_but_not_of_other_windows():
    model = fitted(build(simple_sleep_net({"psg": 3}, {})))
    windows, _ = batch({"psg": 3}, {})
    before = model(windows, {})
    windows["psg"][0, 4] *= 3
    after = model(windows, {})
    assert (after[0] != before[0]).any(dim=-1).all()
    assert torch.equal(after[1], before[1])


def test_gradients_reach_every_weight():
    model = fitted(build(simple_sleep_net({"eeg": 2, "eog": 1})))
    logits = model(*batch({"eeg": 2, "eog": 1}))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.arange(10) % 5).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_signals_are_not_changed_by_the_network():
    model = fitted(build(simple_sleep_net()))
    windows, expert = batch({"psg": 3})
    windows["psg"] = windows["psg"] * 20  # beyond the clip
    before = windows["psg"].clone()
    model(windows, expert)
    assert torch.equal(windows["psg"], before)


def test_features_without_an_encoder_are_joined_as_they_are():
    architecture = changed(features_encoder=None)
    model = build(architecture)
    assert model.sequence_encoder.layers[0].linear.in_features == 50 + 6


def test_a_features_encoder_without_features_is_not_built():
    model = build(changed(features={}))
    assert model.sequence_encoder.layers[0].linear.in_features == 50


def test_a_group_may_have_its_own_encoder():
    small = {"_target_": "sleep_lab.models.encoders.SimpleSleepEncoder", "hidden": 4}
    architecture = simple_sleep_net({"eeg": 2, "eog": 1}, {})
    architecture["encoder"] = {"eog": small, "eeg": architecture["encoder"]}
    model = fitted(build(architecture))
    encoded = model.encode({"eeg": signals(2, 2), "eog": signals(2, 1)})
    assert encoded.shape == (2, 50 + 8)


@torch.no_grad()
def test_a_network_is_rebuilt_from_its_architecture_and_state_to_the_bit():
    model = fitted(build(simple_sleep_net()))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    again = build(json.loads(json.dumps(model.architecture)))
    again.load_state_dict(torch.load(file, weights_only=True))
    windows = batch({"psg": 3})
    assert torch.equal(again.eval()(*windows), model(*windows))
    assert again.architecture == simple_sleep_net()


def test_an_architecture_is_kept_as_it_was_given():
    architecture = simple_sleep_net()
    model = build(architecture)
    architecture["encoder"]["hidden"] = 7
    assert model.architecture == simple_sleep_net()


@pytest.mark.parametrize(
    ("signals_of", "features_of", "words"),
    [
        ({"eeg": 3}, FEATURES, ("psg", "eeg")),
        ({"psg": 3, "emg": 1}, FEATURES, ("psg", "emg")),
        ({}, FEATURES, ("psg", "none")),
        ({}, {}, ("psg", "none")),
        ({"psg": 3}, {}, ("epoch_index", "none")),
        ({"psg": 4}, FEATURES, ("psg", "3 channels", "4")),
        ({"psg": 3}, {"epoch_index": 1}, ("epoch_cycle_index",)),
        ({"psg": 3}, {"epoch_index": 1, "epoch_cycle_index": 4}, ("epoch_cycle_index", "5", "4")),
    ],
)
def test_a_batch_of_another_montage_is_refused_with_both_sides_named(
    signals_of, features_of, words
):
    model = fitted(build(simple_sleep_net()))
    with pytest.raises(InputError) as error:
        model(*batch(signals_of, features_of))
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_epochs_of_another_length_are_refused():
    model = fitted(build(simple_sleep_net()))
    with pytest.raises(InputError, match=r"3000 samples\), found \(2, 3, 1800\)"):
        model.encode({"psg": signals(2, 3, 1800)})


PLACE = "sleep_lab.models"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"normalizer": []},
            r"group psg: the encoder wants a spectrogram .* but the normalizer gives \(3, 3000\); "
            "set normalizer=spectrogram",
        ),
        ({"encoder": None}, "group psg has no encoder"),
        ({"reducer": None}, "group psg has no reducer"),
        ({"groups": {}}, "nothing to encode"),
        ({"groups": {}, "features": {}, "encoder": None}, "needs signal groups or features"),
        ({"groups": {"psg": {"channels": 3}}}, "group psg: .*samples"),
        ({"encoder": {"eeg": {"_target_": f"{PLACE}.encoders.SimpleSleepEncoder"}}}, "psg.*eeg"),
        (
            {"encoder": {"_target_": f"{PLACE}.encoders.SimpleSleepEncoder", "filtres": 3}},
            "group psg: .*filtres",
        ),
        (
            {"encoder": {"_target_": f"{PLACE}.encoders.SimpleSleepEncoder", "dropout": 3}},
            "group psg: .*dropout",
        ),
        (
            {"reducer": {"_target_": f"{PLACE}.reducers.PoolReducer", "how": "maximum"}},
            "group psg: .*maximum",
        ),
        ({"reducer": {"context": 25}}, "_target_"),
        ({"encodr": None}, "did you mean 'encoder'"),
        ({"context": {1, 2}}, "not plain data"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_clear_line(change, message):
    with pytest.raises(InputError, match=message) as error:
        build(changed(**change))
    assert "\n" not in str(error.value)


def test_an_architecture_that_lacks_an_entry_is_refused():
    architecture = simple_sleep_net()
    del architecture["reducer"]
    with pytest.raises(InputError, match="'reducer' is missing"):
        build(architecture)


@pytest.mark.parametrize(
    "part",
    [
        {"_target_": "os.system", "command": "touch intruder"},
        {"_target_": "builtins.eval", "_args_": ["open('intruder', 'w')"]},
        {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1},
        {"_target_": f"{PLACE}.modulonet.torch.load", "f": "intruder"},
        {"_target_": f"{PLACE}.modulonet.instantiate", "config": {}},
        {
            "_target_": f"{PLACE}.encoders.SimpleSleepEncoder",
            "hidden": {"_target_": "os.system", "command": "touch intruder"},
        },
        {"_target_": f"{PLACE}.encoders.SimpleSleepEncoder", "hidden": "${oc.env:HOME}"},
    ],
)
@pytest.mark.parametrize("place", ["encoder", "reducer", "sequence_encoder", "normalizer"])
def test_an_architecture_from_elsewhere_may_name_parts_of_ours_only(
    part, place, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        build(changed(**{place: [part] if place == "normalizer" else part}))
    assert not list(tmp_path.iterdir())
