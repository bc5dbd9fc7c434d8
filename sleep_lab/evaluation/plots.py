"""Pictures of a run: one per night, and the confusion matrix."""

import io
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sleep_lab.evaluation.metrics import Scores, evaluate, scores_of
from sleep_lab.evaluation.night_result import NightResult
from sleep_lab.evaluation.spectrogram import multitaper_spectrogram
from sleep_lab.evaluation.time_axis import EPOCH_H, INK, draw_time_axes
from sleep_lab.stages import HYPNOGRAM_ORDER, STAGE_COLOURS, STAGES, UNSCORED
from sleep_lab.whole_file import write_whole

DISAGREEMENT = "#D6006C"
LEAST_POWER = 1e-6  # -60 dB: a flat signal
LEVEL_OF_STAGE = np.array([HYPNOGRAM_ORDER.index(stage) for stage in STAGES])
PANEL_HEIGHTS = {"expert": 1.0, "differs": 0.16, "model": 1.0, "hypnodensity": 1.0, "signal": 1.35}


def plot_night(result: NightResult, path: Path) -> None:
    """Draw a night as a PNG of 1600 x 900 pixels: what there is of the following, top to bottom.

    The expert's hypnogram, the epochs where the model differs, the model's hypnogram, the
    hypnodensity, and the multitaper spectrogram of the signal, over one time axis.

    Raises:
        InputError: the file cannot be written.
    """
    figure = Figure(figsize=(16, 9), dpi=100)
    panels = _panels(figure, result)
    edges = (result.first_epoch + np.arange(result.epochs + 1, dtype=np.float64)) * EPOCH_H
    expert = result.scored_expert
    if expert is not None:
        _draw_hypnogram(panels["expert"], edges, expert, "Expert")
        _draw_disagreement(panels["differs"], edges, expert, result.hypnogram)
    _draw_hypnogram(panels["model"], edges, result.hypnogram, "Model")
    _draw_hypnodensity(panels["hypnodensity"], edges, result.hypnodensity)
    if result.signal is not None:
        _draw_spectrogram(panels["signal"], result, result.signal)
    draw_time_axes(list(panels.values()), edges, result.start_time)
    next(iter(panels.values())).set_title(
        _title(result), loc="left", fontsize=15, color=INK, pad=12, parse_math=False
    )
    save_figure(figure, path)


def plot_confusion_matrix(confusion: NDArray[np.int64], path: Path) -> None:
    """Draw a (5, 5) confusion matrix, rows the expert's stages: epochs, and percent of the row.

    Raises:
        InputError: the file cannot be written.
    """
    scores = scores_of(confusion)
    figure = Figure(figsize=(9, 8.4), dpi=100)
    axes = figure.add_axes((0.15, 0.11, 0.8, 0.8))
    rows = confusion.sum(axis=1, keepdims=True)
    share = np.divide(confusion, rows, out=np.zeros(confusion.shape), where=rows > 0)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(confusion.shape):
        percent = f"{share[row, column]:.1%}" if rows[row, 0] else "n/a"
        axes.text(
            column,
            row,
            f"{percent}\n{confusion[row, column]:,}",
            ha="center",
            va="center",
            fontsize=14,
            linespacing=1.4,
            color="white" if share[row, column] > 0.55 else INK,
        )
    totals = [f"{stage}\n{count:,}" for stage, count in zip(STAGES, rows[:, 0], strict=True)]
    axes.set_yticks(range(len(STAGES)), totals, fontsize=13)
    axes.set_xticks(range(len(STAGES)), STAGES, fontsize=13)
    axes.set_xlabel("Model", fontsize=14, labelpad=8)
    axes.set_ylabel("Expert (epochs)", fontsize=14)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(
        f"{scores.scored:,} epochs   {_agreement(scores)}",
        fontsize=15,
        color=INK,
        pad=12,
    )
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG.

    Raises:
        InputError: the file cannot be written.
    """
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    write_whole(path, picture.getvalue())


def _panels(figure: Figure, result: NightResult) -> dict[str, Axes]:
    absent = set() if result.scored_expert is not None else {"expert", "differs"}
    if result.signal is None:
        absent.add("signal")
    heights = {name: high for name, high in PANEL_HEIGHTS.items() if name not in absent}
    grid = figure.add_gridspec(
        len(heights),
        1,
        height_ratios=list(heights.values()),
        left=0.07,
        right=0.91,
        top=0.9,
        bottom=0.075,
        hspace=0.13,
    )
    panels: dict[str, Axes] = {}
    for row, name in enumerate(heights):
        axes = figure.add_subplot(grid[row], sharex=next(iter(panels.values()), None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#888888")
        axes.tick_params(labelsize=11, colors=INK, length=3)
        panels[name] = axes
    return panels


def _title(result: NightResult) -> str:
    if result.scored_expert is None:
        return f"{result.id}   {result.epochs:,} epochs, not scored by an expert"
    scores = evaluate(result.hypnogram, result.scored_expert)
    return (
        f"{result.id}   {_agreement(scores)}   "
        f"({scores.scored:,} of {scores.epochs:,} epochs scored)"
    )


def _agreement(scores: Scores) -> str:
    kappa = "undefined" if np.isnan(scores.cohen_kappa) else f"{scores.cohen_kappa:.3f}"
    return f"accuracy {scores.accuracy:.1%}, kappa {kappa}, macro F1 {scores.macro_f1:.1%}"


def _runs(values: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First index of each run of equal values, and the index after its last."""
    bounds = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate([[0], bounds]), np.concatenate([bounds, [len(values)]])


