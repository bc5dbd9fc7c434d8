"""The curves of a run as a table that goes on where the run does."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

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
    def begin(self, step: int) -> None:
        """Keep what an earlier start of the run logged before the optimizer's `step`.

        What it logged later comes again.
        """
        self._experiment = _KeepingWriter(self.log_dir)
        self._experiment.keep_before(step)


class _KeepingWriter(ExperimentWriter):
    """Goes on with the file that is there, where Lightning's deletes it."""

    def _check_log_dir_exists(self) -> None:
        pass

    def keep_before(self, step: int) -> None:
        """Keep the rows of earlier steps; a row that was cut short is none."""
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return
        columns, rows = _read(path)
        kept = [row for row in rows if (row["step"] or "").isdigit() and int(row["step"]) < step]
        if kept:
            _write(path, columns, kept)
            self.metrics_keys = columns
        else:
            path.unlink()

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        """Whole or not at all: Lightning's empties the file first."""
        path = Path(self.metrics_file_path)
        _write(path, fieldnames, _read(path)[1])


def _read(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return list(reader.fieldnames or ()), list(reader)


def _write(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, columns)
    table.writeheader()
    table.writerows(rows)
    write_whole(path, text.getvalue().encode())
