"""Nights of which there are no signals, only features that somebody else has computed.

Such a night is a recording like any other: its channels are the table's columns, with one sample
for each sleep epoch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, nearest
from sleep_lab.recordings.channel import Channel
from sleep_lab.recordings.listing import found_files, night_id, person_of, sorted_nights
from sleep_lab.recordings.recording import Recording
from sleep_lab.recordings.table_file import SUFFIXES, Table, nights_in, read_table
from sleep_lab.stages import SLEEP_EPOCH_S, UNSCORED

PERSON = "person"
"""The column that says whose night it is, where the user does not name one."""


@dataclass(frozen=True)
class TableSource:
    """The columns of a table, which are few.

    Attributes:
        table: the table.
        columns: which of its features, in this order.
    """

    table: Table
    columns: tuple[str, ...]

    def read(self, channel: int, start: int, stop: int) -> NDArray[np.float32]:
        """Rows [start, stop) of a column; InputError if anything in it is no number."""
        return self.table.read(self.columns[channel])[start:stop]


@dataclass(frozen=True)
class FeatureTable:
    """A night in a table.

    Attributes:
        id: the night's name.
        person: whose night it is.
        path: the file.
        night: which night of an npz of many; None if it is the only one.
        columns: the features that all tables have, in their order.
        stage: the column of stages, or None if nobody scored the night.
        person_column: the column that says whose night it is, or None if none does.
    """

    id: str
    person: str
    path: Path
    night: str | None
    columns: tuple[str, ...]
    stage: str | None
    person_column: str | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The table's file."""
        return (self.path,)

    @property
    def identity(self) -> dict[str, Any]:
        """The absolute path, and what of it is read."""
        return {
            "files": [str(self.path.resolve())],
            "night": self.night,
            "columns": list(self.columns),
            "stage": self.stage,
        }

    def open(self) -> Recording:
        """The night, with the columns as channels of 1/30 Hz.

        Raises:
            InputError: the table cannot be used, or has other columns than the first one.
        """
        table = read_table(self.path, self.night, self.stage, self.person_column or PERSON)
        self._require_columns(table)
        scored = table.stages is not None and (table.stages != UNSCORED).any()
        return Recording(
            id=self.id,
            channels=tuple(
                Channel(name, "other", 1 / SLEEP_EPOCH_S, table.epochs, unit="")
                for name in self.columns
            ),
            source=TableSource(table, self.columns),
            hypnogram=table.stages if scored else None,
            start_time=None,
            origin=table.origin,
            start_s=0.0,
            duration_s=float(table.epochs * SLEEP_EPOCH_S),
        )

    def _require_columns(self, table: Table) -> None:
        """Raise InputError if the table has other columns than the first one."""
        columns = [
            *table.columns,
            *([] if table.person is None else [self.person_column or PERSON]),
        ]
        due = [*self.columns, *([] if self.person_column is None else [self.person_column])]
        for there, wanted, what in ((columns, due, "no"), (due, columns, "one more")):
            different = [name for name in wanted if name not in there]
            if different:
                raise InputError(
                    f"{table.origin}: it has {what} column {different[0]!r}, unlike the first "
                    "table; all tables want the same columns"
                )


def feature_tables(
    folder: Path | str,
    pattern: str | None = None,
    stage: str | None = "stage",
    person: str | None = None,
    person_pattern: str | None = None,
) -> list[FeatureTable]:
    """The nights in tables of features (npz, CSV or parquet), sorted by id.

    A table is one night, a row each sleep epoch. Of a CSV or parquet file, all columns but those of
    stages and person are features, and what nobody reads of them need not be numbers. An npz holds
    arrays `features` (epochs, columns), `stages` (epochs,), and if need be `columns` (names) and
    `person`; or NIGHT/features and NIGHT/stages of many nights. Stages are codes from -1 to 4, or
    names.

    Args:
        folder: where to look, folders below it included; or one file.
        pattern: which files; all tables if None.
        stage: the column of stages; None if nobody scored the nights.
        person: the column (in an npz, the array) that says whose night it is; one called "person"
            if None, and the first table has it.
        person_pattern: regular expression whose first group in a night's id (or whole match) is
            the person instead. Without either, every night is another person.

    Raises:
        InputError: no table, two nights with one id, or a first table that cannot be used.
    """
    root = Path(folder)
    if person is not None and person_pattern is not None:
        raise InputError("give data.person or data.person_pattern, not both")
    if root.is_file():
        paths, root = [root], root.parent
    else:
        paths = found_files(root, *([pattern] if pattern else [f"*{s}" for s in SUFFIXES]))
    places = [place for path in paths for place in _places(path, root)]
    column = person or PERSON
    first = read_table(*places[0][1:], stage, column)
    if person is not None and first.person is None:
        raise InputError(
            f"{first.origin}: no column {person!r} (data.person); {nearest(person, first.columns)}"
        )
    person_column = None if first.person is None else column
    return sorted_nights(
        FeatureTable(
            id=name,
            person=person_of(name, person_pattern)
            if person_column is None or person_pattern is not None
            else _person(read_table(path, night, stage, person_column), person_column),
            path=path,
            night=night,
            columns=tuple(first.columns),
            stage=stage,
            person_column=person_column,
        )
        for name, path, night in places
    )


def _places(path: Path, root: Path) -> Iterator[tuple[str, Path, str | None]]:
    """The id of each night in the file, and where it is."""
    nights = nights_in(path)
    for night in nights:
        yield night.replace("/", "-"), path, night
    if not nights:
        yield night_id(path, root), path, None


def _person(table: Table, column: str) -> str:
    if table.person is None:
        raise InputError(f"{table.origin}: no column {column!r}, which the first table has")
    return table.person
