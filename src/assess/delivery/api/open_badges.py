"""Open Badges: what a learner takes along, and what anybody asks who verifies it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from assess.delivery import schemas
from assess.delivery.api.wire import Who, documents, json_router, reply, services
from assess.delivery.service import credentials

router = APIRouter()
_own = json_router()
# For everybody, as the specifications ask; a credential's own address is not to be guessed.
_FRESH = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
_JSON_LD = "application/ld+json"


@_own.get("/v1/learners/{learner}/badges/{badge}/credential", **documents(schemas.OpenBadge, also=(409, 410)))
async def get_credential(request: Request, scope: Who, learner: str, badge: str) -> Response:
    """The badge as an Open Badges credential, where its rule is met: the same again on the same ground."""
    return reply(await credentials.credential(services(request), scope, learner=learner, badge=badge))


@router.get("/v1/open-badges/status/{purpose}/{which}", include_in_schema=False)
async def get_status_list(
    request: Request, purpose: str, which: Annotated[int, Path(ge=0, lt=2**31)]
) -> Response:
    """Which credentials were taken back, as a signed list of bits."""
    token = await credentials.status_list(services(request), purpose=purpose, which=which)
    return Response(token, headers=_FRESH, media_type="application/vc+jwt")


@router.get("/v1/open-badges/credentials/{credential}", include_in_schema=False)
async def get_credential_itself(request: Request, credential: str) -> Response:
    """A credential at the address that is its id."""
    token = await credentials.token(services(request), credential)
    return Response(token, headers=_FRESH, media_type="application/vc+jwt")


@router.get("/v1/open-badges/2/assertions/{credential}", include_in_schema=False)
async def get_assertion(request: Request, credential: str) -> Response:
    """A hosted assertion of Open Badges 2.0; 410 once it was taken back."""
    body, stands = await credentials.assertion(services(request), credential)
    return Response(schemas.encode(body), 200 if stands else 410, dict(_FRESH), _JSON_LD)


@router.get("/v1/open-badges/2/badges/{badge}", include_in_schema=False)
async def get_badge_class(request: Request, badge: str) -> Response:
    """A badge class of Open Badges 2.0."""
    body = await credentials.badge_class(services(request), badge)
    return Response(schemas.encode(body), headers=_FRESH, media_type=_JSON_LD)


@router.get("/v1/open-badges/2/issuer", include_in_schema=False)
async def get_issuer(request: Request) -> Response:
    """The issuer of Open Badges 2.0."""
    body = await credentials.issuer(services(request))
    return Response(schemas.encode(body), headers=_FRESH, media_type=_JSON_LD)


router.include_router(_own)
