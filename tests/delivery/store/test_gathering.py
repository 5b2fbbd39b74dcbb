"""Rows of several tables by one statement are the rows that one question after the other gives."""

from __future__ import annotations

from assess.delivery.store import reading, reading_begin, reading_marks, reading_people, sitting
from assess.delivery.store.persons import Person
from tests.delivery.world import World

FACT = {
    "id": "f1",
    "source": "academy",
    "t": "attended",
    "subject": "lrn_1",
    "at": "2026-11-01",
    "event": "day é",
}


def filled(world: World) -> str:
    """A learner with an ended and an open session, facts, assigned courses and accommodations."""
    world.learner()
    ended = world.sit()
    world.begin(form="x-adaptive")
    assert world.call("POST", "/v1/facts", FACT).status_code in (200, 201)
    given = {"time_multiplier": 1.5, "no_pilot": True}
    assert world.call("PUT", "/v1/learners/lrn_1/accommodations", given).status_code == 200
    return ended


def test_a_learner_is_read_as_by_one_question_after_the_other(both_worlds: World) -> None:
    world = both_worlds
    filled(world)
    found = world.ask(reading.learner_records, "default", "lrn_1")
    assert found == world.ask(reading.records_of, "default", Person("lrn_1", ("lrn_1",)))
    assert found is not None
    assert (len(found.sessions), len(found.decisions), len(found.facts)) == (2, 1, 1)
    assert found.changes


def test_a_begin_rests_on_what_each_question_says(both_worlds: World) -> None:
    world = both_worlds
    filled(world)
    key = {"actor": "me", "route": "POST /v1/sessions", "key": "k"}
    found = world.ask(reading_begin.beginning, "default", "lrn_1", **key)
    assert found.earlier is None
    assert found.records == world.ask(reading.learner_records, "default", "lrn_1")
    assert found.accommodations == world.ask(sitting.accommodations, "default", "lrn_1")
    assert len(found.accommodations) == 1
    assert found.assignments == world.ask(reading_people.assignments_for, "default", "lrn_1")


def test_a_begin_under_any_id_of_a_person_rests_on_all_of_them(both_worlds: World) -> None:
    world = both_worlds
    filled(world)
    world.learner("lrn_2")
    for more in (1.25, 2.0):
        world.call("PUT", "/v1/learners/lrn_2/accommodations", {"time_multiplier": more})
    body = {"into": "lrn_2", "reason": "one person"}
    assert world.call("POST", "/v1/learners/lrn_1/merge", body).status_code == 200
    for one in ("lrn_1", "lrn_2"):
        found = world.ask(reading_begin.beginning, "default", one, actor="me", route="", key="")
        assert found.accommodations == world.ask(sitting.accommodations, "default", one)
        assert [(row.learner, row.seq) for row in found.accommodations] == [
            ("lrn_2", 1),
            ("lrn_2", 2),
            ("lrn_1", 1),
        ]


def test_who_is_not_there_has_no_records(both_worlds: World) -> None:
    assert both_worlds.ask(reading.learner_records, "default", "nobody") is None
    assert both_worlds.ask(reading.session_records, "default", "ses_none") is None


def test_the_parts_of_a_session_come_in_their_order(both_worlds: World) -> None:
    session = filled(both_worlds)
    found = both_worlds.ask(reading.session_records, "default", session)
    assert found is not None
    assert [offer.position for offer in found.offers] == list(range(1, len(found.offers) + 1))
    assert [response.position for response in found.responses] == [o.position for o in found.offers]
    records = both_worlds.ask(reading.learner_records, "default", "lrn_1")
    assert records is not None
    assert [one for one in records.sessions if one.id == session] == [found.session]


def test_a_mark_comes_with_the_records_that_it_covers(both_worlds: World) -> None:
    world = both_worlds
    filled(world)
    looked_at = reading_marks.LookedAt(("twt-3",), ("attended",))
    mark, records = world.ask(reading_marks.marked_records, "default", "lrn_1", looked_at)
    assert mark is not None
    assert records is not None
    assert (mark, records) == (
        world.ask(reading_marks.mark, "default", "lrn_1"),
        world.ask(reading_marks.lean_records, "default", "lrn_1", looked_at),
    )
    assert (mark.n_sessions, mark.joined, mark.is_alone) == (2, False, True)
    assert mark.session_versions == sum(one.version for one in records.sessions)
    world.learner("lrn_2")
    body = {"into": "lrn_2", "reason": "one person"}
    assert world.call("POST", "/v1/learners/lrn_1/merge", body).status_code == 200
    for one in ("lrn_1", "lrn_2"):
        mark, records = world.ask(reading_marks.marked_records, "default", one)
        assert mark is not None
        assert mark.joined
        assert records is None
    assert world.ask(reading_marks.marked_records, "default", "nobody") == (None, None)
