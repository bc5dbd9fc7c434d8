"""The parts and the published SimpleSleepNet against outputs of the reference system."""

from functools import partial

import numpy as np
import pytest
import torch

from sleep_lab.models.encoders import (
    ChambonEncoder,
    DeepSleepEncoder,
    SeqSleepEncoder,
    SimpleSleepEncoder,
    TsinalisEncoder,
)
from sleep_lab.models.encoders.seq_sleep import triangles
from sleep_lab.models.features_encoders import FullyConnectedFeatures
from sleep_lab.models.normalizers import Affine, Clip, ClipAndScale, Spectrogram
from sleep_lab.models.reducers import AttentionReducer, FlattenReducer, PoolReducer
from sleep_lab.models.reference_names import weights_from_reference
from sleep_lab.models.sequence_encoders import GRU, LSTM, Flatten, ResidualGRU, ResidualLSTM
from tests.models.published import published_simple_sleep_net
from tests.models.simple_sleep_net import FEATURES
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
    ("name", "encoder"),
    [
        ("SimpleSleepEpochEncoder", SimpleSleepEncoder),
        (
            "SimpleSleepNetEpochEncoderWithoutChannelRecombination",
            partial(SimpleSleepEncoder, channel_recombination=False),
        ),
        (
            "SimpleSleepNetEpochEncoderWithoutFrequencyReduction",
            partial(SimpleSleepEncoder, frequency_reduction=False),
        ),
        ("SeqSleepEpochEncoder", SeqSleepEncoder),
        ("DeepSleepEpochEncoder", DeepSleepEncoder),
        ("ChambonEpochEncoder", ChambonEncoder),
        ("TsinalisEpochEncoder", TsinalisEncoder),
    ],
)
def test_encoders_give_what_the_reference_gives(name, encoder):
    file = np.load(GOLDEN / "modules" / f"encoder_{name}.npz")
    inputs = np.load(GOLDEN / "modules" / "encoder_inputs.npz")
    kind = encoder.func if isinstance(encoder, partial) else encoder
    x = torch.from_numpy(inputs["spectrogram" if kind.wants_spectrogram else "raw"][0])
    encoder = encoder(tuple(x.shape[1:]), 100.0).eval()
    encoder.load_state_dict(weights(file, "eeg.", "encoders.eeg.encoder."))
    close(encoder(x).detach(), file["output"])


def test_the_fixed_triangles_of_seq_sleep_are_the_reference_s():
    file = np.load(GOLDEN / "modules" / "encoder_SeqSleepEpochEncoder.npz")
    expected = file["state/encoder.filter_bank.triangular_filter_bank"]
    for channel in expected:
        np.testing.assert_array_equal(triangles(129, 32), channel)


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


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("GRU", GRU(20, 21, hidden=16, layers=2)),
        ("LSTM", LSTM(20, 21, hidden=16)),
        ("ResidualGRU", ResidualGRU(20, 21)),
        ("DeepSleepNetResidual", ResidualLSTM(20, 21, hidden=16)),
        ("TemporalFlattener", Flatten(20, 21)),
        ("TemporalFlattener_layers", Flatten(20, 21, layers=[50, 50])),
    ],
)
def test_sequence_encoders_give_what_the_reference_gives(name, encoder):
    kind = "" if "Flattener" in name else "SequenceEncoder"
    file = np.load(GOLDEN / "modules" / f"sequence_{name}{kind}.npz")
    encoder.load_state_dict(weights(file, "sequence_encoder.", "sequence_encoder."))
    close(encoder.eval()(torch.from_numpy(file["input"])).detach(), file["output"])


def test_fully_connected_features_give_what_the_reference_gives():
    file = np.load(GOLDEN / "modules" / "features_encoder_FullyConnected.npz")
    encoder = FullyConnectedFeatures(6, layers=[7, 5], dropout=0.3).eval()
    encoder.load_state_dict(weights(file, "features_encoder.", "features_encoder."))
    joined = torch.from_numpy(np.concatenate([file["a"], file["b"]], axis=-1))
    close(encoder(joined).detach(), file["output"])


@torch.no_grad()
def test_the_published_network_gives_what_the_reference_gives():
    published = published_simple_sleep_net()
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
    reduced = published.encode({"eeg": signals.flatten(0, 1)})["eeg"].unflatten(0, (2, 21))
    close(reduced, golden["reduced"])
    encoded_features = published.features_encoder(torch.cat(list(features.values()), dim=-1))
    close(encoded_features, golden["features"])
    sequence = published.sequence_encoder(torch.cat([reduced, encoded_features], dim=-1))
    close(sequence, golden["sequence"])
    close(published({"eeg": signals}, features), golden["logits"])
