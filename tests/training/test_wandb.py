"""W&B without an account or network: everything is in the offline run's file."""

import base64
import hashlib
import json
import logging
import os
import re
import struct
import subprocess
import sys

import pytest
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from pytorch_lightning.loggers import CSVLogger

from sleep_lab.commands import train as training
from sleep_lab.commands.train import main as train_main
from sleep_lab.errors import InputError
from sleep_lab.stages import STAGES
from sleep_lab.training import WandbRun
from sleep_lab.training.wandb_results import LARGEST_REPORT, log_results, tables_of
from sleep_lab.training.wandb_run import (
    chosen_options,
    closed_in_the_end,
    run_name,
    sweep_name,
)
from tests.conftest import REPOSITORY, SMALL
from tests.evaluation.sweeps import make_multirun


def records(path):
    """The records of an offline run, in order: protobufs in the log format of LevelDB."""
    from wandb.proto import wandb_internal_pb2

    content = path.read_bytes()
    position, data = 7, b""  # after the file's own header
    while position + 7 <= len(content):
        length, kind = struct.unpack_from("<HB", content, position + 4)
        if kind == 0:  # the rest of a block of 32 KiB is left empty
            position += 32768 - position % 32768
            continue
        data += content[position + 7 : position + 7 + length]
        position += 7 + length
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
        if kind in (1, 4):  # whole, or the last piece of one
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            data = b""
            yield record


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """No settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")


def offline_run(folder):
    """The file of the offline run in the folder, complete."""
    # its service may still write when a run has finished; when the service has ended, all is there
    wandb.teardown()
    (path,) = folder.rglob("*.wandb")
    return path


def only(folder, kind):
    """The one record of that kind in the folder's offline run."""
    found = [r for r in records(offline_run(folder)) if r.WhichOneof("record_type") == kind]
    (record,) = found
    return getattr(record, kind)


