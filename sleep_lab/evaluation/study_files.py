"""A study as files and on the terminal."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sleep_lab.evaluation.exports import write_exports
from sleep_lab.evaluation.report import write_report
from sleep_lab.evaluation.results import csv_bytes, result_table, write_results
from sleep_lab.evaluation.review import review_list
from sleep_lab.evaluation.sleep_statistics import STATISTICS, statistic_values
from sleep_lab.evaluation.study import Study
from sleep_lab.evaluation.study_report import report_of
from sleep_lab.evaluation.study_tables import NAMES, comparison_title, spread
from sleep_lab.evaluation.weighted_scores import OVERALL
from sleep_lab.stages import STAGES
from sleep_lab.whole_file import write_whole


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
        whole = [night.whole for night in study.nights if night.whole is not None]
        metrics = write_results(folder, whole, metrics, results)
        for night in whole:
            write_exports(folder / "exports", night, study.models[0])
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


def comparison_table(comparison: Mapping[str, Any], kind: str = "published") -> Table:
    """Models and scorers against the consensus, for the terminal.

    Args:
        comparison: see `summarise_comparison`.
        kind: "published" or "fair".
    """
    table = Table(
        title=comparison_title(kind), title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("")
    for score in OVERALL:
        table.add_column(NAMES[score], justify="right", no_wrap=True)
    told = comparison[kind]["table"]
    for group in ("models", "scorers"):
        for name, scores in told[group].items():
            table.add_row(name, *(spread(scores[score]) for score in OVERALL))
        table.add_section()
    overall = told["overall_scorers"]
    table.add_row("overall scorers", *(spread(overall[score]) for score in OVERALL))
    table.caption = f"mean ± std over nights, in percent; {comparison['conventions']['text']}"
    table.caption_justify = "left"
    return table


def _review_csv(study: Study) -> bytes:
    results = [night.result for night in study.nights if night.result is not None]
    return csv_bytes(
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
    return csv_bytes(
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
                        interval = intervals[group][name][score]
                        yield kind, group, name, score, mean, std, *interval, *conventions
            for score, (mean, std) in told["overall_scorers"].items():
                interval = intervals["overall_scorers"][score]
                yield kind, "overall_scorers", "", score, mean, std, *interval, *conventions

    chosen = comparison["conventions"]
    conventions = (chosen["absent_stage"], chosen["weighting"])
    header = ("comparison", "group", "name", "score", "mean", "std", "low", "high")
    return csv_bytes((*header, "absent_stage", "weighting"), rows())
