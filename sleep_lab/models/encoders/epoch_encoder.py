"""What every epoch encoder is built from and declares."""

from typing import ClassVar

from torch import nn

from sleep_lab.errors import InputError


class EpochEncoder(nn.Module):
    """Encodes each epoch of one signal group alone: (epochs, *shape) to (epochs, *output_shape).

    Attributes:
        wants_spectrogram: whether shape must be (channels, frequencies, frames), as opposed to
            (channels, samples).
        output_shape: (width, frames).
    """

    wants_spectrogram: ClassVar[bool]
    output_shape: tuple[int, ...]

    def __init__(self, shape: tuple[int, ...], sampling_rate: float) -> None:
        super().__init__()
        self.sampling_rate = sampling_rate
        if self.wants_spectrogram and len(shape) != 3:
            raise InputError(
                "the encoder wants a spectrogram (channels, frequencies, frames) but the "
                f"normalizer gives {shape}; set normalizer=spectrogram"
            )
        if not self.wants_spectrogram and len(shape) != 2:
            raise InputError(
                f"the encoder wants signals (channels, samples) but the normalizer gives {shape}; "
                "choose a normalizer without spectrogram"
            )
