"""Levels of a course, the end of a pass, and its renewal, from the answers to the badge."""

from __future__ import annotations

from typing import Any

from tests import synthetic
from tests.delivery.service.test_rescoring import sit
from tests.delivery.world import World, programme
from tests.session.test_levels import ALL

BADGES = [
    {"id": "KA", "rule": {"pass": {"course": "twt-3"}}},
    {"id": "KC", "rule": {"pass": {"course": "twt-3", "level": "KC"}}},
]


def courses(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = programme()["courses"]
    return found | {"twt-3": found["twt-3"] | changes}


def two_levels(world: World, **changes: Any) -> None:
    world.activate(programme(courses=courses(levels=["KA", "KC"], **changes), badges=BADGES))
    world.activate(synthetic.document(with_case_set=False, form={"version": 2}, further=[ALL]))


def status(world: World, learner: str = "lrn_01", **asked: str) -> dict[str, Any]:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    found: dict[str, Any] = world.call("GET", f"/v1/learners/{learner}/courses/twt-3/status?{query}").json()
    return found


def badge(world: World, badge: str, learner: str = "lrn_01") -> dict[str, Any]:
    found: dict[str, Any] = world.call("GET", f"/v1/learners/{learner}/badges/{badge}").json()
    return found


def test_a_session_decides_each_level_and_the_status_shows_it(world: World) -> None:
    two_levels(world)
    sit(world, "lrn_01", "b" * 9 + "aaa")
    found = status(world)
    assert (found["passed"], found["decision"]["level"]) == (True, "KA")
    (level,) = found["decision"]["levels"]
    assert (level["level"], level["status"], level["decision"]) == (
        "KC",
        "not_passed",
        found["decision"]["id"],
    )
    assert level["cut"]["value"] == 12
    assert badge(world, "KA")["status"] == "eligible"
    missed = badge(world, "KC")
    assert (missed["status"], missed["reasons"][0]["code"]) == ("not_eligible", "decision_not_passed")
    assert missed["reasons"][0]["evidence"] == [f"{found['decision']['id']}#KC"]
    record = world.call("GET", f"/v1/decisions/{found['decision']['id']}").json()
    assert [level["status"] for level in record["record"]["levels"]] == ["not_passed"]


def test_a_higher_level_may_be_tried_again_and_each_level_keeps_its_pass(world: World) -> None:
    two_levels(world)
    sit(world, "lrn_01", "b" * 9 + "aaa")
    world.clock.advance(days=2)
    sit(world, "lrn_01", "b" * 12)
    assert badge(world, "KC")["status"] == "eligible"
    refused = world.call(
        "POST", "/v1/sessions", {"learner": "lrn_01", "course": "twt-3"}, Idempotency_Key="k9"
    )
    assert refused.status_code == 409
    assert "it is not taken again except for renewal" in refused.json()["detail"]


def test_a_course_without_further_cuts_shows_no_levels(world: World) -> None:
    sit(world, "lrn_01", "b" * 12)
    assert status(world)["decision"]["levels"] == []


# --- validity and renewal ------------------------------------------------------------


def test_a_pass_ends_on_its_last_day_and_may_be_renewed_before(world: World) -> None:
    two_levels(world, valid_for="1 year", renew_from="90 days")
    sit(world, "lrn_01", "b" * 12)  # 2026-11-22
    found = status(world)
    assert found["decision"]["valid_until"] == "2027-11-22T23:59:59Z"
    assert found["next"]["action"] == "none"
    assert found["next"]["not_before"] == "2027-08-24T00:00:00Z"
    assert badge(world, "KA")["valid_until"] == "2027-11-22T23:59:59Z"
    late = status(world, as_of="2027-11-23")
    assert (late["passed"], late["decision"]["status"]) == (False, "passed")
    world.clock.advance(days=280)
    assert status(world)["next"]["action"] == "retake"
    sit(world, "lrn_01", "a" * 12)  # a renewal that fails leaves the pass until its end
    assert (status(world)["passed"], badge(world, "KA")["status"]) == (True, "eligible")
    world.clock.advance(days=15)
    sit(world, "lrn_01", "b" * 12)
    renewed = status(world)
    assert renewed["decision"]["valid_until"] == "2028-09-13T23:59:59Z"
    assert badge(world, "KA")["status"] == "eligible"


def test_too_early_a_renewal_is_refused_with_the_day_from_which_it_is_not(world: World) -> None:
    two_levels(world, valid_for="1 year", renew_from="90 days")
    sit(world, "lrn_01", "b" * 12)
    world.clock.advance(days=200)
    refused = world.call(
        "POST", "/v1/sessions", {"learner": "lrn_01", "course": "twt-3"}, Idempotency_Key="k9"
    )
    assert refused.status_code == 409
    assert "from 2027-08-24T00:00:00+00:00 on" in refused.json()["detail"]


def test_a_pass_of_elsewhere_ends_as_the_course_says(world: World) -> None:
    world.activate(programme(courses=courses() | {"twt-1": {"title": {"en": "x"}, "valid_for": "1 year"}}))
    world.learner("lrn_01")
    fact = {
        "id": "f1", "source": "lms", "t": "decision", "subject": "lrn_01", "at": "2025-11-01",
        "course": "twt-1", "outcome": "pass",
    }  # fmt: skip
    assert world.call("POST", "/v1/facts", fact).status_code == 201
    found = world.call("GET", "/v1/learners/lrn_01/courses/twt-1/status").json()
    assert (found["passed"], found["decision"]["valid_until"]) == (False, "2026-11-01T23:59:59Z")
