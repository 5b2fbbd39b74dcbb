"""SQLite: many readers, and one writer that commits in groups.

Two processes that write one file in WAL mode can corrupt it (SQLite before
3.51.3), so the store holds a lock file for as long as it is open. Writes go
through one thread: what waits while a commit runs is committed together, so
that one durable write serves them all. A group of plain members is one batch.
Where it is refused, or a member is not plain, each has a savepoint of its own,
so that a bad member fails alone.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, NullPool, QueuePool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from assess.delivery.store.apart import Apart
from assess.delivery.store.batches import apply_batch, is_plain
from assess.delivery.store.groups import GroupCommit, KeptConnection, Outcome, Threaded, refused, said
from assess.delivery.store.revision import bring_up
from assess.delivery.store.rows import Committed, Writes
from assess.delivery.store.snapshots import SnapshotReads
from assess.delivery.store.writing import apply
from assess.errors import StorageUnavailable, StoreLocked

PRAGMAS = (
    "busy_timeout = 5000",
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    # What is deleted is overwritten: else a name that was erased stays in the file, on a page that is free.
    "secure_delete = ON",
)
# A page that is written again within 4,000 pages of the log (16 MB) is copied into the file once; and what
# the writer changes stays in its memory (64 MB). Neither touches what a commit promises.
_OF_THE_WRITER = ("wal_autocheckpoint = 4000", "cache_size = -65536")
_GROUPS_PER_COPY = 128
# Where a server was killed, its writing process may still have a group to finish.
_LAST_GROUP_SECONDS = 1.0


class SqliteStore(GroupCommit, SnapshotReads):
    """A store in one SQLite file, written by this process alone, or by a process of its own.

    Raises
    ------
    StoreLocked
        Another process has the file open for writing.
    """

    exclusive = True

    def __init__(self, path: Path, *, read_threads: int = 4, apart: bool = False) -> None:
        new_file(path)
        path = path.resolve()
        self._lock = take_lock(path)
        self._readers = _engine(path, writes=False, pool_size=read_threads)
        try:
            engine = writing_engine(path)
            with engine.connect() as connection:
                bring_up(connection)
            engine.dispose()
        except BaseException as fault:
            self._release()
            if isinstance(fault, SQLAlchemyError):
                raise StorageUnavailable(f"{path} cannot be used as a database ({fault})") from fault
            raise
        self._pool = ThreadPoolExecutor(read_threads, thread_name_prefix="store-read")
        # The process holds the lock too: were this one killed, the file is free only once that one has ended.
        address, lock = str(path), self._lock.fileno()
        self._start_writing(
            Apart("sqlite", address, holds=lock) if apart else Threaded(SqliteWriter(address))
        )

    def close(self) -> None:
        """Finish what was handed over, then let the file go."""
        if self._writing_closed:
            return
        self._stop_writing()
        self._pool.shutdown()
        self._release()

    def _release(self) -> None:
        self._readers.dispose()
        self._lock.close()


class SqliteWriter(KeptConnection):
    """The one writing connection of a file whose lock is held."""

    def __init__(self, path: str) -> None:
        super().__init__(writing_engine(Path(path)))
        self._since_copied = 0

    def write(self, group: list[Writes]) -> list[Outcome]:
        """Make the members durable; what became of each."""
        self._since_copied += 1
        try:
            if all(map(is_plain, group)):
                # A fault of one member, whatever it is, must not refuse the others.
                with contextlib.suppress(Exception):
                    return self._write_plain(group)
            return self._write_together(group)
        except _TransactionLost as lost:
            if len(group) == 1:
                return [refused(lost)]
        # Nobody of the group was stored. Each alone: who brought no harm must not suffer for it.
        return [outcome for writes in group for outcome in self.write([writes])]

    def rest(self) -> None:
        """Copy the log into the file: a long log that must be copied holds up those who wait by then."""
        if self._since_copied >= _GROUPS_PER_COPY and self._connection is not None:
            self._since_copied = 0
            # The log is as good a place, and who writes must not end by this.
            with contextlib.suppress(sqlite3.Error, SQLAlchemyError):
                driver: Any = self._connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _write_plain(self, group: list[Writes]) -> list[Outcome]:
        """All members by a few statements; none where one is refused."""
        connection = self._connected()
        with connection.begin():
            driver = connection.connection.driver_connection
            outcomes = apply_batch(driver, connection.dialect, group)
            _require_transaction(connection, None)
        return [*outcomes]

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _write_together(self, group: list[Writes]) -> list[Outcome]:
        connection = self._connected()
        outcomes: list[Outcome] = [Committed()] * len(group)
        with connection.begin():
            for n, writes in enumerate(group):
                member = connection.begin_nested()
                try:
                    outcomes[n] = apply(connection, writes)
                    member.commit()
                except Exception as fault:  # noqa: BLE001 - as above
                    _require_transaction(connection, fault)
                    member.rollback()
                    outcomes[n] = refused(fault)
            _require_transaction(connection, None)
        return outcomes


class _TransactionLost(StorageUnavailable):
    """SQLite rolled the whole transaction back by itself, savepoints and all."""


def _require_transaction(connection: Connection, fault: Exception | None) -> None:
    """Refuse the whole group where SQLite rolled it back by itself: a full disk, a failed read.

    The driver's commit would do nothing then and not say so, and members that
    were written before would be called stored.
    """
    driver: Any = connection.connection.driver_connection
    if not driver.in_transaction:
        raise _TransactionLost(
            f"the database rolled the whole transaction back ({said(fault) if fault else 'unasked'})"
        ) from fault


def new_file(path: Path) -> None:
    """Make the file, if there is none: with answers and signing keys in it, it is nobody else's to read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)  # what SQLite puts beside it gets the same rights
    except OSError as fault:
        raise StorageUnavailable(f"{path} cannot be made ({fault.strerror})") from fault


def take_lock(path: Path) -> IO[str]:
    """Be the one process that writes the file, by whatever name, until the lock is closed."""
    import fcntl

    path = path.resolve()  # beside the file itself: two links to it must not have a lock each
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = lock_path.open("w")
    except OSError as fault:
        raise StorageUnavailable(f"{lock_path} cannot be written ({fault.strerror})") from fault
    until = time.monotonic() + _LAST_GROUP_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            if time.monotonic() < until:
                time.sleep(0.02)
                continue
            lock.close()
            raise StoreLocked(
                f"another process has {path} open for writing, and SQLite takes only one; "
                "stop that process, ask the running server over HTTP, or use PostgreSQL (ASSESS_DATABASE_URL)"
            ) from None


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
        for pragma in (*PRAGMAS, *(_OF_THE_WRITER if writes else ("query_only = ON",))):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
