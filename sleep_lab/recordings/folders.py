"""The nights in a folder."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from sleep_lab.errors import InputError
from sleep_lab.recordings.listing import (
    files_below,
    found_files,
    night_id,
    person_of,
    sorted_nights,
)
from sleep_lab.recordings.night_source import NightFile
from sleep_lab.recordings.scoring import LengthMismatch

logger = logging.getLogger(__name__)

SCORING_SUFFIXES = (
    "-hypnogram",
    "_hypnogram",
    "-hypno",
    "_hypno",
    "-scoring",
    "_scoring",
    "_sleepscoring",
    "-annotations",
    "_annotations",
)
"""What follows a recording's name in the name of its scoring, whatever the case."""

_SCORING_FORMATS = (".edf", ".bdf", ".h5", ".hdf5")


def h5_folder(
    folder: Path | str,
    pattern: str = "*.h5",
    person_pattern: str | None = None,
    length_mismatch: LengthMismatch = "error",
) -> list[NightFile]:
    """The nights in the h5 files of a folder and the folders below it, sorted by id.

    A night's id is its path below the folder, without suffix and with "-" for "/".

    Args:
        folder: where to look.
        pattern: which files.
        person_pattern: regular expression whose first group in a night's id (or whole match) is
            the person; without one, every night is another person.
        length_mismatch: see `open_recording`.

    Raises:
        InputError: no folder, no such file in it, two nights with one id, or an id in which
            `person_pattern` finds nothing.
    """
    root = Path(folder)
    return sorted_nights(
        NightFile(
            id=night_id(path, root),
            person=person_of(night_id(path, root), person_pattern),
            path=path,
            length_mismatch=length_mismatch,
        )
        for path in found_files(root, pattern)
    )


def edf_folder(
    folder: Path | str,
    pattern: str = "*.edf",
    scoring_suffixes: Sequence[str] = SCORING_SUFFIXES,
    person_pattern: str | None = None,
    around_sleep_min: float | None = None,
    length_mismatch: LengthMismatch = "error",
) -> list[NightFile]:
    """The nights in the EDF files of a folder and the folders below it, sorted by id.

    The scoring of NAME.edf is the file NAME with one of `scoring_suffixes` in the same folder
    (EDF, BDF or h5), or else the annotations in NAME.edf. Ids are those of `h5_folder`.

    Args:
        folder: where to look.
        pattern: which files.
        scoring_suffixes: ends of the names of scorings, whatever the case.
        person_pattern: see `h5_folder`.
        around_sleep_min: minutes kept before and after sleep; all if None.
        length_mismatch: see `open_recording`.

    Raises:
        InputError: as `h5_folder`; or two scorings for one night.
    """
    root = Path(folder)
    suffixes = tuple(suffix.casefold() for suffix in scoring_suffixes)
    paths = [p for p in found_files(root, pattern) if not p.stem.casefold().endswith(suffixes)]
    if not paths:
        raise InputError(f"{root}: every {pattern} in it has a scoring's name; no recording found")
    scorings = _scorings(root, suffixes)
    return sorted_nights(
        NightFile(
            id=night_id(path, root),
            person=person_of(night_id(path, root), person_pattern),
            path=path,
            scoring=_only_one(path, scorings[path.parent, path.stem.casefold()]),
            around_sleep_min=around_sleep_min,
            length_mismatch=length_mismatch,
        )
        for path in paths
    )


def sleep_edf(
    folder: Path | str,
    around_sleep_min: float | None = 30,
    length_mismatch: LengthMismatch = "error",
) -> list[NightFile]:
    """The nights of the Sleep-EDF Database Expanded (Kemp et al. 2000), sorted by id.

    SC4001E0-PSG.edf has its scoring in SC4001EC-Hypnogram.edf: the eighth character is the
    scorer's. The night is SC4001E0, the person SC400. A night without scoring is kept, with a
    warning.

    Args:
        folder: where to look, folders below it included.
        around_sleep_min: minutes kept before and after sleep: the cassettes run for a day.
        length_mismatch: see `open_recording`.

    Raises:
        InputError: no folder, no recording in it, one recording twice, or two scorings for one.
    """
    root = Path(folder)
    scorings: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files_below(root, "*-Hypnogram.edf"):
        scorings[path.parent, path.name[:7]].append(path)
    nights = sorted_nights(
        NightFile(
            id=path.stem.removesuffix("-PSG"),
            person=path.name[:5],
            path=path,
            scoring=_only_one(path, scorings[path.parent, path.name[:7]]),
            around_sleep_min=around_sleep_min,
            length_mismatch=length_mismatch,
        )
        for path in found_files(root, "*-PSG.edf")
    )
    return _told(nights, lambda night: f"{night.path.name[:7]}?-Hypnogram.edf")


def mass(
    folder: Path | str,
    around_sleep_min: float | None = None,
    length_mismatch: LengthMismatch = "cut",
) -> list[NightFile]:
    """The nights of the Montreal Archive of Sleep Studies (O'Reilly et al. 2014), sorted by id.

    `01-03-0001 PSG.edf` has its scoring in `01-03-0001 Base.edf`; the night and the person are
    01-03-0001. Scorers did not begin with the recording, so that a night is cut to what they
    scored. A night without scoring is kept, with a warning. Those that are scored every 20 s (SS2,
    SS4, SS5) are errors when they are opened.

    Args:
        folder: where to look, folders below it included.
        around_sleep_min: minutes kept before and after sleep; all if None.
        length_mismatch: see `open_recording`.

    Raises:
        InputError: no folder, no recording in it, or one recording twice.
    """

    def scoring(path: Path) -> Path:
        return path.with_name(f"{path.stem.removesuffix('PSG')}Base.edf")

    nights = sorted_nights(
        NightFile(
            id=path.stem.removesuffix(" PSG"),
            person=path.stem.removesuffix(" PSG"),
            path=path,
            scoring=scoring(path) if scoring(path).is_file() else None,
            around_sleep_min=around_sleep_min,
            length_mismatch=length_mismatch,
        )
        for path in found_files(Path(folder), "* PSG.edf")
    )
    return _told(nights, lambda night: scoring(night.path).name)


def recording_file(path: Path | str, scoring: Path | str | None = None) -> NightFile:
    """A night in a file of its own; its id and person are the file's name without suffix."""
    path = Path(path)
    return NightFile(
        id=path.stem,
        person=path.stem,
        path=path,
        scoring=None if scoring is None else Path(scoring),
    )


def _scorings(root: Path, suffixes: Sequence[str]) -> defaultdict[tuple[Path, str], list[Path]]:
    """The scorings of each recording, under its folder and case-folded name."""
    scorings: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files_below(root, "*"):
        name = path.stem.casefold()
        longest = max((s for s in suffixes if name.endswith(s)), key=len, default=None)
        if longest is not None and path.suffix.casefold() in _SCORING_FORMATS:
            scorings[path.parent, name.removesuffix(longest)].append(path)
    return scorings


def _only_one(path: Path, scorings: Sequence[Path]) -> Path | None:
    if len(scorings) > 1:
        names = ", ".join(scoring.name for scoring in scorings)
        raise InputError(f"{path}: it has {len(scorings)} scorings ({names}); keep one of them")
    return scorings[0] if scorings else None


def _told(nights: list[NightFile], scoring_of: Callable[[NightFile], str]) -> list[NightFile]:
    """The nights, after a warning for each that has no scoring beside it."""
    for night in nights:
        if night.scoring is None:
            expected = scoring_of(night)
            logger.warning("%s: no %s beside it; it is kept unscored", night.path, expected)
    return nights
