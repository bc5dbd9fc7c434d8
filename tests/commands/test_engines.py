"""Sweeps run by the engines, as the README says: real processes of train.py."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from tests.conftest import REPOSITORY, SMALL

pytestmark = pytest.mark.slow

NIGHTS = ["simulated-000", "simulated-001", "simulated-002", "simulated-003"]
WATCHED = ("data.nights._target_=tests.commands.watched_nights.watched_nights",)
TWO_GPUS = (
    "hydra/launcher=ray",
    "+hydra.launcher.ray.init.num_gpus=2",
    "+hydra.launcher.ray.init.num_cpus=4",
    "hydra.launcher.ray.remote.num_gpus=1",
    "trainer=cpu",
)
"""A Ray that believes in two GPUs, on a machine without any."""

DEADLY = (
    "trainer.max_epochs=3",
    "+callbacks.death._target_=tests.commands.deaths.Death",
    "+callbacks.death.log=begun_${callbacks.death.times}.txt",
)
"""A training that dies in its second training epoch, `callbacks.death.times` times."""


def sweep(folder, *arguments):
    """Runs `python train.py -m` in a folder."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return subprocess.run(
        [
            sys.executable,
            REPOSITORY / "train.py",
            "-m",
            *SMALL,
            "hydra.sweep.dir=sweep",
            *arguments,
        ],
        cwd=folder,
        env=environment | {"SLEEP_LAB_TRUSTED": "tests.*", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def facts(folder, name="environment.json"):
    """A JSON file of every job that has one, by the job's name."""
    jobs = (folder / "sweep").glob(f"*/{name}")
    return {path.parent.name: json.loads(path.read_text()) for path in jobs}


def begun(folder):
    """The training epochs that were begun, by how often the training was to die."""
    logs = folder.glob("begun_*.txt")
    return {path.stem.removeprefix("begun_"): "".join(path.read_text().split()) for path in logs}


def free_port():
    """A port that nothing listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def cluster(monkeypatch):
    """The address of a Ray of its own."""
    # without it the cluster asks for a token if this user has one
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    # sockets' names may not be long
    folder = tempfile.mkdtemp(prefix="ray")
    port = free_port()
    head = subprocess.Popen(
        [
            Path(sys.executable).with_name("ray"),
            *("start", "--head", "--block", f"--port={port}"),
            *("--num-cpus=2", '--resources={"of_the_cluster": 2}', "--include-dashboard=false"),
            f"--temp-dir={folder}",
        ],
        env=os.environ | {"SLEEP_LAB_TRUSTED": "tests.*", "PYTHONPATH": str(REPOSITORY)},
        start_new_session=True,
    )
    yield f"127.0.0.1:{port}"
    head.terminate()
    head.wait()
    with suppress(ProcessLookupError):
        os.killpg(head.pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def test_joblib_runs_what_can_run_prepares_each_night_once_and_goes_on_with_what_is_missing(
    tmp_path,
):
    command = (
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=3",
        "optimizer.lr=1e-3,-1,1e-2",
        *WATCHED,
        "+data.nights.log=opened.txt",
        # a job's own processes
        "paths.workers=2",
        "loader.workers=1",
    )
    first = sweep(tmp_path, *command)
    assert first.returncode == 2
    assert "2 of 3 jobs done" in first.stderr
    assert "#1 (optimizer.lr=-1): optimizer or scheduler: Invalid learning rate: -1" in first.stderr
    scored = facts(tmp_path, "metrics.json")
    assert sorted(scored) == ["0", "2"]
    # three jobs began at once on an empty store
    assert sorted((tmp_path / "opened.txt").read_text().split()) == NIGHTS
    cores = len(os.sched_getaffinity(0))
    assert {job["threads"] for job in facts(tmp_path).values()} == {max(1, cores // 3)}
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")}

    again = sweep(tmp_path, *command, "resume=true")
    assert again.returncode == 2
    assert "2 of 3 jobs done" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("metrics.json")} == written
    assert facts(tmp_path, "metrics.json") == scored


def test_ray_gives_each_job_a_gpu_of_its_own_and_two_at_a_time(tmp_path):
    ended = sweep(tmp_path, *TWO_GPUS, "seed=0,1,2,3")
    assert ended.returncode == 0, ended.stderr
    assert "4 of 4 jobs done" in ended.stderr
    devices = {name: job["cuda_visible_devices"] for name, job in facts(tmp_path).items()}
    assert len(devices) == 4
    assert set(devices.values()) == {"0", "1"}
    spans = {
        name: [
            (tmp_path / "sweep" / name / file).stat().st_mtime
            for file in ("environment.json", "metrics.json")
        ]
        for name in devices
    }
    for device in "01":
        own = sorted(spans[name] for name in devices if devices[name] == device)
        assert all(before[1] < after[0] for before, after in pairwise(own))


@pytest.mark.parametrize(
    "engine",
    [("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"), TWO_GPUS],
    ids=["joblib", "ray"],
)
def test_a_job_that_died_goes_on_where_it_was_and_the_others_do_not_notice(tmp_path, engine):
    ended = sweep(
        tmp_path,
        *engine,
        *DEADLY,
        "+callbacks.death.times=0,1,9",
        "hydra.launcher.max_retries=2",
    )
    assert ended.returncode == 2
    assert "2 of 3 jobs done" in ended.stderr
    assert "#2 (callbacks.death.times=9): stopped before its end" in ended.stderr
    assert sorted(facts(tmp_path, "metrics.json")) == ["0", "1"]
    assert begun(tmp_path) == {"0": "012", "1": "0112", "9": "0111"}


def test_a_job_of_submitit_that_died_is_only_one_failed_job(tmp_path):
    ended = sweep(tmp_path, "hydra/launcher=submitit_local", *DEADLY, "+callbacks.death.times=9,0")
    assert ended.returncode == 2
    assert "1 of 2 jobs done" in ended.stderr
    assert "#0 (callbacks.death.times=9): stopped before its end" in ended.stderr
    assert list(facts(tmp_path, "metrics.json")) == ["1"]


def test_a_job_that_slurm_queues_again_goes_on_where_it_was(tmp_path, monkeypatch):
    command = ("hydra/launcher=submitit_local", *DEADLY, "+callbacks.death.times=1", "seed=0")
    sweep(tmp_path, *command)
    assert begun(tmp_path) == {"1": "01"}
    # only the job is started again, not the command, which would find its own sweep
    shutil.rmtree(tmp_path / "sweep" / "0" / ".hydra")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    again = sweep(tmp_path, *command)
    assert again.returncode == 0, again.stderr
    assert begun(tmp_path) == {"1": "0112"}


def test_several_processes_in_one_job_of_a_sweep_are_refused(tmp_path):
    ended = sweep(tmp_path, "trainer=cpu", "trainer.devices=2", "+trainer.strategy=ddp", "seed=0,1")
    assert ended.returncode == 2
    assert "0 of 2 jobs done" in ended.stderr
    assert ended.stderr.count("several GPUs in one job of a sweep are not possible") == 2


def test_a_job_that_asks_for_more_than_the_machine_has_is_refused_at_once(tmp_path):
    ended = sweep(tmp_path, *TWO_GPUS, "hydra.launcher.ray.remote.num_gpus=3", "seed=0,1")
    assert ended.returncode == 2
    assert "error: each job asks for 3 GPU by hydra.launcher.ray.remote.num_gpus" in ended.stderr
    assert "this machine has 2; choose trainer=cpu" in ended.stderr
    assert not facts(tmp_path)


def test_ray_goes_to_a_cluster_that_runs_already(tmp_path, cluster):
    ended = sweep(
        tmp_path,
        "hydra/launcher=ray",
        f"hydra.launcher.ray.init.address={cluster}",
        "+hydra.launcher.ray.remote.resources={of_the_cluster:1}",
        "seed=0,1",
    )
    assert ended.returncode == 0, ended.stderr
    assert sorted(facts(tmp_path, "metrics.json")) == ["0", "1"]


def test_optuna_searches_keeps_failures_as_such_and_goes_on_under_the_same_name(tmp_path):
    command = (
        "hydra/sweeper=optuna",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=2",
        "hydra.sweeper.study_name=rates",
        "optimizer.lr=choice(1e-3,1e-2,-1)",
    )
    storage = f"sqlite:///{tmp_path / 'runs' / 'searches.db'}"
    sweep(tmp_path, *command, "hydra.sweeper.n_trials=4")
    trials = optuna.load_study("rates", storage).trials
    assert len(trials) == 4
    reached = {
        job: scores["best_score"] for job, scores in facts(tmp_path, "training.json").items()
    }
    for number, trial in enumerate(trials):
        assert trial.value == reached.get(str(number))
        failed = float(trial.params["optimizer.lr"]) < 0
        assert failed == (trial.value is None)
        assert failed == (tmp_path / "sweep" / str(number) / "failed.txt").is_file()
    results = OmegaConf.load(tmp_path / "sweep" / "optimization_results.yaml")
    assert results.best_value == max(reached.values())

    sweep(tmp_path, *command, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=more")
    assert len(optuna.load_study("rates", storage).trials) == 6


def test_submitit_runs_jobs_as_a_cluster_would(tmp_path):
    ended = sweep(tmp_path, "hydra/launcher=submitit_local", "seed=0,1")
    assert ended.returncode == 0, ended.stderr
    assert "2 of 2 jobs done" in ended.stderr
    assert sorted(facts(tmp_path, "metrics.json")) == ["0", "1"]
    assert len(list((tmp_path / "sweep" / ".submitit").glob("*_log.out"))) == 2
