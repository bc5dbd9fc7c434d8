"""Hypnograms that exist already: of scorers or of models, read from files."""

import json
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from sleep_lab.errors import InputError, nearest, one_line
from sleep_lab.recordings.scoring import stages_of_codes
from sleep_lab.stages import REM, STAGE_OF_ANNOTATION, STAGES, UNSCORED

Hypnograms = Mapping[str, Mapping[str, NDArray[np.int8]]]
"""Name of a scorer or model -> record (night) -> (epochs,) int8 stage codes."""

_CODE_OF_NAME = {name: code for code, name in enumerate(STAGES)} | {"R": REM} | STAGE_OF_ANNOTATION


def read_hypnograms(path: Path) -> Hypnograms:
    """The hypnograms in a folder `NAME/RECORD.json`, or in an npz file with keys `NAME/RECORD`.

    A json file is a list with one stage per 30 s, as codes (-1 not scored, 0 W, 1 N1, 2 N2, 3 N3,
    4 REM), as names (`W`, `N1`, ..., or the texts of EDF+ annotations) or null where not scored.
    An npz file holds codes; nothing in it is unpickled.

    Raises:
        InputError: there is nothing at `path`, or some file in it is not a hypnogram.
    """
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_npz(path)
    raise InputError(f"{path}: not found; give a folder NAME/RECORD.json or an npz file")


def of_records(hypnograms: Hypnograms, records: Iterable[str]) -> Hypnograms:
    """The same hypnograms, of these nights only.

    Raises:
        InputError: somebody's hypnogram of one of the nights is missing.
    """
    wanted = list(records)
    for name, nights in hypnograms.items():
        for record in wanted:
            if record not in nights:
                raise InputError(
                    f"{name} has no hypnogram of night {record}; {nearest(record, nights)}"
                )
    return {name: {r: nights[r] for r in wanted} for name, nights in hypnograms.items()}


def _read_folder(folder: Path) -> Hypnograms:
    hypnograms = {
        person.name: {file.stem: _read_json(file) for file in sorted(person.glob("*.json"))}
        for person in sorted(folder.iterdir())
        if person.is_dir() and not person.name.startswith(".")
    }
    if not hypnograms:
        raise InputError(f"{folder}: no folders in it; expected NAME/RECORD.json for each scorer")
    for name, nights in hypnograms.items():
        if not nights:
            raise InputError(f"{folder / name}: no json files in it; expected one per night")
    return hypnograms


def _read_json(file: Path) -> NDArray[np.int8]:
    try:
        stages = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file}: cannot be read as json ({one_line(error)}); write a list of stages"
        ) from error
    if not isinstance(stages, list):
        raise InputError(f"{file}: holds no list; write a list with one stage per 30 s")
    return _hypnogram(np.array([_code(stage, file) for stage in stages]), str(file))


def _code(stage: Any, file: Path) -> float:
    if isinstance(stage, int | float) and not isinstance(stage, bool):
        return stage
    if stage is None or stage == "?":
        return UNSCORED
    if isinstance(stage, str) and stage in _CODE_OF_NAME:
        return _CODE_OF_NAME[stage]
    raise InputError(f"{file}: {stage!r} is no stage; write {', '.join(STAGES)} or codes -1 to 4")


def _read_npz(path: Path) -> Hypnograms:
    hypnograms: defaultdict[str, dict[str, NDArray[np.int8]]] = defaultdict(dict)
    try:
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, NpzFile):
                raise InputError(f"{path}: holds one array; expected an npz file, or a folder")
            for key in arrays.files:
                name, record = _name_and_record(path, key)
                hypnograms[name][record] = _hypnogram(arrays[key], f"{path}: {key}")
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: cannot be read as npz ({one_line(error)}); write it with numpy.savez"
        ) from error
    if not hypnograms:
        raise InputError(f"{path}: holds no hypnograms; expected arrays named NAME/RECORD")
    return dict(hypnograms)


def _name_and_record(path: Path, key: str) -> tuple[str, str]:
    parts = key.split("/")
    if len(parts) != 2 or any(part in ("", ".", "..") for part in parts):
        raise InputError(f"{path}: an array is named {key!r}; name it NAME/RECORD")
    return parts[0], parts[1]


def _hypnogram(codes: NDArray[Any], origin: str) -> NDArray[np.int8]:
    if not codes.size:
        raise InputError(f"{origin}: the hypnogram is empty; give one stage per 30 s")
    return stages_of_codes(codes, origin)