def logged(folder):
    """The config, the last value of everything logged, and the files of the offline run there."""
    path = offline_run(folder)
    config, history, files = {}, {}, []
    for record in records(path):
        for item in (*record.run.config.update, *record.config.update):
            config[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.history.item:
            history[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        files += [item.path for item in record.files.files]
    assert all((path.parent / "files" / name).is_file() for name in files if "media/" in name)
    return config, history, {name: path.parent / "files" / name for name in files}


def table(files, name):
    """What a logged table holds: its headings, then its rows."""
    (path,) = (path for path in files.values() if path.name.startswith(f"{name}_"))
    content = json.loads(path.read_text())
    return [content["columns"], *content["data"]]


def test_an_offline_run_holds_config_curves_tables_and_pictures(workplace, command, tmp_path):
    outcome = command(
        train_main,
        *SMALL,
        "logger=wandb",
        "temperature_scaling=true",
        "trainer.log_every_n_steps=1",
        f"paths.prepared={workplace / 'prepared'}",
        "hydra.run.dir=run",
    )
    assert outcome.status == 0, outcome.error
    # the run is closed: the next job of a sweep would get its own
    assert wandb.run is None
    assert only(tmp_path / "run", "exit").exit_code == 0
    config, history, files = logged(tmp_path / "run")
    assert config["encoder"]["_target_"] == "sleep_lab.models.encoders.SimpleSleepEncoder"
    assert config["callbacks"]["checkpoint"]["dirpath"] == str(tmp_path / "run" / "checkpoints")
    assert "${" not in json.dumps(config)
    assert {"train/loss", "val/accuracy", "val/cohen_kappa", "val/temperature"} <= set(history)
    keys = " ".join(history)
    for name in ("test/confusion_matrix", "test/nights", "test/overall", "test/hypnograms"):
        assert name in keys
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    ((night, scores),) = metrics["nights"].items()
    headings, row = table(files, "nights")
    assert dict(zip(headings, row, strict=True)) == {
        "night": night,
        **{name: scores[name] for name in scores if name not in ("epochs", "f1")},
        **{f"f1_{stage}": scores["f1"][stage] for stage in STAGES},
    }
    headings, *rows = table(files, "overall")
    accuracy = headings.index("accuracy")
    assert {row[0]: row[accuracy] for row in rows} == {
        name: metrics[name]["accuracy"] for name in ("mean", "std", "pooled")
    }
    assert len([name for name in files if name.endswith(".png")]) == 2


SCORES = {
    "accuracy": 0.75,
    "cohen_kappa": 0.5,
    "weighted_f1": 0.7,
    "macro_f1": None,
    "f1": dict.fromkeys(STAGES, 0.25),
}
JUDGED = {
    "nights": {"a": {"epochs": 9, "scored": 8, **SCORES}},
    **{"mean": SCORES, "std": SCORES, "pooled": {"epochs": 9, "scored": 8, **SCORES}},
    "models": {"ours": {"weighted_f1": [0.9, 0.04], "accuracy": [0.8, 0.1]}},
    "scorers": {
        "bo": {"weighted_f1": [0.85, 0.07], "accuracy": [None, None]},
        "anna": {"weighted_f1": [0.6, 0.1], "accuracy": [0.5, 0.2]},
    },
    "overall_scorers": {"weighted_f1": [0.87, 0.08], "accuracy": [0.7, 0.1]},
}


def test_models_and_scorers_are_one_table():
    assert tables_of(JUDGED)["comparison"] == [
        ["kind", "name", "weighted_f1", "weighted_f1_std", "accuracy", "accuracy_std"],
        ["model", "ours", 0.9, 0.04, 0.8, 0.1],
        ["scorer", "bo", 0.85, 0.07, None, None],
        ["scorer", "anna", 0.6, 0.1, 0.5, 0.2],
        ["scorers", "all", 0.87, 0.08, 0.7, 0.1],
    ]
    alone = {key: JUDGED[key] for key in ("nights", "mean", "std", "pooled")}
    assert list(tables_of(alone)) == ["nights", "overall"]
    without_expert = {key: JUDGED[key] for key in ("models", "scorers", "overall_scorers")}
    assert list(tables_of(without_expert)) == ["comparison"]
    assert tables_of({}) == {}


@pytest.mark.parametrize("size", [LARGEST_REPORT, LARGEST_REPORT + 1])
def test_a_report_goes_along_as_it_is_unless_it_is_too_large(tmp_path, caplog, size):
    page = "<html>" + "x" * (size - 6)
    (tmp_path / "report.html").write_text(page)
    loggers = [
        CSVLogger(tmp_path / "curves"),
        WandbRun(str(tmp_path), project="test"),
    ]
    with caplog.at_level(logging.WARNING, "sleep_lab"), closed_in_the_end(loggers):
        log_results(loggers, tmp_path, JUDGED)
    _, history, files = logged(tmp_path)
    assert table(files, "comparison") == tables_of(JUDGED)["comparison"]
    pages = [path for path in files.values() if path.suffix == ".html"]
    notices = [text for text in caplog.messages if "report.html" in text]
    if size > LARGEST_REPORT:
        assert (pages, len(notices)) == ([], 1)
        assert "more than the 10 MB" in notices[0]
    else:
        assert [path.read_text() for path in pages] == [page]
        assert any(key.startswith("test/report") for key in history)
        assert notices == []


def test_the_runs_of_a_sweep_are_one_group_and_called_by_what_differs(
    workplace, command, tmp_path, monkeypatch
):
    score = training.score_test_nights

    def failing(*arguments):
        if arguments[4].name == "1":
            raise InputError("the second job fails when its test nights are scored")
        score(*arguments)

    monkeypatch.setattr(training, "score_test_nights", failing)
    command(
        train_main,
        "-m",
        *SMALL,
        "logger=wandb",
        "logger.wandb.tags=[mine]",
        "encoder=simple_sleep,seq_sleep",
        f"paths.prepared={workplace / 'prepared'}",
        "hydra.sweep.dir=sweeps/encoders",
    )
    assert wandb.run is None
    sweep = tmp_path / "sweeps" / "encoders"
    runs = [only(sweep / number, "run") for number in "01"]
    assert [run.display_name for run in runs] == ["encoder=simple_sleep", "encoder=seq_sleep"]
    assert {run.run_group for run in runs} == {"encoders"}
    assert runs[0].run_id != runs[1].run_id
    assert list(runs[0].tags) == [
        "mine",
        "data=simulated",
        "encoder=simple_sleep",
        "reducer=attention",
        "sequence_encoder=residual_gru",
        "split=holdout",
    ]
    assert [only(sweep / number, "exit").exit_code for number in "01"] == [0, 1]


@pytest.mark.parametrize("moment", ["log_hyperparams", "built", "fit"])
def test_a_run_that_fails_at_any_moment_is_closed_as_failed(
    workplace, command, tmp_path, monkeypatch, moment
):
    def fail(*arguments, **named):
        raise InputError(f"made to fail in {moment}")

    if moment == "log_hyperparams":
        opened = WandbRun.log_hyperparams
        monkeypatch.setattr(WandbRun, moment, lambda self, config: (opened(self, config), fail()))
    else:
        monkeypatch.setattr(training, moment, fail)
    outcome = command(
        train_main,
        *SMALL,
        "logger=wandb",
        f"paths.prepared={workplace / 'prepared'}",
        "hydra.run.dir=run",
    )
    assert outcome.last_line == f"error: made to fail in {moment}"
    assert wandb.run is None
    assert only(tmp_path / "run", "exit").exit_code == 1
    config, _, _ = logged(tmp_path / "run")
    assert config["seed"] == 0


def test_a_run_that_is_refused_is_in_no_wandb(workplace, command):
    folder = workplace / "runs" / "small"
    outcome = command(train_main, *SMALL, "logger=wandb", f"hydra.run.dir={folder}")
    assert "holds a run already" in outcome.last_line
    assert wandb.run is None
    assert not (folder / "wandb").exists()


def test_a_run_that_was_never_opened_is_not_opened_to_be_closed(tmp_path):
    run = WandbRun(str(tmp_path), project="test")
    with pytest.raises(ValueError, match="early"), closed_in_the_end([run]):
        raise ValueError("early")
    assert wandb.run is None
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_goes_on_in_its_folder_goes_on_in_its_run(tmp_path):
    ids = []
    for folder in ("a", "a", "b"):
        run = WandbRun(str(tmp_path / folder), project="test")
        with closed_in_the_end([run]):
            ids.append(run.experiment.id)
            assert run.experiment.settings.resume == "allow"
    assert ids[0] == ids[1] != ids[2]


def test_an_offline_run_leaves_the_next_one_its_choice_and_watches_the_machine(tmp_path):
    run = WandbRun(str(tmp_path), project="test")
    with closed_in_the_end([run]):
        settings = run.experiment.settings
    assert settings.mode == "offline"
    assert not settings.x_disable_stats
    assert "WANDB_MODE" not in os.environ


def test_the_best_weights_go_along_on_request(tmp_path):
    weights = tmp_path / "checkpoints" / "best.ckpt"
    weights.parent.mkdir()
    weights.write_bytes(b"weights")
    run = WandbRun(str(tmp_path), project="test", log_best=True)
    with closed_in_the_end([run]):
        log_results([run], tmp_path, JUDGED)
        name = f"best-{run.experiment.id}"
    # what is sent along in tables is an artifact as well
    found = [r.artifact for r in records(offline_run(tmp_path)) if r.artifact.type == "model"]
    (artifact,) = found
    assert artifact.name == name
    assert "best" in artifact.aliases
    (content,) = artifact.manifest.contents
    assert content.digest == base64.b64encode(hashlib.md5(b"weights").digest()).decode()
    assert json.loads(artifact.metadata)["accuracy"] == SCORES["accuracy"]


def job(tmp_path, *overrides, **choices):
    """Hydra's own config of a run, or of a job of the sweep in `sweeps`."""
    folder = tmp_path / "2026-01-02" / "03-04-05"
    return OmegaConf.create(
        {
            "mode": RunMode.RUN,
            "overrides": {"task": list(overrides)},
            "runtime": {"choices": choices, "output_dir": str(folder)},
            "sweep": {"dir": str(tmp_path / "sweeps")},
        }
    )


def test_a_run_is_called_by_what_was_typed_or_by_its_folder(tmp_path):
    typed = ("encoder=seq_sleep", "logger=wandb", "logger.wandb.tags=[a]", "+x=1", "paths.runs=r")
    assert run_name(job(tmp_path, *typed)) == "encoder=seq_sleep x=1"
    assert run_name(job(tmp_path, "logger=wandb")) == "2026-01-02 03-04-05"
    assert sweep_name(job(tmp_path)) is None


SEARCHED = ["reducer=choice(max_pool,attention)", "optimizer.lr=tag(log,interval(1e-4,1e-2))"]


@pytest.mark.parametrize(
    ("typed", "params", "name"),
    [
        (SEARCHED, None, "reducer=max_pool optimizer.lr=0.001"),
        (["data=dodh"], {"+x": "range(3)"}, "x=2"),
        (["reducer=max_pool"], {"reducer": "max_pool,attention", "+x": "range(3)"}, "x=2"),
        # nothing is swept, or nothing tells: what was typed
        (["data=dodh"], None, "optimizer.lr=0.001 data=dodh reducer=max_pool x=2"),
        (["optimizer.lr=interval("], None, "optimizer.lr=0.001 data=dodh reducer=max_pool x=2"),
    ],
)
def test_a_job_of_a_search_is_called_by_what_is_searched(tmp_path, typed, params, name):
    sweep = tmp_path / "sweeps"
    sweep.mkdir()
    make_multirun(sweep, typed, sweeper="optuna.Sweeper", params=params)
    config = job(tmp_path, "optimizer.lr=0.001", "data=dodh", "reducer=max_pool", "+x=2")
    config.mode = RunMode.MULTIRUN
    assert run_name(config) == name
    assert sweep_name(config) == "sweeps"


def test_every_sweeper_leaves_word_of_what_is_swept(command, tmp_path, monkeypatch):
    names = []

    def trained(config, folder):
        names.append(run_name(HydraConfig.get()))
        return 0.5

    monkeypatch.setattr(training, "run", trained)
    command(
        train_main,
        "-m",
        *SMALL,
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=2",
        "encoder.hidden=int(interval(12,14))",
        "hydra.sweep.dir=search",
    )
    assert len(names) == 2
    assert all(re.fullmatch(r"encoder\.hidden=1[234]", name) for name in names)


def test_a_name_and_tags_are_cut_to_what_wandb_takes(tmp_path):
    (tag,) = chosen_options(job(tmp_path, data="d" * 100, logger="wandb", encoder="none"))
    assert tag == "data=" + "d" * 59
    run = WandbRun(str(tmp_path), project="test", name="n" * 200, tags=[tag])
    with closed_in_the_end([run]):
        assert run.experiment.name == "n" * 128
        assert tag in run.experiment.tags


def test_who_is_not_logged_in_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    run = WandbRun(str(tmp_path), project="test", offline=False)
    with pytest.raises(InputError, match=r"API key.*logger\.wandb\.offline=true"):
        run.log_hyperparams({})
    assert wandb.run is None


def test_without_wandb_on_the_machine_all_else_works(workplace, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['wandb'] = None\n")
    finished = subprocess.run(
        [sys.executable, REPOSITORY / "train.py", *SMALL, "hydra.run.dir=runs/without_wandb"],
        cwd=workplace,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert (workplace / "runs" / "without_wandb" / "metrics.json").is_file()
