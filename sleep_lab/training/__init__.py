"""Training: the LightningModule and what stands beside it."""

from sleep_lab.training.checkpoint_files import WholeCheckpoints
from sleep_lab.training.curves import Curves
from sleep_lab.training.loss import CrossEntropy
from sleep_lab.training.penalty import Penalty
from sleep_lab.training.progress import Progress
from sleep_lab.training.resume_point import ResumePoint
from sleep_lab.training.staging_module import MONITORS, StagingModule
from sleep_lab.training.training_time import TrainingTime
from sleep_lab.training.wandb_run import WandbRun
from sleep_lab.training.weight_averaging import StochasticWeightAveraging

__all__ = [
    "MONITORS",
    "CrossEntropy",
    "Curves",
    "Penalty",
    "Progress",
    "ResumePoint",
    "StagingModule",
    "StochasticWeightAveraging",
    "TrainingTime",
    "WandbRun",
    "WholeCheckpoints",
]
