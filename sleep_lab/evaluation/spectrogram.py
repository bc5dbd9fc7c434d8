"""The picture of a night's frequencies."""

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal.windows import dpss

from sleep_lab.stages import SLEEP_EPOCH_S

WINDOWS_PER_EPOCH = 5
TIME_HALF_BANDWIDTH = 3.0
TAPERS = 5


def multitaper_spectrogram(
    signal: NDArray[np.float32], sampling_rate: float, highest_hz: float = 30.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies (bins,) in Hz, 1/6 Hz apart, and power (epochs, bins) in squared units per Hz.

    Each sleep epoch is cut into five windows of 6 s, each window multiplied by five Slepian tapers
    (time-half-bandwidth 3, so a resolution of 1 Hz), and the 25 spectra averaged. A last part of
    less than an epoch is left out. `sampling_rate` is at least 2 Hz.

    Source: Prerau et al., "Sleep Neurophysiological Dynamics Through the Lens of Multitaper
    Spectral Analysis", Physiology 2017.
    """
    window_s = SLEEP_EPOCH_S / WINDOWS_PER_EPOCH
    samples = int(window_s * sampling_rate)
    epochs = int(len(signal) / sampling_rate // SLEEP_EPOCH_S)
    # at a fractional sampling rate, windows start where their time says: no drift over the night
    starts = (np.arange(epochs * WINDOWS_PER_EPOCH) * window_s * sampling_rate).astype(int)
    windows = signal[starts[:, None] + np.arange(samples)]
    windows = windows - windows.mean(axis=1, keepdims=True)

    frequencies = fft.rfftfreq(samples, 1 / sampling_rate)
    shown = frequencies <= highest_hz
    power = np.zeros((len(windows), int(shown.sum())))
    # taper by taper: all at once would hold the night five times
    for taper in dpss(samples, TIME_HALF_BANDWIDTH, TAPERS).astype(np.float32):
        power += np.abs(fft.rfft(windows * taper, axis=1)[:, shown]) ** 2
    # the tapers have unit energy; the spectrum is one-sided
    power *= 2 / (sampling_rate * TAPERS)
    return frequencies[shown], power.reshape(epochs, WINDOWS_PER_EPOCH, -1).mean(axis=1)
