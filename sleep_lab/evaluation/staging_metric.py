"""The scores of a hypnogram, accumulated over batches: the form that Lightning wants."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from sleep_lab.evaluation.metrics import scores_of
from sleep_lab.stages import STAGES, UNSCORED


class StagingMetric(Metric):
    """Scores of all epochs seen since the last reset, pooled over batches, nights and processes.

    `update` takes stage codes of any one shape, -1 in `target` where unscored; `compute` gives
    scalars under the names accuracy, cohen_kappa, weighted_f1, macro_f1, f1_W ... f1_REM, defined
    as in `sleep_lab.evaluation.metrics`; nan where undefined.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    confusion: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        empty = torch.zeros(len(STAGES), len(STAGES), dtype=torch.int64)
        self.add_state("confusion", empty, dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count a batch of predicted and target stages."""
        scored = target != UNSCORED
        pairs = target[scored].long() * len(STAGES) + prediction[scored].long()
        counts = torch.bincount(pairs, minlength=len(STAGES) ** 2)
        self.confusion += counts.reshape(len(STAGES), len(STAGES))

    def compute(self) -> dict[str, Tensor]:
        """The scores, as scalars on the metric's device."""
        scores = scores_of(self.confusion.cpu().numpy())
        values = {
            "accuracy": scores.accuracy,
            "cohen_kappa": scores.cohen_kappa,
            "weighted_f1": scores.weighted_f1,
            "macro_f1": scores.macro_f1,
        } | {f"f1_{stage}": f1 for stage, f1 in scores.f1.items()}
        return {
            name: torch.tensor(value, dtype=torch.float32, device=self.confusion.device)
            for name, value in values.items()
        }
