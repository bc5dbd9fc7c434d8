"""Features: what is computed once for each sleep epoch and given to the network as it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor, isclose
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.signal import stft
from scipy.special import entr

from sleep_lab.errors import InputError, nearest
from sleep_lab.preparation.signal import Processing, Signal
from sleep_lab.preparation.sleep_epochs import epoch_signals, is_whole, sleep_epochs
from sleep_lab.recordings import Recording
from sleep_lab.stages import SLEEP_EPOCH_S

Statistic = Literal["mean", "max", "min", "std", "median"]
"""A summary of several values; the standard deviation is the population's."""

STATISTICS: tuple[Statistic, ...] = get_args(Statistic)


class Feature(Protocol):
    """A function of the recording with one row for each sleep epoch, padding included."""

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, width): `padding` rows, the recording's epochs, `padding` rows."""
        ...


@dataclass(frozen=True)
class EpochIndex:
    """How far the night has come: the sleep epoch's index over `scale` (1200 is ten hours).

    Padding before the night has index 0, padding after it the last index.
    """

    scale: float = 1200.0

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, 1)."""
        return _padded_index(recording, padding)[:, None] / self.scale


@dataclass(frozen=True)
class EpochCycleIndex:
    """The sleep epoch's index on slow waves, cos(pi index / length), to tell where in a cycle.

    Padded as EpochIndex.

    Attributes:
        lengths: half periods in sleep epochs; one column each.
    """

    lengths: tuple[float, ...] = (10.0, 30.0, 60.0, 90.0, 120.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lengths", tuple(float(length) for length in self.lengths))

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, lengths)."""
        index = _padded_index(recording, padding)
        return np.cos(np.pi * index[:, None] / np.asarray(self.lengths))


