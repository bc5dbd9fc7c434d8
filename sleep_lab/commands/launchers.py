"""Launchers of sweeps that outlive their jobs: one that dies takes no other with it.

They stand in for those of Hydra's plugins, which give up at the first job that dies.
"""

import logging
import math
import os
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sleep_lab.errors import InputError, one_line
from sleep_lab.experiment import plain

logger = logging.getLogger(__name__)

DIED = JobReturn(status=JobStatus.COMPLETED)
"""What a job comes to whose process died as often as it was started."""


class DeathError(Exception):
    """The process of a job died; the text says how."""


def going_on(task: TaskFunction) -> TaskFunction:
    """A command that goes on with what an earlier start of it left, if it can."""
    return partial(_go_on, task)


def _go_on(task: TaskFunction, config: DictConfig) -> Any:
    if "resume" in config:
        config.resume = True
    return task(config)


class SurvivingLauncher(Launcher):
    """Runs jobs in processes of their own, and those again whose process died.

    Args:
        max_retries: how often a job is started again.
    """

    at_once: float = math.inf

    def __init__(self, max_retries: int) -> None:
        self.max_retries = max_retries

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what the jobs need."""
        self.context, self.task, self.config = hydra_context, task_function, config

    @abstractmethod
    def begin(self, number: int, overrides: list[str], task: TaskFunction) -> Future[JobReturn]:
        """Start a job."""

    @abstractmethod
    def end(self, run: Future[JobReturn]) -> JobReturn:
        """What an ended job came to.

        Raises:
            DeathError: its process died.
        """

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs; those that died for good return None."""
        overrides = {
            number: list(each) for number, each in enumerate(job_overrides, initial_job_idx)
        }
        waiting, starts = list(overrides), Counter[int]()
        running: dict[Future[JobReturn], int] = {}
        results: dict[int, JobReturn] = {}
        while waiting or running:
            while waiting and len(running) < self.at_once:
                number = waiting.pop(0)
                task = going_on(self.task) if starts[number] else self.task
                starts[number] += 1
                running[self.begin(number, overrides[number], task)] = number
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                number = running.pop(ended)
                try:
                    results[number] = self.end(ended)
                except DeathError as death:
                    logger.error("job %d died: %s", number, death)
                    if starts[number] <= self.max_retries:
                        waiting.append(number)
                    else:
                        results[number] = DIED
        return [results[number] for number in overrides]


class JoblibLauncher(SurvivingLauncher):
    """Jobs in joblib's processes: one for each job that runs, so that it dies alone.

    Args:
        n_jobs: jobs at a time; -1 is one for each core.
        max_retries: how often a job whose process died is started again.
    """

    def __init__(self, n_jobs: int, max_retries: int) -> None:
        super().__init__(max_retries)
        # here, since without the extra it is not there
        import joblib

        self.at_once = joblib.effective_n_jobs(n_jobs)
        self.threads = max(1, joblib.cpu_count() // self.at_once)
        self.idle: list[Any] = []
        self.processes: dict[Future[JobReturn], Any] = {}

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """As ever, and whatever ends it ends its processes."""
        try:
            return super().launch(job_overrides, initial_job_idx)
        finally:
            for process in self.processes.values():
                process.shutdown(kill_workers=True)

    def begin(self, number: int, overrides: list[str], task: TaskFunction) -> Future[JobReturn]:
        """Start a job in a process that has nothing to do, or in a new one."""
        from hydra_plugins.hydra_joblib_launcher._core import execute_job
        from joblib.externals.loky import ProcessPoolExecutor

        threads = os.environ.get("OMP_NUM_THREADS", str(self.threads))
        new = partial(ProcessPoolExecutor, 1, env={"OMP_NUM_THREADS": threads})
        process = self.idle.pop() if self.idle else new()
        run: Future[JobReturn] = process.submit(
            execute_job, number, overrides, self.context, self.config, task, Singleton.get_state()
        )
        self.processes[run] = process
        return run

    def end(self, run: Future[JobReturn]) -> JobReturn:
        """What a job came to; its process is kept for the next one, if it lives."""
        from joblib.externals.loky import BrokenProcessPool

        process = self.processes.pop(run)
        try:
            result = run.result()
        except BrokenProcessPool as error:
            process.shutdown()
            raise DeathError(one_line(error)) from error
        self.idle.append(process)
        return result


class RayLauncher(SurvivingLauncher):
    """Jobs as tasks of Ray, which decides how many run at a time and where.

    Args:
        ray: arguments of `ray.init`, and of `ray.remote` for each job.
        max_retries: how often a job whose process or machine died is started again.
    """

    def __init__(self, ray: DictConfig, max_retries: int) -> None:
        super().__init__(max_retries)
        self.options = ray

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """As ever, in a Ray of this machine or one that runs already.

        Raises:
            InputError: there is no such Ray, or this machine has not what a job asks for.
        """
        # here, since importing Ray takes seconds
        from hydra_plugins.hydra_ray_launcher._launcher_util import start_ray

        # that a local Ray asks for a token is as it should be, and no news to the user
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        try:
            start_ray(self.options.init)
        except ConnectionError as error:
            raise InputError(
                f"hydra.launcher.ray.init.address={self.options.init.address}: no Ray runs there, "
                "or it asks for a token; start it by ray start --head, set RAY_AUTH_MODE=token, or "
                "leave the address out to compute on this machine"
            ) from error
        if self.options.init.address == "local":
            require_resources(self.options.remote)
        return super().launch(job_overrides, initial_job_idx)

    def begin(self, number: int, overrides: list[str], task: TaskFunction) -> Future[JobReturn]:
        """Give a job to Ray."""
        import ray

        config: Any = self.context.config_loader.load_sweep_config(self.config, overrides)
        OmegaConf.set_struct(config, False)
        config.hydra.job.id = f"{config.hydra.job.name}_{number}"
        config.hydra.job.num = number
        # Ray would start it again as it was, and it would find what it has left
        remote = ray.remote(**plain(self.options.remote) | {"max_retries": 0})(_run_in)
        run = remote.remote(Path.cwd(), self.context, config, task, Singleton.get_state())
        return run.future()

    def end(self, run: Future[JobReturn]) -> JobReturn:
        """What Ray says of a job."""
        import ray

        try:
            return run.result()
        except ray.exceptions.RayError as error:
            raise DeathError(one_line(getattr(error, "cause", error))) from error


def _run_in(folder: Path, *job: Any) -> JobReturn:
    """Run a job in the folder of the sweep's command, not where the machine's Ray was started."""
    from hydra_plugins.hydra_ray_launcher._launcher_util import _run_job

    os.chdir(folder)
    return _run_job(*job)


def require_resources(asked: DictConfig) -> None:
    """Raise InputError if the Ray of this machine has not what a job asks for: it would wait."""
    import ray

    has = ray.cluster_resources()
    for name, resource, remedy in (
        ("num_gpus", "GPU", "choose trainer=cpu, ask for less"),
        ("num_cpus", "CPU", "ask for less"),
    ):
        wanted, there = asked.get(name) or 0, has.get(resource, 0)
        if wanted > there:
            raise InputError(
                f"each job asks for {wanted} {resource} by hydra.launcher.ray.remote.{name}, and "
                f"this machine has {there:g}; {remedy}, or go to where there are more by "
                "hydra.launcher.ray.init.address=HOST:PORT"
            )
