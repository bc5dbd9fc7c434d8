"""Whether trained weights fit a network and its signals; what differs, in the config's words."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Literal

from torch import Tensor, nn

from sleep_lab.errors import InputError
from sleep_lab.models import ModuloNet
from sleep_lab.models.normalizers import Standardization
from sleep_lab.preparation import Padding, Preparation
from sleep_lab.preparation.preparation import Derivation

Statistics = Literal["keep", "refit"]

GROUP_PARTS = ("normalizer", "encoder", "reducer")
OTHER_PARTS = ("features_normalizer", "features_encoder", "sequence_encoder")
NORMALIZERS = ("normalizer", "features_normalizer")

SHAPELESS = ("dropout", "eps")
"""Arguments that no weight's shape depends on."""


def fitting_state(
    model: ModuloNet, trained: ModuloNet, statistics: Statistics
) -> dict[str, Tensor]:
    """The trained network's state under the names of `model`, all of whose places it fills.

    Args:
        model: the network to fill.
        trained: the network with the weights.
        statistics: "refit" takes the model's own statistics into the state.

    Raises:
        InputError: groups, features, names or shapes differ; the message names both sides, and what
            to type.
    """
    _require_described(trained)
    _require_groups(model, trained)
    _require_features(model, trained)
    own, theirs = model.state_dict(), dict(trained.state_dict())
    if statistics == "refit":
        expected = {name: own[name] for name in own.keys() - _statistics(model)}
        theirs = {name: theirs[name] for name in theirs.keys() - _statistics(trained)}
    else:
        expected = own
    old, new = next(iter(trained.groups), ""), next(iter(model.groups), "")
    if len(model.groups) == 1:
        theirs = {_moved(name, old, new): weight for name, weight in theirs.items()}
    # in the order in which data flows, where the first difference is the cause of later ones
    for name in (name for name in own if name in expected):
        if name not in theirs:
            raise InputError(f"the weights have no {name!r}{_remedy(model, trained)}")
        if theirs[name].shape != own[name].shape:
            raise InputError(
                f"{name!r} has shape {tuple(theirs[name].shape)} in the weights, "
                f"{tuple(own[name].shape)} in the config's network{_remedy(model, trained)}"
            )
    if unknown := [name for name in theirs if name not in expected]:
        raise InputError(
            f"the config's network has no place for {unknown[0]!r}{_remedy(model, trained)}"
        )
    return {**own, **theirs}


def other_signals(model: ModuloNet, trained: ModuloNet, preparation: Preparation) -> str:
    """How what the trained network saw differs from what `model` sees; "" if it does not.

    Channels, padding and the order of groups do not count.
    """
    texts = [
        f"{key} is {theirs} in the weights, {ours} here"
        for key, (theirs, ours) in _differing(model, trained).items()
        if key.startswith(NORMALIZERS)
    ]
    own = trained.preparation
    if own is None:
        return "; ".join(texts)
    for name, wanted in zip(model.groups, trained.groups, strict=True):
        if _treatment(own.groups[wanted]) != _treatment(preparation.groups[name]):
            texts.append(
                f"group {name} was prepared by {_steps(own.groups[wanted])} for the weights, is by "
                f"{_steps(preparation.groups[name])} here"
            )
    sides = (own.to_dict()["features"], preparation.to_dict()["features"])
    for name in model.features:
        theirs, ours = ({**side[name], "channels": None} for side in sides)
        if theirs != ours:
            texts.append(
                f"feature {name} was {own.features[name]} for the weights, is "
                f"{preparation.features[name]} here"
            )
    return "; ".join(texts)


def other_channels(model: ModuloNet, trained: ModuloNet, preparation: Preparation) -> Iterator[str]:
    """For each group that is tied to its channels, which take the places of others."""
    if trained.preparation is None:
        yield "the file does not say how its nights were prepared: see that these are alike"
        return
    if model.any_channels:
        return
    for ours, theirs in zip(model.groups, trained.groups, strict=True):
        new, old = preparation.channels(ours), trained.preparation.channels(theirs)
        if new != old:
            yield f"group {ours}: {', '.join(new)} take the places of {', '.join(old)}"


def other_parts(model: ModuloNet, trained: ModuloNet) -> str:
    """In what else the networks differ, though the weights fit; "" if in nothing."""
    texts = [
        f"{key}={ours} (the weights were trained with {theirs})"
        for key, (theirs, ours) in _differing(model, trained).items()
        if not key.startswith(NORMALIZERS)
    ]
    return ", ".join(texts)


def _require_described(trained: ModuloNet) -> None:
    own = trained.preparation
    if own is not None and (
        missing := (trained.groups.keys() - own.groups) | (trained.features.keys() - own.features)
    ):
        raise InputError(f"the file does not say how its {min(missing)} was prepared")


