"""A whole night through a model: every sleep epoch encoded once, every window predicted.

Each sleep epoch lies in as many windows as the context is long, and each of them predicts it. The
predictions are combined into one distribution per epoch, the hypnodensity.
"""

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sleep_lab.data import NightPart
from sleep_lab.errors import InputError, nearest
from sleep_lab.evaluation.calibration import apply_temperature
from sleep_lab.models import ModuloNet
from sleep_lab.preparation import PreparedNight

Combination = Literal["geometric", "arithmetic", "vote"]
COMBINATIONS = get_args(Combination)

EPOCHS_AT_ONCE = 32
"""Sleep epochs encoded together: enough to keep two cores busy, few enough to stay in cache."""

WINDOWS_AT_ONCE = 256
"""Windows that the sequence encoder sees together."""

ENCODED_AT_ONCE = 16
"""Windows that go through an encoder together, where it sees the window and not the epoch."""


def stage(
    model: ModuloNet,
    night: PreparedNight | NightPart,
    combine: Combination = "geometric",
    calibrated: bool = True,
) -> NDArray[np.float32]:
    """The hypnodensity of a night or of a part of it.

    Args:
        model: on any device; it is used in evaluation mode and left as it was.
        night: a prepared night, or a part of one.
        combine: how the windows' predictions of an epoch become one: the "geometric" or
            "arithmetic" mean of their probabilities, or the "vote" of their stages.
        calibrated: whether to apply the model's temperature, if it has one.

    Returns:
        (epochs, 5) float32; rows sum to 1.

    Raises:
        InputError: the night does not have the model's signals and features.
    """
    if combine not in COMBINATIONS:
        raise InputError(f"combine={combine}: {nearest(combine, COMBINATIONS)}")
    part = NightPart.whole(night) if isinstance(night, PreparedNight) else night
    joined = require_montage(model, part.night)
    length = model.context * joined
    # where in a window the epochs that it predicts begin; a joined window predicts its centre
    offset = joined // 2 + model.predicted.start
    predicted = model.predicted.stop - model.predicted.start
    # windows that predict some epoch of the part start and end here
    first = max(part.visible_first, part.first - (offset + predicted - 1))
    last = min(part.visible_last, part.last + (length - 1 - offset))
    if last - first < length:
        raise InputError(
            f"night {part.night.id!r}: {last - first} sleep epochs, padding included, are fewer "
            f"than the model's context of {length}"
        )
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            encoded = _encoded(model, part.night, first, last, joined)
            log_probabilities = torch.cat(
                list(_predicted(model, part.night, encoded, first, last, joined))
            )
            combined = combine_windows(log_probabilities, combine)
    finally:
        model.train(training)
    start = part.first - (first + offset)
    hypnodensity = combined[max(start, 0) : max(start, 0) + part.last - part.first]
    if start < 0 or len(hypnodensity) < part.last - part.first:
        raise InputError(
            f"night {part.night.id!r}: its first or last sleep epochs have no {length // 2} epochs "
            "on both sides; prepare it with padding"
        )
    staged = hypnodensity.cpu().numpy()
    if calibrated and model.temperature != 1:
        return apply_temperature(staged, model.temperature)
    return staged


