"""Processings against the reference system's outputs, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfreqz

from sleep_lab.errors import InputError
from sleep_lab.preparation import (
    Bandpass,
    Filter,
    Padding,
    Resample,
    Signal,
    WeightedSum,
    processings,
)
from tests.shared import SHARED, needs_shared

RTOL, ATOL = 1e-4, 1e-5


@pytest.fixture(scope="module")
def golden():
    return np.load(SHARED / "golden" / "processings.npz")


def processed(golden, *processings):
    """The golden signal's three channels through a chain, at most its first 20000 rows."""
    signals = [Signal(f"channel {i}", column, 250.0) for i, column in enumerate(golden["signal"].T)]
    for processing in processings:
        signals = processing(signals)
    return np.stack([signal.values for signal in signals], axis=1)[:20000]


@needs_shared
@pytest.mark.parametrize(
    ("name", "chain"),
    [
        ("filter", [Filter()]),
        ("resample_100", [Resample(100)]),
        ("filter_resample_100", [Filter(), Resample(100)]),
        ("weighted_sum", [WeightedSum((1.0, -1.0, 0.5))]),
        ("filter_cardio", [Bandpass(0.6, 3.0, design="bessel")]),
        ("filter_respiration", [Bandpass(0.1, 0.5, design="bessel")]),
    ],
)
def test_a_processing_equals_the_reference(golden, name, chain):
    np.testing.assert_allclose(processed(golden, *chain), golden[name], rtol=RTOL, atol=ATOL)


@needs_shared
def test_padding_equals_the_reference(golden):
    padded = processed({"signal": golden["signal"][: 30 * 250]}, Padding(30.0))
    np.testing.assert_array_equal(padded, golden["padding_30s"])


def test_the_filter_passes_sleep_and_stops_the_rest():
    rate = 250.0
    time = np.arange(60 * 250) / rate
    for frequency, least, most in ((2, 0.9, 1.1), (10, 0.9, 1.1), (50, 0, 1e-3), (60, 0, 1e-3)):
        wave = Signal("wave", np.sin(2 * np.pi * frequency * time), rate)
        passed = Filter().apply(wave).values[20 * 250 :]
        assert least <= np.abs(passed).max() <= most


@pytest.mark.parametrize("rate", [64.0, 100.0, 120.0])
def test_stop_bands_above_half_the_sampling_rate_are_left_out_with_a_notice(rate, caplog):
    noise = Signal("noise", np.random.default_rng(0).standard_normal(3000), rate)
    processings._tell_once.cache_clear()
    with caplog.at_level("INFO"):
        filtered = Filter().apply(noise).values
        Filter().apply(noise)
    assert np.isfinite(filtered).all()
    assert caplog.text.count("58-62") == 1
    assert f"half of {rate:g} Hz" in caplog.text
    if rate == 100.0:
        # nothing but the band-pass is left
        expected = Bandpass(0.4, 18, 2).apply(noise).values
        np.testing.assert_allclose(filtered, expected, atol=1e-12)


def test_a_band_pass_beyond_half_the_sampling_rate_is_refused():
    with pytest.raises(InputError, match=r"sampling rate above 100 Hz, not 60 Hz"):
        Bandpass(0.3, 50).apply(Signal("x", np.ones(600), 60.0))


def test_zero_phase_has_no_delay_and_twice_the_attenuation():
    rate, hz = 100.0, 1.0
    time = np.arange(6000) / rate
    wave = np.sin(2 * np.pi * hz * time)
    band = Bandpass(0.5, 30, zero_phase=True)
    filtered = band.apply(Signal("wave", wave, rate)).values
    gain = abs(sosfreqz(butter(2, [0.5, 30], "bandpass", fs=rate, output="sos"), [hz], fs=rate)[1])
    np.testing.assert_allclose(filtered[1000:-1000], gain**2 * wave[1000:-1000], atol=1e-3)


@given(
    rates=st.tuples(st.integers(20, 600), st.integers(20, 600)),
    slope=st.floats(-5, 5),
    seconds=st.integers(1, 40),
)
def test_resampling_keeps_straight_lines_and_durations(rates, slope, seconds):
    old, new = rates
    line = Signal("line", slope * np.arange(seconds * old) / old + 1, float(old))
    resampled = Resample(new).apply(line)
    assert len(resampled.values) == seconds * new
    expected = slope * np.arange(seconds * new) / new + 1
    np.testing.assert_allclose(resampled.values, expected, atol=1e-9)


def test_padding_adds_up():
    signal = Signal("x", np.ones(100), 10.0)
    twice = Padding(30, value=-1.0).apply(Padding(60).apply(signal))
    assert twice.padding_s == 90
    assert len(twice.values) == 100 + 2 * 900
    assert twice.values[0] == -1
    assert twice.values[301] == 0


def test_a_weighted_sum_wants_a_weight_for_each_signal():
    signals = [Signal("a", np.ones(3), 10.0), Signal("b", np.ones(3), 10.0)]
    with pytest.raises(InputError, match=r"3 weights for 2 signals \(a, b\)"):
        list(WeightedSum((1, 1, 1))(signals))
    with pytest.raises(InputError, match="1 weights for 2 signals"):
        list(WeightedSum((1,))(signals))


def test_a_weighted_sum_of_unlike_signals_names_both():
    signals = [Signal("fast", np.ones(30), 20.0), Signal("slow", np.ones(15), 10.0)]
    with pytest.raises(InputError, match=r"'fast' \(20 Hz\) and 'slow' \(10 Hz\)"):
        list(WeightedSum()(signals))
