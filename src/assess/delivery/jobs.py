"""Work that is done later: jobs, and those that come again and again.

A worker claims what is due under a lease, does it, and ends it. What fails is
put off, longer each time; what failed too often is given up, and stays visible
with its error (`assess doctor`). A worker that is killed leaves a lease that
ends by itself. So everything here may be done twice, and must bear that.

A server works by itself, at `Settings.work_seconds`. On PostgreSQL
`assess work` may do it beside servers that have this set to 0.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from assess.delivery.security import new_id
from assess.delivery.service import Services, expiry, reassessing, rescoring, schools, sessions
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import Claim, Delete, Idempotency, Job, Outgoing, Update
from assess.errors import StaleSession, StorageUnavailable

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=5), timedelta(hours=1)
MAX_ATTEMPTS = 12
"""The delays between them add up to about two and a half hours."""
KEYS_KEPT = timedelta(days=30)

Handler = Callable[[Services, Mapping[str, Any]], Awaitable[object]]


async def _sweep(services: Services, _: Mapping[str, Any]) -> None:
    await sessions.sweep(services)


async def _forget_keys(services: Services, _: Mapping[str, Any]) -> None:
    """Idempotency keys that nobody repeats any more, and what webhooks took long ago."""
    before = services.clock() - KEYS_KEPT
    gone = (Delete(Idempotency, {}, {"at": before}), Delete(Outgoing, {}, {"delivered_at": before}))
    await services.store.commit(Writes(services.settings.tenant, deletes=gone))


RECURRING: Mapping[str, Handler] = {
    "sweep": _sweep,
    "forget-keys": _forget_keys,
    expiry.JOB: expiry.work,
}
ONCE: Mapping[str, Handler] = {
    rescoring.JOB: rescoring.work,
    schools.JOB: reassessing.work_subject,
    reassessing.JOB_EVERYBODY: reassessing.work_everybody,
}


def recurring(services: Services) -> dict[str, timedelta]:
    """What is done again and again, and how often."""
    found = {"forget-keys": timedelta(hours=1), expiry.JOB: expiry.PERIOD}
    if services.settings.sweep_seconds > 0:
        found["sweep"] = timedelta(seconds=services.settings.sweep_seconds)
    return found


def delay(attempts: int) -> timedelta:
    """How long what failed so often is put off.

    Examples
    --------
    >>> [delay(n).total_seconds() for n in (1, 2, 3, 30)]
    [5.0, 10.0, 20.0, 3600.0]
    """
    return min(LONGEST_DELAY, FIRST_DELAY * (1 << min(attempts - 1, 20)))


async def turns(
    stop: asyncio.Event | None,
    seconds: float,
    prepare: Callable[[], Awaitable[object]],
    once: Callable[[], Awaitable[object]],
    what: str,
) -> None:
    """Prepare, then do something at intervals until `stop` is set; a fault is logged and ends nothing."""
    stopped = stop or asyncio.Event()
    ready = False
    while not stopped.is_set():
        try:
            await asyncio.wait_for(stopped.wait(), seconds)
        except TimeoutError:
            pass
        else:
            return
        try:
            if not ready:
                await prepare()
                ready = True
            await once()
        except StorageUnavailable as fault:
            log.warning("%s waits for the database: %s", what, fault)
        except Exception:
            log.exception("%s was interrupted and goes on in a moment", what)


@dataclass(frozen=True)
class Worker:
    """Does what is due, one piece after the other.

    Parameters
    ----------
    handlers : mapping
        Kind of job -> what to do with its payload.
    """

    services: Services
    handlers: Mapping[str, Handler]

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Work until `stop` is set, or for ever; a fault is logged and does not end it."""
        await turns(stop, self.services.settings.work_seconds, self.prepare, self.work, "work")

    async def prepare(self) -> None:
        """Enter the recurring jobs; one that a clock set back would keep waiting is due at its next turn."""
        now, periods = self.services.clock(), recurring(self.services)
        rows = tuple(Job(kind, kind, {}, now) for kind in periods)
        await self.services.store.commit(Writes(self.services.settings.tenant, keep=rows))
        for job in await self.services.store.read(reading.jobs):
            period = periods.get(job.kind)
            if period is not None and job.run_at > now + period:
                update = Update(Job, {"id": job.id}, {"run_at": now + period}, {"run_at": job.run_at})
                await self._end(Writes(self.services.settings.tenant, (update,)))

    async def work(self) -> int:
        """Do all that is due; how many pieces that was."""
        n_done = 0
        while await self.services.store.read(reading.work_is_due, self.services.clock()):
            jobs = await self._claim(1, self._kinds())
            if not jobs:
                break
            for job in jobs:
                await self._do(job)
            n_done += len(jobs)
        return n_done

    def _kinds(self) -> tuple[str, ...]:
        """Kinds of jobs that this process does; a recurring one that it does not repeat is left to others."""
        repeated = recurring(self.services)
        return tuple(kind for kind in self.handlers if kind in repeated or kind not in RECURRING)

    async def _claim(self, limit: int, kinds: tuple[str, ...]) -> tuple[Job, ...]:
        now = self.services.clock()
        wanted = Claim(Job, new_id("lease"), now, now + LEASE, limit, kinds)
        committed = await self.services.store.commit(Writes(self.services.settings.tenant, claim=wanted))
        return tuple(job for job in committed.claimed if isinstance(job, Job))

    async def _do(self, job: Job) -> None:
        period = recurring(self.services).get(job.kind)
        try:
            if job.attempts > MAX_ATTEMPTS and period is None:
                raise TimeoutError("every worker that claimed it ended before it was done")
            await self.handlers[job.kind](self.services, job.payload)
        except Exception as fault:
            log.exception("job %s (%s) failed, attempt %d", job.id, job.kind, job.attempts)
            await self._put_off(job, fault, period)
            return
        tenant = self.services.settings.tenant
        if period is None:
            await self._end(Writes(tenant, deletes=(Delete(Job, {"id": job.id, "lease": job.lease}),)))
            return
        values = {"run_at": self.services.clock() + period, **_FREE, "attempts": 0, "error": None}
        await self._end(Writes(tenant, (Update(Job, {"id": job.id}, values, {"lease": job.lease}),)))

    async def _put_off(self, work: Job, fault: Exception, period: timedelta | None) -> None:
        now = self.services.clock()
        # What comes again and again is never given up, and not put off beyond its next turn.
        later = delay(work.attempts) if period is None else min(delay(work.attempts), period)
        values = {"run_at": now + later, **_FREE, "error": f"{type(fault).__name__}: {fault}"[:500]}
        if period is None and work.attempts >= MAX_ATTEMPTS:
            values["dead_at"] = now
        update = Update(Job, {"id": work.id}, values, {"lease": work.lease})
        await self._end(Writes(self.services.settings.tenant, (update,)))

    async def _end(self, writes: Writes) -> None:
        """Write how it ended, unless the lease went to another worker, who does that then."""
        try:
            await self.services.store.commit(writes)
        except StaleSession:
            log.warning("a piece of work took longer than its lease of %s, and another worker has it", LEASE)


_FREE: Mapping[str, object] = {"leased_until": None, "lease": None}


def worker(services: Services) -> Worker:
    """The worker of this version."""
    return Worker(services, {**RECURRING, **ONCE})


def overdue(backlog: reading.Backlog, now: datetime) -> timedelta:
    """How long the oldest waiting work has been due.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> overdue(reading.Backlog(1, noon - timedelta(minutes=5), 0, None), noon)
    datetime.timedelta(seconds=300)
    """
    return timedelta() if backlog.oldest is None else max(timedelta(), now - backlog.oldest)
