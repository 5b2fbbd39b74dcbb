"""A learner's note about what went wrong is kept with the session, a few times."""

from __future__ import annotations

import pytest

from assess.delivery.service import problem_notes
from assess.delivery.store import reading
from assess.errors import InvalidRequest, NotFound, RateLimited
from tests.delivery.world import World


def _report(world: World, session: str, note: str) -> None:
    world.run(problem_notes.report, world.admin, session, note=note, request="req_1")


def test_a_note_is_an_event_without_the_person(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    session = world.begin()["session"]
    _report(world, session, "  The picture is missing.  ")
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    (event,) = records.events
    assert (event.type, event.at) == ("problem_reported", world.clock())
    assert event.data == {"note": "The picture is missing.", "position": 1, "request": "req_1"}


def test_a_note_can_be_left_after_the_end(world: World) -> None:
    world.learner()
    session = world.sit()
    _report(world, session, "The result came late.")
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    assert [event.type for event in records.events] == ["problem_reported"]


def test_notes_are_few_and_the_refusal_says_for_how_long(world: World) -> None:
    world.learner()
    session = world.begin()["session"]
    for n in range(5):
        world.clock.advance(minutes=1)
        _report(world, session, f"note {n}")
    with pytest.raises(RateLimited) as refusal:
        _report(world, session, "one more")
    assert refusal.value.retry_after == 56 * 60
    world.clock.advance(minutes=56)
    _report(world, session, "one more")


def test_a_session_holds_twenty_notes(world: World) -> None:
    world.learner()
    session = world.begin()["session"]
    for n in range(20):
        _report(world, session, f"note {n}")
        world.clock.advance(minutes=15)
    with pytest.raises(RateLimited, match="20 notes"):
        _report(world, session, "one more")


@pytest.mark.parametrize(("note", "said"), [("   ", "empty"), ("x" * 1001, "1001 characters")])
def test_a_note_that_says_nothing_or_too_much_is_refused(world: World, note: str, said: str) -> None:
    world.learner()
    session = world.begin()["session"]
    with pytest.raises(InvalidRequest, match=said):
        _report(world, session, note)
    with pytest.raises(NotFound):
        _report(world, "ses_nobody", "hello")
