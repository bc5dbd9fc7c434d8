"""The encoders beyond their golden outputs: other rates, their filters, what they refuse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.models.encoders import (
    ChambonEncoder,
    DeepSleepEncoder,
    SeqSleepEncoder,
    SimpleSleepEncoder,
    TsinalisEncoder,
)
from sleep_lab.models.encoders.seq_sleep import triangles

RAW = [DeepSleepEncoder, ChambonEncoder, TsinalisEncoder]


@torch.no_grad()
@pytest.mark.parametrize("encoder", RAW)
@pytest.mark.parametrize("rate", [50, 60, 64, 100, 125, 128, 200, 250, 256, 500, 512])
def test_thirty_seconds_give_much_the_same_frames_at_any_rate(encoder, rate):
    module = encoder((2, 30 * rate), float(rate))
    x = torch.randn(2, 2, 30 * rate)
    assert module(x).shape == (2, *module.output_shape)
    at_100_hz = encoder((2, 3000), 100.0).output_shape[1]
    assert module.output_shape[1] == pytest.approx(at_100_hz, rel=0.1)


@torch.no_grad()
@pytest.mark.parametrize("encoder", RAW)
def test_the_declared_shape_holds_for_odd_lengths(encoder):
    for samples in (2987, 3001, 3049):
        module = encoder((1, samples), 100.0)
        assert module(torch.randn(1, 1, samples)).shape[1:] == module.output_shape


@torch.no_grad()
def test_chambon_filters_every_virtual_channel_alone_and_alike():
    torch.manual_seed(0)
    encoder = ChambonEncoder((3, 3000), 100.0).eval()
    encoder.channel_recombination.weight.copy_(torch.eye(3))
    x = torch.randn(2, 3, 3000)
    order = [2, 0, 1]
    bias = encoder.channel_recombination.bias
    bias.copy_(bias[:1].expand(3))
    torch.testing.assert_close(encoder(x[:, order]), encoder(x)[..., order])
    changed = x.clone()
    changed[:, 1] += 1
    same = (encoder(changed) == encoder(x)).all(dim=(0, 1, 2))
    assert same.tolist() == [True, False, True]


@given(frequencies=st.integers(20, 300), share=st.floats(0.02, 0.9))
@settings(max_examples=60, deadline=None)
def test_filters_are_triangles_that_peak_at_1_in_order_and_reach_from_peak_to_peak(
    frequencies, share
):
    filters = max(1, int(share * (frequencies - 2)))
    bank = triangles(frequencies, filters).double().numpy()
    assert bank.shape == (frequencies, filters)
    assert (bank >= 0).all()
    assert (bank.max(axis=0) == 1).all()
    peaks = bank.argmax(axis=0)
    assert (np.diff(peaks) > 0).all()
    # between the first and the last peak, what one filter loses its neighbour gains
    np.testing.assert_allclose(bank[peaks[0] : peaks[-1] + 1].sum(axis=1), 1, rtol=1e-6)


@torch.no_grad()
def test_a_seq_sleep_filter_hears_only_the_frequencies_of_its_triangle():
    torch.manual_seed(0)
    encoder = SeqSleepEncoder((2, 129, 28), 100.0).eval()
    heard = []
    encoder.batch_norm.register_forward_hook(lambda _module, _given, result: heard.append(result))
    x = torch.randn(1, 2, 129, 28)
    changed = x.clone()
    changed[:, 1, 62] += 1
    encoder(x)
    encoder(changed)
    before, after = heard
    differs = (before != after).any(dim=3)[0]  # (filters, channels)
    assert not differs[:, 0].any()
    assert torch.equal(differs[:, 1], triangles(129, 32)[62] > 0)


@torch.no_grad()
def test_seq_sleep_normalizes_a_filter_over_all_epochs_channels_and_frames():
    encoder = SeqSleepEncoder((2, 129, 28), 100.0, dropout=0.0)
    seen = []
    encoder.batch_norm.register_forward_hook(lambda _module, _given, result: seen.append(result))
    encoder(torch.randn(5, 2, 129, 28) * torch.tensor([1.0, 9.0])[:, None, None] + 3)
    (normalized,) = seen
    std, mean = torch.std_mean(normalized, dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(32), rtol=0, atol=1e-4)
    torch.testing.assert_close(std, torch.ones(32), rtol=0, atol=1e-3)
    assert (normalized[:, :, 1].std() / normalized[:, :, 0].std()) > 3


@torch.no_grad()
def test_chambon_silences_half_of_what_it_gives_in_training_and_doubles_the_rest():
    torch.manual_seed(0)
    encoder = ChambonEncoder((4, 3000), 100.0)
    x = torch.randn(3, 4, 3000)
    trained, evaluated = encoder.train()(x), encoder.eval()(x)
    kept = trained != 0
    torch.testing.assert_close(trained[kept], 2 * evaluated[kept])
    assert kept.sum() / (evaluated != 0).sum() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("encoder", RAW)
def test_an_encoder_of_signals_refuses_a_spectrogram_and_says_what_to_set(encoder):
    with pytest.raises(InputError, match=r"\(4, 129, 28\); set normalizer=raw"):
        encoder((4, 129, 28), 100.0)


@pytest.mark.parametrize("encoder", [SimpleSleepEncoder, SeqSleepEncoder])
def test_an_encoder_of_spectrograms_refuses_signals_and_says_what_to_set(encoder):
    with pytest.raises(InputError, match=r"\(4, 3000\); set normalizer=spectrogram"):
        encoder((4, 3000), 100.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeqSleepEncoder((2, 33, 28), 100.0), "32 filters are too many for 33 frequencies"),
        (lambda: DeepSleepEncoder((2, 63000), 100.0), "376 and 418 frames of 63000 .*sequential"),
        (lambda: DeepSleepEncoder((2, 100), 100.0), "100 samples is too short"),
        (lambda: ChambonEncoder((2, 200), 100.0), "200 samples is too short"),
        (lambda: TsinalisEncoder((2, 150), 100.0), "150 samples is too short"),
        (lambda: ChambonEncoder((2, 90), 3.0), "0.16 s is less than a sample at 3 Hz"),
        (lambda: TsinalisEncoder((2, 3000), 100.0, filter_s=-1.0), "-1 s is less than a sample"),
    ],
)
def test_sizes_that_cannot_be_are_refused(make, message):
    with pytest.raises(InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
