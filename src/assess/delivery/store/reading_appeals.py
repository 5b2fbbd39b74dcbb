"""What a use case may read about appeals, and about the notes of learners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select

from assess.delivery.store import tables
from assess.delivery.store.reading import _all, _one
from assess.delivery.store.rows import DecisionRow, Session, SessionEvent
from assess.delivery.store.rows_appeals import Appeal, AppealEntry
from assess.delivery.store.tables_appeals import appeal_entries, appeals

REPORTED = "problem_reported"


def appeal(connection: Connection, tenant: str, id: str) -> Appeal | None:
    """An appeal."""
    c = appeals.c
    return _one(connection, Appeal, c.tenant == tenant, c.id == id)


def appeals_of(connection: Connection, tenant: str, learners: Sequence[str]) -> list[Appeal]:
    """All appeals of a person, oldest first."""
    c = appeals.c
    return _all(
        connection, Appeal, c.tenant == tenant, c.learner.in_(list(learners)), order=(c.filed_at, c.id)
    )


def listed(
    connection: Connection,
    tenant: str,
    *,
    sandbox: bool,
    state: str | None,
    due_before: datetime | None,
    after: str | None,
    limit: int,
) -> list[Appeal]:
    """Appeals by the day on which they are due, a page at a time; `after` is the last of the page before."""
    c = appeals.c
    conditions = [c.tenant == tenant, c.sandbox == sandbox]
    if state is not None:
        conditions.append(c.state == state)
    if due_before is not None:
        conditions += [c.state == "open", c.due_at < due_before]
    last = None if after is None else appeal(connection, tenant, after)
    if last is not None:
        conditions.append(or_(c.due_at > last.due_at, and_(c.due_at == last.due_at, c.id > last.id)))
    return _all(connection, Appeal, *conditions, order=(c.due_at, c.id), limit=limit)


def entries(connection: Connection, tenant: str, id: str) -> list[AppealEntry]:
    """What was done about an appeal, in order."""
    c = appeal_entries.c
    return _all(connection, AppealEntry, c.tenant == tenant, c.appeal == id, order=(c.seq,))


def session_decisions(connection: Connection, tenant: str, session: str) -> list[DecisionRow]:
    """Every decision of a session, in the order of its chain."""
    c = tables.decisions.c
    return _all(connection, DecisionRow, c.tenant == tenant, c.session == session, order=(c.chain_seq,))


def link_before(connection: Connection, decision: DecisionRow) -> str | None:
    """The hash of the link before a decision's; None for the first."""
    c = tables.decisions.c
    return connection.scalar(
        select(c.chain_sha256).where(
            c.tenant == decision.tenant,
            c.programme == decision.programme,
            c.chain_seq == decision.chain_seq - 1,
        )
    )


@dataclass(frozen=True, slots=True)
class Note:
    """A learner's note and the session in which it was left."""

    session: Session
    event: SessionEvent


def notes(
    connection: Connection, tenant: str, *, sandbox: bool, after: tuple[datetime, str, int] | None, limit: int
) -> list[Note]:
    """Notes that learners left, oldest first, a page at a time; one that was erased is none."""
    e, s = tables.session_events, tables.sessions
    statement = (
        select(e)
        .join(s, and_(s.c.tenant == e.c.tenant, s.c.id == e.c.session))
        .where(e.c.tenant == tenant, e.c.type == REPORTED, s.c.sandbox == sandbox)
        .order_by(e.c.at, e.c.session, e.c.seq)
        .limit(limit)
    )
    if after is not None:
        at, session, seq = after
        statement = statement.where(
            or_(
                e.c.at > at,
                and_(e.c.at == at, e.c.session > session),
                and_(e.c.at == at, e.c.session == session, e.c.seq > seq),
            )
        )
    events = [SessionEvent.read(row) for row in connection.execute(statement)]
    c = s.c
    ids = {event.session for event in events}
    found = {row.id: row for row in _all(connection, Session, c.tenant == tenant, c.id.in_(list(ids)))}
    return [Note(found[event.session], event) for event in events]
