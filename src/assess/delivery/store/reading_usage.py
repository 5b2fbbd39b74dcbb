"""Counts of eligibility and awards, before anything is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, exists, select

from assess.delivery.store import tables
from assess.delivery.store.tables_people import cohort_members, learner_merges


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody eligible for a badge, or with an award of it, since when, and where they are."""

    learner: str
    badge: str
    region: str | None
    since: datetime | str


def eligible(connection: Connection, tenant: str, *, sandbox: bool) -> Iterator[Held]:
    """Everybody who is eligible as last told, who answers for themselves."""
    e, p, m = tables.eligibility_states.c, tables.learners.c, learner_merges.c
    merged = exists().where(m.tenant == tenant, m.learner == e.learner, m.undone_at.is_(None))
    statement = (
        select(e.learner, e.badge, p.region, e.since)
        .join(tables.learners, and_(p.tenant == e.tenant, p.id == e.learner))
        .where(e.tenant == tenant, e.status == "eligible", e.sandbox == sandbox, ~merged)
        .where(p.erased_at.is_(None))
    )
    for row in connection.execute(statement):
        yield Held(row.learner, row.badge, row.region, row.since)


def awarded(connection: Connection, tenant: str, *, sandbox: bool) -> Iterator[Held]:
    """Every award that was attested and is not void, under the learner who answers for it."""
    f, p = tables.facts.c, tables.learners.c
    statement = (
        select(f.subject, f.data, f.at, p.region)
        .join(tables.learners, and_(p.tenant == f.tenant, p.id == f.subject))
        .where(f.tenant == tenant, f.t == "award", f.sandbox == sandbox, f.void_at.is_(None))
        .where(p.erased_at.is_(None))
    )
    for row in connection.execute(statement):
        yield Held(row.subject, str(row.data["badge"]), row.region, row.at)


def cohorts_of_all(connection: Connection, tenant: str) -> dict[str, list[str]]:
    """Learner -> cohorts."""
    c = cohort_members.c
    found: dict[str, Any] = {}
    for row in connection.execute(select(c.learner, c.cohort).where(c.tenant == tenant)):
        found.setdefault(row.learner, []).append(row.cohort)
    return found


def usage_rows(
    connection: Connection, tenant: str, *, sandbox: bool
) -> tuple[list[Held], list[Held], dict[str, list[str]]]:
    """Who is eligible, who was awarded, and who is in which cohort, of one moment."""
    return (
        list(eligible(connection, tenant, sandbox=sandbox)),
        list(awarded(connection, tenant, sandbox=sandbox)),
        cohorts_of_all(connection, tenant),
    )
