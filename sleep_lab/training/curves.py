"""The curves of a run as a table that goes on where the run does."""

import csv
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger


class Curves(CSVLogger):
    """Writes what is logged to curves/metrics.csv of the run's folder, a row for each step.

    Args:
        save_dir: the run's folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="curves", version="")

    def go_on(self, step: int) -> None:
        """Keep what was logged before the optimizer's `step`; the rest is going to come again."""
        path = Path(self.log_dir) / "metrics.csv"
        rows = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) < step]
        # the writer begins with an empty file
        self.experiment.metrics = [
            {name: value for name, value in row.items() if value} for row in rows
        ]
