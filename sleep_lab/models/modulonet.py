"""ModuloNet: epochs are encoded one by one, then staged in the context of their neighbours."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from sleep_lab.errors import InputError, nearest
from sleep_lab.instantiation import MODEL_TARGETS, instantiate
from sleep_lab.models.group_encoder import GroupEncoder, Part, SignalGroup, complete
from sleep_lab.preparation import Preparation
from sleep_lab.stages import STAGES


class ModuloNet(nn.Module):
    """A network of interchangeable parts (Guillot, Sauvet, During, Thorey, IEEE TNSRE 2020).

    Signals go through each group's normalizers, epoch encoder and reducer; expert features through
    the features encoder; both, side by side, through the sequence encoder and a linear classifier.
    Parts come with their own arguments and are completed here with the data's shapes.

    Args:
        groups: the signal groups; {} for a network of features alone.
        features: name and width of each expert feature. The order of groups and features is that
            of the weights; it need not be that of the dicts given to `forward`.
        context: epochs in a window.
        normalizer: steps for every group, completed with (shape, sampling_rate).
        encoder: one for all groups, or one for each by name; completed with (shape, sampling_rate).
        reducer: completed with the encoder's output shape.
        features_encoder: completed with the features' joint width; None joins them as they are.
        sequence_encoder: completed with (width, context).

    Attributes:
        architecture: what `build` was given, if it built the network.
        preparation: how its recordings are prepared, if it came from a file that says so.
        encoded_width: of an encoded epoch, features not counted.

    Raises:
        InputError: parts that do not fit each other or the data; the message names both sides.
    """

    architecture: dict[str, Any] | None = None
    preparation: Preparation | None = None

    def __init__(
        self,
        groups: Mapping[str, SignalGroup],
        features: Mapping[str, int],
        context: int,
        normalizer: Sequence[Part],
        encoder: Part | Mapping[str, Part] | None,
        reducer: Part | None,
        features_encoder: Part | None,
        sequence_encoder: Part,
    ) -> None:
        super().__init__()
        if not groups and not features:
            raise InputError("a network needs signal groups or features; choose some of either")
        self.groups = dict(groups)
        self.features = dict(features)
        self.context = context
        encoders = {
            name: GroupEncoder(name, groups[name], normalizer, part, reducer)
            for name, part in _encoder_of_each(groups, encoder).items()
        }
        self.encoders = nn.ModuleDict(encoders)
        self.encoded_width = sum(encoder.width for encoder in encoders.values())
        width = sum(features.values())
        if features and features_encoder is not None:
            self.features_encoder = complete(features_encoder, width, where="features")
            width = self.features_encoder.width
        else:
            self.features_encoder = nn.Identity()
        self.sequence_encoder = complete(
            sequence_encoder, self.encoded_width + width, context, where="sequence encoder"
        )
        self.classifier = nn.Linear(self.sequence_encoder.width, len(STAGES))

    def forward(self, signals: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> Tensor:
        """Logits of the stages of every epoch of every window.

        Args:
            signals: {group: (batch, context, channels, samples)}.
            features: {name: (batch, context, width)}.

        Returns:
            (batch, context, 5).

        Raises:
            InputError: groups, features or shapes are not those of the network.
        """
        _require_names("group", self.groups, signals)
        _require_names("feature", self.features, features)
        windows = next(iter({**signals, **features}.values())).shape[:2]  # (batch, context)
        encoded = self.encode({name: group.flatten(0, 1) for name, group in signals.items()})
        return self.sequence(encoded.reshape(*windows, self.encoded_width), features)

    def encode(self, signals: Mapping[str, Tensor]) -> Tensor:
        """The part that sees one epoch at a time.

        Args:
            signals: {group: (epochs, channels, samples)}.

        Returns:
            (epochs, encoded_width), the groups side by side; (0, 0) for a network without groups.
        """
        _require_names("group", self.groups, signals)
        if not signals:
            return self.classifier.weight.new_empty(0, 0)
        encoded = [encoder(signals[name]) for name, encoder in self.encoders.items()]
        return torch.cat(encoded, dim=1)

    def sequence(self, encoded: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """The part that sees the context.

        Args:
            encoded: (batch, context, encoded_width).
            features: {name: (batch, context, width)}.

        Returns:
            (batch, context, 5) logits.
        """
        _require_names("feature", self.features, features)
        for name, width in self.features.items():
            if features[name].shape != (*encoded.shape[:-1], width):
                raise InputError(
                    f"feature {name}: the model wants {(*encoded.shape[:-1], width)} "
                    f"(batch, context, width), found {tuple(features[name].shape)}"
                )
        if features:
            joined = torch.cat([features[name] for name in self.features], dim=-1)
            encoded = torch.cat([encoded, self.features_encoder(joined)], dim=-1)
        return self.classifier(self.sequence_encoder(encoded))

    @classmethod
    def load(cls, path: Path | str) -> "ModuloNet":
        """The trained network in a checkpoint, in evaluation mode, with its preparation.

        Raises:
            InputError: no such file, or none that holds a network of sleep_lab.
        """
        # the module that reads files builds networks with this one
        from sleep_lab.models.weights import load_checkpoint

        return load_checkpoint(Path(path)).model

    @property
    def normalizers(self) -> dict[str, nn.Sequential]:
        """Each group's normalizers, as `fit_standardization` takes them."""
        return {name: cast(GroupEncoder, e).normalizer for name, e in self.encoders.items()}

    @property
    def number_of_parameters(self) -> int:
        """How many weights the optimizer can change."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def build(architecture: Mapping[str, Any]) -> ModuloNet:
    """The network that plain data describes, with fresh weights.

    Args:
        architecture: ModuloNet's arguments as JSON holds them: a group is {channels, samples,
            sampling_rate}, a part {_target_: a class of sleep_lab.models, its arguments}.

    Raises:
        InputError: an entry is missing, unknown or no plain data, or a part cannot be built.
    """
    plain = _plain(architecture)
    expected = tuple(inspect.signature(ModuloNet).parameters)
    for name in plain:
        if name not in expected:
            raise InputError(f"architecture: no entry {name!r}; {nearest(name, expected)}")
    for name in expected:
        if name not in plain:
            raise InputError(f"architecture: entry {name!r} is missing")
    groups = {
        name: complete(lambda facts: SignalGroup(**facts), facts, where=f"group {name}")
        for name, facts in (plain["groups"] or {}).items()
    }
    encoder = plain["encoder"]
    per_group = encoder is not None and "_target_" not in encoder
    model = ModuloNet(
        groups=groups,
        features=plain["features"] or {},
        context=plain["context"],
        normalizer=[_part(step) for step in plain["normalizer"] or []],
        encoder={name: _part(p) for name, p in encoder.items()} if per_group else _part(encoder),
        reducer=_part(plain["reducer"]),
        features_encoder=_part(plain["features_encoder"]),
        sequence_encoder=_part(plain["sequence_encoder"]),
    )
    model.architecture = plain
    return model


def _plain(architecture: Mapping[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(architecture)
    except (TypeError, ValueError) as error:
        raise InputError(f"architecture: not plain data: {error}") from error
    if "${" in text:
        # resolving it would read the environment for whoever wrote the checkpoint
        raise InputError("architecture: an interpolation (${...}) is not plain data; resolve it")
    return json.loads(text)


def _part(config: dict[str, Any] | None) -> Any:
    if config is None:
        return None
    if "_target_" not in config:
        raise InputError(f"architecture: {config} does not say which class it is (_target_)")
    return instantiate({**config, "_partial_": True}, allowed=MODEL_TARGETS)


def _encoder_of_each(
    groups: Mapping[str, SignalGroup], encoder: Part | Mapping[str, Part] | None
) -> dict[str, Part | None]:
    """The encoder of each group, in the groups' order."""
    if not groups and encoder is not None:
        raise InputError("no signal groups, so nothing to encode; set encoder=none")
    if not isinstance(encoder, Mapping):
        return dict.fromkeys(groups, encoder)
    _require_names("encoder of group", groups, encoder)
    return {name: encoder[name] for name in groups}


def _require_names(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    if expected.keys() != found.keys():
        raise InputError(
            f"{what}: the model wants {', '.join(expected) or 'none'}, "
            f"found {', '.join(found) or 'none'}"
        )
