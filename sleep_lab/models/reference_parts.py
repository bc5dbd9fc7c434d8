"""The parts of dreem-learning-open and RobustSleepNet, their arguments, and what they are here."""

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sleep_lab.errors import InputError, nearest
from sleep_lab.models.encoders import (
    ChambonEncoder,
    DeepSleepEncoder,
    RobustSleepEncoder,
    SeqSleepEncoder,
    SimpleSleepEncoder,
    TsinalisEncoder,
)
from sleep_lab.models.features_encoders import FullyConnectedFeatures
from sleep_lab.models.limits import LARGEST_NUMBER
from sleep_lab.models.normalizers import (
    Affine,
    Clip,
    ClipAndScale,
    Spectrogram,
    Standardization,
    StandardizeOnline,
)
from sleep_lab.models.reducers import (
    AttentionReducer,
    FlattenReducer,
    PoolReducer,
    ProjectedAttentionReducer,
)
from sleep_lab.models.reference_names import DREEM, ROBUST, Dialect
from sleep_lab.models.sequence_encoders import GRU, LSTM, Flatten, ResidualGRU, ResidualLSTM

REQUIRED: Any = object()
"""The default of an argument that has none."""


@dataclass(frozen=True)
class Argument:
    """An argument of theirs that one of ours stands for.

    Attributes:
        theirs: its name there.
        ours: its name here.
        check: gives the value if it may be one, or raises ValueError.
        default: what it is there if it is not given.
    """

    theirs: str
    ours: str
    check: Callable[[Any], Any]
    default: Any = REQUIRED


@dataclass(frozen=True)
class Kind:
    """A part of theirs and ours.

    Attributes:
        theirs: its name there.
        ours: our class.
        arguments: those that may have any value.
        constants: their arguments that have one value here, with their default.
        fixed: our arguments that have one value there, some depending on the sampling rate.
    """

    theirs: str
    ours: type
    arguments: tuple[Argument, ...] = ()
    constants: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    fixed: Callable[[float], Mapping[str, Any]] = lambda _: {}

    def to_ours(self, arguments: Mapping[str, Any], rate: float, where: str) -> dict[str, Any]:
        """Our part, as an architecture holds it.

        Raises:
            InputError: an argument that they do not have, or a value that we do not have.
        """
        where = f"{where} {self.theirs}"
        known = (*(a.theirs for a in self.arguments), *self.constants)
        for name in arguments:
            if name not in known:
                raise InputError(f"{where}: unknown argument {str(name)[:100]!r}")
        part = {"_target_": f"{self.ours.__module__}.{self.ours.__qualname__}"}
        for argument in self.arguments:
            value = arguments.get(argument.theirs, argument.default)
            if value is REQUIRED:
                raise InputError(f"{where}: argument {argument.theirs!r} is missing")
            try:
                part[argument.ours] = argument.check(value)
            except ValueError as error:
                raise InputError(f"{where}.{argument.theirs}: {error}") from error
        for name, (held, default) in self.constants.items():
            if not _alike(value := arguments.get(name, default), held):
                raise InputError(
                    f"{where}.{name}: only {held!r} is possible here, not {str(value)[:100]}"
                )
        return part | dict(self.fixed(rate))

    def to_theirs(self, part: Mapping[str, Any], rate: float) -> dict[str, Any] | None:
        """Their arguments; None if it is not this kind or has values that they do not."""
        given = _with_defaults(self.ours, part)
        fixed = self.fixed(rate)
        for name, value in given.items():
            if name in fixed and not _alike(value, fixed[name], name, rate):
                return None
        theirs = {a.theirs: in_json(given[a.ours]) for a in self.arguments}
        return theirs | {name: held for name, (held, _) in self.constants.items()}


def in_json(value: Any) -> Any:
    """The value as they write it: whole numbers, some of which are sizes, as integers."""
    if isinstance(value, list | tuple):
        return list(value) or None  # no layers
    return int(value) if isinstance(value, float) and value.is_integer() else value


def size(value: Any) -> int:
    """A number of things."""
    if type(value) is not int or not 1 <= value <= LARGEST_NUMBER:
        raise ValueError(f"wants a whole number from 1, not {str(value)[:50]}")
    return value


def number(value: Any) -> float:
    """A number that is not beyond all bounds."""
    if type(value) not in (int, float) or not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        raise ValueError(f"wants a number, not {str(value)[:50]}")
    return value


def fraction(value: Any) -> float:
    """A probability below 1."""
    if not 0 <= number(value) < 1:
        raise ValueError(f"wants a probability, not {value}")
    return value


