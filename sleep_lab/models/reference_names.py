"""Weights under the names of dreem-learning-open and RobustSleepNet, and under a ModuloNet's.

Both keep the fitted statistics apart from the weights, so they are left out here.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sleep_lab.errors import InputError
from sleep_lab.models.encoders.seq_sleep import triangles

Names = tuple[tuple[str, str], ...]
"""Pairs of their name and ours, of modules or weights; {n} is the number of a layer."""

Dialect = Literal["dreem-learning-open", "RobustSleepNet"]
"""Whose names: RobustSleepNet is a later version of the same code."""

DREEM: Dialect = "dreem-learning-open"
ROBUST: Dialect = "RobustSleepNet"

ENCODER_NAMES: dict[str, Names] = {
    "SimpleSleepEncoder": (
        ("filter_reduction", "frequency_reduction"),
        ("virtual_channels", "channel_recombination"),
        ("gru", "gru"),
    ),
    "SeqSleepEncoder": (
        ("filter_bank.filter_weights", "filter_weights"),
        ("filter_bank.bn", "batch_norm"),
        ("gru", "gru"),
    ),
    "DeepSleepEncoder": tuple(
        (f"{theirs}_{branch}_{block}", f"{name}.block_{block}.{ours}")
        for branch, name in ((1, "short"), (2, "long"))
        for block in (1, 2, 3, 4)
        for theirs, ours in (("conv", "conv"), ("bn", "batch_norm"))
    ),
    "ChambonEncoder": (
        ("encoder.spatial_conv", "channel_recombination"),
        ("encoder.time_conv_1", "layers.conv_1"),
        ("encoder.time_conv_2", "layers.conv_2"),
    ),
    "TsinalisEncoder": (
        ("encoder.conv_1", "layers.conv_1"),
        ("encoder.conv_2", "layers.conv_2"),
    ),
    "RobustSleepEncoder": (("filter_reduction", "frequency_reduction"), ("gru", "gru")),
}
"""Their names of an encoder's modules, and ours, by our class."""

REDUCER_NAMES: dict[Dialect, Names] = {
    DREEM: (
        ("context_matrix", "context.weight"),
        ("context_bias", "context.bias"),
        ("context_vector", "score.weight"),
    ),
    ROBUST: (
        ("attention.context_matrix", "context"),
        ("attention.context_vector", "score"),
    ),
}
"""The same for the attention of a reducer."""

PROJECTED_NAMES: Names = (
    ("reduction", "projection"),
    ("attention.context_matrix", "attention.context"),
    ("attention.context_vector", "attention.score"),
)
"""The same for RobustSleepNet's reducer, which maps the frames before."""

OTHER_NAMES: Names = (
    ("features_encoder.layers.{n}.linear_{n}", "features_encoder.linears.{n}"),
    # residual GRU
    ("sequence_encoder.encoder.{n}.residual_connection", "sequence_encoder.layers.{n}.linear"),
    ("sequence_encoder.encoder.{n}.gru", "sequence_encoder.layers.{n}.gru"),
    # residual LSTM
    ("sequence_encoder.residual_connection", "sequence_encoder.linear"),
    ("sequence_encoder.lstm", "sequence_encoder.lstm"),
    # GRU and LSTM
    ("sequence_encoder.sequence_encoder", "sequence_encoder.recurrent"),
    # flatten
    ("sequence_encoder.layers.{n}.linear_{n}", "sequence_encoder.linears.{n}"),
    ("classifier", "classifier"),
)
"""The same for what comes after the groups."""

GROUP_PLACES: dict[Dialect, tuple[str, str]] = {
    # the residual GRU keeps its layers in sequence_encoder.encoder
    DREEM: (
        r"(?!sequence_encoder\.)(?P<group>\w+)\.encoder\.(?P<rest>.+)",
        r"reducer\.(?P<group>\w+)\.(?P<rest>.+)",
    ),
    ROBUST: (
        r"encoder_(?P<group>\w+)\.encoder\.(?P<rest>.+)",
        r"reducer_(?P<group>\w+)\.(?P<rest>.+)",
    ),
}
"""Where they keep the encoder and the reducer of a group."""

TRIANGLES = "filter_bank.triangular_filter_bank"
VIRTUAL_CHANNEL = r"channel_attention\.attention_(\d+)\.(context_matrix|context_vector)\.(\w+)"


