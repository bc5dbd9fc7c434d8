"""W&B without an account or network: everything is in the offline run's file."""

import json
import logging
import os
import struct

import pytest
import wandb
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from sleep_lab.commands.train import main as train_main
from sleep_lab.stages import STAGES
from sleep_lab.training.wandb_results import LARGEST_REPORT, finish, log_results, tables_of
from tests.conftest import SMALL


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


def logged(folder):
    """The config, the last value of everything logged, and the files of the offline run there."""
    # its service may still write when a run has finished; when the service has ended, all is there
    wandb.teardown()
    (path,) = folder.rglob("*.wandb")
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
    config, history, files = logged(tmp_path / "run")
    assert config["encoder"]["_target_"] == "sleep_lab.models.encoders.SimpleSleepEncoder"
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
        WandbLogger(save_dir=tmp_path, project="test", offline=True),
    ]
    with caplog.at_level(logging.WARNING, "sleep_lab"):
        log_results(loggers, tmp_path, JUDGED)
    finish(loggers)
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
