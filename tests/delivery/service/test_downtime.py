"""Time in which no server runs, and steps of the machine's clock: neither takes anything from a learner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from assess.delivery.clock import SteadyClock
from assess.delivery.pages.language import language
from assess.delivery.service import downtime, incidents, sessions, settling
from assess.delivery.service.downtime import look_back
from assess.delivery.settings import Settings
from assess.delivery.store import reading, sitting
from assess.delivery.store.rows_sitting import Heartbeat
from assess.errors import ClockApart
from tests.delivery.conftest import open_world
from tests.delivery.world import NOON, Clock, World


@contextmanager
def server(found: Settings, clock: Clock, known: dict[str, str] | None = None) -> Iterator[World]:
    """A server from its start to its stop."""
    yield from open_world(found, clock, known)


def beating(found: Settings) -> Settings:
    # Long enough that no heartbeat comes by itself while a test runs.
    return replace(found, heartbeat_seconds=3600.0)


def left(world: World, session: str) -> int:
    found: int = world.call("GET", f"/v1/sessions/{session}").json()["seconds_left"]
    return found


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers stop without a word, as after kill -9."""

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(downtime, "stop", nothing)


def heartbeats(world: World) -> list[Heartbeat]:
    return world.ask(sitting.heartbeats)


def test_the_time_between_two_servers_is_given_back_to_who_was_sitting(
    both_settings: Settings, clock: Clock
) -> None:
    found = beating(both_settings)
    with server(found, clock) as world:
        running = world.begin(world.learner("lrn_1"))["session"]
        handed_in = world.sit(world.learner("lrn_2"))
        clock.advance(minutes=5)
        known = dict(world.keys)
    clock.advance(minutes=40)
    with server(found, clock, known) as world:
        assert left(world, running) == 1800 - 300
        (incident,) = world.ask(sitting.incidents, "default", sandbox=False)
        assert (incident.kind, incident.action, incident.by) == ("downtime", "add_time", "server")
        assert incident.to_at - incident.from_at == timedelta(minutes=40)
        assert incident.done_at is not None
        rows = world.ask(sitting.incident_sessions, "default", incident.id)
        assert [(row.session, row.state, row.seconds) for row in rows] == [(running, "done", 2400)]
        records = world.ask(reading.session_records, "default", running)
        assert records is not None
        (event,) = records.events
        assert (event.data["cause"], event.data["incident"]) == ("downtime", incident.id)
        notice = world.call("GET", f"/v1/sessions/{running}").json()["notices"][0]
        assert (notice["action"], notice["seconds"]) == ("add_time", 2400)
        assert world.call("GET", f"/v1/sessions/{handed_in}").json()["notices"] == []
        # Carried on once more, it does nothing more.
        world.run(incidents.carry_on)
        assert left(world, running) == 1500
        assert len(heartbeats(world)) == 1


def test_what_was_killed_counts_from_its_last_heartbeat(
    settings: Settings, clock: Clock, killed: None
) -> None:
    found = beating(settings)
    with server(found, clock) as world:
        session = world.begin(world.learner())["session"]
        clock.advance(minutes=2)
        (own,) = heartbeats(world)
        pulse = settling.Pulse(own.process, own.started_at, True, world.services.monotonic(), own.at)
        world.run(downtime.beat, pulse)
        clock.advance(seconds=3)
        known = dict(world.keys)
    clock.advance(minutes=50)
    with server(found, clock, known) as world:
        # Two minutes were used; the three seconds after the last heartbeat are the learner's gain.
        assert left(world, session) == 1680


def test_a_session_on_a_break_and_one_whose_time_was_over_get_nothing_twice(
    settings: Settings, clock: Clock
) -> None:
    found = beating(settings)
    with server(found, clock) as world:
        over = world.begin(world.learner("lrn_1"))["session"]
        clock.advance(minutes=31)
        world.learner("lrn_2")
        world.call("PUT", "/v1/learners/lrn_2/accommodations", {"breaks": 1, "break_minutes": 10})
        pausing = world.begin("lrn_2")["session"]
        world.call("POST", f"/v1/sessions/{pausing}/break")
        known = dict(world.keys)
    clock.advance(minutes=15)
    with server(found, clock, known) as world:
        # Ten minutes of break, five of downtime: the clock stands where it stood.
        assert left(world, pausing) == 1800
        assert world.call("GET", f"/v1/sessions/{over}").json()["state"] == "finished"