def _require_groups(model: ModuloNet, trained: ModuloNet) -> None:
    names, theirs = list(model.groups), list(trained.groups)
    if names != theirs and not len(names) == len(theirs) == 1:
        raise InputError(
            f"the weights want the signal groups {', '.join(theirs) or 'none'}, in this order; "
            f"the config has {', '.join(names) or 'none'}: change data.montage"
        )
    for (name, ours), wanted in zip(model.groups.items(), trained.groups.values(), strict=True):
        if ours.sampling_rate != wanted.sampling_rate:
            raise InputError(
                f"group {name}: the weights want {wanted.sampling_rate:g} Hz, the config prepares "
                f"{ours.sampling_rate:g} Hz; type preparation.sampling_rate="
                f"{wanted.sampling_rate:g}, or another preparation"
            )
        if ours.samples != wanted.samples:
            raise InputError(
                f"group {name}: the weights want {wanted.samples} samples at once, the config has "
                f"{ours.samples}; change context, or context.length"
            )
        if ours.channels != wanted.channels and not (model.any_channels and trained.any_channels):
            raise InputError(
                f"group {name}: the weights want {wanted.channels} channels{_listed(trained)}, the "
                f"config has {ours.channels}; give as many, in that order, by data.channels=[...]"
            )


def _require_features(model: ModuloNet, trained: ModuloNet) -> None:
    ours, theirs = (
        ", ".join(f"{name} of width {width}" for name, width in network.features.items())
        for network in (model, trained)
    )
    if ours != theirs:
        raise InputError(
            f"the weights want the features {theirs or 'none'}, in this order; the config has "
            f"{ours or 'none'}: change features"
        )


def _listed(trained: ModuloNet) -> str:
    """The channels of a network of one group, in a message."""
    if trained.preparation is None or len(trained.groups) > 1:
        return ""
    return f" ({', '.join(trained.preparation.channels(next(iter(trained.groups))))})"


def _statistics(model: nn.Module) -> set[str]:
    return {
        f"{name}.{buffer}"
        for name, module in model.named_modules()
        if isinstance(module, Standardization)
        for buffer, _ in module.named_buffers()
    }


def _moved(name: str, old: str, new: str) -> str:
    prefix = f"encoders.{old}."
    return f"encoders.{new}.{name.removeprefix(prefix)}" if name.startswith(prefix) else name


def _remedy(model: ModuloNet, trained: ModuloNet) -> str:
    """What to type so that the config's network is like that of the weights."""
    texts = [
        f"{key}={_option(key, theirs)} (now {_option(key, ours)})"
        for key, (theirs, ours) in _differing(model, trained).items()
        if not key.endswith(SHAPELESS)
    ]
    return f"; set {', '.join(texts)}" if texts else ""


def _differing(model: ModuloNet, trained: ModuloNet) -> dict[str, tuple[Any, Any]]:
    """The config's keys whose values the two networks have and differ in: (trained's, model's)."""
    theirs, ours = dict(_described(trained)), dict(_described(model))
    found: dict[str, tuple[Any, Any]] = {}
    for key, value in ours.items():
        # the arguments of another class are not comparable
        within = any(key.startswith((f"{other}.", f"{other}[")) for other in found)
        if key in theirs and theirs[key] != value and not within:
            found[key] = theirs[key], value
    return found


def _described(model: ModuloNet) -> Iterator[tuple[str, Any]]:
    """The config's keys and the values of what the network is made of."""
    architecture = model.architecture or {}
    for part in (*GROUP_PARTS, *OTHER_PARTS):
        node = architecture.get(part)
        if part in GROUP_PARTS and isinstance(node, dict) and "_target_" not in node:
            # a part of each group; that of the only one is the part of all
            for group, own in node.items():
                yield from _flat(part if len(node) == 1 else f"{part}.{group}", own)
        else:
            yield from _flat(part, node)
    yield "output", architecture.get("output")


def _flat(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, list) and all(isinstance(step, Mapping) for step in node):
        yield key, "[" + ", ".join(step["_target_"].rpartition(".")[2] for step in node) + "]"
        for number, step in enumerate(node):
            yield from _flat(f"{key}[{number}]", step)
    elif isinstance(node, Mapping):
        for name, value in node.items():
            if name == "_target_":
                yield key, value.rpartition(".")[2]
            elif name != "_partial_":
                yield from _flat(f"{key}.{name}", value)
    else:
        yield key, node


def _option(group: str, kind: Any) -> Any:
    """The one option of a group that builds this class, or what was given if it is not one."""
    folder = files("sleep_lab.conf") / group
    if not folder.is_dir():
        return kind
    options = [
        file.name.removesuffix(".yaml")
        for file in folder.iterdir()
        if any(line.endswith(f".{kind}") for line in file.read_text().splitlines())
    ]
    return options[0] if len(options) == 1 else kind or "none"


def _treatment(group: str | Derivation) -> Any:
    """What is done to the signals of a group, whatever they are called and however many."""
    if isinstance(group, str):
        return None
    steps = [step for step in group.processings if not isinstance(step, Padding)]
    nested = [_treatment(channel) for channel in group.channels]
    return steps, [inner for n, inner in enumerate(nested) if inner not in nested[:n]]


def _steps(group: Derivation) -> str:
    return ", ".join(str(step) for step in group.processings if not isinstance(step, Padding))
