"""The epoch encoder of SimpleSleepNet."""

from typing import ClassVar

from torch import Tensor, nn

from sleep_lab.models.encoders.epoch_encoder import EpochEncoder


class SimpleSleepEncoder(EpochEncoder):
    """Two small linear maps and a bidirectional GRU over the frames of a spectrogram.

    Guillot, Sauvet, During, Thorey, "Dreem Open Datasets", IEEE TNSRE 2020. Defaults are the
    paper's; the two flags are its ablations. Output: (2 * hidden, frames).

    Args:
        shape: (channels, frequencies, frames).
        sampling_rate: of the signals, in Hz.
        filters: frequencies are reduced to so many, by one linear map for all channels.
        hidden: cells of the GRU in each direction.
        dropout: before and after the GRU.
        channel_recombination: whether a linear map mixes the channels into as many new ones.
        frequency_reduction: whether frequencies are reduced.
    """

    wants_spectrogram: ClassVar[bool] = True

    def __init__(
        self,
        shape: tuple[int, ...],
        sampling_rate: float,
        filters: int = 30,
        hidden: int = 25,
        dropout: float = 0.5,
        channel_recombination: bool = True,
        frequency_reduction: bool = True,
    ) -> None:
        super().__init__(shape, sampling_rate)
        channels, frequencies, frames = shape
        width = filters if frequency_reduction else frequencies
        self.frequency_reduction = (
            nn.Linear(frequencies, filters) if frequency_reduction else nn.Identity()
        )
        self.channel_recombination = (
            nn.Linear(channels, channels) if channel_recombination else nn.Identity()
        )
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width * channels, hidden, batch_first=True, bidirectional=True)
        self.output_shape = (2 * hidden, frames)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, frequencies, frames) to (epochs, 2 * hidden, frames)."""
        x = self.frequency_reduction(x.transpose(2, 3))  # (epochs, channels, frames, filters)
        x = self.channel_recombination(x.permute(0, 2, 3, 1))  # (epochs, frames, filters, channels)
        x = x.transpose(2, 3).flatten(2)  # (epochs, frames, channels * filters)
        x, _ = self.gru(self.dropout(x))  # (epochs, frames, 2 * hidden)
        return self.dropout(x).transpose(1, 2)
