"""Rescoring and the release of results: a dry run, the real run, and what became of it."""

from __future__ import annotations

from fastapi import Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Who, documents, json_router, read, reply, services
from assess.delivery.service import releasing, rescoring, what_if
from assess.errors import InvalidContent, InvalidParameters, InvalidRequest, RescoreRefused, ScaleMismatch

router = json_router()


@router.post(
    "/v1/rescores", **documents(schemas.Rescoring, body=schemas.AskRescoring, status=202, also=(200,))
)
async def post_rescore(request: Request, scope: Who) -> Response:
    """Say what a rescoring would change (200), or enter one that this server carries out (202)."""
    body = await read(request, schemas.AskRescoring)
    if (body.onto is None) == (body.document is None):
        raise InvalidRequest("name a release that was live, or send a document", path="onto")
    if body.dry_run:
        try:
            found = await rescoring.preview(
                services(request), scope, onto=body.onto, document=body.document, sources=body.sources
            )
        except (InvalidContent, InvalidParameters, ScaleMismatch) as fault:
            # Of a stored release these would be our own fault; this document was sent.
            raise RescoreRefused(str(fault)) from fault
        return reply(found)
    if body.onto is None:
        raise InvalidRequest(
            "activate the document first; only what is live changes outcomes", path="document"
        )
    begun = await rescoring.begin(
        services(request),
        scope,
        onto=body.onto,
        sources=body.sources,
        reason=body.reason,
        approved_by=body.approved_by,
    )
    return reply(await rescoring.report(services(request), scope, begun.id), 202)


@router.post("/v1/what-if", **documents(schemas.WhatIf, body=schemas.AskWhatIf))
async def post_what_if(request: Request, scope: Who) -> Response:
    """What another cut, retake policy or badge rule would change over the past; nothing is written."""
    body = await read(request, schemas.AskWhatIf)
    try:
        found = await what_if.ask(
            services(request), scope, document=body.document, retake=body.retake, programme=body.programme
        )
    except (InvalidContent, InvalidParameters, ScaleMismatch) as fault:
        raise RescoreRefused(str(fault)) from fault
    return reply(found)


@router.post(
    "/v1/forms/{form}/results",
    **documents(schemas.Rescoring, body=schemas.ReleaseResults, status=202, also=(200,)),
)
async def post_results(request: Request, scope: Who, form: str) -> Response:
    """Say how the held results of a form would be decided (200), or enter their release (202)."""
    body = await read(request, schemas.ReleaseResults)
    if body.dry_run:
        return reply(await releasing.preview(services(request), scope, form=form, sources=body.sources))
    begun = await releasing.begin(
        services(request),
        scope,
        form=form,
        sources=body.sources,
        reason=body.reason,
        approved_by=body.approved_by,
    )
    return reply(await rescoring.report(services(request), scope, begun.id), 202)


@router.get("/v1/rescores", **documents(schemas.Page[schemas.RescoringState]))
async def get_rescores(request: Request, scope: Who) -> Response:
    """All rescorings, the newest first."""
    return reply(await rescoring.all_of(services(request), scope))


@router.get("/v1/rescores/{rescore}", **documents(schemas.Rescoring))
async def get_rescore(request: Request, scope: Who, rescore: str) -> Response:
    """How far a rescoring is, whom it reached, and what it changed."""
    return reply(await rescoring.report(services(request), scope, rescore))
