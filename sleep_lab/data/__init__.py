"""Data: splits of prepared nights, windows, and batches of them."""

from sleep_lab.data.augmentation import DrawChannels, KillChannel
from sleep_lab.data.datamodule import SleepDataModule
from sleep_lab.data.parts import (
    NightPart,
    Split,
    describe,
    folds,
    holdout,
    named,
    restore,
    within_recording,
)
from sleep_lab.data.windows import Batch, Context, WindowDataset

__all__ = [
    "Batch",
    "Context",
    "DrawChannels",
    "KillChannel",
    "NightPart",
    "SleepDataModule",
    "Split",
    "WindowDataset",
    "describe",
    "folds",
    "holdout",
    "named",
    "restore",
    "within_recording",
]
