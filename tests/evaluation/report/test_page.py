"""The file of a report holds all that was given, as text, and lets nothing else in."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sleep_lab.errors import InputError
from sleep_lab.evaluation.report import Report, ReportNight, ReviewItem, Spectrogram, write_report
from sleep_lab.evaluation.report.page import page_html
from tests.evaluation.report.reports import MARKUP, made_up_night, made_up_report


class Page(HTMLParser):
    """An HTML file as a browser would read it: its elements, and the text of each."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)

    def handle_data(self, data) -> None:
        self.texts.append((self.tags[-1] if self.tags else "", data))

    def content(self, tag: str) -> list[str]:
        return [text for of, text in self.texts if of == tag]


def packed(html: str) -> dict:
    return json.loads(re.search(r'id="nights-data">(.*?)</script>', html, re.DOTALL).group(1))


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)


def test_the_policy_allows_the_files_own_script_and_style_and_nothing_else():
    html = page_html(made_up_report(("a", "b")))
    policy = re.search(r'Security-Policy" content="([^"]*)"', html).group(1)

    def hashed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    script = re.search(r'<script type="module">(.*?)</script>', html, re.DOTALL).group(1)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL).group(1)
    assert policy == (
        f"default-src 'none'; script-src {hashed(script)}; style-src {hashed(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    assert not re.search(r"""https?:|["'(]//|@import""", html)


@settings(max_examples=25, deadline=None)
@given(name=st.text(min_size=1, max_size=30) | st.just(MARKUP))
def test_a_name_is_text_wherever_it_stands_and_adds_no_element(name):
    # HTML has no way to write these; every browser reads another character in their place
    name = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", " ", name)
    plain, odd = made_up_report(("night",)), made_up_report((name,))
    odd = replace(odd, title=name, subtitle=name, notes=[name], confusion={name: np.eye(5)})
    html = page_html(odd)
    page = Page(html)
    assert page.tags == Page(page_html(plain)).tags
    assert "".join(page.content("h1")).strip() == name.strip()
    assert packed(html)["nights"][0]["id"] == name
    assert name in page.content("td") + page.content("a")


@settings(max_examples=30, deadline=None)
@given(hypnogram=arrays(np.int8, st.integers(1, 60), elements=st.integers(-1, 4)))
def test_a_hypnogram_in_the_page_is_the_one_that_was_given(hypnogram):
    night = ReportNight("night", {"scorer": hypnogram})
    codes = packed(page_html(Report("r", nights=[night])))["nights"][0]["hypnograms"][0]["codes"]
    assert ["01234-".index(code) if code != "-" else -1 for code in codes] == hypnogram.tolist()


def test_probabilities_and_power_in_the_page_are_right_to_half_a_step():
    night = made_up_night("night")
    page = packed(page_html(Report("r", nights=[night])))["nights"][0]
    shown = unpacked(page["hypnodensity"]["bytes"]).reshape(-1, 5) / 255
    assert np.abs(shown - night.hypnodensity).max() <= 0.5 / 255 + 1e-7

    spectrogram = page["spectrogram"]
    low, high = spectrogram["low_db"], spectrogram["high_db"]
    levels = unpacked(spectrogram["bytes"]).reshape(spectrogram["columns"], spectrogram["bins"])
    power = night.spectrogram.power
    starts = [181 * number // 64 for number in range(64)]
    bins = [part.mean(axis=1) for part in np.split(power, starts[1:], axis=1)]
    expected = np.clip(np.stack(bins, axis=1), low, high)
    assert np.abs(low + levels / 255 * (high - low) - expected).max() <= 0.51 / 255 * (high - low)
    assert (spectrogram["from"], spectrogram["to"]) == (0, night.epochs)
    assert spectrogram["lowest_hz"] == pytest.approx(-1 / 12)
    assert spectrogram["highest_hz"] == pytest.approx(30 + 1 / 12)


def test_a_flat_spectrogram_and_one_with_holes_can_be_shown():
    power = np.full((3, 4), -60.0)
    power[1, 2], power[2, 0] = np.nan, -np.inf
    spectrogram = Spectrogram(np.arange(3) * 30.0, np.arange(4.0), power)
    night = ReportNight("n", {"scorer": np.zeros(3, np.int8)}, spectrogram=spectrogram)
    shown = packed(page_html(Report("r", nights=[night])))["nights"][0]["spectrogram"]
    assert unpacked(shown["bytes"]).max() == 0


def test_twenty_five_long_nights_with_everything_stay_under_ten_megabytes(tmp_path):
    report = made_up_report(tuple(f"night {number}" for number in range(25)), 1200, scorers=11)
    write_report(tmp_path / "report.html", report)
    assert (tmp_path / "report.html").stat().st_size < 4e6


def test_a_part_that_is_empty_is_left_out():
    html = page_html(Report("Only a title"))
    assert Page(html).content("h2") == []
    headings = Page(page_html(made_up_report(("a",)))).content("h2")
    assert [text for text in headings if text.strip()] == [
        "Results",
        "Nights",
        "Confusion matrices",
        "Sleep statistics",
        "Calibration",
        "Review first",
        "Notes",
    ]


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.html"
    path.mkdir()
    with pytest.raises(InputError, match=r"report\.html"):
        write_report(path, Report("r"))
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_parts_that_do_not_fit_are_refused_by_name():
    night = made_up_night("first")
    with pytest.raises(InputError, match=r"^first: .*scorer 0 240.*extra 3.*align"):
        replace(night, hypnograms={**night.hypnograms, "extra": np.zeros(3, np.int8)})
    with pytest.raises(InputError, match=r"first: .*extra holds a code"):
        replace(night, hypnograms={**night.hypnograms, "extra": np.full(240, 5, np.int8)})
    with pytest.raises(InputError, match=r"first: .*scorer 9.*did you mean 'scorer 1'"):
        replace(night, reference="scorer 9")
    with pytest.raises(InputError, match="two nights are called 'first'"):
        Report("r", nights=[night, night])
    with pytest.raises(InputError, match="no night 'second'"):
        Report("r", nights=[night], review=[ReviewItem("second", 60, 0, 0.5)])
    with pytest.raises(InputError, match=r"epoch 59 .*60 to 299"):
        Report("r", nights=[night], review=[ReviewItem("first", 59, 0, 0.5)])
