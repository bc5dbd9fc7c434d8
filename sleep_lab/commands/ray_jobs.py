"""Hydra's launcher for Ray, made to survive: a job whose process dies is only one failed job."""

import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra_plugins.hydra_ray_launcher.ray_launcher import RayLauncher

from sleep_lab.errors import one_line

logger = logging.getLogger(__name__)


class SurvivingRayLauncher(RayLauncher):
    """Waits for every job, also after one has died as often as Ray starts it again."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs; those that died return None."""
        # here, since importing Ray takes seconds
        from hydra_plugins.hydra_ray_launcher import _core

        # that a local Ray asks for a token is as it should be, and no news to the user
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        # the launcher takes nothing else from Ray, and gives up at the first job that died
        vars(_core)["ray"] = SimpleNamespace(get=result_of)
        return super().launch(job_overrides, initial_job_idx)


def result_of(run: Any) -> JobReturn:
    """What a job of Ray came to."""
    import ray

    try:
        return ray.get(run)
    except ray.exceptions.RayError as error:
        logger.error("a job died: %s", one_line(error))
        return JobReturn(status=JobStatus.COMPLETED)