@dataclass(frozen=True)
class SpectralPower:
    """How strong each frequency band is in the course of the sleep epoch, with statistics of that.

    Magnitudes of a short-time Fourier transform (Hamming window, scaled to the amplitude, zeros
    around the epoch), summed over the frequencies of a band, bounds included. The columns are, for
    each channel, for each band: the frames in time, then the statistics over them. A band that
    falls between two frequencies of the transform has no columns. Padding rows are 0.

    Attributes:
        channels: names of recorded channels.
        bands_hz: (lowest, highest) frequency of each band.
        window_s: length of a frame; its inverse is the distance between two frequencies.
        overlap_s: what two frames have in common.
        statistics: of a band's frames, out of mean, max, min, std and median.
        processings: applied to the channels first.
    """

    channels: tuple[str, ...]
    bands_hz: tuple[tuple[float, float], ...]
    window_s: float = 5.0
    overlap_s: float = 3.5
    statistics: tuple[Statistic, ...] = STATISTICS
    processings: tuple[Processing, ...] = ()

    def __post_init__(self) -> None:
        bands = tuple(tuple(float(edge) for edge in band) for band in self.bands_hz)
        _settle(self, bands_hz=bands)
        if not bands or any(len(band) != 2 or not 0 <= band[0] <= band[1] for band in bands):
            raise InputError(f"SpectralPower: bands_hz are pairs 0 <= low <= high, not {bands}")
        if not 0 <= self.overlap_s < self.window_s <= SLEEP_EPOCH_S:
            raise InputError(
                "SpectralPower: wants 0 <= overlap_s < window_s <= 30, not "
                f"{self.overlap_s:g} and {self.window_s:g}"
            )
        # the highest frequency of the transform below the upper edge must not be below the lower
        step = 1 / self.window_s
        if not any(low <= floor(high / step + 1e-9) / self.window_s <= high for low, high in bands):
            raise InputError(
                f"SpectralPower: no band holds a multiple of {step:g} Hz, which is "
                f"all that {self.window_s:g} s tell apart; lengthen window_s"
            )

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, channels * bands * (frames + statistics))."""
        signals = epoch_signals(
            recording,
            self.channels,
            self.processings,
            spans_s=(self.window_s, self.overlap_s),
            highest_hz=max(high for _, high in self.bands_hz),
        )
        return _padded([self._rows(signal) for signal in signals], padding)

    def _rows(self, signal: Signal) -> NDArray[np.float64]:
        epochs = sleep_epochs(signal)
        # a night's transform is much larger than its signal: half an hour at a time
        blocks = np.array_split(epochs, ceil(len(epochs) / 60))
        powers = np.concatenate([self._band_powers(b, signal.sampling_rate) for b in blocks])
        columns = np.concatenate([powers, *_summaries(powers, self.statistics)], axis=2)
        return columns.reshape(len(epochs), -1)

    def _band_powers(
        self, epochs: NDArray[np.float64], sampling_rate: float
    ) -> NDArray[np.float64]:
        window, overlap = (round(s * sampling_rate) for s in (self.window_s, self.overlap_s))
        spectra = stft(epochs, sampling_rate, "hamming", nperseg=window, noverlap=overlap)[2]
        # one rounding only, so that a band's edge meets the frequency that it names
        frequencies = np.arange(spectra.shape[1]) * sampling_rate / window
        bands = np.array(
            [(low <= frequencies) & (frequencies <= high) for low, high in self.bands_hz]
        )
        occupied = bands[bands.any(axis=1)].astype(np.float64)
        return occupied @ np.abs(spectra)  # (epochs, bands, frames)


@dataclass(frozen=True)
class SignalStatistics:
    """Statistics of the absolute signal in windows that divide the sleep epoch.

    The columns are, for each window, for each statistic, the channels. Padding rows are 0.

    Attributes:
        channels: names of recorded channels.
        window_s: length of a window; 30 is the whole epoch.
        statistics: out of mean, max, min, std and median.
        processings: applied to the channels first.
    """

    channels: tuple[str, ...]
    window_s: float
    statistics: tuple[Statistic, ...] = STATISTICS
    processings: tuple[Processing, ...] = ()

    def __post_init__(self) -> None:
        _settle(self)
        if not self.statistics:
            raise InputError(f"SignalStatistics: no statistics; take of {', '.join(STATISTICS)}")
        if not 0 < self.window_s <= SLEEP_EPOCH_S or not is_whole(SLEEP_EPOCH_S / self.window_s):
            raise InputError(f"SignalStatistics: {self.window_s:g} s does not divide 30 s")

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, windows * statistics * channels)."""
        signals = epoch_signals(
            recording, self.channels, self.processings, spans_s=(self.window_s,)
        )
        rows = np.stack([self._rows(signal) for signal in signals], axis=-1)
        return _padded([rows.reshape(recording.epochs, -1)], padding)

    def _rows(self, signal: Signal) -> NDArray[np.float64]:
        epochs = np.abs(sleep_epochs(signal))
        windows = epochs.reshape(len(epochs), round(SLEEP_EPOCH_S / self.window_s), -1)
        return np.concatenate(_summaries(windows, self.statistics), axis=2)


@dataclass(frozen=True)
class ShannonEntropy:
    """How evenly the absolute signal is spread over the sleep epoch: its entropy in nats.

    The absolute samples of an epoch, divided by their sum, are taken as probabilities. One column
    for each channel. An epoch in which all samples are 0 has entropy 0, as padding rows have.

    Attributes:
        channels: names of recorded channels.
        processings: applied to the channels first.
    """

    channels: tuple[str, ...]
    processings: tuple[Processing, ...] = ()

    def __post_init__(self) -> None:
        _settle(self)

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, channels)."""
        signals = epoch_signals(recording, self.channels, self.processings)
        return _padded([self._rows(signal) for signal in signals], padding)

    def _rows(self, signal: Signal) -> NDArray[np.float64]:
        magnitudes = np.abs(sleep_epochs(signal))
        totals = magnitudes.sum(axis=1, keepdims=True)
        return entr(magnitudes / np.where(totals > 0, totals, 1.0)).sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class FourierMagnitude:
    """The magnitudes of the sleep epoch's Fourier transform, from 0 to half the sampling rate.

    One column every 1/30 Hz, channel after channel. Padding rows are 0.

    Attributes:
        channels: names of recorded channels.
        processings: applied to the channels first.
    """

    channels: tuple[str, ...]
    processings: tuple[Processing, ...] = ()

    def __post_init__(self) -> None:
        _settle(self)

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, channels * (samples of an epoch // 2 + 1))."""
        signals = epoch_signals(recording, self.channels, self.processings)
        return _padded([np.abs(np.fft.rfft(sleep_epochs(s))) for s in signals], padding)


