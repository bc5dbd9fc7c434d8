"""The curves of a run as a table that goes on where the run does."""

import csv
import io
from pathlib import Path

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.utilities import rank_zero_only

from sleep_lab.whole_file import write_whole


class Curves(CSVLogger):
    """Writes what is logged to curves/metrics.csv of the run's folder, a row for each step.

    Args:
        save_dir: the run's folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="curves", version="")

    @rank_zero_only
    def begin(self, step: float) -> None:
        """Keep what an earlier start of the run logged before the optimizer's `step`.

        What it logged later comes again.
        """
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        writer = _KeepingWriter(self.log_dir)
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                rows = [row for row in reader if int(row["step"]) < step]
                columns = list(reader.fieldnames or ()) if rows else []
            if rows:
                text = io.StringIO(newline="")
                table = csv.DictWriter(text, columns)
                table.writeheader()
                table.writerows(rows)
                write_whole(path, text.getvalue().encode())
                writer.metrics_keys = columns
            else:
                path.unlink()
        self._experiment = writer


class _KeepingWriter(ExperimentWriter):
    """Appends to the file that is there, where Lightning's deletes it."""

    def _check_log_dir_exists(self) -> None:
        pass
