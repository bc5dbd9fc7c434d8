"""ModuloNet: how parts are joined, what it refuses, and that it is rebuilt from plain data."""

import copy
import io
import json

import pytest
import torch

from sleep_lab.errors import InputError
from sleep_lab.models import build, fit_standardization
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
    assert {name: e.shape for name, e in encoded.items()} == dict.fromkeys(groups, (10, 50))
    encoded = {name: e.unflatten(0, (2, 5)) for name, e in encoded.items()}
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
    whole = model.encode(night)
    for name in night:
        joined = torch.cat([part[name] for part in parts])
        torch.testing.assert_close(joined, whole[name], rtol=1e-5, atol=1e-6)


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
    assert encoded["eeg"].shape == (2, 50)
    assert encoded["eog"].shape == (2, 8)


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


PER_WINDOW = [
    {"_target_": f"{PLACE}.normalizers.Spectrogram"},
    {"_target_": f"{PLACE}.normalizers.StandardizeOnline"},
    {"_target_": f"{PLACE}.normalizers.Affine", "gain": 2.0},
]
ROBUST = {
    "normalizer": PER_WINDOW,
    "encoder": {"_target_": f"{PLACE}.encoders.RobustSleepEncoder", "hidden": 6},
    "reducer": {"_target_": f"{PLACE}.reducers.ProjectedAttentionReducer", "width": 7},
}


