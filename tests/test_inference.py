"""Staging a whole night: the same as window by window, and as the reference system."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from sleep_lab.data import NightPart
from sleep_lab.errors import InputError
from sleep_lab.inference import combine_windows, stage
from sleep_lab.models import build, fit_standardization
from sleep_lab.preparation import (
    EpochCycleIndex,
    EpochIndex,
    Filter,
    Padding,
    Preparation,
    Resample,
    prepare,
)
from sleep_lab.preparation.preparation import Derivation
from tests.models.published import published_simple_sleep_net
from tests.models.simple_sleep_net import simple_sleep_net
from tests.nights import Night, prepared_night
from tests.shared import SHARED, needs_shared


def network(night, context=5, joined=1, **parts):
    """A SimpleSleepNet with random weights for a night."""
    architecture = simple_sleep_net({"psg": 2})
    group = {"channels": 2, "samples": 300 * joined, "sampling_rate": 10.0}
    architecture |= {"groups": {"psg": group}, "context": context, **parts}
    torch.manual_seed(0)
    model = build(architecture)
    rows = torch.from_numpy(night.signals("psg")[night.padding : night.padding + 30])
    joined_rows = rows.unflatten(0, (-1, joined)).flatten(1, 2).transpose(1, 2)
    fit_standardization(model.normalizers, [{"psg": joined_rows}])
    return model.eval()


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return prepared_night(tmp_path_factory.mktemp("store"), epochs=40)


def every_window_alone(model, night, first, last, combine):
    """The hypnodensity of the epochs [first, last) that windows within them give, one by one."""
    context = model.context
    total = np.zeros((last - first, 5))
    count = np.zeros((last - first, 1))
    with torch.inference_mode():
        for start in range(first, last - context + 1):
            rows = slice(start + night.padding, start + night.padding + context)
            signals = torch.from_numpy(night.signals("psg")[rows]).transpose(1, 2)[None]
            features = {
                name: torch.from_numpy(night.feature(name)[rows])[None] for name in night.features
            }
            logits = model({"psg": signals}, features)[0].double()
            vote = {
                "geometric": logits.log_softmax(1),
                "arithmetic": logits.softmax(1),
                "vote": functional.one_hot(logits.argmax(1), 5),
            }[combine].numpy()
            total[start - first : start - first + context] += vote
            count[start - first : start - first + context] += 1
    mean = total / count
    if combine == "geometric":
        mean = np.exp(mean - mean.max(1, keepdims=True))
        mean /= mean.sum(1, keepdims=True)
    return mean


@pytest.mark.parametrize("combine", ["geometric", "arithmetic", "vote"])
def test_a_night_is_staged_the_same_whole_or_in_windows(night, combine):
    model = network(night)
    expected = every_window_alone(
        model, night, -night.padding, night.epochs + night.padding, combine
    )[night.padding : -night.padding]
    staged = stage(model, night, combine)
    np.testing.assert_allclose(staged, expected, atol=1e-5)
    np.testing.assert_allclose(staged.sum(1), 1, atol=1e-6)
    assert staged.dtype == np.float32


def test_a_part_is_staged_from_what_it_may_see(night):
    model = network(night)
    part = NightPart(night, 10, 20, 8, 22)
    expected = every_window_alone(model, night, 8, 22, "geometric")[2:12]
    np.testing.assert_allclose(stage(model, part), expected, atol=1e-5)


def test_joined_windows_are_staged_by_their_centres(night):
    model = network(night, context=1, joined=5)
    expected = []
    with torch.inference_mode():
        for centre in range(night.epochs):
            rows = slice(centre - 2 + night.padding, centre + 3 + night.padding)
            signals = torch.from_numpy(night.signals("psg")[rows].reshape(1, 1, 1500, 2))
            features = {
                name: torch.from_numpy(night.feature(name)[centre + night.padding])[None, None]
                for name in night.features
            }
            logits = model({"psg": signals.transpose(2, 3)}, features)
            expected.append(logits[0, 0].softmax(0).numpy())
    np.testing.assert_allclose(stage(model, night), expected, atol=1e-5)


def test_a_network_of_features_alone_is_staged(night):
    model = build(
        simple_sleep_net({}) | {"normalizer": [], "encoder": None, "reducer": None, "context": 3}
    )
    assert stage(model, night).shape == (40, 5)


def test_staging_leaves_the_model_as_it_was(night):
    model = network(night).train()
    before = stage(model, night)
    assert model.training
    np.testing.assert_array_equal(stage(model, night), before)


PLACE = "sleep_lab.models"
ROBUST = {
    "normalizer": [
        {"_target_": f"{PLACE}.normalizers.Spectrogram"},
        {"_target_": f"{PLACE}.normalizers.StandardizeOnline"},
    ],
    "encoder": {"_target_": f"{PLACE}.encoders.RobustSleepEncoder"},
    "reducer": {"_target_": f"{PLACE}.reducers.ProjectedAttentionReducer"},
}


@pytest.mark.parametrize("combine", ["geometric", "arithmetic", "vote"])
def test_a_network_that_normalizes_per_window_is_staged_the_same_whole_or_in_windows(
    night, combine, monkeypatch
):
    monkeypatch.setattr("sleep_lab.inference.ENCODED_AT_ONCE", 7)
    model = network(night, **ROBUST)
    expected = every_window_alone(
        model, night, -night.padding, night.epochs + night.padding, combine
    )[night.padding : -night.padding]
    np.testing.assert_allclose(stage(model, night, combine), expected, atol=1e-4)


def test_any_channels_are_staged_by_a_network_that_takes_them(night, tmp_path):
    model = network(night, **ROBUST)
    three = prepared_night(tmp_path, names=("A", "B", "C"))
    assert stage(model, three).shape == (40, 5)


def test_centres_are_staged_by_their_own_window_alone(night):
    every = network(night)
    centre = network(night, output="centre")
    centre.load_state_dict(every.state_dict())
    expected = []
    with torch.inference_mode():
        for epoch in range(night.epochs):
            rows = slice(epoch - 2 + night.padding, epoch + 3 + night.padding)
            signals = torch.from_numpy(night.signals("psg")[rows]).transpose(1, 2)[None]
            features = {
                name: torch.from_numpy(night.feature(name)[rows])[None] for name in night.features
            }
            expected.append(every({"psg": signals}, features)[0, 2].softmax(0).numpy())
    np.testing.assert_allclose(stage(centre, night), expected, atol=1e-5)
    part = NightPart(night, 10, 20, 8, 22)
    np.testing.assert_allclose(stage(centre, part), expected[10:20], atol=1e-5)


def test_a_night_without_padding_has_epochs_that_are_no_centre(tmp_path):
    bare = prepared_night(tmp_path, padding_s=0)
    with pytest.raises(InputError, match="have no 2 epochs on both sides; prepare it with padding"):
        stage(network(bare, output="centre"), bare)


@pytest.mark.parametrize("how", ["geometric", "arithmetic", "vote"])
def test_equal_windows_are_their_own_combination(how):
    log_probabilities = torch.randn(7, 1, 5).log_softmax(-1)
    combined = combine_windows(log_probabilities, how)
    if how == "vote":
        expected = functional.one_hot(log_probabilities[:, 0].argmax(1), 5).float()
    else:
        expected = log_probabilities[:, 0].exp()
    torch.testing.assert_close(combined, expected)


def test_another_montage_is_refused_by_name(night, tmp_path):
    model = network(night)
    three = prepared_night(tmp_path, names=("A", "B", "C"))
    with pytest.raises(
        InputError, match=r"the model wants 2 channels at 10 Hz, night 'night' has 3 .*\(A, B, C\)"
    ):
        stage(model, three)
    faster = prepared_night(tmp_path, rate_out=20.0)
    with pytest.raises(InputError, match=r"at 10 Hz, night 'night' has 2 at 20 Hz"):
        stage(model, faster)


def test_a_night_shorter_than_the_context_is_refused(tmp_path):
    short = prepared_night(tmp_path, epochs=3, padding_s=0)
    model = network(prepared_night(tmp_path, "long"))
    with pytest.raises(InputError, match=r"3 sleep epochs, padding included, are fewer than .* 5"):
        stage(model, short)


DODH = (
    "C3_M2 F4_M1 F3_F4 F3_M2 F4_O2 F3_O1 FP1_F3 FP1_M2 FP1_O1 FP2_F4 FP2_M1 FP2_O2 "
    "EMG ECG EOG1 EOG2"
)


class GoldenRecord(Night):
    """The record of record_dodh.npz, made as the golden data's README says."""

    def open(self):
        from tests.nights import Samples, recording

        rng = np.random.default_rng(7)
        noise = (rng.standard_normal((16, 300_000)) * 30).astype(np.float32)
        walk = np.cumsum(noise, axis=1, dtype=np.float64)
        mean = np.stack([np.convolve(row, np.ones(500) / 500, mode="same") for row in walk])
        values = ((walk - mean) * 0.05).astype(np.float32)
        hypnogram = rng.integers(0, 5, 40).astype(np.int8)
        night = recording(40, 250.0, tuple(DODH.split()), hypnogram=hypnogram)
        object.__setattr__(night, "source", Samples(values))
        return night


