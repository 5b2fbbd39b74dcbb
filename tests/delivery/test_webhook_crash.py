"""Killed while webhooks are told, a server or its PostgreSQL loses no message and confuses no order.

The short form is `test_a_server_that_is_killed_while_it_sends_loses_nothing` in `test_webhooks`: what was
being sent when a server was killed waits for the end of its lease, so that nothing here is short.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.delivery import cluster
from tests.delivery.conftest import open_world
from tests.delivery.crashing import GIVES_UP, Server
from tests.delivery.receiving import Receiver
from tests.delivery.serving import plain_client
from tests.delivery.world import Clock
from tests.delivery.world import settings as world_settings
from tests.verification import record


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    found = Receiver(tmp_path / "receiver")
    found.start()
    yield found
    found.stop()


@dataclass
class Told:
    """What receivers were told, against the feed."""

    n_changes: int
    n_lost: int
    n_out_of_order: int
    n_twice: int


def ask(server: Server, key: str, method: str, path: str, body: Any = None) -> Any:
    """The reply to a request that is sent until there is one."""
    deadline = time.monotonic() + GIVES_UP
    while time.monotonic() < deadline:
        try:
            with plain_client(headers={"Authorization": f"Bearer {key}"}, timeout=10) as client:
                reply = client.request(method, server.url + path, json=body)
        except httpx2.TransportError:
            time.sleep(0.02)
            continue
        if reply.status_code == 503:
            time.sleep(0.02)
            continue
        assert reply.status_code < 300, reply.text
        return reply.json()
    raise AssertionError(f"{method} {path} got no answer")


def feed(server: Server, key: str) -> dict[str, list[int]]:
    """The numbers of all changes, by whom they are about."""
    found, after = defaultdict(list), "0"
    while True:
        page = ask(server, key, "GET", f"/v1/changes?after={after}&limit=1000")
        for item in page["items"]:
            found[item["data"]["subject"]["id"]].append(item["data"]["sequence"])
        if page["next"] is None:
            return found
        after = page["next"]


def study(
    server: Server,
    key: str,
    receiver: Receiver,
    kill: Callable[[], None],
    restart: Callable[[], None],
    *,
    n_kills: int,
    seed: int,
) -> Told:
    """Kill again and again while three learners change and a slow receiver is told, then compare."""
    chance, ends, faults = random.Random(seed), threading.Event(), list[BaseException]()
    ask(server, key, "POST", "/v1/webhooks", {"url": receiver.url})

    def changes(who: str) -> None:
        try:
            while not ends.is_set():
                for state in ("passed", "not_passed"):
                    path = f"/v1/sandbox/learners/{who}/courses/twt-3"
                    ask(server, key, "PUT", path, {"state": state})
                    time.sleep(0.05)
        except Exception as fault:  # noqa: BLE001 - whatever it was, the test must hear of it
            faults.append(fault)

    threads = [threading.Thread(target=changes, args=(who,)) for who in ("p", "q", "r")]
    for thread in threads:
        thread.start()
    for number in range(n_kills):
        n_before, deadline = len(receiver.received()), time.monotonic() + GIVES_UP
        receiver.answer(200, seconds=chance.choice([0.0, 0.0, 0.1, 0.5]))
        while len(receiver.received()) <= n_before + chance.randrange(8):
            assert not faults, faults
            assert time.monotonic() < deadline, "nothing is told any more"
            time.sleep(0.02)
        kill()
        if number == n_kills // 2:
            # Once, and not for long: who is away is tried again after five seconds, and then after minutes.
            receiver.stop()
            receiver.start()
        restart()
    ends.set()
    for thread in threads:
        thread.join()
    assert not faults, faults
    receiver.answer(200)
    wanted, deadline = feed(server, key), time.monotonic() + 8 * GIVES_UP
    while any(set(numbers) - set(receiver.numbers(who)) for who, numbers in wanted.items()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return account(wanted, receiver)


def account(wanted: dict[str, list[int]], receiver: Receiver) -> Told:
    """Twice is allowed, out of order is not: each number first comes after all before it."""
    got = {who: receiver.numbers(who) for who in wanted}
    first = {who: list(dict.fromkeys(numbers)) for who, numbers in got.items()}
    return Told(
        n_changes=sum(map(len, wanted.values())),
        n_lost=sum(len(set(numbers) - set(got[who])) for who, numbers in wanted.items()),
        n_out_of_order=sum(numbers != sorted(numbers) for numbers in first.values()),
        n_twice=sum(len(got[who]) - len(first[who]) for who in wanted),
    )


def sound(found: Told) -> None:
    assert found.n_changes > 0
    assert (found.n_lost, found.n_out_of_order) == (0, 0)


@pytest.fixture
def apart(own: cluster.Cluster, tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A server on that PostgreSQL, and its key."""
    url = own.fresh_database("webhooks")
    (world,) = open_world(world_settings(tmp_path, database_url=url), Clock())
    found = Server(tmp_path, url)
    found.start()
    yield found, world.keys["test"]
    found.close()


def _say(what: str, found: Told, n_kills: int, seed: int) -> None:
    record(
        f"kill -9 of {what} while webhooks are told",
        f"{n_kills} kills, and one of the receiver: of {found.n_changes:,} changes of three learners "
        f"{found.n_lost} lost, {found.n_out_of_order} learners out of order, {found.n_twice} messages twice",
        seed=seed,
    )
    sound(found)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_twenty_kills_of_a_server_on_sqlite(
    server: Server, seeded: tuple[Path, dict[str, str]], receiver: Receiver
) -> None:
    found = study(server, seeded[1]["test"], receiver, server.kill, server.launch, n_kills=20, seed=21)
    _say("the server on SQLite", found, 20, 21)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_twenty_kills_of_postgresql(
    apart: tuple[Server, str], own: cluster.Cluster, receiver: Receiver
) -> None:
    found = study(*apart, receiver, own.kill, own.start, n_kills=20, seed=22)
    _say("PostgreSQL below a server", found, 20, 22)
