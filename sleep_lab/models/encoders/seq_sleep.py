"""The epoch encoder of SeqSleepNet."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sleep_lab.errors import InputError
from sleep_lab.models.encoders.epoch_encoder import EpochEncoder


class SeqSleepEncoder(EpochEncoder):
    """A learned filter bank for every channel and a bidirectional GRU over the frames.

    Phan, Andreotti, Cooray, Chen, De Vos, "SeqSleepNet", IEEE TNSRE 2019, whose sizes are the
    defaults. A filter is a fixed triangle over the frequencies whose every frequency is weighted
    by a learned number between 0 and 1. Output: (2 * hidden, frames).

    Args:
        shape: (channels, frequencies, frames).
        sampling_rate: of the signals, in Hz.
        filters: number of filters for each channel.
        hidden: cells of the GRU in each direction.
        dropout: before and after the GRU.

    Raises:
        InputError: more filters than the frequencies can tell apart.
    """

    wants_spectrogram: ClassVar[bool] = True
    triangles: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        sampling_rate: float,
        filters: int = 32,
        hidden: int = 64,
        dropout: float = 0.25,
    ) -> None:
        super().__init__(shape, sampling_rate)
        channels, frequencies, frames = shape
        self.register_buffer("triangles", triangles(frequencies, filters), persistent=False)
        self.filter_weights = nn.Parameter(torch.randn(channels, frequencies, filters))
        self.batch_norm = nn.BatchNorm2d(filters)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(filters * channels, hidden, batch_first=True, bidirectional=True)
        self.output_shape = (2 * hidden, frames)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, frequencies, frames) to (epochs, 2 * hidden, frames)."""
        bank = self.filter_weights.sigmoid() * self.triangles  # (channels, frequencies, filters)
        x = torch.einsum("ecqt,cqf->efct", x, bank)  # (epochs, filters, channels, frames)
        x = self.batch_norm(x).permute(0, 3, 2, 1).flatten(2)  # (epochs, frames, channels, filters)
        x, _ = self.gru(self.dropout(x))  # (epochs, frames, 2 * hidden)
        return self.dropout(x).transpose(1, 2)


def triangles(frequencies: int, filters: int) -> Tensor:
    """Filters that rise from the last one's peak to 1 and fall to the next one's peak.

    Peaks are evenly spaced and then rounded down to a frequency of the spectrogram.

    Returns:
        (frequencies, filters).

    Raises:
        InputError: two peaks fall together.
    """
    corners = np.floor(np.linspace(0, frequencies - 0.5, filters + 2))
    if (np.diff(corners) == 0).any():
        raise InputError(
            f"{filters} filters are too many for {frequencies} frequencies; choose fewer filters, "
            "or a spectrogram with longer frames"
        )
    frequency = np.arange(frequencies)[:, None]
    start, peak, end = corners[:-2], corners[1:-1], corners[2:]
    rise, fall = (frequency - start) / (peak - start), (end - frequency) / (end - peak)
    return torch.from_numpy(np.minimum(rise, fall).clip(0)).float()
