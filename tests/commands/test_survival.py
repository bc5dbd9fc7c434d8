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
from pathlib import Path

import pytest
import torch

from sleep_lab.commands.train import main as train_main
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


def start(folder: Path, *options: str, threads: int = 1) -> subprocess.Popen:
    """A real `python train.py` in the folder, its run in `run`."""
    command = [sys.executable, REPOSITORY / "train.py", *SETTINGS, "hydra.run.dir=run", *options]
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
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


@pytest.mark.slow
@pytest.mark.parametrize("moment", [training_begins, third_training_epoch, half_written, scoring])
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
    assert not (run / "metrics.json").exists()
    last = (run / "checkpoints" / "last.ckpt").exists()

    again = finish(start(tmp_path, *HARD, "resume=true"))
    assert ("going on from" in again) == (last and moment is not scoring)
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
    over = command(train_main, *options)
    assert over.status == 2
    assert over.last_line.startswith("error: ")
    assert "holds a run already: go on with it by resume=true, or choose another" in over.last_line
    other = command(train_main, *options, "resume=true", "optimizer.lr=0.5")
    assert other.status == 2
    assert "holds a run with optimizer.lr=0.001, not 0.5" in other.last_line
    assert (tmp_path / "run" / "metrics.json").read_text() == metrics
    assert command(train_main, *options, "resume=true", "loader.workers=1").status == 0


def test_resume_without_a_run_begins_one(command, tmp_path):
    outcome = command(
        train_main, *SETTINGS, "trainer.max_epochs=1", "hydra.run.dir=run", "resume=true"
    )
    assert outcome.status == 0
    assert (tmp_path / "run" / "metrics.json").exists()


@pytest.mark.slow
def test_ctrl_c_ends_the_training_and_the_best_weights_are_scored(undisturbed, tmp_path):
    run = tmp_path / "run"
    process = start(tmp_path, *HARD)
    when(process, third_training_epoch(run))
    process.send_signal(signal.SIGINT)
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
