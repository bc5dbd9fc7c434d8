"""`train.py` and `sleep-lab-train`: one training run, from recordings to a scored model."""

import logging
import os
import platform
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import sleep_lab
from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.data import NightPart, SleepDataModule, describe, write_split
from sleep_lab.datasets import require_channels
from sleep_lab.errors import InputError, one_line
from sleep_lab.evaluation.calibration import fit_temperature, hard_labels
from sleep_lab.evaluation.study import StudyOptions
from sleep_lab.evaluation.study_files import print_study, write_study
from sleep_lab.evaluation.study_of import study_of_results
from sleep_lab.experiment import (
    architecture_of,
    fit_normalizers,
    lights_of_data,
    one_of,
    plain,
    preparations_of,
    prepared_nights,
    stage_parts,
    whole_number,
)
from sleep_lab.inference import COMBINATIONS, Combination, stage
from sleep_lab.instantiation import instantiate
from sleep_lab.models import build
from sleep_lab.models.weights import load_model, store_temperature
from sleep_lab.training import MONITORS, StagingModule
from sleep_lab.training.wandb_results import finish, log_results

logger = logging.getLogger(__name__)


NOISE = (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*overridden `transfer_batch_to_device`.*",
    ".*LeafSpec.*",
    ".*sync_dist=True.*",  # torchmetrics has already joined the processes' counts
)
"""Lightning's warnings about what is done here on purpose."""


