"""How long a training took and how good its best weights are, in a file of its run."""

import json
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from sleep_lab.training.environment import device_name
from sleep_lab.whole_file import write_whole


class TrainingTime(pl.Callback):
    """Writes the seconds of the fit, its number of training epochs and the device, as JSON.

    The seconds are of training, validation and writing checkpoints together, not of preparing
    nights or of staging the test nights; they compare on one machine only. Of a training that went
    on after it was killed, what was done twice counts once.

    Args:
        path: the file, whole or absent, written when the fit has ended without an error.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.before = 0.0
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """What the training has taken so far."""
        return self.before + time.perf_counter() - self.started

    def state_dict(self) -> dict[str, Any]:
        """What the training has taken so far, for one that goes on."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begin with what it took before."""
        self.before = state_dict["seconds"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        del trainer, pl_module
        self.started = time.perf_counter()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file, in one process."""
        seconds = self.seconds
        score = getattr(trainer.checkpoint_callback, "best_model_score", None)
        facts = {
            "seconds": round(seconds, 2),
            "training_epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "device": device_name(pl_module.device),
            "processes": trainer.world_size,
            # an undefined score is null, which nan is in no JSON
            "best_score": float(score) if score is not None and score.isfinite() else None,
        }
        if trainer.is_global_zero:
            write_whole(self.path, f"{json.dumps(facts, indent=2)}\n".encode())
