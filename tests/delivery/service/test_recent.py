"""What a process remembers of sessions."""

from __future__ import annotations

from typing import Any

import pytest

from assess.delivery.store import reading
from tests.delivery.world import World


@pytest.fixture
def asked(both_worlds: World, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions that the store was asked."""
    found: list[Any] = []
    store = both_worlds.services.store
    plain = store.read

    def read(query: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(query)
        return plain(query, *args, **kwargs)

    monkeypatch.setattr(store, "read", read)
    return found


def test_the_first_answer_of_a_session_reads_none_of_it(both_worlds: World, asked: list[Any]) -> None:
    both_worlds.learner()
    begun = both_worlds.begin()
    assert both_worlds.respond(begun["session"], begun["current"], "b").status_code == 200
    assert reading.session_records not in asked


def test_neither_does_the_first_one_after_a_resume(both_worlds: World, asked: list[Any]) -> None:
    both_worlds.learner()
    both_worlds.begin()
    resumed = both_worlds.begin()
    asked.clear()
    assert both_worlds.respond(resumed["session"], resumed["current"], "b").status_code == 200
    assert reading.session_records not in asked


def test_memory_that_was_dropped_is_read_again(both_worlds: World, asked: list[Any]) -> None:
    both_worlds.learner()
    begun = both_worlds.begin()
    both_worlds.services.recent.drop()
    assert both_worlds.respond(begun["session"], begun["current"], "b").status_code == 200
    assert reading.session_records in asked
