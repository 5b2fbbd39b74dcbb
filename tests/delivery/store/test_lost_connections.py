"""Connections to PostgreSQL that are lost, and what the writer does on the next one."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store
from assess.delivery.store.postgres import PostgresWriter, write_alone
from assess.delivery.store.rows import Committed, StoredRelease
from assess.errors import OutcomeUnknown, StaleSession, StorageUnavailable
from tests.delivery.store.test_stores import NOW, learner

LARGE = StoredRelease("1" * 64, "form", "x", f'"{"x" * 4_000_000}"', NOW)


@pytest.fixture
def writer(pg_url: str) -> Iterator[Any]:
    """Who writes groups to an empty database."""
    open_store(Settings(database_url=pg_url)).close()
    found = PostgresWriter(pg_url)
    try:
        yield found
    finally:
        found.close()


def of(*ids: str) -> list[Writes]:
    return [Writes("default", inserts=(learner(id),)) for id in ids]


def terminate(url: str, pid: int) -> None:
    """End a connection as an administrator does, and wait until it is gone."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


def backend(writer: Any) -> int:
    found: int = writer._driver().info.backend_pid
    return found


def within(seconds: float, work: Callable[[], Any], otherwise: Callable[[], None]) -> Any:
    """What the work gives; where it takes longer, it is ended, so that the test fails and does not hang."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        otherwise()
        thread.join(10)
        pytest.fail(f"not done within {seconds} s")
    return found[0]


def test_a_connection_that_replaces_a_lost_one_takes_a_large_group_from_a_slow_postgresql(
    writer: Any, pg_url: str
) -> None:
    """It once was one as the driver makes it, which waits for ever when not all could be sent at once."""
    assert writer.write(of("lrn_1")) == [Committed()]
    terminate(pg_url, backend(writer))
    assert writer.write(of("lrn_2", "lrn_3")) == [Committed()] * 2
    assert writer.write(of("lrn_4")) == [Committed()]
    driver, pid = writer._driver(), backend(writer)
    assert driver.pgconn.nonblocking == 0
    assert driver.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
    driver.rollback()
    slowly = f"kill -STOP {pid}; echo; sleep 0.5; kill -CONT {pid}"
    with subprocess.Popen(["sh", "-c", slowly], stdout=subprocess.PIPE) as slow:
        assert slow.stdout is not None
        slow.stdout.readline()
        written = within(
            30,
            lambda: writer.write([Writes("default", inserts=(LARGE,))]),
            otherwise=lambda: terminate(pg_url, pid),
        )
    assert written == [Committed()]


# --- a commit in doubt -----------------------------------------------------------------


def lose_in_the_commit(monkeypatch: pytest.MonkeyPatch, *, commits: bool) -> None:
    """Let the connection end in the next commit, before or after the database took it."""
    commit = psycopg.Connection.commit
    left = [1]

    def lost(connection: Any) -> None:
        if not left:
            commit(connection)
            return
        left.clear()
        if commits:
            commit(connection)
        connection.pgconn.finish()
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(psycopg.Connection, "commit", lost)


def test_a_commit_in_doubt_that_cannot_be_looked_up_is_not_called_refused(
    writer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert writer.write(of("lrn_1")) == [Committed()]
    lose_in_the_commit(monkeypatch, commits=True)
    with monkeypatch.context() as patch:
        patch.setattr(writer._engine.pool, "connect", _away)
        outcomes = writer.write(of("lrn_2", "lrn_3"))
    assert [type(outcome) for outcome in outcomes] == [OutcomeUnknown] * 2
    assert "may or may not be stored" in str(outcomes[0])
    # It was stored, and whoever sends it again finds that out by reading again.
    assert [type(outcome) for outcome in writer.write(of("lrn_2"))] == [StaleSession]


def _away() -> Any:
    raise psycopg.OperationalError("connection refused")


@pytest.mark.parametrize("commits", [False, True])
def test_a_commit_in_doubt_is_looked_up_where_that_can_be_done(
    writer: Any, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    assert writer.write(of("lrn_1")) == [Committed()]
    lose_in_the_commit(monkeypatch, commits=commits)
    (outcome,) = writer.write(of("lrn_2"))
    assert isinstance(outcome, StaleSession if commits else Committed)
    assert writer.write(of("lrn_3")) == [Committed()]


@pytest.mark.parametrize("commits", [False, True])
def test_a_member_alone_whose_commit_is_in_doubt_is_not_called_refused(
    writer: Any, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    lose_in_the_commit(monkeypatch, commits=commits)
    assert isinstance(write_alone(writer._engine, of("lrn_1")[0]), OutcomeUnknown)


def test_a_connection_that_is_lost_before_the_commit_leaves_no_doubt(
    writer: Any, pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert writer.write(of("lrn_1")) == [Committed()]
    terminate(pg_url, backend(writer))
    monkeypatch.setattr(writer._engine.pool, "connect", _away)
    (outcome,) = writer.write(of("lrn_2"))
    assert type(outcome) is StorageUnavailable