@torch.no_grad()
def test_a_step_per_window_sees_the_window_and_what_comes_before_it_does_not():
    model = build(changed(**ROBUST, features={})).eval()
    spectrogram = model.encoders["psg"].normalizer[0]
    night = signals(9, 3)
    once = model.encode({"psg": night})["psg"]
    assert torch.equal(once, spectrogram(night))
    windows = once.unfold(0, 5, 1).movedim(-1, 1)
    logits = model.sequence({"psg": windows}, {})
    for first in (0, 3):
        window = spectrogram(night[first : first + 5])
        standardized = (window - window.mean((0, -1), keepdim=True)) / window.std(
            (0, -1), keepdim=True
        )
        group = model.encoders["psg"]
        encoded = group.reducer(group.encoder(2 * standardized))
        expected = model.classifier(model.sequence_encoder(encoded[None]))
        torch.testing.assert_close(logits[first], expected[0], rtol=1e-4, atol=1e-5)
        alone = model({"psg": night[None, first : first + 5]}, {})
        torch.testing.assert_close(logits[first], alone[0], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_robust_sleep_takes_a_set_of_channels():
    model = build(changed(**ROBUST, features={})).eval()
    assert model.any_channels
    night = signals(5, 4)[None]
    logits = model({"psg": night}, {})
    shuffled = model({"psg": night[:, :, [2, 0, 3, 1]]}, {})
    torch.testing.assert_close(shuffled, logits, rtol=1e-4, atol=1e-5)
    twice = model({"psg": night.repeat(1, 1, 2, 1)}, {})
    torch.testing.assert_close(twice, logits, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model({"psg": night[:, :, :2]}, {}), logits, atol=1e-3)


def test_statistics_of_channels_tie_a_network_to_them():
    standardization = {"_target_": f"{PLACE}.normalizers.Standardization"}
    tied = ROBUST | {"normalizer": [PER_WINDOW[0], standardization]}
    assert not build(changed(**tied)).any_channels
    assert not build(simple_sleep_net()).any_channels


def test_a_standardization_after_a_step_per_window_cannot_be_fitted():
    steps = [*PER_WINDOW, {"_target_": f"{PLACE}.normalizers.Standardization"}]
    model = build(changed(**ROBUST | {"normalizer": steps}))
    with pytest.raises(InputError, match="group psg: a standardization after a step that works"):
        fit_standardization(model.normalizers, [{"psg": signals(2, 3)}])


@torch.no_grad()
def test_the_centre_s_logits_are_those_of_all_epochs():
    torch.manual_seed(0)
    every = fitted(build(simple_sleep_net()))
    centre = build(changed(output="centre")).eval()
    centre.load_state_dict(every.state_dict())
    windows = batch({"psg": 3})
    assert every.predicted == slice(0, 5)
    assert centre.predicted == slice(2, 3)
    assert torch.equal(centre(*windows), every(*windows)[:, 2:3])


def test_a_sequence_encoder_that_makes_one_of_all_epochs_stages_the_centre():
    flatten = {"_target_": f"{PLACE}.sequence_encoders.Flatten", "layers": [4]}
    with pytest.raises(InputError, match="output=centre"):
        build(changed(sequence_encoder=flatten))
    model = fitted(build(changed(sequence_encoder=flatten, output="centre")))
    windows, expert = batch({"psg": 3})
    assert model(windows, expert).shape == (2, 1, 5)
    with pytest.raises(InputError, match="wants windows of 5 epochs, found 4"):
        model({"psg": windows["psg"][:, :4]}, {n: x[:, :4] for n, x in expert.items()})
    assert build(changed(sequence_encoder=flatten, context=1)).predicted == slice(0, 1)


def groups_that_reach_the_classifier(model, windows):
    """(draws, groups) whether each of two groups had an influence, from its gradient."""
    inputs = {name: x.clone().requires_grad_() for name, x in windows.items()}
    model(inputs, {}).sum().backward()
    return torch.stack([x.grad.flatten(1).abs().sum(1) > 0 for x in inputs.values()], dim=1)


def test_groups_are_dropped_window_by_window_and_in_training_only():
    model = fitted(build(simple_sleep_net({"eeg": 1, "eog": 1}, {}) | {"group_dropout": 0.5}))
    windows = {
        name: signals(320, 1, seed=s).unflatten(0, (64, 5)) for s, name in enumerate(["eeg", "eog"])
    }
    assert groups_that_reach_the_classifier(model, windows).all()
    for module in model.train().modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    kept = groups_that_reach_the_classifier(model, windows)
    # of 64 windows, each of four outcomes is expected 16 times
    outcomes = torch.bincount(2 * kept[:, 0] + kept[:, 1], minlength=4)
    assert (outcomes > 4).all()
    torch.manual_seed(3)
    first = groups_that_reach_the_classifier(model, windows)
    torch.manual_seed(3)
    assert torch.equal(groups_that_reach_the_classifier(model, windows), first)


@torch.no_grad()
def test_features_are_normalized_column_by_column_in_the_network_s_order():
    standardization = {"_target_": f"{PLACE}.normalizers.Standardization"}
    model = build(changed(features_normalizer=[standardization])).eval()
    _, expert = batch({"psg": 3})
    joined = torch.cat([expert["epoch_index"], expert["epoch_cycle_index"]], dim=-1)
    rows = joined.flatten(0, 1)
    fit_standardization({"features": model.features_normalizer}, [{"features": rows[..., None]}])
    expected = (rows - rows.mean(0)) / rows.std(0)
    normalized = model.normalized_features(dict(reversed(expert.items())))
    torch.testing.assert_close(normalized.flatten(0, 1), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_each_group_may_have_its_own_normalizers_and_reducer():
    whole = simple_sleep_net({"eeg": 2, "eog": 1}, {})
    pool = {"_target_": f"{PLACE}.reducers.PoolReducer"}
    steps = whole["normalizer"]
    model = fitted(
        build(
            whole
            | {
                "normalizer": {"eog": steps[1:], "eeg": steps},
                "reducer": {"eeg": pool, "eog": whole["reducer"]},
            }
        )
    )
    assert [len(model.encoders[name].normalizer) for name in ("eeg", "eog")] == [3, 2]
    assert type(model.encoders["eeg"].reducer).__name__ == "PoolReducer"
    with pytest.raises(InputError, match="reducer of group: the model wants eeg, eog, found eeg"):
        build(whole | {"reducer": {"eeg": pool}})
