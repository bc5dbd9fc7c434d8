"""The store of prepared nights: written whole or not at all, reused while nothing changed."""

import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sleep_lab.errors import InputError
from sleep_lab.preparation.preparation import Derivation, Preparation, short_hash
from sleep_lab.preparation.prepared_night import DESCRIPTION, PreparedGroup, PreparedNight
from sleep_lab.preparation.signal import Signal, processed, read_signal, require_alike
from sleep_lab.recordings import NightSource, Recording
from sleep_lab.stages import SLEEP_EPOCH_S, UNSCORED

logger = logging.getLogger(__name__)


def prepare(source: NightSource, preparation: Preparation, store: Path) -> PreparedNight:
    """The night, prepared: from the store if it is there and its files are unchanged.

    The night's folder is `store/FINGERPRINT/ID-KEY`, where the key tells apart nights of one name
    from different places. Processes that want the same night at once wait for the one that works.

    Args:
        source: the night.
        preparation: what to do with it.
        store: folder of all prepared nights; made if need be.

    Raises:
        InputError: the recording cannot be read or does not suit the preparation; nothing is left.
    """
    folder = night_folder(source, preparation, store)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{folder.name}.lock"):
            night = stored_night(folder, source)
            if night is None:
                _discard_partial(folder)
                night = _prepare_into(folder, source, preparation)
            return night
    except OSError as error:
        raise InputError(f"{source.id}: cannot prepare it in {store}: {error}") from error


def night_folder(source: NightSource, preparation: Preparation, store: Path) -> Path:
    """Where the store keeps that night, whether it is there or not."""
    key = short_hash(source.identity)[:8]
    return store / preparation.fingerprint / f"{source.id}-{key}"


def stored_night(folder: Path, source: NightSource) -> PreparedNight | None:
    """The night in `folder`, or None if it is not there or its source has changed since."""
    if not (folder / DESCRIPTION).is_file():
        return None
    try:
        night = PreparedNight.read(folder)
    except InputError as error:
        logger.warning("%s", error)
        return None
    known = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["files"]
    if len(known) != len(source.files):
        return None
    if all(_unchanged(path, facts) for path, facts in zip(source.files, known, strict=True)):
        # the person is not the file's, but read from its name by a pattern that may change
        return replace(night, person=source.person)
    logger.info("%s has changed since it was prepared", source.id)
    return None


def _prepare_into(folder: Path, source: NightSource, preparation: Preparation) -> PreparedNight:
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        files = [_file_facts(path) for path in source.files]
        recording = source.open()
        night = _write_arrays(partial, recording, preparation, source)
        facts = {**night.describe(), "origin": recording.origin, "files": files}
        (partial / DESCRIPTION).write_text(json.dumps(facts, indent=1), encoding="utf-8")
        _move_into_place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return PreparedNight.read(folder)


