"""Tables in npz, CSV and parquet files: a row for each sleep epoch, a column for each feature."""

import csv
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sleep_lab.errors import InputError, nearest, one_line
from sleep_lab.recordings.scoring import stages_of_codes, stages_of_texts
from sleep_lab.stages import UNSCORED

SUFFIXES = (".npz", ".csv", ".parquet")
"""What files of tables are called."""

_FEATURES = "/features"
_UNREADABLE = (
    *(OSError, ValueError, EOFError, RuntimeError, KeyError),
    *(zipfile.BadZipFile, zlib.error, csv.Error),
)


@dataclass(frozen=True)
class Table:
    """One night's table.

    Attributes:
        origin: the file, and the night in it, for messages.
        columns: the features as they are written, by name; `read` makes numbers of one.
        epochs: number of rows.
        stages: (epochs,) int8 stage codes, or None.
        person: whose night it is, or None if the table does not say.
    """

    origin: str
    columns: Mapping[str, NDArray[Any]]
    epochs: int
    stages: NDArray[np.int8] | None
    person: str | None

    def read(self, name: str) -> NDArray[np.float32]:
        """(epochs,) float32 of a feature, all finite.

        Raises:
            InputError: something in the column is no number; a column that nobody reads may hold
                anything.
        """
        return _numbers(self.origin, name, self.columns[name])


def nights_in(path: Path) -> list[str]:
    """The nights of an npz of many, as its arrays NIGHT/features are called; [] for one night.

    Raises:
        InputError: it cannot be read.
    """
    if path.suffix.casefold() != ".npz":
        return []
    with _npz(path) as arrays:
        return [key.removesuffix(_FEATURES) for key in arrays.files if key.endswith(_FEATURES)]


def read_table(path: Path, night: str | None, stage: str | None, person: str) -> Table:
    """One night's table, checked but for the cells of its features (`Table.read`).

    Args:
        path: an npz, CSV or parquet file.
        night: which night of an npz of many.
        stage: the column of stages (in an npz, the array `stages`), or None if nobody scored it.
        person: the column (in an npz, the array) that says whose night it is, if there is one.

    Raises:
        InputError: it cannot be read, or has no such stages or no features.
    """
    origin = str(path) if night is None else f"{path}: {night}"
    suffix = path.suffix.casefold()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: a table is a file called {', '.join(SUFFIXES)}, not {suffix}")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        if suffix == ".npz":
            columns = _npz_columns(path, origin, f"{night}/" if night else "", stage, person)
        else:
            columns = _csv_columns(path) if suffix == ".csv" else _parquet_columns(path)
    except _UNREADABLE as error:
        raise InputError(f"{origin}: cannot be read: {one_line(error)}; write it again") from error
    return _table(origin, columns, stage, person)


def _table(
    origin: str, columns: Mapping[str, NDArray[Any]], stage: str | None, person: str
) -> Table:
    if stage is not None and stage not in columns:
        raise InputError(
            f"{origin}: no column {stage!r}; set data.stage to that of the stages, "
            f"{nearest(stage, columns)}"
        )
    features = {name: cells for name, cells in columns.items() if name not in (stage, person)}
    if not features:
        raise InputError(f"{origin}: it has no column of features")
    epochs = len(next(iter(features.values())))
    if not epochs:
        raise InputError(f"{origin}: it has no rows; there is one for each sleep epoch")
    return Table(
        origin=origin,
        columns=features,
        epochs=epochs,
        stages=None if stage is None else _stages(f"{origin}: column {stage!r}", columns[stage]),
        person=_one_person(origin, person, columns[person]) if person in columns else None,
    )


def _numbers(origin: str, name: str, column: NDArray[Any]) -> NDArray[np.float32]:
    remedy = "every feature of every sleep epoch wants a number"
    if column.dtype.kind not in "iufbUO":
        raise InputError(
            f"{origin}: column {name!r} holds {column.dtype}; {remedy}, or leave it out"
        )
    try:
        with np.errstate(over="ignore"):
            numbers = column.astype(np.float64).astype(np.float32)
    except (TypeError, ValueError):
        row, cell = next((n, c) for n, c in enumerate(column.tolist()) if not _is_number(c))
        raise InputError(
            f"{origin}: column {name!r}, row {row + 1}: {cell!r} is no number; {remedy} (what is "
            "no feature can be named with data.stage or data.person, or left out)"
        ) from None
    finite = np.isfinite(numbers)
    if not finite.all():
        row = int(np.argmin(finite))
        raise InputError(f"{origin}: column {name!r}, row {row + 1} is {column[row]}; {remedy}")
    return numbers


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def _stages(origin: str, column: NDArray[Any]) -> NDArray[np.int8]:
    if column.dtype.kind == "O":
        column = np.array(["" if cell is None else str(cell) for cell in column.tolist()])
    if column.dtype.kind == "U":
        return stages_of_texts(column, origin)
    if column.dtype.kind == "f":
        column = np.where(np.isnan(column), UNSCORED, column)
    return stages_of_codes(column, origin)


