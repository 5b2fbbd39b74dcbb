"""Erasing a learner: who they are goes, what was measured stays, and everything says so."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import assess
from assess.delivery.replay import replay_all
from assess.delivery.security import digest
from assess.delivery.service import activations, problem_notes
from assess.delivery.settings import Settings
from assess.delivery.store import reading, reading_erasure
from tests.delivery.conftest import open_world
from tests.delivery.service.test_rescoring import TOKENS, corrected, sit
from tests.delivery.service.test_rescoring import asked as rescore_asked
from tests.delivery.world import Clock, World, every_interaction, refused

NAME = "Amina Ould Somebody"
WORDS = "SECRET-WORDS-OF-HERS"


def erase(world: World, learner: str = "lrn_1", **more: Any) -> Any:
    return world.call("POST", f"/v1/learners/{learner}/erase", {"reason": "asked for it"} | more)


def known(world: World, learner: str = "lrn_1") -> str:
    """A learner with a name elsewhere, a session, a note about it, a fact, and an accommodation."""
    world.learner(learner)
    world.call("PUT", f"/v1/learners/{learner}/accommodations", {"time_multiplier": 2.0})
    session = sit(world, learner, "bbbbbbbbaa-a")
    body = {"external_ids": [{"issuer": "moodle", "subject": NAME}], "locale": "fr"}
    assert world.call("PUT", f"/v1/learners/{learner}", body).status_code == 200
    cohort = {"title": "A class", "courses": []}
    world.call("PUT", "/v1/cohorts/c1", cohort)
    world.call("PUT", f"/v1/cohorts/c1/learners/{learner}")
    world.call(
        "POST", "/v1/facts", {"id": "f1", "source": "x", "t": "attended", "subject": learner,
                              "at": "2026-11-01", "event": "e1", "remark": WORDS},
    )  # fmt: skip
    world.run(problem_notes.report, world.admin, session, note=f"{WORDS}: the page was white")
    return session


def bytes_of(world: World) -> bytes:
    path = world.services.settings.sqlite_path
    assert path is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    return text.encode()


def test_nothing_that_tells_who_it_was_is_left_in_the_database(world: World) -> None:
    known(world)
    before = bytes_of(world)
    assert NAME.encode() in before
    assert WORDS.encode() in before
    assert b"time_multiplier" in before
    answer = erase(world)
    assert answer.status_code == 200, answer.text
    removed = answer.json()["removed"]
    assert removed["learner_external_ids"] == 1
    assert (removed["answers"], removed["notes"], removed["facts"]) == (12, 1, 1)
    after = bytes_of(world)
    assert NAME.encode() not in after
    assert WORDS.encode() not in after
    assert b"time_multiplier" not in after
    rows = world.ask(reading.session_records, "default", session_of(world))
    assert rows is not None
    assert {row.salt for row in rows.responses} == {None}
    assert [row.answer for row in rows.responses if row.answer is None] == [None]  # a blank stays a blank


def test_tokens_that_were_replaced_are_known_no_more(world: World) -> None:
    world.learner()
    begun = world.begin()
    world.begin()
    page, presented = f"/s/{begun['session']}?token={begun['token']}", digest(begun["token"]).encode()
    assert (world.client.get(page).status_code, presented in bytes_of(world)) == (409, True)
    assert erase(world).status_code == 200
    assert (world.client.get(page).status_code, presented in bytes_of(world)) == (401, False)


def session_of(world: World) -> str:
    found = world.ask(reading_erasure.traces, "default", "lrn_1")
    assert found is not None
    return str(found.sessions[0].id)


def test_the_file_itself_holds_the_name_no_more_once_the_server_has_stopped(
    settings: Settings, seeded: tuple[Path, dict[str, str]]
) -> None:
    """A deleted row would else stay on a free page of SQLite, for anybody who reads the file."""
    path, keys = seeded
    assert settings.sqlite_path is not None
    shutil.copyfile(path, settings.sqlite_path)
    for world in open_world(settings, Clock(), keys):
        known(world)
    assert NAME.encode() in settings.sqlite_path.read_bytes()
    for world in open_world(settings, Clock(), keys):
        erase(world)
    held = settings.sqlite_path.read_bytes()
    assert (NAME.encode() in held, WORDS.encode() in held) == (False, False)


def test_a_dry_run_counts_what_the_real_run_removes_and_changes_nothing(world: World) -> None:
    known(world)
    before = bytes_of(world)
    said = erase(world, dry_run=True).json()
    assert (said["dry_run"], said["erasure"], said["erased_at"]) == (True, None, None)
    assert bytes_of(world) == before
    assert erase(world).json()["removed"] == said["removed"]


def test_an_answer_in_words_goes_and_is_still_no_blank(world: World) -> None:
    world.activate(every_interaction())
    world.learner()
    begun = world.begin(form="x-every")
    answers: list[Any] = ["b", ["a"], ["c", "a", "b"], {"a": "x", "b": "y", "c": "x"}, "3.5", WORDS]
    current = begun["current"]
    for answer in answers:
        current = world.respond(begun["session"], current, answer).json()["current"]
    world.call("POST", f"/v1/sessions/{begun['session']}/submit")
    with assess.connect(world.services.settings) as database:
        before = database.matrix("twt-3")
    done = erase(world).json()
    assert done["removed"]["answers in words"] == 1
    assert WORDS.encode() not in bytes_of(world)
    with assess.connect(world.services.settings) as database:
        after = database.matrix("twt-3")
    assert (after.categories == before.categories).all()


def test_a_calibration_reads_the_same_numbers_before_and_after(world: World) -> None:
    known(world)
    sit(world, "lrn_2", "b-bbabbbbbaa")
    with assess.connect(world.services.settings) as database:
        before = database.matrix("twt-3")
    erase(world)
    with assess.connect(world.services.settings) as database:
        after = database.matrix("twt-3")
    assert list(before.person_ids) == list(after.person_ids)
    assert (before.categories == after.categories).all()


def test_every_chain_holds_and_replay_says_erased(world: World) -> None:
    known(world)
    sit(world, "lrn_2", "b" * 12)
    erase(world)
    sit(world, "lrn_3", "b" * 12)
    with assess.connect(world.services.settings) as database:
        found = replay_all(database, verify_chain=True)
    assert (found.n_same, found.n_erased, found.differences) == (2, 1, ())
    assert "1 erased" in found.summary()


def test_a_receipt_that_was_given_still_verifies(world: World) -> None:
    session = known(world)
    receipts = world.client.get(
        f"/s/{session}/receipts.json", headers={"cookie": f"assess_session={TOKENS[session]}"}
    ).json()["receipts"]
    assert len(receipts) == 12
    erase(world)
    for receipt in receipts:
        answer = world.call("POST", "/v1/receipts/verify", {"receipt": receipt}, key=None)
        assert answer.json() == {"valid": True}


def test_everybody_who_asks_is_told_that_the_learner_was_erased(world: World) -> None:
    session = known(world)
    erase(world)
    for method, path, body in (
        ("GET", "/v1/learners/lrn_1/courses/twt-3/status", None),
        ("GET", "/v1/learners/lrn_1/badges", None),
        ("GET", "/v1/learners/lrn_1/badges/ONE", None),
        ("GET", f"/v1/sessions/{session}", None),
        ("GET", f"/v1/sessions/{session}/result", None),
        ("PUT", "/v1/learners/lrn_1", {"external_ids": []}),
        ("POST", "/v1/sessions", {"learner": "lrn_1", "form": "x-fixed"}),
        ("GET", "/v1/learners/lrn_1/accommodations", None),
        ("POST", "/v1/facts", {"id": "f2", "source": "x", "t": "attended", "subject": "lrn_1",
                               "at": "2026-11-01", "event": "e1"}),
    ):  # fmt: skip
        refused(world.call(method, path, body), 410, "learner_erased")
    answer = world.call("POST", "/v1/badges/ONE/query", {"subjects": ["lrn_1"]}).json()["items"][0]
    assert answer["error"]["code"] == "learner_erased"
    found = world.call("GET", "/v1/learners?issuer=moodle&subject=" + NAME.replace(" ", "%20")).json()
    assert found["items"] == []
    for status in ("eligible", "not_eligible"):
        assert world.call("GET", f"/v1/badges/ONE/subjects?status={status}").json()["items"] == []


def test_the_old_token_opens_nothing(world: World) -> None:
    session = known(world)
    erase(world)
    refused(world.call("GET", f"/v1/sessions/{session}", key=TOKENS[session]), 401, "credentials_invalid")


def test_the_feed_tells_of_it_once(world: World) -> None:
    known(world)
    first, second = erase(world).json(), erase(world).json()
    assert first["erasure"] == second["erasure"]
    told = [c for c in world.call("GET", "/v1/changes").json()["items"] if c["type"] == "learner.erased"]
    assert [(c["data"]["subject"]["id"], c["data"]["reason_id"]) for c in told] == [
        ("lrn_1", first["erasure"])
    ]
    listed = world.call("GET", "/v1/erasures").json()["items"]
    assert [(row["learner"], row["reason"]) for row in listed] == [("lrn_1", "asked for it")]
    # Who was erased, and why, is no sandbox data.
    assert world.call("GET", "/v1/erasures", key="test").json()["items"] == []


def test_the_record_of_a_decision_stays_under_the_random_id(world: World) -> None:
    known(world)
    decision = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]
    erase(world)
    found = world.call("GET", decision["url"]).json()
    assert found["record_sha256"] == decision["record_sha256"]


def test_an_open_session_ends_and_counts_for_nothing(world: World) -> None:
    world.learner()
    begun = world.begin()
    world.respond(begun["session"], begun["current"], "b")
    assert erase(world).status_code == 200
    found = world.ask(reading.session_records, "default", begun["session"])
    assert found is not None
    row = found.session
    assert (row.state, row.ended_by, row.void_reason) == ("ended", "voided", "erasure")


def test_both_ids_of_a_merged_person_are_erased(world: World) -> None:
    known(world)
    world.learner("lrn_2")
    body = {"into": "lrn_2", "reason": f"both are {NAME}"}
    assert world.call("POST", "/v1/learners/lrn_1/merge", body).status_code == 200
    done = erase(world, "lrn_2").json()
    assert sorted(done["ids"]) == ["lrn_1", "lrn_2"]
    assert NAME.encode() not in bytes_of(world)
    for learner in ("lrn_1", "lrn_2"):
        refused(world.call("GET", f"/v1/learners/{learner}/badges"), 410, "learner_erased")


def test_a_rescoring_leaves_an_erased_learner_out(world: World) -> None:
    known(world)
    erase(world)
    release = world.activate(corrected())
    found = rescore_asked(world, release, dry_run=True).json()
    assert found["excluded"] == [{"reason": "erased", "sessions": 1}]


def test_an_incident_leaves_an_erased_learner_out(world: World) -> None:
    known(world)
    erase(world)
    body = {
        "action": "void_without_try", "scope": {"course": "twt-3"}, "reason": "noise", "dry_run": True,
        "from": "2026-11-22T11:00:00Z", "to": "2026-11-22T12:00:00Z",
    }  # fmt: skip
    answer = world.call("POST", "/v1/incidents", body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [row["why"] for row in found["sessions"]] == ["its learner was erased"]


# --- refusals ------------------------------------------------------------------------


def test_an_unknown_learner_no_reason_no_right_and_no_second_person_are_refused(world: World) -> None:
    refused(erase(world, "nobody"), 404, "learner_unknown")
    known(world)
    refused(erase(world, reason=" "), 422, "field_invalid")
    key = world.key("read-status", "deliver", "attest")
    for method, path, body in (
        ("POST", "/v1/learners/lrn_1/erase", {"reason": "x"}),
        ("GET", "/v1/erasures", None),
    ):
        refused(world.call(method, path, body, key=key), 403, "scope_missing")
    refused(
        world.call("POST", "/v1/learners/lrn_1/erase", {"reason": "x"}, key="test"), 404, "learner_unknown"
    )
    world.run(activations.set_tenant, world.admin, two_person=True)
    refused(erase(world), 403, "role_not_allowed")
    assert erase(world, dry_run=True).status_code == 200
    assert erase(world, approved_by="somebody else").status_code == 200


@pytest.mark.parametrize("n", [1])
def test_it_is_the_same_on_both_databases(both_worlds: World, n: int) -> None:
    known(both_worlds)
    said = erase(both_worlds, dry_run=True).json()["removed"]
    assert erase(both_worlds).json()["removed"] == said
    with assess.connect(both_worlds.services.settings) as database:
        assert replay_all(database, verify_chain=True).n_erased == n
