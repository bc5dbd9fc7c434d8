"""Reducers: an epoch's frames become one vector.

Each is built from the encoder's output shape, (width, frames), takes (epochs, *shape), gives
(epochs, width) and declares that width.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from sleep_lab.errors import InputError, nearest


class AttentionReducer(nn.Module):
    """Mean over the frames, weighted by attention.

    A frame's weight is the softmax over frames of v . tanh(W x + b) (Luong, Pham, Manning 2015;
    so in SimpleSleepNet, 2020, with a context of 25).

    Args:
        shape: (width, frames).
        context: number of rows of W.
    """

    def __init__(self, shape: tuple[int, ...], context: int = 25) -> None:
        super().__init__()
        self.width = _width(shape, "attention")
        self.context = nn.Linear(self.width, context)
        self.score = nn.Linear(context, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, width, frames) to (epochs, width)."""
        frames = x.transpose(1, 2)
        weights = self.score(torch.tanh(self.context(frames))).softmax(dim=1)  # (epochs, frames, 1)
        return (weights.transpose(1, 2) @ frames).squeeze(1)


class ProjectedAttentionReducer(nn.Module):
    """Frames are mapped to fewer numbers, then summed up by attention.

    So in RobustSleepNet (Guillot and Thorey, arXiv 2101.02452, 2021), whose sizes are the defaults.

    Args:
        shape: (width, frames).
        width: of a frame after the linear map.
        context: of the attention.
    """

    def __init__(self, shape: tuple[int, ...], width: int = 50, context: int = 25) -> None:
        super().__init__()
        self.width = width
        self.projection = nn.Linear(_width(shape, "attention_projected"), width)
        self.attention = AttentionReducer((width, shape[1]), context)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, width of a frame, frames) to (epochs, width)."""
        return self.attention(self.projection(x.transpose(1, 2)).transpose(1, 2))


class PoolReducer(nn.Module):
    """The largest value, or the average, over the frames.

    Args:
        shape: (width, frames).
        how: "max" or "average".
    """

    def __init__(self, shape: tuple[int, ...], how: Literal["max", "average"] = "max") -> None:
        super().__init__()
        if how not in ("max", "average"):
            raise InputError(f"pool: no way called {how!r}; {nearest(how, ('max', 'average'))}")
        self.width = _width(shape, "pool")
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, width, frames) to (epochs, width)."""
        return x.amax(dim=2) if self.how == "max" else x.mean(dim=2)


class FlattenReducer(nn.Module):
    """All values side by side, frames innermost.

    Args:
        shape: what the encoder gives, of any number of axes.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.width = math.prod(shape)

    def forward(self, x: Tensor) -> Tensor:
        """(epochs, *shape) to (epochs, width)."""
        return x.flatten(1)


def _width(shape: tuple[int, ...], reducer: str) -> int:
    if len(shape) != 2:
        raise InputError(
            f"the {reducer} reducer wants (width, frames) but the encoder gives {shape}; "
            "set reducer=flatten"
        )
    return shape[0]
