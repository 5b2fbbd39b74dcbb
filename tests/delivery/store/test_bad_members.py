"""One member of a group that cannot be written, packed or sent: the others are stored all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from assess.delivery.settings import Settings
from assess.delivery.store import Store, Writes, open_store, reading
from assess.delivery.store.rows import Committed, Job
from assess.errors import StorageUnavailable
from tests.delivery.store.test_stores import NOW, learner, run


@pytest.fixture(params=[False, True], ids=["thread", "process"])
def store(both_settings: Settings, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store on either database, which writes either way."""
    opened = open_store(replace(both_settings, write_apart=request.param))
    try:
        yield opened
    finally:
        opened.close()


def deep() -> Writes:
    """What no encoder can follow to its end."""
    value: Any = 1
    for _ in range(5000):
        value = {"a": value}
    return Writes("default", inserts=(Job("job_1", "nothing", value, NOW),))


def of(id: str) -> Writes:
    return Writes("default", inserts=(learner(id),))


async def together(store: Store, *members: Writes) -> list[Any]:
    return list(await asyncio.gather(*map(store.commit, members), return_exceptions=True))


def test_what_is_nested_too_deeply_is_refused_alone(store: Store) -> None:
    first, refused, last = run(together(store, of("lrn_1"), deep(), of("lrn_2")))
    assert [first, last] == [Committed()] * 2
    assert isinstance(refused, StorageUnavailable)
    assert run(store.read(reading.learner, "default", "lrn_1")) is not None
    assert run(store.read(reading.learner, "default", "lrn_2")) is not None


def test_a_group_in_which_nothing_can_be_written_is_refused_and_the_next_is_stored(store: Store) -> None:
    outcomes = run(together(store, deep(), deep()))
    assert [isinstance(outcome, StorageUnavailable) for outcome in outcomes] == [True, True]
    assert run(together(store, of("lrn_1"))) == [Committed()]


def test_what_is_nested_too_deeply_does_not_hold_up_a_store_that_closes(store: Store) -> None:
    async def closes() -> list[Any]:
        waiting = [asyncio.create_task(store.commit(writes)) for writes in (of("lrn_1"), deep())]
        await asyncio.sleep(0)
        store.close()
        return await asyncio.gather(*waiting, return_exceptions=True)

    stored, refused = run(closes())
    assert stored == Committed()
    assert isinstance(refused, StorageUnavailable)
