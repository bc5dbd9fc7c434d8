"""Training: the LightningModule and what stands beside it."""

from sleep_lab.training.loss import CrossEntropy
from sleep_lab.training.penalty import Penalty
from sleep_lab.training.staging_module import MONITORS, StagingModule
from sleep_lab.training.training_time import TrainingTime
from sleep_lab.training.weight_averaging import StochasticWeightAveraging

__all__ = [
    "MONITORS",
    "CrossEntropy",
    "Penalty",
    "StagingModule",
    "StochasticWeightAveraging",
    "TrainingTime",
]
