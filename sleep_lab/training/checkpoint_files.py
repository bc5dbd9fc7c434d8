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

    def load_checkpoint(self, path: Any, *how: Any, **arguments: Any) -> dict[str, Any]:
        """The checkpoint, as if it had been written where it lies now."""
        checkpoint = super().load_checkpoint(path, *how, **arguments)
        for name, state in checkpoint.get("callbacks", {}).items():
            if name.startswith("ModelCheckpoint"):
                _move(state, Path(path).parent)
        return checkpoint


def _move(state: dict[str, Any], folder: Path) -> None:
    """Let a ModelCheckpoint's state know of `folder` in its folder's place.

    Of a folder that is another than its own, Lightning would forget the best score.
    """
    moved = {str(state["dirpath"]): str(folder)}
    for key in ("best_model_path", "kth_best_model_path", *state["best_k_models"]):
        path = Path(state.get(key, key))
        if path.name:
            moved[str(path)] = str(folder / path.name)
    for key, value in state.items():
        if isinstance(value, str):
            state[key] = moved.get(value, value)
    state["best_k_models"] = {moved[p]: score for p, score in state["best_k_models"].items()}
