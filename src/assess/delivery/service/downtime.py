"""When no server runs, no clock of a learner runs.

Every server writes a heartbeat every few seconds. The one that starts after an
outage finds the last heartbeat, and gives the time since then back to every
session whose clock was running: as an incident of the kind downtime with an
event in each session, before the first request is answered.

With one process (SQLite) every gap is an outage. With several it is one only
if no other was alive. A process that was killed a moment ago looks alive until
its heartbeat is old; a server that cannot tell yet asks again until it can.
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
from assess.delivery.store import Writes, sitting
from assess.delivery.store.columns import to_micros
from assess.delivery.store.rows import Delete, Stored, Update
from assess.delivery.store.rows_sitting import Heartbeat, Incident
from assess.errors import AssessError, StaleSession

log = logging.getLogger(__name__)

SHORTEST = timedelta(seconds=1)
_MISSED = 3  # a process that missed so many heartbeats is not running
_STEPPED = timedelta(seconds=5)


@dataclass
class Pulse:
    """The heartbeat of this process.

    Parameters
    ----------
    settled : bool
        Whether it is known if any server ran before this one started.
    beaten : float
        When the last heartbeat was durable, on the monotonic clock.
    at : datetime
        The same as it is stored.
    """

    process: str
    started_at: datetime
    settled: bool
    beaten: float
    at: datetime
    warned: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What the heartbeats of others say: whether that is certain, and since when nothing ran, if so."""

    settled: bool
    since: datetime | None = None


def look_back(
    others: Sequence[Heartbeat], started_at: datetime, now: datetime, *, interval: float, alone: bool
) -> Finding:
    """Whether any server was running when this one started.

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
    >>> look_back([killed], noon, noon, interval=5.0, alone=False).since.isoformat()
    '2026-11-22T11:56:00+00:00'
    """
    if not others:
        return Finding(True)
    last = max(row.at for row in others)
    if not alone:
        if any(row.stopped_at is None and row.at >= started_at for row in others):
            return Finding(True)
        missed = timedelta(seconds=_MISSED * interval)
        if any(row.stopped_at is None and now - row.at < missed for row in others):
            return Finding(False)
    return Finding(True, last if started_at - last >= SHORTEST else None)


async def begin(services: Services) -> Pulse | None:
    """The first heartbeat of this process, after what was lost before it was given back; None if off."""
    interval = services.settings.heartbeat_seconds
    if interval <= 0:
        return None
    others = await services.store.read(sitting.heartbeats)
    if others and isinstance(services.clock, SteadyClock):
        # The time of day may have been set back while nothing ran.
        services.clock.not_before(max(row.at for row in others))
    now = services.clock()
    found = look_back(others, now, now, interval=interval, alone=_alone(services))
    own = Heartbeat(new_id("prc"), now, now)
    await _record(services, own, found, others)
    pulse = Pulse(own.process, now, found.settled, services.monotonic(), now)
    await incidents.carry_on(services)
    return pulse


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
    if found.since is not None:
        rows += await _outage(services, found.since, own.started_at)
    try:
        await services.store.commit(Writes(tenant, deletes=tuple(gone), inserts=tuple(rows)))
    except StaleSession:
        # Another server started at the same moment and found the same outage.
        await services.store.commit(Writes(tenant, inserts=(own,)))


async def _outage(services: Services, since: datetime, until: datetime) -> list[Stored]:
    """An incident for each tenant, and kind of data, with open sessions; its id follows from the outage."""
    log.warning("no server ran from %s to %s; every running clock gets the time back", since, until)
    rows: list[Stored] = []
    for tenant, sandbox in await services.store.read(sitting.tenants_with_open_sessions, since):
        known = await services.store.read(sitting.incidents, tenant, sandbox=sandbox)
        if any(row.kind == "downtime" and row.to_at > since and row.from_at < until for row in known):
            continue
        rows.append(
            Incident(
                tenant=tenant,
                id=f"inc_downtime_{to_micros(since)}" + ("_sandbox" if sandbox else ""),
                kind="downtime",
                action="add_time",
                scope={"tenant": True},
                from_at=since,
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
    interval = services.settings.heartbeat_seconds
    now = services.clock()
    tenant = services.settings.tenant
    update = Update(Heartbeat, {"process": pulse.process}, {"at": now})
    try:
        await services.store.commit(Writes(tenant, (update,)))
    except StaleSession:
        # A server that started took this process for a dead one.
        own = Heartbeat(pulse.process, pulse.started_at, now)
        await services.store.commit(Writes(tenant, keep=(own,)))
    missed = services.monotonic() - pulse.beaten > _MISSED * interval
    before, pulse.at, pulse.beaten = pulse.at, now, services.monotonic()
    _tell_steps(services, pulse)
    if not pulse.settled:
        others = await _others(services, pulse)
        found = look_back(others, pulse.started_at, now, interval=interval, alone=_alone(services))
        pulse.settled = found.settled
        if found.since is not None:
            await _give_back(services, found.since, pulse.started_at)
    elif missed:
        # The database did not take heartbeats for a while, so it took no answers either.
        others = await _others(services, pulse)
        if not any(row.at > before + timedelta(seconds=_MISSED * interval) for row in others):
            await _give_back(services, before, now)
    await incidents.carry_on(services)


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
    """Beat for as long as the server runs; what fails is tried again with the next beat."""
    while True:
        await asyncio.sleep(services.settings.heartbeat_seconds)
        try:
            await beat(services, pulse)
        except AssessError:
            log.exception("a heartbeat failed and will be tried again")


async def stop(services: Services, pulse: Pulse) -> None:
    """The last heartbeat of a server that stops on purpose: from here on nothing runs."""
    now = services.clock()
    update = Update(Heartbeat, {"process": pulse.process}, {"at": now, "stopped_at": now})
    with contextlib.suppress(AssessError):
        await services.store.commit(Writes(services.settings.tenant, (update,)))
