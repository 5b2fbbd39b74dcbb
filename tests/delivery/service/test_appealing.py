"""Appeals: filed, looked at, answered by people, and never an edit of what was decided."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import assess
from assess.delivery import packets
from assess.delivery.replay import replay_all
from assess.delivery.service import activations, problem_notes
from assess.delivery.store import reading
from tests import synthetic
from tests.delivery.service.test_rescoring import TOKENS, carried_out, corrected, sit
from tests.delivery.world import World, programme, refused

WORDS = "My answer to item 3 was right: I asked my teacher."
LOOK: dict[str, Any] = {"note": "Item 3 has two right answers.", "evidence": ["review of item 3, 2026-11-23"]}
UPHELD: dict[str, Any] = {
    "outcome": "upheld",
    "answer": "You were right about item 3.",
    "evidence": ["minutes of the board, 2026-11-24"],
    "status": "passed",
}


@pytest.fixture
def failed(world: World) -> str:
    """A learner whose session did not pass; the session."""
    return sit(world, "lrn_1", "bbbbbba" + "aaaaa")


def file(world: World, learner: str = "lrn_1", *, key: str = "live", **body: Any) -> Any:
    return world.call("POST", f"/v1/learners/{learner}/appeals", {"reason": WORDS} | body, key=key)


def filed(world: World, **body: Any) -> str:
    answer = file(world, **body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def look(world: World, appeal: str, **more: Any) -> Any:
    return world.call("POST", f"/v1/appeals/{appeal}/looks", LOOK | more)


def decide(world: World, appeal: str, **more: Any) -> Any:
    return world.call("POST", f"/v1/appeals/{appeal}/decide", UPHELD | more)


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()
    return found


# --- filing ------------------------------------------------------------------------


def test_a_learner_appeals_with_the_token_of_the_session(world: World, failed: str) -> None:
    answer = file(world, session=failed, key=TOKENS[failed])
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert (body["kind"], body["course"], body["state"]) == ("decision", "twt-3", "open")
    assert body["due_at"] == "2026-12-22T12:00:00Z"
    listed = world.call("GET", "/v1/learners/lrn_1/appeals", key=TOKENS[failed]).json()["items"]
    assert listed == [body]
    again = file(world, session=failed, key=TOKENS[failed])
    assert (again.status_code, again.json()["id"]) == (200, body["id"])


def test_the_deadline_is_the_programmes(world: World, failed: str) -> None:
    world.activate(programme(policies={"appeal_days": 10}))
    assert file(world, session=failed).json()["due_at"] == "2026-12-02T12:00:00Z"


@pytest.mark.parametrize("days", [0, 400, "ten", True])
def test_a_deadline_that_is_none_is_refused_with_its_place(world: World, days: object) -> None:
    document = programme(policies={"appeal_days": days})
    answer = world.call("POST", "/v1/activations", {"document": document, "reason": "x"})
    assert "policies.appeal_days" in refused(answer, 422, "rule_invalid")["detail"]


def test_another_learners_token_learns_nothing(world: World, failed: str) -> None:
    other = sit(world, "lrn_2", "b" * 12)
    refused(file(world, session=failed, key=TOKENS[other]), 404, "learner_unknown")
    refused(file(world, "lrn_2", session=failed, key=TOKENS[other]), 404, "session_unknown")
    refused(world.call("GET", "/v1/learners/lrn_1/appeals", key=TOKENS[other]), 404, "learner_unknown")


def test_an_appeal_names_one_thing_with_a_reason(world: World, failed: str) -> None:
    refused(file(world), 422, "field_invalid")
    refused(file(world, session=failed, badge="ONE"), 422, "field_invalid")
    refused(file(world, session=failed, reason="  "), 422, "field_invalid")
    refused(file(world, session=failed, reason="x" * 2001), 422, "field_invalid")
    refused(file(world, decision="dec_nothing"), 404, "decision_unknown")
    refused(file(world, badge="NOTHING"), 404, "badge_unknown")
    refused(file(world, "nobody", badge="ONE"), 404, "learner_unknown")
    refused(file(world, session=failed, key=world.key("attest")), 403, "scope_missing")


def test_practice_and_what_is_not_decided_cannot_be_appealed(world: World) -> None:
    world.learner()
    practice = world.sit(form="x-adaptive")
    refused(file(world, session=practice), 409, "appeal_refused")
    world.activate(synthetic.document(with_case_set=True, form={"release": "after_standard", "version": 2}))
    held = sit(world, "lrn_2", "b" * 12)
    problem = refused(file(world, "lrn_2", session=held), 409, "appeal_refused")
    assert "still to come" in problem["detail"]


def test_appeals_are_limited_to_three_a_day(world: World, failed: str) -> None:
    for badge in ("ONE", "BOTH", "SEEN"):
        filed(world, badge=badge)
    answer = file(world, session=failed)
    refused(answer, 429, "rate_limited")
    assert int(answer.headers["retry-after"]) == 24 * 3600
    world.clock.advance(days=1, seconds=1)
    assert file(world, session=failed).status_code == 201


def test_a_second_appeal_about_the_same_is_refused(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    problem = refused(file(world, session=failed, reason="something else"), 409, "appeal_refused")
    assert appeal in problem["detail"]
    look(world, appeal)
    body = {"outcome": "rejected", "answer": "The key is right.", "status": None}
    assert decide(world, appeal, **body).status_code == 200
    assert "was answered" in refused(file(world, session=failed), 409, "appeal_refused")["detail"]


# --- looking -----------------------------------------------------------------------


def test_who_looked_is_kept_and_overdue_appeals_are_listed(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    found = look(world, appeal, who="Dr. A.").json()
    assert [(e["what"], e["who"], e["note"]) for e in found["entries"]] == [
        ("looked", "Dr. A.", LOOK["note"])
    ]
    assert world.call("GET", "/v1/appeals?overdue=true").json()["items"] == []
    world.clock.advance(days=31)
    (late,) = world.call("GET", "/v1/appeals?overdue=true").json()["items"]
    assert (late["id"], late["overdue"]) == (appeal, True)
    assert world.call("GET", "/v1/appeals?state=upheld").json()["items"] == []
    assert world.call("GET", "/v1/appeals", key="test").json()["items"] == []


def test_the_list_of_appeals_goes_on_page_by_page(world: World) -> None:
    world.learner()
    ids = [filed(world, badge=badge) for badge in ("ONE", "BOTH", "SEEN")]
    seen, after = [], ""
    while True:
        page = world.call("GET", f"/v1/appeals?limit=1{after}").json()
        seen += [entry["id"] for entry in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert sorted(seen) == sorted(ids)


# --- deciding ----------------------------------------------------------------------


def test_an_upheld_appeal_makes_a_new_decision_that_cites_the_old_one(world: World, failed: str) -> None:
    old = status(world)["decision"]
    appeal = filed(world, session=failed)
    look(world, appeal)
    world.clock.advance(days=1)
    done = decide(world, appeal).json()
    assert (done["state"], done["answer"]) == ("upheld", UPHELD["answer"])
    found = status(world)
    new = found["decision"]
    assert (found["passed"], new["id"], new["supersedes"]) == (True, done["decision"], old["id"])
    assert (new["source"], new["rule"], new["provisional"]) == ("appeal", "appeal/1", False)
    record = world.call("GET", new["url"]).json()
    assert record["record"]["supersedes"] == {
        "decision": old["id"],
        "record_sha256": old["record_sha256"],
    }
    assert (record["cause"], record["reason"]) == ("appeal", UPHELD["answer"])
    text = json.dumps(record["record"])
    assert WORDS not in text
    assert UPHELD["answer"] not in text
    stood = world.call("GET", old["url"]).json()
    assert stood["superseded_by"] == new["id"]
    told = [
        (c["type"], c["data"]["current"])
        for c in world.call("GET", "/v1/changes").json()["items"]
        if (c["data"]["cause"], c["data"]["reason_id"]) == ("appeal", appeal)
    ]
    assert told == [("decision.changed", "passed"), ("eligibility.gained", "eligible")]
    with assess.connect(world.services.settings) as database:
        replayed = replay_all(database, verify_chain=True)
    assert (replayed.n_same, replayed.n_confirmed, replayed.differences) == (1, 1, ())
    assert "1 made by people on an appeal" in replayed.summary()


def test_the_learner_is_told_of_the_outcome(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    look(world, appeal)
    decide(world, appeal)
    (own,) = world.call("GET", "/v1/learners/lrn_1/appeals").json()["items"]
    assert (own["state"], own["answer"]) == ("upheld", UPHELD["answer"])
    result = world.call("GET", f"/v1/sessions/{failed}/result").json()
    assert (result["decision"]["status"], result["corrected"]["cause"]) == ("passed", "appeal")
    page = world.client.get(f"/s/{failed}?token={TOKENS[failed]}").text
    assert "This result replaces an earlier one since" in page
    assert UPHELD["answer"] in page


def test_a_rejected_appeal_changes_nothing_and_is_answered(world: World, failed: str) -> None:
    before = status(world)
    appeal = filed(world, session=failed)
    look(world, appeal)
    body = {"outcome": "rejected", "answer": "The key is right.", "status": None}
    assert decide(world, appeal, **body).json()["state"] == "rejected"
    assert decide(world, appeal, **body).json()["state"] == "rejected"  # the same again
    assert status(world)["decision"] == before["decision"]


def test_nobody_decides_before_somebody_has_looked(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    assert "nobody has looked" in refused(decide(world, appeal), 409, "appeal_refused")["detail"]


def test_an_answered_appeal_is_closed(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    look(world, appeal)
    decide(world, appeal)
    refused(look(world, appeal), 409, "appeal_refused")
    refused(decide(world, appeal, outcome="rejected", status=None, answer="no"), 409, "appeal_refused")


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"evidence": []}, "evidence"),
        ({"evidence": [" "]}, "evidence"),
        ({"status": None}, "status"),
        ({"answer": " "}, "answer"),
        ({"outcome": "rejected"}, "status"),
        ({"outcome": "rejected", "status": None, "facts": ["f"]}, "facts"),
        ({"facts": ["f"]}, "facts[0]"),
        ({"decision": "dec_x"}, "decision"),
    ],
)
def test_an_answer_that_does_not_fit_together_is_refused(
    world: World, failed: str, more: dict[str, Any], path: str
) -> None:
    appeal = filed(world, session=failed)
    look(world, appeal)
    problem = refused(decide(world, appeal, **more), 422, "field_invalid")
    assert problem["errors"][0]["path"] == path
    assert world.call("GET", f"/v1/appeals/{appeal}").json()["state"] == "open"


def test_too_little_answered_is_never_confirmed_as_a_pass(world: World) -> None:
    quits = sit(world, "lrn_1", "bb")
    appeal = filed(world, session=quits)
    look(world, appeal)
    assert "too little was answered" in refused(decide(world, appeal), 409, "appeal_refused")["detail"]


def test_the_same_status_again_is_no_new_decision(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    look(world, appeal)
    refused(decide(world, appeal, status="not_passed"), 409, "appeal_refused")


def test_two_persons_stand_behind_an_answer_where_the_tenant_demands_them(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    look(world, appeal)
    world.run(activations.set_tenant, world.admin, two_person=True)
    refused(decide(world, appeal), 403, "role_not_allowed")
    assert decide(world, appeal, approved_by="somebody else").status_code == 200


def test_staff_routes_need_the_right_to_manage(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    key = world.key("deliver", "read-status", "attest")
    for method, path, body in (
        ("GET", "/v1/appeals", None),
        ("GET", f"/v1/appeals/{appeal}", None),
        ("GET", f"/v1/appeals/{appeal}/packet", None),
        ("POST", f"/v1/appeals/{appeal}/looks", LOOK),
        ("POST", f"/v1/appeals/{appeal}/decide", UPHELD),
        ("GET", "/v1/problem-notes", None),
    ):
        refused(world.call(method, path, body, key=key), 403, "scope_missing")
        if "/appeals/" in path:
            refused(world.call(method, path.replace(appeal, "apl_x"), body), 404, "appeal_unknown")
            refused(world.call(method, path, body, key="test"), 404, "appeal_unknown")


def test_a_rescoring_leaves_what_people_decided_alone(world: World, failed: str) -> None:
    appeal = filed(world, session=failed)
    look(world, appeal)
    decide(world, appeal)
    done = carried_out(world, world.activate(corrected()))
    assert done["excluded"] == [{"reason": "decided on an appeal", "sessions": 1}]
    assert status(world)["passed"] is True


def test_an_appeal_outlives_a_rescoring_of_what_it_is_about(world: World, failed: str) -> None:
    """The session has another decision by then, and that one is replaced."""
    appeal = filed(world, session=failed)
    carried_out(world, world.activate(corrected()))
    between = status(world)["decision"]["id"]
    look(world, appeal)
    assert decide(world, appeal).status_code == 200
    assert status(world)["decision"]["supersedes"] == between


# --- a badge that is not turned on ------------------------------------------------------


def test_a_badge_is_turned_on_by_a_fact_that_was_missing(world: World) -> None:
    world.learner()
    appeal = filed(world, badge="SEEN")
    look(world, appeal)
    refused(decide(world, appeal, status=None), 422, "field_invalid")
    fact = {"id": "f9", "source": "x", "t": "attended", "subject": "lrn_1", "at": "2026-11-01", "event": "e1"}
    assert world.call("POST", "/v1/facts", fact).status_code == 201
    done = decide(world, appeal, status=None, facts=["f9"]).json()
    assert (done["state"], done["decision"]) == ("upheld", None)
    assert world.call("GET", "/v1/learners/lrn_1/badges/SEEN").json()["status"] == "eligible"
    problem = refused(world.call("GET", f"/v1/appeals/{appeal}/packet"), 409, "appeal_refused")
    assert "badge SEEN" in problem["detail"]


def test_a_badge_is_turned_on_by_another_decision(world: World, failed: str) -> None:
    appeal = filed(world, badge="ONE")
    look(world, appeal)
    assert refused(decide(world, appeal), 422, "field_invalid")["errors"][0]["path"] == "decision"
    decision = status(world)["decision"]["id"]
    done = decide(world, appeal, decision=decision).json()
    assert done["decision"] == status(world)["decision"]["id"]
    assert world.call("GET", "/v1/learners/lrn_1/badges/ONE").json()["status"] == "eligible"
    assert world.call("GET", f"/v1/appeals/{appeal}/packet").status_code == 200


# --- erasure ---------------------------------------------------------------------------


def test_an_erasure_takes_the_words_and_leaves_the_chain(world: World, failed: str, tmp_path: Path) -> None:
    appeal = filed(world, session=failed)
    look(world, appeal)
    decide(world, appeal)
    open_one = filed(world, badge="ONE")
    done = world.call("POST", "/v1/learners/lrn_1/erase", {"reason": "asked"})
    assert done.status_code == 200, done.text
    found = world.call("GET", f"/v1/appeals/{appeal}").json()
    assert (found["reason"], found["answer"], found["state"]) == (None, "[erased]", "upheld")
    assert [entry["note"] for entry in found["entries"]] == ["", ""]
    assert world.call("GET", f"/v1/appeals/{open_one}").json()["state"] == "withdrawn"
    rows = world.ask(reading.decisions, "default")
    assert {row.reason for row in rows} == {None, "[erased]"}
    with assess.connect(world.services.settings) as database:
        replayed = replay_all(database, verify_chain=True)
    assert (replayed.n_erased, replayed.differences) == (2, ())
    path = tmp_path / "packet.zip"
    path.write_bytes(world.call("GET", f"/v1/appeals/{appeal}/packet").content)
    assert packets.check(path).faults == ()
    with zipfile.ZipFile(path) as archive:
        assert all(WORDS.encode() not in archive.read(name) for name in archive.namelist())


# --- notes -----------------------------------------------------------------------------


def test_staff_read_what_learners_wrote_when_something_went_wrong(world: World, failed: str) -> None:
    for number in range(3):
        world.clock.advance(minutes=1)
        world.run(problem_notes.report, world.admin, failed, note=f"note {number}")
    seen, after = [], ""
    while True:
        page = world.call("GET", f"/v1/problem-notes?limit=2{after}").json()
        seen += [note["note"] for note in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next'].replace('+', '%2B')}"
    assert seen == ["note 0", "note 1", "note 2"]
    assert world.call("GET", "/v1/problem-notes", key="test").json()["items"] == []
    refused(world.call("GET", "/v1/problem-notes?after=x"), 400, "invalid_cursor")
    world.call("POST", "/v1/learners/lrn_1/erase", {"reason": "asked"})
    assert world.call("GET", "/v1/problem-notes").json()["items"] == []


# --- both databases ----------------------------------------------------------------------


def test_an_appeal_is_the_same_on_both_databases(both_worlds: World) -> None:
    session = sit(both_worlds, "lrn_1", "bbbbbba" + "aaaaa")
    appeal = filed(both_worlds, session=session)
    look(both_worlds, appeal)
    assert decide(both_worlds, appeal).json()["state"] == "upheld"
    both_worlds.run(problem_notes.report, both_worlds.admin, session, note="a note")
    assert len(both_worlds.call("GET", "/v1/problem-notes").json()["items"]) == 1
    with assess.connect(both_worlds.services.settings) as database:
        assert replay_all(database, verify_chain=True).differences == ()
