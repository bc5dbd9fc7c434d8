"""A study as files: metrics.json, tables, exports and report.html."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sleep_lab.evaluation.exports import write_exports
from sleep_lab.evaluation.metrics import scores_of
from sleep_lab.evaluation.report import (
    BlandAltmanPlot,
    ReliabilityDiagram,
    Report,
    ReportNight,
    ReportTable,
    ReviewCurve,
    ReviewItem,
    Spectrogram,
    write_report,
)
from sleep_lab.evaluation.results import result_table, write_results
from sleep_lab.evaluation.review import review_list
from sleep_lab.evaluation.sleep_statistics import STATISTICS, statistic_values
from sleep_lab.evaluation.spectrogram import multitaper_spectrogram
from sleep_lab.evaluation.study import Study, StudyNight
from sleep_lab.evaluation.weighted_scores import OVERALL
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES
from sleep_lab.whole_file import write_whole

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

UNITS = {"min": "min", "percent": "%", "per_h": "per h"}
NAMES = {
    "weighted_f1": "weighted F1",
    "accuracy": "accuracy",
    "cohen_kappa": "kappa",
    "macro_f1": "macro F1",
}


def write_study(folder: Path, study: Study, title: str) -> dict[str, Any]:
    """Write all files of a study, and return what its metrics.json holds.

    The files of `write_results` for staged nights; then sleep_statistics.csv, comparison.csv where
    there are scorers, review.csv and the exports of staged nights, and report.html.

    Raises:
        InputError: a file cannot be written.
    """
    metrics = study.metrics()
    results = [night.result for night in study.nights if night.result is not None]
    if results:
        metrics = write_results(folder, results, metrics)
        for result in results:
            write_exports(folder / "exports", result)
        write_whole(folder / "review.csv", _review_csv(study))
    else:
        text = json.dumps(metrics, indent=2, allow_nan=False)
        write_whole(folder / "metrics.json", f"{text}\n".encode())
    write_whole(folder / "sleep_statistics.csv", _statistics_csv(study))
    if study.comparison is not None:
        write_whole(folder / "comparison.csv", _comparison_csv(study.comparison))
    write_report(folder / "report.html", report_of(study, title, metrics))
    return metrics


def print_study(folder: Path, study: Study, metrics: Mapping[str, Any]) -> None:
    """Print a study's tables, and where its files are.

    Args:
        folder: where `write_study` wrote them.
        study: what it wrote.
        metrics: what it returned.
    """
    console = Console()
    if "mean" in metrics:
        console.print(result_table(metrics))
    if study.comparison is not None:
        for kind in ("published", "fair"):
            console.print(comparison_table(study.comparison, kind))
    for name in ("hypnograms", "plots", "exports", "report.html"):
        if (folder / name).exists():
            console.print(f"{name}: {folder / name}", soft_wrap=True)


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
        tables=list(_tables(study, metrics)),
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


def comparison_table(comparison: Mapping[str, Any], kind: str = "published") -> Table:
    """Models and scorers against the consensus, for the terminal.

    Args:
        comparison: see `summarise_comparison`.
        kind: "published" or "fair".
    """
    table = Table(
        title=_comparison_title(kind), title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("")
    for score in OVERALL:
        table.add_column(NAMES[score], justify="right", no_wrap=True)
    told = comparison[kind]["table"]
    for group in ("models", "scorers"):
        for name, scores in told[group].items():
            table.add_row(name, *(_spread(scores[score]) for score in OVERALL))
        table.add_section()
    overall = told["overall_scorers"]
    table.add_row("overall scorers", *(_spread(overall[score]) for score in OVERALL))
    table.caption = f"mean ± std over nights, in percent; {comparison['conventions']['text']}"
    table.caption_justify = "left"
    return table


def _tables(study: Study, metrics: Mapping[str, Any]) -> Iterable[ReportTable]:
    if study.comparison is not None:
        yield from _comparison_tables(study.comparison)
    elif study.scored:
        yield _expert_table(metrics)
    if study.scored:
        yield _night_table(study)
    if study.statistics_agreement:
        yield from _agreement_tables(study)
    if "hypnodensity" in metrics:
        yield _hypnodensity_table(metrics["hypnodensity"])


def _comparison_title(kind: str) -> str:
    if kind == "published":
        return "Published comparison: models against the best N-1 scorers, scorers against the rest"
    return "Fair comparison: models and scorers against the same N-1 scorers"


def _comparison_tables(comparison: Mapping[str, Any]) -> Iterable[ReportTable]:
    convention = comparison["conventions"]["text"]
    confidence = comparison["conventions"]["confidence"]
    for kind in ("published", "fair"):
        told, intervals = comparison[kind]["table"], comparison[kind]["intervals"]
        rows: list[list[Any]] = []
        for group in ("models", "scorers"):
            for name, scores in told[group].items():
                rows.append([name, *_cells(scores, intervals[group][name])])
        overall = _cells(told["overall_scorers"], intervals["overall_scorers"])
        rows.append(["overall scorers", *overall])
        yield ReportTable(
            _comparison_title(kind),
            ["", *(NAMES[score] for score in OVERALL)],
            rows,
            f"Mean ± population standard deviation over nights, in percent, with {confidence:.0%} "
            f"BCa bootstrap interval of the mean; {convention}.",
        )
    yield ReportTable(
        "On unanimous and on split epochs (fair comparison)",
        ["", *(f"{NAMES[s]}, {part}" for s in OVERALL for part in ("unanimous", "split"))],
        [
            [
                name,
                *(
                    _spread(comparison["fair"][part][group][name][score])
                    for score in OVERALL
                    for part in ("unanimous", "split")
                ),
            ]
            for group in ("models", "scorers")
            for name in comparison["fair"]["table"][group]
        ],
        f"Mean ± standard deviation over nights, in percent; {convention}. Unanimous and split are "
        "the scorers of the reference.",
    )
    yield ReportTable(
        "Models in pairs (fair comparison, weighted F1)",
        ["first", "second", "difference", "P(first better)", "rank biserial", "p", "p (Holm)"],
        [
            [
                pair["first"],
                pair["second"],
                f"{100 * pair['difference']:.2f} ({_percent(pair['low'])} to "
                f"{_percent(pair['high'])})",
                pair["probability_better"],
                pair["rank_biserial"],
                pair["p_value"],
                pair["p_holm"],
            ]
            for pair in comparison["fair"]["paired"]["weighted_f1"]
        ],
        "Mean difference over nights in percentage points with bootstrap interval; Wilcoxon signed "
        "rank test, corrected for the number of pairs.",
    )
    agreement = comparison["agreement"]
    names = list(agreement["pairwise_kappa"])
    yield ReportTable(
        "Agreement of the scorers",
        ["", "soft agreement", *(f"kappa with {name}" for name in names)],
        [
            [
                name,
                agreement["soft_agreement"][name],
                *(agreement["pairwise_kappa"][name][other] for other in names),
            ]
            for name in names
        ],
        f"Fleiss' kappa {agreement['fleiss_kappa']:.3f}; all scorers agree in "
        f"{agreement['unanimous']:.1%} of the epochs.",
    )


def _expert_table(metrics: Mapping[str, Any]) -> ReportTable:
    intervals = metrics["intervals"]
    rows = []
    for label, key in (("mean over nights", "mean"), ("pooled", "pooled")):
        spread = metrics["std"] if key == "mean" else {}
        rows.append(
            [
                label,
                *(_cell(metrics[key][s], spread.get(s), intervals[key][s]) for s in (*OVERALL,)),
            ]
        )
    return ReportTable(
        "Agreement with the expert",
        ["", *(NAMES[score] for score in OVERALL)],
        rows,
        f"In percent, ± population standard deviation, with {intervals['confidence']:.0%} BCa "
        "bootstrap interval over nights. F1 and kappa over the stages that the expert used.",
    )


def _night_table(study: Study) -> ReportTable:
    rows: list[list[Any]] = []
    for night in study.scored:
        for model, hypnogram in night.models.items():
            single = Study((night,), study.reference, study.options)
            scores = scores_of(single.confusion(model), len(hypnogram))
            rows.append(
                [
                    night.id,
                    model,
                    scores.scored,
                    scores.accuracy,
                    scores.cohen_kappa,
                    scores.weighted_f1,
                    scores.macro_f1,
                    *scores.f1.values(),
                ]
            )
    reference = "the expert" if study.reference == "expert" else "the consensus of all scorers"
    return ReportTable(
        "Nights",
        [
            *("night", "model", "scored epochs", "accuracy", "kappa", "weighted F1", "macro F1"),
            *(f"F1 {stage}" for stage in STAGES),
        ],
        rows,
        f"Against {reference}, every epoch counting the same; stages that it does not have are "
        "left out of the means.",
    )


def _agreement_tables(study: Study) -> Iterable[ReportTable]:
    for model, agreements in study.statistics_agreement.items():
        yield ReportTable(
            f"Sleep statistics: {model} against the {study.reference}",
            [
                *("statistic", "bias", "lower limit", "upper limit"),
                *("proportional bias (slope)", "p", "ICC(2,1)", "ICC(3,1)", "nights"),
            ],
            [
                [
                    _statistic_name(name),
                    _with_interval(found.bland_altman.bias, found.bland_altman.bias_interval),
                    _with_interval(found.bland_altman.limits[0], found.bland_altman.lower_interval),
                    _with_interval(found.bland_altman.limits[1], found.bland_altman.upper_interval),
                    found.bland_altman.slope,
                    found.bland_altman.slope_p,
                    _with_interval(found.icc_agreement.value, found.icc_agreement.interval),
                    _with_interval(found.icc_consistency.value, found.icc_consistency.interval),
                    found.bland_altman.nights,
                ]
                for name, found in agreements.items()
            ],
            "Bland-Altman: model minus reference, 95% limits of agreement; 95% intervals in "
            "brackets.",
        )


def _hypnodensity_table(scores: Mapping[str, Any]) -> ReportTable:
    versions = {"probabilities": scores}
    if "uncalibrated" in scores:
        versions = {
            "before temperature scaling": scores["uncalibrated"],
            "after temperature scaling": scores,
        }
    labels = "the scorers' distribution" if scores["labels"] == "scorers" else "the expert's stages"
    rows: list[list[Any]] = [
        [
            name,
            version["cross_entropy"],
            version["brier_score"],
            version["cosine_similarity"],
            version["calibration_error"]["all stages"],
            scores.get("disagreement_auc"),
        ]
        for name, version in versions.items()
    ]
    return ReportTable(
        "Hypnodensity",
        [
            *("", "cross-entropy", "Brier score", "cosine similarity (ACS)"),
            *("calibration error", "AUC of entropy for disagreement"),
        ],
        rows,
        f"Against {labels}, over all epochs.",
    )


def _report_night(night: StudyNight, study: Study) -> ReportNight:
    hypnograms = dict(night.models)
    if night.reference is not None:
        hypnograms = {study.reference: night.reference, **night.scorings, **night.models}
    result = night.result
    return ReportNight(
        night.id,
        hypnograms,
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
            f"{_statistic_name(name)}: {model}",
            _unit(name),
            nights,
            mean,
            ours - theirs,
            plot.bias,
            plot.limits,
            plot.bias_interval,
            plot.lower_interval,
            plot.upper_interval,
            None if np.isnan(slope) else (plot.bias - slope * centre, slope),
            f"ICC(2,1) {_with_interval(icc.value, icc.interval)}; slope p {plot.slope_p:.2g}",
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


def _review_csv(study: Study) -> bytes:
    results = [night.result for night in study.nights if night.result is not None]
    return _csv(
        ("night", "epoch", "onset_s", "time", "stage", *(f"p_{s}" for s in STAGES), "uncertainty"),
        (
            (
                epoch.night,
                epoch.epoch,
                epoch.onset_s,
                epoch.time.isoformat() if epoch.time else "",
                epoch.stage,
                *(f"{p:.6f}" for p in epoch.probabilities),
                f"{epoch.expected_error:.6f}",
            )
            for epoch in review_list(results, sum(result.epochs for result in results))
        ),
    )


def _statistics_csv(study: Study) -> bytes:
    return _csv(
        ("night", "hypnogram", *STATISTICS),
        (
            (night, name, *("" if np.isnan(v) else f"{v:g}" for v in statistic_values(found)))
            for name, nights in study.statistics.items()
            for night, found in nights.items()
        ),
    )


def _comparison_csv(comparison: Mapping[str, Any]) -> bytes:
    def rows() -> Iterable[Sequence[Any]]:
        for kind in ("published", "fair"):
            told, intervals = comparison[kind]["table"], comparison[kind]["intervals"]
            for group in ("models", "scorers"):
                for name in told[group]:
                    for score, (mean, std) in told[group][name].items():
                        low, high = intervals[group][name][score]
                        yield kind, group, name, score, mean, std, low, high
            for score, (mean, std) in told["overall_scorers"].items():
                low, high = intervals["overall_scorers"][score]
                yield kind, "overall_scorers", "", score, mean, std, low, high

    return _csv(("comparison", "group", "name", "score", "mean", "std", "low", "high"), rows())


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _cells(scores: Mapping[str, Any], intervals: Mapping[str, Any]) -> list[str]:
    return [_cell(scores[s][0], scores[s][1], intervals[s]) for s in OVERALL]


def _cell(mean: float | None, std: float | None, interval: Sequence[float | None]) -> str:
    spread = "" if std is None else f" ± {100 * std:.1f}"
    if interval[0] is None:
        return f"{_percent(mean)}{spread}"
    return f"{_percent(mean)}{spread} ({_percent(interval[0])} to {_percent(interval[1])})"


def _spread(pair: Sequence[float | None]) -> str:
    mean, std = pair
    return "-" if mean is None or std is None else f"{100 * mean:.1f} ± {100 * std:.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _with_interval(value: float, interval: Sequence[float]) -> str | None:
    if np.isnan(value):
        return None
    if np.isnan(interval).any():
        return f"{value:.2f}"
    return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"


def _unit(statistic: str) -> str:
    return next((unit for ending, unit in UNITS.items() if statistic.endswith(f"_{ending}")), "")


def _statistic_name(statistic: str) -> str:
    unit = _unit(statistic)
    name = statistic
    for ending in UNITS:
        name = name.removesuffix(f"_{ending}")
    words = name.replace("_", " ")
    words = words.upper() if words.upper() in STAGES else words
    return f"{words} ({unit})" if unit else words


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
