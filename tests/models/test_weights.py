"""Networks in files: what is saved is loaded to the last bit, and read by others."""

import gzip
import io
import json
import shutil
import tarfile

import numpy as np
import pytest
import safetensors.torch
import torch

from sleep_lab.errors import InputError
from sleep_lab.evaluation import calibration
from sleep_lab.models import ModuloNet, build
from sleep_lab.models.reference_architecture import network_to_reference
from sleep_lab.models.reference_archive import read_archive
from sleep_lab.models.weights import TEMPERATURES, load_model, store_temperature
from sleep_lab.preparation import prepare
from sleep_lab.preparation.preparation import Derivation, Preparation
from sleep_lab.preparation.processings import Filter, Padding, Resample
from sleep_lab.recordings import sleep_edf
from tests.models.archives import (
    MEMBERS,
    small_network,
)
from tests.models.published import ROBUST_SLEEP_NET, SIMPLE_SLEEP_NET
from tests.models.simple_sleep_net import fitted, signals, simple_sleep_net
from tests.models.test_reference_networks import (
    DEEP_SLEEP_NET,
    RAW,
    SEQ_SLEEP_NET,
    reference,
)
from tests.shared import SHARED, needs_shared

PLACE = "sleep_lab.models"
FLATTEN = {"_target_": f"{PLACE}.sequence_encoders.Flatten"}
JOINED = {
    "groups": {"eeg": {"channels": 2, "samples": 9000, "sampling_rate": 100.0}},
    "features": {},
    "context": 1,
    "normalizer": RAW,
    "reducer": {"_target_": f"{PLACE}.reducers.FlattenReducer"},
}
SPECTROGRAM = {"_target_": f"{PLACE}.normalizers.Spectrogram"}
STANDARDIZATION = {"_target_": f"{PLACE}.normalizers.Standardization"}
SIMPLE = f"{PLACE}.encoders.SimpleSleepEncoder"
ROBUST = {
    "normalizer": [SPECTROGRAM, {"_target_": f"{PLACE}.normalizers.StandardizeOnline"}],
    "encoder": {"_target_": f"{PLACE}.encoders.RobustSleepEncoder", "virtual_channels": 3},
    "reducer": {"_target_": f"{PLACE}.reducers.ProjectedAttentionReducer"},
}
MIXED = {
    "groups": {},
    "normalizer": [],
    "encoder": None,
    "reducer": None,
    "features_normalizer": [STANDARDIZATION],
    "sequence_encoder": {"_target_": f"{PLACE}.sequence_encoders.LSTM", "hidden": 6},
}
LSTM_SMALL = {"_target_": f"{PLACE}.sequence_encoders.ResidualLSTM", "hidden": 8}
NETWORKS = {
    "simple_sleep_net": {},
    "two groups": {
        "groups": {
            name: {"channels": n, "samples": 3000, "sampling_rate": 100.0}
            for name, n in (("eog", 1), ("eeg", 2))
        },
        "group_dropout": 0.25,
    },
    "no channel recombination": {"encoder": {"_target_": SIMPLE, "channel_recombination": False}},
    "no frequency reduction": {"encoder": {"_target_": SIMPLE, "frequency_reduction": False}},
    "average pooling": {"reducer": {"_target_": f"{PLACE}.reducers.PoolReducer", "how": "average"}},
    "no positional features": {"features": {}},
    "features as they are": {"features_encoder": None},
    "affine, clip and centre": {
        "normalizer": [
            {"_target_": f"{PLACE}.normalizers.Affine", "gain": 0.5},
            {"_target_": f"{PLACE}.normalizers.Clip", "value": 100},
            {**SPECTROGRAM, "log": False, "window_s": 2.5},
        ],
        "output": "centre",
    },
    "seq_sleep_net": SEQ_SLEEP_NET,
    "deep_sleep_net": DEEP_SLEEP_NET | {"sequence_encoder": LSTM_SMALL},
    "chambon_et_al": JOINED
    | {
        "encoder": {"_target_": f"{PLACE}.encoders.ChambonEncoder"},
        "sequence_encoder": FLATTEN,
    },
    "tsinalis_et_al": JOINED
    | {
        "encoder": {"_target_": f"{PLACE}.encoders.TsinalisEncoder"},
        "sequence_encoder": FLATTEN | {"layers": [7, 5]},
    },
    "mixed_neural_network": MIXED,
    "robust_sleep_net": ROBUST | {"features": {}},
    "robust_sleep_net with pools and features": ROBUST
    | {"reducer": {"_target_": f"{PLACE}.reducers.PoolReducer"}},
    "robust_sleep_net with plain attention": ROBUST
    | {"reducer": {"_target_": f"{PLACE}.reducers.AttentionReducer"}},
}


