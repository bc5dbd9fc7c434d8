"""Normalizers: what happens to a group's signals between the memmaps and the encoder.

They are modules of the network, so that weights and statistics travel together. Each works on
(epochs, *shape), where shape is (channels, samples), or (channels, frequencies, frames) after a
spectrogram; one that works per window on (batch, context, *shape). None changes the tensor that it
is given.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sleep_lab.errors import InputError


class Normalizer(nn.Module):
    """A step built for one signal group: (epochs, *shape) to (epochs, *output_shape).

    Attributes:
        output_shape: what an epoch looks like afterwards; as before unless the step says otherwise.
        per_window: whether the step needs the window around an epoch, and takes and gives
            (batch, context, *shape). If not, an epoch's result is the same in every window and
            inference computes it once.
        any_channels: whether it takes any number of channels, whatever it was built for.
    """

    per_window: ClassVar[bool] = False
    any_channels: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, ...], sampling_rate: float) -> None:
        super().__init__()
        self.sampling_rate = sampling_rate
        self.output_shape = shape


class Clip(Normalizer):
    """Limits to [-value, value], in the unit of the input."""

    def __init__(self, shape: tuple[int, ...], sampling_rate: float, value: float) -> None:
        super().__init__(shape, sampling_rate)
        if value <= 0:
            raise InputError(f"clip: the value must be above 0, not {value}")
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, *shape) to the same."""
        return x.clamp(-self.value, self.value)


class Affine(Normalizer):
    """x times gain, plus bias."""

    def __init__(
        self, shape: tuple[int, ...], sampling_rate: float, gain: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__(shape, sampling_rate)
        self.gain = gain
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, *shape) to the same."""
        return (x * self.gain).add_(self.bias)


class ClipAndScale(Normalizer):
    """Limits to [minimum, maximum] and divides by the larger of their absolute values."""

    def __init__(
        self, shape: tuple[int, ...], sampling_rate: float, minimum: float, maximum: float
    ) -> None:
        super().__init__(shape, sampling_rate)
        if minimum >= maximum:
            raise InputError(f"clip and scale: {minimum} to {maximum} is not a range")
        self.minimum = minimum
        self.maximum = maximum

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, *shape) to the same, within [-1, 1]."""
        return x.clamp(self.minimum, self.maximum).div_(max(abs(self.minimum), abs(self.maximum)))


