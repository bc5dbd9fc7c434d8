"""Training: the LightningModule and what stands beside it."""

from sleep_lab.training.staging_module import StagingModule

__all__ = ["StagingModule"]
