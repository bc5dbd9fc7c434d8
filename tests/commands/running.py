"""Running a command in this process, as its command line would."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    error: str

    @property
    def last_line(self) -> str:
        return self.error.strip().splitlines()[-1]


class Runner:
    """Runs commands with their working directory in a test's folder."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capfd = capfd
        self.monkeypatch = monkeypatch

    def __call__(self, main: Callable[[], None], *arguments: str) -> Outcome:
        self.monkeypatch.setattr(sys, "argv", ["command", *arguments])
        self.capfd.readouterr()
        status = 0
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        out, error = self.capfd.readouterr()
        return Outcome(status, out, error)
