"""`evaluate.py` and `sleep-lab-evaluate`: stage nights with trained models, and score them."""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.data import NightPart, restore
from sleep_lab.data.parts import PARTS
from sleep_lab.datasets import datasets_of
from sleep_lab.errors import InputError, nearest
from sleep_lab.evaluation import NightResult
from sleep_lab.evaluation.bootstrap import Resampling
from sleep_lab.evaluation.scorings import read_hypnograms
from sleep_lab.evaluation.study import Study, StudyOptions
from sleep_lab.evaluation.study_files import print_study, write_study
from sleep_lab.evaluation.study_of import study_of_hypnograms, study_of_results
from sleep_lab.evaluation.weighted_scores import Conventions
from sleep_lab.experiment import (
    device_of,
    lights_of,
    lights_of_data,
    one_of,
    plain,
    prepared_nights,
    require_complete,
    stage_parts,
    whole_number,
)
from sleep_lab.inference import require_montage
from sleep_lab.instantiation import NIGHT_TARGETS
from sleep_lab.models import ModuloNet
from sleep_lab.models.weights import BEST, TrainedModel, load_model, weights_at
from sleep_lab.preparation import Preparation, PreparedNight, prepare_nights
from sleep_lab.preparation.montage import FEATURES, with_channels
from sleep_lab.recordings import NightSource, recording_file
from sleep_lab.training.run_folder import holds_run

logger = logging.getLogger(__name__)


def evaluate(config: DictConfig) -> float | None:
    """Stage and score nights, or score hypnograms that exist already.

    Returns:
        The mean accuracy over the nights, of the first model; None if nobody scored them.

    Raises:
        InputError: also if some of the recordings could not be staged; the others are.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    if holds_run(folder):
        raise InputError(f"{folder} holds a training; choose another folder by hydra.run.dir=...")
    if config.predictions is not None:
        if config.model is not None:
            raise InputError("give model=... or predictions=..., not both")
        study = study_of_predictions(config)
        return finished(folder, study, Path(config.predictions).stem)
    if config.model is None:
        raise InputError("say what to evaluate: model=FILE_OR_RUN, or predictions=FOLDER_OR_NPZ")
    require_complete(config)
    models = loaded(config)
    own = config.recordings is None and config.get("data") is None
    options = options_of(config, next(iter(models.values())).config if own else None)
    scorers = None if config.scorers is None else read_hypnograms(Path(config.scorers))
    results, errors = staged_by(config, models)
    require_nights_of_lights(config, {r.id for nights in results.values() for r in nights})
    study = study_of_results(results, scorers, options)
    accuracy = finished(folder, study, ", ".join(results))
    if errors:
        for error in errors[1:]:
            logger.error("%s", error)
        raise InputError(
            f"{len(errors)} of {len(errors) + len(study.nights)} recordings were not staged: "
            f"{errors[0]}"
        )
    return accuracy


def finished(folder: Path, study: Study, title: str) -> float | None:
    """Write a study and print what it says; the first model's mean accuracy."""
    metrics = write_study(folder, study, title)
    print_study(folder, study, metrics)
    if "mean" in metrics:
        return metrics["mean"]["accuracy"]
    return metrics["models"][study.models[0]]["accuracy"][0] if metrics.get("models") else None


def options_of(config: DictConfig, trained: Mapping[str, Any] | None = None) -> StudyOptions:
    """How the config wants models judged.

    Args:
        config: of the evaluation.
        trained: of the training whose nights are judged, if they are its own.
    """
    own = (trained or {}).get("data") or config.get("data") or {}
    return StudyOptions(
        Conventions(config.absent_stage, config.weighting),
        Resampling(
            whole_number(config, "resamples", 1), config.confidence, whole_number(config, "seed", 0)
        ),
        lights_of_data(own) if config.lights is None else lights_of(config.lights, "lights"),
        one_of(config, "length_mismatch", ("error", "cut")),  # type: ignore[arg-type]
    )


def require_nights_of_lights(config: DictConfig, nights: Collection[str]) -> None:
    """Raise InputError if the user gives the lights of a night that is not there."""
    for name in plain(config.lights):
        if name not in nights:
            raise InputError(f"lights.{name}: no such night; {nearest(str(name), nights)}")


def study_of_predictions(config: DictConfig) -> Study:
    """The hypnograms in `predictions=` against the scorers."""
    if config.scorers is None:
        raise InputError("predictions=... are judged by scorers: add scorers=FOLDER_OR_NPZ")
    for key in ("predictions", "scorers"):
        if not isinstance(config[key], str):
            raise InputError(f"{key} is one folder or npz file, not {config[key]}")
    predictions = read_hypnograms(Path(config.predictions))
    scorers = read_hypnograms(Path(config.scorers))
    options = options_of(config)
    require_nights_of_lights(config, {night for nights in scorers.values() for night in nights})
    return study_of_hypnograms(predictions, scorers, options)


