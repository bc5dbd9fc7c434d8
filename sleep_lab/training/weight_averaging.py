"""Stochastic weight averaging: the mean of the weights at the ends of training epochs."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint, WeightAveraging
from torch import Tensor

from sleep_lab.errors import InputError


class StochasticWeightAveraging(WeightAveraging):
    """Validates and keeps the mean of the weights at the ends of all training epochs so far.

    The mean takes the place of the weights in every validation from its beginning on, so that early
    stopping and the best checkpoint look at it, and in every checkpoint; training goes on from the
    weights themselves. Running statistics of batch normalization are averaged like weights. Before
    its beginning, nothing differs from training without it.

    Source: Izmailov, Podoprikhin, Garipov, Vetrov, Wilson, "Averaging weights leads to wider optima
    and better generalization", UAI 2018.

    Args:
        start: the first training epoch whose weights count: a share of the trainer's max_epochs if
            below 1, otherwise the epoch's number, counted from 0.

    Raises:
        InputError: `start` is below 0, or, when training begins, training ends before it; or
            checkpoints are to hold weights only, without which the mean cannot be put there.
    """

    def __init__(self, start: float = 0.1) -> None:
        if start < 0:
            raise InputError(f"weight averaging cannot start at {start}; choose 0 or more")
        super().__init__(avg_fn=_mean)
        self.start = start

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make room for the mean."""
        if stage == "fit":
            last = trainer.max_epochs
            if last is None or last < 0 or self.start >= max(last, 1):
                raise InputError(
                    f"weight averaging starts at {self.start} but training has {last} epochs; "
                    "choose an earlier start or more of them"
                )
            if any(
                isinstance(callback, ModelCheckpoint) and callback.save_weights_only
                for callback in trainer.checkpoint_callbacks
            ):
                raise InputError("weight averaging needs checkpoint.save_weights_only=false")
            self.first_epoch = int(self.start * last if self.start < 1 else self.start)
        super().setup(trainer, pl_module, stage)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Never where Lightning asks: it does so in each step, and after an epoch's validation."""
        del step_idx, epoch_idx
        return False

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Take in the weights after the last batch of a training epoch, before its validation."""
        del outputs, batch, batch_idx
        if trainer.is_last_batch and trainer.current_epoch >= self.first_epoch:
            assert self._average_model is not None
            self._average_model.update_parameters(pl_module)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the mean in the weights' place."""
        if self._has_begun:
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        if self._has_begun:
            super().on_validation_epoch_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the mean in the checkpoint, and the weights beside it for a training that goes on."""
        if self._has_begun:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the network with the mean."""
        if self._has_begun:
            super().on_train_end(trainer, pl_module)

    @property
    def _has_begun(self) -> bool:
        return self._average_model is not None and bool(self._average_model.n_averaged > 0)


def _mean(mean: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
    """The mean of `count` + 1 values; of what is no real number, such as a flag, the last value."""
    if not mean.is_floating_point():
        return value
    return mean + (value - mean) / (count + 1)
