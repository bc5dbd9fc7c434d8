"""Preparation: from a recording to a night that networks can read at once."""

from sleep_lab.preparation.features import (
    Columns,
    EpochCycleIndex,
    EpochIndex,
    Feature,
    FourierMagnitude,
    PerNight,
    ShannonEntropy,
    SignalStatistics,
    SpectralPower,
)
from sleep_lab.preparation.many_nights import prepare_all, prepare_nights
from sleep_lab.preparation.preparation import Derivation, Preparation
from sleep_lab.preparation.prepared_night import PreparedGroup, PreparedNight
from sleep_lab.preparation.processings import (
    Bandpass,
    Filter,
    Padding,
    Resample,
    ResamplePoly,
    RobustScale,
    WeightedSum,
)
from sleep_lab.preparation.signal import Processing, Signal
from sleep_lab.preparation.store import prepare, processed_signals

__all__ = [
    "Bandpass",
    "Columns",
    "Derivation",
    "EpochCycleIndex",
    "EpochIndex",
    "Feature",
    "Filter",
    "FourierMagnitude",
    "Padding",
    "PerNight",
    "Preparation",
    "PreparedGroup",
    "PreparedNight",
    "Processing",
    "Resample",
    "ResamplePoly",
    "RobustScale",
    "ShannonEntropy",
    "Signal",
    "SignalStatistics",
    "SpectralPower",
    "WeightedSum",
    "prepare",
    "prepare_all",
    "prepare_nights",
    "processed_signals",
]
