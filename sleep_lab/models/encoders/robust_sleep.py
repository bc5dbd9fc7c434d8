"""The epoch encoder of RobustSleepNet."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleep_lab.models.encoders.epoch_encoder import EpochEncoder


class RobustSleepEncoder(EpochEncoder):
    """Takes any channels: attention over them makes a fixed number of virtual ones.

    Guillot and Thorey, "RobustSleepNet", arXiv 2101.02452, 2021, whose sizes are the defaults.
    Frequencies are reduced by one linear map for all channels; every frame of every virtual channel
    is a mean over the channels' frames, weighted by attention; a bidirectional GRU runs over the
    frames. Output: (2 * hidden, frames).

    Args:
        shape: (channels, frequencies, frames); the number of channels does not matter.
        sampling_rate: of the signals, in Hz.
        filters: frequencies are reduced to so many.
        virtual_channels: how many attentions look at the channels.
        context: rows of W in each attention.
        hidden: cells of the GRU in each direction.
        dropout: before and after the GRU.
    """

    wants_spectrogram: ClassVar[bool] = True
    any_channels: ClassVar[bool] = True

    def __init__(
        self,
        shape: tuple[int, ...],
        sampling_rate: float,
        filters: int = 32,
        virtual_channels: int = 4,
        context: int = 30,
        hidden: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(shape, sampling_rate)
        _, frequencies, frames = shape
        self.frequency_reduction = nn.Linear(frequencies, filters)
        self.channel_attention = ChannelAttention(filters, virtual_channels, context)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(filters * virtual_channels, hidden, batch_first=True, bidirectional=True)
        self.output_shape = (2 * hidden, frames)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, frequencies, frames) to (epochs, 2 * hidden, frames)."""
        x = self.frequency_reduction(x.transpose(2, 3))  # (epochs, channels, frames, filters)
        x = self.channel_attention(x)  # (epochs, frames, virtual channels, filters)
        x, _ = self.gru(self.dropout(x.flatten(2)))  # (epochs, frames, 2 * hidden)
        return self.dropout(x).transpose(1, 2)


class ChannelAttention(nn.Module):
    """Weighted means over channels, one for each virtual channel.

    Virtual channel k weights a channel's vector x by the softmax over channels of
    v_k . tanh(W_k x + b_k) (Luong, Pham, Manning 2015).

    Args:
        width: of a channel's vector.
        virtual_channels: how many means.
        context: rows of each W_k.
    """

    def __init__(self, width: int, virtual_channels: int, context: int) -> None:
        super().__init__()
        self.context = nn.Linear(width, virtual_channels * context)
        bound = 1 / math.sqrt(context)  # as torch initialises a linear map of `context` inputs
        self.score = nn.Parameter(torch.empty(virtual_channels, context).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, frames, width) to (epochs, frames, virtual channels, width)."""
        # tanh(u) is 2 sigmoid(2 u) - 1, and the softmax forgets what is the same for all channels:
        # the sigmoid takes a sixth of the time
        doubled = functional.linear(x, 2 * self.context.weight, 2 * self.context.bias)
        hidden = doubled.sigmoid()  # (epochs, channels, frames, virtual channels * context)
        # one product for all virtual channels, each with its own part of `hidden`
        weights = (hidden @ (2 * torch.block_diag(*self.score)).T).softmax(1)
        return torch.einsum("ectv,ectf->etvf", weights, x)
