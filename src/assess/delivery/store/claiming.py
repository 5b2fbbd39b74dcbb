"""Claiming work: one statement on both databases, so that nothing is done by two at once.

PostgreSQL leaves out rows that another worker is just claiming (SKIP LOCKED);
SQLite has one writer, and ignores the clause. A lease ends by itself: what a
worker did not finish before it died is claimed again, so whatever is done here
must bear being done twice.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, or_, select, tuple_, update

from assess.delivery.store.rows import Claim, Job, Outgoing


def due(row: type[Job] | type[Outgoing], now: datetime) -> tuple[Any, ...]:
    """Conditions of work that may be claimed."""
    c = row.table.c
    return (c.dead_at.is_(None), c.run_at <= now, or_(c.leased_until.is_(None), c.leased_until < now))


def claim(connection: Connection, wanted: Claim) -> tuple[Job | Outgoing, ...]:
    """Take due work, the oldest first."""
    table = wanted.row.table
    conditions = due(wanted.row, wanted.now)
    if wanted.kinds is not None:
        conditions += (table.c.kind.in_(wanted.kinds),)
    key = list(table.primary_key.columns)
    order = (table.c.run_at, *key)
    free = select(*key).where(*conditions).order_by(*order).limit(wanted.limit)
    statement = (
        update(table)
        .where(tuple_(*key).in_(free.with_for_update(skip_locked=True)))
        .values(lease=wanted.lease, leased_until=wanted.until, attempts=table.c.attempts + 1)
        .returning(*table.columns)
    )
    found: list[Job | Outgoing] = [wanted.row.read(taken) for taken in connection.execute(statement)]
    # RETURNING keeps no order.
    return tuple(sorted(found, key=lambda taken: (taken.run_at, _place(taken))))


def _place(taken: Job | Outgoing) -> tuple[str, int]:
    return (taken.id, 0) if isinstance(taken, Job) else (taken.tenant, taken.sequence)
