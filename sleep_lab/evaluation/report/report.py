"""What a report shows, as plain data: the other rooms compute it, this one only draws it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, nearest
from sleep_lab.stages import STAGES, UNSCORED

Cell = str | float | int | None
"""A number, a text, or None where there is no value."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """The power of one signal of a night.

    Attributes:
        times: (columns,) seconds from the recording's start to each column's, evenly spaced.
        frequencies: (bins,) in Hz, evenly spaced.
        power: (columns, bins) in dB.
        name: what to call the signal.

    Raises:
        InputError: the shapes do not fit together.
    """

    times: Floats
    frequencies: Floats
    power: Floats
    name: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.times), len(self.frequencies))
        if self.power.shape != shape or min(shape) < 2:
            raise InputError(
                f"spectrogram {self.name!r}: power of shape {self.power.shape} for {shape[0]} "
                f"times and {shape[1]} frequencies; it must be (times, frequencies), "
                "two or more of each"
            )


@dataclass(frozen=True, eq=False)
class ReportNight:
    """A night's strip.

    Attributes:
        id: the night's name.
        hypnograms: name of a scorer or model -> (epochs,) stage codes, -1 where unscored.
        start_time: wall-clock time of the recording's first sample, or None.
        first_epoch: number of the first of these epochs, counted from the recording's start.
        hypnodensity: (epochs, 5) the stages' probabilities, or None.
        hypnodensity_name: whose they are.
        reference: name of the hypnogram that the others are compared with, or None.
        spectrogram: of one of the night's signals, or None.

    Raises:
        InputError: the parts do not fit together.
    """

    id: str
    hypnograms: Mapping[str, NDArray[np.int8]]
    start_time: datetime | None = None
    first_epoch: int = 0
    hypnodensity: NDArray[np.float32] | None = None
    hypnodensity_name: str = ""
    reference: str | None = None
    spectrogram: Spectrogram | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(hypnogram) for name, hypnogram in self.hypnograms.items()}
        if self.hypnodensity is not None:
            lengths["hypnodensity"] = len(self.hypnodensity)
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            found = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "nothing"
            raise InputError(
                f"{self.id}: a strip needs one number of epochs, found {found}; align them first"
            )
        for name, hypnogram in self.hypnograms.items():
            if hypnogram.min() < UNSCORED or hypnogram.max() >= len(STAGES):
                raise InputError(
                    f"{self.id}: the hypnogram of {name} holds a code that is no stage; "
                    f"use -1 for unscored and 0 to {len(STAGES) - 1} for {', '.join(STAGES)}"
                )
        if self.hypnodensity is not None and self.hypnodensity.shape[1:] != (len(STAGES),):
            raise InputError(
                f"{self.id}: the hypnodensity has shape {self.hypnodensity.shape}; "
                f"it must be (epochs, {len(STAGES)})"
            )
        if self.reference is not None and self.reference not in self.hypnograms:
            raise InputError(
                f"{self.id}: no hypnogram of the reference {self.reference!r}; "
                f"{nearest(self.reference, self.hypnograms)}"
            )

    @property
    def epochs(self) -> int:
        """Number of sleep epochs."""
        if self.hypnodensity is not None:
            return len(self.hypnodensity)
        return len(next(iter(self.hypnograms.values())))


@dataclass(frozen=True)
class ReportTable:
    """A table that sorts, and filters where it is long; a cell with a night's id leads to it.

    Attributes:
        title: what the table is.
        columns: the columns' names.
        rows: a cell per column; floats are shown with `decimals` decimals, nan as no value.
        note: the conventions behind the numbers.
        decimals: number of decimals.

    Raises:
        InputError: a row is longer or shorter than the columns.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    decimals: int = 3

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise InputError(
                    f"table {self.title!r}: row {number} has {len(row)} cells for "
                    f"{len(self.columns)} columns; give one per column, None where there is none"
                )


