"""What a run's folder holds of an earlier start of the same run."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sleep_lab.errors import InputError
from sleep_lab.models.weights import CHECKPOINT_KEY

CHECKPOINTS = "checkpoints"
LAST = f"{CHECKPOINTS}/last.ckpt"
BEST = f"{CHECKPOINTS}/best.ckpt"
TRAINED = "training.json"
SCORED = "metrics.json"

MAY_DIFFER = ("resume", "paths.", "logger.", "loader.workers", "callbacks.progress.")
"""Beginnings of keys that decide nothing about the weights."""


@dataclass(frozen=True)
class EarlierRun:
    """How far an earlier start of this run came.

    Attributes:
        last: the checkpoint that training goes on from, or None.
        step: how many steps the optimizer had made there; infinity if there are no more to come.
        trained: the training came to its end; best.ckpt is what it is to be.
        scored: so did the scoring of the test nights.
        best_score: of the trained run, the best value of its monitored metric; None if undefined.
    """

    last: Path | None = None
    step: float = 0
    trained: bool = False
    scored: bool = False
    best_score: float | None = None


def earlier_run(folder: Path, config: Mapping[str, Any], resume: bool) -> EarlierRun:
    """What the folder holds of this run; what a killed process left half-written is removed.

    Args:
        folder: the run's folder.
        config: the resolved config.
        resume: whether an earlier start is to be gone on with.

    Raises:
        InputError: the folder holds a run and `resume` is false, or the run had another config.
    """
    for part in (folder / CHECKPOINTS).glob(".*.part"):
        part.unlink(missing_ok=True)
    found = [folder / name for name in (LAST, BEST) if (folder / name).is_file()]
    if not found:
        return EarlierRun()
    if not resume:
        raise InputError(
            f"{folder} holds a run already: go on with it by resume=true, or choose another folder "
            "by hydra.run.dir=..."
        )
    content = torch.load(found[0], map_location="cpu", weights_only=True, mmap=True)
    _require_same(json.loads(content[CHECKPOINT_KEY])["config"], config, folder)
    trained = folder / TRAINED
    facts = json.loads(trained.read_text()) if trained.is_file() else {}
    last = found[0] if found[0] == folder / LAST else None
    return EarlierRun(
        last=last,
        step=math.inf if facts else content["global_step"] if last else 0,
        trained=bool(facts),
        scored=bool(facts) and (folder / SCORED).is_file(),
        best_score=facts.get("best_score"),
    )


def _require_same(was: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    then, today = dict(_flat(was)), dict(_flat(now))
    for key in sorted(then.keys() | today.keys()):
        if key.startswith(MAY_DIFFER) or then.get(key) == today.get(key):
            continue
        raise InputError(
            f"{folder} holds a run with {key}={then.get(key)}, not {today.get(key)}: repeat its "
            "command to go on with it, or choose another folder by hydra.run.dir=..."
        )


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Full keys and values of a nested config."""
    for key, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
