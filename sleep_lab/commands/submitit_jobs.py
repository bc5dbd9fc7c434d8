"""Hydra's launchers for submitit, made to survive: a job that dies is only one failed job."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.types import TaskFunction
from hydra_plugins.hydra_submitit_launcher import submitit_launcher
from submitit import Job
from submitit.core.utils import UncompletedJobError

from sleep_lab.commands.launchers import DIED, going_on

logger = logging.getLogger(__name__)

results_or_error = Job.results


def results_of(job: Job[JobReturn]) -> list[JobReturn]:
    """What a job came to, once it has ended."""
    try:
        return results_or_error(job)
    except UncompletedJobError:
        logger.error("a job died: what it printed is in %s", job.paths.stderr)
        return [DIED]


class _SurvivingLauncher(submitit_launcher.BaseSubmititLauncher):
    task_function: TaskFunction

    def __call__(self, *args: Any, **kwargs: Any) -> JobReturn:
        """Run a job, in its own process; one that Slurm has queued again goes on where it was."""
        if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
            self.task_function = going_on(self.task_function)
        return super().__call__(*args, **kwargs)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs; those that died return None."""
        # the plugin asks nothing else of a job, and gives up at the first that died
        setattr(Job, "results", results_of)  # noqa: B010
        return super().launch(job_overrides, initial_job_idx)


class LocalLauncher(_SurvivingLauncher, submitit_launcher.LocalLauncher):
    """Jobs on this machine, all at once."""


class SlurmLauncher(_SurvivingLauncher, submitit_launcher.SlurmLauncher):
    """Jobs in the queue of a cluster."""