@dataclass(frozen=True, eq=False)
class BlandAltmanPlot:
    """Agreement of two measurements over nights (Bland and Altman, Lancet 1986).

    Attributes:
        title: the sleep statistic.
        unit: its unit, or "".
        nights: (nights,) their ids.
        mean: (nights,) of the two measurements; nan where either is undefined.
        difference: (nights,) model minus expert.
        bias: the mean difference.
        limits: lower and upper limit of agreement.
        bias_interval, lower_interval, upper_interval: confidence intervals, or None.
        trend: intercept and slope of the difference over the mean, or None.
        note: a line under the plot.
    """

    title: str
    unit: str
    nights: Sequence[str]
    mean: Floats
    difference: Floats
    bias: float
    limits: tuple[float, float]
    bias_interval: tuple[float, float] | None = None
    lower_interval: tuple[float, float] | None = None
    upper_interval: tuple[float, float] | None = None
    trend: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True, eq=False)
class ReliabilityDiagram:
    """How often a model is right when it is so sure (Guo et al., ICML 2017).

    Attributes:
        title: which stage, which model, before or after what.
        confidence: (bins,) mean probability in each bin; nan in an empty one.
        accuracy: (bins,) share of its epochs that are right.
        count: (bins,) number of its epochs.
        expected_calibration_error: mean of |confidence - accuracy| over epochs.
        note: a line under the diagram.
    """

    title: str
    confidence: Floats
    accuracy: Floats
    count: NDArray[np.int64]
    expected_calibration_error: float
    note: str = ""


@dataclass(frozen=True)
class ReviewItem:
    """A sleep epoch that a person should look at.

    Attributes:
        night: the night's id.
        epoch: its number, counted from the recording's start.
        stage: the model's stage code.
        uncertainty: 0 to 1, however it is defined.
        note: why, or what else it may be.
    """

    night: str
    epoch: int
    stage: int
    uncertainty: float
    note: str = ""


@dataclass(frozen=True, eq=False)
class ReviewCurve:
    """Accuracy against the share of epochs that a person reviewed.

    Attributes:
        share: (points,) of the epochs, 0 to 1, ascending.
        accuracy: order of review -> (points,) accuracy after it.
        note: a line under the plot.
    """

    share: Floats
    accuracy: Mapping[str, Floats]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """All that a report shows; a part that is empty is left out.

    Attributes:
        title: of the page.
        subtitle: a line under it.
        nights: a strip each.
        tables: in this order, at the top.
        confusion: name -> (5, 5) number or weight of epochs, rows the reference's stages.
        bland_altman: a plot per sleep statistic.
        reliability: a diagram each.
        review: the epochs to review, first the first.
        review_curve: what reviewing is worth, or None.
        notes: paragraphs: definitions, what was cut, where the data come from.

    Raises:
        InputError: two nights have one id, or an epoch to review is in none of the nights.
    """

    title: str
    subtitle: str = ""
    nights: Sequence[ReportNight] = ()
    tables: Sequence[ReportTable] = ()
    confusion: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    bland_altman: Sequence[BlandAltmanPlot] = ()
    reliability: Sequence[ReliabilityDiagram] = ()
    review: Sequence[ReviewItem] = ()
    review_curve: ReviewCurve | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        nights = {night.id: night for night in self.nights}
        if len(nights) != len(self.nights):
            ids = [night.id for night in self.nights]
            twice = next(name for name in ids if ids.count(name) > 1)
            raise InputError(f"report: two nights are called {twice!r}; give each its own id")
        for item in self.review:
            night = nights.get(item.night)
            if night is None:
                raise InputError(
                    f"report: no night {item.night!r} to review; {nearest(item.night, nights)}"
                )
            if not 0 <= item.epoch - night.first_epoch < night.epochs:
                raise InputError(
                    f"{item.night}: epoch {item.epoch} to review is not one of the report's "
                    f"{night.first_epoch} to {night.first_epoch + night.epochs - 1}; "
                    "count from the recording's start"
                )
        for name, matrix in self.confusion.items():
            if matrix.shape != (len(STAGES), len(STAGES)):
                raise InputError(
                    f"confusion matrix of {name}: shape {matrix.shape}; "
                    f"it must be ({len(STAGES)}, {len(STAGES)})"
                )
