"""How long a training took, in a file of its run."""

import json
import time
from pathlib import Path

import pytorch_lightning as pl
import torch

from sleep_lab.whole_file import write_whole


class TrainingTime(pl.Callback):
    """Writes the seconds of the fit, its number of training epochs and the device, as JSON.

    The seconds are of training, validation and writing checkpoints together, not of preparing
    nights or of staging the test nights; they compare on one machine only.

    Args:
        path: the file, whole or absent, written when the fit has ended without an error.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        del trainer, pl_module
        self.started = time.perf_counter()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file, in one process."""
        seconds = time.perf_counter() - self.started
        device = pl_module.device
        if device.type == "cuda":
            name = torch.cuda.get_device_name(device)
        else:
            name = f"{device.type}, {torch.get_num_threads()} threads"
        facts = {
            "seconds": round(seconds, 2),
            "training_epochs": trainer.current_epoch,
            "device": name,
            "processes": trainer.world_size,
        }
        if trainer.is_global_zero:
            write_whole(self.path, f"{json.dumps(facts, indent=2)}\n".encode())
