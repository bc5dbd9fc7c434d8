"""W&B without an account or network: everything is in the offline run's file."""

import json
import os
import struct

from sleep_lab.commands.train import main as train_main
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


def test_an_offline_run_holds_config_curves_confusion_matrix_nights_and_pictures(
    workplace, command, tmp_path, monkeypatch
):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")
    outcome = command(
        train_main,
        *SMALL,
        "logger=wandb",
        "trainer.log_every_n_steps=1",
        f"paths.prepared={workplace / 'prepared'}",
        "hydra.run.dir=run",
    )
    assert outcome.status == 0, outcome.error
    (path,) = (tmp_path / "run").rglob("*.wandb")
    config, history, files = {}, {}, []
    for record in records(path):
        for item in (*record.run.config.update, *record.config.update):
            config[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        for item in record.history.item:
            history[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
        files += [item.path for item in record.files.files]

    assert config["encoder"]["_target_"] == "sleep_lab.models.encoders.SimpleSleepEncoder"
    assert {"train/loss", "val/accuracy", "val/cohen_kappa"} <= set(history)
    keys = " ".join(history)
    for logged in ("test/confusion_matrix", "test/nights", "test/hypnograms"):
        assert logged in keys
    night = json.loads((tmp_path / "run" / "metrics.json").read_text())["nights"]
    media = [name for name in files if name.endswith(".png")]
    assert len(media) == len(night) + 1
    assert all((path.parent / "files" / name).is_file() for name in media)
    # the run is closed: the next job of a sweep would get its own
    import wandb

    assert wandb.run is None
