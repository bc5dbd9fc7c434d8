"""Files that are either whole or not there."""

import os
from pathlib import Path

from sleep_lab.errors import InputError


def write_whole(path: Path, content: bytes, durable: bool = False) -> None:
    """Write a file, and its folder if need be, so that no reader ever sees a part of it.

    Args:
        path: the file.
        content: all of it.
        durable: wait until the disk has it, so that not even a power cut leaves a part.

    Raises:
        InputError: it cannot be written; what was at `path` before is still there.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); choose another folder or make room"
        ) from error
