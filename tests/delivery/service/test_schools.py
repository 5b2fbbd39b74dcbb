"""Schools and students: dated members, what a member changes for the school, and who is private."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from assess.delivery.jobs import worker
from assess.delivery.service import expiry
from assess.delivery.store import reading
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, programme, refused, settings

BADGES: list[dict[str, Any]] = [
    {
        "id": "SCHOOL",
        "subject": "school",
        "rule": {"all_of": [
            {"members": {"at_least": 2, "satisfy": {"pass": {"course": "twt-1"}}}},
            {"fact": {"type": "profile"}},
        ]},
    },
    {"id": "SKILL", "subject": "student", "rule": {"fact": {"type": "evidence", "where": {"skill": "s1"}}}},
    {"id": "ONE", "rule": {"pass": {"course": "twt-1"}}},
    {"id": "JUDGED", "rule": {"judgement": {"q": "well done", "by": ["mentor", "head"]}}},
]  # fmt: skip


@pytest.fixture
def school(world: World) -> World:
    world.activate(programme(badges=BADGES))
    work(world)  # what the activation enters, so that only what follows is told
    for person in ("p1", "p2", "p3"):
        world.learner(person)
    assert world.call("PUT", "/v1/learners/sch", {"kind": "school", "region": "KE"}).status_code == 201
    return world


def attest(world: World, id: str, t: str, subject: str, at: str = "2026-11-01", **more: Any) -> Any:
    body = {"id": id, "source": more.pop("source", "lms"), "t": t, "subject": subject, "at": at, **more}
    return world.call("POST", "/v1/facts", body)


def passes(world: World, person: str, **more: Any) -> None:
    answer = attest(world, f"pass-{person}", "decision", person, course="twt-1", outcome="pass", **more)
    assert answer.status_code == 201, answer.text


def joins(world: World, person: str, at: str = "2026-10-01", **more: Any) -> None:
    answer = attest(world, f"in-{person}", "membership", "sch", at, person=person, **more)
    assert answer.status_code == 201, answer.text


def work(world: World) -> None:
    async def run(services: Any) -> int:
        return await worker(services).work()

    world.run(run)


def badge(world: World, badge: str = "SCHOOL", subject: str = "sch", **asked: str) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    found = world.call("GET", f"/v1/learners/{subject}/badges/{badge}?{query}")
    assert found.status_code == 200, found.text
    body: dict[str, Any] = found.json()
    return body


def told(world: World, learner: str) -> list[tuple[str, str, str | None]]:
    rows = world.ask(reading.changes, "default", after=0, limit=10_000, sandbox=False)
    return [(row.type, row.cause, row.reason_id) for row in rows if row.learner == learner]


def test_a_school_is_eligible_through_its_members_of_the_day(school: World) -> None:
    attest(school, "profile", "profile", "sch")
    joins(school, "p1")
    joins(school, "p2")
    passes(school, "p1")
    assert badge(school)["status"] == "not_eligible"
    assert badge(school)["subject"] == {"type": "school", "id": "sch"}
    passes(school, "p2")
    assert badge(school)["status"] == "eligible"
    assert badge(school, as_of="2026-10-31")["status"] == "not_eligible"
    listed = school.call("GET", "/v1/learners/sch/badges").json()["items"]
    assert [item["badge"]["id"] for item in listed] == ["SCHOOL"]


def test_what_changes_for_a_member_is_told_about_the_school(school: World) -> None:
    attest(school, "profile", "profile", "sch")
    for person in ("p1", "p2"):
        joins(school, person)
    passes(school, "p1")
    work(school)
    passes(school, "p2")
    assert told(school, "sch") == []
    work(school)
    assert told(school, "sch") == [("eligibility.gained", "fact", "pass-p2")]
    work(school)
    assert len(told(school, "sch")) == 1
    school.call("POST", "/v1/facts/pass-p1/void", {"at": "2026-11-20", "reason": "a mistake"})
    work(school)
    assert told(school, "sch")[1:] == [("eligibility.lost", "fact", "pass-p1")]
    page = school.call("GET", "/v1/badges/SCHOOL/subjects?status=not_eligible").json()
    assert page["items"][0]["subject"] == {"type": "school", "id": "sch"}


def runs_out(world: World) -> None:
    """Ten days later the job looks at what ran out in them."""
    since = world.clock.now
    world.clock.advance(days=10)
    world.run(expiry.announce, "default", since=since, now=world.clock.now)


def test_what_runs_out_for_a_member_is_told_about_the_school(school: World) -> None:
    attest(school, "profile", "profile", "sch")
    for person in ("p1", "p2"):
        joins(school, person)
    passes(school, "p1")
    passes(school, "p2", until="2026-11-30")
    work(school)
    runs_out(school)
    assert [row[:2] for row in told(school, "sch")] == [
        ("eligibility.gained", "fact"),
        ("eligibility.lost", "expiry"),
    ]
    runs_out(school)
    assert len(told(school, "sch")) == 2


def test_a_school_that_another_member_holds_up_loses_nothing(school: World) -> None:
    attest(school, "profile", "profile", "sch")
    for person in ("p1", "p2", "p3"):
        joins(school, person)
    passes(school, "p1")
    passes(school, "p2", until="2026-11-30")
    work(school)
    assert badge(school)["valid_until"] is not None
    passes(school, "p3")
    work(school)
    runs_out(school)
    assert [row[0] for row in told(school, "sch")] == ["eligibility.gained"]
    assert badge(school)["status"] == "eligible"


def test_what_runs_out_for_a_student_is_told(school: World) -> None:
    school.call("PUT", "/v1/learners/kid", {"kind": "student"})
    attest(school, "e1", "evidence", "kid", skill="s1", until="2026-11-30")
    work(school)
    runs_out(school)
    assert [row[:2] for row in told(school, "kid")] == [
        ("eligibility.gained", "fact"),
        ("eligibility.lost", "expiry"),
    ]


def test_who_changes_the_school_counts_where_they_are_on_the_day(school: World) -> None:
    school.call("PUT", "/v1/learners/other", {"kind": "school"})
    for name in ("sch", "other"):
        attest(school, f"profile-{name}", "profile", name, "2026-01-01")
    joins(school, "p1", "2026-01-01")
    joins(school, "p2", "2026-01-01", until="2026-06-30")
    attest(school, "in-p2-other", "membership", "other", "2026-07-01", person="p2")
    attest(school, "in-p3-other", "membership", "other", "2026-01-01", person="p3")
    for person in ("p1", "p2", "p3"):
        passes(school, person, at="2026-02-01")
    statuses = {
        (name, day): badge(school, subject=name, as_of=day)["status"]
        for name in ("sch", "other")
        for day in ("2026-06-30", "2026-07-01")
    }
    assert statuses == {
        ("sch", "2026-06-30"): "eligible",
        ("sch", "2026-07-01"): "not_eligible",
        ("other", "2026-06-30"): "not_eligible",
        ("other", "2026-07-01"): "eligible",
    }


def test_a_member_of_two_records_is_one_member_and_two_again_when_parted(school: World) -> None:
    attest(school, "profile", "profile", "sch")
    for person in ("p1", "p2"):
        joins(school, person)
        passes(school, person)
    work(school)
    assert badge(school)["status"] == "eligible"
    school.call("POST", "/v1/learners/p2/merge", {"into": "p1", "reason": "one person"})
    work(school)
    assert badge(school)["status"] == "not_eligible"
    school.call("POST", "/v1/learners/p2/unmerge", {"reason": "two persons"})
    work(school)
    assert badge(school)["status"] == "eligible"
    causes = [(kind, cause) for kind, cause, _ in told(school, "sch")]
    assert causes == [
        ("eligibility.gained", "fact"),
        ("eligibility.lost", "merge"),
        ("eligibility.gained", "merge"),
    ]


def test_what_was_known_of_a_school_then_is_told_then(school: World, clock: Clock) -> None:
    attest(school, "profile", "profile", "sch")
    for person in ("p1", "p2"):
        joins(school, person)
    passes(school, "p1")
    before = clock.now.isoformat().replace("+00:00", "Z")
    clock.advance(days=1)
    passes(school, "p2")
    assert badge(school, as_of="2026-11-15")["status"] == "eligible"
    assert badge(school, as_of="2026-11-15", as_known_at=before)["status"] == "not_eligible"


@pytest.mark.parametrize(
    ("fact", "path"),
    [
        ({"subject": "p1", "person": "p2"}, "subject"),
        ({"subject": "sch", "person": "nobody"}, "person"),
        ({"subject": "sch", "person": "sch"}, "person"),
        ({"subject": "sch"}, "person"),
        ({"subject": "sch", "person": "p1", "until": "2026-10-31"}, "until"),
    ],
)
def test_a_membership_that_cannot_be_is_refused_with_the_path(
    school: World, fact: dict[str, Any], path: str
) -> None:
    problem = refused(attest(school, "m", "membership", **fact), 422, "field_invalid")
    assert problem["errors"][0]["path"] == path


def test_a_subject_stays_of_its_kind_and_badges_are_for_theirs(school: World) -> None:
    refused(school.call("PUT", "/v1/learners/p1", {"kind": "school"}), 422, "field_invalid")
    refused(school.call("PUT", "/v1/learners/p1", {"kind": "robot"}), 422, "field_invalid")
    refused(school.call("GET", "/v1/learners/p1/badges/SCHOOL"), 404, "badge_unknown")
    refused(school.call("GET", "/v1/learners/sch/badges/ONE"), 404, "badge_unknown")
    merged = school.call("POST", "/v1/learners/p1/merge", {"into": "sch", "reason": "x"})
    refused(merged, 422, "field_invalid")
    begun = school.call("POST", "/v1/sessions", {"learner": "sch", "course": "twt-3"})
    refused(begun, 422, "field_invalid")
    answers = school.call("POST", "/v1/badges/ONE/query", {"subjects": ["sch", "p1"]}).json()["items"]
    assert answers[0]["error"]["code"] == "badge_unknown"
    assert answers[1]["eligibility"]["status"] == "not_eligible"


# --- students -----------------------------------------------------------------------------


def test_a_student_is_private_until_somebody_says_otherwise(school: World) -> None:
    reader = school.key("read-status")
    made = school.call("PUT", "/v1/learners/kid", {"kind": "student"}).json()
    assert (made["kind"], made["private"]) == ("student", True)
    assert school.call("PUT", "/v1/learners/p9", {}).json()["private"] is False
    attest(school, "e1", "evidence", "kid", skill="s1")
    for path in ("badges/SKILL", "badges", "courses/twt-1/status"):
        refused(school.call("GET", f"/v1/learners/kid/{path}", key=reader), 403, "consent_missing")
    assert badge(school, "SKILL", "kid")["status"] == "eligible"  # to those who manage the data
    feed = school.call("GET", "/v1/changes", key=reader).json()["items"]
    assert [item for item in feed if item["data"]["subject"]["id"] == "kid"] == []
    mine = school.call("GET", "/v1/changes").json()["items"]
    assert mine[-1]["data"]["subject"] == {"type": "student", "id": "kid"}
    page = school.call("GET", "/v1/badges/SKILL/subjects?status=eligible", key=reader).json()
    assert page["items"] == []
    answer = school.call("POST", "/v1/badges/SKILL/query", {"subjects": ["kid"]}, key=reader).json()
    assert answer["items"][0]["error"]["code"] == "consent_missing"
    for path in ("", "/courses", "/appeals"):  # nor who it is, or what it does
        refused(school.call("GET", f"/v1/learners/kid{path}", key=reader), 403, "consent_missing")
        assert school.call("GET", f"/v1/learners/kid{path}", key=school.key("deliver")).status_code == 200
    school.call("PUT", "/v1/learners/kid", {"private": False})
    assert school.call("GET", "/v1/learners/kid/badges/SKILL", key=reader).status_code == 200
    assert (
        len(school.call("GET", "/v1/badges/SKILL/subjects?status=eligible", key=reader).json()["items"]) == 1
    )


def test_neither_a_credential_nor_a_record_tells_of_somebody_private(world: World) -> None:
    reader = world.key("read-status")
    person = {"private": True, "external_ids": [{"issuer": "i", "subject": "s"}]}
    assert world.call("PUT", "/v1/learners/lrn_1", person).status_code == 201
    world.sit("lrn_1")
    decision = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]["id"]
    settings = replace(world.services.settings, public_url="https://a.example")
    world.app.state.services = replace(world.services, settings=settings)
    credential = "learners/lrn_1/badges/ONE/credential"
    for path in (f"decisions/{decision}", credential, "learners?issuer=i&subject=s"):
        refused(world.call("GET", f"/v1/{path}", key=reader), 403, "consent_missing")
        assert world.call("GET", f"/v1/{path}").status_code == 200  # to those who manage the data


# --- who may attest what ---------------------------------------------------------------------


def test_a_key_attests_the_types_that_it_was_given(school: World) -> None:
    key = school.key("attest", sources=["lms=attended,award", "hr"])
    cases: tuple[tuple[str, str, bool], ...] = (
        ("lms", "attended", True),
        ("lms", "profile", False),
        ("hr", "profile", True),
        ("other", "attended", False),
    )
    for source, t, right in cases:
        body = {"id": f"{source}-{t}", "source": source, "t": t, "subject": "p1", "at": "2026-11-01"}
        answer = school.call("POST", "/v1/facts", body, key=key)
        if right:
            assert answer.status_code == 201, answer.text
        else:
            refused(answer, 403, "source_not_authorised")
    narrow = school.key("attest", sources=["hr=attended"])
    void = {"at": "2026-11-02", "reason": "x"}
    refused(school.call("POST", "/v1/facts/hr-profile/void", void, key=narrow), 403, "source_not_authorised")


@pytest.mark.parametrize("source", ["=attended", "lms=", "lms=a,,b"])
def test_a_source_that_cannot_be_meant_is_refused(school: World, source: str) -> None:
    from assess.errors import InvalidRequest

    with pytest.raises(InvalidRequest, match="is no source"):
        school.key("attest", sources=[source])


def test_a_judgement_by_a_wrong_role_is_refused(school: World) -> None:
    wrong = attest(school, "j1", "judgement", "p1", q="well done", role="peer", answer="yes")
    problem = refused(wrong, 403, "role_not_allowed")
    assert "for head, mentor to judge, not peer" in problem["detail"]
    assert badge(school, "JUDGED", "p1")["status"] == "undetermined"
    right = attest(school, "j1", "judgement", "p1", q="well done", role="mentor", answer="yes")
    assert right.status_code == 201
    assert badge(school, "JUDGED", "p1")["status"] == "eligible"
    # A question that no rule asks is nobody's to refuse.
    assert attest(school, "j2", "judgement", "p1", q="other", role="peer", answer="no").status_code == 201


def test_postgresql_tells_the_same_of_a_school(pg_url: str, tmp_path: Any, clock: Clock) -> None:
    worlds: Iterator[World] = open_world(settings(tmp_path, database_url=pg_url), clock)
    (world,) = [next(worlds)]
    try:
        world.activate(programme(badges=BADGES))
        work(world)
        for person in ("p1", "p2"):
            world.learner(person)
        world.call("PUT", "/v1/learners/sch", {"kind": "school"})
        attest(world, "profile", "profile", "sch")
        for person in ("p1", "p2"):
            joins(world, person)
        passes(world, "p1")
        work(world)
        passes(world, "p2")
        work(world)
        assert told(world, "sch") == [("eligibility.gained", "fact", "pass-p2")]
        assert badge(world)["status"] == "eligible"
    finally:
        next(worlds, None)
