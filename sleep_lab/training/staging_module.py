"""The LightningModule: a ModuloNet, its loss and optimizer, and validation night by night."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from sleep_lab.data import Batch, NightPart
from sleep_lab.evaluation.staging_metric import StagingMetric
from sleep_lab.inference import Combination
from sleep_lab.inference import stage as stage_night
from sleep_lab.models import ModuloNet
from sleep_lab.models.weights import CHECKPOINT_KEY
from sleep_lab.stages import STAGES
from sleep_lab.training.penalty import Penalty
from sleep_lab.training.warm_start import hold_still

MONITORS = tuple(
    f"val/{name}"
    for name in (
        "loss",
        "accuracy",
        "cohen_kappa",
        "weighted_f1",
        "macro_f1",
        *(f"f1_{stage}" for stage in STAGES),
    )
)
"""The validation metrics, any of which may decide about the best weights."""

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
SchedulerFactory = Callable[[Optimizer], Any]


class StagingModule(pl.LightningModule):
    """Trains a ModuloNet on windows and validates it on whole nights.

    Args:
        model: the network, its normalizers fitted; its parameters without gradient are frozen.
        loss: of logits (n, 5) and stages (n,), where -1 does not count.
        optimizer: makes the optimizer of the parameters.
        penalty: of the model's weights, added to the loss that is minimised; none if None.
        scheduler: makes a learning-rate scheduler of the optimizer; none if None.
        monitor: metric that a plateau scheduler watches.
        combine: how windows are combined in validation; see `sleep_lab.inference.stage`.
        facts: plain data that checkpoints carry, so that they can be used alone.

    Raises:
        InputError: the penalty is to leave out parameters that the model does not have.

    Logs train/loss, without the penalty, train/penalty and train/accuracy, and over all validation
    nights val/loss (the expert stage's mean negative log-probability), val/accuracy,
    val/cohen_kappa, val/weighted_f1, val/macro_f1 and val/f1_STAGE.
    """

    def __init__(
        self,
        model: ModuloNet,
        loss: nn.Module,
        optimizer: OptimizerFactory,
        penalty: Penalty | None = None,
        scheduler: SchedulerFactory | None = None,
        monitor: str = "val/accuracy",
        combine: Combination = "geometric",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.penalty = penalty
        if penalty is not None:
            # an exclusion that is not there is told before training, not in its first step
            penalty.penalised(model.named_parameters())
        self.optimizer_factory = optimizer
        self.scheduler_factory = scheduler
        self.monitor = monitor
        self.combine = combine
        self.facts = dict(facts or {})
        self.train_metric = StagingMetric()
        self.validation_metric = StagingMetric()
        self.validation_loss = MeanMetric()

    def forward(self, signals: dict[str, Tensor], features: dict[str, Tensor]) -> Tensor:
        """Logits of the model, (batch, predicted, 5)."""
        return self.model(signals, features)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Batches of windows go to the device; a night's part stays a reference to its files."""
        if isinstance(batch, NightPart):
            return batch
        return super().transfer_batch_to_device(batch, device, dataloader_idx)

    def on_train_start(self) -> None:
        """Frozen parts of the model stand still; Lightning keeps their mode from then on."""
        hold_still(self.model)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """What is minimised: the loss of a batch of windows, and the penalty."""
        del batch_index
        logits = self.model(batch.signals, batch.features).flatten(0, 1)
        stages = batch.stages[:, self.model.predicted].flatten()
        loss = self.loss(logits, stages)
        self.train_metric.update(logits.argmax(1), stages)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.stages))
        if self.penalty is None:
            return loss
        penalty = self.penalty(self.model.named_parameters())
        self.log("train/penalty", penalty, batch_size=len(batch.stages))
        return loss + penalty

    def on_train_epoch_end(self) -> None:
        """Log the accuracy over the training epoch."""
        self.log("train/accuracy", self.train_metric.compute()["accuracy"])
        self.train_metric.reset()

    def validation_step(self, part: NightPart, batch_index: int) -> None:
        """Stage one night and count what is right."""
        del batch_index
        hypnodensity = torch.from_numpy(stage_night(self.model, part, self.combine)).to(self.device)
        expert = torch.from_numpy(part.night.hypnogram[part.first : part.last]).to(self.device)
        self.validation_metric.update(hypnodensity.argmax(1), expert)
        scored = expert >= 0
        log_probability = hypnodensity[scored].clamp_min(torch.finfo(torch.float32).tiny).log()
        self.validation_loss.update(
            functional.nll_loss(log_probability, expert[scored].long(), reduction="none")
        )

    def on_validation_epoch_end(self) -> None:
        """Log the scores over all validation nights."""
        scores = self.validation_metric.compute()
        self.log("val/loss", self.validation_loss.compute())
        self.log_dict({f"val/{name}": value for name, value in scores.items()}, prog_bar=False)
        self.log("val_accuracy", scores["accuracy"], prog_bar=True, logger=False)
        self.validation_metric.reset()
        self.validation_loss.reset()

    def configure_optimizers(self) -> Any:
        """The optimizer, and the scheduler stepped once a training epoch."""
        optimizer = self.optimizer_factory(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        )
        if self.scheduler_factory is None:
            return optimizer
        scheduler = {
            "scheduler": self.scheduler_factory(optimizer),
            "interval": "epoch",
            "monitor": self.monitor,
        }
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the facts that make the checkpoint usable without the run's folder."""
        checkpoint[CHECKPOINT_KEY] = json.dumps(self.facts)
