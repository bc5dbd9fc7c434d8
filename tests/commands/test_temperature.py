"""Temperature scaling as an option of training: fitted once, then wherever the model is used."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from scipy.special import softmax

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.train import main as train_main
from sleep_lab.data import NightPart, restore
from sleep_lab.evaluation.calibration import cross_entropy, hard_labels
from sleep_lab.experiment import prepared_nights, stage_parts
from sleep_lab.inference import COMBINATIONS, stage
from sleep_lab.models.weights import load_model, store_temperature
from sleep_lab.preparation import prepare
from sleep_lab.recordings import simulated_nights
from tests.conftest import SMALL
from tests.test_config import composed

BEST = "checkpoints/best.ckpt"


@pytest.fixture
def scaled(workplace, command, tmp_path):
    """The run of the workplace again, with temperature scaling."""
    shared = f"paths.prepared={workplace / 'prepared'}"
    outcome = command(
        train_main, *SMALL, shared, "temperature_scaling=true", "hydra.run.dir=scaled"
    )
    assert outcome.status == 0, outcome.error
    return tmp_path / "scaled"


def own_parts(trained, prepared, part):
    overrides = [*SMALL, f"paths.prepared={prepared}"]
    nights = prepared_nights(composed(*overrides), trained.preparations)
    return restore(trained.split[part], nights)


def rows_of(folder):
    (path,) = (folder / "hypnograms").glob("*.csv")
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    return [row[:3] for row in rows], np.array([row[3:] for row in rows], dtype=float)


def test_a_training_fits_the_temperature_on_its_validation_nights_and_applies_it(
    workplace, command, scaled, tmp_path
):
    plain = workplace / "runs/small"
    trained = load_model(scaled / BEST)
    temperature = trained.temperature
    assert temperature != 1
    assert load_model(plain / BEST).temperature == 1

    (part,) = own_parts(trained, workplace / "prepared", "validation")
    labels = hard_labels(part.night.hypnogram[part.first : part.last])
    losses = {}
    for factor in (0.98, 1, 1.02):
        trained.model.temperature = temperature * factor
        losses[factor] = cross_entropy(stage(trained.model, part), labels)
    assert min(losses, key=losses.get) == 1
    assert losses[1] < cross_entropy(stage(trained.model, part, calibrated=False), labels)

    # the weights are those of the run without it, and so are the stages and scores
    weights, same = (load_model(run / BEST).model.state_dict() for run in (plain, scaled))
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    (stages, before), (same_stages, after) = rows_of(plain), rows_of(scaled)
    assert stages == same_stages
    np.testing.assert_allclose(after, softmax(np.log(before) / temperature, axis=1), atol=1e-5)
    assert abs(after - before).max() > 1e-3
    first, second = (json.loads((r / "metrics.json").read_text()) for r in (plain, scaled))
    assert first["nights"] == second["nights"]
    before, kept = second["hypnodensity"]["uncalibrated"], first["hypnodensity"]
    assert before["cross_entropy"] == pytest.approx(kept["cross_entropy"])

    said = f"temperature {temperature:.3f}, fitted on the validation nights"
    assert said in (scaled / "train.log").read_text()
    with (scaled / "curves/metrics.csv").open() as file:
        logged = [row["val/temperature"] for row in csv.DictReader(file)]
    assert [float(value) for value in logged if value] == [pytest.approx(temperature)]

    outcome = command(
        evaluate_main,
        f"model={scaled}",
        f"paths.prepared={workplace / 'prepared'}",
        "hydra.run.dir=again",
    )
    assert outcome.status == 0, outcome.error
    (path,) = (scaled / "hypnograms").glob("*.csv")
    assert (tmp_path / "again/hypnograms" / path.name).read_bytes() == path.read_bytes()


def same(left, right):
    """Whether two checkpoints hold the same, down to types and the last bit."""
    if type(left) is not type(right):
        return False
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def test_nothing_but_the_temperature_changes_in_a_checkpoint(workplace, tmp_path):
    path = tmp_path / "best.ckpt"
    shutil.copy(workplace / "runs/small" / BEST, path)
    before = torch.load(path, weights_only=True)
    store_temperature(path, 2.5)
    assert [file.name for file in tmp_path.iterdir()] == ["best.ckpt"]
    after = torch.load(path, weights_only=True)
    assert before["state_dict"]._metadata == after["state_dict"]._metadata
    facts, changed = (json.loads(content.pop("sleep_lab")) for content in (before, after))
    assert same(before, after)
    assert len(before["optimizer_states"]) == 1
    assert changed == facts | {"temperature": 2.5}
    store_temperature(path, 0.5)
    assert load_model(path).temperature == 0.5


@pytest.mark.parametrize("combine", COMBINATIONS)
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_the_temperature_divides_the_logarithms_where_a_night_is_staged(
    workplace, temperature, combine
):
    trained = load_model(workplace / "runs/small" / BEST)
    (part,) = own_parts(trained, workplace / "prepared", "test")
    before = stage(trained.model, part, combine)
    trained.model.temperature = temperature
    after = stage(trained.model, part, combine)
    assert after.dtype == np.float32
    raised = before.astype(float) ** (1 / temperature)
    np.testing.assert_allclose(after, raised / raised.sum(1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(stage(trained.model, part, combine, calibrated=False), before)
    (result,) = stage_parts(trained.model, [part], combine)
    np.testing.assert_array_equal(result.hypnodensity, after)
    np.testing.assert_array_equal(result.uncalibrated, before)
    np.testing.assert_array_equal(result.hypnogram, before.argmax(1))


def test_a_staged_part_has_its_scorers_and_nothing_uncalibrated_without_a_temperature(
    workplace, tmp_path
):
    trained = load_model(workplace / "runs/small" / BEST)
    (source,) = simulated_nights(1, 0.25, 64, ["C3-M2", "E1-M2"], seed=3, scorers=2)
    night = prepare(source, trained.preparation, tmp_path)
    (result,) = stage_parts(trained.model, [NightPart(night, 5, 20, 0, 30)], "geometric")
    assert result.uncalibrated is None
    scored = source.open().scorings
    assert list(result.scorings) == list(scored) == ["scorer_1", "scorer_2"]
    for name, stages in scored.items():
        np.testing.assert_array_equal(result.scorings[name], stages[5:20])


@pytest.mark.parametrize("value", ["yes_please", "1", "null"])
def test_a_switch_that_is_neither_on_nor_off_is_refused_before_training(command, tmp_path, value):
    outcome = command(train_main, *SMALL, f"temperature_scaling={value}", "hydra.run.dir=run")
    assert outcome.status == 2
    assert "temperature_scaling is true or false, not" in outcome.last_line
    assert not (tmp_path / "run/checkpoints").exists()
