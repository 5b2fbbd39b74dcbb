"""What is numbered or chained in the commit: changes of the feed, and decisions.

Members of a group are numbered in their order, and the rows of all of them
written together. The tenant's counter is locked first and the head of a chain
last, because every ending session of a programme shares it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Dialect

from assess.delivery.store.packing import insert_rows, select_rows
from assess.delivery.store.rows import ChangeRow, DecisionRow, EligibilityState, Outgoing, Writes
from assess.delivery.store.rows_webhooks import Webhook
from assess.errors import NotFound
from assess.standards.records import GENESIS

_NEWER = "ON CONFLICT (tenant, learner, badge) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in ("status", "since", "sequence", "sandbox", "ends_at")
)


def number_changes(driver: Any, dialect: Dialect, group: Sequence[Writes]) -> list[int | None]:
    """Write the changes of all members; the last number of each, None for one without.

    Numbers rise without a gap in the order of commits: the tenant's row is locked until then.
    """
    last: list[int | None] = [None] * len(group)
    numbered: list[ChangeRow] = []
    for tenant in sorted({writes.tenant for writes in group if writes.changes}):
        members = [n for n, writes in enumerate(group) if writes.tenant == tenant and writes.changes]
        number = _reserve(driver, dialect, tenant, sum(len(group[n].changes) for n in members))
        for n in members:
            for change in group[n].changes:
                number += 1
                numbered.append(change.changed(sequence=number))
            last[n] = number
    if numbered:
        insert_rows(driver, dialect, numbered)
        insert_rows(driver, dialect, _put_out(driver, dialect, numbered))
        # The last word about a badge: one statement must not meet the same row twice.
        states = {(c.tenant, c.learner, c.badge): state for c in numbered if (state := _state(c)) is not None}
        insert_rows(driver, dialect, list(states.values()), _NEWER)
    return last


def _reserve(driver: Any, dialect: Dialect, tenant: str, n: int) -> int:
    """Take the next n numbers of a tenant; the one before the first of them."""
    mark = "?" if dialect.name == "sqlite" else "%s"
    row = driver.execute(
        f"UPDATE tenants SET change_sequence = change_sequence + {mark} WHERE id = {mark} "  # noqa: S608
        "RETURNING change_sequence",
        (n, tenant),
    ).fetchone()
    if row is None:
        raise NotFound("tenant", tenant)
    return int(row[0]) - n


def _state(change: ChangeRow) -> EligibilityState | None:
    """What a change of a badge makes of the learner's standing there."""
    if change.badge is None or change.current is None:
        return None
    return EligibilityState(
        tenant=change.tenant,
        learner=change.learner,
        badge=change.badge,
        status=change.current,
        since=change.at,
        sequence=change.sequence,
        sandbox=change.sandbox,
        ends_at=_end(change),
    )


def _end(change: ChangeRow) -> datetime | None:
    """Until when the eligibility that was told lasts."""
    until = change.data.get("valid_until") if change.current == "eligible" else None
    return None if until is None else datetime.fromisoformat(until)


def _put_out(driver: Any, dialect: Dialect, changes: Sequence[ChangeRow]) -> list[Outgoing]:
    """An entry of the outbox for every webhook that wants a change.

    Here and not by a worker later: the order of entries is then that of the commits, whoever sends them.
    """
    mark = "?" if dialect.name == "sqlite" else "%s"
    listening = f"tenant = {mark} AND disabled_at IS NULL AND deleted_at IS NULL"
    webhooks = {
        tenant: select_rows(driver, dialect, Webhook, listening, (tenant,))
        for tenant in sorted({change.tenant for change in changes})
    }
    return [
        Outgoing(change.tenant, webhook.id, change.sequence, change.learner, change.at)
        for change in changes
        for webhook in webhooks[change.tenant]
        if webhook.wants(change.type, sandbox=change.sandbox)
    ]


def chain(driver: Any, dialect: Dialect, group: Sequence[Writes]) -> None:
    """Write the decisions of all members, each linked to the one before it in its programme."""
    decisions = [decision for writes in group for decision in writes.decisions]
    chained: list[DecisionRow] = []
    mark = "?" if dialect.name == "sqlite" else "%s"
    lock = "" if dialect.name == "sqlite" else " FOR UPDATE"
    here = f"WHERE tenant = {mark} AND programme = {mark}"
    heads: list[tuple[int, str, str, str]] = []
    for tenant, programme in sorted({(d.tenant, d.programme) for d in decisions}):
        driver.execute(
            f"INSERT INTO chain_heads (tenant, programme, seq, sha256) VALUES ({mark}, {mark}, 0, {mark}) "  # noqa: S608
            "ON CONFLICT DO NOTHING",
            (tenant, programme, GENESIS),
        )
        seq, sha = driver.execute(
            f"SELECT seq, sha256 FROM chain_heads {here}{lock}",  # noqa: S608
            (tenant, programme),
        ).fetchone()
        for decision in decisions:
            if (decision.tenant, decision.programme) == (tenant, programme):
                seq, sha = seq + 1, hashlib.sha256(f"{sha}\n{decision.record}".encode()).hexdigest()
                chained.append(decision.changed(chain_seq=seq, chain_sha256=sha))
        heads.append((seq, sha, tenant, programme))
    if chained:
        insert_rows(driver, dialect, chained)
    for head in heads:
        driver.execute(
            f"UPDATE chain_heads SET seq = {mark}, sha256 = {mark} {here}",  # noqa: S608
            head,
        )
