"""The epoch encoder of Tsinalis et al."""

from collections import OrderedDict
from typing import ClassVar

from torch import Tensor, nn

from sleep_lab.models.encoders.epoch_encoder import EpochEncoder, frames_after


class TsinalisEncoder(EpochEncoder):
    """Filters of two seconds, then many small ones over what they found.

    Tsinalis, Matthews, Guo, Zafeiriou, arXiv:1610.01683, 2016; defaults are the paper's, which has
    one channel at 100 Hz and five epochs joined into one signal. Output: (patterns, frames).

    Args:
        shape: (channels, samples).
        sampling_rate: in Hz.
        filters: of the first convolution.
        patterns: filters of the second convolution.
        filter_s: of the first convolution, in seconds.
        pool_s: of the first pool, in seconds; it moves by half of that.
    """

    wants_spectrogram: ClassVar[bool] = False

    def __init__(
        self,
        shape: tuple[int, ...],
        sampling_rate: float,
        filters: int = 20,
        patterns: int = 400,
        filter_s: float = 2.0,
        pool_s: float = 0.2,
    ) -> None:
        super().__init__(shape, sampling_rate)
        channels, samples = shape
        self.layers = nn.Sequential(
            OrderedDict(
                conv_1=nn.Conv1d(channels, filters, self.samples(filter_s)),
                relu_1=nn.ReLU(),
                pool_1=nn.MaxPool1d(self.samples(pool_s), stride=self.samples(pool_s / 2)),
                conv_2=nn.Conv1d(filters, patterns, 30),
                relu_2=nn.ReLU(),
                pool_2=nn.MaxPool1d(10, stride=2),
            )
        )
        self.output_shape = (patterns, frames_after(self.layers, samples))

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, samples) to (epochs, patterns, frames)."""
        return self.layers(x)
