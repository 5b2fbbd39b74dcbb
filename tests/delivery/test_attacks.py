"""What somebody sends who means harm, or whose client is broken: refused in words, and nothing moves."""

from __future__ import annotations

import json
import random
import re
import string
from typing import Any

import pytest

from assess.delivery.service import activations, finishing, keys, loading, sessions
from assess.delivery.store import reading
from tests import synthetic
from tests.delivery.world import World, refused

FORM = "application/x-www-form-urlencoded"


def entered(world: World, form: str = "x-fixed") -> tuple[str, str]:
    """A session that the client's cookies open, and the token of its forms."""
    world.learner()
    begun = world.begin(form=form)
    page = world.client.get(f"/s/{begun['session']}?token={begun['token']}")
    assert page.status_code == 200
    return begun["session"], form_token(page.text)


def form_token(page: str) -> str:
    """The hidden field that binds a form to its visit."""
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


# --- who may do what -------------------------------------------------------------


def test_a_test_key_makes_nothing_live_but_in_a_demonstration(world: World) -> None:
    release = world.ask(reading.activations, "default")[1].release
    for body in ({"release": release}, {"document": synthetic.document(n_items=6)}):
        answer = world.call("POST", "/v1/activations", body | {"reason": "x"}, key="test")
        refused(answer, 403, "sandbox_only")
    assert world.ask(reading.activation, "default", 4) is None
    world.run(activations.set_tenant, world.admin, demo=True)
    again = world.call("POST", "/v1/activations", {"release": release, "reason": "x"}, key="test")
    assert again.status_code == 201, again.text


def test_another_tenants_release_cannot_be_activated_by_its_hash(world: World) -> None:
    other = keys.local("other", "test")
    world.run(activations.set_tenant, other, title="Other")
    _, world.keys["other"] = world.run(keys.create, other, name="k", scopes=["manage"])
    release = world.ask(reading.activations, "default")[1].release
    body = {"release": release, "reason": "x"}
    refused(world.call("POST", "/v1/activations", body, key="other"), 404, "form_unknown")
    assert world.ask(reading.activations, "other") == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"schema": ["assess.release/1"]},
        {"schema": "assess.release/1"},
        {"schema": "assess.programme/1"},
        {"schema": "assess.programme/1", "id": "p", "courses": {"a": 5}, "badges": []},
        synthetic.document() | {"items": 5},
        synthetic.document() | {"cut": {"id": "x", "ratings": 5}},
        synthetic.document() | {"bank": {"id": "x", "objectives": "none"}},
        {"schema": "assess.release/1", "deep": json.loads("[" * 700 + "]" * 700)},
    ],
    ids=range(9),
)
def test_a_document_that_is_none_is_the_senders_fault(world: World, document: dict[str, Any]) -> None:
    answer = world.call("POST", "/v1/activations", {"document": document, "reason": "x"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("field_invalid", "rule_invalid")
    assert len(world.ask(reading.activations, "default")) == 3


def test_a_receipt_with_impossible_numbers_is_not_valid(world: World) -> None:
    receipt = {
        "session": "é",
        "position": 10**25,
        "revision": -1,
        "answer_sha256": "",
        "stored_at": "",
        "key_id": world.services.receipts.key_id,
        "signature": "é",
    }
    answer = world.call("POST", "/v1/receipts/verify", {"receipt": receipt}, key=None)
    assert (answer.status_code, answer.json()) == (200, {"valid": False})


# --- what could be stored and never read again ------------------------------------

FIRST, LAST = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
HOURS = {"from": "2026-11-22T11:00:00Z", "to": "2026-11-22T11:10:00Z"}


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        (
            "POST",
            "/v1/incidents",
            {"action": "add_time", "scope": {"tenant": True}, "reason": "x"} | HOURS | {"from": FIRST},
            "from",
        ),
        ("PUT", "/v1/learners/lrn_1/accommodations", {"time_multiplier": 1.5, "until": LAST}, "until"),
        ("POST", "/v1/invigilator-codes", {"course": "twt-3"} | HOURS | {"to": LAST}, "to"),
        (
            "PUT",
            "/v1/learners/lrn_1/courses",
            {"courses": [{"course": "twt-3", "from": "0001-01-01T01:00", "time_zone": "Asia/Tokyo"}]},
            "courses[0].from",
        ),
    ],
)
def test_an_instant_beyond_the_calendar_is_refused_and_locks_nobody_out(
    world: World, method: str, path: str, body: dict[str, Any], field: str
) -> None:
    """Such a row would answer 500 to every later reading: of all incidents, of a learner's next begin."""
    world.learner()
    refusal = refused(world.call(method, path, body), 422, "date_invalid")
    assert refusal["errors"][0]["path"] == field
    assert world.call("GET", "/v1/incidents").json()["items"] == []
    assert world.begin()["current"] is not None


