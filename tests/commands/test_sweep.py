"""What becomes of the jobs of a sweep, whichever engine runs them."""

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from sleep_lab.commands import sweep
from sleep_lab.commands.hydra_command import hydra_command
from sleep_lab.commands.train import finite
from sleep_lab.errors import InputError
from sleep_lab.held_folder import held
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
    ended = command(sweeping([]), *SWEEP, "resume=true")
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


def contents(folder):
    """Every file below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(command, *arguments, running=sweeping):
    """The one line that a command ends in, having run and written nothing."""
    seen, before = [], contents(Path())
    ended = command(running(seen), "-m", "hydra.sweep.dir=sweep", *arguments)
    assert (ended.status, seen) == (2, [])
    assert contents(Path()) == before
    assert ended.error.count("\n") == 1
    return ended.error.removeprefix("error: ").removesuffix("\n")


def test_a_finished_sweep_is_not_run_over_by_its_own_command(command, tmp_path):
    command(sweeping([]), *SWEEP)
    assert refused(command, "seed=0,1,2") == (
        "sweep holds a sweep already: resume=true runs what is missing, or choose another "
        "hydra.sweep.dir"
    )
    assert not list(tmp_path.rglob("failed.txt"))


def test_a_command_without_resume_is_not_told_to_use_it(command):
    def evaluating(seen):
        return hydra_command("evaluate", ("model", "predictions", "scorers"))(seen.append)

    command(evaluating([]), "-m", "model=m", "hydra.sweep.dir=sweep")
    assert refused(command, "model=m", running=evaluating) == (
        "sweep holds a sweep already: choose another hydra.sweep.dir"
    )


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (["seed=1,0"], "job 0 was seed=0, and would be seed=1"),
        (["seed=0,1", "optimizer.lr=1"], "job 0 was optimizer.lr=default, and would be opt"),
        (["seed=0,2,1"], "job 1 was seed=1, and would be seed=2"),
    ],
)
def test_a_changed_command_does_not_go_on_in_jobs_that_would_be_others(
    command, changed, difference
):
    command(sweeping([]), "-m", "seed=0,1", "hydra.sweep.dir=sweep")
    line = refused(command, *changed, "resume=true")
    assert line.startswith(difference)
    assert line.endswith(": repeat the sweep's command, or choose another hydra.sweep.dir")


@pytest.mark.parametrize(
    ("changed", "jobs"),
    [
        (["seed=range(0,3)"], [0, 1, 2]),
        (["seed=0", "loader.workers=3", "paths.prepared=x", "logger=none"], [0]),
    ],
)
def test_a_sweep_goes_on_with_more_jobs_or_in_another_place(command, changed, jobs):
    command(sweeping([]), "-m", "seed=0,1", "hydra.sweep.dir=sweep")
    seen = []
    ended = command(sweeping(seen), "-m", "hydra.sweep.dir=sweep", *changed, "resume=true")
    assert (ended.status, seen) == (0, jobs), ended.error


def test_two_commands_do_not_work_in_one_sweep_s_folder_at_once(command):
    def job(config):
        # in a process of its own, as another command would be
        look = "from pathlib import Path; from sleep_lab.held_folder import held\n"
        look += f"with held(Path({str(HydraConfig.get().sweep.dir)!r}), 'hydra.sweep.dir'): pass"
        there = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True)
        lines.append(there.stderr.strip().splitlines()[-1])

    lines = []
    ended = command(hydra_command("train")(job), "-m", "seed=0", "hydra.sweep.dir=sweep")
    assert ended.status == 0
    assert "sweep: another process is at work there; wait for it" in lines[0]
    assert lines[0].endswith("choose another folder by hydra.sweep.dir=...")
    with held(Path("sweep")):
        assert "another process is at work there" in refused(command, "seed=1", "resume=true")


def test_a_folder_that_is_a_file_is_one_line_that_names_it(command, tmp_path):
    (tmp_path / "file").touch()
    for key, path in {"hydra.sweep.dir": "file", "paths.runs": "file/runs"}.items():
        line = refused(command, "seed=0", f"{key}={path}")
        assert line.startswith(f"{key}={path} is no folder")
    for path in ("file", "file/run"):
        ended = command(sweeping([]), f"hydra.run.dir={path}")
        assert ended.error.startswith(f"error: hydra.run.dir={path} is no folder")
        assert ended.error.count("\n") == 1


def test_a_sweep_that_did_not_begin_is_not_to_be_gone_on_with(command, monkeypatch):
    def failing(*_, **__):
        raise TypeError("n_jobs is no number")

    launcher = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
    monkeypatch.setattr(Plugins.instance().class_name_to_class[launcher], "launch", failing)
    ended = command(sweeping([]), *SWEEP)
    assert ended.last_line == "error: the sweep did not begin: n_jobs is no number"


def searching(values):
    """A command that notes what its trials try, and has no value for them if weights decay."""

    def job(config):
        values.append(config.optimizer.lr)
        return float("nan") if config.optimizer.weight_decay else config.optimizer.lr

    return hydra_command("train")(job)


SEARCH = ("hydra/sweeper=optuna", "hydra.sweeper.study_name=rates")
RATES = "optimizer.lr=interval(1e-3,1e-2)"


def search(command, folder, *arguments):
    """The values that a search tries, and how its command ends."""
    values = []
    ended = command(
        searching(values), "-m", *SEARCH, f"hydra.sweep.dir={folder}", RATES, *arguments
    )
    return values, ended


def test_a_search_that_goes_on_tries_other_values_and_is_as_reproducible(
    command, monkeypatch, tmp_path
):
    found = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        found += [search(command, n, "hydra.sweeper.n_trials=3")[0] for n in ("first", "second")]
    first, second, *again = found
    assert len({*first, *second}) == 6
    assert again == [first, second]


def test_a_search_goes_on_in_a_folder_of_its_own(command):
    search(command, "sweep", "hydra.sweeper.n_trials=1")
    for resume in ("resume=true", "resume=false"):
        assert refused(command, *SEARCH, RATES, resume) == (
            "sweep holds a sweep already: choose another hydra.sweep.dir; a search goes on there "
            "by hydra.sweeper.study_name=NAME"
        )


def test_a_search_in_which_no_trial_has_a_value_says_so(command):
    _, ended = search(command, "sweep", "hydra.sweeper.n_trials=2", "optimizer.weight_decay=1")
    assert ended.last_line == (
        "error: no trial of the search has a value; to search on, repeat the command with "
        "hydra.sweeper.study_name=rates; choose another hydra.sweep.dir"
    )
    assert refused(command, *SEARCH, "hydra.sweeper.n_trials=0", "hydra.sweep.dir=none") == (
        "hydra.sweeper.n_trials is a whole number from 1 on, not 0"
    )


def test_an_interval_that_is_none_is_not_to_be_searched_on(command):
    ended = command(
        searching([]), "-m", *SEARCH, "optimizer.lr=interval(1e-2,1e-3)", "hydra.sweep.dir=sweep"
    )
    assert ended.last_line.startswith("error: the sweep did not begin: ")
    assert "study_name" not in ended.last_line


def test_a_sweep_is_shown_as_its_first_job(command, tmp_path):
    shown = command(
        sweeping([]), "-m", "seed=3,4", "encoder=seq_sleep,simple_sleep", "--cfg", "job"
    )
    assert shown.status == 0
    assert shown.error == "the first of 4 jobs, which differ in seed, encoder\n"
    alone = command(sweeping([]), "seed=3", "encoder=seq_sleep", "--cfg", "job")
    assert shown.out == alone.out
    searched = command(sweeping([]), "-m", *SEARCH, RATES, "--cfg", "job")
    assert searched.status == 2
    assert searched.last_line.startswith("error: a search draws its jobs' values as it goes")
    assert not list(tmp_path.iterdir())


def test_only_the_first_of_processes_that_train_together_says_that_a_job_failed(
    command, monkeypatch, tmp_path
):
    def job(config):
        monkeypatch.setattr(rank_zero_only, "rank", 1)
        (tmp_path / "sweep/0/failed.txt").unlink()
        if config.seed:
            raise InputError("no such night")

    for seed in (0, 1):
        command(hydra_command("train")(job), "-m", f"seed={seed}", "hydra.sweep.dir=sweep")
        assert not list(tmp_path.rglob("failed.txt"))
        monkeypatch.setattr(rank_zero_only, "rank", 0)
        shutil.rmtree(tmp_path / "sweep")


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
