"""Who was too close to say goes on with unseen items, under the same session, at no try; nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import assess
from assess.delivery.replay import replay_all
from assess.delivery.service import invigilation
from assess.delivery.settings import Settings
from assess.delivery.store import reading
from tests import synthetic
from tests.delivery.conftest import Saved, copy_of, saved_after
from tests.delivery.world import Clock, World, programme, refused

FORM = {
    "adaptive": {"min_units": 5, "max_units": 6, "randomesque": 1},
    "extension": {"min_units": 6, "max_units": 8, "most": 2, "within_days": 7},
    "time_limit_minutes": 30,
    "retake": {"max_tries": 2},
}


def _live(world: World) -> None:
    world.activate(synthetic.document(kind="adaptive", calibrated=True, n_items=30, form=FORM))
    made = programme()
    made["courses"]["twt-3"]["default_form"] = "x-adaptive"
    world.activate(made)
    world.learner()


@pytest.fixture(scope="module")
def live(seeded: Saved, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The course is live: its activation studies how often the badges err."""
    return saved_after(seeded, tmp_path_factory.mktemp("extending"), _live)


@pytest.fixture
def course(settings: Settings, clock: Clock, live: Saved) -> Iterator[World]:
    yield from copy_of(live, settings, clock)


def _answers(world: World, session: str, current: Any, pattern: str) -> int:
    """Answer until the end, again and again by the pattern; how many items there were."""
    n = 0
    while current is not None:
        world.clock.advance(seconds=20)
        stored = world.respond(session, current, pattern[n % len(pattern)])
        assert stored.status_code == 200, stored.text
        current, n = stored.json()["current"], n + 1
    return n


def _undetermined(world: World) -> str:
    begun = world.begin(form="x-adaptive")
    assert _answers(world, begun["session"], begun["current"], "ba") == 6
    assert _result(world, begun["session"])["decision"]["status"] == "undetermined"
    world.clock.advance(hours=1)
    return str(begun["session"])


def _result(world: World, session: str) -> Any:
    answer = world.call("GET", f"/v1/sessions/{session}/result")
    assert answer.status_code == 200, answer.text
    return answer.json()


def _extend(world: World, session: str, **body: str) -> Any:
    return world.call("POST", f"/v1/sessions/{session}/extend", body)


def _status(world: World) -> Any:
    return world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()


def test_an_undetermined_session_says_that_it_can_go_on_and_by_when(course: World) -> None:
    session = _undetermined(course)
    told = _result(course, session)["next"]
    assert (told["action"], told["session"], told["tries_used"]) == ("extend", session, 1)
    assert told["until"] == "2026-11-29T12:02:00Z"
    assert _status(course)["next"] == told


def test_it_goes_on_with_unseen_items_and_a_clock_of_its_own(course: World) -> None:
    session = _undetermined(course)
    view = _extend(course, session)
    assert view.status_code == 200, view.text
    shown = view.json()
    assert shown["state"] == "in_progress"
    # 30 minutes for 6 units: 40 for 8.
    assert shown["seconds_left"] == 40 * 60
    assert shown["current"]["position"] == 7
    assert _status(course)["next"]["action"] == "resume"
    assert _status(course)["decision"]["status"] == "undetermined"
    assert 6 <= _answers(course, session, shown["current"], "ba") <= 8
    records = course.ask(reading.session_records, "default", session)
    assert records is not None
    items = [offer.item for offer in records.offers]
    assert len(set(items)) == len(items) >= 12


def test_a_second_time_changes_nothing(course: World) -> None:
    session = _undetermined(course)
    first, again = _extend(course, session).json(), _extend(course, session).json()
    assert first["current"] == again["current"]
    assert first["expires_at"] == again["expires_at"]
    records = course.ask(reading.session_records, "default", session)
    assert records is not None
    assert [event.type for event in records.events].count("extended") == 1


def test_the_new_decision_supersedes_the_old_one_and_both_replay(course: World) -> None:
    session = _undetermined(course)
    before = _result(course, session)["decision"]["id"]
    _answers(course, session, _extend(course, session).json()["current"], "b")
    found = _result(course, session)
    assert found["decision"]["status"] == "passed"
    assert found["next"]["action"] == "none"
    assert _status(course)["decision"]["supersedes"] == before
    assert _status(course)["decision"]["change_reason"].startswith("the session went on")
    assert _status(course)["next"]["tries_used"] == 1
    record = course.call("GET", f"/v1/decisions/{found['decision']['id']}").json()["record"]
    assert [(e["number"], e["after_position"]) for e in record["extensions"]] == [(1, 6)]
    earlier = course.call("GET", f"/v1/decisions/{before}").json()["record"]
    assert "extensions" not in earlier
    with assess.connect(course.services.settings) as database:
        replayed = replay_all(database, verify_chain=True)
    assert (replayed.n_same, replayed.differences) == (2, ())


