"""The picture of a sweep shows its settings' means, intervals and single jobs, and says what."""

import warnings

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from PIL import Image

from sleep_lab.evaluation.bootstrap import Resampling
from sleep_lab.evaluation.metrics import scores_of
from sleep_lab.evaluation.sweep import Job, JobScores, Search, settings_of
from sleep_lab.evaluation.sweep_plots import plot_sweep, sweep_figure
from sleep_lab.evaluation.sweep_scores import SCORES, scored

PANELS = ["Kappa", "Accuracy (%)", "Macro F1 (%)"]


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr("sleep_lab.evaluation.sweep_scores.RESAMPLING", Resampling(99))


@pytest.fixture(autouse=True)
def _no_warning_is_ever_given():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def job(number, nights=4, **overrides):
    """A job of several nights with random scores; keys are typed with __ for a dot."""
    told = {key.replace("__", "."): str(value) for key, value in overrides.items()}
    rng = np.random.default_rng(number)
    values = {f"{number}-{night}": rng.uniform(0.3, 0.9, len(SCORES)) for night in range(nights)}
    confusion = rng.integers(1, 90, (5, 5))
    assert scores_of(confusion).scored
    return Job(str(number), told, JobScores(values, confusion, {}))


def jobs(*overrides):
    return [job(number, **told) for number, told in enumerate(overrides)]


def drawn(found, search=None):
    """The settings and their figure, laid out and drawn."""
    settings = scored(settings_of(found, search))
    figure = sweep_figure(settings, search)
    if figure is not None:
        FigureCanvasAgg(figure).draw()
    return settings, figure


def shown_texts(figure):
    """All texts of a figure that are drawn, tick labels and legends too, with their extents."""
    renderer = figure.canvas.get_renderer()
    texts = [text for text in figure.findobj(Text) if text.get_visible()]
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not min(limits) <= tick.get_loc() <= max(limits):
                    texts = [text for text in texts if text not in (tick.label1, tick.label2)]
    extents = [(text, text.get_window_extent(renderer)) for text in texts if text.get_text()]
    return [(text.get_text(), extent) for text, extent in extents if extent.width > 0]


def assert_readable(figure):
    """No text leaves the picture, and no two texts lie on each other."""
    texts = shown_texts(figure)
    assert len(texts) > 6
    for name, extent in texts:
        assert extent.x0 >= 0, name
        assert extent.y0 >= 0, name
        assert extent.x1 <= figure.bbox.width, name
        assert extent.y1 <= figure.bbox.height, name
    for number, (name, extent) in enumerate(texts):
        for other, its in texts[number + 1 :]:
            across = min(extent.x1, its.x1) - max(extent.x0, its.x0)
            down = min(extent.y1, its.y1) - max(extent.y0, its.y0)
            assert min(across, down) < 1, (name, other)


def curve_of_trials(values=(1, 2, 5, 19), trials=4, **more):
    return [
        {"split__training_nights": value, "split__trial": trial, **more}
        for value in values
        for trial in range(trials)
    ]


def test_a_learning_curve_shows_means_intervals_and_trials():
    settings, figure = drawn(jobs(*curve_of_trials()))
    assert [axes.get_title(loc="left") for axes in figure.axes] == PANELS
    for axes, at, scale in zip(figure.axes, (1, 0, 3), (1, 100, 100), strict=True):
        (line,) = axes.get_lines()
        assert line.get_xdata().tolist() == [1, 2, 5, 19]
        means = [setting.scores.mean[at] * scale for setting in settings]
        assert line.get_ydata().tolist() == pytest.approx(means)
        assert axes.get_xlabel() == "training nights"
        assert axes.get_xscale() == "linear"
        *dots, band = axes.collections
        ends = np.array([setting.scores.interval[:, at] * scale for setting in settings])
        edges = band.get_paths()[0].vertices
        for x, (low, high) in zip((1, 2, 5, 19), ends, strict=True):
            heights = edges[edges[:, 0] == x][:, 1]
            assert (heights.min(), heights.max()) == pytest.approx((low, high))
        singles = [dot.get_offsets()[:, 1].tolist() for dot in dots]
        of_jobs = [[scale * one.mean[at] for one in s.of_jobs] for s in settings]
        assert np.array(singles) == pytest.approx(np.array(of_jobs))
    assert figure.legends == []
    footnote = figure.get_supxlabel()
    assert footnote.startswith("Mean over trials; band: 95 % BCa bootstrap interval")
    assert footnote.endswith("faint dots: single trials")


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1e-5, 1e-4, 1e-3], "log"),
        ([1, 2, 20], "linear"),
        ([1, 2, 21], "log"),
        ([0, 1, 100], "linear"),
        ([-1, 1, 100], "linear"),
        (range(1, 22, 2), "linear"),  # evenly spaced
    ],
)
def test_values_that_span_much_have_a_logarithmic_axis(values, scale):
    _, figure = drawn(jobs(*({"optimizer__lr": value} for value in values)))
    assert {axes.get_xscale() for axes in figure.axes} == {scale}
    assert figure.axes[0].get_xlabel() == "learning rate"
    (line,) = figure.axes[0].get_lines()
    assert line.get_xdata().tolist() == sorted(values)


