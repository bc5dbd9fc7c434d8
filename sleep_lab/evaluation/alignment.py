"""Hypnograms of one night cut to the sleep epochs that all of them cover."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.evaluation.scorings import Hypnograms
from sleep_lab.stages import UNSCORED

logger = logging.getLogger(__name__)

Lights = Mapping[str, tuple[int | None, int | None]]
"""Record -> sleep epoch of lights off (the first kept), sleep epoch of lights on (the first not
kept any more), counted from 0 in the scoring as it was given; None where that end is not cut."""

LengthMismatch = Literal["error", "cut"]


@dataclass(frozen=True)
class NightCut:
    """Which sleep epochs of a night are kept, and who decides.

    Attributes:
        record: the night's name.
        epochs: number of sleep epochs of the scorings as they were given.
        first: the first epoch kept, so also how many are cut before it.
        end: the epoch after the last one kept.
        first_by: the scorer or model that begins last, or "lights off".
        end_by: the scorer or model that ends first, or "lights on".
        predictions: model -> how many epochs of its hypnogram are cut before and after.
    """

    record: str
    epochs: int
    first: int
    end: int
    first_by: str
    end_by: str
    predictions: Mapping[str, tuple[int, int]]

    @property
    def cut_after(self) -> int:
        """How many epochs are cut after the last one kept."""
        return self.epochs - self.end

    @property
    def text(self) -> str:
        """The same, as one line."""
        line = f"{self.record}: {self.end - self.first} of {self.epochs} epochs kept"
        if self.first:
            line += f"; {self.first} cut before ({self.first_by})"
        if self.cut_after:
            line += f"; {self.cut_after} cut after ({self.end_by})"
        for name, (before, after) in self.predictions.items():
            if (before, after) != (self.first, self.cut_after) and (before or after):
                line += f"; of {name} {before} before and {after} after"
        return line

    @property
    def is_cut(self) -> bool:
        """Whether anything is."""
        cuts = [(self.first, self.cut_after), *self.predictions.values()]
        return any(before or after for before, after in cuts)


@dataclass(frozen=True, eq=False)
class AlignedNight:
    """A night's hypnograms, all of the same sleep epochs.

    Attributes:
        record: the night's name.
        scorings: (scorers, epochs) int8.
        predictions: (models, epochs) int8.
        cut: where these epochs lie.
    """

    record: str
    scorings: NDArray[np.int8]
    predictions: NDArray[np.int8]
    cut: NightCut


@dataclass(frozen=True, eq=False)
class Alignment:
    """Nights by name, with their scorers and models by name: the order of the files is forgotten.

    Attributes:
        scorers: names of the rows of every night's `scorings`.
        models: names of the rows of every night's `predictions`.
        nights: one or more.
    """

    scorers: tuple[str, ...]
    models: tuple[str, ...]
    nights: tuple[AlignedNight, ...]

    @property
    def records(self) -> tuple[str, ...]:
        """Names of the nights."""
        return tuple(night.record for night in self.nights)


@dataclass(frozen=True)
class _Span:
    """Sleep epochs `first` to `end` (not included) that `name` covers."""

    name: str
    first: int
    end: int


def align(
    scorers: Hypnograms,
    models: Hypnograms,
    lights: Lights | None = None,
    starts: Mapping[str, int] | None = None,
    length_mismatch: LengthMismatch = "error",
) -> Alignment:
    """The sleep epochs of each night that every scorer covers: from the latest of their first
    scored epochs to the earliest of their last ones, within `lights`.

    A prediction as long as the scorings is cut like them; one that is as long as what is kept of
    them is left. Unscored epochs at the ends of a prediction are not covered by it. What is cut is
    told night by night in `AlignedNight.cut`.

    Args:
        scorers: two or more, each with the same nights.
        models: none or more, each with the same nights as the scorers.
        lights: see `Lights`; nights that are not here are ignored.
        starts: record -> the sleep epoch of the scorings with which the predictions begin, for
            nights where the lengths do not tell it.
        length_mismatch: "error", or "cut" to keep what all cover where scorings have different
            lengths, a prediction has any other length (it begins with the scorings then) or does
            not cover all that they do.

    Raises:
        InputError: fewer than two scorers, different nights, other lengths (unless
            `length_mismatch` is "cut"), or a night without an epoch that all cover.
    """
    if length_mismatch not in ("error", "cut"):
        raise InputError(f"length_mismatch is {length_mismatch!r}; give error or cut")
    if len(scorers) < 2:
        found = ", ".join(scorers) or "none"
        raise InputError(f"a consensus needs two scorers or more; found {found}")
    records = _same_records(scorers, models)
    nights = tuple(
        _aligned(
            record,
            {name: scorers[name][record] for name in sorted(scorers)},
            {name: models[name][record] for name in sorted(models)},
            (lights or {}).get(record, (None, None)),
            (starts or {}).get(record),
            length_mismatch == "error",
        )
        for record in records
    )
    cuts = [n.cut for n in nights if n.cut.end - n.cut.first < n.cut.epochs]
    if cuts:
        gone = sum(cut.first + cut.cut_after for cut in cuts)
        logger.info(
            "%d of %d nights are cut to the epochs that all cover (%d of %d epochs go)",
            len(cuts),
            len(nights),
            gone,
            sum(night.cut.epochs for night in nights),
        )
    return Alignment(tuple(sorted(scorers)), tuple(sorted(models)), nights)


def _aligned(
    record: str,
    scorings: Mapping[str, NDArray[np.int8]],
    predictions: Mapping[str, NDArray[np.int8]],
    lights: tuple[int | None, int | None],
    start: int | None,
    strict: bool,
) -> AlignedNight:
    epochs = _length_of_scorings(record, scorings, strict)
    spans = [_scored(record, name, stages) for name, stages in scorings.items()]
    spans += [
        _Span("lights off", lights[0] or 0, epochs),
        _Span("lights on", 0, epochs if lights[1] is None else lights[1]),
    ]
    latest, earliest = _limits(record, spans)
    trimmed = _Span("all scorers", latest.first, earliest.end)
    offsets = {
        name: _offset(len(stages), epochs, trimmed, start) for name, stages in predictions.items()
    }
    spans += [
        _covered(record, name, stages, epochs, trimmed, offsets[name], strict)
        for name, stages in predictions.items()
    ]
    latest, earliest = _limits(record, spans)
    first, end = latest.first, earliest.end
    scored = [stages[first:end] for stages in scorings.values()]
    begins = {name: offset or 0 for name, offset in offsets.items()}
    predicted = [stages[first - begins[n] : end - begins[n]] for n, stages in predictions.items()]
    cut = NightCut(
        record,
        epochs,
        first,
        end,
        latest.name,
        earliest.name,
        {n: (first - begins[n], begins[n] + len(p) - end) for n, p in predictions.items()},
    )
    return AlignedNight(
        record, np.stack(scored), np.array(predicted, np.int8).reshape(-1, end - first), cut
    )


def _length_of_scorings(record: str, scorings: Mapping[str, NDArray[np.int8]], strict: bool) -> int:
    lengths = {name: len(stages) for name, stages in scorings.items()}
    epochs = max(lengths.values())
    if min(lengths.values()) < epochs:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        _mismatch(f"night {record}: the scorings differ in length ({listed} epochs)", strict)
    return epochs


def _scored(record: str, name: str, stages: NDArray[np.int8]) -> _Span:
    scored = np.flatnonzero(stages != UNSCORED)
    if not scored.size:
        raise InputError(
            f"night {record}: {name} scored no epoch of it; leave out {name} or the night"
        )
    return _Span(name, int(scored[0]), int(scored[-1]) + 1)


def _offset(length: int, epochs: int, trimmed: _Span, start: int | None) -> int | None:
    """The epoch of the scorings that a prediction of `length` epochs begins with, None if unknown.

    Told by `start`, or else by the length: all `epochs` of the scorings, or what is kept of them.
    """
    if start is not None or length == epochs:
        return start or 0
    return trimmed.first if length == trimmed.end - trimmed.first else None


def _covered(
    record: str,
    name: str,
    prediction: NDArray[np.int8],
    epochs: int,
    trimmed: _Span,
    offset: int | None,
    strict: bool,
) -> _Span:
    """The epochs of the scorings for which there is a prediction."""
    staged = _scored(record, name, prediction)
    begin = offset or 0
    span = _Span(name, begin + staged.first, begin + staged.end)
    # a list that begins unscored says itself that it is counted from the recording's start
    unclear = offset is None and prediction[0] != UNSCORED
    if unclear or span.first > trimmed.first or span.end < trimmed.end:
        _mismatch(
            f"night {record}: the hypnogram of {name} has {len(prediction)} epochs and stages "
            f"epochs {span.first} to {span.end - 1}, the scorings have {epochs} and have "
            f"{trimmed.first} to {trimmed.end - 1} in common",
            strict,
        )
    return span


def _mismatch(found: str, strict: bool) -> None:
    if strict:
        raise InputError(
            f"{found}; check that they are of one night, or set length_mismatch=cut to keep what "
            "all cover"
        )
    logger.warning("%s; what all cover is kept", found)


def _limits(record: str, spans: Iterable[_Span]) -> tuple[_Span, _Span]:
    """Of several spans the one that begins last and the one that ends first."""
    listed = list(spans)
    latest = max(listed, key=lambda span: span.first)
    earliest = min(listed, key=lambda span: span.end)
    if earliest.end <= latest.first:
        raise InputError(
            f"night {record}: no epoch is common to all ({latest.name} begins at epoch "
            f"{latest.first}, {earliest.name} ends before epoch {earliest.end}); leave out one "
            "of them, or the night"
        )
    return latest, earliest


def _same_records(scorers: Hypnograms, models: Hypnograms) -> list[str]:
    reference, *others = (*scorers.items(), *models.items())
    records = set(reference[1])
    for name, nights in others:
        for record in sorted(records ^ set(nights)):
            lacking = name if record in records else reference[0]
            raise InputError(
                f"{lacking} has no hypnogram of night {record}; give one, or leave that night out"
            )
    if not records:
        raise InputError(f"{reference[0]} has no nights; give a hypnogram of one or more")
    return sorted(records)
