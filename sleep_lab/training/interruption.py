"""Ctrl-C during a training: it ends, and what was reached so far is used."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytorch_lightning as pl


class Interruption(BaseException):
    """Somebody pressed Ctrl-C.

    Not a KeyboardInterrupt, at which Lightning ends the process, and not an Exception, which much
    code catches.
    """


class InterruptionHeard(pl.Callback):
    """Raises the Interruption once more at the end of a batch.

    Where Ctrl-C falls into a destructor, Python ignores what it raises.
    """

    def __init__(self) -> None:
        self.pressed = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        """Raise it if Ctrl-C was pressed."""
        del trainer, pl_module
        if self.pressed:
            raise Interruption


@contextmanager
def interruptible(heard: InterruptionHeard) -> Iterator[None]:
    """While it is open, the first Ctrl-C is an Interruption; any other is what it ever was.

    Args:
        heard: told of Ctrl-C; a callback of the training.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGINT, usual)
        heard.pressed = True
        raise Interruption

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
