"""A preparation is data: which channels, what is done to them, which features go beside them."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from sleep_lab.errors import InputError
from sleep_lab.instantiation import PREPARATION_TARGETS, instantiate
from sleep_lab.preparation.features import Feature, with_names
from sleep_lab.preparation.signal import Processing
from sleep_lab.recordings import Recording
from sleep_lab.stages import SLEEP_EPOCH_S

FORMAT_VERSION = 2
"""Version of the prepared files; a new one never reads what an older one wrote."""


@dataclass(frozen=True)
class Derivation:
    """Channels that are processed together before their group: a nested sub-group.

    Attributes:
        channels: channel names, or further derivations.
        processings: in this order; a WeightedSum makes one signal of all.
    """

    channels: tuple["str | Derivation", ...]
    processings: tuple[Processing, ...] = ()

    @property
    def width(self) -> int:
        """Number of signals that come out."""
        signals = sum(
            channel.width if isinstance(channel, Derivation) else 1 for channel in self.channels
        )
        for processing in self.processings:
            signals = processing.width(signals)
        return signals


@dataclass(frozen=True)
class Preparation:
    """What turns a recording into a prepared night.

    Attributes:
        groups: for each group of the montage, its channels and the processings of the group.
        features: for each feature's name, how it is computed.
        padding_s: seconds before and after the night, where there is no group of signals, which
            has a Padding of its own.
    """

    groups: Mapping[str, Derivation]
    features: Mapping[str, Feature]
    padding_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.groups and not self.features:
            raise InputError("a preparation wants at least one group of signals or one feature")
        object.__setattr__(self, "padding_s", float(self.padding_s))
        if self.padding_s < 0 or self.padding_s % SLEEP_EPOCH_S:
            raise InputError(
                f"preparation.padding_s is a multiple of {SLEEP_EPOCH_S}, not {self.padding_s:g}"
            )
        if self.groups and self.padding_s:
            raise InputError("preparation.padding_s: groups of signals want a Padding instead")
        for name, group in self.groups.items():
            if not group.channels:
                raise InputError(
                    f"montage: group {name!r} has no channels; name them: data.channels=[...] "
                    f"(or data.montage.{name}=[...])"
                )

    @classmethod
    def from_dict(
        cls,
        montage: Mapping[str, Sequence[Any] | None],
        processings: Sequence[Any] | Mapping[str, Sequence[Any]],
        features: Mapping[str, Any],
        padding_s: float = 0.0,
        allowed: Sequence[str] = PREPARATION_TARGETS,
    ) -> "Preparation":
        """The preparation that plain data describes, as configs and checkpoints hold it.

        Args:
            montage: for each group, channel names or {channels: [...], processings: [...]}; null
                leaves a group out.
            processings: those of every group, or a mapping from group to its own.
            features: name to feature; null leaves a feature out.
            padding_s: padding of a night without groups; the others have their processings'.
            allowed: targets that may be instantiated.

        Raises:
            InputError: an unknown target, a wrong argument, a group without channels.
        """

        def chain(node: Sequence[Any]) -> tuple[Processing, ...]:
            return tuple(instantiate(list(node), allowed=allowed))

        def derivation(node: Any) -> str | Derivation:
            if isinstance(node, str):
                return node
            if not isinstance(node, Mapping) or set(node) - {"channels", "processings"}:
                raise InputError(
                    f"montage: {node!r} is neither a channel's name nor "
                    "{channels: [...], processings: [...]}"
                )
            inner = tuple(derivation(channel) for channel in node["channels"])
            return Derivation(inner, chain(node.get("processings", ())))

        groups = {}
        for name, channels in montage.items():
            if channels is None:
                continue
            own = processings.get(name) if isinstance(processings, Mapping) else processings
            if own is None:
                raise InputError(f"preparation.processings: nothing for group {name!r}")
            groups[name] = Derivation(tuple(derivation(c) for c in channels), chain(own))
        built = {
            name: instantiate(dict(feature), allowed=allowed)
            for name, feature in features.items()
            if feature is not None
        }
        return cls(groups, built, 0.0 if groups else padding_s)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, JSON-able, from which `from_dict` makes an equal preparation."""
        return {
            "montage": {
                name: [_plain(channel) for channel in group.channels]
                for name, group in self.groups.items()
            },
            "processings": {
                name: [_plain(processing) for processing in group.processings]
                for name, group in self.groups.items()
            },
            "features": {name: _plain(feature) for name, feature in self.features.items()},
            "padding_s": self.padding_s,
        }

    def resolved(self, recording: Recording) -> "Preparation":
        """The preparation with the names of this night's channels where it takes all columns.

        A model that keeps it reads another table by the names of those that it has learned from.
        """
        names = [channel.name for channel in recording.channels]
        features = {name: with_names(feature, names) for name, feature in self.features.items()}
        return replace(self, features=features)

    @property
    def fingerprint(self) -> str:
        """Hash of the canonical form, format version included: the name of the results' folder."""
        return short_hash({"format": FORMAT_VERSION, **self.to_dict()})

    def channels(self, group: str) -> tuple[str, ...]:
        """The recorded channels that the group is made of, in order, each once."""
        return tuple(dict.fromkeys(_leaves(self.groups[group].channels)))


def short_hash(value: Any) -> str:
    """Twelve hexadecimal digits that tell plain values apart, whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _leaves(channels: Iterable[str | Derivation]) -> Iterable[str]:
    for channel in channels:
        if isinstance(channel, Derivation):
            yield from _leaves(channel.channels)
        else:
            yield channel


def _plain(value: Any) -> Any:
    if isinstance(value, Derivation):
        return {
            "channels": [_plain(channel) for channel in value.channels],
            "processings": [_plain(processing) for processing in value.processings],
        }
    if is_dataclass(value) and not isinstance(value, type):
        arguments = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {"_target_": f"{type(value).__module__}.{type(value).__qualname__}", **arguments}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
