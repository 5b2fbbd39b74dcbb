"""Of several openings of a session, the newest one writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from assess.delivery.security import digest
from assess.delivery.service import Services, fencing, sessions
from assess.delivery.store import reading
from assess.delivery.store.rows import Committed, Writes
from assess.errors import OpenedElsewhere
from tests.delivery.world import World, refused


@pytest.fixture
def begun(both_worlds: World) -> dict[str, Any]:
    both_worlds.learner()
    return both_worlds.begin()


def _answer(world: World, begun: dict[str, Any], answer: str = "b", **changes: Any) -> Any:
    current = begun["current"]
    body = {
        "position": current["position"],
        "item": current["item"]["id"],
        "revision": current["revision"],
        "answer": answer,
        **changes,
    }
    return world.call("POST", f"/v1/sessions/{begun['session']}/responses", body)


def test_every_opening_raises_the_fence_and_is_an_event(both_worlds: World, begun: dict[str, Any]) -> None:
    world, session = both_worlds, begun["session"]
    assert begun["fence"] == 1
    first = digest(begun["token"])
    assert world.run(fencing.open_page, world.admin, session) == 2
    assert world.begin()["fence"] == 3
    assert world.call("GET", f"/v1/sessions/{session}").json()["fence"] == 3
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    assert [(event.type, event.data) for event in records.events] == [
        ("opened", {"fence": 2, "by": "page"}),
        ("opened", {"fence": 3, "by": "api", "replaced": first}),
    ]


def test_of_a_token_that_was_replaced_that_much_is_known_and_only_in_its_session(
    both_worlds: World, begun: dict[str, Any]
) -> None:
    world, session = both_worlds, begun["session"]
    other = world.begin(world.learner("lrn_2"))["session"]

    def was_replaced(token: str, of: str = session) -> bool:
        return world.run(fencing.was_replaced, "default", of, token)

    assert not was_replaced(begun["token"])
    resumed, latest = world.begin(), world.begin()
    assert was_replaced(begun["token"])
    assert was_replaced(resumed["token"])
    assert not was_replaced(latest["token"])
    assert not was_replaced(begun["token"], other)
    assert not was_replaced(begun["token"], "ses_nothing")
    assert not was_replaced("ast_guessed")


def test_openings_at_once_take_different_fences(both_worlds: World, begun: dict[str, Any]) -> None:
    async def twice(services: Services) -> list[int]:
        pages = (fencing.open_page(services, both_worlds.admin, begun["session"]) for _ in range(2))
        return list(await asyncio.gather(*pages))

    assert sorted(both_worlds.run(twice)) == [2, 3]


def test_an_older_opening_can_neither_answer_nor_hand_in(both_worlds: World, begun: dict[str, Any]) -> None:
    world, session = both_worlds, begun["session"]
    world.run(fencing.open_page, world.admin, session)
    problem = refused(_answer(world, begun, fence=1), 409, "stale_session")
    assert "its fence is 2, and this answer comes with 1" in problem["detail"]
    with pytest.raises(OpenedElsewhere):
        world.run(sessions.submit, world.admin, session, fence=1)
    view = world.call("GET", f"/v1/sessions/{session}").json()
    assert (view["state"], view["progress"]["answered"]) == ("in_progress", 0)
    # A number that nobody was given is no way in.
    refused(_answer(world, begun, fence=99), 409, "stale_session")
    assert _answer(world, begun, fence=2).status_code == 200
    world.run(sessions.submit, world.admin, session, fence=2)
    # Handed in is handed in, whoever says so again.
    world.run(sessions.submit, world.admin, session, fence=1)


def test_the_same_answer_from_an_older_opening_has_its_receipt(
    both_worlds: World, begun: dict[str, Any]
) -> None:
    world = both_worlds
    first = _answer(world, begun, fence=1).json()
    world.run(fencing.open_page, world.admin, begun["session"])
    assert _answer(world, begun, fence=1).json()["receipt"] == first["receipt"]
    # Another answer to it meets the fence, not the row: this window is told that it is no longer in use.
    refused(_answer(world, begun, "a", fence=1), 409, "stale_session")
    refused(_answer(world, begun, "a", fence=2), 409, "answer_conflict")
    refused(_answer(world, begun, position=9, fence=1), 409, "stale_session")


def test_a_client_without_a_fence_is_asked_for_none(both_worlds: World, begun: dict[str, Any]) -> None:
    both_worlds.run(fencing.open_page, both_worlds.admin, begun["session"])
    assert _answer(both_worlds, begun).status_code == 200
    assert both_worlds.call("POST", f"/v1/sessions/{begun['session']}/submit").status_code == 200


def test_a_repeated_begin_gives_the_fence_that_it_took(both_worlds: World) -> None:
    world, body = both_worlds, {"learner": "lrn_1", "form": "x-fixed"}
    world.learner()

    def begin(key: str) -> dict[str, Any]:
        reply: dict[str, Any] = world.call("POST", "/v1/sessions", body, Idempotency_Key=key).json()
        return reply

    first, resumed = begin("k-1"), begin("k-2")
    assert (first["fence"], resumed["fence"]) == (1, 2)
    world.run(fencing.open_page, world.admin, first["session"])
    again = begin("k-2")
    assert (again["fence"], again["token"]) == (2, resumed["token"])
    assert begin("k-1")["fence"] == 1
    refused(_answer(world, again, fence=again["fence"]), 409, "stale_session")


def test_an_answer_on_its_way_when_the_session_is_opened_elsewhere_is_refused(
    both_worlds: World, begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read before the opening and written after it: the version in the write keeps it out."""
    world, session = both_worlds, begun["session"]
    store = type(world.services.store)
    plain = store.commit
    waits = True

    async def commit(self: Any, writes: Writes) -> Committed:
        nonlocal waits
        if waits and any(row.table.name == "responses" for row in writes.inserts):
            waits = False
            await fencing.open_page(world.services, world.admin, session)
        return await plain(self, writes)

    monkeypatch.setattr(store, "commit", commit)
    refused(_answer(world, begun, fence=1), 409, "stale_session")
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    assert (waits, len(records.responses)) == (False, 0)


def test_an_ended_session_is_only_looked_at(both_worlds: World, begun: dict[str, Any]) -> None:
    world, session = both_worlds, begun["session"]
    world.call("POST", f"/v1/sessions/{session}/submit")
    assert world.run(fencing.open_page, world.admin, session) == 1


def test_openings_leave_the_decision_as_it_is(both_worlds: World) -> None:
    """Replay reads offers and responses; where a learner sat changes nothing."""
    world = both_worlds
    scores = []
    for n, openings in enumerate((0, 3)):
        world.learner(f"lrn_{n}")
        begun = world.begin(f"lrn_{n}")
        for _ in range(openings):
            world.run(fencing.open_page, world.admin, begun["session"])
        current = begun["current"]
        while current is not None:
            current = world.respond(begun["session"], current, "b").json()["current"]
        world.call("POST", f"/v1/sessions/{begun['session']}/submit")
        scores.append(world.call("GET", f"/v1/sessions/{begun['session']}/result").json()["score"])
    assert scores[0] == scores[1]
