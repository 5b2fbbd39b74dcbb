"""When no server runs, no clock of a learner runs.

Every server writes a heartbeat every few seconds. The one that starts after an
outage finds the last heartbeat, and gives the time since then back to every
session whose clock was running: as an incident of the kind downtime with an
event in each session, before the first request is answered.

With one process (SQLite) every gap is an outage. With several it is one only
if no other was alive. A process that was killed a moment ago looks alive until
its heartbeat is old; a server that cannot tell yet asks again until it can.

A database that takes no heartbeat, by refusing it or by hanging, is an outage
too. Nobody is ended by a clock before all of this is known (`settle`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from assess.delivery.clock import SteadyClock
from assess.delivery.security import new_id
from assess.delivery.service import incidents
from assess.delivery.service.context import Services
from assess.delivery.service.settling import Pulse
from assess.delivery.settings import Settings
from assess.delivery.store import Store, Writes, sitting
from assess.delivery.store.columns import to_micros
from assess.delivery.store.rows import Delete, Session, Stored, Update
from assess.delivery.store.rows_sitting import Heartbeat, Incident
from assess.errors import AssessError, ClockApart, StaleSession, StorageUnavailable

log = logging.getLogger(__name__)

SHORTEST = timedelta(seconds=1)
_MISSED = 3  # a process that missed so many heartbeats is not running
_LATE = 2  # a heartbeat so old is asked for before anybody is ended
_STEPPED = timedelta(seconds=5)
# An hour of daylight saving, a wrong zone or local time taken for UTC is less. What is more is a clock that
# was never set, here or where the heartbeat was written, and which of them is not to be told from here.
FAR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the heartbeats of others say: whether that is certain, and from when to when nothing ran."""

    settled: bool
    gaps: tuple[tuple[datetime, datetime], ...] = ()


def look_back(
    others: Sequence[Heartbeat], started_at: datetime, now: datetime, *, interval: float, alone: bool
) -> Finding:
    """When no server was running before this one started.

    Each of the others ran from its start to its last heartbeat. Two that start
    one after the other find the same gaps, so neither has to trust the other.

    Parameters
    ----------
    others : sequence of Heartbeat
        Of every other process that is remembered.
    alone : bool
        No second process can be running beside this one (SQLite).

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    >>> killed = Heartbeat("p1", noon - timedelta(hours=1), noon - timedelta(minutes=4))
    >>> [(since, until)] = look_back([killed], noon, noon, interval=5.0, alone=False).gaps
    >>> until - since
    datetime.timedelta(seconds=240)
    """
    missed = timedelta(seconds=_MISSED * interval)
    gaps, ran_from = [], started_at
    for row in sorted(others, key=lambda row: row.at, reverse=True):
        if row.at < ran_from:
            if not alone and row.stopped_at is None and now - row.at < missed:
                return Finding(False)
            if ran_from - row.at >= SHORTEST:
                gaps.append((row.at, ran_from))
        ran_from = min(ran_from, row.started_at)
    return Finding(True, tuple(gaps))


async def begin(services: Services) -> Pulse | None:
    """The first heartbeat of this process, after what was lost before it was given back; None if off."""
    interval = services.settings.heartbeat_seconds
    if interval <= 0:
        return None
    others = await services.store.read(sitting.heartbeats)
    if others and isinstance(services.clock, SteadyClock):
        _go_on(services.clock, max(row.at for row in others))
    now, beaten = services.clock(), services.monotonic()
    found = look_back(others, now, now, interval=interval, alone=_alone(services))
    own = Heartbeat(new_id("prc"), now, now)
    await _record(services, own, found, others)
    pulse = Pulse(own.process, now, found.settled, beaten, now)
    services.settling.pulse = pulse
    await incidents.carry_on(services)
    return pulse


def require_near(last: datetime, now: datetime) -> None:
    """Refuse a machine whose time of day is far behind a stored heartbeat: one of the two is wrong.

    Going on from the heartbeat would keep a clock that was wrong once wrong for
    ever; going back would give everybody who sits years of time. Only a person
    can tell which clock was wrong, and no answer is lost until one does.

    Raises
    ------
    ClockApart
        With both times, and what to do in either case.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    >>> require_near(noon + timedelta(hours=2), noon)
    >>> require_near(noon + timedelta(days=2), noon)
    Traceback (most recent call last):
        ...
    assess.errors.ClockApart: this machine says 2026-11-22 12:00:00 UTC, and a server ran until ...
    """
    if last - now > FAR:
        raise ClockApart(
            f"this machine says {now:%Y-%m-%d %H:%M:%S} UTC, and a server ran until {last:%Y-%m-%d %H:%M:%S} "
            "UTC. If this machine is wrong, set its clock. If the other one was, stop it and type: "
            "assess heartbeats --forget"
        )


