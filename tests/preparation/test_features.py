"""Features against the reference system's outputs, plain loops, and what they promise."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from sleep_lab.errors import InputError
from sleep_lab.experiment import preparation_of
from sleep_lab.instantiation import instantiate
from sleep_lab.preparation import (
    Bandpass,
    EpochCycleIndex,
    EpochIndex,
    Filter,
    FourierMagnitude,
    Padding,
    Preparation,
    Resample,
    ResamplePoly,
    ShannonEntropy,
    Signal,
    SignalStatistics,
    SpectralPower,
    WeightedSum,
    prepare,
)
from sleep_lab.preparation.preparation import Derivation
from tests.nights import Night, Samples, recording
from tests.shared import SHARED, needs_shared
from tests.test_config import composed

LOW_BANDS = ((0.06, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 1))
BANDS = (*LOW_BANDS, (0.5, 2), (1.6, 4), (3, 4.5), (4, 7), (8, 13), (11, 16), (15, 30))
ALL = ("A", "B", "C")
OF_SIGNALS = {
    "fft_channel0": FourierMagnitude(("A",)),
    "spectral_power": SpectralPower(ALL, BANDS),
    "spectral_power_slow": SpectralPower(ALL, LOW_BANDS, window_s=30, overlap_s=0),
    "signal_statistics_epoch": SignalStatistics(ALL, window_s=30),
    "signal_statistics_sliding": SignalStatistics(ALL, window_s=5),
    "shannon_entropy": ShannonEntropy(ALL),
}


def recorded(values, rate):
    """A recording of these channels, (channels, samples), named A, B, C..."""
    names = tuple("ABCDEFGH"[: len(values)])
    like = recording(round(values.shape[1] / rate / 30), rate, names)
    return replace(like, source=Samples(np.asarray(values, dtype=np.float32)))


@pytest.fixture(scope="module")
def golden():
    return np.load(SHARED / "golden" / "features.npz")


@pytest.fixture(scope="module")
def golden_recording():
    return recorded(np.load(SHARED / "golden" / "processings.npz")["signal"].T, 250.0)


@needs_shared
@pytest.mark.parametrize(
    ("name", "feature"),
    [("index_window", EpochIndex()), ("cycle_index_window", EpochCycleIndex())],
)
def test_a_feature_of_the_index_equals_the_reference(golden, name, feature):
    padding = (len(golden[name]) - 20) // 2
    np.testing.assert_allclose(feature(recording(epochs=20), padding), golden[name], atol=1e-12)


@needs_shared
@pytest.mark.parametrize("name", OF_SIGNALS)
def test_a_feature_of_signals_equals_the_reference(golden, golden_recording, name):
    padding = (len(golden[name]) - 20) // 2
    rows = OF_SIGNALS[name](golden_recording, padding)
    np.testing.assert_allclose(rows, golden[name], rtol=1e-9, atol=1e-9)


def test_padding_holds_the_first_and_the_last_index():
    index = EpochIndex(scale=1)(recording(epochs=5), padding=2)[:, 0]
    np.testing.assert_array_equal(index, [0, 0, 0, 1, 2, 3, 4, 4, 4])


@pytest.mark.parametrize("name", OF_SIGNALS)
def test_padding_rows_of_signals_are_zero_and_the_others_are_not_changed(name):
    night = recording(4, 100.0, ALL)
    alone, padded = (OF_SIGNALS[name](night, padding) for padding in (0, 3))
    assert len(alone) == 4
    np.testing.assert_array_equal(padded[3:-3], alone)
    np.testing.assert_array_equal(padded[[0, 1, 2, -3, -2, -1]], 0)


@pytest.mark.parametrize("name", OF_SIGNALS)
def test_samples_after_the_last_whole_epoch_do_not_count(name):
    feature = OF_SIGNALS[name]
    values = recording(5, 100.0, ALL).source.values
    longer = replace(recording(5, 100.0, ALL), duration_s=137.0)
    np.testing.assert_array_equal(feature(longer, 1), feature(recorded(values[:, :12000], 100), 1))


def plain_spectral_power(values, rate, bands, window_s, overlap_s):
    """One channel's rows, one frame after the other, by the definition of the transform."""
    window, hop = round(window_s * rate), round((window_s - overlap_s) * rate)
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(window) / window)
    frequencies = np.arange(window // 2 + 1) / window_s
    rows = []
    for epoch in values.reshape(-1, round(30 * rate)):
        around = np.pad(epoch.astype(np.float64), (window // 2, window // 2 + hop))
        starts = range(0, len(epoch) + 1, hop)
        frames = [around[start : start + window] * hamming for start in starts]
        spectra = np.abs(np.fft.rfft(frames)) / hamming.sum()
        row = []
        for low, high in bands:
            power = spectra[:, (frequencies >= low) & (frequencies <= high)].sum(axis=1)
            row += [*power, power.mean(), power.max(), power.min(), power.std(), np.median(power)]
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize(
    ("rate", "window_s", "overlap_s", "epochs"),
    [(64.0, 5, 3.5, 130), (100.0, 2, 0, 7), (128.0, 30, 0, 3), (62.0, 10, 5, 61)],
)
def test_spectral_power_is_what_its_definition_says(rate, window_s, overlap_s, epochs):
    night = recording(epochs, rate)
    bands = BANDS[1:] if window_s == 30 else BANDS[4:]
    expected = [
        plain_spectral_power(night.read(name), rate, bands, window_s, overlap_s)
        for name in ("B", "A")
    ]
    rows = SpectralPower(("B", "A"), bands, window_s, overlap_s)(night, 0)
    np.testing.assert_allclose(rows, np.concatenate(expected, axis=1), rtol=1e-9, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(hz=st.integers(5, 140).map(lambda fifths: fifths / 5), microvolts=st.floats(1, 500))
def test_the_power_of_a_sine_lies_in_its_band(hz, microvolts):
    rate = 64.0
    wave = microvolts * np.sin(2 * np.pi * hz * np.arange(round(60 * rate)) / rate)
    # frequencies are 0.2 Hz apart
    below, around, above = (0, hz - 0.3), (hz - 0.3, hz + 0.3), (hz + 0.3, 32)
    feature = SpectralPower(("A",), (below, around, above), statistics=("median",))
    medians = feature(recorded(wave[None], rate), 0).reshape(2, 3, -1)[..., -1]
    # half the amplitude at its frequency; the Hamming window gives 0.23 of that to each neighbour
    expected = microvolts / 2 * (1 + 2 * 0.23 / 0.54)
    np.testing.assert_allclose(medians[:, 1], expected, rtol=2e-3)
    assert (medians[:, [0, 2]] < 2e-3 * microvolts).all()


def test_a_band_between_two_frequencies_has_no_columns_whatever_the_sampling_rate():
    for rate in (64.0, 100.0, 256.0):
        night = recording(2, rate)
        both, one = (
            SpectralPower(("A",), bands)(night, 0)
            for bands in (((0.61, 0.79), (0.6, 0.8)), ((0.6, 0.8),))
        )
        np.testing.assert_array_equal(both, one)
        assert one.shape == (2, 26)


@settings(max_examples=20, deadline=None)
@given(
    window_s=st.sampled_from([1, 2.5, 5, 10, 30]),
    statistics=st.lists(st.sampled_from(["mean", "max", "min", "std", "median"]), min_size=1),
    seed=st.integers(0, 1000),
)
def test_signal_statistics_equal_a_plain_loop(window_s, statistics, seed):
    night = recording(3, 20.0, seed=seed)
    samples = round(window_s * 20)
    expected = []
    for epoch in range(3):
        for window in range(600 // samples):
            start = epoch * 600 + window * samples
            for statistic in statistics:
                for name in ("A", "B"):
                    magnitudes = abs(night.read(name)[start : start + samples].astype(np.float64))
                    expected.append(getattr(np, statistic)(magnitudes))
    rows = SignalStatistics(("A", "B"), window_s, statistics)(night, 0)
    np.testing.assert_allclose(rows, np.reshape(expected, (3, -1)), rtol=1e-12)


def test_shannon_entropy_is_that_of_scipy_and_zero_where_nothing_was_recorded():
    values = recording(4, 20.0).source.values.copy()
    values[0, :600] = 0  # the amplifier was off
    values[0, 600:1200] = [3, -3] * 300
    entropy = ShannonEntropy(("A", "B"))(recorded(values, 20.0), 0)
    assert entropy[0, 0] == 0
    assert entropy[1, 0] == pytest.approx(np.log(600))
    magnitudes = np.abs(values.astype(np.float64)).reshape(2, 4, 600)
    expected = scipy.stats.entropy(magnitudes, axis=2).T
    np.testing.assert_allclose(entropy[:, 1], expected[:, 1], rtol=1e-12)
    np.testing.assert_allclose(entropy[2:], expected[2:], rtol=1e-12)


def test_fourier_magnitudes_stand_channel_after_channel():
    night = recording(3, 20.0)
    rows = FourierMagnitude(("B", "A"))(night, 0)
    assert rows.shape == (3, 602)
    np.testing.assert_array_equal(rows[:, :301], FourierMagnitude(("B",))(night, 0))
    np.testing.assert_array_equal(rows[:, 301:], FourierMagnitude(("A",))(night, 0))


def test_processings_of_a_feature_run_over_the_whole_night_first():
    night = recording(4, 100.0)
    chain = (Bandpass(0.5, 20), Resample(50))
    filtered = []
    for name in ("A", "B"):
        signal = Signal(name, night.read(name), 100.0)
        filtered.append(chain[1].apply(chain[0].apply(signal)).values)
    expected = SignalStatistics(("A", "B"), 5)(recorded(np.stack(filtered), 50.0), 2)
    rows = SignalStatistics(("A", "B"), 5, processings=chain)(night, 2)
    np.testing.assert_allclose(rows, expected, rtol=1e-5)
    difference = SignalStatistics(("A", "B"), 30, ("mean",), (WeightedSum((1, -1)),))(night, 0)
    apart = np.abs(night.read("A") - night.read("B")).reshape(4, -1).mean(axis=1)
    np.testing.assert_allclose(difference[:, 0], apart, rtol=1e-5)


def test_features_of_signals_survive_json_with_the_same_fingerprint():
    chain = (Filter(), WeightedSum((1.0, -1.0)), ResamplePoly(60))
    features = {
        "power": SpectralPower(("A", "B"), BANDS, 4, 2, ("std", "max"), chain),
        "statistics": SignalStatistics(("A",), 5, ("median",), chain[:1]),
        "entropy": ShannonEntropy(("B",), chain[1:]),
        "fourier": FourierMagnitude(("B",)),
    }
    prep = Preparation({}, features)
    again = Preparation.from_dict(**json.loads(json.dumps(prep.to_dict())))
    assert again == prep
    assert again.fingerprint == prep.fingerprint
    others = [
        SpectralPower(("A", "B"), BANDS, 4, 2, ("max", "std"), chain),
        SpectralPower(("B", "A"), BANDS, 4, 2, ("std", "max"), chain),
        SpectralPower(("A", "B"), BANDS, 4, 2, ("std", "max"), chain[:2]),
        SpectralPower(("A", "B"), BANDS[1:], 4, 2, ("std", "max"), chain),
    ]
    for other in others:
        changed = Preparation({}, {**features, "power": other})
        assert changed.fingerprint != prep.fingerprint


def test_a_stored_feature_can_name_nothing_but_processings():
    facts = Preparation({}, {"entropy": ShannonEntropy(("A",), (Filter(),))}).to_dict()
    facts["features"]["entropy"]["processings"] = [{"_target_": "os.getcwd"}]
    with pytest.raises(InputError, match="whitelist"):
        Preparation.from_dict(**facts)


def test_a_prepared_night_holds_the_features_beside_its_signals(tmp_path):
    features = {"statistics": SignalStatistics(("B",), 30), "entropy": ShannonEntropy(("A", "B"))}
    prep = Preparation({"psg": Derivation(("A",), (Padding(90),))}, features)
    night = prepare(Night(arguments={"tail": 100}), prep, tmp_path)
    assert night.features == {"statistics": 5, "entropy": 2}
    for name, feature in features.items():
        expected = feature(recording(tail=100), night.padding).astype(np.float32)
        np.testing.assert_array_equal(night.feature(name), expected)
        assert len(expected) == 46


def test_the_mixed_features_see_the_first_channel_or_the_one_that_is_named():
    mixed = preparation_of(composed("features=mixed")).features
    night = recording(2, 128.0, ("F3-M2", "C3-M2"))
    widths = {name: feature(night, 0).shape[1] for name, feature in mixed.items()}
    assert widths == {
        "spectral_power": 10 * 26,
        "spectral_power_slow": 4 * 7,
        "signal_statistics": 5,
        "signal_statistics_sliding": 30,
    }
    assert {feature.channels for feature in mixed.values()} == {("F3-M2",)}
    other = composed("features=mixed", "features.spectral_power.channels=[C3-M2]")
    features = preparation_of(other).features
    assert {feature.channels for feature in features.values()} == {("C3-M2",)}
    assert features["spectral_power"] == SpectralPower(("C3-M2",), BANDS)
    assert features["spectral_power_slow"] == SpectralPower(("C3-M2",), LOW_BANDS, 30, 0)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("ShannonEntropy", {"channels": "A"}, "channels is a list of names of channels, not 'A'"),
        ("FourierMagnitude", {"channels": []}, r"channels is a list .* not \[\]"),
        ("SpectralPower", {"bands_hz": []}, "bands_hz are pairs"),
        ("SpectralPower", {"bands_hz": [[4, 1]]}, "bands_hz are pairs 0 <= low <= high"),
        ("SpectralPower", {"bands_hz": [[1, 2, 3]]}, "bands_hz are pairs"),
        ("SpectralPower", {"bands_hz": [["slow", 4]]}, "slow"),
        ("SpectralPower", {"bands_hz": [[1.05, 1.15]]}, r"multiple of 0\.2 Hz, .* lengthen"),
        ("SpectralPower", {"bands_hz": [[1, 2]], "window_s": 0}, "overlap_s < window_s"),
        ("SpectralPower", {"bands_hz": [[1, 2]], "overlap_s": 5}, "overlap_s < window_s"),
        ("SpectralPower", {"bands_hz": [[1, 2]], "window_s": 60}, "window_s <= 30"),
        ("SignalStatistics", {"window_s": 7}, "7 s does not divide 30 s"),
        ("SignalStatistics", {"window_s": 0}, "0 s does not divide 30 s"),
        ("SignalStatistics", {"window_s": 5, "statistics": []}, "no statistics"),
        (
            "SignalStatistics",
            {"window_s": 5, "statistics": ["mediann"]},
            "no statistic 'mediann'; did you mean 'median'",
        ),
    ],
)
def test_a_bad_argument_is_an_error_of_one_line(kind, arguments, message):
    target = {"_target_": f"sleep_lab.preparation.{kind}", "channels": ["A"], **arguments}
    with pytest.raises(InputError, match=message) as error:
        instantiate(target)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (ShannonEntropy(("b1",)), "night.test: no channel 'b1'; did you mean 'B'"),
        (SpectralPower(("A",), BANDS), r"night.test: 'A' .* band up to 30 Hz .* 60 Hz, not 50 Hz"),
        (SpectralPower(("A",), ((1, 2),), 5, 3.51), r"'A' .* 50 Hz does not divide 3\.51 s"),
        (SignalStatistics(("A",), 0.03), r"50 Hz does not divide 0\.03 s"),
        (FourierMagnitude(("A",), (Resample(10.01),)), r"10\.01 Hz does not divide 30 s"),
        (ShannonEntropy(("A",), (Padding(30),)), "leave Padding out of their processings"),
    ],
)
def test_a_feature_that_does_not_suit_the_night_says_why(feature, message):
    with pytest.raises(InputError, match=message) as error:
        feature(recording(), 0)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("spoil", [np.nan, "flat"])
def test_a_channel_that_cannot_be_used_is_named(spoil):
    values = recording(2).source.values.copy()
    values[1] = 3 if spoil == "flat" else values[1]
    values[1, 100] = values[1, 100] if spoil == "flat" else spoil
    with pytest.raises(InputError, match=r"channel 'B'.*(NaN|flat).*data\.montage and features"):
        ShannonEntropy(("A", "B"))(recorded(values, 50.0), 0)
