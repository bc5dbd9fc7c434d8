"""What a training tells of itself, on a terminal and elsewhere."""

import fcntl
import logging
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl

from sleep_lab.training import Progress
from sleep_lab.training.progress import described, draws_bars, in_words
from sleep_lab.training.progress_bars import duration
from tests.conftest import REPOSITORY, SMALL
from tests.test_config import composed
from tests.training.small_training import trained

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Seen(pl.Callback):
    """The losses and scores of every training epoch."""

    def __init__(self):
        self.batches, self.losses, self.scores = [], [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.batches = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_index):
        self.batches.append(float(outputs["loss"]))

    def on_train_epoch_end(self, trainer, pl_module):
        self.losses.append(sum(self.batches) / len(self.batches))
        names = ("val/loss", "val/accuracy", "val/cohen_kappa")
        self.scores.append([float(trainer.callback_metrics[name]) for name in names])


def lines(caplog):
    return [message for message in caplog.messages if message.startswith("training epoch")]


def on_a_terminal(command, folder):
    """What the command writes to a terminal of 80 columns."""
    own, others = pty.openpty()
    fcntl.ioctl(others, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=others,
        stdout=others,
        stderr=others,
        env={**env, "TERM": "xterm-256color"},
    )
    os.close(others)
    written = b""
    while True:
        try:
            piece = os.read(own, 65536)
        except OSError:  # nobody holds the other side any more
            break
        if not piece:
            break
        written += piece
    os.close(own)
    assert process.wait() == 0, written.decode()
    return written.decode()


def test_every_training_epoch_is_a_line_with_its_losses_scores_and_the_best(tmp_path, caplog):
    seen = Seen()
    with caplog.at_level(logging.INFO, "sleep_lab"):
        trained(tmp_path, Progress(), seen, epochs=4)
    told = lines(caplog)
    assert len(told) == 4
    for number, line in enumerate(told, 1):
        loss, (val_loss, accuracy, kappa) = seen.losses[number - 1], seen.scores[number - 1]
        best = min(seen.scores[:number])[0]
        when = [scores[0] for scores in seen.scores].index(best) + 1
        start = (
            f"training epoch {number}/4: train loss {loss:.3f}, "
            f"val loss {val_loss:.3f} (best {best:.3f} in {when}), "
            f"accuracy {accuracy:.3f}, kappa {kappa:.3f}, "
        )
        left = "" if number == 4 else r", at most [\w. ]+ left"
        assert re.fullmatch(re.escape(start) + r"[\w. ]+" + left, line), line


def test_a_training_that_goes_on_counts_on_and_knows_the_best_so_far(tmp_path, caplog):
    first, rest = Seen(), Seen()
    trained(tmp_path, Progress(), first, epochs=2)
    caplog.clear()
    with caplog.at_level(logging.INFO, "sleep_lab"):
        trained(tmp_path, Progress(), rest, epochs=3, resume=tmp_path / "last.ckpt")
    (line,) = lines(caplog)
    losses = [scores[0] for scores in first.scores + rest.scores]
    assert line.startswith("training epoch 3/3: ")
    assert f"(best {min(losses):.3f} in {losses.index(min(losses)) + 1})" in line


def test_of_several_processes_only_the_first_tells():
    progress = Progress()
    progress.setup(SimpleNamespace(is_global_zero=False), None, "fit")
    assert not progress.told
    first = Progress()
    first.setup(SimpleNamespace(is_global_zero=True), None, "fit")
    assert first.told


def test_the_monitored_score_is_told_with_its_best_whichever_it_is():
    scores = {"val/loss": 0.5, "val/cohen_kappa": math.nan, "val/macro_f1": 0.25}
    assert described(scores, "val/macro_f1", (7, 0.75)) == (
        ", val loss 0.500, kappa -, macro F1 0.250 (best 0.750 in 7)"
    )
    assert described(scores, "val/cohen_kappa", None) == ", val loss 0.500, kappa -, macro F1 0.250"
    assert [in_words(f"val/{name}") for name in ("weighted_f1", "f1_N1", "accuracy")] == [
        "weighted F1",
        "F1 N1",
        "accuracy",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (3569, "59 min"),
        (3571, "1 h 00 min"),
        (2 * 3600 + 300, "2 h 05 min"),
        (50 * 3600, "2 d 2 h"),
    ],
)
def test_a_duration_is_said_in_the_units_that_matter(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("overrides", "terminal", "drawn"),
    [([], True, True), ([], False, False), (["hydra/launcher=joblib"], True, False)],
)
def test_bars_want_a_terminal_of_their_own(monkeypatch, overrides, terminal, drawn):
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setenv("TERM", "xterm")
    composed(*overrides)
    assert draws_bars() is drawn


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setenv("TERM", "dumb")
    composed()
    assert not draws_bars()


def test_without_a_terminal_there_are_lines_and_no_escape_codes(workplace):
    for text in (
        (workplace / "printed.txt").read_text(),
        (workplace / "runs" / "small" / "train.log").read_text(),
    ):
        assert "- training epoch 1/1: train loss " in text
        assert "\x1b" not in text


def test_a_terminal_has_bars_that_fit_and_the_log_has_the_lines(workplace):
    written = on_a_terminal(
        [sys.executable, REPOSITORY / "train.py", *SMALL, "hydra.run.dir=runs/on_a_terminal"],
        workplace,
    )
    shown = ESCAPE.sub("", written)
    rows = re.split(r"[\r\n]+", shown)
    whole, phase, note = (
        [row for row in rows if row.startswith(begin)]
        for begin in ("whole training ", "validation 1/1 ", "train loss ")
    )
    assert "100%" in whole[-1]
    assert "1/1 nights" in phase[-1]
    assert ", val loss " in note[-1]
    assert max(map(len, whole + phase)) <= 80
    assert "[sleep_lab.training.progress]" not in shown
    log = (workplace / "runs" / "on_a_terminal" / "train.log").read_text()
    assert "\x1b" not in log
    assert "- training epoch 1/1: train loss " in log


LOGGING = """
import logging, sys
from sleep_lab.training.progress_bars import Bars
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
bars = Bars(hidden="told")
bars.start()
logging.getLogger("other").info("[a line] among the bars")
logging.getLogger("told").info("instead of the bars")
bars.stop()
logging.getLogger("told").info("after the bars")
"""


def test_what_is_logged_meanwhile_stands_above_the_bars(tmp_path):
    shown = ESCAPE.sub("", on_a_terminal([sys.executable, "-c", LOGGING], tmp_path))
    rows = [row.strip() for row in re.split(r"[\r\n]+", shown)]
    assert rows.count("[a line] among the bars") == 1
    assert "instead of the bars" not in shown
    last_bar = max(n for n, row in enumerate(rows) if row.startswith("whole training"))
    assert rows.index("[a line] among the bars") < last_bar < rows.index("after the bars")
