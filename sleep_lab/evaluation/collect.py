"""`python -m sleep_lab.evaluation.collect SWEEP`: the scores of a sweep's jobs and settings."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from sleep_lab.errors import InputError
from sleep_lab.evaluation.sweep import Search, jobs_of, search_of, settings_of
from sleep_lab.evaluation.sweep_plots import plot_sweep
from sleep_lab.evaluation.sweep_scores import ScoredSetting, scored
from sleep_lab.evaluation.sweep_tables import (
    csv_text,
    job_table,
    markdown,
    problems,
    setting_caption,
    setting_table,
)
from sleep_lab.whole_file import write_whole

MOST_LINES = 40
"""Jobs, and problems, that the terminal lists."""


def collect(sweep: Path) -> tuple[list[ScoredSetting], Search | None]:
    """Read a sweep's folder, and write what `main` says into it.

    Raises:
        InputError: there are no jobs, none has scores, a night counts twice, or a file cannot be
            written.
    """
    search = search_of(sweep)
    settings = scored(settings_of(jobs_of(sweep), search))
    missing = problems(settings)
    if not any(setting.scores for setting in settings):
        raise InputError(f"{sweep}: none of its {len(missing)} jobs has scores; {missing[0]}")
    write_whole(sweep / "collected.csv", csv_text(settings).encode())
    write_whole(sweep / "collected.md", markdown(settings, search).encode())
    plot_sweep(settings, sweep / "collected.png", search)
    return settings, search


def show(sweep: Path, settings: Sequence[ScoredSetting], search: Search | None) -> None:
    """Print the tables, what is missing, and where the files are."""
    console = Console()
    jobs = sum(len(setting.setting.jobs) for setting in settings)
    if search:
        console.print(job_table(settings[:MOST_LINES], search))
    elif jobs <= MOST_LINES:
        console.print(job_table(settings))
    if not search:
        console.print(setting_table(settings))
        console.print(setting_caption(settings))
    missing = problems(settings)
    for problem in missing[:MOST_LINES]:
        console.print(problem, soft_wrap=True, markup=False)
    if jobs > MOST_LINES:
        console.print(f"all {jobs} jobs are listed in collected.md")
    for name in ("collected.csv", "collected.md", "collected.png"):
        if (sweep / name).exists():
            console.print(f"{name}: {sweep / name}", soft_wrap=True, markup=False)
    console.print(f"{jobs - len(missing)} of {jobs} jobs have scores, {len(missing)} are missing")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: read a sweep's folder, write its tables and picture there and show them."""
    parser = argparse.ArgumentParser(
        prog="python -m sleep_lab.evaluation.collect",
        description="Collect the scores of a sweep's jobs: collected.csv, collected.md and "
        "collected.png, in the sweep's folder.",
    )
    parser.add_argument("sweep", type=Path, help="the folder of a sweep: runs/sweeps/DATE/TIME")
    sweep = parser.parse_args(arguments).sweep
    try:
        settings, search = collect(sweep)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    show(sweep, settings, search)


if __name__ == "__main__":
    main()
