"""A report as one HTML file: markup, style, script and data, and nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from sleep_lab.evaluation.report.figures import (
    bland_altman_figure,
    reliability_figure,
    review_curve_figure,
)
from sleep_lab.evaluation.report.packed_nights import packed_nights
from sleep_lab.evaluation.report.report import Report, ReportNight
from sleep_lab.evaluation.report.tables import Links, confusion_html, review_html, table_html
from sleep_lab.stages import HYPNOGRAM_ORDER, STAGE_COLOURS
from sleep_lab.whole_file import write_whole

SCRIPTS = ("drawing.js", "readout.js", "strip.js", "page.js")
"""The page's script in pieces, each with one subject; the last uses those before it."""

DARK_FROM = 8
"""Tenths of a confusion matrix's row from which the text of a cell is white."""


def write_report(path: Path, report: Report) -> None:
    """Write a report as one HTML file, which opens in a browser without a network.

    Names, ids and notes of the report are shown as text, whatever they hold, and the file's
    Content-Security-Policy lets a browser run its own script and load nothing.

    Raises:
        InputError: the file cannot be written.
    """
    write_whole(path, page_html(report).encode())


def page_html(report: Report) -> str:
    """The text of the file that `write_report` writes."""
    style = _part("page.css") + _colour_rules()
    script = "\n".join(_part(name) for name in SCRIPTS)
    sections = _sections(report)
    return Template(_part("page.html")).substitute(
        policy=(
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
            "base-uri 'none'; form-action 'none'"
        ),
        title=escape(report.title),
        subtitle=escape(report.subtitle),
        navigation="".join(f'<a href="#{_anchor(title)}">{title}</a>' for title in sections),
        sections="\n".join(
            f'<section id="{_anchor(title)}"><h2>{title}</h2>\n{content}\n</section>'
            for title, content in sections.items()
        ),
        style=style,
        script=script,
        data=packed_nights(report),
    )


def _sections(report: Report) -> dict[str, str]:
    """Title -> HTML of the report's parts that are not empty."""
    links = {night.id: f"night-{number}" for number, night in enumerate(report.nights)}
    sections = {
        "Results": "\n".join(table_html(table, links) for table in report.tables),
        "Nights": _nights_html(report, links),
        "Confusion matrices": _cards(
            confusion_html(name, matrix) for name, matrix in report.confusion.items()
        ),
        "Sleep statistics": _cards(bland_altman_figure(plot) for plot in report.bland_altman),
        "Calibration": _cards(reliability_figure(diagram) for diagram in report.reliability),
        "Review first": _review(report, links),
        "Notes": "\n".join(f"<p>{escape(note)}</p>" for note in report.notes),
    }
    return {title: content for title, content in sections.items() if content}


def _review(report: Report, links: Links) -> str:
    curve = _cards([review_curve_figure(report.review_curve)] if report.review_curve else [])
    return (review_html(report, links) if report.review else "") + curve


def _nights_html(report: Report, links: Links) -> str:
    if not report.nights:
        return ""
    legend = "".join(
        f'<li><i class="swatch stage-{stage}"></i>{stage}</li>' for stage in HYPNOGRAM_ORDER[::-1]
    )
    help_text = (
        "Open a night to see it. Drag across it, pinch, or turn the wheel with Ctrl held to zoom; "
        "double-click for the whole night. On the keyboard: arrows move, + and - zoom, 0 resets."
    )
    nights = "\n".join(_night_html(night, links[night.id]) for night in report.nights)
    return f'<p class="note screen">{help_text}</p><ul class="legend">{legend}</ul>\n{nights}'


def _night_html(night: ReportNight, link: str) -> str:
    facts = [f"{night.epochs:,} epochs", f"{len(night.hypnograms)} hypnograms"]
    if night.start_time is not None:
        facts.insert(0, _date(night.start_time))
    return (
        f'<details class="night" id="{link}"><summary><b>{escape(night.id)}</b> '
        f'<span class="note">{", ".join(facts)}</span></summary></details>'
    )


def _date(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"


def _cards(cards: Iterable[str]) -> str:
    content = "\n".join(cards)
    return f'<div class="cards">{content}</div>' if content else ""


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _colour_rules() -> str:
    """Style rules of the stages, and of the cells of a confusion matrix."""
    stages = [f".stage-{stage}{{background:{colour}}}" for stage, colour in STAGE_COLOURS.items()]
    blues = colormaps["Blues"](np.linspace(0, 1, 11))
    shares = [
        f".share-{tenths}{{background:{to_hex(blue)};"
        f"color:{'#fff' if tenths >= DARK_FROM else '#000'}}}"
        for tenths, blue in enumerate(blues)
    ]
    return "\n".join([*stages, *shares])


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
