"""A confirmation says something beside a pass; an inconsistent one opens a review, and fails nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import assess
from assess.delivery.replay import replay_all
from assess.delivery.service import invigilation, launching
from assess.delivery.store import reading
from assess.simulation import form_accuracy
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.test_tampering import change
from tests.delivery.world import Clock, World, refused
from tests.delivery.world import settings as world_settings

FIRST: dict[str, Any] = {"rule": {"kind": "probability"}}
FORM: dict[str, Any] = {
    "id": "x-confirming",
    "confirms": {"forms": ["x-fixed"], "loss": 1.5, "alpha": 0.05, "beta": 0.1, "within_days": 30},
    "adaptive": {"min_units": 4, "max_units": 16, "randomesque": 1, "certainty": False},
    "time_limit_minutes": 20,
}


@pytest.fixture(scope="module")
def confirming(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A database in which a confirming form is live, and its keys."""
    found = world_settings(tmp_path_factory.mktemp("confirming"))
    with pytest.MonkeyPatch.context() as patch:
        # The study is tested by itself; here it only has to be kept.
        patch.setattr(launching, "_CONFIRMED", 60)
        patch.setattr(launching, "form_accuracy", partial(form_accuracy, n=100))
        for world in open_world(found, Clock()):
            world.activate(synthetic.document(calibrated=True, n_items=12, form=FIRST))
            world.activate(synthetic.document(kind="adaptive", calibrated=True, n_items=60, form=FORM))
            world.learner()
            keys = dict(world.keys)
    assert found.sqlite_path is not None
    return found.sqlite_path, keys


@pytest.fixture
def course(tmp_path: Path, confirming: tuple[Path, dict[str, str]]) -> Iterator[World]:
    path, keys = confirming
    found = world_settings(tmp_path)
    assert found.sqlite_path is not None
    shutil.copyfile(path, found.sqlite_path)
    yield from open_world(found, Clock(), keys)


def _answers(world: World, session: str, current: Any, pattern: str, *, most: int = 99) -> int:
    """Answer by the pattern until the end; how many items there were."""
    n = 0
    while current is not None and n < most:
        world.clock.advance(seconds=10)
        stored = world.respond(session, current, pattern[n % len(pattern)])
        assert stored.status_code == 200, stored.text
        current, n = stored.json()["current"], n + 1
    return n


def _pass(world: World, pattern: str = "bbbbbbbbbbba", **more: Any) -> str:
    asked = {"learner": "lrn_1", "form": "x-fixed"} | more
    begun = world.call("POST", "/v1/sessions", asked).json()
    _answers(world, begun["session"], begun["current"], pattern)
    world.call("POST", f"/v1/sessions/{begun['session']}/submit")
    assert _result(world, begun["session"])["decision"]["status"] == "passed"
    return str(begun["session"])


def _code(world: World) -> str:
    now = world.clock.now
    made = world.run(
        invigilation.create, world.admin, course="twt-3", from_at=now, to_at=now + timedelta(hours=3)
    )
    return str(made.code)


def _begin(world: World, code: str | None = None, **body: Any) -> Any:
    asked = {"learner": "lrn_1", "form": "x-confirming"} | ({} if code is None else {"code": code}) | body
    return world.call("POST", "/v1/sessions", asked)


def _confirm(world: World, pattern: str) -> str:
    begun = _begin(world, _code(world))
    assert begun.status_code == 201, begun.text
    body = begun.json()
    _answers(world, body["session"], body["current"], pattern)
    return str(body["session"])


def _result(world: World, session: str) -> Any:
    answer = world.call("GET", f"/v1/sessions/{session}/result")
    assert answer.status_code == 200, answer.text
    return answer.json()


def _status(world: World) -> Any:
    return world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()


# --- what it says -------------------------------------------------------------------


def test_a_consistent_confirmation_stands_beside_the_decision_and_changes_nothing(course: World) -> None:
    first = _pass(course)
    before = _status(course)
    session = _confirm(course, "b")
    after = _status(course)
    said = after["decision"].pop("confirmation")
    before["decision"].pop("confirmation")
    assert (said["outcome"], said["of"], said["session"]) == (
        "consistent",
        before["decision"]["id"],
        session,
    )
    assert (said["assurance"], said["review"]) == ("supervised", None)
    assert (said["loss"], said["alpha"], said["beta"]) == (1.5, 0.05, 0.1)
    for part in ("as_of", "as_known_at"):
        before.pop(part), after.pop(part)
    # The assurance of the decision is what it was: nobody can witness the past.
    assert after == before
    assert after["decision"]["assurance"] == "unsupervised"
    assert _result(course, first)["confirmation"] == said


