"""What a description from elsewhere may ask for, checked before anything is built of it."""

import pkgutil
import re
from collections.abc import Iterator
from typing import Any

from torch import nn

from sleep_lab.errors import InputError

LARGEST = {
    "channels": 4096,
    "context": 1023,
    "duration_s": 86_400,
    "filters": 1024,
    "layers": 64,
    "order": 16,
    "padding_s": 86_400,
    "samples": 2**23,
    "sampling_rate": 2048,
    "window_s": 30,
}
"""Bounds of the numbers that decide over memory and time before weights are looked at."""

LARGEST_NUMBER = 1e9
LONGEST = 4096
DEEPEST = 12
NAMED = ("groups", "features", "montage", "normalizer", "encoder", "reducer", "processings")
"""Entries whose keys are names of groups or features, which also name files."""


def require_bounded(description: Any, where: str) -> None:
    """Raise InputError unless it is plain data within bounds.

    Args:
        description: what JSON gave.
        where: what to call it in messages.
    """
    for name, value, depth in _nodes(description, where, 0):
        if depth > DEEPEST:
            raise InputError(f"{where}: nested too deeply")
        if isinstance(value, dict | list) and len(value) > LONGEST:
            raise InputError(f"{name}: {len(value)} entries are more than {LONGEST}")
        if isinstance(value, int | float):
            largest = LARGEST.get(name.rpartition(".")[2], LARGEST_NUMBER)
            if not -largest <= value <= largest:  # nor if it is not a number
                raise InputError(f"{name}: {str(value)[:20]} is beyond {largest:g}")
        if isinstance(value, dict) and name.rpartition(".")[2] in NAMED:
            for key in value:
                require_name(key, name)


def require_name(name: Any, where: str) -> str:
    """The name if it can be one of a group or a feature: letters, digits, _ + - and space.

    Prepared signals lie in files of that name, so it must not lead elsewhere.
    """
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w +-]{0,99}", name):
        raise InputError(f"{where}: {str(name)[:100]!r} is no name for a group or feature")
    return name


def require_parts(architecture: Any) -> None:
    """Raise InputError if it names anything of sleep_lab that is no layer.

    What may be named includes all of sleep_lab.models, and so what reads and writes files.
    """
    for name, value, _ in _nodes(architecture, "architecture", 0):
        if not isinstance(value, dict) or "_target_" not in value:
            continue
        target = str(value["_target_"])
        if extra := {key for key in value if key.startswith("_")} - {"_target_", "_partial_"}:
            raise InputError(f"{name}: {', '.join(sorted(extra))} is no argument of a part")
        if not target.startswith("sleep_lab."):
            continue  # the whitelist of who loads it decides
        try:
            part = pkgutil.resolve_name(target)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"{name}: there is no {target[:100]!r}") from error
        if not isinstance(part, type) or not issubclass(part, nn.Module):
            raise InputError(f"{name}: {target[:100]!r} is no part of a network")


def own_parts_only(architecture: Any) -> bool:
    """Whether all that it names is of sleep_lab."""
    return all(
        str(value.get("_target_", "sleep_lab.")).startswith("sleep_lab.")
        for _, value, _ in _nodes(architecture, "", 0)
        if isinstance(value, dict)
    )


def _nodes(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any, int]]:
    yield name, value, depth
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _nodes(child, f"{name}.{key}"[:200], depth + 1)
    if isinstance(value, list):
        for child in value:
            yield from _nodes(child, f"{name}[]"[:200], depth + 1)
