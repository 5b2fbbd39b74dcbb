"""PostgreSQL: any number of processes; the expected versions in the writes keep them apart."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from assess.delivery.store.apart import Apart
from assess.delivery.store.batches import apply_batch, is_plain
from assess.delivery.store.connecting import LOCK_TIMEOUT, connect_args
from assess.delivery.store.groups import GroupCommit, KeptConnection, Outcome, Threaded, refused, said
from assess.delivery.store.revision import bring_up
from assess.delivery.store.rows import Committed, Writes
from assess.delivery.store.snapshots import SnapshotReads, unavailable
from assess.delivery.store.writing import apply
from assess.errors import OutcomeUnknown, StaleSession, StorageUnavailable

P = ParamSpec("P")
T = TypeVar("T")

# Any fixed number: processes that start together migrate one after the other.
_MIGRATION_LOCK = 7_305_190_236_114_007
# A write waits for locks that others hold; a snapshot from before would make each wait a conflict.
_OF_WRITES: IsolationLevel = "READ COMMITTED"
# How many groups are written until somebody looks whether a table has outgrown what is known of it.
_GROUPS_PER_LOOK = 128
# Where a database is away or somebody holds a lock, each member may wait for the whole of its time.
_ALONE_SECONDS = 30.0
_OUTGROWN = """
SELECT quote_ident(c.relname) FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE s.schemaname = current_schema() AND s.n_live_tup > 500 AND s.n_live_tup > 4 * c.reltuples
"""
_CONFLICTS = ("40001", "40P01")  # serialization failure, deadlock: the other one went first


class PostgresStore(GroupCommit, SnapshotReads):
    """A store in PostgreSQL, which other processes may write too."""

    exclusive = False

    def __init__(self, url: str, *, threads: int = 8, apart: bool = False) -> None:
        self._engine = _engine(url, threads)
        self._readers = self._engine.execution_options(postgresql_readonly=True)
        self._writing = self._engine.execution_options(isolation_level=_OF_WRITES)
        # A statement alone needs no transaction around it, nor a test of the connection before: four turns to
        # the database and back where one will do. Whoever finds a connection lost asks once more.
        n_at_once = max(threads // 2, 1)
        self._at_once = create_engine(
            url,
            pool_size=n_at_once,
            max_overflow=0,
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            connect_args=connect_args(url, always="-c default_transaction_read_only=on"),
        )
        # As many threads as connections: to wait for one is no line, and whoever comes later may be first.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._pool_at_once = ThreadPoolExecutor(n_at_once, thread_name_prefix="store-at-once")
        try:
            _migrate(url)
        except SQLAlchemyError as fault:
            self.close()
            raise StorageUnavailable(f"the database cannot be used ({fault})") from fault
        self._start_writing(Apart("postgresql", url) if apart else Threaded(PostgresWriter(url)))

    async def commit(self, writes: Writes) -> Committed:
        """Make all of the writes durable, or none; returns only then.

        Plain writes go together with what else waits; what claims or activates
        has a transaction of its own.

        Raises
        ------
        StaleSession
            Something else was stored first.
        StorageUnavailable
            The database did not take it; an `OutcomeUnknown` says that it may have.
        """
        if is_plain(writes):
            return await super().commit(writes)
        loop = asyncio.get_running_loop()
        try:
            outcome = await asyncio.shield(
                loop.run_in_executor(self._pool, write_alone, self._writing, writes)
            )
        finally:
            for watcher in self._watchers:
                watcher(writes)
        if isinstance(outcome, Committed):
            return outcome
        raise outcome

    async def read_at_once(
        self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one of `store.reading`'s functions that is a single statement, so a snapshot by itself."""

        def run(again: bool = True) -> T:
            try:
                with self._at_once.connect() as connection:
                    return query(connection, *args, **kwargs)
            except SQLAlchemyError as fault:
                if again and isinstance(fault, DBAPIError) and fault.connection_invalidated:
                    return run(again=False)
                raise unavailable(fault) from fault

        return await asyncio.get_running_loop().run_in_executor(self._pool_at_once, run)

    def close(self) -> None:
        """Finish what runs, then let the connections go."""
        self._stop_writing()
        self._pool.shutdown()
        self._pool_at_once.shutdown()
        self._engine.dispose()
        self._at_once.dispose()


def _migrate(url: str) -> None:
    # Whoever comes second waits for the first, however long that takes.
    engine = _engine(url, 1, isolation_level=_OF_WRITES, patient=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK})
            connection.commit()
            try:
                bring_up(connection)
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK})
                connection.commit()
    finally:
        engine.dispose()


