"""The picture of a sweep: curves over a number that it varies, or a row for each setting."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, NullLocator

from sleep_lab.evaluation.metrics import Floats
from sleep_lab.evaluation.plots import save_figure
from sleep_lab.evaluation.setting_label import broken
from sleep_lab.evaluation.sweep import FOLD, SEED, TRIAL, Search, number_of, shortened
from sleep_lab.evaluation.sweep_scores import SCORES, ScoredSetting
from sleep_lab.evaluation.time_axis import INK

PANELS = {"cohen_kappa": "Kappa", "accuracy": "Accuracy (%)", "macro_f1": "Macro F1 (%)"}
SCALES = {"cohen_kappa": 1.0, "accuracy": 100.0, "macro_f1": 100.0}
WORDS = {
    "experiment/paper": "experiment",
    "split.training_nights": "training nights",
    "split.train_on": "trained on",
    "split.test_on": "tested on",
    "context.length": "context (sleep epochs)",
    "optimizer.lr": "learning rate",
}
DOTS = {FOLD: "fold", TRIAL: "trial", SEED: "seed"}
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#1B1F5E", "#E69F00", "#56B4E9", "#7F7F7F"),
)
"""One colour per line, told apart by people with any of the common colour-vision deficiencies."""

MARKERS = "osD^vPX*"
MOST_CURVES = len(COLOURS)
LOGARITHMIC_FROM = 20
"""How many times its smallest value the largest must be for a logarithmic axis."""

MOST_TICKS = 15
PANEL_WIDTH_PX = 400
CHARACTER_WIDTH_PX = 9
LABEL_CHARACTERS = 48
LEGEND_CHARACTERS = 150


def plot_sweep(settings: Sequence[ScoredSetting], path: Path, search: Search | None = None) -> None:
    """Write `sweep_figure` as a PNG; no file if there is nothing to compare.

    Raises:
        InputError: the file cannot be written.
    """
    figure = sweep_figure(settings, search)
    if figure is None:
        path.unlink(missing_ok=True)
    else:
        save_figure(figure, path)


def sweep_figure(settings: Sequence[ScoredSetting], search: Search | None = None) -> Figure | None:
    """Kappa, accuracy and macro F1 of the settings; None without two that have any.

    A score that is undefined in all of them is left out.

    Against a number that the settings differ in, a curve for each of the rest's combinations, if
    these are at most 8; otherwise a row for each setting, the best kappa at the top. With the
    means' intervals, and the single folds, trials or seeds as faint dots. The points of a search,
    whose numbers are drawn at random, are not joined.
    """
    shown = [setting for setting in settings if setting.scores]
    if len(shown) < 2 or not _defined(shown):
        return None
    keys = list(dict.fromkeys(key for setting in shown for key in setting.setting.overrides))
    number = _numeric_key(shown, keys)
    others = [key for key in keys if key != number]
    names = dict.fromkeys(_name(setting, others) for setting in shown)
    if number and len(names) <= MOST_CURVES:
        return _curve_figure(shown, number, others, list(names), joined=search is None)
    return _row_figure(shown, keys)


def _curve_figure(
    settings: Sequence[ScoredSetting],
    number: str,
    others: Sequence[str],
    names: Sequence[str],
    joined: bool,
) -> Figure:
    footnote = _footnote(settings, "band" if joined else "line")
    figure, panels = _panels(6.4, footnote, _defined(settings))
    first, *more = panels.values()
    for axes in more:
        axes.sharex(first)  # also where a score is undefined in the outer settings
    ordered = sorted(settings, key=lambda setting: _x(setting, number))
    for score, axes in panels.items():
        for look, name in enumerate(names):
            curve = [setting for setting in ordered if _name(setting, others) == name]
            _draw_curve(axes, curve, number, score, look, joined)
        _number_axis(axes, sorted({_x(setting, number) for setting in settings}))
        axes.set_xlabel(_words(number), fontsize=13, color=INK, parse_math=False)
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
    if others:
        legend = figure.legend(
            axes.get_lines(),
            names,
            loc="outside upper left",
            ncols=max(1, min(len(names), LEGEND_CHARACTERS // (max(map(len, names)) + 7))),
            title=_words(*others),
            alignment="left",
            frameon=False,
            fontsize=12,
            title_fontsize=12,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    return figure


def _draw_curve(
    axes: Axes,
    curve: Sequence[ScoredSetting],
    number: str,
    score: str,
    look: int,
    joined: bool,
) -> None:
    colour = COLOURS[look]
    x = [_x(setting, number) for setting in curve]
    mean, low, high = _values(curve, score)
    for at, setting in zip(x, curve, strict=True):
        dots = _dots(setting, score)
        axes.scatter([at] * len(dots), dots, s=16, color=colour, alpha=0.3, linewidths=0, zorder=2)
    if joined and len(curve) > 1:
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0, zorder=1)
    else:
        axes.vlines(x, low, high, color=colour, linewidth=1.5)
    line = "-" if joined else "none"
    axes.plot(x, mean, ls=line, lw=2, color=colour, marker=MARKERS[look], markersize=6, zorder=3)


def _row_figure(settings: Sequence[ScoredSetting], keys: Sequence[str]) -> Figure:
    best_first = sorted(settings, key=_kappa, reverse=True)
    labels = ["\n".join(broken(_name(setting, keys), LABEL_CHARACTERS)) for setting in best_first]
    heights = np.array([0.16 + 0.2 * (1 + label.count("\n")) for label in labels])
    figure, panels = _panels(2.1 + heights.sum(), _footnote(settings, "line"), _defined(settings))
    rows = heights.cumsum() - heights / 2
    for score, axes in panels.items():
        mean, low, high = _values(best_first, score)
        for row, setting in zip(rows, best_first, strict=True):
            dots = _dots(setting, score)
            axes.scatter(dots, [row] * len(dots), s=16, color=COLOURS[0], alpha=0.25, linewidths=0)
        axes.hlines(rows, low, high, color=COLOURS[0], linewidth=2.5)
        axes.plot(mean, rows, "o", color=COLOURS[0], markersize=7)
        axes.grid(color="#DDDDDD", linewidth=0.8)
        axes.set_ylim(heights.sum(), 0)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.set_yticks(rows, labels if score == next(iter(panels)) else [""] * len(rows))
        for text in axes.get_yticklabels():
            text.set_parse_math(False)
    figure.suptitle(_words(*keys), x=0.01, ha="left", fontsize=12, color=INK, parse_math=False)
    return figure


def _defined(settings: Sequence[ScoredSetting]) -> list[str]:
    """The scores that have a panel: those that are defined in some setting."""
    return [score for score in PANELS if np.isfinite(_values(settings, score)[0]).any()]


def _panels(height: float, footnote: str, scores: Sequence[str]) -> tuple[Figure, dict[str, Axes]]:
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.03)
    figure = Figure(figsize=(16, height), dpi=100, layout=layout)
    figure.supxlabel(footnote, fontsize=11, color="#555555", x=0.01, ha="left")
    panels = {}
    row = figure.subplots(1, len(scores), squeeze=False)[0]
    for score, axes in zip(scores, row, strict=True):
        axes.set_title(PANELS[score], loc="left", fontsize=14, color=INK, pad=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#888888")
        axes.tick_params(labelsize=11, colors=INK, length=3)
        axes.set_axisbelow(True)
        panels[score] = axes
    return figure, panels


def _number_axis(axes: Axes, values: Sequence[float]) -> None:
    """Ticks at the values themselves if they are few and short, otherwise at round numbers."""
    logarithmic = _spread_out(values)
    if logarithmic:
        axes.set_xscale("log")
    if len(values) > MOST_TICKS or max(len(f"{value:g}") for value in values) > 6:
        if not logarithmic:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=all(v == int(v) for v in values)))
            return
        decades = range(math.floor(math.log10(values[0])), math.ceil(math.log10(values[-1])))
        round_numbers = [m * 10.0**power for power in decades for m in (1, 2, 5)]
        values = [number for number in round_numbers if values[0] <= number <= values[-1]]
        if len(decades) > 3:
            values = [number for number in values if math.log10(number).is_integer()]
    ticks = _apart(values, logarithmic)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _apart(values: Sequence[float], logarithmic: bool) -> list[float]:
    """Those values whose labels do not touch the label before."""
    at = np.log(values) if logarithmic else np.array(values)
    pixels = (at - at[0]) / max(np.ptp(at), 1e-9) * PANEL_WIDTH_PX
    widths = [CHARACTER_WIDTH_PX * len(f"{value:g}") for value in values]
    kept = [0]
    for number in range(1, len(values)):
        before = kept[-1]
        if pixels[number] - pixels[before] > (widths[number] + widths[before]) / 2 + 6:
            kept.append(number)
    return [values[number] for number in kept]


def _spread_out(values: Sequence[float]) -> bool:
    """Whether values want a logarithmic axis: they span much, and are not evenly spaced."""
    if values[0] <= 0 or values[-1] <= LOGARITHMIC_FROM * values[0]:
        return False
    steps = np.diff(values)
    return len(values) < 3 or not np.allclose(steps, steps[0])


def _numeric_key(settings: Sequence[ScoredSetting], keys: Sequence[str]) -> str | None:
    """The key whose values are numbers in all settings, and most of them."""
    values = {
        key: {number_of(setting.setting.overrides.get(key, "")) for setting in settings}
        for key in keys
    }
    numeric = {key: len(found) for key, found in values.items() if None not in found}
    return max(numeric, key=numeric.__getitem__, default=None)


def _x(setting: ScoredSetting, key: str) -> float:
    return float(setting.setting.overrides[key])


def _values(settings: Sequence[ScoredSetting], score: str) -> tuple[Floats, Floats, Floats]:
    """Mean, and low and high end of its interval, of each setting."""
    found = [setting.scores for setting in settings if setting.scores]
    at, scale = SCORES.index(score), SCALES[score]
    means = np.array([scores.mean[at] for scores in found])
    ends = np.array([scores.interval[:, at] for scores in found])
    return scale * means, scale * ends[:, 0], scale * ends[:, 1]


def _dots(setting: ScoredSetting, score: str) -> list[float]:
    """The jobs' means, if there are several."""
    jobs = [scores.mean[SCORES.index(score)] for scores in setting.of_jobs if scores]
    return [SCALES[score] * value for value in jobs] if len(jobs) > 1 else []


