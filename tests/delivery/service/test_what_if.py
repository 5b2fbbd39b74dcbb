"""What would change if: the answer is what a rescoring would do, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from assess.delivery.store import reading
from tests import synthetic
from tests.delivery.service.test_rescoring import carried_out, sit
from tests.delivery.world import World, programme, refused


@pytest.fixture
def cohort(world: World) -> World:
    """Thirteen learners, with 0 to 12 items right of 12; the raw cut is 7.2."""
    for right in range(13):
        sit(world, f"lrn_{right:02d}", "b" * right + "a" * (12 - right))
    return world


def with_cut(raw: float) -> dict[str, Any]:
    document = synthetic.document(with_case_set=True)
    document["form"]["version"] = 2
    document["cut"]["ratings"] = dict.fromkeys(document["cut"]["ratings"], raw / 12)
    return document


def ask(world: World, **body: Any) -> dict[str, Any]:
    answer = world.call("POST", "/v1/what-if", body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def moves(found: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(move["old"], move["new"]): move["learners"] for move in found["courses"]}


def test_another_cut_moves_those_between_the_two_and_writes_nothing(cohort: World) -> None:
    before = [row.id for row in cohort.ask(reading.decisions, "default", after=("", 0))]
    found = ask(cohort, document=with_cut(9.6))
    assert moves(found) == {
        ("passed", "passed"): 3,
        ("passed", "not_passed"): 2,
        ("not_passed", "not_passed"): 8,
    }
    assert found["changed"] == ["lrn_08", "lrn_09"]
    assert found["badges"] == [{"badge": "ONE", "gained": 0, "lost": 2}]
    assert [row.id for row in cohort.ask(reading.decisions, "default", after=("", 0))] == before


def test_the_answer_is_what_the_rescoring_then_does(cohort: World) -> None:
    document = with_cut(4.8)
    said = ask(cohort, document=document)
    carried_out(cohort, cohort.activate(document))
    after = {}
    for right in range(13):
        body = cohort.call("GET", f"/v1/learners/lrn_{right:02d}/courses/twt-3/status").json()
        after[f"lrn_{right:02d}"] = body["decision"]["status"]
    assert sum(word == "passed" for word in after.values()) == sum(
        n for (_, new), n in moves(said).items() if new == "passed"
    )
    assert said["changed"] == ["lrn_05", "lrn_06", "lrn_07"]


def test_another_badge_rule_is_asked_about_the_same_decisions(cohort: World) -> None:
    rules = programme()
    rules["badges"][0]["rule"] = {"all_of": [{"pass": {"course": "twt-3"}}, {"pass": {"course": "twt-1"}}]}
    found = ask(cohort, programme=rules)
    assert found["badges"] == [{"badge": "ONE", "gained": 0, "lost": 5}]
    assert moves(found) == {("passed", "passed"): 5, ("not_passed", "not_passed"): 8}
    gone = programme(badges=[])
    assert ask(cohort, programme=gone)["badges"] == [{"badge": "ONE", "gained": 0, "lost": 5}]


def test_another_retake_policy_leaves_out_what_it_would_not_have_let_begin(world: World) -> None:
    world.learner("lrn_1")
    world.sit(answer="a")
    world.clock.advance(days=2)
    world.sit(answer="b")
    document = synthetic.document(with_case_set=True)
    document["form"]["retake"] = {"first_wait_hours": 24}
    assert ask(world, document=document, retake=True)["left_out"] == 0
    document["form"]["retake"] = {"first_wait_hours": 72}
    found = ask(world, document=document, retake=True)
    assert (found["left_out"], moves(found)) == (1, {("passed", "not_passed"): 1})
    document["form"]["retake"] = {"max_tries": 1, "first_wait_hours": 0}
    found = ask(world, document=document, retake=True)
    assert (found["left_out"], found["changed"]) == (1, ["lrn_1"])
    assert ask(world, document=document)["left_out"] == 0, "only where it is asked"


def test_a_probability_that_rises_would_undo_a_late_pass(world: World) -> None:
    def calibrated(version: int, **retake: Any) -> dict[str, Any]:
        form = {"id": "x-fixed", "version": version, "retake": {"first_wait_hours": 0} | retake}
        return synthetic.document(calibrated=True, form=form)

    world.activate(calibrated(2))
    world.learner("lrn_1")
    world.sit(answer="a")
    world.clock.advance(hours=1)
    world.sit(answer="b")
    found = ask(world, document=calibrated(3, p_pass_by_try=[0.75, 0.9999999]))
    assert moves(found) == {("passed", "undetermined"): 1}
    assert moves(ask(world, document=calibrated(3, p_pass_by_try=[0.75, 0.76]))) == {("passed", "passed"): 1}


def test_what_cannot_be_asked_is_refused(cohort: World) -> None:
    refused(cohort.call("POST", "/v1/what-if", {}), 422, "field_invalid")
    refused(
        cohort.call("POST", "/v1/what-if", {"retake": True, "programme": programme()}), 422, "field_invalid"
    )
    other = programme(id="another")
    refused(cohort.call("POST", "/v1/what-if", {"programme": other}), 404, "programme_unknown")
    broken = with_cut(5.0) | {"cut": {"id": "x"}}
    refused(cohort.call("POST", "/v1/what-if", {"document": broken}), 409, "rescore_refused")
    refused(cohort.call("POST", "/v1/what-if", {"programme": {"id": "x"}}), 409, "rescore_refused")
    weak = cohort.key("read-status")
    refused(cohort.call("POST", "/v1/what-if", {"document": with_cut(5.0)}, key=weak), 403, "scope_missing")
