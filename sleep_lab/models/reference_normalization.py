"""Normalizers from the reference's normalization_parameters.json, and back.

It holds the fitted statistics as lists, with axes for batch and context before them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sleep_lab.errors import InputError
from sleep_lab.models import reference_parts as parts
from sleep_lab.models.modulonet import ModuloNet
from sleep_lab.models.normalizers import Standardization
from sleep_lab.models.reference_names import DREEM, Dialect
from sleep_lab.models.reference_parts import mapping
from sleep_lab.stages import SLEEP_EPOCH_S

Statistics = dict[str, Tensor]
"""The state of standardizations under a ModuloNet's names."""

STANDARDIZATIONS = ("standardization", "standardize")
NEUTRAL = torch.zeros(1), torch.ones(1)
"""The mean and standard deviation that change nothing."""


def group_steps(
    normalization: Mapping[str, Any], groups: Mapping[str, Any], dialect: Dialect
) -> tuple[dict[str, list[Any]], Statistics]:
    """The normalizers of each group, and their statistics.

    Raises:
        InputError: an unknown group, step or argument, or statistics that are no numbers.
    """
    given = _of_each(normalization, "signals", groups)
    steps: dict[str, list[Any]] = {name: [] for name in groups}
    statistics: Statistics = {}
    for name, operations in given.items():
        rate = groups[name]["sampling_rate"]
        for position, operation in enumerate(operations):
            where = f"normalization of {name}"
            kind, args = parts.kind_called(parts.NORMALIZERS[dialect], operation, where)
            args = dict(args)
            if kind.theirs in STANDARDIZATIONS:
                place = f"encoders.{name}.normalizer.{position}"
                statistics |= _state(place, *(_statistic(args, n, where) for n in ("mu", "sigma")))
            if kind.theirs == "spectrogram":
                _require_rate(args, rate, where)
            steps[name].append(kind.to_ours(args, rate, where))
    return steps, statistics


def features_steps(
    normalization: Mapping[str, Any], features: Mapping[str, int]
) -> tuple[list[Any], Statistics]:
    """The normalizers of all features, side by side, and their statistics.

    The reference normalizes each feature alone. Its steps become ours if every feature has the
    same, or if some are standardized and the others left as they are: 0 and 1 are the statistics
    that change nothing.

    Raises:
        InputError: as `group_steps`, or steps that cannot be joined.
    """
    given = _of_each(normalization, "features", features)
    columns = {
        name: [_feature_step(step, name) for step in given.get(name, [])] for name in features
    }
    plain = {name: [part for part, _ in steps] for name, steps in columns.items()}
    if not any(plain.values()):
        return [], {}
    longest = max(plain.values(), key=len)
    for name, steps in plain.items():
        untouched = len(longest) == 1 and not steps and _changes_nothing(longest[0])
        if steps != longest and not untouched:
            raise InputError(
                f"normalization of feature {name[:100]}: all features need the same steps here"
            )
    statistics: Statistics = {}
    for position, part in enumerate(longest):
        if not part["_target_"].endswith(".Standardization"):
            continue
        pairs = [steps[position][1] if steps else NEUTRAL for steps in columns.values()]
        mean, std = (
            torch.cat(
                [
                    broadcast(pair[side].flatten(), (width,))
                    for pair, width in zip(pairs, features.values(), strict=True)
                ]
            )[:, None]
            for side in (0, 1)
        )
        statistics |= _state(f"features_normalizer.{position}", mean, std)
    return longest, statistics


def group_steps_in_reference(
    model: ModuloNet, steps: Mapping[str, Any], dialect: Dialect
) -> list[dict[str, Any]]:
    """The "signals" of normalization_parameters.json.

    Raises:
        InputError: a step that the reference does not have, or that has no statistics.
    """
    return [
        {
            "name": name,
            "normalization": [
                _step_in_reference(part, module, group.sampling_rate, dialect)
                for part, module in zip(steps[name] or (), model.normalizers[name], strict=True)
            ],
        }
        for name, group in model.groups.items()
    ]


def features_steps_in_reference(
    model: ModuloNet, steps: Sequence[Any] | None, dialect: Dialect
) -> list[dict[str, Any]]:
    """The "features" of normalization_parameters.json; raises as `group_steps_in_reference`."""
    if not model.features or not steps:
        return []
    joined = [
        _step_in_reference(part, module, 1 / SLEEP_EPOCH_S, dialect)
        for part, module in zip(steps, model.features_normalizer, strict=True)
    ]
    entries = []
    first = 0
    for name, width in model.features.items():
        own = [{"type": step["type"], "args": dict(step["args"])} for step in joined]
        for step in own:
            for statistic in {"mu", "sigma"} & step["args"].keys():
                column = [row[0] for row in step["args"][statistic][0][0]]
                step["args"][statistic] = [[column[first : first + width]]]
        entries.append({"name": name, "normalization": own})
        first += width
    return entries