def test_a_start_without_open_sessions_makes_no_incident(settings: Settings, clock: Clock) -> None:
    found = beating(settings)
    with server(found, clock) as world:
        known = dict(world.keys)
    clock.advance(hours=8)
    with server(found, clock, known) as world:
        assert world.ask(sitting.incidents, "default", sandbox=False) == []


def test_a_short_restart_takes_nothing_either(settings: Settings, clock: Clock) -> None:
    found = beating(settings)
    with server(found, clock) as world:
        session = world.begin(world.learner())["session"]
        known = dict(world.keys)
    clock.advance(seconds=2)
    with server(found, clock, known) as world:
        assert left(world, session) == 1800


def test_an_incident_over_downtime_gives_only_what_downtime_left(
    both_settings: Settings, clock: Clock
) -> None:
    found = beating(both_settings)
    with server(found, clock) as world:
        session = world.begin(world.learner())["session"]
        clock.advance(minutes=5)
        known = dict(world.keys)
    clock.advance(minutes=10)
    with server(found, clock, known) as world:
        assert left(world, session) == 1500
        clock.advance(minutes=1)
        body = {
            "action": "add_time",
            "scope": {"tenant": True},
            "from": "2026-11-22T12:04:00Z",
            "to": "2026-11-22T12:16:00Z",
            "reason": "a power cut",
        }
        for dry_run in (True, False):
            reply = world.call("POST", "/v1/incidents", body | {"dry_run": dry_run}).json()
            assert [(s["state"], s["seconds"], s["why"]) for s in reply["sessions"]] == [
                ("done", 120, "less 600 s that had been given back for that time")
            ]
        # A minute before the outage and one after it: the clock stands where it stood at 12:04.
        assert left(world, session) == 1800 - 240
        inside = body | {"from": "2026-11-22T12:06:00Z", "to": "2026-11-22T12:14:00Z"}
        (told,) = world.call("POST", "/v1/incidents", inside).json()["sessions"]
        assert (told["state"], told["seconds"]) == ("skipped", 0)
        assert told["why"] == "that time had been given back already (480 s)"
        # What somebody states is given as it is stated, and the dry run says what there was before.
        (told,) = world.call("POST", "/v1/incidents", inside | {"seconds": 60}).json()["sessions"]
        assert (told["state"], told["seconds"]) == ("done", 60)
        assert told["why"] == "as declared, beside 480 s that had been given back for that time"
        assert left(world, session) == 1800 - 240 + 60


# --- several processes -----------------------------------------------------------


def row(name: str, at: float, *, started: float = -1000.0, stopped: bool = False) -> Heartbeat:
    instant = NOON + timedelta(seconds=at)
    return Heartbeat(name, NOON + timedelta(seconds=started), instant, instant if stopped else None)


@pytest.mark.parametrize(
    ("others", "now", "settled", "since"),
    [
        # Nobody was ever here.
        ([], 0, True, None),
        # All stopped on purpose a moment ago.
        ([row("a", -4, stopped=True)], 0, True, -4),
        # One may be alive: its last heartbeat is young.
        ([row("a", -4)], 0, False, None),
        # It beat after this one had started: it lives.
        ([row("a", 1)], 5, True, None),
        # It did not for three heartbeats: it was dead when this one started.
        ([row("a", -4)], 16, True, -4),
        # The latest of all counts.
        ([row("a", -400), row("b", -60)], 0, True, -60),
        # One stopped, another one lives.
        ([row("a", -300, stopped=True), row("b", 0.5)], 5, True, None),
        # Less than a second is no downtime.
        ([row("a", -0.5, stopped=True)], 0, True, None),
    ],
)
def test_downtime_is_time_in_which_no_process_was_alive(
    others: list[Heartbeat], now: float, settled: bool, since: float | None
) -> None:
    found = look_back(others, NOON, NOON + timedelta(seconds=now), interval=5.0, alone=False)
    wanted = () if since is None else ((NOON + timedelta(seconds=since), NOON),)
    assert (found.settled, found.gaps) == (settled, wanted)


