"""Ctrl-C during a training: it ends, and what was reached so far is used."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption(BaseException):
    """Somebody pressed Ctrl-C.

    Not a KeyboardInterrupt, at which Lightning ends the process, and not an Exception, which much
    code catches.
    """


@contextmanager
def interruptible() -> Iterator[None]:
    """While it is open, the first Ctrl-C is an Interruption; any other is what it ever was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGINT, usual)
        raise Interruption

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
