"""Many plain writes as one statement per table: what a group of answers costs.

An answer updates its session under the expected version and inserts a few
rows. A group of such writes becomes one UPDATE and one INSERT per table, whose
rows travel as a single JSON text: the driver handles one value instead of
hundreds, and the database unpacks it without holding up the server's other
work. Whatever is wrong with any member makes the whole batch fail, and who
called then writes the members one by one, so that the bad one fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect, Table
from sqlalchemy.types import TypeEngine

from assess.delivery.store import (  # noqa: F401 - they join the metadata
    tables,
    tables_people,
    tables_placements,
    tables_rescores,
)
from assess.delivery.store.rows import Stored, Writes
from assess.errors import StaleSession

_Processor = Callable[[Any], Any]
# Referenced tables first, so that the rows of one batch may refer to each other.
_RANK = {table.name: n for n, table in enumerate(tables.metadata.sorted_tables)}


# Whatever a later version adds to the writes is not plain either.
_NOT_PLAIN = tuple(f.name for f in fields(Writes) if f.name not in ("tenant", "updates", "inserts"))


def is_plain(writes: Writes) -> bool:
    """Whether the writes are updates and inserts alone, and no comparison meets a NULL.

    What is numbered or chained in the commit is not: there the order of members matters.
    """
    if any(getattr(writes, name) for name in _NOT_PLAIN):
        return False
    return not any(
        value is None for change in writes.updates for where in (change.key, change.expected)
        for value in where.values()
    )  # fmt: skip


def apply_batch(connection: Connection, group: Sequence[Writes]) -> None:
    """Write all members inside the caller's transaction, with one statement per table.

    Raises
    ------
    StaleSession
        Some row was not what its use case read; which one, only writing them one by one tells.
    ValueError, SQLAlchemyError, or the driver's own error
        Some member cannot be written. Nothing of the group may be committed.
    """
    cursor = connection.connection.cursor()
    try:
        updates: dict[_Shape, list[list[Any]]] = {}
        inserts: dict[type[Stored], list[list[Any]]] = {}
        for writes in group:
            for change in writes.updates:
                shape = _Shape(
                    change.row.table, tuple(change.key), tuple(change.expected), tuple(change.values)
                )
                values = (*change.key.values(), *change.expected.values(), *change.values.values())
                updates.setdefault(shape, []).append(list(values))
            for row in writes.inserts:
                inserts.setdefault(type(row), []).append(row)  # type: ignore[arg-type]
        for shape in sorted(updates, key=lambda shape: _RANK[shape.table.name]):
            rows = updates[shape]
            statement, processors = _update(shape, connection.dialect)
            cursor.execute(statement, (_packed(rows, processors),))
            if cursor.rowcount != len(rows):
                raise StaleSession(f"{shape.table.name}: a row is not what was read; read it again")
        for kind in sorted(inserts, key=lambda kind: _RANK[kind.table.name]):
            statement, processors, values_of = _insert(kind, connection.dialect)  # type: ignore[arg-type]
            cursor.execute(statement, (_packed([list(values_of(r)) for r in inserts[kind]], processors),))
    finally:
        cursor.close()


@dataclass(frozen=True, slots=True)
class _Shape:
    """Updates that differ in their values only."""

    table: Table
    key: tuple[str, ...]
    expected: tuple[str, ...]
    values: tuple[str, ...]


def _packed(rows: list[list[Any]], processors: tuple[tuple[int, _Processor], ...]) -> str:
    for row in rows:
        for place, process in processors:
            row[place] = process(row[place])
    text = msgspec.json.encode(rows).decode()
    if "\\u0000" in text:
        raise ValueError("a text holds the character U+0000")
    return text


@cache
def _insert(
    kind: type[Stored], dialect: Dialect
) -> tuple[str, tuple[tuple[int, _Processor], ...], Callable[[Any], tuple[Any, ...]]]:
    names: tuple[str, ...] = kind.__slots__
    quote = dialect.identifier_preparer.quote
    types = [kind.table.c[name].type for name in names]
    # Names of our own tables; the values come in one parameter.
    statement = (
        f"INSERT INTO {quote(kind.table.name)} ({', '.join(map(quote, names))}) "  # noqa: S608
        f"SELECT {', '.join(_cells(types, dialect))} FROM {_source(dialect)}"
    )
    return statement, _processors(types, dialect), attrgetter(*names)


@cache
def _update(shape: _Shape, dialect: Dialect) -> tuple[str, tuple[tuple[int, _Processor], ...]]:
    quote = dialect.identifier_preparer.quote
    where = (*shape.key, *shape.expected)
    types = [shape.table.c[name].type for name in (*where, *shape.values)]
    cells = _cells(types, dialect)
    table = quote(shape.table.name)
    conditions = [f"{table}.{quote(name)} = {cell}" for name, cell in zip(where, cells, strict=False)]
    news = [f"{quote(n)} = {cell}" for n, cell in zip(shape.values, cells[len(where) :], strict=True)]
    statement = (
        f"UPDATE {table} SET {', '.join(news)} FROM {_source(dialect)} WHERE {' AND '.join(conditions)}"  # noqa: S608
    )
    return statement, _processors(types, dialect)


def _source(dialect: Dialect) -> str:
    return "json_each(?) AS j" if dialect.name == "sqlite" else "json_array_elements(%s::json) AS j(value)"


def _cells(types: Sequence[TypeEngine[Any]], dialect: Dialect) -> list[str]:
    """One expression per column; JSON's null becomes NULL on both databases."""
    if dialect.name == "sqlite":
        return [f"json_extract(j.value, '$[{n}]')" for n in range(len(types))]
    return [f"(j.value->>{n})::{kind.compile(dialect)}" for n, kind in enumerate(types)]


def _processors(types: Sequence[TypeEngine[Any]], dialect: Dialect) -> tuple[tuple[int, _Processor], ...]:
    """What turns a value into the form in which its column stores it, by place."""
    found = ((n, kind.dialect_impl(dialect).bind_processor(dialect)) for n, kind in enumerate(types))
    return tuple((n, process) for n, process in found if process is not None)
