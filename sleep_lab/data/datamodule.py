"""The LightningDataModule: loaders over the parts of a split."""

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from sleep_lab.data.augmentation import Augmentation
from sleep_lab.data.parts import NightPart, Split
from sleep_lab.data.windows import Batch, Context, WindowDataset, seeded
from sleep_lab.errors import InputError


class StridedSampler(DistributedSampler[int]):
    """Shuffled windows, every `stride`-th of each part, from another start each training epoch.

    A part of fewer windows than that gives one of them in each training epoch.

    Neighbouring windows share most of their signals. A stride of the context's length shows every
    sleep epoch once in a training epoch; 1 shows every window. The draw depends on the seed and the
    number of the training epoch alone; several processes share it out.

    Args:
        dataset: the windows.
        stride: 1 or more.
        seed: of the draws.
        processes: how many train together.
        rank: which of them this one is.
    """

    def __init__(
        self, dataset: WindowDataset, stride: int, seed: int = 0, processes: int = 1, rank: int = 0
    ) -> None:
        if stride < 1:
            raise InputError(f"loader.window_stride is 1 or more, not {stride}")
        super().__init__(dataset, num_replicas=processes, rank=rank, seed=seed)
        self.stride = stride
        self.part = torch.from_numpy(dataset.part).long()
        self.first_epoch = torch.from_numpy(dataset.first_epoch).long()
        # windows of each part, which lie one after the other from `begin` on
        self.counts = torch.bincount(self.part, minlength=len(dataset.parts))
        self.begin = self.counts.cumsum(0) - self.counts
        short = self.counts < stride
        long_windows = int(self.counts[~short].sum())
        self.shown = long_windows // stride + int(self.counts[short].count_nonzero())

    def __len__(self) -> int:
        """Windows of this process in a training epoch: the same number in each."""
        return max(1, self.shown // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        """Indices of this process's windows."""
        generator = seeded(self.seed, self.epoch)
        start = torch.randint(self.stride, self.counts.shape, generator=generator)
        due = (self.first_epoch - start[self.part]) % self.stride == 0
        # short parts, and those with gaps where nobody scored, may have none there
        missed = (self.counts > 0) & (self.part[due].bincount(minlength=len(start)) == 0)
        due[(self.begin + start % self.counts.clamp(min=1))[missed]] = True
        indices = due.nonzero().squeeze(1)
        shuffled = indices[torch.randperm(len(indices), generator=generator)]
        # some starts give a window less: those are filled up from the beginning
        wanted = len(self) * self.num_replicas
        filled = shuffled.repeat(1 + wanted // len(shuffled))[:wanted]
        yield from filled[self.rank :: self.num_replicas].tolist()


class EachPartOnce(DistributedSampler[int]):
    """The parts in order, shared out among processes without repeating any.

    Raises:
        InputError: there are more processes than parts.
    """

    def __init__(self, parts: Sequence[NightPart], processes: int, rank: int) -> None:
        if processes > len(parts):
            raise InputError(
                f"{processes} processes cannot share {len(parts)} validation nights; set "
                f"trainer.devices={len(parts)} or less, or give validation more nights"
            )
        super().__init__(parts, num_replicas=processes, rank=rank, shuffle=False)  # type: ignore[arg-type]
        self.order = range(rank, len(parts), processes)

    def __len__(self) -> int:
        """Parts of this process."""
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        """Indices of this process's parts."""
        return iter(self.order)


class SleepDataModule(pl.LightningDataModule):
    """Batches of training windows, and whole night parts for validation.

    Args:
        split: the parts.
        context: how windows are cut.
        augmentation: of training batches.
        batch_size: windows in a batch.
        workers: loading processes; 0 loads in the training process.
        window_stride: see StridedSampler.
        seed: of the order of windows and their augmentation.
    """

    def __init__(
        self,
        split: Split,
        context: Context,
        augmentation: Augmentation | None = None,
        batch_size: int = 32,
        workers: int = 0,
        window_stride: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"loader.batch_size is 1 or more, not {batch_size}")
        self.split = split
        self.context = context
        self.batch_size = batch_size
        self.workers = workers
        self.windows = WindowDataset(split["train"], context, augmentation, seed)
        self.window_stride = window_stride
        self.seed = seed

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of training windows."""
        processes, rank = self._place()
        sampler = StridedSampler(self.windows, self.window_stride, self.seed, processes, rank)
        if self.trainer is not None:
            # Lightning tells the sampler only after it has asked it for the first batch
            sampler.set_epoch(self.trainer.current_epoch)
        return DataLoader(
            self.windows,
            batch_size=self.batch_size,
            sampler=sampler,
            # a loader without its own draws from the generator that dropout uses
            generator=torch.Generator(),
            collate_fn=_as_it_is,
            num_workers=self.workers,
            worker_init_fn=_leave_interrupts,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[NightPart]:
        """The validation parts, one at a time; the model reads each night as it needs it."""
        parts = self.split["validation"]
        return DataLoader(
            parts,  # type: ignore[arg-type]
            batch_size=None,
            sampler=EachPartOnce(parts, *self._place()),
            generator=torch.Generator(),
            collate_fn=_as_it_is,
        )

    def _place(self) -> tuple[int, int]:
        """How many processes train, and which of them this is."""
        if self.trainer is None:
            return 1, 0
        return self.trainer.world_size, self.trainer.global_rank


def _leave_interrupts(worker: int) -> None:
    """A terminal's Ctrl-C reaches loading processes as well; the one that trains ends them."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch
