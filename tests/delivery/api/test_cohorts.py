"""Cohorts, windows, assigned courses and rosters over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from assess.delivery.service import activations, keys
from assess.delivery.store import reading_people
from tests.delivery.world import World, refused


def course(course: str = "twt-3", **window: str) -> dict[str, str]:
    return {"course": course} | {name.rstrip("_"): value for name, value in window.items()}


def cohort(world: World, id: str = "c1", *courses: dict[str, str], **options: Any) -> Any:
    return world.call("PUT", f"/v1/cohorts/{id}", {"title": id, "courses": list(courses)}, **options)


def begin(world: World, learner: str = "lrn_1", **options: Any) -> Any:
    return world.call("POST", "/v1/sessions", {"learner": learner, "form": "x-fixed"}, **options)


def roster(world: World, *rows: dict[str, Any], key: str = "live", **body: Any) -> dict[str, Any]:
    numbered = [{"row": n, **row} for n, row in enumerate(rows, start=2)]
    answer = world.call("POST", "/v1/roster", {"rows": numbered, **body}, key=key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# --- cohorts ---------------------------------------------------------------------


def test_a_cohort_is_made_changed_and_listed(both_worlds: World) -> None:
    world = both_worlds
    made = cohort(
        world, "c1", course(from_="2026-11-23T09:00:00Z", to="2026-11-24", time_zone="Africa/Nairobi")
    )
    assert made.status_code == 201, made.text
    assert made.json()["courses"] == [
        {
            "course": "twt-3",
            "opens_at": "2026-11-23T09:00:00Z",
            "closes_at": "2026-11-24T20:59:59.999999Z",
            "time_zone": "Africa/Nairobi",
            "cohort": "c1",
        }
    ]
    again = world.call("PUT", "/v1/cohorts/c1", {"title": "Class of spring"})
    assert (again.status_code, again.json()["title"]) == (200, "Class of spring")
    assert len(again.json()["courses"]) == 1
    assert cohort(world, "c1").json()["courses"] == []
    cohort(world, "c2")
    world.learner()
    for _ in range(2):
        assert world.call("PUT", "/v1/cohorts/c2/learners/lrn_1").status_code == 200
    assert world.call("GET", "/v1/cohorts/c2").json()["n_learners"] == 1
    first = world.call("GET", "/v1/cohorts?limit=1").json()
    assert ([c["id"] for c in first["items"]], first["next"]) == (["c1"], "c1")
    assert [c["id"] for c in world.call("GET", "/v1/cohorts?after=c1").json()["items"]] == ["c2"]
    page = world.call("GET", "/v1/cohorts/c2/learners").json()
    assert page == {"items": [{"id": "lrn_1"}], "next": None}
    assert world.call("DELETE", "/v1/cohorts/c2/learners/lrn_1").status_code == 200
    assert world.call("GET", "/v1/cohorts/c2/learners").json()["items"] == []


@pytest.mark.parametrize(
    ("courses", "path", "code"),
    [
        ([course("twt-9")], "courses[0].course", "field_invalid"),
        ([course(), course()], "courses[1]", "field_invalid"),
        ([course(from_="soon")], "courses[0].from", "date_invalid"),
        ([course(from_="2026-11-24", to="2026-11-23")], "courses[0].to", "field_invalid"),
        ([course(time_zone="Mars/Olympus")], "courses[0].time_zone", "field_invalid"),
        ([course(time_zone="../../etc/passwd")], "courses[0].time_zone", "field_invalid"),
    ],
)
def test_a_course_that_cannot_be_assigned_is_named(
    world: World, courses: list[dict[str, str]], path: str, code: str
) -> None:
    world.learner()
    answers = [
        cohort(world, "c1", *courses),
        world.call("PUT", "/v1/learners/lrn_1/courses", {"courses": courses}),
    ]
    for answer in answers:
        assert refused(answer, 422, code)["errors"][0]["path"] == path
    refused(world.call("GET", "/v1/cohorts/c1"), 404, "cohort_unknown")


def test_cohorts_need_the_scope_and_belong_to_their_tenant_and_side(world: World) -> None:
    world.learner()
    cohort(world)
    reader = world.key("read-status", "deliver", "attest")
    other = keys.local("other", "test")
    world.run(activations.set_tenant, other, title="Other")
    _, world.keys["other"] = world.run(keys.create, other, name="k", scopes=["manage", "deliver"])
    routes: list[tuple[str, str, Any]] = [
        ("GET", "/v1/cohorts/c1", None),
        ("GET", "/v1/cohorts/c1/learners", None),
        ("PUT", "/v1/cohorts/c1/learners/lrn_1", None),
        ("DELETE", "/v1/cohorts/c1/learners/lrn_1", None),
        ("POST", "/v1/cohorts/c1/codes", {}),
    ]
    for method, path, body in routes:
        refused(world.call(method, path, body, key=reader), 403, "scope_missing")
        for stranger in ("other", "test"):
            refused(world.call(method, path, body, key=stranger), 404, "cohort_unknown")
    refused(world.call("POST", "/v1/roster", {}, key=reader), 403, "scope_missing")
    refused(world.call("GET", "/v1/cohorts", key=reader), 403, "scope_missing")
    assert world.call("GET", "/v1/cohorts", key="other").json()["items"] == []
    refused(cohort(world, "c1", key="test"), 403, "sandbox_only")
    refused(world.call("PUT", "/v1/cohorts/c1/learners/nobody"), 404, "learner_unknown")
    refused(world.call("PUT", "/v1/cohorts/%20", {}), 422, "field_invalid")
    token = world.begin()["token"]
    refused(world.call("GET", "/v1/cohorts/c1", key=token), 403, "scope_missing")


# --- windows -----------------------------------------------------------------------


def test_a_course_is_begun_inside_its_window_only(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    world.learner("lrn_2")
    cohort(world, "c1", course(from_="2026-11-23T09:00:00Z", to="2026-11-23T10:00:00Z"))
    world.call("PUT", "/v1/cohorts/c1/learners/lrn_1")
    problem = refused(begin(world), 409, "window_closed")
    assert problem["not_before"] == "2026-11-23T09:00:00Z"
    assert "2026-11-23T09:00:00Z" in problem["detail"]
    assert begin(world, "lrn_2").status_code == 201
    world.clock.advance(hours=21)
    session = begin(world).json()["session"]
    world.clock.advance(hours=1, seconds=1)
    # What was begun is gone on with: the session has a clock of its own.
    world.clock.advance(seconds=-1800)
    assert begin(world).json()["session"] == session
    world.clock.advance(hours=24)
    problem = refused(begin(world), 409, "window_closed")
    assert "not_before" not in problem
    world.call("PUT", "/v1/learners/lrn_1/courses", {"courses": [course(from_="2026-11-24T00:00:00Z")]})
    assert begin(world).status_code in (201, 409)
    assert begin(world).json().get("code") != "window_closed"
    found = world.call("GET", "/v1/learners/lrn_1/courses").json()["items"]
    assert {entry["cohort"] for entry in found} == {None, "c1"}


def test_a_tenant_may_let_learners_begin_assigned_courses_only(world: World) -> None:
    world.learner()
    world.run(activations.set_tenant, world.admin, assigned_only=True)
    refused(begin(world), 403, "role_not_allowed")
    world.call("PUT", "/v1/learners/lrn_1/courses", {"courses": [course()]})
    assert begin(world).status_code == 201


# --- rosters ------------------------------------------------------------------------


def test_a_roster_is_written_once_and_the_second_time_changes_nothing(both_worlds: World) -> None:
    world = both_worlds
    rows: list[dict[str, Any]] = [
        {
            "learner": "lrn_1",
            "cohort": "c1",
            "courses": ["twt-3"],
            "window_from": "2026-11-22",
            "locale": "fr",
        },
        {"issuer": "moodle", "subject": "17", "cohort": "c1"},
        {"learner": "lrn_3", "issuer": "moodle", "subject": "18", "courses": ["twt-1", "twt-3"]},
    ]
    planned = roster(world, *rows, dry_run=True)
    assert (planned["written"], planned["faults"]) == (False, [])
    assert [line["state"] for line in planned["lines"]] == ["new"] * 3
    assert planned["cohorts"] == ["cohort c1: new", "cohort c1: course twt-3 from 2026-11-22 00:00Z"]
    refused(world.call("GET", "/v1/cohorts/c1"), 404, "cohort_unknown")
    assert roster(world, *rows)["written"] is True
    for _ in range(2):
        again = roster(world, *rows)
        assert (again["written"], again["cohorts"]) == (False, [])
        assert [line["state"] for line in again["lines"]] == ["unchanged"] * 3
    found = world.call("GET", "/v1/learners?issuer=moodle&subject=17").json()["items"]
    assert found[0]["id"] == again["lines"][1]["learner"]
    assert world.call("GET", "/v1/cohorts/c1").json()["n_learners"] == 2
    assert len(world.ask(reading_people.assignments_for, "default", "lrn_3")) == 2


def test_a_roster_says_what_it_changes(world: World) -> None:
    base = {"learner": "lrn_1", "cohort": "c1", "courses": ["twt-3"], "locale": "fr"}
    roster(world, base)
    moved = base | {"locale": "ar", "window_to": "2026-11-30", "issuer": "moodle", "subject": "1"}
    found = roster(world, moved)
    assert found["lines"] == [
        {
            "row": 2,
            "learner": "lrn_1",
            "state": "changed",
            "changes": ["external id moodle 1", "locale fr -> ar"],
        }
    ]
    assert found["cohorts"] == ["cohort c1: course twt-3 to 2026-11-30 23:59Z, was at any time"]
    # An empty cell says nothing: it takes nothing away.
    assert roster(world, {"learner": "lrn_1"})["lines"][0]["state"] == "unchanged"
    gone = roster(world, leaving=[{"cohort": "c1", "learner": "lrn_1"}, {"cohort": "c1", "learner": "x"}])
    assert gone["left"] == ["lrn_1 leaves cohort c1"]
    assert world.call("GET", "/v1/cohorts/c1").json()["n_learners"] == 0


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({}, "learner"),
        ({"learner": "not an id"}, "learner"),
        ({"issuer": "moodle"}, "subject"),
        ({"subject": "17"}, "issuer"),
        ({"learner": "lrn_x", "issuer": "moodle", "subject": "taken"}, "subject"),
        ({"learner": "lrn_sandbox"}, "learner"),
        ({"learner": "lrn_x", "cohort": "not an id"}, "cohort"),
        ({"learner": "lrn_x", "courses": ["twt-9"]}, "courses"),
        ({"learner": "lrn_x", "window_from": "2026-11-22"}, "window_from"),
        ({"learner": "lrn_x", "courses": ["twt-3"], "window_to": "soon"}, "window_to"),
        ({"learner": "lrn_x", "courses": ["twt-3"], "time_zone": "Mars"}, "time_zone"),
        ({"learner": "lrn_x", "locale": "klingonish?"}, "locale"),
        ({"learner": "lrn_ok", "locale": "ar"}, "locale"),
        ({"learner": "lrn_ok", "courses": ["twt-3"], "window_from": "2026-11-22"}, "window_from"),
    ],
)
def test_a_faulty_line_is_named_and_nothing_of_its_part_is_written(
    world: World, row: dict[str, Any], field: str
) -> None:
    world.call("PUT", "/v1/learners/lrn_t", {"external_ids": [{"issuer": "moodle", "subject": "taken"}]})
    world.learner("lrn_sandbox", key="test")
    found = roster(world, {"learner": "lrn_ok", "locale": "fr", "courses": ["twt-3"]}, row)
    assert [(fault["row"], fault["field"]) for fault in found["faults"]] == [(3, field)]
    assert found["faults"][0]["message"]
    assert found["written"] is False
    refused(world.call("GET", "/v1/learners/lrn_ok"), 404, "learner_unknown")


def test_a_part_of_a_roster_has_an_end(world: World) -> None:
    rows = [{"row": n, "learner": f"l{n}"} for n in range(1001)]
    refused(world.call("POST", "/v1/roster", {"rows": rows}), 422, "field_invalid")


def test_the_order_of_lines_does_not_say_who_has_an_external_id(both_worlds: World) -> None:
    nameless, named = (
        {"issuer": "moodle", "subject": "17", "cohort": "c1"},
        {
            "learner": "lrn_b",
            "issuer": "moodle",
            "subject": "17",
        },
    )
    found = roster(both_worlds, nameless, named)
    assert (found["faults"], found["written"]) == ([], True)
    assert both_worlds.ask(reading_people.cohort_members, "default", "c1") == ["lrn_b"]
    again = roster(both_worlds, nameless, named)
    assert [line["state"] for line in again["lines"]] == ["unchanged"] * 2


def test_an_external_id_that_came_with_a_merged_record_stays_with_it(both_worlds: World) -> None:
    world = both_worlds
    for learner in ("lrn_new", "lrn_other"):
        world.learner(learner)
    ids = {"external_ids": [{"issuer": "sis", "subject": "77"}]}
    world.call("PUT", "/v1/learners/lrn_old", ids)
    line = {"learner": "lrn_new", "issuer": "sis", "subject": "77"}
    assert [fault["field"] for fault in roster(world, line)["faults"]] == ["subject"]
    body = {"into": "lrn_new", "reason": "registered twice"}
    assert world.call("POST", "/v1/learners/lrn_old/merge", body).status_code == 200
    for _ in range(2):
        found = roster(world, line, line | {"learner": "lrn_old"})
        assert (found["faults"], found["written"]) == ([], False)
    assert [fault["field"] for fault in roster(world, line | {"learner": "lrn_other"})["faults"]] == [
        "subject"
    ]
    # A new one that lines give to both is one person's as well, and stays with the first.
    two = {"issuer": "sis", "subject": "78"}
    assert roster(world, line | two, line | two | {"learner": "lrn_old"})["written"] is True
    assert world.call("POST", "/v1/learners/lrn_old/unmerge", {"reason": "two"}).status_code == 200
    for subject, owner in (("77", "lrn_old"), ("78", "lrn_new")):
        (known,) = world.call("GET", f"/v1/learners?issuer=sis&subject={subject}").json()["items"]
        assert known["id"] == owner
    assert [fault["field"] for fault in roster(world, line)["faults"]] == ["subject"]