class Spectrogram(Normalizer):
    """Power spectrogram of every channel: (channels, samples) to (channels, frequencies, frames).

    Frames lie wholly inside the epoch. A frame has the first power of two of samples above
    window_s (256 for 2 s at 100 Hz), under a symmetric Hann window whose sum is 1. In memory the
    frequencies are innermost, where the encoders that reduce them want them.

    Args:
        shape: (channels, samples).
        sampling_rate: in Hz.
        window_s: shortest duration of a frame, in seconds.
        hop_s: from one frame to the next, in seconds.
        log: whether to take log10 of the power.
        clamp: lower limit of the power.
    """

    window: Tensor
    samples_per_block: ClassVar[int] = 2**18

    def __init__(
        self,
        shape: tuple[int, ...],
        sampling_rate: float,
        window_s: float = 2.0,
        hop_s: float = 1.0,
        log: bool = True,
        clamp: float = 1e-20,
    ) -> None:
        super().__init__(shape, sampling_rate)
        if len(shape) != 2:
            raise InputError(f"spectrogram: wants signals (channels, samples), not {shape}")
        self.n_fft = 2 ** int(math.log2(sampling_rate * window_s) + 1)
        self.hop = round(sampling_rate * hop_s)
        channels, samples = shape
        if samples < self.n_fft or self.hop < 1:
            raise InputError(
                f"spectrogram: frames of {self.n_fft} samples, one every {self.hop}, do not fit "
                f"in an epoch of {samples}; change window_s or hop_s"
            )
        self.log = log
        self.clamp = clamp
        self.output_shape = (
            channels,
            self.n_fft // 2 + 1,
            (samples - self.n_fft) // self.hop + 1,
        )
        window = np.hanning(self.n_fft)
        self.register_buffer(
            "window", torch.from_numpy(window / window.sum()).float(), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, channels, samples) to (epochs, channels, frequencies, frames)."""
        if x.device.type == "cpu":
            # blocks whose frames stay in the cache take a third of the time of one large transform
            channels, samples = x.shape[1:]
            blocks = x.split(max(1, self.samples_per_block // (channels * samples)))
            power = torch.cat([self._power(block) for block in blocks])
        else:
            power = self._power(x)
        return power.transpose(2, 3)

    def _power(self, x: Tensor) -> Tensor:
        frames = x.contiguous().unfold(2, self.n_fft, self.hop)
        spectrum = torch.fft.rfft(frames * self.window)  # (epochs, channels, frames, frequencies)
        power = spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag).clamp_(self.clamp)
        return power.log10_() if self.log else power


class Standardization(Normalizer):
    """(x - mean) / (standard deviation + eps), per channel and, after a spectrogram, per frequency.

    The statistics are those of all the epochs it was fitted on, pooled, over their time or frames;
    the standard deviation is the unbiased one. They are summed in float64 and merged batch by
    batch (Chan, Golub, LeVeque 1979), so batches of any size and order give the same.
    """

    any_channels: ClassVar[bool] = False
    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, shape: tuple[int, ...], sampling_rate: float, eps: float = 1e-15) -> None:
        super().__init__(shape, sampling_rate)
        self.eps = eps
        self.register_buffer("mean", torch.zeros(*shape[:-1], 1))
        self.register_buffer("std", torch.ones(*shape[:-1], 1))
        self.register_buffer("fitted", torch.tensor(False))
        self.register_load_state_dict_post_hook(_look_at_fitted_again)
        self.start_fit()

    def start_fit(self) -> None:
        """Forgets the statistics."""
        self.fitted.fill_(False)
        self._known_fitted = False
        self._count = 0
        self._pooled_mean = self._squares = torch.zeros_like(self.mean, dtype=torch.float64)

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Adds (epochs, *shape) to the statistics."""
        variance, mean = torch.var_mean(x.double(), dim=(0, -1), correction=0, keepdim=True)
        variance, mean = variance[0], mean[0]
        count = x.shape[0] * x.shape[-1]
        weight = count / (self._count + count)
        shift = mean - self._pooled_mean
        between = shift.square() * (self._count * weight)
        self._squares = self._squares + variance * count + between
        self._pooled_mean = self._pooled_mean + shift * weight
        self._count += count

    def finish_fit(self, channels: Sequence[str] = ()) -> None:
        """Takes the statistics of all that came since `start_fit`.

        Args:
            channels: their names, for messages.

        Raises:
            InputError: nothing came, or a channel is constant or not finite.
        """
        if self._count < 2:
            raise InputError("no epochs to fit the standardization on")
        std = (self._squares / (self._count - 1)).sqrt()
        unusable = ~(std > 0) | ~std.isfinite()
        if unusable.any():
            channel = int(unusable.nonzero()[0, 0])
            name = channels[channel] if channels else f"channel {channel} (counted from 0)"
            raise InputError(
                f"{name} is constant or not finite in all the epochs to fit on; leave it out"
            )
        self.mean.copy_(self._pooled_mean)
        self.std.copy_(std)
        self.fitted.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, *shape) to the same."""
        if not self._known_fitted:
            # asked once, for reading a value back from an accelerator makes it wait
            self._known_fitted = bool(self.fitted)
            if not self._known_fitted:
                raise RuntimeError(
                    "this standardization has no statistics: call fit_standardization, or load a "
                    "state dict that has them"
                )
        return (x - self.mean).div_(self.std + self.eps)


class StandardizeOnline(Normalizer):
    """(x - mean) / (standard deviation + eps) by the statistics of the window itself.

    They are those of each channel and, after a spectrogram, each frequency, over the window's
    epochs and their time or frames; the standard deviation is the unbiased one. So in
    RobustSleepNet (Guillot and Thorey, arXiv 2101.02452, 2021): there is nothing to fit.
    """

    per_window: ClassVar[bool] = True

    def __init__(self, shape: tuple[int, ...], sampling_rate: float, eps: float = 1e-15) -> None:
        super().__init__(shape, sampling_rate)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(batch, context, *shape) to the same."""
        centred = x - x.mean(dim=(1, -1), keepdim=True)
        # in two passes over what is needed anyway: half the time of torch.std
        samples = x.shape[1] * x.shape[-1]
        norm = torch.linalg.vector_norm(centred, dim=(1, -1), keepdim=True)
        return centred / (norm / math.sqrt(samples - 1) + self.eps)


def _look_at_fitted_again(module: Standardization, _: object) -> None:
    module._known_fitted = False


@torch.no_grad()
def fit_standardization(
    normalizers: Mapping[str, nn.Sequential],
    batches: Iterable[Mapping[str, Tensor]],
    channels: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Fits the standardizations of a network in one pass over the training epochs.

    Args:
        normalizers: each group's steps: `ModuloNet.normalizers`.
        batches: {group: (epochs, channels, samples)}, each epoch once; not read if there is
            nothing to fit. Some 50 epochs a batch are fastest.
        channels: the names of each group's channels, for messages.

    Raises:
        InputError: no epochs, a channel that cannot be standardized, or two standardizations in
            one group, of which the second would need another pass.
    """
    fits: dict[str, tuple[nn.Sequential, Standardization]] = {}
    for group, steps in normalizers.items():
        for position, step in enumerate(steps):
            if not isinstance(step, Standardization):
                continue
            if group in fits:
                raise InputError(f"group {group}: more than one standardization; keep one")
            if any(before.per_window for before in list(steps)[:position]):
                raise InputError(
                    f"group {group}: a standardization after a step that works per window has "
                    "nothing to be fitted on; leave it out"
                )
            fits[group] = nn.Sequential(*list(steps)[:position]), step
            step.start_fit()
    if not fits:
        return
    for batch in batches:
        for group, (before, standardization) in fits.items():
            standardization.update(before(batch[group]))
    for group, (_, standardization) in fits.items():
        try:
            standardization.finish_fit((channels or {}).get(group, ()))
        except InputError as error:
            raise InputError(f"group {group}: {error}") from None
