"""Nobody is ended by a clock before it is known what time was lost, and given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from assess.delivery.service import Services, downtime, finishing, incidents, keys, open_services, sessions
from assess.delivery.service.loading import load
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, reading, sitting
from assess.delivery.store.rows import Session
from assess.delivery.store.rows_sitting import Heartbeat, Incident
from assess.errors import StorageUnavailable
from assess.session import Ending
from tests.delivery.api.test_sitting import timed_world
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, refused
from tests.delivery.world import settings as world_settings

Pulses = list[Any]


@pytest.fixture
def pulses(monkeypatch: pytest.MonkeyPatch) -> Pulses:
    """The pulses of the servers in the order of their starts; they beat only when the test says so."""
    found: Pulses = []

    async def quiet(services: Services, pulse: Any) -> None:
        found.append(pulse)
        await asyncio.sleep(3600)

    monkeypatch.setattr(downtime, "keep_beating", quiet)
    return found


@contextmanager
def server(found: Settings, clock: Clock, known: dict[str, str] | None = None) -> Iterator[World]:
    yield from open_world(replace(found, heartbeat_seconds=5.0), clock, known)


@contextmanager
def refusing(*worlds: World) -> Iterator[None]:
    """A database that takes no write."""

    async def commit(writes: Writes) -> None:
        raise StorageUnavailable("the database refused the write")

    for world in worlds:
        world.services.store.commit = commit  # type: ignore[assignment,method-assign]
    yield
    for world in worlds:
        del world.services.store.commit


def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(downtime, "stop", nothing)


def beats(world: World, clock: Clock, pulse: Any) -> None:
    """A heartbeat of a server that has beaten all the time."""
    pulse.at, pulse.beaten = clock.now, world.services.monotonic()
    world.run(downtime.beat, pulse)


def outage(world: World, clock: Clock, pulse: Any, minutes: float = 10) -> None:
    """The last heartbeat, then a database that refuses; it is back before the next heartbeat."""
    beats(world, clock, pulse)
    clock.advance(seconds=1)
    with refusing(world):
        clock.advance(minutes=minutes)
        with pytest.raises(StorageUnavailable):
            world.run(downtime.beat, pulse)
    clock.advance(seconds=1)


def state(world: World, session: str) -> Any:
    return world.call("GET", f"/v1/sessions/{session}").json()


def given(world: World) -> list[list[tuple[str, int]]]:
    """What each incident of downtime gave."""
    rows = world.ask(sitting.incidents, "default", sandbox=False)
    return [
        [(row.state, row.seconds) for row in world.ask(sitting.incident_sessions, "default", found.id)]
        for found in rows
    ]


def _answers(world: World, begun: Any) -> None:
    assert world.respond(begun["session"], begun["current"], "b").status_code == 200


def _looks(world: World, begun: Any) -> None:
    assert state(world, begun["session"])["state"] == "in_progress"


def _sweeps(world: World, begun: Any) -> None:
    world.run(sessions.sweep)


# --- a database that refuses -------------------------------------------------------


@pytest.mark.parametrize("first", [_answers, _looks, _sweeps])
def test_who_comes_before_the_next_heartbeat_has_the_time_of_the_outage(
    both_settings: Settings, clock: Clock, pulses: Pulses, first: Callable[[World, Any], None]
) -> None:
    with server(both_settings, clock) as world:
        begun = world.begin(world.learner())
        clock.advance(minutes=25)
        outage(world, clock, pulses[0])
        first(world, begun)
        found = state(world, begun["session"])
        assert (found["state"], found["seconds_left"]) == ("in_progress", 300)
        (notice,) = found["notices"]
        assert (notice["action"], notice["seconds"]) == ("add_time", 602)
        clock.advance(seconds=4)
        world.run(downtime.beat, pulses[0])
        assert given(world) == [[("done", 602)]]
        assert state(world, begun["session"])["seconds_left"] == 296


def test_an_item_whose_clock_ran_out_in_an_outage_is_answered_after_it(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        timed_world(world, item_time_limit_seconds=30)
        begun = world.begin(world.learner(), form="x-timed")
        outage(world, clock, pulses[0])
        answered = world.respond(begun["session"], begun["current"], "b")
        assert answered.status_code == 200, answered.text
        records = world.ask(reading.session_records, "default", begun["session"])
        assert records is not None
        assert [event.type for event in records.events] == ["time_granted"]


def test_who_began_after_the_last_heartbeat_is_given_the_time_though_nobody_else_sits(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        world.learner()
        world.run(downtime.beat, pulses[0])
        clock.advance(seconds=2)
        session = world.begin()["session"]
        clock.advance(minutes=40)
        world.run(downtime.beat, pulses[0])
        assert state(world, session)["seconds_left"] == 1800


def test_whose_time_was_over_before_the_outage_is_ended(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        begun = world.begin(world.learner())
        clock.advance(minutes=31)
        outage(world, clock, pulses[0])
        refused(world.respond(begun["session"], begun["current"], "b"), 410, "session_expired")
        assert state(world, begun["session"])["state"] == "finished"


def test_while_the_database_refuses_nobody_is_ended(settings: Settings, clock: Clock, pulses: Pulses) -> None:
    with server(settings, clock) as world:
        begun = world.begin(world.learner())
        with refusing(world):
            clock.advance(minutes=40)
            answer = world.respond(begun["session"], begun["current"], "b")
            refused(answer, 503, "storage_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert world.run(sessions.sweep) == 0


def test_time_that_could_not_be_given_back_at_once_is_given_by_the_next_heartbeat(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        session = world.begin(world.learner())["session"]
        clock.advance(minutes=10)
        store = world.services.store
        real = store.commit

        async def commit(writes: Writes) -> Any:
            if any(isinstance(row, Incident) for row in writes.inserts):
                raise StorageUnavailable("the disk is full")
            return await real(writes)

        store.commit = commit  # type: ignore[method-assign]
        with pytest.raises(StorageUnavailable):
            world.run(downtime.beat, pulses[0])
        del store.commit
        clock.advance(seconds=5)
        world.run(downtime.beat, pulses[0])
        assert state(world, session)["seconds_left"] == 1800


def test_a_server_that_stops_after_an_outage_leaves_the_time_to_be_given(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        session = world.begin(world.learner())["session"]
        clock.advance(minutes=10)
        known = dict(world.keys)
    clock.advance(minutes=5)
    with server(settings, clock, known) as world:
        assert state(world, session)["seconds_left"] == 1800


# --- a database that hangs -----------------------------------------------------------


@contextmanager
def hanging(world: World, clock: Clock, kind: type, minutes: float = 10) -> Iterator[None]:
    """The next write of this kind of row is stored, after a while."""
    store = world.services.store
    real, left = store.commit, [True]

    async def commit(writes: Writes) -> Any:
        kinds = [type(row) for row in writes.inserts]
        kinds += [row.row for row in writes.updates]
        if left and kind in kinds:
            left.clear()
            clock.advance(minutes=minutes)
        return await real(writes)

    store.commit = commit  # type: ignore[method-assign]
    yield
    del store.commit
    assert not left


def test_a_heartbeat_that_hangs_is_an_outage_until_it_is_stored(
    both_settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(both_settings, clock) as world:
        session = world.begin(world.learner())["session"]
        clock.advance(seconds=5)
        with hanging(world, clock, Heartbeat):
            world.run(downtime.beat, pulses[0])
        assert state(world, session)["seconds_left"] == 1800
        clock.advance(seconds=5)
        world.run(downtime.beat, pulses[0])
        assert state(world, session)["seconds_left"] == 1795


def test_an_incident_that_hangs_while_it_is_stored_costs_nothing_either(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        session = world.begin(world.learner())["session"]
        clock.advance(minutes=10)
        with hanging(world, clock, Incident):
            world.run(downtime.beat, pulses[0])
        assert state(world, session)["seconds_left"] == 1800
        assert given(world) == [[("done", 600)], [("done", 600)]]


def test_no_fault_ends_the_heartbeats(
    settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    beaten: list[int] = []

    async def beat(*_: object) -> None:
        beaten.append(1)
        if len(beaten) == 1:
            raise ValueError("a bug")
        if len(beaten) == 2:
            raise StorageUnavailable("the disk is full")
        raise asyncio.CancelledError

    monkeypatch.setattr(downtime, "beat", beat)
    with server(settings, clock) as world:
        quick = replace(world.services, settings=replace(settings, heartbeat_seconds=0.001))

        async def run(_: Services) -> None:
            with pytest.raises(asyncio.CancelledError):
                await downtime.keep_beating(quick, None)  # type: ignore[arg-type]

        world.run(run)
    assert len(beaten) == 3
    told = [record.getMessage() for record in caplog.records]
    assert "a heartbeat failed and will be tried again" in told
    assert "the heartbeat waits for the database: the disk is full" in told


def test_a_long_giving_does_not_stop_the_heartbeats(
    settings: Settings, clock: Clock, pulses: Pulses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would look like another outage, and be given back again and again."""
    with server(settings, clock) as world:
        quick = replace(world.services, settings=replace(settings, heartbeat_seconds=0.01))
        store, enough = world.services.store, asyncio.Event()
        real, stored = store.commit, [0]

        async def commit(writes: Writes) -> Any:
            stored[0] += any(row.row is Heartbeat for row in writes.updates)
            if stored[0] == 3:
                enough.set()
            return await real(writes)

        async def long(_: Services) -> int:
            await asyncio.wait_for(enough.wait(), 5)
            return 1

        monkeypatch.setattr(incidents, "carry_on", long)
        store.commit = commit  # type: ignore[method-assign]

        async def run(_: Services) -> None:
            await downtime.beat(quick, pulses[0])

        world.run(run)
        del store.commit
        assert stored[0] >= 3


