"""Splits that somebody has written down: in the config, in a file, in a run's folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from sleep_lab.data.parts import PARTS, NightPart, Split, checked, describe, restore
from sleep_lab.data.split_options import names
from sleep_lab.errors import InputError, nearest, one_line
from sleep_lab.preparation import PreparedNight
from sleep_lab.whole_file import write_whole


def named(
    nights: Sequence[PreparedNight],
    context: int,
    train: Sequence[str],
    validation: Sequence[str],
    test: Sequence[str],
) -> Split:
    """The nights that the user lists for each part; others are not used.

    Raises:
        InputError: no lists, an unknown id, a person in two parts, an empty part.
    """
    by_id = {night.id: night for night in nights}
    lists: dict[str, list[str]] = {}
    for name, given in zip(PARTS, (train, validation, test), strict=True):
        lists[name] = ids = names(name, given, "nights' ids")
        for night_id in ids:
            if night_id not in by_id:
                raise InputError(f"split.{name}: no night {night_id!r}; {nearest(night_id, by_id)}")
        if len(set(ids)) < len(ids):
            raise InputError(f"split.{name}: a night is listed twice; list each once")
    return checked(
        {name: [NightPart.whole(by_id[i]) for i in sorted(ids)] for name, ids in lists.items()},
        context,
    )


def from_file(nights: Sequence[PreparedNight], context: int, file: str) -> Split:
    """The split in a JSON or YAML file; nights that it does not name are not used.

    Args:
        nights: prepared nights.
        context: sleep epochs in a window.
        file: {train: [...], validation: [...], test: [...]} with ids of nights, or the split.json
            in a run's folder.

    Raises:
        InputError: no such file, no split in it, or a split that `named` refuses too.
    """
    lists = _lists_in(Path(str(file)))
    try:
        if not any(isinstance(entry, Mapping) for ids in lists.values() for entry in ids):
            return named(nights, context, **lists)
        return checked({name: restore(lists[name], nights) for name in PARTS}, context)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: no split that train.py wrote ({one_line(error)})") from error


def write_split(path: Path, split: Split, options: Mapping[str, Any]) -> None:
    """Write a split to a JSON file that `from_file` reads, with the options that made it.

    Raises:
        InputError: the file cannot be written.
    """
    facts = {"options": dict(options), **describe(split)}
    write_whole(path, json.dumps(facts, indent=1).encode())


def _lists_in(path: Path) -> dict[str, list[Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        # the base loader makes no numbers and dates of ids
        content = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.BaseLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"split.file={path}: cannot be read: {one_line(error)}") from error
    lists = content if isinstance(content, Mapping) else {}
    for name in PARTS:
        if not isinstance(lists.get(name), list):
            raise InputError(
                f"split.file={path}: no list {name!r} in it; it wants {{train: [...], "
                "validation: [...], test: [...]} with the ids of nights"
            )
    return {name: lists[name] for name in PARTS}
