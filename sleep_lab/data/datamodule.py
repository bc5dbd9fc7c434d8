"""The LightningDataModule: loaders over the parts of a split."""

from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Sampler

from sleep_lab.data.parts import NightPart, Split
from sleep_lab.data.windows import Augmentation, Batch, Context, WindowDataset
from sleep_lab.errors import InputError


class StridedSampler(Sampler[int]):
    """Shuffled windows, every `stride`-th of each part, from another start each training epoch.

    Neighbouring windows share most of their signals. A stride of the context's length shows every
    sleep epoch once in a training epoch; 1 shows every window.
    """

    def __init__(self, dataset: WindowDataset, stride: int) -> None:
        if stride < 1:
            raise InputError(f"loader.window_stride is 1 or more, not {stride}")
        self.stride = stride
        self.part = torch.from_numpy(dataset.part).long()
        self.first_epoch = torch.from_numpy(dataset.first_epoch).long()
        self.parts = len(dataset.parts)

    def __len__(self) -> int:
        """Windows in a training epoch, on average over the starts."""
        return max(1, len(self.part) // self.stride)

    def __iter__(self) -> Iterator[int]:
        """Indices of windows, drawn with torch's generator."""
        start = torch.randint(self.stride, (self.parts,))
        due = (self.first_epoch - start[self.part]) % self.stride == 0
        indices = due.nonzero().squeeze(1)
        shuffled = indices[torch.randperm(len(indices))]
        # Lightning counts batches ahead, so every training epoch has the same number of windows
        yield from shuffled.repeat(2)[: len(self)].tolist()


class SleepDataModule(pl.LightningDataModule):
    """Batches of training windows, and whole night parts for validation.

    Args:
        split: the parts.
        context: how windows are cut.
        augmentation: of training batches.
        batch_size: windows in a batch.
        workers: loading processes; 0 loads in the training process.
        window_stride: see StridedSampler.
    """

    def __init__(
        self,
        split: Split,
        context: Context,
        augmentation: Augmentation | None = None,
        batch_size: int = 32,
        workers: int = 0,
        window_stride: int = 1,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"loader.batch_size is 1 or more, not {batch_size}")
        self.split = split
        self.context = context
        self.batch_size = batch_size
        self.workers = workers
        self.windows = WindowDataset(split["train"], context, augmentation)
        self.sampler = StridedSampler(self.windows, window_stride)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of training windows."""
        return DataLoader(
            self.windows,
            batch_size=self.batch_size,
            sampler=self.sampler,
            collate_fn=_as_it_is,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[NightPart]:
        """The validation parts, one at a time; the model reads each night as it needs it."""
        return DataLoader(
            self.split["validation"],  # type: ignore[arg-type]
            batch_size=None,
            collate_fn=_as_it_is,
        )


def _as_it_is(batch: Any) -> Any:
    return batch
