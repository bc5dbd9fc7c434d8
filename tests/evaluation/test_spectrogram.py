"""The spectrogram has the power that the signal has, at its frequency and in its epoch."""

import numpy as np
import pytest

from sleep_lab.evaluation import multitaper_spectrogram


@pytest.mark.parametrize("sampling_rate", [60.0, 99.7, 100.0, 256.0])
def test_white_noise_has_the_same_power_everywhere(sampling_rate):
    rng = np.random.default_rng(0)
    signal = rng.standard_normal(round(40 * 30 * sampling_rate)).astype(np.float32) * 20
    frequencies, power = multitaper_spectrogram(signal, sampling_rate)
    assert power.shape == (40, len(frequencies))
    # one-sided density of noise of variance 400; removing each window's mean takes from 0 to 1 Hz
    inside = (frequencies > 1.5) & (frequencies < min(30, sampling_rate / 2 - 1))
    assert power[:, inside].mean() == pytest.approx(400 * 2 / sampling_rate, rel=0.02)


@pytest.mark.parametrize("sampling_rate", [100.0, 128.5])
def test_a_rhythm_is_found_at_its_frequency_and_in_its_epochs(sampling_rate):
    time = np.arange(round(200 * 30 * sampling_rate)) / sampling_rate
    rhythm = np.where((time >= 190 * 30) & (time < 195 * 30), np.sin(2 * np.pi * 13 * time), 0.0)
    frequencies, power = multitaper_spectrogram(rhythm.astype(np.float32) * 10, sampling_rate)
    assert abs(frequencies[power.sum(axis=0).argmax()] - 13) <= 0.5
    loud = power.sum(axis=1) > 0.5 * power.sum(axis=1).max()
    assert np.flatnonzero(loud).tolist() == [190, 191, 192, 193, 194]
    # a sine of amplitude 10 has a power of 50
    assert power[192].sum() * frequencies[1] == pytest.approx(50, rel=0.02)


def test_a_last_part_of_an_epoch_is_left_out_and_the_rest_does_not_change():
    signal = np.random.default_rng(1).standard_normal(100 * 75).astype(np.float32)
    _, power = multitaper_spectrogram(signal, 100.0)
    _, cut = multitaper_spectrogram(signal[: 100 * 60], 100.0)
    assert len(power) == 2
    np.testing.assert_array_equal(power, cut)


def test_a_constant_signal_has_no_power():
    _, power = multitaper_spectrogram(np.full(6000, 50.0, np.float32), 100.0)
    assert power.max() < 1e-6
