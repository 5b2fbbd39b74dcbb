"""Claiming work: one statement on both databases, so that nothing is done by two at once.

PostgreSQL leaves out rows that another worker is just claiming (SKIP LOCKED);
SQLite has one writer, and ignores the clause. A lease ends by itself: what a
worker did not finish before it died is claimed again, so whatever is done here
must bear being done twice.

What is told of one learner to one webhook is told in order: an entry of the
outbox may be claimed when no earlier one of the same learner still waits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, FromClause, exists, or_, select, tuple_, update

from assess.delivery.store.rows import Claim, Job, Outgoing
from assess.delivery.store.rows_webhooks import Webhook


def waiting(row: type[Job] | type[Outgoing], table: FromClause | None = None) -> tuple[Any, ...]:
    """Conditions of work that is still to be done."""
    c = (row.table if table is None else table).c
    return (c.dead_at.is_(None), *((c.delivered_at.is_(None),) if row is Outgoing else ()))


def claimable(row: type[Job] | type[Outgoing], table: FromClause | None = None) -> tuple[Any, ...]:
    """Conditions of work that waits for nothing but its time."""
    c = (row.table if table is None else table).c
    return waiting(row, table) if row is Job else (*waiting(row, table), ~_behind(c), _listens(c))


def due(row: type[Job] | type[Outgoing], now: datetime, table: FromClause | None = None) -> tuple[Any, ...]:
    """Conditions of work that may be claimed."""
    c = (row.table if table is None else table).c
    free = or_(c.leased_until.is_(None), c.leased_until < now)
    return (*claimable(row, table), c.run_at <= now, free)


def _behind(c: Any) -> Any:
    """Whether something earlier about the same learner still waits for the same webhook."""
    earlier = Outgoing.table.alias("earlier")
    e = earlier.c
    same = (e.tenant == c.tenant, e.webhook == c.webhook, e.subject == c.subject, e.sequence < c.sequence)
    return exists().where(*same, *waiting(Outgoing, earlier))


def _listens(c: Any) -> Any:
    """Whether the webhook is neither disabled nor deleted."""
    w = Webhook.table.c
    same = (w.tenant == c.tenant, w.id == c.webhook)
    return exists().where(*same, w.disabled_at.is_(None), w.deleted_at.is_(None))


def claim(connection: Connection, wanted: Claim, tenant: str) -> tuple[Job | Outgoing, ...]:
    """Take due work, the oldest first."""
    table = wanted.row.table
    candidate = table.alias("candidate")
    conditions = due(wanted.row, wanted.now, candidate)
    if wanted.kinds is not None:
        conditions += (candidate.c.kind.in_(wanted.kinds),)
    if wanted.webhook is not None:
        conditions += (candidate.c.tenant == tenant, candidate.c.webhook == wanted.webhook)
    names = [column.name for column in table.primary_key.columns]
    key = [candidate.c[name] for name in names]
    free = select(*key).where(*conditions).order_by(candidate.c.run_at, *key).limit(wanted.limit)
    locked = free.with_for_update(skip_locked=True, of=candidate)
    statement = (
        update(table)
        .where(tuple_(*(table.c[name] for name in names)).in_(locked))
        .values(lease=wanted.lease, leased_until=wanted.until, attempts=table.c.attempts + 1)
        .returning(*table.columns)
    )
    found: list[Job | Outgoing] = [wanted.row.read(taken) for taken in connection.execute(statement)]
    # RETURNING keeps no order.
    return tuple(sorted(found, key=lambda taken: (taken.run_at, _place(taken))))


def _place(taken: Job | Outgoing) -> tuple[str, int]:
    return (taken.id, 0) if isinstance(taken, Job) else (taken.tenant, taken.sequence)
