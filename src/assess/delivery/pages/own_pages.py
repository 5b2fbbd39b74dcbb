"""Routes of a learner's own: signing in and out, what is assigned, what is open, what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages.appeal_pages import own_appeals
from assess.delivery.pages.badge_words import course_state, progress_view
from assess.delivery.pages.catalogue_pages import badge_view, public_scope, was_supervised
from assess.delivery.pages.door import Known, admit, known_learner, services_of, visit_of, zone_of
from assess.delivery.pages.language import Language
from assess.delivery.pages.shell import (
    LEARNER_COOKIE,
    SESSION_COOKIE,
    SIGN_IN_COOKIE,
    Visit,
    form_text,
    read_form,
)
from assess.delivery.pages.wording import supervised_words, too_many_codes, window_words
from assess.delivery.service import eligibility, own, sessions, signing_in
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.own import OwnCourse
from assess.delivery.store.rows import Session
from assess.errors import InvalidRequest, LessSupervised, RateLimited, SessionFinished, Unauthenticated

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class CourseView:
    """A course of the learner's own."""

    id: str
    title: tuple[str, str]
    tone: str
    state: str
    window: str
    result: str


@dataclass(frozen=True, slots=True)
class OpenView:
    """A session to go on with."""

    id: str
    title: tuple[str, str]
    words: str
    supervised: bool


# --- in and out --------------------------------------------------------------------


@router.get("/sign-in")
async def sign_in_page(request: Request) -> Response:
    """Ask for the code; a link may bring it, and only the button uses it up."""
    visit, known = await visit_of(request), await known_learner(request)
    signed_in = known is not None and known.signed_in
    return _sign_in_page(visit, code=request.query_params.get("code", ""), signed_in=signed_in)


def _sign_in_page(
    visit: Visit, *, code: str = "", message: str = "", status: int = 200, signed_in: bool = False
) -> Response:
    return visit.render("sign_in.html", status=status, code=code[:60], message=message, signed_in=signed_in)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """A code for a cookie; whatever is wrong with a code, the answer is the same."""
    visit, services = await visit_of(request), services_of(request)
    form = await read_form(request)
    visit.check(form)
    _ = visit.language.gettext
    address = request.client.host if request.client is not None else ""
    tenant = services.settings.tenant
    try:
        token, _learner = await signing_in.sign_in(services, tenant, form_text(form, "code"), address=address)
    except Unauthenticated:
        message = _(
            "This code does not open anything. Look at your card again; a code can be used once, "
            "and only until its last day."
        )
        return _sign_in_page(visit, message=message, status=401)
    except RateLimited as fault:
        message = _("Too many wrong codes came from here. Wait %(n)s seconds and try again.")
        seconds = visit.language.number(fault.retry_after)
        response = _sign_in_page(visit, message=message % {"n": seconds}, status=429)
        response.headers["Retry-After"] = str(fault.retry_after)
        return response
    response = visit.redirect("/me")
    lifetime = int(services.settings.token_days * 24 * 3600)
    visit.set_cookie(response, SIGN_IN_COOKIE, token, max_age=lifetime)
    # Somebody else may have used this browser before.
    visit.drop_cookie(response, LEARNER_COOKIE)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Leave nothing behind on a shared device; what was stored stays."""
    visit, services = await visit_of(request), services_of(request)
    visit.check(await read_form(request))
    known = await known_learner(request)
    response = visit.redirect("/sign-in")
    if known is not None:
        for path in await own.session_paths(services, known.scope, known.learner):
            visit.drop_cookie(response, SESSION_COOKIE, path=path)
    token = request.cookies.get(SIGN_IN_COOKIE, "")
    if token:
        await signing_in.sign_out(services, services.settings.tenant, token)
    for name in (SIGN_IN_COOKIE, LEARNER_COOKIE):
        visit.drop_cookie(response, name)
    return response


# --- my page -----------------------------------------------------------------------


@router.get("/me")
async def me(request: Request) -> Response:
    """What the learner whom the cookie names has to do, has begun, and has reached."""
    return await _me(request)


async def _me(request: Request, *, message: str = "", status: int = 200) -> Response:
    visit, known = await visit_of(request), await known_learner(request)
    if known is None:
        return visit.render(
            "me.html",
            known=False,
            signed_in=False,
            message="",
            open_sessions=[],
            courses=[],
            badges=[],
            appeals=[],
        )
    services = services_of(request)
    shelf = await services.catalogue.shelf(services.settings.tenant)
    words = visit.language
    mine = await own.own(services, known.scope, known.learner)
    found, _ = await eligibility.badges(services, known.scope, learner=known.learner)
    names = {}
    for answer in found.items:
        info = await eligibility.badge_info(services, public_scope(services), badge=answer.badge.id)
        names[answer.badge.id] = badge_view(info, shelf, words).title
    return visit.render(
        "me.html",
        status=status,
        known=True,
        message=message,
        signed_in=known.signed_in,
        may_claim=known.signed_in or visit.demo,
        open_sessions=[_open(session, shelf, words) for session in mine.open_sessions],
        courses=[_course(course, known, shelf, words, mine) for course in mine.courses],
        badges=[progress_view(answer, names[answer.badge.id], shelf, words) for answer in found.items],
        appeals=await own_appeals(services, known.scope, known.learner, words),
    )


def _open(session: Session, shelf: Shelf, words: Language) -> OpenView:
    course = shelf.course(session.course)
    begun = words.moment(session.started_at, zone_of(shelf, course))
    return OpenView(
        session.id,
        words.pick(course.title),
        words.gettext("Begun on %(when)s.") % {"when": begun},
        was_supervised(session),
    )


def _course(found: OwnCourse, known: Known, shelf: Shelf, words: Language, mine: own.Own) -> CourseView:
    tone, state = course_state(found.status, words)
    done = found.status.next.action == "none" and found.status.passed is True
    window = "" if found.window is None or done else window_words(found.window, mine.now, words)
    # Without signing in, the page of a result opens with the cookie of its own session only.
    result = f"/s/{found.session}/result" if found.session is not None and known.signed_in else ""
    title = words.pick(shelf.course(found.course).title)
    return CourseView(found.course, title, tone, state or words.gettext("Not taken yet"), window, result)


@router.post("/me/sessions/{session}")
async def go_on(request: Request, session: str) -> Response:
    """Go on with an open session on this device; on another one it ends."""
    visit, services = await visit_of(request), services_of(request)
    form = await read_form(request)
    visit.check(form)
    known = await known_learner(request)
    if known is None or not known.signed_in:
        raise Unauthenticated("sign in first", code="credentials_missing")
    try:
        code = form_text(form, "code").strip() or None
        begun = await sessions.take_over(services, known.scope, session, code=code)
    except SessionFinished:
        return visit.redirect(f"/s/{session}/result")
    except (LessSupervised, InvalidRequest):
        return await _me(request, message=supervised_words(visit.language), status=422)
    except RateLimited:
        return await _me(request, message=too_many_codes(visit.language), status=429)
    return admit(visit, begun.session, begun.token)
