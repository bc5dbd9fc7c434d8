"""What a run records of code, machine and data."""

import json
import shutil
import subprocess
from dataclasses import replace

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

import sleep_lab
from sleep_lab.preparation import prepare
from sleep_lab.recordings import recording_file, write_h5
from sleep_lab.training.environment import (
    data_fingerprints,
    differences,
    environment,
    git_state,
    write_environment,
)
from tests.nights import preparation, prepared_night, recording

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_job_of_hydra(monkeypatch):
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def from_file(folder, store, seed=0, prep=None):
    """A night that is prepared from a file in the folder."""
    folder.mkdir(exist_ok=True)
    write_h5(recording(seed=seed), folder / "night.h5")
    return prepare(recording_file(folder / "night.h5"), prep or preparation(), store)


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def package(tmp_path):
    """The `__init__.py` of a package in a folder of its own."""
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    init = tmp_path / "checkout" / "package" / "__init__.py"
    init.parent.mkdir(parents=True)
    init.touch()
    return init


def test_the_facts_are_plain_data_that_name_versions_and_seed(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr("sys.argv", ["train.py", "data.montage.psg=[A, B]"])
    facts = environment(3, CPU, [prepared_night(tmp_path)])
    assert json.loads(json.dumps(facts)) == facts
    assert facts["seed"] == 3
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["sleep_lab"]["version"] == sleep_lab.__version__
    assert facts["cuda_visible_devices"] == "1"
    assert facts["command"] == "train.py 'data.montage.psg=[A, B]'"
    assert facts["preparations"] == [preparation().fingerprint]
    assert facts["threads"] == torch.get_num_threads()


def test_a_file_has_one_fingerprint_wherever_it_lies_and_however_it_is_prepared(tmp_path):
    night = from_file(tmp_path / "here", tmp_path)
    moved = from_file(tmp_path / "there", tmp_path)
    otherwise = from_file(tmp_path / "here", tmp_path, prep=preparation(rate=5.0))
    assert night.folder != moved.folder != otherwise.folder
    assert (
        data_fingerprints([night]) == data_fingerprints([moved]) == data_fingerprints([otherwise])
    )
    assert data_fingerprints([night]) != data_fingerprints(
        [from_file(tmp_path / "changed", tmp_path, seed=1)]
    )


def test_simulated_nights_are_told_apart_by_how_they_are_made(tmp_path):
    nights = [prepared_night(tmp_path, "night", seed=seed) for seed in (0, 1)]
    one, other = (data_fingerprints([night])["fingerprint"] for night in nights)
    assert one != other


def test_the_data_have_one_fingerprint_in_any_order_and_another_with_each_other_night(tmp_path):
    a, b, c = (prepared_night(tmp_path, name) for name in "abc")
    assert data_fingerprints([a, b]) == data_fingerprints([b, a])
    seen = [data_fingerprints(nights)["fingerprint"] for nights in ([a], [a, b], [a, b, c], [a, c])]
    assert len(set(seen)) == 4
    renamed = replace(b, id="z")
    assert data_fingerprints([renamed])["fingerprint"] != data_fingerprints([b])["fingerprint"]


def test_differences_name_the_nights_and_the_facts(tmp_path):
    a, b, c = (prepared_night(tmp_path, name) for name in "abc")
    before = environment(0, CPU, [a, b])
    assert differences(before, environment(0, CPU, [b, a])) == []
    changed = prepared_night(tmp_path, "a", seed=5)
    now = environment(1, CPU, [changed, c])
    now["versions"] = now["versions"] | {"torch": "9.9"}
    assert differences(before, now) == [
        "nights with other contents: a",
        "nights that are gone: b",
        "new nights: c",
        f"versions.torch is 9.9, was {torch.__version__}",
        "seed is 1, was 0",
    ]


def test_a_run_that_goes_on_with_other_data_is_warned(tmp_path, caplog):
    a, b = (prepared_night(tmp_path / "store", name) for name in "ab")
    first, now = environment(0, CPU, [a]), environment(0, CPU, [a, b])
    write_environment(tmp_path, first)
    write_environment(tmp_path, first, goes_on=True)
    assert caplog.messages == []
    for _ in range(2):
        write_environment(tmp_path, now, goes_on=True)
    assert caplog.messages == ["not as when this run began: new nights: b"] * 2
    kept = json.loads((tmp_path / "environment.json").read_text())
    assert kept == {**first, "later_starts": [first, now, now]}
    write_environment(tmp_path, now)
    assert json.loads((tmp_path / "environment.json").read_text()) == now


def test_another_command_is_no_difference(tmp_path, monkeypatch):
    night = prepared_night(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    before = environment(0, CPU, [night])
    monkeypatch.setattr("sys.argv", ["train.py", "resume=true"])
    assert differences(before, environment(0, CPU, [night])) == []


@pytest.mark.parametrize(
    ("mode", "command"),
    [
        (RunMode.RUN, "_submit.py /tmp"),
        (RunMode.MULTIRUN, "train.py seed=3 'data.montage.psg=[A, B]'"),
    ],
)
def test_a_job_of_a_sweep_has_its_own_command_whatever_program_runs_it(
    tmp_path, monkeypatch, mode, command
):
    monkeypatch.setattr("sys.argv", ["_submit.py", "/tmp"])
    told = {"task": ["seed=3", "data.montage.psg=[A, B]"]}
    hydra = {"mode": mode, "job": {"name": "train"}, "overrides": told}
    monkeypatch.setattr(HydraConfig.instance(), "cfg", OmegaConf.create({"hydra": hydra}))
    assert environment(0, CPU, [prepared_night(tmp_path)])["command"] == command


def test_a_checkout_has_a_commit_and_says_whether_it_was_changed(package):
    checkout = package.parents[1]
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "first")
    state = git_state(package)
    assert len(state["commit"]) == 40
    assert state["changed"] is False
    package.write_text("changed = True\n")
    assert git_state(package) == {"commit": state["commit"], "changed": True}
    git(checkout, "commit", "-qam", "second")
    (package.parent / "new.py").touch()
    assert git_state(package)["changed"] is True
    assert git_state(package)["commit"] != state["commit"]


def test_git_is_not_run_where_the_package_is_no_checkout(package, monkeypatch):
    # a package that is installed into an environment below somebody else's checkout
    git(package.parents[2], "init", "-q")
    monkeypatch.setattr(subprocess, "run", None)
    assert git_state(package) == {"commit": None, "changed": None}


@pytest.mark.parametrize("path", ["", None])
def test_no_git_or_no_commit_is_no_error(package, monkeypatch, path):
    git(package.parents[1], "init", "-q")
    if path is not None:
        monkeypatch.setenv("PATH", path)
    assert git_state(package) == {"commit": None, "changed": None}
