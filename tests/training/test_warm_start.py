"""Training that begins with trained weights: what is taken over, what stays, what is refused."""

import logging
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.models import ModuloNet, build, fit_standardization
from sleep_lab.preparation import Preparation
from sleep_lab.training import CrossEntropy, Penalty, StagingModule, StochasticWeightAveraging
from sleep_lab.training.warm_start import WarmStart, fill, freeze, hold_still
from tests.models.simple_sleep_net import FEATURES, signals
from tests.nights import preparation
from tests.training.small_training import network, trained

PLACE = "sleep_lab.models"
GRU = {"_target_": f"{PLACE}.sequence_encoders.GRU", "hidden": 4, "layers": 2, "dropout": 0.5}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The checkpoint of a small training."""
    folder = tmp_path_factory.mktemp("first")
    trained(folder, epochs=1)
    return folder / "best.ckpt"


def weights_of(checkpoint):
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    return {name.removeprefix("model."): value for name, value in state.items()}


def begun(first, model=None, **start):
    """A network that begins with the first training's weights, and its start."""
    model = model or network()
    warm = WarmStart(first, **start)
    fill(model, warm, preparation())
    freeze(model, warm)
    return model


def saved(path, model=None, prepared=None, rate=10, **changes):
    """A file of a network whose statistics are those of noise."""
    model = model or network(**changes)
    model.preparation = prepared or preparation(rate=rate)
    shapes = {name: (group.channels, group.samples) for name, group in model.groups.items()}
    batch = {name: signals(4, *shape, seed=1) for name, shape in shapes.items()}
    fit_standardization(model.normalizers, [batch])
    model.save(path)
    return path


def test_the_network_begins_with_the_weights_and_statistics_of_the_file(first):
    model = begun(first)
    for name, value in weights_of(first).items():
        assert torch.equal(model.state_dict()[name], value), name
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("start", "still"),
    [
        ({"freeze": ("encoders",)}, ("encoders.",)),
        ({"freeze": ("encoders.*.encoder", "class*")}, ("encoders.psg.encoder.", "classifier.")),
        (
            {"train_only": ("classifier", "*.reducer")},
            ("encoders.psg.encoder.", "sequence_encoder.", "features_encoder."),
        ),
    ],
)
def test_frozen_weights_stay_to_the_last_bit_and_all_others_move(first, tmp_path, start, still):
    decaying = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.5)
    module = trained(tmp_path, model=begun(first, **start), optimizer=decaying, epochs=2)
    before, after = weights_of(first), weights_of(tmp_path / "last.ckpt")
    frozen = {name for name, _ in module.model.named_parameters() if name.startswith(still)}
    held = {id(p) for group in module.optimizers().param_groups for p in group["params"]}
    for name, parameter in module.model.named_parameters():
        assert torch.equal(before[name], after[name]) == (name in frozen), name
        assert (id(parameter) in held) == (name not in frozen), name
        assert parameter.requires_grad == (name not in frozen), name
    statistics = [name for name in before if "batch_norm.running" in name]
    assert len(statistics) == 2
    for name in statistics:
        assert torch.equal(before[name], after[name]), name


def test_batch_normalization_that_is_not_frozen_goes_on(first, tmp_path):
    trained(tmp_path, model=begun(first, freeze=("sequence_encoder",)), epochs=1)
    name = "encoders.psg.encoder.batch_norm.running_mean"
    assert not torch.equal(weights_of(first)[name], weights_of(tmp_path / "last.ckpt")[name])


class Twice(pl.Callback):
    """Whether parts of the model give the same twice, at every step of the training."""

    def __init__(self):
        self.encoder, self.whole = [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        signals = {name: group.flatten(0, 1) for name, group in batch.signals.items()}
        a, b = (module.model.encode(signals)["psg"] for _ in range(2))
        self.encoder.append(torch.equal(a, b))
        a, b = (module(batch.signals, batch.features) for _ in range(2))
        self.whole.append(torch.equal(a, b))


def test_frozen_parts_have_no_dropout_in_any_training_epoch(first, tmp_path):
    frozen, free = Twice(), Twice()
    trained(tmp_path / "a", frozen, model=begun(first, freeze=("encoders",)), epochs=3)
    trained(tmp_path / "b", free, model=begun(first), epochs=1)
    assert len(frozen.encoder) >= 3
    assert all(frozen.encoder)
    assert not any(frozen.whole)
    assert not any(free.encoder)


def test_recurrent_layers_that_are_frozen_pass_gradients_in_training_mode_without_dropout():
    model = network(sequence_encoder=GRU)
    freeze(model, WarmStart("some.ckpt", freeze=("sequence_encoder",)))
    hold_still(model)
    recurrent = [m for m in model.sequence_encoder.modules() if isinstance(m, torch.nn.RNNBase)]
    # cuDNN refuses to differentiate them in evaluation mode
    assert recurrent
    assert all(layer.training for layer in recurrent)
    x = torch.rand(2, 5, recurrent[0].input_size, requires_grad=True)
    once, again = (model.sequence_encoder(x) for _ in range(2))
    assert torch.equal(once, again)
    once.sum().backward()
    assert x.grad.abs().sum() > 0


def test_the_penalty_leaves_frozen_weights_out(first):
    model = begun(first, train_only=("classifier",))
    penalty = Penalty(l1=1.0, exclusions=[])(model.named_parameters())
    expected = sum(p.abs().sum() for p in model.classifier.parameters())
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-6)


