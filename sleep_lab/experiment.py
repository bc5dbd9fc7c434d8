"""From a config to objects: all that training, evaluation and preparation share."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import Tensor

from sleep_lab.data import Context, NightPart
from sleep_lab.data.several import in_dataset, name_in, require_alike
from sleep_lab.datasets import datasets_of
from sleep_lab.errors import InputError, nearest
from sleep_lab.evaluation import NightResult
from sleep_lab.evaluation.calibration import apply_temperature
from sleep_lab.inference import Combination, stage
from sleep_lab.instantiation import TARGETS, instantiate
from sleep_lab.models import ModuloNet, fit_standardization
from sleep_lab.preparation import Columns, PerNight, Preparation, PreparedNight, prepare_all
from sleep_lab.recordings import NightSource

logger = logging.getLogger(__name__)

EPOCHS_PER_FIT = 64
"""Sleep epochs that the normalizers are fitted on at a time."""


def plain(node: Any) -> Any:
    """A config node as plain dicts and lists, interpolations resolved; {} for None."""
    if node is None:
        return {}
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def preparations_of(config: DictConfig) -> dict[str, Preparation]:
    """For each dataset's name the preparation that its data, preparation and features describe.

    "All columns" of feature tables become those of the first table, by name: a model must find them
    again in any other.
    """
    return {name: _preparation_of(own) for name, own in datasets_of(config).items()}


def preparation_of(config: DictConfig) -> Preparation:
    """The preparation of the only dataset, or of the first."""
    return next(iter(preparations_of(config).values()))


def _preparation_of(config: DictConfig) -> Preparation:
    preparation = Preparation.from_dict(
        montage=plain(config.data.montage),
        processings=plain(config.preparation.processings),
        features=plain(config.get("features")),
        padding_s=config.preparation.padding_s,
        allowed=TARGETS,
    )
    if not any(isinstance(f, Columns | PerNight) for f in preparation.features.values()):
        return preparation
    nights = instantiate(config.data.nights)
    return preparation.resolved(nights[0].open()) if nights else preparation


def prepared_nights(
    config: DictConfig,
    preparations: Mapping[str, Preparation | Callable[[NightSource], Preparation]],
    allowed: Sequence[str] = TARGETS,
) -> list[PreparedNight]:
    """All nights of the config's data, prepared.

    Nights and people of several datasets are called DATASET-NAME.

    Args:
        config: of a training, an evaluation or a preparation.
        preparations: what to do with the nights of each dataset, or what tells it of each night.
        allowed: the functions that may list them.

    Raises:
        InputError: there is none, some night cannot be used, or datasets differ in more than
            their channels.
    """
    nights: list[PreparedNight] = []
    for name, own in datasets_of(config).items():
        prepared = prepare_all(
            instantiate(own.data.nights, allowed=allowed),
            preparations[name],
            Path(config.paths.prepared),
            config.paths.workers,
            config.skip_bad_nights,
        )
        nights += in_dataset(prepared, name)
    require_alike(nights)
    return nights


def architecture_of(config: DictConfig, context: Context, night: PreparedNight) -> dict[str, Any]:
    """The network that the config describes for nights like this, as `models.build` takes it."""
    parts = ("encoder", "reducer", "features_encoder", "sequence_encoder")
    return {
        "groups": {
            name: {
                "channels": len(group.channels),
                "samples": group.samples * context.joined,
                "sampling_rate": group.sampling_rate,
            }
            for name, group in night.groups.items()
        },
        "features": dict(night.features),
        "context": context.sequence,
        "normalizer": plain(config.normalizer.operations),
        "features_normalizer": plain(config.features_normalizer.operations),
        **{part: plain(config.get(part)) or None for part in parts},
        "output": config.output,
        "group_dropout": config.group_dropout,
    }


def training_signals(parts: Sequence[NightPart], context: Context) -> Iterator[dict[str, Tensor]]:
    """The sleep epochs of the parts, each once, without padding: what normalizers are fitted on.

    Yields:
        For each group, (epochs, channels, samples); with a concatenated context, of windows that
        follow one another, so that up to a context of epochs at a part's end is left out.
    """
    step = max(1, EPOCHS_PER_FIT // context.joined) * context.joined
    for part in parts:
        night = part.night
        last = part.last - (part.last - part.first) % context.joined
        for first in range(part.first, last, step):
            rows = slice(first + night.padding, min(first + step, last) + night.padding)
            yield {
                name: torch.from_numpy(night.signals(name)[rows])
                .unflatten(0, (-1, context.joined))
                .flatten(1, 2)
                .transpose(1, 2)
                for name in night.groups
            }


def training_features(model: ModuloNet, parts: Sequence[NightPart]) -> Iterator[dict[str, Tensor]]:
    """The features of the parts' sleep epochs, without padding, joined in the model's order.

    Yields:
        {"features": (epochs, width, 1)}: what the features' normalizers are fitted on.
    """
    for part in parts:
        rows = slice(part.first + part.night.padding, part.last + part.night.padding)
        joined = [torch.from_numpy(part.night.feature(name)[rows]) for name in model.features]
        yield {"features": torch.cat(joined, dim=1).unsqueeze(-1)}


def fit_normalizers(model: ModuloNet, parts: Sequence[NightPart], context: Context) -> None:
    """Fit the statistics of the model's normalizers on the parts.

    Raises:
        InputError: a channel or feature cannot be standardized.
    """
    night = parts[0].night
    channels = {name: group.channels for name, group in night.groups.items()}
    fit_standardization(model.normalizers, training_signals(parts, context), channels)
    columns = [
        f"{name}, column {n}" for name, width in model.features.items() for n in range(width)
    ]
    fit_standardization(
        {"features": model.features_normalizer},
        training_features(model, parts),
        {"features": columns},
    )


def stage_parts(
    model: ModuloNet, parts: Sequence[NightPart], combine: Combination
) -> Iterator[NightResult]:
    """Every part staged, with all that tables and pictures want to know of it."""
    calibrates = model.temperature != 1
    for part in parts:
        night = part.night
        rows = slice(part.first + night.padding, part.last + night.padding)
        drawn = next(iter(night.groups.items()), None)
        staged = stage(model, part, combine, calibrated=False)
        yield NightResult(
            id=night.id,
            hypnodensity=apply_temperature(staged, model.temperature) if calibrates else staged,
            uncalibrated=staged if calibrates else None,
            expert=night.hypnogram[part.first : part.last] if night.scored else None,
            scorings=part.scorings,
            start_time=night.recording_start,
            signal=None if drawn is None else np.ravel(night.signals(drawn[0])[rows, :, 0]),
            signal_name="" if drawn is None else drawn[1].channels[0],
            sampling_rate=0.0 if drawn is None else drawn[1].sampling_rate,
            first_epoch=night.first_epoch + part.first,
        )


def lights_of_data(data: Mapping[str, Any]) -> dict[str, tuple[int | None, int | None]]:
    """Lights off and on of each night, as a data config tells them for its dataset, or for each.

    Raises:
        InputError: they are no mapping from nights to pairs of sleep epochs.
    """
    if "datasets" not in data:
        return lights_of(data.get("lights"), "data.lights")
    return {
        name_in(dataset, night): ends
        for dataset, own in data["datasets"].items()
        for night, ends in lights_of(own.get("lights"), f"data.datasets.{dataset}.lights").items()
    }


def lights_of(node: Any, where: str) -> dict[str, tuple[int | None, int | None]]:
    """Lights off and on of each night, as a config tells them.

    Raises:
        InputError: it is no mapping from nights to pairs of sleep epochs.
    """
    lights = plain(node)
    if not isinstance(lights, dict):
        raise InputError(f"{where} is {{NIGHT: [first kept, first not kept]}}, not {lights!r}")
    for name, ends in lights.items():
        whole = isinstance(ends, list) and all(
            end is None or (isinstance(end, int) and not isinstance(end, bool) and end >= 0)
            for end in ends
        )
        if not whole or len(ends) != 2:
            raise InputError(
                f"{where}.{name} is [first kept, first not kept], sleep epochs from 0 on or null, "
                f"not {ends!r}"
            )
    return {str(name): (ends[0], ends[1]) for name, ends in lights.items()}


def device_of(name: str) -> torch.device:
    """The device called so; "auto" is the GPU if there is one.

    Raises:
        InputError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name} cannot be used here; take device=cpu") from error


