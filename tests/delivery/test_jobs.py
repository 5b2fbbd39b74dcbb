"""Work that is done later: done once, put off, given up in plain sight, and taken over from the dead."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from assess.delivery.jobs import KEYS_KEPT, LEASE, MAX_ATTEMPTS, RECURRING, Worker, delay, worker
from assess.delivery.service import Services, open_services
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import Idempotency, Job
from assess.errors import StaleSession
from tests.delivery.store.test_stores import learner
from tests.delivery.world import NOON, Clock, World

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.fixture
def services(both_settings: Settings, clock: Clock) -> Iterator[Services]:
    """Services on SQLite, then on PostgreSQL, without any content."""
    found = run(open_services(both_settings, clock=clock))
    yield found
    found.store.close()


def write(services: Services, *rows: Any, **more: Any) -> None:
    run(services.store.commit(Writes("default", inserts=rows, **more)))


def jobs(services: Services) -> list[Job]:
    return run(services.store.read(reading.jobs))


class Noting:
    """A handler that notes what it did, and fails as long as it is told to."""

    def __init__(self) -> None:
        self.done: list[Any] = []
        self.fails = False

    async def __call__(self, services: Services, payload: Mapping[str, Any]) -> None:
        if self.fails:
            raise RuntimeError("the printer is out of paper")
        self.done.append(payload["n"])


# --- jobs -------------------------------------------------------------------------


def test_a_job_is_done_when_it_is_due_and_then_gone(services: Services, clock: Clock) -> None:
    noting = Noting()
    found = Worker(services, {"note": noting})
    write(services, Job("a", "note", {"n": 1}, NOON), Job("b", "note", {"n": 2}, NOON + timedelta(minutes=1)))
    assert run(found.work()) == 1
    assert (noting.done, [job.id for job in jobs(services)]) == ([1], ["b"])
    clock.advance(minutes=1)
    run(found.work())
    assert (noting.done, jobs(services)) == ([1, 2], [])


def test_a_job_is_written_with_what_it_rests_on_or_not_at_all(services: Services) -> None:
    write(services, learner())
    with pytest.raises(StaleSession):
        write(services, Job("a", "note", {"n": 1}, NOON), learner())
    assert jobs(services) == []


def test_a_kind_that_this_version_does_not_know_is_left_to_another(services: Services) -> None:
    write(services, Job("a", "of tomorrow", {}, NOON))
    assert run(Worker(services, {"note": Noting()}).work()) == 0
    assert [(job.attempts, job.lease) for job in jobs(services)] == [(0, None)]


def test_what_fails_is_put_off_longer_each_time_and_then_given_up_in_plain_sight(
    services: Services, clock: Clock
) -> None:
    noting = Noting()
    noting.fails = True
    found = Worker(services, {"note": noting})
    write(services, Job("a", "note", {"n": 1}, NOON))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert run(found.work()) == 1
        (job,) = jobs(services)
        assert (job.attempts, job.lease, job.run_at) == (attempt, None, clock.now + delay(attempt))
        assert job.error == "RuntimeError: the printer is out of paper"
        clock.now = job.run_at
    clock.advance(days=1)
    assert run(found.work()) == 0
    backlog = run(services.store.read(reading.backlog, Job))
    assert (backlog.n_waiting, backlog.n_dead) == (0, 1)
    assert backlog.last_error == "RuntimeError: the printer is out of paper"


def test_a_dead_workers_job_is_taken_over_after_its_lease_and_not_before(
    services: Services, clock: Clock
) -> None:
    noting = Noting()
    write(services, Job("a", "note", {"n": 1}, NOON))
    dead, heir = Worker(services, {"note": noting}), Worker(services, {"note": noting})
    (claimed,) = run(dead._claim(1, ("note",)))
    assert claimed.attempts == 1
    assert run(heir.work()) == 0
    clock.advance(seconds=LEASE.total_seconds() + 1)
    assert run(heir.work()) == 1
    assert (noting.done, jobs(services)) == ([1], [])


def test_who_lost_the_lease_ends_nothing(services: Services, clock: Clock) -> None:
    """A slow worker comes back after another one took over, and must not put the job off under it."""
    noting = Noting()
    noting.fails = True
    slow = Worker(services, {"note": noting})
    write(services, Job("a", "note", {"n": 1}, NOON))
    (old,) = run(slow._claim(1, ("note",)))
    clock.advance(seconds=LEASE.total_seconds() + 1)
    (new,) = run(slow._claim(1, ("note",)))
    run(slow._do(old))
    noting.fails = False
    run(slow._do(old))
    assert [job.lease for job in jobs(services)] == [new.lease]


def test_a_job_that_kills_every_worker_is_given_up_too(services: Services, clock: Clock) -> None:
    noting = Noting()
    found = Worker(services, {"note": noting})
    write(services, Job("a", "note", {"n": 1}, NOON))
    for _ in range(MAX_ATTEMPTS):
        run(found._claim(1, ("note",)))
        clock.advance(seconds=LEASE.total_seconds() + 1)
    run(found.work())
    (job,) = jobs(services)
    assert (noting.done, job.dead_at) == ([], clock.now)
    assert "every worker that claimed it ended" in str(job.error)


def test_workers_that_claim_at_the_same_moment_never_do_one_job_twice(
    services: Services, both_settings: Settings, clock: Clock
) -> None:
    """On PostgreSQL each worker has a store of its own, as a process would."""
    n_jobs, n_workers = 60, 4
    noting = Noting()
    write(services, *(Job(f"j{n:02d}", "note", {"n": n}, NOON) for n in range(n_jobs)))
    apart = both_settings.sqlite_path is None
    others = [run(open_services(both_settings, clock=clock)) for _ in range(n_workers - 1)] if apart else []

    async def together() -> list[int]:
        of = [services, *others] if apart else [services] * n_workers
        return await asyncio.gather(*(Worker(each, {"note": noting}).work() for each in of))

    shares = run(together())
    for other in others:
        other.store.close()
    assert sorted(noting.done) == list(range(n_jobs))
    assert sum(shares) == n_jobs
    assert jobs(services) == []


_DIES = """
import asyncio, sys, time
from datetime import datetime, timedelta
from assess.delivery.jobs import Worker
from assess.delivery.service import open_services
from assess.delivery.settings import Settings

