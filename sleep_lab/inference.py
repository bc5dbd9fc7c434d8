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
from sleep_lab.models import ModuloNet
from sleep_lab.preparation import PreparedNight

Combination = Literal["geometric", "arithmetic", "vote"]
COMBINATIONS = get_args(Combination)

EPOCHS_AT_ONCE = 32
"""Sleep epochs encoded together: enough to keep two cores busy, few enough to stay in cache."""

WINDOWS_AT_ONCE = 256
"""Windows that the sequence encoder sees together."""


def stage(
    model: ModuloNet, night: PreparedNight | NightPart, combine: Combination = "geometric"
) -> NDArray[np.float32]:
    """The hypnodensity of a night or of a part of it.

    Args:
        model: on any device; it is used in evaluation mode and left as it was.
        night: a prepared night, or a part of one.
        combine: how the windows' predictions of an epoch become one: the "geometric" or
            "arithmetic" mean of their probabilities, or the "vote" of their stages.

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
    # windows that predict some epoch of the part start and end here
    first = max(part.visible_first, part.first - (length - 1 if joined == 1 else length // 2))
    last = min(part.visible_last, part.last + (length - 1 if joined == 1 else length // 2))
    if last - first < length:
        raise InputError(
            f"night {part.night.id!r}: {last - first} sleep epochs, padding included, are fewer "
            f"than the model's context of {length}"
        )
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            encoded = torch.cat(list(_encoded(model, part.night, first, last, joined)))
            log_probabilities = torch.cat(
                list(_predicted(model, part.night, encoded, first, joined))
            )
            combined = combine_windows(log_probabilities, combine)
    finally:
        model.train(training)
    # a joined window predicts its centre alone
    start = part.first - first - (length // 2 if joined > 1 else 0)
    hypnodensity = combined[max(start, 0) : max(start, 0) + part.last - part.first]
    if start < 0 or len(hypnodensity) < part.last - part.first:
        raise InputError(
            f"night {part.night.id!r}: its first or last sleep epochs have no {length // 2} epochs "
            "on both sides; prepare it with padding"
        )
    return hypnodensity.cpu().numpy()


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
        if (group.channels, group.sampling_rate) != (len(found.channels), found.sampling_rate):
            raise InputError(
                f"group {name!r}: the model wants {group.channels} channels at "
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
        log_probabilities: (windows, context, 5); window w holds epochs w to w + context - 1.
        how: as in `stage`.

    Returns:
        (windows + context - 1, 5) probabilities.
    """
    windows, context, stages = log_probabilities.shape
    if how == "geometric":
        votes = log_probabilities
    elif how == "arithmetic":
        votes = log_probabilities.exp()
    else:
        votes = functional.one_hot(log_probabilities.argmax(-1), stages).to(log_probabilities)
    total = votes.new_zeros(windows + context - 1, stages)
    held = votes.new_zeros(windows + context - 1, 1)
    for offset in range(context):
        total[offset : offset + windows] += votes[:, offset]
        held[offset : offset + windows] += 1
    mean = total / held
    return mean.softmax(-1) if how == "geometric" else mean


def _encoded(
    model: ModuloNet, night: PreparedNight, first: int, last: int, joined: int
) -> Iterator[Tensor]:
    """Encodings of the epochs from `first` to `last`, or of every joined window among them."""
    device = next(model.parameters()).device
    start, stop = first + night.padding, last + night.padding
    rows = stop - start - joined + 1
    at_once = max(1, EPOCHS_AT_ONCE // joined)
    for row in range(0, rows, at_once):
        count = min(at_once, rows - row)
        signals = {}
        for name in model.groups:
            begin = start + row
            # (epochs, samples, channels) mapped from the file
            epochs = torch.from_numpy(night.signals(name)[begin : begin + count + joined - 1])
            if joined > 1:
                # (windows, samples, channels, joined) -> (windows, joined * samples, channels)
                epochs = epochs.unfold(0, joined, 1).permute(0, 3, 1, 2).flatten(1, 2)
            signals[name] = epochs.to(device).transpose(1, 2)
        yield model.encode(signals) if signals else torch.empty(count, 0, device=device)


def _predicted(
    model: ModuloNet, night: PreparedNight, encoded: Tensor, first: int, joined: int
) -> Iterator[Tensor]:
    """Log-probabilities (windows, context, 5) of every window over the encoded epochs."""
    # a joined window stands where its centre does
    start = first + night.padding + joined // 2
    features = {
        name: torch.from_numpy(night.feature(name)[start : start + len(encoded)]).to(encoded.device)
        for name in model.features
    }
    windows = _windows(encoded, model.context)
    feature_windows = {name: _windows(values, model.context) for name, values in features.items()}
    for row in range(0, len(windows), WINDOWS_AT_ONCE):
        rows = slice(row, row + WINDOWS_AT_ONCE)
        logits = model.sequence(
            windows[rows], {name: values[rows] for name, values in feature_windows.items()}
        )
        yield logits.float().log_softmax(-1)


def _windows(epochs: Tensor, context: int) -> Tensor:
    """(epochs, width) -> (epochs - context + 1, context, width), a view."""
    return epochs.unfold(0, context, 1).transpose(1, 2)
