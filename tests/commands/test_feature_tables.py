"""Features that a lab already has: from tables to scores."""

import json

import numpy as np

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.train import main as train_main


def tables(folder, names, nights=4, epochs=80):
    """A CSV for each night, its columns in this order; each column tells one stage."""
    folder.mkdir()
    for night in range(nights):
        rng = np.random.default_rng(night)
        stages = np.repeat(rng.integers(0, 5, epochs // 8), 8)
        values = {f"f{k}": (stages == k) + 0.3 * rng.standard_normal(epochs) for k in range(5)}
        values["extra"] = rng.standard_normal(epochs)
        lines = [",".join([*names, "stage"])]
        for epoch, stage in enumerate(stages):
            lines.append(",".join([*(f"{values[n][epoch]:.4f}" for n in names), str(stage)]))
        (folder / f"night-{night}.csv").write_text("\n".join(lines) + "\n")


def test_a_model_finds_the_columns_of_another_table_by_name(command, tmp_path):
    names = [f"f{k}" for k in range(5)]
    tables(tmp_path / "ours", names)
    tables(tmp_path / "theirs", [*names[::-1], "extra"])
    tables(tmp_path / "short", names[1:])
    trained = command(
        train_main,
        "experiment=feature_table",
        "data.folder=ours",
        "context.length=5",
        "trainer.max_epochs=4",
        "loader.window_stride=1",
        "hydra.run.dir=run",
    )
    assert trained.status == 0, trained.error
    for data in ("ours", "theirs"):
        outcome = command(
            evaluate_main,
            "model=run",
            "data=feature_table",
            f"data.folder={data}",
            f"hydra.run.dir=out-{data}",
        )
        assert outcome.status == 0, outcome.error
    first, second = (
        json.loads((tmp_path / f"out-{data}" / "metrics.json").read_text())["pooled"]
        for data in ("ours", "theirs")
    )
    assert first == second
    assert first["accuracy"] > 0.6
    lacking = command(evaluate_main, "model=run", "data=feature_table", "data.folder=short")
    assert lacking.status == 2
    assert "f0" in lacking.last_line
