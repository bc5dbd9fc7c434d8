"""Sequence encoders: an encoded epoch learns from its neighbours.

The recurrent ones are bidirectional and take windows of any length.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from sleep_lab.errors import InputError


class SequenceEncoder(nn.Module):
    """Built from the width of an encoded epoch and the number of epochs in a window.

    Takes (batch, context, width) and gives (batch, context, its own width), or, if it makes one of
    all epochs, (batch, 1, its own width).

    Attributes:
        one_per_window: whether it makes one of all epochs.
        context: epochs in a window.
        width: its own.
    """

    one_per_window: ClassVar[bool] = False

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.context = context
        self.width = width


class _Recurrent(SequenceEncoder):
    """Bidirectional layers of one kind, dropout after each."""

    def __init__(self, layers: nn.GRU | nn.LSTM, context: int, dropout: float) -> None:
        super().__init__(context, 2 * layers.hidden_size)
        self.recurrent = layers
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to (batch, context, 2 * hidden)."""
        x, _ = self.recurrent(x)
        return self.dropout(x)


class GRU(_Recurrent):
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
        super().__init__(_bidirectional(nn.GRU, width, hidden, layers, dropout), context, dropout)


class LSTM(_Recurrent):
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
        super().__init__(_bidirectional(nn.LSTM, width, hidden, layers, dropout), context, dropout)


class ResidualGRU(SequenceEncoder):
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
        super().__init__(context, 2 * hidden)
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


class ResidualLSTM(SequenceEncoder):
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
        super().__init__(context, 2 * hidden)
        self.linear = nn.Linear(width, self.width)
        self.lstm = _bidirectional(nn.LSTM, width, hidden, layers, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to (batch, context, 2 * hidden)."""
        x = self.dropout(x)
        recurrent, _ = self.lstm(x)
        return self.dropout(self.linear(x) + self.dropout(recurrent))


class Flatten(SequenceEncoder):
    """The epochs of a window side by side, then linear layers with ReLU: one vector a window.

    What stands between the epoch encoder and the classifier in Chambon et al. (no layers) and
    Tsinalis et al. (two of 50), IEEE TNSRE 2018 and arXiv 1610.01683.

    Args:
        width: of an encoded epoch.
        context: epochs in a window.
        layers: the width of each layer.
    """

    one_per_window: ClassVar[bool] = True

    def __init__(self, width: int, context: int, layers: Sequence[int] = ()) -> None:
        widths = (context * width, *layers)
        super().__init__(context, widths[-1])
        self.linears = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, width) to (batch, 1, its own width).

        Raises:
            InputError: windows of another length.
        """
        if x.shape[1] != self.context:
            raise InputError(
                f"flatten: the model wants windows of {self.context} epochs, found {x.shape[1]}"
            )
        x = x.flatten(1).unsqueeze(1)
        for linear in self.linears:
            x = linear(x).relu()
        return x


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
