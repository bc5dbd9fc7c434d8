"""From recordings to scores by the commands, and the files that a run leaves."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.train import main as train_main
from sleep_lab.evaluation import evaluate
from sleep_lab.models import ModuloNet
from sleep_lab.models.weights import load_model
from sleep_lab.recordings import simulated_nights, write_h5
from sleep_lab.stages import STAGES
from tests.conftest import SMALL


def result_files(folder):
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".log"
    }


def test_a_run_leaves_the_files_that_scripts_rely_on(workplace):
    run = workplace / "runs" / "small"
    metrics = json.loads((run / "metrics.json").read_text())
    (night,) = metrics["nights"]
    assert result_files(run) == {
        ".lock",
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "checkpoints/best.ckpt",
        "curves/hparams.yaml",
        "curves/metrics.csv",
        "environment.json",
        "metrics.json",
        "per_night.csv",
        "report.html",
        "review.csv",
        "sleep_statistics.csv",
        "split.json",
        "training.json",
        f"exports/bids/{night}_events.json",
        f"exports/bids/{night}_events.tsv",
        f"exports/edf/{night}.edf",
        f"exports/json/small/{night}.json",
        f"hypnograms/{night}.csv",
        f"plots/{night}.png",
        "plots/confusion_matrix.png",
    }
    described = {"intervals", "hypnodensity", "review", "transitions"}
    described |= {"sleep_statistics_per_night"}
    assert set(metrics) == {"nights", "mean", "std", "pooled"} | described
    scores = metrics["nights"][night]
    assert list(scores) == [
        "epochs",
        "scored",
        "accuracy",
        "cohen_kappa",
        "weighted_f1",
        "macro_f1",
        "f1",
    ]
    assert list(scores["f1"]) == list(STAGES)
    with (run / "hypnograms" / f"{night}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "onset_s", "stage", *(f"p_{stage}" for stage in STAGES)]
    source = next(n for n in simulated_nights(4, 0.25, 64, ["C3-M2", "E1-M2"]) if n.id == night)
    predicted = np.array([STAGES.index(row["stage"]) for row in rows])
    expected = evaluate(predicted, source.open().hypnogram)
    assert scores["accuracy"] == pytest.approx(expected.accuracy, abs=1e-12)
    assert scores["macro_f1"] == pytest.approx(expected.macro_f1, abs=1e-12)


def test_the_run_prints_its_config_its_scores_and_where_the_pictures_are(workplace):
    printed = (workplace / "printed.txt").read_text()
    assert "Kappa" in printed
    assert "pooled" in printed
    assert "runs/small/plots" in printed


@pytest.mark.parametrize("model", ["runs/small", "runs/small/checkpoints/best.ckpt"])
def test_evaluating_a_run_repeats_its_test_figures_exactly(workplace, command, tmp_path, model):
    outcome = command(
        evaluate_main,
        f"model={workplace / model}",
        f"paths.prepared={workplace / 'prepared'}",
        "hydra.run.dir=again",
    )
    assert outcome.status == 0, outcome.error
    for name in ("metrics.json", "per_night.csv"):
        first = (workplace / "runs" / "small" / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first


def test_a_checkpoint_alone_is_enough(workplace, command, tmp_path):
    shutil.copy(workplace / "runs/small/checkpoints/best.ckpt", tmp_path / "mine.ckpt")
    outcome = command(evaluate_main, "model=mine.ckpt", "part=validation", "hydra.run.dir=out")
    assert outcome.status == 0, outcome.error
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_the_same_seed_gives_the_same_weights(workplace, command, tmp_path):
    shared = f"paths.prepared={workplace / 'prepared'}"
    outcome = command(train_main, *SMALL, shared, "hydra.run.dir=again")
    assert outcome.status == 0, outcome.error
    weights = [
        load_model(path).model.state_dict()
        for path in (
            workplace / "runs/small/checkpoints/best.ckpt",
            tmp_path / "again/checkpoints/best.ckpt",
        )
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    other = command(train_main, *SMALL, shared, "hydra.run.dir=other", "seed=1")
    assert other.status == 0, other.error
    changed = load_model(tmp_path / "other/checkpoints/best.ckpt").model.state_dict()
    assert not all(torch.equal(weights[0][name], changed[name]) for name in changed)


def test_single_recordings_are_staged_without_scores(workplace, command, tmp_path):
    night = simulated_nights(1, 0.5, 64, ["C3-M2", "E1-M2", "O1-M2"], seed=9)[0].open()
    object.__setattr__(night, "hypnogram", None)
    write_h5(night, tmp_path / "new.h5")
    outcome = command(
        evaluate_main,
        f"model={workplace / 'runs/small'}",
        "recordings=[new.h5]",
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    assert {"hypnograms/new.csv", "plots/new.png"} <= result_files(tmp_path / "out")
    assert not (tmp_path / "out" / "metrics.json").exists()
    with (tmp_path / "out" / "hypnograms" / "new.csv").open() as file:
        assert len(list(csv.reader(file))) == 61


def test_the_good_recordings_are_staged_and_the_bad_one_is_the_error(workplace, command, tmp_path):
    write_h5(simulated_nights(1, 0.25, 64, ["C3-M2", "E1-M2"])[0].open(), tmp_path / "good.h5")
    (tmp_path / "bad.h5").write_bytes(b"no recording at all")
    outcome = command(
        evaluate_main,
        f"model={workplace / 'runs/small'}",
        "recordings=[good.h5,bad.h5]",
        "hydra.run.dir=out",
    )
    assert outcome.status == 2
    assert "1 of 2 recordings were not staged" in outcome.last_line
    assert "bad.h5" in outcome.last_line
    assert (tmp_path / "out" / "hypnograms" / "good.csv").is_file()


def test_other_data_is_staged_and_scored_on_request(workplace, command, tmp_path):
    (tmp_path / "nights").mkdir()
    for source in simulated_nights(2, 0.25, 64, ["O1-M2", "E2-M2"], seed=5):
        write_h5(source.open(), tmp_path / "nights" / f"{source.id}.h5")
    outcome = command(
        evaluate_main,
        f"model={workplace / 'runs/small'}",
        "data=h5_folder",
        "data.folder=nights",
        "data.montage.psg=[O1-M2,E2-M2]",
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(metrics["nights"]) == ["simulated-000", "simulated-001"]
    log = next((tmp_path / "out").glob("*.log")).read_text()
    assert "O1-M2, E2-M2 take the places of C3-M2, E1-M2" in log


def test_a_model_is_loaded_in_a_line_and_knows_its_preparation(workplace):
    path = workplace / "runs/small/checkpoints/best.ckpt"
    model = ModuloNet.load(path)
    assert not model.training
    assert model.preparation.channels("psg") == ("C3-M2", "E1-M2")
    config = OmegaConf.load(workplace / "runs/small/.hydra/config.yaml")
    assert model.context == config.context.length


def test_a_checkpoint_that_runs_code_is_refused_and_nothing_runs(command, tmp_path):
    class Trap:
        def __reduce__(self):
            return (shutil.rmtree, (str(tmp_path / "precious"),))

    (tmp_path / "precious").mkdir()
    torch.save({"state_dict": Trap(), "sleep_lab": "{}"}, tmp_path / "trap.ckpt")
    outcome = command(evaluate_main, "model=trap.ckpt")
    assert outcome.status == 2
    assert "trap.ckpt: holds more than weights and plain values" in outcome.last_line
    assert (tmp_path / "precious").is_dir()


def test_a_checkpoint_that_names_other_code_is_refused(workplace, command, tmp_path):
    content = torch.load(workplace / "runs/small/checkpoints/best.ckpt", weights_only=True)
    for place in ("architecture", "preparation", "data"):
        facts = json.loads(content["sleep_lab"])
        evil = {"_target_": "shutil.rmtree", "path": str(tmp_path)}
        if place == "architecture":
            facts["architecture"]["encoder"] = evil
        elif place == "preparation":
            facts["preparation"]["features"]["epoch_index"] = evil
        else:
            facts["config"]["data"]["nights"] = evil
        torch.save({**content, "sleep_lab": json.dumps(facts)}, tmp_path / "evil.ckpt")
        outcome = command(evaluate_main, "model=evil.ckpt")
        assert outcome.status == 2
        assert "may not instantiate 'shutil.rmtree'" in outcome.last_line


def test_nights_that_have_moved_are_found_where_the_user_says(command, tmp_path):
    (tmp_path / "nights").mkdir()
    for source in simulated_nights(3, 0.25, 64, ["C3-M2"]):
        write_h5(source.open(), tmp_path / "nights" / f"{source.id}.h5")
    trained = command(
        train_main,
        "data=h5_folder",
        "data.folder=nights",
        "data.montage.psg=[C3-M2]",
        *SMALL[4:],
        "hydra.run.dir=run",
    )
    assert trained.status == 0, trained.error
    (tmp_path / "nights").rename(tmp_path / "archive")
    lost = command(evaluate_main, "model=run")
    assert lost.status == 2
    assert "nights: there is no such folder" in lost.last_line
    found = command(evaluate_main, "model=run", "folder=archive", "hydra.run.dir=again")
    assert found.status == 0, found.error
    assert (tmp_path / "again/metrics.json").read_bytes() == (
        tmp_path / "run/metrics.json"
    ).read_bytes()