def test_two_extensions_and_no_more(course: World) -> None:
    session = _undetermined(course)
    for _ in range(2):
        _answers(course, session, _extend(course, session).json()["current"], "ba")
        assert _result(course, session)["decision"]["status"] == "undetermined"
        course.clock.advance(hours=1)
    assert _result(course, session)["next"]["action"] == "wait"
    told = refused(_extend(course, session), 409, "session_finished")
    assert "cannot go on" in told["detail"]
    with assess.connect(course.services.settings) as database:
        assert replay_all(database).differences == ()


def test_the_days_are_counted_by_the_servers_clock(course: World) -> None:
    session = _undetermined(course)
    course.clock.advance(days=7)
    assert _status(course)["next"]["action"] == "retake"
    refused(_extend(course, session), 409, "session_finished")


def test_after_a_retake_the_earlier_session_stays_ended(course: World) -> None:
    session = _undetermined(course)
    course.clock.advance(days=2)
    course.begin(form="x-adaptive")
    refused(_extend(course, session), 409, "session_finished")


def test_whose_last_try_is_used_can_still_go_on(course: World) -> None:
    _undetermined(course)
    course.clock.advance(days=2)
    session = _undetermined(course)
    told = _status(course)["next"]
    assert (told["action"], told["tries_left"]) == ("extend", 0)
    assert _extend(course, session).status_code == 200


@pytest.mark.parametrize("how", ["decided", "submitted", "timed_out", "open"])
def test_what_was_decided_handed_in_or_timed_out_cannot_go_on(course: World, how: str) -> None:
    begun = course.begin(form="x-adaptive")
    session = begun["session"]
    if how == "decided":
        _answers(course, session, begun["current"], "b")
    elif how == "submitted":
        course.call("POST", f"/v1/sessions/{session}/submit")
    elif how == "timed_out":
        course.clock.advance(hours=1)
    status, code = (404, "not_finished") if how == "open" else (409, "session_finished")
    refused(_extend(course, session), status, code)


def test_an_extension_that_runs_out_of_time_is_decided_with_a_blank(course: World) -> None:
    session = _undetermined(course)
    shown = _extend(course, session).json()
    course.respond(session, shown["current"], "b")
    course.clock.advance(minutes=41)
    found = _result(course, session)
    assert found["decision"]["status"] in ("undetermined", "not_passed")
    assert found["next"]["action"] != "extend"
    with assess.connect(course.services.settings) as database:
        assert replay_all(database).differences == ()


def test_somebody_elses_session_and_a_fixed_form_are_refused(course: World) -> None:
    session = _undetermined(course)
    token = course.learner("lrn_2")
    assert token
    other = course.begin("lrn_2")["token"]
    refused(course.call("POST", f"/v1/sessions/{session}/extend", {}, key=other), 404, "session_unknown")
    fixed = course.sit("lrn_2", form="x-fixed")
    refused(_extend(course, fixed), 409, "session_finished")


def test_who_was_supervised_is_supervised_again(course: World) -> None:
    body = {"learner": "lrn_1", "form": "x-adaptive", "code": _code(course)}
    begun = course.call("POST", "/v1/sessions", body).json()
    _answers(course, begun["session"], begun["current"], "ba")
    course.clock.advance(minutes=5)
    refused(_extend(course, begun["session"]), 403, "role_not_allowed")
    assert _extend(course, begun["session"], code=_code(course)).status_code == 200


def test_guessing_the_invigilators_code_is_slowed_down_as_the_document_says(course: World) -> None:
    session = _undetermined(course)
    statuses = {_extend(course, session, code="AAAAA-AAAAA").status_code for _ in range(30)}
    assert statuses == {422, 429}


def _code(world: World) -> str:
    now = world.clock()
    made = world.run(
        invigilation.create,
        world.admin,
        course="twt-3",
        cohort=None,
        from_at=now - timedelta(minutes=1),
        to_at=now + timedelta(hours=1),
    )
    return str(made.code)


def test_an_extension_that_is_offered_is_no_way_around_waiting_and_tries(course: World) -> None:
    body = {"learner": "lrn_1", "form": "x-adaptive"}
    _undetermined(course)
    refused(course.call("POST", "/v1/sessions", body), 409, "retake_too_early")
    course.clock.advance(days=2)
    _undetermined(course)
    course.clock.advance(days=2)
    refused(course.call("POST", "/v1/sessions", body), 409, "tries_exhausted")
