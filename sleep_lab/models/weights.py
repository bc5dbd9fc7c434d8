"""Weights in files: read as data, so that nothing in a file from elsewhere is executed."""

import json
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sleep_lab.errors import InputError, one_line
from sleep_lab.models.modulonet import ModuloNet, build
from sleep_lab.preparation import Preparation

CHECKPOINT_KEY = "sleep_lab"
"""Where a Lightning checkpoint keeps our facts, as JSON."""

MODULE_PREFIX = "model."
"""How the LightningModule calls its ModuloNet."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and what it needs to know.

    Attributes:
        model: the network, in evaluation mode.
        preparation: how its nights were prepared.
        config: the resolved config of its training.
        split: the parts of nights, as `sleep_lab.data.describe` tells them.
    """

    model: ModuloNet
    preparation: Preparation
    config: Mapping[str, Any]
    split: Mapping[str, Any]


def load_checkpoint(path: Path) -> TrainedModel:
    """The trained network in a checkpoint of ours.

    Raises:
        InputError: no such file, no checkpoint, no checkpoint of sleep_lab, or weights that do
            not fit its architecture.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: no checkpoint, or a damaged one; give one that train.py wrote")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        facts = json.loads(content[CHECKPOINT_KEY])
        state = content["state_dict"]
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: holds more than weights and plain values, so it is not loaded; give a "
            "checkpoint that train.py wrote"
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: a damaged checkpoint: {one_line(error)[:200]}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: a checkpoint, but not of sleep_lab (no {CHECKPOINT_KEY!r} entry)"
        ) from error
    model = build(facts["architecture"])
    weights = {
        name.removeprefix(MODULE_PREFIX): value
        for name, value in state.items()
        if name.startswith(MODULE_PREFIX)
    }
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{path}: weights do not fit the architecture: {one_line(error)}"
        ) from error
    model.preparation = Preparation.from_dict(**facts["preparation"])
    return TrainedModel(model.eval(), model.preparation, facts["config"], facts["split"])