class PostgresWriter(KeptConnection):
    """The connection that groups are written on."""

    def __init__(self, url: str) -> None:
        # One is kept, one is for members that must be written alone, and one for looking.
        super().__init__(_engine(url, 3, isolation_level=_OF_WRITES))
        event.listen(self._engine, "connect", _send_all)
        self._commits = False  # whether the group had come as far as its commit
        self._since_looked = 0
        self._looking = threading.Thread()

    def rest(self) -> None:
        """PostgreSQL copies its log with processes of its own."""

    def write(self, group: list[Writes]) -> list[Outcome]:
        """Make the members durable; what became of each."""
        self._since_looked += 1
        if self._since_looked >= _GROUPS_PER_LOOK and not self._looking.is_alive():
            self._since_looked = 0
            self._looking = threading.Thread(target=self.look, name="store-look", daemon=True)
            # Where no thread can be had, the next groups ask again; none of them waits for it.
            with contextlib.suppress(RuntimeError):
                self._looking.start()
        try:
            return [*self._write_plain(group)]
        except Exception as fault:  # noqa: BLE001 - a fault of one member must not refuse the others
            lost = self._is_lost()
            if lost:
                self.forget()
            outcomes = self._write_alone(group)
            if lost and self._commits:
                # Whoever is stored finds that out by reading again; where that fails, nobody can say.
                return [_uncertain(fault) if isinstance(o, StorageUnavailable) else o for o in outcomes]
            return outcomes

    def _write_alone(self, group: list[Writes]) -> list[Outcome]:
        """The members one by one, for as long as those behind them can wait."""
        until = time.monotonic() + _ALONE_SECONDS
        outcomes: list[Outcome] = []
        for writes in group:
            if time.monotonic() < until:
                outcomes.append(write_alone(self._engine, writes))
            else:
                outcomes.append(StorageUnavailable("the database is too slow; send it again"))
        return outcomes

    def close(self) -> None:
        """Let the database go."""
        if self._looking.is_alive():
            self._looking.join()
        super().close()

    def look(self) -> None:
        """Have tables counted that are four times what they were when they were counted last.

        A plan that was made when a table was empty is kept until then: the check of a reference goes
        through all sessions of a tenant. PostgreSQL counts by itself, but once a minute, and within
        the first one an exam begins.
        """
        # Whoever may not count is refused, and the plans are good enough.
        with contextlib.suppress(SQLAlchemyError), self._engine.connect() as connection, connection.begin():
            names = connection.exec_driver_sql(_OUTGROWN).scalars().all()
            if names:
                connection.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {', '.join(names)}")

    def _write_plain(self, group: list[Writes]) -> list[Committed]:
        """All members by a few statements, none where one is refused.

        The statements are sent together, and the commit once what they did is known: two turns
        to the database and back, where each statement would be one.
        """
        self._commits = False
        if self._connection is None:
            self._connection = self._engine.connect()
        driver = self._driver()
        with driver.pipeline() as pipeline, self._connection.begin():
            committed = apply_batch(driver, self._connection.dialect, group, pipeline.sync)
            self._commits = True
        return committed

    def _is_lost(self) -> bool:
        """Whether the kept connection has ended; whoever asks a lost one for its driver begins another."""
        kept = self._connection
        return kept is not None and (kept.invalidated or self._driver().closed)

    def _driver(self) -> psycopg.Connection[Any]:
        """The connection of groups as the driver has it; it is kept, for the pool tests what it gives."""
        assert self._connection is not None
        driver: Any = self._connection.connection.driver_connection
        return driver  # type: ignore[no-any-return]


def write_alone(engine: Engine, writes: Writes) -> Outcome:
    """Make one member durable, in a transaction of its own; what became of it."""
    commits = False
    try:
        with engine.begin() as connection:
            committed = apply(connection, writes)
            commits = True
        return committed
    except Exception as fault:  # noqa: BLE001 - whatever it was, those who wait must hear of it
        if commits and isinstance(fault, DBAPIError) and fault.connection_invalidated:
            return _uncertain(fault)
        if getattr(getattr(fault, "orig", None) or fault, "sqlstate", None) in _CONFLICTS:
            refusal = StaleSession("another write went first; read again")
            refusal.__cause__ = fault
            return refusal
        return refused(fault)


def _uncertain(fault: Exception) -> OutcomeUnknown:
    unknown = OutcomeUnknown(
        f"the connection was lost in the commit ({said(fault)}); "
        "this may or may not be stored, so send it again"
    )
    unknown.__cause__ = fault
    return unknown


def _send_all(connection: psycopg.Connection[Any], _: object) -> None:
    """Let a new connection send as libpq does, which waits, and reads meanwhile.

    psycopg's pipeline goes on to wait for results although a large statement is not all sent: both sides
    then wait for ever. Every connection of the writer is made so, also one that replaces a lost one.
    """
    connection.pgconn.nonblocking = 0


def _engine(
    url: str,
    connections: int,
    *,
    isolation_level: IsolationLevel = "REPEATABLE READ",
    patient: bool = False,
) -> Engine:
    return create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_pre_ping=True,
        # What people answered does not belong into error messages, which go into logs.
        hide_parameters=True,
        isolation_level=isolation_level,
        connect_args=connect_args(url, unless_said="" if patient else LOCK_TIMEOUT),
    )
