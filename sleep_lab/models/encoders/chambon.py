"""The epoch encoder of Chambon et al."""

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

from sleep_lab.models.encoders.epoch_encoder import EpochEncoder, frames_after


class ChambonEncoder(EpochEncoder):
    """Virtual channels, each filtered twice by the same convolutions.

    Chambon, Galtier, Arnal, Wainrib, Gramfort, IEEE TNSRE 2018. The paper has signals of 128 Hz,
    filters of 0.5 s, pools of 0.125 s and a dropout of 0.25; defaults are those of
    dreem-learning-open (2020) at 100 Hz. Output: (maps, frames, channels).

    Args:
        shape: (channels, samples).
        sampling_rate: in Hz.
        maps: filters of each convolution.
        filter_s: of the first convolution, in seconds.
        pool_s: of the first pool, in seconds.
        dropout: at the end.
    """

    wants_spectrogram: ClassVar[bool] = False

    def __init__(
        self,
        shape: tuple[int, ...],
        sampling_rate: float,
        maps: int = 8,
        filter_s: float = 0.65,
        pool_s: float = 0.16,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(shape, sampling_rate)
        channels, samples = shape
        kernel = self.samples(filter_s)
        self.channel_recombination = nn.Linear(channels, channels)
        self.layers = nn.Sequential(
            OrderedDict(
                conv_1=nn.Conv1d(1, maps, kernel, padding=kernel // 2),
                relu_1=nn.ReLU(),
                pool_1=nn.MaxPool1d(self.samples(pool_s)),
                conv_2=nn.Conv1d(maps, maps, 65, padding=32),
                relu_2=nn.ReLU(),
                pool_2=nn.MaxPool1d(16),
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.output_shape = (maps, frames_after(self.layers, samples), channels)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, samples) to (epochs, maps, frames, channels)."""
        windows = x.shape[:2]  # (epochs, channels)
        x = self.channel_recombination(x.transpose(1, 2))  # (epochs, samples, channels)
        x = x.transpose(1, 2).flatten(0, 1).unsqueeze(1)  # (epochs * channels, 1, samples)
        x = self.layers(x).unflatten(0, windows)  # (epochs, channels, maps, frames)
        return self.dropout(x.permute(0, 2, 3, 1))
