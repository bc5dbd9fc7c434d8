"""Warm starts: training that begins with trained weights, some of which may stay as they are."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

from torch import nn

from sleep_lab.errors import InputError, nearest
from sleep_lab.models import ModuloNet
from sleep_lab.models.normalizers import Standardization
from sleep_lab.models.weights import load_model, weights_at
from sleep_lab.preparation import Preparation
from sleep_lab.training.weights_fit import (
    Statistics,
    fitting_state,
    other_channels,
    other_parts,
    other_signals,
)

logger = logging.getLogger(__name__)

STATISTICS = get_args(Statistics)

DEPTH = 3
"""How deep the modules lie that a message lists."""


@dataclass(frozen=True)
class WarmStart:
    """What training begins with: `start` in the config.

    Attributes:
        weights: a run's folder, a checkpoint, a .safetensors file or an archive; None: random ones.
        freeze: patterns of the parameters that stay as they are.
        train_only: or patterns of those that do not.
        statistics: whether normalizers "keep" those of the weights, or "refit" on training nights.

    A pattern is a parameter's name or that of a module for all below it, with the wildcards of
    file names: encoders, encoders.*.reducer, *bias*.

    Raises:
        InputError: values that make no sense, alone or together.
    """

    weights: Path | None = None
    freeze: tuple[str, ...] = ()
    train_only: tuple[str, ...] = ()
    statistics: Statistics = "keep"

    def __post_init__(self) -> None:
        if self.statistics not in STATISTICS:
            raise InputError(
                f"start.statistics={self.statistics}: {nearest(str(self.statistics), STATISTICS)}"
            )
        for key in ("freeze", "train_only"):
            if not isinstance(getattr(self, key), tuple):
                raise InputError(f"start.{key} is a list: write [{getattr(self, key)}]")
        if self.freeze and self.train_only:
            raise InputError("give start.freeze or start.train_only, not both")
        if (self.freeze or self.train_only) and self.weights is None:
            raise InputError(
                "start.freeze and start.train_only keep trained weights as they are, and there are "
                "none: add start.weights=FILE_OR_RUN"
            )

    @classmethod
    def of(cls, node: dict[str, Any]) -> "WarmStart":
        """What a config's `start` says, as plain data.

        Raises:
            InputError: values that make no sense, alone or together.
        """
        weights = node["weights"]
        if weights is not None and (not isinstance(weights, str) or not weights):
            raise InputError(f"start.weights is one path, or null for none, not {weights!r}")
        patterns = {
            key: tuple(value) if isinstance(value, list) else () if value is None else value
            for key, value in ((key, node[key]) for key in ("freeze", "train_only"))
        }
        return cls(weights and Path(weights), **patterns, statistics=node["statistics"])

    @property
    def keeps_statistics(self) -> bool:
        """Whether there is nothing to fit on the training nights."""
        return self.weights is not None and self.statistics == "keep"


def fill(model: ModuloNet, start: WarmStart, preparation: Preparation) -> None:
    """Give a network the trained weights; a temperature that they had is left behind.

    Args:
        model: as the config describes it; where both have one signal group, its name need not be
            that of the weights'.
        start: its weights are not None.
        preparation: of the training nights.

    Raises:
        InputError: the file cannot be read, its weights do not fit, or statistics are to be kept
            that belong to other signals.
    """
    assert start.weights is not None
    file = weights_at(start.weights)
    trained = load_model(file).model
    try:
        state = fitting_state(model, trained, start.statistics)
        different = other_signals(model, trained, preparation)
        has_statistics = any(isinstance(module, Standardization) for module in model.modules())
        if different and has_statistics and start.statistics == "keep":
            raise InputError(
                f"its statistics are of other signals: {different}; make them alike, or type "
                "start.statistics=refit"
            )
    except InputError as error:
        raise InputError(f"start.weights={start.weights}: {error}") from None
    if different:
        logger.warning("%s: the weights have learned from other signals: %s", file, different)
    for text in (*other_channels(model, trained, preparation), other_parts(model, trained)):
        if text:
            logger.warning("%s: %s", file, text)
    model.load_state_dict(state)
    logger.info("training begins with the weights of %s", file)


def freeze(model: ModuloNet, start: WarmStart) -> None:
    """Let the parameters that are to stay as they are have no gradient.

    Raises:
        InputError: a pattern that matches nothing, or nothing left to train.
    """
    parameters = dict(model.named_parameters())
    if start.train_only:
        frozen = parameters.keys() - _matching(model, "train_only", start.train_only)
    else:
        frozen = _matching(model, "freeze", start.freeze)
    if frozen == parameters.keys():
        raise InputError("start.freeze leaves nothing to train: freeze less, e.g. [encoders]")
    for name in frozen:
        parameters[name].requires_grad_(False)
    if frozen:
        still, total = (
            sum(parameters[name].numel() for name in names) for names in (frozen, parameters)
        )
        logger.info("%d of %d parameters are frozen", still, total)


def hold_still(model: nn.Module) -> None:
    """Put modules whose parameters are all frozen in evaluation mode.

    So they have no dropout, and the running statistics of batch normalization stay. Recurrent ones
    lose their dropout instead, since cuDNN passes gradients through them in training mode alone.
    """
    frozen = [module for module in model.modules() if _is_frozen(module)]
    for module in frozen:
        module.eval()
    for module in frozen:
        if isinstance(module, nn.RNNBase):
            module.dropout = 0.0
            module.train()


def _is_frozen(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not any(parameter.requires_grad for parameter in parameters)


def _matching(model: ModuloNet, key: str, patterns: Iterable[str]) -> set[str]:
    names = [name for name, _ in model.named_parameters()]
    found: set[str] = set()
    for pattern in patterns:
        matches = {
            name
            for name in names
            if fnmatchcase(name, str(pattern)) or fnmatchcase(name, f"{pattern}.*")
        }
        if not matches:
            raise InputError(
                f"start.{key}: no parameter is called {pattern!r}; "
                f"{nearest(str(pattern), _modules(names))}"
            )
        found |= matches
    return found


def _modules(parameters: Sequence[str]) -> list[str]:
    """The modules that parameters lie in, down to some depth."""
    paths = [name.split(".")[:-1] for name in parameters]
    return [
        ".".join(path[:depth]) for path in paths for depth in range(1, min(len(path), DEPTH) + 1)
    ]
