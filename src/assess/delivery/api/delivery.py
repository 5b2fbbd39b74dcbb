"""Delivery: sessions, responses, results, receipts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Who, documents, idempotency_key, json_router, read, reply, services
from assess.delivery.clock import arrived
from assess.delivery.service import breaks, extending, receipts, sessions

router = json_router()


@router.post(
    "/v1/sessions", **documents(schemas.SessionBegun, body=schemas.BeginSession, status=201, also=(409, 429))
)
async def begin_session(request: Request, scope: Who) -> Response:
    """Begin a session, or go on with the open one of this learner and form."""
    body = await read(request, schemas.BeginSession)
    begun = await sessions.begin(
        services(request),
        scope,
        learner=body.learner,
        course=body.course,
        form=body.form,
        locale=body.locale,
        code=body.code,
        assurance=body.assurance,
        key=idempotency_key(request, body),
        arrived=arrived(request),
    )
    return reply(begun, 201)


@router.get("/v1/sessions/{session}", **documents(schemas.SessionView))
async def get_session(request: Request, scope: Who, session: str) -> Response:
    """Where a session is."""
    return reply(await sessions.view(services(request), scope, session))


@router.get("/v1/sessions/{session}/items/{position}", **documents(schemas.Current, also=(409, 410)))
async def get_position(
    request: Request, scope: Who, session: str, position: Annotated[int, Path(ge=1, le=10_000)]
) -> Response:
    """An offered position, where the form allows looking back."""
    return reply(await sessions.look(services(request), scope, session, position))


@router.post(
    "/v1/sessions/{session}/responses", **documents(schemas.Responded, body=schemas.PostResponse, also=(410,))
)
async def post_response(request: Request, scope: Who, session: str) -> Response:
    """Store one answer; the reply comes after it is on the disk."""
    body = await read(request, schemas.PostResponse)
    stored = await sessions.respond(
        services(request),
        scope,
        session,
        position=body.position,
        item=body.item,
        revision=body.revision,
        answer=body.answer,
        fence=body.fence,
        key=idempotency_key(request, body),
        arrived=arrived(request),
    )
    return reply(stored)


@router.post("/v1/sessions/{session}/submit", **documents(schemas.Finished, also=(409,)))
async def submit_session(request: Request, scope: Who, session: str) -> Response:
    """Hand in; a second time changes nothing."""
    return reply(await sessions.submit(services(request), scope, session, arrived=arrived(request)))


@router.post(
    "/v1/sessions/{session}/extend",
    **documents(schemas.SessionView, body=schemas.ExtendSession, also=(429,)),
)
async def extend_session(request: Request, scope: Who, session: str) -> Response:
    """Go on where it was too close to say, with a few more items; a second time changes nothing."""
    body = await read(request, schemas.ExtendSession)
    found = await extending.extend(
        services(request), scope, session, code=body.code, assurance=body.assurance
    )
    return reply(found)


@router.post("/v1/sessions/{session}/break", **documents(schemas.SessionView, also=(409,)))
async def begin_break(request: Request, scope: Who, session: str) -> Response:
    """Stop the clocks and hide the item, where breaks were granted."""
    return reply(await breaks.begin(services(request), scope, session))


@router.post("/v1/sessions/{session}/break/end", **documents(schemas.SessionView, also=(409,)))
async def end_break(request: Request, scope: Who, session: str) -> Response:
    """Let the clocks run on."""
    return reply(await breaks.end(services(request), scope, session))


@router.get("/v1/sessions/{session}/result", **documents(schemas.Result, also=(409,)))
async def get_result(request: Request, scope: Who, session: str) -> Response:
    """What came of a session that has ended."""
    return reply(await sessions.result(services(request), scope, session))


@router.post("/v1/receipts/verify", **documents(schemas.Verified, body=schemas.VerifyReceipt))
async def verify_receipt(request: Request) -> Response:
    """Whether a receipt was signed here; whoever holds one may ask."""
    body = await read(request, schemas.VerifyReceipt)
    return reply(schemas.Verified(valid=await receipts.verify(services(request), body.receipt)))
