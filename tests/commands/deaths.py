"""A callback that kills the training that it is in."""

import os
import signal
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer


class Death(Callback):
    """Notes the training epochs that begin, and dies in the second one.

    Args:
        log: the file for the notes.
        times: so often.
    """

    def __init__(self, log: str, times: int) -> None:
        self.notes = Path(log)
        self.times = times

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        with self.notes.open("a") as log:
            log.write(f"{trainer.current_epoch}\n")
        begun = self.notes.read_text().split()
        if trainer.current_epoch == 1 and begun.count("1") <= self.times:
            os.kill(os.getpid(), signal.SIGKILL)
