"""What a process remembers of sessions."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from assess.delivery.security import digest
from assess.delivery.service import recent
from assess.delivery.service.context import Scope
from assess.delivery.store import reading
from tests.delivery.world import World, refused


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


def test_answers_under_a_learners_own_token_read_nothing(both_worlds: World, asked: list[Any]) -> None:
    both_worlds.learner()
    begun = both_worlds.begin()
    current, token = begun["current"], begun["token"]
    asked.clear()
    both_worlds.services.recent._seconds = 0.0
    for _ in range(2):
        current = both_worlds.respond(begun["session"], current, "b", key=token).json()["current"]
    assert asked == []


def test_a_token_that_was_replaced_opens_nothing_at_once(both_worlds: World) -> None:
    both_worlds.learner()
    begun = both_worlds.begin()
    resumed = both_worlds.begin()
    refused(
        both_worlds.respond(begun["session"], begun["current"], "b", key=begun["token"]),
        401,
        "credentials_invalid",
    )
    stored = both_worlds.respond(begun["session"], begun["current"], "b", key=resumed["token"])
    assert stored.status_code == 200


def test_the_token_of_one_session_opens_no_other_from_memory(both_worlds: World) -> None:
    for name in ("lrn_1", "lrn_2"):
        both_worlds.learner(name)
    one, other = both_worlds.begin("lrn_1"), both_worlds.begin("lrn_2")
    refused(
        both_worlds.respond(other["session"], other["current"], "b", key=one["token"]), 404, "session_unknown"
    )


def test_a_token_ends_some_days_after_its_session_whatever_is_remembered(world: World) -> None:
    world.learner()
    begun = world.begin()
    path = f"/v1/sessions/{begun['session']}"
    assert world.call("GET", path, key=begun["token"]).status_code == 200
    world.clock.advance(days=40)
    refused(world.call("GET", path, key=begun["token"]), 401, "credentials_expired")


def test_a_scope_that_was_read_before_it_changed_is_not_kept(world: World) -> None:
    world.learner()
    begun = world.begin()
    recent, old = world.services.recent, digest(begun["token"])
    scope, read_at = recent.scope(old), time.monotonic()
    assert scope is not None
    world.begin()
    recent.keep_scope(old, scope, read_at)
    assert recent.scope(old) is None


def test_no_more_tokens_are_remembered_than_may_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "_KEPT_SCOPES", 2)
    kept = recent.Recent(math.inf, world.clock)
    for n in range(5):
        kept.keep_scope(f"sha-{n}", Scope("default", "learner:x", session=f"ses_{n}"), time.monotonic())
    assert [kept.scope(f"sha-{n}") is not None for n in range(5)] == [False, False, False, True, True]
    assert len(kept._tokens) == 2
