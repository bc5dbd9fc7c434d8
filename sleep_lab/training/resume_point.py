"""Where a run that was killed goes on: the beginning of a training epoch."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

Generators = dict[str, Any]


class ResumePoint(pl.Callback):
    """Writes a checkpoint at the beginning of every training epoch but the first.

    It holds all that the rest of the training depends on: weights, optimizer, scheduler, the other
    callbacks and the states of the random generators. On one CPU process, a training that goes on
    from it ends with the same weights, to the last bit, as one that was never disturbed.

    The beginning is the one moment at which nothing is halfway: validation, the scheduler's step,
    early stopping and the best checkpoint of the training epoch before are done.

    Args:
        path: the file, whole at any moment; each replaces the one before.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._restored: list[Generators] | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file; in a training that has just gone on from it, take up the generators."""
        del pl_module
        if self._restored is not None:
            own = trainer.global_rank
            if own < len(self._restored):
                set_generators(self._restored[own])
            self._restored = None
            # this is an epoch like any other: Lightning would leave out its scheduler's step
            trainer.fit_loop.restarting = False
        elif trainer.current_epoch > 0:
            trainer.save_checkpoint(self.path)

    def state_dict(self) -> dict[str, Any]:
        """The generators of every process."""
        own = generators()
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return {"generators": [own]}
        every: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(every, own)
        return {"generators": every}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the generators until the training epoch begins."""
        self._restored = state_dict["generators"]


def generators() -> Generators:
    """The states of this process's random generators, as tensors and plain values."""
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002 (a user's part may draw from it)
    numpy["state"]["key"] = numpy["state"]["key"].tolist()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": numpy,
        "python": random.getstate(),
    }


def set_generators(states: Generators) -> None:
    """Give this process's random generators the states that `generators` told."""
    torch.set_rng_state(states["torch"].cpu())
    if len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    random.setstate(states["python"])
