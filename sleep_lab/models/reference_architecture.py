"""An architecture from the JSON of dreem-learning-open and RobustSleepNet, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sleep_lab.errors import InputError
from sleep_lab.models import reference_parts as parts
from sleep_lab.models.group_encoder import GroupEncoder
from sleep_lab.models.limits import require_name
from sleep_lab.models.modulonet import ModuloNet
from sleep_lab.models.normalizers import Normalizer
from sleep_lab.models.reference_archive import ReferenceArchive
from sleep_lab.models.reference_names import DREEM, ROBUST, Dialect, weights_to_reference
from sleep_lab.models.reference_normalization import (
    Statistics,
    features_steps,
    features_steps_in_reference,
    group_steps,
    group_steps_in_reference,
)
from sleep_lab.models.reference_parts import mapping
from sleep_lab.preparation import Padding
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES

USUAL_CONTEXT = 21
"""Sleep epochs in a window of all their networks that are trained on sequences."""

OUTPUTS = {"many": "all", "one": "centre"}
DEFAULTS = {"n_class": len(STAGES), "output_mode": "one", "input_temporal_context": 1}
CONSTANTS = {
    "n_class": len(STAGES),
    "type": "modulo_net",
    "confidence_estimation": False,
    "modalities_merger": {"type": "Concatenation", "args": {}},
}
"""Entries of net_params.json that have one value here."""

ENTRIES = (
    *("encoders", "reducer", "reducers", "features_encoder", "sequence_encoder"),
    *("output_mode", "eval_output_mode", "input_temporal_context", "temporal_context"),
    *CONSTANTS,
)


@dataclass(frozen=True)
class ReferenceNetwork:
    """What an archive says about its network.

    Attributes:
        architecture: as `build` takes it.
        statistics: of its standardizations, under a ModuloNet's names.
    """

    architecture: dict[str, Any]
    statistics: Statistics


def network_from_reference(
    archive: ReferenceArchive, context: int | None = None
) -> ReferenceNetwork:
    """The network that an archive describes.

    Args:
        archive: its members.
        context: sleep epochs in a window, which only archives of ours hold.

    Raises:
        InputError: an entry, type or argument that is missing, unknown or not possible here.
    """
    net = DEFAULTS | archive.net
    dialect = dialect_of_net(net)
    _require_entries(net)
    joined = _joined(net)
    groups = {n: _group(n, facts, joined) for n, facts in archive.groups.items()}
    features = {n: _width(n, facts) for n, facts in archive.features.items()}
    encoders = mapping(net.get("encoders"), "net_params.json: encoders")
    if encoders.keys() != groups.keys():
        raise InputError(
            f"groups.json has {', '.join(groups) or 'no groups'}, net_params.json encoders of "
            f"{', '.join(map(str, encoders))[:200] or 'none'}"
        )
    if "features_encoder" not in net and dialect == ROBUST:
        features = {}  # as its authors' code does
    steps, statistics = group_steps(archive.normalization, groups, dialect)
    features_normalizer, of_features = features_steps(archive.normalization, features)
    kind, args = parts.kind_called(
        parts.SEQUENCE_ENCODERS[dialect], net.get("sequence_encoder"), "sequence_encoder"
    )
    if joined > 1 or kind.theirs == "TemporalFlattener":
        context = 1  # the window is one long epoch
    reducers, group_dropout = _reducers(net, groups, dialect)
    own = net.get("temporal_context", context or USUAL_CONTEXT)
    if not isinstance(own, int) or isinstance(own, bool) or own < 1 or own % 2 == 0:
        raise InputError(f"net_params.json: temporal_context is an odd number, not {own!r}")
    architecture = {
        "groups": groups,
        "features": features,
        "context": own,
        "normalizer": steps,
        "encoder": {
            name: _part(parts.ENCODERS[dialect], encoders[name], f"encoder of {name}", facts)
            for name, facts in groups.items()
        }
        or None,
        "reducer": reducers or None,
        "features_normalizer": features_normalizer,
        "features_encoder": _features_encoder(net) if features else None,
        "sequence_encoder": kind.to_ours(args, 1.0, "sequence_encoder"),
        "output": _output(net),
        "group_dropout": group_dropout,
    }
    return ReferenceNetwork(architecture, statistics | of_features)


def dialect_of_net(net: Mapping[str, Any]) -> Dialect:
    """Whose net_params.json it is."""
    return ROBUST if "reducers" in net or "modalities_merger" in net else DREEM


def network_to_reference(model: ModuloNet) -> ReferenceArchive:
    """What the reference would save of a network.

    Raises:
        InputError: the network was not made by `build`, or has a part, a value or a state that
            the reference does not have.
    """
    whole = _architecture(model)
    dialect = dialect_of(whole)
    groups = {name: _epochs(name, model) for name in model.groups}
    joined = {facts.pop("joined") for facts in groups.values()} or {1}
    if len(joined) > 1 or (joined != {1} and model.context > 1):
        raise InputError("its groups see different spans of time, which an archive cannot hold")
    mode = "many" if whole["output"] == "all" else "one"
    net: dict[str, Any] = {
        "n_class": len(STAGES),
        "output_mode": mode,
        "input_temporal_context": joined.pop(),
        "eval_output_mode": mode,
        "type": "modulo_net",
        "encoders": {
            name: parts.in_reference(
                parts.ENCODERS[dialect], whole["encoder"][name], group.sampling_rate, dialect
            )
            for name, group in model.groups.items()
        },
    }
    if model.context not in (1, USUAL_CONTEXT):
        # an entry that the reference's loader keeps and does not look at
        net["temporal_context"] = model.context
    net |= _reducers_in_reference(whole, dialect)
    if model.features:
        net["features_encoder"] = _features_encoder_in_reference(whole)
    net["sequence_encoder"] = parts.in_reference(
        parts.SEQUENCE_ENCODERS[dialect], whole["sequence_encoder"], 1.0, dialect
    )
    if net["sequence_encoder"]["type"] == "TemporalFlattener" and model.context > 1:
        raise InputError(
            f"{dialect} flattens windows of one epoch only; save the network as .safetensors"
        )
    return ReferenceArchive(
        net=net,
        state=state_in_reference(model, dialect),
        normalization={
            "signals": group_steps_in_reference(model, whole["normalizer"], dialect),
            "features": features_steps_in_reference(model, whole["features_normalizer"], dialect),
        },
        groups=groups,
        features={name: {"shape": [width]} for name, width in model.features.items()},
    )


def state_in_reference(model: ModuloNet, dialect: Dialect) -> dict[str, Any]:
    """The weights of a network under the reference's names, in its order."""
    encoders = {name: type(model.encoders[name].encoder).__name__ for name in model.groups}
    return weights_to_reference(model.state_dict(), encoders, dialect)


