"""Processings: what is done to each signal between the recording and the network.

A processing is a frozen dataclass, so that a preparation can be compared, stored and hashed. It
maps one `Signal` to another, in float64, or (`WeightedSum`) several signals to one; chains of them
run channel by channel, and memory is bounded by a channel.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import inf, isclose, isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import bessel, butter, resample_poly, sosfilt, sosfiltfilt

from sleep_lab.errors import InputError
from sleep_lab.preparation.signal import ChannelProcessing, Signal, require_alike

logger = logging.getLogger(__name__)

MAX_ORDER = 16
"""Of a filter: steeper ones than any that sleep research uses, and still exact in float64."""


@dataclass(frozen=True)
class Bandpass(ChannelProcessing):
    """Band-pass (or band-stop) filter as second-order sections.

    Attributes:
        low_hz: lower edge.
        high_hz: upper edge.
        order: order of the low-pass prototype, 1 to 16; the filter has twice as many poles.
        design: "butterworth" or "bessel".
        kind: "bandpass" or "bandstop".
        zero_phase: filter forwards and backwards, which doubles the attenuation and has no delay;
            otherwise causal.
    """

    low_hz: float
    high_hz: float
    order: int = 2
    design: Literal["butterworth", "bessel"] = "butterworth"
    kind: Literal["bandpass", "bandstop"] = "bandpass"
    zero_phase: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.low_hz < self.high_hz:
            raise InputError(
                f"Bandpass: wants 0 < low_hz < high_hz, not {self.low_hz} and {self.high_hz}"
            )
        if self.design not in ("butterworth", "bessel"):
            raise InputError(f"Bandpass: design is butterworth or bessel, not {self.design!r}")
        if self.kind not in ("bandpass", "bandstop"):
            raise InputError(f"Bandpass: kind is bandpass or bandstop, not {self.kind!r}")
        # a bool is an int, and no order
        if type(self.order) is not int or not 1 <= self.order <= MAX_ORDER:
            raise InputError(
                f"Bandpass: order is a whole number from 1 to {MAX_ORDER}, not {self.order!r}"
            )

    def sections(self, sampling_rate: float) -> NDArray[np.float64]:
        """The filter's second-order sections, (sections, 6)."""
        if self.high_hz >= sampling_rate / 2:
            raise InputError(
                f"a filter up to {self.high_hz:g} Hz needs a sampling rate above "
                f"{2 * self.high_hz:g} Hz, not {sampling_rate:g} Hz; lower high_hz"
            )
        design = butter if self.design == "butterworth" else bessel
        band = [self.low_hz, self.high_hz]
        return design(self.order, band, btype=self.kind, output="sos", fs=sampling_rate)

    def apply(self, signal: Signal) -> Signal:
        """The filtered signal."""
        filter_once = sosfiltfilt if self.zero_phase else sosfilt
        sections = self.sections(signal.sampling_rate)
        return replace(signal, values=filter_once(sections, signal.values.astype(np.float64)))


@dataclass(frozen=True)
class Filter(ChannelProcessing):
    """The cascade of dreem-learning-open: 0.4 to 18 Hz, without the mains of either continent.

    One pass of Butterworth band-pass 0.4-18 Hz (order 2), Butterworth band-stops 58-62 Hz and
    48-52 Hz (order 3) and Bessel band-stop 62-63 Hz (order 1). A stop band that does not fit below
    half the sampling rate is left out with a notice: there is nothing of it in the signal.

    Attributes:
        zero_phase: filter forwards and backwards. The causal default is the published one; it
            delays a slow wave of 1 Hz by about 117 ms.
    """

    zero_phase: bool = False

    def apply(self, signal: Signal) -> Signal:
        """The filtered signal."""
        rate = signal.sampling_rate
        stop_bands = (
            Bandpass(58, 62, 3, kind="bandstop"),
            Bandpass(48, 52, 3, kind="bandstop"),
            Bandpass(62, 63, 1, design="bessel", kind="bandstop"),
        )
        fitting = [band for band in stop_bands if band.high_hz < rate / 2]
        left_out = [band for band in stop_bands if band not in fitting]
        if left_out:
            _tell_once(rate, ", ".join(f"{band.low_hz:g}-{band.high_hz:g}" for band in left_out))
        cascade = np.concatenate([band.sections(rate) for band in (Bandpass(0.4, 18, 2), *fitting)])
        filter_once = sosfiltfilt if self.zero_phase else sosfilt
        return replace(signal, values=filter_once(cascade, signal.values.astype(np.float64)))


@cache
def _tell_once(rate: float, bands: str) -> None:
    """Every channel of every night would say the same."""
    logger.info("filter: no stop band %s Hz, which does not fit below half of %g Hz", bands, rate)


