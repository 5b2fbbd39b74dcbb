"""Incidents, accommodations, breaks and invigilators' codes over HTTP: what they do, and every refusal."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from assess.delivery import schemas
from assess.delivery.service import activations, incidents, keys, sessions
from assess.delivery.store import reading, sitting
from tests import synthetic
from tests.delivery.world import NOON, World, refused

BEGAN = "2026-11-22T12:10:00Z"
ENDED = "2026-11-22T12:20:00Z"


def declare(world: World, action: str, *, key: str = "live", **changes: Any) -> Any:
    body: dict[str, Any] = {
        "action": action,
        "scope": {"course": "twt-3"},
        "from": BEGAN,
        "to": ENDED,
        "reason": "a power cut in room 2",
    }
    return world.call("POST", "/v1/incidents", body | changes, key=key)


def view(world: World, session: str) -> dict[str, Any]:
    found: dict[str, Any] = world.call("GET", f"/v1/sessions/{session}").json()
    return found


def events(world: World, session: str) -> list[tuple[str, dict[str, Any]]]:
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    return [(event.type, event.data) for event in records.events]


def timed_world(world: World, **form: Any) -> World:
    world.activate(synthetic.document(form={"id": "x-timed", "review": "none", **form}))
    return world


# --- add_time -------------------------------------------------------------------


def test_an_incident_gives_time_to_every_session_that_ran_then_and_tells_them(both_worlds: World) -> None:
    world = both_worlds
    during = world.begin(world.learner("lrn_1"))["session"]
    world.clock.advance(minutes=15)
    late = world.begin(world.learner("lrn_2"))["session"]
    world.clock.advance(minutes=5)
    handed_in = world.sit(world.learner("lrn_3"), stop_after=1)
    found = declare(world, "add_time", message="The light went out.")
    assert found.status_code == 201, found.text
    told = {s["session"]: (s["state"], s["seconds"], s["why"]) for s in found.json()["sessions"]}
    assert told == {
        during: ("done", 600, None),
        late: ("done", 300, None),
        handed_in: ("skipped", 0, "it has ended; what ended by time can be opened again"),
    }
    assert found.json()["done_at"] is not None
    after = view(world, during)
    assert (after["seconds_left"], after["accommodations"]["extra_seconds"]) == (1200, 600)
    assert after["notices"] == [
        {
            "incident": found.json()["id"],
            "action": "add_time",
            "seconds": 600,
            "message": "The light went out.",
            "at": "2026-11-22T12:20:00Z",
        }
    ]
    status = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()
    assert status["next"]["action"] == "resume"
    assert status["next"]["notice"]["seconds"] == 600
    ((kind, data),) = events(world, during)
    assert kind == "time_granted"
    assert (data["incident"], data["reason"]) == (found.json()["id"], "a power cut in room 2")
    # The sweep knows of it: the session is not ended at its old deadline.
    world.clock.advance(minutes=12)
    assert world.run(sessions.sweep) == 0
    assert world.call("GET", f"/v1/incidents/{found.json()['id']}").json() == found.json()
    (listed,) = world.call("GET", "/v1/incidents").json()["items"]
    assert (listed["id"], listed["sessions"]) == (found.json()["id"], [])


def test_a_dry_run_says_what_would_happen_and_stores_nothing(world: World) -> None:
    session = world.begin(world.learner())["session"]
    world.clock.advance(minutes=20)
    found = declare(world, "add_time", dry_run=True, seconds=90)
    assert (found.status_code, found.json()["id"], found.json()["dry_run"]) == (200, None, True)
    assert [(s["session"], s["state"], s["seconds"]) for s in found.json()["sessions"]] == [
        (session, "done", 90)
    ]
    assert view(world, session)["seconds_left"] == 600
    assert world.call("GET", "/v1/incidents").json()["items"] == []
    void = declare(world, "void_without_try", dry_run=True)
    assert [s["state"] for s in void.json()["sessions"]] == ["done"]
    assert view(world, session)["state"] == "in_progress"


def test_the_same_request_twice_is_one_incident(both_worlds: World) -> None:
    world = both_worlds
    session = world.begin(world.learner())["session"]
    world.clock.advance(minutes=20)
    body = {"action": "add_time", "scope": {"sessions": [session]}, "from": BEGAN, "to": ENDED, "reason": "x"}
    first, second = (world.call("POST", "/v1/incidents", body, Idempotency_Key="inc-1") for _ in range(2))
    assert first.json() == second.json()
    assert view(world, session)["seconds_left"] == 600 + 600


def test_an_incident_of_a_cohort_reaches_its_persons_under_every_id_they_sat_with(both_worlds: World) -> None:
    world = both_worlds
    for n in range(1, 6):
        world.learner(f"lrn_{n}")
    world.call("PUT", "/v1/cohorts/room-2", {"title": "Room 2"})
    world.call("PUT", "/v1/cohorts/room-2/learners/lrn_1")
    world.call("PUT", "/v1/cohorts/room-2/learners/lrn_2")
    sat = {n: world.begin(f"lrn_{n}")["session"] for n in (1, 3, 4, 5)}
    # The member lrn_2 is the same person as lrn_3 and lrn_4; lrn_5 is somebody else.
    for merged, into in (("lrn_4", "lrn_3"), ("lrn_3", "lrn_2")):
        done = world.call("POST", f"/v1/learners/{merged}/merge", {"into": into, "reason": "one person"})
        assert done.status_code == 200, done.text
    world.clock.advance(minutes=20)
    found = declare(world, "add_time", scope={"cohort": "room-2"}).json()
    assert found["scope"] == {"cohort": "room-2"}
    assert {s["session"] for s in found["sessions"]} == {sat[1], sat[3], sat[4]}
    refused(declare(world, "add_time", key="test", scope={"cohort": "room-2"}), 422, "field_invalid")


def test_what_was_killed_in_the_middle_is_carried_on_and_nothing_is_done_twice(
    both_worlds: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = both_worlds
    began = [world.begin(world.learner(f"lrn_{n}"))["session"] for n in range(4)]
    world.clock.advance(minutes=20)
    done = incidents._do
    seen: list[str] = []

    async def killed(services: Any, incident: Any, session: str) -> bool:
        if len(seen) >= 2:
            raise RuntimeError("killed")
        seen.append(session)
        return await done(services, incident, session)

    monkeypatch.setattr(incidents, "_do", killed)
    body = schemas.DeclareIncident(
        action="add_time",
        scope=schemas.IncidentScope(tenant=True),
        from_=NOON + timedelta(minutes=10),
        to=NOON + timedelta(minutes=20),
        reason="killed",
    )
    with pytest.raises(RuntimeError, match="killed"):
        world.run(incidents.declare, world.admin, body)
    monkeypatch.undo()
    (incident,) = world.ask(sitting.unfinished_incidents)
    for _ in range(2):
        world.run(incidents.carry_on)
        rows = world.ask(sitting.incident_sessions, "default", incident.id)
        assert sorted(row.session for row in rows) == sorted(began)
        assert [view(world, session)["seconds_left"] for session in began] == [1200] * 4
    assert world.ask(sitting.unfinished_incidents) == []


def test_time_goes_to_every_clock_that_runs(world: World) -> None:
    sections = [
        {"title": {"en": "A"}, "units": synthetic.document()["form"]["units"], "time_limit_seconds": 1700}
    ]
    timed_world(world, item_time_limit_seconds=1600, sections=sections)
    session = world.begin(world.learner(), form="x-timed")["session"]
    world.clock.advance(minutes=20)
    declare(world, "add_time", seconds=100)
    timers = view(world, session)["timers"]
    assert [(t["of"], t["seconds_left"], t["title"]) for t in timers] == [
        ("item", 500, None),
        ("section", 600, "A"),
        ("session", 700, None),
    ]


def test_sessions_without_a_clock_or_with_one_that_was_over_are_left_as_they_are(world: World) -> None:
    world.activate(synthetic.document(form={"id": "x-free", "time_limit_minutes": None}))
    world.begin(world.learner("lrn_1"), form="x-free")
    world.activate(synthetic.document(form={"id": "x-short", "time_limit_minutes": 5}))
    world.begin(world.learner("lrn_2"), form="x-short")
    world.clock.advance(minutes=20)
    found = declare(world, "add_time").json()
    assert {(s["state"], s["why"]) for s in found["sessions"]} == {
        ("skipped", "it has no clock"),
        ("skipped", "its time was over before"),
    }


def test_a_break_is_not_given_back_a_second_time(world: World) -> None:
    world.learner()
    world.call("PUT", "/v1/learners/lrn_1/accommodations", {"breaks": 1, "break_minutes": 5})
    session = world.begin()["session"]
    world.clock.advance(minutes=12)
    world.call("POST", f"/v1/sessions/{session}/break")
    world.clock.advance(minutes=8)
    found = declare(world, "add_time").json()
    assert [s["seconds"] for s in found["sessions"]] == [600 - 300]


def test_incidents_that_overlap_give_together_what_was_lost_in_all_of_them(both_worlds: World) -> None:
    world = both_worlds
    session = world.begin(world.learner())["session"]
    world.clock.advance(minutes=25)
    given = []
    for begin, end in ((10, 20), (15, 23), (12, 18), (5, 24)):
        span = {"from": f"2026-11-22T12:{begin:02}:00Z", "to": f"2026-11-22T12:{end}:00Z"}
        foreseen = declare(world, "add_time", dry_run=True, **span).json()["sessions"]
        found = declare(world, "add_time", **span).json()["sessions"]
        assert found == foreseen
        given += [(s["seconds"], s["why"]) for s in found]
    assert given == [
        (600, None),
        (180, "less 300 s that had been given back for that time"),
        (0, "that time had been given back already (360 s)"),
        (360, "less 780 s that had been given back for that time"),
    ]
    # From 12:05 to 12:24, and no minute of it twice.
    assert view(world, session)["seconds_left"] == 300 + 19 * 60


def test_waiting_that_was_given_back_is_not_given_again(world: World) -> None:
    begun = world.begin(world.learner())
    world.clock.advance(minutes=15)
    arrived = world.services.monotonic()
    world.clock.advance(seconds=9)
    item = begun["current"]["item"]["id"]
    answer = partial(sessions.respond, position=1, item=item, revision=1, answer="b", arrived=arrived)
    world.run(answer, keys.local("default", "test"), begun["session"])
    world.clock.advance(minutes=6)
    assert [(s["seconds"], s["why"]) for s in declare(world, "add_time").json()["sessions"]] == [
        (591, "less 9 s that had been given back for that time")
    ]


def test_the_time_for_which_a_session_was_closed_is_not_given_again(world: World) -> None:
    session = world.begin(world.learner())["session"]
    world.clock.advance(minutes=40)
    assert view(world, session)["state"] == "finished"
    assert [s["seconds"] for s in declare(world, "reopen").json()["sessions"]] == [600]
    assert view(world, session)["seconds_left"] == 600
    span = {"from": "2026-11-22T12:15:00Z", "to": "2026-11-22T12:40:00Z"}
    # Five minutes were promised before, and ten passed while it was closed.
    assert [(s["seconds"], s["why"]) for s in declare(world, "add_time", **span).json()["sessions"]] == [
        (600, "less 900 s that had been given back for that time")
    ]


# --- reopen ----------------------------------------------------------------------


def test_a_session_that_time_ended_is_opened_again_and_its_outcome_superseded_later(
    both_worlds: World,
) -> None:
    world = both_worlds
    begun = world.begin(world.learner())
    session, current = begun["session"], begun["current"]
    for _ in range(3):
        current = world.respond(session, current, "b").json()["current"]
    world.clock.advance(minutes=40)
    assert view(world, session)["state"] == "finished"
    old = world.ask(reading.session_decision, "default", session)
    assert old is not None
    world.clock.advance(minutes=5)
    found = declare(world, "reopen", seconds=300).json()
    assert [(s["state"], s["seconds"]) for s in found["sessions"]] == [("done", 300)]
    after = view(world, session)
    assert (after["state"], after["seconds_left"], after["current"]["position"]) == ("in_progress", 300, 4)
    assert after["notices"][0]["action"] == "reopen"
    assert after["notices"][0]["seconds"] == 300
    status = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()
    assert (status["decision"]["id"], status["next"]["action"]) == (old.id, "resume")
    assert status["next"]["notice"]["action"] == "reopen"
    current = after["current"]
    while current is not None:
        world.clock.advance(seconds=5)
        current = world.respond(session, current, "b").json()["current"]
    assert world.call("POST", f"/v1/sessions/{session}/submit").status_code == 200
    new = world.ask(reading.session_decision, "default", session)
    assert new is not None
    assert (new.supersedes, new.status, old.status) == (old.id, "passed", "not_passed")
    kept = world.ask(reading.decision, "default", old.id)
    assert kept is not None
    assert (kept.superseded_by, kept.record) == (new.id, old.record)
    told = [c["type"] for c in world.call("GET", "/v1/changes").json()["items"]]
    assert "decision.changed" in told
    # Both decisions replay, the superseded one on what there was before.
    from assess.delivery.analysis import opened
    from assess.delivery.replay import replay_all

    with opened(world.services.settings) as database:
        replayed = replay_all(database, verify_chain=True)
    assert (replayed.n_same, replayed.differences) == (2, ())


def test_only_what_time_ended_is_opened_again(world: World) -> None:
    world.begin(world.learner("lrn_1"))
    world.clock.advance(minutes=20)
    world.sit(world.learner("lrn_2"), stop_after=1)
    found = declare(world, "reopen").json()
    assert sorted(s["why"] for s in found["sessions"]) == [
        "it did not end by time",
        "it is open; time can be added",
    ]


NO_WAIT = {"first_wait_hours": 0, "wait_days": 0, "max_tries": 5, "period_days": 365}
ANOTHER = "the learner has begun another session of this course"


def ended_by_time(world: World) -> str:
    """A session of the form x-again that time ended, beside the form x-other of the same course."""
    for form in ("x-again", "x-other"):
        world.activate(synthetic.document(form={"id": form, "retake": NO_WAIT}))
    session: str = world.begin(world.learner(), form="x-again")["session"]
    world.clock.advance(minutes=40)
    assert view(world, session)["state"] == "finished"
    return session


@pytest.mark.parametrize("form", ["x-again", "x-other"])
def test_who_is_in_another_session_of_the_course_keeps_that(world: World, form: str) -> None:
    first = ended_by_time(world)
    second = world.begin(form=form)["session"]
    assert second != first
    for dry_run in (True, False):
        found = declare(world, "reopen", dry_run=dry_run).json()
        assert [s["why"] for s in found["sessions"]] == [ANOTHER]
    assert [view(world, session)["state"] for session in (first, second)] == ["finished", "in_progress"]


def test_a_session_is_not_opened_again_after_a_later_try_has_ended(world: World) -> None:
    first = ended_by_time(world)
    world.sit("lrn_1", "a", form="x-other")
    assert [s["why"] for s in declare(world, "reopen").json()["sessions"]] == [ANOTHER]
    assert view(world, first)["state"] == "finished"


def test_neither_practice_nor_a_later_try_that_is_void_keeps_a_session_closed(world: World) -> None:
    first = ended_by_time(world)
    world.begin(form="x-adaptive")  # which is practice
    second = world.begin(form="x-other")["session"]
    assert [s["why"] for s in declare(world, "reopen", dry_run=True).json()["sessions"]] == [ANOTHER]
    later = {"from": "2026-11-22T12:30:00Z", "to": "2026-11-22T12:40:00Z"}
    declare(world, "void_without_try", scope={"sessions": [second]}, **later)
    found = declare(world, "reopen").json()["sessions"]
    assert [(s["session"], s["state"], s["why"]) for s in found] == [(first, "done", None)]
    assert view(world, first)["state"] == "in_progress"


def test_a_try_that_is_begun_at_the_moment_of_a_reopening_keeps_the_session_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ended_by_time(world)
    writes = incidents._writes
    begun: list[schemas.SessionBegun] = []

    async def overtaken(services: Any, incident: Any, loaded: Any, *rest: Any) -> Any:
        if not begun:
            admin = keys.local("default", "test")
            begun.append(await sessions.begin(services, admin, learner="lrn_1", form="x-other"))
        return await writes(services, incident, loaded, *rest)

    monkeypatch.setattr(incidents, "_writes", overtaken)
    assert [s["why"] for s in declare(world, "reopen").json()["sessions"]] == [ANOTHER]
    assert [view(world, session)["state"] for session in (first, begun[0].session)] == [
        "finished",
        "in_progress",
    ]


# --- void ------------------------------------------------------------------------


def test_a_void_withdraws_the_decision_gives_the_try_back_and_judges_badges_anew(both_worlds: World) -> None:
    world = both_worlds
    passed = world.sit(world.learner("lrn_1"))
    going_on = world.begin(world.learner("lrn_2"))["session"]
    assert world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()["status"] == "eligible"
    world.clock.advance(minutes=20)
    found = declare(
        world,
        "void_without_try",
        scope={"sessions": [passed, going_on]},
        **{"from": "2026-11-22T11:00:00Z"},
        message="The items had leaked.",
    ).json()
    assert [s["state"] for s in found["sessions"]] == ["done", "done"]
    status = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()
    assert (status["state"], status["passed"], status["next"]["action"]) == ("void", None, "start")
    assert (status["next"]["tries_used"], status["next"]["notice"]["message"]) == (
        0,
        "The items had leaked.",
    )
    changes = [
        (c["type"], c["data"]["cause"], c["data"]["reason_id"])
        for c in world.call("GET", "/v1/changes").json()["items"]
        if c["data"]["cause"] == "void"
    ]
    assert ("decision.withdrawn", "void", found["id"]) in changes
    assert ("eligibility.lost", "void", found["id"]) in changes
    assert world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()["status"] == "not_eligible"
    # Nothing is deleted.
    records = world.ask(reading.session_records, "default", passed)
    assert records is not None
    assert (len(records.responses), records.session.void_reason) == (12, "a power cut in room 2")
    assert world.ask(reading.session_decision, "default", passed) is not None
    # The one that was going on takes no more, and another can begin at once.
    refused(world.call("POST", f"/v1/sessions/{going_on}/submit"), 409, "session_void")
    other = world.call("GET", "/v1/learners/lrn_2/courses/twt-3/status").json()
    assert (other["state"], other["next"]["action"]) == ("not_started", "start")
    assert world.begin("lrn_2")["session"] != going_on
    assert "notice" not in world.call("GET", "/v1/learners/lrn_2/courses/twt-3/status").json()["next"]
    world.clock.advance(days=9)
    world.run(sessions.sweep)
    again = declare(
        world, "void_without_try", scope={"sessions": [passed]}, **{"from": "2026-11-22T11:00:00Z"}
    )
    assert [s["why"] for s in again.json()["sessions"]] == ["it is void"]


# --- who may, and what cannot be ---------------------------------------------------


def test_declaring_needs_the_right_to_manage(world: World) -> None:
    for path, method in (("/v1/incidents", "GET"), ("/v1/incidents/inc_1", "GET")):
        refused(world.call(method, path, key=world.key("deliver")), 403, "scope_missing")
    refused(declare(world, "add_time", key=world.key("deliver", "read-status")), 403, "scope_missing")


def test_a_tenant_that_demands_two_persons_gets_two(world: World) -> None:
    session = world.begin(world.learner())["session"]
    world.clock.advance(minutes=20)
    world.run(activations.set_tenant, world.admin, two_person=True)
    refused(declare(world, "add_time"), 403, "role_not_allowed")
    assert declare(world, "add_time", dry_run=True).status_code == 200
    assert view(world, session)["seconds_left"] == 600
    assert declare(world, "add_time", approved_by="B").json()["approved_by"] == "B"


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"reason": " "}, "reason", "field_invalid"),
        ({"from": "2026-11-22T12:10:00"}, "from", "field_invalid"),
        ({"to": BEGAN}, "to", "field_invalid"),
        ({"to": "2026-11-22T13:00:00Z"}, "to", "time_in_future"),
        ({"seconds": 0}, "seconds", "field_invalid"),
        ({"seconds": 90_000}, "seconds", "field_invalid"),
        ({"action": "void_without_try", "seconds": 5}, "seconds", "field_invalid"),
        ({"action": "forget"}, "action", "field_invalid"),
        ({"message": " "}, "message", "field_invalid"),
        ({"scope": {}}, "scope", "field_invalid"),
        ({"scope": {"tenant": True, "course": "twt-3"}}, "scope", "field_invalid"),
        ({"scope": {"cohort": "2026"}}, "scope.cohort", "field_invalid"),
        ({"scope": {"sessions": ["ses_x"]}}, "scope.sessions[0]", "field_invalid"),
        ({"scope": {"sessions": []}}, "scope.sessions", "field_invalid"),
        ({"scope": {"colour": "red"}}, "scope.colour", "field_unknown"),
    ],
)
def test_an_incident_that_cannot_be_is_refused_with_the_field(
    world: World, changes: dict[str, Any], path: str, code: str
) -> None:
    world.clock.advance(minutes=20)
    problem = refused(declare(world, changes.pop("action", "add_time"), **changes), 422, code)
    assert problem["errors"][0]["path"] == path


def test_an_incident_of_a_course_or_tenant_that_is_not_ours_does_not_exist(world: World) -> None:
    world.clock.advance(minutes=20)
    refused(declare(world, "add_time", scope={"course": "none"}), 404, "course_unknown")
    found = declare(world, "add_time").json()
    refused(world.call("GET", f"/v1/incidents/{found['id']}", key="test"), 404, "incident_unknown")
    refused(world.call("GET", "/v1/incidents/inc_1"), 404, "incident_unknown")


def test_a_test_key_reaches_sandbox_sessions_only(world: World) -> None:
    live = world.begin(world.learner("lrn_1"))["session"]
    world.learner("lrn_2", key="test")
    sandbox = world.begin("lrn_2", key="test")["session"]
    world.clock.advance(minutes=20)
    found = declare(world, "add_time", key="test", scope={"tenant": True}).json()
    assert [s["session"] for s in found["sessions"]] == [sandbox]
    assert view(world, live)["seconds_left"] == 600


# --- accommodations ----------------------------------------------------------------


def put(world: World, learner: str = "lrn_1", *, key: str = "live", **given: Any) -> Any:
    return world.call("PUT", f"/v1/learners/{learner}/accommodations", given, key=key)


def test_what_was_granted_before_is_in_the_session_and_never_in_the_decision(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    given = put(world, time_multiplier=1.5, breaks=1, break_minutes=10, until="2027-01-01T00:00:00Z")
    assert given.status_code == 200, given.text
    assert given.json()["history"][0]["by"].startswith("key_")
    session = world.begin()["session"]
    found = view(world, session)
    assert (found["seconds_left"], found["breaks_left"]) == (2700, 1)
    assert found["accommodations"] == {
        "extra_seconds": 0,
        "time_multiplier": 1.5,
        "untimed": False,
        "breaks": 1,
        "break_minutes": 10,
        "no_pilot": False,
    }
    world.call("POST", f"/v1/sessions/{session}/submit")
    decision = world.ask(reading.session_decision, "default", session)
    assert decision is not None
    assert "accommodation" not in decision.record
    assert "multiplier" not in decision.record


def test_what_ran_out_or_was_taken_back_is_not_given(world: World) -> None:
    world.learner()
    put(world, time_multiplier=2, until="2026-11-22T12:30:00Z")
    world.clock.advance(hours=1)
    assert world.call("GET", "/v1/learners/lrn_1/accommodations").json()["given"]["time_multiplier"] == 1.0
    assert view(world, world.begin()["session"])["seconds_left"] == 1800
    world.learner("lrn_2")
    put(world, "lrn_2", untimed=True)
    found = put(world, "lrn_2").json()
    assert (found["given"]["untimed"], [row["state"] for row in found["history"]]) == (
        False,
        ["granted", "granted"],
    )
    # The same again adds no row.
    assert put(world, "lrn_2").json() == found


def test_time_granted_during_a_session_scales_its_whole_allowance_once(both_worlds: World) -> None:
    world = both_worlds
    session = world.begin(world.learner())["session"]
    world.clock.advance(minutes=10)
    path = f"/v1/sessions/{session}/accommodations"
    for _ in range(2):
        found = world.call("POST", path, {"time_multiplier": 1.25})
        assert (found.status_code, found.json()["time_multiplier"]) == (200, 1.25)
    assert view(world, session)["seconds_left"] == 2250 - 600
    ((kind, data),) = events(world, session)
    assert kind == "accommodated"
    assert data["by"].startswith("key_")
    problem = refused(world.call("POST", path, {"time_multiplier": 1.1}), 422, "field_invalid")
    assert "not taken away" in problem["detail"]
    refused(
        world.call("POST", path, {"time_multiplier": 2, "until": "2027-01-01T00:00:00Z"}),
        422,
        "field_invalid",
    )
    world.call("POST", f"/v1/sessions/{session}/submit")
    refused(world.call("POST", path, {"time_multiplier": 2}), 409, "session_finished")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"time_multiplier": 0.5}, "time_multiplier"),
        ({"breaks": 2}, "breaks"),
        ({"until": "2020-01-01T00:00:00Z"}, "until"),
        ({"until": "2027-01-01T00:00:00"}, "until"),
        ({"diagnosis": "x"}, "diagnosis"),
    ],
)
def test_an_accommodation_that_cannot_be_is_refused_and_a_reason_has_no_place(
    world: World, given: dict[str, Any], path: str
) -> None:
    world.learner()
    answer = put(world, **given)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == path


def test_who_may_grant_and_see_accommodations(world: World) -> None:
    world.learner()
    refused(put(world, key=world.key("deliver"), untimed=True), 403, "scope_missing")
    refused(put(world, "nobody", untimed=True), 404, "learner_unknown")
    session = world.begin()
    path = f"/v1/sessions/{session['session']}/accommodations"
    refused(world.call("POST", path, {}, key=session["token"]), 403, "scope_missing")
    refused(world.call("POST", "/v1/sessions/ses_x/accommodations", {}), 404, "session_unknown")
    get = "/v1/learners/lrn_1/accommodations"
    assert world.call("GET", get, key=world.key("deliver")).status_code == 200
    refused(world.call("GET", get, key=world.key("attest")), 403, "scope_missing")


# --- breaks ------------------------------------------------------------------------


def test_a_break_stops_the_clock_hides_the_item_and_is_written_down(both_worlds: World) -> None:
    world = both_worlds
    put(world, world.learner(), breaks=1, break_minutes=10)
    begun = world.begin()
    session = begun["session"]
    world.clock.advance(minutes=5)
    during = world.call("POST", f"/v1/sessions/{session}/break", key=begun["token"]).json()
    assert (during["current"], during["seconds_left"], during["breaks_left"]) == (None, 1500, 0)
    assert during["on_break"] == {"since": "2026-11-22T12:05:00Z", "ends_at": "2026-11-22T12:15:00Z"}
    world.clock.advance(minutes=4)
    assert world.call("POST", f"/v1/sessions/{session}/break").json()["on_break"] == during["on_break"]
    refused(world.call("GET", f"/v1/sessions/{session}/items/1"), 409, "position_conflict")
    refused(world.respond(session, begun["current"], "b"), 409, "position_conflict")
    for _ in range(2):
        after = world.call("POST", f"/v1/sessions/{session}/break/end").json()
        assert (after["on_break"], after["seconds_left"], after["current"]["position"]) == (None, 1500, 1)
    assert world.respond(session, begun["current"], "b").status_code == 200
    assert [kind for kind, _ in events(world, session)] == ["break_begun", "break_ended"]
    refused(world.call("POST", f"/v1/sessions/{session}/break"), 409, "break_refused")


def test_a_break_that_nobody_ends_ends_by_itself_and_the_sweep_waits_for_it(world: World) -> None:
    put(world, world.learner(), breaks=1, break_minutes=10)
    session = world.begin()["session"]
    world.clock.advance(minutes=29)
    world.call("POST", f"/v1/sessions/{session}/break")
    world.clock.advance(minutes=8)
    assert world.run(sessions.sweep) == 0
    world.clock.advance(minutes=2, seconds=30)
    assert view(world, session)["seconds_left"] == 30
    world.clock.advance(minutes=2)
    assert world.run(sessions.sweep) == 1


def test_no_break_where_none_was_granted_or_the_session_is_over(world: World) -> None:
    session = world.begin(world.learner())["session"]
    problem = refused(world.call("POST", f"/v1/sessions/{session}/break"), 409, "break_refused")
    assert "no breaks were granted" in problem["detail"]
    world.call("POST", f"/v1/sessions/{session}/submit")
    refused(world.call("POST", f"/v1/sessions/{session}/break"), 409, "session_finished")
    other = world.begin(world.learner("lrn_2"))
    refused(world.call("POST", f"/v1/sessions/{session}/break", key=other["token"]), 404, "session_unknown")
    refused(world.call("POST", f"/v1/sessions/{session}/break/end", key=None), 401, "credentials_missing")


# --- assurance -----------------------------------------------------------------------


def make_code(world: World, **changes: Any) -> Any:
    body = {"course": "twt-3", "from": "2026-11-22T11:00:00Z", "to": "2026-11-22T15:00:00Z"}
    return world.call("POST", "/v1/invigilator-codes", body | changes)


def begin(world: World, *, key: str = "live", **changes: Any) -> Any:
    body = {"learner": "lrn_1", "form": "x-fixed"} | changes
    return world.call("POST", "/v1/sessions", body, key=key)


def supervised_badge(world: World) -> None:
    from tests.delivery.world import programme

    rule = {"pass": {"course": "twt-3", "assurance": "supervised"}}
    document = programme()
    document["badges"] = [*document["badges"], {"id": "SURE", "rule": rule}]
    world.activate(document)


def test_a_code_makes_a_session_supervised_and_the_decision_and_badges_know(both_worlds: World) -> None:
    world = both_worlds
    supervised_badge(world)
    world.learner()
    made = make_code(world, cohort="2026")
    assert made.status_code == 201, made.text
    code = made.json()["code"]
    assert code.replace("-", "") not in str(world.ask(sitting.invigilator_codes, "default", sandbox=False))
    begun = begin(world, code=f" {code.lower()} ").json()
    assert view(world, begun["session"])["assurance"] == "supervised"
    current = begun["current"]
    while current is not None:
        current = world.respond(begun["session"], current, "b").json()["current"]
    world.call("POST", f"/v1/sessions/{begun['session']}/submit")
    status = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()
    assert status["decision"]["assurance"] == "supervised"
    record = world.call("GET", status["decision"]["url"]).json()["record"]
    assert record["assurance"] == "supervised"
    assert world.call("GET", "/v1/learners/lrn_1/badges/SURE").json()["status"] == "eligible"


def test_who_was_supervised_goes_on_elsewhere_under_supervision_only(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    code = make_code(world).json()["code"]
    begun = begin(world, code=code).json()
    problem = refused(begin(world), 403, "role_not_allowed")
    assert "enter the invigilator's code" in problem["detail"]
    refused(begin(world, course="twt-3", form=None), 403, "role_not_allowed")
    refused(begin(world, code="ABCDE-FGHJK"), 422, "field_invalid")
    refused(begin(world, assurance="supervised"), 422, "field_invalid")
    # Whoever has the session already goes on: nobody took it elsewhere.
    current = world.respond(begun["session"], begun["current"], "b", key=begun["token"]).json()["current"]
    assert view(world, begun["session"])["fence"] == begun["fence"]
    resumed = begin(world, code=code)
    assert (resumed.status_code, resumed.json()["session"]) == (201, begun["session"])
    assert resumed.json()["current"] == current


def test_a_request_to_begin_that_is_sent_again_needs_its_own_code_only(world: World) -> None:
    world.learner()
    body = {"learner": "lrn_1", "form": "x-fixed", "code": make_code(world).json()["code"]}
    first = world.call("POST", "/v1/sessions", body, Idempotency_Key="k1").json()
    # Its window is over, and the reply was lost on its way.
    world.clock.advance(hours=4)
    assert world.call("POST", "/v1/sessions", body, Idempotency_Key="k1").json()["token"] == first["token"]


def test_a_proctored_session_goes_on_only_where_a_key_states_it(world: World) -> None:
    world.learner()
    _, watching = world.run(keys.create, world.admin, name="proctor", scopes=["deliver"], may_proctor=True)
    begun = begin(world, key=watching, assurance="proctored").json()
    code = make_code(world).json()["code"]
    for said in ({}, {"code": code}):
        problem = refused(begin(world, **said), 403, "role_not_allowed")
        assert "began proctored" in problem["detail"]
    refused(begin(world, key=watching), 403, "role_not_allowed")
    resumed = begin(world, key=watching, assurance="proctored")
    assert (resumed.status_code, resumed.json()["session"]) == (201, begun["session"])


def test_an_unsupervised_pass_is_too_low_for_such_a_badge_and_can_be_made_again_under_a_code(
    world: World,
) -> None:
    supervised_badge(world)
    world.sit(world.learner())
    badge = world.call("GET", "/v1/learners/lrn_1/badges/SURE").json()
    assert (badge["status"], badge["reasons"][0]["code"]) == ("not_eligible", "assurance_too_low")
    assert badge["missing"][0]["action"] == "retake"
    assert "under supervision" in world.call("GET", "/v1/badges/SURE").json()["sentence"]
    refused(begin(world), 409, "tries_exhausted")
    refused(begin(world, code=make_code(world).json()["code"]), 409, "retake_too_early")
    world.clock.advance(hours=25)
    later = {"from": "2026-11-23T11:00:00Z", "to": "2026-11-23T15:00:00Z"}
    begun = begin(world, code=make_code(world, **later).json()["code"])
    assert begun.status_code == 201, begun.text
    world.call("POST", f"/v1/sessions/{begun.json()['session']}/submit")
    # A failed try under supervision takes the pass not away.
    assert world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["passed"] is True


def test_a_wrong_code_is_refused_in_one_sentence_and_not_too_often(world: World) -> None:
    world.learner()
    code = make_code(world).json()["code"]
    other = make_code(world, course="twt-1").json()["code"]
    future = make_code(world, **{"from": "2026-11-22T14:00:00Z"}).json()["code"]
    ended = make_code(world).json()
    assert world.call("POST", f"/v1/invigilator-codes/{ended['id']}/revoke").json()["revoked_at"]
    said = set()
    for wrong in ("ABCDE-FGHJK", other, future, ended["code"], ""):
        problem = refused(begin(world, code=wrong), 422, "field_invalid")
        assert problem["errors"][0]["path"] == "code"
        said.add(problem["detail"])
    assert len(said) == 1
    limited = begin(world, code=code)
    refused(limited, 429, "rate_limited")
    assert 0 < int(limited.headers["retry-after"]) <= 601
    world.learner("lrn_2")
    assert begin(world, learner="lrn_2", code=code).status_code == 201
    refused(begin(world, assurance="supervised"), 422, "field_invalid")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"to": "2026-11-22T11:00:00Z"}, 422, "field_invalid"),
        ({"from": "2026-11-20T11:00:00Z", "to": "2026-11-21T11:00:00Z"}, 422, "field_invalid"),
        ({"to": "2026-12-22T11:00:00Z"}, 422, "field_invalid"),
        ({"from": "2026-11-22T11:00:00"}, 422, "field_invalid"),
        ({"course": "none"}, 404, "course_unknown"),
    ],
)
def test_a_code_that_cannot_be_is_refused(world: World, changes: Any, status: int, code: str) -> None:
    refused(make_code(world, **changes), status, code)


def test_codes_are_for_who_manages(world: World) -> None:
    made = make_code(world).json()
    (listed,) = world.call("GET", "/v1/invigilator-codes").json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "code"}
    for method, path in (
        ("POST", f"/v1/invigilator-codes/{made['id']}/revoke"),
        ("GET", "/v1/invigilator-codes"),
    ):
        refused(world.call(method, path, key=world.key("deliver")), 403, "scope_missing")
    refused(world.call("POST", "/v1/invigilator-codes/inv_1/revoke"), 404, "invigilator_code_unknown")


def test_only_a_key_that_may_proctor_states_it(world: World) -> None:
    world.learner()
    refused(begin(world, assurance="proctored"), 403, "role_not_allowed")
    refused(begin(world, assurance="watched"), 422, "field_invalid")
    _, secret = world.run(keys.create, world.admin, name="proctor", scopes=("deliver",), may_proctor=True)
    begun = begin(world, assurance="proctored", key=secret).json()
    assert view(world, begun["session"])["assurance"] == "proctored"
    with pytest.raises(Exception, match="add the scope deliver"):
        world.run(keys.create, world.admin, name="x", scopes=("attest",), may_proctor=True)
    # The learner's own token states nothing.
    problem = world.call(
        "POST", "/v1/sessions", {"learner": "lrn_1", "form": "x-fixed", "assurance": "proctored"},
        key=begun["token"],
    )  # fmt: skip
    assert problem.status_code == 403


# --- clocks of items and sections, delivered ---------------------------------------------


def test_an_items_clock_closes_it_and_the_late_answer_is_told_so(both_worlds: World) -> None:
    world = timed_world(both_worlds, item_time_limit_seconds=30)
    begun = world.begin(world.learner(), form="x-timed")
    session, first = begun["session"], begun["current"]
    assert (first["seconds_left"], [t["of"] for t in first["timers"]]) == (30, ["item", "session"])
    world.clock.advance(seconds=44)
    second = world.respond(session, first, "b").json()["current"]
    assert second["seconds_left"] == 30
    world.clock.advance(seconds=50)
    refused(world.respond(session, second, "b"), 409, "position_conflict")
    after = view(world, session)
    assert (after["current"]["position"], after["progress"]["answered"]) == (3, 2)
    assert ("item_timed_out", {"position": 2}) in events(world, session)
    # The same blank sent again gets the receipt of the one that the clock left.
    again = world.respond(session, second, None)
    assert (again.status_code, again.json()["current"]["position"]) == (200, 3)
    current = after["current"]
    while current is not None:
        current = world.respond(session, current, "b").json()["current"]
    from assess.delivery.analysis import opened
    from assess.delivery.replay import replay_all

    with opened(world.services.settings) as database:
        assert replay_all(database).n_same == 1


def test_a_section_that_is_over_is_left_for_the_next(world: World) -> None:
    units = synthetic.document()["form"]["units"]
    sections = [
        {"title": {"en": "Reading", "fr": "Lire"}, "units": units[:6], "time_limit_seconds": 60},
        {"title": {"en": "Writing"}, "units": units[6:], "time_limit_seconds": 120},
    ]
    timed_world(world, sections=sections, time_limit_minutes=None)
    begun = world.begin(world.learner(), form="x-timed")
    session = begun["session"]
    assert begun["current"]["timers"][0]["title"] == "Reading"
    world.clock.advance(seconds=80)
    after = view(world, session)
    assert (after["current"]["position"], after["current"]["item"]["id"]) == (2, "x-007")
    assert after["current"]["seconds_left"] == 120
    world.clock.advance(seconds=200)
    assert world.run(sessions.sweep) == 1
    assert view(world, session)["state"] == "finished"


def test_two_devices_and_the_clock_at_once_leave_one_blank(both_worlds: World) -> None:
    import asyncio

    world = timed_world(both_worlds, item_time_limit_seconds=30)
    session = world.begin(world.learner(), form="x-timed")["session"]
    world.clock.advance(seconds=60)

    async def many(services: Any) -> None:
        scope = keys.local("default", "test")
        await asyncio.gather(*(sessions.view(services, scope, session) for _ in range(8)))

    world.run(many)
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    assert (len(records.responses), len(records.offers)) == (1, 2)
    assert [event.type for event in records.events] == ["item_timed_out"]


# --- waiting for the server ----------------------------------------------------------------


def test_waiting_for_the_server_is_given_back_up_to_the_cap(both_worlds: World) -> None:
    world = timed_world(both_worlds, item_time_limit_seconds=60, waiting_cap_seconds=20)
    begun = world.begin(world.learner(), form="x-timed")
    session, scope = begun["session"], keys.local("default", "test")

    def answered(current: dict[str, Any], waited: float) -> Any:
        arrived = world.services.monotonic()
        world.clock.advance(seconds=waited)
        return world.run(
            partial(
                sessions.respond,
                position=current["position"],
                item=current["item"]["id"],
                revision=1,
                answer="b",
                arrived=arrived,
            ),
            scope,
            session,
        )

    second = answered(begun["current"], 5.2).current
    # Of the 5.2 seconds the whole ones are given back.
    assert second.seconds_left == 59
    kind, data = events(world, session)[-1]
    assert (kind, data["seconds"], data["cause"], data["position"]) == ("time_granted", 5, "waiting", 2)
    plain = {"position": 2, "item": {"id": second.item.id}}
    third = answered(plain, 50).current
    assert events(world, session)[-1][1]["seconds"] == 20
    assert third.seconds_left == 30
    n_events = len(events(world, session))
    answered({"position": 3, "item": {"id": third.item.id}}, 0.4)
    assert len(events(world, session)) == n_events
    assert view(world, session)["notices"] == []


def test_who_waits_in_the_line_to_begin_is_given_no_time_from_before_the_session(both_worlds: World) -> None:
    world = both_worlds
    world.learner()

    def begun(waited: float) -> Any:
        arrived = world.services.monotonic()
        world.clock.advance(seconds=waited)
        admin = keys.local("default", "test")
        return world.run(
            partial(sessions.begin, learner="lrn_1", form="x-fixed", arrived=arrived), admin
        ).current

    assert begun(9).seconds_left == 1800
    # Of a session that is there its clock runs, also while somebody waits to open it again.
    assert begun(6).seconds_left == 1800


def test_an_answer_is_judged_by_when_it_arrived_not_by_when_it_was_its_turn(world: World) -> None:
    begun = world.begin(world.learner())
    world.clock.advance(minutes=30, seconds=14)
    arrived = world.services.monotonic()
    world.clock.advance(seconds=10)
    stored = world.run(
        partial(
            sessions.respond, position=1, item=begun["current"]["item"]["id"], revision=1, answer="b",
            arrived=arrived,
        ),
        keys.local("default", "test"),
        begun["session"],
    )  # fmt: skip
    assert stored.receipt.stored_at == NOON + timedelta(minutes=30, seconds=14)
