"""Nights in h5 files: `signals/KIND/NAME` in microvolts, a description, a hypnogram.

The format of the Dreem Open Datasets (Guillot et al. 2020, IEEE TNSRE), to which `scorings/NAME`
adds what further people scored.
"""

import json
import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.recordings.channel import Channel, Kind
from sleep_lab.recordings.recording import Recording
from sleep_lab.recordings.scoring import Scoring, stages_of_codes

_SCORINGS = "scorings"
_KINDS: dict[str, Kind] = {"eeg": "eeg", "eog": "eog", "emg": "emg", "ecg": "ecg"}


@dataclass(frozen=True)
class H5Source:
    """The samples of an h5 file; the file is open only during a read.

    Attributes:
        path: the file.
        datasets: the path within the file of each channel.
    """

    path: Path
    datasets: tuple[str, ...]

    def read(self, channel: int, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of a channel, in the channel's unit.

        Raises:
            InputError: the file is gone or damaged.
        """
        dataset = self.datasets[channel]
        with _opened(self.path) as file:
            try:
                return file[dataset][start:stop].astype(np.float32)
            except (OSError, KeyError) as error:
                raise InputError(
                    f"{self.path}: {dataset} cannot be read: {error}; copy the file again"
                ) from error


@dataclass(frozen=True)
class H5File:
    """An h5 file of one night."""

    path: Path

    def recording(self) -> Recording:
        """The night without its hypnogram; it lasts as long as its shortest signal.

        Raises:
            InputError: the description is missing or does not agree with the file.
        """
        with _opened(self.path) as file:
            signals = _signals(self.path, file)
            start_time = _start_time(self.path, file)
        channels = tuple(signals.values())
        return Recording(
            id=self.path.stem,
            channels=channels,
            source=H5Source(self.path, tuple(signals)),
            hypnogram=None,
            start_time=start_time,
            origin=str(self.path),
            start_s=0.0,
            duration_s=min(channel.samples / channel.sampling_rate for channel in channels),
        )

    def scoring(self) -> Scoring | None:
        """The dataset `hypnogram`, if there is one; it begins with the signals.

        Raises:
            InputError: it holds something else than stage codes.
        """
        with _opened(self.path) as file:
            if "hypnogram" not in file:
                return None
            codes = np.asarray(file["hypnogram"])
        return Scoring(str(self.path), stages_of_codes(codes, str(self.path)))

    def further_scorings(self) -> dict[str, Scoring]:
        """The datasets `scorings/NAME`, by the scorers' names; they begin with the signals.

        Raises:
            InputError: one of them holds something else than stage codes.
        """
        with _opened(self.path) as file:
            group = file.get(_SCORINGS, {})
            if isinstance(group, h5py.Dataset) or not all(
                isinstance(group.get(name), h5py.Dataset) for name in group
            ):
                raise InputError(
                    f"{self.path}: {_SCORINGS} has to be a group with one dataset of stage codes "
                    "for each scorer; write it again or remove it"
                )
            codes = {name: np.asarray(group[name]) for name in group}
        origins = {name: f"{self.path}: {_SCORINGS}/{name}" for name in codes}
        return {
            name: Scoring(origins[name], stages_of_codes(codes[name], origins[name]))
            for name in codes
        }


def write_h5(recording: Recording, path: Path) -> None:
    """Write a night to `path`, which is replaced only when the new file is whole.

    Reading it back gives the same channels, samples, scorings and start time. The start time is
    written as if it were UTC.

    Raises:
        InputError: two channels have the same name, or the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(partial, "w") as file:
            _write(recording, file)
        partial.replace(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _write(recording: Recording, file: h5py.File) -> None:
    entries = []
    for channel in recording.channels:
        dataset = f"signals/{channel.kind}/{channel.name.removeprefix(channel.kind + '/')}"
        if posixpath.normpath(dataset) != dataset:
            raise ValueError(f"no signal in an h5 file can be called {channel.name!r}")
        file[dataset] = recording.read(channel.name)
        entries.append({"path": dataset, "fs": channel.sampling_rate, "unit": channel.unit})
    file.attrs["description"] = json.dumps(entries)
    if recording.hypnogram is not None:
        file["hypnogram"] = recording.hypnogram
    for name, stages in recording.scorings.items():
        file[f"{_SCORINGS}/{name}"] = stages
    if recording.start_time is not None:
        file.attrs["start_time"] = recording.start_time.replace(tzinfo=UTC).timestamp()


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read as h5: {error}; copy it again") from error


def _signals(path: Path, file: h5py.File) -> dict[str, Channel]:
    """The channel of each dataset that the description lists, in its order."""
    entries = {entry["path"].strip("/"): entry for entry in _description(path, file)}
    names = [_group_and_name(dataset)[1] for dataset in entries]
    return {
        dataset: _channel(path, file, dataset, entry, qualified=names.count(name) > 1)
        for name, (dataset, entry) in zip(names, entries.items(), strict=True)
    }


def _description(path: Path, file: h5py.File) -> list[dict[str, Any]]:
    """The entries of the attribute `description`, one per signal."""
    remedy = 'it has to be a JSON list of {"path": "signals/eeg/C3_M2", "fs": 250}'
    if "description" not in file.attrs:
        raise InputError(f"{path}: the attribute 'description' is missing; {remedy}")
    try:
        entries = json.loads(file.attrs["description"])
        readable = all(isinstance(entry["path"], str) for entry in entries)
    except (ValueError, TypeError, KeyError):
        readable = False
    if not readable or not entries:
        raise InputError(f"{path}: the attribute 'description' lists no signals; {remedy}")
    return entries


def _channel(
    path: Path, file: h5py.File, dataset: str, entry: dict[str, Any], qualified: bool
) -> Channel:
    samples = file.get(dataset)
    if not isinstance(samples, h5py.Dataset):
        raise InputError(
            f"{path}: the attribute 'description' lists {dataset}, which is not in the file; "
            "remove the entry or add the signal"
        )
    if samples.ndim != 1 or samples.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: {dataset} is an array of {samples.dtype} with shape {samples.shape}; "
            "a signal has to be one row of numbers"
        )
    rate = entry.get("fs")
    if not isinstance(rate, int | float) or not rate > 0:
        raise InputError(
            f"{path}: the entry of {dataset} in the attribute 'description' has fs {rate!r}; "
            "it has to be the sampling rate in Hz"
        )
    group, name = _group_and_name(dataset)
    kind = "ecg" if name.upper() in ("ECG", "EKG") else _KINDS.get(group, "other")
    return Channel(
        name=f"{group}/{name}" if qualified else name,
        kind=kind,
        sampling_rate=float(rate),
        samples=len(samples),
        unit=entry.get("unit", "" if kind == "other" else "uV"),
    )


def _group_and_name(dataset: str) -> tuple[str, str]:
    *group, name = dataset.removeprefix("signals/").split("/", 1)
    return "".join(group), name


def _start_time(path: Path, file: h5py.File) -> datetime | None:
    """The attribute or dataset `start_time`, seconds since 1970, as UTC without time zone."""
    found = file.attrs.get("start_time", file.get("start_time"))
    if found is None:
        return None
    try:
        seconds = float(np.asarray(found).item())
        return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise InputError(
            f"{path}: start_time is not a number of seconds since 1970 ({error})"
        ) from error
