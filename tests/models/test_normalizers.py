"""Normalizers against independent implementations, and the exact fit of the standardization."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sleep_lab.errors import InputError
from sleep_lab.models import fit_standardization
from sleep_lab.models.normalizers import (
    Clip,
    ClipAndScale,
    Spectrogram,
    Standardization,
)
from tests.models.simple_sleep_net import signals


@pytest.mark.parametrize(
    ("sampling_rate", "window_s", "hop_s", "n_fft"),
    [(100.0, 2.0, 1.0, 256), (60.0, 2.0, 1.0, 128), (64.0, 1.0, 0.5, 128), (128.0, 4.0, 1.5, 1024)],
)
def test_a_spectrogram_is_the_squared_fourier_sum_of_every_frame(
    sampling_rate, window_s, hop_s, n_fft
):
    samples = round(30 * sampling_rate)
    x = signals(2, 3, samples)
    spectrogram = Spectrogram((3, samples), sampling_rate, window_s, hop_s)
    starts = range(0, samples - n_fft + 1, round(hop_s * sampling_rate))
    frames = np.stack([x.double().numpy()[..., s : s + n_fft] for s in starts], axis=-1)
    turns = np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft
    weights = np.hanning(n_fft) / np.hanning(n_fft).sum()
    power = np.abs((np.exp(-2j * np.pi * turns) * weights) @ frames) ** 2
    assert spectrogram.output_shape == power.shape[1:]
    np.testing.assert_allclose(10 ** spectrogram(x), power, rtol=1e-4, atol=1e-6)


def test_a_sine_shows_in_its_frequency_only():
    time = torch.arange(3000) / 100
    x = torch.sin(2 * torch.pi * 10.15625 * time)[None, None]  # bin 26 of 256 at 100 Hz
    power = Spectrogram((1, 3000), 100.0, log=False)(x)[0, 0]
    assert (power.argmax(0) == 26).all()
    torch.testing.assert_close(power[26], torch.full((28,), 0.25), rtol=1e-3, atol=0)


def test_a_spectrogram_is_the_same_in_one_block_or_in_many():
    x = signals(7, 3)
    spectrogram = Spectrogram((3, 3000), 100.0)
    whole = spectrogram(x)
    spectrogram.samples_per_block = 2 * 3 * 3000
    torch.testing.assert_close(spectrogram(x), whole, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(spectrogram._power(x).transpose(2, 3), whole, rtol=1e-6, atol=1e-6)


def test_silence_is_the_clamp_and_not_minus_infinity():
    assert (Spectrogram((1, 3000), 100.0)(torch.zeros(1, 1, 3000)) == -20).all()


def test_a_spectrogram_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="256 samples"):
        Spectrogram((1, 200), 100.0)
    with pytest.raises(InputError, match="wants signals"):
        Spectrogram((1, 129, 28), 100.0)


@pytest.mark.parametrize("part", [(ClipAndScale, (3, 3)), (Clip, (0,)), (Clip, (-1,))])
def test_an_empty_range_is_refused(part):
    kind, limits = part
    with pytest.raises(InputError):
        kind((1, 10), 100.0, *limits)


def cut(x, points):
    """`x` in batches that end at the given fractions of its rows."""
    ends = sorted({round(point * len(x)) for point in points} | {0, len(x)})
    return [x[start:end] for start, end in pairwise(ends)]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(3, 50), (2, 5, 8), (1, 1)]),
    mean=st.sampled_from([0.0, -7.0, 1e4]),
    dtype=st.sampled_from([np.float32, np.float64]),
    points=st.lists(st.floats(0, 1), max_size=6),
)
def test_the_fit_is_that_of_all_epochs_at_once_whatever_the_batches(
    seed, shape, mean, dtype, points
):
    rng = np.random.default_rng(seed)
    x = (mean + rng.standard_normal((30, *shape))).astype(dtype)
    standardization = Standardization(shape, 100.0)
    for batch in cut(torch.from_numpy(x), points):
        standardization.update(batch)
    standardization.finish_fit()
    exact = x.astype(np.float64)
    expected_mean = exact.mean(axis=(0, -1))[..., None]
    expected_std = exact.std(axis=(0, -1), ddof=1)[..., None]
    np.testing.assert_array_equal(standardization.mean, expected_mean.astype(np.float32))
    np.testing.assert_allclose(standardization.std, expected_std, rtol=1e-6)


def chain(channels):
    spectrogram = Spectrogram((channels, 3000), 100.0)
    return nn.Sequential(
        ClipAndScale((channels, 3000), 100.0, -60, 60),
        spectrogram,
        Standardization(spectrogram.output_shape, 100.0),
    )


def test_what_was_fitted_on_comes_out_with_mean_0_and_deviation_1():
    x = {"a": signals(12, 2), "b": signals(12, 3, seed=5) * 4 + 10}
    normalizers = {"a": chain(2), "b": chain(3)}
    batches = iter([{g: v[:5] for g, v in x.items()}, {g: v[5:] for g, v in x.items()}])
    fit_standardization(normalizers, batches)
    for group, steps in normalizers.items():
        y = steps(x[group]).double()
        torch.testing.assert_close(
            y.mean(dim=(0, 3)), torch.zeros_like(y[0, :, :, 0]), atol=1e-5, rtol=0
        )
        torch.testing.assert_close(
            y.std(dim=(0, 3)), torch.ones_like(y[0, :, :, 0]), atol=1e-5, rtol=0
        )


def test_channels_in_another_order_are_normalized_in_that_order():
    x, order = signals(6, 4), [2, 0, 3, 1]
    plain, permuted = chain(4), chain(4)
    fit_standardization({"psg": plain}, [{"psg": x}])
    fit_standardization({"psg": permuted}, [{"psg": x[:, order]}])
    torch.testing.assert_close(permuted(x[:, order]), plain(x)[:, order], rtol=1e-5, atol=1e-5)


def test_an_unfitted_standardization_says_what_to_call():
    standardization = Standardization((2, 10), 100.0)
    with pytest.raises(RuntimeError, match="fit_standardization"):
        standardization(torch.zeros(1, 2, 10))
    standardization.update(torch.randn(3, 2, 10))
    with pytest.raises(RuntimeError, match="fit_standardization"):
        standardization(torch.zeros(1, 2, 10))


def test_loading_statistics_counts_as_fitting_and_loading_none_as_forgetting():
    one, other = Standardization((2, 10), 100.0), Standardization((2, 10), 100.0)
    unfitted = {name: value.clone() for name, value in one.state_dict().items()}
    one.update(torch.randn(3, 2, 10))
    one.finish_fit()
    other.load_state_dict(one.state_dict())
    x = torch.randn(3, 2, 10)
    assert torch.equal(other(x), one(x))
    other.load_state_dict(unfitted)
    with pytest.raises(RuntimeError, match="no statistics"):
        other(x)


def test_fitting_again_starts_anew():
    steps = nn.Sequential(Standardization((2, 3000), 100.0))
    fit_standardization({"psg": steps}, [{"psg": signals(3, 2) + 50}])
    fit_standardization({"psg": steps}, [{"psg": signals(3, 2)}])
    fresh = nn.Sequential(Standardization((2, 3000), 100.0))
    fit_standardization({"psg": fresh}, [{"psg": signals(3, 2)}])
    assert torch.equal(steps[0].mean, fresh[0].mean)


@pytest.mark.parametrize("value", [0.1, float("nan"), float("inf")])
def test_a_constant_or_broken_channel_is_named_and_nothing_is_fitted(value):
    x = signals(3, 4)
    x[:, 2] = value
    steps = nn.Sequential(Standardization((4, 3000), 100.0))
    with pytest.raises(InputError, match="group psg: channel 2"):
        fit_standardization({"psg": steps}, [{"psg": x[:2]}, {"psg": x[2:]}])
    with pytest.raises(RuntimeError, match="no statistics"):
        steps(x)


def test_fitting_on_nothing_or_twice_in_a_row_is_refused():
    with pytest.raises(InputError, match="no epochs"):
        fit_standardization({"psg": chain(2)}, [])
    twice = nn.Sequential(Standardization((2, 10), 100.0), Standardization((2, 10), 100.0))
    with pytest.raises(InputError, match="more than one"):
        fit_standardization({"psg": twice}, [])


def test_batches_are_not_read_if_there_is_nothing_to_fit():
    def never():
        raise AssertionError("read")
        yield

    fit_standardization({"psg": nn.Sequential(Clip((2, 10), 100.0, 1))}, never())


def test_a_constant_channel_is_called_by_its_name():
    steps = nn.Sequential(Standardization((2, 10), 100.0))
    x = torch.randn(3, 2, 10)
    x[:, 1] = 4.0
    with pytest.raises(InputError, match="group psg: E1-M2 is constant or not finite"):
        fit_standardization({"psg": steps}, [{"psg": x}], {"psg": ("C3-M2", "E1-M2")})