def _require_entries(net: Mapping[str, Any]) -> None:
    for name, value in net.items():
        if name not in ENTRIES:
            raise InputError(f"net_params.json: unknown entry {name[:100]!r}")
        if name in CONSTANTS and value != CONSTANTS[name]:
            raise InputError(f"net_params.json: {name} is {str(value)[:50]}, not {CONSTANTS[name]}")


def _joined(net: Mapping[str, Any]) -> int:
    """How many sleep epochs are one long signal."""
    joined = _checked(parts.size, net["input_temporal_context"], "input_temporal_context")
    if joined % 2 == 0:
        raise InputError(f"input_temporal_context: {joined} epochs have no centre")
    return joined


def _output(net: Mapping[str, Any]) -> str:
    """Which epochs are staged in evaluation, where training may differ."""
    modes: list[Any] = [net["output_mode"], net.get("eval_output_mode", net["output_mode"])]
    for mode in modes:
        if mode not in tuple(OUTPUTS):
            raise InputError(f"net_params.json: output mode {str(mode)[:50]!r} is not many or one")
    return OUTPUTS[modes[-1]]


def _group(name: str, facts: Any, joined: int) -> dict[str, Any]:
    where = f"groups.json: {name[:100]}"
    _require_module_name(name, where)
    shape = mapping(facts, where).get("shape")
    rate = _checked(parts.number, facts.get("fs"), f"{where}.fs")
    if not isinstance(shape, list) or len(shape) != 2:
        raise InputError(f"{where}.shape is [samples, channels], not {str(shape)[:50]}")
    samples, channels = (_checked(parts.size, n, f"{where}.shape") for n in shape)
    if samples != rate * SLEEP_EPOCH_S:
        raise InputError(f"{where}: {samples} samples at {rate:g} Hz are not {SLEEP_EPOCH_S} s")
    return {"channels": channels, "samples": samples * joined, "sampling_rate": float(rate)}


def _width(name: str, facts: Any) -> int:
    where = f"features.json: {name[:100]}"
    require_name(name, where)
    shape = mapping(facts, where).get("shape")
    if not isinstance(shape, list) or len(shape) != 1:
        raise InputError(f"{where}.shape is [width], not {str(shape)[:50]}")
    return _checked(parts.size, shape[0], f"{where}.shape")


def _part(
    kinds: tuple[parts.Kind, ...], part: Any, where: str, group: Mapping[str, Any]
) -> dict[str, Any]:
    kind, args = parts.kind_called(kinds, part, where)
    return kind.to_ours(args, group["sampling_rate"], where)