@needs_shared
def test_a_record_is_staged_as_the_reference_does(tmp_path):
    golden = np.load(SHARED / "golden" / "record_dodh.npz")
    prep = Preparation(
        {"eeg": Derivation(tuple(DODH.split()), (Filter(), Resample(100), Padding(900)))},
        {"epoch_index": EpochIndex(), "epoch_cycle_index": EpochCycleIndex()},
    )
    night = prepare(GoldenRecord(), prep, tmp_path)
    prepared = night.signals("eeg").reshape(-1, 16)
    np.testing.assert_array_equal(night.hypnogram, golden["hypnogram"])
    np.testing.assert_allclose(
        prepared[90_000:93_000], golden["prepared_rows"], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(prepared.mean(0), golden["prepared_mean"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(prepared.std(0), golden["prepared_std"], rtol=1e-4)

    model = published_simple_sleep_net()
    padded = NightPart(night, -30, 70, -30, 70)
    for combine in ("geometric", "arithmetic", "vote"):
        staged = stage(model, padded, combine)
        np.testing.assert_array_equal(staged.argmax(1), golden[f"{combine}_stages"])
    # the reference reports the softmax of the sum of log-probabilities, not of their mean
    windows = np.minimum(np.minimum(np.arange(100), np.arange(100)[::-1]) + 1, 21)[:, None]
    summed = np.log(stage(model, padded).astype(np.float64)) * windows
    expected = np.exp(summed - summed.max(1, keepdims=True))
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(expected, golden["geometric_probabilities"], rtol=1e-3, atol=1e-4)
