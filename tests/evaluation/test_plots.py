"""What a night's picture shows is what the night was."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from sleep_lab.errors import InputError
from sleep_lab.evaluation import NightResult, plot_confusion_matrix, plot_night
from sleep_lab.evaluation.plots import DISAGREEMENT
from sleep_lab.evaluation.time_axis import draw_time_axes
from sleep_lab.recordings import open_recording
from sleep_lab.stages import N2, N3, REM, STAGE_COLOURS, UNSCORED
from tests.shared import SHARED, needs_shared


def one_hot(hypnogram: np.ndarray) -> np.ndarray:
    return np.eye(5, dtype=np.float32)[hypnogram]


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def where(picture: np.ndarray, colour: str) -> np.ndarray:
    """(height, width) whether a pixel has the colour."""
    wanted = np.round(255 * np.array(to_rgb(colour)))
    return (np.abs(picture - wanted) <= 2).all(axis=-1)


def columns(shown: np.ndarray) -> tuple[float, float]:
    """Where along the time axis the marked pixels start and end, as shares of its length."""
    across = np.flatnonzero(shown.any(axis=0)) / shown.shape[1]
    return (across[0] - 0.07) / 0.84, (across[-1] - 0.07) / 0.84


def drawn(tmp_path, night: NightResult) -> np.ndarray:
    plot_night(night, tmp_path / "night.png")
    return pixels(tmp_path / "night.png")


def test_only_the_epochs_that_differ_are_marked(tmp_path):
    model = np.full(1000, N2, np.int8)
    night = NightResult("night", one_hot(model), model.copy())
    assert not where(drawn(tmp_path, night), DISAGREEMENT).any()

    differs = model.copy()
    differs[700:720] = N3
    differs[100:300] = UNSCORED
    marked = where(drawn(tmp_path, replace(night, expert=differs)), DISAGREEMENT)
    assert columns(marked) == pytest.approx((0.700, 0.720), abs=0.003)

    single = model.copy()
    single[400] = N3
    strip = drawn(tmp_path, replace(night, expert=single))
    reddish = (strip[..., 0] > 200) & (strip[..., 1] < 150) & (strip[..., 2] > 60)
    assert columns(reddish) == pytest.approx((0.400, 0.401), abs=0.003)


def test_stages_are_drawn_when_they_happened_and_gaps_stay_empty(tmp_path):
    expert = np.repeat(np.array([N3, UNSCORED, REM, N3], np.int8), 100)
    model = np.full(400, N2)
    picture = drawn(tmp_path, NightResult("night", one_hot(model), expert))
    plot_area = picture[:, 112:1456]
    deep, rem = (where(plot_area, STAGE_COLOURS[stage]) for stage in ("N3", "REM"))
    assert np.flatnonzero(rem.any(axis=0))[[0, -1]] / 1344 == pytest.approx([0.5, 0.75], abs=0.003)
    assert deep.any(axis=0)[:330].all()
    assert not deep.any(axis=0)[340:1000].any()
    assert rem.any(axis=1).sum() > 1.5 * deep.any(axis=1).sum(), "REM is drawn thicker"


def test_the_hypnodensity_is_stacked_in_the_order_of_the_hypnogram(tmp_path):
    hypnodensity = np.tile(np.float32([0.2, 0, 0, 0.5, 0.3]), (50, 1))
    picture = drawn(tmp_path, NightResult("night", hypnodensity))
    column = picture[:, 700]
    height = {stage: where(column, STAGE_COLOURS[stage]).nonzero()[0] for stage in STAGE_COLOURS}
    assert height["W"].max() < height["REM"].min()
    panel = [len(height["W"]), len(height["REM"])]
    assert panel[0] / panel[1] == pytest.approx(2 / 3, rel=0.05)


@pytest.mark.parametrize("epochs", [1, 20, 1500])
@pytest.mark.parametrize("scored", [True, False])
def test_a_night_of_any_length_is_one_picture_of_one_size(tmp_path, epochs, scored):
    rng = np.random.default_rng(0)
    model = np.repeat(rng.integers(0, 5, epochs // 10 + 1), 10)[:epochs].astype(np.int8)
    night = NightResult(
        "$a_night$",
        one_hot(model),
        model if scored else None,
        datetime(2024, 2, 29, 23, 59, 59),
        signal=np.zeros(epochs * 1800, np.float32),
        sampling_rate=60.0,
        first_epoch=3,
    )
    assert drawn(tmp_path, night).shape == (900, 1600, 3)


@needs_shared
def test_a_real_night_makes_a_small_picture(tmp_path):
    golden = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")
    path = SHARED / "recordings" / "sleep_edf" / "SC4001E0-PSG.edf"
    part = open_recording(path).cut(961, 1801)
    night = NightResult(
        "SC4001E0",
        golden["probabilities"],
        golden["expert"],
        signal=part.read("EEG Fpz-Cz"),
        signal_name="EEG Fpz-Cz",
        sampling_rate=100.0,
        first_epoch=961,
    )
    plot_night(night, tmp_path / "night.png")
    assert (tmp_path / "night.png").stat().st_size < 300_000


@pytest.mark.parametrize("hours", [1 / 120, 0.4, 7.0, 12.5, 23.0])
@pytest.mark.parametrize("first", [0.0, 8.0083])
def test_every_tick_says_its_time(hours, first):
    figure = Figure()
    panels = [figure.add_subplot(2, 1, row) for row in (1, 2)]
    draw_time_axes(panels, np.array([first, first + hours]), datetime(2020, 1, 1, 22, 52, 30))
    FigureCanvasAgg(figure).draw()
    start = 22 + 52.5 / 60
    (clock,) = panels[0].child_axes
    for axis, origin in ((panels[1].xaxis, 0.0), (clock.xaxis, start)):
        ticks = axis.get_ticklocs()
        assert len(ticks) <= 15
        for position, label in zip(ticks, axis.get_ticklabels(), strict=True):
            assert first - 1e-6 <= position <= first + hours + 1e-6
            said_hours, said_minutes = map(int, label.get_text().split(":"))
            said = said_hours + said_minutes / 60
            assert (said - position - origin) % 24 % 23.999 == pytest.approx(0, abs=2e-3)


def test_the_confusion_matrix_is_darkest_where_the_rows_share_is_largest(tmp_path):
    confusion = np.array(
        [[90, 10, 0, 0, 0], [0, 0, 5, 0, 0], [0] * 5, [0, 0, 0, 7, 0], [1, 1, 1, 1, 10**6]]
    )
    plot_confusion_matrix(confusion, tmp_path / "matrix.png")
    picture = pixels(tmp_path / "matrix.png")
    height, width, _ = picture.shape
    # a corner of each cell, away from its text; the matrix lies within these margins
    side = 0.8 * height / 5
    left, top = (0.15 + 0.4) * width - 2.5 * side, 0.09 * height
    assert side * 5 <= 0.8 * width + 1
    corners = [
        [picture[int(top + (row + 0.1) * side), int(left + (column + 0.1) * side)].sum()
         for column in range(5)]
        for row in range(5)
    ]  # fmt: skip
    assert np.argmin(corners, axis=1)[[0, 1, 3, 4]].tolist() == [0, 2, 3, 4]
    assert len(set(corners[2])) == 1


def test_a_picture_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    (tmp_path / "plots").write_text("")
    with pytest.raises(InputError, match=r"night\.png: cannot be written"):
        plot_night(NightResult("night", one_hot(np.zeros(5, int))), tmp_path / "plots/night.png")
