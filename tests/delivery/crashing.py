"""A server process that may be killed, learners who answer as fast as they can, and what must hold then."""

from __future__ import annotations

import http.client
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import assess
from assess.delivery.replay import replay_all
from assess.delivery.settings import Settings
from assess.delivery.store import reading
from assess.session import (
    Ending,
    SessionState,
    StartRecord,
    answer,
    outcome,
    step,
    with_ending,
    with_offer,
    with_response,
)
from tests.delivery.serving import free_port, wait_until_ready
from tests.delivery.world import settings

_NURSERY = """
import os, sys, uvicorn
from ipaddress import ip_network
from assess.delivery.app import create_app
from assess.delivery.settings import Settings

settings = Settings(
    database_url=sys.argv[1], refresh_seconds=0.0, webhook_networks=(ip_network("127.0.0.0/8"),),
    write_apart=sys.argv[3] == "apart",
)
child = 0
for line in sys.stdin:
    if line == "start\\n":
        child = os.fork()
        if child == 0:
            os.close(0)
            uvicorn.run(
                create_app(settings), host="127.0.0.1", port=int(sys.argv[2]), log_level="critical", ws="none"
            )
            os._exit(0)
        print(child, flush=True)
    else:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
GIVES_UP = 120.0
"""Seconds after which a learner who gets nothing but silence is a failure of the test."""


class Server:
    """A real server process on a database of its own.

    It is forked from a process that has its modules loaded, as a server of
    many workers is: two hundred starts would else be two hundred times the
    loading of the same files.
    """

    def __init__(self, folder: Path, database_url: str = "", *, write_apart: bool = True) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = settings(folder, database_url=database_url) if database_url else settings(folder)
        how = "apart" if write_apart else "together"
        command = [sys.executable, "-c", _NURSERY, self.settings.database_url, str(self.port), how]
        self._nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._pid = 0

    def _say(self, word: str) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        print(word, file=self._nursery.stdin, flush=True)
        return int(self._nursery.stdout.readline())

    def launch(self) -> None:
        """Start it, and do not wait."""
        self._pid = self._say("start")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.launch()
        wait_until_ready(self.url, self._nursery)

    def kill(self) -> None:
        """End it without a word."""
        os.kill(self._pid, signal.SIGKILL)
        assert self._say("wait") == -signal.SIGKILL
        self._pid = 0

    def kill_writer(self) -> None:
        """End the process that writes for it; Linux only."""
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
        for child in children:
            if b"assess.delivery.store.apart" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
                return
        raise AssertionError("nobody writes for this server")

    def stop(self) -> None:
        """End it as an operator does."""
        os.kill(self._pid, signal.SIGTERM)
        assert self._say("wait") in (0, -signal.SIGTERM)
        self._pid = 0

    def processor_seconds(self) -> float:
        """What the running process has used of the processor so far; Linux only, else NaN."""
        try:
            fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return math.nan
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Let nothing of it run on."""
        if self._pid:
            self.kill()
        self._nursery.kill()
        self._nursery.communicate()


@dataclass
class Load:
    """Learners at work, each in a thread, through every interruption."""

    server: Server
    key: str
    forms: tuple[str, ...]
    seed: int
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    """Receipts, in the order in which learners saw them."""
    finished: list[str] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    ends: threading.Event = field(default_factory=threading.Event)

    def start(self, n_learners: int) -> None:
        """Let learners begin."""
        self._threads = [threading.Thread(target=self._sit, args=(n,)) for n in range(n_learners)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, n_more: int) -> None:
        """Until so many more answers were acknowledged."""
        wanted, deadline = len(self.acknowledged) + n_more, time.monotonic() + GIVES_UP
        while len(self.acknowledged) < wanted:
            assert not self.faults, self.faults
            assert time.monotonic() < deadline, "no answer is acknowledged any more"
            time.sleep(0.001)

    def stop(self) -> None:
        """Let everybody finish the session they are in."""
        self.ends.set()
        for thread in self._threads:
            thread.join()
        if self.faults:
            raise self.faults[0]

    def _sit(self, number: int) -> None:
        try:
            _Learner(self, number).sit()
        except Exception as fault:  # noqa: BLE001 - whatever it was, the test must hear of it
            self.faults.append(fault)


