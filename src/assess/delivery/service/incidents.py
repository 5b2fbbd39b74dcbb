"""Incidents: something went wrong for several sessions, and what is done about it.

An incident is stored first and then carried out, session by session. What it
did to a session is a row written in the same commit as the deed, so that it
is done once, whoever is killed in between and however often it is carried on.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import activations, finishing, idempotency, lost_time, schools, voiding
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.idempotency import Key
from assess.delivery.service.loading import ERASED, Loaded, event_row, load, moved_on
from assess.delivery.service.lost_time import Lost
from assess.delivery.service.standing import with_session
from assess.delivery.service.windows import in_utc
from assess.delivery.store import Writes, reading, reading_people, sitting
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import Learner, Session, Stored, Update
from assess.delivery.store.rows_sitting import Incident, IncidentSession
from assess.errors import AssessError, InvalidRequest, NotFound, StaleSession, StorageUnavailable
from assess.session import SessionState, TimeGrant, with_grant

log = logging.getLogger(__name__)

LONGEST_GRANT = 24 * 3600
_AT_ONCE = 32
_RETRIES = 6


@dataclass(frozen=True, slots=True)
class Deed:
    """What an incident does to one session: how many seconds it gives, or why it does nothing.

    Parameters
    ----------
    note : str, optional
        What whoever declares it should know of the seconds.
    learner : Learner, optional
        As it was when nothing stood against opening the session again.
    """

    seconds: int = 0
    skipped: str | None = None
    note: str | None = None
    learner: Learner | None = None


# --- declaring -----------------------------------------------------------------


async def declare(
    services: Services, scope: Scope, body: schemas.DeclareIncident, *, key: Key | None = None
) -> schemas.Incident:
    """`POST /v1/incidents`: declare an incident and carry it out, or only say what it would do.

    Raises
    ------
    InvalidRequest
        No scope, no reason, a time that cannot be, a session that is not known; the field is named.
    Forbidden
        No right to manage, or no second person where the tenant demands one.
    """
    scope.require("manage")
    known = await idempotency.earlier(services, scope, key)
    if known is not None:
        incident = await _incident(services, scope, known)
        return await _reply(services, await _carried_out(services, incident))
    now = services.clock()
    await _check(services, scope, body, now)
    incident = Incident(
        tenant=scope.tenant,
        id=new_id("inc"),
        kind="declared",
        action=body.action,
        scope=schemas.plain(body.scope),
        from_at=body.from_,
        to_at=body.to,
        seconds=body.seconds or 0,
        reason=body.reason.strip(),
        message=body.message,
        by=scope.actor,
        approved_by=body.approved_by,
        sandbox=scope.sandbox,
        created_at=now,
    )
    if body.dry_run:
        return await _foreseen(services, incident)
    tenant = await services.store.read(reading.tenant, scope.tenant)
    if tenant is None:
        raise NotFound("tenant", scope.tenant)
    activations.require_second_person(tenant, scope, body.approved_by, f"an incident ({body.action})")
    rows: tuple[Stored, ...] = (incident, *idempotency.rows(services, scope, key, incident.id))
    try:
        await services.store.commit(Writes(scope.tenant, inserts=rows))
    except StaleSession:
        # The same request at the same time was faster; its incident is the one.
        known = await idempotency.earlier(services, scope, key)
        if known is None:
            raise
        incident = await _incident(services, scope, known)
    return await _reply(services, await _carried_out(services, incident))


async def _check(services: Services, scope: Scope, body: schemas.DeclareIncident, now: datetime) -> None:
    if not body.reason.strip():
        raise InvalidRequest("an incident needs a reason", path="reason")
    for name, instant in (("from", body.from_), ("to", body.to)):
        in_utc(instant, path=name)
    if body.to <= body.from_:
        raise InvalidRequest("the incident must end after it began", path="to")
    if body.to > now:
        raise InvalidRequest(
            "the incident is not over yet; declare it when it is", path="to", code="time_in_future"
        )
    if body.seconds is not None and not 1 <= body.seconds <= LONGEST_GRANT:
        raise InvalidRequest(f"give 1 to {LONGEST_GRANT} seconds, or leave it out", path="seconds")
    if body.action == "void_without_try" and body.seconds is not None:
        raise InvalidRequest("a session that is void gets no time", path="seconds")
    if body.message is not None and not 0 < len(body.message.strip()) <= 500:
        raise InvalidRequest("a message has 1 to 500 characters", path="message")
    await _check_scope(services, scope, body.scope)


async def _check_scope(services: Services, scope: Scope, found: schemas.IncidentScope) -> None:
    named = [found.course, found.form, found.cohort, found.sessions]
    if found.tenant == any(value is not None for value in named):
        raise InvalidRequest(
            "say which sessions: a course, a form, a cohort, a list, or tenant: true for all", path="scope"
        )
    if found.cohort is not None:
        cohort = await services.store.read(reading_people.cohort, scope.tenant, found.cohort)
        if cohort is None or cohort.sandbox != scope.sandbox:
            raise InvalidRequest(f"no cohort {found.cohort!r}", path="scope.cohort")
    if found.course is not None:
        (await services.catalogue.shelf(scope.tenant)).course(found.course)
    if found.sessions is not None and not 1 <= len(found.sessions) <= 10_000:
        raise InvalidRequest("name 1 to 10,000 sessions", path="scope.sessions")
    for n, session in enumerate(found.sessions or ()):
        records = await services.store.read(reading.session_records, scope.tenant, session)
        if records is None or records.session.sandbox != scope.sandbox:
            raise InvalidRequest(f"no session {session!r}", path=f"scope.sessions[{n}]")


# --- reading -------------------------------------------------------------------


async def listing(services: Services, scope: Scope) -> schemas.Page[schemas.Incident]:
    """`GET /v1/incidents`: all of the tenant, newest first, without their sessions."""
    scope.require("manage")
    rows = await services.store.read(sitting.incidents, scope.tenant, sandbox=scope.sandbox)
    return schemas.Page(items=[_body(row, ()) for row in rows])


async def get(services: Services, scope: Scope, id: str) -> schemas.Incident:
    """`GET /v1/incidents/{id}`: an incident, and what it did to each session."""
    scope.require("manage")
    return await _reply(services, await _incident(services, scope, id))


async def _incident(services: Services, scope: Scope, id: str) -> Incident:
    found = await services.store.read(sitting.incident, scope.tenant, id)
    if found is None or found.sandbox != scope.sandbox:
        raise NotFound("incident", id)
    return found


async def _reply(services: Services, incident: Incident) -> schemas.Incident:
    rows = await services.store.read(sitting.incident_sessions, incident.tenant, incident.id)
    return _body(incident, rows)


def _body(incident: Incident, rows: Sequence[IncidentSession], *, dry_run: bool = False) -> schemas.Incident:
    return schemas.Incident(
        id=None if dry_run else incident.id,
        kind=incident.kind,
        action=incident.action,
        scope=incident.scope,
        from_=incident.from_at,
        to=incident.to_at,
        seconds=incident.seconds or None,
        reason=incident.reason,
        message=incident.message,
        by=incident.by,
        approved_by=incident.approved_by,
        created_at=incident.created_at,
        done_at=incident.done_at,
        dry_run=dry_run,
        sessions=[
            schemas.IncidentSession(
                session=row.session,
                learner=row.learner,
                course=row.course,
                state=row.state,  # type: ignore[arg-type]
                seconds=row.seconds,
                why=row.why,
            )
            for row in rows
        ],
    )


async def _foreseen(services: Services, incident: Incident) -> schemas.Incident:
    """What the incident would do to each session; nothing is stored."""
    rows = []
    for session in await _matching(services, incident):
        loaded = await load(services, _scope(incident), session.id)
        deed = await _deed(services, incident, loaded)
        rows.append(_row(incident, session, deed, services.clock()))
    return _body(incident, rows, dry_run=True)


# --- carrying out ----------------------------------------------------------------


def _scope(incident: Incident) -> Scope:
    return Scope(incident.tenant, incident.by, frozenset({"deliver", "manage"}), sandbox=incident.sandbox)


async def _matching(services: Services, incident: Incident) -> list[Session]:
    wanted = incident.scope
    return await services.store.read(
        sitting.sessions_between,
        incident.tenant,
        incident.from_at,
        incident.to_at,
        sandbox=incident.sandbox,
        course=wanted.get("course"),
        form=wanted.get("form"),
        cohort=wanted.get("cohort"),
        sessions=wanted.get("sessions"),
    )


async def carry_on(services: Services) -> int:
    """Carry out what was begun and never finished, of all tenants; how many incidents there were."""
    found = await services.store.read(sitting.unfinished_incidents)
    for incident in found:
        await _carried_out(services, incident)
    return len(found)


async def see_to(services: Services, session: Session) -> bool:
    """Give a session what downtime took from it, before its turn; whether there was anything to look at.

    Raises
    ------
    StaleSession
        Others write to it all the time, so that it has to be tried again.
    """
    looked = False
    for incident in await services.store.read(sitting.unfinished_incidents):
        whose = incident.tenant, incident.sandbox
        if incident.kind != "downtime" or whose != (session.tenant, session.sandbox):
            continue
        if session.started_at <= incident.to_at:
            looked = True
            if not await _do(services, incident, session.id):
                raise StaleSession(f"session {session.id} could not be given its time yet")
    return looked


async def _carried_out(services: Services, incident: Incident) -> Incident:
    """Do what an incident says to every session that it has not seen to yet; safe to repeat at any time."""
    if incident.done_at is not None:
        return incident
    rows = await services.store.read(sitting.incident_sessions, incident.tenant, incident.id)
    seen = {row.session for row in rows}
    left = [session for session in await _matching(services, incident) if session.id not in seen]
    failed = 0
    for first in range(0, len(left), _AT_ONCE):
        group = left[first : first + _AT_ONCE]
        done = await asyncio.gather(*(_do(services, incident, session.id) for session in group))
        failed += done.count(False)
    if failed:
        # It stays unfinished, and is carried on with the next heartbeat and at the next start.
        return incident
    now = services.clock()
    key = {"tenant": incident.tenant, "id": incident.id}
    await services.store.commit(Writes(incident.tenant, (Update(Incident, key, {"done_at": now}),)))
    return await _incident(services, _scope(incident), incident.id)


async def _do(services: Services, incident: Incident, session: str) -> bool:
    """See to one session; False if that has to be tried again later."""
    for _ in range(_RETRIES):
        try:
            loaded = await load(services, _scope(incident), session)
            now = services.clock()
            deed = await _deed(services, incident, loaded)
            await services.store.commit(await _writes(services, incident, loaded, deed, now))
        except StaleSession:
            rows = await services.store.read(sitting.incident_sessions, incident.tenant, incident.id)
            if any(row.session == session for row in rows):
                return True
            continue
        except StorageUnavailable:
            raise
        except AssessError:
            log.exception("incident %s could not see to session %s", incident.id, session)
            return False
        return True
    return False


async def _deed(services: Services, incident: Incident, loaded: Loaded) -> Deed:
    """What an incident does to a session as it is now."""
    state = loaded.state
    if state.void:
        return Deed(skipped="it is void")
    if loaded.row.token_sha256.startswith(ERASED):
        return Deed(skipped="its learner was erased")
    if incident.action == "void_without_try":
        return Deed()
    if incident.action == "add_time":
        if state.ending is not None:
            return Deed(skipped="it has ended; what ended by time can be opened again")
        if not state.clocks:
            return Deed(skipped="it has no clock")
        if state.closes_at < incident.from_at:
            return Deed(skipped="its time was over before")
        return _giving(incident, await lost_time.lost(services, incident, state))
    if state.ending is None:
        return Deed(skipped="it is open; time can be added")
    if state.ending.how != "timed_out":
        return Deed(skipped="it did not end by time")
    row = loaded.row
    decision = await services.store.read(reading.session_decision, row.tenant, row.id)
    if decision is not None and decision.status == "passed":
        return Deed(skipped="it has passed")
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    if _began_another(row, records):
        return Deed(skipped="the learner has begun another session of this course")
    deed = _giving(incident, await lost_time.lost(services, incident, state))
    return Deed(max(deed.seconds, 1), note=deed.note, learner=records.learner)


def _giving(incident: Incident, lost: Lost) -> Deed:
    """The seconds to give: as declared, else what the incident took and nobody has given back yet."""
    if incident.seconds:
        beside = f"as declared, beside {lost.given} s that had been given back for that time"
        return Deed(incident.seconds, note=beside if lost.given else None)
    if lost.seconds > 0:
        less = f"less {lost.given} s that had been given back for that time"
        return Deed(lost.seconds, note=less if lost.given else None)
    if lost.given:
        return Deed(skipped=f"that time had been given back already ({lost.given} s)")
    return Deed(skipped="its clock did not run then")


def _began_another(row: Session, records: LearnerRecords) -> bool:
    """Whether the person sits another session of the course, or has begun one since; practice is apart.

    Two tries of a course never go on side by side, of whichever forms; and a later one has taken the place
    of this one, however it ended.
    """
    return any(
        other.id != row.id
        and other.course == row.course
        and other.practice == row.practice
        and other.state != "reset"
        and other.void_at is None
        and (other.state == "open" or other.started_at > row.started_at)
        for other in records.sessions
    )


async def _writes(
    services: Services, incident: Incident, loaded: Loaded, deed: Deed, now: datetime
) -> Writes:
    """The deed and the row that tells of it, in one commit."""
    row = loaded.row
    told = _row(incident, row, deed, now)
    if deed.skipped is not None:
        return Writes(row.tenant, inserts=(told,))
    if incident.action == "void_without_try":
        return await _void(services, incident, loaded, told, now)
    if incident.action == "reopen":
        assert deed.learner is not None
        return _reopen(incident, loaded, deed.learner, told, now)
    state, granted = _granted(incident, loaded.state, deed.seconds, now)
    event = event_row(loaded.records, "time_granted", now, granted.to_mapping())
    return Writes(row.tenant, (moved_on(row, state),), inserts=(told, event))


def _row(incident: Incident, session: Session, deed: Deed, now: datetime) -> IncidentSession:
    return IncidentSession(
        tenant=incident.tenant,
        incident=incident.id,
        session=session.id,
        learner=session.learner,
        course=session.course,
        action=incident.action,
        state="done" if deed.skipped is None else "skipped",
        why=deed.note if deed.skipped is None else deed.skipped,
        seconds=deed.seconds,
        message=incident.message,
        at=now,
    )


def _granted(
    incident: Incident, state: SessionState, seconds: int, now: datetime, since_end: int = 0
) -> tuple[SessionState, TimeGrant]:
    grant = TimeGrant(
        seconds=seconds + since_end,
        at=now,
        reason=incident.reason,
        position=None if state.awaiting is None else state.awaiting.position,
        cause="downtime" if incident.kind == "downtime" else "reopen" if since_end else "incident",
        incident=incident.id,
        message=incident.message,
        told_seconds=seconds if since_end else None,
    )
    return with_grant(state, grant), grant


def _reopen(
    incident: Incident, loaded: Loaded, learner: Learner, told: IncidentSession, now: datetime
) -> Writes:
    """Open a session that time ended: where it was, with the time since then given beside the promised one.

    Its decision stays the current one until the session ends again, and is then superseded. The learner's
    version keeps out a session that is begun at the same moment.
    """
    row, ending = loaded.row, loaded.state.ending
    assert ending is not None
    state = replace(loaded.state, ending=None)
    over = min([clock.deadline for clock in state.clocks] + [state.closes_at])
    since_end = max(math.ceil((now - over).total_seconds()), 1)
    state, granted = _granted(incident, state, told.seconds, now, since_end)
    reopened = {
        "ended_at": ending.at.isoformat(),
        "ended_by": ending.how,
        "incident": incident.id,
        "by": incident.by,
    }
    events = (
        event_row(loaded.records, "reopened", now, reopened),
        event_row(loaded.records, "time_granted", now, granted.to_mapping(), n=2),
    )
    updates = (finishing.reopened(row, state), finishing.moved(learner))
    return Writes(row.tenant, updates, inserts=(told, *events))


async def _void(
    services: Services, incident: Incident, loaded: Loaded, told: IncidentSession, now: datetime
) -> Writes:
    row = loaded.row
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    void = voiding.voided(row, now, incident.reason)
    shelf = await services.catalogue.shelf(row.tenant)
    changes = voiding.told(
        records,
        with_session(records, void),
        shelf,
        course=row.course,
        now=now,
        reason_id=incident.id,
    )
    names = ("state", "ended_at", "ended_by", "void_at", "void_reason")
    values = {name: getattr(void, name) for name in names} | {"version": row.version + 1}
    expected = {"version": row.version, "state": row.state}
    update = Update(Session, {"tenant": row.tenant, "id": row.id}, values, expected)
    event = event_row(loaded.records, "voided", now, {"incident": incident.id, "by": incident.by})
    jobs = await schools.follow_ups(services, shelf, records, cause="void", reason_id=incident.id)
    return Writes(
        row.tenant, (update, finishing.moved(records.learner)), inserts=(told, event, *jobs), changes=changes
    )