def test_a_name_too_long_for_a_key_is_refused_and_nothing_of_its_file_is_written(both_worlds: World) -> None:
    """Only PostgreSQL cannot hold it, and said so after the lines before it were written."""
    world, letters = both_worlds, random.Random(1)
    long = "".join(letters.choice(string.ascii_letters) for _ in range(9000))  # no repeats to pack away
    world.learner()
    for name in ("issuer", "subject"):
        pair = {"issuer": "i", "subject": "s"} | {name: long}
        answer = world.call("PUT", "/v1/learners/lrn_2", {"external_ids": [pair]})
        assert refused(answer, 422, "field_invalid")["errors"][0]["path"] == f"external_ids[0].{name}"
        answer = world.call("POST", "/v1/roster", {"rows": [{"row": 1} | pair]})
        assert refused(answer, 422, "field_invalid")["errors"][0]["path"] == f"rows[0].{name}"
    fact = {"source": "lms", "t": "attended", "subject": "lrn_1", "event": "e1", "at": "2026-11-20"}
    rows = [{"row": n, "fact": fact | {"id": name}} for n, name in enumerate(("f1", long), start=1)]
    found = world.call("POST", "/v1/facts/import", {"rows": rows}).json()
    assert [(fault["row"], fault["field"]) for fault in found["faults"]] == [(2, "id")]
    assert world.ask(reading.fact, "default", "f1") is None
    # The longest that is taken fits, in the script that takes most bytes.
    wide = "".join(chr(letters.randrange(0x10000, 0x1F000)) for _ in range(1100))
    longest = {"issuer": wide[:300], "subject": wide[300:600]}
    assert world.call("PUT", "/v1/learners/lrn_2", {"external_ids": [longest]}).status_code == 201
    assert world.call("POST", "/v1/facts", fact | {"id": wide[600:]}).status_code == 201


# --- pages -------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "%C3%A9", "x" * 64, ".", "a.b"])
def test_a_form_with_another_token_is_refused(world: World, token: str) -> None:
    session, _ = entered(world)
    answer = world.client.post(f"/s/{session}", content=f"csrf={token}", headers={"Content-Type": FORM})
    assert answer.status_code == 403


def test_the_token_of_a_form_differs_on_every_page_and_is_good_on_all(world: World) -> None:
    """A compressed page that repeats its address would give a constant token away by its length."""
    session, first = entered(world)
    second = form_token(world.client.get(f"/s/{session}").text)
    assert first != second
    for token in (first, second):
        answer = world.client.post(f"/s/{session}", data={"csrf": token, "position": "1", "revision": "1"})
        assert answer.status_code == 422  # nothing was chosen; the form itself was taken


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 30, "0", "-1", "²", "1e3", ""])
def test_a_number_in_an_address_may_be_anything(world: World, number: str) -> None:
    session, _ = entered(world)
    for address in (f"/s/{session}?item=", f"/s/{session}/review?moved=", "/practice?item="):
        assert world.client.get(address + number).status_code == 200


@pytest.mark.parametrize(
    "address", ["/%2F%2Fevil.example/x", "/%5C%5Cevil.example", "/s/x%2F%2Fevil.example"]
)
def test_no_link_of_an_error_page_leads_away(world: World, address: str) -> None:
    page = world.client.get(address)
    assert page.status_code == 404
    for link in re.findall(r'(?:href|action)="([^"]*)"', page.text):
        assert re.match(r"(/(?![/\\])|#)", link), link


