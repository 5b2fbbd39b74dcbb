"""What a calibration reads: the responses that count, of a whole course."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from assess.delivery.store import tables
from assess.delivery.store.persons import survivors


@dataclass(frozen=True, slots=True)
class StoredCategory:
    """One counting response, as a calibration reads it."""

    session: str
    learner: str
    form: str
    release: str
    position: int
    item: str
    category: int | None
    omitted: bool
    ended_by: str
    started_at: datetime


def course_categories(
    connection: Connection,
    tenant: str,
    course: str,
    *,
    sandbox: bool = False,
    sessions: Collection[str] | None = None,
) -> list[StoredCategory]:
    """Offers of a course's ended, valid sessions, each with the category that counts, if there is one."""
    s, o, r = tables.sessions, tables.offers, tables.responses
    newest = (
        select(r.c.tenant, r.c.session, r.c.position, func.max(r.c.revision).label("revision"))
        .where(r.c.tenant == tenant)
        .group_by(r.c.tenant, r.c.session, r.c.position)
        .subquery()
    )
    place = and_(
        o.c.tenant == newest.c.tenant, o.c.session == newest.c.session, o.c.position == newest.c.position
    )
    same = and_(
        r.c.tenant == newest.c.tenant,
        r.c.session == newest.c.session,
        r.c.position == newest.c.position,
        r.c.revision == newest.c.revision,
    )
    statement = (
        select(
            s.c.id, s.c.learner, s.c.form, s.c.release, o.c.position, o.c.item, r.c.category,
            r.c.answer, r.c.revision, s.c.ended_by, s.c.started_at,
        )
        .join(o, and_(o.c.tenant == s.c.tenant, o.c.session == s.c.id))
        .outerjoin(newest, place)
        .outerjoin(r, same)
        .where(s.c.tenant == tenant, s.c.course == course, s.c.state == "ended", s.c.void_at.is_(None))
        .where(s.c.sandbox == sandbox)
        .order_by(s.c.started_at, s.c.id, o.c.position)
    )  # fmt: skip
    if sessions is not None:
        statement = statement.where(s.c.id.in_(list(sessions)))
    # Two records of one person are one person here too, or the same answers would count as two people's.
    merged = survivors(connection, tenant)
    return [
        StoredCategory(
            session=row.id,
            learner=merged.get(row.learner, row.learner),
            form=row.form,
            release=row.release,
            position=row.position,
            item=row.item,
            category=row.category,
            omitted=row.revision is not None and row.answer is None,
            ended_by=row.ended_by,
            started_at=row.started_at,
        )
        for row in connection.execute(statement)
    ]