def _one_person(origin: str, name: str, column: NDArray[Any]) -> str:
    people = [str(person) for person in dict.fromkeys(column.ravel().tolist())]
    if len(people) > 1:
        raise InputError(
            f"{origin}: column {name!r} names more than one person ({people[0]}, {people[1]}); a "
            "table is one night"
        )
    return people[0]


def _named(path: Path, names: list[str]) -> list[str]:
    """The names of columns themselves, if each is there and there once."""
    if "" in names:
        raise InputError(
            f"{path}: column {names.index('') + 1} has no name; name it, or write the table "
            "without its index"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"{path}: two columns are called {twice[0]!r}; rename one")
    return names


def _csv_columns(path: Path) -> dict[str, NDArray[Any]]:
    try:
        names, rows = _csv_cells(path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read: {error}; save it as UTF-8") from error
    cells = np.array(rows, dtype=np.str_).reshape(len(rows), len(names))
    return dict(zip(names, cells.T, strict=True))


def _csv_cells(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header, and the rows below it."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if len(header) == 1 and (";" in header[0] or "\t" in header[0]):
            raise InputError(f"{path}: cells must be separated by commas; its header has none")
        names = _named(path, [name.strip() for name in header])
        rows = []
        for row in reader:
            if row and len(row) != len(names):
                raise InputError(
                    f"{path}: line {reader.line_num} has {len(row)} cells, the header has "
                    f"{len(names)}"
                )
            if row:
                rows.append(row)
    return names, rows


def _parquet_columns(path: Path) -> dict[str, NDArray[Any]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{path}: reading parquet needs pyarrow: pip install 'sleep-lab[parquet]'"
        ) from None
    table = parquet.ParquetFile(path).read()
    # pandas keeps an index in columns of this name
    kept = [name for name in table.column_names if not name.startswith("__index_level_")]
    names = _named(path, kept)
    return {name: table.column(name).to_numpy() for name in names}


@contextmanager
def _npz(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """An npz file, open; nothing in it is unpickled."""
    try:
        arrays = np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read as npz: {one_line(error)}") from error
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise InputError(f"{path}: it is one array, not an npz of arrays")
    with arrays:
        yield arrays


def _npz_columns(
    path: Path, origin: str, prefix: str, stage: str | None, person: str
) -> dict[str, NDArray[Any]]:
    others = {} if stage is None else {stage: f"{prefix}stages"}
    with _npz(path) as arrays:
        if f"{prefix}{person}" in arrays:
            others[person] = f"{prefix}{person}"
        for key in (f"{prefix}features", *others.values()):
            if key not in arrays:
                raise InputError(f"{origin}: no array {key!r}; {nearest(key, arrays)}")
        features = arrays[f"{prefix}features"]
        if features.ndim != 2 or features.dtype.kind not in "iufb":
            raise InputError(
                f"{origin}: features is an array of {features.dtype} with shape {features.shape}; "
                "it has to be numbers, (epochs, columns)"
            )
        own = next((key for key in (f"{prefix}columns", "columns") if key in arrays), None)
        count = features.shape[1]
        names = [f"column {n}" for n in range(count)] if own is None else arrays[own].ravel()
        if len(names) != count:
            raise InputError(f"{origin}: {own} has {len(names)} names, features {count} columns")
        read = {name: arrays[key] for name, key in others.items()}
    if stage is not None and read[stage].shape != features.shape[:1]:
        raise InputError(
            f"{origin}: stages have shape {read[stage].shape}, features {len(features)} epochs"
        )
    _named(path, [*map(str, names), *read])
    return dict(zip(map(str, names), features.T, strict=True)) | read