def whole_number(config: DictConfig, key: str, least: int) -> int:
    """The config's value at `key`, a whole number of at least `least`.

    Raises:
        InputError: it is something else.
    """
    value = OmegaConf.select(config, key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{key} is a whole number from {least} on, not {value!r}")
    return value


def one_of(config: DictConfig, key: str, choices: Iterable[str]) -> str:
    """The config's value at `key`, one of `choices`.

    Raises:
        InputError: it is another; the message names the nearest.
    """
    value = OmegaConf.select(config, key)
    choices = tuple(choices)
    if value not in choices:
        raise InputError(f"{key}={value}: {nearest(str(value), choices)}")
    return value


def require_complete(config: DictConfig, optional: Sequence[str] = ()) -> None:
    """Raise InputError if the config still lacks what only the user knows.

    Args:
        config: the composed config.
        optional: beginnings of keys that may be missing.
    """
    missing = sorted(key for key in missing_keys(config) if not key.startswith(tuple(optional)))
    if missing:
        ask = " ".join(f"{key}=..." for key in missing)
        raise InputError(f"{', '.join(missing)} must be given: add {ask}")


def missing_keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Full keys of all ??? in a config; what refers to them is not counted."""
    keys = range(len(node)) if isinstance(node, ListConfig) else list(node)
    for key in keys:
        if OmegaConf.is_missing(node, key):
            yield f"{prefix}{key}"
        elif not OmegaConf.is_interpolation(node, key) and OmegaConf.is_config(node[key]):
            yield from missing_keys(node[key], f"{prefix}{key}.")
