"""A night that can be opened: what a data config yields, and what preparation takes."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from sleep_lab.recordings.opening import open_recording
from sleep_lab.recordings.recording import Recording
from sleep_lab.recordings.scoring import LengthMismatch


class NightSource(Protocol):
    """A night somewhere: small, picklable, comparable; `open` gives the recording."""

    @property
    def id(self) -> str:
        """The night's name, unique in its dataset; also the name of its folder and files."""
        ...

    @property
    def person(self) -> str:
        """Whose night it is; no person is ever in two parts of a split."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the night is read from; empty if it is computed."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Plain values that tell this night from any other, apart from its files' contents."""
        ...

    def open(self) -> Recording:
        """The recording; raises InputError if its files cannot be used."""
        ...


@dataclass(frozen=True)
class NightFile:
    """A night in a file, with its scoring in the same file or beside it.

    Attributes:
        id: the night's name.
        person: whose night it is.
        path: the recording.
        scoring: the file of its hypnogram, if that is another one.
        around_sleep_min: minutes kept before the first and after the last epoch of sleep; all if
            None.
        length_mismatch: what to do if the scoring is longer or shorter than the signals: "error",
            or "cut" to keep what both cover.
    """

    id: str
    person: str
    path: Path
    scoring: Path | None = None
    around_sleep_min: float | None = None
    length_mismatch: LengthMismatch = "error"

    @property
    def files(self) -> tuple[Path, ...]:
        """The recording, then the scoring."""
        return (self.path,) if self.scoring is None else (self.path, self.scoring)

    @property
    def identity(self) -> dict[str, Any]:
        """Absolute paths and how they are read."""
        return {
            "files": [str(path.resolve()) for path in self.files],
            "around_sleep_min": self.around_sleep_min,
            "length_mismatch": self.length_mismatch,
        }

    def open(self) -> Recording:
        """The recording, cut to the minutes around sleep if asked."""
        opened = open_recording(self.path, self.scoring, self.length_mismatch)
        recording = replace(opened, id=self.id)
        if self.around_sleep_min is None:
            return recording
        return recording.around_sleep(self.around_sleep_min)
