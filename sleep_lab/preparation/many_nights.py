"""Preparing many nights at once: in parallel, with progress, and with every failure told."""

import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sleep_lab.errors import InputError
from sleep_lab.preparation.preparation import Preparation
from sleep_lab.preparation.prepared_night import PreparedNight
from sleep_lab.preparation.store import night_folder, prepare, stored_night
from sleep_lab.recordings import NightSource

logger = logging.getLogger(__name__)

Outcome = PreparedNight | InputError


def prepare_nights(
    sources: Sequence[NightSource],
    preparation: Preparation | Callable[[NightSource], Preparation],
    store: Path,
    workers: int | None = None,
) -> tuple[list[PreparedNight], list[InputError]]:
    """All nights, prepared, and what was wrong with those that could not be.

    Args:
        sources: the nights; ids must be unique.
        preparation: what to do with them, or what tells it for each.
        store: folder of all prepared nights.
        workers: processes; one per core if None.

    Returns:
        The prepared nights and the errors, each in the order of `sources`.
    """
    ids = [source.id for source in sources]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise InputError(f"two nights have the same id: {', '.join(twice)}; rename their files")
    outcomes: dict[str, Outcome] = {}
    todo = []
    for source in sources:
        try:
            own = preparation if isinstance(preparation, Preparation) else preparation(source)
            night = stored_night(night_folder(source, own, store), source)
        except InputError as error:
            outcomes[source.id] = error
            continue
        if night is None:
            todo.append((source, own))
        else:
            outcomes[source.id] = night
    if todo:
        logger.info("preparing %d nights in %s (%d are there)", len(todo), store, len(outcomes))
        processes = min(workers or os.cpu_count() or 1, len(todo))
        for source, outcome in _shown(_prepared(todo, store, processes), len(todo)):
            outcomes[source.id] = outcome
    ordered = [outcomes[name] for name in ids]
    nights = [outcome for outcome in ordered if isinstance(outcome, PreparedNight)]
    errors = [outcome for outcome in ordered if isinstance(outcome, InputError)]
    return nights, errors


def prepare_all(
    sources: Sequence[NightSource],
    preparation: Preparation | Callable[[NightSource], Preparation],
    store: Path,
    workers: int | None = None,
    skip_bad_nights: bool = False,
) -> list[PreparedNight]:
    """All nights, prepared; the bad ones are an error at the end, or left out with a warning.

    Raises:
        InputError: some night cannot be prepared and `skip_bad_nights` is false, or none can be.
    """
    nights, errors = prepare_nights(sources, preparation, store, workers)
    if not errors:
        return nights
    if skip_bad_nights and nights:
        for error in errors:
            logger.warning("left out: %s", error)
        return nights
    if len(sources) == 1:
        raise errors[0]
    for error in errors:
        logger.error("%s", error)
    raise InputError(
        f"{len(errors)} of {len(sources)} nights cannot be prepared, the first: {errors[0]}; "
        "mend them, or leave them out with skip_bad_nights=true"
    )


def _prepared(
    todo: Sequence[tuple[NightSource, Preparation]], store: Path, processes: int
) -> Iterator[tuple[NightSource, Outcome]]:
    if processes == 1:
        for source, preparation in todo:
            yield source, _attempt(source, preparation, store)
        return
    # spawned, since a fork of a process with threads (torch's, the progress bar's) can hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = {pool.submit(_attempt, *night, store): night[0] for night in todo}
        for done in as_completed(running):
            yield running[done], done.result()


def _attempt(source: NightSource, preparation: Preparation, store: Path) -> Outcome:
    try:
        return prepare(source, preparation, store)
    except InputError as error:
        return error


def _shown(
    outcomes: Iterable[tuple[NightSource, Outcome]], total: int
) -> Iterator[tuple[NightSource, Outcome]]:
    """Pass the outcomes on, with a progress bar, or a line each where there is no terminal."""
    if not sys.stderr.isatty():
        for count, (source, outcome) in enumerate(outcomes, 1):
            what = "failed" if isinstance(outcome, InputError) else "prepared"
            logger.info("%s %d/%d: %s", what, count, total, source.id)
            yield source, outcome
        return
    columns = (
        TextColumn("preparing {task.fields[night]}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("", total=total, night="")
        for source, outcome in outcomes:
            progress.update(task, advance=1, night=source.id)
            yield source, outcome
