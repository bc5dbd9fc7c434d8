"""The epoch encoder of DeepSleepNet."""

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn

from sleep_lab.errors import InputError
from sleep_lab.models.encoders.epoch_encoder import EpochEncoder, frames_after


class DeepSleepEncoder(EpochEncoder):
    """Two convolutional branches on the signal: short filters for when, long ones for what.

    Supratak, Dong, Wu, Guo, "DeepSleepNet", IEEE TNSRE 2017. The paper has 64 cells and a long
    filter of 4 s; defaults are those of dreem-learning-open (2020). Output: (4 * cells, frames),
    18 frames for 30 s at 100 Hz. Frames that only one branch has are cut off at the end.

    Args:
        shape: (channels, samples).
        sampling_rate: in Hz.
        cells: filters of each branch's first convolution; the three others have twice as many.
        short_filter_s: the short branch's first filter, in seconds.
        short_stride_s: from one position of it to the next, in seconds.
        long_filter_s: the long branch's first filter, in seconds.
        long_stride_s: from one position of it to the next, in seconds.
        dropout: within the branches and after them.

    Raises:
        InputError: the branches differ by more than two frames.
    """

    wants_spectrogram: ClassVar[bool] = False

    def __init__(
        self,
        shape: tuple[int, ...],
        sampling_rate: float,
        cells: int = 32,
        short_filter_s: float = 0.5,
        short_stride_s: float = 0.0625,
        long_filter_s: float = 2.0,
        long_stride_s: float = 0.5,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(shape, sampling_rate)
        channels, samples = shape
        kernel, stride = self.samples(short_filter_s), self.samples(short_stride_s)
        self.short = nn.Sequential(
            OrderedDict(
                block_1=_block(channels, cells, kernel, stride, padding=kernel // 2),
                pool_1=nn.MaxPool1d(8, stride=7),
                dropout=nn.Dropout(dropout),
                block_2=_block(cells, 2 * cells, 8, padding=4),
                block_3=_block(2 * cells, 2 * cells, 8, padding=4),
                block_4=_block(2 * cells, 2 * cells, 8, padding=4),
                pool_2=nn.MaxPool1d(4, padding=2),
            )
        )
        kernel, stride = self.samples(long_filter_s), self.samples(long_stride_s)
        self.long = nn.Sequential(
            OrderedDict(
                block_1=_block(channels, cells, kernel, stride, padding=kernel // 2),
                pool_1=nn.MaxPool1d(4, stride=3),
                dropout=nn.Dropout(dropout),
                block_2=_block(cells, 2 * cells, 6, padding=2),
                block_3=_block(2 * cells, 2 * cells, 6, padding=2),
                block_4=_block(2 * cells, 2 * cells, 6, padding=2),
                pool_2=nn.MaxPool1d(2, stride=1, padding=1),
            )
        )
        self.dropout = nn.Dropout(dropout)
        short, long = frames_after(self.short, samples), frames_after(self.long, samples)
        if abs(short - long) > 2:
            raise InputError(
                f"the branches of deep_sleep give {short} and {long} frames of {samples} samples "
                f"at {sampling_rate:g} Hz, too different to lie side by side; it is made for "
                "30 s (context=sequential) at 100 Hz"
            )
        self.output_shape = (4 * cells, min(short, long))

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, samples) to (epochs, 4 * cells, frames)."""
        _, frames = self.output_shape
        short = self.short(x)[..., :frames]  # (epochs, 2 * cells, frames)
        long = self.long(x)[..., :frames]
        return self.dropout(torch.cat([short, long], dim=1))


def _block(before: int, after: int, kernel: int, stride: int = 1, *, padding: int) -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv1d(before, after, kernel, stride, padding),
            batch_norm=nn.BatchNorm1d(after),
            relu=nn.ReLU(),
        )
    )