def _kappa(setting: ScoredSetting) -> float:
    kappa = _values([setting], "cohen_kappa")[0][0]
    return -math.inf if math.isnan(kappa) else float(kappa)


def _footnote(settings: Sequence[ScoredSetting], mark: str) -> str:
    scores = [setting.scores for setting in settings if setting.scores]
    over = " or ".join(dict.fromkeys(score.over for score in scores))
    parts = [f"Mean over {over}"]
    if any(np.isfinite(score.interval).any() for score in scores):
        resampled = " or ".join(dict.fromkeys(score.resampled for score in scores))
        parts.append(f"{mark}: 95 % BCa bootstrap interval of the mean over {resampled}")
    if any(_dots(setting, "accuracy") for setting in settings):
        parts.append(f"faint dots: single {_repeated(settings)}s")
    return "; ".join(parts)


def _repeated(settings: Sequence[ScoredSetting]) -> str:
    """What the jobs of a setting are."""
    repeated = [
        name
        for key, name in DOTS.items()
        if any(
            len({job.overrides.get(key) for job in setting.setting.jobs}) > 1
            for setting in settings
        )
    ]
    return repeated[0] if len(repeated) == 1 else "job"


def _words(*keys: str) -> str:
    return ", ".join(WORDS.get(key, key.replace(".", " ").replace("_", " ")) for key in keys)


def _name(setting: ScoredSetting, keys: Sequence[str]) -> str:
    """The setting's values of these keys; of numbers of many digits the first three."""
    return ", ".join(shortened(setting.setting.overrides.get(key, "default")) for key in keys)