def network(changes):
    """The network with random weights and, where it has some, fitted statistics."""
    torch.manual_seed(0)
    model = build(simple_sleep_net({"eeg": 2}) | {"context": 21} | changes)
    if model.groups:
        fitted(model)
    for step in model.features_normalizer:
        step.mean.uniform_()
        step.std.uniform_(1, 2)
        step.fitted.fill_(True)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.uniform_()
            module.running_var.uniform_(1, 2)
    return model.eval()


@torch.no_grad()
def output(model):
    windows = {
        name: signals(model.context, group.channels, group.samples)[None]
        for name, group in model.groups.items()
    }
    generator = torch.Generator().manual_seed(0)
    features = {
        name: torch.rand(1, model.context, width, generator=generator)
        for name, width in model.features.items()
    }
    return model(windows, features)


every_network = pytest.mark.parametrize("changes", NETWORKS.values(), ids=NETWORKS)


@every_network
@pytest.mark.parametrize("suffix", [".gz", ".safetensors"])
def test_a_network_is_the_same_to_the_last_bit_after_saving_and_loading(tmp_path, changes, suffix):
    model = network(changes)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = ModuloNet.load(path)
    assert not loaded.training
    assert loaded.preparation is None
    assert torch.equal(output(loaded), output(model))
    assert loaded.group_dropout == model.group_dropout
    again = tmp_path / f"again{suffix}"
    loaded.save(again)
    assert read_all(again) == read_all(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, again.name])


def read_all(path):
    """The content but for our description, which may name defaults or leave them out."""
    if path.suffix == ".gz":
        return path.read_bytes()
    return {name: value.tolist() for name, value in safetensors.torch.load_file(path).items()}


def test_a_preparation_is_in_our_file(tmp_path):
    model = small_network()
    chain = (Filter(), Resample(100), Padding(900))
    model.preparation = Preparation({"eeg": Derivation(("C3-M2",), chain)}, {})
    model.save(tmp_path / "model.safetensors")
    assert ModuloNet.load(str(tmp_path / "model.safetensors")).preparation == model.preparation


def written_with(path, temperature):
    """A .safetensors file or a checkpoint of a small network whose facts say this, or nothing."""
    model = small_network()
    facts = {"format": 1, "architecture": model.architecture, "preparation": None}
    facts |= {"config": {}, "split": {}}
    facts |= {} if temperature is None else {"temperature": temperature}
    if path.suffix == ".ckpt":
        state = {f"model.{name}": weight for name, weight in model.state_dict().items()}
        torch.save({"sleep_lab": json.dumps(facts), "state_dict": state}, path)
    else:
        metadata = {"sleep_lab": json.dumps(facts)}
        safetensors.torch.save_file(model.state_dict(), path, metadata)
    return path


both_of_ours = pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])


@both_of_ours
@pytest.mark.parametrize("temperature", [1.7, 1, *calibration.TEMPERATURES])
def test_a_temperature_goes_from_file_to_file(tmp_path, name, temperature):
    trained = load_model(written_with(tmp_path / name, temperature))
    assert trained.temperature == trained.model.temperature == temperature
    trained.model.save(tmp_path / "again.safetensors")
    assert load_model(tmp_path / "again.safetensors").temperature == temperature


@both_of_ours
def test_a_file_that_says_nothing_of_a_temperature_has_none(tmp_path, name):
    assert load_model(written_with(tmp_path / name, None)).temperature == 1


def test_every_temperature_that_can_be_fitted_can_be_kept():
    assert TEMPERATURES == calibration.TEMPERATURES


@both_of_ours
@pytest.mark.parametrize(
    "temperature",
    [0, -1.5, 1e-3, 101, 10**400, float("nan"), float("inf"), True, "1.5", [1.5], {}],
    ids=lambda value: str(value)[:9],
)
def test_a_temperature_that_is_none_is_refused(tmp_path, name, temperature):
    said = ("temperature", "number from 0.01 to 100")
    refused(written_with(tmp_path / name, temperature), *said)
    good = written_with(tmp_path / "good.ckpt", None)
    before = good.read_bytes()
    with pytest.raises(InputError, match="number from"):
        store_temperature(good, temperature)
    assert good.read_bytes() == before
    model = small_network()
    model.temperature = temperature
    with pytest.raises(InputError, match="number from"):
        model.save(tmp_path / "bad.safetensors")
    assert not (tmp_path / "bad.safetensors").exists()


def test_an_archive_is_not_written_without_the_temperature(tmp_path):
    model = small_network()
    model.temperature = 1.5
    with pytest.raises(InputError, match=r"temperature of 1\.5; write NAME\.safetensors"):
        model.save(tmp_path / "model.gz")
    assert not list(tmp_path.iterdir())
    model.temperature = 1.0
    model.save(tmp_path / "model.gz")
    assert load_model(tmp_path / "model.gz").temperature == 1


