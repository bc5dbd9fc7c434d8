"""Data: splits of prepared nights, windows, and batches of them."""

from sleep_lab.data.augmentation import DrawChannels, KillChannel
from sleep_lab.data.datamodule import SleepDataModule
from sleep_lab.data.listed_splits import from_file, named, write_split
from sleep_lab.data.parts import NightPart, Split, describe, restore
from sleep_lab.data.splits import folds, holdout, learning_curve, transfer, within_recording
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
    "from_file",
    "holdout",
    "learning_curve",
    "named",
    "restore",
    "transfer",
    "within_recording",
    "write_split",
]
