"""What a run's folder holds of an earlier start of the same run."""

import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sleep_lab.errors import InputError, one_line
from sleep_lab.models.weights import CHECKPOINT_KEY
from sleep_lab.whole_file import write_whole

CHECKPOINTS = "checkpoints"
LAST = f"{CHECKPOINTS}/last.ckpt"
BEST = f"{CHECKPOINTS}/best.ckpt"
TRAINED = "training.json"

MAY_DIFFER = ("resume", "paths.", "logger.", "loader.workers", "callbacks.progress.")
"""Beginnings of keys that decide nothing about the weights."""

PLACES = (".folder", ".dirpath", ".path")
"""Ends of keys that say where files are; what is in them is known by its hash."""


@dataclass(frozen=True)
class EarlierRun:
    """How far an earlier start of this run came.

    Attributes:
        split: the parts of nights that it draws on, as `sleep_lab.data.describe` tells them; None
            if it left nothing to go on with.
        last: the checkpoint that training goes on from, or None.
        step: how many steps the optimizer had made there, or at the training's end.
        trained: the training came to its end; best.ckpt is what it is to be.
        scored: so did the scoring of the test nights.
        best_score: of the trained run, the best value of its monitored metric; None if undefined.
    """

    split: Mapping[str, Any] | None = None
    last: Path | None = None
    step: int = 0
    trained: bool = False
    scored: bool = False
    best_score: float | None = None


def holds_run(folder: Path) -> bool:
    """Whether a training has left weights in the folder."""
    return any((folder / name).is_file() for name in (LAST, BEST))


def earlier_run(folder: Path, config: Mapping[str, Any], resume: bool) -> EarlierRun:
    """What the folder holds of this run; what a killed process left half-written is removed.

    Args:
        folder: the run's folder.
        config: the resolved config.
        resume: whether an earlier start is to be gone on with.

    Raises:
        InputError: the folder holds a run and `resume` is false, the run had another config, or
            its checkpoint is damaged.
    """
    for part in (folder / CHECKPOINTS).glob(".*.part"):
        part.unlink(missing_ok=True)
    if not holds_run(folder):
        return EarlierRun()
    if not resume:
        raise InputError(
            f"{folder} holds a run already: go on with it by resume=true, or choose another folder "
            "by hydra.run.dir=..."
        )
    last = folder / LAST if (folder / LAST).is_file() else None
    step, facts = _read(last or folder / BEST)
    _require_same(facts["config"], config, folder)
    ended = json.loads((folder / TRAINED).read_text()) if (folder / TRAINED).is_file() else {}
    return EarlierRun(
        split=facts["split"],
        last=last,
        step=ended.get("steps", step if last else 0),
        trained=bool(ended),
        scored=ended.get("scored", False),
        best_score=ended.get("best_score"),
    )


def note_scored(folder: Path) -> None:
    """Keep in a trained run's folder that its test nights are scored, and all files written.

    Raises:
        InputError: the file cannot be written.
    """
    facts = json.loads((folder / TRAINED).read_text()) | {"scored": True}
    write_whole(folder / TRAINED, f"{json.dumps(facts, indent=2)}\n".encode())


def _read(path: Path) -> tuple[int, dict[str, Any]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return content["global_step"], json.loads(content[CHECKPOINT_KEY])
    except (OSError, RuntimeError, EOFError, LookupError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path}: a damaged checkpoint ({one_line(error)[:80]}); delete it, and the run begins "
            "anew"
        ) from error


def _require_same(was: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    then, today = dict(_flat(was)), dict(_flat(now))
    for key in sorted(then.keys() | today.keys()):
        if key.startswith(MAY_DIFFER) or key.endswith(PLACES) or then.get(key) == today.get(key):
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
