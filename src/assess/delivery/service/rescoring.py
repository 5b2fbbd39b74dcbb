"""Rescoring: after a corrected key, new parameters or another cut, every session is accounted for.

A rescoring names the release to score by and the releases under which sessions
were delivered. A preview computes everything and stores nothing. The real run
goes learner by learner, one commit each: the new outcomes supersede the old
ones, what changes for badges is told, and a row says what was done with each
session. A run that is killed goes on where it stopped. It is done only when the
sessions that it reached and the rows that it wrote, counted from different
tables, agree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from assess import __version__
from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import changes, finishing, schools
from assess.delivery.service.activations import require_second_person
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import as_decided, folded
from assess.delivery.service.reconciling import Tally, body, entry, flipped_by
from assess.delivery.service.standing import with_decision
from assess.delivery.store import Writes, reading, reading_rescores
from assess.delivery.store.reading import LearnerRecords, SessionRecords
from assess.delivery.store.reading_rescores import LearnerToRescore, Reconciliation
from assess.delivery.store.rows import ChangeRow, DecisionRow, Job, Update
from assess.delivery.store.rows_rescores import Rescore, RescoredSession
from assess.errors import (
    InvalidContent,
    InvalidRequest,
    NotFound,
    RescoreRefused,
    StaleSession,
)
from assess.session import PENDING, Release, require_rescorable, rescore, rescored
from assess.standards.records import canonical_json, sha256

_PAGE = 200
# Enough that a durable write is shared by many, few enough that a learner who answers waits for no long one.
_AT_ONCE = 20
_ATTEMPTS = 5
_PREVIEW = "preview"
# Well below the lease of a job: a learner is begun before it is over, and ended in time.
_SLICE = 20.0
JOB = "rescore"


# --- asking --------------------------------------------------------------------


async def preview(
    services: Services,
    scope: Scope,
    *,
    onto: str | None = None,
    document: Mapping[str, Any] | None = None,
    sources: Sequence[str] = (),
) -> schemas.Rescoring:
    """What a rescoring would change, with nothing changed.

    Parameters
    ----------
    onto : str
        A release that was live here; or
    document : mapping
        One that never was: what would change if.
    sources : sequence of str
        Delivered releases; every other release of the form unless given.

    Raises
    ------
    NotFound
        A release that the tenant never had.
    RescoreRefused
        The release cannot stand in for one that was delivered.
    """
    scope.require("manage")
    if document is not None:
        digest = sha256(canonical_json(document, floats=True))
        release = Release.from_document(document, digest)
    else:
        release = await _known(services, scope, onto or "")
    return await foreseen(services, await drafted(services, scope, release, sources), release)


async def foreseen(services: Services, asked: Rescore, release: Release) -> schemas.Rescoring:
    """What would come of a rescoring or a release of results that was not entered."""
    tally = Tally()
    async for learners in _learners(services, asked, _AT_ONCE):
        for found in await services.store.read(reading_rescores.to_rescore, asked, learners):
            plan = await planned(services, asked, release, found)
            tally.add(plan.rows, plan.pairs, plan.changes)
    there = await services.store.read(reading_rescores.reconciliation, asked)
    counted = Reconciliation(there.affected, dict(tally.moves), dict(tally.excluded))
    return body(asked, release, counted, tally.changes, flipped=tally.flipped, dry_run=True)


async def begin(
    services: Services,
    scope: Scope,
    *,
    onto: str,
    sources: Sequence[str] = (),
    reason: str,
    approved_by: str | None = None,
) -> Rescore:
    """Enter a rescoring; `advance` carries it out.

    Raises
    ------
    InvalidRequest
        Without a reason.
    Forbidden
        No second person, where the tenant demands one.
    RescoreRefused
        Another one of the course is running, or the release cannot stand in.
    """
    scope.require("manage")
    if not reason.strip():
        raise InvalidRequest("a rescoring needs a reason; every learner it reaches is told", path="reason")
    release = await _known(services, scope, onto)
    return await entered(
        services,
        scope,
        await drafted(services, scope, release, sources, reason=reason, approved_by=approved_by),
    )


async def entered(services: Services, scope: Scope, asked: Rescore) -> Rescore:
    """Store what is to be carried out, with its job; refused while another one of the course runs."""
    tenant = (await services.catalogue.shelf(scope.tenant)).tenant
    require_second_person(tenant, scope, asked.approved_by, asked.course)
    running = await services.store.read(reading_rescores.running_rescores)
    other = next((r for r in running if (r.tenant, r.course) == (asked.tenant, asked.course)), None)
    if other is None:
        try:
            job = _job(asked, asked.started_at)
            await services.store.commit(Writes(scope.tenant, inserts=(asked, job)))
        except StaleSession:
            other = asked
    if other is not None:
        raise RescoreRefused(f"a rescoring of {asked.course} is running; wait until it is done")
    return asked


async def advance(
    services: Services, running: Rescore, *, seconds: float | None = None, at_once: int = _AT_ONCE
) -> bool:
    """Carry a rescoring on, for about so many seconds or to its end; whether it is done.

    Parameters
    ----------
    at_once : int
        Learners who are read together, and whose commits may share one durable write.

    Raises
    ------
    RescoreRefused
        Every learner was visited, and sessions are left that nobody accounts for.
    """
    release = await services.catalogue.release(running.onto)
    until = None if seconds is None else time.monotonic() + seconds
    async for learners in _learners(services, running, at_once):
        await _carry_out(services, running, release, learners)
        if until is not None and time.monotonic() > until:
            return False
    found = await services.store.read(reading_rescores.reconciliation, running)
    if found.difference:
        raise RescoreRefused(
            f"rescoring {running.id}: {found.difference} of {found.affected} sessions are not accounted for"
        )
    key = {"tenant": running.tenant, "id": running.id}
    done = Update(Rescore, key, {"state": "done", "finished_at": services.clock()}, {"state": "running"})
    try:
        await services.store.commit(Writes(running.tenant, (done,)))
    except StaleSession:  # another process came to the same end
        return True
    return True


async def work(services: Services, payload: Mapping[str, Any], *, seconds: float = _SLICE) -> None:
    """Carry one rescoring on for a slice of time, and enter the job of the next slice: what a worker does."""
    running = await services.store.read(reading_rescores.rescore, payload["tenant"], payload["rescore"])
    if running is None or running.state != "running":
        return
    if not await advance(services, running, seconds=seconds):
        await services.store.commit(Writes(running.tenant, inserts=(_job(running, services.clock()),)))


def _job(running: Rescore, now: datetime) -> Job:
    return Job(new_id("job"), JOB, {"tenant": running.tenant, "rescore": running.id}, now)


async def report(services: Services, scope: Scope, id: str) -> schemas.Rescoring:
    """`GET /v1/rescores/{id}`: how far it is, whom it reached, and what it changed."""
    scope.require("manage")
    found = await services.store.read(reading_rescores.rescore, scope.tenant, id)
    if found is None or found.sandbox != scope.sandbox:
        raise NotFound("rescore", id)
    release = await services.catalogue.release(found.onto)
    counted = await services.store.read(reading_rescores.reconciliation, found)
    told = await services.store.read(reading_rescores.changes_caused, scope.tenant, id)
    flipped = await flipped_by(services, found)
    return body(found, release, counted, told, flipped=flipped, dry_run=False)


async def all_of(services: Services, scope: Scope) -> schemas.Page[schemas.RescoringState]:
    """`GET /v1/rescores`: the newest first."""
    scope.require("manage")
    rows = await services.store.read(reading_rescores.rescores, scope.tenant, sandbox=scope.sandbox)
    return schemas.Page(items=[entry(row) for row in rows], next=None)


# --- whom it reaches -----------------------------------------------------------


async def _known(services: Services, scope: Scope, sha: str) -> Release:
    if not await services.store.read(reading.was_activated, scope.tenant, sha):
        raise NotFound("release", sha)
    return await services.catalogue.release(sha)


async def drafted(
    services: Services,
    scope: Scope,
    release: Release,
    sources: Sequence[str],
    *,
    kind: str = "rescore",
    reason: str = "",
    approved_by: str | None = None,
) -> Rescore:
    """A rescoring, or a release of results, whose releases fit together; without a reason a preview.

    Raises
    ------
    NotFound
        A release that the tenant never had.
    RescoreRefused
        Practice, or a release that cannot stand in for one that was delivered.
    """
    if release.practice:
        raise RescoreRefused(f"{release.form.reference} is practice, which decides nothing")
    if sources:
        chosen = [await _known(services, scope, sha) for sha in sources]
    else:
        known = await services.store.read(reading_rescores.releases_of_form, release.form.id)
        chosen = [
            await services.catalogue.release(sha)
            for sha in known
            if await services.store.read(reading.was_activated, scope.tenant, sha)
        ]
        if kind == "rescore":
            chosen = [delivered for delivered in chosen if delivered.sha256 != release.sha256]
    if kind == "release":
        chosen = [delivered for delivered in chosen if delivered.holds_results]
    for delivered in chosen:
        require_rescorable(delivered, release)
    return Rescore(
        tenant=scope.tenant,
        id=_PREVIEW if not reason else new_id("rsc" if kind == "rescore" else "rel"),
        course=release.course.id,
        onto=release.sha256,
        sources=sorted(delivered.sha256 for delivered in chosen),
        reason=reason,
        by=scope.actor,
        approved_by=approved_by,
        sandbox=scope.sandbox,
        state="running",
        started_at=services.clock(),
        kind=kind,
    )


async def _learners(services: Services, running: Rescore, at_once: int) -> AsyncIterator[list[str]]:
    after = ""
    while True:
        page = await services.store.read(
            reading_rescores.learners_to_rescore, running, after=after, limit=_PAGE
        )
        for first in range(0, len(page), at_once):
            yield page[first : first + at_once]
        if len(page) < _PAGE:
            return
        after = page[-1]


# --- one learner ---------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What a rescoring does with one learner's sessions."""

    records: LearnerRecords
    rows: tuple[RescoredSession, ...]
    pairs: tuple[tuple[DecisionRow, DecisionRow], ...]
    changes: tuple[ChangeRow, ...]


