"""What a use case may read of webhooks and of what they are told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from assess.delivery.store import claiming, tables
from assess.delivery.store.reading import _all, _one
from assess.delivery.store.rows import ChangeRow, Outgoing
from assess.delivery.store.rows_webhooks import Webhook
from assess.delivery.store.tables_webhooks import outbox
from assess.delivery.store.tables_webhooks import webhooks as table


def webhook(connection: Connection, tenant: str, id: str) -> Webhook | None:
    """A webhook, disabled or not; none that was deleted."""
    c = table.c
    return _one(connection, Webhook, c.tenant == tenant, c.id == id, c.deleted_at.is_(None))


def webhooks(connection: Connection, tenant: str) -> list[Webhook]:
    """The webhooks of a tenant, oldest first."""
    c = table.c
    return _all(connection, Webhook, c.tenant == tenant, c.deleted_at.is_(None), order=(c.created_at, c.id))


def listening(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """Tenant and id of every webhook that something is due for."""
    c, o = table.c, outbox.c
    due = (
        select(o.sequence)
        .where(o.tenant == c.tenant, o.webhook == c.id, *claiming.due(Outgoing, now))
        .correlate(table)
        .exists()
    )
    found = select(c.tenant, c.id).where(c.disabled_at.is_(None), c.deleted_at.is_(None), due)
    return [(row.tenant, row.id) for row in connection.execute(found.order_by(c.tenant, c.id))]


def deliveries(
    connection: Connection, tenant: str, webhook: str, *, state: str | None, after: int, limit: int
) -> list[tuple[Outgoing, str]]:
    """Entries of the outbox after a sequence number, each with the type of its event.

    `state` is waiting, delivered, dead, or None for all.
    """
    o, c = outbox.c, tables.changes.c
    conditions = {
        None: (),
        "waiting": claiming.waiting(Outgoing),
        "delivered": (o.delivered_at.is_not(None),),
        "dead": (o.dead_at.is_not(None),),
    }[state]
    found = (
        select(outbox, c.type)
        .join(tables.changes, (c.tenant == o.tenant) & (c.sequence == o.sequence))
        .where(o.tenant == tenant, o.webhook == webhook, o.sequence > after, *conditions)
        .order_by(o.sequence)
        .limit(limit)
    )
    return [(Outgoing.read(row), row.type) for row in connection.execute(found)]


def leased(connection: Connection) -> list[Outgoing]:
    """Entries of the outbox that somebody holds."""
    return _all(connection, Outgoing, *claiming.waiting(Outgoing), outbox.c.lease.is_not(None))


def to_replay(
    connection: Connection, tenant: str, webhook: str, *, after: int, limit: int, sandbox: bool
) -> list[tuple[ChangeRow, Outgoing | None]]:
    """The feed after a sequence number, each change with its entry of the outbox if there is one."""
    c, o = tables.changes.c, outbox.c
    conditions = (c.tenant == tenant, c.sequence > after, c.sandbox == sandbox)
    changes = _all(connection, ChangeRow, *conditions, order=(c.sequence,), limit=limit)
    if not changes:
        return []
    span = (o.sequence >= changes[0].sequence, o.sequence <= changes[-1].sequence)
    entries = _all(connection, Outgoing, o.tenant == tenant, o.webhook == webhook, *span)
    known = {entry.sequence: entry for entry in entries}
    return [(change, known.get(change.sequence)) for change in changes]
