"""What the README shows works as it stands there."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from sleep_lab.recordings import simulated_nights, write_h5
from tests.test_config import GROUPS, OPTIONS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(workplace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(workplace / "runs/small/checkpoints/best.ckpt", "best.ckpt")
    night = simulated_nights(1, 0.5, 64, ["C3-M2", "E1-M2"], seed=3)[0].open()
    write_h5(night, tmp_path / "night.h5")
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    shown: dict = {}
    exec(compile(example, "README.md", "exec"), shown)
    assert shown["hypnodensity"].shape == (60, 5)
    assert shown["scores"].scored == 60
    agreement = np.mean(shown["hypnodensity"].argmax(1) == shown["recording"].hypnogram)
    assert shown["scores"].accuracy == pytest.approx(agreement)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_and_option_is_in_the_table(group):
    table = "\n".join(line for line in README.splitlines() if line.startswith("|"))
    assert f"`{group}`" in table
    for option in (name for known, name in OPTIONS if known == group):
        assert f"`{option}`" in table
