"""Management, and whether this server is up."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Who, documents, json_router, read, reply, services
from assess.delivery.metrics import CONTENT_TYPE
from assess.delivery.service import activations
from assess.delivery.store import reading
from assess.errors import (
    ActivationRefused,
    InvalidContent,
    InvalidParameters,
    InvalidRequest,
    ScaleMismatch,
    StorageUnavailable,
)

LONGEST_STANDSTILL = 30.0
"""Seconds that a write may be on its way; a database that lives takes milliseconds."""

router = APIRouter()
_manage = json_router()


@_manage.post("/v1/activations", **documents(schemas.Activated, body=schemas.Activate, status=201))
async def post_activation(request: Request, scope: Who) -> Response:
    """Make a release or a programme live; a command line beside a running server sends the document."""
    body = await read(request, schemas.Activate)
    if (body.release is None) == (body.document is None):
        raise InvalidRequest("name a stored release, or send a document", path="release")
    if body.document is not None:
        try:
            activated = await activations.activate(
                services(request),
                scope,
                document=body.document,
                reason=body.reason,
                approved_by=body.approved_by,
                exception=body.exception,
                frozen=body.frozen,
            )
        except (InvalidContent, InvalidParameters, ScaleMismatch) as fault:
            # Of a stored release these would be our own fault; this document was sent.
            raise ActivationRefused(str(fault)) from fault
    else:
        assert body.release is not None
        activated = await activations.activate_stored(
            services(request),
            scope,
            release=body.release,
            reason=body.reason,
            approved_by=body.approved_by,
            exception=body.exception,
            frozen=body.frozen,
        )
    return reply(activated, 201)


@router.get("/.well-known/jwks.json", include_in_schema=False)
async def jwks(request: Request) -> Response:
    """The public keys of signed statements, retired ones included."""
    return reply(services(request).statements.jwks, headers={"Cache-Control": "public, max-age=300"})


@router.get("/healthz", include_in_schema=False)
async def healthz() -> Response:
    """Whether this process answers."""
    return reply({"status": "ok"})


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request) -> Response:
    """Whether this process answers, and its database too, for reading and for writing."""
    found = services(request)
    if (standstill := found.store.standstill()) > LONGEST_STANDSTILL:
        raise StorageUnavailable(f"nothing was stored for {standstill:.0f} s although writes wait")
    if await found.store.read(reading.tenant, found.settings.tenant) is None:
        raise StorageUnavailable(f"tenant {found.settings.tenant!r} is not in the database")
    return reply({"status": "ready"})


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Counts, times and sizes of this process, for a monitor; a proxy keeps it from the outside."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE)


router.include_router(_manage)
