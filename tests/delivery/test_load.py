"""Too many at once, figures for a monitor, logs, and the end of a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from assess.delivery.logs import JsonLines
from assess.delivery.service.admission import Admission, seconds_to_look
from assess.delivery.store.groups import said
from assess.errors import InvalidContent, Overloaded, StorageUnavailable
from tests.delivery.conftest import open_world
from tests.delivery.serving import Server, answer_current
from tests.delivery.world import Clock, World, refused
from tests.delivery.world import settings as world_settings

# --- the line of those who begin -----------------------------------------------------


def test_those_who_begin_wait_in_their_order_and_the_last_are_sent_away() -> None:
    async def story() -> tuple[list[int], int]:
        line = Admission(at_once=1, line=2, patience=5.0)
        begun, refusals, leave = [], 0, asyncio.Event()

        async def begin(n: int) -> None:
            nonlocal refusals
            try:
                async with line.begins():
                    begun.append(n)
                    await leave.wait()
            except Overloaded:
                refusals += 1

        tasks = [asyncio.create_task(begin(n)) for n in range(5)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert (begun, refusals, line.waiting) == ([0], 2, 2)
        leave.set()
        await asyncio.gather(*tasks)
        return begun, refusals

    assert asyncio.run(story()) == ([0, 1, 2], 2)


def test_a_turn_that_does_not_come_in_time_is_refused_and_leaves_no_trace() -> None:
    async def story() -> None:
        line = Admission(at_once=1, line=2, patience=0.01)
        async with line.begins():
            with pytest.raises(Overloaded, match="turn"):
                async with line.begins():
                    raise AssertionError("two began at once")
        assert line.waiting == 0
        async with line.begins():
            pass

    asyncio.run(story())


def test_places_keep_the_order_of_the_first_question(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        from assess.delivery.service import admission

        module: Any = admission
        now = [0.0]
        monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
        line = Admission(at_once=1, line=1, patience=5.0)
        line.waiting = 1  # full
        assert [line.place(ticket) for ticket in ("a", "b", "c")] == [1, 2, 3]
        assert [line.place(ticket) for ticket in ("c", "a")] == [3, 1]
        now[0] = 40.0
        assert [line.place(ticket) for ticket in ("c", "b")] == [3, 2]
        now[0] = 60.0  # "a" has not looked for a while
        assert line.place("c") == 2
        line.waiting = 0
        assert line.place("c") == 1
        assert line.place("b") == 0
        assert line.place("c") == 1  # "b" has not begun yet
        async with line.begins("b"):
            assert line.place("c") == 0

    asyncio.run(story())


def _full_line(n_free: int = 0) -> Admission:
    """A line of 200 in which all places but a few are taken, and whose turns are taken too."""
    line = Admission(at_once=1, line=200, patience=0.01)
    line._at_once = asyncio.Semaphore(0)
    line.waiting = 200 - n_free
    return line


def test_no_more_are_let_in_than_there_are_places_though_none_of_them_has_begun() -> None:
    line = _full_line()
    tickets = [f"t{n}" for n in range(5000)]
    assert all(line.place(ticket) for ticket in tickets)
    line.waiting = 190
    assert [ticket for ticket in tickets if line.place(ticket) == 0] == tickets[:10]
    # Who asks again before beginning is still let in, and takes no second place.
    assert line.place("t3") == 0
    assert line.place("t10") == 1


def test_a_held_place_is_taken_by_its_holder_and_by_nobody_else() -> None:
    async def story() -> None:
        line = _full_line(1)
        assert line.place("mine") == 0
        for stranger in ("", "made up"):
            with pytest.raises(Overloaded, match="too many"):
                async with line.begins(stranger):
                    pass
        # The holder waits for the turn, which does not come in this test.
        with pytest.raises(Overloaded, match="turn"):
            async with line.begins("mine"):
                pass
        assert not line.holds("mine")
        assert line.room == 1

    asyncio.run(story())


def test_a_place_that_nobody_takes_goes_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    from assess.delivery.service import admission

    module: Any = admission
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    line = _full_line(1)
    assert [line.place("first"), line.place("next")] == [0, 1]
    now[0] = 44.0
    assert line.place("next") == 1
    now[0] = 46.0
    assert not line.holds("first")
    assert line.place("next") == 0


def test_nobody_is_let_in_to_a_server_that_sends_newcomers_away() -> None:
    line = _full_line(5)
    line.crowded = lambda: True
    assert [line.place("a"), line.place("b"), line.place("a")] == [1, 2, 1]
    line.crowded = lambda: False
    assert line.place("a") == 0


def test_a_look_at_a_long_line_costs_little_and_none_is_forgotten_before_the_next() -> None:
    line = _full_line()
    for n in range(20_000):
        line.place(f"t{n}")
    began = time.perf_counter()
    assert [line.place("t19999") for _ in range(200)] == [20_000] * 200
    # Some 0.005 ms each; going through the line takes 2.
    assert time.perf_counter() - began < 0.1
    assert all(until - time.monotonic() > seconds_to_look(number) for number, until in line._places.values())


@pytest.fixture
def closed(world: World) -> World:
    """A world whose line takes nobody."""
    line = world.services.admission
    line._at_once = asyncio.Semaphore(0)
    line._line = 0
    return world


def test_a_begin_is_overloaded_and_an_answer_is_not(world: World) -> None:
    world.learner()
    world.learner("lrn_2")
    begun = world.begin()
    world.services.admission._at_once = asyncio.Semaphore(0)
    world.services.admission._line = 0
    reply = world.call("POST", "/v1/sessions", {"learner": "lrn_2", "form": "x-fixed"})
    problem = refused(reply, 503, "overloaded")
    assert reply.headers["retry-after"] == "5"
    assert "nothing was stored" in problem["detail"]
    assert world.respond(begun["session"], begun["current"], "b").status_code == 200


def test_beyond_the_limit_newcomers_are_sent_away_first(world: World) -> None:
    world.learner()
    begun = world.begin()
    app: Any = world.app
    frame = app._shortcut._frame
    frame._admitted = 2
    frame.inside = 3
    refused(world.call("GET", "/v1/badges/ONE"), 503, "overloaded")
    page = world.client.get("/", headers={"Accept-Language": "en"})
    assert (page.status_code, page.headers["retry-after"]) == (503, "5")
    assert "Very many people are here" in page.text
    assert world.respond(begun["session"], begun["current"], "b").status_code == 200
    assert world.call("GET", "/healthz", key=None).status_code == 200
    frame.inside = 9
    refused(world.respond(begun["session"], begun["current"], "b"), 503, "overloaded")
    assert world.call("GET", "/metrics", key=None).status_code == 200
    frame.inside = 0


def test_who_waits_keeps_the_place_and_pages_their_files_beyond_every_limit(world: World) -> None:
    app: Any = world.app
    frame = app._shortcut._frame
    frame._admitted = 2
    frame.inside = 9
    page = world.client.get("/waiting?for=/courses/twt-3", follow_redirects=False)
    assert (page.status_code, page.headers["refresh"][:9]) == (503, "10; url=/")
    assert "1 person is before you" in page.text
    for name in ("outbox.js", "pages.css"):
        assert world.client.get(f"/static/{name}").status_code == 200
    frame.inside = 0
    on = world.client.get(page.headers["refresh"].partition("url=")[2], follow_redirects=False)
    assert (on.status_code, on.headers["location"]) == (303, "/courses/twt-3")


def test_who_comes_to_begin_is_sent_to_wait_and_taken_on(closed: World) -> None:
    from assess.delivery.pages.waiting_page import waiting_address

    first = closed.client.get("/waiting?for=/courses/twt-3", follow_redirects=False)
    assert first.status_code == 503
    assert first.headers["retry-after"] == "10"
    refresh = first.headers["refresh"]
    assert refresh.startswith("10; url=/waiting?for=%2Fcourses%2Ftwt-3&place=plc_")
    assert "1 person is before you" in first.text
    assert "<script>" not in first.text
    # Whoever is disturbed by it stops the reloading, and keeps the place.
    still = closed.client.get(refresh.partition("url=")[2] + "&by_itself=no", follow_redirects=False)
    assert "refresh" not in still.headers
    assert "1 person is before you" in still.text
    closed.services.admission._line = 5
    on = closed.client.get(refresh.partition("url=")[2], follow_redirects=False)
    assert (on.status_code, on.headers["location"]) == (303, "/courses/twt-3")
    assert waiting_address("/courses/x?form=y") == "/waiting?for=%2Fcourses%2Fx%3Fform%3Dy"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "x", ""])
def test_waiting_leads_to_no_other_site(world: World, target: str) -> None:
    on = world.client.get("/waiting", params={"for": target}, follow_redirects=False)
    assert (on.status_code, on.headers["location"]) == (303, "/")


def test_waiting_speaks_the_learners_language(closed: World) -> None:
    for code, words in (("fr", "Vous êtes dans la file"), ("ar", "قائمة الانتظار")):
        page = closed.client.get("/waiting", headers={"Accept-Language": code})
        assert words in page.text


# --- figures and logs ------------------------------------------------------------------


def test_a_monitor_sees_routes_and_statuses_and_nobody(world: World) -> None:
    world.learner("lrn_secret")
    begun = world.begin("lrn_secret")
    world.respond(begun["session"], begun["current"], "b")
    world.call("GET", "/v1/learners/lrn_secret/courses/twt-3/status")
    text = world.call("GET", "/metrics", key=None).text
    assert 'assess_requests_total{route="POST /v1/sessions/{session}/responses",status="200"} 1.0' in text
    assert 'route="GET /v1/learners/{learner}/courses/{course}/status"' in text
    for secret in ("lrn_secret", begun["session"], begun["token"]):
        assert secret not in text


def test_a_log_line_is_json_and_quotes_no_value() -> None:
    def fail() -> None:
        try:
            raise ValueError("the learner wrote: my mother's name")
        except ValueError as fault:
            raise StorageUnavailable("the database did not take it") from fault

    try:
        fail()
    except StorageUnavailable:
        record = logging.LogRecord("assess", logging.ERROR, __file__, 1, "fault", (), sys.exc_info())
    record.request_id = "req_1"
    line = JsonLines().format(record)
    found = json.loads(line)
    assert "mother" not in line
    assert found["request_id"] == "req_1"
    assert [link["type"] for link in found["fault"]] == [
        "assess.errors.StorageUnavailable",
        "builtins.ValueError",
    ]
    assert found["fault"][0]["words"] == "the database did not take it"
    assert any("in fail" in place or place.endswith(" fail") for place in found["fault"][0]["at"])


def test_what_postgres_says_of_a_refused_row_is_told_without_the_row(pg_url: str) -> None:
    import psycopg

    address = pg_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (answer text, CHECK (answer <> 'my mother'))")
        with pytest.raises(psycopg.Error) as refusal:
            connection.execute("INSERT INTO t VALUES ('my mother')")
    assert "my mother" in str(refusal.value)
    assert "my mother" not in said(refusal.value)
    assert "t_answer_check" in said(refusal.value)


def test_a_request_that_fails_is_logged_by_its_pattern(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.services.admission._at_once = asyncio.Semaphore(0)
    world.services.admission._line = 0
    world.learner("lrn_secret")
    with caplog.at_level(logging.INFO, "assess.request"):
        world.call("POST", "/v1/sessions", {"learner": "lrn_secret", "form": "x-fixed"})
    (record,) = [record for record in caplog.records if record.name == "assess.request"]
    assert (record.route, record.status) == ("POST /v1/sessions", 503)  # type: ignore[attr-defined]
    assert "lrn_secret" not in JsonLines().format(record)


def test_a_setting_of_the_line_is_read_from_the_environment() -> None:
    from assess.delivery.settings import Settings

    found = Settings.from_environment({"ASSESS_BEGIN_AT_ONCE": "9", "ASSESS_ADMISSION_LIMIT": "50"})
    assert (found.begin_at_once, found.admission_limit) == (9, 50)
    # In a line of none nobody would ever be let in.
    for name in ("ASSESS_BEGIN_AT_ONCE", "ASSESS_BEGIN_LINE"):
        with pytest.raises(InvalidContent, match=name):
            Settings.from_environment({name: "0"})


# --- memory ------------------------------------------------------------------------------


def test_memory_may_be_dropped_at_any_time(tmp_path: Path) -> None:
    def sit(name: str, *, drop: bool) -> list[Any]:
        (tmp_path / name).mkdir()
        seen = []
        for world in open_world(world_settings(tmp_path / name), Clock()):
            world.learner()
            begun = world.begin(form="x-fixed")
            current = begun["current"]
            while current is not None:
                if drop:
                    world.services.recent.drop()
                stored = world.respond(begun["session"], current, "b").json()
                seen.append((current, stored["finished"]))
                current = stored["current"]
        return seen

    assert sit("kept", drop=False) == sit("dropped", drop=True)


def test_ten_different_sessions_at_once_are_one_group_and_each_keeps_its_own(world: World) -> None:
    begun = [world.begin(world.learner(f"lrn_{n}")) for n in range(10)]
    answers = ["a", "b", "c", "a", "b", "c", "a", "b", "c", None]
    with ThreadPoolExecutor(10) as pool:
        replies = list(
            pool.map(
                lambda job: world.respond(job[0]["session"], job[0]["current"], job[1]),
                zip(begun, answers, strict=True),
            )
        )
    for one, answer, reply in zip(begun, answers, replies, strict=True):
        receipt = reply.json()["receipt"]
        assert receipt["session"] == one["session"]
        assert world.call("POST", "/v1/receipts/verify", {"receipt": receipt}).json() == {"valid": True}
        look = world.call("GET", f"/v1/sessions/{one['session']}/items/1").json()
        assert look["answer"] == answer


# --- the end of a server --------------------------------------------------------------------


def test_a_server_that_is_told_to_stop_answers_what_it_took(
    tmp_path: Path, seeded: tuple[Path, dict[str, str]]
) -> None:
    import shutil

    from assess.delivery.store import open_store, reading

    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    server = Server(tmp_path)
    server.start()
    headers = {"Authorization": f"Bearer {seeded[1]['live']}"}
    acknowledged: dict[str, list[dict[str, Any]]] = {}

    def sit(n: int) -> None:
        with (
            contextlib.suppress(httpx2.TransportError),
            httpx2.Client(base_url=server.url, headers=headers, timeout=30) as client,
        ):
            client.put(f"/v1/learners/lrn_{n}", json={})
            begun = client.post("/v1/sessions", json={"learner": f"lrn_{n}", "form": "x-fixed"}).json()
            mine = acknowledged.setdefault(begun["session"], [])
            current = begun["current"]
            while current is not None:
                current = answer_current(client, begun["session"], current, mine)

    threads = [threading.Thread(target=sit, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    while sum(map(len, list(acknowledged.values()))) < 10:
        time.sleep(0.002)
    server.stop()
    for thread in threads:
        thread.join()
    store = open_store(world_settings(tmp_path))
    try:
        for session, receipts in acknowledged.items():
            records = asyncio.run(store.read(reading.session_records, "default", session))
            assert records is not None
            stored = {row.signature for row in records.responses}
            # What was taken was also answered: a stored answer without a reply is none.
            assert stored == {receipt["signature"] for receipt in receipts}
    finally:
        store.close()
