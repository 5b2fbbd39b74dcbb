"""A question of one statement goes without a transaction on PostgreSQL, and is as safe as the others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, create_engine, text

from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store
from assess.delivery.store.postgres import PostgresStore
from assess.delivery.store.reading_marks import mark
from assess.delivery.store.rows import Learner
from assess.errors import StorageUnavailable

T = TypeVar("T")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def write(connection: Connection) -> None:
    connection.execute(text("DELETE FROM learners"))


def sleep(connection: Connection, seconds: float) -> None:
    connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})


def test_a_lost_connection_is_made_anew(pg_url: str) -> None:
    store = open_store(Settings(database_url=pg_url))
    try:
        run(store.commit(Writes("default", inserts=(Learner("default", "p1", None, False, 1, NOW),))))
        assert run(store.read_at_once(mark, "default", "p1")) is not None
        other = create_engine(pg_url, isolation_level="AUTOCOMMIT")
        with other.connect() as connection:
            everybody = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert connection.execute(text(everybody)).all()
        other.dispose()
        found = run(store.read_at_once(mark, "default", "p1"))
        assert found is not None
        assert found.version == 1
    finally:
        store.close()


def test_a_question_writes_nothing(pg_url: str, tmp_path: Any) -> None:
    for url in (pg_url, f"sqlite:///{tmp_path / 'a.db'}"):
        store = open_store(Settings(database_url=url))
        try:
            with pytest.raises(StorageUnavailable, match="read"):
                run(store.read_at_once(write))
        finally:
            store.close()


def test_questions_that_wait_for_each_other_hold_up_nothing_else(pg_url: str) -> None:
    """With more threads than connections they would wait for one in no order, and after 30 s be refused."""
    store = PostgresStore(pg_url, threads=2)
    done: list[str] = []

    async def ask(name: str, read: Any, seconds: float) -> None:
        await read(sleep, seconds)
        done.append(name)

    async def together() -> None:
        slow = [asyncio.create_task(ask(f"at once {n}", store.read_at_once, 0.3)) for n in range(4)]
        await asyncio.sleep(0.05)
        await asyncio.gather(ask("snapshot", store.read, 0.0), *slow)

    try:
        run(together())
    finally:
        store.close()
    assert done == ["snapshot", "at once 0", "at once 1", "at once 2", "at once 3"]