def test_a_form_with_a_file_is_refused_and_no_file_is_kept(world: World) -> None:
    session, token = entered(world)
    answer = world.client.post(f"/s/{session}", data={"csrf": token}, files={"answer": ("a.txt", b"x")})
    assert answer.status_code == 400
    assert world.client.get(f"/s/{session}").status_code == 200


# --- time ----------------------------------------------------------------------------


def test_one_session_that_cannot_be_read_keeps_no_other_from_ending(world: World, monkeypatch: Any) -> None:
    """The oldest of the overdue comes first, so a broken one would stand before all others for ever."""
    broken = world.begin(world.learner())["session"]
    world.begin(world.learner("lrn_2"))
    world.clock.advance(days=1)
    load = loading.load

    async def fails_on_one(services: Any, scope: Any, session: str) -> Any:
        if session == broken:
            raise RuntimeError("its release is damaged")
        return await load(services, scope, session)

    monkeypatch.setattr(finishing, "load", fails_on_one)
    world.run(sessions.sweep)
    assert [row.id for row in world.ask(reading.overdue_sessions, world.clock.now, 10)] == [broken]


def test_an_award_is_claimed_for_whoever_did_not_know_yet_that_it_was_void(world: World) -> None:
    world.learner()
    world.sit()
    fact = {"id": "aw1", "source": "badges", "t": "award", "subject": "lrn_1", "badge": "ONE"}
    posted = world.call("POST", "/v1/facts", fact | {"at": "2026-11-22T11:00:00Z"})
    assert posted.status_code == 201, posted.text
    known = world.clock.now.isoformat().replace("+00:00", "Z")
    world.clock.advance(days=2)
    at = world.clock.now.isoformat().replace("+00:00", "Z")
    assert world.call("POST", "/v1/facts/aw1/void", {"at": at, "reason": "x"}).status_code == 200
    path = "/v1/learners/lrn_1/badges/ONE"

    def state(query: str = "") -> str:
        return str(world.call("GET", path + query).json()["award"]["state"])

    assert state() == "withdrawn"
    assert state(f"?as_known_at={known}") == "claimed"
    assert state(f"?as_of={known}") == "claimed"


def test_a_question_asked_twice_is_refused(world: World) -> None:
    world.learner()
    answer = world.call("GET", "/v1/learners/lrn_1/badges/ONE?as_of=2026-11-22&as_of=2020-01-01")
    assert refused(answer, 422, "field_invalid")["errors"][0]["path"] == "as_of"


def test_no_status_holds_since_a_day_that_had_not_come(world: World) -> None:
    world.learner()
    body = world.call("GET", "/v1/learners/lrn_1/badges/ONE?as_of=2020-01-01").json()
    assert (body["status"], body["since"]) == ("not_eligible", None)


def test_a_repeated_begin_after_the_time_shows_no_item(world: World) -> None:
    """Somebody who lost the first reply and came back too late would else answer what no longer counts."""
    body = {"learner": world.learner(), "form": "x-fixed"}
    first = world.call("POST", "/v1/sessions", body, Idempotency_Key="k").json()
    world.clock.advance(hours=5)
    again = world.call("POST", "/v1/sessions", body, Idempotency_Key="k").json()
    assert again["session"] == first["session"]
    assert (first["current"]["position"], again["current"]) == (1, None)


def test_an_idempotency_key_is_its_senders_own(world: World) -> None:
    world.learner()
    begun = world.begin()
    current, other = begun["current"], world.key("deliver")
    assert world.respond(begun["session"], current, "a", Idempotency_Key="k").status_code == 200
    stolen = world.respond(begun["session"], current, "b", key=other, Idempotency_Key="k")
    refused(stolen, 409, "answer_conflict")
    theirs = world.call(
        "POST",
        "/v1/sessions",
        {"learner": world.learner("lrn_2"), "form": "x-fixed"},
        key=other,
        Idempotency_Key="k",
    )
    assert theirs.json()["session"] != begun["session"]
