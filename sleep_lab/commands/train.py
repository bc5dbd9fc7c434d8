"""`train.py` and `sleep-lab-train`: one training run, from recordings to a scored model."""

import logging
import math
import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.commands.sweep import in_sweep
from sleep_lab.data import NightPart, SleepDataModule, describe, restore, write_split
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
from sleep_lab.held_folder import held
from sleep_lab.inference import COMBINATIONS, Combination, stage
from sleep_lab.instantiation import instantiate
from sleep_lab.models import build
from sleep_lab.models.weights import load_model, store_temperature
from sleep_lab.training import MONITORS, Curves, StagingModule, WholeCheckpoints
from sleep_lab.training.environment import environment, write_environment
from sleep_lab.training.interruption import Interruption, InterruptionHeard, interruptible
from sleep_lab.training.run_folder import (
    BEST,
    EarlierRun,
    earlier_run,
    holds_run,
    note_scored,
)
from sleep_lab.training.wandb_results import log_results
from sleep_lab.training.wandb_run import WandbRun, closed_in_the_end
from sleep_lab.training.warm_start import WarmStart, fill, freeze

logger = logging.getLogger(__name__)


NOISE = (
    ".*does not have many workers.*",
    ".*smaller than the logging interval.*",
    ".*overridden `transfer_batch_to_device`.*",
    ".*LeafSpec.*",
    ".*sync_dist=True.*",  # torchmetrics has already joined the processes' counts
    ".*exists and is not empty.*",  # of a run that goes on
)
"""Lightning's warnings about what is done here on purpose."""


def train(config: DictConfig) -> float:
    """Train, keep the best weights, and score them on the test nights.

    A run that was killed goes on with `resume`; one that is finished is left as it is.

    Returns:
        The best value of `config.monitor`.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    for data in (config.data, *config.data.get("datasets", {}).values()):
        if data.get("folder"):
            # checkpoints carry the config to wherever they are used
            data.folder = str(Path(data.folder).resolve())
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in NOISE:
        warnings.filterwarnings("ignore", message)
    require_sense(config)
    # of processes that train together, the first holds the folder for all
    with nullcontext() if getattr(rank_zero_only, "rank", 0) else held(folder):
        return run(config, folder)


def run(config: DictConfig, folder: Path) -> float:
    """What `train` does, in the run's folder."""
    options = StudyOptions(lights=lights_of_data(config.data))
    earlier = earlier_run(folder, plain(config), config.resume)
    if earlier.scored:
        logger.info("finished already: its scores are in %s", folder)
        return finite(earlier.best_score, config.monitor)
    pl.seed_everything(config.seed, workers=True, verbose=False)

    trainer = build_trainer(config)
    with closed_in_the_end(trainer.loggers):
        for run_logger in trainer.loggers:
            if isinstance(run_logger, WandbRun):
                # first of all, so that whatever fails is seen there
                run_logger.log_hyperparams(plain(config))
        module, data = built(config, trainer, earlier)
        if trainer.is_global_zero:
            goes_on = earlier.split is not None
            write_environment(folder, module.facts["environment"], goes_on)
            if not goes_on:
                write_split(folder / "split.json", data.split, plain(config.split))
        for run_logger in trainer.loggers:
            if isinstance(run_logger, Curves):
                run_logger.begin(earlier.step)
            run_logger.log_hyperparams(plain(config))
        stopped = not earlier.trained and not fit(trainer, module, data, earlier.last)
        if stopped and not holds_run(folder):
            raise KeyboardInterrupt
        if trainer.is_global_zero:
            best = best_weights(folder)
            if config.temperature_scaling:
                step = max(trainer.global_step, earlier.step)
                calibrate(best, trainer.loggers, step, data.split["validation"], config.combine)
            score_test_nights(best, trainer, data.split["test"], config.combine, folder, options)
            if not stopped:
                note_scored(folder)
    if stopped:
        # what called this, a sweep perhaps, is to end as well
        raise KeyboardInterrupt
    if earlier.trained:
        return finite(earlier.best_score, config.monitor)
    return finite(trainer.checkpoint_callback.best_model_score, config.monitor)  # type: ignore[union-attr]


