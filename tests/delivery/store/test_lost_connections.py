"""Connections to PostgreSQL that are lost, and what the writer does on the next one."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store, postgres
from assess.delivery.store.connecting import NOTICED
from assess.delivery.store.postgres import PostgresWriter, write_alone
from assess.delivery.store.rows import Committed, Learner, StoredRelease, Update
from assess.errors import OutcomeUnknown, StaleSession, StorageUnavailable
from tests.delivery.store.test_stores import NOW, learner, run

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
    return [Writes("default", inserts=(learner(name),)) for name in ids]


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


# --- waiting for what does not come ------------------------------------------------------


def with_parameters(url: str, **said: str) -> str:
    return make_url(url).update_query_dict(said).render_as_string(hide_password=False)


def test_a_dead_connection_is_noticed_whatever_the_system_would_wait(writer: Any) -> None:
    writer.write(of("lrn_1"))
    found = writer._driver().info.get_parameters()
    assert {name: found[name] for name in NOTICED} == {name: str(value) for name, value in NOTICED.items()}
    assert writer._driver().execute("SHOW lock_timeout").fetchone() == ("10s",)


def test_what_the_address_says_comes_first_and_durability_stays(pg_url: str) -> None:
    url = with_parameters(
        pg_url,
        connect_timeout="7",
        tcp_user_timeout="9000",
        options="-c lock_timeout=3s -c work_mem=5MB -c synchronous_commit=off",
    )
    store: Any = open_store(Settings(database_url=url))
    try:
        run(store.commit(of("lrn_1")[0]))
        driver = store._hand._writer._driver()
        found = driver.info.get_parameters()
        assert (found["connect_timeout"], found["tcp_user_timeout"]) == ("7", "9000")
        assert found["keepalives_idle"] == "30"
        shown = [driver.execute(f"SHOW {name}").fetchone()[0] for name in ("lock_timeout", "work_mem")]
        assert shown == ["3s", "5MB"]
        assert driver.execute("SHOW synchronous_commit").fetchone() == ("on",)
        driver.rollback()
        read = store.read_at_once(lambda connection: connection.exec_driver_sql("SHOW work_mem").scalar())
        assert run(read) == "5MB"
    finally:
        store.close()


def test_a_server_that_takes_a_connection_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(NOTICED, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing"

        def opens() -> Exception:
            with pytest.raises(StorageUnavailable) as refused:
                open_store(Settings(database_url=url))
            return refused.value

        assert "cannot be used" in str(within(20, opens, otherwise=silent.close))


def test_a_lock_that_somebody_forgot_refuses_one_member_and_holds_up_nobody_for_long(pg_url: str) -> None:
    open_store(Settings(database_url=pg_url)).close()
    writer = PostgresWriter(with_parameters(pg_url, options="-c lock_timeout=300ms"))
    try:
        writer.write(of("lrn_1"))
        with psycopg.connect(pg_url.replace("+psycopg", "")) as other:
            other.execute("UPDATE learners SET version = 9 WHERE id = 'lrn_1'")
            update = Update(Learner, {"tenant": "default", "id": "lrn_1"}, {"version": 2})
            group = [*of("lrn_2"), Writes("default", (update,)), *of("lrn_3")]
            first, refused, last = within(20, lambda: writer.write(group), otherwise=other.close)
            other.rollback()
        assert [first, last] == [Committed()] * 2
        assert isinstance(refused, StorageUnavailable)
        assert "lock timeout" in str(refused)
        assert writer.write([Writes("default", (update,))]) == [Committed()]
    finally:
        writer.close()


def test_members_that_each_wait_are_not_all_waited_for(writer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of 128 that each wait for a connection would hold up all writing for 20 minutes."""

    def slow(*_: Any) -> StorageUnavailable:
        time.sleep(0.1)
        return StorageUnavailable("away")

    def refuse(*_: Any) -> None:
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(postgres, "write_alone", slow)
    monkeypatch.setattr(postgres, "apply_batch", refuse)
    monkeypatch.setattr(postgres, "_ALONE_SECONDS", 0.25)
    outcomes = writer.write(of(*(f"lrn_{n}" for n in range(20))))
    assert [str(outcome) for outcome in outcomes[:2]] == ["away"] * 2
    assert {str(outcome) for outcome in outcomes[3:]} == {"the database is too slow; send it again"}


def test_whoever_migrates_waits_for_the_one_before_longer_than_a_write_waits(
    pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", "-c lock_timeout=200ms")
    with psycopg.connect(pg_url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (postgres._MIGRATION_LOCK,))
        timer = threading.Timer(1, other.close)
        timer.start()
        open_store(Settings(database_url=pg_url)).close()
        timer.join()
