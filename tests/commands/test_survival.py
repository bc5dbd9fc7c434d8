"""Runs that are killed, stopped or out of room, and go on."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.train import main as train_main
from sleep_lab.held_folder import held
from sleep_lab.recordings import simulated_nights, write_h5
from sleep_lab.training import Curves
from tests.conftest import REPOSITORY

SETTINGS = (
    "data.nights.nights=5",
    "data.nights.hours=0.4",
    "data.nights.sampling_rate=64",
    "data.channels=[C3-M2,E1-M2]",
    "preparation.padding_s=60",
    "context.length=3",
    "loader.batch_size=4",
    "loader.window_stride=1",
    "trainer.max_epochs=6",
    "paths.workers=1",
    "paths.prepared=prepared",
)
HARD = ("callbacks=weight_averaging", "scheduler=plateau", "scheduler.patience=0")
"""What has a state of its own besides the network and the optimizer."""


def start(folder: Path, *options: str) -> subprocess.Popen:
    """A real `python train.py` in the folder, its run in `run`, in a process group of its own."""
    command = [sys.executable, REPOSITORY / "train.py", *SETTINGS, "hydra.run.dir=run", *options]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    """What it logged, once it has ended well."""
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return out


def when(process: subprocess.Popen, happened: Callable[[], bool]) -> None:
    """Wait until it has happened, looking a thousand times a second."""
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)


def versions_of(path: Path) -> Callable[[], int]:
    """How many files have been seen at the path, one after the other."""
    seen: set[int] = set()

    def count() -> int:
        if path.is_file():
            seen.add(path.stat().st_mtime_ns)
        return len(seen)

    return count


def bits(path: Path) -> dict[str, bytes]:
    """Every tensor of a checkpoint, by its place in it.

    But one: Lightning does not restore the score of the last validation, which nothing depends on.
    """
    found: dict[str, bytes] = {}

    def collect(node: object, place: str) -> None:
        if isinstance(node, torch.Tensor):
            found[place.replace(str(path.parent), "")] = node.contiguous().numpy().tobytes()
        elif isinstance(node, dict):
            for key, value in node.items():
                collect(value, f"{place}/{key}")
        elif isinstance(node, list | tuple):
            for index, value in enumerate(node):
                collect(value, f"{place}/{index}")

    collect(torch.load(path, weights_only=True), "")
    return {place: value for place, value in found.items() if not place.endswith("current_score")}


def results(run: Path) -> dict[str, object]:
    """All of a run that must not depend on whether it was disturbed."""
    times = ("seconds",)
    training = json.loads((run / "training.json").read_text())
    return {
        "files": sorted(str(path.relative_to(run)) for path in run.rglob("*")),
        "best": bits(run / "checkpoints" / "best.ckpt"),
        "last": bits(run / "checkpoints" / "last.ckpt"),
        "training": {key: value for key, value in training.items() if key not in times},
        "metrics": json.loads((run / "metrics.json").read_text()),
        "curves": (run / "curves" / "metrics.csv").read_text(),
        "nights": {p.name: p.read_text() for p in sorted((run / "hypnograms").glob("*.csv"))},
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a run that nobody disturbed, and its nights' store."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(start(folder, *HARD))
    return folder


def training_begins(run: Path) -> Callable[[], bool]:
    """The first training epoch is under way."""
    return (run / "curves").exists


def third_training_epoch(run: Path) -> Callable[[], bool]:
    """The checkpoint at the third training epoch's beginning is there."""
    seen = versions_of(run / "checkpoints" / "last.ckpt")
    return lambda: seen() == 2


def half_written(run: Path) -> Callable[[], bool]:
    """A checkpoint is being written."""
    return lambda: any((run / "checkpoints").glob(".*.part"))


def scoring(run: Path) -> Callable[[], bool]:
    """The training has ended, the test nights are staged."""
    return (run / "training.json").exists


