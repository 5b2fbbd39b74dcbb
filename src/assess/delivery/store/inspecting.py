"""What a database can say about itself: whether it keeps what it is given, and whether it is whole."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select, text

from assess.delivery.store import tables
from assess.delivery.store.sqlite import PRAGMAS

DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def settings(connection: Connection) -> dict[str, str]:
    """Settings on which durability rests, by their names.

    SQLite keeps its journal mode in the file; the rest is said by each
    connection for itself, so it is asked of one that is made as the server's are.
    """
    if connection.dialect.name != "sqlite":
        return {name: str(connection.scalar(text(f"SHOW {name}"))) for name in DURABLE}
    found = {"journal_mode": str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())}
    own = sqlite3.connect(":memory:")
    try:
        for pragma in PRAGMAS:
            own.execute(f"PRAGMA {pragma}")
        (level,) = own.execute("PRAGMA synchronous").fetchone()
    finally:
        own.close()
    return found | {"synchronous": ("OFF", "NORMAL", "FULL", "EXTRA")[level]}


def version(connection: Connection) -> str:
    """Name and version of the database."""
    if connection.dialect.name == "sqlite":
        return f"SQLite {connection.scalar(text('SELECT sqlite_version()'))}"
    return f"PostgreSQL {str(connection.scalar(text('SHOW server_version'))).split()[0]}"


def damage(connection: Connection) -> list[str]:
    """What is broken in an SQLite file; PostgreSQL checks its own pages as it reads them."""
    if connection.dialect.name != "sqlite":
        return []
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA quick_check(10)")]
    return [line for line in found if line != "ok"]


def newest_instant(connection: Connection) -> datetime | None:
    """The latest time at which anything was stored."""
    found: list[datetime] = []
    for table, name in (
        (tables.sessions, "started_at"),
        (tables.responses, "at"),
        (tables.changes, "at"),
        (tables.facts, "recorded_at"),
        (tables.activations, "at"),
    ):
        latest = connection.scalar(select(func.max(table.c[name])))
        found += [] if latest is None else [latest]
    return max(found, default=None)


def releases(connection: Connection) -> list[tuple[str, str, str]]:
    """Hash, name and document of every release."""
    c = tables.releases.c
    found = connection.execute(select(c.sha256, c.name, c.document).order_by(c.name, c.created_at))
    return [(row.sha256, row.name, row.document) for row in found]


def file_modes(path: Path) -> dict[Path, int]:
    """The rights on an SQLite file and what lies beside it."""
    beside = (path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm")))
    return {file: file.stat().st_mode & 0o777 for file in beside if file.exists()}
