"""Training: the LightningModule and what stands beside it."""

from sleep_lab.training.staging_module import MONITORS, StagingModule

__all__ = ["MONITORS", "StagingModule"]
