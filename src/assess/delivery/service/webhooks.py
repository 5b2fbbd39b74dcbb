"""Webhooks: who is told of changes, under which secret, and what became of each message."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.posting import Message, Poster, new_secret
from assess.delivery.security import new_id
from assess.delivery.service import changes
from assess.delivery.service.context import Scope, Services
from assess.delivery.store import Writes, reading_webhooks
from assess.delivery.store.rows import ChangeRow, Delete, Outgoing, Stored, Update
from assess.delivery.store.rows_webhooks import Webhook
from assess.errors import InvalidRequest, NotFound, StaleSession

OLD_SECRET_SIGNS = timedelta(hours=24)
MOST = 20
_CHUNK = 500
_LONGEST_DESCRIPTION = 200


# --- use cases -----------------------------------------------------------------


async def create(services: Services, scope: Scope, asked: schemas.NewWebhook) -> schemas.WebhookReply:
    """`POST /v1/webhooks`: a new webhook with its secret, which is not told again.

    What it is told is what the key may read: live data or the sandbox.

    Raises
    ------
    Forbidden
        The key lacks manage or read-status.
    InvalidRequest
        The address is refused, a type is not known, or there are too many.
    """
    scope.require("manage")
    scope.require("read-status")
    _require_types(asked.types)
    _require_description(asked.description)
    await Poster(services.settings.webhook_networks).check(asked.url)
    known = await services.store.read(reading_webhooks.webhooks, scope.tenant)
    if len(known) >= MOST:
        raise InvalidRequest(f"there are {MOST} webhooks already; delete one first", path="url")
    row = Webhook(
        tenant=scope.tenant,
        id=new_id("whk"),
        url=asked.url,
        description=asked.description,
        types=None if asked.types is None else sorted(set(asked.types)),
        thin=asked.payload == "thin",
        sandbox=scope.sandbox,
        secret=new_secret(),
        by=scope.actor,
        created_at=services.clock(),
    )
    await services.store.commit(Writes(scope.tenant, inserts=(row,)))
    return _reply(row, told=True)


async def listing(services: Services, scope: Scope) -> schemas.Page[schemas.WebhookReply]:
    """`GET /v1/webhooks`: those that the key reaches, without their secrets."""
    scope.require("manage")
    found = await services.store.read(reading_webhooks.webhooks, scope.tenant)
    return schemas.Page(items=[_reply(row) for row in found if row.sandbox == scope.sandbox])


async def get(services: Services, scope: Scope, id: str) -> schemas.WebhookReply:
    """`GET /v1/webhooks/{webhook}`."""
    return _reply(await _webhook(services, scope, id))


async def change(
    services: Services, scope: Scope, id: str, asked: schemas.ChangedWebhook
) -> schemas.WebhookReply:
    """`PATCH /v1/webhooks/{webhook}`: another address, other types, disabled or enabled again.

    What waits while it is disabled is sent when it is enabled again; what happens meanwhile is not put
    out, and `replay` tells it.
    """
    row = await _webhook(services, scope, id)
    values: dict[str, Any] = {}
    if asked.url is not msgspec.UNSET:
        await Poster(services.settings.webhook_networks).check(asked.url)
        values["url"] = asked.url
    if asked.description is not msgspec.UNSET:
        _require_description(asked.description)
        values["description"] = asked.description
    if asked.types is not msgspec.UNSET:
        _require_types(asked.types)
        values["types"] = None if asked.types is None else sorted(set(asked.types))
    if asked.payload is not msgspec.UNSET:
        values["thin"] = asked.payload == "thin"
    if asked.disabled is True and row.disabled_at is None:
        values |= {"disabled_at": services.clock(), "disabled_why": f"by {scope.actor}"}
    if asked.disabled is False:
        values |= {"disabled_at": None, "disabled_why": None}
    if values:
        await services.store.commit(Writes(scope.tenant, (Update(Webhook, _key(row), values),)))
    return await get(services, scope, id)


async def rotate(services: Services, scope: Scope, id: str) -> schemas.WebhookReply:
    """`POST /v1/webhooks/{webhook}/rotate`: a new secret; the one before signs beside it for a day."""
    row = await _webhook(services, scope, id)
    values = {
        "secret": new_secret(),
        "old_secret": row.secret,
        "old_secret_until": services.clock() + OLD_SECRET_SIGNS,
    }
    update = Update(Webhook, _key(row), values, {"secret": row.secret})
    await services.store.commit(Writes(scope.tenant, (update,)))
    return _reply(await _webhook(services, scope, id), told=True)


async def delete(services: Services, scope: Scope, id: str) -> schemas.WebhookReply:
    """`DELETE /v1/webhooks/{webhook}`: as it was; it is told nothing more, and what waited is dropped."""
    row = await _webhook(services, scope, id)
    values = {"deleted_at": services.clock(), "secret": "", "old_secret": None, "old_secret_until": None}
    gone = Delete(Outgoing, {"tenant": row.tenant, "webhook": row.id})
    await services.store.commit(Writes(scope.tenant, (Update(Webhook, _key(row), values),), (gone,)))
    return _reply(row)


async def disable(services: Services, row: Webhook, why: str) -> None:
    """Tell a webhook nothing more, because of what its receiver said."""
    values = {"disabled_at": services.clock(), "disabled_why": why}
    await services.store.commit(Writes(row.tenant, (Update(Webhook, _key(row), values),)))


async def deliveries(
    services: Services, scope: Scope, id: str, *, state: str | None = None, after: int = 0, limit: int = 100
) -> schemas.Page[schemas.Delivery]:
    """`GET /v1/webhooks/{webhook}/deliveries`: what waits, what was taken, and what was given up."""
    row = await _webhook(services, scope, id)
    found = await services.store.read(
        reading_webhooks.deliveries, row.tenant, row.id, state=state, after=after, limit=limit + 1
    )
    items = [_delivery(row, entry, kind) for entry, kind in found[:limit]]
    return schemas.Page(items=items, next=str(items[-1].sequence) if len(found) > limit else None)


async def replay(services: Services, scope: Scope, id: str, *, after: int) -> schemas.Replayed:
    """`POST /v1/webhooks/{webhook}/replay?after=`: tell everything after a sequence number again.

    Also what was given up, and what was never put out because the webhook did not exist yet or was
    disabled. Each message keeps its id, so a receiver that has it drops it.
    """
    row = await _webhook(services, scope, id)
    n_replayed = 0
    while True:
        try:
            n_more, last = await _replay_chunk(services, row, after)
        except StaleSession:
            continue  # a sender ended one of them meanwhile
        n_replayed += n_more
        if last is None:
            return schemas.Replayed(replayed=n_replayed)
        after = last


async def _replay_chunk(services: Services, row: Webhook, after: int) -> tuple[int, int | None]:
    now = services.clock()
    found = await services.store.read(
        reading_webhooks.to_replay, row.tenant, row.id, after=after, limit=_CHUNK, sandbox=row.sandbox
    )
    if not found:
        return 0, None
    again = {
        "run_at": now,
        "attempts": 0,
        "leased_until": None,
        "lease": None,
        "error": None,
        "dead_at": None,
        "delivered_at": None,
        "status": None,
    }
    wanted = [(change, entry) for change, entry in found if row.wants(change.type, sandbox=change.sandbox)]
    updates = tuple(
        Update(Outgoing, {"tenant": row.tenant, "webhook": row.id, "sequence": change.sequence}, again)
        for change, entry in wanted
        if entry is not None
    )
    rows: tuple[Stored, ...] = tuple(
        Outgoing(row.tenant, row.id, change.sequence, change.learner, now)
        for change, entry in wanted
        if entry is None
    )
    if updates or rows:
        await services.store.commit(Writes(row.tenant, updates, inserts=rows))
    return len(wanted), found[-1][0].sequence


async def try_out(services: Services, scope: Scope, id: str) -> schemas.Tested:
    """`POST /v1/webhooks/{webhook}/test`: send an `endpoint.test` now, and say what came of it."""
    row = await _webhook(services, scope, id)
    now = services.clock()
    body = {"type": "endpoint.test", "timestamp": now, "data": {"webhook": row.id}}
    message = Message(new_id("msg"), schemas.encode(body))
    poster = Poster(services.settings.webhook_networks)
    answer = await poster.post(row.url, message, secrets_of(row, now), now)
    return schemas.Tested(delivered=answer.accepted, status=answer.status, error=answer.error)


# --- what a sender needs -------------------------------------------------------------


def message(webhook: Webhook, change: ChangeRow) -> Message:
    """What a webhook is told of a change; its id and its body are the same at every attempt."""
    entry = changes.entry(change)
    if webhook.thin:
        entry = msgspec.structs.replace(entry, data=msgspec.structs.replace(entry.data, snapshot={}))
    return Message(message_id(webhook.id, change.sequence), schemas.encode(entry))


def message_id(webhook: str, sequence: int) -> str:
    """The header webhook-id of a change.

    Examples
    --------
    >>> message_id("whk_abc", 12)
    'msg_abc_12'
    """
    return f"msg_{webhook.removeprefix('whk_')}_{sequence}"


def secrets_of(webhook: Webhook, now: datetime) -> Sequence[str]:
    """The secrets that sign now: the current one, and for a day the one before."""
    old, until = webhook.old_secret, webhook.old_secret_until
    return (webhook.secret, *((old,) if old is not None and until is not None and now < until else ()))


async def _webhook(services: Services, scope: Scope, id: str) -> Webhook:
    scope.require("manage")
    found = await services.store.read(reading_webhooks.webhook, scope.tenant, id)
    if found is None or found.sandbox != scope.sandbox:
        raise NotFound("webhook", id)
    return found


def _key(row: Webhook) -> dict[str, str]:
    return {"tenant": row.tenant, "id": row.id}


def _require_types(types: list[str] | None) -> None:
    if types is None:
        return
    if not types:
        raise InvalidRequest("name at least one type, or leave them out for all", path="types")
    for place, named in enumerate(types):
        if named not in schemas.EVENT_TYPES:
            known = ", ".join(schemas.EVENT_TYPES)
            raise InvalidRequest(f"{named!r} is no type of event; known: {known}", path=f"types[{place}]")


def _require_description(text: str) -> None:
    if len(text) > _LONGEST_DESCRIPTION:
        raise InvalidRequest(f"up to {_LONGEST_DESCRIPTION} characters", path="description")


def _reply(row: Webhook, *, told: bool = False) -> schemas.WebhookReply:
    return schemas.WebhookReply(
        id=row.id,
        url=row.url,
        description=row.description,
        types=row.types,
        payload="thin" if row.thin else "full",
        sandbox=row.sandbox,
        by=row.by,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        disabled_why=row.disabled_why,
        old_secret_until=row.old_secret_until,
        secret=row.secret if told else None,
    )


def _delivery(row: Webhook, entry: Outgoing, type: str) -> schemas.Delivery:
    state: schemas.DeliveryState = "waiting"
    if entry.delivered_at is not None:
        state = "delivered"
    elif entry.dead_at is not None:
        state = "dead"
    return schemas.Delivery(
        id=message_id(row.id, entry.sequence),
        sequence=entry.sequence,
        type=type,
        subject=entry.subject,
        state=state,
        attempts=entry.attempts,
        next_at=entry.run_at if state == "waiting" else None,
        delivered_at=entry.delivered_at,
        status=entry.status,
        error=entry.error,
    )
