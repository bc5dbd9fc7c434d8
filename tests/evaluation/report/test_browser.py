"""A report in a real browser: it opens without a network, and a person can use it."""

import re
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sleep_lab.evaluation.report import Report, ReportNight, ReportTable, Spectrogram, write_report
from sleep_lab.evaluation.report.tables import NO_VALUE
from sleep_lab.evaluation.spectrogram import multitaper_spectrogram
from sleep_lab.recordings import open_recording
from sleep_lab.stages import HYPNOGRAM_ORDER, STAGE_COLOURS, STAGES
from tests.evaluation.report.reports import MARKUP, made_up_report
from tests.shared import SHARED, needs_shared

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

NAMES = ("10", "9", "night <c>")
DESKTOP = {"viewport": {"width": 1200, "height": 900}}
PHONE = {"viewport": {"width": 375, "height": 780}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as driver:
        # without a sandbox, since tests may run as root
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path) -> Iterator:
    """Opens a report, and at the end says whether the browser had anything to complain about."""
    complaints, requests, contexts = [], [], []

    def open_report(report, **device):
        path = tmp_path / "report.html"
        write_report(path, report)
        contexts.append(browser.new_context(offline=True, **(device or DESKTOP)))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.endswith("/report.html")] == []


def until(page, holds: Callable[[], bool]) -> None:
    """Wait for something to hold; the page's policy forbids Playwright's own way of doing so."""
    for _ in range(200):
        if holds():
            return
        page.wait_for_timeout(20)
    pytest.fail("it never came to hold")


def open_night(page, number: int):
    """The picture of a night that was opened, with its left edge and pixels per epoch in view."""
    night = page.locator(f"#night-{number}")
    night.locator("summary").click()
    picture = night.locator(".picture")
    picture.evaluate("picture => picture.scrollIntoView()")
    until(page, lambda: picture.locator("canvas").bounding_box()["height"] > 200)
    return picture


def place(picture, epoch: float, first: float = 0, last: float = 240) -> float:
    """Pixels from the page's left to an epoch; the picture has margins of 38 and 8 pixels."""
    box = picture.bounding_box()
    return box["x"] + 38 + (epoch - first) / (last - first) * (box["width"] - 46)


def column(page, title: str, number: int) -> list[str]:
    table = page.locator("div.table", has=page.get_by_role("heading", name=title, exact=True))
    return table.locator(f"tbody tr:visible > :nth-child({number})").all_inner_texts()


def in_view(page) -> tuple[str, str]:
    return tuple(page.locator(".toolbar output").inner_text().split(" to "))


def test_names_that_are_markup_are_shown_and_nothing_of_them_runs(opened):
    page = opened(made_up_report((MARKUP, "b")))
    assert page.locator("summary b").first.inner_text() == MARKUP
    open_night(page, 0)
    assert page.title() == "Made up"
    assert page.locator("img").count() == 0


def test_a_click_on_a_column_sorts_by_its_numbers_and_puts_missing_ones_last(opened):
    page = opened(made_up_report(tuple(str(number) for number in range(12))))
    head = page.get_by_role("columnheader", name="Kappa")
    head.get_by_role("button").click()
    ascending = [number - 3.5 for number in range(12) if number != 1]
    assert column(page, "Per night", 4) == [f"{value:.3f}" for value in ascending] + [NO_VALUE]
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").click()
    assert column(page, "Per night", 4) == [f"{value:.3f}" for value in ascending[::-1]] + [
        NO_VALUE
    ]
    page.get_by_role("columnheader", name="Night").first.get_by_role("button").click()
    assert column(page, "Per night", 1) == [str(number) for number in range(12)]


def test_a_filter_keeps_the_rows_with_a_text_or_within_a_bound(opened):
    page = opened(made_up_report(tuple(f"night {number}" for number in range(12))))
    search = page.locator("#results input[type=search]")
    search.fill("accuracy < 0.865, accuracy >= 0.81")
    assert column(page, "Per night", 1) == [f"night {number}" for number in (4, 5, 6, 7, 8, 9)]
    search.fill("NIGHT 1")
    assert column(page, "Per night", 1) == ["night 1", "night 10", "night 11"]
    search.fill("")
    assert len(column(page, "Per night", 1)) == 12


