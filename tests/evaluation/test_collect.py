"""Folds are pooled exactly, settings are told apart, and what is missing is said."""

import csv
import io
import json
from itertools import product

import numpy as np
import pytest
from rich.console import Console
from sklearn.metrics import cohen_kappa_score, f1_score

from sleep_lab.errors import InputError
from sleep_lab.evaluation import evaluate
from sleep_lab.evaluation.collect import SCORES, collected, job_table, main, setting_table
from sleep_lab.evaluation.summary import summarise
from sleep_lab.evaluation.sweep import jobs_of, settings_of

SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
TOLD = ["data=simulated", "encoder=simple_sleep,seq_sleep", "split.fold=0,1,2", "seed=0,1"]


def hypnograms(seed, epochs):
    rng = np.random.default_rng(seed)
    expert = rng.integers(-1, 5, epochs)
    return expert, np.where(rng.random(epochs) < 0.7, expert.clip(0), rng.integers(0, 5, epochs))


def make_job(folder, overrides, nights, seconds=None):
    """A run's folder as train.py leaves it; nights are {id: (expert, predicted)}."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    if nights is not None:
        scores = {name: evaluate(predicted, expert) for name, (expert, predicted) in nights.items()}
        (folder / "metrics.json").write_text(json.dumps(summarise(scores)))
    if seconds is not None:
        (folder / "training.json").write_text(json.dumps({"seconds": seconds}))


def make_multirun(sweep, told, sweeper=SWEEPER, params=None):
    swept = {"_target_": sweeper, "params": params}
    content = {"hydra": {"sweeper": swept, "overrides": {"task": told}}}
    (sweep / "multirun.yaml").write_text(json.dumps(content))


@pytest.fixture
def sweep(tmp_path):
    """Two encoders, three folds of two nights, two seeds; and each setting's hypnograms."""
    by_encoder = {"simple_sleep": [], "seq_sleep": []}
    make_multirun(tmp_path, TOLD)
    choices = product(by_encoder, range(3), range(2))
    for number, (encoder, fold, seed) in enumerate(choices):
        nights = {
            f"n{fold}{night}": hypnograms(100 * number + night, 30 + 10 * night + fold)
            for night in range(2)
        }
        by_encoder[encoder] += nights.values()
        told = ["data=simulated", f"encoder={encoder}", f"split.fold={fold}", f"seed={seed}"]
        make_job(tmp_path / str(number), told, nights, seconds=60.0 * number)
    return tmp_path, by_encoder


