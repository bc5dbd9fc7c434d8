"""ModuloNet: epochs are encoded one by one, then staged in the context of their neighbours."""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from sleep_lab.errors import InputError, nearest
from sleep_lab.instantiation import MODEL_TARGETS, instantiate
from sleep_lab.models.group_encoder import GroupEncoder, Part, SignalGroup, complete
from sleep_lab.preparation import Preparation
from sleep_lab.preparation.montage import with_channels
from sleep_lab.recordings import Recording
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES

Output = Literal["all", "centre"]
OUTPUTS = get_args(Output)


class ModuloNet(nn.Module):
    """A network of interchangeable parts (Guillot, Sauvet, During, Thorey, IEEE TNSRE 2020).

    Signals go through each group's normalizers, epoch encoder and reducer; expert features through
    their normalizers and the features encoder; all, side by side, through the sequence encoder and
    a linear classifier. Parts come with their own arguments and are completed here with the data's
    shapes.

    Args:
        groups: the signal groups; {} for a network of features alone.
        features: name and width of each expert feature. The order of groups and features is that
            of the weights; it need not be that of the dicts given to `forward`.
        context: epochs in a window.
        normalizer: steps for every group, or those of each by name; completed with
            (shape, sampling_rate).
        encoder: one for all groups, or one for each; completed with (shape, sampling_rate).
        reducer: likewise; completed with the encoder's output shape.
        features_normalizer: steps for the joined features, completed with ((width, 1), their rate).
        features_encoder: completed with the features' joint width; None joins them as they are.
        sequence_encoder: completed with (width, context).
        output: which epochs of a window are staged: "all", or the "centre" alone.
        group_dropout: probability that a training window loses a group's encoding, drawn anew for
            each window and group.

    Attributes:
        architecture: what `build` was given, if it built the network.
        preparation: how its recordings are prepared, if it came from a file that says so.
        temperature: what the logarithms of its probabilities are divided by once a night is staged.
        predicted: which epochs of a window the logits belong to.
        any_channels: whether the weights fit any number of channels in any order.
        per_window: whether what a group's encoder sees depends on the window.

    Raises:
        InputError: parts that do not fit each other or the data; the message names both sides.
    """

    architecture: dict[str, Any] | None = None
    preparation: Preparation | None = None
    temperature: float = 1.0

    def __init__(
        self,
        groups: Mapping[str, SignalGroup],
        features: Mapping[str, int],
        context: int,
        normalizer: Sequence[Part] | Mapping[str, Sequence[Part]],
        encoder: Part | Mapping[str, Part] | None,
        reducer: Part | Mapping[str, Part] | None,
        features_normalizer: Sequence[Part],
        features_encoder: Part | None,
        sequence_encoder: Part,
        output: Output = "all",
        group_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not groups and not features:
            raise InputError("a network needs signal groups or features; choose some of either")
        if not groups and encoder is not None:
            raise InputError(
                "no signal groups, so nothing to encode; set encoder=none, or, for feature tables, "
                "experiment=feature_table"
            )
        if output not in OUTPUTS:
            raise InputError(f"output={output}: {nearest(output, OUTPUTS)}")
        if not 0 <= group_dropout < 1:
            raise InputError(f"group_dropout is from 0 to below 1, not {group_dropout}")
        self.groups = dict(groups)
        self.features = dict(features)
        self.context = context
        self.group_dropout = group_dropout
        normalizers = _of_each("normalizer", groups, normalizer)
        encoders = _of_each("encoder", groups, encoder)
        reducers = _of_each("reducer", groups, reducer)
        built = {
            name: GroupEncoder(name, group, normalizers[name], encoders[name], reducers[name])
            for name, group in groups.items()
        }
        self.encoders = nn.ModuleDict(built)
        self.any_channels = bool(groups) and all(group.any_channels for group in built.values())
        self.per_window = any(group.per_window for group in built.values())
        width = sum(features.values())
        self.features_normalizer = nn.Sequential()
        for part in features_normalizer if features else ():
            facts = ((width, 1), 1 / SLEEP_EPOCH_S)
            self.features_normalizer.append(complete(part, *facts, where="features"))
        if features and features_encoder is not None:
            self.features_encoder = complete(features_encoder, width, where="features")
            width = self.features_encoder.width
        else:
            self.features_encoder = nn.Identity()
        width += sum(group.width for group in built.values())
        self.sequence_encoder = complete(sequence_encoder, width, context, where="sequence encoder")
        if self.sequence_encoder.one_per_window and output == "all" and context > 1:
            raise InputError(
                "the sequence encoder makes one of all epochs of a window, so it cannot stage all "
                "of them; set output=centre"
            )
        centre = slice(context // 2, context // 2 + 1)
        self.predicted = slice(0, context) if output == "all" else centre
        self.classifier = nn.Linear(self.sequence_encoder.width, len(STAGES))

    def forward(self, signals: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> Tensor:
        """Logits of the stages of the predicted epochs of every window.

        Args:
            signals: {group: (batch, context, channels, samples)}.
            features: {name: (batch, context, width)}.

        Returns:
            (batch, predicted, 5): `predicted` tells which epochs of the window.

        Raises:
            InputError: groups, features or shapes are not those of the network.
        """
        _require_names("group", self.groups, signals)
        encoded = self.encode({name: group.flatten(0, 1) for name, group in signals.items()})
        windows = {name: e.unflatten(0, signals[name].shape[:2]) for name, e in encoded.items()}
        return self.sequence(windows, features)

    def encode(self, signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The part that sees one epoch at a time.

        Args:
            signals: {group: (epochs, channels, samples)}.

        Returns:
            {group: (epochs, width)}; for a group with a normalizer that works per window
            {group: (epochs, *shape)}, what that normalizer takes.
        """
        _require_names("group", self.groups, signals)
        return {name: self._group(name).once(signals[name]) for name in self.groups}

    def sequence(self, encoded: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> Tensor:
        """The part that sees the context.

        Args:
            encoded: windows of what `encode` gives: {group: (batch, context, ...)}.
            features: {name: (batch, context, width)}.

        Returns:
            (batch, predicted, 5) logits.
        """
        _require_names("group", self.groups, encoded)
        _require_names("feature", self.features, features)
        windows = next(iter({**encoded, **features}.values())).shape[:2]
        parts = [self._group(name).in_window(encoded[name]) for name in self.groups]
        if self.training and self.group_dropout:
            kept = torch.rand(*windows[:1], len(parts), 1, 1, device=self.device)
            kept = (kept >= self.group_dropout).float()
            parts = [part * kept[:, group] for group, part in enumerate(parts)]
        for name, width in self.features.items():
            if features[name].shape != (*windows, width):
                raise InputError(
                    f"feature {name}: the model wants {(*windows, width)} "
                    f"(batch, context, width), found {tuple(features[name].shape)}"
                )
        if features:
            parts.append(self.features_encoder(self.normalized_features(features)))
        sequence = self.sequence_encoder(torch.cat(parts, dim=-1))
        if not self.sequence_encoder.one_per_window:
            sequence = sequence[:, self.predicted]
        return self.classifier(sequence)

    def normalized_features(self, features: Mapping[str, Tensor]) -> Tensor:
        """{name: (batch, context, width)}, joined in the network's order and normalized."""
        joined = torch.cat([features[name] for name in self.features], dim=-1)
        rows = self.features_normalizer(joined.flatten(0, 1).unsqueeze(-1))
        return rows.squeeze(-1).unflatten(0, joined.shape[:2])

    @classmethod
    def load(cls, path: Path | str) -> "ModuloNet":
        """The trained network in a file, in evaluation mode, with its preparation.

        Args:
            path: a checkpoint of train.py, what `save` wrote, or an archive of dreem-learning-open
                or RobustSleepNet.

        Raises:
            InputError: no such file, or none that holds such a network.
        """
        # the module that reads files builds networks with this one
        from sleep_lab.models.weights import load_model

        return load_model(Path(path)).model

    def save(self, path: Path | str) -> None:
        """Write the network to a file: NAME.safetensors, or NAME.gz for dreem-learning-open.

        A .safetensors file holds architecture, preparation and temperature as well. An archive for
        dreem-learning-open holds no preparation, and no network with a temperature.

        Raises:
            InputError: another suffix, a network that was not made by `build`, a part that
                dreem-learning-open does not have, or a place that cannot be written.
        """
        from sleep_lab.models.weights import save_model

        save_model(self, Path(path))

    def preparation_for(self, recording: Recording) -> Preparation:
        """How to prepare a recording for this network.

        As the nights that it was trained on. A network that takes any channels gets all EEG and EOG
        signals of the recording.

        Raises:
            InputError: the network does not know its preparation, or there is no EEG or EOG.
        """
        preparation = self.known_preparation
        if not self.any_channels:
            return preparation
        if len(self.groups) > 1:
            raise InputError(
                f"the model has several groups of any channels ({', '.join(self.groups)}); say "
                "which channels make each: +montage.GROUP=[...]"
            )
        ((name, group),) = self.groups.items()
        channels = recording.names_of("eeg", "eog", faster_than_hz=group.sampling_rate)
        if not channels:
            raise InputError(
                f"{recording.origin}: no EEG or EOG faster than {group.sampling_rate:g} Hz among "
                f"{', '.join(c.name for c in recording.channels) or 'no channels'}; name the "
                f"channels to use: '+montage.{name}=[...]'"
            )
        return with_channels(preparation, {name: channels}, any_number=True)

    @property
    def known_preparation(self) -> Preparation:
        """How its nights were prepared; raises InputError if its file did not say."""
        if self.preparation is None:
            raise InputError(
                "the model's file does not say how its nights were prepared; for an archive of "
                "dreem-learning-open or RobustSleepNet, put the description.json that was "
                "published with it beside it"
            )
        return self.preparation

    @property
    def normalizers(self) -> dict[str, nn.Sequential]:
        """Each group's normalizers, as `fit_standardization` takes them."""
        return {name: self._group(name).normalizer for name in self.groups}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.classifier.weight.device

    @property
    def number_of_parameters(self) -> int:
        """How many weights the optimizer can change."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def _group(self, name: str) -> GroupEncoder:
        return cast(GroupEncoder, self.encoders[name])


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
    model = ModuloNet(
        groups=groups,
        features=plain["features"] or {},
        context=plain["context"],
        normalizer=_parts(plain["normalizer"]),
        encoder=_parts(plain["encoder"]),
        reducer=_parts(plain["reducer"]),
        features_normalizer=_parts(plain["features_normalizer"]) or [],
        features_encoder=_parts(plain["features_encoder"]),
        sequence_encoder=_parts(plain["sequence_encoder"]),
        output=plain["output"],
        group_dropout=plain["group_dropout"],
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


def _parts(config: Any) -> Any:
    """A part, or what an architecture holds parts in: a list of steps, a mapping from groups."""
    if config is None:
        return None
    if isinstance(config, list):
        return [_parts(step) for step in config]
    if not isinstance(config, dict):
        raise InputError(f"architecture: {config!r} does not say which class it is (_target_)")
    if "_target_" in config:
        return instantiate({**config, "_partial_": True}, allowed=MODEL_TARGETS)
    return {group: _parts(part) for group, part in config.items()}


def _of_each(what: str, groups: Mapping[str, SignalGroup], part: Any) -> dict[str, Any]:
    """The part, or list of steps, of each group."""
    if not isinstance(part, Mapping):
        return dict.fromkeys(groups, [] if part is None and what == "normalizer" else part)
    _require_names(f"{what} of group", groups, part)
    return dict(part)


def _require_names(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    if expected.keys() != found.keys():
        raise InputError(
            f"{what}: the model wants {', '.join(expected) or 'none'}, "
            f"found {', '.join(found) or 'none'}"
        )
