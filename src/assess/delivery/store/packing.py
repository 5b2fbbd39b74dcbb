"""Many rows of one table by one statement, in the form that each database takes fastest.

PostgreSQL gets them as one JSON text, which it unpacks itself: one value for
the driver, whatever the number of rows. SQLite binds values faster than it
reads JSON, so there they are parameters of one `VALUES`; of lengths that are
powers of two, because each length is a statement that must be prepared once.
Either way the driver gives up Python's lock once, and not at every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain as joined
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Dialect
from sqlalchemy.types import TypeEngine

from assess.delivery.store.rows import Stored

Row = TypeVar("Row", bound=Stored)
Processor = Callable[[Any], Any]
Processors = tuple[tuple[int, Processor], ...]
_MOST_ROWS = 128


def insert_rows(driver: Any, dialect: Dialect, rows: Sequence[Stored], conflict: str = "") -> None:
    """Insert rows of one table; `conflict` is what to do where a key is there already."""
    if not rows:
        return
    kind: Any = type(rows[0])
    processors, values_of = _reading(kind, dialect)
    values = [list(values_of(row)) for row in rows]
    if dialect.name != "sqlite":
        driver.execute(_insert_json(kind, dialect, conflict), (packed(values, processors),))
        return
    _process(values, processors)
    for some in _by_powers(values):
        driver.execute(_insert_values(kind, dialect, len(some), conflict), tuple(joined(*some)))


def select_rows(
    driver: Any, dialect: Dialect, kind: type[Row], condition: str, values: Sequence[Any]
) -> list[Row]:
    """The rows of one table that meet a condition in SQL."""
    table: Any = kind
    rows = driver.execute(f"{_select(table, dialect)} WHERE {condition}", tuple(values)).fetchall()
    processors = _results(table, dialect)
    found = []
    for row in rows:
        read = zip(processors, row, strict=True)
        found.append(kind(*(value if process is None else process(value) for process, value in read)))
    return found


@cache
def _select(kind: Any, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    return f"SELECT {', '.join(map(quote, kind.__slots__))} FROM {quote(kind.table.name)}"  # noqa: S608


@cache
def _results(kind: Any, dialect: Dialect) -> tuple[Processor | None, ...]:
    types = [kind.table.c[name].type for name in kind.__slots__]
    return tuple(found.dialect_impl(dialect).result_processor(dialect, None) for found in types)


def _by_powers(values: list[list[Any]]) -> Iterator[list[list[Any]]]:
    at = 0
    while at < len(values):
        n = min(_MOST_ROWS, 1 << ((len(values) - at).bit_length() - 1))
        yield values[at : at + n]
        at += n


def packed(rows: list[list[Any]], processors: Processors) -> str:
    """Values of rows as a JSON text, in the form in which their columns store them.

    Raises
    ------
    ValueError
        A text holds the character U+0000, which PostgreSQL cannot store.
    """
    _process(rows, processors)
    text = msgspec.json.encode(rows).decode()
    if "\\u0000" in text:
        raise ValueError("a text holds the character U+0000")
    return text


def _process(rows: list[list[Any]], processors: Processors) -> None:
    for row in rows:
        for place, process in processors:
            row[place] = process(row[place])


@cache
def _reading(kind: Any, dialect: Dialect) -> tuple[Processors, Callable[[Any], tuple[Any, ...]]]:
    """What stores the values of a row, and what takes them from it."""
    types = [kind.table.c[name].type for name in kind.__slots__]
    return processors_of(types, dialect), attrgetter(*kind.__slots__)


# Names of our own tables; every value is a parameter.
@cache
def _insert_json(kind: Any, dialect: Dialect, conflict: str) -> str:
    types = [kind.table.c[name].type for name in kind.__slots__]
    chosen = f"SELECT {', '.join(cells(types, dialect))} FROM {source(dialect)}"  # noqa: S608
    return f"{_into(kind, dialect)} {chosen} {conflict}"


@cache
def _insert_values(kind: Any, dialect: Dialect, n: int, conflict: str) -> str:
    row = f"({', '.join('?' * len(kind.__slots__))})"
    return f"{_into(kind, dialect)} VALUES {', '.join([row] * n)} {conflict}"


def _into(kind: Any, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    return f"INSERT INTO {quote(kind.table.name)} ({', '.join(map(quote, kind.__slots__))})"


def source(dialect: Dialect) -> str:
    """A parameter of packed rows as a table `j` of one `value` a row."""
    return "json_each(?) AS j" if dialect.name == "sqlite" else "jsonb_array_elements(%s::jsonb) AS j(value)"


def cells(types: Sequence[TypeEngine[Any]], dialect: Dialect) -> list[str]:
    """One expression per column; JSON's null becomes NULL on both databases."""
    if dialect.name == "sqlite":
        return [f"json_extract(j.value, '$[{n}]')" for n in range(len(types))]
    return [f"(j.value->>{n})::{kind.compile(dialect)}" for n, kind in enumerate(types)]


def processors_of(types: Sequence[TypeEngine[Any]], dialect: Dialect) -> Processors:
    """What turns a value into the form in which its column stores it, by place."""
    found = ((n, kind.dialect_impl(dialect).bind_processor(dialect)) for n, kind in enumerate(types))
    return tuple((n, process) for n, process in found if process is not None)
