"""`python -m sleep_lab.evaluation.collect SWEEP`: the scores of a sweep's jobs and settings."""

import argparse
import csv
import io
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sleep_lab.errors import InputError
from sleep_lab.evaluation.metrics import Floats, mean_and_std, scores_of
from sleep_lab.evaluation.summary import OVERALL, score_values
from sleep_lab.evaluation.sweep import (
    Job,
    Setting,
    described,
    jobs_of,
    settings_of,
    told_apart,
    what_differs,
)
from sleep_lab.stages import STAGES
from sleep_lab.whole_file import write_whole

SCORES = (*OVERALL, *(f"f1_{stage}" for stage in STAGES))


@dataclass(frozen=True, eq=False)
class Collected:
    """The scores of some jobs together.

    A night that was tested under several seeds counts once for each.

    Attributes:
        nights: number of test nights.
        epochs: number of their scored sleep epochs.
        mean: (9,) over nights: the overall scores, then the F1 of each stage; nan where undefined.
        std: (9,) likewise, the population's standard deviation.
        pooled: (9,) the scores of the sum of the confusion matrices.
    """

    nights: int
    epochs: int
    mean: Floats
    std: Floats
    pooled: Floats


def collected(jobs: Sequence[Job]) -> Collected | None:
    """The scores of these jobs together; None if none of them has any."""
    scored = [job.scores for job in jobs if job.scores]
    if not scored:
        return None
    nights = np.array([night for scores in scored for night in scores.nights.values()])
    pooled = scores_of(np.sum([scores.confusion for scores in scored], axis=0))
    return Collected(len(nights), pooled.scored, *mean_and_std(nights), score_values(pooled))


def write_collected(sweep: Path, jobs: Sequence[Job], settings: Sequence[Setting]) -> None:
    """Write `collected.csv` and `collected.md` into the sweep's folder.

    The csv has full precision, and in its column "row" either "job" (the mean over the job's
    nights) or "mean", "std" or "pooled" of a setting. The md is for reading.

    Raises:
        InputError: a file cannot be written.
    """
    columns = ("row", "job", *what_differs(jobs), "nights", "epochs", "training_s", *SCORES)
    text = io.StringIO()
    writer = csv.DictWriter(text, (*columns, "problem"), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_csv_rows(jobs, settings))
    write_whole(sweep / "collected.csv", text.getvalue().encode())
    parts = [_markdown(setting_table(settings)), _markdown(job_table(jobs))]
    parts += [f"- {problem}" for problem in problems(jobs)]
    write_whole(sweep / "collected.md", "\n".join([*parts, ""]).encode())


def job_table(jobs: Sequence[Job]) -> Table:
    """A row for each job: what it was told, and the mean over its test nights (kappa, and %)."""
    table = _table("Jobs: mean over test nights (%)", "Job", "Overrides", "Minutes")
    for job in jobs:
        told = Text(described(told_apart(job, jobs)) or "-")
        minutes = "-" if job.training_s is None else f"{job.training_s / 60:.1f}"
        scores = collected([job])
        values = np.full(len(SCORES), np.nan) if scores is None else scores.mean
        table.add_row(job.name or "-", told, minutes, *_counts(scores), *_cells(values))
    return table


def setting_table(settings: Sequence[Setting]) -> Table:
    """Three rows for each setting: mean and deviation over nights, and pooled (kappa, and %)."""
    table = _table("Settings (%)", "Setting", "Jobs", "Over")
    for setting in settings:
        scores = collected(setting.jobs)
        done = sum(job.scores is not None for job in setting.jobs)
        label = (Text(described(setting.overrides) or "-"), f"{done} of {len(setting.jobs)}")
        if scores is None:
            table.add_row(*label)
            continue
        counts = _counts(scores)
        table.add_row(*label, "nights", *counts, *_cells(scores.mean))
        table.add_row("", "", "± std", "", "", *_cells(scores.std))
        table.add_row("", "", "pooled", *counts, *_cells(scores.pooled), end_section=True)
    return table


def problems(jobs: Sequence[Job]) -> list[str]:
    """A line for each job without scores: which it is, and why."""
    return [
        f"job {job.name or '-'} ({described(told_apart(job, jobs)) or '-'}): {job.problem}"
        for job in jobs
        if job.problem
    ]


def _csv_rows(jobs: Sequence[Job], settings: Sequence[Setting]) -> Iterator[dict[str, Any]]:
    for job in jobs:
        told = told_apart(job, jobs)
        facts = {"row": "job", "job": job.name, "problem": job.problem, **told}
        timed = {} if job.training_s is None else {"training_s": job.training_s}
        scores = collected([job])
        yield facts | timed | (_values(scores, scores.mean) if scores else {})
    for setting in settings:
        scores = collected(setting.jobs)
        if scores:
            yield {"row": "mean", **setting.overrides, **_values(scores, scores.mean)}
            yield {"row": "std", **setting.overrides, **_values(scores, scores.std)}
            yield {"row": "pooled", **setting.overrides, **_values(scores, scores.pooled)}


def _values(scores: Collected, values: Floats) -> dict[str, Any]:
    plain = ("" if math.isnan(value) else value for value in values.tolist())
    counts = {"nights": scores.nights, "epochs": scores.epochs}
    return counts | dict(zip(SCORES, plain, strict=True))


def _table(title: str, name: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(name, overflow="fold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for heading in ("Nights", "Epochs", "Accu-\nracy", "Kappa", "Wtd.\nF1", "Macro\nF1"):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _counts(scores: Collected | None) -> tuple[str, str]:
    return ("-", "-") if scores is None else (str(scores.nights), str(scores.epochs))


def _cells(values: Floats) -> list[str]:
    return [
        "-"
        if math.isnan(value)
        else f"{value:.3f}"
        if name == "cohen_kappa"
        else f"{100 * value:.1f}"
        for name, value in zip(OVERALL, values.tolist()[: len(OVERALL)], strict=True)
    ]


def _markdown(table: Table) -> str:
    lines = [
        [str(column.header).replace("-\n", "").replace("\n", " ") for column in table.columns],
        ["---"] * len(table.columns),
        *zip(*(map(str, column.cells) for column in table.columns), strict=True),
    ]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "\n".join(
        [f"## {table.title}", "", *(f"| {' | '.join(line)} |" for line in escaped), ""]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: read a sweep's folder, write its tables there and show them."""
    parser = argparse.ArgumentParser(
        prog="python -m sleep_lab.evaluation.collect",
        description="Collect the scores of a sweep's jobs: collected.csv and collected.md.",
    )
    parser.add_argument("sweep", type=Path, help="the folder of a sweep: runs/sweeps/DATE/TIME")
    sweep = parser.parse_args(arguments).sweep
    try:
        jobs = jobs_of(sweep)
        settings = settings_of(jobs)
        write_collected(sweep, jobs, settings)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    console = Console()
    console.print(job_table(jobs))
    console.print(setting_table(settings))
    for problem in problems(jobs):
        console.print(problem, soft_wrap=True, markup=False)
    console.print(f"tables: {sweep / 'collected.csv'}", soft_wrap=True)


if __name__ == "__main__":
    main()