@dataclass(frozen=True)
class Columns:
    """The columns of a feature table as they are, where a night is one (`feature_tables`).

    Padding repeats the first and the last row.

    Attributes:
        channels: names of columns; all if None, until `Preparation.resolved` names them.
    """

    channels: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.channels is not None:
            _settle_channels(self)

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, columns)."""
        names = self.channels or tuple(channel.name for channel in recording.channels)
        for name in names:
            rate = recording.channel(name).sampling_rate
            if not isclose(rate * SLEEP_EPOCH_S, 1):
                raise InputError(
                    f"{recording.origin}: Columns are those of a feature table, and {name!r} is a "
                    f"signal of {rate:g} Hz; take another feature"
                )
        whole = recording.cut(0, recording.epochs)
        rows = np.stack([whole.read(name) for name in names], axis=1).astype(np.float64)
        return np.pad(rows, ((padding, padding), (0, 0)), mode="edge")


@dataclass(frozen=True)
class PerNight:
    """Another feature on the scale of each night: its columns as z-scores over the night's epochs.

    Mean and standard deviation (the population's) are the night's alone; its padding is mapped like
    its epochs. A column that does not change is 0.

    Attributes:
        feature: the other.
    """

    feature: Feature

    def __call__(self, recording: Recording, padding: int) -> NDArray[np.float64]:
        """(rows, the feature's width)."""
        rows = self.feature(recording, padding)
        night = rows[padding : padding + recording.epochs]
        changes = np.ptp(night, axis=0) > 0
        deviations = np.where(changes, night.std(axis=0), 1.0)
        return np.where(changes, (rows - night.mean(axis=0)) / deviations, 0.0)


def with_names(feature: Feature, columns: Sequence[str]) -> Feature:
    """The feature, with these names where it takes all columns of a table."""
    if isinstance(feature, PerNight):
        return replace(feature, feature=with_names(feature.feature, columns))
    if isinstance(feature, Columns) and feature.channels is None:
        return replace(feature, channels=tuple(columns))
    return feature


def _padded_index(recording: Recording, padding: int) -> NDArray[np.float64]:
    return np.pad(np.arange(recording.epochs, dtype=np.float64), padding, mode="edge")


def _settle(feature: Any, **values: Any) -> None:
    """Check what the features of signals have in common; lists from a config become tuples."""
    kind = type(feature).__name__
    _settle_channels(feature)
    values |= {"processings": tuple(feature.processings)}
    if hasattr(feature, "statistics"):
        values["statistics"] = tuple(feature.statistics)
        for name in feature.statistics:
            if name not in STATISTICS:
                raise InputError(f"{kind}: no statistic {name!r}; {nearest(str(name), STATISTICS)}")
    for name, value in values.items():
        object.__setattr__(feature, name, value)


def _settle_channels(feature: Any) -> None:
    channels = feature.channels
    if isinstance(channels, str) or not channels or not all(isinstance(c, str) for c in channels):
        raise InputError(
            f"{type(feature).__name__}: channels is a list of names of channels, not {channels!r}"
        )
    object.__setattr__(feature, "channels", tuple(channels))


def _summaries(
    values: NDArray[np.float64], statistics: Iterable[Statistic]
) -> list[NDArray[np.float64]]:
    """The statistics over the last axis, which each of them keeps with length 1."""
    return [getattr(np, name)(values, axis=-1, keepdims=True) for name in statistics]


def _padded(parts: Sequence[NDArray[np.float64]], padding: int) -> NDArray[np.float64]:
    """The parts, (epochs, columns) each, side by side, between `padding` rows of zeros."""
    epochs = len(parts[0])
    rows = np.zeros((epochs + 2 * padding, sum(part.shape[1] for part in parts)))
    np.concatenate(parts, axis=1, out=rows[padding : padding + epochs])
    return rows
