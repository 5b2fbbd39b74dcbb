"""How a `Writes` becomes rows: one function, the same on both databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import psycopg
from sqlalchemy import Connection, Table, and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from assess.delivery.store import claiming, tables
from assess.delivery.store.late import work_out
from assess.delivery.store.numbering import chain, number_changes
from assess.delivery.store.rows import (
    Activation,
    Committed,
    Delete,
    Stored,
    Update,
    Writes,
)
from assess.errors import StaleSession


def apply(connection: Connection, writes: Writes) -> Committed:
    """Write everything inside the caller's transaction.

    Raises
    ------
    StaleSession
        A row is not what the use case read, or a row with the same key was faster. Nothing may be committed.
    """
    try:
        for change in writes.updates:
            _update(connection, change)
        for removal in writes.deletes:
            _delete(connection, removal)
        work_out(writes.inserts)
        for table, rows in groupby(writes.inserts, key=lambda row: row.table):
            connection.execute(table.insert(), [row.values() for row in rows])
        for row in writes.keep:
            connection.execute(_insert(connection, row.table).on_conflict_do_nothing(), row.values())
        activation = _activate(connection, writes.activations)
        last = _number(connection, writes)
        claimed = () if writes.claim is None else claiming.claim(connection, writes.claim, writes.tenant)
    except (IntegrityError, sqlite3.IntegrityError, psycopg.IntegrityError) as fault:
        if _is_duplicate(fault):
            raise StaleSession("something with the same key was stored first; read again") from fault
        raise
    return Committed(last, activation, claimed)


def _number(connection: Connection, writes: Writes) -> int | None:
    """What is numbered or chained, written through the driver itself, as groups are."""
    if not (writes.changes or writes.decisions):
        return None
    driver = connection.connection.driver_connection
    (last,) = number_changes(driver, connection.dialect, [writes])
    chain(driver, connection.dialect, [writes])
    return last


def _is_duplicate(fault: Exception) -> bool:
    names = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")
    origin = getattr(fault, "orig", None) or fault
    return getattr(origin, "sqlite_errorname", None) in names or getattr(origin, "sqlstate", None) == "23505"


def _where(table: Table, key: dict[str, Any]) -> Any:
    return and_(
        *(table.c[name].is_(None) if value is None else table.c[name] == value for name, value in key.items())
    )


def _update(connection: Connection, change: Update) -> None:
    table = change.row.table
    condition = _where(table, {**change.key, **change.expected})
    result = connection.execute(update(table).where(condition).values(dict(change.values)))
    if result.rowcount != 1:
        raise StaleSession(f"{table.name} {dict(change.key)} is not what was read; read it again")


def _delete(connection: Connection, removal: Delete) -> None:
    table = removal.row.table
    conditions = [_where(table, dict(removal.key))] if removal.key else []
    conditions += [table.c[name] < moment for name, moment in removal.before.items()]
    connection.execute(delete(table).where(*conditions))


def _insert(connection: Connection, table: Table) -> Any:
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _activate(connection: Connection, activations: Sequence[Activation]) -> int | None:
    number = None
    for activation in activations:
        seq = tables.activations.c.seq
        newest = connection.scalar(
            select(func.max(seq)).where(tables.activations.c.tenant == activation.tenant)
        )
        number = (newest or 0) + 1
        connection.execute(tables.activations.insert(), replace(activation, seq=number).values())
    return number


def insert_missing(connection: Connection, rows: Sequence[Stored]) -> None:
    """Insert rows that are not there yet."""
    for row in rows:
        connection.execute(_insert(connection, row.table).on_conflict_do_nothing(), row.values())
