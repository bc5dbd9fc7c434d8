"""Checkpoints that are either whole or not there, whatever becomes of the process."""

import io
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from sleep_lab.whole_file import write_whole


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place, then moves it there.

    Lightning writes to the system's folder for temporary files, from where a move may be a copy
    that can be cut short.

    Raises:
        InputError: there is no room, or the folder cannot be written; the last one is still there.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write the file, and its folder if need be."""
        del storage_options
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_whole(Path(path), content.getvalue(), durable=True)
