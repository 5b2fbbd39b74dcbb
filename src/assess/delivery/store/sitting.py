"""What may be read about incidents, accommodations, invigilators' codes and the servers that ran."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Select, case, or_, select

from assess.delivery.store import tables
from assess.delivery.store import tables_people as people
from assess.delivery.store.persons import person
from assess.delivery.store.reading import _all, _one
from assess.delivery.store.rows import Session
from assess.delivery.store.rows_sitting import (
    AccommodationRow,
    Heartbeat,
    Incident,
    IncidentSession,
    InvigilatorCode,
)


def incident(connection: Connection, tenant: str, id: str) -> Incident | None:
    """An incident."""
    c = tables.incidents.c
    return _one(connection, Incident, c.tenant == tenant, c.id == id)


def incidents(connection: Connection, tenant: str, *, sandbox: bool) -> list[Incident]:
    """All incidents of a tenant, newest first."""
    c = tables.incidents.c
    return _all(
        connection,
        Incident,
        c.tenant == tenant,
        c.sandbox == sandbox,
        order=(c.created_at.desc(), c.id),
    )


def incidents_named(connection: Connection, tenant: str, ids: Collection[str]) -> list[Incident]:
    """The incidents with these ids."""
    c = tables.incidents.c
    return _all(connection, Incident, c.tenant == tenant, c.id.in_(list(ids)), order=(c.created_at, c.id))


def unfinished_incidents(connection: Connection) -> list[Incident]:
    """Incidents of all tenants that were begun and not carried out to their end."""
    c = tables.incidents.c
    return _all(connection, Incident, c.done_at.is_(None), order=(c.created_at, c.id))


def incident_sessions(connection: Connection, tenant: str, incident: str) -> list[IncidentSession]:
    """What an incident did so far."""
    c = tables.incident_sessions.c
    return _all(connection, IncidentSession, c.tenant == tenant, c.incident == incident, order=(c.session,))


def sessions_between(
    connection: Connection,
    tenant: str,
    from_at: datetime,
    to_at: datetime,
    *,
    sandbox: bool,
    course: str | None = None,
    form: str | None = None,
    cohort: str | None = None,
    sessions: Collection[str] | None = None,
) -> list[Session]:
    """Sessions that were going on at some time between two instants, in the order of their starts.

    Those of a cohort are of the persons who belong to it, under whichever of their ids they sat.
    """
    c = tables.sessions.c
    conditions = [
        c.tenant == tenant,
        c.sandbox == sandbox,
        c.state != "reset",
        c.started_at <= to_at,
        or_(c.ended_at.is_(None), c.ended_at >= from_at),
    ]
    if course is not None:
        conditions.append(c.course == course)
    if form is not None:
        conditions.append(c.form_id == form)
    if cohort is not None:
        conditions.append(c.learner.in_(_ids_of_cohort(tenant, cohort)))
    if sessions is not None:
        conditions.append(c.id.in_(list(sessions)))
    return _all(connection, Session, *conditions, order=(c.started_at, c.id))


def _ids_of_cohort(tenant: str, cohort: str) -> Select[tuple[str]]:
    """Every id of every person in a cohort: members, and what they were merged with, over and over."""
    m, g = people.cohort_members.c, people.learner_merges.c
    ids = (
        select(m.learner.label("id"))
        .where(m.tenant == tenant, m.cohort == cohort)
        .cte("ids_of_cohort", recursive=True)
    )
    other = case((g.learner == ids.c.id, g.into), else_=g.learner)
    merged = select(other).where(
        g.tenant == tenant, g.undone_at.is_(None), or_(g.learner == ids.c.id, g.into == ids.c.id)
    )
    return select(ids.union(merged).c.id)


def tenants_with_open_sessions(connection: Connection, at: datetime) -> list[tuple[str, bool]]:
    """Tenant and kind of data (sandbox or not) of the sessions that were open then."""
    c = tables.sessions.c
    found = (
        select(c.tenant, c.sandbox)
        .where(c.state == "open", c.started_at <= at)
        .distinct()
        .order_by(c.tenant, c.sandbox)
    )
    return [(row.tenant, row.sandbox) for row in connection.execute(found)]


def heartbeats(connection: Connection) -> list[Heartbeat]:
    """The last sign of every server process that is remembered."""
    return _all(connection, Heartbeat, order=(tables.heartbeats.c.at,))


def accommodations(connection: Connection, tenant: str, learner: str) -> list[AccommodationRow]:
    """What a person asked for and was granted under any of their ids, each id's in the order of time."""
    c = tables.accommodations.c
    ids = person(connection, tenant, learner).ids
    found = _all(connection, AccommodationRow, c.tenant == tenant, c.learner.in_(ids), order=(c.seq,))
    return sorted(found, key=lambda row: ids.index(row.learner))


def invigilator_code(connection: Connection, tenant: str, code_hash: str) -> InvigilatorCode | None:
    """The code with this hash, in force or not."""
    c = tables.invigilator_codes.c
    return _one(connection, InvigilatorCode, c.tenant == tenant, c.code_hash == code_hash)


def invigilator_codes(connection: Connection, tenant: str, *, sandbox: bool) -> list[InvigilatorCode]:
    """All codes of a tenant, newest first."""
    c = tables.invigilator_codes.c
    return _all(
        connection,
        InvigilatorCode,
        c.tenant == tenant,
        c.sandbox == sandbox,
        order=(c.created_at.desc(), c.id),
    )