async def require_clock(store: Store, settings: Settings, now: datetime) -> None:
    """Refuse to start where `require_near` would, before anything else is begun."""
    if settings.heartbeat_seconds > 0:
        require_near(max([now, *(row.at for row in await store.read(sitting.heartbeats))]), now)


async def forget(services: Services) -> int:
    """Forget the heartbeats that lie in the future of a machine whose clock is right; how many there were."""
    now = services.clock()
    ahead = [row for row in await services.store.read(sitting.heartbeats) if row.at > now]
    deletes = tuple(Delete(Heartbeat, {"process": row.process}) for row in ahead)
    await services.store.commit(Writes(services.settings.tenant, deletes=deletes))
    return len(ahead)


def _go_on(clock: SteadyClock, last: datetime) -> None:
    """The time of day may have been set back while nothing ran: a little, and time goes on from what was."""
    now = clock()
    require_near(last, now)
    if last - now > _STEPPED:
        log.warning(
            "a server ran until %s, and this machine says %s: time goes on from the former; "
            "if that was wrong, stop the servers and type: assess heartbeats --forget",
            last,
            now,
        )
    clock.not_before(last)


def _alone(services: Services) -> bool:
    return services.settings.sqlite_path is not None


async def _record(services: Services, own: Heartbeat, found: Finding, others: Sequence[Heartbeat]) -> None:
    """The heartbeat and, with it, the incident that everybody who starts now would find."""
    tenant = services.settings.tenant
    # Whatever is not known to be dead keeps its heartbeat.
    missed = timedelta(seconds=_MISSED * services.settings.heartbeat_seconds)
    dead = [
        row
        for row in others
        if _alone(services) or row.stopped_at is not None or own.started_at - row.at >= missed
    ]
    gone = [Delete(Heartbeat, {"process": row.process}) for row in dead]
    rows: list[Stored] = [own]
    for since, until in found.gaps:
        rows += await _outage(services, since, until)
    try:
        await services.store.commit(Writes(tenant, deletes=tuple(gone), inserts=tuple(rows)))
    except StaleSession:
        # Another server started at the same moment and found the same outage.
        await services.store.commit(Writes(tenant, inserts=(own,)))


async def _outage(services: Services, since: datetime, until: datetime) -> list[Stored]:
    """An incident for each tenant, and kind of data, with open sessions; its id follows from the outage."""
    log.warning("no server ran from %s to %s; every running clock gets the time back", since, until)
    rows: list[Stored] = []
    # Who began after the last heartbeat, and before all stood still, lost time too.
    for tenant, sandbox in await services.store.read(sitting.tenants_with_open_sessions, until):
        known = await services.store.read(sitting.incidents, tenant, sandbox=sandbox)
        found = (row for row in known if row.kind == "downtime")
        # What is known already is given by that incident. It began with the last sign of anybody.
        begin = max([since, *(row.to_at for row in found if row.to_at > since and row.from_at < until)])
        if until - begin < SHORTEST:
            continue
        rows.append(
            Incident(
                tenant=tenant,
                id=f"inc_downtime_{to_micros(begin)}" + ("_sandbox" if sandbox else ""),
                kind="downtime",
                action="add_time",
                scope={"tenant": True},
                from_at=begin,
                to_at=until,
                seconds=0,
                reason="the server did not run",
                message=None,
                by="server",
                approved_by=None,
                sandbox=sandbox,
                created_at=services.clock(),
            )
        )
    return rows


async def beat(services: Services, pulse: Pulse) -> None:
    """One heartbeat, and what can be told by then of the time before the start or since the last one."""
    async with pulse.turn:
        await _beat(services, pulse)
    _tell_steps(services, pulse)
    await _carry_on(services, pulse)


async def _carry_on(services: Services, pulse: Pulse) -> None:
    """Give what is owed, and beat meanwhile: a long giving would else look like an outage, for ever."""
    giving = asyncio.ensure_future(incidents.carry_on(services))
    try:
        while not (await asyncio.wait([giving], timeout=services.settings.heartbeat_seconds))[0]:
            async with pulse.turn:
                await _beat(services, pulse)
        await giving
    finally:
        giving.cancel()


