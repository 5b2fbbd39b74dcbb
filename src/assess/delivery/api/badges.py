"""Badges: what they are, who has the right to them, and what changed."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Limit, Who, documents, json_router, number_cursor, read, reply, services
from assess.delivery.service import changes, claims, eligibility, reassessing, usage
from assess.errors import InvalidContent, InvalidRequest

router = json_router()
Status = Literal["eligible", "not_eligible", "undetermined", "expired", "retired", "not_open"]
Language = Annotated[str | None, Query()]


@router.get("/v1/badges", **documents(schemas.Page[schemas.BadgeInfo]))
async def all_badges(request: Request, scope: Who, language: Language = None) -> Response:
    """Every badge of the programmes that are live."""
    return reply(await eligibility.catalogue(services(request), scope, language=language))


@router.get("/v1/badges/{badge}", **documents(schemas.BadgeInfo))
async def one_badge(request: Request, scope: Who, badge: str, language: Language = None) -> Response:
    """A badge's rule as a sentence, beside the criterion as it was published."""
    return reply(await eligibility.badge_info(services(request), scope, badge=badge, language=language))


@router.get("/v1/badges/{badge}/subjects", **documents(schemas.Page[schemas.BadgeSubject]))
async def badge_subjects(
    request: Request,
    scope: Who,
    badge: str,
    status: Status = "eligible",
    after: Annotated[str, Query()] = "",
    limit: Limit = 100,
) -> Response:
    """Learners by their status for a badge."""
    page = await eligibility.subjects(
        services(request), scope, badge=badge, status=status, after=after, limit=limit
    )
    return reply(page)


@router.post(
    "/v1/badges/{badge}/query", **documents(schemas.Page[schemas.QueryAnswer], body=schemas.BadgeQuery)
)
async def query_badge(request: Request, scope: Who, badge: str) -> Response:
    """The eligibility of up to 1,000 learners, with an error for each id that has one."""
    body = await read(request, schemas.BadgeQuery)
    return reply(await eligibility.query(services(request), scope, badge=badge, subjects=body.subjects))


@router.post("/v1/claims/redeem", **documents(schemas.Redeemed, body=schemas.RedeemClaim, also=(410,)))
async def post_redeem(request: Request, scope: Who) -> Response:
    """Who came with this token, for which badge, and whether the rule is met; each token once."""
    body = await read(request, schemas.RedeemClaim)
    return reply(await claims.redeem(services(request), scope, token=body.token))


@router.post("/v1/badges/{badge}/try", **documents(schemas.RuleTrial, body=schemas.TryRule))
async def try_rule(request: Request, scope: Who, badge: str) -> Response:
    """Who would gain or lose a badge by another rule, a page of learners at a time; nothing is written."""
    body = await read(request, schemas.TryRule)
    if not 1 <= body.limit <= reassessing.LARGEST_TRIAL:
        raise InvalidRequest(f"1 to {reassessing.LARGEST_TRIAL} learners at a time", path="limit")
    try:
        found = await reassessing.attempt(
            services(request), scope, document=body.document, badge=badge, after=body.after, limit=body.limit
        )
    except InvalidContent as fault:
        # Of a stored programme this would be our own fault; this document was sent.
        raise InvalidRequest(str(fault), path="document") from fault
    return reply(found)


@router.get("/v1/usage", **documents(schemas.Usage))
async def get_usage(
    request: Request, scope: Who, by: usage.By = "badge", badge: Annotated[str | None, Query()] = None
) -> Response:
    """How many are eligible and were awarded, by badge, cohort, region or month; small counts are hidden."""
    return reply(await usage.report(services(request), scope, by=by, badge=badge))


@router.get("/v1/changes", **documents(schemas.Page[schemas.Change]))
async def list_changes(
    request: Request, scope: Who, after: Annotated[str | None, Query()] = None, limit: Limit = 100
) -> Response:
    """What changed after a sequence number, in the order of the commits."""
    return reply(await changes.feed(services(request), scope, after=number_cursor(after), limit=limit))
