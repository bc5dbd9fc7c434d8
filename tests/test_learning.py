"""What the demo promises: a network learns more than band powers tell."""

import csv
import importlib.util
import json
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


def test_two_processes_validate_each_night_once_with_the_scores_of_one_process(tmp_path):
    small = [word for word in SMALL if not word.startswith(("debug", "data.nights.nights"))]
    subprocess.run(
        [
            sys.executable,
            REPOSITORY / "train.py",
            *small,
            "data.nights.nights=8",
            # which two processes cannot share out evenly
            "split.validation=3",
            "trainer=ddp",
            "trainer.accelerator=cpu",
            "trainer.devices=2",
            "trainer.max_epochs=1",
            "loader.window_stride=1",
            "hydra.run.dir=run",
        ],
        cwd=tmp_path,
        check=True,
        timeout=300,
    )
    assert (tmp_path / "run" / "metrics.json").is_file()
    with (tmp_path / "run" / "curves" / "metrics.csv").open(newline="") as file:
        (told,) = (row for row in csv.DictReader(file) if row["val/accuracy"])
    alone = [
        REPOSITORY / "evaluate.py",
        *("model=run", "part=validation", "hydra.run.dir=alone"),
    ]
    subprocess.run([sys.executable, *alone], cwd=tmp_path, check=True, timeout=300)
    metrics = json.loads((tmp_path / "alone" / "metrics.json").read_text())
    assert len(metrics["nights"]) == 3
    for name in ("accuracy", "cohen_kappa", "weighted_f1", "macro_f1"):
        assert float(told[f"val/{name}"]) == pytest.approx(metrics["pooled"][name], abs=1e-6)