def weights_from_reference(
    state: Mapping[str, Tensor], dialect: Dialect = DREEM
) -> dict[str, Tensor]:
    """The state of a ModuloNet, statistics left out, from that of the reference.

    Raises:
        InputError: a name that none of its networks has.
    """
    encoder_rows = tuple(row for rows in ENCODER_NAMES.values() for row in rows)
    ours: dict[str, Tensor] = {}
    virtual: defaultdict[str, dict[int, Tensor]] = defaultdict(dict)
    for name, value in state.items():
        encoder, reducer = (re.fullmatch(place, name) for place in GROUP_PLACES[dialect])
        if encoder and encoder["rest"] == TRIANGLES:
            continue  # follows from the sizes
        if encoder and (channel := re.fullmatch(VIRTUAL_CHANNEL, encoder["rest"])):
            leaf = "score" if channel[2] == "context_vector" else f"context.{channel[3]}"
            place = f"encoders.{encoder['group']}.encoder.channel_attention.{leaf}"
            virtual[place][int(channel[1])] = value
            continue
        if encoder:
            place = f"encoders.{encoder['group']}.encoder."
            renamed = _renamed(encoder["rest"], encoder_rows, place)
        elif reducer:
            projected = f"reducer_{reducer['group']}.reduction.weight" in state
            rows = PROJECTED_NAMES if projected else REDUCER_NAMES[dialect]
            renamed = _renamed(reducer["rest"], rows, f"encoders.{reducer['group']}.reducer.")
        else:
            renamed = _renamed(name, OTHER_NAMES)
        if renamed is None:
            raise InputError(f"weight {name[:200]!r} is not one of {dialect}'s")
        ours[renamed] = _our_value(name, value)
    for place, channels in virtual.items():
        ours[place] = torch.cat([channels[number] for number in sorted(channels)])
    return ours


def weights_to_reference(
    state: Mapping[str, Tensor], encoders: Mapping[str, str], dialect: Dialect
) -> dict[str, Tensor]:
    """The state of the reference, in its order, from that of a ModuloNet.

    Args:
        state: the ModuloNet's; statistics are left out.
        encoders: the class of each group's encoder, in the network's order.
        dialect: whose names to use.

    Raises:
        InputError: a weight for which they have no name.
    """
    theirs: dict[str, Tensor] = {}
    parts = [(part, group) for group in encoders for part in ("encoder", "reducer")]
    if dialect == DREEM:
        # all encoders, then all reducers; RobustSleepNet goes group by group
        parts.sort(key=lambda place: place[0])
    for part, group in parts:
        begin = f"encoders.{group}.{part}."
        weights = {n.removeprefix(begin): w for n, w in state.items() if n.startswith(begin)}
        if part == "encoder":
            rows = ENCODER_NAMES.get(encoders[group], ())
            place = f"encoder_{group}.encoder." if dialect == ROBUST else f"{group}.encoder."
        else:
            rows = PROJECTED_NAMES if "projection.weight" in weights else REDUCER_NAMES[dialect]
            place = f"reducer_{group}." if dialect == ROBUST else f"reducer.{group}."
        theirs |= _named(weights, rows, place, dialect)
    others = {
        name: weight
        for name, weight in state.items()
        if not name.startswith(("encoders.", "features_normalizer."))
    }
    return theirs | _named(others, OTHER_NAMES, "", dialect)


def _named(
    weights: Mapping[str, Tensor], rows: Names, place: str, dialect: Dialect
) -> dict[str, Tensor]:
    """The weights of one part under their names, which begin with `place`."""
    inverse = tuple((ours, theirs) for theirs, ours in rows)
    named: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if name == "filter_weights":
            channels, *sizes = weight.shape
            bank = triangles(*sizes).to(weight.device)
            named[place + TRIANGLES] = bank.expand(channels, -1, -1)
        if name.startswith("channel_attention."):
            named |= _virtual_channels(weights, place)
            continue
        renamed = _renamed(name, inverse, place)
        if renamed is None:
            raise InputError(f"weight {place}{name} has no name in {dialect}")
        named[renamed] = _their_value(renamed, weight)
    return named


def _virtual_channels(weights: Mapping[str, Tensor], place: str) -> dict[str, Tensor]:
    """The attention of each virtual channel, which we keep side by side."""
    matrix, bias, score = (
        weights[f"channel_attention.{name}"] for name in ("context.weight", "context.bias", "score")
    )
    number = len(score)
    parts = zip(matrix.chunk(number), bias.chunk(number), score.chunk(number), strict=True)
    return {
        f"{place}channel_attention.attention_{channel}.{name}": value
        for channel, values in enumerate(parts)
        for name, value in zip(
            ("context_matrix.weight", "context_matrix.bias", "context_vector.weight"),
            values,
            strict=True,
        )
    }


def _renamed(name: str, rows: Names, place: str = "") -> str | None:
    """What the first row that fits makes of a name, after `place`; None if none fits."""
    for before, after in rows:
        pattern = re.escape(before).replace(re.escape("{n}"), r"(?P<n>\d+)", 1)
        pattern = pattern.replace(re.escape("{n}"), r"(?P=n)")
        if match := re.fullmatch(pattern + r"(?P<leaf>(?:\.\w+)?)", name):
            number = match.groupdict().get("n", "")
            return place + after.replace("{n}", number) + match["leaf"]
    return None


def _our_value(theirs: str, value: Tensor) -> Tensor:
    if theirs.endswith(".context_bias"):
        return value.squeeze(0)  # (1, context) there, (context,) here
    if theirs.endswith(".context_vector"):
        return value.transpose(0, 1)  # (context, 1) there, (1, context) here
    if re.search(r"\.time_conv_\d\.weight$", theirs):
        return value.squeeze(-1)  # (maps, maps before, taps, 1) there
    return value


def _their_value(theirs: str, value: Tensor) -> Tensor:
    if theirs.endswith(".context_bias"):
        return value.unsqueeze(0)
    if theirs.endswith(".context_vector"):
        return value.transpose(0, 1)
    if re.search(r"\.time_conv_\d\.weight$", theirs):
        return value.unsqueeze(-1)
    return value
