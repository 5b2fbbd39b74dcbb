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

import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from assess import __version__
from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import changes, finishing
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import as_decided, folded
from assess.delivery.service.standing import with_decision
from assess.delivery.store import Writes, reading, reading_rescores
from assess.delivery.store.reading import LearnerRecords, SessionRecords
from assess.delivery.store.reading_rescores import Reconciliation
from assess.delivery.store.rows import ChangeRow, DecisionRow, Job, Update
from assess.delivery.store.rows_rescores import Rescore, RescoredSession
from assess.errors import (
    Forbidden,
    InvalidContent,
    InvalidRequest,
    NotFound,
    RescoreRefused,
    StaleSession,
)
from assess.session import Release, require_rescorable, rescore, rescored
from assess.standards.records import canonical_json, sha256

_PAGE = 200
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
    wanted = await asked(services, scope, release, sources, reason="", approved_by=None)
    tally = _Tally()
    async for learner in _learners(services, wanted):
        plan = await planned(services, wanted, release, learner)
        if plan is not None:
            tally.add(plan)
    found = await services.store.read(reading_rescores.reconciliation, wanted)
    counted = Reconciliation(found.affected, dict(tally.moves), dict(tally.excluded))
    return _report(wanted, release, counted, tally.changes, flipped=tally.flipped, dry_run=True)


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
    tenant = (await services.catalogue.shelf(scope.tenant)).tenant
    if tenant.two_person and (not approved_by or approved_by == scope.actor):
        raise Forbidden(f"another person than {scope.actor} must approve it", code="role_not_allowed")
    wanted = await asked(services, scope, release, sources, reason=reason, approved_by=approved_by)
    running = await services.store.read(reading_rescores.running_rescores)
    other = next((r for r in running if (r.tenant, r.course) == (wanted.tenant, wanted.course)), None)
    if other is None:
        try:
            job = _job(wanted, wanted.started_at)
            await services.store.commit(Writes(scope.tenant, inserts=(wanted, job)))
        except StaleSession:
            other = wanted
    if other is not None:
        raise RescoreRefused(f"a rescoring of {wanted.course} is running; wait until it is done")
    return wanted


async def advance(services: Services, running: Rescore, *, seconds: float | None = None) -> bool:
    """Carry a rescoring on, for about so many seconds or to its end; whether it is done.

    Raises
    ------
    RescoreRefused
        Every learner was visited, and sessions are left that nobody accounts for.
    """
    release = await services.catalogue.release(running.onto)
    until = None if seconds is None else time.monotonic() + seconds
    async for learner in _learners(services, running):
        await _carry_out(services, running, release, learner)
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
    flipped = await _flipped(services, found)
    return _report(found, release, counted, told, flipped=flipped, dry_run=False)


async def all_of(services: Services, scope: Scope) -> schemas.Page[schemas.RescoringState]:
    """`GET /v1/rescores`: the newest first."""
    scope.require("manage")
    rows = await services.store.read(reading_rescores.rescores, scope.tenant, sandbox=scope.sandbox)
    return schemas.Page(items=[_state(row) for row in rows], next=None)


# --- whom it reaches -----------------------------------------------------------


async def _known(services: Services, scope: Scope, sha: str) -> Release:
    if not await services.store.read(reading.was_activated, scope.tenant, sha):
        raise NotFound("release", sha)
    return await services.catalogue.release(sha)


async def asked(
    services: Services,
    scope: Scope,
    release: Release,
    sources: Sequence[str] = (),
    *,
    reason: str = "",
    approved_by: str | None = None,
) -> Rescore:
    """A rescoring that was asked for, not entered yet; the releases whose sessions it reaches are in it."""
    if release.practice:
        raise RescoreRefused(f"{release.form.reference} is practice, which decides nothing")
    if sources:
        chosen = [await _known(services, scope, sha) for sha in sources]
    else:
        known = await services.store.read(reading_rescores.releases_of_form, release.form.id)
        chosen = [
            await services.catalogue.release(sha)
            for sha in known
            if sha != release.sha256 and await services.store.read(reading.was_activated, scope.tenant, sha)
        ]
    for delivered in chosen:
        require_rescorable(delivered, release)
    return Rescore(
        tenant=scope.tenant,
        id=_PREVIEW if not reason else new_id("rsc"),
        course=release.course.id,
        onto=release.sha256,
        sources=sorted(delivered.sha256 for delivered in chosen),
        reason=reason,
        by=scope.actor,
        approved_by=approved_by,
        sandbox=scope.sandbox,
        state="running",
        started_at=services.clock(),
    )


async def _learners(services: Services, running: Rescore) -> AsyncIterator[str]:
    after = ""
    while True:
        page = await services.store.read(
            reading_rescores.learners_to_rescore, running, after=after, limit=_PAGE
        )
        for learner in page:
            yield learner
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


