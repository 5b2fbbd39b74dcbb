"""Learners, pass status, eligibility, decisions, facts and the sandbox over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from assess.delivery.service import activations
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import Session, Update
from assess.standards.records import GENESIS, canonical_json
from tests import synthetic
from tests.delivery.world import NOON, World, programme, refused

ATTENDED = {
    "id": "f1",
    "source": "academy",
    "t": "attended",
    "subject": "lrn_1",
    "at": "2026-11-20",
    "event": "e1",
}
PASSED_ELSEWHERE = {
    "id": "d1",
    "source": "academy",
    "t": "decision",
    "subject": "lrn_1",
    "at": "2026-11-20",
    "course": "twt-1",
    "outcome": "pass",
}


@pytest.fixture
def learner(world: World) -> str:
    return world.learner()


def status(world: World, query: str = "", *, course: str = "twt-3", key: str = "live") -> dict[str, Any]:
    answer = world.call("GET", f"/v1/learners/lrn_1/courses/{course}/status{query}", key=key)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def badge(world: World, id: str, query: str = "", *, key: str = "live") -> dict[str, Any]:
    answer = world.call("GET", f"/v1/learners/lrn_1/badges/{id}{query}", key=key)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


# --- learners ----------------------------------------------------------------


def test_a_learner_is_made_once_and_said_anew_later(world: World) -> None:
    body = {"external_ids": [{"issuer": "moodle", "subject": "17"}], "locale": "fr"}
    assert world.call("PUT", "/v1/learners/lrn_9", body).status_code == 201
    body = {"external_ids": [{"issuer": "moodle", "subject": "18"}], "locale": "ar"}
    answer = world.call("PUT", "/v1/learners/lrn_9", body)
    assert (answer.status_code, answer.json()["locale"]) == (200, "ar")
    found = world.call("GET", "/v1/learners?issuer=moodle&subject=18").json()
    assert ([learner["id"] for learner in found["items"]], found["next"]) == (["lrn_9"], None)
    assert world.call("GET", "/v1/learners?issuer=moodle&subject=17").json()["items"] == []


def test_what_is_left_out_about_a_learner_stays_and_what_is_said_takes_its_place(both_worlds: World) -> None:
    world = both_worlds
    row = {"row": 2, "learner": "lrn_9", "issuer": "moodle", "subject": "17", "locale": "fr"}
    assert world.call("POST", "/v1/roster", {"rows": [row]}).json()["written"] is True

    def put(**body: Any) -> tuple[list[str], str | None]:
        answer = world.call("PUT", "/v1/learners/lrn_9", body)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        return [one["subject"] for one in found["external_ids"]], found["locale"]

    assert put() == (["17"], "fr")
    assert put(private=False) == (["17"], "fr")
    assert put(locale="ar") == (["17"], "ar")
    assert put(external_ids=[{"issuer": "moodle", "subject": "18"}]) == (["18"], "ar")
    assert put(external_ids=[]) == ([], "ar")
    assert put(locale=None) == ([], None)


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (
            {"external_ids": [{"issuer": "m", "subject": "1", "name": "A"}]},
            "field_unknown",
            "external_ids[0].name",
        ),
        ({"external_ids": [{"issuer": "m"}]}, "field_invalid", "external_ids[0].subject"),
        ({"external_ids": [{"issuer": "m", "subject": "1"}] * 2}, "field_invalid", "external_ids[0]"),
        ({"external_ids": [{"issuer": "m", "subject": "taken"}]}, "field_invalid", "external_ids[0]"),
        ({"external_ids": {}}, "field_invalid", "external_ids"),
        ({"external_ids": None}, "field_invalid", "external_ids"),
        ({"email": "x"}, "field_unknown", "email"),
    ],
)
def test_a_learner_that_cannot_be_is_refused(world: World, body: Any, code: str, path: str) -> None:
    world.call("PUT", "/v1/learners/lrn_8", {"external_ids": [{"issuer": "m", "subject": "taken"}]})
    problem = refused(world.call("PUT", "/v1/learners/lrn_9", body), 422, code)
    assert problem["errors"][0]["path"].startswith(path.removesuffix("[0]"))
    assert world.ask(reading.learner, "default", "lrn_9") is None


def test_a_learner_id_is_a_plain_word(world: World) -> None:
    refused(world.call("PUT", "/v1/learners/a%20b", {}), 422, "field_invalid")
    refused(world.call("PUT", "/v1/learners/a%00b", {}), 404, "route_unknown")


def test_finding_a_learner_needs_both_names(world: World) -> None:
    refused(world.call("GET", "/v1/learners?issuer=moodle"), 422, "field_invalid")
    refused(world.call("GET", "/v1/learners?issuer=a&subject=b&x=1"), 422, "field_unknown")


def test_keys_without_the_scope_neither_make_nor_find_learners(world: World) -> None:
    refused(world.call("PUT", "/v1/learners/lrn_9", {}, key=world.key("read-status")), 403, "scope_missing")
    refused(
        world.call("GET", "/v1/learners?issuer=a&subject=b", key=world.key("attest")), 403, "scope_missing"
    )
    refused(world.call("PUT", "/v1/learners/lrn_9", {}, key=None), 401, "credentials_missing")


def test_live_and_sandbox_learners_do_not_see_each_other(world: World, learner: str) -> None:
    world.call("PUT", "/v1/learners/lrn_t", {"external_ids": [{"issuer": "m", "subject": "t"}]}, key="test")
    refused(world.call("PUT", "/v1/learners/lrn_t", {}), 403, "sandbox_only")
    refused(world.call("PUT", f"/v1/learners/{learner}", {}, key="test"), 403, "sandbox_only")
    assert world.call("GET", "/v1/learners?issuer=m&subject=t").json()["items"] == []
    assert len(world.call("GET", "/v1/learners?issuer=m&subject=t", key="test").json()["items"]) == 1
    path = "/courses/twt-3/status"
    refused(world.call("GET", f"/v1/learners/lrn_t{path}"), 404, "learner_unknown")
    refused(world.call("GET", f"/v1/learners/{learner}{path}", key="test"), 404, "learner_unknown")


# --- status ------------------------------------------------------------------


def test_a_known_learner_without_a_session_has_not_started(world: World, learner: str) -> None:
    body = status(world)
    assert (body["state"], body["passed"], body["decision"], body["sequence"]) == (
        "not_started",
        None,
        None,
        0,
    )
    assert body["next"] == {"action": "start", "not_before": None, "tries_used": 0, "tries_left": 5}


def test_an_open_session_is_in_progress_and_can_be_resumed(world: World, learner: str) -> None:
    world.begin()
    body = status(world)
    assert (body["state"], body["next"]["action"]) == ("in_progress", "resume")


@pytest.mark.parametrize(
    ("answer", "stop_after", "state", "passed", "action"),
    [
        ("b", None, "decided", True, "none"),
        ("a", None, "decided", False, "wait"),
        ("b", 3, "incomplete", None, "wait"),
    ],
)
def test_a_finished_session_decides_the_course(
    world: World,
    learner: str,
    answer: str,
    stop_after: int | None,
    state: str,
    passed: bool | None,
    action: str,
) -> None:
    world.sit(answer=answer, stop_after=stop_after)
    body = status(world)
    assert (body["state"], body["passed"], body["next"]["action"]) == (state, passed, action)


def test_a_provisional_decision_is_pending_where_the_programme_does_not_accept_it(
    world: World, learner: str
) -> None:
    world.activate(programme(accept_provisional=False))
    world.sit(answer="b")
    body = status(world)
    assert (body["state"], body["passed"]) == ("pending", None)
    assert body["pending"] == {
        "reason": "awaiting_calibration",
        "since": "2026-11-22T12:00:00Z",
        "sentence": "The result waits until enough answers were gathered to measure by.",
    }
    assert body["decision"]["status"] == "passed"
    assert badge(world, "ONE")["status"] == "undetermined"


def test_a_tenant_may_accept_provisional_decisions_for_itself(world: World, learner: str) -> None:
    world.activate(programme(accept_provisional=False))
    world.run(activations.set_tenant, world.admin, accept_provisional=True)
    world.sit(answer="b")
    assert status(world)["passed"] is True
    assert badge(world, "ONE")["status"] == "eligible"


def test_a_calibrated_form_with_an_adopted_cut_gives_a_probability(world: World, learner: str) -> None:
    cut = {"status": "adopted", "panel": "panel-1"}
    world.activate(synthetic.document(calibrated=True, n_items=20, form={"id": "x-cal"}, cut=cut))
    world.sit(form="x-cal")
    decision = status(world)["decision"]
    assert (decision["provisional"], decision["probability_basis"]) == (False, "posterior")
    assert decision["p_at_or_above_cut"] > 0.75
    assert (decision["score"]["scale"], decision["cut"]["value"]) == ("twt-3/1", 500)


def test_a_failed_retake_never_takes_a_pass_away(world: World, learner: str) -> None:
    world.activate(synthetic.document(kind="adaptive", calibrated=True, n_items=15, form={"id": "x-cat"}))
    passed = world.begin()["session"]
    failed = world.begin(form="x-cat")["session"]
    for session, answer in ((passed, "b"), (failed, "a")):
        current = world.call("GET", f"/v1/sessions/{session}").json()["current"]
        while current is not None:
            current = world.respond(session, current, answer).json()["current"]
        world.call("POST", f"/v1/sessions/{session}/submit")
        world.clock.advance(minutes=1)
    assert status(world)["passed"] is True
    assert [c["type"] for c in world.call("GET", "/v1/changes").json()["items"]] == [
        "decision.made",
        "eligibility.gained",
    ]


def test_history_answers_as_it_was_and_as_it_was_known(world: World, learner: str) -> None:
    world.clock.advance(hours=1)
    session = world.sit(answer="b")
    world.clock.advance(hours=1)
    row = world.ask(reading.session_records, "default", session)
    assert row is not None
    void = Update(
        Session, {"tenant": "default", "id": session}, {"void_at": world.clock(), "void_reason": "x"}
    )
    assert world.client.portal is not None
    world.client.portal.call(world.services.store.commit, Writes("default", (void,)))
    assert status(world)["state"] == "void"
    assert status(world, "?as_of=2026-11-22T12:30:00Z")["state"] == "not_started"
    before = status(world, "?as_of=2026-11-22T13:30:00Z")
    assert (before["state"], before["as_of"]) == ("decided", "2026-11-22T13:30:00Z")
    assert status(world, "?as_known_at=2026-11-22T13:30:00Z")["state"] == "decided"
    assert status(world, "?as_of=2026-11-22T13:30:00%2B00:00")["state"] == "decided"
    assert status(world, "?as_of=2026-11-21")["state"] == "not_started"
    assert badge(world, "ONE")["status"] == "not_eligible"
    assert badge(world, "ONE")["reasons"][0]["code"] == "decision_withdrawn"
    assert badge(world, "ONE", "?as_of=2026-11-22T13:30:00Z")["status"] == "eligible"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("as_of=yesterday", "date_invalid"),
        ("as_of=2026-02-30", "date_invalid"),
        ("as_of=2026-11-22T10:00:00", "date_invalid"),
        ("as_known_at=2027-01-01", "time_in_future"),
        ("asof=2026-11-22", "field_unknown"),
    ],
)
@pytest.mark.parametrize("path", ["courses/twt-3/status", "badges/ONE", "badges"])
def test_a_moment_that_cannot_be_asked_for_is_refused(
    world: World, learner: str, path: str, query: str, code: str
) -> None:
    problem = refused(world.call("GET", f"/v1/learners/{learner}/{path}?{query}"), 422, code)
    assert problem["errors"][0]["path"] == query.partition("=")[0]


def test_unknown_learners_courses_and_badges_are_named(world: World, learner: str) -> None:
    base = f"/v1/learners/{learner}"
    refused(world.call("GET", "/v1/learners/nobody/courses/twt-3/status"), 404, "learner_unknown")
    refused(world.call("GET", f"{base}/courses/twt-9/status"), 404, "course_unknown")
    refused(world.call("GET", f"{base}/badges/NONE"), 404, "badge_unknown")
    refused(world.call("GET", "/v1/learners/nobody/badges"), 404, "learner_unknown")
    for path in ("courses/twt-3/status", "badges", "badges/ONE"):
        refused(world.call("GET", f"{base}/{path}", key=world.key("deliver")), 403, "scope_missing")


def test_an_etag_stays_while_nothing_changes_and_moves_when_something_does(
    world: World, learner: str
) -> None:
    for path in ("courses/twt-3/status", "badges/ONE", "badges"):
        path = f"/v1/learners/{learner}/{path}"
        first = world.call("GET", path)
        world.clock.advance(seconds=5)
        unchanged = world.call("GET", path, If_None_Match=first.headers["etag"])
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        dated = world.call("GET", f"{path}?as_of=2026-11-22T11:00:00Z", If_None_Match=first.headers["etag"])
        assert dated.status_code == 200
    etag = world.call("GET", f"/v1/learners/{learner}/badges/ONE").headers["etag"]
    world.sit()
    assert world.call("GET", f"/v1/learners/{learner}/badges/ONE", If_None_Match=etag).status_code == 200


# --- eligibility ---------------------------------------------------------------


def test_eligibility_has_reasons_before_and_after(world: World, learner: str) -> None:
    before = badge(world, "BOTH")
    assert (before["status"], [m["predicate"]["pass"]["course"] for m in before["missing"]]) == (
        "not_eligible",
        ["twt-1", "twt-3"],
    )
    world.call("POST", "/v1/facts", PASSED_ELSEWHERE)
    world.sit()
    after = badge(world, "BOTH")
    assert (after["status"], after["missing"], after["award"]["state"]) == ("eligible", [], "claimable")
    assert {e["type"] for e in after["evidence"]} == {"decision"}
    assert {e["id"] for e in after["evidence"]} == {"d1", status(world)["decision"]["id"]}
    assert badge(world, "BOTH")["since"] == "2026-11-22T12:00:00Z"


def test_a_missing_course_says_when_it_can_be_taken_again(world: World, learner: str) -> None:
    world.sit(answer="a")
    missing = badge(world, "ONE")["missing"]
    assert [(m["action"], m["not_before"]) for m in missing] == [("retake", "2026-11-23T12:00:00Z")]


def test_an_award_is_claimed_then_suspended_when_the_right_is_lost(world: World, learner: str) -> None:
    world.call("POST", "/v1/facts", ATTENDED)
    award = ATTENDED | {"id": "a1", "t": "award", "badge": "SEEN"}
    del award["event"]
    assert world.call("POST", "/v1/facts", award).status_code == 201
    assert badge(world, "SEEN")["award"]["state"] == "claimed"
    world.call("POST", "/v1/facts/f1/void", {"at": "2026-11-21", "reason": "wrong person"})
    assert badge(world, "SEEN")["award"]["state"] == "suspended"
    world.call("POST", "/v1/facts/a1/void", {"at": "2026-11-21", "reason": "withdrawn"})
    assert badge(world, "SEEN")["award"]["state"] == "withdrawn"


def test_a_statement_is_the_body_signed_by_a_published_key(world: World, learner: str) -> None:
    world.sit()
    body = badge(world, "ONE", "?statement=true")
    keys = world.call("GET", "/.well-known/jwks.json", key=None).json()["keys"]
    header, claims, signature = (_decoded(part) for part in body["statement"].split("."))
    key = next(key for key in keys if key["kid"] == json.loads(header)["kid"])
    signed = body["statement"].rpartition(".")[0].encode()
    Ed25519PublicKey.from_public_bytes(_decoded(key["x"])).verify(signature, signed)
    assert json.loads(claims)["eligibility"] == {k: v for k, v in body.items() if k != "statement"}
    assert json.loads(claims)["sub"] == learner
    assert badge(world, "ONE")["statement"] is None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


# --- decisions -----------------------------------------------------------------


def test_a_decision_record_proves_its_hash_and_its_place_in_the_chain(world: World, learner: str) -> None:
    world.learner("lrn_2")
    world.sit(answer="a")
    world.sit("lrn_2", answer="b")
    records = []
    for who in ("lrn_1", "lrn_2"):
        decision = world.call("GET", f"/v1/learners/{who}/courses/twt-3/status").json()["decision"]
        records.append(world.call("GET", decision["url"]).json())
    link = GENESIS
    for seq, found in enumerate(records, start=1):
        data = canonical_json(found["record"])
        assert found["record_sha256"] == hashlib.sha256(data).hexdigest()
        link = hashlib.sha256(f"{link}\n{data.decode()}".encode()).hexdigest()
        assert found["chain"] == {"programme": "teaching-with-technology", "seq": seq, "sha256": link}


def test_a_decision_is_read_with_the_right_scope_only(world: World, learner: str) -> None:
    world.sit()
    url = status(world)["decision"]["url"]
    refused(world.call("GET", url, key="test"), 404, "decision_unknown")
    refused(world.call("GET", url, key=world.key("deliver")), 403, "scope_missing")
    refused(world.call("GET", "/v1/decisions/dec_none"), 404, "decision_unknown")


# --- facts ---------------------------------------------------------------------


def test_a_fact_is_stored_once_and_changes_eligibility(world: World, learner: str) -> None:
    first = world.call("POST", "/v1/facts", ATTENDED)
    again = world.call("POST", "/v1/facts", ATTENDED)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["data"] == {"event": "e1"}
    refused(world.call("POST", "/v1/facts", ATTENDED | {"event": "e2"}), 409, "fact_id_conflict")
    assert badge(world, "SEEN")["status"] == "eligible"
    changes = world.call("GET", "/v1/changes").json()["items"]
    assert [(c["type"], c["data"]["cause"], c["data"]["reason_id"]) for c in changes] == [
        ("eligibility.gained", "fact", "f1")
    ]


def test_a_voided_fact_no_longer_counts_and_the_loss_is_told(world: World, learner: str) -> None:
    world.call("POST", "/v1/facts", ATTENDED)
    world.clock.advance(hours=1)
    body = {"at": "2026-11-21", "reason": "wrong person"}
    voided = world.call("POST", "/v1/facts/f1/void", body)
    assert (voided.status_code, voided.json()["void_at"]) == (200, "2026-11-21")
    assert world.call("POST", "/v1/facts/f1/void", body).json() == voided.json()
    refused(world.call("POST", "/v1/facts/f1/void", body | {"at": "2026-11-20"}), 409, "fact_id_conflict")
    assert badge(world, "SEEN")["status"] == "not_eligible"
    assert badge(world, "SEEN", "?as_known_at=2026-11-22T12:30:00Z")["status"] == "eligible"
    assert badge(world, "SEEN", "?as_of=2026-11-20")["status"] == "eligible"
    types = [c["type"] for c in world.call("GET", "/v1/changes").json()["items"]]
    assert types == ["eligibility.gained", "eligibility.lost"]


@pytest.mark.parametrize(
    ("changes", "status_code", "code", "path"),
    [
        ({"id": None}, 422, "field_invalid", "id"),
        ({"source": ""}, 422, "field_invalid", "source"),
        ({"subject": 5}, 422, "field_invalid", "subject"),
        ({"at": "soon"}, 422, "date_invalid", "at"),
        ({"at": "2026-11-23"}, 422, "time_in_future", "at"),
        ({"until": "2026-11-01"}, 422, "field_invalid", "until"),
        ({"recorded_at": "2026-11-01"}, 422, "field_unknown", "recorded_at"),
        ({"void_at": "2026-11-01"}, 422, "field_unknown", "void_at"),
        ({"t": "judgement"}, 422, "field_invalid", "q"),
        ({"subject": "nobody"}, 404, "learner_unknown", None),
        ({"t": "decision", "course": "twt-3", "outcome": "pass"}, 403, "source_not_authorised", None),
        ({"t": "decision", "course": "twt-9", "outcome": "pass"}, 404, "course_unknown", None),
        ({"t": "decision", "course": "twt-1", "outcome": "great"}, 422, "field_invalid", "outcome"),
    ],
)
def test_a_fact_that_cannot_be_is_refused_with_its_place(
    world: World, learner: str, changes: dict[str, Any], status_code: int, code: str, path: str | None
) -> None:
    problem = refused(world.call("POST", "/v1/facts", ATTENDED | changes), status_code, code)
    assert [entry["path"] for entry in problem["errors"]] == ([path] if path else [])
    assert world.ask(reading.fact, "default", "f1") is None


def test_a_fact_nested_without_end_is_malformed(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.keys['live']}", "Content-Type": "application/json"}
    content = b'{"id": ' + b"[" * 100_000
    refused(world.client.post("/v1/facts", content=content, headers=headers), 400, "malformed_json")


def test_a_fact_that_is_nested_too_deeply_is_refused_in_a_sentence(world: World, learner: str) -> None:
    """Its group could once not be packed for the process that writes, and others were refused with it."""

    def nested(n: int) -> Any:
        return json.loads('{"a":' * n + '[{"b": 1}]' + "}" * n)

    problem = refused(world.call("POST", "/v1/facts", ATTENDED | {"x": nested(200)}), 422, "field_invalid")
    assert "more than 128 levels" in problem["detail"]
    rows = {"rows": [{"row": 1, "fact": ATTENDED | {"x": nested(200)}}]}
    refused(world.call("POST", "/v1/facts/import", rows), 422, "field_invalid")
    assert world.ask(reading.fact, "default", "f1") is None
    assert world.call("POST", "/v1/facts", ATTENDED | {"x": nested(100)}).status_code == 201
    broad = ATTENDED | {"id": "f2", "x": [{"a": [n]} for n in range(300)]}
    assert world.call("POST", "/v1/facts", broad).status_code == 201


def test_a_source_speaks_for_itself_only(world: World, learner: str) -> None:
    key = world.key("attest", sources=["survey"])
    refused(world.call("POST", "/v1/facts", ATTENDED, key=key), 403, "source_not_authorised")
    world.call("POST", "/v1/facts", ATTENDED)
    body = {"at": "2026-11-21", "reason": "x"}
    refused(world.call("POST", "/v1/facts/f1/void", body, key=key), 403, "source_not_authorised")
    refused(world.call("POST", "/v1/facts", ATTENDED, key=world.key("deliver")), 403, "scope_missing")
    refused(world.call("POST", "/v1/facts/f1/void", body, key="test"), 404, "fact_unknown")
    refused(world.call("POST", "/v1/facts/f1/void", {"at": "later", "reason": "x"}), 422, "date_invalid")
    refused(
        world.call("POST", "/v1/facts/f1/void", {"at": "2027-01-01", "reason": "x"}), 422, "time_in_future"
    )


def test_an_external_decision_is_the_status_of_an_external_course(world: World, learner: str) -> None:
    assert status(world, course="twt-1")["next"]["action"] == "start"
    world.call("POST", "/v1/facts", PASSED_ELSEWHERE)
    body = status(world, course="twt-1")
    assert (body["state"], body["passed"], body["decision"]["source"]) == ("decided", True, "academy")
    assert (body["decision"]["id"], body["decision"]["score"], body["next"]["action"]) == ("d1", None, "none")
    assert status(world, "?as_of=2026-11-19", course="twt-1")["state"] == "not_started"
    assert status(world, "?as_known_at=2026-11-21", course="twt-1")["state"] == "not_started"


def test_an_external_pass_ends_with_its_last_day(world: World, learner: str) -> None:
    world.call("POST", "/v1/facts", PASSED_ELSEWHERE | {"until": "2026-11-21"})
    assert status(world, course="twt-1")["passed"] is False
    assert status(world, "?as_of=2026-11-21", course="twt-1")["passed"] is True


# --- the sandbox ---------------------------------------------------------------


FORCED: list[tuple[str, str, str, bool | None, str]] = [
    ("not_started", "twt-3", "not_started", None, "not_eligible"),
    ("in_progress", "twt-3", "in_progress", None, "not_eligible"),
    ("incomplete", "twt-3", "incomplete", None, "not_eligible"),
    ("pending", "twt-3", "pending", None, "undetermined"),
    ("passed", "twt-3", "decided", True, "eligible"),
    ("not_passed", "twt-3", "decided", False, "not_eligible"),
    ("undetermined", "twt-3", "decided", None, "undetermined"),
    ("void", "twt-3", "void", None, "not_eligible"),
]


@pytest.mark.parametrize(("forced", "course", "state", "passed", "eligible"), FORCED)
def test_a_test_key_forces_any_state_with_its_events(
    world: World, forced: str, course: str, state: str, passed: bool | None, eligible: str
) -> None:
    path = f"/v1/sandbox/learners/lrn_1/courses/{course}"
    world.call("PUT", path, {"state": "passed"}, key="test")
    answer = world.call("PUT", path, {"state": forced}, key="test")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["state"], answer.json()["passed"]) == (state, passed)
    assert badge(world, "ONE", key="test")["status"] == eligible
    types = [c["type"] for c in world.call("GET", "/v1/changes", key="test").json()["items"]]
    assert types[:2] == ["decision.made", "eligibility.gained"]
    if eligible != "eligible":
        assert "eligibility.lost" in types
    assert world.call("GET", "/v1/changes").json()["items"] == []


@pytest.mark.parametrize(
    ("forced", "state", "passed"), [(f, s, p) for f, _, s, p, _ in FORCED if f != "in_progress"]
)
def test_the_state_of_an_external_course_is_forced_by_a_fact(
    world: World, forced: str, state: str, passed: bool | None
) -> None:
    path = "/v1/sandbox/learners/lrn_1/courses/twt-1"
    for wanted in ("passed", forced):
        world.clock.advance(seconds=1)
        answer = world.call("PUT", path, {"state": wanted}, key="test")
    assert (answer.json()["state"], answer.json()["passed"]) == (state, passed)
    refused(world.call("PUT", path, {"state": "in_progress"}, key="test"), 422, "field_invalid")


def test_a_forced_decision_says_so_and_stays_out_of_the_real_chain(world: World) -> None:
    path = "/v1/sandbox/learners/lrn_1/courses/twt-3"
    body = world.call("PUT", path, {"state": "passed"}, key="test").json()
    assert body["decision"]["source"] == "sandbox"
    record = world.call("GET", body["decision"]["url"], key="test").json()
    assert record["record"]["forced"] is True
    assert record["chain"]["programme"] == "teaching-with-technology/sandbox"


def test_a_forced_session_in_progress_can_be_sat(world: World) -> None:
    world.call("PUT", "/v1/sandbox/learners/lrn_1/courses/twt-3", {"state": "in_progress"}, key="test")
    world.sit(key="test")
    assert status(world, key="test")["passed"] is True


def test_no_live_key_and_no_live_learner_is_forced(world: World, learner: str) -> None:
    path = f"/v1/sandbox/learners/{learner}/courses/twt-3"
    refused(world.call("PUT", path, {"state": "passed"}), 403, "sandbox_only")
    refused(world.call("PUT", path, {"state": "passed"}, key="test"), 403, "sandbox_only")
    refused(world.call("PUT", path, {"state": "famous"}, key="test"), 422, "field_invalid")
    refused(
        world.call("PUT", "/v1/sandbox/learners/lrn_2/courses/twt-9", {"state": "passed"}, key="test"),
        404,
        "course_unknown",
    )


def test_time_in_the_feed_is_the_servers(world: World, learner: str) -> None:
    world.call("POST", "/v1/facts", ATTENDED)
    change = world.call("GET", "/v1/changes").json()["items"][0]
    assert change["timestamp"] == NOON.isoformat().replace("+00:00", "Z")


def test_a_decision_carries_how_often_its_form_is_right(world: World, learner: str) -> None:
    cut = {"status": "adopted", "panel": "panel-1"}
    release = world.activate(synthetic.document(calibrated=True, n_items=20, form={"id": "x-cal"}, cut=cut))
    session = world.sit(form="x-cal")
    told = world.call("GET", f"/v1/sessions/{session}/result").json()
    assert 0.5 < told["form_accuracy"]["accuracy"] < 1.0
    found = status(world)["decision"]["form_accuracy"]
    assert found == told["form_accuracy"]
    assert "simulated learners of a normal population" in found["basis"]
    # The same release gets the same study when it goes live again, and keeps it beside a newer one.
    answer = world.call("POST", "/v1/activations", {"release": release, "reason": "again"})
    assert answer.status_code == 201, answer.text
    assert status(world)["decision"]["form_accuracy"] == found
    newer = {"id": "x-cal", "version": 2}
    world.activate(synthetic.document(calibrated=True, n_items=10, form=newer, cut=cut))
    assert status(world)["decision"]["form_accuracy"] == found


def test_a_form_on_judged_parameters_claims_no_accuracy(world: World, learner: str) -> None:
    world.sit()
    assert status(world)["decision"]["form_accuracy"] is None
