"""Signals as features see them: processed, and cut into sleep epochs."""

from collections.abc import Iterable, Iterator, Sequence
from math import isclose

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.preparation.signal import Processing, Signal, processed, read_signal
from sleep_lab.recordings import Recording
from sleep_lab.stages import SLEEP_EPOCH_S


def epoch_signals(
    recording: Recording,
    channels: Iterable[str],
    processings: Sequence[Processing],
    spans_s: Sequence[float] = (),
    highest_hz: float = 0.0,
) -> Iterator[Signal]:
    """The processed signals, one in memory at a time, each of as many sleep epochs as are due.

    Raises:
        InputError: a channel cannot be used, or its sampling rate does not suit what is asked:
            whole samples in 30 s and in each of `spans_s`, frequencies up to `highest_hz`.
    """
    whole = recording.cut(0, recording.epochs)
    read = (read_signal(whole, name) for name in channels)
    for signal in processed(read, processings):
        rate = signal.sampling_rate
        where = f"{recording.origin}: {signal.name!r} for a feature"
        for span in (SLEEP_EPOCH_S, *spans_s):
            if not is_whole(span * rate):
                raise InputError(
                    f"{where}: {rate:g} Hz does not divide {span:g} s into whole samples; resample"
                )
        if highest_hz > rate / 2:
            raise InputError(
                f"{where}: a band up to {highest_hz:g} Hz needs a sampling rate of at least "
                f"{2 * highest_hz:g} Hz, not {rate:g} Hz; lower the band"
            )
        due = round(recording.epochs * SLEEP_EPOCH_S * rate)
        if len(signal.values) != due:
            raise InputError(
                f"{where}: {len(signal.values)} samples where {due} are due; features are padded "
                "with the night, leave Padding out of their processings"
            )
        yield signal


def sleep_epochs(signal: Signal) -> NDArray[np.float64]:
    """(epochs, samples) of the signal, in float64."""
    samples = round(SLEEP_EPOCH_S * signal.sampling_rate)
    return signal.values.astype(np.float64).reshape(-1, samples)


def is_whole(number: float) -> bool:
    """Whether it is a whole number but for rounding errors."""
    return isclose(number, round(number), abs_tol=1e-6)