async def planned(services: Services, running: Rescore, onto: Release, learner: str) -> Plan | None:
    """Everything that will be written for a learner; None if others were faster and nothing is left."""
    records = await services.store.read(reading.learner_records, running.tenant, learner)
    sessions = await services.store.read(reading_rescores.sessions_to_rescore, running, learner)
    if records is None or not sessions:
        return None
    now = services.clock()
    shelf = await services.catalogue.shelf(running.tenant)
    rows: list[RescoredSession] = []
    pairs: list[tuple[DecisionRow, DecisionRow]] = []
    for session in sessions:
        found = await services.store.read(reading.session_records, running.tenant, session)
        assert found is not None
        old = await services.store.read(reading.session_decision, running.tenant, session)
        delivered = await services.catalogue.release(found.session.release)
        row, new = _scored(running, found, old, delivered, onto, now)
        rows.append(row)
        if old is not None and new is not None:
            pairs.append((old, new))
    after = with_outcomes(records, pairs)
    told = _told(running, records, after, shelf, now)
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
        return row(None, "no outcome of its own"), None
    if any(response.salt is None for response in found.responses):
        return row(None, "erased"), None
    state = folded(as_decided(found, old.decided_at), delivered)
    try:
        outcome = rescore(state, onto, decided_at=now, engine=__version__)
    except (RescoreRefused, InvalidContent) as fault:
        return row(None, f"cannot be scored: {fault}"), None
    new = finishing.decision_row(session, rescored(state, onto), outcome, now)
    new = replace(new, supersedes=old.id, cause="rescore", reason=running.reason)
    return row(new.id, None), new


def _told(
    running: Rescore, before: LearnerRecords, after: LearnerRecords, shelf: Shelf, now: datetime
) -> tuple[ChangeRow, ...]:
    return changes.events(
        before, after, shelf, now=now, cause="rescore", reason_id=running.id, course=running.course
    )


async def _carry_out(services: Services, running: Rescore, onto: Release, learner: str) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        plan = await planned(services, running, onto, learner)
        if plan is None:
            return
        superseded = (
            Update(
                DecisionRow,
                {"tenant": old.tenant, "id": old.id},
                {"superseded_at": new.decided_at, "superseded_by": new.id},
                {"superseded_at": None},
            )
            for old, new in plan.pairs
        )
        writes = Writes(
            running.tenant,
            (*superseded, finishing.moved(plan.records.learner)),
            inserts=plan.rows,
            decisions=tuple(new for _, new in plan.pairs),
            changes=plan.changes,
        )
        try:
            await services.store.commit(writes)
        except StaleSession:
            # The learner ended a session, or another process did this one; both are read again.
            if attempt == _ATTEMPTS:
                raise
            continue
        return


# --- what is said --------------------------------------------------------------


@dataclass
class _Tally:
    """What a preview adds up, as the tables add up a real run."""

    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    changes: list[ChangeRow] = field(default_factory=list)
    flipped: list[schemas.FlippedSession] = field(default_factory=list)

    def add(self, plan: Plan) -> None:
        self.excluded.update(row.excluded for row in plan.rows if row.excluded is not None)
        self.moves.update((old.status, new.status) for old, new in plan.pairs)
        self.changes += plan.changes
        self.flipped += [
            schemas.FlippedSession(session=old.session, learner=old.learner, old=old.status, new=new.status)
            for old, new in plan.pairs
            if old.status != new.status
        ]


async def _flipped(services: Services, running: Rescore) -> list[schemas.FlippedSession]:
    flipped: list[schemas.FlippedSession] = []
    after = ""
    while True:
        rows = await services.store.read(
            reading_rescores.rescored, running.tenant, running.id, after=after, limit=_PAGE
        )
        ids = [decision for row in rows for decision in (row.old, row.new) if decision is not None]
        words = await services.store.read(reading_rescores.decision_words, running.tenant, ids)
        for row in rows:
            if row.old is None or row.new is None or words[row.old] == words[row.new]:
                continue
            flipped.append(
                schemas.FlippedSession(
                    session=row.session, learner=row.learner, old=words[row.old], new=words[row.new]
                )
            )
        if len(rows) < _PAGE:
            return flipped
        after = rows[-1].session


def _report(
    running: Rescore,
    release: Release,
    counted: Reconciliation,
    told: Sequence[ChangeRow],
    *,
    flipped: Sequence[schemas.FlippedSession],
    dry_run: bool,
) -> schemas.Rescoring:
    gained = Counter(row.badge for row in told if row.type == "eligibility.gained")
    lost = Counter(row.badge for row in told if row.type == "eligibility.lost")
    return schemas.Rescoring(
        rescore=None if dry_run else running.id,
        state="dry_run" if dry_run else running.state,  # type: ignore[arg-type]
        course=running.course,
        form=release.form.reference,
        onto=running.onto,
        sources=running.sources,
        reason=running.reason,
        started_at=running.started_at,
        finished_at=running.finished_at,
        affected=counted.affected,
        rescored=sum(counted.moves.values()),
        excluded=[schemas.Excluded(reason=r, sessions=n) for r, n in sorted(counted.excluded.items())],
        difference=counted.difference,
        moves=[
            schemas.Moved(old=old, new=new, sessions=n) for (old, new), n in sorted(counted.moves.items())
        ],
        badges=[
            schemas.BadgeMoves(badge=badge, gained=gained[badge], lost=lost[badge])
            for badge in sorted({*gained, *lost} - {None})  # type: ignore[type-var]
            if badge is not None
        ],
        flipped=sorted(flipped, key=lambda entry: entry.session),
    )


def _state(row: Rescore) -> schemas.RescoringState:
    return schemas.RescoringState(
        rescore=row.id,
        state=row.state,  # type: ignore[arg-type]
        course=row.course,
        onto=row.onto,
        reason=row.reason,
        by=row.by,
        approved_by=row.approved_by,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


__all__ = [
    "JOB",
    "advance",
    "all_of",
    "asked",
    "begin",
    "planned",
    "preview",
    "report",
    "with_outcomes",
    "work",
]
