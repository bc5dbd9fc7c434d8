"""Features encoders: what happens to the joined expert features of an epoch."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class FullyConnectedFeatures(nn.Module):
    """Linear layers with ReLU, dropout before each.

    SimpleSleepNet (2020) passes the epoch's position in the night through one layer of 5.

    Args:
        width: of all features together.
        layers: the width of each layer.
        dropout: before each layer.
    """

    def __init__(self, width: int, layers: Sequence[int] = (5,), dropout: float = 0.0) -> None:
        super().__init__()
        widths = (width, *layers)
        self.linears = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.width = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, features) to (batch, context, width)."""
        for linear in self.linears:
            x = linear(self.dropout(x)).relu()
        return x
