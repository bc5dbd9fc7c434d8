"""What large weights cost in training, beside the loss."""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from sleep_lab.errors import InputError, nearest

USUAL_EXCLUSIONS = ("batch_norm", "bias")
"""What penalties commonly leave alone; a network need not have any of them."""


class Penalty:
    """l1 times the sum of the absolute weights plus l2 / 2 times the sum of their squares.

    A parameter counts if it is being trained and no exclusion is a part of its name.

    Args:
        l1: strength of the absolute weights; 0 for none.
        l2: strength of the squares; 0 for none.
        exclusions: parts of the names of parameters that are left alone.

    Raises:
        InputError: a strength below zero, or exclusions that are no list.
    """

    def __init__(
        self, l1: float = 0.0, l2: float = 0.0, exclusions: Sequence[str] = USUAL_EXCLUSIONS
    ) -> None:
        for name, strength in (("l1", l1), ("l2", l2)):
            if not (math.isfinite(strength) and strength >= 0):
                raise InputError(f"penalty.{name} is a number from 0 on, not {strength}")
        if isinstance(exclusions, str):
            raise InputError(f"penalty.exclusions is a list: write [{exclusions}]")
        self.l1 = l1
        self.l2 = l2
        self.exclusions = tuple(exclusions)

    def __call__(self, named_parameters: Iterable[tuple[str, Tensor]]) -> Tensor:
        """The penalty of a network's parameters, a scalar with gradient.

        Raises:
            InputError: as `penalised`.
        """
        total = torch.zeros(())
        for weight in self.penalised(named_parameters):
            if self.l1:
                total = total + self.l1 * weight.abs().sum()
            if self.l2:
                total = total + self.l2 / 2 * weight.square().sum()
        return total

    def penalised(self, named_parameters: Iterable[tuple[str, Tensor]]) -> list[Tensor]:
        """The parameters that count.

        Raises:
            InputError: an exclusion is neither usual nor a part of any name.
        """
        parameters = dict(named_parameters)
        self._require_known_exclusions(parameters)
        return [
            parameter
            for name, parameter in parameters.items()
            if parameter.requires_grad and not any(word in name for word in self.exclusions)
        ]

    def _require_known_exclusions(self, names: Iterable[str]) -> None:
        names = tuple(names)
        for word in self.exclusions:
            if not word:
                raise InputError("penalty.exclusions: an empty one would leave everything alone")
            if word not in USUAL_EXCLUSIONS and not any(word in name for name in names):
                parts = [part for name in names for part in name.split(".") if not part.isdigit()]
                raise InputError(
                    f"penalty.exclusions: no parameter has {word!r} in its name; "
                    f"{nearest(word, [*USUAL_EXCLUSIONS, *parts])}"
                )
