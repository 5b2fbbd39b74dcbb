"""Placements: a sitting of short parts that grants courses or advises where to start."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Who, documents, json_router, read, reply, services
from assess.delivery.service import placement as placing

router = json_router()


@router.post(
    "/v1/placements",
    **documents(schemas.PlacementStep, body=schemas.BeginPlacement, status=201, also=(409, 429)),
)
async def begin_placement(request: Request, scope: Who) -> Response:
    """Begin a placement, or go on with the open one of this learner."""
    body = await read(request, schemas.BeginPlacement)
    begun = await placing.begin(
        services(request),
        scope,
        learner=body.learner,
        programme=body.programme,
        locale=body.locale,
        assurance=body.assurance,
    )
    return reply(begun, 201)


@router.get("/v1/placements/{placement}", **documents(schemas.PlacementReply))
async def get_placement(
    request: Request, scope: Who, placement: str, language: Annotated[str | None, Query()] = None
) -> Response:
    """How far a placement is, what it granted, and with which course to start."""
    return reply(await placing.view(services(request), scope, placement, language=language))


@router.post("/v1/placements/{placement}/next", **documents(schemas.PlacementStep, also=(409, 429)))
async def next_part(request: Request, scope: Who, placement: str) -> Response:
    """The part that is to be taken now: begun, or opened again; null when all are done."""
    return reply(await placing.proceed(services(request), scope, placement))
