"""How often the items of a form were met, counted where they are stored."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select

from assess.delivery.store import tables


def sessions_by_release(
    connection: Connection, tenant: str, form_id: str, since: datetime, *, sandbox: bool
) -> dict[str, int]:
    """Ended sessions of a form that began since then, by delivered release; void ones left out."""
    c = tables.sessions.c
    found = (
        select(c.release, func.count()).where(*_ended(tenant, form_id, since, sandbox)).group_by(c.release)
    )
    return {str(release): int(n) for release, n in connection.execute(found)}


def offers_by_item(
    connection: Connection, tenant: str, form_id: str, since: datetime, *, sandbox: bool
) -> dict[tuple[str, str], int]:
    """How many of these sessions met each item, by release and item."""
    s, o = tables.sessions, tables.offers
    found = (
        select(s.c.release, o.c.item, func.count())
        .select_from(s.join(o, (o.c.tenant == s.c.tenant) & (o.c.session == s.c.id)))
        .where(*_ended(tenant, form_id, since, sandbox))
        .group_by(s.c.release, o.c.item)
    )
    return {(str(release), str(item)): int(n) for release, item, n in connection.execute(found)}


def _ended(tenant: str, form_id: str, since: datetime, sandbox: bool) -> tuple[ColumnElement[bool], ...]:
    c = tables.sessions.c
    return (
        c.tenant == tenant,
        c.form_id == form_id,
        c.state == "ended",
        c.void_at.is_(None),
        c.sandbox == sandbox,
        c.started_at >= since,
    )


def records_of_form(
    connection: Connection, tenant: str, form_id: str, since: datetime, *, sandbox: bool
) -> list[str]:
    """The records that stand for these sessions, as they are stored."""
    s, d = tables.sessions, tables.decisions
    found = (
        select(d.c.record)
        .select_from(s.join(d, (d.c.tenant == s.c.tenant) & (d.c.session == s.c.id)))
        .where(*_ended(tenant, form_id, since, sandbox), d.c.superseded_at.is_(None))
        .order_by(d.c.session)
    )
    return [str(record) for record in connection.execute(found).scalars()]
