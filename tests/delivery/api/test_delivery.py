"""The delivery routes: each verb, and each refusal."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from assess.delivery.store import reading
from assess.errors import ActivationRefused
from tests import synthetic
from tests.delivery.world import World, every_interaction, refused

ANSWERS: dict[str, Any] = {
    "single_choice": "b",
    "multiple_response": ["c", "a"],
    "ordering": ["c", "a", "b"],
    "matching": {"a": "x", "b": "y", "c": "x"},
    "numeric": "3,55",
    "short_text": "creative  commons.",
}


@pytest.fixture
def learner(world: World) -> str:
    return world.learner()


# --- begin -------------------------------------------------------------------


def test_a_session_begins_at_the_first_item_of_the_default_form_of_a_course(
    world: World, learner: str
) -> None:
    answer = world.call("POST", "/v1/sessions", {"learner": learner, "course": "twt-3"})
    begun = answer.json()
    assert answer.status_code == 201
    assert begun["form"] == "x-fixed.v1"
    assert begun["current"]["item"]["stem_html"] == "<p>Stem of item 1.</p>"
    assert begun["url"] == f"/s/{begun['session']}?token={begun['token']}"


def test_a_second_begin_goes_on_with_the_open_session_under_a_fresh_token(world: World, learner: str) -> None:
    first = world.begin()
    second = world.begin()
    assert second["session"] == first["session"]
    assert second["token"] != first["token"]
    path = f"/v1/sessions/{first['session']}"
    refused(world.call("GET", path, key=first["token"]), 401, "credentials_invalid")
    assert world.call("GET", path, key=second["token"]).status_code == 200


def test_the_same_begin_under_one_idempotency_key_gives_the_same_reply(world: World, learner: str) -> None:
    body = {"learner": learner, "form": "x-fixed"}
    replies = [world.call("POST", "/v1/sessions", body, Idempotency_Key="k1").json() for _ in range(2)]
    assert replies[0] == replies[1]
    assert (
        world.call("GET", f"/v1/sessions/{replies[0]['session']}", key=replies[1]["token"]).status_code == 200
    )
    other = body | {"form": "x-adaptive"}
    refused(world.call("POST", "/v1/sessions", other, Idempotency_Key="k1"), 409, "idempotency_conflict")


def test_a_repeated_begin_does_not_start_again_after_the_end(world: World, learner: str) -> None:
    body = {"learner": learner, "form": "x-adaptive"}
    first = world.call("POST", "/v1/sessions", body, Idempotency_Key="k1").json()
    world.call("POST", f"/v1/sessions/{first['session']}/submit")
    again = world.call("POST", "/v1/sessions", body, Idempotency_Key="k1").json()
    assert (again["session"], again["token"], again["current"]) == (first["session"], first["token"], None)


@pytest.mark.parametrize(
    ("body", "status", "code", "path"),
    [
        ({"learner": "lrn_1", "form": "x-fixed", "colour": 1}, 422, "field_unknown", "colour"),
        ({"learner": "lrn_1", "form": "x-fixed", "two\nlines": 1}, 422, "field_unknown", "two\nlines"),
        ({"form": "x-fixed"}, 422, "field_invalid", "learner"),
        ({"learner": 7, "form": "x-fixed"}, 422, "field_invalid", "learner"),
        ({"learner": "lrn_1"}, 422, "field_invalid", "course"),
        ({"learner": "lrn_1", "form": "x-fixed", "course": "twt-3"}, 422, "field_invalid", "course"),
        ({"learner": "lrn_\0", "form": "x-fixed"}, 422, "field_invalid", None),
        ({"learner": "nobody", "form": "x-fixed"}, 404, "learner_unknown", None),
        ({"learner": "lrn_1", "form": "x-none"}, 404, "form_unknown", None),
        ({"learner": "lrn_1", "course": "twt-9"}, 404, "course_unknown", None),
        ({"learner": "lrn_1", "course": "twt-1"}, 409, "form_not_active", None),
    ],
)
def test_a_begin_that_cannot_be_is_refused_with_its_place(
    world: World, learner: str, body: dict[str, Any], status: int, code: str, path: str | None
) -> None:
    problem = refused(world.call("POST", "/v1/sessions", body), status, code)
    assert [entry["path"] for entry in problem["errors"]] == ([path] if path else [])


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b'{"learner": ', "application/json", 400, "malformed_json"),
        (b"\xff\xfe", "application/json", 400, "malformed_json"),
        (b'{"learner": "\\ud800", "form": "x-fixed"}', "application/json", 400, "malformed_json"),
        (b"learner=lrn_1", "application/x-www-form-urlencoded", 415, "media_type_unsupported"),
        (b" " * 1_100_000, "application/json", 413, "body_too_large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    world: World, content: bytes, media_type: str, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {world.keys['live']}", "Content-Type": media_type}
    refused(world.client.post("/v1/sessions", content=content, headers=headers), status, code)


def test_a_body_without_a_length_is_counted_as_it_comes(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.keys['live']}", "Content-Type": "application/json"}
    answer = world.client.post("/v1/sessions", content=iter([b" " * 200_000] * 6), headers=headers)
    refused(answer, 413, "body_too_large")


def test_only_a_key_that_may_deliver_begins(world: World, learner: str) -> None:
    body = {"learner": learner, "form": "x-fixed"}
    refused(world.call("POST", "/v1/sessions", body, key=None), 401, "credentials_missing")
    refused(world.call("POST", "/v1/sessions", body, key="ask_live_wrong"), 401, "credentials_invalid")
    refused(world.call("POST", "/v1/sessions", body, key="lrt_wrong"), 401, "credentials_invalid")
    refused(world.call("POST", "/v1/sessions", body, key=world.key("read-status")), 403, "scope_missing")
    token = world.begin()["token"]
    refused(world.call("POST", "/v1/sessions", body, key=token), 403, "scope_missing")


def test_an_idempotency_key_is_visible_text(world: World, learner: str) -> None:
    answer = world.call(
        "POST", "/v1/sessions", {"learner": learner, "form": "x-fixed"}, Idempotency_Key="a b"
    )
    refused(answer, 422, "field_invalid")


# --- retakes -----------------------------------------------------------------


def test_a_passed_course_is_not_taken_again(world: World, learner: str) -> None:
    world.sit(answer="b")
    refused(
        world.call("POST", "/v1/sessions", {"learner": learner, "form": "x-fixed"}), 409, "tries_exhausted"
    )


def test_a_retake_waits_and_the_refusal_says_until_when(world: World, learner: str) -> None:
    body = {"learner": learner, "form": "x-fixed"}
    waits = []
    for _ in range(4):
        world.sit(answer="a")
        problem = refused(world.call("POST", "/v1/sessions", body), 409, "retake_too_early")
        waits.append(problem["not_before"])
        world.clock.advance(days=14 if len(waits) > 1 else 1)
    assert waits == [
        "2026-11-23T12:00:00Z",
        "2026-12-07T12:00:00Z",
        "2026-12-21T12:00:00Z",
        "2027-01-04T12:00:00Z",
    ]
    world.sit(answer="a")
    problem = refused(world.call("POST", "/v1/sessions", body), 409, "tries_exhausted")
    assert problem["not_before"] == "2027-11-22T12:00:00Z"
    world.clock.advance(days=400)
    assert world.begin()["current"] is not None


def test_practice_is_repeated_at_will_and_speaks_for_nothing(world: World, learner: str) -> None:
    for _ in range(3):
        world.sit(form="x-adaptive")
    status = world.call("GET", f"/v1/learners/{learner}/courses/twt-3/status").json()
    assert (status["state"], status["next"]["tries_used"]) == ("not_started", 0)


def test_an_adaptive_retake_leaves_out_what_was_met_last(world: World, learner: str) -> None:
    world.activate(synthetic.document(kind="adaptive", n_items=24))
    first, second = world.sit(form="x-adaptive"), world.sit(form="x-adaptive")
    met = [set(world.ask(reading.offered_items, "default", session)) for session in (first, second)]
    assert not met[0] & met[1]


def test_a_multistage_retake_takes_the_panel_that_was_not_met(world: World, learner: str) -> None:
    world.activate(synthetic.two_panels())
    # Nothing right is not passed, so that a second try may follow; the clock says when.
    first = world.sit(form="x-multistage", answer="a")
    world.clock.advance(days=20)
    second = world.sit(form="x-multistage", answer="a")
    panels = [started(world, session)["panel"] for session in (first, second)]
    assert sorted(panels) == ["a", "b"]
    met = [set(world.ask(reading.offered_items, "default", session)) for session in (first, second)]
    assert not met[0] & met[1]
    assert len(met[0]) == 6


def started(world: World, session: str) -> dict[str, Any]:
    """The start record of a session."""
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    return dict(records.session.start_record)


AGAIN = {"first_wait_hours": 0, "wait_days": 0, "max_tries": 9, "period_days": 365}


def test_of_earlier_sessions_no_more_units_come_again_than_the_form_allows(
    world: World, learner: str
) -> None:
    rules = {"min_units": 5, "max_units": 8, "overlap": {"sessions": 2, "maximum": 2}}
    world.activate(synthetic.document(kind="adaptive", n_items=24, form={"adaptive": rules}))
    sessions = [world.sit(form="x-adaptive") for _ in range(3)]
    met = [set(world.ask(reading.offered_items, "default", session)) for session in sessions]
    assert len(met[2] & (met[0] | met[1])) <= 2
    assert len(started(world, sessions[2])["excluded"]) == len(met[0] | met[1]) - 2


def test_an_earlier_score_chooses_items_where_the_form_says_how_and_only_on_its_scale(
    world: World, learner: str
) -> None:
    world.activate(
        synthetic.document(calibrated=True, form={"id": "x-first", "review": "none", "retake": AGAIN})
    )
    for scale, used in (("twt-3/1", True), ("twt-3/0", False)):
        earlier = {"course": "twt-3", "scale": scale, "slope": 0.5, "intercept": 0.1, "sd": 0.8}
        rules = {"min_units": 5, "max_units": 8, "start": {"earlier": [earlier]}}
        form = {"id": f"x-next-{int(used)}", "adaptive": rules, "retake": AGAIN}
        world.activate(synthetic.document(kind="adaptive", n_items=15, form=form))
    world.sit(form="x-first", answer="a")
    assert "choosing" not in started(world, world.sit(form="x-next-0", answer="a"))
    known = world.ask(reading.learner_records, "default", learner)
    assert known is not None
    counted = next(row for row in known.decisions if not row.practice)
    theta = float(json.loads(counted.record)["decision"]["theta"])
    with_prior = started(world, world.begin(form="x-next-1")["session"])
    assert with_prior["choosing"] == pytest.approx([0.1 + 0.5 * theta, 0.8])
    assert (with_prior["prior_mean"], with_prior["prior_sd"]) == (0.0, 1.0)


def test_a_form_that_cannot_be_kept_never_becomes_live(world: World) -> None:
    rules = {"min_units": 5, "max_units": 8, "time": {"maximum_seconds": 200, "seconds_per_item": 60}}
    document = synthetic.document(kind="adaptive", n_items=15, form={"id": "x-hasty", "adaptive": rules})
    with pytest.raises(ActivationRefused, match="time in seconds: at most 200, with the others 300 or more"):
        world.activate(document)


# --- answering ---------------------------------------------------------------


def test_every_interaction_is_shown_and_answered(world: World, learner: str) -> None:
    world.activate(every_interaction())
    begun = world.begin(form="x-every")
    current, shown = begun["current"], []
    while current is not None:
        item = current["item"]
        shown.append(item)
        stored = world.respond(begun["session"], current, ANSWERS[item["type"]])
        assert stored.status_code == 200, stored.text
        current = stored.json()["current"]
    assert [item["type"] for item in shown] == list(ANSWERS)
    assert "<math>" in shown[0]["stem_html"]
    assert 'src="/static/cat.png"' in shown[0]["stem_html"]
    assert "script" not in shown[0]["stem_html"]
    assert shown[3]["targets"] == [{"id": "x", "html": "The target X"}, {"id": "y", "html": "The target Y"}]
    assert shown[4]["options"] is None
    world.call("POST", f"/v1/sessions/{begun['session']}/submit")
    result = world.call("GET", f"/v1/sessions/{begun['session']}/result").json()
    assert (result["score"]["value"], result["score"]["max"]) == (8, 8)


def test_items_of_a_case_set_share_their_stimulus(world: World, learner: str) -> None:
    begun = world.begin()
    current, stimuli = begun["current"], []
    while current is not None:
        stimuli.append(current["item"]["stimulus_html"])
        current = world.respond(begun["session"], current, "b").json()["current"]
    assert stimuli == [None] * 9 + ["<p>Story.</p>"] * 3


def test_the_same_answer_again_gives_the_same_receipt(world: World, learner: str) -> None:
    begun = world.begin()
    first = world.respond(begun["session"], begun["current"], "a").json()
    world.clock.advance(seconds=30)
    second = world.respond(begun["session"], begun["current"], "a").json()
    assert second["receipt"] == first["receipt"]
    assert second["current"]["position"] == 2


def test_a_receipt_verifies_until_something_in_it_changes(world: World, learner: str) -> None:
    begun = world.begin()
    receipt = world.respond(begun["session"], begun["current"], "a").json()["receipt"]

    def valid(**changes: Any) -> bool:
        answer = world.call("POST", "/v1/receipts/verify", {"receipt": receipt | changes}, key=None)
        assert answer.status_code == 200, answer.text
        found: bool = answer.json()["valid"]
        return found

    assert valid()
    changes: list[dict[str, Any]] = [
        {"position": 2},
        {"revision": 2},
        {"answer_sha256": "0" * 64},
        {"stored_at": "2026-11-22T12:00:01Z"},
        {"session": "ses_other"},
        {"key_id": "rk_other"},
        {"signature": "AAAA"},
        {"signature": "not base64!"},
    ]
    assert not any(valid(**change) for change in changes)


def test_a_response_under_an_idempotency_key_is_stored_once(world: World, learner: str) -> None:
    begun = world.begin()
    session, current = begun["session"], begun["current"]
    replies = [world.respond(session, current, "a", Idempotency_Key="r1").json() for _ in range(2)]
    assert replies[0] == replies[1]
    refused(world.respond(session, current, "c", Idempotency_Key="r1"), 409, "idempotency_conflict")


def test_an_omitted_item_is_stored_as_blank(world: World, learner: str) -> None:
    begun = world.begin()
    stored = world.respond(begun["session"], begun["current"], None)
    assert stored.status_code == 200
    records = world.ask(reading.session_records, "default", begun["session"])
    assert records is not None
    assert (records.responses[0].answer, records.responses[0].category) == (None, 0)


def test_an_answer_is_changed_by_a_new_revision_where_review_is_allowed(world: World, learner: str) -> None:
    begun = world.begin()
    session = begun["session"]
    world.respond(session, begun["current"], "a")
    looked = world.call("GET", f"/v1/sessions/{session}/items/1").json()
    assert (looked["revision"], looked["answer"]) == (2, "a")
    assert world.respond(session, looked, "b").status_code == 200
    refused(world.respond(session, looked, "c"), 409, "answer_conflict")
    refused(world.respond(session, looked | {"revision": 4}, "c"), 409, "answer_conflict")
    assert world.call("GET", f"/v1/sessions/{session}/items/1").json()["answer"] == "b"


def test_a_form_without_review_neither_looks_back_nor_takes_a_revision(world: World, learner: str) -> None:
    begun = world.begin(form="x-adaptive")
    session = begun["session"]
    world.respond(session, begun["current"], "a")
    refused(world.call("GET", f"/v1/sessions/{session}/items/1"), 409, "position_conflict")
    refused(world.call("GET", f"/v1/sessions/{session}/items/9"), 409, "position_conflict")
    assert world.call("GET", f"/v1/sessions/{session}/items/2").status_code == 200
    refused(world.respond(session, begun["current"] | {"revision": 2}, "b"), 409, "answer_conflict")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"position": 2}, 409, "position_conflict"),
        ({"position": 0}, 409, "position_conflict"),
        ({"item": "x-002"}, 422, "item_not_offered"),
        ({"item": "unknown"}, 422, "item_not_offered"),
        ({"answer": "z"}, 422, "answer_malformed"),
        ({"answer": ["a"]}, 422, "answer_malformed"),
        ({"answer": {"a": "b"}}, 422, "answer_malformed"),
        ({"answer": 1}, 422, "field_invalid"),
        ({"revision": 2}, 409, "answer_conflict"),
        ({"revision": True}, 422, "field_invalid"),
        ({"position": 1.5}, 422, "field_invalid"),
        ({"extra": 1}, 422, "field_unknown"),
    ],
)
def test_a_response_that_does_not_fit_is_refused_and_nothing_is_stored(
    world: World, learner: str, changes: dict[str, Any], status: int, code: str
) -> None:
    begun = world.begin()
    body = {"position": 1, "item": "x-001", "revision": 1, "answer": "a"} | changes
    refused(world.call("POST", f"/v1/sessions/{begun['session']}/responses", body), status, code)
    records = world.ask(reading.session_records, "default", begun["session"])
    assert records is not None
    assert (records.responses, records.session.version) == ((), 1)


def test_another_learners_token_opens_no_session(world: World, learner: str) -> None:
    world.learner("lrn_2")
    mine, other = world.begin(), world.begin("lrn_2")
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/responses", {"position": 1, "item": "x-001", "revision": 1, "answer": "a"}),
        ("POST", "/submit", None),
        ("GET", "/result", None),
        ("GET", "/items/1", None),
    ):
        path = f"/v1/sessions/{mine['session']}{path}"
        refused(world.call(method, path, body, key=other["token"]), 404, "session_unknown")
        refused(world.call(method, path, body, key=None), 401, "credentials_missing")
        refused(world.call(method, path, body, key=world.key("attest")), 403, "scope_missing")
        refused(world.call(method, path, body, key="test"), 404, "session_unknown")
    refused(world.call("GET", "/v1/sessions/ses_none"), 404, "session_unknown")


def test_a_learner_token_reaches_nothing_but_its_session(world: World, learner: str) -> None:
    token = world.begin()["token"]
    for path in (
        f"/v1/learners/{learner}/courses/twt-3/status",
        f"/v1/learners/{learner}/badges/ONE",
        "/v1/changes",
        "/v1/decisions/dec_1",
        "/v1/badges/ONE/subjects",
        "/v1/learners?issuer=a&subject=b",
    ):
        refused(world.call("GET", path, key=token), 403, "scope_missing")


def test_the_session_cookie_is_as_good_as_the_token(world: World, learner: str) -> None:
    begun = world.begin()
    headers = {"Cookie": f"assess_session={begun['token']}"}
    assert world.client.get(f"/v1/sessions/{begun['session']}", headers=headers).status_code == 200


# --- time --------------------------------------------------------------------


def test_seconds_left_follow_the_servers_clock(world: World, learner: str) -> None:
    begun = world.begin()
    assert begun["current"]["seconds_left"] == 1800
    world.clock.advance(seconds=100)
    assert world.call("GET", f"/v1/sessions/{begun['session']}").json()["seconds_left"] == 1700


def test_an_answer_within_the_grace_counts_and_one_after_it_ends_the_session(
    world: World, learner: str
) -> None:
    begun = world.begin()
    session = begun["session"]
    world.clock.advance(seconds=1810)
    stored = world.respond(session, begun["current"], "b").json()
    world.clock.advance(seconds=10)
    refused(world.respond(session, stored["current"], "b"), 410, "session_expired")
    view = world.call("GET", f"/v1/sessions/{session}").json()
    assert (view["state"], view["current"], view["seconds_left"]) == ("finished", None, None)
    result = world.call("GET", f"/v1/sessions/{session}/result").json()
    assert (result["decision"]["status"], result["score"]["value"]) == ("not_passed", 1)


def test_any_touch_ends_a_session_whose_time_ran_out(world: World, learner: str) -> None:
    begun = world.begin()
    world.clock.advance(hours=1)
    status = world.call("GET", f"/v1/sessions/{begun['session']}/result")
    assert status.status_code == 200
    records = world.ask(reading.session_records, "default", begun["session"])
    assert records is not None
    assert records.session.ended_by == "timed_out"
    assert records.session.ended_at == records.session.closes_at


def test_a_stored_answer_that_is_sent_again_after_the_time_is_still_acknowledged(
    world: World, learner: str
) -> None:
    begun = world.begin()
    first = world.respond(begun["session"], begun["current"], "b").json()
    world.clock.advance(hours=1)
    again = world.respond(begun["session"], begun["current"], "b").json()
    assert again["receipt"] == first["receipt"]
    assert again["finished"] is True


# --- the end -----------------------------------------------------------------


def test_a_fixed_form_with_review_waits_for_the_learner_to_submit(world: World, learner: str) -> None:
    begun = world.begin()
    session, current, last = begun["session"], begun["current"], {}
    while current is not None:
        last = world.respond(session, current, "b").json()
        current = last["current"]
    assert last["finished"] is False
    refused(world.call("GET", f"/v1/sessions/{session}/result"), 404, "not_finished")
    for _ in range(2):
        assert world.call("POST", f"/v1/sessions/{session}/submit").json() == {"finished": True}
    refused(
        world.respond(session, {"position": 1, "item": {"id": "x-001"}, "revision": 2}, "c"),
        409,
        "session_finished",
    )
    refused(world.call("GET", f"/v1/sessions/{session}/items/1"), 409, "session_finished")
    assert world.call("GET", f"/v1/sessions/{session}/result").status_code == 200


def test_an_adaptive_form_ends_by_itself(world: World, learner: str) -> None:
    begun = world.begin(form="x-adaptive")
    session, current, last = begun["session"], begun["current"], {}
    while current is not None:
        assert current["n_items"] is None
        last = world.respond(session, current, "b").json()
        current = last["current"]
    assert last["finished"] is True
    result = world.call("GET", f"/v1/sessions/{session}/result").json()
    assert result["decision"]["practice"] is True


@pytest.mark.parametrize("answered", range(11))
def test_right_answers_and_then_quitting_is_never_a_pass(world: World, learner: str, answered: int) -> None:
    session = world.sit(answer="b", stop_after=answered)
    result = world.call("GET", f"/v1/sessions/{session}/result").json()
    assert result["decision"]["status"] == "incomplete"
    assert world.call("GET", f"/v1/learners/{learner}/badges/ONE").json()["status"] == "not_eligible"


def test_rationales_come_after_the_end_and_by_policy_alone(world: World, learner: str) -> None:
    world.activate(synthetic.document(form={"id": "x-open", "feedback": "rationales"}))
    begun = world.begin(form="x-open")
    session = begun["session"]
    world.respond(session, begun["current"], "a")
    assert "RATIONALE" not in world.call("GET", f"/v1/sessions/{session}/items/1").text
    world.call("POST", f"/v1/sessions/{session}/submit")
    first = world.call("GET", f"/v1/sessions/{session}/result").json()["rationales"][0]
    assert (first["answer"], first["right"]) == ("a", False)
    assert first["rationales"][0] == {"id": "a", "html": "SECRET-RATIONALE a"}


# --- at once -----------------------------------------------------------------


def test_the_same_answer_ten_times_at_once_is_one_row_and_one_receipt(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    begun = world.begin()
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: world.respond(begun["session"], begun["current"], "b"), range(10)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.json()["receipt"]["signature"] for reply in replies}) == 1
    records = world.ask(reading.session_records, "default", begun["session"])
    assert records is not None
    assert (len(records.responses), len(records.offers)) == (1, 2)


def test_ten_submits_at_once_make_one_decision_and_tell_it_once(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    session = world.begin()["session"]
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: world.call("POST", f"/v1/sessions/{session}/submit"), range(10)))
    assert {reply.status_code for reply in replies} == {200}
    feed = world.call("GET", "/v1/changes").json()["items"]
    assert [change["type"] for change in feed] == ["decision.made"]
    assert len(world.ask(reading.decisions, "default")) == 1


def test_ten_begins_at_once_open_one_session(both_worlds: World) -> None:
    world = both_worlds
    world.learner()
    body = {"learner": "lrn_1", "form": "x-fixed"}
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: world.call("POST", "/v1/sessions", body), range(10)))
    assert {reply.status_code for reply in replies} <= {201, 409}
    records = world.ask(reading.learner_records, "default", "lrn_1")
    assert records is not None
    assert len(records.sessions) == 1


def test_a_retake_by_course_takes_the_form_whose_items_were_not_met(world: World, learner: str) -> None:
    """The default form, then the other one of the same kind, then the default again."""
    other = synthetic.document(n_items=24, form={"id": "x-other"})
    kept = other["form"]["units"][12:]
    other["form"] |= {"units": kept}
    other["items"] = {name: item for name, item in other["items"].items() if name in kept}
    world.activate(other)
    forms = []
    for days in (1, 14, 14):
        begun = world.call("POST", "/v1/sessions", {"learner": learner, "course": "twt-3"}).json()
        forms.append(begun["form"])
        again = world.call("POST", "/v1/sessions", {"learner": learner, "course": "twt-3"}).json()
        assert again["session"] == begun["session"], "the open session is gone on with"
        current = begun["current"]
        while current is not None:
            current = world.respond(begun["session"], current, "a").json()["current"]
        world.call("POST", f"/v1/sessions/{begun['session']}/submit")
        world.clock.advance(days=days)
    assert forms == ["x-fixed.v1", "x-other.v1", "x-fixed.v1"]


def test_a_policy_that_asks_more_of_later_tries_is_said_before_and_kept_after(
    world: World, learner: str
) -> None:
    rising = {"retake": {"p_pass_by_try": [0.75, 0.8], "first_wait_hours": 0}}
    world.activate(synthetic.document(calibrated=True, form={"id": "x-fixed", "version": 2, **rising}))
    status = f"/v1/learners/{learner}/courses/twt-3/status"
    asked = []
    for _ in range(2):
        found = world.call("GET", status).json()["next"]
        asked.append((found["next_try"], found["p_pass"]))
        world.clock.advance(hours=1)
        world.sit(answer="a")
    assert asked == [(1, 0.75), (2, 0.8)]
    decision = world.call("GET", status).json()["decision"]
    record = world.call("GET", decision["url"]).json()["record"]
    assert (decision["try"], record["try"]) == (2, 2)
    assert record["decision"]["terms"]["p_pass"] == "0.8"