def test_the_result_of_a_confirming_session_is_its_outcome_without_a_score(course: World) -> None:
    _pass(course)
    found = _result(course, _confirm(course, "b"))
    assert found["decision"]["status"] == "consistent"
    assert (found["score"], found["objectives"], found["rationales"]) == (None, [], None)
    assert found["decision"]["p_at_or_above_cut"] is None
    assert found["next"]["action"] == "none"
    assert found["next"]["tries_used"] == 1
    assert found["confirmation"]["outcome"] == "consistent"


def test_an_inconsistent_one_opens_a_review_and_the_pass_stays(course: World) -> None:
    first = _pass(course)
    decision = _status(course)["decision"]["id"]
    sequence = _status(course)["sequence"]
    session = _confirm(course, "a")
    told = _status(course)
    assert (told["state"], told["passed"]) == ("decided", True)
    assert told["decision"]["id"] == decision
    said = told["decision"]["confirmation"]
    assert (said["outcome"], said["review"]["state"]) == ("inconsistent", "open")
    assert said["review"]["due_at"].startswith("2026-12-22T12:0")
    # Nothing changed for a badge system, and nothing is told to it as if it had.
    assert told["sequence"] == sequence
    assert course.call("GET", "/v1/learners/lrn_1/badges/ONE").json()["status"] == "eligible"
    review = course.call("GET", f"/v1/appeals/{said['review']['id']}").json()
    assert (review["kind"], review["about"], review["session"]) == ("review", decision, first)
    assert (review["filed_by"], review["entries"]) == ("confirmation", [])
    assert session in review["reason"]
    assert "alpha 0.05" in review["reason"]
    own = course.call("GET", "/v1/learners/lrn_1/appeals").json()["items"]
    assert [one["kind"] for one in own] == ["review"]


def test_it_is_undecided_where_it_ends_before_its_test_decides(course: World) -> None:
    _pass(course)
    begun = _begin(course, _code(course)).json()
    _answers(course, begun["session"], begun["current"], "a", most=3)
    course.call("POST", f"/v1/sessions/{begun['session']}/submit")
    said = _status(course)["decision"]["confirmation"]
    assert (said["outcome"], said["review"]) == ("undecided", None)


def test_it_uses_no_try_and_shows_nothing_that_was_seen(course: World) -> None:
    first = _pass(course)
    session = _confirm(course, "ab")
    stored = [course.ask(reading.session_records, "default", one) for one in (first, session)]
    shown = [{offer.item for offer in records.offers} for records in stored if records is not None]
    assert not shown[0] & shown[1]
    assert _status(course)["next"]["tries_used"] == 1


# --- the record ---------------------------------------------------------------------


def test_the_record_names_what_it_rests_on_and_replays(course: World) -> None:
    _pass(course)
    first = _status(course)["decision"]
    session = _confirm(course, "a")
    said = _status(course)["decision"]["confirmation"]
    found = course.call("GET", f"/v1/decisions/{said['decision']}").json()
    record = found["record"]
    assert (found["source"], record["schema"]) == ("confirmation", "assess.confirmation/1")
    assert (record["session"], record["try"], record["assurance"]) == (session, 0, "supervised")
    assert record["first"]["decision"] == first["id"]
    assert record["first"]["record_sha256"] == first["record_sha256"]
    assert record["first"]["basis"] == "posterior"
    assert float(record["log_ratio"]) >= 2.995  # -ln 0.05
    assert record["decision"]["status"] == "inconsistent"
    assert record["decision"]["terms"] == {"alpha": "0.05", "beta": "0.1", "loss": "1.5"}
    assert record["evidence"]["stopped_by"] == "inconsistent"
    assert record["evidence"]["units"]["found"] == len(record["units"])
    with assess.connect(course.services.settings) as database:
        replayed = replay_all(database, verify_chain=True)
    assert (replayed.n_same, replayed.differences) == (2, ())


def test_a_confirmation_whose_first_decision_was_altered_does_not_replay(course: World) -> None:
    _pass(course)
    _confirm(course, "b")
    first = _status(course)["decision"]["id"]
    path = course.services.settings.sqlite_path
    assert path is not None
    change(path, "UPDATE decisions SET record_sha256 = 'x' WHERE id = ?", first)
    with assess.connect(course.services.settings) as database:
        found = replay_all(database)
    assert any("does not stand there with that hash" in one.what for one in found.differences)


# --- who may ------------------------------------------------------------------------