def test_a_further_key_makes_a_curve_of_each_of_its_values():
    told = [
        {"encoder": encoder, "context__length": length, "split__fold": fold}
        for encoder in ("simple_sleep", "seq_sleep", "chambon")
        for length in (21, 1, 11)
        for fold in range(2)
    ]
    found = [job(n, nights=3, **overrides) for n, overrides in enumerate(told)]
    settings, figure = drawn(found)
    for axes in figure.axes:
        assert len(axes.get_lines()) == 3
        assert axes.get_xlabel() == "context (sleep epochs)"
        assert [line.get_xdata().tolist() for line in axes.get_lines()] == [[1, 11, 21]] * 3
        assert len({line.get_color() for line in axes.get_lines()}) == 3
        assert len({line.get_marker() for line in axes.get_lines()}) == 3
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "encoder"
    assert [text.get_text() for text in legend.get_texts()] == [
        "simple_sleep",
        "seq_sleep",
        "chambon",
    ]
    kappa_of_seq_sleep_at_1 = settings[4].scores.mean[1]
    assert figure.axes[0].get_lines()[1].get_ydata()[0] == pytest.approx(kappa_of_seq_sleep_at_1)
    assert figure.get_supxlabel().endswith("faint dots: single folds")


def test_settings_without_numbers_are_rows_the_best_kappa_at_the_top():
    told = [
        {"split__train_on": one, "split__test_on": other, "split__trial": trial}
        for one, other in (("dodh", "dodo"), ("dodo", "dodh"), ("mass", "dodh"))
        for trial in range(3)
    ]
    settings, figure = drawn(jobs(*told))
    kappas = {
        ", ".join(setting.setting.overrides.values()): setting.scores.mean[1]
        for setting in settings
    }
    axes = figure.axes[0]
    (line,) = axes.get_lines()
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == sorted(kappas, key=kappas.get, reverse=True)
    assert line.get_xdata().tolist() == pytest.approx([kappas[label] for label in labels])
    pixels = axes.transData.transform(np.c_[line.get_xdata(), line.get_ydata()])
    assert (np.diff(pixels[:, 1]) < 0).all()
    assert figure.get_suptitle() == "trained on, tested on"


def test_an_experiment_is_called_as_it_was_typed():
    _, figure = drawn(jobs({"experiment": "paper/chambon"}, {"experiment": "paper/tsinalis"}))
    labels = {text.get_text() for text in figure.axes[0].get_yticklabels()}
    assert labels == {"paper/chambon", "paper/tsinalis"}
    assert figure.get_suptitle() == "experiment"


def test_a_key_that_a_setting_leaves_out_is_its_default():
    _, figure = drawn(jobs({}, {"encoder": "chambon"}))
    labels = {text.get_text() for text in figure.axes[0].get_yticklabels()}
    assert labels == {"default", "chambon"}


def test_the_points_of_a_search_are_not_joined():
    search = Search("val/accuracy", higher_is_better=True)
    found = jobs(*({"optimizer__lr": value} for value in (0.0123456789, 0.00123, 0.0123456789)))
    _, figure = drawn(found, search)
    for axes in figure.axes:
        (line,) = axes.get_lines()
        assert line.get_linestyle() == "None"
        assert len(line.get_xdata()) == 3
    assert "line: 95 % BCa" in figure.get_supxlabel()


def test_a_curve_of_one_point_shows_its_interval_as_well():
    told = [{"x": 1, "encoder": "chambon"}, {"x": 2, "encoder": "chambon"}, {"x": 2}]
    settings, figure = drawn(jobs(*told))
    (line,) = figure.axes[0].collections[-1].get_segments()
    assert line[:, 0].tolist() == [2, 2]
    assert line[:, 1] == pytest.approx(settings[2].scores.interval[:, SCORES.index("cohen_kappa")])


