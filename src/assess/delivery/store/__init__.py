"""The store: all SQL, and the promise that what is committed is durable.

A use case reads with ``await store.read(reading.something, ...)`` and writes
one `Writes` with ``await store.commit(writes)``. It never opens a transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Connection

from assess.delivery.settings import Settings
from assess.delivery.store.rows import Committed, Writes
from assess.errors import InvalidContent

P = ParamSpec("P")
T = TypeVar("T")


class Store(Protocol):
    """What a use case may ask of a database.

    Parameters
    ----------
    exclusive : bool
        No other process writes this database, so what was written here last is what stands there.
    """

    exclusive: bool

    async def read(
        self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of `store.reading`'s functions on a consistent snapshot."""
        ...

    async def read_at_once(
        self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of them that is a single statement, and so one snapshot by itself."""
        ...

    async def commit(self, writes: Writes) -> Committed:
        """Make all of the writes durable, or none; returns only then."""
        ...

    def watch(self, watcher: Callable[[Writes], None]) -> None:
        """Tell somebody of all writes of this process, before those who wait for them hear of it."""
        ...

    def standstill(self) -> float:
        """For how many seconds the oldest writes have been on their way; 0 when none are."""
        ...

    def close(self) -> None:
        """Finish what was handed over, then let the database go."""
        ...


def open_store(settings: Settings) -> Store:
    """The store that the settings name, with its tables up to date.

    Raises
    ------
    StoreLocked
        Another process writes the SQLite file.
    InvalidContent
        The address names neither SQLite nor PostgreSQL.
    """
    path, apart = settings.sqlite_path, bool(settings.write_apart)
    if path is not None:
        from assess.delivery.store.sqlite import SqliteStore

        return SqliteStore(path, read_threads=settings.read_threads, apart=apart)
    if settings.database_url.startswith("postgresql+psycopg://"):
        from assess.delivery.store.postgres import PostgresStore

        return PostgresStore(settings.database_url, threads=max(settings.read_threads, 8), apart=apart)
    raise InvalidContent(
        "use sqlite:///path/to/file.db or postgresql+psycopg://user@host/name", place="ASSESS_DATABASE_URL"
    )


__all__ = ["Committed", "Store", "Writes", "open_store"]
