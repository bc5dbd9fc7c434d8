"""Augmentations: random changes to the signals of a training batch.

All chance comes from the generator that the caller gives, so that a batch is the same whichever
process loads it.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from sleep_lab.errors import InputError


class KillChannel:
    """Silence random channels, so that the network does without any of them.

    With `probability`, a window loses n of its C channels for all its epochs, n drawn uniformly
    from 1 to C - 1. Channels are drawn anew for each window and group.

    Args:
        probability: of a window losing channels, 0 to 1.
        spare_one: keep at least one channel; otherwise n goes up to C, as in dreem-learning-open.
    """

    def __init__(self, probability: float = 0.5, spare_one: bool = True) -> None:
        if not 0 <= probability <= 1:
            raise InputError(f"augmentation.probability is from 0 to 1, not {probability}")
        self.probability = probability
        self.spare_one = spare_one

    def __call__(self, signals: dict[str, Tensor], generator: Generator) -> dict[str, Tensor]:
        """The same tensors, (batch, context, channels, samples), silenced in place."""
        for signal in signals.values():
            killed = self.draw(signal.shape[0], signal.shape[2], generator)
            window, channel = killed.nonzero(as_tuple=True)
            signal[window, :, channel] = 0.0
        return signals

    def draw(self, windows: int, channels: int, generator: Generator) -> Tensor:
        """(windows, channels) true where a channel is to be silenced."""
        most = channels - 1 if self.spare_one else channels
        if most < 1:
            return torch.zeros(windows, channels, dtype=torch.bool)
        number = torch.randint(1, most + 1, (windows, 1), generator=generator)
        rank = torch.rand(windows, channels, generator=generator).argsort(1).argsort(1)
        chosen = torch.rand(windows, 1, generator=generator) < self.probability
        return (rank < number) & chosen


class DrawChannels:
    """Give every window channels drawn at random with replacement, so that no channel has a place.

    For networks that take any channels: so RobustSleepNet learns (Guillot and Thorey, arXiv
    2101.02452, 2021). A window has channels of its own night, the same in all its epochs; they are
    drawn anew for each window and group. Nights of different numbers of channels can so be in one
    batch.

    Args:
        channels: how many are drawn; as many as the night with most has if None.
    """

    def __init__(self, channels: int | None = None) -> None:
        if channels is not None and channels < 1:
            raise InputError(f"augmentation.channels is 1 or more, not {channels}")
        self.channels = channels

    def draw(self, there: Tensor, most: int, generator: Generator) -> Tensor:
        """Which channels each window gets.

        Args:
            there: (windows,) how many channels each window's night has.
            most: the largest number that a night has.
            generator: of all chance.

        Returns:
            (windows, drawn) their numbers.
        """
        size = (len(there), self.channels or most)
        return torch.randint(2**62, size, generator=generator) % there[:, None]


Augmentation = DrawChannels | Callable[[dict[str, Tensor], Generator], dict[str, Tensor]]
"""What changes a training batch: its choice of channels, or its signals."""
