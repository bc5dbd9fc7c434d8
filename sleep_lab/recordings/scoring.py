"""Scorings as people have them, laid over the sleep epochs of a recording."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.recordings.recording import Recording
from sleep_lab.stages import SLEEP_EPOCH_S, STAGE_OF_ANNOTATION, STAGES, UNSCORED

logger = logging.getLogger(__name__)

LengthMismatch = Literal["error", "cut"]

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
    """

    origin: str
    stages: NDArray[np.int8]
    first: int = 0


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
    unknown = codes[~np.isin(codes, np.arange(UNSCORED, len(STAGES)))]
    if unknown.size:
        raise InputError(
            f"{origin}: the hypnogram holds {unknown[0]:g}, which is no stage; codes are -1 for "
            "not scored, then 0 W, 1 N1, 2 N2, 3 N3, 4 REM"
        )
    return codes.astype(np.int8)


def scoring_of_annotations(
    annotations: Sequence[Annotation], shift_s: float, origin: str
) -> Scoring | None:
    """The scoring in EDF+ annotations (EDF+ specification, section 3.2), None if there is none.

    A stage lasts as long as its annotation says, be it one sleep epoch or a hundred; without a
    duration it lasts until the next stage, the last one for one epoch. Texts that are no stage
    are left out.

    Args:
        annotations: in any order.
        shift_s: added to every onset, so that 0 is the recording's first sample.
        origin: the file, for messages.

    Raises:
        InputError: a stage begins or ends more than 1 s off the recording's 30 s grid, two
            different stages are given to one sleep epoch, or the stages span more than a month.
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
    first = _on_grid(onsets, "begins", origin)
    last = _on_grid(ends, "ends", origin)
    return _laid_out(first, last - first, stages, origin)


def with_scoring(
    recording: Recording, scoring: Scoring, length_mismatch: LengthMismatch
) -> Recording:
    """The recording with its hypnogram: one stage for each of its sleep epochs.

    Unscored epochs outside the signals are dropped, as is the stage of an incomplete last epoch;
    one missing last epoch is unscored. A scoring without any stage leaves no hypnogram.

    Raises:
        InputError: the scoring has stages outside the signals or ends more than one epoch before
            they do, and `length_mismatch` is "error"; or the two have nothing in common.
    """
    if (scoring.stages == UNSCORED).all():
        return recording
    epochs = recording.epochs
    before = scoring.stages[: max(0, -scoring.first)]
    late = np.full(max(0, scoring.first), UNSCORED, np.int8)
    stages = np.concatenate([late, scoring.stages[len(before) :]])
    incomplete = recording.duration_s > epochs * SLEEP_EPOCH_S + 0.01
    outside = np.concatenate([before, stages[epochs + incomplete :]])
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
    return replace(recording, hypnogram=stages)


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


def _on_grid(times: NDArray[np.float64], what: str, origin: str) -> NDArray[np.int64]:
    epochs = np.rint(times / SLEEP_EPOCH_S)
    off = np.abs(times - epochs * SLEEP_EPOCH_S)
    if (off > _GRID_TOLERANCE_S).any():
        time = times[off > _GRID_TOLERANCE_S][0]
        raise InputError(
            f"{origin}: a stage {what} {time:g} s after the first sample, {off.max():g} s off the "
            "recording's 30 s epochs; move the annotations (or the start time) onto them"
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