class _Learner:
    def __init__(self, load: Load, number: int) -> None:
        self._load, self._number = load, number
        self._rng = random.Random(f"{load.seed}/{number}")
        self._connection: http.client.HTTPConnection | None = None

    def sit(self) -> None:
        n = 0
        while not self._load.ends.is_set():
            n += 1
            who = f"c{self._load.seed}-{self._number}-{n}"
            self._ask("PUT", f"/v1/learners/{who}", {})
            form = self._rng.choice(self._load.forms)
            begun, _ = self._ask("POST", "/v1/sessions", {"learner": who, "form": form}, once=who)
            self._answer(begun["session"], begun["current"])
        if self._connection is not None:
            self._connection.close()

    def _answer(self, session: str, current: dict[str, Any] | None) -> None:
        n_acknowledged = 0
        path = f"/v1/sessions/{session}"
        while current is not None:
            body = {
                "position": current["position"],
                "item": current["item"]["id"],
                "revision": current["revision"],
                "answer": self._rng.choice("ab"),
            }
            reply, interrupted = self._ask("POST", f"{path}/responses", body)
            n_acknowledged += 1
            self._load.acknowledged.append(reply["receipt"])
            current = reply["current"]
            if interrupted:
                # The server lost its memory meanwhile: where it says we are is where we know we are.
                view, _ = self._ask("GET", path)
                assert view["progress"]["answered"] == n_acknowledged, (session, n_acknowledged, view)
                there = view["current"]
                assert (there is None) == (current is None)
                if there is not None and current is not None:
                    assert [there[k] for k in ("position", "item")] == [
                        current[k] for k in ("position", "item")
                    ]
        self._ask("POST", f"{path}/submit")
        self._load.finished.append(session)

    def _ask(
        self, method: str, path: str, body: object = None, once: str = ""
    ) -> tuple[dict[str, Any], bool]:
        """The reply to a request that is sent until there is one; and whether it was sent more than once."""
        headers = {"Authorization": f"Bearer {self._load.key}", "Content-Type": "application/json"}
        if once:
            headers["Idempotency-Key"] = once
        sent, deadline, n_sent = None if body is None else json.dumps(body), time.monotonic() + GIVES_UP, 0
        while True:
            assert time.monotonic() < deadline, f"{method} {path} got no answer"
            n_sent += 1
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(
                        "127.0.0.1", self._load.server.port, timeout=10
                    )
                self._connection.request(method, path, sent, headers)
                reply = self._connection.getresponse()
                said = json.loads(reply.read())
            except (OSError, http.client.HTTPException, ValueError):
                if self._connection is not None:
                    self._connection.close()
                self._connection = None
            else:
                if reply.status < 300:
                    return said, n_sent > 1
                assert reply.status == 503, (method, path, reply.status, said)
            time.sleep(0.01)


@dataclass(frozen=True)
class Resumed:
    """From the start to the first answer that is acknowledged: seconds, and the server's seconds at work."""

    seconds: float
    processor: float


def crash(load: Load, n_answers: int, kill: Callable[[], None], restart: Callable[[], None]) -> Resumed:
    """Kill under load and start again."""
    load.wait_for(n_answers)
    kill()
    n_before = len(load.acknowledged)
    began, used = time.monotonic(), load.server.processor_seconds()
    restart()
    load.wait_for(max(1, n_before + 1 - len(load.acknowledged)))
    seconds, now_used = time.monotonic() - began, load.server.processor_seconds()
    # A server that was killed itself began from nothing.
    return Resumed(seconds, now_used if math.isnan(used) else now_used - used)


@dataclass(frozen=True)
class Account:
    """What is in the database after all, against what learners were told."""

    n_acknowledged: int
    n_lost: int
    n_decisions: int
    n_other: int
    """Decisions that an undisturbed run of the same answers would not have come to."""


def account(found: Settings, load: Load) -> Account:
    """Compare receipts with rows, and every session with an undisturbed run."""
    with assess.connect(found) as database:
        records = {
            session: database.read(reading.session_records, found.tenant, session)
            for session in {receipt["session"] for receipt in load.acknowledged}
        }
        kept = {
            (row.session, row.position, row.revision, row.answer_sha256, row.signature)
            for each in records.values()
            if each is not None
            for row in each.responses
        }
        told = [
            (r["session"], r["position"], r["revision"], r["answer_sha256"], r["signature"])
            for r in load.acknowledged
        ]
        replayed = replay_all(database, verify_chain=True)
        assert replayed.differences == (), replayed.differences[:3]
        decisions = {row.session: row for row in database.all_decisions()}
        assert set(load.finished) <= set(decisions)
        n_other = 0
        for session, row in decisions.items():
            each = records[session]
            assert each is not None
            n_other += _undisturbed(each, database.release(each.session.release), row) != row.record
    return Account(len(told), sum(receipt not in kept for receipt in told), len(decisions), n_other)


def _undisturbed(records: reading.SessionRecords, release: assess.session.Release, row: Any) -> str:
    """The record of a session that nobody interrupted, in which the same was answered."""
    state = SessionState(release, StartRecord.from_mapping(records.session.start_record))
    responses = {response.position: response for response in records.responses}
    for offer in records.offers:
        following = step(state, offer.at)
        if following.offer != offer.item:
            return f"offers {following.offer} at {offer.position}, where {offer.item} was offered"
        state = with_offer(state, offer.item, offer.at)
        response = responses.get(offer.position)
        if response is None:
            break
        given = answer(
            state,
            position=response.position,
            item=response.item.rsplit(".v", 1)[0],
            revision=response.revision,
            raw=response.answer,
            now=response.at,
            salt=response.salt or "",
        )
        state = with_response(state, given)
    assert records.session.ended_by is not None
    assert records.session.ended_at is not None
    state = with_ending(state, Ending(records.session.ended_by, records.session.ended_at))
    found = outcome(state, decided_at=row.decided_at)
    return found.record_bytes.decode()