async def _beat(services: Services, pulse: Pulse) -> None:
    """What is owed is stored before the heartbeat: who is killed in between, or sees it, owes nothing."""
    now = services.clock()
    if not pulse.settled:
        others = await _others(services, pulse)
        interval = services.settings.heartbeat_seconds
        found = look_back(others, pulse.started_at, now, interval=interval, alone=_alone(services))
        for since, until in found.gaps:
            await _give_back(services, since, until)
        pulse.settled = found.settled
    await _catch_up(services, pulse)
    now = services.clock()
    tenant = services.settings.tenant
    update = Update(Heartbeat, {"process": pulse.process}, {"at": now})
    try:
        await services.store.commit(Writes(tenant, (update,)))
    except StaleSession:
        # A server that started took this process for a dead one.
        own = Heartbeat(pulse.process, pulse.started_at, now)
        await services.store.commit(Writes(tenant, keep=(own,)))
    # The write itself may have hung; then nothing else was written meanwhile.
    await _catch_up(services, pulse)
    pulse.at, pulse.beaten = max(pulse.at, now), services.monotonic()


async def _catch_up(services: Services, pulse: Pulse) -> None:
    """Give back until now if the database took no heartbeats for a while, for it took no answers either."""
    missed = _MISSED * services.settings.heartbeat_seconds
    # Again, if the giving itself took as long.
    while (mark := services.monotonic()) - pulse.beaten > missed:
        until = services.clock()
        # Read before the own heartbeat is stored: two processes that come back at the same moment would each
        # take the other for one that had run all the time.
        others = await _others(services, pulse)
        if not any(row.at > pulse.at + timedelta(seconds=missed) for row in others):
            await _give_back(services, pulse.at, until)
        pulse.at, pulse.beaten = until, mark


async def settle(services: Services, session: Session | None = None) -> bool:
    """Before a clock ends anything: find what was lost, and give it back to this session.

    Nothing is read but unfinished incidents while the last heartbeat is young.

    Returns
    -------
    bool
        Whether the session may have moved on.

    Raises
    ------
    StorageUnavailable
        It is not known yet whether a server ran.
    """
    interval, pulse = services.settings.heartbeat_seconds, services.settling.pulse
    if interval <= 0:
        return False
    if pulse is None:
        # A worker beside servers, or a command: only their heartbeats tell.
        known = _run(await services.store.read(sitting.heartbeats), services.clock(), interval)
    else:
        if _is_late(services, pulse):
            async with pulse.turn:
                # Who came first may have done it.
                if _is_late(services, pulse):
                    await _beat(services, pulse)
        known = pulse.settled
    if not known:
        raise StorageUnavailable(
            "it is not known yet whether a server ran a moment ago, so nobody is told that the time is over; "
            "try again in a few seconds"
        )
    return session is not None and await incidents.see_to(services, session)


def _is_late(services: Services, pulse: Pulse) -> bool:
    return services.monotonic() - pulse.beaten > _LATE * services.settings.heartbeat_seconds


def _run(heartbeats: Sequence[Heartbeat], now: datetime, interval: float) -> bool:
    """Whether a server runs that has given back what was lost before it; also where there never was one."""
    young, grown = timedelta(seconds=_LATE * interval), timedelta(seconds=_MISSED * interval)
    return not heartbeats or any(
        row.stopped_at is None and now - row.at <= young and row.at - row.started_at >= grown
        for row in heartbeats
    )


async def _others(services: Services, pulse: Pulse) -> list[Heartbeat]:
    rows = await services.store.read(sitting.heartbeats)
    return [row for row in rows if row.process != pulse.process]


async def _give_back(services: Services, since: datetime, until: datetime) -> None:
    rows = await _outage(services, since, until)
    with contextlib.suppress(StaleSession):  # another process found the same
        await services.store.commit(Writes(services.settings.tenant, inserts=tuple(rows)))


def _tell_steps(services: Services, pulse: Pulse) -> None:
    clock = services.clock
    if isinstance(clock, SteadyClock) and abs(clock.ahead_of_wall()) > _STEPPED and not pulse.warned:
        pulse.warned = True
        log.warning(
            "the time of day was set while this server ran; it goes on from its own (%s s apart) until it "
            "is started again",
            round(clock.ahead_of_wall().total_seconds()),
        )


async def keep_beating(services: Services, pulse: Pulse) -> None:
    """Beat for as long as the server runs; what fails is logged, and tried again with the next beat."""
    while True:
        await asyncio.sleep(services.settings.heartbeat_seconds)
        try:
            await beat(services, pulse)
        except StorageUnavailable as fault:
            log.warning("the heartbeat waits for the database: %s", fault)
        except Exception:
            # Without heartbeats the next start would take all the time since for an outage.
            log.exception("a heartbeat failed and will be tried again")


async def stop(services: Services, pulse: Pulse) -> None:
    """The last heartbeat of a server that stops on purpose: from here on nothing runs."""
    tenant = services.settings.tenant
    with contextlib.suppress(AssessError):
        async with pulse.turn:
            await _catch_up(services, pulse)
            now = services.clock()
            update = Update(Heartbeat, {"process": pulse.process}, {"at": now, "stopped_at": now})
            await services.store.commit(Writes(tenant, (update,)))
