"""Going to a platform to claim a badge: what it will learn is said before the learner goes."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages.door import known_learner, services_of, visit_of
from assess.delivery.pages.shell import read_form
from assess.delivery.service import claims
from assess.errors import NotEligible, Unauthenticated

router = APIRouter(include_in_schema=False)


@router.post("/me/badges/{badge}/claim")
async def claim(request: Request, badge: str) -> Response:
    """Make the token, and show the way on: a link, for a form may not lead to another site."""
    visit, services = await visit_of(request), services_of(request)
    visit.check(await read_form(request))
    known = await known_learner(request)
    if known is None or not (known.signed_in or visit.demo):
        raise Unauthenticated("sign in first", code="credentials_missing")
    try:
        begun = await claims.begin(services, known.scope, badge=badge)
    except NotEligible:
        # Claimed, or lost, since the page was drawn: it says which.
        return visit.redirect("/me")
    return visit.render("claim.html", badge=badge, onward=begun.address, host=begun.host)
