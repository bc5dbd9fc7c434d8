"""What lies in a folder, and which night and person a file is."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from sleep_lab.errors import InputError
from sleep_lab.recordings.night_source import NightSource

Source = TypeVar("Source", bound=NightSource)


def files_below(root: Path, pattern: str) -> list[Path]:
    """Files below the folder; hidden ones are left by systems, not by people."""
    return sorted(p for p in root.rglob(pattern) if p.is_file() and not p.name.startswith("."))


def found_files(root: Path, *patterns: str) -> list[Path]:
    """Files below the folder, sorted.

    Raises:
        InputError: there is no such folder, or no such file; the message says what is there.
    """
    if not root.is_dir():
        what = "this is a file, not a folder" if root.exists() else "there is no such folder"
        raise InputError(f"{root}: {what}")
    paths = sorted({path for pattern in patterns for path in files_below(root, pattern)})
    if not paths:
        kinds = Counter(path.suffix or "no suffix" for path in files_below(root, "*"))
        there = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(5))
        raise InputError(
            f"{root}: no {' or '.join(patterns)} in it or in the folders below; "
            f"found: {there or 'no files'}"
        )
    return paths


def night_id(path: Path, root: Path) -> str:
    """The path below the folder, without suffix and with "-" for "/"."""
    return "-".join(path.relative_to(root).with_suffix("").parts)


def person_of(night: str, pattern: str | None) -> str:
    """What the regular expression finds in the night's id, its first group if it has one.

    Raises:
        InputError: it finds nothing, or is no regular expression.
    """
    if pattern is None:
        return night
    try:
        found = re.search(pattern, night)
    except re.error as error:
        raise InputError(f"person_pattern {pattern!r} is no regular expression: {error}") from error
    if found is None:
        raise InputError(f"person_pattern {pattern!r} finds no person in the night {night!r}")
    return found[1] if found.re.groups else found[0]


def sorted_nights(nights: Iterable[Source]) -> list[Source]:
    """Sorted by id.

    Raises:
        InputError: two have the same id.
    """
    by_id: dict[str, Source] = {}
    for night in nights:
        other = by_id.setdefault(night.id, night)
        if other is not night:
            raise InputError(
                f"{other.files[0]} and {night.files[0]} are both night {night.id!r}; rename one of "
                "them"
            )
    return [by_id[night] for night in sorted(by_id)]
