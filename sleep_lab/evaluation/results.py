"""The files of a run: scores, tables, hypnograms and pictures of its nights."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from sleep_lab.errors import InputError
from sleep_lab.evaluation.metrics import evaluate
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.evaluation.plots import plot_confusion_matrix, plot_night
from sleep_lab.evaluation.summary import OVERALL, summarise
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES
from sleep_lab.whole_file import write_whole

CONFUSION_PICTURE = "confusion_matrix"
MOST_NIGHTS_LISTED = 30


def write_results(
    folder: Path,
    nights: Sequence[NightResult],
    further: Mapping[str, Any] | None = None,
    scored: Sequence[NightResult] | None = None,
) -> dict[str, Any]:
    """Write the files of a run into `folder`, and return what its `metrics.json` holds.

    `hypnograms/ID.csv` and `plots/ID.png` for every night. If an expert scored any of them, also
    `per_night.csv` and `plots/confusion_matrix.png` of those nights, and `metrics.json`: see
    `summarise`, then whatever is in `further`; without either there is none and the returned dict
    is empty. The scores are those of `scored`, the nights from lights off to lights on for
    instance; by default of all their epochs. Nights are sorted by id, so that the files do not
    depend on the order of `nights`; each file is either whole or absent.

    Raises:
        InputError: two nights have one id, an id cannot name a file, or a file cannot be written.
    """
    ordered = sorted(nights, key=lambda night: night.id)
    _check_ids([night.id for night in ordered])
    progress = track(
        ordered,
        "Writing hypnograms and plots",
        console=Console(stderr=True),
        transient=True,
        disable=len(ordered) < 3,
    )
    for night in progress:
        write_whole(folder / "hypnograms" / f"{night.id}.csv", _hypnogram_csv(night))
        plot_night(night, folder / "plots" / f"{night.id}.png")

    scores = {
        night.id: evaluate(night.hypnogram, night.scored_expert)
        for night in sorted(nights if scored is None else scored, key=lambda night: night.id)
        if night.scored_expert is not None
    }
    metrics: dict[str, Any] = {}
    if scores:
        metrics = summarise(scores)
        confusion = np.array(metrics["pooled"]["confusion_matrix"])
        plot_confusion_matrix(confusion, folder / "plots" / f"{CONFUSION_PICTURE}.png")
        write_whole(folder / "per_night.csv", _per_night_csv(metrics["nights"]))
    metrics |= further or {}
    if not metrics:
        return {}
    text = json.dumps(metrics, indent=2, allow_nan=False)
    write_whole(folder / "metrics.json", f"{text}\n".encode())
    return metrics


def result_table(metrics: Mapping[str, Any]) -> Table:
    """What `write_results` returned, as a table for the terminal.

    A row per night unless there are more than 30, then mean and standard deviation over nights,
    then pooled. Kappa has three decimals, everything else is in percent.
    """
    table = Table(
        title="Agreement with the expert (%)",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 0),
        pad_edge=False,
    )
    table.add_column("Night", overflow="fold", min_width=12)
    for heading in ("Scored\nepochs", "Accu-\nracy", "Kappa", "Wtd.\nF1", "Macro\nF1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in STAGES:
        table.add_column(f"F1\n{stage}", justify="right", no_wrap=True)
    if not metrics:
        return table

    nights = metrics["nights"]
    if len(nights) <= MOST_NIGHTS_LISTED:
        for name, scores in nights.items():
            table.add_row(name, str(scores["scored"]), *_cells(scores))
        table.add_section()
    spread = [
        f"{mean}\n±{std}"
        for mean, std in zip(_cells(metrics["mean"]), _cells(metrics["std"]), strict=True)
    ]
    count = f"{len(nights)} night{'' if len(nights) == 1 else 's'}"
    table.add_row(f"mean of {count}\n± std", "", *spread)
    table.add_row("pooled", str(metrics["pooled"]["scored"]), *_cells(metrics["pooled"]))
    return table


def _cells(scores: Mapping[str, Any]) -> list[str]:
    percent = {name: scores[name] for name in OVERALL} | scores["f1"]
    return [
        "-" if value is None else f"{value:.3f}" if name == "cohen_kappa" else f"{100 * value:.1f}"
        for name, value in percent.items()
    ]


def _check_ids(ids: Sequence[str]) -> None:
    for name in ids:
        if name in ("", ".", "..", CONFUSION_PICTURE) or Path(name).name != name:
            raise InputError(f"a night is called {name!r}, which cannot name its files; rename it")
    for name, following in pairwise(sorted(ids)):
        if name == following:
            raise InputError(f"two nights are called {name!r}; give each night its own id")


def _hypnogram_csv(night: NightResult) -> bytes:
    number = night.first_epoch + np.arange(night.epochs)
    stage = np.array(STAGES)[night.hypnogram]
    probabilities = ([f"{value:.6f}" for value in row] for row in night.hypnodensity.tolist())
    rows = zip(
        number.tolist(),
        (number * SLEEP_EPOCH_S).tolist(),
        stage.tolist(),
        probabilities,
        strict=True,
    )
    return csv_bytes(
        ("epoch", "onset_s", "stage", *(f"p_{name}" for name in STAGES)),
        ((epoch, onset, name, *row) for epoch, onset, name, row in rows),
    )


def _per_night_csv(nights: Mapping[str, Any]) -> bytes:
    single = ("epochs", "scored", *OVERALL)
    return csv_bytes(
        ("night", *single, *(f"f1_{stage}" for stage in STAGES)),
        (
            (name, *(scores[column] for column in single), *scores["f1"].values())
            for name, scores in nights.items()
        ),
    )


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A csv file's content."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
