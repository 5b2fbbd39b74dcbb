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
from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import Dialect

from assess.delivery.store import (  # noqa: F401 - they join the metadata
    tables,
    tables_appeals,
    tables_badges,
    tables_people,
    tables_placements,
    tables_rescores,
    tables_webhooks,
)
from assess.delivery.store.late import work_out
from assess.delivery.store.numbering import chain, number_changes
from assess.delivery.store.packing import Processors, cells, insert_rows, packed, processors_of, source
from assess.delivery.store.rows import Committed, Stored, Writes
from assess.errors import StaleSession

# Updates that differ in their values only: the row, and the names of what is compared with a value, of what
# must be empty, and of the new values.
_Shape = tuple[type[Stored], tuple[str, ...], tuple[str, ...], tuple[str, ...]]
# Referenced tables first, so that the rows of one batch may refer to each other.
_RANK = {table.name: n for n, table in enumerate(tables.metadata.sorted_tables)}


# Whatever a later version adds to the writes is not plain either.
_PLAIN = ("tenant", "updates", "inserts", "decisions", "changes")
_NOT_PLAIN = tuple(f.name for f in fields(Writes) if f.name not in _PLAIN)


def is_plain(writes: Writes) -> bool:
    """Whether the writes are updates, inserts, decisions and changes."""
    return not any(getattr(writes, name) for name in _NOT_PLAIN)


def apply_batch(
    driver: Any, dialect: Dialect, group: Sequence[Writes], arrive: Callable[[], object] | None = None
) -> list[Committed]:
    """Write all members inside the caller's transaction, with one statement per table; what was numbered.

    Parameters
    ----------
    driver
        The driver's own connection; a statement through SQLAlchemy costs more than the rows of an answer.
    arrive : callable, optional
        Where statements are sent without waiting for their results: waits for those of all that were sent.

    Raises
    ------
    StaleSession
        Some row was not what its use case read; which one, only writing them one by one tells.
    NotFound, ValueError, OverflowError, or the driver's own error
        Some member cannot be written. Nothing of the group may be committed.
    """
    updates: dict[_Shape, list[list[Any]]] = {}
    inserts: dict[type[Stored], list[Stored]] = {}
    for writes in group:
        for change in writes.updates:
            where = {**change.key, **change.expected}
            compared = {name: value for name, value in where.items() if value is not None}
            empty = tuple(name for name, value in where.items() if value is None)
            shape = (change.row, tuple(compared), empty, tuple(change.values))
            updates.setdefault(shape, []).append([*compared.values(), *change.values.values()])
        for row in writes.inserts:
            inserts.setdefault(type(row), []).append(row)
    sent: list[tuple[str, int, Any]] = []
    for shape in sorted(updates, key=lambda shape: _RANK[shape[0].table.name]):
        rows = updates[shape]
        statement, processors = _update(shape, dialect)
        sent.append((shape[0].table.name, len(rows), driver.execute(statement, (packed(rows, processors),))))
    for kind in sorted(inserts, key=lambda kind: _RANK[kind.table.name]):
        work_out(inserts[kind])
        insert_rows(driver, dialect, inserts[kind])
    if arrive is not None:
        arrive()
    for table, n, result in sent:
        if result.rowcount != n:
            raise StaleSession(f"{table}: a row is not what was read; read it again")
    if not any(writes.changes or writes.decisions for writes in group):
        return [Committed()] * len(group)
    numbers = number_changes(driver, dialect, group)
    chain(driver, dialect, group)
    return [Committed(number) for number in numbers]


@cache
def _update(shape: _Shape, dialect: Dialect) -> tuple[str, Processors]:
    quote = dialect.identifier_preparer.quote
    row, compared, empty, changed = shape
    types = [row.table.c[name].type for name in (*compared, *changed)]
    found = cells(types, dialect)
    table = quote(row.table.name)
    conditions = [f"{table}.{quote(name)} = {cell}" for name, cell in zip(compared, found, strict=False)]
    # Nothing equals NULL, and what is safe for NULL uses no index on PostgreSQL.
    conditions += [f"{table}.{quote(name)} IS NULL" for name in empty]
    news = [f"{quote(n)} = {cell}" for n, cell in zip(changed, found[len(compared) :], strict=True)]
    statement = (
        f"UPDATE {table} SET {', '.join(news)} FROM {source(dialect)} WHERE {' AND '.join(conditions)}"  # noqa: S608
    )
    return statement, processors_of(types, dialect)