def test_without_the_invigilators_code_it_does_not_begin(course: World) -> None:
    _pass(course)
    answer = _begin(course)
    assert refused(answer, 422, "field_invalid")
    assert "invigilator's code" in answer.json()["detail"]


@pytest.mark.parametrize("case", ["nothing passed", "supervised already", "too late", "confirmed before"])
def test_what_cannot_be_confirmed_is_refused_and_says_why(course: World, case: str) -> None:
    said = {
        "nothing passed": "only a pass is confirmed",
        "supervised already": "was supervised already",
        "too late": "could be confirmed until 2026-12-22",
        "confirmed before": "has its confirmation",
    }[case]
    if case != "nothing passed":
        _pass(course, **({"code": _code(course)} if case == "supervised already" else {}))
    if case == "too late":
        course.clock.advance(days=31)
    if case == "confirmed before":
        _confirm(course, "b")
    answer = _begin(course, _code(course))
    assert refused(answer, 409, "not_confirmable")
    assert said in answer.json()["detail"]


def test_who_left_the_room_goes_on_only_with_the_code(course: World) -> None:
    _pass(course)
    code = _code(course)
    begun = _begin(course, code).json()
    assert refused(_begin(course), 422, "field_invalid")
    again = _begin(course, code)
    assert (again.status_code, again.json()["session"]) == (201, begun["session"])


def test_naming_only_the_course_never_gives_the_confirming_form(course: World) -> None:
    begun = course.call("POST", "/v1/sessions", {"learner": "lrn_1", "course": "twt-3"})
    assert begun.json()["form"] == "x-fixed.v1"


# --- the review ----------------------------------------------------------------------


LOOK = {"note": "Spoke with the learner and the invigilator.", "evidence": ["protocol of the room"]}


def decided(world: World, *, key: str = "live", **body: Any) -> Any:
    """What comes of the open review of the learner, after somebody has looked."""
    (review,) = world.call("GET", "/v1/learners/lrn_1/appeals", key=key).json()["items"]
    place = f"/v1/appeals/{review['id']}"
    assert world.call("POST", f"{place}/looks", LOOK, key=key).status_code == 201
    asked = {"answer": "We looked at it together.", "evidence": ["minutes, 2026-11-24"]} | body
    return world.call("POST", f"{place}/decide", asked, key=key)


def _reviewed(world: World, **body: Any) -> Any:
    _pass(world)
    _confirm(world, "a")
    return decided(world, **body)


def test_rejected_it_changes_nothing_and_says_that_people_looked(course: World) -> None:
    assert _reviewed(course, outcome="rejected").status_code == 200
    told = _status(course)
    assert told["passed"] is True
    assert told["decision"]["confirmation"]["review"]["state"] == "rejected"


def test_upheld_the_pass_becomes_undetermined_and_the_course_can_be_sat_again(course: World) -> None:
    answer = _reviewed(course, outcome="upheld", status="undetermined")
    assert answer.status_code == 200, answer.text
    told = _status(course)
    assert (told["passed"], told["decision"]["status"]) == (None, "undetermined")
    assert told["decision"]["source"] == "appeal"
    assert told["next"]["action"] in ("wait", "retake")
    assert told["decision"]["confirmation"]["review"]["state"] == "upheld"
    change = course.call("GET", "/v1/changes").json()["items"][-1]["data"]
    assert change["cause"] == "appeal"
    with assess.connect(course.services.settings) as database:
        assert replay_all(database, verify_chain=True).differences == ()


@pytest.mark.parametrize("status", ["not_passed", "passed"])
def test_a_review_fails_nobody(course: World, status: str) -> None:
    answer = _reviewed(course, outcome="upheld", status=status)
    assert refused(answer, 422, "field_invalid")
    assert "a review fails nobody" in answer.json()["detail"]


def test_the_confirmation_itself_cannot_be_appealed(course: World) -> None:
    _pass(course)
    session = _confirm(course, "a")
    answer = course.call("POST", "/v1/learners/lrn_1/appeals", {"reason": "It was loud.", "session": session})
    assert refused(answer, 409, "appeal_refused")
    assert "decides nothing" in answer.json()["detail"]


# --- going live ----------------------------------------------------------------------


def test_activation_keeps_the_error_rates_as_evidence(course: World) -> None:
    rows = course.ask(reading.activations, "default")
    evidence = next(row.evidence for row in rows if row.name == "x-confirming")
    (study,) = evidence["confirmation"]
    assert study["stated"] == {"loss": 1.5, "alpha": 0.05, "beta": 0.1}
    assert [row["loss"] for row in study["by_loss"]] == [0.0, 0.75, 1.5, 2.25, 3.0]
    assert "accuracy" not in evidence