def test_with_one_process_every_gap_is_certain_at_once() -> None:
    found = look_back([row("a", -4)], NOON, NOON, interval=5.0, alone=True)
    assert (found.settled, found.gaps) == (True, ((NOON - timedelta(seconds=4), NOON),))


def test_two_servers_that_start_after_one_outage_give_it_back_once(
    pg_url: str, tmp_path: Path, clock: Clock
) -> None:
    from tests.delivery.world import settings as world_settings

    found = beating(world_settings(tmp_path, database_url=pg_url))
    with server(found, clock) as world:
        session = world.begin(world.learner())["session"]
        known = dict(world.keys)
    clock.advance(minutes=10)
    with server(found, clock, known) as first, server(found, clock, known) as second:
        assert left(first, session) == left(second, session) == 1800
        assert len(heartbeats(first)) == 2
        clock.advance(minutes=1)
    # One of two stops: nothing was down.
    with server(found, clock, known) as first:
        with server(found, clock, known):
            clock.advance(minutes=1)
        assert left(first, session) == 1800 - 120
        assert len(first.ask(sitting.incidents, "default", sandbox=False)) == 1


def test_a_process_that_looked_alive_and_was_dead_is_noticed_later(
    pg_url: str, tmp_path: Path, clock: Clock, killed: None
) -> None:
    from tests.delivery.world import settings as world_settings

    found = replace(world_settings(tmp_path, database_url=pg_url), heartbeat_seconds=3600.0)
    with server(found, clock) as world:
        session = world.begin(world.learner())["session"]
        known = dict(world.keys)
    clock.advance(minutes=10)
    with server(found, clock, known) as world:
        assert left(world, session) == 1200
        own = max(heartbeats(world), key=lambda beat: beat.started_at)
        pulse = settling.Pulse(own.process, own.started_at, False, world.services.monotonic(), own.at)
        world.run(downtime.beat, pulse)
        assert (pulse.settled, left(world, session)) == (False, 1200)
        clock.advance(hours=3)
        world.run(downtime.beat, pulse)
        assert pulse.settled
        (incident,) = world.ask(sitting.incidents, "default", sandbox=False)
        assert incident.to_at - incident.from_at == timedelta(minutes=10)


def test_a_database_that_took_nothing_for_a_while_stopped_the_clocks(
    settings: Settings, clock: Clock
) -> None:
    found = beating(settings)
    with server(found, clock) as world:
        session = world.begin(world.learner())["session"]
        (own,) = heartbeats(world)
        long_ago = world.services.monotonic() - 4 * 3600
        pulse = settling.Pulse(own.process, own.started_at, True, long_ago, own.at)
        clock.advance(minutes=10)
        world.run(downtime.beat, pulse)
        assert left(world, session) == 1800
        clock.advance(minutes=1)
        world.run(downtime.beat, pulse)
        assert left(world, session) == 1740


def test_a_heartbeat_that_somebody_took_away_is_written_again(settings: Settings, clock: Clock) -> None:
    with server(beating(settings), clock) as world:
        (own,) = heartbeats(world)
        pulse = settling.Pulse("prc_other", NOON, True, world.services.monotonic(), NOON)
        world.run(downtime.beat, pulse)
        assert {beat.process for beat in heartbeats(world)} == {own.process, "prc_other"}


def test_without_heartbeats_nothing_is_given_back(settings: Settings, clock: Clock) -> None:
    with server(settings, clock) as world:
        session = world.begin(world.learner())["session"]
        known = dict(world.keys)
    clock.advance(minutes=10)
    with server(settings, clock, known) as world:
        assert left(world, session) == 1200
        assert heartbeats(world) == []


# --- steps of the clock -------------------------------------------------------------


class Machine:
    """A machine whose time of day is set while its monotonic clock runs on."""

    def __init__(self, start: datetime = NOON) -> None:
        self.start, self.passed, self.stepped = start, 0.0, 0.0

    def wall(self) -> datetime:
        return self.start + timedelta(seconds=self.passed + self.stepped)

    def monotonic(self) -> float:
        return self.passed


