"""What one signal group goes through before groups are joined."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sleep_lab.errors import InputError

Part = Callable[..., Any]
"""A part of the network with its own arguments; called with the data's shapes it gives a module."""


@dataclass(frozen=True)
class SignalGroup:
    """Signals that the network takes in together.

    Attributes:
        channels: number of channels.
        samples: per epoch; per window, if the epochs of a window are joined into one signal.
        sampling_rate: in Hz.
    """

    channels: int
    samples: int
    sampling_rate: float


class GroupEncoder(nn.Module):
    """Normalizers, epoch encoder and reducer of one group.

    Args:
        name: the group, for messages.
        group: its shape.
        normalizer: steps in their order, each completed with (shape, sampling_rate).
        encoder: completed with (shape, sampling_rate).
        reducer: completed with the encoder's output shape.

    Attributes:
        width: of an encoded epoch.

    Raises:
        InputError: a part is missing, or rejects its arguments or what the part before it gives.
    """

    def __init__(
        self,
        name: str,
        group: SignalGroup,
        normalizer: Sequence[Part],
        encoder: Part | None,
        reducer: Part | None,
    ) -> None:
        super().__init__()
        self.name = name
        self.group = group
        where = f"group {name}"
        if encoder is None:
            raise InputError(f"{where} has no encoder; set encoder=simple_sleep")
        if reducer is None:
            raise InputError(f"{where} has no reducer; set reducer=attention")
        shape: tuple[int, ...] = (group.channels, group.samples)
        self.normalizer = nn.Sequential()
        for part in normalizer:
            step = complete(part, shape, group.sampling_rate, where=where)
            self.normalizer.append(step)
            shape = step.output_shape
        self.encoder = complete(encoder, shape, group.sampling_rate, where=where)
        self.reducer = complete(reducer, self.encoder.output_shape, where=where)
        self.width: int = self.reducer.width

    def forward(self, signals: Tensor) -> Tensor:
        """(epochs, channels, samples) to (epochs, width)."""
        expected = (self.group.channels, self.group.samples)
        if signals.shape[1:] != expected:
            raise InputError(
                f"group {self.name}: the model wants (epochs, {expected[0]} channels, "
                f"{expected[1]} samples), found {tuple(signals.shape)}"
            )
        return self.reducer(self.encoder(self.normalizer(signals)))


def complete(part: Part, *facts: Any, where: str) -> Any:
    """The module that `part` becomes with the data's shapes.

    Raises:
        InputError: it rejects its arguments or the shapes; the message begins with `where`.
    """
    try:
        return part(*facts)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
