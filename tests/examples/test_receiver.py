"""The whole loop of a platform as a process of its own, beside a real server process."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from assess.publishing import find_programmes, load_programme, programme_document
from tests.delivery.serving import free_port
from tests.examples.test_badge_platform import EXAMPLE, ROOT, Server, start_demo

RECEIVER = EXAMPLE.with_name("receiver.py")
COURSES = [f"twt-{n}" for n in range(1, 7)]


@dataclass
class Receiver:
    server: Server
    store: Path
    port: int
    process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, str(RECEIVER), "--server", self.server.address, "--key", self.server.key]
        command += ["--port", str(self.port), "--store", str(self.store)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "listening\n"

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def awards(self) -> dict[str, str]:
        found: dict[str, str] = httpx.get(f"{self.url}/awards", verify=False).json()
        return found

    def said(self) -> list[str]:
        with closing(sqlite3.connect(self.store)) as connection, connection:
            return [row[0] for row in connection.execute("SELECT words FROM log ORDER BY n")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSESS_WEBHOOK_NETWORKS", "127.0.0.0/8")
        started = start_demo(tmp_path_factory.mktemp("demo"))
    yield started
    started.process.send_signal(signal.SIGTERM)
    started.process.wait(20)


@pytest.fixture(scope="module")
def receiver(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    found = Receiver(server, tmp_path_factory.mktemp("platform") / "platform.db", free_port())
    found.start()
    yield found
    found.kill()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.address, headers=headers, timeout=30) as found:
        yield found


def force(client: httpx.Client, learner: str, state: str, *courses: str) -> None:
    for course in courses or COURSES:
        path = f"/v1/sandbox/learners/{learner}/courses/{course}"
        client.put(path, json={"state": state}).raise_for_status()


def eventually(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 40
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def state(client: httpx.Client, learner: str) -> str:
    return str(client.get(f"/v1/learners/{learner}/badges/TWT").json()["award"]["state"])


def test_it_awards_attests_and_suspends_as_it_is_told(receiver: Receiver, client: httpx.Client) -> None:
    force(client, "ada", "passed")
    eventually(lambda: receiver.awards().get("ada") == "awarded", "no award")
    assert state(client, "ada") == "claimed"
    force(client, "ada", "void", "twt-5")
    eventually(lambda: receiver.awards()["ada"] == "suspended", "not suspended")
    assert state(client, "ada") == "suspended"
    force(client, "ada", "passed", "twt-5")
    eventually(lambda: receiver.awards()["ada"] == "awarded", "not awarded again")


def test_what_happens_while_it_is_away_is_done_when_it_is_back(
    receiver: Receiver, client: httpx.Client
) -> None:
    force(client, "bea", "passed")
    eventually(lambda: receiver.awards().get("bea") == "awarded", "no award")
    receiver.kill()
    force(client, "bea", "void", "twt-2")
    receiver.start()
    eventually(lambda: receiver.awards()["bea"] == "suspended", "the message was lost")


def test_a_replay_brings_what_it_missed_and_a_second_one_changes_nothing(
    receiver: Receiver, client: httpx.Client
) -> None:
    force(client, "cem", "passed")
    eventually(lambda: receiver.awards().get("cem") == "awarded", "no award")
    (webhook,) = client.get("/v1/webhooks").json()["items"]
    path = f"/v1/webhooks/{webhook['id']}"

    def replay() -> None:
        assert client.post(f"{path}/replay?after=0").json()["replayed"] > 10
        eventually(
            lambda: not client.get(f"{path}/deliveries?state=waiting").json()["items"], "something waits"
        )
        with closing(sqlite3.connect(receiver.store)) as inbox, inbox:
            eventually(lambda: not inbox.execute("SELECT n FROM inbox").fetchall(), "something is to do")

    replay()  # brings what was before the webhook
    assert receiver.awards()["demo-eligible"] == "awarded"
    before = (receiver.awards(), receiver.said())
    replay()
    assert (receiver.awards(), receiver.said()) == before


def test_a_message_that_is_not_ours_is_refused(receiver: Receiver) -> None:
    now = str(int(time.time()))
    headers = {"webhook-id": "msg_1", "webhook-timestamp": now, "webhook-signature": "v1,AAAA"}
    assert httpx.post(f"{receiver.url}/hook", content=b"{}", headers=headers).status_code == 401
    assert httpx.post(f"{receiver.url}/hook", content=b"{}").status_code == 401


def test_a_learner_presses_the_button_and_comes_home_with_the_badge_once(
    receiver: Receiver, client: httpx.Client
) -> None:
    folder = next(f for f in find_programmes(ROOT / "item_banks") if f.name == "teaching-with-technology")
    document = programme_document(load_programme(folder)) | {"claim_url": f"{receiver.url}/claim"}
    client.post("/v1/activations", json={"document": document, "reason": "claims"}).raise_for_status()
    client.put("/v1/learners/dan", json={"external_ids": []}).raise_for_status()
    begun = client.post("/v1/sessions", json={"learner": "dan", "course": "twt-3"}).json()
    with httpx.Client(base_url=receiver.server.address, follow_redirects=True, timeout=30) as browser:
        browser.get(begun["url"])
        # Away, so that the learner comes before the message.
        receiver.kill()
        force(client, "dan", "passed")
        page = browser.get("/me").text
        assert page.count("Claim this badge") == 1
        (csrf,) = set(re.findall(r'name="csrf" value="([^"]+)"', page))
        shown = browser.post("/me/badges/TWT/claim", data={"csrf": csrf}).text
        (address,) = re.findall(rf'href="({re.escape(receiver.url)}[^"]+)"', shown)
        receiver.start()
        assert httpx.get(unescape(address)).text.startswith("Your badge: awarded")
        again = httpx.get(unescape(address))
        assert (again.status_code, "was redeemed before" in again.text) == (403, True)
        assert state(client, "dan") == "claimed"
        assert "Claim this badge" not in browser.get("/me").text
    assert httpx.get(f"{receiver.url}/claim?token=x").status_code == 403


def test_it_needs_nothing_of_assess():
    text = RECEIVER.read_text(encoding="utf-8")
    assert not re.search(r"^(import|from) assess", text, re.MULTILINE)
    assert text.count("\n") < 300