def test_the_pointer_reads_the_stages_and_probabilities_of_its_epoch(opened):
    report = made_up_report(NAMES)
    night = report.nights[1]
    page = opened(report)
    picture = open_night(page, 1)
    for epoch in (0, 101, 102, 239):
        page.mouse.move(place(picture, epoch + 0.5), picture.bounding_box()["y"] + 60)
        seconds = (60 + epoch) * 30
        clock = (22 * 3600 + 1800 + seconds) % 86400
        assert page.locator(".when").inner_text() == (
            f"Epoch {60 + epoch} · {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} "
            f"from the start · {clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        )
        shown = page.locator(".names output").all_inner_texts()
        codes = [hypnogram[epoch] for hypnogram in night.hypnograms.values()]
        assert shown == [STAGES[code] if code >= 0 else "unscored" for code in codes]
        differs = page.locator(".names li").evaluate_all(
            "items => items.map(item => item.classList.contains('differs'))"
        )
        assert differs == [code != codes[0] and codes[0] >= 0 for code in codes]
        percent = re.findall(r"(\d+)%", page.locator(".probabilities").inner_text())
        np.testing.assert_allclose(
            np.array(percent, float), night.hypnodensity[epoch] * 100, atol=0.71
        )


def test_every_epoch_is_drawn_in_the_colour_and_at_the_level_of_its_stage(opened):
    report = made_up_report(NAMES)
    page = opened(report)
    picture = open_night(page, 0)
    pixels = picture.locator("canvas").evaluate(
        """canvas => {
            const ratio = canvas.width / canvas.clientWidth;
            const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const at = (x, y) => {
                const pixel = Math.floor(y * ratio) * canvas.width + Math.floor(x * ratio);
                return [...image.data.slice(4 * pixel, 4 * pixel + 3)];
            };
            const width = canvas.clientWidth - 46;
            return [...Array(240).keys()].map(epoch => [0, 1, 2, 3, 4].map(
                level => at(38 + (epoch + 0.5) / 240 * width, 35 + 50 - (level + 0.5) * 10)));
        }"""
    )
    drawn = np.array(pixels)  # (epochs, levels, 3) of the first row, the reference
    hypnogram = report.nights[0].hypnograms["scorer 0"]
    for stage, colour in STAGE_COLOURS.items():
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        at_level = (drawn[:, HYPNOGRAM_ORDER.index(stage)] == rgb).all(axis=-1)
        np.testing.assert_array_equal(at_level, hypnogram == STAGES.index(stage))


def test_a_drag_zooms_to_what_it_covers_and_a_double_click_shows_the_whole_night(opened):
    page = opened(made_up_report(NAMES))
    picture = open_night(page, 0)
    assert in_view(page) == ("0:30", "2:30")
    y = picture.bounding_box()["y"] + 100
    page.mouse.move(place(picture, 60), y)
    page.mouse.down()
    page.mouse.move(place(picture, 120), y, steps=3)
    page.mouse.up()
    assert in_view(page) == ("1:00", "1:30")
    page.mouse.move(place(picture, 90.5, 60, 120), y)
    assert page.locator(".when").inner_text().startswith("Epoch 150 ")
    page.mouse.dblclick(place(picture, 90.5, 60, 120), y)
    assert in_view(page) == ("0:30", "2:30")


def test_the_wheel_with_ctrl_zooms_about_the_pointer_and_alone_scrolls_the_page(opened):
    page = opened(made_up_report(NAMES))
    picture = open_night(page, 0)
    page.mouse.move(place(picture, 80.5), picture.bounding_box()["y"] + 60)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    until(page, lambda: in_view(page) != ("0:30", "2:30"))
    page.mouse.move(place(picture, 80.5) + 0.4, picture.bounding_box()["y"] + 60)
    assert page.locator(".when").inner_text().startswith("Epoch 140 ")
    before, view = page.evaluate("scrollY"), in_view(page)
    page.mouse.wheel(0, 120)
    until(page, lambda: page.evaluate("scrollY") > before)
    assert in_view(page) == view


def test_two_fingers_zoom_and_keep_their_epochs_under_them(opened):
    page = opened(made_up_report(NAMES), **PHONE)
    picture = open_night(page, 0)
    y = picture.bounding_box()["y"] + 60
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *epochs: float) -> None:
        touched = [
            {"x": place(picture, at), "y": y, "id": finger} for finger, at in enumerate(epochs)
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})

    fingers("touchStart", 100)
    fingers("touchStart", 100, 140)
    fingers("touchMove", 60, 180)  # three times as far apart
    fingers("touchEnd")
    until(page, lambda: in_view(page) == ("1:10", "1:50"))


