"""SQLite: many readers, and one writer that commits in groups.

Two processes that write one file in WAL mode can corrupt it (SQLite before
3.51.3), so the store holds a lock file for as long as it is open. Writes go
through one thread: what waits while a commit runs is committed together, each
member in a savepoint of its own, so that one durable write serves them all
and a bad member fails alone.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from assess.delivery.store.migrating import upgrade
from assess.delivery.store.rows import Committed, Writes
from assess.delivery.store.snapshots import SnapshotReads
from assess.delivery.store.writing import apply
from assess.errors import AssessError, StorageUnavailable, StoreLocked

PRAGMAS = ("busy_timeout = 5000", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
_LARGEST_GROUP = 128
_Job = tuple[Writes, "Future[Committed]"]


class SqliteStore(SnapshotReads):
    """A store in one SQLite file, written by this process alone.

    Raises
    ------
    StoreLocked
        Another process has the file open for writing.
    """

    def __init__(self, path: Path, *, read_threads: int = 4) -> None:
        path = path.absolute()
        new_file(path)
        self._lock = take_lock(path)
        self._writer_engine = _engine(path, writes=True)
        self._readers = _engine(path, writes=False, pool_size=read_threads)
        try:
            with self._writer_engine.connect() as connection:
                upgrade(connection)
        except BaseException as fault:
            self._release()
            if isinstance(fault, SQLAlchemyError):
                raise StorageUnavailable(f"{path} cannot be used as a database ({fault})") from fault
            raise
        self._pool = ThreadPoolExecutor(read_threads, thread_name_prefix="store-read")
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._writer.start()
        self._closed = False

    async def commit(self, writes: Writes) -> Committed:
        """Make all of the writes durable, or none; returns only then.

        Raises
        ------
        StaleSession
            Something else was stored first.
        StorageUnavailable
            The database did not take it.
        """
        if self._closed:
            raise StorageUnavailable("the store is closed")
        future: Future[Committed] = Future()
        self._queue.put((writes, future))
        # Shielded: a client that hangs up must not cancel a write that is on its way.
        return await asyncio.shield(asyncio.wrap_future(future))

    def close(self) -> None:
        """Finish what was handed over, then let the file go."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        self._pool.shutdown()
        self._release()

    def _release(self) -> None:
        self._readers.dispose()
        self._writer_engine.dispose()
        self._lock.close()

    # --- the writing thread ----------------------------------------------------

    def _write(self) -> None:
        connection: Connection | None = None
        running = True
        while running:
            group, running = self._next_group()
            try:
                if connection is None:
                    connection = self._writer_engine.connect()
                self._commit_group(connection, group)
            except Exception as fault:  # noqa: BLE001 - whatever it was, those who wait must hear of it
                refusal = StorageUnavailable(f"the database did not take the write ({fault})")
                refusal.__cause__ = fault
                for _, future in group:
                    if not future.done():
                        future.set_exception(refusal)
                if connection is not None:
                    connection.invalidate()
                    connection.close()
                    connection = None
        if connection is not None:
            connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """The jobs that wait, at least one; and whether more may come."""
        group: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            group.append(job)
            if len(group) == _LARGEST_GROUP:
                return group, True
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit_group(self, connection: Connection, group: list[_Job]) -> None:
        done: list[tuple[Future[Committed], Committed]] = []
        failed: list[tuple[Future[Committed], AssessError]] = []
        if not group:
            return
        try:
            with connection.begin():
                for writes, future in group:
                    member = connection.begin_nested()
                    try:
                        committed = apply(connection, writes)
                        member.commit()
                    except (AssessError, SQLAlchemyError) as fault:
                        _require_transaction(connection, fault)
                        member.rollback()
                        refusal = fault if isinstance(fault, AssessError) else _refused(fault)
                        failed.append((future, refusal))
                    else:
                        done.append((future, committed))
                _require_transaction(connection, None)
        except _TransactionLost as lost:
            if len(group) == 1:
                raise lost.__cause__ or lost from None
            # Nobody of the group was stored. Each alone: who brought no harm must not suffer for it.
            for job in group:
                self._commit_alone(connection, job)
            return
        # Only here is it on the disk; before this line nobody may hear "stored".
        for future, committed in done:
            future.set_result(committed)
        for future, refusal in failed:
            future.set_exception(refusal)

    def _commit_alone(self, connection: Connection, job: _Job) -> None:
        try:
            self._commit_group(connection, [job])
        except (AssessError, SQLAlchemyError) as fault:
            job[1].set_exception(_refused(fault))


class _TransactionLost(Exception):
    """SQLite rolled the whole transaction back by itself, savepoints and all."""


def _require_transaction(connection: Connection, fault: Exception | None) -> None:
    """Notice when a full disk or a failed read took the transaction away in mid-group.

    The driver's commit would do nothing then, and not say so: members that
    were applied before would be called stored, and be gone.
    """
    driver = connection.connection.dbapi_connection
    if not getattr(driver, "in_transaction", False):
        raise _TransactionLost("the database rolled the transaction back") from fault


def _refused(fault: Exception) -> StorageUnavailable:
    refusal = StorageUnavailable(f"the database refused the write ({fault})")
    refusal.__cause__ = fault
    return refusal


def new_file(path: Path) -> None:
    """Make the file, if there is none: with answers and signing keys in it, it is nobody else's to read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # what SQLite puts beside it gets the same rights
    except OSError as fault:
        raise StorageUnavailable(f"{path} cannot be made ({fault.strerror})") from fault


def take_lock(path: Path) -> IO[str]:
    """Be the one process that writes the file, until the lock is closed."""
    import fcntl

    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = lock_path.open("w")
    except OSError as fault:
        raise StorageUnavailable(f"{lock_path} cannot be written ({fault.strerror})") from fault
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreLocked(
            f"another process has {path} open for writing, and SQLite takes only one; "
            "stop that process, ask the running server over HTTP, or use PostgreSQL (ASSESS_DATABASE_URL)"
        ) from None
    return lock


def writing_engine(path: Path) -> Engine:
    """Connections that write; whoever has the lock uses one at a time."""
    return _engine(path, writes=True)


def _engine(path: Path, *, writes: bool, pool_size: int = 1) -> Engine:
    pool: dict[str, Any] = {"poolclass": NullPool}
    if not writes:
        pool = {"poolclass": QueuePool, "pool_size": pool_size, "max_overflow": 0}
    # What people answered does not belong into error messages, which go into logs.
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"check_same_thread": False}, hide_parameters=True, **pool
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _: object) -> None:
        # The driver would begin transactions on its own, too late and not IMMEDIATE.
        connection.isolation_level = None
        for pragma in (*PRAGMAS, *(() if writes else ("query_only = ON",))):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