def _reducers(
    net: Mapping[str, Any], groups: Mapping[str, Any], dialect: Dialect
) -> tuple[dict[str, Any], float]:
    """The reducer of each group, and the probability that a group is dropped."""
    group_dropout = 0.0
    if not groups:
        return {}, group_dropout
    if dialect == ROBUST:
        given = mapping(net.get("reducers"), "net_params.json: reducers")
        if given.keys() != groups.keys():
            raise InputError("net_params.json: reducers are not of the groups of groups.json")
    else:
        reducer = dict(mapping(net.get("reducer"), "net_params.json: reducer"))
        args = dict(mapping(reducer.get("args", {}), "reducer.args"))
        dropped = args.pop("group_dropout", 0.0)
        group_dropout = _checked(parts.fraction, dropped, "reducer.group_dropout")
        given = dict.fromkeys(groups, reducer | {"args": args})
    return {
        name: _part(parts.REDUCERS[dialect], given[name], f"reducer of {name}", facts)
        for name, facts in groups.items()
    }, group_dropout


def _features_encoder(net: Mapping[str, Any]) -> dict[str, Any] | None:
    where = "features_encoder"
    kind, args = parts.kind_called(parts.FEATURES_ENCODERS, net.get(where), where)
    part = kind.to_ours(args, 1.0, where)
    if part["layers"]:
        return part
    if part["dropout"]:
        raise InputError("features_encoder: dropout without layers is not possible here")
    return None


def _checked(check: Any, value: Any, where: str) -> Any:
    try:
        return check(value)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from error


def _require_module_name(name: str, where: str) -> None:
    """The reference makes a group's name that of a module beside those of its own."""
    require_name(name, where)
    own = ("reducer", "features_encoder", "sequence_encoder", "classifier")
    if not name.isidentifier() or name in own:
        raise InputError(f"{where}: {name!r} is no name for a group in an archive")


def _architecture(model: ModuloNet) -> dict[str, Any]:
    """The network's architecture, with parts for each group."""
    if model.architecture is None:
        raise InputError("the network was not made by build, so its parts are not known")
    whole = dict(model.architecture)
    for name in ("normalizer", "encoder", "reducer"):
        part = whole[name]
        if not isinstance(part, dict) or "_target_" in part:
            whole[name] = dict.fromkeys(model.groups, part)
    return whole


def dialect_of(whole: Mapping[str, Any]) -> Dialect:
    """RobustSleepNet if there is a part that only it has, or more than one kind of reducer."""
    reducers = list(whole["reducer"].values())
    steps = [step for steps in whole["normalizer"].values() for step in steps or ()]
    targets = [part["_target_"] for part in (*whole["encoder"].values(), *reducers, *steps)]
    own = ("RobustSleepEncoder", "ProjectedAttentionReducer", "StandardizeOnline")
    if any(target.endswith(own) for target in targets) or any(r != reducers[0] for r in reducers):
        return ROBUST
    return DREEM


def _epochs(name: str, model: ModuloNet) -> dict[str, Any]:
    """What groups.json says of a group, and how many sleep epochs it joins."""
    group, encoder = model.groups[name], cast(GroupEncoder, model.encoders[name])
    _require_module_name(name, "group")
    samples = round(group.sampling_rate * SLEEP_EPOCH_S)
    if not float(group.sampling_rate).is_integer() or group.samples % samples:
        raise InputError(
            f"group {name}: an archive holds whole epochs at a whole rate, not {group.samples} "
            f"samples at {group.sampling_rate:g} Hz"
        )
    shape: tuple[int, ...] = (group.channels, group.samples)
    for step in encoder.normalizer:
        shape = cast(Normalizer, step).output_shape
    padding = 0.0
    if model.preparation is not None and name in model.preparation.groups:
        processings = model.preparation.groups[name].processings
        padding = sum(p.duration_s for p in processings if isinstance(p, Padding))
    return {
        "fs": int(group.sampling_rate),
        "padding": parts.in_json(padding),
        "shape": [samples, group.channels],
        "window_length": samples,
        "encoder_input_shape": [1, 1, *shape],
        "reducer_input_shape": list(encoder.encoder.output_shape),
        "joined": group.samples // samples,
    }


def _reducers_in_reference(whole: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    reducers = {
        name: parts.in_reference(parts.REDUCERS[dialect], part, 1.0, dialect)
        for name, part in whole["reducer"].items()
    }
    dropped = whole["group_dropout"]
    if dialect == ROBUST:
        if dropped:
            raise InputError("RobustSleepNet has no group_dropout; save it as .safetensors")
        merger = CONSTANTS["modalities_merger"]
        return {"reducers": reducers, "modalities_merger": merger}
    if not reducers:
        return {}
    reducer = next(iter(reducers.values()))
    if dropped:
        reducer["args"]["group_dropout"] = dropped
    return {"reducer": reducer}


def _features_encoder_in_reference(whole: Mapping[str, Any]) -> dict[str, Any]:
    part = whole["features_encoder"]
    if part is None:
        return {"type": "FullyConnected", "args": {}}
    found = parts.in_reference(parts.FEATURES_ENCODERS, part, 1.0, DREEM)
    return found if found["args"]["layers"] else {"type": "FullyConnected", "args": {}}