def require_montage(model: ModuloNet, night: PreparedNight) -> int:
    """Raise InputError unless the night has the model's signals and features.

    Returns:
        How many sleep epochs the model joins into one signal: 1, or the context's length.
    """
    joined = set()
    for name, group in model.groups.items():
        if name not in night.groups:
            raise InputError(
                f"night {night.id!r} has no group {name!r} ({', '.join(night.groups) or 'none'}); "
                "prepare it with the model's montage"
            )
        found = night.groups[name]
        channels = len(found.channels) if model.any_channels else group.channels
        if (channels, group.sampling_rate) != (len(found.channels), found.sampling_rate):
            raise InputError(
                f"group {name!r}: the model wants {channels} channels at "
                f"{group.sampling_rate:g} Hz, night {night.id!r} has {len(found.channels)} at "
                f"{found.sampling_rate:g} Hz ({', '.join(found.channels)}); prepare it with the "
                "model's montage"
            )
        joined.add(group.samples // found.samples)
    for name, width in model.features.items():
        if night.features.get(name) != width:
            raise InputError(
                f"night {night.id!r}: the model wants feature {name!r} of width {width}, found "
                f"{night.features.get(name, 'none')}; prepare it with the model's features"
            )
    return joined.pop() if joined else 1


def combine_windows(log_probabilities: Tensor, how: Combination) -> Tensor:
    """One distribution per epoch from the predictions of all windows that hold it.

    Args:
        log_probabilities: (windows, predicted, 5); window w predicts the epochs from w on.
        how: as in `stage`.

    Returns:
        (windows + predicted - 1, 5) probabilities.
    """
    windows, predicted, stages = log_probabilities.shape
    if how == "geometric":
        votes = log_probabilities
    elif how == "arithmetic":
        votes = log_probabilities.exp()
    else:
        votes = functional.one_hot(log_probabilities.argmax(-1), stages).to(log_probabilities)
    total = votes.new_zeros(windows + predicted - 1, stages)
    held = votes.new_zeros(windows + predicted - 1, 1)
    for offset in range(predicted):
        total[offset : offset + windows] += votes[:, offset]
        held[offset : offset + windows] += 1
    mean = total / held
    return mean.softmax(-1) if how == "geometric" else mean


def _encoded(
    model: ModuloNet, night: PreparedNight, first: int, last: int, joined: int
) -> dict[str, Tensor]:
    """What `encode` gives for the epochs from `first` to `last`, or for every joined window."""
    start, stop = first + night.padding, last + night.padding
    rows = stop - start - joined + 1
    at_once = max(1, EPOCHS_AT_ONCE // joined)
    encoded: dict[str, list[Tensor]] = {name: [] for name in model.groups}
    for row in range(0, rows if model.groups else 0, at_once):
        count = min(at_once, rows - row)
        signals = {}
        for name in model.groups:
            begin = start + row
            # (epochs, samples, channels) mapped from the file
            epochs = torch.from_numpy(night.signals(name)[begin : begin + count + joined - 1])
            if joined > 1:
                # (windows, samples, channels, joined) -> (windows, joined * samples, channels)
                epochs = epochs.unfold(0, joined, 1).permute(0, 3, 1, 2).flatten(1, 2)
            signals[name] = epochs.to(model.device).transpose(1, 2)
        for name, group in model.encode(signals).items():
            encoded[name].append(group)
    return {name: torch.cat(groups) for name, groups in encoded.items()}


def _predicted(
    model: ModuloNet,
    night: PreparedNight,
    encoded: dict[str, Tensor],
    first: int,
    last: int,
    joined: int,
) -> Iterator[Tensor]:
    """Log-probabilities (windows, predicted, 5) of every window over the encoded epochs."""
    # a joined window stands where its centre does
    start = first + night.padding + joined // 2
    rows = last - first - joined + 1
    features = {
        name: torch.from_numpy(night.feature(name)[start : start + rows]).to(model.device)
        for name in model.features
    }
    encoded_windows, feature_windows = (
        {name: _windows(values, model.context) for name, values in part.items()}
        for part in (encoded, features)
    )
    at_once = ENCODED_AT_ONCE if model.per_window else WINDOWS_AT_ONCE
    for window in range(0, rows - model.context + 1, at_once):
        some = slice(window, window + at_once)
        logits = model.sequence(
            {name: values[some] for name, values in encoded_windows.items()},
            {name: values[some] for name, values in feature_windows.items()},
        )
        yield logits.float().log_softmax(-1)


def _windows(epochs: Tensor, context: int) -> Tensor:
    """(epochs, *shape) -> (epochs - context + 1, context, *shape), a view."""
    return epochs.unfold(0, context, 1).movedim(-1, 1)
