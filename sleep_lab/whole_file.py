"""Files that are either whole or not there."""

import os
from pathlib import Path

from sleep_lab.errors import InputError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and its folder if need be, so that no reader ever sees a part of it.

    Raises:
        InputError: it cannot be written; what was at `path` before is still there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(content)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); choose another folder or make room"
        ) from error
