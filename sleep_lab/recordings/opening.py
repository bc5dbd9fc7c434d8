"""Opening a night, whatever its format."""

from difflib import get_close_matches
from pathlib import Path

import h5py

from sleep_lab.errors import InputError
from sleep_lab.recordings.edf import BDF_VERSION, EDF_VERSION, EdfFile, open_edf
from sleep_lab.recordings.h5 import H5File
from sleep_lab.recordings.recording import Recording
from sleep_lab.recordings.scoring import (
    LengthMismatch,
    Scoring,
    with_further_scorings,
    with_scoring,
)
from sleep_lab.recordings.table_file import SUFFIXES
from sleep_lab.stages import SLEEP_EPOCH_S


def open_recording(
    path: Path | str,
    scoring: Path | str | None = None,
    length_mismatch: LengthMismatch = "error",
) -> Recording:
    """A night in an h5, EDF, EDF+, BDF or BDF+ file; its format is told from its first bytes.

    Args:
        path: the recording.
        scoring: the file of its hypnogram (EDF+ annotations or h5); without one, the hypnogram
            in the recording's own file, if there is one. Further scorings are read from the same
            file, if it is h5.
        length_mismatch: what to do if scoring and signals do not cover the same time: "error",
            or "cut" to keep what both cover.

    Raises:
        InputError: a file is missing, in another format, damaged or shorter than one sleep
            epoch, or the scoring does not fit the signals.
    """
    if length_mismatch not in ("error", "cut"):
        raise InputError(f"length_mismatch is {length_mismatch!r}; it has to be error or cut")
    file = _recognised(Path(path), _remedy(Path(path)))
    recording = file.recording()
    if recording.epochs < 1:
        raise InputError(
            f"{path}: it lasts {recording.duration_s:g} s, less than one sleep epoch of "
            f"{SLEEP_EPOCH_S} s"
        )
    scored = file if scoring is None else _recognised(Path(scoring))
    if isinstance(scored, H5File):
        recording = with_further_scorings(recording, scored.further_scorings(), length_mismatch)
    stages = _scoring(scored, file)
    if stages is not None:
        return with_scoring(recording, stages, length_mismatch)
    if scoring is not None:
        raise InputError(f"{scoring}: there is no hypnogram in it; {_what_is_there(scored)}")
    return recording


def _remedy(path: Path) -> str:
    """What to do with a file of another format than those of recordings."""
    if path.suffix.casefold() in SUFFIXES:
        return f"if it is a table of features, use data=feature_table data.folder={path}"
    return "convert it to EDF"


def _recognised(path: Path, remedy: str = "convert it to EDF") -> EdfFile | H5File:
    if not path.exists():
        raise InputError(f"{path}: there is no such file{_sibling(path)}")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name a file in it")
    try:
        with path.open("rb") as file:
            beginning = file.read(8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if beginning in (EDF_VERSION, BDF_VERSION):
        return open_edf(path)
    if h5py.is_hdf5(path):
        return H5File(path)
    raise InputError(
        f"{path}: it is neither h5 nor EDF or BDF (it begins with {beginning!r}); {remedy}"
    )


def _scoring(scored: EdfFile | H5File, file: EdfFile | H5File) -> Scoring | None:
    if isinstance(scored, H5File):
        return scored.scoring()
    # an h5 file's start is UTC, an EDF's is local time: the two are not comparable
    return scored.scoring(file.local_start if isinstance(file, EdfFile) else None)


def _what_is_there(scored: EdfFile | H5File) -> str:
    if isinstance(scored, H5File):
        return "a scoring in h5 is a dataset called 'hypnogram'"
    texts = ", ".join(repr(text) for text in scored.annotation_texts()[:5])
    return f"stages are annotations such as 'Sleep stage N2', found: {texts or 'no annotations'}"


def _sibling(path: Path) -> str:
    if not path.parent.is_dir():
        return f", nor a folder {path.parent}"
    names = sorted(sibling.name for sibling in path.parent.iterdir())
    close = get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.with_name(close[0])}?" if close else ""
