"""Response files on disk as response matrices: CSV and Parquet, wide and long, scored and raw.

A file is understood once, here: which column names the person, which are
items, what a cell means. Whatever cannot be what was meant is refused with its
row and column, counted as a reader of the file counts them.
"""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from assess.errors import InvalidContent, InvalidResponses
from assess.publishing.banks import ItemBank
from assess.publishing.judged import unit_references
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED, ResponseMatrix

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["auto", "wide", "long"]
_PERSON_NAMES = ("person", "id", "learner", "person_id", "learner_id", "student")
_LONG = ("id", "item", "resp")
_EMPTY = ("", "NA", "NaN", "nan", ".")
_HIGHEST = 126


@dataclass(frozen=True)
class ResponseFile:
    """A response file that can be read again and again, whole or in chunks of persons.

    Iterating yields matrices with the same items and numbers of categories,
    so that a calibration needs no more memory than one chunk. Rows of one
    person may stand anywhere in a long file, so that is pivoted as a whole.
    """

    path: Path
    long: bool
    items: tuple[str, ...] = ()
    person: str = ""
    key: Mapping[str, str] = field(default_factory=dict, repr=False)
    known: Mapping[str, int] = field(default_factory=dict, repr=False)
    omitted: tuple[str, ...] = ()
    missing_codes: bool = False
    allow_wide: bool = False
    chunk_persons: int = 100_000

    @property
    def names(self) -> list[str]:
        """The names in its head."""
        return _header(self.path)

    def read(self) -> ResponseMatrix:
        """The whole file as one matrix."""
        matrix = self._matrix(next(_tables(self.path, None)), self.known)
        unlabelled = not (self.items or self.key or self.known)
        if unlabelled and matrix.n_items > matrix.n_persons and not self.allow_wide:
            raise InvalidResponses(
                f"{self.path.name}: {matrix.n_persons} persons x {matrix.n_items} items looks transposed; "
                "put persons on rows, name the items or give the bank, or say allow_wide"
            )
        return matrix

    def __iter__(self) -> Iterator[ResponseMatrix]:
        if self.long:
            whole = self.read()
            for first in range(0, whole.n_persons, self.chunk_persons):
                yield whole.take_persons(np.arange(first, min(first + self.chunk_persons, whole.n_persons)))
            return
        counts = self.known or self._count_categories()
        for table in _tables(self.path, self.chunk_persons):
            yield self._matrix(table, counts)

    def _count_categories(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for table in _tables(self.path, self.chunk_persons):
            matrix = self._matrix(table, {})
            for item, n_categories in zip(matrix.item_ids, matrix.n_categories.tolist(), strict=True):
                counts[item] = max(counts.get(item, 2), int(n_categories))
        return counts

    def _matrix(self, table: pd.DataFrame, counts: Mapping[str, int]) -> ResponseMatrix:
        if self.long:
            table = _pivot(table, self.path.name)
            naming = [str(table.columns[0])]
        else:
            naming = self._person_columns(table)
        persons = _labels(table, naming)
        chosen = self._item_columns([c for c in map(str, table.columns) if c not in naming], persons)
        columns = [self._categories(table[item], item) for item in chosen]
        try:
            return ResponseMatrix(
                np.stack(columns, axis=1), persons, chosen, {i: counts[i] for i in chosen} if counts else None
            )
        except InvalidResponses as fault:
            hint = ""
            if naming and len(set(persons.tolist())) < len(persons):
                hint = f"; where a person has several rows, name them by columns together: {naming[0]}+..."
            raise InvalidResponses(f"{self.path.name}: {fault}{hint}") from None

    def _person_columns(self, table: pd.DataFrame) -> list[str]:
        """The columns that name the persons; none when the rows are numbered."""
        if self.person:
            naming = [self.person] if self.person in table.columns else self.person.split("+")
            for column in naming:
                if column not in table.columns:
                    raise InvalidResponses(
                        f"{self.path.name}: there is no column {column!r} to name the persons"
                    )
            return naming
        first = str(table.columns[0])
        return [first] if first.lower() in _PERSON_NAMES else []

    def _item_columns(self, columns: list[str], persons: NDArray[Any]) -> list[str]:
        """The columns that are items, by pattern, key or bank; else all."""
        if self.items:
            unmatched = [p for p in self.items if not any(fnmatch.fnmatchcase(c, p) for c in columns)]
            if unmatched:
                raise InvalidResponses(
                    f"{self.path.name}: no column is called {unmatched[0]!r}; columns are {_some(columns)}"
                )
            columns = [c for c in columns if any(fnmatch.fnmatchcase(c, p) for p in self.items)]
        for what, labels in (("key", self.key), ("bank", self.known)):
            foreign = [column for column in columns if column not in labels]
            if labels and foreign:
                turned = any(str(row) in labels for row in persons.tolist())
                hint = (
                    "the row labels are items: transpose the file"
                    if turned
                    else "drop the column, or name the columns that are items"
                )
                raise InvalidResponses(
                    f"{self.path.name}: column {foreign[0]!r} is not an item of the {what}; {hint}"
                )
        if not columns:
            raise InvalidResponses(f"{self.path.name}: no column is an item")
        return columns

    def _categories(self, cells: pd.Series[Any], item: str) -> NDArray[np.int8]:
        """The categories of one column; each different cell is understood once."""
        import pandas as pd

        codes, different = pd.factorize(cells)
        meaning = np.empty(len(different) + 1, dtype=np.int8)
        meaning[-1] = NOT_ADMINISTERED  # pandas gives an empty cell of Parquet the code -1
        for code, cell in enumerate(different):
            category, fault = self._category(cell, item)
            if fault:
                row = int(np.flatnonzero(codes == code)[0])
                place = f"column {item!r}" if self.long else f"row {row + 1}, column {item!r}"
                raise InvalidResponses(f"{self.path.name}: {place}: {fault}")
            meaning[code] = category
        return np.asarray(meaning[codes])

    def _category(self, cell: object, item: str) -> tuple[int, str]:
        """What a cell means, or what is wrong with it."""
        text = f"{cell:g}" if isinstance(cell, float) else str(cell).strip()
        if text in _EMPTY:
            return NOT_ADMINISTERED, ""
        if text in self.omitted:
            return OMITTED, ""
        if self.key:
            return int(text == self.key[item]), ""
        try:
            value = float(text)
        except ValueError:
            return 0, f"{text!r} is not a category; give whole numbers from 0, or a key for raw options"
        if self.missing_codes and value in (NOT_ADMINISTERED, OMITTED, NOT_REACHED):
            return int(value), ""
        highest = self.known.get(item, _HIGHEST + 1) - 1
        if not (0 <= value <= highest and value == int(value)):
            return 0, f"{text} is outside 0..{highest}; leave the cell of a missing response empty"
        return int(value), ""


def open_responses(
    path: str | Path,
    *,
    items: Sequence[str] = (),
    person: str = "",
    key: str | Path | Mapping[str, str] | None = None,
    bank: ItemBank | None = None,
    omitted: Sequence[str] = (),
    missing_codes: bool = False,
    format: Format = "auto",
    allow_wide: bool = False,
    chunk_persons: int = 100_000,
) -> ResponseFile:
    """Open a response file for reading, whole or in chunks.

    Parameters
    ----------
    path : path
        CSV (UTF-8, comma, names in the first line) or Parquet.
    items : sequence of str
        Names or patterns (``scored_*``) of the columns that are items; others
        are left aside. Without it every column but the person's must be one.
    person : str
        The column that names the persons, or several (``person+occasion``) where
        one has several rows; else a first column called person, id, learner or
        student, else the rows are numbered.
    key : path or mapping, optional
        Item -> keyed option of a file of raw options: a CSV with the columns item, key.
    bank : ItemBank, optional
        The units that may occur, and how many categories each has.
    omitted : sequence of str
        Cells that mean a blank answer to an item that was shown.
    missing_codes : bool
        Take -1, -2, -3 as not administered, omitted, not reached.
    format : str
        "wide" (a column per item), "long" (columns id, item, resp; one row per
        response), or "auto": long if those three columns are there.
    allow_wide : bool
        Accept more items than persons although nothing names the items.

    Raises
    ------
    InvalidResponses
        When the file is opened or read, naming row and column.
    """
    file = Path(path)
    header = _header(file)
    if not _is_parquet(file):
        _check_rows(file, len(header))
    has_long = all(name in header for name in _LONG)
    if format == "long" and not has_long:
        absent = next(name for name in _LONG if name not in header)
        raise InvalidResponses(
            f"{file.name}: a long file has the columns id, item, resp; {absent!r} is not there"
        )
    return ResponseFile(
        path=file,
        long=has_long if format == "auto" else format == "long",
        items=tuple(items),
        person=person,
        key=key if isinstance(key, Mapping) else {} if key is None else read_key(key),
        known={} if bank is None else _categories_of(bank),
        omitted=tuple(omitted),
        missing_codes=missing_codes,
        allow_wide=allow_wide,
        chunk_persons=chunk_persons,
    )


def read_responses(
    path: str | Path,
    *,
    items: Sequence[str] = (),
    person: str = "",
    key: str | Path | Mapping[str, str] | None = None,
    bank: ItemBank | None = None,
    omitted: Sequence[str] = (),
    missing_codes: bool = False,
    format: Format = "auto",
    allow_wide: bool = False,
) -> ResponseMatrix:
    r"""Read a whole response file; see `open_responses` for the arguments.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "test.csv")
    ...     _ = path.write_text("person,i1,i2\np1,a,b\np2,a,\n")
    ...     read_responses(path, key={"i1": "a", "i2": "c"}).categories.tolist()
    [[1, 0], [1, -1]]
    """
    return open_responses(
        path,
        items=items,
        person=person,
        key=key,
        bank=bank,
        omitted=omitted,
        missing_codes=missing_codes,
        format=format,
        allow_wide=allow_wide,
    ).read()


def read_options(path: str | Path, key: Mapping[str, str], *, person: str = "") -> pd.DataFrame:
    r"""The chosen options of the items of a key, as text: what distractors are studied in.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "test.csv")
    ...     _ = path.write_text("person,i1,sex\np1,a,f\np2,b,m\n")
    ...     read_options(path, {"i1": "a"})["i1"].tolist()
    ['a', 'b']
    """
    file = open_responses(path, items=list(key), person=person)
    table = next(_tables(file.path, None))
    index = _labels(table, file._person_columns(table))
    missing = [item for item in key if item not in table.columns]
    if missing:
        raise InvalidResponses(f"{file.path.name}: no column is called {missing[0]!r}, which the key names")
    return table[list(key)].set_axis(index, axis=0)


def read_column(path: str | Path, column: str) -> list[str]:
    r"""One column of a wide file as text, in the order of its rows: groups to compare, for example.

    Raises
    ------
    InvalidResponses
        There is no such column.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "test.csv")
    ...     _ = path.write_text("person,sex,i1\np1,f,1\np2,m,0\n")
    ...     read_column(path, "sex")
    ['f', 'm']
    """
    file = Path(path)
    names = _header(file)
    if column not in names:
        raise InvalidResponses(f"{file.name}: no column is called {column!r}; columns are {_some(names)}")
    return [str(value) for value in next(_tables(file, None))[column].tolist()]


def read_key(path: str | Path) -> dict[str, str]:
    """The keyed option of each item, from a CSV with the columns item, key."""
    file = Path(path)
    table = next(_tables(file, None))
    if list(table.columns) != ["item", "key"]:
        raise InvalidContent(
            f"a key has the columns item, key; got {_some(list(table.columns))}", place=file.name
        )
    key: dict[str, str] = {}
    for row, (item, option) in enumerate(zip(table["item"], table["key"], strict=True), start=1):
        if not str(option).strip() or item in key:
            fault = f"item {item!r} is listed twice" if item in key else f"item {item!r} has no key"
            raise InvalidContent(f"row {row}: {fault}", place=file.name)
        key[str(item)] = str(option).strip()
    return key


# --- inside ----------------------------------------------------------------


def _labels(table: pd.DataFrame, naming: list[str]) -> NDArray[Any]:
    """What the rows are called: by a column, by several together, or by their number."""
    if not naming:
        return np.asarray(table.index.to_numpy() + 1)
    if len(naming) == 1:
        return np.asarray(table[naming[0]].to_numpy())
    rows = table[naming].astype(str).itertuples(index=False)
    return np.array(["/".join(row) for row in rows], dtype=object)


def _categories_of(bank: ItemBank) -> dict[str, int]:
    return {
        unit: 1 + sum(item.n_categories - 1 for item in bank.unit_items(unit))
        for unit in unit_references(bank)
    }


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def _header(path: Path) -> list[str]:
    """The column names, checked: a file that is not a table is refused here."""
    if not path.is_file():
        raise InvalidResponses(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise InvalidResponses(f"{path.name}: the file is empty")
    if _is_parquet(path):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return [str(name) for name in pq.read_schema(path).names]
        except pa.ArrowInvalid:
            raise InvalidResponses(f"{path.name}: this is not a Parquet file") from None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise InvalidResponses(f"{path.name}: the first line has no comma; separate the columns by commas")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InvalidResponses(f"{path.name}: two columns are called {doubled[0]!r}; item ids are unique")
    if "" in names:
        raise InvalidResponses(f"{path.name}: column {names.index('') + 1} has no name in the first line")
    return names


def _check_rows(path: Path, n_cells: int) -> None:
    """Every row of a CSV has as many cells as the first line: a row cut off is not a row of blanks."""
    n_rows = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for n_rows, row in enumerate(csv.reader(file)):
                if row and len(row) != n_cells:
                    raise InvalidResponses(
                        f"{path.name}: row {n_rows} has {len(row)} cells, the first line has {n_cells}"
                    )
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except csv.Error as fault:
        raise InvalidResponses(f"{path.name}: row {n_rows + 1}: {fault}") from None
    if n_rows == 0:
        raise InvalidResponses(f"{path.name}: there is no row below the first line")


def _not_utf8(path: Path) -> InvalidResponses:
    data = path.read_bytes()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = data[: fault.start].count(b"\n") + 1
        return InvalidResponses(
            f"{path.name}: line {line}: byte {data[fault.start]:#04x} is not UTF-8; save the file as UTF-8"
        )
    return InvalidResponses(f"{path.name}: the file is not UTF-8")


def _tables(path: Path, chunk: int | None) -> Iterator[pd.DataFrame]:
    """The file as tables; cells of a CSV are text as it stands."""
    import pandas as pd

    _header(path)
    if _is_parquet(path):
        import pyarrow.parquet as pq

        if chunk is None:
            yield pd.read_parquet(path).reset_index(drop=True)
            return
        for batch in pq.ParquetFile(path).iter_batches(batch_size=chunk):
            yield batch.to_pandas()
        return
    try:
        with pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
            encoding="utf-8-sig",
            index_col=False,
            chunksize=chunk or 2**31 - 1,
        ) as reader:
            yield from reader
    except UnicodeDecodeError:
        raise _not_utf8(path) from None


def _pivot(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A long table as a wide one, persons and items in their order of appearance."""
    import pandas as pd

    for column in ("id", "item"):
        empty = table[column].isna() | (table[column].astype(str).str.strip() == "")
        if empty.any():
            row = int(np.flatnonzero(empty.to_numpy())[0]) + 1
            raise InvalidResponses(
                f"{name}: row {row}: {column} is empty; every response names person and item"
            )
    rows, persons = pd.factorize(table["id"])
    places, items = pd.factorize(table["item"].astype(str))
    cell = rows.astype(np.int64) * len(items) + places
    order = np.argsort(cell, kind="stable")
    repeated = np.flatnonzero(np.diff(cell[order]) == 0)
    if len(repeated):
        row = int(order[repeated[0] + 1])
        raise InvalidResponses(
            f"{name}: row {row + 1}: person {persons[rows[row]]!r} answers item {items[places[row]]!r} "
            "a second time; keep one row per person and item"
        )
    wide = np.full((len(persons), len(items)), "", dtype=object)
    wide[rows, places] = table["resp"].to_numpy()
    frame = pd.DataFrame(wide, columns=pd.Index(items))
    frame.insert(0, "id", persons, allow_duplicates=True)
    return frame


def _some(names: Sequence[object]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