def _draw_hypnogram(
    axes: Axes, edges: NDArray[np.float64], hypnogram: NDArray[np.int8], name: str
) -> None:
    """Runs of a stage as coloured bars joined by thin lines; a gap where there is no stage."""
    first, after = _runs(hypnogram)
    stage = hypnogram[first]
    level = LEVEL_OF_STAGE[stage]  # that of unscored runs means nothing: they are not drawn
    joined = (stage[:-1] != UNSCORED) & (stage[1:] != UNSCORED)
    steps = np.stack([edges[first[1:]], level[:-1], edges[first[1:]], level[1:]], axis=-1)
    axes.add_collection(
        LineCollection(list(steps[joined].reshape(-1, 2, 2)), colors="#777777", linewidths=0.7)
    )
    bars = np.stack([edges[first], level, edges[after], level], axis=-1).reshape(-1, 2, 2)
    for code, label in enumerate(STAGES):
        axes.add_collection(
            LineCollection(
                list(bars[stage == code]),
                colors=STAGE_COLOURS[label],
                linewidths=6 if label == "REM" else 3,
                capstyle="butt",
                zorder=3,
            )
        )
    axes.set_yticks(range(len(HYPNOGRAM_ORDER)), HYPNOGRAM_ORDER)
    axes.set_ylim(-0.5, len(HYPNOGRAM_ORDER) - 0.5)
    _label(axes, name)


def _draw_disagreement(
    axes: Axes,
    edges: NDArray[np.float64],
    expert: NDArray[np.int8],
    model: NDArray[np.int8],
) -> None:
    differs = (expert != model) & (expert != UNSCORED)
    first, after = _runs(differs)
    marked = differs[first]
    start, stop = edges[first[marked]], edges[after[marked]]
    # an outline keeps a single epoch visible where it is narrower than a pixel
    axes.broken_barh(
        list(zip(start, stop - start, strict=True)),
        (0, 1),
        facecolor=DISAGREEMENT,
        edgecolor=DISAGREEMENT,
        linewidth=0.4,
    )
    axes.set_ylim(0, 1)
    axes.set_facecolor("#F2F2F2")
    axes.set_yticks([0.5], ["differs"])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _draw_hypnodensity(
    axes: Axes, edges: NDArray[np.float64], hypnodensity: NDArray[np.float32]
) -> None:
    codes = [STAGES.index(stage) for stage in HYPNOGRAM_ORDER]
    tops = hypnodensity[:, codes].cumsum(axis=1)
    tops = np.concatenate([tops, tops[-1:]])
    # from the top down, each over the last: no seams between neighbours
    for stage, top in reversed(list(zip(HYPNOGRAM_ORDER, tops.T, strict=True))):
        axes.fill_between(edges, top, step="post", color=STAGE_COLOURS[stage], linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    _label(axes, "Probability")
    axes.legend(
        handles=[Patch(color=STAGE_COLOURS[stage], label=stage) for stage in HYPNOGRAM_ORDER[::-1]],
        loc="center left",
        bbox_to_anchor=(1.008, 0.5),
        frameon=False,
        fontsize=12,
        handlelength=1.0,
        handleheight=1.0,
        borderaxespad=0,
    )


def _draw_spectrogram(axes: Axes, result: NightResult, signal: NDArray[np.float32]) -> None:
    frequencies, power = multitaper_spectrogram(signal, result.sampling_rate)
    # bins are much closer than the resolution: every second one is enough to look at
    frequencies, power = frequencies[::2], power[:, ::2]
    decibels = 10 * np.log10(np.maximum(power, LEAST_POWER))
    ordinary = decibels[np.isfinite(decibels)]
    low, high = np.percentile(ordinary, [5, 98]) if ordinary.size else (0.0, 1.0)
    start, half_bin = result.first_epoch * EPOCH_H, frequencies[1] / 2
    image = axes.imshow(
        decibels.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=colormaps["turbo"].resampled(64),  # fewer colours, a smaller file
        vmin=low,
        vmax=max(high, low + 10),
        zorder=1,  # over the time axis' grid
        extent=(start, start + len(decibels) * EPOCH_H, -half_bin, frequencies[-1] + half_bin),
    )
    axes.set_ylim(0, frequencies[-1])
    _label(axes, f"{result.signal_name}\n(Hz)" if result.signal_name else "Frequency (Hz)")
    legend = axes.inset_axes((1.012, 0.0, 0.012, 1.0))
    bar = axes.figure.colorbar(image, cax=legend)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=11, colors=INK, length=3)
    bar.set_label("Power (dB)", fontsize=12, color=INK)


def _label(axes: Axes, name: str) -> None:
    axes.set_ylabel(name, fontsize=13, color=INK, parse_math=False)
    axes.yaxis.set_label_coords(-0.045, 0.5)