def train(config: DictConfig) -> float:
    """Train, keep the best weights, and score them on the test nights.

    Returns:
        The best value of `config.monitor`.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    for data in (config.data, *config.data.get("datasets", {}).values()):
        if data.get("folder"):
            # checkpoints carry the config to wherever they are used
            data.folder = str(Path(data.folder).resolve())
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
    require_sense(config)
    lights = lights_of_data(config.data)
    pl.seed_everything(config.seed, workers=True, verbose=False)

    context = instantiate(config.context)
    trainer = build_trainer(config)
    preparations = preparations_of(config)
    nights = prepared_nights(config, preparations)
    split = instantiate(config.split)(nights, context.length)
    data = SleepDataModule(
        split,
        context,
        augmentation=instantiate(config.augmentation) if config.get("augmentation") else None,
        batch_size=config.loader.batch_size,
        window_stride=config.loader.window_stride,
        workers=loading_processes(config.loader.workers, trainer),
        seed=config.seed,
    )

    architecture = architecture_of(config, context, nights[0])
    model = build(architecture)
    require_channels(model, nights)
    fit_normalizers(model, split["train"], context)
    logger.info(
        "%d parameters, %s nights, %d training windows, on %s",
        model.number_of_parameters,
        " + ".join(f"{len(parts)} {name}" for name, parts in split.items()),
        len(data.windows),
        trainer.strategy.root_device,
    )
    module = StagingModule(
        model,
        loss=instantiate(config.loss),
        penalty=instantiate(config.penalty) if config.get("penalty") else None,
        optimizer=instantiate(config.optimizer),
        scheduler=instantiate(config.scheduler) if config.get("scheduler") else None,
        monitor=config.monitor,
        combine=config.combine,
        facts={
            "architecture": architecture,
            "preparation": next(iter(preparations.values())).to_dict(),
            "preparations": {name: each.to_dict() for name, each in preparations.items() if name},
            "config": plain(config),
            "split": describe(split),
            "versions": versions(),
        },
    )
    try:
        module.configure_optimizers()
    except (TypeError, ValueError) as error:
        raise InputError(f"optimizer or scheduler: {one_line(error)}") from error
    if trainer.is_global_zero:
        write_split(folder / "split.json", split, plain(config.split))
    for run_logger in trainer.loggers:
        run_logger.log_hyperparams(plain(config))

    try:
        trainer.fit(module, datamodule=data)
        if trainer.is_global_zero:
            best = best_weights(trainer, folder)
            if config.temperature_scaling:
                calibrate(best, trainer, split["validation"], config.combine)
            options = StudyOptions(lights=lights)
            score_test_nights(best, trainer, split["test"], config.combine, folder, options)
    finally:
        finish(trainer.loggers)
    return float(trainer.checkpoint_callback.best_model_score)  # type: ignore[union-attr]


def best_weights(trainer: pl.Trainer, folder: Path) -> Path:
    """The checkpoint that the monitored metric chose.

    Raises:
        InputError: training ended before its first validation, so that there is none.
    """
    best = Path(getattr(trainer.checkpoint_callback, "best_model_path", ""))
    if not best.is_file():
        raise InputError(f"no weights were kept in {folder}: train for at least one validation")
    return best


def calibrate(
    best: Path, trainer: pl.Trainer, parts: Sequence[NightPart], combine: Combination
) -> None:
    """Fit the temperature of the best weights on the validation nights; log it, keep it with them.

    Raises:
        InputError: nobody scored any of the nights' sleep epochs.
    """
    model = load_model(best).model
    staged = [stage(model, part, combine, calibrated=False) for part in parts]
    experts = [part.night.hypnogram[part.first : part.last] for part in parts]
    temperature = fit_temperature(np.concatenate(staged), hard_labels(np.concatenate(experts)))
    store_temperature(best, temperature)
    logger.info("temperature %.3f, fitted on the validation nights", temperature)
    for run_logger in trainer.loggers:
        run_logger.log_metrics({"val/temperature": temperature}, trainer.global_step)
        run_logger.save()


def score_test_nights(
    best: Path,
    trainer: pl.Trainer,
    parts: Sequence[NightPart],
    combine: Combination,
    folder: Path,
    options: StudyOptions,
) -> None:
    """Stage the test nights with the best weights; write, log and print the scores."""
    results = list(stage_parts(load_model(best).model, parts, combine))
    study = study_of_results({folder.name: results}, options=options)
    metrics = write_study(folder, study, folder.name)
    log_results(trainer.loggers, folder, metrics)
    print_study(folder, study, metrics)


def require_sense(config: DictConfig) -> None:
    """Raise InputError on values that would only be met in the middle of a training."""
    whole_number(config, "seed", 0)
    whole_number(config, "loader.batch_size", 1)
    whole_number(config, "loader.window_stride", 1)
    whole_number(config, "trainer.max_epochs", 1)
    if config.loader.workers != "auto":
        whole_number(config, "loader.workers", 0)
    one_of(config, "combine", COMBINATIONS)
    if not isinstance(config.temperature_scaling, bool):
        raise InputError(
            f"temperature_scaling is true or false, not {config.temperature_scaling!r}"
        )
    one_of(config, "monitor", MONITORS)
    better = "min" if config.monitor == "val/loss" else "max"
    if config.monitor_mode != better:
        raise InputError(
            f"monitor={config.monitor} gets better as it goes {better}: set monitor_mode={better}"
        )


def build_trainer(config: DictConfig) -> pl.Trainer:
    """The trainer with the config's callbacks and loggers.

    Raises:
        InputError: an accelerator that is not here, or an argument that Lightning refuses.
    """
    callbacks, loggers = (all_built(config, group) for group in ("callbacks", "logger"))
    return instantiate(config.trainer, callbacks=callbacks, logger=loggers or False)


def all_built(config: DictConfig, group: str) -> list[Any]:
    """The objects of a group that holds several; those set to null are left out.

    Raises:
        InputError: an entry does not say what it is, being a change of one that is not there.
    """
    built = []
    for name, node in (config.get(group) or {}).items():
        if node is not None and "_target_" not in node:
            raise InputError(
                f"{group}.{name} has no _target_: {group}={name} is not chosen, or was set to null"
            )
        if node is not None:
            built.append(instantiate(node))
    return built


def loading_processes(wanted: int | str, trainer: pl.Trainer) -> int:
    """Loading processes; "auto" is none beside a CPU that computes, or up to 8 beside a GPU."""
    if wanted != "auto":
        return int(wanted)
    on_cpu = trainer.strategy.root_device.type == "cpu"
    return 0 if on_cpu else min(8, max(1, (os.cpu_count() or 1) - 1))


def versions() -> Mapping[str, str]:
    """What a result depends on besides its config."""
    return {
        "sleep_lab": sleep_lab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": pl.__version__,
        "numpy": np.__version__,
        "h5py": h5py.__version__,
    }


main = hydra_command("train")(train)
