"""Weights of dreem-learning-open's networks under the names that a ModuloNet gives them.

Its archives hold the weights in `state.torch` and the fitted statistics, as lists, in
`normalization_parameters.json`.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sleep_lab.errors import InputError

RENAMED = (
    (r"reducer\.(\w+)\.context_matrix", r"encoders.\1.reducer.context.weight"),
    (r"reducer\.(\w+)\.context_bias", r"encoders.\1.reducer.context.bias"),
    (r"reducer\.(\w+)\.context_vector", r"encoders.\1.reducer.score.weight"),
    (r"features_encoder\.layers\.(\d+)\.linear_\d+\.(\w+)", r"features_encoder.linears.\1.\2"),
    # residual GRU
    (
        r"sequence_encoder\.encoder\.(\d+)\.residual_connection\.(\w+)",
        r"sequence_encoder.layers.\1.linear.\2",
    ),
    (r"sequence_encoder\.encoder\.(\d+)\.gru\.(\w+)", r"sequence_encoder.layers.\1.gru.\2"),
    # residual LSTM
    (r"sequence_encoder\.residual_connection\.(\w+)", r"sequence_encoder.linear.\1"),
    (r"sequence_encoder\.lstm\.(\w+)", r"sequence_encoder.lstm.\1"),
    # GRU and LSTM
    (r"sequence_encoder\.sequence_encoder\.(\w+)", r"sequence_encoder.recurrent.\1"),
    (r"classifier\.(\w+)", r"classifier.\1"),
    # SimpleSleepNet, and the GRU of SeqSleepNet
    (r"(\w+)\.encoder\.filter_reduction\.(\w+)", r"encoders.\1.encoder.frequency_reduction.\2"),
    (r"(\w+)\.encoder\.virtual_channels\.(\w+)", r"encoders.\1.encoder.channel_recombination.\2"),
    (r"(\w+)\.encoder\.gru\.(\w+)", r"encoders.\1.encoder.gru.\2"),
    # SeqSleepNet
    (r"(\w+)\.encoder\.filter_bank\.filter_weights", r"encoders.\1.encoder.filter_weights"),
    (r"(\w+)\.encoder\.filter_bank\.bn\.(\w+)", r"encoders.\1.encoder.batch_norm.\2"),
    # DeepSleepNet
    (r"(\w+)\.encoder\.conv_1_(\d)\.(\w+)", r"encoders.\1.encoder.short.block_\2.conv.\3"),
    (r"(\w+)\.encoder\.bn_1_(\d)\.(\w+)", r"encoders.\1.encoder.short.block_\2.batch_norm.\3"),
    (r"(\w+)\.encoder\.conv_2_(\d)\.(\w+)", r"encoders.\1.encoder.long.block_\2.conv.\3"),
    (r"(\w+)\.encoder\.bn_2_(\d)\.(\w+)", r"encoders.\1.encoder.long.block_\2.batch_norm.\3"),
    # Chambon et al., Tsinalis et al.
    (
        r"(\w+)\.encoder\.encoder\.spatial_conv\.(\w+)",
        r"encoders.\1.encoder.channel_recombination.\2",
    ),
    (
        r"(\w+)\.encoder\.encoder\.(?:time_)?conv_(\d)\.(\w+)",
        r"encoders.\1.encoder.layers.conv_\2.\3",
    ),
)
"""Patterns of the reference's names and ours; the first that matches a whole name counts."""


def weights_from_reference(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a ModuloNet, statistics left out, from that of the reference.

    Raises:
        InputError: a name that none of its networks has.
    """
    renamed = {}
    for name, value in state.items():
        if name.endswith(".triangular_filter_bank"):
            continue  # follows from the sizes
        ours = _renamed(name)
        if name.endswith(".context_bias"):
            value = value.squeeze(0)  # (1, context) there, (context,) here
        elif name.endswith(".context_vector"):
            value = value.transpose(0, 1)  # (context, 1) there, (1, context) here
        elif re.search(r"\.time_conv_\d\.weight$", name):
            value = value.squeeze(-1)  # (maps, maps before, taps, 1) there
        renamed[ours] = value
    return renamed


def statistics_from_reference(normalization: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state of a ModuloNet's standardizations from the reference's list of normalizations."""
    state = {}
    for group in normalization["signals"]:
        for position, step in enumerate(group["normalization"]):
            if step["type"] == "standardization":
                place = f"encoders.{group['name']}.normalizer.{position}"
                # (1, 1, channels, ..., 1) there: batch and context come first
                state[f"{place}.mean"] = torch.tensor(step["args"]["mu"])[0, 0]
                state[f"{place}.std"] = torch.tensor(step["args"]["sigma"])[0, 0]
                state[f"{place}.fitted"] = torch.tensor(True)
    return state


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMED:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    raise InputError(f"weight {name!r} is not one of dreem-learning-open's")