# --- several processes -----------------------------------------------------------------


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may run, as on PostgreSQL."""
    monkeypatch.setattr(downtime, "_alone", lambda services: False)


def test_after_a_quick_restart_nobody_is_ended_until_it_is_known_who_ran(
    settings: Settings, clock: Clock, pulses: Pulses, several: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(monkeypatch)
    with server(settings, clock) as world:
        begun = world.begin(world.learner())
        clock.advance(minutes=30, seconds=8)
        beats(world, clock, pulses[0])
        known = dict(world.keys)
    clock.advance(seconds=10)
    with server(settings, clock, known) as world:
        assert not pulses[1].settled
        refused(world.respond(begun["session"], begun["current"], "b"), 503, "storage_unavailable")
        refused(world.call("GET", f"/v1/sessions/{begun['session']}"), 503, "storage_unavailable")
        assert world.run(sessions.sweep) == 0
        clock.advance(seconds=5)
        world.run(downtime.beat, pulses[1])
        assert pulses[1].settled
        assert given(world) == [[("done", 10)]]
        # Seven seconds of the grace were left, and five of them went by.
        _answers(world, begun)


def test_a_server_that_may_not_have_looked_back_yet_vouches_for_nobody() -> None:
    noon = Clock().now

    def row(name: str, started: float, at: float) -> Heartbeat:
        return Heartbeat(name, noon + timedelta(seconds=started), noon + timedelta(seconds=at))

    # One was killed four seconds ago, and another one started a second before this one.
    others = [row("killed", -1000, -4), row("new", -1, 4)]

    def found(seconds: float) -> downtime.Finding:
        now = noon + timedelta(seconds=seconds)
        return downtime.look_back(others, noon, now, interval=5.0, alone=False)

    assert not found(4).settled
    assert found(16).settled
    assert [(b - a).total_seconds() for a, b in found(16).gaps] == [3]


@contextmanager
def two_servers(folder: Path, url: str, clock: Clock) -> Iterator[tuple[World, World]]:
    found = world_settings(folder, database_url=url)
    with server(found, clock) as first:
        clock.advance(seconds=2)
        with server(found, clock, dict(first.keys)) as second:
            yield first, second


@pytest.mark.parametrize("when", ["before", "after"])
def test_two_servers_that_come_back_at_the_same_moment_give_the_time_once(
    pg_url: str, tmp_path: Path, clock: Clock, pulses: Pulses, when: str
) -> None:
    with two_servers(tmp_path, pg_url, clock) as (first, second):
        session = first.begin(first.learner())["session"]
        for n, world in enumerate((first, second)):
            clock.advance(seconds=2)
            world.run(downtime.beat, pulses[n])
        clock.advance(minutes=10)
        # The other one beats while this one reads who else ran.
        store = first.services.store
        real, left_ = store.read, [True]

        async def read(query: Any, *args: Any, **kwargs: Any) -> Any:
            if query is not sitting.heartbeats or not left_:
                return await real(query, *args, **kwargs)
            left_.clear()
            if when == "before":
                await asyncio.to_thread(second.run, downtime.beat, pulses[1])
            found = await real(query, *args, **kwargs)
            if when == "after":
                await asyncio.to_thread(second.run, downtime.beat, pulses[1])
            return found

        store.read = read  # type: ignore[assignment,method-assign]
        first.run(downtime.beat, pulses[0])
        del store.read
        # Used: at most the few seconds between two heartbeats.
        assert 1800 - 4 <= state(first, session)["seconds_left"] <= 1800
        assert state(first, session) == state(second, session)


def test_an_incident_that_another_server_still_carries_out_is_not_waited_for(
    settings: Settings, clock: Clock, pulses: Pulses, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(settings, clock) as world:
        begun = world.begin(world.learner())
        clock.advance(minutes=25)
        outage(world, clock, pulses[0])

        async def nothing(*_: object) -> int:
            return 0

        monkeypatch.setattr(incidents, "carry_on", nothing)
        world.run(downtime.beat, pulses[0])
        assert given(world) == [[]]
        _answers(world, begun)
        assert given(world) == [[("done", 602)]]


def test_a_worker_beside_servers_ends_nobody_before_a_server_knows_what_was_lost(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        world.learner()

        async def sweep(services: Services) -> int:
            worker = await open_services(services.settings, clock=clock, store=services.store)
            return await sessions.sweep(worker)

        for _ in range(3):
            clock.advance(seconds=5)
            world.run(downtime.beat, pulses[0])
        session = world.begin()["session"]
        clock.advance(minutes=40)
        # No server beats: its database was away, or nothing runs.
        assert world.run(sweep) == 0
        assert world.run(sweep) == 0
        world.run(downtime.beat, pulses[0])
        assert world.run(sweep) == 0
        assert state(world, session)["seconds_left"] == 1800
        for _ in range(500):
            clock.advance(seconds=5)
            world.run(downtime.beat, pulses[0])
        assert world.run(sweep) == 1
        assert state(world, session)["state"] == "finished"


def test_an_answer_in_time_asks_nothing_about_heartbeats(
    settings: Settings, clock: Clock, pulses: Pulses
) -> None:
    with server(settings, clock) as world:
        begun = world.begin(world.learner())
        clock.advance(minutes=10)  # however old the last heartbeat is
        asked: list[Any] = []
        store = world.services.store
        real = store.read

        async def read(query: Any, *args: Any, **kwargs: Any) -> Any:
            asked.append(query)
            return await real(query, *args, **kwargs)

        store.read = read  # type: ignore[assignment,method-assign]
        _answers(world, begun)
        del store.read
        assert not {sitting.heartbeats, sitting.unfinished_incidents} & set(asked)


def test_who_was_ended_while_lost_time_was_looked_for_is_ended_once(world: World) -> None:
    session = world.begin(world.learner())["session"]
    world.clock.advance(minutes=31)
    services, scope = world.services, keys.local("default", "test")
    settle = services.settling.how

    async def meanwhile(_: Session | None) -> bool:
        services.settling.how = settle
        loaded = await load(services, scope, session)
        await finishing.end(services, loaded, Ending("timed_out", loaded.state.closes_at))
        return True

    services.settling.how = meanwhile
    assert world.run(finishing.touched, scope, session).state.ending is not None
    records = world.ask(reading.learner_records, "default", "lrn_1")
    assert records is not None
    assert len(records.decisions) == 1
