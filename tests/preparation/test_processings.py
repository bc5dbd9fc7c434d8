"""Processings against the reference system's outputs, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfreqz

from sleep_lab.errors import InputError
from sleep_lab.experiment import preparation_of
from sleep_lab.preparation import (
    Bandpass,
    Filter,
    Padding,
    Resample,
    ResamplePoly,
    RobustScale,
    Signal,
    WeightedSum,
    processed_signals,
    processings,
)
from sleep_lab.preparation.signal import processed as chained
from sleep_lab.recordings import sleep_edf
from tests.shared import SHARED, needs_shared
from tests.test_config import composed

RTOL, ATOL = 1e-4, 1e-5
NAN = float("nan")


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
@pytest.mark.parametrize("name", ["cardio", "respiration"])
def test_a_preparation_begins_with_the_reference_s_filter(golden, name):
    group = preparation_of(composed(f"preparation={name}")).groups["psg"]
    filtered = processed(golden, group.processings[0])
    np.testing.assert_allclose(filtered, golden[f"filter_{name}"], rtol=RTOL, atol=ATOL)
    (signal,) = chained([Signal("ECG", golden["signal"][:, 0], 250.0)], group.processings)
    assert (signal.sampling_rate, signal.padding_s, len(signal.values)) == (100, 900, 240_000)


@needs_shared
def test_padding_equals_the_reference(golden):
    padded = processed({"signal": golden["signal"][: 30 * 250]}, Padding(30.0))
    np.testing.assert_array_equal(padded, golden["padding_30s"])


@needs_shared
def test_a_real_night_is_prepared_as_robust_sleep_net_had_it():
    golden = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")
    folder = SHARED / "recordings" / "sleep_edf"
    prep = preparation_of(
        composed("data=sleep_edf", f"data.folder={folder}", "preparation=robust_60hz")
    )
    night = sleep_edf(folder, around_sleep_min=30)[0].open()
    stored = np.empty(golden["prepared_shape"], dtype=np.float32)
    for column, signal in enumerate(processed_signals(night, prep.groups["psg"])):
        assert (signal.sampling_rate, signal.padding_s) == (60, 900)
        stored[:, column] = signal.values
    assert column == 2
    first = (30 + 100) * 1800  # after the padding
    rows = stored[first : first + 1800]
    np.testing.assert_allclose(rows, golden["prepared_rows"], rtol=1e-6, atol=1e-6)
    # summed in float32 row after row, as the golden was: its digits after the third are rounding
    np.testing.assert_allclose(stored.mean(axis=0), golden["prepared_mean"], atol=1e-6)
    np.testing.assert_allclose(stored.std(axis=0), golden["prepared_std"], rtol=1e-5)


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


@pytest.mark.parametrize("old", [100.0, 128.0, 200.0, 256.0, 250.0, 512.0])
def test_polyphase_resampling_keeps_sleep_and_lets_nothing_alias(old):
    time = np.arange(round(30 * old)) / old
    new_time = np.arange(30 * 60) / 60
    middle = slice(300, -300)  # away from where the night begins and ends
    kept = ResamplePoly(60).apply(Signal("x", np.sin(2 * np.pi * 10 * time), old))
    assert kept.sampling_rate == 60
    expected = np.sin(2 * np.pi * 10 * new_time)
    np.testing.assert_allclose(kept.values[middle], expected[middle], atol=2e-3)
    stopped = ResamplePoly(60).apply(Signal("x", np.sin(2 * np.pi * 45 * time), old))
    assert np.abs(stopped.values[middle]).max() < 5e-3


@given(
    rates=st.tuples(st.sampled_from([1.0, 62.5, 99.9, 100.0, 256.0 / 3]), st.integers(1, 200)),
    seconds=st.integers(1, 40),
)
def test_polyphase_resampling_keeps_durations(rates, seconds):
    old, new = rates
    signal = Signal("x", np.ones(round(seconds * old), dtype=np.float32), old)
    resampled = ResamplePoly(new).apply(signal)
    assert len(resampled.values) == round(len(signal.values) / old * new)
    assert resampled.values.dtype == np.float64


def test_polyphase_resampling_refuses_ratios_that_would_take_an_endless_filter():
    with pytest.raises(InputError, match=r"'x' cannot go from 99\.99123456 to 60 Hz.*use Resample"):
        ResamplePoly(60).apply(Signal("x", np.ones(3000), 99.99123456))


@given(gain=st.floats(1e-3, 1e4), seed=st.integers(0, 100))
def test_robust_scaling_forgets_the_gain_and_centres_the_middle_half(gain, seed):
    values = np.random.default_rng(seed).standard_t(3, 1000)
    scaled = RobustScale().apply(Signal("x", values, 100.0)).values
    quarter, median, three_quarters = np.percentile(scaled, (25, 50, 75))
    assert median == pytest.approx(0, abs=1e-12)
    assert three_quarters - quarter == pytest.approx(1)
    again = RobustScale().apply(Signal("x", gain * values, 100.0)).values
    np.testing.assert_allclose(again, scaled, rtol=1e-9, atol=1e-9)


def test_robust_scaling_clips_artefacts_on_each_side_by_that_side():
    values = np.concatenate([np.linspace(-1, 1, 1001), np.linspace(1, 3, 1000), [1e6, -1e6]])
    lower, median, upper = np.percentile(values, (25, 50, 75))
    scaled = RobustScale(clip=2).apply(Signal("x", values, 100.0)).values
    spread = upper - lower
    assert scaled.max() == pytest.approx((4 * (upper - median) - median) / spread)
    assert scaled.min() == pytest.approx((-4 * (median - lower) - median) / spread)


def test_robust_scaling_of_a_signal_that_hardly_moves_stays_finite():
    values = np.zeros(1000)
    values[:10] = 2.0
    scaled = RobustScale().apply(Signal("x", values, 100.0)).values
    np.testing.assert_array_equal(scaled, 0)
    few_levels = np.repeat([1.0, 1.0, 1.0, 1.001], 10)
    assert np.isfinite(RobustScale().apply(Signal("x", few_levels, 1.0)).values).all()


def test_robust_scaling_wants_the_night_without_padding():
    padded = Padding(30).apply(Signal("x", np.arange(100.0), 1.0))
    with pytest.raises(InputError, match="scale before Padding"):
        RobustScale().apply(padded)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResamplePoly(0), "ResamplePoly: wants a positive rate, not 0 Hz"),
        (lambda: RobustScale(clip=0), "RobustScale: wants a clip above 0, not 0"),
        (lambda: Resample(-1), "Resample: wants a positive rate"),
        (lambda: Bandpass(30, 0.2), "wants 0 < low_hz < high_hz, not 30 and 0.2"),
        (lambda: Padding(-30), "Padding: wants a duration of 0 s or more"),
        (lambda: ResamplePoly(NAN), "ResamplePoly: wants a positive rate, not nan Hz"),
        (lambda: RobustScale(NAN), "RobustScale: wants a clip above 0, not nan"),
        (lambda: Resample(NAN), "Resample: wants a positive rate, not nan Hz"),
        (lambda: Bandpass(NAN, 20), "wants 0 < low_hz < high_hz, not nan and 20"),
        (lambda: Bandpass(0.4, NAN), "wants 0 < low_hz < high_hz, not 0.4 and nan"),
        (lambda: Padding(NAN), "Padding: wants a duration of 0 s or more, not nan"),
        (lambda: Padding(30, NAN), "Padding: value is a number, not nan"),
        (
            lambda: Bandpass(0.4, 18, kind="highpass"),
            "kind is bandpass or bandstop, not 'highpass'",
        ),
        *(
            (lambda order=order: Bandpass(0.4, 18, order), f"order is .* from 1 to 16, not {order}")
            for order in (0, -2, 17, 2.5, True)
        ),
    ],
)
def test_a_bad_argument_is_refused_at_once(make, message):
    with pytest.raises(InputError, match=message):
        make()
