"""What a training depends on besides its config: code, machine and data."""

import json
import logging
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

import sleep_lab
from sleep_lab.preparation import PreparedNight
from sleep_lab.preparation.preparation import short_hash
from sleep_lab.preparation.prepared_night import DESCRIPTION
from sleep_lab.whole_file import write_whole

ENVIRONMENT = "environment.json"
"""The file in a run's folder."""

GIT_S = 10
"""Seconds after which git is not waited for."""

LATER = "later_starts"
"""Where the facts are of each time that the run went on after it was killed."""

APART = ("command", "cuda_visible_devices", "data", LATER)
"""Facts that differ between equal runs, or are compared by themselves."""

logger = logging.getLogger(__name__)

Facts = dict[str, Any]


def environment(seed: int, device: torch.device, nights: Sequence[PreparedNight]) -> Facts:
    """The facts as plain data.

    Args:
        seed: of the run.
        device: where it trains.
        nights: all of them, whatever part of the split they are in.
    """
    return {
        "sleep_lab": {"version": sleep_lab.__version__, **git_state(Path(sleep_lab.__file__))},
        "versions": versions(),
        "platform": platform.platform(),
        "device": device_name(device),
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": torch.get_num_threads(),
        "command": command(),
        "seed": seed,
        # the store names its folders by the preparation's fingerprint
        "preparations": sorted({night.folder.parent.name for night in nights}),
        "data": data_fingerprints(nights),
    }


def command() -> str:
    """What was typed; of a job of a sweep, what would run it alone.

    An engine runs its jobs from a program of its own, which would tell nothing.
    """
    hydra = HydraConfig.get() if HydraConfig.initialized() else None
    if hydra is None or hydra.mode != RunMode.MULTIRUN:
        return shlex.join(sys.argv)
    return shlex.join([f"{hydra.job.name}.py", *hydra.overrides.task])


def versions() -> dict[str, str]:
    """Of Python, of CUDA where torch is built for it, and of all that sleep_lab asks for."""
    found = {"python": platform.python_version()}
    if torch.version.cuda is not None:
        found["cuda"] = torch.version.cuda
    for requirement in requires("sleep-lab") or ():
        name, _, extra = requirement.partition(";")
        package = re.split(r"[^\w.-]", name, maxsplit=1)[0]
        if not extra:
            with suppress(PackageNotFoundError):
                found[package] = version(package)
    return found


def git_state(package: Path) -> dict[str, Any]:
    """The commit that a package's code is of, and whether it has been changed since.

    Args:
        package: the package's `__init__.py`.

    Returns:
        "commit" and "changed", both None where the code is no checkout, or git is of no help.
    """
    checkout = package.resolve().parents[1]
    if (checkout / ".git").exists():
        with suppress(OSError, subprocess.SubprocessError):
            commit = _git(checkout, "rev-parse", "HEAD").strip()
            return {"commit": commit, "changed": bool(_git(checkout, "status", "--porcelain"))}
    return {"commit": None, "changed": None}


def _git(checkout: Path, *arguments: str) -> str:
    # no lock is taken: the jobs of a sweep all ask at once
    command = ["git", "--no-optional-locks", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_S).stdout


def device_name(device: torch.device) -> str:
    """A device in words: the name of a GPU, or a CPU's number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def data_fingerprints(nights: Sequence[PreparedNight]) -> Facts:
    """A hash of each night's source by the night's id, and one of them all.

    Wherever the files lie and however they are prepared, the hashes stay.
    """
    hashes = {night.id: night_fingerprint(night) for night in nights}
    return {"fingerprint": short_hash(hashes), "nights": dict(sorted(hashes.items()))}


def night_fingerprint(night: PreparedNight) -> str:
    """A hash of what the night was read from, or, where it is simulated, of what makes it so."""
    description = json.loads((night.folder / DESCRIPTION).read_text(encoding="utf-8"))
    contents = [file["sha256"] for file in description["files"]]
    # the store names a night's folder by its identity
    return short_hash(contents or night.folder.name)


def write_environment(folder: Path, facts: Facts, goes_on: bool = False) -> None:
    """Write the facts to a run's folder, beside those of the run's earlier starts.

    Args:
        folder: of the run.
        facts: of this start.
        goes_on: whether the run has begun before; what was not as it is now is warned of.

    Raises:
        InputError: the file cannot be written.
    """
    path = folder / ENVIRONMENT
    if goes_on and path.is_file():
        first = json.loads(path.read_text(encoding="utf-8"))
        for difference in differences(first, facts):
            logger.warning("not as when this run began: %s", difference)
        facts = {**first, LATER: [*first.get(LATER, ()), facts]}
    write_whole(path, f"{json.dumps(facts, indent=1)}\n".encode())


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In words, what is not the same in the facts of two runs; the command apart."""
    old, new = before["data"]["nights"], now["data"]["nights"]
    nights = {
        "nights with other contents": [n for n in old if n in new and new[n] != old[n]],
        "nights that are gone": [n for n in old if n not in new],
        "new nights": [n for n in new if n not in old],
    }
    was, is_now = dict(_flat(before)), dict(_flat(now))
    return [f"{what}: {', '.join(names)}" for what, names in nights.items() if names] + [
        f"{key} is {is_now.get(key)}, was {was.get(key)}"
        for key in dict.fromkeys((*was, *is_now))
        if was.get(key) != is_now.get(key)
    ]


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in facts.items():
        if key in APART:
            continue
        if isinstance(value, Mapping):
            yield from ((f"{key}.{inner}", fact) for inner, fact in value.items())
        else:
            yield key, value
