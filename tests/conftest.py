"""A run that tests of the commands share, and a way to run them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.running import Runner

REPOSITORY = Path(__file__).resolve().parents[1]
SMALL = (
    "data.nights.nights=4",
    "data.nights.hours=0.25",
    "data.nights.sampling_rate=64",
    "data.channels=[C3-M2,E1-M2]",
    "context.length=3",
    "preparation.padding_s=60",
    "debug=fast",
    "paths.workers=1",
)
"""Four nights of a quarter of an hour, one training epoch of three batches."""


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder in which the small run was made by `python train.py`."""
    folder = tmp_path_factory.mktemp("workplace")
    finished = subprocess.run(
        [sys.executable, REPOSITORY / "train.py", *SMALL, "hydra.run.dir=runs/small"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    (folder / "printed.txt").write_text(finished.stdout)
    return folder


@pytest.fixture
def command(capfd, monkeypatch, tmp_path):
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Runner(capfd, monkeypatch)
