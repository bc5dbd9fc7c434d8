"""What becomes of the jobs of a sweep, whichever engine runs them."""

from importlib.metadata import PackageNotFoundError

import pytest
import torch
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from sleep_lab.commands import sweep
from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.commands.train import finite
from sleep_lab.errors import InputError
from tests.test_config import CONF

SWEEP = ("-m", "seed=0,1,2", "hydra.sweep.dir=sweep")
ENGINES = sorted((CONF / "hydra").rglob("*.yaml"))


def sweeping(seen, failing=None, error=None):
    """A command that notes each job's seed, and fails for one of them."""

    def job(config):
        seen.append(config.seed)
        if config.seed == failing:
            raise error
        return 0.5

    return hydra_command("train")(job)


def test_a_failed_job_stops_no_other_and_the_end_says_which_and_why(command, tmp_path):
    seen = []
    ended = command(sweeping(seen, 1, InputError("no such night")), *SWEEP)
    assert seen == [0, 1, 2]
    assert ended.status == 2
    lines = ended.error.splitlines()
    assert lines[-4:-2] == ["2 of 3 jobs done", "  #1 (seed=1): no such night"]
    assert ended.last_line.startswith("error: 1 of 3 jobs not done")
    assert ended.last_line.endswith("hydra.sweep.dir=sweep resume=true")
    assert (tmp_path / "sweep/1/failed.txt").read_text() == "no such night\n"
    assert [path.parent.name for path in tmp_path.rglob("failed.txt")] == ["1"]


def test_a_sweep_of_the_config_is_shown_without_being_begun(command, tmp_path):
    shown = command(sweeping([]), "experiment=paper/temporal_context", "--cfg", "job", "--resolve")
    assert shown.status == 0
    assert "context:" in shown.out
    assert not shown.error
    assert not list(tmp_path.iterdir())


def test_a_job_that_was_mended_has_failed_no_longer(command, tmp_path):
    command(sweeping([], 1, InputError("no such night")), *SWEEP)
    ended = command(sweeping([]), *SWEEP)
    assert ended.status == 0
    assert "3 of 3 jobs done" in ended.error
    assert not list(tmp_path.rglob("failed.txt"))


def test_an_error_of_the_program_fails_one_job_and_is_traced_in_its_log(command, tmp_path):
    seen = []
    ended = command(sweeping(seen, 0, ZeroDivisionError("by\nnought")), *SWEEP)
    assert seen == [0, 1, 2]
    assert ended.status == 2
    assert (tmp_path / "sweep/0/failed.txt").read_text() == "ZeroDivisionError: by nought\n"
    (log,) = (tmp_path / "sweep/0").glob("*.log")
    assert "Traceback" in log.read_text()


def test_ctrl_c_ends_the_whole_sweep(command, tmp_path):
    seen = []
    ended = command(sweeping(seen, 1, KeyboardInterrupt()), *SWEEP)
    assert seen == [0, 1]
    assert ended.status == 130
    assert "1 of 3 jobs done" in ended.error
    assert (tmp_path / "sweep/1/failed.txt").read_text() == "stopped before its end\n"


def test_a_run_after_a_sweep_is_no_job_of_it(command, tmp_path):
    command(sweeping([]), *SWEEP)
    ended = command(sweeping([], 4, InputError("no such night")), "seed=4", "hydra.run.dir=run")
    assert ended.last_line == "error: no such night"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda path: path.stem)
def test_an_engine_that_is_not_installed_is_an_error_that_says_what_to_install(
    engine, command, monkeypatch, tmp_path
):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sweep, "distribution", absent)
    known = Plugins.instance().class_name_to_class
    monkeypatch.delitem(known, OmegaConf.load(engine)._target_)
    ended = command(sweeping([]), *SWEEP, f"hydra/{engine.parent.name}={engine.stem}")
    assert ended.status == 2
    assert ended.last_line.startswith(
        f"error: hydra/{engine.parent.name}={engine.stem} needs the extra: pip install"
    )
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda path: path.stem)
def test_every_engine_is_installed_by_an_extra_of_its_name(engine):
    package = OmegaConf.load(engine)._target_.split(".")[1]
    assert sweep.EXTRAS[package] in {engine.stem, "slurm"}


@pytest.mark.parametrize(
    ("accelerator", "there", "gpus"),
    [("cpu", True, 0), ("gpu", False, 1), ("auto", True, 1), ("auto", False, 0)],
)
def test_a_job_asks_for_a_gpu_where_it_computes_on_one(accelerator, there, gpus, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert sweep.gpus_of_a_job(accelerator) == gpus


@pytest.mark.parametrize("score", [None, float("nan"), float("-inf"), torch.tensor(torch.inf)])
def test_a_search_is_never_told_a_score_that_is_no_number(score):
    with pytest.raises(InputError, match="val/cohen_kappa was not a number in any validation"):
        finite(score, "val/cohen_kappa")
    assert finite(torch.tensor(0.5), "val/cohen_kappa") == 0.5
