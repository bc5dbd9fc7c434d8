"""Several datasets in one training, from the command line to the figures and back."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sleep_lab.commands.evaluate import main as evaluate_main
from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.commands.train import main as train_main
from sleep_lab.experiment import preparations_of
from sleep_lab.models.weights import load_model
from sleep_lab.preparation.__main__ import prepare
from sleep_lab.recordings import simulated_nights, write_h5
from tests.conftest import REPOSITORY
from tests.test_config import composed
from tests.test_readme import README

QUICK = ("context.length=3", "preparation.padding_s=60", "debug=fast", "paths.workers=1")
SMALL = ("data.people=2", "data.hours=0.25", *QUICK)


def same_figures(one, other):
    return all(
        (one / name).read_bytes() == (other / name).read_bytes()
        for name in ("metrics.json", "per_night.csv")
    )


@pytest.fixture(scope="module")
def robust(tmp_path_factory):
    """A folder in which RobustSleepNet was trained on two of three datasets, by `train.py`."""
    folder = tmp_path_factory.mktemp("robust")
    finished = subprocess.run(
        [
            *(sys.executable, REPOSITORY / "train.py", "experiment=paper/robust_sleep_net"),
            *("encoder.hidden=8", "encoder.filters=8", "sequence_encoder.hidden=8"),
            *("data=simulated_datasets", "split=transfer", "split.test_on=first"),
            *(*SMALL, "hydra.run.dir=run"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return folder


def test_a_network_of_any_channels_learns_from_other_montages_than_it_is_tested_on(robust):
    metrics = json.loads((robust / "run/metrics.json").read_text())
    assert list(metrics["nights"]) == ["first-simulated-000", "first-simulated-001"]
    split = json.loads((robust / "run/split.json").read_text())
    assert {part["dataset"] for part in split["train"] + split["validation"]} == {"second", "third"}
    assert {part["dataset"] for part in split["test"]} == {"first"}
    preparations = load_model(robust / "run/checkpoints/best.ckpt").preparations
    assert {name: p.channels("psg") for name, p in preparations.items()} == {
        "first": ("F3-M2", "C3-M2", "O1-M2", "E1-M2", "E2-M2"),
        "second": ("E1-M2", "C4-M1", "C3-M2"),
        "third": ("C3-M2", "E1-M2"),
    }


@pytest.mark.parametrize("weights", ["run", "run/checkpoints/best.ckpt"])
def test_a_run_on_several_datasets_repeats_its_figures_exactly(robust, weights, command, tmp_path):
    alone = tmp_path / "run.ckpt"
    if weights.endswith(".ckpt"):
        shutil.copy(robust / weights, alone)
    model = alone if alone.is_file() else robust / weights
    again = command(evaluate_main, f"model={model}", "hydra.run.dir=again", "paths.workers=1")
    assert again.status == 0, again.error
    assert same_figures(robust / "run", tmp_path / "again")


@pytest.mark.parametrize("place", ["nights", "preparation"])
def test_a_checkpoint_of_several_datasets_that_names_other_code_is_refused(
    robust, place, command, tmp_path
):
    content = torch.load(robust / "run/checkpoints/best.ckpt", weights_only=True)
    facts = json.loads(content["sleep_lab"])
    evil = {"_target_": "shutil.rmtree", "path": str(tmp_path)}
    if place == "nights":
        facts["config"]["data"]["datasets"]["second"]["nights"] = evil
    else:
        facts["preparations"]["second"]["processings"]["psg"][0] = evil
    torch.save({**content, "sleep_lab": json.dumps(facts)}, tmp_path / "evil.ckpt")
    outcome = command(evaluate_main, "model=evil.ckpt", f"paths.prepared={robust / 'prepared'}")
    assert outcome.status == 2
    assert "may not instantiate 'shutil.rmtree'" in outcome.last_line


@pytest.fixture
def folders(tmp_path):
    """Two datasets in h5 files: nights and people have the same names."""
    for name, seed in (("home", 1), ("lab", 2)):
        (tmp_path / name).mkdir()
        for night in simulated_nights(3, 0.25, 64, ["C3-M2", "E1-M2", "O1-M2"], seed=seed):
            write_h5(night.open(), tmp_path / name / f"{night.id}.h5")
    return tmp_path


TWO = (
    "data=several",
    "+data@data.datasets.home=h5_folder",
    "data.datasets.home.folder=home",
    "data.datasets.home.channels=[C3-M2,E1-M2]",
    "+data@data.datasets.lab=h5_folder",
    "data.datasets.lab.folder=lab",
)


def test_datasets_of_one_s_own_are_found_again_where_they_have_moved(folders, command):
    trained = command(
        train_main,
        *TWO,
        "data.datasets.lab.channels=[O1-M2,E1-M2]",
        "+data.datasets.lab.lights.simulated-001=[10,25]",
        "split=transfer",
        "split.train_on=home",
        *QUICK,
        "hydra.run.dir=run",
    )
    assert trained.status == 0, trained.error
    nights = json.loads((folders / "run" / "metrics.json").read_text())["nights"]
    assert {name: scores["epochs"] for name, scores in nights.items()} == {
        "lab-simulated-000": 30,
        "lab-simulated-001": 15,
        "lab-simulated-002": 30,
    }
    (folders / "lab").rename(folders / "archive")
    lost = command(evaluate_main, "model=run")
    assert lost.status == 2
    assert "lab: there is no such folder" in lost.last_line
    vague = command(evaluate_main, "model=run", "folder=archive")
    assert vague.status == 2
    assert "'folder={home:PATH,lab:PATH}'" in vague.last_line
    unknown = command(evaluate_main, "model=run", "folder={lob:archive}")
    assert "folder.lob: no such dataset; did you mean 'lab'?" in unknown.last_line
    found = command(evaluate_main, "model=run", "folder={lab:archive}", "hydra.run.dir=again")
    assert found.status == 0, found.error
    assert same_figures(folders / "run", folders / "again")


def test_several_datasets_are_staged_by_a_model_of_any_channels(robust, command, tmp_path):
    staged = command(
        evaluate_main,
        f"model={robust / 'run'}",
        "data=simulated_datasets",
        *SMALL[:2],
        "data.signals=eeg_and_eog",
        f"paths.prepared={robust / 'prepared'}",
        "hydra.run.dir=out",
    )
    assert staged.status == 0, staged.error
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    datasets = ("first", "second", "third")
    names = [f"{dataset}-simulated-00{night}" for dataset in datasets for night in "01"]
    assert list(metrics["nights"]) == names
    log = next((tmp_path / "out").glob("*.log")).read_text()
    assert "E1-M2, C4-M1, C3-M2 (second-simulated-000" in log


def test_all_datasets_are_prepared_ahead(command, tmp_path):
    main = hydra_command("prepare")(prepare)
    outcome = command(main, "data=simulated_datasets", *SMALL[:2], "paths.workers=1")
    assert outcome.status == 0, outcome.error
    assert "6 nights (180 sleep epochs) are prepared" in outcome.error + outcome.out
    assert len(list((tmp_path / "prepared").rglob("night.json"))) == 6


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("data=simulated_datasets", "data.signals=eeg_and_eog", *SMALL),
            r"group psg: first has 5 channels, .*augmentation=draw_channels",
        ),
        (
            (
                "data=simulated_datasets",
                "data.signals=eeg_and_eog",
                "augmentation=draw_channels",
                *SMALL,
            ),
            r"first has 5 channels, second .*\(data\.signals=channels\), or take a network of any",
        ),
        (
            (
                "experiment=paper/robust_sleep_net",
                "normalizer=spectrogram",
                "data=simulated_datasets",
                *SMALL,
            ),
            r"take a network of any channels \(experiment=paper/robust_sleep_net\)",
        ),
        (("data=several",), r"data\.datasets is empty: name some, each by '\+data@data\.datasets"),
        (
            ("data=several", "+data@data.datasets.a-b=simulated"),
            r"data\.datasets\.a-b: a dataset's name is of letters",
        ),
        (
            ("data=dodh_and_dodo", "data.datasets.dodh.folder=somewhere"),
            r"data\.datasets\.dodo\.folder must be given",
        ),
        (
            (*SMALL[2:], "data.nights.nights=4", "data.nights.hours=0.25", "split=transfer"),
            "split=transfer is for several datasets",
        ),
    ],
)
def test_datasets_that_one_network_cannot_see_are_refused_in_a_line(command, overrides, message):
    outcome = command(train_main, *overrides, "hydra.run.dir=run")
    assert outcome.status == 2
    assert re.search(message, outcome.last_line)
    assert not Path("run").exists()


def test_the_commands_of_the_readme_compose():
    lines = re.findall(r"^python train\.py (.*datasets.*)$", README.replace("\\\n", ""), re.M)
    assert any("data=several" in line for line in lines)
    for line in lines:
        words = [w for w in shlex.split(line, comments=True) if w != "-m"]
        config = composed(*words)
        preparations = preparations_of(config)
        assert list(preparations) == list(config.data.datasets)
        assert len(preparations) > 1
