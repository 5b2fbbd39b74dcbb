"""Who is to be looked at again because time has passed, though nothing was written."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Text, select, type_coerce

from assess.delivery.store import tables
from assess.delivery.store.reading import _all
from assess.delivery.store.rows import EligibilityState, Fact, Job


def job(connection: Connection, id: str) -> Job | None:
    """One job."""
    found = _all(connection, Job, tables.jobs.c.id == id)
    return found[0] if found else None


def ending_facts(connection: Connection, tenant: str) -> list[Fact]:
    """Facts that have a last day and are not void."""
    c = tables.facts.c
    return _all(
        connection,
        Fact,
        c.tenant == tenant,
        c.void_at.is_(None),
        type_coerce(c.data, Text).like('%"until":%'),
        order=(c.id,),
    )


def ended_eligibilities(connection: Connection, tenant: str, now: datetime) -> list[str]:
    """Learners who were told of an eligibility that has run out since."""
    c = tables.eligibility_states.c
    found = select(c.learner).distinct().where(c.tenant == tenant, c.ends_at < now).order_by(c.learner)
    return list(connection.scalars(found))


def told_of(connection: Connection, tenant: str, badge: str) -> list[str]:
    """Learners who were ever told anything of a badge."""
    c = tables.eligibility_states.c
    found = select(c.learner).where(c.tenant == tenant, c.badge == badge).order_by(c.learner)
    return list(connection.scalars(found))


def states(connection: Connection, tenant: str, learner: str) -> dict[str, EligibilityState]:
    """By badge, what a learner was last told."""
    c = tables.eligibility_states.c
    return {
        row.badge: row for row in _all(connection, EligibilityState, c.tenant == tenant, c.learner == learner)
    }
