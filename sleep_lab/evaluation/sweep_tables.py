"""The tables of a sweep: for the terminal, as Markdown and as CSV."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sleep_lab.evaluation.metrics import Floats
from sleep_lab.evaluation.setting_label import Label, longest_piece
from sleep_lab.evaluation.summary import OVERALL
from sleep_lab.evaluation.sweep import (
    FOLD,
    REPETITIONS,
    SEED,
    TRIAL,
    Job,
    Search,
    described,
    shortened,
    told_apart,
    what_differs,
)
from sleep_lab.evaluation.sweep_scores import SCORES, Collected, ScoredSetting

REPETITION_NAMES = {FOLD: "Fold", TRIAL: "Trial", SEED: "Seed"}
HEADINGS = ("Accuracy", "Kappa", "Wtd. F1", "Macro F1")
TO = "\N{EN DASH}"
NARROWEST, WIDEST = 12, 13
"""Characters between which the settings' column is as wide as their longest piece."""

UNDEFINED = np.full(len(SCORES), np.nan)


def setting_table(settings: Sequence[ScoredSetting]) -> Table:
    """Three lines for each setting: mean and deviation, the mean's interval, and pooled.

    A fourth says in how many nights a score is undefined, where one is in any.
    Kappa is from -1 to 1, everything else in percent.
    """
    table = _table("Settings (%)")
    names = [_label(setting, whole=True) for setting in settings]
    _add_setting_column(table, names)
    table.add_column("Over", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=True)
    for name, setting in zip(names, settings, strict=True):
        done = sum(scores is not None for scores in setting.of_jobs)
        label = Label(f"{name}\n{done} of {_counted(len(setting.of_jobs), 'jobs')}")
        scores = setting.scores
        if scores is None:
            table.add_row(label, end_section=True)
            continue
        spread = zip(_cells(scores.mean), _cells(scores.std), strict=True)
        lines = {
            _counted(scores.number, scores.over): [
                mean if mean == "-" else f"{mean} ± {std}" for mean, std in spread
            ],
            "interval": _ranges(scores.interval),
            "pooled": _cells(scores.pooled),
        }
        undefined = scores.undefined[: len(OVERALL)].tolist()
        if any(undefined):
            lines["undefined"] = [f"in {_counted(n, 'nights')}" if n else "" for n in undefined]
        columns = zip(*lines.values(), strict=True)
        table.add_row(label, "\n".join(lines), *map("\n".join, columns), end_section=True)
    return table


def setting_caption(settings: Sequence[ScoredSetting]) -> str:
    """What the numbers of `setting_table` are."""
    scores = [setting.scores for setting in settings if setting.scores]
    over = " or ".join(dict.fromkeys(score.over for score in scores))
    resampled = " or ".join(dict.fromkeys(score.resampled for score in scores))
    of_trials = " of each trial's mean over its test nights" if "trials" in over else ""
    left_out = any(score.undefined[: len(OVERALL)].any() for score in scores)
    undefined = " Means leave out the nights in which a score is undefined." * left_out
    return (
        f"Mean ± population standard deviation over {over}{of_trials}; 95 % BCa bootstrap interval "
        f"of the mean over {resampled}; scores of all nights' epochs together (pooled)."
        f"{undefined}"
    )


def job_table(
    settings: Sequence[ScoredSetting], search: Search | None = None, intervals: bool = False
) -> Table:
    """A row for each job, setting by setting: the mean over its test nights (kappa, and %).

    Args:
        settings: with their jobs; of a search the best first.
        search: what the sweep looks for, if it is a search.
        intervals: give those of the mean as well, and the number of epochs.
    """
    repetitions = _repetitions(settings)
    several = len(settings) > 1 or not repetitions
    table = _table(f"{_job_title(repetitions, search)}: mean over test nights (%)")
    labels = [_label(setting, whole=intervals or not search) for setting in settings]
    if several:
        _add_setting_column(table, labels)
    for heading in (*(REPETITION_NAMES[key] for key in repetitions), "Job", "Min-\nutes"):
        table.add_column(heading, overflow="fold")
    if search:
        table.add_column(search.monitor.replace("/", "/\n"), justify="right", no_wrap=True)
    for heading in ("Nights", *(["Epochs"] if intervals else []), *HEADINGS):
        table.add_column(heading.replace(" ", "\n"), justify="right", no_wrap=True)
    best = next((job.best_score for job in _jobs(settings)), None)
    for label, setting in zip(labels, settings, strict=True):
        name = label
        for job, scores in zip(setting.setting.jobs, setting.of_jobs, strict=True):
            row: list[Text] = [Label(name)] if several else []
            row += [Text(job.overrides.get(key, "-")) for key in repetitions]
            row += [Text(job.name or "-"), Text(_minutes(job))]
            if search:
                mark = "best " if job.best_score == best is not None else ""
                row.append(Text("-" if job.best_score is None else f"{mark}{job.best_score:.4f}"))
            table.add_row(*row, *_job_scores(scores, intervals))
            name = label if intervals else ""
        table.add_section()
    return table


def problems(settings: Sequence[ScoredSetting]) -> list[str]:
    """A line for each job without scores: which it is, and why."""
    jobs = _jobs(settings)
    return [
        f"job {job.name or '-'} ({described(told_apart(job, jobs)) or '-'}): {job.problem}"
        for job in jobs
        if job.problem
    ]