async def hang(services, payload):
    print("begun", flush=True)
    time.sleep(600)

async def main():
    now = datetime.fromisoformat(sys.argv[2])
    services = await open_services(Settings(database_url=sys.argv[1]), clock=lambda: now)
    await Worker(services, {"note": hang}).work()

asyncio.run(main())
"""


def test_a_worker_that_is_killed_in_its_work_loses_nothing(both_settings: Settings, clock: Clock) -> None:
    before = run(open_services(both_settings, clock=clock))
    write(before, Job("a", "note", {"n": 1}, NOON))
    before.store.close()
    arguments = [sys.executable, "-c", _DIES, both_settings.database_url, NOON.isoformat()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.kill()
    noting = Noting()
    after = run(open_services(both_settings, clock=clock))
    heir = Worker(after, {"note": noting})
    try:
        assert run(heir.work()) == 0
        clock.advance(seconds=LEASE.total_seconds() + 1)
        run(heir.work())
        assert (noting.done, jobs(after)) == ([1], [])
    finally:
        after.store.close()


# --- what comes again and again -----------------------------------------------------


def test_the_sweep_ends_what_is_overdue_and_comes_again(world: World) -> None:
    services = replace(world.services, settings=replace(world.services.settings, sweep_seconds=20.0))
    found = worker(services)
    world.begin(world.learner())

    def work() -> None:
        assert world.client.portal is not None
        world.client.portal.call(found.prepare)
        world.client.portal.call(found.work)

    work()
    world.clock.advance(days=1)
    work()
    assert world.ask(reading.overdue_sessions, world.clock.now, 10) == []
    due = {job.id: job.run_at - world.clock.now for job in world.ask(reading.jobs)}
    assert due == {
        "sweep": timedelta(seconds=20),
        "forget-keys": timedelta(hours=1),
        "expiry": timedelta(minutes=5),
    }


def test_a_clock_that_was_set_back_delays_nothing_beyond_its_next_turn(
    services: Services, clock: Clock
) -> None:
    found = worker(services)
    run(found.prepare())
    run(found.work())
    clock.advance(days=-1)
    run(found.prepare())
    due = {job.id: job.run_at - clock.now for job in jobs(services)}
    assert due == {"forget-keys": timedelta(hours=1), "expiry": timedelta(minutes=5)}


def test_what_comes_again_is_never_given_up(services: Services, clock: Clock) -> None:
    async def fails(services: Services, payload: Mapping[str, Any]) -> None:
        raise RuntimeError("no")

    found = Worker(services, {"forget-keys": fails})
    run(found.prepare())
    for _ in range(MAX_ATTEMPTS + 3):
        assert run(found.work()) == 1
        clock.advance(hours=1)
    (job,) = (job for job in jobs(services) if job.id == "forget-keys")
    assert (job.dead_at, job.error) == (None, "RuntimeError: no")
    run(Worker(services, RECURRING).work())
    (job,) = (job for job in jobs(services) if job.id == "forget-keys")
    assert (job.attempts, job.error, job.run_at) == (0, None, clock.now + timedelta(hours=1))


def test_only_idempotency_keys_that_nobody_repeats_any_more_are_forgotten(
    services: Services, clock: Clock
) -> None:
    ages = {"old": KEYS_KEPT + timedelta(seconds=1), "young": KEYS_KEPT - timedelta(seconds=1)}
    write(
        services,
        *(Idempotency("default", "me", "r", name, "0", "x", NOON - age) for name, age in ages.items()),
    )
    found = worker(services)
    run(found.prepare())
    run(found.work())
    kept = [
        name
        for name in ages
        if run(services.store.read(reading.idempotency, "default", "me", "r", name)) is not None
    ]
    assert kept == ["young"]


def test_the_loop_goes_on_after_a_fault_and_ends_when_it_is_told(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quick = replace(services, settings=replace(services.settings, work_seconds=0.01))
    noting = Noting()
    found = Worker(quick, {"note": noting})
    write(services, Job("a", "note", {"n": 1}, NOON))
    prepare, calls = Worker.prepare, []

    async def fails_first(self: Worker) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the database is away")
        await prepare(self)

    monkeypatch.setattr(Worker, "prepare", fails_first)

    async def go() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(found.run(stop))
        deadline = time.monotonic() + 30
        while not noting.done:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        stop.set()
        await task

    run(go())
    assert "work was interrupted" in caplog.text


def test_a_server_does_its_own_work(tmp_path: Path, seeded: tuple[Path, dict[str, str]]) -> None:
    """Without a visitor: the session of a learner who walked away is ended by the server itself."""
    import shutil

    from tests.delivery.conftest import open_world
    from tests.delivery.world import settings as world_settings

    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    found = world_settings(tmp_path, sweep_seconds=0.05, work_seconds=0.02)
    for world in open_world(found, Clock(), seeded[1]):
        world.begin(world.learner())
        world.clock.advance(days=1)
        deadline = time.monotonic() + 30
        while world.ask(reading.overdue_sessions, world.clock.now, 10):
            assert time.monotonic() < deadline, "nobody swept"
            time.sleep(0.02)