async def planned(services: Services, running: Rescore, onto: Release, found: LearnerToRescore) -> Plan:
    """Everything that will be written for a learner."""
    records, now = found.records, services.clock()
    shelf = await services.catalogue.shelf(running.tenant)
    in_force = {row.session: row for row in records.decisions if row.superseded_at is None}
    rows: list[RescoredSession] = []
    pairs: list[tuple[DecisionRow, DecisionRow]] = []
    for session in found.sessions:
        old = in_force.get(session.session.id)
        delivered = await services.catalogue.release(session.session.release)
        erased = records.learner.erased_at is not None
        row, new = _scored(running, session, old, delivered, onto, now, erased=erased)
        rows.append(row)
        if old is not None and new is not None:
            pairs.append((old, new))
    told = _told(running, records, with_outcomes(records, pairs), shelf, now)
    await asyncio.sleep(0)  # whoever else is served by this process has its turn
    return Plan(records, tuple(rows), tuple(pairs), told)


def with_outcomes(
    records: LearnerRecords, pairs: Iterable[tuple[DecisionRow, DecisionRow]]
) -> LearnerRecords:
    """The records after these outcomes superseded the old ones."""
    for old, new in pairs:
        gone = replace(old, superseded_at=new.decided_at, superseded_by=new.id)
        records = with_decision(with_decision(records, gone), new)
    return records


