"""Many plain writes as one statement per table: what a group of answers costs.

An answer updates its session under the expected version and inserts a few
rows. A group of such writes becomes one UPDATE and one INSERT per table, whose
rows travel as a single JSON text: the driver handles one value instead of
hundreds, and the database unpacks it without holding up the server's other
work. Whatever is wrong with any member makes the whole batch fail, and who
called then writes the members one by one, so that the bad one fails alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table

from assess.delivery.store import tables, tables_people, tables_rescores  # noqa: F401 - they join the metadata
from assess.delivery.store.numbering import chain, number_changes
from assess.delivery.store.packing import Processors, cells, insert_statement, packed, processors_of, source
from assess.delivery.store.rows import Committed, Stored, Writes
from assess.errors import StaleSession

# Referenced tables first, so that the rows of one batch may refer to each other.
_RANK = {table.name: n for n, table in enumerate(tables.metadata.sorted_tables)}


# Whatever a later version adds to the writes is not plain either.
_PLAIN = ("tenant", "updates", "inserts", "decisions", "changes")
_NOT_PLAIN = tuple(f.name for f in fields(Writes) if f.name not in _PLAIN)


def is_plain(writes: Writes) -> bool:
    """Whether the writes are updates, inserts, decisions and changes, and no comparison meets a NULL."""
    if any(getattr(writes, name) for name in _NOT_PLAIN):
        return False
    return not any(
        value is None for change in writes.updates for where in (change.key, change.expected)
        for value in where.values()
    )  # fmt: skip


def apply_batch(connection: Connection, group: Sequence[Writes]) -> list[Committed]:
    """Write all members inside the caller's transaction, with one statement per table; what was numbered.

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
            cursor.execute(statement, (packed(rows, processors),))
            if cursor.rowcount != len(rows):
                raise StaleSession(f"{shape.table.name}: a row is not what was read; read it again")
        for kind in sorted(inserts, key=lambda kind: _RANK[kind.table.name]):
            statement, processors, values_of = insert_statement(kind, connection.dialect)
            cursor.execute(statement, (packed([list(values_of(r)) for r in inserts[kind]], processors),))
    finally:
        cursor.close()
    if not any(writes.changes or writes.decisions for writes in group):
        return [Committed()] * len(group)
    numbers = number_changes(connection, group)
    chain(connection, group)
    return [Committed(number) for number in numbers]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Updates that differ in their values only."""

    table: Table
    key: tuple[str, ...]
    expected: tuple[str, ...]
    values: tuple[str, ...]


@cache
def _update(shape: _Shape, dialect: Dialect) -> tuple[str, Processors]:
    quote = dialect.identifier_preparer.quote
    where = (*shape.key, *shape.expected)
    types = [shape.table.c[name].type for name in (*where, *shape.values)]
    found = cells(types, dialect)
    table = quote(shape.table.name)
    conditions = [f"{table}.{quote(name)} = {cell}" for name, cell in zip(where, found, strict=False)]
    news = [f"{quote(n)} = {cell}" for n, cell in zip(shape.values, found[len(where) :], strict=True)]
    statement = (
        f"UPDATE {table} SET {', '.join(news)} FROM {source(dialect)} WHERE {' AND '.join(conditions)}"  # noqa: S608
    )
    return statement, processors_of(types, dialect)
