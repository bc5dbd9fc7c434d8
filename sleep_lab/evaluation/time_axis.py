"""The time axis of a night: hours since its start, and the time on the clock."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sleep_lab.stages import SLEEP_EPOCH_S

INK = "#222222"
"""Colour of a picture's text."""

EPOCH_H = SLEEP_EPOCH_S / 3600
"""Duration of a sleep epoch in hours."""

TICK_STEPS_MIN = (1, 2, 5, 10, 15, 30, 60, 120, 240)
MOST_TICKS = 14


def draw_time_axes(
    panels: Sequence[Axes], edges: NDArray[np.float64], start_time: datetime | None
) -> None:
    """Give panels that share an x axis in hours their ticks, top to bottom.

    Hours since the recording's start under the last panel; over the first, the time on the clock
    if `start_time`, that of the recording's first sample, is known. `edges` are the sleep epochs'
    bounds in hours.
    """
    first, last = float(edges[0]), float(edges[-1])
    step = _tick_step_min(last - first) / 60
    for axes in panels:
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="x", length=0, pad=7, labelbottom=axes is panels[-1])
    bottom = panels[-1]
    ticks = _multiples(first, last, step)
    bottom.set_xticks(ticks, [_elapsed(tick) for tick in ticks])
    bottom.set_xlim(first, last)
    bottom.set_xlabel("Time since the start of the recording (h:mm)", fontsize=13, color=INK)
    if start_time is not None:
        _draw_clock(panels[0], first, last, step, start_time)


def _draw_clock(axes: Axes, first: float, last: float, step: float, start_time: datetime) -> None:
    start = start_time.hour + start_time.minute / 60 + start_time.second / 3600
    clock = axes.secondary_xaxis("top")
    ticks = _multiples(first + start, last + start, step)
    clock.set_xticks(ticks - start, [_on_the_clock(tick) for tick in ticks])
    clock.tick_params(labelsize=11, colors=INK, length=3)
    clock.spines["top"].set_visible(False)


def _tick_step_min(hours: float) -> int:
    enough = [step for step in TICK_STEPS_MIN if hours * 60 / step <= MOST_TICKS]
    return enough[0] if enough else TICK_STEPS_MIN[-1]


def _multiples(first: float, last: float, step: float) -> NDArray[np.float64]:
    return np.arange(np.ceil(first / step - 1e-9), np.floor(last / step + 1e-9) + 1) * step


def _elapsed(hours: float) -> str:
    minutes = round(hours * 60)
    return f"{minutes // 60}:{minutes % 60:02}"


def _on_the_clock(hours: float) -> str:
    minutes = round(hours * 60) % (24 * 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"
