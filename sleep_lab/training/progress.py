"""How far a training is: a line for each training epoch, and bars on a terminal."""

import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from pytorch_lightning.callbacks import ProgressBar
from torch import Tensor

from sleep_lab.training.progress_bars import Bars, duration

logger = logging.getLogger(__name__)

SHOWN = ("val/loss", "val/accuracy", "val/cohen_kappa")
"""The scores that are always told; the monitored one is told with them."""

Best = tuple[int, float]
"""The number of a training epoch, from 1 on, and its score."""


class Progress(ProgressBar):
    """Tells the losses, the scores and the time that is left.

    Each training epoch is a line in the log. On a terminal there are bars in its place, unless the
    jobs of a sweep run side by side and would draw over each other. Of several processes that train
    together only the first tells anything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.told = True
        self.bars: Bars | None = None
        self.best: Best | None = None
        self.durations: list[float] = []
        self.losses: list[Tensor] = []
        self.scores: dict[str, float] = {}
        self.began = time.perf_counter()

    def disable(self) -> None:
        """Tell nothing: Lightning asks for it in all processes but the first."""
        self.told = False

    def enable(self) -> None:
        """Tell again."""
        self.told = True

    def state_dict(self) -> dict[str, Any]:
        """The best score so far, for a training that goes on."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begin with the best score of the training that goes on."""
        self.best = state_dict["best"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bars."""
        del pl_module
        self.durations = []
        if self.told and draws_bars():
            self.bars = Bars(hidden=__name__)
            self.bars.start()
            self._show_whole(trainer, trainer.current_epoch)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count."""
        del pl_module
        self.began = time.perf_counter()
        self.losses, self.scores = [], {}
        if self.bars:
            number = numbered(trainer)
            self.bars.begin(f"training epoch {number}", trainer.num_training_batches, "batches")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any
    ) -> None:
        """Keep the batch's loss."""
        del pl_module, batch
        # it stays on the device, which is not waited for
        self.losses.append(trainer.callback_metrics["train/loss"])
        if self.bars:
            self.bars.advance(self.losses[-1])

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count nights."""
        del pl_module
        if self.bars:
            self.bars.begin(
                f"validation {numbered(trainer)}", sum(trainer.num_val_batches), "nights"
            )

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any
    ) -> None:
        """Count a night."""
        del trainer, pl_module, batch
        if self.bars:
            self.bars.advance()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the scores, and the best of those that decide."""
        del pl_module
        if trainer.sanity_checking:
            return
        monitor, sign = monitored(trainer)
        found = trainer.callback_metrics
        self.scores = {name: float(found[name]) for name in (*SHOWN, monitor) if name in found}
        score = self.scores.get(monitor, math.nan)
        if not math.isnan(score) and (self.best is None or sign * score > sign * self.best[1]):
            self.best = (trainer.current_epoch + 1, score)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell about the training epoch."""
        del pl_module
        self.durations.append(time.perf_counter() - self.began)
        loss = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        monitor, _ = monitored(trainer)
        brought = f"train loss {loss:.3f}{described(self.scores, monitor, self.best)}"
        if self.bars:
            self.bars.tell(brought)
            self._show_whole(trainer, trainer.current_epoch + 1)
        if self.told:
            took = duration(self.durations[-1])
            left = self._left_s(trainer)
            rest = f", at most {duration(left)} left" if left else ""
            logger.info("training epoch %s: %s, %s%s", numbered(trainer), brought, took, rest)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the bars as they are."""
        del trainer, pl_module
        self._leave()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the bars as they are, so that the error stands alone."""
        del trainer, pl_module, exception
        self._leave()

    def _leave(self) -> None:
        if self.bars:
            self.bars.stop()
            self.bars = None

    def _left_s(self, trainer: pl.Trainer) -> float | None:
        """Seconds that the training epochs to come take, if those of this process are a measure."""
        last = last_of(trainer)
        if not self.durations or last is None:
            return None
        return sum(self.durations) / len(self.durations) * (last - trainer.current_epoch - 1)

    def _show_whole(self, trainer: pl.Trainer, done: int) -> None:
        last = last_of(trainer)
        if self.bars and last is not None:
            self.bars.whole_training(done, last, self._left_s(trainer))


def draws_bars() -> bool:
    """Whether there is a terminal, and this process alone writes to it."""
    side_by_side = HydraConfig.initialized() and not str(
        HydraConfig.get().launcher._target_
    ).endswith(".BasicLauncher")
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not side_by_side


def last_of(trainer: pl.Trainer) -> int | None:
    """The number of training epochs, where it is limited."""
    return trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else None


def numbered(trainer: pl.Trainer) -> str:
    """The current training epoch, counted from 1, of how many."""
    last = last_of(trainer)
    return f"{trainer.current_epoch + 1}" + ("" if last is None else f"/{last}")


def monitored(trainer: pl.Trainer) -> tuple[str, int]:
    """The score that decides about the best weights, and the sign that makes it grow."""
    checkpoint = trainer.checkpoint_callback
    sign = -1 if getattr(checkpoint, "mode", "max") == "min" else 1
    return getattr(checkpoint, "monitor", None) or "", sign


def described(scores: Mapping[str, float], monitor: str, best: Best | None) -> str:
    """Scores in words; the best of the one that decides stands beside it."""
    told = ""
    for name, value in scores.items():
        told += f", {in_words(name)} " + ("-" if math.isnan(value) else f"{value:.3f}")
        if name == monitor and best is not None:
            told += f" (best {best[1]:.3f} in {best[0]})"
    return told


def in_words(score: str) -> str:
    """What to call a validation score: val/loss is "val loss", val/cohen_kappa is "kappa"."""
    if score == "val/loss":
        return "val loss"
    return score.removeprefix("val/").removeprefix("cohen_").replace("_", " ").replace("f1", "F1")