def rows(sweep):
    with (sweep / "collected.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def text_of(*tables, width=220):
    console = Console(width=width, file=io.StringIO())
    with console.capture() as captured:
        for table in tables:
            console.print(table)
    return captured.get()


def test_pooled_scores_are_those_of_all_epochs_of_all_folds(sweep):
    folder, by_encoder = sweep
    main([str(folder)])
    pooled = {row["encoder"]: row for row in rows(folder) if row["row"] == "pooled"}
    assert set(pooled) == set(by_encoder)
    for encoder, nights in by_encoder.items():
        expert, predicted = (np.concatenate(side) for side in zip(*nights, strict=True))
        expert, predicted = expert[expert >= 0], predicted[expert >= 0]
        row = pooled[encoder]
        assert int(row["nights"]) == 12
        assert int(row["epochs"]) == len(expert)
        assert float(row["accuracy"]) == pytest.approx((expert == predicted).mean())
        kappa = cohen_kappa_score(expert, predicted)
        assert float(row["cohen_kappa"]) == pytest.approx(kappa)
        for name, average in (("weighted_f1", "weighted"), ("macro_f1", "macro")):
            assert float(row[name]) == pytest.approx(f1_score(expert, predicted, average=average))
        f1 = f1_score(expert, predicted, average=None)
        assert [float(row[name]) for name in SCORES[4:]] == pytest.approx(f1.tolist())
        assert (row["split.fold"], row["seed"], row["job"]) == ("", "", "")


def test_mean_and_deviation_are_over_nights_not_over_jobs(sweep):
    folder, by_encoder = sweep
    main([str(folder)])
    for encoder, nights in by_encoder.items():
        accuracies = [(p[e >= 0] == e[e >= 0]).mean() for e, p in nights]
        found = {row["row"]: row for row in rows(folder) if row["encoder"] == encoder}
        assert float(found["mean"]["accuracy"]) == pytest.approx(np.mean(accuracies))
        assert float(found["std"]["accuracy"]) == pytest.approx(np.std(accuracies))


def test_there_is_a_row_for_each_job_with_what_differs_and_its_time(sweep):
    folder, _ = sweep
    main([str(folder)])
    jobs = [row for row in rows(folder) if row["row"] == "job"]
    assert [row["job"] for row in jobs] == [str(number) for number in range(12)]
    assert "data" not in jobs[0]
    assert (jobs[11]["encoder"], jobs[11]["split.fold"], jobs[11]["seed"]) == (
        "seq_sleep",
        "2",
        "1",
    )
    assert float(jobs[7]["training_s"]) == 420
    metrics = json.loads((folder / "7" / "metrics.json").read_text())
    assert float(jobs[7]["macro_f1"]) == metrics["mean"]["macro_f1"]
    assert int(jobs[7]["epochs"]) == metrics["pooled"]["scored"]


def test_the_markdown_and_the_terminal_say_what_the_csv_says(sweep, capsys):
    folder, _ = sweep
    main([str(folder)])
    shown = capsys.readouterr().out
    markdown = (folder / "collected.md").read_text()
    pooled = next(row for row in rows(folder) if row["row"] == "pooled")
    accuracy, kappa = float(pooled["accuracy"]), float(pooled["cohen_kappa"])
    line = next(line for line in markdown.splitlines() if "| pooled |" in line)
    counts = f"12 | {pooled['epochs']}"
    assert line.startswith(f"|  |  | pooled | {counts} | {100 * accuracy:.1f} | {kappa:.3f} |")
    assert "| encoder=simple_sleep | 6 of 6 | nights | 12 |" in markdown
    assert f"{100 * accuracy:.1f} {kappa:.3f}" in " ".join(shown.split())
    assert "| 11 | encoder=seq_sleep split.fold=2 seed=1 | 11.0 | 2 |" in markdown


def test_the_terminal_s_tables_fit_80_columns(sweep):
    folder, _ = sweep
    jobs = jobs_of(folder)
    shown = text_of(job_table(jobs), setting_table(settings_of(jobs)), width=80)
    for word in ("encoder=seq_sleep", "split.fold=2", "6 of 6", "pooled", "Minutes", "Epochs"):
        assert word in shown
    assert "…" not in shown


def test_jobs_without_scores_are_listed_and_do_not_count(sweep):
    folder, _ = sweep
    (folder / "3" / "metrics.json").unlink()
    (folder / "4" / "metrics.json").write_text("{")
    (folder / "5" / "metrics.json").write_text('{"nights": {}, "pooled": {}}')
    for path in sorted((folder / "11").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "11").rmdir()
    main([str(folder)])
    missing = {
        (row["job"], row["encoder"], row["split.fold"], row["seed"]): row["problem"]
        for row in rows(folder)
        if row["row"] == "job" and not row["accuracy"]
    }
    assert missing.keys() == {
        ("3", "simple_sleep", "1", "1"),
        ("4", "simple_sleep", "2", "0"),
        ("5", "simple_sleep", "2", "1"),
        ("", "seq_sleep", "2", "1"),
    }
    assert "it failed, or is not done" in missing["3", "simple_sleep", "1", "1"]
    assert "cannot be read" in missing["4", "simple_sleep", "2", "0"]
    assert "failed, and left no folder" in missing["", "seq_sleep", "2", "1"]
    settings = settings_of(jobs_of(folder))
    shown = text_of(setting_table(settings))
    assert "3 of 6" in shown
    assert "5 of 6" in shown
    markdown = (folder / "collected.md").read_text()
    assert "- job - (encoder=seq_sleep split.fold=2 seed=1): failed" in markdown
    assert collected(settings[0].jobs).nights == 6


def test_jobs_that_left_no_folder_cannot_be_told_for_sweepers_that_choose_as_they_go(sweep):
    folder, _ = sweep
    make_multirun(folder, [*TOLD, "context.length=3,5"], sweeper="optuna.Sweeper")
    assert len(jobs_of(folder)) == 12
    (folder / "multirun.yaml").unlink()
    assert len(jobs_of(folder)) == 12


def test_ranges_and_quoted_values_are_told_as_hydra_tells_its_jobs(tmp_path):
    make_multirun(tmp_path, ["seed=range(3)", "data.channels='[A,B]','[C]'", "+x=1"])
    make_job(tmp_path / "0", ["seed=0", "data.channels='[A,B]'", "+x=1"], {"a": hypnograms(0, 9)})
    absent = [job.overrides for job in jobs_of(tmp_path) if not job.name]
    assert len(absent) == 5
    assert {"seed": "2", "data.channels": "'[C]'", "x": "1"} in absent


def test_a_sweep_that_the_config_describes_is_told_as_well(tmp_path):
    make_multirun(tmp_path, ["seed=1"], params={"split.fold": "range(3)"})
    make_job(tmp_path / "0", ["split.fold=1", "seed=1"], {"a": hypnograms(0, 9)})
    absent = [job.overrides for job in jobs_of(tmp_path) if not job.name]
    assert absent == [{"split.fold": fold, "seed": "1"} for fold in ("0", "2")]


def test_a_night_in_two_test_folds_of_one_setting_and_seed_is_refused(tmp_path, capsys):
    for number, (fold, seed) in enumerate([(0, 0), (0, 1), (1, 0)]):
        told = [f"split.fold={fold}", f"seed={seed}"]
        make_job(tmp_path / str(number), told, {"x": hypnograms(number, 20)})
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path)])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: night 'x' is a test night of jobs 0 and 2")
    assert error.count("\n") == 1
    assert not (tmp_path / "collected.csv").exists()
    assert not (tmp_path / "collected.md").exists()


