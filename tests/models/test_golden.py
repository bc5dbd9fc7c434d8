"""The parts and the published SimpleSleepNet against outputs of the reference system."""

import io
import json
import tarfile
from functools import partial

import numpy as np
import pytest
import torch

from sleep_lab.models import build
from sleep_lab.models.encoders import SimpleSleepEncoder
from sleep_lab.models.features_encoders import FullyConnectedFeatures
from sleep_lab.models.normalizers import Affine, Clip, ClipAndScale, Spectrogram
from sleep_lab.models.reducers import AttentionReducer, FlattenReducer, PoolReducer
from sleep_lab.models.reference_names import statistics_from_reference, weights_from_reference
from sleep_lab.models.sequence_encoders import ResidualGRU
from tests.models.simple_sleep_net import FEATURES, simple_sleep_net
from tests.shared import SHARED, needs_shared

GOLDEN = SHARED / "golden"
close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
pytestmark = needs_shared


def weights(file, there, ours):
    """The weights in a module's golden file: `there` completes its names, `ours` begins ours."""
    state = {
        there + name.removeprefix("state/"): torch.from_numpy(file[name])
        for name in file
        if name.startswith("state/")
    }
    return {name.removeprefix(ours): w for name, w in weights_from_reference(state).items()}


@pytest.mark.parametrize(
    ("name", "normalizer", "divisor"),
    [
        ("clip", partial(Clip, value=100), 1),
        ("affine", partial(Affine, gain=0.02, bias=0.5), 1),
        ("clip_and_scale", partial(ClipAndScale, minimum=-150, maximum=150), 1),
        ("spectrogram_log", Spectrogram, 500),
        ("spectrogram_power", partial(Spectrogram, log=False), 500),
    ],
)
def test_normalizers_give_what_the_reference_gives(name, normalizer, divisor):
    x = (np.random.default_rng(2).standard_normal((2, 3, 4, 3000)) * 80).astype(np.float32)
    output = normalizer((4, 3000), 100.0)(torch.from_numpy(x[0, :1] / divisor))
    expected = np.load(GOLDEN / "normalizers.npz")[name][0]
    if name == "spectrogram_power":  # powers are far below the usual absolute tolerance
        np.testing.assert_allclose(output, expected, rtol=1e-4)
    close(output, expected)


@pytest.mark.parametrize(
    ("name", "ablation"),
    [
        ("SimpleSleepEpochEncoder", {}),
        (
            "SimpleSleepNetEpochEncoderWithoutChannelRecombination",
            {"channel_recombination": False},
        ),
        ("SimpleSleepNetEpochEncoderWithoutFrequencyReduction", {"frequency_reduction": False}),
    ],
)
def test_simple_sleep_encoders_give_what_the_reference_gives(name, ablation):
    file = np.load(GOLDEN / "modules" / f"encoder_{name}.npz")
    encoder = SimpleSleepEncoder((4, 129, 28), 100.0, **ablation).eval()
    encoder.load_state_dict(weights(file, "eeg.", "encoders.eeg.encoder."))
    x = np.load(GOLDEN / "modules" / "encoder_inputs.npz")["spectrogram"][0]
    close(encoder(torch.from_numpy(x)).detach(), file["output"])


@pytest.mark.parametrize(
    ("name", "reducer"),
    [
        ("AttentionReducer", AttentionReducer((50, 28))),
        ("PoolReducer_max", PoolReducer((50, 28), how="max")),
        ("PoolReducer_average", PoolReducer((50, 28), how="average")),
        ("FlattenReducer", FlattenReducer((50, 28))),
    ],
)
def test_reducers_give_what_the_reference_gives(name, reducer):
    file = np.load(GOLDEN / "modules" / f"reducer_{name}.npz")
    reducer.load_state_dict(weights(file, "reducer.", "encoders.eeg.reducer."))
    close(reducer(torch.from_numpy(file["input"])).detach(), file["output"])


def test_the_residual_gru_gives_what_the_reference_gives():
    file = np.load(GOLDEN / "modules" / "sequence_ResidualGRUSequenceEncoder.npz")
    encoder = ResidualGRU(20, 21).eval()
    encoder.load_state_dict(weights(file, "sequence_encoder.", "sequence_encoder."))
    close(encoder(torch.from_numpy(file["input"])).detach(), file["output"])


def test_fully_connected_features_give_what_the_reference_gives():
    file = np.load(GOLDEN / "modules" / "features_encoder_FullyConnected.npz")
    encoder = FullyConnectedFeatures(6, layers=[7, 5], dropout=0.3).eval()
    encoder.load_state_dict(weights(file, "features_encoder.", "features_encoder."))
    joined = torch.from_numpy(np.concatenate([file["a"], file["b"]], axis=-1))
    close(encoder(joined).detach(), file["output"])


@pytest.fixture(scope="module")
def published():
    """SimpleSleepNet with the weights and statistics published for DOD-H."""
    path = SHARED / "pretrained" / "simple_sleep_net_dodh" / "best_model.gz"
    with tarfile.open(path) as archive:
        state = torch.load(
            io.BytesIO(archive.extractfile("state.torch").read()),
            map_location="cpu",
            weights_only=True,
        )
        normalization = json.load(archive.extractfile("normalization_parameters.json"))
    model = build({**simple_sleep_net({"eeg": 16}), "context": 21})
    model.load_state_dict(weights_from_reference(state) | statistics_from_reference(normalization))
    return model.eval()


@torch.no_grad()
def test_the_published_network_gives_what_the_reference_gives(published):
    golden = np.load(GOLDEN / "pretrained_dodh.npz")
    noise = np.random.default_rng(0).standard_normal((2, 21, 16, 3000)) * 30
    x = noise.astype(np.float32)
    x = (0.5 * (x + np.roll(x, 1, axis=-1) + np.roll(x, 2, axis=-1))).astype(np.float32)
    np.testing.assert_array_equal(x[0, 0, :2, :50], golden["signals_first"])
    # time first in memory, as a night comes
    signals = torch.from_numpy(np.ascontiguousarray(x.swapaxes(2, 3))).transpose(2, 3)
    features = {name: torch.from_numpy(golden[name]) for name in FEATURES}

    group = published.encoders["eeg"]
    normalized = group.normalizer(signals[0, :1])
    close(normalized[0], golden["normalized_epoch0"])
    close(group.encoder(normalized)[0], golden["encoded_epoch0"])
    reduced = published.encode({"eeg": signals.flatten(0, 1)}).unflatten(0, (2, 21))
    close(reduced, golden["reduced"])
    encoded_features = published.features_encoder(torch.cat(list(features.values()), dim=-1))
    close(encoded_features, golden["features"])
    sequence = published.sequence_encoder(torch.cat([reduced, encoded_features], dim=-1))
    close(sequence, golden["sequence"])
    close(published({"eeg": signals}, features), golden["logits"])


@pytest.mark.parametrize("channels", [4, 12, 16])
def test_simple_sleep_net_has_as_many_parameters_as_the_reference(channels):
    counts = json.loads((GOLDEN / "architectures.json").read_text())
    model = build(simple_sleep_net({"eeg": channels}))
    expected = counts[f"simple_sleep_net/{channels} channels"]["parameters"]
    assert model.number_of_parameters == expected