def results_written(run: Path) -> Callable[[], bool]:
    """The scores are there, but not all files yet."""
    return (run / "metrics.json").exists


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", [training_begins, third_training_epoch, half_written, scoring, results_written]
)
def test_a_run_that_is_killed_at_any_moment_ends_as_if_nothing_had_been(
    moment, undisturbed, tmp_path
):
    run = tmp_path / "run"
    process = start(tmp_path, *HARD)
    when(process, moment(run))
    if moment is third_training_epoch:
        time.sleep(random.uniform(0, 0.2))
    process.kill()
    process.communicate()
    assert not (run / "report.html").exists()
    last = (run / "checkpoints" / "last.ckpt").exists()

    again = finish(start(tmp_path, *HARD, "resume=true"))
    trained = moment in (scoring, results_written)
    assert ("going on from" in again) == (last and not trained)
    assert not list((run / "checkpoints").glob(".*.part"))
    found, expected = results(run), results(undisturbed / "run")
    for name in expected:
        assert found[name] == expected[name], name


def test_a_finished_run_is_left_as_it_is(command, tmp_path):
    options = [*SETTINGS, "trainer.max_epochs=1", "hydra.run.dir=run"]
    assert command(train_main, *options).status == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.ckpt")}
    again = command(train_main, *options, "resume=true")
    assert again.status == 0
    assert "finished already" in again.out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*.ckpt")} == before


def test_a_run_is_not_written_over_and_not_gone_on_with_by_another_config(command, tmp_path):
    options = [*SETTINGS, "trainer.max_epochs=1", "hydra.run.dir=run"]
    assert command(train_main, *options).status == 0
    metrics = (tmp_path / "run" / "metrics.json").read_text()
    config = (tmp_path / "run" / ".hydra" / "config.yaml").read_text()
    over = command(train_main, *options, "seed=7")
    assert over.status == 2
    assert (tmp_path / "run" / ".hydra" / "config.yaml").read_text() == config
    assert "seed=7" not in (tmp_path / "run" / ".hydra" / "overrides.yaml").read_text()
    assert over.last_line.startswith("error: ")
    assert "holds a run already: go on with it by resume=true, or choose another" in over.last_line
    other = command(train_main, *options, "resume=true", "optimizer.lr=0.5")
    assert other.status == 2
    assert "holds a run with optimizer.lr=0.001, not 0.5" in other.last_line
    assert (tmp_path / "run" / "metrics.json").read_text() == metrics
    assert command(train_main, *options, "resume=true", "loader.workers=1").status == 0
    evaluated = command(evaluate_main, "model=run", "hydra.run.dir=run")
    assert "run holds a training; choose another folder" in evaluated.last_line
    assert (tmp_path / "run" / "metrics.json").read_text() == metrics


def test_two_processes_are_never_at_work_in_one_folder(command, tmp_path):
    options = [*SETTINGS, "trainer.max_epochs=1", "hydra.run.dir=run"]
    with held(tmp_path):
        (tmp_path / "run").mkdir()
        with held(tmp_path / "run"):
            refused = command(train_main, *options)
    assert refused.status == 2
    assert "run: another process is at work there" in refused.last_line
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert command(train_main, *options).status == 0


def test_a_run_that_goes_on_keeps_its_split_whatever_nights_have_come_since(command, tmp_path):
    nights = simulated_nights(8, 0.4, 64, ["C3-M2", "E1-M2"], seed=1)
    records = tmp_path / "records"
    records.mkdir()
    for night in nights[:5]:
        write_h5(night.open(), records / f"{night.id}.h5")
    options = [
        *(s for s in SETTINGS if not s.startswith("data.nights")),
        *("data=h5_folder", f"data.folder={records}", "trainer.max_epochs=2", "hydra.run.dir=run"),
    ]
    assert command(train_main, *options).status == 0
    split = (tmp_path / "run" / "split.json").read_text()
    nights_scored = json.loads((tmp_path / "run" / "metrics.json").read_text())["nights"]
    for night in nights[5:]:
        write_h5(night.open(), records / f"0{night.id}.h5")
    for name in ("training.json", "metrics.json"):
        (tmp_path / "run" / name).unlink()

    # and wherever the records and the run have moved
    records.rename(tmp_path / "moved")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    there = [f"data.folder={tmp_path / 'moved'}", "hydra.run.dir=elsewhere", "resume=true"]
    again = command(train_main, *options, *there)
    assert again.status == 0, again.error
    assert "going on from" in again.out
    assert "new nights: 0simulated-005" in again.out
    assert (tmp_path / "elsewhere" / "split.json").read_text() == split
    metrics = json.loads((tmp_path / "elsewhere" / "metrics.json").read_text())
    assert metrics["nights"] == nights_scored
    facts = json.loads((tmp_path / "elsewhere" / "environment.json").read_text())
    assert len(facts["data"]["nights"]) == 5
    assert len(facts["later_starts"][0]["data"]["nights"]) == 8


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_is_one_line(command, tmp_path, name):
    options = [*SETTINGS, "trainer.max_epochs=2", "hydra.run.dir=run"]
    assert command(train_main, *options).status == 0
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink()
    path = tmp_path / "run" / "checkpoints" / name
    path.write_bytes((tmp_path / "run" / "checkpoints" / "best.ckpt").read_bytes()[:5000])
    outcome = command(train_main, *options, "resume=true")
    assert outcome.status == 2
    assert f"{name}: a damaged checkpoint" in outcome.last_line


