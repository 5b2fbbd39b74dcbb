"""Killed under load, a server or its PostgreSQL loses nothing that was acknowledged, and goes on at once."""

from __future__ import annotations

import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.delivery import cluster
from tests.delivery.conftest import open_world
from tests.delivery.crashing import Account, Load, Resumed, Server, account, crash
from tests.delivery.world import Clock
from tests.delivery.world import settings as world_settings
from tests.verification import record

FORMS = ("x-fixed", "x-adaptive")


@pytest.fixture
def apart(own: cluster.Cluster, tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A server on that PostgreSQL, and its key."""
    url = own.fresh_database("crash")
    (world,) = open_world(world_settings(tmp_path, database_url=url), Clock())
    found = Server(tmp_path, url)
    found.start()
    yield found, world.keys["live"]
    found.close()


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the process in /proc")


def _nothing() -> None:
    """Whoever was killed is replaced by the server."""


def sound(found: Account) -> None:
    assert found.n_acknowledged > 0
    assert found.n_decisions > 0
    assert (found.n_lost, found.n_other) == (0, 0)


def crashes(
    server: Server,
    key: str,
    kill: Callable[[], None],
    restart: Callable[[], None],
    *,
    n_kills: int,
    seed: int,
) -> tuple[Account, list[Resumed]]:
    """Kill again and again, while four learners answer as fast as they can, then compare."""
    chance, load = random.Random(seed), Load(server, key, FORMS, seed)
    load.start(4)
    resumed = [crash(load, chance.randint(1, 60), kill, restart) for _ in range(n_kills)]
    load.stop()
    server.stop()
    return account(server.settings, load), resumed


# --- the short form ------------------------------------------------------------------


def test_a_killed_server_loses_nothing_acknowledged_and_goes_on_at_the_same_item(
    server: Server, seeded: tuple[Path, dict[str, str]]
) -> None:
    found, _ = crashes(server, seeded[1]["live"], server.kill, server.launch, n_kills=2, seed=1)
    sound(found)


def test_a_killed_server_that_writes_by_itself_loses_nothing_acknowledged(
    tmp_path: Path, seeded: tuple[Path, dict[str, str]]
) -> None:
    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    server = Server(tmp_path, write_apart=False)
    try:
        server.start()
        found, _ = crashes(server, seeded[1]["live"], server.kill, server.launch, n_kills=1, seed=3)
    finally:
        server.close()
    sound(found)


@needs_proc
def test_a_killed_process_that_writes_loses_nothing_acknowledged_and_is_replaced(
    server: Server, seeded: tuple[Path, dict[str, str]]
) -> None:
    found, _ = crashes(server, seeded[1]["live"], server.kill_writer, _nothing, n_kills=2, seed=4)
    sound(found)


@needs_proc
def test_a_killed_process_that_writes_to_postgresql_is_replaced(apart: tuple[Server, str]) -> None:
    found, _ = crashes(*apart, apart[0].kill_writer, _nothing, n_kills=1, seed=5)
    sound(found)


def test_a_killed_postgresql_loses_nothing_acknowledged_and_the_server_survives_it(
    apart: tuple[Server, str], own: cluster.Cluster
) -> None:
    found, _ = crashes(*apart, own.kill, own.start, n_kills=1, seed=2)
    sound(found)


# --- the full form --------------------------------------------------------------------


def _cold_start() -> float:
    """Seconds of processor time until the modules of a server are loaded."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import uvicorn, assess.delivery.app"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _say(kind: str, found: Account, resumed: list[Resumed], seed: int) -> None:
    seconds, processor = [each.seconds for each in resumed], [each.processor for each in resumed]
    record(
        f"kill -9 of {kind} under load",
        f"{len(resumed)} kills: of {found.n_acknowledged:,} acknowledged answers {found.n_lost} lost; "
        f"{found.n_decisions:,} decisions, {found.n_other} unlike an undisturbed run; first answer after a "
        f"start in {statistics.median(seconds):.1f} s, at most {max(seconds):.1f} s, for which the server "
        f"worked {statistics.median(processor):.2f} s, at most {max(processor):.2f} s, at a load of "
        f"{os.getloadavg()[1]:.0f} on {os.cpu_count()} processors (modules loaded before; loading them takes "
        f"{_cold_start():.1f} s of work)",
        seed=seed,
    )
    sound(found)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_a_hundred_kills_of_a_server_on_sqlite(server: Server, seeded: tuple[Path, dict[str, str]]) -> None:
    found, resumed = crashes(server, seeded[1]["live"], server.kill, server.launch, n_kills=100, seed=11)
    _say("the server on SQLite", found, resumed, 11)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_fifty_kills_of_the_process_that_writes_to_sqlite(
    server: Server, seeded: tuple[Path, dict[str, str]]
) -> None:
    found, resumed = crashes(server, seeded[1]["live"], server.kill_writer, _nothing, n_kills=50, seed=14)
    _say("the process that writes to SQLite", found, resumed, 14)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_fifty_kills_of_the_process_that_writes_to_postgresql(apart: tuple[Server, str]) -> None:
    found, resumed = crashes(*apart, apart[0].kill_writer, _nothing, n_kills=50, seed=15)
    _say("the process that writes to PostgreSQL", found, resumed, 15)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_fifty_kills_of_a_server_on_postgresql(apart: tuple[Server, str]) -> None:
    found, resumed = crashes(*apart, apart[0].kill, apart[0].launch, n_kills=50, seed=12)
    _say("the server on PostgreSQL", found, resumed, 12)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_fifty_kills_of_postgresql(apart: tuple[Server, str], own: cluster.Cluster) -> None:
    found, resumed = crashes(*apart, own.kill, own.start, n_kills=50, seed=13)
    _say("PostgreSQL below a server", found, resumed, 13)
