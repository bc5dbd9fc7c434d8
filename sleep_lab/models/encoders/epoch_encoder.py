"""What every epoch encoder is built from and declares."""

from typing import Any, ClassVar

from torch import nn

from sleep_lab.errors import InputError


class EpochEncoder(nn.Module):
    """Encodes each epoch of one signal group alone: (epochs, *shape) to (epochs, *output_shape).

    Attributes:
        wants_spectrogram: whether shape must be (channels, frequencies, frames), as opposed to
            (channels, samples).
        any_channels: whether it takes any number of channels in any order, with the same weights.
        output_shape: (width, frames); an encoder that keeps the channels apart adds an axis for
            them, which leaves the flatten reducer.
    """

    wants_spectrogram: ClassVar[bool]
    any_channels: ClassVar[bool] = False
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
                "the encoder wants signals (channels, samples) but the normalizer gives "
                f"{shape}; set normalizer=raw"
            )

    def samples(self, seconds: float) -> int:
        """A duration in samples, rounded.

        Raises:
            InputError: it is less than one sample.
        """
        samples = round(seconds * self.sampling_rate)
        if samples < 1:
            raise InputError(
                f"{seconds:g} s is less than a sample at {self.sampling_rate:g} Hz; give the "
                "encoder a longer duration, or prepare the signals at a higher rate"
            )
        return samples


def frames_after(layers: nn.Module, samples: int) -> int:
    """What is left of so many samples after the convolutions and poolings in `layers`, in order.

    Raises:
        InputError: nothing is left.
    """
    frames = samples
    for layer in layers.modules():
        if isinstance(layer, nn.Conv1d | nn.MaxPool1d):
            kernel, stride, padding = map(
                _along_time, (layer.kernel_size, layer.stride, layer.padding)
            )
            frames = (frames + 2 * padding - kernel) // stride + 1
            if frames < 1:
                raise InputError(f"an epoch of {samples} samples is too short for the encoder")
    return frames


def _along_time(size: Any) -> int:
    # convolutions keep their sizes in tuples, poolings as they were given
    return size[0] if isinstance(size, tuple) else size
