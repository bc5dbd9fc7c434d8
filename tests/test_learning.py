"""What the demo promises: a network learns more than band powers tell."""

import importlib.util
import os
import subprocess
import sys

import pytest

from sleep_lab.models.weights import load_model
from tests.conftest import REPOSITORY, SMALL

pytestmark = pytest.mark.slow


def benchmark(name):
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_is_far_above_a_logistic_regression_on_band_powers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment = {name: v for name, v in os.environ.items() if name != "OMP_NUM_THREADS"}
    subprocess.run(
        [sys.executable, REPOSITORY / "train.py", "experiment=demo", "hydra.run.dir=demo"],
        cwd=tmp_path,
        env=environment,
        check=True,
    )
    trained = load_model(tmp_path / "demo" / "checkpoints" / "best.ckpt")
    regression, network, _ = benchmark("band_power_baseline").compared(trained)
    assert regression.cohen_kappa > 0.4
    assert network.cohen_kappa > regression.cohen_kappa + 0.1
    assert network.macro_f1 > regression.macro_f1 + 0.1


def test_two_processes_train_together(tmp_path):
    small = [word for word in SMALL if not word.startswith(("debug", "data.nights.nights"))]
    subprocess.run(
        [
            sys.executable,
            REPOSITORY / "train.py",
            *small,
            "data.nights.nights=6",
            "split.validation=2",
            "trainer=ddp",
            "trainer.accelerator=cpu",
            "trainer.devices=2",
            "trainer.max_epochs=2",
            "hydra.run.dir=run",
        ],
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    assert (tmp_path / "run" / "metrics.json").is_file()
