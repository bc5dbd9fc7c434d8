"""The tables of a report as HTML."""

import math
import re
from collections.abc import Mapping
from html import escape
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from sleep_lab.evaluation.report.report import Cell, Report, ReportTable, ReviewItem
from sleep_lab.stages import SLEEP_EPOCH_S, STAGES

FILTER_FROM = 9
"""Number of rows from which a table has a filter."""

NO_VALUE = "\N{EN DASH}"
LEADING_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(?=$|[\s(%±])")

Links = Mapping[str, str]
"""Night id -> the id of its strip in the page."""


def table_html(table: ReportTable, links: Links) -> str:
    """A table that sorts by any column, with a filter if it is long."""
    head = "".join(
        f'<th scope="col"><button type="button">{escape(column)}</button></th>'
        for column in table.columns
    )
    rows = "\n".join(
        f"<tr>{''.join(_cell(cell, table.decimals, links) for cell in row)}</tr>"
        for row in table.rows
    )
    search = (
        '<label class="filter">Filter <input type="search" '
        'placeholder="text, or column &lt; number"></label><output></output>'
        if len(table.rows) >= FILTER_FROM
        else ""
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    title = escape(table.title)
    return (
        f'<div class="table"><h3>{title}</h3>{search}'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>{note}</div>"
    )


def review_html(report: Report, links: Links) -> str:
    """The epochs to review; the first cell of each leads to the epoch in its night's strip."""
    first_epoch = {night.id: night.first_epoch for night in report.nights}
    rows = "\n".join(
        _review_row(item, links[item.night], item.epoch - first_epoch[item.night])
        for item in report.review
    )
    columns = ("Epoch", "Night", "Time since start", "Model", "Uncertainty", "Note")
    head = "".join(
        f'<th scope="col"><button type="button">{column}</button></th>' for column in columns
    )
    return (
        '<div class="table"><label class="filter">Filter <input type="search" '
        'placeholder="text, or column &lt; number"></label><output></output>'
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Epochs to review">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
        '<p class="note printed">On paper: the first 40 at most.</p></div>'
    )


def confusion_html(name: str, confusion: NDArray[np.generic]) -> str:
    """A (5, 5) confusion matrix: percent of the row, and the number of epochs."""
    counts = confusion.astype(np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    head = "".join(f'<th scope="col">{stage}</th>' for stage in STAGES)
    rows = "".join(
        f'<tr><th scope="row">{stage}</th>'
        + "".join(
            f'<td class="share-{round(part * 10)}">{f"{part:.0%}" if total else NO_VALUE}'
            f"<small>{round(count):,}</small></td>"
            for part, count in zip(share[row].tolist(), counts[row].tolist(), strict=True)
        )
        + f"<td class='total'>{round(total):,}</td></tr>"
        for row, (stage, total) in enumerate(zip(STAGES, totals[:, 0].tolist(), strict=True))
    )
    return (
        f'<figure class="card"><figcaption>{escape(name)}</figcaption><table class="confusion">'
        '<thead><tr><th scope="col" class="corner">Reference</th>'
        f'{head}<th scope="col">Epochs</th></tr></thead><tbody>{rows}</tbody></table></figure>'
    )


def _review_row(item: ReviewItem, link: str, index: int) -> str:
    seconds = item.epoch * SLEEP_EPOCH_S
    time = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return (
        f'<tr><th scope="row" data-sort="{item.epoch}">'
        f'<a href="#{link}" data-epoch="{index}">{item.epoch}</a></th>'
        f'<td>{escape(item.night)}</td><td data-sort="{seconds}">{time}</td>'
        f"<td>{STAGES[item.stage]}</td>{_cell(item.uncertainty, 3, {})}"
        f"<td>{escape(item.note)}</td></tr>"
    )


def _cell(cell: Cell, decimals: int, links: Links) -> str:
    text, key = _text_and_key(cell, decimals)
    sort = "" if key is None else f' data-sort="{key}"'
    shown = escape(text)
    if isinstance(cell, str) and cell in links:
        return f'<th scope="row"><a href="#{links[cell]}">{shown}</a></th>'
    return f"<td{sort}>{shown}</td>"


def _text_and_key(cell: Cell, decimals: int) -> tuple[str, str | None]:
    """What a cell shows, and the number that it is sorted by: None for text, "nan" for no value."""
    if isinstance(cell, str):
        number = LEADING_NUMBER.match(cell)
        return cell, number and number.group()
    if cell is None or not math.isfinite(cell):
        return NO_VALUE, "nan"
    if isinstance(cell, Integral):
        return f"{cell:,}", str(cell)
    return f"{float(cell):.{decimals}f}", repr(float(cell))