def test_curves_go_on_after_a_row_that_was_cut_short(tmp_path):
    curves = Curves(str(tmp_path))
    curves.begin(0)
    for step in range(4):
        curves.log_metrics({"loss": float(step)}, step)
        curves.save()
    path = tmp_path / "curves" / "metrics.csv"
    path.write_text(path.read_text() + "7.0")
    again = Curves(str(tmp_path))
    again.begin(2)
    again.log_metrics({"loss": 8.0, "more": 9.0}, 2)
    again.save()
    assert path.read_text().split() == ["loss,more,step", "0.0,,0", "1.0,,1", "8.0,9.0,2"]


def test_resume_without_a_run_begins_one(command, tmp_path):
    outcome = command(
        train_main, *SETTINGS, "trainer.max_epochs=1", "hydra.run.dir=run", "resume=true"
    )
    assert outcome.status == 0
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_ends_the_training_and_the_best_weights_are_scored(undisturbed, tmp_path, workers):
    run = tmp_path / "run"
    process = start(tmp_path, *HARD, f"loader.workers={workers}")
    when(process, third_training_epoch(run))
    # as a terminal sends it: to the loading processes as well
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "stopped in training epoch 3 of 6; resume=true goes on" in out
    assert "Traceback" not in error
    assert error.strip().splitlines()[-1] == "stopped"
    assert "mean of 1 night" in out
    assert (run / "metrics.json").exists()
    assert not (run / "training.json").exists()

    assert "going on from" in finish(start(tmp_path, *HARD, "resume=true"))
    found, expected = results(run), results(undisturbed / "run")
    for name in expected:
        assert found[name] == expected[name], name


@pytest.mark.slow
def test_ctrl_c_before_there_are_weights_ends_a_whole_sweep(tmp_path):
    endless = ("trainer.max_epochs=1000", "callbacks=no_early_stopping")
    sweep = ("hydra.mode=MULTIRUN", "seed=0,1", "hydra.sweep.dir=sweep")
    process = start(tmp_path, *sweep, *endless)
    when(process, (tmp_path / "sweep" / "0" / "curves").exists)
    # as people do: again and again until it ends, for Python ignores what falls into a destructor
    error = None
    while error is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            _, error = process.communicate(timeout=10)
    assert process.returncode in (130, -signal.SIGINT), error
    assert not (tmp_path / "sweep" / "1").exists()


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_the_last_good_checkpoint_is_still_there(tmp_path):
    run = tmp_path / "run"
    finish(start(tmp_path, *HARD, "trainer.max_epochs=1", "hydra.run.dir=size"))
    size = (tmp_path / "size" / "checkpoints" / "best.ckpt").stat().st_size

    process = start(tmp_path, *HARD)
    when(process, third_training_epoch(run))
    # no file may grow beyond this: the next checkpoint ends in the middle
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY))
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2, error
    last = error.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "cannot be written (File too large); choose another folder or make room" in last
    for name in ("best.ckpt", "last.ckpt"):
        assert bits(run / "checkpoints" / name)
    assert not list((run / "checkpoints").glob(".*.part"))
    assert "going on from" in finish(start(tmp_path, *HARD, "resume=true"))