def _of_each(
    normalization: Mapping[str, Any], what: str, names: Mapping[str, Any]
) -> dict[str, list[Any]]:
    where = f"normalization_parameters.json: {what}"
    entries = normalization.get(what)
    if not isinstance(entries, list):
        raise InputError(f"{where} is no list")
    each: dict[str, list[Any]] = {}
    for entry in entries:
        name, steps = (mapping(entry, where).get(key) for key in ("name", "normalization"))
        if not isinstance(name, str) or not isinstance(steps, list):
            raise InputError(f"{where}: wants a name and a list of steps for each")
        if name not in names or name in each:
            raise InputError(f"{where}: {name[:100]!r} is unknown or there twice")
        each[name] = steps
    return each


def _feature_step(step: Any, name: str) -> tuple[dict[str, Any], tuple[Tensor, Tensor]]:
    """The part, and the mean and standard deviation of a standardization."""
    where = f"normalization of feature {name[:100]}"
    kinds = tuple(kind for kind in parts.NORMALIZERS[DREEM] if kind.theirs != "spectrogram")
    kind, args = parts.kind_called(kinds, step, where)
    args = dict(args)
    statistics = NEUTRAL
    if kind.theirs in STANDARDIZATIONS:
        statistics = _statistic(args, "mu", where), _statistic(args, "sigma", where)
    return kind.to_ours(args, 1 / SLEEP_EPOCH_S, where), statistics


def _changes_nothing(part: Mapping[str, Any]) -> bool:
    """Whether it is a standardization that mean 0 and standard deviation 1 leave without effect."""
    return part["_target_"].endswith(".Standardization") and bool(torch.ones(()) + part["eps"] == 1)


def _statistic(args: dict[str, Any], side: str, where: str) -> Tensor:
    """The list of numbers, without the axes for batch and context."""
    try:
        value = torch.tensor(args.pop(side), dtype=torch.float32)
    except KeyError:
        raise InputError(f"{where}: a standardization without {side!r}") from None
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{where}: {side!r} is no array of numbers") from error
    if value.ndim < 3 or value.shape[:2] != (1, 1):
        raise InputError(f"{where}: {side!r} has shape {tuple(value.shape)}, not (1, 1, ...)")
    if not value.isfinite().all() or (side == "sigma" and (value < 0).any()):
        raise InputError(f"{where}: {side!r} holds numbers that it cannot have")
    return value[0, 0]


def _state(place: str, mean: Tensor, std: Tensor) -> Statistics:
    fitted = torch.tensor(True)
    return {f"{place}.mean": mean, f"{place}.std": std, f"{place}.fitted": fitted}


def broadcast(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Statistics for every channel, also from one for all; raises InputError if they do not fit."""
    try:
        return value.expand(shape)
    except RuntimeError:
        raise InputError(f"statistics of shape {tuple(value.shape)}, not {shape}") from None


def _require_rate(args: dict[str, Any], rate: float, where: str) -> None:
    """Its spectrogram is told the sampling rate; ours knows it."""
    if args.pop("fs", None) != rate:
        raise InputError(f"{where}: spectrogram.fs is not the {rate:g} Hz of the signals")
    hop = args.get("window_overlap", 1)
    # what is no number at all is refused with the other arguments
    if type(hop) in (int, float) and abs(hop) <= 30 and not float(hop * rate).is_integer():
        raise InputError(f"{where}: spectrogram.window_overlap is no whole number of samples")


def _step_in_reference(
    part: Mapping[str, Any], module: Any, rate: float, dialect: Dialect
) -> dict[str, Any]:
    step = parts.in_reference(parts.NORMALIZERS[dialect], part, rate, dialect)
    args = step["args"]
    if step["type"] == "spectrogram":
        if not isinstance(args["window_overlap"], int):
            raise InputError(f"{dialect} hops by whole seconds, not {args['window_overlap']} s")
        args["fs"] = int(rate)
    if isinstance(module, Standardization):
        if not module.fitted:
            raise InputError("its standardization has no statistics; train the network first")
        for name, value in (("mu", module.mean), ("sigma", module.std)):
            args[name] = value.cpu()[None, None].tolist()
    return step
