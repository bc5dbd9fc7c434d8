"""Folds are pooled exactly, settings are told apart, and what is missing is said."""

import json
import shutil
from itertools import product

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from sleep_lab.errors import InputError
from sleep_lab.evaluation.collect import main
from sleep_lab.evaluation.sweep import jobs_of, search_of, settings_of
from sleep_lab.evaluation.sweep_scores import SCORES, collected
from sleep_lab.evaluation.sweep_tables import job_table, setting_caption, setting_table
from sleep_lab.held_folder import held
from tests.evaluation.sweeps import (
    hypnograms,
    make_job,
    make_multirun,
    make_search,
    rows,
    settings,
    text_of,
)

TOLD = ["data=simulated", "encoder=simple_sleep,seq_sleep", "split.fold=0,1,2", "seed=0,1"]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A collected sweep and its hypnograms: two encoders, three folds of two nights, two seeds."""
    tmp_path = tmp_path_factory.mktemp("sweep")
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
        make_job(tmp_path / str(number), told, nights, {"seconds": 60.0 * number})
    main([str(tmp_path)])
    return tmp_path, by_encoder


@pytest.fixture
def sweep(done, tmp_path):
    """The same sweep, not collected, to be changed."""
    folder = tmp_path / "sweep"
    return shutil.copytree(done[0], folder, ignore=shutil.ignore_patterns("collected*"))


def test_pooled_scores_are_those_of_all_epochs_of_all_folds(done):
    folder, by_encoder = done
    pooled = {row["encoder"]: row for row in rows(folder, "setting", "pooled")}
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


def test_mean_and_deviation_are_over_nights_not_over_jobs(done):
    folder, by_encoder = done
    for number, nights in enumerate(by_encoder.values()):
        accuracies = [(p[e >= 0] == e[e >= 0]).mean() for e, p in nights]
        mean, std = (rows(folder, "setting", value)[number] for value in ("mean", "std"))
        assert float(mean["accuracy"]) == pytest.approx(np.mean(accuracies), abs=1e-15)
        assert float(std["accuracy"]) == pytest.approx(np.std(accuracies), abs=1e-15)


def test_there_is_a_row_for_each_job_with_what_differs_and_its_time(done):
    folder, _ = done
    jobs = rows(folder, "job")
    assert [row["job"] for row in jobs] == [str(number) for number in range(12)]
    assert "data" not in jobs[0]
    told = [jobs[11][key] for key in ("encoder", "split.fold", "seed")]
    assert told == ["seq_sleep", "2", "1"]
    assert float(jobs[7]["training_s"]) == 420
    metrics = json.loads((folder / "7" / "metrics.json").read_text())
    assert float(jobs[7]["macro_f1"]) == metrics["mean"]["macro_f1"]
    assert float(rows(folder, "job", "std")[7]["accuracy"]) == metrics["std"]["accuracy"]
    assert int(jobs[7]["epochs"]) == metrics["pooled"]["scored"]


def test_the_markdown_and_the_terminal_say_what_the_csv_says(sweep, capsys):
    main([str(sweep)])
    shown = " ".join(capsys.readouterr().out.split())
    markdown = (sweep / "collected.md").read_text()
    mean, std, low, high, pooled = (
        {key: float(rows(sweep, "setting", value)[0][key]) for key in SCORES}
        for value in ("mean", "std", "low", "high", "pooled")
    )
    accuracy, kappa = "accuracy", "cohen_kappa"
    spread = f"{100 * mean[accuracy]:.1f} ± {100 * std[accuracy]:.1f}"
    assert f"| encoder=simple_sleep | 12 nights | {spread} | {mean[kappa]:.3f} ± " in markdown
    ends = f"{100 * low[accuracy]:.1f}–{100 * high[accuracy]:.1f}"  # noqa: RUF001
    assert f"| 6 of 6 jobs | interval | {ends} | {low[kappa]:.3f}" in markdown
    assert f"|  | pooled | {100 * pooled[accuracy]:.1f} | {pooled[kappa]:.3f} |" in markdown
    for words in (spread, ends, f"pooled {100 * pooled[accuracy]:.1f}"):
        assert words in shown
    assert "| encoder=seq_sleep | 2 | 1 | 11 | 11.0 | 2 |" in markdown


def test_the_terminal_s_tables_fit_80_columns(sweep):
    shown = text_of(job_table(settings(sweep)), setting_table(settings(sweep)), width=80)
    for word in ("encoder=seq_", "Fold", "Seed", "6 of 6 jobs", "pooled", "12 nights"):
        assert word in shown
    assert "…" not in shown


@pytest.mark.parametrize("search", [True, False])
def test_at_80_columns_no_number_of_a_setting_is_broken(tmp_path, search):
    for number, lr in enumerate(("0.00161", "0.00099", "0.0012520653814999472")):
        told = [f"optimizer.lr={lr}", "encoder.hidden=48"]
        nights = {f"{n}": hypnograms(10 * number + n, 40) for n in range(3)}
        make_job(tmp_path / str(number), told, nights, {"best_score": 0.5 + number, "seconds": 6e3})
    if search:
        make_search(tmp_path)
    found = settings(tmp_path)
    tables = [
        job_table(found, search_of(tmp_path)),
        *([] if search else [setting_table(found[:2])]),
    ]
    shown = text_of(*tables, width=80)
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    for number in ("0.00161", "0.00099", *(["0.00125"] if search else [])):
        assert shown.count(number) == len(tables)


def test_it_is_said_in_how_many_nights_a_score_is_undefined(sweep):
    wake = (np.zeros(10, int), np.zeros(10, int))
    assert "undefined" not in text_of(setting_table(settings(sweep)))
    assert "undefined" not in setting_caption(settings(sweep))
    for number in ("0", "1"):
        shutil.rmtree(sweep / number)
        told = ["data=simulated", "encoder=simple_sleep", "split.fold=0", f"seed={number}"]
        make_job(sweep / number, told, {"wake": wake, "night": hypnograms(0, 30)})
    main([str(sweep)])
    lines = text_of(setting_table(settings(sweep))).splitlines()
    (line,) = (line for line in lines if "undefined" in line)
    assert line.split() == ["undefined", "in", "2", "nights"]  # kappa's alone
    markdown = (sweep / "collected.md").read_text()
    assert "|  | undefined |  | in 2 nights |  |  |" in markdown
    assert "Means leave out the nights in which a score is undefined." in markdown
    undefined, other = rows(sweep, "setting", "undefined")
    assert (undefined["cohen_kappa"], undefined["accuracy"], undefined["over"]) == (
        "2",
        "0",
        "nights",
    )
    assert other["cohen_kappa"] == "0"


def test_jobs_without_scores_are_listed_and_do_not_count(sweep, capsys):
    (sweep / "3" / "metrics.json").unlink()
    (sweep / "4" / "metrics.json").write_text("{")
    (sweep / "5" / "metrics.json").write_text('{"nights": {}, "pooled": {}}')
    shutil.rmtree(sweep / "11")
    main([str(sweep)])
    missing = {
        (row["job"], row["encoder"], row["split.fold"], row["seed"]): row["problem"]
        for row in rows(sweep, "job")
        if not row["accuracy"]
    }
    assert missing.keys() == {
        ("3", "simple_sleep", "1", "1"),
        ("4", "simple_sleep", "2", "0"),
        ("5", "simple_sleep", "2", "1"),
        ("", "seq_sleep", "2", "1"),
    }
    again = "run the sweep again with resume=true"
    assert missing["3", "simple_sleep", "1", "1"] == f"not done: {again}"
    assert "cannot be read" in missing["4", "simple_sleep", "2", "0"]
    assert missing["", "seq_sleep", "2", "1"] == f"not done, and left no folder: {again}"
    found = settings(sweep)
    assert found[0].scores.nights == 6
    shown = text_of(setting_table(found))
    assert "3 of 6 jobs" in shown
    assert "5 of 6 jobs" in shown
    markdown = (sweep / "collected.md").read_text()
    assert "- job - (encoder=seq_sleep split.fold=2 seed=1): not done" in markdown
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "8 of 12 jobs have scores, 4 are missing"


def test_a_sweep_without_any_scores_ends_in_an_error_of_one_line(tmp_path, capsys):
    for seed in range(2):
        make_job(tmp_path / str(seed), [f"seed={seed}"], None)
    with pytest.raises(SystemExit) as end:
        main([str(tmp_path)])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "none of its 2 jobs has scores; job 0 (seed=0): not done" in error
    assert not list(tmp_path.glob("collected*"))


@pytest.mark.parametrize(
    ("failed", "log", "problem"),
    [
        ("optimizer: lr is -1\n", "", "failed: optimizer: lr is -1"),
        ("", "", "failed: nothing says why"),
        (
            None,
            "[2026-01-01 10:00:00,000][train][ERROR] - early\n"
            "[2026-01-01 10:00:00,000][train][INFO] - fine\n"
            "Traceback (most recent call last):\n  File ...\n"
            "torch.OutOfMemoryError: no memory left\nbye\n",
            "failed: torch.OutOfMemoryError: no memory left",
        ),
        (
            None,
            "[2026-01-01 10:00:00,000][a.b][ERROR] - night n3: [flat]\n",
            "failed: night n3: [flat]",
        ),
        (
            None,
            "[2026-01-01 10:00:00,000][train][INFO] - Error rate 3\n",
            "not done: run the sweep again with resume=true",
        ),
    ],
)
def test_a_job_s_reason_is_the_last_error_that_it_left(tmp_path, failed, log, problem):
    make_job(tmp_path / "0", ["seed=0"], None)
    (tmp_path / "0" / "train.log").write_text(log)
    if failed is not None:
        (tmp_path / "0" / "failed.txt").write_text(failed)
    assert [job.problem for job in jobs_of(tmp_path)] == [problem]


def test_scores_from_before_a_job_failed_do_not_count(tmp_path):
    make_job(tmp_path / "0", ["seed=0"], {"a": hypnograms(0, 9)})
    (tmp_path / "0" / "failed.txt").write_text("no memory left")
    (job,) = jobs_of(tmp_path)
    assert (job.scores, job.problem) == (None, "failed: no memory left")


def test_folders_of_launchers_are_no_jobs(tmp_path):
    make_job(tmp_path / "0", ["seed=0"], {"a": hypnograms(0, 9)})
    make_job(tmp_path / ".submitit" / "1234", ["seed=0"], {"a": hypnograms(0, 9)})
    assert [job.name for job in jobs_of(tmp_path)] == ["0"]


def test_jobs_that_left_no_folder_cannot_be_told_for_sweepers_that_choose_as_they_go(sweep):
    make_multirun(sweep, [*TOLD, "context.length=3,5"], sweeper="optuna.Sweeper")
    assert len(jobs_of(sweep)) == 12
    (sweep / "multirun.yaml").unlink()
    assert len(jobs_of(sweep)) == 12


def planned(sweep):
    return [job.overrides for job in jobs_of(sweep) if not job.name]


def test_ranges_and_quoted_values_are_told_as_hydra_tells_its_jobs(tmp_path):
    make_multirun(tmp_path, ["seed=range(3)", "data.channels='[A,B]','[C]'", "+x=1"])
    make_job(tmp_path / "0", ["seed=0", "data.channels='[A,B]'", "+x=1"], {"a": hypnograms(0, 9)})
    assert len(planned(tmp_path)) == 5
    assert {"seed": "2", "data.channels": "'[C]'", "x": "1"} in planned(tmp_path)


def test_options_that_a_pattern_chose_are_told_as_well(tmp_path):
    make_multirun(tmp_path, ["encoder=glob(simple_*)"])
    make_job(tmp_path / "0", ["encoder=simple_sleep"], {"a": hypnograms(0, 9)})
    names = {"simple_sleep_no_channel_recombination", "simple_sleep_no_frequency_reduction"}
    assert {job["encoder"] for job in planned(tmp_path)} == names


def test_a_sweep_that_the_config_describes_is_told_as_well(tmp_path):
    make_multirun(tmp_path, ["seed=1"], params={"split.fold": "range(3)"})
    make_job(tmp_path / "0", ["split.fold=1", "seed=1"], {"a": hypnograms(0, 9)})
    assert planned(tmp_path) == [{"split.fold": fold, "seed": "1"} for fold in ("0", "2")]


def test_a_key_that_was_typed_holds_instead_of_the_config_s(tmp_path):
    make_multirun(tmp_path, ["split.fold=1,2", "seed=1"], params={"split.fold": "range(9)"})
    make_job(tmp_path / "0", ["split.fold=1", "seed=1"], {"a": hypnograms(0, 9)})
    assert planned(tmp_path) == [{"split.fold": "2", "seed": "1"}]


def test_a_plan_that_cannot_be_read_is_no_error(tmp_path):
    make_multirun(tmp_path, ["seed=1"], params={"split.fold": "${nowhere}"})
    make_job(tmp_path / "0", ["split.fold=1", "seed=1"], {"a": hypnograms(0, 9)})
    assert planned(tmp_path) == []


def test_where_files_go_and_what_goes_on_are_no_settings(tmp_path):
    make_multirun(tmp_path, ["seed=0,1", "resume=true", "paths.prepared=/b"])
    make_job(tmp_path / "0", ["seed=0", "paths.prepared=/a"], {"a": hypnograms(0, 9)})
    make_job(
        tmp_path / "1", ["seed=1", "paths.prepared=/b", "resume=true"], {"a": hypnograms(1, 9)}
    )
    (setting,) = settings_of(jobs_of(tmp_path))
    assert (setting.overrides, len(setting.jobs)) == ({}, 2)


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
    assert not list(tmp_path.glob("collected*"))


def test_seeds_trials_and_settings_may_share_a_night(tmp_path):
    told = [["seed=0"], ["seed=1"], ["seed=0", "split.trial=1"], ["seed=0", "encoder=chambon"]]
    for number, overrides in enumerate(told):
        make_job(tmp_path / str(number), overrides, {"x": hypnograms(number, 20)})
    defaults, chambon = settings_of(jobs_of(tmp_path))
    assert (defaults.overrides, len(defaults.jobs)) == ({}, 3)
    assert (chambon.overrides, len(chambon.jobs)) == ({"encoder": "chambon"}, 1)


def test_experiments_are_called_by_their_names_alone(tmp_path):
    for number, name in enumerate(("paper/chambon", "paper/tsinalis")):
        make_job(tmp_path / str(number), [f"experiment={name}"], {"x": hypnograms(number, 20)})
    shown = text_of(setting_table(settings(tmp_path)))
    assert "paper/chambon" in shown
    assert "experiment=" not in shown


def test_lists_of_channels_are_shown_as_they_were_typed(tmp_path):
    for number, channels in enumerate(("[eeg,eog]", "[eeg]")):
        told = [f"data.channels={channels}"]
        make_job(tmp_path / str(number), told, {"x": hypnograms(number, 20)})
    found = settings(tmp_path)
    assert text_of(job_table(found)).count("data.channels=[eeg,eog]") == 1
    assert text_of(setting_table(found)).count("data.channels=[eeg,eog]") == 1


def test_undefined_scores_stay_out_of_means_and_are_empty_or_a_dash(tmp_path):
    wake = (np.zeros(10, int), np.zeros(10, int))
    make_job(tmp_path / "0", ["seed=0"], {"wake": wake})
    main([str(tmp_path)])
    (mean,) = rows(tmp_path, "setting")
    assert (mean["cohen_kappa"], mean["accuracy"]) == ("", "1.0")
    assert "| 100.0 ± 0.0 | - |" in (tmp_path / "collected.md").read_text()


def test_jobs_are_in_the_order_of_their_numbers_at_any_depth(tmp_path):
    for name in ("10", "9", "a/2", "a/10"):
        make_job(tmp_path / name, [f"x={name}"], {"n": hypnograms(0, 9)})
    assert [job.name for job in jobs_of(tmp_path)] == ["9", "10", "a/2", "a/10"]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_jobs_is_an_error_of_one_line(tmp_path, there):
    with pytest.raises(InputError, match=r"no jobs .* give the folder of a sweep"):
        jobs_of(tmp_path if there else tmp_path / "absent")


@pytest.mark.parametrize(("mode", "order"), [("max", "2013"), ("min", "1023")])
def test_a_search_is_sorted_by_what_it_looked_for_and_names_the_best(
    tmp_path, capsys, monkeypatch, mode, order
):
    monkeypatch.setenv("COLUMNS", "120")
    for number, best in enumerate((0.6, 0.5, 0.9, None)):
        told = [f"optimizer.lr={0.00012345678 * (number % 2 + 1)}"]
        nights = None if best is None else {"x": hypnograms(number, 20)}
        make_job(tmp_path / str(number), told, nights, {"best_score": best})
    make_search(tmp_path, mode)
    main([str(tmp_path)])
    assert "".join(row["job"] for row in rows(tmp_path, "job")) == order
    markdown = (tmp_path / "collected.md").read_text()
    best = {"max": "0.9000", "min": "0.5000"}[mode]
    assert markdown.count("best ") == 1
    assert f"| best {best} |" in markdown
    assert "| val/accuracy |" in markdown
    assert "optimizer.lr=0.00012345678 |" in markdown
    shown = capsys.readouterr().out
    assert "0.000123" in shown
    assert "0.00012345678" not in shown


def test_a_sweep_of_many_jobs_leaves_them_to_the_file(tmp_path, capsys):
    night = {"x": hypnograms(0, 20)}
    for seed in range(50):
        make_job(tmp_path / str(seed), [f"seed={seed}"], night)
    main([str(tmp_path)])
    shown = capsys.readouterr().out
    assert "all 50 jobs are listed in collected.md" in shown
    assert len(shown.splitlines()) < 20
    assert (tmp_path / "collected.md").read_text().count("\n| 49 | 49 |") == 1


def test_the_tables_can_be_shown_without_a_file(sweep):
    found = settings(sweep)
    shown = text_of(job_table(found), setting_table(found))
    assert shown.count("encoder=seq_sleep") == 2
    assert set(sweep.glob("collected*")) == set()
    assert collected(()) is None


def test_what_still_runs_has_not_failed_and_what_is_to_come_is_not_missing(sweep):
    (sweep / "3" / "metrics.json").unlink()
    (sweep / "3" / "failed.txt").write_text("stopped before its end\n")
    shutil.rmtree(sweep / "11")
    with held(sweep), held(sweep / "3"):
        problems = [job.problem for job in jobs_of(sweep) if not job.scores]
    assert problems == ["running", "not begun"]
    problems = [job.problem for job in jobs_of(sweep) if not job.scores]
    assert problems[0] == "failed: stopped before its end"
    assert "left no folder" in problems[1]
