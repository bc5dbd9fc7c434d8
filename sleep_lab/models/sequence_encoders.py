"""Sequence encoders: an encoded epoch learns from its neighbours.

Each is built from the width of an encoded epoch and the number of epochs in a window, takes
(batch, context, width), gives (batch, context, its own width) and declares that width. Those here
are bidirectional and take windows of any length.
"""

from torch import Tensor, nn


class GRU(nn.Module):
    """Bidirectional GRU layers, dropout after each.

    The sequence encoder of SeqSleepNet (Phan et al., IEEE TNSRE 2019), whose sizes are the
    defaults.

    Args:
        width: of an encoded epoch.
        context: epochs in a window.
        hidden: cells of a layer in each direction.
        layers: number of layers.
        dropout: after each layer.
    """

    def __init__(
        self, width: int, context: int, hidden: int = 64, layers: int = 1, dropout: float = 0.25
    ) -> None:
        super().__init__()
        self.context = context
        self.width = 2 * hidden
        self.recurrent = _bidirectional(nn.GRU, width, hidden, layers, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to (batch, context, 2 * hidden)."""
        x, _ = self.recurrent(x)
        return self.dropout(x)


class LSTM(nn.Module):
    """Bidirectional LSTM layers, dropout after each.

    Defaults are those of the network on expert features in dreem-learning-open (2020).

    Args:
        width: of an encoded epoch.
        context: epochs in a window.
        hidden: cells of a layer in each direction.
        layers: number of layers.
        dropout: after each layer.
    """

    def __init__(
        self, width: int, context: int, hidden: int = 200, layers: int = 1, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.context = context
        self.width = 2 * hidden
        self.recurrent = _bidirectional(nn.LSTM, width, hidden, layers, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to (batch, context, 2 * hidden)."""
        x, _ = self.recurrent(x)
        return self.dropout(x)


class ResidualGRU(nn.Module):
    """Layers of (linear map + bidirectional GRU) / 2, dropout after each.

    The sequence encoder of SimpleSleepNet (IEEE TNSRE 2020), whose sizes are the defaults.

    Args:
        width: of an encoded epoch.
        context: epochs in a window.
        hidden: cells of a GRU in each direction.
        layers: number of layers.
        dropout: after each layer.
    """

    def __init__(
        self, width: int, context: int, hidden: int = 25, layers: int = 2, dropout: float = 0.5
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


class ResidualLSTM(nn.Module):
    """Bidirectional LSTM layers plus one linear map around them all.

    The sequence encoder of DeepSleepNet (Supratak et al., IEEE TNSRE 2017), whose sizes are the
    defaults.

    Args:
        width: of an encoded epoch.
        context: epochs in a window.
        hidden: cells of a layer in each direction.
        layers: number of layers.
        dropout: of the input, after each layer and of the sum.
    """

    def __init__(
        self, width: int, context: int, hidden: int = 512, layers: int = 2, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.context = context
        self.width = 2 * hidden
        self.linear = nn.Linear(width, self.width)
        self.lstm = _bidirectional(nn.LSTM, width, hidden, layers, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to (batch, context, 2 * hidden)."""
        x = self.dropout(x)
        recurrent, _ = self.lstm(x)
        return self.dropout(self.linear(x) + self.dropout(recurrent))


def _bidirectional(
    kind: type[nn.GRU] | type[nn.LSTM], width: int, hidden: int, layers: int, dropout: float
) -> nn.GRU | nn.LSTM:
    return kind(
        width,
        hidden,
        layers,
        batch_first=True,
        bidirectional=True,
        # between layers only: torch warns if there is no such place
        dropout=dropout if layers > 1 else 0.0,
    )
