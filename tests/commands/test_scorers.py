"""Several scorers: hypnograms that exist already, and models beside them."""

import json

import numpy as np
import pytest

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.train import main as train_main
from sleep_lab.recordings import simulated_nights
from tests.conftest import SMALL
from tests.shared import SHARED, needs_shared

DOD = SHARED / "dod"
NAMES = {"weighted_f1": "f1_score", "accuracy": "accuracy_score", "cohen_kappa": "cohen_kappa"}


@needs_shared
def test_the_published_table_of_dodh(command, tmp_path):
    outcome = command(
        evaluate_main,
        f"predictions={DOD / 'dodh_base_models.npz'}",
        f"scorers={DOD / 'dodh_scorers.npz'}",
        "data=dodh",
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    expected = json.loads((DOD / "dodh_expected.json").read_text())["dodh/base_models"]
    found = {
        **metrics["models"],
        **metrics["scorers"],
        "Overall Scorers": metrics["overall_scorers"],
    }
    assert found.keys() == expected.keys()
    for name, scores in expected.items():
        for ours, theirs in NAMES.items():
            np.testing.assert_allclose(found[name][ours], scores[theirs], rtol=0, atol=1e-9)
    assert "SimpleNet" in outcome.out
    assert "89.9 ± 4.1" in outcome.out
    assert "86.8 ± 7.6" in outcome.out
    assert "published" in outcome.out.casefold()
    assert (tmp_path / "out" / "report.html").stat().st_size < 10e6


def hypnograms(path, names, nights=("a", "b"), epochs=60, seed=0):
    rng = np.random.default_rng(seed)
    truth = {night: rng.integers(0, 5, epochs).astype(np.int8) for night in nights}
    arrays = {}
    for name in names:
        for night, stages in truth.items():
            wrong = rng.random(epochs) < 0.2
            arrays[f"{name}/{night}"] = np.where(wrong, rng.integers(0, 5, epochs), stages)
    np.savez(path, **{name: a.astype(np.int8) for name, a in arrays.items()})
    return path


def test_hypnograms_in_folders_are_judged_like_those_in_an_npz(command, tmp_path):
    models, scorers = (
        hypnograms(tmp_path / f"{name}.npz", names)
        for name, names in (("models", ["x", "y"]), ("scorers", ["p", "q", "r"]))
    )
    for path in (models, scorers):
        for key, stages in np.load(path).items():
            name, night = key.split("/")
            (path.with_suffix("") / name).mkdir(parents=True, exist_ok=True)
            (path.with_suffix("") / name / f"{night}.json").write_text(json.dumps(stages.tolist()))
    for folder, suffix in (("npz", ".npz"), ("folders", "")):
        outcome = command(
            evaluate_main,
            f"predictions=models{suffix}",
            f"scorers=scorers{suffix}",
            "resamples=100",
            f"hydra.run.dir={folder}",
        )
        assert outcome.status == 0, outcome.error
    first, second = (tmp_path / folder / "metrics.json" for folder in ("npz", "folders"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what to evaluate: model=FILE_OR_RUN, or predictions=FOLDER_OR_NPZ"),
        (["predictions=models.npz"], "add scorers=FOLDER_OR_NPZ"),
        (["predictions=models.npz", "model=x"], "not both"),
        (["predictions=nowhere", "scorers=scorers.npz"], "nowhere: not found"),
        (
            ["predictions=models.npz", "scorers=scorers.npz", "absent_stage=one"],
            "absent_stage is 'one'; give zero or skip",
        ),
        (["predictions=models.npz", "scorers=scorers.npz", "resamples=0"], "resamples"),
        (["predictions=models.npz", "scorers=scorers.npz", "confidence=abc"], "confidence is abc"),
        (["predictions=models.npz", "scorers=scorers.npz", "lights={a:5}"], "lights.a is [first"),
        (["predictions=models.npz", "scorers=scorers.npz", "lights={A:[1,2]}"], "no such night"),
        (["predictions=[models.npz]", "scorers=scorers.npz"], "predictions is one folder or npz"),
        (["predictions=models.npz", "scorers=scorers.npz", "length_mismatch=ct"], "'cut'"),
        (["predictions=models.npz", "scorers=other.npz"], "night"),
        (["predictions=models.npz", "scorers=one.npz"], "needs two scorers or more"),
    ],
)
def test_what_cannot_be_judged_is_an_error_of_one_line(command, tmp_path, arguments, said):
    hypnograms(tmp_path / "models.npz", ["x"])
    hypnograms(tmp_path / "scorers.npz", ["p", "q"])
    hypnograms(tmp_path / "other.npz", ["p", "q"], nights=("c",))
    hypnograms(tmp_path / "one.npz", ["p"])
    outcome = command(evaluate_main, *arguments, "hydra.run.dir=out")
    assert outcome.status == 2
    assert said in outcome.last_line
    assert "Traceback" not in outcome.error
    assert not (tmp_path / "out").exists()


def test_a_model_beside_the_scorers_of_its_nights(workplace, command, tmp_path):
    run = workplace / "runs" / "small"
    (night,) = json.loads((run / "metrics.json").read_text())["nights"]
    sources = simulated_nights(4, 0.25, 64, ["C3-M2", "E1-M2"], scorers=3)
    recording = next(source for source in sources if source.id == night).open()
    np.savez(
        tmp_path / "scorers.npz",
        **{f"{name}/{night}": stages for name, stages in recording.scorings.items()},
    )
    outcome = command(
        evaluate_main,
        f"model={run}",
        f"paths.prepared={workplace / 'prepared'}",
        "scorers=scorers.npz",
        "resamples=100",
        "hydra.run.dir=out",
    )
    assert outcome.status == 0, outcome.error
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(metrics["models"]) == ["small"]
    assert list(metrics["scorers"]) == ["scorer_1", "scorer_2", "scorer_3"]
    assert metrics["hypnodensity"]["labels"] == "scorers"
    assert metrics["nights"][night]["accuracy"] is not None


def test_nights_with_scorers_of_their_own_are_judged_by_them_after_training(command, tmp_path):
    outcome = command(train_main, *SMALL, "data.nights.scorers=3", "hydra.run.dir=run")
    assert outcome.status == 0, outcome.error
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(metrics["scorers"]) == ["scorer_1", "scorer_2", "scorer_3"]
    assert "overall scorers" in outcome.out
    assert (tmp_path / "run" / "report.html").is_file()
