"""A placement grants at near certainty, advises otherwise, uses no try, and is no way around one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import assess
from assess.delivery.replay import replay_all
from assess.delivery.service import activations, keys, placement
from assess.delivery.store import reading
from assess.errors import Unauthenticated
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, programme, refused
from tests.delivery.world import settings as settings_of

HERE = ("twt-3", "twt-5")
PLACED = {
    "title": {"en": "Where to start"},
    "wait_days": 30,
    "window_hours": 24,
    "parts": [{"course": course, "form": f"{course}-part"} for course in HERE],
}


def document(course: str, *, part: bool = True, calibrated: bool = True, **form: Any) -> dict[str, Any]:
    """A part of the placement of a course, or its own form."""
    found = synthetic.document(kind="adaptive" if part else "fixed", calibrated=calibrated, n_items=30)
    found["course"] |= {"id": course}
    found["parameter_set"]["course"] = course
    found["form"] |= {"id": f"{course}-{'part' if part else 'form'}", "course": course, **form}
    if part:
        found["form"] |= {
            "rule": {"kind": "placement"},
            "adaptive": {"min_units": 5, "max_units": 12, "randomesque": 2},
        }
    return found


@pytest.fixture(scope="module")
def placed_seed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Two courses assessed here, each with a form and a part of a placement, as a file to copy."""
    folder = tmp_path_factory.mktemp("placed")
    for world in open_world(settings_of(folder), Clock()):
        courses = {
            course: {
                "title": {"en": f"Course {course}"},
                "assessed": "here",
                "default_form": f"{course}-form",
            }
            for course in HERE
        }
        badge = {"id": "BOTH", "rule": {"all_of": [{"pass": {"course": course}} for course in HERE]}}
        known = programme(courses=courses, badges=[badge], placement=PLACED, accept_provisional=True)
        for found in (known, *(document(course, part=part) for course in HERE for part in (False, True))):
            activate(world, found)
        world.learner()
    return folder / "assess.db", dict(world.keys)


def activate(world: World, found: dict[str, Any]) -> None:
    """Without the studies of an activation: they take longer than all that is tested here."""
    known: dict[str, Any] = {
        "accuracy": {"accuracy": 0.9, "false_pass": 0.05, "false_fail": 0.05, "basis": ""}
    }
    world.run(activations.activate, world.admin, document=found, reason="x", evidence=known | {"badges": {}})


