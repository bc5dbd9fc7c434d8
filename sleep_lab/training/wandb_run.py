"""A run on Weights & Biases: what it is called, how it goes on, and that it is closed."""

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning.loggers import Logger, WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment

from sleep_lab.errors import InputError, one_line
from sleep_lab.evaluation.sweep import described
from sleep_lab.evaluation.sweep_plan import swept_keys, told
from sleep_lab.whole_file import write_whole

TAGGED = ("data", "encoder", "reducer", "sequence_encoder", "split", "experiment")
"""The groups whose chosen options are tags."""

LONGEST_NAME, LONGEST_TAG = 128, 64
"""Characters that W&B takes."""

DAY = re.compile(r"\d{4}-\d\d-\d\d")


class WandbRun(WandbLogger):
    """Logs to W&B. wandb is imported when the run is opened, by the first thing that is logged.

    Args:
        save_dir: the run's folder. Its `wandb/id.txt` has the run's id, so that a training that was
            killed and goes on there does so in the same W&B run.
        name: what is swept or searched, else what was typed, else the folder, if None.
        group: the sweep, if None.
        tags: beside the options that were chosen.
        offline: keep the run here, from where `wandb sync` uploads it.
        log_best: whether the best weights go along, as an artifact.
        **settings: for `wandb.init`, such as project, entity or notes.

    Raises:
        InputError: when it is opened, W&B cannot be reached or does not know the user.
    """

    def __init__(
        self,
        save_dir: str,
        name: str | None = None,
        group: str | None = None,
        tags: Sequence[str] = (),
        offline: bool = True,
        log_best: bool = False,
        **settings: Any,
    ) -> None:
        hydra = HydraConfig.get() if HydraConfig.initialized() else None
        super().__init__(
            name=(name or (hydra and run_name(hydra)) or Path(save_dir).name)[:LONGEST_NAME],
            save_dir=save_dir,
            group=group or (hydra and sweep_name(hydra)),
            tags=[*tags, *(chosen_options(hydra) if hydra else ())],
            # Lightning's `offline` is an environment variable, which the next job would inherit
            mode="offline" if offline else None,
            **settings,
        )
        # Lightning passes it on unset, and W&B warns that it is to be removed
        del self._wandb_init["anonymous"]
        self.log_best = log_best

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run, opened if it is not yet."""
        if self._experiment is not None:
            return self._experiment
        from wandb.errors import Error

        self._wandb_init["id"] = run_id(Path(self.save_dir or "."))
        try:
            return super().experiment
        except Error as error:
            raise InputError(
                f"W&B: {one_line(error).rstrip('.')}; or keep the run here by "
                "logger.wandb.offline=true, and upload it later"
            ) from error

    def close(self, failed: bool) -> None:
        """Close the W&B run; one that was never opened stays so."""
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(failed))
            self._experiment = None


@contextmanager
def closed_in_the_end(loggers: Iterable[Logger]) -> Iterator[None]:
    """Close W&B's runs whatever happens, so that the next job of a sweep gets its own.

    W&B shows a run as failed if an exception ended it.
    """
    failed = True
    try:
        yield
        failed = False
    finally:
        for run_logger in loggers:
            if isinstance(run_logger, WandbRun):
                run_logger.close(failed)


def run_id(folder: Path) -> str:
    """The id of the folder's W&B run: a new one, if it has none yet."""
    path = folder / "wandb" / "id.txt"
    if not path.is_file():
        write_whole(path, secrets.token_hex(4).encode())
    return path.read_text(encoding="utf-8")


def run_name(hydra: HydraConf) -> str:
    """What is swept or searched, with the job's values; else what was typed, else the run's folder.

    Args:
        hydra: Hydra's own config of the job.
    """
    overrides = told(hydra.overrides.task)
    if hydra.mode == RunMode.MULTIRUN:
        swept = swept_keys(Path(hydra.sweep.dir))
        if apart := described({key: overrides[key] for key in swept if key in overrides}):
            return apart
    typed = {key: value for key, value in overrides.items() if not key.startswith("logger")}
    return described(typed) or folder_name(Path(hydra.runtime.output_dir))


def sweep_name(hydra: HydraConf) -> str | None:
    """The sweep's folder; None for a single run."""
    if hydra.mode != RunMode.MULTIRUN:
        return None
    return folder_name(Path(hydra.sweep.dir))[:LONGEST_NAME]


def folder_name(folder: Path) -> str:
    """A folder's name, with the day where that is the folder above."""
    day = folder.parent.name
    return f"{day} {folder.name}" if DAY.fullmatch(day) else folder.name


def chosen_options(hydra: HydraConf) -> list[str]:
    """The options that one looks for among the runs of a project, as they are typed."""
    chosen = {group: hydra.runtime.choices.get(group) for group in TAGGED}
    return [
        f"{group}={option}"[:LONGEST_TAG]
        for group, option in chosen.items()
        if option not in (None, "none")
    ]
