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

    `once` is what an epoch goes through alone, the same in every window that holds it; `in_window`
    is what is left to do when the window is known. Everything happens in `once` unless a normalizer
    works per window: then it ends before that one.

    Args:
        name: the group, for messages.
        group: its shape.
        normalizer: steps in their order, each completed with (shape, sampling_rate).
        encoder: completed with (shape, sampling_rate).
        reducer: completed with the encoder's output shape.

    Attributes:
        width: of an encoded epoch.
        per_window: whether an epoch's encoding depends on the window.
        any_channels: whether the weights fit any number of channels in any order.

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
        steps = self._steps()
        per_window = [number for number, step in enumerate(steps) if step.per_window]
        self.per_window = bool(per_window)
        self.steps_once = min(per_window, default=len(steps))
        self.any_channels: bool = self.encoder.any_channels and all(
            step.any_channels for step in steps
        )

    def once(self, signals: Tensor) -> Tensor:
        """(epochs, channels, samples) to (epochs, width), or to what the step per window takes.

        Raises:
            InputError: the shape is not the group's.
        """
        channels, samples = signals.shape[1:]
        wanted = self.group
        if samples != wanted.samples or not (self.any_channels or channels == wanted.channels):
            raise InputError(
                f"group {self.name}: the model wants (epochs, "
                f"{'any number of' if self.any_channels else wanted.channels} channels, "
                f"{wanted.samples} samples), found {tuple(signals.shape)}"
            )
        for step in self._steps()[: self.steps_once]:
            signals = step(signals)
        return signals if self.per_window else self.reducer(self.encoder(signals))

    def in_window(self, epochs: Tensor) -> Tensor:
        """Windows of what `once` gives, (batch, context, ...), to (batch, context, width)."""
        if not self.per_window:
            return epochs
        windows = epochs.shape[:2]
        for step in self._steps()[self.steps_once :]:
            if step.per_window:
                epochs = step(epochs)
            else:
                epochs = step(epochs.flatten(0, 1)).unflatten(0, windows)
        return self.reducer(self.encoder(epochs.flatten(0, 1))).unflatten(0, windows)

    def _steps(self) -> list[Any]:
        return list(self.normalizer)


def complete(part: Part, *facts: Any, where: str) -> Any:
    """The module that `part` becomes with the data's shapes.

    Raises:
        InputError: it rejects its arguments or the shapes; the message begins with `where`.
    """
    try:
        return part(*facts)
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
