"""Windows: the runs of sleep epochs that a network sees at once, and batches of them.

A window is two small integers, its part and its first epoch. A batch is gathered night by night,
each with one indexed copy from mapped memory into the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sleep_lab.data.augmentation import Augmentation, DrawChannels
from sleep_lab.data.parts import NightPart
from sleep_lab.data.several import numbers_of_channels, told
from sleep_lab.errors import InputError
from sleep_lab.stages import UNSCORED

Mode = Literal["sequential", "concatenated"]


@dataclass(frozen=True)
class Context:
    """How a network sees the neighbours of a sleep epoch.

    Attributes:
        length: sleep epochs in a window; odd.
        mode: "sequential": every epoch is encoded alone, and all of the window are labelled;
            "concatenated": the window is one long signal, labelled with its centre's stage.
    """

    length: int = 21
    mode: Mode = "sequential"

    def __post_init__(self) -> None:
        if self.length < 1 or self.length % 2 == 0:
            raise InputError(f"context.length must be odd and positive, not {self.length}")
        if self.mode not in ("sequential", "concatenated"):
            raise InputError(f"context.mode is sequential or concatenated, not {self.mode!r}")

    @property
    def half(self) -> int:
        """Epochs on each side of the centre."""
        return self.length // 2

    @property
    def sequence(self) -> int:
        """Epochs that the sequence encoder sees."""
        return self.length if self.mode == "sequential" else 1

    @property
    def joined(self) -> int:
        """Sleep epochs joined into the signal that is encoded at once."""
        return self.length if self.mode == "concatenated" else 1


class Batch(NamedTuple):
    """A batch of windows.

    Attributes:
        signals: group to (batch, context, channels, samples) float32.
        features: name to (batch, context, width) float32.
        stages: (batch, context) int64, -1 where unscored or outside the part.
        night: (batch,) int64, index of the part.
        epoch: (batch,) int64, the window's first sleep epoch; negative in the padding.
    """

    signals: dict[str, Tensor]
    features: dict[str, Tensor]
    stages: Tensor
    night: Tensor
    epoch: Tensor


def training_windows(
    parts: Sequence[NightPart], context: Context
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Every window around a scored epoch of its part: (windows,) parts and first epochs."""
    part_index, first_epoch = [], []
    for index, part in enumerate(parts):
        scored = np.flatnonzero(part.night.hypnogram[part.first : part.last] != UNSCORED)
        first = scored + part.first - context.half
        first = first[(first >= part.visible_first) & (first + context.length <= part.visible_last)]
        part_index.append(np.full(len(first), index, dtype=np.int32))
        first_epoch.append(first.astype(np.int32))
    return np.concatenate(part_index), np.concatenate(first_epoch)