@every_network
def test_an_archive_can_be_read_as_the_reference_does(tmp_path, changes):
    model = network(changes)
    model.save(tmp_path / "model.gz")
    with tarfile.open(tmp_path / "model.gz", "r") as tar:
        assert tuple(tar.getnames()) == (
            *("net_params.json", "state.torch"),
            *("normalization_parameters.json", "groups.json", "features.json"),
        )
        net, normalization, groups, features = (
            json.loads(tar.extractfile(name).read().decode("utf-8"))
            for name in ("net_params.json", *MEMBERS[2:])
        )
        state = torch.load(io.BytesIO(tar.extractfile("state.torch").read()), map_location="cpu")
    assert groups.keys() == net["encoders"].keys() == model.groups.keys()
    assert list(features) == list(model.features)
    learned = [p for p in state if not p.endswith("triangular_filter_bank")]
    numbers = sum(p.numel() for p in model.state_dict().values()) - statistics_in(model)
    assert sum(state[name].numel() for name in learned) == numbers
    for name, facts in groups.items():
        group = model.encoders[name]
        shape = (facts["shape"][0] * net["input_temporal_context"], facts["shape"][1])
        assert shape == (group.group.samples, group.group.channels)
        assert facts["fs"] * 30 == facts["window_length"] == facts["shape"][0]
        assert tuple(facts["reducer_input_shape"]) == group.encoder.output_shape
        (steps,) = (s["normalization"] for s in normalization["signals"] if s["name"] == name)
        # the reference applies its steps to batches of windows of signals
        x = signals(3, shape[1], shape[0])[None]
        assert list(group.normalizer(x[0])[None, :1].shape) == facts["encoder_input_shape"]
        if steps and steps[-1]["type"] == "standardization":
            mu, sigma = (torch.Tensor(steps[-1]["args"][key]) for key in ("mu", "sigma"))
            for before in list(group.normalizer)[:-1]:
                x = before(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            expected = group.normalizer[-1](x[0])
            torch.testing.assert_close(((x - mu) / (sigma + 1e-15))[0], expected)


def statistics_in(model):
    named = model.state_dict().items()
    return sum(value.numel() for name, value in named if "normalizer." in name)


FULL_SIZE = {
    "simple_sleep_net": {},
    "seq_sleep_net": SEQ_SLEEP_NET,
    "deep_sleep_net": DEEP_SLEEP_NET,
}


@needs_shared
@pytest.mark.parametrize("name", FULL_SIZE)
def test_names_shapes_and_order_in_an_archive_are_the_reference_s(name):
    whole = simple_sleep_net({"eeg": 4}) | {"context": 21} | FULL_SIZE[name]
    archive = network_to_reference(fitted(build(whole)))
    expected = reference(name, 4)
    assert [[n, list(w.shape)] for n, w in archive.state.items()] == [
        [n, shape] for n, shape in expected["state"].items()
    ]
    for shape in ("encoder_input_shape", "reducer_input_shape"):
        assert archive.groups["eeg"][shape] == expected[shape]


@needs_shared
@pytest.mark.parametrize("path", [SIMPLE_SLEEP_NET, ROBUST_SLEEP_NET], ids=["simple", "robust"])
def test_a_published_archive_saved_again_holds_the_same(tmp_path, path):
    ModuloNet.load(path).save(tmp_path / "again.gz")
    published = read_archive(path.read_bytes())
    again = read_archive((tmp_path / "again.gz").read_bytes())
    assert list(again.state) == list(published.state)
    assert all(torch.equal(again.state[n], w) for n, w in published.state.items())
    assert again.groups == published.groups
    assert again.features == published.features
    for name, entry in published.net.items():
        if name in ("encoders", "reducers"):
            entry, written = entry["eeg"], again.net[name]["eeg"]
        elif name == "confidence_estimation":
            continue
        else:
            written = again.net[name]
        if isinstance(entry, dict):
            assert written["type"] == entry["type"]
            assert entry["args"].items() <= written["args"].items()
        else:
            assert written == entry
    for ours, theirs in zip(
        again.normalization["signals"][0]["normalization"],
        published.normalization["signals"][0]["normalization"],
        strict=True,
    ):
        assert ours["type"] == theirs["type"]
        assert theirs["args"].items() <= ours["args"].items()


@needs_shared
def test_the_published_preparation_is_that_of_the_description(tmp_path):
    robust, golden = (
        ModuloNet.load(ROBUST_SLEEP_NET),
        np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz"),
    )
    (source,) = sleep_edf(SHARED / "recordings" / "sleep_edf")
    night = prepare(source, robust.preparation_for(source.open()), tmp_path)
    rows = night.signals("eeg")
    padding = night.padding
    assert rows.shape[0] * rows.shape[1] == golden["prepared_shape"][0]
    np.testing.assert_allclose(rows[padding + 100], golden["prepared_rows"], rtol=1e-4, atol=1e-5)
    flat = rows.reshape(-1, rows.shape[-1])
    np.testing.assert_allclose(flat.mean(0), golden["prepared_mean"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(flat.std(0), golden["prepared_std"], rtol=1e-4, atol=1e-5)


@needs_shared
def test_a_published_archive_without_its_description_still_stages_what_is_prepared(tmp_path):
    shutil.copy(SIMPLE_SLEEP_NET, tmp_path / "best_model.gz")
    model = ModuloNet.load(tmp_path / "best_model.gz")
    assert (model.context, model.preparation) == (21, None)
    with pytest.raises(InputError, match=r"description\.json"):
        _ = model.known_preparation


def test_the_content_decides_what_a_file_is(tmp_path):
    model = small_network()
    for suffix in (".gz", ".safetensors"):
        model.save(tmp_path / f"model{suffix}")
    disguised = {
        "a.ckpt": gzip.compress((tmp_path / "model.gz").read_bytes()),
        "b.gz": (tmp_path / "model.safetensors").read_bytes(),
        "c.safetensors": (tmp_path / "model.gz").read_bytes(),
    }
    for name, content in disguised.items():
        (tmp_path / name).write_bytes(content)
        trained = load_model(tmp_path / name)
        assert torch.equal(output(trained.model), output(model))
        assert (trained.config, trained.split) == (None, None)


def refused(path, *said):
    with pytest.raises(InputError) as error:
        load_model(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < 1000
    for text in said:
        assert text in message


@pytest.mark.parametrize(
    "content", [b"", b"weights", bytes(5000), b"{}" * 300, b"PK\3\4" + bytes(99)]
)
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    path = tmp_path / "model.gz"
    path.write_bytes(content)
    refused(path)
    refused(tmp_path / "none.gz", "no such file")
    refused(tmp_path, "no such file")


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    model = small_network()
    with pytest.raises(InputError, match=r"NAME\.safetensors or NAME\.gz"):
        model.save(tmp_path / "model.ckpt")
    (tmp_path / "taken.gz").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        model.save(tmp_path / "taken.gz")
    unknown = small_network()
    unknown.architecture = None
    for suffix in (".gz", ".safetensors"):
        with pytest.raises(InputError, match="not made by build"):
            unknown.save(tmp_path / f"model{suffix}")
    with pytest.raises(InputError, match="has no statistics"):
        build(simple_sleep_net({"eeg": 1})).save(tmp_path / "model.gz")
    assert [p.name for p in tmp_path.rglob("*")] == ["taken.gz"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"group_dropout": 0.5, **ROBUST}, "RobustSleepNet has no group_dropout"),
        ({**ROBUST, "sequence_encoder": LSTM_SMALL}, "RobustSleepNet has no ResidualLSTM"),
        ({**ROBUST, "encoder": {"_target_": SIMPLE}}, "RobustSleepNet has no SimpleSleepEncoder"),
        ({"normalizer": [{**SPECTROGRAM, "hop_s": 0.5}]}, "hops by whole seconds"),
        ({"sequence_encoder": FLATTEN, "output": "centre"}, "windows of one epoch only"),
        (
            {
                "normalizer": RAW,
                "encoder": {"_target_": f"{PLACE}.encoders.ChambonEncoder", "maps": 4},
            }
            | {"reducer": {"_target_": f"{PLACE}.reducers.FlattenReducer"}},
            "dreem-learning-open has no ChambonEncoder(maps=4)",
        ),
    ],
)
def test_what_an_archive_cannot_hold_is_refused_by_name(tmp_path, changes, said):
    with pytest.raises(InputError) as error:
        network({"features": {}} | changes).save(tmp_path / "model.gz")
    assert said in str(error.value)
    assert ".safetensors" in str(error.value) or "seconds" in said
    assert not list(tmp_path.iterdir())


def test_an_archive_of_ours_keeps_the_context(tmp_path):
    model = small_network()
    architecture = model.architecture | {"context": 11}
    other = build(architecture)
    other.load_state_dict(model.state_dict())
    other.save(tmp_path / "eleven.gz")
    assert ModuloNet.load(tmp_path / "eleven.gz").context == 11
    usual = build(architecture | {"context": 21})
    usual.load_state_dict(model.state_dict())
    usual.save(tmp_path / "usual.gz")
    with tarfile.open(tmp_path / "usual.gz") as archive:
        assert "temporal_context" not in json.load(archive.extractfile("net_params.json"))