@pytest.mark.parametrize("step", [-7200.0, -1.0, 3600.0, 86_400.0])
def test_a_step_of_the_time_of_day_neither_shortens_nor_lengthens(settings: Settings, step: float) -> None:
    machine = Machine()
    steady: Any = SteadyClock(machine.wall, machine.monotonic)
    with server(settings, steady) as world:
        begun = world.begin(world.learner())
        session = begun["session"]
        machine.passed += 60
        assert left(world, session) == 1740
        machine.stepped = step
        assert left(world, session) == 1740
        machine.passed += 60
        assert left(world, session) == 1680
        assert world.respond(session, begun["current"], "b").status_code == 200
        assert world.run(sessions.sweep) == 0
        assert steady.ahead_of_wall() == timedelta(seconds=-step)


@pytest.mark.parametrize("step", [-7200.0, 3600.0])
def test_a_step_while_nothing_ran_takes_nothing_either(settings: Settings, step: float) -> None:
    machine = Machine()
    found = beating(settings)
    first: Any = SteadyClock(machine.wall, machine.monotonic)
    with server(found, first) as world:
        session = world.begin(world.learner())["session"]
        machine.passed += 60
        known = dict(world.keys)
    machine.passed += 30
    machine.stepped = step
    second: Any = SteadyClock(machine.wall, machine.monotonic)
    with server(found, second, known) as world:
        assert left(world, session) == 1740
        machine.passed += 60
        assert left(world, session) == 1680


def test_a_clock_that_was_wrong_at_one_start_is_not_followed_for_ever(settings: Settings) -> None:
    found = beating(settings)
    wrong: Any = SteadyClock(Machine(datetime(2036, 1, 1, tzinfo=UTC)).wall, Machine().monotonic)
    with server(found, wrong) as world:
        known = dict(world.keys)
    right: Any = SteadyClock(Machine().wall, Machine().monotonic)
    told = r"2026-11-22 12:00:00 UTC.* 2036-01-01 .*heartbeats --forget"
    with pytest.raises(ClockApart, match=told), server(found, right, known):
        raise AssertionError("it started")
    # Somebody says that the clock is right now.
    with server(settings, right, known) as world:
        assert world.run(downtime.forget) == 1
    with server(found, right, known) as world:
        assert world.services.clock() == NOON


def test_a_server_that_goes_on_from_a_heartbeat_says_so(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    found, machine = beating(settings), Machine()
    ahead: Any = SteadyClock(Machine(NOON + timedelta(hours=3)).wall, machine.monotonic)
    with server(found, ahead) as world:
        known = dict(world.keys)
    behind: Any = SteadyClock(machine.wall, machine.monotonic)
    with server(found, behind, known) as world:
        assert world.services.clock() == NOON + timedelta(hours=3)
    (told,) = [r.getMessage() for r in caplog.records if "time goes on from the former" in r.getMessage()]
    assert "2026-11-22 15:00:00" in told
    assert "2026-11-22 12:00:00" in told


def test_daylight_saving_changes_what_is_shown_and_not_what_is_left(settings: Settings) -> None:
    zone = ZoneInfo("Europe/Paris")
    before = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)  # ten minutes before the clocks go back
    clock = Clock(before)
    with server(settings, clock) as world:
        world.learner()
        world.call("PUT", "/v1/learners/lrn_1/accommodations", {"breaks": 1, "break_minutes": 20})
        begun = world.begin()
        session = begun["session"]
        clock.advance(minutes=15)
        assert left(world, session) == 900
        assert language("en").moment(before, zone).endswith("02:50 UTC+02:00")
        assert language("en").moment(clock.now, zone).endswith("02:05 UTC+01:00")
        world.call("POST", f"/v1/sessions/{session}/break")
        clock.advance(minutes=10)
        world.call("POST", f"/v1/sessions/{session}/break/end")
        assert left(world, session) == 900
        assert world.respond(session, begun["current"], "b").status_code == 200


def test_a_server_tells_once_that_its_clock_was_stepped(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    steady: Any = SteadyClock(machine.wall, machine.monotonic)
    with server(beating(settings), steady) as world:
        (own,) = heartbeats(world)
        pulse = settling.Pulse(own.process, own.started_at, True, world.services.monotonic(), own.at)
        machine.stepped = 600
        for _ in range(2):
            world.run(downtime.beat, pulse)
    told = [record for record in caplog.records if "time of day was set" in record.getMessage()]
    assert len(told) == 1
