"""Scorings as people have them, laid over the sleep epochs of a recording."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.recordings.recording import Recording
from sleep_lab.stages import N3, REM, SLEEP_EPOCH_S, STAGE_OF_ANNOTATION, STAGES, UNSCORED, W

logger = logging.getLogger(__name__)

LengthMismatch = Literal["error", "cut"]

_STAGE_OF_NAME = {
    **{text.lower(): code for text, code in STAGE_OF_ANNOTATION.items()},
    **{text.removeprefix("Sleep stage ").lower(): c for text, c in STAGE_OF_ANNOTATION.items()},
    **{f"s{number}": min(number, N3) for number in (1, 2, 3, 4)},
    **{"wake": W, "rem": REM, "mt": UNSCORED},
}
_GRID_TOLERANCE_S = 1.0
_LONGEST_S = 31 * 24 * 3600


@dataclass(frozen=True)
class Scoring:
    """The stages that somebody gave to a night.

    Attributes:
        origin: the file, for messages.
        stages: (epochs,) int8 stage codes, one per 30 s.
        first: which sleep epoch of the recording `stages` begins with; negative if the scoring
            begins before the signals do.
        offset_s: when the sleep epochs begin, in seconds after the first sample: 0 to 30.
    """

    origin: str
    stages: NDArray[np.int8]
    first: int = 0
    offset_s: float = 0.0


@dataclass(frozen=True)
class Annotation:
    """A text at a time: an onset in seconds, a duration in seconds if the file has one."""

    onset_s: float
    duration_s: float | None
    text: str


def stages_of_codes(codes: NDArray, origin: str) -> NDArray[np.int8]:
    """The hypnogram of a file's numbers, as int8.

    Raises:
        InputError: the numbers are not one row, or one of them is no stage code.
    """
    if codes.ndim != 1 or codes.dtype.kind not in "iufb":
        raise InputError(
            f"{origin}: the hypnogram is an array of {codes.dtype} with shape {codes.shape}; "
            "it has to be one row of numbers, one per 30 s"
        )
    unknown = ~np.isin(codes, np.arange(UNSCORED, len(STAGES)))
    if unknown.any():
        raise InputError(
            f"{origin}: the hypnogram holds {codes[unknown][0]:g} in sleep epoch "
            f"{np.argmax(unknown)}, which is no stage; codes are -1 for not scored, then 0 W, 1 "
            "N1, 2 N2, 3 N3, 4 REM"
        )
    return codes.astype(np.int8)


def stages_of_texts(texts: NDArray[np.str_], origin: str) -> NDArray[np.int8]:
    """The hypnogram of a file's texts: names of stages, or codes if they all are; empty for none.

    Names are the AASM's (N1, REM) or Rechtschaffen and Kales' (1, S1, R), whatever the case, as an
    EDF+ annotation has them or alone.

    Raises:
        InputError: a text is neither.
    """
    texts = np.strings.strip(texts)
    scored = texts != ""
    stages = np.full(len(texts), UNSCORED, np.int8)
    try:
        stages[scored] = stages_of_codes(texts[scored].astype(np.float64), origin)
        return stages
    except ValueError:
        pass
    names, where = np.unique(np.strings.lower(texts[scored]), return_inverse=True)
    unknown = [name for name in names if name not in _STAGE_OF_NAME]
    if unknown:
        epoch = np.argmax(np.strings.lower(texts) == unknown[0])
        raise InputError(
            f"{origin}: the hypnogram holds {str(texts[epoch])!r} in sleep epoch {epoch}, which is "
            "no stage; names are W, N1, N2, N3, REM, and ? for not scored"
        )
    stages[scored] = np.array([_STAGE_OF_NAME[name] for name in names], np.int8)[where]
    return stages


def scoring_of_annotations(
    annotations: Sequence[Annotation], shift_s: float, origin: str
) -> Scoring | None:
    """The scoring in EDF+ annotations (EDF+ specification, section 3.2), None if there is none.

    A stage lasts as long as its annotation says, be it one sleep epoch or a hundred; without a
    duration it lasts until the next stage, the last one for one epoch. Texts that are no stage
    are left out. Sleep epochs begin with the first sample, or where the first stage does if that is
    more than 1 s off.

    Args:
        annotations: in any order.
        shift_s: added to every onset, so that 0 is the recording's first sample.
        origin: the file, for messages.

    Raises:
        InputError: a stage begins or ends more than 1 s off the sleep epochs, two different stages
            are given to one of them, or the stages span more than a month.
    """
    codes = [_stage(annotation.text) for annotation in annotations]
    staged = sorted(
        (annotation.onset_s + shift_s, annotation.duration_s or 0.0, code)
        for annotation, code in zip(annotations, codes, strict=True)
        if code is not None
    )
    if not staged:
        return None
    onsets, durations, stages = (np.array(column) for column in zip(*staged, strict=True))
    until_next = np.maximum(np.diff(onsets, append=onsets[-1]), SLEEP_EPOCH_S)
    ends = onsets + np.where(durations > 0, durations, until_next)
    span_s = ends.max() - onsets[0]
    if span_s > _LONGEST_S:
        raise InputError(f"{origin}: its stages last {span_s / 3600:.0f} h; a duration is wrong")
    # the night may end within a sleep epoch: what is left of it has no stage
    ends[-1] -= (ends[-1] - onsets[-1] + _GRID_TOLERANCE_S) % SLEEP_EPOCH_S - _GRID_TOLERANCE_S
    offset_s = float(onsets[0] % SLEEP_EPOCH_S)
    if min(offset_s, SLEEP_EPOCH_S - offset_s) <= _GRID_TOLERANCE_S:
        offset_s = 0.0
    first = _on_grid(onsets, offset_s, "begins", origin)
    last = _on_grid(ends, offset_s, "ends", origin)
    scoring = _laid_out(first, last - first, stages, origin)
    return scoring and replace(scoring, offset_s=offset_s)


def with_scoring(
    recording: Recording, scoring: Scoring, length_mismatch: LengthMismatch
) -> Recording:
    """The recording with its hypnogram: one stage for each of its sleep epochs.

    A recording whose scoring has sleep epochs of its own begins with them. Unscored epochs outside
    the signals are dropped, as is the stage of an incomplete last epoch; one missing last epoch is
    unscored, as are those before the scoring begins unless `length_mismatch` is "cut". A scoring
    without any stage leaves no hypnogram.

    Raises:
        InputError: the scoring has stages outside the signals or ends more than one epoch before
            they do, and `length_mismatch` is "error"; or the two have nothing in common.
    """
    if (scoring.stages == UNSCORED).all():
        return recording
    if scoring.offset_s:
        logger.warning(
            "%s: its sleep epochs begin %g s after the first sample of %s, which is cut to begin "
            "there",
            *(scoring.origin, scoring.offset_s, recording.origin),
        )
        recording = recording.from_second(scoring.offset_s)
    epochs = recording.epochs
    before = scoring.stages[: max(0, -scoring.first)]
    late = np.full(max(0, scoring.first), UNSCORED, np.int8)
    stages = np.concatenate([late, scoring.stages[len(before) :]])
    outside = np.concatenate([before, stages[_begun_epochs(recording) :]])
    stages = stages[:epochs]
    if (stages == UNSCORED).all():
        raise InputError(
            f"{scoring.origin}: all its stages are outside the signals of {recording.origin}; "
            "check that the scoring belongs to this recording"
        )
    missing = epochs - len(stages)
    if missing > 1 or (outside != UNSCORED).any():
        _mismatch(recording, scoring, length_mismatch)
        recording = recording.cut(0, len(stages))
    elif missing:
        stages = np.append(stages, np.int8(UNSCORED))
    scored = replace(recording, hypnogram=stages)
    return scored.cut(len(late), len(stages)) if length_mismatch == "cut" and len(late) else scored


def with_further_scorings(
    recording: Recording, scorings: Mapping[str, Scoring], length_mismatch: LengthMismatch
) -> Recording:
    """The recording with what further people scored, each from its first sample on.

    Stages are laid over the sleep epochs as those of `with_scoring`, but no further scorer shortens
    the night: if `length_mismatch` is "cut", stages outside the signals are dropped and missing
    ones are unscored, with a warning.

    Raises:
        InputError: a scoring has stages outside the signals or ends more than one epoch before
            they do, and `length_mismatch` is "error"; or a scorer's name cannot be used.
    """
    laid_out = {}
    for name, scoring in scorings.items():
        stages = scoring.stages
        missing = recording.epochs - len(stages)
        if missing > 1 or (stages[_begun_epochs(recording) :] != UNSCORED).any():
            _mismatch(recording, scoring, length_mismatch)
        laid_out[name] = np.pad(
            stages[: recording.epochs], (0, max(0, missing)), constant_values=UNSCORED
        )
    return replace(recording, scorings=laid_out)


def _begun_epochs(recording: Recording) -> int:
    """Number of sleep epochs, counting a last one that is incomplete."""
    return recording.epochs + (recording.duration_s > recording.epochs * SLEEP_EPOCH_S + 0.01)


def _mismatch(recording: Recording, scoring: Scoring, length_mismatch: LengthMismatch) -> None:
    begin = f" from epoch {scoring.first}" if scoring.first else ""
    found = (
        f"{scoring.origin}: the hypnogram has {_length(len(scoring.stages))}{begin}, "
        f"the signals of {recording.origin} have {_length(recording.epochs)}"
    )
    if length_mismatch == "error":
        raise InputError(
            f"{found}; check that the scoring belongs to this recording, or set "
            "data.length_mismatch=cut to keep what both cover"
        )
    logger.warning("%s; what both cover is kept", found)


def _stage(text: str) -> int | None:
    # "@@" and a channel's name may follow the text (EDF+ specification, section 2.2.4)
    return STAGE_OF_ANNOTATION.get(text.partition("@@")[0].strip())


def _on_grid(
    times: NDArray[np.float64], offset_s: float, what: str, origin: str
) -> NDArray[np.int64]:
    epochs = np.rint((times - offset_s) / SLEEP_EPOCH_S)
    off = np.abs(times - offset_s - epochs * SLEEP_EPOCH_S)
    if (off > _GRID_TOLERANCE_S).any():
        time = times[off > _GRID_TOLERANCE_S][0]
        raise InputError(
            f"{origin}: a stage {what} {time:g} s after the first sample, {off.max():g} s off the "
            f"{SLEEP_EPOCH_S} s epochs that begin with the first stage; move the annotation"
        )
    return epochs.astype(np.int64)


def _laid_out(
    first: NDArray[np.int64], counts: NDArray[np.int64], stages: NDArray[np.int64], origin: str
) -> Scoring | None:
    """Runs of `counts` epochs from `first` as one stage per epoch."""
    if not counts.sum():
        return None
    runs = np.repeat(first - np.cumsum(counts) + counts, counts)
    epochs = runs + np.arange(counts.sum())
    codes = np.repeat(stages, counts)
    begin = epochs.min()
    highest = np.full(epochs.max() - begin + 1, UNSCORED, np.int8)
    np.maximum.at(highest, epochs - begin, codes.astype(np.int8))
    differs = (codes != UNSCORED) & (codes != highest[epochs - begin])
    if differs.any():
        raise InputError(
            f"{origin}: sleep epoch {epochs[differs][0]} is both {STAGES[codes[differs][0]]} and "
            f"{STAGES[highest[epochs[differs][0] - begin]]}; keep one scorer's annotations"
        )
    return Scoring(origin, highest, int(begin))


def _length(epochs: int) -> str:
    minutes = epochs * SLEEP_EPOCH_S // 60
    return f"{epochs} epochs ({minutes // 60}:{minutes % 60:02d} h)"