@pytest.fixture
def placing(placed_seed: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[World]:
    path, known = placed_seed
    shutil.copyfile(path, tmp_path / "assess.db")
    yield from open_world(settings_of(tmp_path), Clock(), known)


def begin(world: World, learner: str = "lrn_1") -> Any:
    body = {"learner": learner, "programme": "teaching-with-technology"}
    return world.call("POST", "/v1/placements", body)


def take(world: World, begun: dict[str, Any], answer: str) -> None:
    current = begun["current"]
    while current is not None:
        stored = world.respond(begun["session"], current, answer)
        assert stored.status_code == 200, stored.text
        current = stored.json()["current"]


def place(world: World, *answers: str) -> dict[str, Any]:
    """A whole placement, one letter for all items of each part; what came of it."""
    step = begin(world).json()
    sitting = step["placement"]["placement"]
    for answer in answers:
        take(world, step["session"], answer)
        step = world.call("POST", f"/v1/placements/{sitting}/next").json()
    assert step["session"] is None
    found: dict[str, Any] = world.call("GET", f"/v1/placements/{sitting}").json()
    assert found == step["placement"]
    return found


def status(world: World, course: str) -> dict[str, Any]:
    found: dict[str, Any] = world.call("GET", f"/v1/learners/lrn_1/courses/{course}/status").json()
    return found


def test_what_is_known_is_granted_and_the_rest_advised(placing: World) -> None:
    found = place(placing, "b", "a")
    assert [(part["course"]["id"], part["state"], part["advice"]) for part in found["parts"]] == [
        ("twt-3", "granted", None),
        ("twt-5", "advised", "take_course"),
    ]
    assert (found["state"], found["start_with"]) == ("finished", "twt-5")
    granted = status(placing, "twt-3")
    assert (granted["state"], granted["passed"], granted["next"]["action"]) == ("decided", True, "none")
    decision = granted["decision"]
    assert (decision["source"], decision["try"], decision["rule"]) == ("placement", None, "placement/1")
    assert decision["p_at_or_above_cut"] >= 0.95
    record = placing.call("GET", decision["url"]).json()["record"]
    assert (record["try"], record["placement"]) == (0, found["placement"])
    assert record["decision"]["terms"] == {"p_pass": "0.95"}
    other = status(placing, "twt-5")
    assert (other["state"], other["passed"], other["decision"]) == ("not_started", None, None)
    assert (other["next"]["action"], other["next"]["tries_used"]) == ("start", 0)


def test_a_granted_course_counts_for_a_badge_and_an_advised_one_does_not_harm(placing: World) -> None:
    url = "/v1/learners/lrn_1/badges/BOTH"
    assert placing.call("GET", url).json()["progress"] == {"met": 0, "of": 2}
    place(placing, "b", "a")
    found = placing.call("GET", url).json()
    assert (found["status"], found["progress"]) == ("not_eligible", {"met": 1, "of": 2})
    assert [(m["predicate"]["pass"]["course"], m["action"]) for m in found["missing"]] == [("twt-5", "start")]


def test_a_granted_course_is_not_taken_again_and_an_advised_one_is_taken_with_all_tries(
    placing: World,
) -> None:
    place(placing, "b", "a")
    body = {"learner": "lrn_1", "course": "twt-3"}
    refused(placing.call("POST", "/v1/sessions", body), 409, "tries_exhausted")
    session = placing.sit(form="twt-5-form", answer="a")
    assert placing.call("GET", f"/v1/sessions/{session}/result").json()["next"]["tries_left"] == 4
    assert status(placing, "twt-5")["decision"]["try"] == 1


def test_a_failed_course_form_never_takes_a_grant_away(placing: World) -> None:
    place(placing, "b", "a")
    placing.clock.advance(hours=1)
    span = {"from": "2026-11-22T12:00:00Z", "to": "2026-11-22T14:00:00Z"}
    code = placing.call("POST", "/v1/invigilator-codes", {"course": "twt-3", **span}).json()["code"]
    body = {"learner": "lrn_1", "form": "twt-3-form", "code": code}
    begun = placing.call("POST", "/v1/sessions", body).json()
    take(placing, begun, "a")
    placing.call("POST", f"/v1/sessions/{begun['session']}/submit")
    assert status(placing, "twt-3")["passed"] is True


def test_items_met_in_a_placement_are_not_met_again(placing: World) -> None:
    """An adaptive form of the course leaves out what the part has shown."""
    adaptive = document("twt-5")
    adaptive["form"] |= {"id": "twt-5-adaptive", "rule": {"kind": "probability"}}
    activate(placing, adaptive)
    found = place(placing, "b", "a")
    met = set(placing.ask(reading.offered_items, "default", found["parts"][1]["session"]))
    session = placing.sit(form="twt-5-adaptive", answer="a")
    assert len(met) >= 5
    assert not met & set(placing.ask(reading.offered_items, "default", session))


def test_an_open_placement_is_gone_on_with(placing: World) -> None:
    first, second = begin(placing), begin(placing)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["placement"] == second.json()["placement"]
    assert first.json()["session"]["session"] == second.json()["session"]["session"]
    assert first.json()["session"]["token"] != second.json()["session"]["token"]
    sitting = first.json()["placement"]["placement"]
    again = placing.call("POST", f"/v1/placements/{sitting}/next").json()
    assert again["session"]["session"] == first.json()["session"]["session"], "the part is not over yet"
    assert [part["state"] for part in again["placement"]["parts"]] == ["in_progress", "to_come"]


def test_a_part_that_is_handed_in_early_grants_nothing_and_is_advised(placing: World) -> None:
    begun = begin(placing).json()
    for _ in range(2):
        placing.respond(begun["session"]["session"], begun["session"]["current"], "b")
    placing.call("POST", f"/v1/sessions/{begun['session']['session']}/submit")
    found = placing.call("GET", f"/v1/placements/{begun['placement']['placement']}").json()
    assert (found["parts"][0]["state"], found["parts"][0]["advice"]) == ("advised", "take_course")
    assert status(placing, "twt-3")["decision"] is None


def test_nobody_is_placed_again_before_the_time(placing: World) -> None:
    place(placing, "a", "a")
    problem = refused(begin(placing), 409, "retake_too_early")
    assert problem["not_before"] == "2026-12-22T12:00:00Z"
    placing.clock.advance(days=31)
    assert begin(placing).status_code == 201


def test_a_placement_that_is_left_closes_with_its_window(placing: World) -> None:
    step = begin(placing).json()
    take(placing, step["session"], "b")
    placing.clock.advance(hours=25)
    sitting = step["placement"]["placement"]
    after = placing.call("POST", f"/v1/placements/{sitting}/next").json()
    assert after["session"] is None
    assert [part["state"] for part in after["placement"]["parts"]] == ["granted", "left_out"]
    refused(begin(placing), 409, "retake_too_early")


def test_a_course_that_was_tried_or_passed_has_no_part(placing: World) -> None:
    """A placement is no way around the waiting time after a try."""
    placing.sit(form="twt-3-form", answer="a")
    step = begin(placing).json()
    assert [part["course"]["id"] for part in step["placement"]["parts"]] == ["twt-5"]
    # A course that is begun in the middle of a placement loses its part.
    take(placing, step["session"], "a")
    placing.clock.advance(days=31)
    placing.sit(form="twt-5-form", answer="a")
    refused(begin(placing), 409, "form_not_active")


def test_a_part_is_not_begun_as_a_form_of_its_course(placing: World) -> None:
    body = {"learner": "lrn_1", "form": "twt-3-part"}
    problem = refused(placing.call("POST", "/v1/sessions", body), 409, "form_not_active")
    assert "begin the placement" in problem["detail"]
    activate(placing, document("twt-5", part=True))
    begun = placing.call("POST", "/v1/sessions", {"learner": "lrn_1", "course": "twt-5"}).json()
    assert begun["form"] == "twt-5-form.v1", "the newest activation of the course is a part, and no default"


def test_judged_parts_advise_and_grant_nothing(placing: World) -> None:
    for course in HERE:
        activate(placing, document(course, calibrated=False, version=2))
    found = place(placing, "b", "a")
    assert [(part["state"], part["advice"]) for part in found["parts"]] == [
        ("advised", "take_assessment"),
        ("advised", "take_course"),
    ]
    assert found["start_with"] == "twt-5", "first the course of which less is known"
    assert status(placing, "twt-3")["state"] == "not_started"


def test_everything_granted_leaves_nothing_to_start_with(placing: World) -> None:
    found = place(placing, "b", "b")
    assert (found["state"], found["start_with"]) == ("finished", None)
    assert placing.call("GET", "/v1/learners/lrn_1/badges/BOTH").json()["status"] == "eligible"


def test_the_token_of_a_part_leads_to_the_next_part(placing: World) -> None:
    """A learner's app needs no key of the organisation to go through a placement that it began."""
    step = begin(placing).json()
    take(placing, step["session"], "b")
    url = f"/v1/placements/{step['placement']['placement']}/next"
    following = placing.call("POST", url, key=step["session"]["token"]).json()
    assert following["session"]["form"] == "twt-5-part.v1"


def test_a_token_that_was_replaced_opens_no_part_though_it_is_remembered(placing: World) -> None:
    step = begin(placing).json()
    sitting = step["placement"]["placement"]
    remembered = placing.run(keys.authenticate, step["session"]["token"])
    placing.call("POST", f"/v1/placements/{sitting}/next")
    with pytest.raises(Unauthenticated):
        placing.run(placement.proceed, remembered, sitting)


def test_a_proctored_part_goes_on_only_where_a_key_states_it(placing: World) -> None:
    placing.learner()
    _, watching = placing.run(
        keys.create, placing.admin, name="proctor", scopes=["deliver"], may_proctor=True
    )
    body = {"learner": "lrn_1", "programme": "teaching-with-technology"}
    stated = body | {"assurance": "proctored"}
    first = placing.call("POST", "/v1/placements", stated, key=watching).json()["session"]
    refused(placing.call("POST", "/v1/placements", body), 403, "role_not_allowed")
    again = placing.call("POST", "/v1/placements", stated, key=watching)
    assert (again.status_code, again.json()["session"]["session"]) == (201, first["session"])


def test_a_void_part_takes_its_grant_back(placing: World) -> None:
    found = place(placing, "b", "a")
    body = {
        "action": "void_without_try", "scope": {"sessions": [found["parts"][0]["session"]]},
        "from": "2026-11-22T11:00:00Z", "to": "2026-11-22T12:00:00Z", "reason": "the line was shared",
        "message": "x", "dry_run": False,
    }  # fmt: skip
    answer = placing.call("POST", "/v1/incidents", body)
    assert answer.status_code in (200, 201), answer.text
    assert status(placing, "twt-3")["passed"] is not True
    after = placing.call("GET", f"/v1/placements/{found['placement']}").json()
    assert after["parts"][0]["state"] == "left_out"


def test_decisions_of_a_placement_replay_and_their_chain_holds(placing: World) -> None:
    place(placing, "b", "a")
    with assess.connect(placing.services.settings) as database:
        found = replay_all(database, verify_chain=True)
    assert (found.n_same, found.differences) == (2, ())


def test_another_learner_tenant_or_sandbox_finds_no_placement(placing: World) -> None:
    step = begin(placing).json()
    sitting, token = step["placement"]["placement"], step["session"]["token"]
    assert placing.call("GET", f"/v1/placements/{sitting}", key=token).status_code == 200
    refused(placing.call("GET", f"/v1/placements/{sitting}", key="test"), 404, "placement_unknown")
    placing.learner("lrn_2")
    other = placing.call("POST", "/v1/sessions", {"learner": "lrn_2", "form": "twt-3-form"}).json()["token"]
    refused(placing.call("GET", f"/v1/placements/{sitting}", key=other), 404, "placement_unknown")
    refused(placing.call("POST", f"/v1/placements/{sitting}/next", key=other), 404, "placement_unknown")
    body = {"learner": "lrn_1", "programme": "teaching-with-technology"}
    refused(placing.call("POST", "/v1/placements", body, key=other), 403, "scope_missing")
    refused(placing.call("GET", "/v1/placements/plc_none"), 404, "placement_unknown")
    refused(placing.call("POST", "/v1/placements", body | {"programme": "x"}), 404, "placement_unknown")
    refused(placing.call("POST", "/v1/placements", body | {"learner": "nobody"}), 404, "learner_unknown")
    refused(placing.call("POST", "/v1/placements", {"learner": "lrn_1"}), 422, "field_invalid")
