"""Sequence encoders: an encoded epoch learns from its neighbours.

Each is built from the width of an encoded epoch and the number of epochs in a window, takes
(batch, context, width), gives (batch, context, its own width) and declares that width.
"""

from torch import Tensor, nn


class ResidualGRU(nn.Module):
    """Layers of (linear map + bidirectional GRU) / 2, dropout after each.

    The sequence encoder of SimpleSleepNet (IEEE TNSRE 2020), whose sizes are the defaults.

    Args:
        width: of an encoded epoch.
        context: epochs in a window; this encoder takes windows of any length.
        hidden: cells of a GRU in each direction.
        layers: number of layers.
        dropout: after each layer.
    """

    def __init__(
        self,
        width: int,
        context: int,
        hidden: int = 25,
        layers: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.context = context
        self.width = 2 * hidden
        self.layers = nn.ModuleList(
            _ResidualLayer(self.width if layer else width, hidden, dropout)
            for layer in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to (batch, context, 2 * hidden)."""
        for layer in self.layers:
            x = layer(x)
        return x


class _ResidualLayer(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 2 * hidden)
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        recurrent, _ = self.gru(x)
        return self.dropout((self.linear(x) + recurrent) / 2)
