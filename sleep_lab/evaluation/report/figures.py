"""The plots of a report as SVG: text that a screen reader finds, lines that print sharp."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib.ticker import MaxNLocator

from sleep_lab.evaluation.report.report import (
    BlandAltmanPlot,
    Floats,
    ReliabilityDiagram,
    ReviewCurve,
)

WIDTH, HEIGHT = 360, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 44
TICKS = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])
LINE_COLOURS = ("#0072B2", "#CC3311", "#1B1F5E", "#E69F00", "#56B4E9")
LINE_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2")


@dataclass(frozen=True)
class Axes:
    """Where data lie in a picture: the values at its left, right, bottom and top edges."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, values: Floats | float) -> Floats:
        """Pixels from the left."""
        low, high = self.x_range
        share = (np.asarray(values, dtype=np.float64) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, values: Floats | float) -> Floats:
        """Pixels from the top."""
        low, high = self.y_range
        share = (np.asarray(values, dtype=np.float64) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def bland_altman_figure(plot: BlandAltmanPlot) -> str:
    """Difference over mean, a point per night; bias and limits of agreement with intervals."""
    defined = np.isfinite(plot.mean) & np.isfinite(plot.difference)
    mean, difference = plot.mean[defined], plot.difference[defined]
    names = [name for name, shown in zip(plot.nights, defined, strict=True) if shown]
    unit = f" {plot.unit}" if plot.unit else ""
    in_unit = f" ({plot.unit})" if plot.unit else ""
    intervals = [plot.lower_interval, plot.bias_interval, plot.upper_interval]
    heights = [*difference, plot.bias, *plot.limits]
    heights += [bound for interval in intervals if interval for bound in interval]
    axes = Axes(_padded(mean), _padded(np.array(heights)))
    levels = (plot.limits[0], plot.bias, plot.limits[1])
    parts = [_frame(axes, f"Mean of model and expert{in_unit}", f"Model minus expert{in_unit}")]
    parts += [_band(axes, interval) for interval in intervals if interval]
    parts += [
        _level(axes, level, css)
        for level, css in zip(levels, ("limit", "bias", "limit"), strict=True)
        if np.isfinite(level)
    ]
    if plot.trend is not None and len(mean):
        intercept, slope = plot.trend
        ends = np.array([mean.min(), mean.max()])
        parts.append(_line(axes, ends, intercept + slope * ends, css="trend"))
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="point"><title>{escape(name)}: '
        f"{value:+.2f}{escape(unit)}</title></circle>"
        for name, value, x, y in zip(
            names, difference, axes.x(mean), axes.y(difference), strict=True
        )
    ]
    caption = (
        f"bias {_signed(plot.bias)}{_interval(plot.bias_interval)}, limits of agreement "
        f"{_signed(plot.limits[0])} to {_signed(plot.limits[1])}{unit}, {len(mean)} nights"
    )
    return _card(plot.title, caption, plot.note, parts)


def reliability_figure(diagram: ReliabilityDiagram) -> str:
    """Accuracy over confidence, beside the diagonal; bars for the share of epochs in each bin."""
    axes = Axes((0.0, 1.0), (0.0, 1.0))
    parts = [_frame(axes, "Probability given by the model", "Share that is right")]
    full = diagram.count > 0
    confidence, accuracy = diagram.confidence[full], diagram.accuracy[full]
    share = diagram.count[full] / max(int(diagram.count.sum()), 1)
    parts += [
        f'<rect x="{x - 5:.1f}" y="{y:.1f}" width="10" height="{axes.y(0) - y:.1f}" '
        f'class="count"><title>{part:.1%} of the epochs</title></rect>'
        for x, y, part in zip(axes.x(confidence), axes.y(share), share, strict=True)
    ]
    corners = np.array([0.0, 1.0])
    parts.append(_line(axes, corners, corners, css="diagonal"))
    parts.append(_line(axes, confidence, accuracy, css="curve"))
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="point">'
        f"<title>probability {sure:.2f}: {right:.2f} right, {count:,} epochs</title></circle>"
        for x, y, sure, right, count in zip(
            axes.x(confidence),
            axes.y(accuracy),
            confidence,
            accuracy,
            diagram.count[full],
            strict=True,
        )
    ]
    caption = (
        f"expected calibration error {diagram.expected_calibration_error:.3f}; "
        "bars: share of the epochs"
    )
    return _card(diagram.title, caption, diagram.note, parts)