def test_weight_averaging_leaves_frozen_weights_as_they_are(first, tmp_path):
    averaging = StochasticWeightAveraging(start=0)
    trained(tmp_path, averaging, model=begun(first, freeze=("encoders",)), epochs=3)
    before, after = weights_of(first), weights_of(tmp_path / "last.ckpt")
    for name in before:
        if name.startswith("encoders.") and "normalizer" not in name:
            assert torch.equal(before[name], after[name]), name


def test_a_training_that_goes_on_keeps_its_own_weights_and_what_is_frozen(first, tmp_path):
    trained(tmp_path / "a", model=begun(first, freeze=("encoders",)), epochs=1)
    last = tmp_path / "a" / "last.ckpt"
    model = network()
    freeze(model, WarmStart(first, freeze=("encoders",)))
    trained(tmp_path / "b", model=model, epochs=3, resume=last)
    before, middle, after = map(weights_of, (first, last, tmp_path / "b" / "last.ckpt"))
    for name, _ in model.named_parameters():
        assert torch.equal(before[name], after[name]) == name.startswith("encoders."), name
    assert not torch.equal(before["classifier.weight"], middle["classifier.weight"])


MODULES = ["encoders", "encoders.psg.reducer", "encoders.psg.encoder.gru", "features_encoder"]
MODULES += ["sequence_encoder", "sequence_encoder.layers.0.gru", "classifier"]


@settings(deadline=None, max_examples=10)
@given(st.lists(st.sampled_from(MODULES), min_size=1, unique=True))
def test_a_module_stands_for_all_below_it_and_training_only_is_the_opposite(modules):
    start = tuple(modules)
    frozen, only, starred = (build(network().architecture) for _ in range(3))
    freeze(only, WarmStart("some.ckpt", train_only=start))
    below = tuple(f"{module}." for module in modules)
    for name, parameter in only.named_parameters():
        assert parameter.requires_grad == name.startswith(below), name
    if all(name.startswith(below) for name, _ in frozen.named_parameters()):
        return
    freeze(frozen, WarmStart("some.ckpt", freeze=start))
    freeze(starred, WarmStart("some.ckpt", freeze=tuple(f"{module}.*" for module in modules)))
    for name, parameter in only.named_parameters():
        assert frozen.get_parameter(name).requires_grad != parameter.requires_grad, name
        assert starred.get_parameter(name).requires_grad != parameter.requires_grad, name


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"freeze": ("encoder",)}, r"start.freeze: no parameter is called 'encoder'; did you mean"),
        ({"train_only": ("head",)}, r"start.train_only: no parameter is .* classifier$"),
        ({"freeze": ("*",)}, "leaves nothing to train"),
        ({"freeze": ("encoders", "*_encoder", "classifier")}, "leaves nothing to train"),
    ],
)
def test_patterns_that_freeze_nothing_or_everything_are_refused(start, message):
    with pytest.raises(InputError, match=message) as error:
        freeze(network(), WarmStart("some.ckpt", **start))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"weights": None, "freeze": ["a"]}, "there are none: add start.weights=FILE_OR_RUN"),
        ({"weights": None, "train_only": ["a"]}, "add start.weights"),
        ({"freeze": ["a"], "train_only": ["b"]}, "not both"),
        ({"freeze": "encoders"}, r"start.freeze is a list: write \[encoders\]"),
        ({"statistics": "kept"}, "start.statistics=kept: did you mean 'keep'"),
        ({"weights": 5}, "start.weights is one path, or null for none, not 5"),
        ({"weights": ["a", "b"]}, r"start.weights is one path, .*, not \['a', 'b'\]"),
        ({"weights": False}, "start.weights is one path, .*, not False"),
        ({"weights": ""}, "start.weights is one path, .*, not ''"),
        ({"freeze": 5}, r"start.freeze is a list: write \[5\]"),
        ({"train_only": {"a": 1}}, "start.train_only is a list"),
    ],
)
def test_a_start_that_makes_no_sense_is_refused(start, message):
    node = {"weights": "a.ckpt", "freeze": [], "train_only": [], "statistics": "keep"}
    with pytest.raises(InputError, match=message):
        WarmStart.of({**node, **start})


