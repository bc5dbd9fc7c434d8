"""A table shows its numbers, and a plot has its points where they belong."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from sleep_lab.errors import InputError
from sleep_lab.evaluation.report import BlandAltmanPlot, ReliabilityDiagram, ReportTable
from sleep_lab.evaluation.report.figures import bland_altman_figure, reliability_figure
from sleep_lab.evaluation.report.page import page_html
from sleep_lab.evaluation.report.tables import confusion_html, table_html
from tests.evaluation.report.reports import made_up_report


def cells(html: str) -> list[tuple[str | None, str]]:
    """What each cell of a table's body is sorted by, and what it shows."""
    body = re.search(r"<tbody>(.*)</tbody>", html, re.DOTALL).group(1)
    found = re.findall(r'<t[dh](?: scope="row")?(?: data-sort="([^"]*)")?>(.*?)</t[dh]>', body)
    return [(key or None, re.sub("<.*?>", "", shown)) for key, shown in found]


def test_a_cell_shows_a_rounded_number_and_is_sorted_by_the_whole_one():
    row = [0.123456, 1234567, np.float32(0.5), np.int64(3), None, float("nan")]
    row += ["0.81 (0.78 to 0.84)", "-4.5 ± 1", "5bf0f969-304c", "W"]
    table = ReportTable("t", [str(number) for number in range(len(row))], [row], decimals=2)
    assert cells(table_html(table, {})) == [
        ("0.123456", "0.12"),
        ("1234567", "1,234,567"),
        ("0.5", "0.50"),
        ("3", "3"),
        ("nan", "\N{EN DASH}"),
        ("nan", "\N{EN DASH}"),
        ("0.81", "0.81 (0.78 to 0.84)"),
        ("-4.5", "-4.5 ± 1"),
        (None, "5bf0f969-304c"),
        (None, "W"),
    ]


def test_a_row_that_does_not_fit_the_columns_is_refused():
    with pytest.raises(InputError, match="table 'Nights': row 2 has 1 cells for 2 columns"):
        ReportTable("Nights", ["a", "b"], [[1, 2], [1]])


def test_a_confusion_matrix_shows_shares_of_the_reference_and_counts():
    matrix = np.zeros((5, 5))
    matrix[0, :2] = 3, 1
    matrix[4, 4] = 1234
    html = confusion_html("model", matrix)
    rows = re.findall(r"<tr><th scope=\"row\">(\w+)</th>(.*?)</tr>", html)
    assert [stage for stage, _ in rows] == ["W", "N1", "N2", "N3", "REM"]
    shown = [re.findall(r">([^<]*)<small>([^<]*)<", cells) for _, cells in rows]
    assert shown[0] == [("75%", "3"), ("25%", "1"), ("0%", "0"), ("0%", "0"), ("0%", "0")]
    assert shown[1] == [("\N{EN DASH}", "0")] * 5
    assert shown[4][4] == ("100%", "1,234")


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = np.array([int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_cell_of_a_confusion_matrix_can_be_read():
    style = page_html(made_up_report(("a",)))
    rules = re.findall(r"\.share-\d+\{background:(#\w+);color:(#\w+)\}", style)
    assert len(rules) == 11
    for background, ink in rules:
        dark, light = sorted([luminance(background), luminance(ink)])
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, contrast of text


def svg(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", html, re.DOTALL).group())


def scales(picture: ElementTree.Element) -> tuple[np.ndarray, np.ndarray]:
    """Slope and offset from pixels to values of each axis, from where its ticks stand."""
    ticks = [text for text in picture.iter("text") if text.get("class") is None and text.get("x")]
    across = [t for t in ticks if t.get("text-anchor") == "middle"]
    up = [t for t in ticks if t.get("text-anchor") == "end"]
    lines = [line for line in picture.iter("line") if line.get("class") == "grid"]
    xs = [float(line.get("x1")) for line in lines if line.get("x1") == line.get("x2")]
    ys = [float(line.get("y1")) for line in lines if line.get("y1") == line.get("y2")]
    return (
        np.polyfit(xs, [float(t.text) for t in across], 1),
        np.polyfit(ys, [float(t.text) for t in up], 1),
    )


def points(picture: ElementTree.Element) -> np.ndarray:
    x_scale, y_scale = scales(picture)
    circles = list(picture.iter("circle"))
    return np.array(
        [
            (np.polyval(x_scale, float(c.get("cx"))), np.polyval(y_scale, float(c.get("cy"))))
            for c in circles
        ]
    )


def test_bland_altman_points_and_limits_stand_at_their_values():
    rng = np.random.default_rng(3)
    mean, difference = rng.normal(400, 30, 12), rng.normal(-5, 20, 12)
    mean[4] = np.nan
    bias, half = -5.0, 40.0
    plot = BlandAltmanPlot(
        "Total sleep time",
        "min",
        [f"night {number}" for number in range(12)],
        mean,
        difference,
        bias,
        (bias - half, bias + half),
        bias_interval=(-11.0, 1.0),
    )
    html = bland_altman_figure(plot)
    picture = svg(html)
    keep = np.arange(12) != 4
    np.testing.assert_allclose(
        points(picture), np.stack([mean, difference], 1)[keep], rtol=0, atol=0.4
    )
    _, y_scale = scales(picture)
    levels = [
        np.polyval(y_scale, float(line.get("y1")))
        for line in picture.iter("line")
        if line.get("class") in {"bias", "limit"}
    ]
    np.testing.assert_allclose(levels, [bias - half, bias, bias + half], atol=0.4)
    names = [circle.find("title").text for circle in picture.iter("circle")]
    assert names[4].startswith("night 5: ")
    assert "bias -5.00 (-11.00 to +1.00)" in html
    assert "11 nights" in html


def test_nights_without_a_single_defined_pair_still_make_a_plot():
    nothing = np.full(3, np.nan)
    plot = BlandAltmanPlot("REM latency", "min", "abc", nothing, nothing, np.nan, (np.nan, np.nan))
    html = bland_altman_figure(plot)
    assert "nan" not in re.search(r"<svg.*</svg>", html, re.DOTALL).group()
    assert "0 nights" in html


def test_a_reliability_diagram_leaves_empty_bins_out():
    diagram = ReliabilityDiagram(
        "All stages",
        np.array([0.1, np.nan, 0.9]),
        np.array([0.2, np.nan, 0.8]),
        np.array([25, 0, 75]),
        0.1,
    )
    picture = svg(reliability_figure(diagram))
    np.testing.assert_allclose(points(picture), [[0.1, 0.2], [0.9, 0.8]], atol=1e-3)
    bars = [bar for bar in picture.iter("rect") if bar.get("class") == "count"]
    _, y_scale = scales(picture)
    tops = [np.polyval(y_scale, float(bar.get("y"))) for bar in bars]
    np.testing.assert_allclose(tops, [0.25, 0.75], atol=1e-3)
