"""Webhooks: made, changed, tried out, and what became of every message."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Limit, Who, documents, json_router, number_cursor, read, reply, services
from assess.delivery.service import webhooks
from assess.errors import InvalidRequest

router = json_router()
After = Annotated[str | None, Query(description="a sequence number, or `next` of the list before")]


@router.post("/v1/webhooks", **documents(schemas.WebhookReply, body=schemas.NewWebhook, status=201))
async def post_webhook(request: Request, scope: Who) -> Response:
    """Tell an address of changes; the secret in the reply is not told again."""
    asked = await read(request, schemas.NewWebhook)
    return reply(await webhooks.create(services(request), scope, asked), 201)


@router.get("/v1/webhooks", **documents(schemas.Page[schemas.WebhookReply]))
async def get_webhooks(request: Request, scope: Who) -> Response:
    """All webhooks that the key reaches."""
    return reply(await webhooks.listing(services(request), scope))


@router.get("/v1/webhooks/{webhook}", **documents(schemas.WebhookReply))
async def get_webhook(request: Request, scope: Who, webhook: str) -> Response:
    """One webhook, without its secret."""
    return reply(await webhooks.get(services(request), scope, webhook))


@router.patch("/v1/webhooks/{webhook}", **documents(schemas.WebhookReply, body=schemas.ChangedWebhook))
async def patch_webhook(request: Request, scope: Who, webhook: str) -> Response:
    """Change an address or what it is told; disable it, or enable it again."""
    asked = await read(request, schemas.ChangedWebhook)
    return reply(await webhooks.change(services(request), scope, webhook, asked))


@router.delete("/v1/webhooks/{webhook}", **documents(schemas.WebhookReply))
async def delete_webhook(request: Request, scope: Who, webhook: str) -> Response:
    """Tell it nothing more, and drop what waited."""
    return reply(await webhooks.delete(services(request), scope, webhook))


@router.post("/v1/webhooks/{webhook}/rotate", **documents(schemas.WebhookReply))
async def post_rotate(request: Request, scope: Who, webhook: str) -> Response:
    """A new secret; for a day messages are signed under the one before too."""
    return reply(await webhooks.rotate(services(request), scope, webhook))


@router.post("/v1/webhooks/{webhook}/test", **documents(schemas.Tested))
async def post_test(request: Request, scope: Who, webhook: str) -> Response:
    """Send an `endpoint.test` and say what the receiver answered."""
    return reply(await webhooks.try_out(services(request), scope, webhook))


@router.get("/v1/webhooks/{webhook}/deliveries", **documents(schemas.Page[schemas.Delivery]))
async def get_deliveries(
    request: Request,
    scope: Who,
    webhook: str,
    state: Annotated[schemas.DeliveryState | None, Query()] = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """What waits, what was taken, and what was given up, in the order of sequence numbers."""
    page = await webhooks.deliveries(
        services(request), scope, webhook, state=state, after=number_cursor(after), limit=limit
    )
    return reply(page)


@router.post("/v1/webhooks/{webhook}/replay", **documents(schemas.Replayed))
async def post_replay(request: Request, scope: Who, webhook: str, after: After = None) -> Response:
    """Tell everything after a sequence number again; each message keeps its id."""
    if after is None:
        raise InvalidRequest("say after which sequence number; 0 is everything", path="after")
    return reply(await webhooks.replay(services(request), scope, webhook, after=number_cursor(after)))
