"""The report of a study."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleep_lab.evaluation.report import (
    BlandAltmanPlot,
    ReliabilityDiagram,
    Report,
    ReportNight,
    ReviewCurve,
    ReviewItem,
    Spectrogram,
)
from sleep_lab.evaluation.review import review_list
from sleep_lab.evaluation.spectrogram import multitaper_spectrogram
from sleep_lab.evaluation.study import Study, StudyNight
from sleep_lab.evaluation.study_tables import statistic_name, tables_of, unit_of, with_interval
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES

EPOCHS_TO_REVIEW = 200
PLOTTED = (
    "total_sleep_time_min",
    "sleep_efficiency_percent",
    "sleep_onset_latency_min",
    "wake_after_sleep_onset_min",
    "rem_latency_min",
    "n3_min",
    "rem_min",
    "awakenings",
)
"""The sleep statistics with a Bland-Altman plot in the report."""


def report_of(study: Study, title: str, metrics: Mapping[str, Any]) -> Report:
    """What the report of a study shows; `metrics` are those of `write_study`."""
    staged = [night for night in study.scored if night.result is not None]
    curve = None
    if staged:
        found = study.review(staged)
        points = np.linspace(0, len(found.share) - 1, min(len(found.share), 501)).astype(int)
        share = found.share[points]
        curve = ReviewCurve(
            share,
            {
                "least certain first": found.accuracy[points],
                "at random": found.accuracy[0] + (1 - found.accuracy[0]) * share,
            },
            f"area {found.area:.3f}; a reviewed epoch counts as right",
        )
    compared = {"expert": "the expert", "consensus": "the consensus of all scorers"}
    people = f", {len(study.alignment.scorers)} scorers" if study.alignment else ""
    return Report(
        title=title,
        subtitle=f"{_counted(len(study.nights), 'night')}, {_counted(len(study.models), 'model')}"
        + people,
        nights=[_report_night(night, study) for night in study.nights],
        tables=list(tables_of(study, metrics)),
        confusion={
            f"{model} against {compared[study.reference]}": study.confusion(model)
            for model in (study.models if study.scored else ())
        },
        bland_altman=list(_bland_altman_plots(study)),
        reliability=list(_reliability_diagrams(study)),
        review=_review_items(study),
        review_curve=curve,
        notes=[
            "Stages by the AASM manual, in sleep epochs of 30 s. Epochs that the reference left "
            "unscored do not count.",
            *(night.note for night in study.nights if night.note),
        ],
    )


def _report_night(night: StudyNight, study: Study) -> ReportNight:
    result = night.result
    return ReportNight(
        night.id,
        night.hypnograms(study.reference),
        start_time=None if result is None else result.start_time,
        first_epoch=night.first_epoch,
        hypnodensity=None if result is None else result.hypnodensity,
        hypnodensity_name="" if result is None else study.models[0],
        reference=None if night.reference is None else study.reference,
        spectrogram=_spectrogram(night),
    )


def _spectrogram(night: StudyNight) -> Spectrogram | None:
    result = night.result
    if result is None or result.signal is None or result.epochs < 2:
        return None
    frequencies, power = multitaper_spectrogram(result.signal, result.sampling_rate)
    times = np.arange(result.first_epoch, result.first_epoch + len(power), dtype=np.float64)
    decibel: NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-6))
    return Spectrogram(times * SLEEP_EPOCH_S, frequencies, decibel, result.signal_name)


def _bland_altman_plots(study: Study) -> Iterable[BlandAltmanPlot]:
    if not study.statistics_agreement:
        return
    model = study.models[0]
    for name in PLOTTED:
        found = study.statistics_agreement[model][name]
        plot, icc = found.bland_altman, found.icc_agreement
        nights = [night.id for night in study.scored]
        ours, theirs = (
            np.array([getattr(study.statistics[who][night], name) for night in nights])
            for who in (model, study.reference)
        )
        mean = (ours + theirs) / 2
        if not np.isfinite(mean).any():
            continue
        centre = np.nanmean(mean)
        slope = plot.slope
        yield BlandAltmanPlot(
            f"{statistic_name(name)}: {model}",
            unit_of(name),
            nights,
            mean,
            ours - theirs,
            plot.bias,
            plot.limits,
            plot.bias_interval,
            plot.lower_interval,
            plot.upper_interval,
            None if np.isnan(slope) else (plot.bias - slope * centre, slope),
            f"ICC(2,1) {with_interval(icc.value, icc.interval)}; slope p {plot.slope_p:.2g}",
        )


def _reliability_diagrams(study: Study) -> Iterable[ReliabilityDiagram]:
    versions = [(False, "")]
    if study.is_calibrated:
        versions = [(True, ", before temperature scaling"), (False, ", after it")]
    for uncalibrated, what in versions:
        for name, found in study.calibration(uncalibrated).items():
            yield ReliabilityDiagram(
                f"{name}{what}",
                found.predicted,
                found.observed,
                found.epochs,
                found.calibration_error,
            )


def _review_items(study: Study) -> list[ReviewItem]:
    results = [night.result for night in study.nights if night.result is not None]
    items = []
    for epoch in review_list(results, EPOCHS_TO_REVIEW):
        order = np.argsort(epoch.probabilities)[::-1]
        second = int(order[1])
        items.append(
            ReviewItem(
                epoch.night,
                epoch.epoch,
                STAGES.index(epoch.stage),
                epoch.expected_error,
                f"or {STAGES[second]} ({epoch.probabilities[second]:.0%})",
            )
        )
    return items


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
