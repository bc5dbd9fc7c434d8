"""A training of a moment: a small network with batch normalization on two short nights."""

from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, ProgressBar

from sleep_lab.data import Context, NightPart, SleepDataModule
from sleep_lab.experiment import fit_normalizers
from sleep_lab.models import ModuloNet, build
from sleep_lab.training import CrossEntropy, StagingModule
from tests.models.simple_sleep_net import simple_sleep_net
from tests.nights import preparation, prepared_night

CONTEXT = Context(5)


def network(**changes) -> ModuloNet:
    """SeqSleep's encoder at 10 Hz, with fresh weights that are always the same."""
    place = "sleep_lab.models"
    architecture = simple_sleep_net()
    architecture |= {
        "groups": {"psg": {"channels": 2, "samples": 300, "sampling_rate": 10.0}},
        "encoder": {"_target_": f"{place}.encoders.SeqSleepEncoder", "filters": 8, "hidden": 4},
        "sequence_encoder": {"_target_": f"{place}.sequence_encoders.ResidualGRU", "hidden": 4},
        **changes,
    }
    torch.manual_seed(0)
    return build(architecture)


def trained(
    folder: Path,
    *callbacks: pl.Callback,
    model: ModuloNet | None = None,
    epochs: int = 3,
    resume: Path | None = None,
    **module: Any,
) -> StagingModule:
    """The module after its training; `last.ckpt` and `best.ckpt` are in the folder."""
    parts = {
        name: [NightPart.whole(prepared_night(folder / "nights", name, seed=seed, epochs=24))]
        for seed, name in enumerate(("train", "validation"))
    }
    model = model or network()
    fit_normalizers(model, parts["train"], CONTEXT)
    arguments = {"optimizer": partial(torch.optim.Adam, lr=1e-2), "loss": CrossEntropy()}
    facts = {
        "architecture": model.architecture,
        "preparation": preparation().to_dict(),
        "config": {},
        "split": {},
    }
    fitted = StagingModule(model, facts=facts, **{**arguments, **module})
    checkpoint = ModelCheckpoint(
        folder,
        "best",
        monitor="val/loss",
        save_last=True,
        enable_version_counter=False,
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[*callbacks, checkpoint],
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        enable_model_summary=False,
    )
    data = SleepDataModule(parts, CONTEXT, batch_size=8)
    trainer.fit(fitted, datamodule=data, ckpt_path=resume)
    return fitted
