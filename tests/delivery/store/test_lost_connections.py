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
from assess.delivery.store.postgres import PostgresWriter
from assess.delivery.store.rows import Committed, StoredRelease
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
