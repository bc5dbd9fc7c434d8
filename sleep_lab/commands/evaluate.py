"""`evaluate.py` and `sleep-lab-evaluate`: stage nights with a trained model, and score them."""

import logging
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.data import NightPart, restore
from sleep_lab.data.parts import PARTS
from sleep_lab.errors import InputError
from sleep_lab.evaluation import result_table, write_results
from sleep_lab.experiment import (
    device_of,
    merged_montage,
    one_of,
    plain,
    prepared_nights,
    stage_parts,
)
from sleep_lab.inference import require_montage
from sleep_lab.instantiation import NIGHT_TARGETS, TARGETS
from sleep_lab.models.weights import TrainedModel, load_checkpoint
from sleep_lab.preparation import Preparation, prepare_nights
from sleep_lab.recordings import recording_file

logger = logging.getLogger(__name__)


def evaluate(config: DictConfig) -> float | None:
    """Stage and score nights: the model's own test nights, other data, or single recordings.

    Returns:
        The mean accuracy over the nights, or None if nobody scored them.

    Raises:
        InputError: also if some of the recordings could not be staged; the others are.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    trained = load_checkpoint(checkpoint_of(Path(config.model)))
    parts, errors = parts_of(config, trained)
    for part in parts:
        require_montage(trained.model, part.night)
    model = trained.model.to(device_of(config.device))
    combine = config.combine or trained.config["combine"]
    metrics = write_results(folder, list(stage_parts(model, parts, combine)))
    console = Console()
    if metrics:
        console.print(result_table(metrics))
    console.print(f"hypnograms: {folder / 'hypnograms'}\nplots: {folder / 'plots'}", soft_wrap=True)
    if errors:
        for error in errors[1:]:
            logger.error("%s", error)
        raise InputError(
            f"{len(errors)} of {len(errors) + len(parts)} recordings were not staged: {errors[0]}"
        )
    return metrics["mean"]["accuracy"] if metrics else None


def checkpoint_of(path: Path) -> Path:
    """The checkpoint that `model=` means: itself, or the best one of a run's folder."""
    if not path.is_dir():
        return path
    best = path / "checkpoints" / "best.ckpt"
    if not best.is_file():
        raise InputError(f"{path}: a folder without checkpoints/best.ckpt; give a run's folder")
    return best


def parts_of(config: DictConfig, trained: TrainedModel) -> tuple[list[NightPart], list[InputError]]:
    """The parts of nights to stage, and what was wrong with recordings that cannot be."""
    if config.get("data") is not None and config.recordings is not None:
        raise InputError("give data=... or recordings=[...], not both")
    if config.recordings is not None:
        return recordings_of(config, trained)
    if config.get("data") is not None:
        given = config.data.montage
        named = {
            group: plain(given[group]) for group in given if not OmegaConf.is_missing(given, group)
        }
        montage = merged_montage(own_montage(trained), named)
        nights = prepared_nights(config, with_montage(trained, montage))
        return [NightPart.whole(night) for night in nights], []
    one_of(config, "part", PARTS)
    # the nights where the training found them, prepared as they were then
    own = DictConfig(dict(trained.config) | {"paths": plain(config.paths)})
    if config.folder is not None:
        if "folder" not in own.data.nights:
            raise InputError("folder=...: the model's nights were not in a folder")
        own.data.nights.folder = config.folder
    nights = prepared_nights(own, trained.preparation, allowed=NIGHT_TARGETS)
    return restore(trained.split[config.part], nights), []


def recordings_of(
    config: DictConfig, trained: TrainedModel
) -> tuple[list[NightPart], list[InputError]]:
    """Single files, prepared with the model's montage or with the channels given instead."""
    files = [config.recordings] if isinstance(config.recordings, str) else config.recordings
    sources = [recording_file(Path(path)) for path in files]
    if not sources:
        raise InputError("recordings is empty: give recordings=[night.edf]")
    montage = merged_montage(own_montage(trained), plain(config.montage))
    nights, errors = prepare_nights(
        sources, with_montage(trained, montage), Path(config.paths.prepared), config.paths.workers
    )
    if not nights:
        raise errors[0]
    return [NightPart.whole(night) for night in nights], errors


def own_montage(trained: TrainedModel) -> dict[str, Any]:
    """For each group, the channels that the model was trained on."""
    return trained.preparation.to_dict()["montage"]


def with_montage(trained: TrainedModel, montage: dict[str, Any]) -> Preparation:
    """The model's preparation with other channels, which take the places of its own in order."""
    renamed: dict[str, Any] = {}
    for group, channels in own_montage(trained).items():
        if montage[group] != channels:
            pairs = zip(channels, montage[group], strict=True)
            renamed |= {old: new for old, new in pairs if isinstance(old, str)}
            logger.warning(
                "group %s: %s take the places of %s, which the model was trained on",
                group,
                ", ".join(map(str, montage[group])),
                ", ".join(map(str, channels)),
            )
    facts = {**trained.preparation.to_dict(), "montage": montage}
    for feature in facts["features"].values():
        if "channels" in feature:
            feature["channels"] = [renamed.get(name, name) for name in feature["channels"]]
    return Preparation.from_dict(**facts, allowed=TARGETS)


# data without channels of its own takes the model's
main = hydra_command("evaluate", optional=["data.montage."])(evaluate)
