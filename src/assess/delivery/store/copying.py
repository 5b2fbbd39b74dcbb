"""All rows of all tables, out of one database and into another, whatever the kinds of the two.

Values are taken as they lie in the columns: whole numbers and texts, which
mean the same on both databases. Rows come in the order of their keys, byte by
byte, so that equal contents give equal files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy import Connection, MetaData, Table, Text, collate, create_engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from assess.delivery.settings import Settings
from assess.delivery.store import migrating
from assess.errors import StorageUnavailable

_BATCH = 1_000
Row = Sequence[int | str | None]


def stored_tables(connection: Connection) -> list[Table]:
    """The tables as they are in the database, each after those that it refers to."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def rows(connection: Connection, table: Table) -> Iterator[Row]:
    """All rows of a table, with the values that lie in its columns."""
    key: list[Any] = list(table.primary_key.columns)
    if connection.dialect.name == "postgresql":
        key = [collate(column, "C") if isinstance(column.type, Text) else column for column in key]
    statement = select(table).order_by(*key).execution_options(yield_per=_BATCH)
    for row in connection.execute(statement):
        yield tuple(row)


@contextmanager
def one_moment(connection: Connection) -> Iterator[None]:
    """Everything that is read inside is of one moment, whatever is written meanwhile."""
    if connection.dialect.name == "sqlite":
        # The driver begins a transaction before a write only.
        connection.exec_driver_sql("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


@contextmanager
def empty_database(settings: Settings, revision: str) -> Iterator[Connection]:
    """A transaction in an empty database, with the tables of a revision; at its end those of this version.

    Raises
    ------
    StorageUnavailable
        The database holds tables already, or does not take what it is given.
    StoreLocked
        A server has it.
    """
    path = settings.sqlite_path
    lock = None
    if path is None:
        engine = create_engine(settings.database_url, hide_parameters=True)
    else:
        from assess.delivery.store.sqlite import new_file, take_lock, writing_engine

        path = path.absolute()
        new_file(path)
        lock = take_lock(path)
        engine = writing_engine(path)
    made, done = False, False
    try:
        with engine.connect() as connection:
            if inspect(connection).get_table_names():
                raise StorageUnavailable(
                    "the database is not empty, and what is in it stays: name a new file or a new database "
                    "with ASSESS_DATABASE_URL"
                )
            connection.rollback()
            made = True
            if path is not None:
                # Whole tables come in turn; they are checked together below, by the migration.
                driver = connection.connection.dbapi_connection
                assert driver is not None
                driver.execute("PRAGMA foreign_keys = OFF")
            with connection.begin():
                migrating.upgrade(connection, revision)
                for table in reversed(stored_tables(connection)):
                    connection.execute(table.delete())
                yield connection
                migrating.upgrade(connection)
            done = True
    except (SQLAlchemyError, OSError) as fault:
        raise StorageUnavailable(f"the database did not take it ({fault})") from fault
    finally:
        engine.dispose()
        if path is not None and made and not done:
            for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
                path.with_name(name).unlink(missing_ok=True)
        if lock is not None:
            lock.close()


def fill(connection: Connection, table: Table, columns: Sequence[str], given: Iterable[Row]) -> None:
    """Insert rows into a table, their values in the order of the columns that are named."""
    remaining = iter(given)
    while batch := [dict(zip(columns, row, strict=True)) for row in islice(remaining, _BATCH)]:
        connection.execute(table.insert(), batch)