def test_the_review_list_leads_to_its_epoch(opened):
    report = made_up_report(NAMES)
    page = opened(report)
    page.locator("#review-first tbody a").first.click()
    assert page.locator("details.night[open]").count() == 1
    assert page.locator("#night-2 .when").inner_text().startswith("Epoch 200 ")
    assert in_view(page) == ("1:30", "1:50")
    picture = page.locator("#night-2 .picture")
    assert picture.evaluate("picture => picture === document.activeElement")
    cursor, box = picture.locator(".cursor").bounding_box(), picture.bounding_box()
    np.testing.assert_allclose(
        cursor["x"] + cursor["width"] / 2, box["x"] + 38 + (box["width"] - 46) / 2, atol=0.5
    )
    page.locator("#results tbody a", has_text="9").first.click()
    assert page.locator("#night-1[open]").count() == 1


def test_keys_move_the_epoch_and_tell_a_screen_reader_what_it_holds(opened):
    report = made_up_report(NAMES)
    page = opened(report)
    picture = open_night(page, 0)
    picture.focus()
    for key in ("PageDown", "ArrowRight", "End", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    assert picture.get_attribute("aria-valuenow") == str(60 + 238)
    model = STAGES[report.nights[0].hypnograms["model"][238]]
    assert picture.get_attribute("aria-valuetext").endswith(f"model {model}")
    page.keyboard.press("+")
    assert in_view(page) == ("1:29", "2:29")  # the epoch stays where it is
    page.keyboard.press("0")
    assert in_view(page) == ("0:30", "2:30")


def test_a_scorer_that_is_switched_off_is_not_drawn(opened):
    page = opened(made_up_report(NAMES))
    picture = open_night(page, 0)
    before = picture.bounding_box()["height"]
    page.get_by_label("scorer 1").uncheck()
    assert picture.bounding_box()["height"] == pytest.approx(before - 79, abs=1)


def test_a_phone_needs_no_sideways_scrolling(opened):
    page = opened(made_up_report((*NAMES, "0123456789" * 8)), **PHONE)
    for number in range(4):
        open_night(page, number)
    assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_on_paper_there_are_the_open_nights_and_no_controls(opened):
    page = opened(made_up_report(NAMES))
    open_night(page, 1)
    page.emulate_media(media="print")
    assert page.locator("details.night:visible").count() == 1
    assert page.locator("#night-1 canvas").is_visible()
    assert page.locator("button:visible", has_text="Whole night").count() == 0
    assert page.locator("nav:visible, input[type=search]:visible").count() == 0


@needs_shared
def test_the_published_scorings_of_a_whole_dataset_open(opened):
    scorers = np.load(SHARED / "dod" / "dodh_scorers.npz")
    nights: dict[str, dict[str, np.ndarray]] = {}
    for key in scorers.files:
        scorer, record = key.split("/")
        nights.setdefault(record, {})[scorer] = scorers[key]
    rows = [[name, len(hypnograms["scorer_1"])] for name, hypnograms in nights.items()]
    report = Report(
        "DOD-H",
        nights=[ReportNight(name, given, reference="scorer_1") for name, given in nights.items()],
        tables=[ReportTable("Nights", ["Night", "Epochs"], rows)],
    )
    page = opened(report)
    page.evaluate("for (const night of document.querySelectorAll('details')) night.open = true")
    until(page, lambda: page.locator("canvas").count() == 25)
    assert page.locator("#night-24 .names li").count() == 5


@needs_shared
def test_a_real_night_with_its_spectrogram_opens(opened):
    golden = np.load(SHARED / "golden" / "robust_sleep_net_sc4001.npz")
    recording = open_recording(SHARED / "recordings" / "sleep_edf" / "SC4001E0-PSG.edf")
    channel = recording.channels[0]
    first, epochs = 961, len(golden["stages"])
    window = slice(*(int(at * 30 * channel.sampling_rate) for at in (first, first + epochs)))
    signal = recording.read(channel.name)[window]
    frequencies, power = multitaper_spectrogram(signal, channel.sampling_rate)
    night = ReportNight(
        "SC4001",
        {"expert": golden["expert"].astype(np.int8), "model": golden["stages"].astype(np.int8)},
        start_time=recording.start_time,
        first_epoch=first,
        hypnodensity=golden["probabilities"],
        reference="expert",
        spectrogram=Spectrogram(
            (first + np.arange(epochs)) * 30.0, frequencies, 10 * np.log10(power), channel.name
        ),
    )
    page = opened(Report("Sleep-EDF", nights=[night]))
    open_night(page, 0)
    assert page.locator(".when").inner_text().startswith("Epoch 961 · 8:00:30")
