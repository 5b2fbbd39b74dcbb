"""PostgreSQL: any number of processes; the expected versions in the writes keep them apart."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from assess.delivery.store.migrating import upgrade
from assess.delivery.store.rows import Committed, Writes
from assess.delivery.store.snapshots import SnapshotReads
from assess.delivery.store.writing import apply
from assess.errors import StaleSession, StorageUnavailable

# Any fixed number: processes that start together migrate one after the other.
_MIGRATION_LOCK = 7_305_190_236_114_007
# An installation may have it off for other databases. Ours says "stored" only of what is on the disk.
CONNECT_ARGS = {"options": "-c synchronous_commit=on"}
_CONFLICTS = ("40001", "40P01")  # serialization failure, deadlock: the other one went first


class PostgresStore(SnapshotReads):
    """A store in PostgreSQL."""

    def __init__(self, url: str, *, threads: int = 8) -> None:
        self._engine = create_engine(
            url,
            pool_size=threads,
            max_overflow=0,
            pool_pre_ping=True,
            # What people answered does not belong into error messages, which go into logs.
            hide_parameters=True,
            isolation_level="REPEATABLE READ",
            connect_args=CONNECT_ARGS,
        )
        self._readers = self._engine.execution_options(postgresql_readonly=True)
        # A write waits for locks that others hold; a snapshot from before would make each wait a conflict.
        self._writing = self._engine.execution_options(isolation_level="READ COMMITTED")
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store")
        try:
            self._migrate()
        except SQLAlchemyError as fault:
            self.close()
            raise StorageUnavailable(f"the database cannot be used ({fault})") from fault

    def _migrate(self) -> None:
        with self._writing.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
            try:
                upgrade(connection)
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
                connection.commit()

    async def commit(self, writes: Writes) -> Committed:
        """Make all of the writes durable, or none; returns only then.

        Raises
        ------
        StaleSession
            Something else was stored first.
        StorageUnavailable
            The database did not take it.
        """

        def run() -> Committed:
            try:
                with self._writing.begin() as connection:
                    return apply(connection, writes)
            except SQLAlchemyError as fault:
                if isinstance(fault, DBAPIError) and getattr(fault.orig, "sqlstate", None) in _CONFLICTS:
                    raise StaleSession("another write went first; read again") from fault
                raise StorageUnavailable(f"the database did not take the write ({fault})") from fault

        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._pool, run))

    def close(self) -> None:
        """Finish what runs, then let the connections go."""
        self._pool.shutdown()
        self._engine.dispose()
