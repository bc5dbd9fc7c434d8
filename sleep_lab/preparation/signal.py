"""One signal of a night on its way to the network: read, checked, processed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.recordings import Recording


@dataclass(frozen=True)
class Signal:
    """One signal of a night on its way to the network.

    Attributes:
        name: the channel or derivation.
        values: (samples,) floats, microvolts where electric.
        sampling_rate: samples per second.
        padding_s: seconds of padding before and after what was recorded.
    """

    name: str
    values: NDArray[np.floating[Any]]
    sampling_rate: float
    padding_s: float = 0.0


class Processing(Protocol):
    """Anything that turns the signals of a group into the group's signals to come."""

    def __call__(self, signals: Iterable[Signal]) -> Iterable[Signal]:
        """The processed signals; lazily, one at a time, where each depends on one alone."""
        ...

    def width(self, signals: int) -> int:
        """How many signals come out when that many go in."""
        ...


class ChannelProcessing:
    """A processing that treats every signal alone."""

    def __call__(self, signals: Iterable[Signal]) -> Iterable[Signal]:
        """The processed signals, one for each."""
        return map(self.apply, signals)

    def width(self, signals: int) -> int:
        """As many as go in."""
        return signals

    def apply(self, signal: Signal) -> Signal:
        """The processed signal."""
        raise NotImplementedError


def read_signal(recording: Recording, name: str) -> Signal:
    """A channel's samples, refused if a network could learn nothing or nonsense from them.

    Raises:
        InputError: there is no such channel, it ends too early, holds NaN or infinite samples, or
            is flat.
    """
    channel = recording.channel(name)
    values = recording.read(name)
    where = f"{recording.origin}: channel {channel.name!r}"
    remedy = "mend the recording or leave the channel out of data.montage and features"
    expected = round(recording.duration_s * channel.sampling_rate)
    if len(values) < expected:
        raise InputError(
            f"{where} ends after {len(values) / channel.sampling_rate:.0f} s of "
            f"{recording.duration_s:.0f} s; {remedy}"
        )
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argmin(finite)) / channel.sampling_rate
        raise InputError(
            f"{where}: {int((~finite).sum())} samples are NaN or infinite, the first after "
            f"{first:.2f} s; {remedy}"
        )
    if values.min() == values.max():
        raise InputError(f"{where} is flat: every sample is {values[0]:g} {channel.unit}; {remedy}")
    return Signal(channel.name, values, channel.sampling_rate)


def processed(signals: Iterable[Signal], processings: Sequence[Processing]) -> Iterable[Signal]:
    """The signals after all processings in turn; lazily, where each depends on one alone."""
    for processing in processings:
        signals = processing(signals)
    return signals


def require_alike(first: Signal, second: Signal) -> None:
    """Raise InputError unless the two signals have one rate, length and padding."""
    for what, ours, theirs in (
        ("Hz", first.sampling_rate, second.sampling_rate),
        ("samples", len(first.values), len(second.values)),
        ("s of padding", first.padding_s, second.padding_s),
    ):
        if ours != theirs:
            raise InputError(
                f"signals {first.name!r} ({ours:g} {what}) and {second.name!r} ({theirs:g} {what}) "
                "are in one group but not alike; resample and pad both, or give each its own group"
            )