def _write_arrays(
    folder: Path, recording: Recording, preparation: Preparation, source: NightSource
) -> PreparedNight:
    recording = recording.cut(0, recording.epochs)
    (folder / "signals").mkdir(parents=True)
    (folder / "features").mkdir()
    groups: dict[str, PreparedGroup] = {}
    paddings: dict[str, int] = {}
    for name, group in preparation.groups.items():
        path = folder / "signals" / f"{name}.mm"
        where = f"{recording.origin}: group {name!r}"
        groups[name], paddings[name] = _write_group(path, where, recording, group)
    if len(set(paddings.values())) > 1:
        raise InputError(
            f"{recording.origin}: groups have different padding ({paddings}, in epochs of 30 s); "
            "give every group the same"
        )
    padding = next(iter(paddings.values()), round(preparation.padding_s / SLEEP_EPOCH_S))
    widths = {}
    for name, feature in preparation.features.items():
        values = np.asarray(feature(recording, padding), dtype=np.float32)
        values.tofile(folder / "features" / f"{name}.mm")
        widths[name] = values.shape[1]
    hypnogram = recording.hypnogram
    if hypnogram is None:
        hypnogram = np.full(recording.epochs, UNSCORED, dtype=np.int8)
    _write_stages(folder / "hypnogram.mm", [hypnogram], padding)
    _write_stages(folder / "scorings.mm", recording.scorings.values(), padding)
    return PreparedNight(
        folder=folder,
        id=source.id,
        person=source.person,
        epochs=recording.epochs,
        padding=padding,
        groups=groups,
        features=widths,
        first_epoch=int((recording.start_s + 0.01) // SLEEP_EPOCH_S),
        start_time=recording.start_time,
        scored=recording.hypnogram is not None,
        scorers=tuple(recording.scorings),
    )


def _write_stages(path: Path, hypnograms: Iterable[NDArray[np.int8]], padding: int) -> None:
    """Write hypnograms one after the other, unscored in their padding."""
    with path.open("wb") as file:
        for hypnogram in hypnograms:
            padded = np.pad(hypnogram, padding, constant_values=UNSCORED)
            file.write(padded.astype(np.int8).tobytes())


def _write_group(
    path: Path, where: str, recording: Recording, group: Derivation
) -> tuple[PreparedGroup, int]:
    """Write one group column by column; returns its facts and its padding in sleep epochs."""
    stored: np.memmap | None = None
    first: Signal | None = None
    names = []
    for column, signal in enumerate(processed_signals(recording, group)):
        if first is None or stored is None:
            first = signal
            stored = _allocate(path, (len(signal.values), group.width))
        require_alike(first, signal)
        stored[:, column] = signal.values
        names.append(signal.name)
    if first is None or stored is None:
        raise InputError(f"{where} has no signal")
    stored.flush()
    padding = first.padding_s / SLEEP_EPOCH_S
    samples = SLEEP_EPOCH_S * first.sampling_rate
    if padding != round(padding):
        raise InputError(f"{where}: padding of {first.padding_s:g} s is no multiple of 30 s")
    if samples != round(samples):
        raise InputError(
            f"{where}: {first.sampling_rate:g} Hz does not divide 30 s into whole samples; resample"
        )
    expected = round((recording.epochs + 2 * padding) * samples)
    if len(first.values) != expected:
        raise InputError(
            f"{where} has {len(first.values)} samples after processing where {expected} are due"
        )
    return PreparedGroup(tuple(names), first.sampling_rate), round(padding)


def processed_signals(recording: Recording, group: Derivation) -> Iterator[Signal]:
    """The group's signals after its processings, one channel in memory at a time."""

    def inputs() -> Iterator[Signal]:
        for channel in group.channels:
            if isinstance(channel, Derivation):
                yield from processed_signals(recording, channel)
            else:
                yield read_signal(recording, channel)

    yield from processed(inputs(), group.processings)


def _allocate(path: Path, shape: tuple[int, int]) -> np.memmap:
    with path.open("wb") as file:
        size = int(np.prod(shape)) * np.dtype(np.float32).itemsize
        if hasattr(os, "posix_fallocate"):
            # a full disk is an error here; met later, in mapped memory, it would kill the process
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    return np.memmap(path, dtype=np.float32, mode="r+", shape=shape)


def _move_into_place(partial: Path, folder: Path) -> None:
    if folder.exists():
        # a folder cannot replace another in one step: the old one leaves first
        old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.partial")
        folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    partial.rename(folder)


def _discard_partial(folder: Path) -> None:
    """Remove what killed processes left; called with the night's lock held."""
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)


def _file_facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    status = path.stat()
    size, mtime_ns = status.st_size, status.st_mtime_ns
    return {"size": size, "mtime_ns": mtime_ns, "sha256": _sha256(path, size, mtime_ns)}


def _unchanged(path: Path, facts: dict[str, Any]) -> bool:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    status = path.stat()
    size, mtime_ns = status.st_size, status.st_mtime_ns
    if size != facts["size"]:
        return False
    return mtime_ns == facts["mtime_ns"] or _sha256(path, size, mtime_ns) == facts["sha256"]


@lru_cache
def _sha256(path: Path, _size: int, _mtime_ns: int) -> str:
    """Kept while size and time stay the same, since one file may hold many nights."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
