"""How a `Writes` becomes rows: one function, the same on both databases."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from assess.delivery.store import claiming, tables
from assess.delivery.store.rows import (
    Activation,
    ChangeRow,
    Committed,
    DecisionRow,
    Delete,
    EligibilityState,
    Outgoing,
    Stored,
    Update,
    Writes,
)
from assess.delivery.store.rows_webhooks import Webhook
from assess.errors import NotFound, StaleSession
from assess.standards.records import GENESIS


def apply(connection: Connection, writes: Writes) -> Committed:
    """Write everything inside the caller's transaction.

    Raises
    ------
    StaleSession
        A row is not what the use case read, or a row with the same key was faster. Nothing may be committed.
    """
    try:
        for change in writes.updates:
            _update(connection, change)
        for removal in writes.deletes:
            _delete(connection, removal)
        for table, rows in groupby(writes.inserts, key=lambda row: row.table):
            connection.execute(table.insert(), [row.values() for row in rows])
        for row in writes.keep:
            connection.execute(_insert(connection, row.table).on_conflict_do_nothing(), row.values())
        activation = _activate(connection, writes.activations)
        last = _number_changes(connection, writes.tenant, writes.changes)
        # The head of a chain is the row that all ending sessions share: it is locked last, and held shortest.
        _chain(connection, writes.decisions)
        claimed = () if writes.claim is None else claiming.claim(connection, writes.claim, writes.tenant)
    except IntegrityError as fault:
        if _is_duplicate(fault):
            raise StaleSession("something with the same key was stored first; read again") from fault
        raise
    return Committed(last, activation, claimed)


def _is_duplicate(fault: IntegrityError) -> bool:
    names = ("SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_UNIQUE")
    if getattr(fault.orig, "sqlite_errorname", None) in names:
        return True
    return getattr(fault.orig, "sqlstate", None) == "23505"


def _where(table: Table, key: dict[str, Any]) -> Any:
    return and_(
        *(table.c[name].is_(None) if value is None else table.c[name] == value for name, value in key.items())
    )


def _update(connection: Connection, change: Update) -> None:
    table = change.row.table
    condition = _where(table, {**change.key, **change.expected})
    result = connection.execute(update(table).where(condition).values(dict(change.values)))
    if result.rowcount != 1:
        raise StaleSession(f"{table.name} {dict(change.key)} is not what was read; read it again")


def _delete(connection: Connection, removal: Delete) -> None:
    table = removal.row.table
    conditions = [_where(table, dict(removal.key))] if removal.key else []
    conditions += [table.c[name] < moment for name, moment in removal.before.items()]
    connection.execute(delete(table).where(*conditions))


def _insert(connection: Connection, table: Table) -> Any:
    dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _activate(connection: Connection, activations: Sequence[Activation]) -> int | None:
    number = None
    for activation in activations:
        seq = tables.activations.c.seq
        newest = connection.scalar(
            select(func.max(seq)).where(tables.activations.c.tenant == activation.tenant)
        )
        number = (newest or 0) + 1
        connection.execute(tables.activations.insert(), replace(activation, seq=number).values())
    return number


def _number_changes(connection: Connection, tenant: str, changes: Sequence[ChangeRow]) -> int | None:
    """Give numbers that rise without a gap in the order of commits: the tenant's row is locked until then."""
    if not changes:
        return None
    counter = tables.tenants.c.change_sequence
    statement = (
        update(tables.tenants)
        .where(tables.tenants.c.id == tenant)
        .values(change_sequence=counter + len(changes))
        .returning(counter)
    )
    last = connection.scalar(statement)
    if last is None:
        raise NotFound("tenant", tenant)
    first = int(last) - len(changes) + 1
    numbered = [replace(change, sequence=first + n) for n, change in enumerate(changes)]
    connection.execute(tables.changes.insert(), [change.values() for change in numbered])
    _put_out(connection, tenant, numbered)
    for change in numbered:
        if change.badge is None or change.current is None:
            continue
        state = EligibilityState(
            tenant=change.tenant,
            learner=change.learner,
            badge=change.badge,
            status=change.current,
            since=change.at,
            sequence=change.sequence,
            sandbox=change.sandbox,
            ends_at=_end(change),
        )
        values = state.values()
        key = ("tenant", "learner", "badge")
        connection.execute(
            _insert(connection, state.table).on_conflict_do_update(
                index_elements=list(key), set_={k: v for k, v in values.items() if k not in key}
            ),
            values,
        )
    return int(last)


def _end(change: ChangeRow) -> datetime | None:
    """Until when the eligibility that was told lasts."""
    until = change.data.get("valid_until") if change.current == "eligible" else None
    return None if until is None else datetime.fromisoformat(until)


def _put_out(connection: Connection, tenant: str, changes: Sequence[ChangeRow]) -> None:
    """An entry of the outbox for every webhook that wants a change.

    Here and not by a worker later: the order of entries is then that of the commits, whoever sends them.
    """
    c = Webhook.table.c
    listening = select(Webhook.table).where(
        c.tenant == tenant, c.disabled_at.is_(None), c.deleted_at.is_(None)
    )
    told = [
        Outgoing(tenant, webhook.id, change.sequence, change.learner, change.at).values()
        for webhook in map(Webhook.read, connection.execute(listening))
        for change in changes
        if webhook.wants(change.type, sandbox=change.sandbox)
    ]
    if told:
        connection.execute(Outgoing.table.insert(), told)


def _chain(connection: Connection, decisions: Sequence[DecisionRow]) -> None:
    heads = tables.chain_heads
    for decision in sorted(decisions, key=lambda d: d.programme):
        here = and_(heads.c.tenant == decision.tenant, heads.c.programme == decision.programme)
        values = {"tenant": decision.tenant, "programme": decision.programme, "seq": 0, "sha256": GENESIS}
        connection.execute(_insert(connection, heads).on_conflict_do_nothing(), values)
        head = connection.execute(select(heads.c.seq, heads.c.sha256).where(here).with_for_update()).one()
        link = hashlib.sha256(f"{head.sha256}\n{decision.record}".encode()).hexdigest()
        chained = replace(decision, chain_seq=head.seq + 1, chain_sha256=link)
        connection.execute(tables.decisions.insert(), chained.values())
        connection.execute(update(heads).where(here).values(seq=chained.chain_seq, sha256=link))


def insert_missing(connection: Connection, rows: Sequence[Stored]) -> None:
    """Insert rows that are not there yet."""
    for row in rows:
        connection.execute(_insert(connection, row.table).on_conflict_do_nothing(), row.values())