def staged_by(
    config: DictConfig, models: Mapping[str, TrainedModel]
) -> tuple[dict[str, list[NightResult]], list[InputError]]:
    """The nights as each model stages them; several models come after the mean of them all."""
    device = device_of(config.device)
    parts: dict[str, list[NightPart]] = {}
    errors: dict[str, InputError] = {}
    # what any of them cannot stage is told before the first has staged for hours
    for name, trained in models.items():
        parts[name], bad = parts_of(config, trained)
        for part in parts[name]:
            require_montage(trained.model, part.night)
        tell_channels(parts[name])
        errors |= {str(error): error for error in bad}
    staged: dict[str, list[NightResult]] = {}
    for name, trained in models.items():
        combine = config.combine or (trained.config or {}).get("combine", "geometric")
        trained.model.to(device)
        staged[name] = list(stage_parts(trained.model, parts[name], combine))
    if len(models) > 1:
        mean = averaged(list(staged.values()))
        staged = {f"mean of {len(models)} models": mean, **staged}
    return staged, list(errors.values())


def loaded(config: DictConfig) -> dict[str, TrainedModel]:
    """The models that `model=` lists, by a name of each."""
    paths = [config.model] if isinstance(config.model, str) else list(config.model)
    if not paths:
        raise InputError("model is empty: give model=FILE or model=[a,b]")
    models: dict[str, TrainedModel] = {}
    for number, path in enumerate(map(Path, paths), start=1):
        file = weights_at(path)
        name = name_of(file)
        models[f"{name} ({number})" if name in models else name] = load_model(file)
    return models


def name_of(weights: Path) -> str:
    """What to call a model: its file's name, or its folder's where the file's says nothing."""
    if weights.name in map(os.path.basename, BEST):
        run = weights.resolve().parent
        return run.parent.name if run.name == "checkpoints" else run.name
    return weights.stem


def averaged(staged: Sequence[Sequence[NightResult]]) -> list[NightResult]:
    """The nights with the mean of the models' hypnodensities.

    Raises:
        InputError: the models do not have the same sleep epochs of the same nights.
    """
    spans = [{r.id: (r.first_epoch, r.epochs) for r in results} for results in staged]
    for other in spans[1:]:
        if other != spans[0]:
            raise InputError(
                f"the models stage different nights ({', '.join(spans[0])}; {', '.join(other)}), "
                "which cannot be averaged; give data=... or recordings=[...]"
            )
    by_id = [{r.id: r for r in results} for results in staged]
    return [
        replace(
            result,
            hypnodensity=np.mean([nights[name].hypnodensity for nights in by_id], axis=0),
            uncalibrated=None,
        )
        for name, result in by_id[0].items()
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
        preparations = {
            name: preparation_by(trained.model, montage_of(own.data, trained.model))
            for name, own in datasets_of(config).items()
        }
        return whole(prepared_nights(config, preparations)), []
    return own_parts(config, trained), []


def montage_of(data: DictConfig, model: ModuloNet) -> dict[str, Sequence[Any]]:
    """The data's channels for the model; {} where it has none, and the model takes its own."""
    given = {group: names for group, names in plain(data.montage).items() if names}
    if not model.groups:
        channel = data.get("feature_channel")
        return {FEATURES: [channel]} if channel else {}
    chosen = list(given.values()) == [plain(data.get("channels"))]
    if model.any_channels and chosen and data.get("eeg_and_eog"):
        # what the data lists for every network holds EMG and ECG as well
        return {group: plain(data.eeg_and_eog) for group in given}
    return given


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
        set_folder(own.data, plain(config.folder))
    nights = prepared_nights(own, trained.preparations, allowed=NIGHT_TARGETS)
    return restore(trained.split[config.part], nights)


def set_folder(data: DictConfig, folder: str | Mapping[str, str]) -> None:
    """Say where the nights of a trained model lie now.

    Args:
        data: the config of its data; changed.
        folder: of the nights; of several datasets, a folder for each that has moved.
    """
    if "datasets" in data:
        if isinstance(folder, str):
            names = ",".join(f"{name}:PATH" for name in data.datasets)
            raise InputError(f"folder=...: the model's nights are of several; 'folder={{{names}}}'")
        known = [str(name) for name in data.datasets]
        for name, path in folder.items():
            if name not in known:
                raise InputError(f"folder.{name}: no such dataset; {nearest(name, known)}")
            set_folder(data.datasets[name], path)
    elif "folder" not in data.nights or not isinstance(folder, str):
        raise InputError("folder=...: the model's nights were not in a folder")
    else:
        data.nights.folder = folder


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


# hypnograms that exist already need nothing of the data but its lights
main = hydra_command("evaluate", optional=["data."])(evaluate)