def test_seeds_and_settings_may_share_a_night(tmp_path):
    told = [["seed=0"], ["seed=1"], ["seed=0", "encoder=chambon"]]
    for number, overrides in enumerate(told):
        make_job(tmp_path / str(number), overrides, {"x": hypnograms(number, 20)})
    defaults, chambon = settings_of(jobs_of(tmp_path))
    assert (defaults.overrides, len(defaults.jobs)) == ({}, 2)
    assert (chambon.overrides, len(chambon.jobs)) == ({"encoder": "chambon"}, 1)


def test_lists_of_channels_are_shown_as_they_were_typed(tmp_path):
    for number, channels in enumerate(("[eeg,eog]", "[eeg]")):
        told = [f"data.channels={channels}"]
        make_job(tmp_path / str(number), told, {"x": hypnograms(number, 20)})
    jobs = jobs_of(tmp_path)
    assert text_of(job_table(jobs)).count("data.channels=[eeg,eog]") == 1
    assert text_of(setting_table(settings_of(jobs))).count("data.channels=[eeg,eog]") == 1


def test_undefined_scores_stay_out_of_means_and_are_empty_or_a_dash(tmp_path):
    wake = (np.zeros(10, int), np.zeros(10, int))
    make_job(tmp_path / "0", ["seed=0"], {"wake": wake})
    main([str(tmp_path)])
    assert {row["cohen_kappa"] for row in rows(tmp_path)} == {""}
    assert {row["accuracy"] for row in rows(tmp_path)} == {"1.0", "0.0"}
    assert "| 100.0 | - |" in (tmp_path / "collected.md").read_text()


def test_jobs_are_in_the_order_of_their_numbers_at_any_depth(tmp_path):
    for name in ("10", "9", "a/2", "a/10"):
        make_job(tmp_path / name, [f"x={name}"], {"n": hypnograms(0, 9)})
    assert [job.name for job in jobs_of(tmp_path)] == ["9", "10", "a/2", "a/10"]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_jobs_is_an_error_of_one_line(tmp_path, there):
    with pytest.raises(InputError, match=r"no jobs .* give the folder of a sweep"):
        jobs_of(tmp_path if there else tmp_path / "absent")


def test_the_tables_can_be_shown_without_a_file(sweep):
    folder, _ = sweep
    jobs = jobs_of(folder)
    shown = text_of(job_table(jobs), setting_table(settings_of(jobs)))
    assert shown.count("encoder=seq_sleep") == 6 + 1
    assert {path.name for path in folder.glob("collected*")} == set()