class WindowDataset(Dataset[Batch]):
    """Windows of night parts, gathered a batch at a time.

    Args:
        parts: where the windows come from.
        context: their length and mode.
        augmentation: chooses the channels of a training batch, or changes its signals in place.
        seed: of the augmentation, whose draws depend on it and on the batch's windows alone.

    Raises:
        InputError: no window, or nights whose different numbers of channels make no batch.
    """

    def __init__(
        self,
        parts: Sequence[NightPart],
        context: Context,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.parts = list(parts)
        self.context = context
        self.augmentation = augmentation
        self.seed = seed
        self.part, self.first_epoch = training_windows(self.parts, context)
        self._stages = [visible_stages(part) for part in self.parts]
        if not len(self):
            raise InputError(
                f"no scored sleep epoch has {context.half} epochs on both sides; set "
                "context.length lower, or add padding to the preparation"
            )
        numbers = numbers_of_channels([part.night for part in self.parts])
        self.most_channels = {group: max(those) for group, those in numbers.items()}
        for group, those in numbers.items():
            if len(those) > 1 and not isinstance(augmentation, DrawChannels):
                raise InputError(
                    f"group {group}: {told(those)}; such nights are in one batch only with "
                    "augmentation=draw_channels, for networks of any channels "
                    "(experiment=paper/robust_sleep_net), or give all the same "
                    "(data.signals=channels)"
                )

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.part)

    def __getitem__(self, index: int) -> Batch:
        """The batch of one window."""
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch of these windows, ordered by part."""
        wanted = np.asarray(indices, dtype=np.int64)
        wanted = wanted[np.argsort(self.part[wanted], kind="stable")]
        part, first = self.part[wanted], self.first_epoch[wanted]
        epochs = (first[:, None] + np.arange(self.context.length)).astype(np.int32)
        bounds = np.flatnonzero(np.diff(part, prepend=-1, append=len(self.parts)))
        runs = [(int(part[a]), slice(a, b)) for a, b in pairwise(bounds)]

        night = self.parts[0].night
        generator = seeded(self.seed, *indices)
        if isinstance(self.augmentation, DrawChannels):
            signals = {
                group: self._gather_drawn(group, epochs, runs, self.augmentation, generator)
                for group in night.groups
            }
        else:
            signals = {group: self._gather_signals(group, epochs, runs) for group in night.groups}
            if self.augmentation is not None:
                signals = self.augmentation(signals, generator)
        features = {name: self._gather_feature(name, epochs, runs) for name in night.features}
        return Batch(
            signals=signals,
            features=features,
            stages=self._gather_stages(epochs, runs),
            night=torch.from_numpy(part.astype(np.int64)),
            epoch=torch.from_numpy(first.astype(np.int64)),
        )

    def _gather_signals(
        self, group: str, epochs: NDArray[np.int32], runs: list[tuple[int, slice]]
    ) -> Tensor:
        facts = self.parts[0].night.groups[group]
        shape = (*epochs.shape, facts.samples, len(facts.channels))
        gathered = torch.empty(shape)
        target = gathered.numpy()
        for index, rows in runs:
            night = self.parts[index].night
            # "clip" writes straight into `out`; all indices are within the night
            np.take(
                night.signals(group),
                epochs[rows] + night.padding,
                axis=0,
                out=target[rows],
                mode="clip",
            )
        return self._channels_first(gathered)

    def _gather_drawn(
        self,
        group: str,
        epochs: NDArray[np.int32],
        runs: list[tuple[int, slice]],
        augmentation: DrawChannels,
        generator: torch.Generator,
    ) -> Tensor:
        nights = [(self.parts[index].night, rows) for index, rows in runs]
        there = torch.empty(len(epochs), dtype=torch.int64)
        for night, rows in nights:
            there[rows] = len(night.groups[group].channels)
        drawn = augmentation.draw(there, self.most_channels[group], generator)
        gathered = torch.empty(*epochs.shape, nights[0][0].groups[group].samples, drawn.shape[1])
        for night, rows in nights:
            own = torch.from_numpy(night.signals(group)[epochs[rows] + night.padding])
            torch.take_along_dim(own, drawn[rows, None, None], dim=3, out=gathered[rows])
        return self._channels_first(gathered)

    def _channels_first(self, gathered: Tensor) -> Tensor:
        """(batch, context, samples, channels) to (batch, context, channels, samples), a view."""
        if self.context.mode == "concatenated":
            gathered = gathered.flatten(1, 2).unsqueeze(1)
        return gathered.transpose(2, 3)

    def _gather_feature(
        self, name: str, epochs: NDArray[np.int32], runs: list[tuple[int, slice]]
    ) -> Tensor:
        epochs = self._labelled(epochs)
        gathered = np.empty((*epochs.shape, self.parts[0].night.features[name]), dtype=np.float32)
        for index, rows in runs:
            night = self.parts[index].night
            gathered[rows] = night.feature(name)[epochs[rows] + night.padding]
        return torch.from_numpy(gathered)

    def _gather_stages(self, epochs: NDArray[np.int32], runs: list[tuple[int, slice]]) -> Tensor:
        epochs = self._labelled(epochs)
        gathered = np.empty(epochs.shape, dtype=np.int64)
        for index, rows in runs:
            gathered[rows] = self._stages[index][epochs[rows] + self.parts[index].night.padding]
        return torch.from_numpy(gathered)

    def _labelled(self, epochs: NDArray[np.int32]) -> NDArray[np.int32]:
        if self.context.mode == "concatenated":
            return epochs[:, self.context.half : self.context.half + 1]
        return epochs


def seeded(*numbers: int) -> torch.Generator:
    """A generator whose draws depend on these numbers, none of them negative, and their order."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def visible_stages(part: NightPart) -> NDArray[np.int8]:
    """(padded epochs of the night,) its stages within the part, -1 elsewhere."""
    stages = np.full(part.night.padded_epochs, UNSCORED, dtype=np.int8)
    stages[part.night.padding :][part.first : part.last] = part.night.hypnogram[
        part.first : part.last
    ]
    return stages
