"""`evaluate.py` and `sleep-lab-evaluate`: stage nights with trained models, and score them."""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.data import NightPart, restore
from sleep_lab.data.parts import PARTS
from sleep_lab.errors import InputError
from sleep_lab.evaluation import NightResult, result_table, write_results
from sleep_lab.experiment import device_of, one_of, plain, prepared_nights, stage_parts
from sleep_lab.inference import require_montage
from sleep_lab.instantiation import NIGHT_TARGETS, instantiate
from sleep_lab.models import ModuloNet
from sleep_lab.models.weights import TrainedModel, load_model
from sleep_lab.preparation import Preparation, PreparedNight, prepare_all, prepare_nights
from sleep_lab.preparation.montage import with_channels
from sleep_lab.recordings import NightSource, recording_file

logger = logging.getLogger(__name__)

BEST = ("checkpoints/best.ckpt", "best_model.gz")
"""The weights in a folder: of a run, or of a published model."""


def evaluate(config: DictConfig) -> float | None:
    """Stage and score nights: the model's own test nights, other data, or single recordings.

    Returns:
        The mean accuracy over the nights, or None if nobody scored them.

    Raises:
        InputError: also if some of the recordings could not be staged; the others are.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    device = device_of(config.device)
    staged: list[dict[str, NightResult]] = []
    errors: dict[str, InputError] = {}
    for trained in loaded(config):
        parts, bad = parts_of(config, trained)
        for part in parts:
            require_montage(trained.model, part.night)
        tell_channels(parts)
        combine = config.combine or (trained.config or {}).get("combine", "geometric")
        trained.model.to(device)
        staged.append({r.id: r for r in stage_parts(trained.model, parts, combine)})
        errors |= {str(error): error for error in bad}
    results = averaged(staged)
    metrics = write_results(folder, results)
    console = Console()
    if metrics:
        console.print(result_table(metrics))
    console.print(f"hypnograms: {folder / 'hypnograms'}\nplots: {folder / 'plots'}", soft_wrap=True)
    if errors:
        first, *others = errors
        for error in others:
            logger.error("%s", error)
        raise InputError(
            f"{len(errors)} of {len(errors) + len(results)} recordings were not staged: {first}"
        )
    return metrics["mean"]["accuracy"] if metrics else None


def loaded(config: DictConfig) -> list[TrainedModel]:
    """The models that `model=` lists."""
    paths = [config.model] if isinstance(config.model, str) else list(config.model)
    if not paths:
        raise InputError("model is empty: give model=FILE or model=[a,b]")
    return [load_model(weights_at(Path(path))) for path in paths]


def weights_at(path: Path) -> Path:
    """The file that `model=` means: itself, or the best weights in a folder."""
    if not path.is_dir():
        return path
    for name in BEST:
        if (path / name).is_file():
            return path / name
    raise InputError(
        f"{path}: a folder without {' or '.join(BEST)}; give a run's folder, or a file"
    )


def averaged(staged: Sequence[Mapping[str, NightResult]]) -> list[NightResult]:
    """The nights with the mean of the models' hypnodensities.

    Raises:
        InputError: the models do not have the same sleep epochs of the same nights.
    """
    first, *others = staged
    for other in others:
        alike = first.keys() == other.keys() and all(
            (first[name].first_epoch, first[name].epochs)
            == (other[name].first_epoch, other[name].epochs)
            for name in first
        )
        if not alike:
            raise InputError(
                f"the models stage different nights ({', '.join(first)}; {', '.join(other)}), "
                "which cannot be averaged; give data=... or recordings=[...]"
            )
    return [
        replace(
            result,
            hypnodensity=np.mean([nights[name].hypnodensity for nights in staged], axis=0),
        )
        for name, result in first.items()
    ]


def parts_of(config: DictConfig, trained: TrainedModel) -> tuple[list[NightPart], list[InputError]]:
    """The parts of nights to stage, and what was wrong with recordings that cannot be."""
    if config.get("data") is not None and config.recordings is not None:
        raise InputError("give data=... or recordings=[...], not both")
    if config.recordings is not None:
        files = [config.recordings] if isinstance(config.recordings, str) else config.recordings
        sources = [recording_file(Path(path)) for path in files]
        if not sources:
            raise InputError("recordings is empty: give recordings=[night.edf]")
        nights, errors = prepare_nights(
            sources,
            preparation_by(trained.model, plain(config.montage)),
            Path(config.paths.prepared),
            config.paths.workers,
        )
        if not nights:
            raise errors[0]
        return whole(nights), errors
    if config.get("data") is not None:
        # data without channels of its own takes the model's
        montage = {group: names for group, names in plain(config.data.montage).items() if names}
        return whole(
            prepare_all(
                instantiate(config.data.nights),
                preparation_by(trained.model, montage),
                Path(config.paths.prepared),
                config.paths.workers,
                config.skip_bad_nights,
            )
        ), []
    return own_parts(config, trained), []


def own_parts(config: DictConfig, trained: TrainedModel) -> list[NightPart]:
    """Part of the model's own split: the nights where the training found them, prepared as then."""
    one_of(config, "part", PARTS)
    if trained.config is None or trained.split is None:
        raise InputError(
            "the model's file has no nights of its own: say what to stage with "
            "recordings=[night.edf] or data=..."
        )
    own = DictConfig(dict(trained.config) | {"paths": plain(config.paths)})
    if config.folder is not None:
        if "folder" not in own.data.nights:
            raise InputError("folder=...: the model's nights were not in a folder")
        own.data.nights.folder = config.folder
    nights = prepared_nights(own, trained.model.known_preparation, allowed=NIGHT_TARGETS)
    return restore(trained.split[config.part], nights)


def preparation_by(
    model: ModuloNet, montage: Mapping[str, Sequence[Any]]
) -> Preparation | Callable[[NightSource], Preparation]:
    """The model's preparation: with the channels given, its own, or any of each night that do."""
    if montage:
        return with_channels(model.known_preparation, montage, any_number=model.any_channels)
    if not model.any_channels:
        return model.known_preparation
    return lambda source: model.preparation_for(source.open())


def whole(nights: Sequence[PreparedNight]) -> list[NightPart]:
    """The nights as parts, one each."""
    return [NightPart.whole(night) for night in nights]


def tell_channels(parts: Sequence[NightPart]) -> None:
    """Say which channels are used, once for all nights with the same."""
    nights_of: defaultdict[str, list[str]] = defaultdict(list)
    for part in parts:
        for name, group in part.night.groups.items():
            nights_of[f"group {name}: {', '.join(group.channels)}"].append(part.night.id)
    for channels, nights in nights_of.items():
        few = ", ".join(nights) if len(nights) <= 3 else f"{len(nights)} nights"
        logger.info("%s (%s)", channels, few)


main = hydra_command("evaluate")(evaluate)