SIMPLE = {"_target_": f"{PLACE}.encoders.SimpleSleepEncoder", "hidden": 4}
WIDE = {"_target_": f"{PLACE}.encoders.SeqSleepEncoder", "filters": 9, "hidden": 6}


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"encoder": SIMPLE}, r"set encoder=simple_sleep \(now seq_sleep\)"),
        ({"encoder": WIDE}, r"_weights' has shape \(2, \d+, 9\) in the weights, \(2, \d+, 8\) in"),
        ({"encoder": WIDE}, r"set encoder.filters=9 \(now 8\), encoder.hidden=6 \(now 4\)$"),
        ({"sequence_encoder": GRU}, r"set sequence_encoder=gru \(now residual_gru\)"),
        (
            {"features_encoder": None},
            "the weights have no 'features_encoder.linears.0.weight'; set",
        ),
        ({"features": {}}, "want the features none, in this order; the config has epoch_index of"),
        (
            {"groups": {"psg": {"channels": 3, "samples": 300, "sampling_rate": 10.0}}},
            r"want 3 channels \(A, B, C\), the config has 2; .* data.channels=\[\.\.\.\]",
        ),
        (
            {"groups": {"psg": {"channels": 2, "samples": 600, "sampling_rate": 20.0}}},
            r"want 20 Hz, the config prepares 10 Hz; type preparation.sampling_rate=20",
        ),
        (
            {"groups": {"psg": {"channels": 2, "samples": 600, "sampling_rate": 10.0}}},
            "want 600 samples at once, the config has 300; change context",
        ),
    ],
)
def test_weights_of_another_network_are_refused_with_both_sides_and_what_to_type(
    tmp_path, theirs, message
):
    names = ("A", "B", "C")[: theirs.get("groups", {}).get("psg", {"channels": 2})["channels"]]
    file = saved(tmp_path / "other.safetensors", prepared=preparation(names), **theirs)
    with pytest.raises(InputError, match=message) as error:
        fill(network(), WarmStart(file), preparation())
    assert str(error.value).startswith(f"start.weights={file}: ")
    assert "\n" not in str(error.value)


def test_the_order_of_features_is_that_of_the_weights(tmp_path):
    turned = dict(reversed(FEATURES.items()))
    file = saved(tmp_path / "other.safetensors", features=turned)
    with pytest.raises(InputError, match="want the features epoch_cycle_index of width 5, epoch_"):
        fill(network(), WarmStart(file), preparation())


def test_the_name_of_the_only_group_does_not_matter(tmp_path):
    psg = network().architecture["groups"]["psg"]
    prepared = Preparation({"eeg": preparation().groups["psg"]}, preparation().features)
    file = saved(tmp_path / "eeg.safetensors", network(groups={"eeg": psg}), prepared)
    model = build(network().architecture)
    fill(model, WarmStart(file), preparation())
    for name, value in ModuloNet.load(file).state_dict().items():
        assert torch.equal(value, model.state_dict()[name.replace(".eeg.", ".psg.")]), name


def test_a_temperature_is_left_behind(tmp_path):
    model = network()
    model.temperature = 2.5
    file = saved(tmp_path / "warm.safetensors", model=model)
    begun = network()
    fill(begun, WarmStart(file), preparation())
    assert begun.temperature == 1


def test_statistics_of_other_signals_are_refused_or_refitted(tmp_path, caplog):
    file = saved(tmp_path / "other.safetensors", prepared=preparation(rate=20))
    with pytest.raises(
        InputError, match=r"statistics are of other signals: group psg was .*20"
    ) as e:
        fill(network(), WarmStart(file), preparation())
    assert "start.statistics=refit" in str(e.value)
    assert "\n" not in str(e.value)
    model = network()
    fill(model, WarmStart(file, statistics="refit"), preparation())
    assert not model.normalizers["psg"][2].fitted
    assert "the weights have learned from other signals" in caplog.text


def test_another_normalizer_makes_other_signals(tmp_path):
    steps = network().architecture["normalizer"]
    file = saved(tmp_path / "other.safetensors")
    wide = [{**steps[0], "maximum": 300}, *steps[1:]]
    with pytest.raises(
        InputError, match=r"normalizer\[0\].maximum is 500 in the weights, 300 here"
    ):
        fill(network(normalizer=wide), WarmStart(file), preparation())


def test_padding_and_channels_do_not_make_other_signals_but_channels_are_told(tmp_path, caplog):
    file = saved(tmp_path / "other.safetensors", prepared=preparation(padding_s=900))
    fill(network(), WarmStart(file), preparation())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    fill(network(), WarmStart(file), preparation(("C", "B")))
    assert "group psg: C, B take the places of A, B" in caplog.text


def test_parts_that_differ_though_the_weights_fit_are_told(tmp_path, caplog):
    encoder = network().architecture["encoder"]
    file = saved(tmp_path / "other.safetensors", encoder={**encoder, "dropout": 0.1})
    fill(network(encoder={**encoder, "dropout": 0.3}), WarmStart(file), preparation())
    assert "encoder.dropout=0.3 (the weights were trained with 0.1)" in caplog.text


def test_nothing_is_frozen_where_nothing_is_asked_for():
    model = network()
    freeze(model, WarmStart())
    assert all(parameter.requires_grad for parameter in model.parameters())
    module = StagingModule(model, CrossEntropy(), torch.optim.Adam)
    module.on_train_start()
    assert all(part.training for part in model.modules())