def markdown(settings: Sequence[ScoredSetting], search: Search | None) -> str:
    """All tables, the jobs' with their intervals, and the jobs that are missing."""
    parts = []
    if not search:
        parts += [_markdown(setting_table(settings)), f"{setting_caption(settings)}\n"]
    parts.append(_markdown(job_table(settings, search, intervals=True)))
    own = [scores for setting in settings for scores in setting.of_jobs if scores]
    resampled = {scores.resampled for scores in own if np.isfinite(scores.interval).any()}
    if resampled:
        parts.append(
            "In brackets the 95 % BCa bootstrap interval of the mean over the job's "
            f"{' or '.join(sorted(resampled))}, where there are 3 or more.\n"
        )
    missing = problems(settings)
    if missing:
        parts += ["## Jobs without scores\n", *(f"- {problem}" for problem in missing)]
    return "\n".join([*parts, ""])


def csv_text(settings: Sequence[ScoredSetting]) -> str:
    """Everything at full precision: six rows for each job, then six for each setting.

    Column "of" says whose scores these are, and "value" what: their mean or std over what "over"
    names, the low or high end of the mean's interval, which is over what "over" names, pooled, or
    in how many nights they are undefined.
    """
    keys = what_differs(_jobs(settings))
    facts = ("nights", "epochs", "training_s", "best_score")
    text = io.StringIO()
    columns = ("of", "value", "over", "job", *keys, *facts, *SCORES, "problem")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_job_rows(settings))
    for setting in settings:
        if setting.scores:
            of = {"of": "setting", **setting.setting.overrides}
            writer.writerows(of | row for row in _value_rows(setting.scores))
    return text.getvalue()


def _job_rows(settings: Sequence[ScoredSetting]) -> Iterator[dict[str, Any]]:
    jobs = _jobs(settings)
    keys = what_differs(jobs)
    scores = [scores for setting in settings for scores in setting.of_jobs]
    for job, own in zip(jobs, scores, strict=True):
        of: dict[str, Any] = {"of": "job", "job": job.name, "problem": job.problem}
        of |= {key: job.overrides.get(key, "") for key in keys}
        of |= {"training_s": job.training_s, "best_score": job.best_score}  # None becomes empty
        rows = _value_rows(own) if own else [{"value": "mean"}]
        yield from (of | row for row in rows)


def _value_rows(scores: Collected) -> Iterator[dict[str, Any]]:
    low, high = scores.interval
    for value, over, values in (
        ("mean", scores.over, scores.mean),
        ("std", scores.over, scores.std),
        ("low", scores.resampled, low),
        ("high", scores.resampled, high),
        ("pooled", "epochs", scores.pooled),
        ("undefined", "nights", scores.undefined),
    ):
        plain = ("" if math.isnan(number) else number for number in values.tolist())
        counts = {"nights": scores.nights, "epochs": scores.epochs}
        yield {"value": value, "over": over, **counts, **dict(zip(SCORES, plain, strict=True))}


def _jobs(settings: Sequence[ScoredSetting]) -> list[Job]:
    return [job for setting in settings for job in setting.setting.jobs]


def _counted(number: int, things: str) -> str:
    return f"{number} {things if number != 1 else things.removesuffix('s')}"


def _label(setting: ScoredSetting, whole: bool) -> str:
    told = setting.setting.overrides
    return described(told if whole else {k: shortened(v) for k, v in told.items()}) or "-"


def _add_setting_column(table: Table, labels: Sequence[str]) -> None:
    width = min(max(longest_piece(labels), NARROWEST), WIDEST)
    table.add_column("Setting", min_width=width)


def _repetitions(settings: Sequence[ScoredSetting]) -> list[str]:
    """The keys that repeat a setting and are not the same in all jobs."""
    named = {key for setting in settings for key in setting.setting.overrides}
    return [key for key in what_differs(_jobs(settings)) if key in REPETITIONS and key not in named]


def _job_title(repetitions: Sequence[str], search: Search | None) -> str:
    if search:
        return (
            f"Search for the {'highest' if search.higher_is_better else 'lowest'} {search.monitor}"
        )
    return f"{REPETITION_NAMES[repetitions[0]]}s" if len(repetitions) == 1 else "Jobs"


def _minutes(job: Job) -> str:
    return "-" if job.training_s is None else f"{job.training_s / 60:.1f}"


def _job_scores(scores: Collected | None, intervals: bool) -> list[str]:
    means = _cells(UNDEFINED if scores is None else scores.mean)
    if not intervals:
        return ["-" if scores is None else str(scores.nights), *means]
    if scores is None:
        return ["-", "-", *means]
    ranges = [f" ({cell})" if cell != "-" else "" for cell in _ranges(scores.interval)]
    both = (f"{mean}{ends}" for mean, ends in zip(means, ranges, strict=True))
    return [str(scores.nights), str(scores.epochs), *both]


def _ranges(interval: Floats) -> list[str]:
    low, high = (_cells(end) for end in interval)
    return [f"{a}{TO}{b}" if a != "-" else "-" for a, b in zip(low, high, strict=True)]


def _cells(values: Floats) -> list[str]:
    return [
        "-"
        if math.isnan(value)
        else f"{value:.3f}"
        if name == "cohen_kappa"
        else f"{100 * value:.1f}"
        for name, value in zip(OVERALL, values.tolist()[: len(OVERALL)], strict=True)
    ]


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _heading(text: str) -> str:
    """A column's heading on one line."""
    return text.replace("-\n", "").replace("/\n", "/").replace("\n", " ")


def _markdown(table: Table) -> str:
    """A table of which every line of a cell is a row."""
    lines = [
        [_heading(str(column.header)) for column in table.columns],
        ["---"] * len(table.columns),
    ]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        cells = (str(cell).replace("|", "\\|").split("\n") for cell in row)
        lines += map(list, zip_longest(*cells, fillvalue=""))
    return "\n".join([f"## {table.title}", "", *(f"| {' | '.join(line)} |" for line in lines), ""])
