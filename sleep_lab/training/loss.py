"""The training loss: cross-entropy over the sleep epochs that an expert scored."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleep_lab.errors import InputError
from sleep_lab.stages import STAGES, UNSCORED


class CrossEntropy(nn.Module):
    """Mean cross-entropy over the scored epochs, each weighted by its stage.

    Args:
        stage_weights: of W, N1, N2, N3, REM in this order; all the same if None.
        label_smoothing: share of the target that is spread evenly over the stages, 0 to below 1.

    Raises:
        InputError: not five weights from 0 on of which one is more, or a smoothing out of range.
    """

    stage_weights: Tensor

    def __init__(
        self, stage_weights: Sequence[float] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        weights = (1.0,) * len(STAGES) if stage_weights is None else tuple(stage_weights)
        usable = all(math.isfinite(weight) and weight >= 0 for weight in weights)
        if len(weights) != len(STAGES) or not usable or not any(weights):
            raise InputError(
                f"loss.stage_weights are {len(STAGES)} numbers from 0 on, of {', '.join(STAGES)} "
                f"in this order, not {list(weights)}"
            )
        if not 0 <= label_smoothing < 1:
            raise InputError(f"loss.label_smoothing is from 0 to below 1, not {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.register_buffer("stage_weights", torch.tensor(weights).float(), persistent=False)

    def forward(self, logits: Tensor, stages: Tensor) -> Tensor:
        """The loss of (n, 5) logits against (n,) stages; 0 where none of them counts."""
        total = functional.cross_entropy(
            logits,
            stages,
            weight=self.stage_weights,
            ignore_index=UNSCORED,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )
        # not by a mask as index, whose number of epochs an accelerator would have to send back
        scored = stages != UNSCORED
        weight = (self.stage_weights[stages.clamp_min(0)] * scored).sum()
        return total / torch.where(weight > 0, weight, 1)
