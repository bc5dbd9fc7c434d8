"""How nights are prepared, from the description.json that is published beside an archive."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sleep_lab.errors import InputError, nearest
from sleep_lab.models.limits import LARGEST, require_bounded, require_name
from sleep_lab.models.reference_names import ROBUST, Dialect
from sleep_lab.models.reference_parts import mapping
from sleep_lab.preparation import (
    Bandpass,
    Derivation,
    EpochCycleIndex,
    EpochIndex,
    Feature,
    Filter,
    FourierMagnitude,
    Padding,
    Preparation,
    Processing,
    Resample,
    ResamplePoly,
    RobustScale,
    ShannonEntropy,
    SignalStatistics,
    SpectralPower,
    WeightedSum,
)
from sleep_lab.stages import SLEEP_EPOCH_S

logger = logging.getLogger(__name__)

Args = dict[str, Any]
DESCRIPTION = "description.json"
CONTEXTS = range(1, LARGEST["context"] + 1, 2)


@dataclass(frozen=True)
class Description:
    """What the description says that the archive does not.

    Attributes:
        preparation: of the recordings.
        context: sleep epochs in a window; None if it does not say.
    """

    preparation: Preparation
    context: int | None


def read_description(description: Args, dialect: Dialect) -> Description:
    """The preparation and the context.

    Args:
        description: the JSON of description.json.
        dialect: whose it is; `resample` means different things.

    Raises:
        InputError: an entry is missing or no such thing, a processing, a feature or an argument
            is unknown or not possible here.
    """
    require_bounded(description.get("memmap_description"), "memmap_description")
    memmaps = mapping(description.get("memmap_description"), "memmap_description")
    groups = {}
    for group in _list(memmaps.get("signals"), "memmap_description.signals"):
        where = "memmap_description.signals"
        name = require_name(mapping(group, where).get("name"), where)
        groups[name] = _derivation(group, f"group {name}", dialect)
    paddings = {name: _padding_s(group) for name, group in groups.items()}
    features: dict[str, Feature] = {}
    for entry in _list(memmaps.get("features", []), "memmap_description.features"):
        where = "memmap_description.features"
        name = require_name(mapping(entry, where).get("name"), where)
        features[name], paddings[f"feature {name}"] = _feature(entry, f"feature {name}")
    if len(set(paddings.values())) > 1:
        told = ", ".join(f"{name} {padding_s:g} s" for name, padding_s in paddings.items())
        raise InputError(f"memmap_description: paddings differ: {told[:200]}")
    padding_s = 0.0 if groups else next(iter(paddings.values()), 0.0)
    context = mapping(description.get("dataset_parameters", {}), "dataset_parameters").get(
        "temporal_context"
    )
    if context is not None and (type(context) is not int or context not in CONTEXTS):
        raise InputError(f"dataset_parameters.temporal_context: {str(context)[:50]} is no context")
    return Description(Preparation(groups, features, padding_s), context)


def _derivation(group: Any, where: str, dialect: Dialect) -> Derivation:
    signals = _list(mapping(group, where).get("signals"), f"{where}: signals")
    channels = tuple(
        _derivation(signal, f"{where}: a sub-group", dialect)
        if isinstance(signal, dict)
        else _channel(signal, where)
        for signal in signals
    )
    steps = _list(group.get("processings", []), f"{where}: processings")
    return Derivation(channels, tuple(_processing(step, where, dialect) for step in steps))


def _channel(signal: Any, where: str) -> str:
    """`signals/eeg/C3_M2` is channel C3_M2."""
    if not isinstance(signal, str) or not (name := signal.rpartition("/")[2]):
        raise InputError(f"{where}: {str(signal)[:100]!r} is no path of one signal")
    return name


def _processing(step: Any, where: str, dialect: Dialect) -> Processing:
    makers: dict[str, Callable[[_Arguments], Processing]] = {
        "filter": lambda _: Filter(),
        "filter_cardio": lambda _: Bandpass(0.6, 3, 2, "bessel"),
        "filter_respiration": lambda _: Bandpass(0.1, 0.5, 2, "bessel"),
        "filter_bandpass": _bandpass,
        "resample": _resample_poly if dialect == ROBUST else _resample,
        "poly_resample": _resample_poly,
        "normalize_signal_IQR": _robust_scale,
        "padding": lambda a: Padding(a.number("padding_duration"), a.number("value", 0)),
        "weighted_sum": _weighted_sum,
    }
    name = mapping(step, where).get("type")
    if not isinstance(name, str) or name not in makers:
        hint = nearest(str(name)[:100], makers)
        raise InputError(f"{where}: no processing {str(name)[:100]!r}; {hint}")
    arguments = _Arguments(step.get("args", {}), f"{where}: {name}")
    made = makers[name](arguments)
    arguments.require_used()
    return made


class _Arguments:
    """Arguments as they are taken, so that none is left over."""

    def __init__(self, given: Any, where: str) -> None:
        self.left = dict(mapping(given, where))
        self.where = where

    def take(self, name: str, *default: Any) -> Any:
        """The argument, or its default."""
        if name not in self.left and not default:
            raise InputError(f"{self.where}: argument {name!r} is missing")
        return self.left.pop(name, *default)

    def number(self, name: str, *default: float) -> float:
        """The argument, a number."""
        value = self.take(name, *default)
        if type(value) not in (int, float):
            raise InputError(f"{self.where}.{name}: {str(value)[:50]!r} is no number")
        return value

    def numbers(self, name: str, *default: Any) -> list[float]:
        """The argument, a list of numbers."""
        values = _list(self.take(name, *default), f"{self.where}.{name}")
        if not all(type(value) in (int, float) for value in values):
            raise InputError(f"{self.where}.{name}: {str(values)[:50]} are no numbers")
        return values

    def only(self, name: str, *possible: Any) -> None:
        """Take an argument that has these values here, the first if it is not given."""
        if (value := self.take(name, possible[0])) not in possible:
            raise InputError(f"{self.where}.{name}: {str(value)[:50]} is not possible here")

    def require_used(self) -> None:
        """Raise InputError if an argument was not taken."""
        if self.left:
            raise InputError(f"{self.where}: unknown argument {next(iter(self.left))[:100]!r}")


def _bandpass(arguments: _Arguments) -> Processing:
    band = arguments.numbers("band", [0.2, 30])
    order = arguments.number("order", 2)
    if len(band) != 2 or type(order) is not int or order < 1:
        raise InputError(f"{arguments.where}: wants a band of two frequencies and an order from 1")
    return Bandpass(band[0], band[1], order, zero_phase=True)


def _resample(arguments: _Arguments) -> Processing:
    arguments.only("interpolation_args", {})
    return Resample(_rate(arguments))


def _resample_poly(arguments: _Arguments) -> Processing:
    return ResamplePoly(_rate(arguments))


def _rate(arguments: _Arguments) -> float:
    rate = arguments.number("target_frequency")
    require_bounded({"sampling_rate": rate}, arguments.where)
    return rate


def _robust_scale(arguments: _Arguments) -> Processing:
    arguments.only("clip_value", None)
    arguments.only("eps", 1e-5)
    return RobustScale(arguments.number("clip_IQR"))


def _weighted_sum(arguments: _Arguments) -> Processing:
    if arguments.left.get("weights") is None:
        arguments.take("weights", None)
        return WeightedSum()
    return WeightedSum(tuple(arguments.numbers("weights")))


def _padding_s(group: Derivation) -> float:
    return sum(step.duration_s for step in group.processings if isinstance(step, Padding))


def _feature(entry: Mapping[str, Any], where: str) -> tuple[Feature, float]:
    """The feature and its padding in seconds."""
    processing = mapping(entry.get("processing"), f"{where}: processing")
    name = processing.get("type")
    arguments = _Arguments(processing.get("args", {}), f"{where}: {name}")
    signals = _list(entry.get("signals", []), f"{where}: signals")
    channels = tuple(_channel(signal, where) for signal in signals)
    if entry.get("signals_preprocessing"):
        # its authors' code never applies them, so the network has not seen them applied
        logger.warning("%s: signals_preprocessing is left out, as in training", where)
    makers: dict[str, Callable[[], Feature]] = {
        "index_window": lambda: EpochIndex(),
        "cycle_index_window": lambda: EpochCycleIndex(
            tuple(arguments.numbers("cycles_length", [10, 30, 60, 90, 120]))
        ),
        "fft": lambda: _fourier_magnitude(channels, where),
        "spectral_power": lambda: _spectral_power(channels, arguments),
        "signal_statistics": lambda: SignalStatistics(
            channels,
            arguments.number("window_duration", 5),
            _statistics(arguments.take("statistics"), arguments.where),
        ),
        "shannon_entropy": lambda: ShannonEntropy(channels),
    }
    if not isinstance(name, str) or name not in makers:
        raise InputError(f"{where}: no {str(name)[:100]!r}; {nearest(str(name)[:100], makers)}")
    made = makers[name]()
    arguments.only("increment_duration", SLEEP_EPOCH_S)
    arguments.only("epoch_duration", SLEEP_EPOCH_S)
    if arguments.left.get("padding_duration", 0) is None:
        arguments.take("padding_duration")
    padding_s = arguments.number("padding_duration", 0)
    arguments.require_used()
    return made, padding_s


def _fourier_magnitude(channels: tuple[str, ...], where: str) -> Feature:
    if len(channels) != 1:
        raise InputError(f"{where}: fft mixes {len(channels)} signals; it is possible for one")
    return FourierMagnitude(channels)


def _spectral_power(channels: tuple[str, ...], arguments: _Arguments) -> Feature:
    arguments.only("window", "hamming")
    where = f"{arguments.where}.frequency_interval"
    bands = _list(arguments.take("frequency_interval"), where)
    for band in bands:
        if not all(type(edge) in (int, float) for edge in _list(band, where)):
            raise InputError(f"{where}: {str(band)[:50]} are no frequencies")
    return SpectralPower(
        channels,
        tuple(tuple(band) for band in bands),
        arguments.number("stft_duration", 5),
        arguments.number("stft_overlap", 3.5),
        _statistics(arguments.take("statistics", None) or [], arguments.where),
    )


def _statistics(names: Any, where: str) -> tuple[Any, ...]:
    if not all(isinstance(name, str) for name in _list(names, f"{where}.statistics")):
        raise InputError(f"{where}.statistics: {str(names)[:50]} are no names")
    return tuple(names)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{where}: wants a list, not {str(value)[:50]}")
    return value
