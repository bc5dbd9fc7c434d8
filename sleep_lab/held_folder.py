"""Folders that one process at a time works in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sleep_lab.errors import InputError

LOCK = ".lock"
PATIENCE_S = 0.3
"""`is_held` holds a folder for a moment, in which nobody is to be turned away."""


@contextmanager
def held(folder: Path, key: str = "hydra.run.dir") -> Iterator[None]:
    """Keep other processes out of a folder; that of one that was killed is free again.

    Args:
        folder: made if it is not there.
        key: of the config, by which a user chooses the folder.

    Raises:
        InputError: another process is at work there.
    """
    try:
        with FileLock(folder / LOCK, timeout=PATIENCE_S):
            yield
    except Timeout:
        raise InputError(
            f"{folder}: another process is at work there; wait for it, or choose another folder by "
            f"{key}=..."
        ) from None


def is_held(folder: Path) -> bool:
    """Whether a process is at work in a folder."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