def review_curve_figure(curve: ReviewCurve) -> str:
    """Accuracy over the share of epochs reviewed, a line per order of review."""
    values = np.concatenate([*curve.accuracy.values(), [1.0]])
    axes = Axes((0.0, 1.0), (_padded(values)[0], 1.0))
    parts = [_frame(axes, "Share of epochs reviewed", "Accuracy after the review")]
    top = HEIGHT - BOTTOM - 16 * len(curve.accuracy)
    for number, (name, accuracy) in enumerate(curve.accuracy.items()):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        dash = LINE_DASHES[number % len(LINE_DASHES)]
        look = f'stroke="{colour}" stroke-dasharray="{dash}"'
        parts.append(_line(axes, curve.share, accuracy, css="series", look=look))
        y = top + 16 * number + 4
        parts.append(
            f'<line x1="{WIDTH - 160}" x2="{WIDTH - 132}" y1="{y}" y2="{y}" class="series" {look}/>'
            f'<text x="{WIDTH - 126}" y="{y + 4}">{escape(name)}</text>'
        )
    return _card("What a review is worth", "", curve.note, parts)


def _card(title: str, caption: str, note: str, parts: Sequence[str]) -> str:
    described = escape(f"{title}: {caption}" if caption else title)
    lines = "".join(f"<p>{escape(line)}</p>" for line in (caption, note) if line)
    return (
        f'<figure class="card"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{described}">'
        f"{''.join(parts)}</svg>{lines}</figure>"
    )


def _frame(axes: Axes, x_label: str, y_label: str) -> str:
    left, right = LEFT, WIDTH - RIGHT
    top, bottom = TOP, HEIGHT - BOTTOM
    across = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" class="grid"/>'
        f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{tick:g}</text>'
        for tick, x in _ticks(axes.x_range, axes.x)
    )
    up = "".join(
        f'<line x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        for tick, y in _ticks(axes.y_range, axes.y)
    )
    middle = (top + bottom) / 2
    return (
        f'{across}{up}<text x="{(left + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle" '
        f'class="label">{escape(x_label)}</text><text transform="translate(12 {middle}) '
        f'rotate(-90)" text-anchor="middle" class="label">{escape(y_label)}</text>'
    )


def _ticks(
    bounds: tuple[float, float], place: Callable[[Floats | float], Floats]
) -> list[tuple[float, float]]:
    """Round values within bounds, and the pixel of each."""
    values = np.asarray(TICKS.tick_values(*bounds))
    slack = 1e-9 * (bounds[1] - bounds[0])
    values = values[(values >= bounds[0] - slack) & (values <= bounds[1] + slack)]
    return list(zip(values.tolist(), place(values).tolist(), strict=True))


def _padded(values: Floats) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    margin = (high - low) * 0.08 or abs(high) * 0.08 or 1.0
    return low - margin, high + margin


def _band(axes: Axes, interval: tuple[float, float]) -> str:
    bottom, top = axes.y(np.array(interval)).tolist()
    if not np.isfinite([bottom, top]).all():
        return ""
    return (
        f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{bottom - top:.1f}" class="interval"/>'
    )


def _level(axes: Axes, value: float, css: str) -> str:
    y = float(axes.y(value))
    return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="{css}"/>'


def _line(axes: Axes, x: Floats, y: Floats, css: str, look: str = "") -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(axes.x(x), axes.y(y), strict=True))
    return f'<polyline points="{points}" class="{css}" {look}/>'


def _signed(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else "undefined"


def _interval(bounds: tuple[float, float] | None) -> str:
    return f" ({_signed(bounds[0])} to {_signed(bounds[1])})" if bounds else ""
