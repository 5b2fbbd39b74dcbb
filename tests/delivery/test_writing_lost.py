"""The process that writes stands still or is killed: what is said of answers on their way to it."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from assess.delivery.api import manage
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, refused, settings

PAGES = {
    "en": ("We do not know yet whether this was stored", "may or may not be stored"),
    "fr": ("Nous ne savons pas encore si cela a été enregistré", "peut-être enregistrée, peut-être pas"),
    "ar": ("لا نعرف بعد هل حُفظ هذا", "ربما حُفظت إجابتك وربما لم تُحفظ"),
}


@pytest.fixture
def apart(tmp_path: Path, clock: Clock) -> Iterator[World]:
    """An application that writes by a process of its own."""
    yield from open_world(settings(tmp_path, write_apart=True), clock)


def killed_in_a_moment(world: World) -> threading.Timer:
    """Stop the process that writes, so that the next group is on its way when it is killed."""
    store: Any = world.services.store
    process = store._hand._begun[0]
    process.send_signal(signal.SIGSTOP)
    timer = threading.Timer(0.3, process.kill)
    timer.start()
    return timer


def test_the_api_says_that_it_may_or_may_not_be_stored(apart: World) -> None:
    begun = apart.begin(apart.learner())
    path = f"/v1/sessions/{begun['session']}/responses"
    body = {"position": 1, "item": "x-001", "revision": 1, "answer": "b"}
    killed_in_a_moment(apart)
    reply = apart.call("POST", path, body)
    problem = refused(reply, 503, "outcome_unknown")
    assert problem["title"] == "It may or may not be stored; send it again"
    assert "never stored twice" in problem["detail"]
    assert "othing was stored" not in reply.text
    assert int(reply.headers["retry-after"]) > 0
    assert apart.call("POST", path, body).json()["receipt"]["position"] == 1


@pytest.mark.parametrize("language", PAGES)
def test_the_page_says_that_it_may_or_may_not_be_stored(apart: World, language: str) -> None:
    begun = apart.begin(apart.learner())
    session, client = begun["session"], apart.client
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(f"/s/{session}?token={begun['token']}").text)
    assert found is not None
    form = {"csrf": found[1], "position": "1", "item": "x-001", "revision": "1"}
    form |= {"type": "single_choice", "answer": "b"}
    killed_in_a_moment(apart)
    client.cookies.set("assess_language", language)
    reply = client.post(f"/s/{session}", data=form, follow_redirects=False)
    assert reply.status_code == 503
    for words in PAGES[language]:
        assert words in reply.text
    assert client.post(f"/s/{session}", data=form, follow_redirects=False).status_code == 303


def test_a_server_whose_writing_stands_still_is_not_ready(
    apart: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was called ready, for it could be read, while every answer waited."""
    monkeypatch.setattr(manage, "LONGEST_STANDSTILL", 0.2)
    begun = apart.begin(apart.learner())
    path = f"/v1/sessions/{begun['session']}/responses"
    body = {"position": 1, "item": "x-001", "revision": 1, "answer": "b"}
    store: Any = apart.services.store
    process = store._hand._begun[0]
    assert store.standstill() == 0.0
    assert apart.client.get("/readyz").status_code == 200
    process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(apart.call, "POST", path, body)
            until = time.monotonic() + 30
            while store.standstill() <= 0.2 and time.monotonic() < until:
                time.sleep(0.02)
            reply = apart.client.get("/readyz")
            assert reply.status_code == 503
            assert int(reply.headers["retry-after"]) > 0
            process.send_signal(signal.SIGCONT)
            assert waiting.result(30).status_code == 200
    finally:
        process.send_signal(signal.SIGCONT)
    assert store.standstill() == 0.0
    assert apart.client.get("/readyz").status_code == 200