def test_there_is_no_interval_where_there_are_fewer_than_three():
    _, figure = drawn([job(n, nights=2, optimizer__lr=lr) for n, lr in enumerate((0.1, 0.2))])
    assert figure.get_supxlabel() == "Mean over nights"
    (band,) = (c for c in figure.axes[0].collections if len(c.get_paths()) == 0)
    assert band.get_array() is None


def without(score, found):
    """The same jobs, whose score is undefined in all nights."""
    for one in found:
        for values in one.scores.nights.values():
            values[SCORES.index(score)] = np.nan
    return found


@pytest.mark.parametrize("values", [(1, 2, 5), ("max_pool", "attention")])
def test_a_score_that_is_undefined_everywhere_has_no_panel(values):
    _, figure = drawn(without("cohen_kappa", jobs(*({"x": value} for value in values))))
    assert [axes.get_title(loc="left") for axes in figure.axes] == PANELS[1:]
    assert_readable(figure)
    if "max_pool" in values:
        labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert sorted(labels) == sorted(values)


def test_settings_without_any_defined_score_have_no_picture():
    found = jobs({"x": 1}, {"x": 2})
    for score in ("accuracy", "cohen_kappa", "macro_f1"):
        without(score, found)
    _, figure = drawn(found)
    assert figure is None


@pytest.mark.parametrize("values", [(1, 2, 5, 10), (1e-5, 1e-4, 1e-3)])
def test_all_panels_span_all_settings_also_where_a_score_is_undefined(values):
    first, *rest = jobs(*({"x": value} for value in values))
    _, figure = drawn([*without("cohen_kappa", [first]), *rest])
    limits = {axes.get_xlim() for axes in figure.axes}
    assert len(limits) == 1
    ((low, high),) = limits
    assert low < values[0]
    assert high > values[-1]


@pytest.mark.parametrize("number", [2, 7, 40])
def test_rows_never_overlap_or_clip(number):
    encoders = [f"simple_sleep_no_channel_recombination_{n}"[: 9 + 2 * n] for n in range(number)]
    told = [{"encoder": name, "reducer": "attention_projected"} for name in encoders]
    told = [{**t, "reducer": "$_x$" if n % 2 else t["reducer"]} for n, t in enumerate(told)]
    _, figure = drawn(jobs(*told))
    assert len(figure.axes[0].get_yticklabels()) == number
    assert_readable(figure)


@pytest.mark.parametrize(
    "values",
    [
        (1, 2),
        (1, 2, 3, 5, 7, 9, 12, 15, 19, 25, 30, 40),
        range(1, 41),
        (1e-5, 2e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2),
        (0.00012345678, 0.00234567891, 0.0034567891),
        (100000, 100001, 100002),
        tuple(np.geomspace(1e-5, 1, 40)),
    ],
)
def test_labels_of_numbers_never_overlap_or_clip(values):
    _, figure = drawn(jobs(*({"x__y": value} for value in values)))
    assert figure.axes[0].get_xlabel() == "x y"
    assert_readable(figure)


@pytest.mark.parametrize("curves", [2, 8])
def test_legends_never_overlap_or_clip(curves):
    names = [f"$simple_sleep_no$_channel_recombination_{n}" for n in range(curves)]
    _, figure = drawn(jobs(*({"x": x, "encoder": name} for name in names for x in (1, 2))))
    assert len(figure.axes[0].get_lines()) == curves
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    assert_readable(figure)


def test_what_makes_too_many_curves_makes_rows():
    told = [{"x": value, "y": f"y{n}"} for n in range(9) for value in (1, 2)]
    _, figure = drawn(jobs(*told))
    assert len(figure.axes[0].get_yticklabels()) == 18


def test_one_setting_has_no_picture_and_leaves_no_old_one(tmp_path):
    path = tmp_path / "collected.png"
    plot_sweep(scored(settings_of(jobs({"encoder": "chambon"}, {"encoder": "none"}))), path)
    with Image.open(path) as picture:
        assert picture.size[0] == 1600
    alone = scored(settings_of([*jobs({"encoder": "chambon"}), Job("1", {"encoder": "none"})]))
    plot_sweep(alone, path)
    assert not path.exists()