def built(
    config: DictConfig, trainer: pl.Trainer, earlier: EarlierRun
) -> tuple[StagingModule, SleepDataModule]:
    """The network with all that trains it, and the nights that it learns from.

    Raises:
        InputError: nights that cannot be used, or parts of the config that do not fit each other.
    """
    context = instantiate(config.context)
    preparations = preparations_of(config)
    nights = prepared_nights(config, preparations)
    if earlier.split is None:
        split = instantiate(config.split)(nights, context.length)
    else:
        # nights may have come since: none changes sides
        split = {name: restore(parts, nights) for name, parts in earlier.split.items()}
    data = SleepDataModule(
        split,
        context,
        augmentation=instantiate(config.augmentation) if config.get("augmentation") else None,
        batch_size=config.loader.batch_size,
        window_stride=config.loader.window_stride,
        workers=loading_processes(config.loader.workers, trainer),
        seed=config.seed,
    )
    example = split["train"][0].night
    preparation = preparations[example.dataset]
    model = build(architecture_of(config, context, example))
    require_channels(model, split)
    start = WarmStart.of(plain(config.start))
    # weights and statistics of a run that goes on are in its checkpoint
    if earlier.last is None and start.weights is not None:
        fill(model, start, preparation)
    if earlier.last is None and not start.keeps_statistics:
        fit_normalizers(model, split["train"], context)
    freeze(model, start)
    module = StagingModule(
        model,
        loss=instantiate(config.loss),
        penalty=instantiate(config.penalty) if config.get("penalty") else None,
        optimizer=instantiate(config.optimizer),
        scheduler=instantiate(config.scheduler) if config.get("scheduler") else None,
        monitor=config.monitor,
        combine=config.combine,
        facts={
            "architecture": model.architecture,
            "preparation": preparation.to_dict(),
            "preparations": {name: each.to_dict() for name, each in preparations.items() if name},
            "config": plain(config),
            "split": describe(split),
            "environment": environment(config.seed, trainer.strategy.root_device, nights),
        },
    )
    try:
        module.configure_optimizers()
    except (TypeError, ValueError) as error:
        raise InputError(f"optimizer or scheduler: {one_line(error)}") from error
    logger.info(
        "%d parameters, %s nights, %d training windows, on %s",
        model.number_of_parameters,
        " + ".join(f"{len(parts)} {name}" for name, parts in split.items()),
        len(data.windows),
        trainer.strategy.root_device,
    )
    return module, data


def finite(score: float | Tensor | None, monitor: str) -> float:
    """The best value of the monitored metric, which a search goes by.

    Raises:
        InputError: no validation gave one.
    """
    if score is None or not math.isfinite(score):
        raise InputError(
            f"{monitor} was not a number in any validation, so the weights kept are arbitrary: "
            "lower optimizer.lr if the loss is not a number either, or choose another monitor"
        )
    return float(score)


def fit(
    trainer: pl.Trainer, module: StagingModule, data: SleepDataModule, last: Path | None
) -> bool:
    """Train to the end, from the last checkpoint if there is one.

    Returns:
        Whether it came to its end; false if Ctrl-C stopped it.
    """
    if last is not None:
        logger.info("going on from %s", last)
    heard = InterruptionHeard()
    trainer.callbacks.insert(0, heard)  # type: ignore[attr-defined]
    try:
        with interruptible(heard):
            trainer.fit(module, datamodule=data, ckpt_path=last, weights_only=True)
    except Interruption:
        logger.warning(
            "stopped in training epoch %d of %s; resume=true goes on, another Ctrl-C ends at once",
            *(trainer.current_epoch + 1, trainer.max_epochs),
        )
        return False
    return True


def best_weights(folder: Path) -> Path:
    """The checkpoint that the monitored metric chose.

    Raises:
        InputError: training ended before its first validation, so that there is none.
    """
    best = folder / BEST
    if not best.is_file():
        raise InputError(f"no weights were kept in {folder}: train for at least one validation")
    return best


def calibrate(
    best: Path,
    loggers: Iterable[Logger],
    step: int,
    parts: Sequence[NightPart],
    combine: Combination,
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
    for run_logger in loggers:
        run_logger.log_metrics({"val/temperature": temperature}, step)
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
    WarmStart.of(plain(config.start))
    for key in ("resume", "skip_bad_nights", "temperature_scaling"):
        if not isinstance(config[key], bool):
            raise InputError(f"{key} is true or false, not {config[key]!r}")
    one_of(config, "monitor", MONITORS)
    better = "min" if config.monitor == "val/loss" else "max"
    if config.monitor_mode != better:
        raise InputError(
            f"monitor={config.monitor} gets better as it goes {better}: set monitor_mode={better}"
        )


def build_trainer(config: DictConfig) -> pl.Trainer:
    """The trainer with the config's callbacks and loggers.

    Raises:
        InputError: an accelerator that is not here, an argument that Lightning refuses, or
            several processes in a job of a sweep.
    """
    callbacks, loggers = (all_built(config, group) for group in ("callbacks", "logger"))
    trainer: pl.Trainer = instantiate(
        config.trainer, callbacks=callbacks, logger=loggers or False, plugins=[WholeCheckpoints()]
    )
    if trainer.world_size > 1 and in_sweep():
        # the others would be started by the sweep's command line, and run it once more
        raise InputError(
            "several GPUs in one job of a sweep are not possible: trainer.devices=1, or run "
            "without -m"
        )
    return trainer


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


main = hydra_command("train")(train)
