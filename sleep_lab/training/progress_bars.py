"""Bars on a terminal: one of the training epoch, one of the whole training."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text
from torch import Tensor

SHOW_EVERY_S = 0.5
"""How often a loss is read; each reading waits for a GPU to have computed it."""


class Bars:
    """Two bars, and below them what the last training epoch has brought.

    What is logged to the terminal meanwhile is printed above them.

    Args:
        hidden: name of a logger whose messages the bars replace on the terminal.
    """

    def __init__(self, hidden: str) -> None:
        self.console = Console(stderr=True)
        self.progress = _WithNote(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}", justify="right"),
            TextColumn("{task.fields[left]}", justify="right"),
            console=self.console,
            expand=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.pass_: TaskID = self.progress.add_task("", count="", left="")
        self.whole: TaskID = self.progress.add_task("whole training", count="", left="")
        self.hide: Callable[[logging.LogRecord], bool] = lambda record: record.name != hidden
        self.moved: list[tuple[logging.StreamHandler[Any], Any]] = []
        self.total = self.done = 0
        self.unit = ""
        self.began = self.shown = time.perf_counter()

    def start(self) -> None:
        """Show them."""
        for handler in _on_a_terminal(logging.getLogger().handlers):
            self.moved.append((handler, handler.stream))
            handler.setStream(FileProxy(self.console, handler.stream))
            handler.addFilter(self.hide)
        self.progress.start()

    def stop(self) -> None:
        """Leave them as they are, and let the log go its own way again."""
        self.progress.stop()
        for handler, stream in self.moved:
            handler.removeFilter(self.hide)
            handler.setStream(stream)
        self.moved = []

    def begin(self, description: str, total: float, unit: str) -> None:
        """A new pass: over batches of a training epoch, or over validation nights."""
        self.began = self.shown = time.perf_counter()
        self.total, self.done, self.unit = int(total), 0, unit
        self.progress.reset(
            self.pass_, description=description, total=total, count=f"0/{total} {unit}", left=""
        )

    def advance(self, loss: Tensor | None = None) -> None:
        """One batch or night more."""
        self.done += 1
        now = time.perf_counter()
        if now - self.shown < SHOW_EVERY_S and self.done < self.total:
            return
        self.shown = now
        left = (now - self.began) / self.done * (self.total - self.done)
        count = f"{self.done}/{self.total} {self.unit}"
        self.progress.update(
            self.pass_,
            completed=self.done,
            count=count if loss is None else f"{count}, loss {float(loss):.3f}",
            left=duration(left),
        )

    def whole_training(self, done: float, total: int, left_s: float | None) -> None:
        """How many training epochs are done, and how long the rest takes at most."""
        self.progress.update(
            self.whole,
            total=total,
            completed=done,
            count=f"{done / total:.0%}",
            left="" if left_s is None else f"{duration(left_s)} at most",
        )

    def tell(self, note: str) -> None:
        """Put a line below the bars."""
        self.progress.note = note


class _WithNote(Progress):
    note = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.note:
            yield Text(self.note)


def _on_a_terminal(handlers: Iterable[logging.Handler]) -> list[logging.StreamHandler[Any]]:
    return [
        handler
        for handler in handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream and handler.stream.isatty()
    ]


def duration(seconds: float) -> str:
    """A duration as one says it, in the two largest units that matter."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
