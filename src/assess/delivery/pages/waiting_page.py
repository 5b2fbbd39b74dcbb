"""The page of those who come when too many begin: it looks again by itself and takes them on.

Without a script. It reloads by the server's word (a Refresh header), which
anybody may stop, and says with every load how long the line still is. Whoever
is let in takes the ticket along in a cookie, for a place is held for it.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from assess.delivery.pages import door
from assess.delivery.pages.door import services_of, visit_of
from assess.delivery.pages.shell import PLACE_COOKIE
from assess.delivery.schemas import Problem
from assess.delivery.security import new_id
from assess.delivery.service.admission import KEPT_SECONDS, seconds_to_look

router = APIRouter(include_in_schema=False)


def waiting_address(target: str) -> str:
    """Where somebody waits who wanted to go to an address of this site."""
    return "/waiting?" + urlencode({"for": target})


def waiting_redirect(target: str) -> Response:
    """Send somebody to wait who wanted to go to an address of this site."""
    return RedirectResponse(waiting_address(target), status_code=303)


def _own_address(asked: str) -> str:
    """An address of this site; the front page for anything else, which another site may have put there."""
    plain = asked.isprintable() and "\\" not in asked and "\t" not in asked
    return asked if plain and asked.startswith("/") and not asked.startswith("//") else "/"


async def problem_page(request: Request, problem: Problem) -> Response:
    """Any refusal or fault as a page; who came to begin and found the line too long is sent to wait.

    Inside a session nobody is sent away: the form with the answer is still in the browser.
    """
    path = request.url.path
    if problem.code == "overloaded" and request.method == "POST" and not path.startswith("/s/"):
        target = path + (f"?{request.url.query}" if request.url.query else "")
        return waiting_redirect(target)
    return await door.problem_page(request, problem)


@router.get("/waiting")
async def waiting(request: Request) -> Response:
    """Still in the line, or on to the place where one wanted to begin."""
    visit, services = await visit_of(request), services_of(request)
    target = _own_address(request.query_params.get("for", "/"))
    ticket = request.query_params.get("place", "")[:40] or new_id("plc")
    before = services.admission.place(ticket)
    if before == 0:
        on = visit.redirect(quote(target, safe="/?&=%"))
        visit.set_cookie(on, PLACE_COOKIE, ticket, max_age=int(KEPT_SECONDS))
        return on
    seconds = seconds_to_look(before)
    by_itself = request.query_params.get("by_itself") != "no"
    again = {"for": target, "place": ticket}
    still = {**again, "by_itself": "no"}
    response = visit.render(
        "waiting.html",
        status=503,
        before=before,
        seconds=seconds,
        by_itself=by_itself,
        again="/waiting?" + urlencode(again if by_itself else still),
        other="/waiting?" + urlencode(still if by_itself else again),
    )
    response.headers["Retry-After"] = str(seconds)
    if by_itself:
        response.headers["Refresh"] = f"{seconds}; url=/waiting?{urlencode(again)}"
    return response