def flag(value: Any) -> bool:
    """True or False."""
    if type(value) is not bool:
        raise ValueError(f"wants true or false, not {str(value)[:50]}")
    return value


def pooling(value: Any) -> str:
    """How to pool."""
    if value not in ("max", "average"):
        raise ValueError(f"wants 'max' or 'average', not {str(value)[:50]}")
    return value


def widths(value: Any) -> list[int]:
    """Widths of layers; null is none there."""
    if value is None:
        return []
    if not isinstance(value, list) or not value:
        raise ValueError(f"wants a list of widths, not {str(value)[:50]}")
    return [size(width) for width in value]


CELLS = Argument("cells", "hidden", size, 64)
LAYERS = Argument("layers", "layers", size, 1)
WIDTHS = Argument("layers", "layers", widths, None)
FILTERS = Argument("filter_dim", "filters", size, 30)
HIDDEN = Argument("hidden_layers", "hidden", size, 64)
CONTEXT = Argument("context_size", "context", size, 32)
POOLING = Argument("pool_operation", "how", pooling, "max")

BIDIRECTIONAL = {"bidir": (True, True)}
SIMPLE_SLEEP = BIDIRECTIONAL | {"num_layers": (1, 1)}
NO_DROPOUT_2D = {"dropout2d": (0.0, 0.0)}
TANH = {"activation": ("tanh", "tanh")}


def dropout(default: float) -> Argument:
    """The dropout, which has many defaults."""
    return Argument("dropout", "dropout", fraction, default)


NORMALIZERS: dict[Dialect, tuple[Kind, ...]] = {
    DREEM: (
        Kind("clip", Clip, (Argument("value", "value", number),)),
        Kind(
            "affine",
            Affine,
            (Argument("gain", "gain", number), Argument("bias", "bias", number, 0)),
        ),
        Kind(
            "clip_and_scale",
            ClipAndScale,
            (Argument("min_value", "minimum", number), Argument("max_value", "maximum", number)),
        ),
        Kind(
            "spectrogram",
            Spectrogram,
            (
                Argument("window_duration", "window_s", number, 2),
                # it is called overlap there
                Argument("window_overlap", "hop_s", number, 1),
                Argument("logpower", "log", flag, True),
                Argument("clamp", "clamp", number, 1e-20),
            ),
        ),
        Kind("standardization", Standardization, (Argument("eps", "eps", number, 1e-15),)),
        Kind("standardize", Standardization, (Argument("eps", "eps", number, 1e-15),)),
    )
}
NORMALIZERS[ROBUST] = (
    *NORMALIZERS[DREEM],
    Kind(
        "standardize_online",
        StandardizeOnline,
        (Argument("eps", "eps", number, 1e-15),),
        {"axis": ([1, -1], [1, -1])},
    ),
)

ENCODERS: dict[Dialect, tuple[Kind, ...]] = {
    DREEM: (
        Kind(
            "SimpleSleepEpochEncoder",
            SimpleSleepEncoder,
            (HIDDEN, FILTERS, dropout(0.25)),
            SIMPLE_SLEEP,
            lambda _: {"channel_recombination": True, "frequency_reduction": True},
        ),
        Kind(
            "SimpleSleepNetEpochEncoderWithoutChannelRecombination",
            SimpleSleepEncoder,
            (HIDDEN, FILTERS, dropout(0.25)),
            SIMPLE_SLEEP | NO_DROPOUT_2D,
            lambda _: {"channel_recombination": False, "frequency_reduction": True},
        ),
        Kind(
            "SimpleSleepNetEpochEncoderWithoutFrequencyReduction",
            SimpleSleepEncoder,
            (HIDDEN, dropout(0.25)),
            SIMPLE_SLEEP | NO_DROPOUT_2D,
            lambda _: {"channel_recombination": True, "frequency_reduction": False},
        ),
        Kind(
            "SeqSleepEpochEncoder",
            SeqSleepEncoder,
            (HIDDEN, Argument("filter_dim", "filters", size, 20), dropout(0.25)),
            BIDIRECTIONAL | NO_DROPOUT_2D,
        ),
        Kind(
            "DeepSleepEpochEncoder",
            DeepSleepEncoder,
            (Argument("cells", "cells", size, 64), dropout(0.5)),
            NO_DROPOUT_2D,
            lambda rate: {
                "short_filter_s": int(rate / 2) / rate,
                "short_stride_s": int(rate / 16) / rate,
                "long_filter_s": int(rate * 2) / rate,
                "long_stride_s": int(rate / 2) / rate,
            },
        ),
        Kind(
            "ChambonEpochEncoder",
            ChambonEncoder,
            (dropout(0.5),),
            fixed=lambda rate: {"maps": 8, "filter_s": 65 / rate, "pool_s": 16 / rate},
        ),
        Kind(
            "TsinalisEpochEncoder",
            TsinalisEncoder,
            fixed=lambda rate: {
                "filters": 20,
                "patterns": 400,
                "filter_s": 200 / rate,
                "pool_s": 20 / rate,
            },
        ),
    ),
    ROBUST: (
        Kind(
            "RobustSleepEncoder",
            RobustSleepEncoder,
            (
                HIDDEN,
                FILTERS,
                dropout(0.25),
                Argument("context_size", "context", size, 12),
                Argument("n_virtual_channels", "virtual_channels", size, 4),
            ),
            SIMPLE_SLEEP | {"attention_activation": ("tanh", "tanh"), "unit_norm": (False, False)},
        ),
    ),
}

