"""Epoch encoders: one published architecture per file."""

from sleep_lab.models.encoders.epoch_encoder import EpochEncoder
from sleep_lab.models.encoders.simple_sleep import SimpleSleepEncoder

__all__ = ["EpochEncoder", "SimpleSleepEncoder"]
