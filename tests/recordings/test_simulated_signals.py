"""Simulated signals against what the stages' definitions say of them (AASM manual, 2007)."""

import numpy as np
import pytest
import scipy.signal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sleep_lab.recordings.simulated import simulate, simulated_nights
from sleep_lab.stages import N1, N2, N3, REM, SLEEP_EPOCH_S, W

RATE = 128
BANDS_HZ = ((0.5, 2), (2, 4), (4, 8), (8, 12), (12, 16), (16, 30))


def band_passed(signal, low, high):
    sos = scipy.signal.butter(4, (low, high), "bandpass", fs=RATE, output="sos")
    return scipy.signal.sosfiltfilt(sos, signal)


class Night:
    def __init__(self, source):
        recording = source.open()
        self.stages = recording.hypnogram
        self.signals = {c.name: recording.read(c.name) for c in recording.channels}
        # frequencies, and the power of every epoch at each
        self.spectra = {
            name: scipy.signal.welch(self.epochs(name), RATE, nperseg=4 * RATE)
            for name in self.signals
        }

    def epochs(self, name):
        return self.signals[name].reshape(-1, SLEEP_EPOCH_S * RATE)

    def band_power(self, name, low, high):
        """Log power of every epoch: (epochs,)."""
        frequencies, power = self.spectra[name]
        return np.log(power[:, (frequencies >= low) & (frequencies < high)].sum(1))

    def median(self, values, stage):
        return np.median(values[self.stages == stage])


@pytest.fixture(scope="module")
def nights():
    return [Night(source) for source in simulated_nights(nights=6)]


def in_each(nights, name, low, high):
    """Median band power of every night and stage: (nights, 5)."""
    rows = []
    for night in nights:
        power = night.band_power(name, low, high)
        rows.append([night.median(power, stage) for stage in range(5)])
    return np.array(rows)


def test_alpha_is_strongest_in_wakefulness_at_the_back_of_the_head(nights):
    back, front = (in_each(nights, name, 8, 12) for name in ("O1-M2", "F3-M2"))
    assert (back[:, W] > back[:, N2] + 0.3).all()
    assert (back[:, W] - back[:, N2] > front[:, W] - front[:, N2]).all()


def test_slow_waves_grow_from_n1_to_n3_and_are_largest_in_front(nights):
    front, back = (in_each(nights, name, 0.5, 2) for name in ("F3-M2", "O1-M2"))
    assert (np.diff(front[:, [N1, N2, N3]], axis=1) > 0.2).all()
    assert (front[:, N3] > back[:, N3]).all()


def test_n2_has_bursts_of_sigma_that_wakefulness_and_rem_sleep_lack(nights):
    # kurtosis of the band's envelope: a steady rhythm has little, bursts have much
    for night in nights:
        sigma = np.abs(scipy.signal.hilbert(band_passed(night.signals["C3-M2"], 12, 15)))
        seconds = sigma.reshape(-1, SLEEP_EPOCH_S, RATE).mean(-1)
        burst = np.log(np.sort(seconds, axis=1)[:, -2] / np.median(seconds, axis=1))
        assert night.median(burst, N2) > night.median(burst, REM) + 0.1
        assert night.median(burst, N2) > night.median(burst, W) + 0.1


def test_muscle_tone_falls_from_wakefulness_through_n2_to_rem_sleep(nights):
    tone = in_each(nights, "EMG chin", 20, 45)
    assert (tone[:, W] > tone[:, N2]).all()
    assert (tone[:, N2] > tone[:, REM]).mean() > 0.6  # some keep their tone
    assert tone[:, N2].mean() > tone[:, REM].mean() + 0.3


def test_eyes_move_against_each_other_and_slow_waves_reach_both(nights):
    for night in nights:
        left, right = (night.epochs(name) for name in ("E1-M2", "E2-M2"))
        likeness = np.array([np.corrcoef(pair)[0, 1] for pair in np.stack([left, right], 1)])
        busy = np.abs(left - right).max(1) > 150
        assert likeness[busy & (night.stages == REM)].mean() < -0.4
        assert night.median(likeness, N3) > 0.4


def test_rem_sleep_has_phases_with_and_without_eye_movements(nights):
    jumps = [
        np.abs(np.diff((n.epochs("E1-M2") - n.epochs("E2-M2"))[:, ::6])).max(1)[n.stages == REM]
        for n in nights
    ]
    jumps = np.concatenate(jumps)
    assert 0.1 < (jumps < 50).mean() < 0.6
    assert (jumps > 80).mean() > 0.25


def test_amplitudes_are_those_of_people(nights):
    def typical(name, stage, measure):
        return np.median([n.median(measure(n.epochs(name)), stage) for n in nights])

    def rms(epochs):
        return epochs.std(1)

    def peak_to_peak(epochs):
        return np.ptp(epochs, axis=1)

    assert 8 < typical("C3-M2", W, rms) < 30
    assert 75 < typical("F3-M2", N3, peak_to_peak) < 250
    assert 50 < typical("E1-M2", REM, peak_to_peak) < 300
    assert 1 < typical("EMG chin", REM, rms) < typical("EMG chin", W, rms) < 30


def test_mains_hum_is_there_if_the_rate_can_hold_it(nights):
    for night in nights:
        frequencies, power = night.spectra["E1-M2"]
        beside = (frequencies > 45) & (frequencies < 49)
        assert power[:, frequencies == 50].mean() > 5 * power[:, beside].mean()


def test_the_heart_beats_regularly_in_the_ecg():
    ecg = simulate(hours=0.25, channels=["ECG"]).read("ECG")
    beats, _ = scipy.signal.find_peaks(ecg, height=400, distance=RATE // 3)
    assert 45 < len(beats) / 15 < 75
    assert np.diff(beats).std() < 0.15 * np.diff(beats).mean()


def test_band_powers_alone_stage_strangers_middling_and_get_n1_wrong(nights):
    features = [
        np.stack([n.band_power(c, *b) for c in n.signals for b in BANDS_HZ], axis=1) for n in nights
    ]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-3))
    people, strangers = slice(0, 4), slice(4, 6)
    model.fit(np.concatenate(features[people]), np.concatenate([n.stages for n in nights[people]]))
    staged = model.predict(np.concatenate(features[strangers]))
    scored = np.concatenate([n.stages for n in nights[strangers]])
    assert 0.4 < cohen_kappa_score(scored, staged) < 0.75
    assert f1_score(scored, staged, labels=[N1], average=None)[0] < 0.6
