"""The files of a run say what the nights' scores are, and each is whole or absent."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sleep_lab.errors import InputError
from sleep_lab.evaluation import NightResult, evaluate, result_table, write_results
from sleep_lab.stages import STAGES, UNSCORED
from sleep_lab.whole_file import write_whole


def night(name: str, seed: int, epochs: int = 40, **changes) -> NightResult:
    rng = np.random.default_rng(seed)
    hypnodensity = rng.dirichlet(np.ones(5), epochs).astype(np.float32)
    expert = np.where(
        rng.random(epochs) < 0.6, hypnodensity.argmax(1), rng.integers(-1, 5, epochs)
    ).astype(np.int8)
    return NightResult(**{"id": name, "hypnodensity": hypnodensity, "expert": expert, **changes})


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def shown(metrics: dict, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        console.print(result_table(metrics))
    return captured.get()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    nights = [
        night("b", 1, first_epoch=100),
        night("a", 2, epochs=25),
        night("new", 3, expert=None),
    ]
    return folder, nights, write_results(folder, nights)


def test_a_run_has_these_files_and_no_others(run):
    folder, _, _ = run
    pictures = {"plots/a.png", "plots/b.png", "plots/new.png", "plots/confusion_matrix.png"}
    tables = {"hypnograms/a.csv", "hypnograms/b.csv", "hypnograms/new.csv", "per_night.csv"}
    assert set(files(folder)) == {"metrics.json", *tables, *pictures}


def test_metrics_json_says_what_was_returned(run):
    folder, _, metrics = run
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert list(metrics["nights"]) == ["a", "b"]


def test_the_summary_follows_from_the_nights(run):
    _, nights, metrics = run
    scores = {n.id: evaluate(n.hypnogram, n.expert) for n in nights if n.expert is not None}
    for name, of_night in scores.items():
        assert metrics["nights"][name]["cohen_kappa"] == of_night.cohen_kappa
        assert metrics["nights"][name]["f1"] == of_night.f1
        assert metrics["nights"][name]["scored"] == of_night.scored
    kappas = [of_night.cohen_kappa for of_night in scores.values()]
    assert metrics["mean"]["cohen_kappa"] == pytest.approx(np.mean(kappas))
    assert metrics["std"]["cohen_kappa"] == pytest.approx(np.std(kappas))
    n3 = [of_night.f1["N3"] for of_night in scores.values()]
    assert metrics["mean"]["f1"]["N3"] == pytest.approx(np.mean(n3))
    b, a = nights[:2]
    pooled = evaluate(
        np.concatenate([a.hypnogram, b.hypnogram]), np.concatenate([a.expert, b.expert])
    )
    assert metrics["pooled"]["confusion_matrix"] == pooled.confusion.tolist()
    assert metrics["pooled"]["macro_f1"] == pooled.macro_f1
    assert metrics["pooled"]["epochs"] == 65


def test_a_hypnogram_is_read_back_with_its_times_and_probabilities(run):
    folder, nights, _ = run
    table = rows(folder / "hypnograms" / "b.csv")
    assert list(table[0]) == ["epoch", "onset_s", "stage", *(f"p_{stage}" for stage in STAGES)]
    assert [row["stage"] for row in table] == [STAGES[code] for code in nights[0].hypnogram]
    assert (table[0]["epoch"], table[0]["onset_s"]) == ("100", "3000")
    assert (table[-1]["epoch"], table[-1]["onset_s"]) == ("139", "4170")
    read = [[float(row[f"p_{stage}"]) for stage in STAGES] for row in table]
    np.testing.assert_allclose(read, nights[0].hypnodensity, atol=5e-7)


def test_per_night_csv_has_the_nights_of_metrics_json(run):
    folder, _, metrics = run
    table = {row["night"]: row for row in rows(folder / "per_night.csv")}
    assert list(table) == ["a", "b"]
    for name, scores in metrics["nights"].items():
        assert float(table[name]["weighted_f1"]) == scores["weighted_f1"]
        assert float(table[name]["f1_REM"]) == scores["f1"]["REM"]
        assert int(table[name]["scored"]) == scores["scored"]


def test_the_order_of_the_nights_changes_no_byte(run, tmp_path):
    folder, nights, _ = run
    write_results(tmp_path, nights[::-1])
    assert files(tmp_path) == files(folder)


def test_undefined_scores_are_null_and_empty(tmp_path):
    only_wake = night("w", 4, expert=np.zeros(40, np.int8))
    metrics = write_results(tmp_path, [only_wake])
    text = (tmp_path / "metrics.json").read_text()
    assert "NaN" not in text
    assert json.loads(text)["nights"]["w"]["cohen_kappa"] is None
    assert metrics["mean"]["cohen_kappa"] is None
    assert metrics["std"]["cohen_kappa"] is None
    assert rows(tmp_path / "per_night.csv")[0]["cohen_kappa"] == ""
    line = next(line for line in shown(metrics).splitlines() if line.strip().startswith("w "))
    assert line.split()[3] == "-"


@pytest.mark.parametrize("expert", [None, np.full(40, UNSCORED, np.int8)])
def test_nights_without_scoring_get_hypnograms_and_pictures_only(tmp_path, expert):
    assert write_results(tmp_path, [night("new", 5, expert=expert)]) == {}
    assert set(files(tmp_path)) == {"hypnograms/new.csv", "plots/new.png"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x", "y", "x"], "two nights are called 'x'"),
        (["sub/x"], "'sub/x', which cannot name its files"),
        ([".."], "cannot name its files"),
        (["confusion_matrix"], "cannot name its files"),
    ],
)
def test_ids_that_would_overwrite_or_escape_are_refused_before_anything_is_written(
    tmp_path, names, message
):
    with pytest.raises(InputError, match=message):
        write_results(tmp_path / "run", [night(name, 6) for name in names])
    assert not (tmp_path / "run").exists()


def test_a_file_that_cannot_be_replaced_stays_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "metrics.json" / "occupied").mkdir(parents=True)
    with pytest.raises(InputError, match=r"metrics\.json: cannot be written"):
        write_whole(tmp_path / "metrics.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_an_interrupted_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    write_whole(tmp_path / "metrics.json", b"old")

    def full_disk(path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        write_whole(tmp_path / "metrics.json", b"new content")
    assert files(tmp_path) == {"metrics.json": b"old"}


def test_a_folder_that_is_a_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match=r"a\.csv: cannot be written \(Not a directory\)"):
        write_results(tmp_path / "run", [night("a", 7)])


def test_the_table_lists_nights_in_percent_with_kappa_as_it_is(run):
    _, _, metrics = run
    text = shown(metrics)
    a = metrics["nights"]["a"]
    line = next(line for line in text.splitlines() if line.strip().startswith("a "))
    assert line.split()[:4] == [
        "a",
        str(a["scored"]),
        f"{100 * a['accuracy']:.1f}",
        f"{a['cohen_kappa']:.3f}",
    ]
    assert f"±{metrics['std']['cohen_kappa']:.3f}" in text
    assert "mean of 2 nights" in text
    assert "pooled" in text


def test_the_table_fits_a_terminal_of_80_columns_and_lists_at_most_30_nights(run):
    _, _, metrics = run
    one = metrics["nights"]["a"]
    thirty = {**metrics, "nights": {f"night_{k:03}": one for k in range(30)}}
    assert "night_029" in shown(thirty, width=80)
    assert "…" not in shown(thirty, width=80)
    more = {**metrics, "nights": {f"night_{k:03}": one for k in range(31)}}
    assert "night_0" not in shown(more)
    assert "mean of 31 nights" in shown(more)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hypnodensity": np.ones((40, 4), np.float32)}, r"shape \(40, 4\)"),
        ({"hypnodensity": np.ones((0, 5), np.float32)}, r"shape \(0, 5\)"),
        ({"expert": np.zeros(39, np.int8)}, "40 staged epochs but"),
        ({"signal": np.zeros((3000, 1)), "sampling_rate": 100.0}, "cannot be drawn"),
        ({"signal": np.zeros(4000)}, "at 0.0 Hz"),
        ({"signal": np.zeros(2999), "sampling_rate": 100.0}, "cannot be drawn"),
    ],
)
def test_parts_of_a_night_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(InputError, match=f"odd: .*{message}"):
        night("odd", 8, **changes)