@dataclass(frozen=True)
class Resample(ChannelProcessing):
    """Resampling by linear interpolation, as dreem-learning-open does: nothing prevents aliasing.

    Filter below half the new rate first. Instants after the last sample continue its slope.

    Attributes:
        sampling_rate: the new one, in Hz.
    """

    sampling_rate: float

    def __post_init__(self) -> None:
        if not 0 < self.sampling_rate < inf:
            raise InputError(f"Resample: wants a positive rate, not {self.sampling_rate} Hz")

    def apply(self, signal: Signal) -> Signal:
        """The resampled signal, of round(duration * rate) samples."""
        if signal.sampling_rate == self.sampling_rate:
            return signal
        old = signal.values
        length = round(len(old) / signal.sampling_rate * self.sampling_rate)
        position = np.arange(length) * (signal.sampling_rate / self.sampling_rate)
        left = np.minimum(position.astype(np.int64), len(old) - 2)
        fraction = position - left
        values = old[left] * (1 - fraction) + old[left + 1] * fraction
        return replace(signal, values=values, sampling_rate=float(self.sampling_rate))


@dataclass(frozen=True)
class ResamplePoly(ChannelProcessing):
    """Resampling by a polyphase filter, which prevents aliasing (scipy's resample_poly).

    The signal counts as 0 outside the night. Use Resample between rates whose ratio is not one of
    small whole numbers.

    Attributes:
        sampling_rate: the new one, in Hz.
    """

    sampling_rate: float

    def __post_init__(self) -> None:
        if not 0 < self.sampling_rate < inf:
            raise InputError(f"ResamplePoly: wants a positive rate, not {self.sampling_rate} Hz")

    def apply(self, signal: Signal) -> Signal:
        """The resampled signal, of round(duration * rate) samples."""
        old, new = signal.sampling_rate, self.sampling_rate
        # the filter grows with the numbers of the ratio
        ratio = Fraction(new / old).limit_denominator(10_000)
        if not isclose(ratio * old, new, rel_tol=1e-9):
            raise InputError(
                f"ResamplePoly: {signal.name!r} cannot go from {old!r} to {new!r} Hz, no ratio of "
                "small whole numbers; use Resample"
            )
        values = signal.values.astype(np.float64)
        resampled = resample_poly(values, ratio.numerator, ratio.denominator)
        resampled = resampled[: round(len(values) * ratio)]
        return replace(signal, values=resampled, sampling_rate=float(new))


@dataclass(frozen=True)
class RobustScale(ChannelProcessing):
    """Each signal on a scale of its own, whatever its amplifier: RobustSleepNet's IQR scaling.

    Over the whole night, the signal is clipped to [-2 clip (p50 - p25), 2 clip (p75 - p50)] by its
    percentiles, then its median is subtracted and it is divided by its interquartile range (1e-5
    where that is 0). The result has no unit. Guillot and Thorey, arXiv 2101.02452, 2021.

    Attributes:
        clip: where to clip, in interquartile ranges of a symmetric signal.
    """

    clip: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.clip < inf:
            raise InputError(f"RobustScale: wants a clip above 0, not {self.clip}")

    def apply(self, signal: Signal) -> Signal:
        """The scaled signal."""
        if signal.padding_s:
            raise InputError("RobustScale: padding would count as signal; scale before Padding")
        values = signal.values.astype(np.float64)
        lower, median, upper = np.percentile(values, (25, 50, 75))
        span = 2 * self.clip
        values = np.clip(values, -span * (median - lower), span * (upper - median))
        lower, median, upper = np.percentile(values, (25, 50, 75))
        return replace(signal, values=(values - median) / ((upper - lower) or 1e-5))


@dataclass(frozen=True)
class Padding(ChannelProcessing):
    """A constant before and after the night, so that its first epochs have a context too.

    Attributes:
        duration_s: seconds on each side.
        value: the constant.
    """

    duration_s: float
    value: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.duration_s < inf:
            raise InputError(f"Padding: wants a duration of 0 s or more, not {self.duration_s}")
        if not isfinite(self.value):
            raise InputError(f"Padding: value is a number, not {self.value}")

    def apply(self, signal: Signal) -> Signal:
        """The padded signal; the padding adds to what it has."""
        samples = round(self.duration_s * signal.sampling_rate)
        values = np.pad(signal.values, samples, constant_values=self.value)
        return replace(signal, values=values, padding_s=signal.padding_s + self.duration_s)


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum of a group's signals: a bipolar derivation, an average reference.

    Attributes:
        weights: one for each signal; all 1 if None.
        name: what to call the sum; made of the signals' names if None.
    """

    weights: tuple[float, ...] | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))

    def __call__(self, signals: Iterable[Signal]) -> Iterable[Signal]:
        """One signal: the sum. Raises InputError if the signals' rates or lengths differ."""
        total: Signal | None = None
        names: list[str] = []
        for position, signal in enumerate(signals):
            weight = self._weight(position)
            weighted = signal.values.astype(np.float64) * weight
            if total is None:
                total = replace(signal, values=weighted)
            else:
                require_alike(total, signal)
                total.values[:] += weighted
            names.append(signal.name if weight == 1 else f"{weight:g} {signal.name}")
        if total is None or (self.weights is not None and len(self.weights) != len(names)):
            raise InputError(
                f"WeightedSum: {len(self.weights or ())} weights for {len(names)} signals "
                f"({', '.join(names) or 'none'})"
            )
        yield replace(total, name=self.name or " + ".join(names))

    def width(self, signals: int) -> int:
        """One, whatever goes in."""
        return min(signals, 1)

    def _weight(self, position: int) -> float:
        if self.weights is None:
            return 1.0
        # a missing weight is reported when all signals have been counted
        return self.weights[position] if position < len(self.weights) else 0.0
