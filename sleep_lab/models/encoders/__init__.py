"""Epoch encoders: one published architecture per file."""

from sleep_lab.models.encoders.chambon import ChambonEncoder
from sleep_lab.models.encoders.deep_sleep import DeepSleepEncoder
from sleep_lab.models.encoders.epoch_encoder import EpochEncoder
from sleep_lab.models.encoders.robust_sleep import RobustSleepEncoder
from sleep_lab.models.encoders.seq_sleep import SeqSleepEncoder
from sleep_lab.models.encoders.simple_sleep import SimpleSleepEncoder
from sleep_lab.models.encoders.tsinalis import TsinalisEncoder

__all__ = [
    "ChambonEncoder",
    "DeepSleepEncoder",
    "EpochEncoder",
    "RobustSleepEncoder",
    "SeqSleepEncoder",
    "SimpleSleepEncoder",
    "TsinalisEncoder",
]
