"""Two applications on one PostgreSQL, each with its own memory, threads and connections."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from assess.delivery.security import digest
from assess.delivery.service import keys
from assess.delivery.store import reading
from tests import synthetic
from tests.delivery.conftest import open_world
from tests.delivery.serving import SERVE, free_port, plain_client, wait_until_ready
from tests.delivery.world import Clock, World, refused
from tests.delivery.world import settings as world_settings

Pair = tuple[World, World]


@pytest.fixture
def pair(tmp_path: Path, pg_url: str) -> Iterator[Pair]:
    """Two worlds on one database; what one remembers of keys and activations lasts five seconds."""
    found = world_settings(tmp_path, database_url=pg_url, refresh_seconds=5.0)
    clock = Clock()
    for one in open_world(found, clock):
        for other in open_world(found, clock, dict(one.keys)):
            yield one, other


def _answers(world: World, session: str) -> list[tuple[int, int, Any]]:
    records = world.ask(reading.session_records, "default", session)
    assert records is not None
    return [(row.position, row.revision, row.answer) for row in records.responses]


@pytest.mark.parametrize("n", [2, 20])
def test_the_same_answer_through_both_is_one_row_and_one_receipt(pair: Pair, n: int) -> None:
    one, other = pair
    one.learner()
    begun = one.begin()
    # Both remember the session before the race.
    current = one.respond(begun["session"], begun["current"], "b").json()["current"]
    current = other.respond(begun["session"], current, "b").json()["current"]
    worlds = [pair[k % 2] for k in range(n)]
    with ThreadPoolExecutor(n) as pool:
        replies = list(pool.map(lambda w: w.respond(begun["session"], current, "a"), worlds))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    assert _answers(one, begun["session"]) == [(1, 1, "b"), (2, 1, "b"), (3, 1, "a")]


def test_of_different_answers_through_both_one_wins_and_the_others_are_told(pair: Pair) -> None:
    one, _ = pair
    one.learner()
    begun = one.begin()
    answers = ["a", "b", "c"] * 4
    with ThreadPoolExecutor(len(answers)) as pool:
        jobs = list(enumerate(answers))
        replies = list(
            pool.map(lambda job: pair[job[0] % 2].respond(begun["session"], begun["current"], job[1]), jobs)
        )
    ((_, _, stored),) = _answers(one, begun["session"])
    for answer, reply in zip(answers, replies, strict=True):
        if answer == stored:
            assert reply.status_code == 200, reply.text
        else:
            refused(reply, 409, "answer_conflict")


def test_a_learner_whose_requests_take_turns_is_never_refused(pair: Pair) -> None:
    one, other = pair
    one.learner()
    for form in ("x-fixed", "x-adaptive"):
        begun = one.begin(form=form)
        current, n = begun["current"], 0
        while current is not None:
            stored = (one, other)[n % 2].respond(begun["session"], current, "b", Idempotency_Key=f"{form}{n}")
            assert stored.status_code == 200, stored.text
            # The other one shows what the first has just stored.
            seen = (other, one)[n % 2].call("GET", f"/v1/sessions/{begun['session']}").json()
            current, n = stored.json()["current"], n + 1
            assert (seen["progress"]["answered"], seen["current"]) == (n, current)
        done = other.call("POST", f"/v1/sessions/{begun['session']}/submit")
        assert done.json() == {"finished": True}
        one.clock.advance(days=40)


def test_what_one_ended_the_other_takes_no_more_answers_for(pair: Pair) -> None:
    one, other = pair
    one.learner()
    begun = one.begin()
    current = other.respond(begun["session"], begun["current"], "b").json()["current"]
    one.call("POST", f"/v1/sessions/{begun['session']}/submit")
    refused(other.respond(begun["session"], current, "b"), 409, "session_finished")
    refused(one.respond(begun["session"], current, "b"), 409, "session_finished")


def test_a_token_that_the_other_replaced_opens_nothing_however_well_it_is_remembered(pair: Pair) -> None:
    one, other = pair
    one.learner()
    begun = one.begin()
    session, current = begun["session"], begun["current"]
    current = one.respond(session, current, "b", key=begun["token"]).json()["current"]
    resumed = other.begin()
    assert resumed["token"] != begun["token"]
    # For seconds, this process takes it from memory whom the token stands for.
    assert one.services.recent.scope(digest(begun["token"])) is not None
    refused(one.respond(session, current, "a", key=begun["token"]), 401, "credentials_invalid")
    for method, path in (("GET", ""), ("GET", "/items/1"), ("POST", "/submit"), ("POST", "/break")):
        answer = one.call(method, f"/v1/sessions/{session}{path}", key=begun["token"])
        refused(answer, 401, "credentials_invalid")
    assert one.services.recent.scope(digest(begun["token"])) is not None
    assert _answers(one, session) == [(1, 1, "b")]
    assert one.respond(session, current, "a", key=resumed["token"]).status_code == 200


def test_nor_does_it_show_a_page_or_take_the_session_back(pair: Pair) -> None:
    one, other = pair
    one.learner()
    begun = one.begin()
    path = f"/s/{begun['session']}"
    page = one.client.get(f"{path}?token={begun['token']}")
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text))
    fence = other.begin()["fence"]
    assert "where-item" in page.text
    for address in (path, f"{path}/review", f"{path}/submit"):
        page = one.client.get(address)
        assert (page.status_code, "where-item" in page.text) == (409, False), address
    page = one.client.post(path, data=fields | {"answer": "a"})
    assert (page.status_code, "What you just sent was not stored." in page.text) == (409, True)
    assert one.call("GET", f"/v1/sessions/{begun['session']}").json()["fence"] == fence
    assert _answers(one, begun["session"]) == []


def test_a_key_with_another_body_is_refused_through_the_other_too(pair: Pair) -> None:
    one, other = pair
    one.learner()
    begun = one.begin()
    first = one.respond(begun["session"], begun["current"], "b", Idempotency_Key="k1")
    current = first.json()["current"]
    refused(other.respond(begun["session"], current, "b", Idempotency_Key="k1"), 409, "idempotency_conflict")
    refused(one.respond(begun["session"], current, "b", Idempotency_Key="k1"), 409, "idempotency_conflict")
    assert len(_answers(one, begun["session"])) == 1


def test_an_activation_and_a_revocation_reach_the_other_within_five_seconds(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    extra = one.key("deliver", "manage")
    assert other.call("GET", "/v1/keys", key=extra).status_code in (200, 404)
    assert other.services.settings.refresh_seconds <= 5.0
    one.learner()
    one.activate(synthetic.document(form={"id": "x-new"}))
    (row,) = [row for row in one.run(keys.listing, one.admin) if row.scopes == ["deliver", "manage"]]
    one.run(keys.revoke, one.admin, row.id)
    refused(one.call("GET", "/v1/sessions/ses_x", key=extra), 401, "credentials_expired")

    import time

    from assess.delivery.service import catalogue, recent

    later = time.monotonic() + 5.0
    for room in (catalogue, recent):
        monkeypatch.setattr(room.time, "monotonic", lambda: later)
    refused(other.call("GET", "/v1/sessions/ses_x", key=extra), 401, "credentials_expired")
    assert other.begin(form="x-new")["form"] == "x-new.v1"


def test_two_real_processes_accept_an_answer_once(tmp_path: Path, pg_url: str) -> None:
    (world,) = open_world(world_settings(tmp_path, database_url=pg_url), Clock())
    ports = [free_port(), free_port()]
    servers = [subprocess.Popen([sys.executable, "-c", SERVE, pg_url, str(port)]) for port in ports]
    try:
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        for url, server in zip(urls, servers, strict=True):
            wait_until_ready(url, server)
        headers = {"Authorization": f"Bearer {world.keys['live']}"}
        with plain_client(headers=headers, timeout=30) as client:
            client.put(f"{urls[0]}/v1/learners/lrn_1", json={})
            body = {"learner": "lrn_1", "form": "x-fixed"}
            begun = client.post(f"{urls[1]}/v1/sessions", json=body).json()

            def post(n: int) -> httpx2.Response:
                answer = {"position": 1, "item": begun["current"]["item"]["id"], "revision": 1, "answer": "b"}
                address = f"{urls[n % 2]}/v1/sessions/{begun['session']}/responses"
                with plain_client(headers=headers, timeout=30) as own:
                    return own.post(address, json=answer)

            with ThreadPoolExecutor(20) as pool:
                replies = list(pool.map(post, range(20)))
            assert {reply.status_code for reply in replies} == {200}
            assert len({reply.json()["receipt"]["signature"] for reply in replies}) == 1
            view = client.get(f"{urls[0]}/v1/sessions/{begun['session']}").json()
            assert (view["progress"]["answered"], view["progress"]["offered"]) == (1, 2)
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(timeout=30)