REDUCERS: dict[Dialect, tuple[Kind, ...]] = {
    DREEM: (
        Kind("AttentionReducer", AttentionReducer, (CONTEXT,), TANH),
        Kind("PoolReducer", PoolReducer, (POOLING,)),
        Kind("FlattenReducer", FlattenReducer),
    ),
    ROBUST: (
        Kind("Attention", AttentionReducer, (CONTEXT,), TANH),
        Kind(
            "AttentionWithReduction",
            ProjectedAttentionReducer,
            (CONTEXT, Argument("output_dim", "width", size)),
            TANH,
        ),
        Kind("Pooling", PoolReducer, (POOLING,)),
    ),
}

FEATURES_ENCODERS = (Kind("FullyConnected", FullyConnectedFeatures, (WIDTHS, dropout(0.0))),)

SEQUENCE_ENCODERS: dict[Dialect, tuple[Kind, ...]] = {
    ROBUST: (
        # in one direction unless told otherwise
        Kind("GRUSequenceEncoder", GRU, (CELLS, dropout(0.5), LAYERS), {"bidir": (True, False)}),
        Kind("LSTMSequenceEncoder", LSTM, (CELLS, dropout(0.5), LAYERS), {"bidir": (True, False)}),
        Kind(
            "ResidualGRUSequenceEncoder",
            ResidualGRU,
            (CELLS, dropout(0.5), Argument("layers", "layers", size, 2)),
            BIDIRECTIONAL,
        ),
    )
}
SEQUENCE_ENCODERS[DREEM] = (
    *SEQUENCE_ENCODERS[ROBUST],
    Kind(
        "DeepSleepNetResidualSequenceEncoder",
        ResidualLSTM,
        (Argument("cells", "hidden", size), dropout(0.0), LAYERS),
        BIDIRECTIONAL,
    ),
    Kind("TemporalFlattener", Flatten, (WIDTHS,)),
)


def kind_called(kinds: tuple[Kind, ...], part: Any, where: str) -> tuple[Kind, dict[str, Any]]:
    """The kind that {type, args} names, and the arguments.

    Raises:
        InputError: it is no such description, or the kind is unknown.
    """
    name = mapping(part, where).get("type")
    for kind in kinds:
        if kind.theirs == name:
            return kind, mapping(part.get("args", {}), f"{where}.args")
    hint = nearest(str(name)[:100], [kind.theirs for kind in kinds])
    raise InputError(f"{where}: no type {str(name)[:100]!r}; {hint}")


def in_reference(
    kinds: tuple[Kind, ...], part: Mapping[str, Any], rate: float, dialect: Dialect
) -> dict[str, Any]:
    """The {type, args} of one of our parts.

    Raises:
        InputError: it is none of these kinds.
    """
    ours = pkgutil.resolve_name(part["_target_"])
    for kind in kinds:
        if kind.ours is ours and (args := kind.to_theirs(part, rate)) is not None:
            return {"type": kind.theirs, "args": args}
    arguments = ", ".join(f"{k}={v}" for k, v in part.items() if not k.startswith("_"))
    raise InputError(
        f"{dialect} has no {ours.__name__}({arguments}); save the network as .safetensors"
    )


def mapping(value: Any, where: str) -> dict[str, Any]:
    """The value if it is a JSON object; raises InputError if not."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: wants an object, not {str(value)[:50]}")
    return value


def _with_defaults(ours: type, part: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(ours).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return defaults | {name: value for name, value in part.items() if not name.startswith("_")}


def _alike(value: Any, held: Any, name: str = "", rate: float = 1.0) -> bool:
    """Whether two arguments mean the same; durations by the samples that they are."""
    if name.endswith("_s"):
        return round(value * rate) == round(held * rate)
    return value == held and isinstance(value, bool) == isinstance(held, bool)
