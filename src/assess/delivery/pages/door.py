"""Who is at the door: the visit of a request, and the learner behind its cookie or link."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

from starlette.requests import Request
from starlette.responses import Response

from assess.delivery.pages.shell import (
    LEARNER_COOKIE,
    PLACE_COOKIE,
    SESSION_COOKIE,
    SIGN_IN_COOKIE,
    WEEK,
    Visit,
    begin_visit,
    error_page,
    opened_elsewhere,
)
from assess.delivery.schemas import Problem
from assess.delivery.service import fencing, keys, learners, signing_in
from assess.delivery.service.catalogue import ProgrammeCourse, Shelf
from assess.delivery.service.context import Scope, Services
from assess.errors import AssessError, NotFound, Unauthenticated


def services_of(request: Request) -> Services:
    """What `create_app` built."""
    services: Services = request.app.state.services
    return services


@dataclass(frozen=True, slots=True)
class Pass:
    """A visit by a known learner: what is live for them, and what they may do."""

    services: Services
    scope: Scope
    visit: Visit
    shelf: Shelf

    def course_title(self, course: str) -> tuple[str, str]:
        """The title of a course, with the language found."""
        return self.visit.language.pick(self.shelf.course(course).title)

    def zone(self, course: str) -> tzinfo:
        """The time zone of the course's programme."""
        return zone_of(self.shelf, self.shelf.course(course))


def zone_of(shelf: Shelf, course: ProgrammeCourse) -> tzinfo:
    """The time zone of a course's programme; UTC without one."""
    programme = shelf.programmes.get(course.programme)
    return UTC if programme is None else programme.rules.time_zone


async def visit_of(request: Request) -> Visit:
    """The visit of a request; forms inside a session are bound to its own cookie."""
    services = services_of(request)
    shelf = await services.catalogue.shelf(services.settings.tenant)
    inside = request.url.path.startswith("/s/") and SESSION_COOKIE in request.cookies
    cookie = {"secret_cookie": SESSION_COOKIE} if inside else {}
    return begin_visit(request, tenant_title=shelf.tenant.title, demo=shelf.tenant.demo, **cookie)


def ticket_of(request: Request) -> str:
    """The ticket with which a learner was let in from the line; empty without one."""
    return request.cookies.get(PLACE_COOKIE, "")[:40]


async def problem_page(request: Request, problem: Problem) -> Response:
    """Any refusal or fault outside the API, as a page."""
    try:
        visit = await visit_of(request)
        if problem.status == 401 and await is_left_behind(request, visit.session_address.removeprefix("/s/")):
            return await left_behind(request, visit)
    except AssessError:
        # Even the tenant cannot be read: say it plainly, without its name.
        visit = begin_visit(request, tenant_title="", demo=False)
    return error_page(visit, problem)


def admit(visit: Visit, session: str, token: str) -> Response:
    """To the session's clean address, with the token in cookies: one for the session, one for the rest.

    The session's own cookie is bound to its path, so that two sessions in two
    tabs do not take each other's place. Both outlive the browser, which may
    crash in the middle of a session.
    """
    response = visit.redirect(f"/s/{session}")
    visit.set_cookie(response, SESSION_COOKIE, token, path=f"/s/{session}", max_age=WEEK)
    visit.set_cookie(response, LEARNER_COOKIE, token, max_age=WEEK)
    return response


async def open_session(request: Request, session: str, *, signed_in: bool = False) -> Pass:
    """The pass to one session, by the cookie that its link left.

    Parameters
    ----------
    signed_in : bool
        A learner who signed in may come without that cookie, or with one that ended: to look, never to
        answer, for answering on one device must end it on the other.

    Raises
    ------
    Unauthenticated, NotFound
        No cookie, or one that opens another session.
    """
    services = services_of(request)
    try:
        scope = await _by_cookie(request, session)
    except Unauthenticated:
        own = await _signed_in(request) if signed_in else None
        if own is None:
            raise
        scope = own
    return Pass(services, scope, await visit_of(request), await services.catalogue.shelf(scope.tenant))


async def _by_cookie(request: Request, session: str) -> Scope:
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        raise Unauthenticated("no session cookie; open the link of the session", code="credentials_missing")
    scope = await learner_scope(services_of(request), token)
    scope.require_session(session)
    return scope


async def is_left_behind(request: Request, session: str) -> bool:
    """Whether this browser had the session until it was resumed elsewhere, under another token."""
    services = services_of(request)
    token = request.query_params.get("token") or request.cookies.get(SESSION_COOKIE)
    if not token or not session:
        return False
    return await fencing.was_replaced(services, services.settings.tenant, session, token)


async def left_behind(request: Request, visit: Visit, *, answer: str = "", typed: str = "") -> Response:
    """The page of a browser that was left behind: its cookie leads nowhere, so it says what does."""
    _ = visit.language.gettext
    way = ("/sign-in", _("Sign in with a code"))
    if await _signed_in(request) is not None:
        way = ("/me", _("My progress"))
    return opened_elsewhere(visit, way=way, answer=answer, typed=typed)


@dataclass(frozen=True, slots=True)
class Known:
    """A learner who signed in, or was here before: their own scope, and the session of their last link."""

    scope: Scope
    learner: str
    session: str | None
    signed_in: bool = False


async def known_learner(request: Request) -> Known | None:
    """The learner of the cookie, as themselves; None for a stranger or an old cookie."""
    signed = await _signed_in(request)
    if signed is not None:
        assert signed.learner is not None
        return Known(signed, signed.learner, None, signed_in=True)
    token = request.cookies.get(LEARNER_COOKIE)
    if not token:
        return None
    try:
        scope = await learner_scope(services_of(request), token)
    except (Unauthenticated, NotFound):
        return None
    assert scope.learner is not None
    own = learners.own_scope(scope.tenant, scope.learner, sandbox=scope.sandbox)
    return Known(own, scope.learner, scope.session)


async def _signed_in(request: Request) -> Scope | None:
    """The scope of a learner who signed in with a code."""
    services, token = services_of(request), request.cookies.get(SIGN_IN_COOKIE, "")
    return await signing_in.signed_in(services, services.settings.tenant, token)


async def learner_scope(services: Services, token: str) -> Scope:
    """The scope of a learner token.

    Raises
    ------
    Unauthenticated
        The token is unknown or has expired.
    """
    scope = await keys.authenticate(services, token)
    if scope.learner is None or scope.tenant != services.settings.tenant:
        raise Unauthenticated("this is not a learner's token for this site")
    return scope