def _scored(
    running: Rescore,
    found: SessionRecords,
    old: DecisionRow | None,
    delivered: Release,
    onto: Release,
    now: datetime,
    *,
    erased: bool,
) -> tuple[RescoredSession, DecisionRow | None]:
    """The new outcome of one session, or why there is none."""
    session = found.session

    def row(new: str | None, excluded: str | None) -> RescoredSession:
        before = None if old is None else old.id
        return RescoredSession(
            running.tenant, running.id, session.id, session.learner, before, new, excluded, now
        )

    if session.void_at is not None:
        return row(None, "void"), None
    if old is None or old.source not in ("course_form", "placement"):
        decided = old is not None and old.source == "appeal"
        return row(None, "decided on an appeal" if decided else "no outcome of its own"), None
    if (old.status == PENDING) != (running.kind == "release"):
        return row(None, "held until its results are released" if old.status == PENDING else "decided"), None
    if erased or any(response.salt is None for response in found.responses):
        return row(None, "erased"), None
    state = folded(as_decided(found, old.decided_at), delivered)
    try:
        again = rescored(state, onto)
        outcome = rescore(state, onto, decided_at=now, engine=__version__, again=again)
    except (RescoreRefused, InvalidContent) as fault:
        return row(None, f"cannot be scored: {fault}"), None
    new = finishing.decision_row(session, again, outcome, now)
    new = replace(new, supersedes=old.id, cause=running.kind, reason=running.reason)
    return row(new.id, None), new


def _told(
    running: Rescore, before: LearnerRecords, after: LearnerRecords, shelf: Shelf, now: datetime
) -> tuple[ChangeRow, ...]:
    return changes.events(
        before, after, shelf, now=now, cause=running.kind, reason_id=running.id, course=running.course
    )


async def _carry_out(services: Services, running: Rescore, onto: Release, learners: Sequence[str]) -> None:
    """One commit for each learner; what stands in line together costs one durable write."""
    left = list(learners)
    for _ in range(_ATTEMPTS):
        due = [
            await _writes(services, running, await planned(services, running, onto, found))
            for found in await services.store.read(reading_rescores.to_rescore, running, left)
        ]
        outcomes = await asyncio.gather(
            *(services.store.commit(writes) for _, writes in due), return_exceptions=True
        )
        stale = [fault for fault in outcomes if isinstance(fault, StaleSession)]
        for fault in outcomes:
            if isinstance(fault, BaseException) and not isinstance(fault, StaleSession):
                raise fault
        if not stale:
            return
        # A learner ended a session, or another process did this one; those are read again.
        left = [
            learner
            for (learner, _), fault in zip(due, outcomes, strict=True)
            if isinstance(fault, StaleSession)
        ]
    raise stale[0]


async def _writes(services: Services, running: Rescore, plan: Plan) -> tuple[str, Writes]:
    """What is committed for a learner, under the id that the sessions have."""
    superseded = (
        Update(
            DecisionRow,
            {"tenant": old.tenant, "id": old.id},
            {"superseded_at": new.decided_at, "superseded_by": new.id},
            {"superseded_at": None},
        )
        for old, new in plan.pairs
    )
    shelf = await services.catalogue.shelf(running.tenant)
    jobs = await schools.follow_ups(services, shelf, plan.records, cause="rescore", reason_id=running.id)
    return plan.rows[0].learner, Writes(
        running.tenant,
        (*superseded, finishing.moved(plan.records.learner)),
        inserts=(*plan.rows, *jobs),
        decisions=tuple(new for _, new in plan.pairs),
        changes=plan.changes,
    )


__all__ = [
    "JOB",
    "advance",
    "all_of",
    "begin",
    "drafted",
    "entered",
    "foreseen",
    "preview",
    "report",
    "work",
]
