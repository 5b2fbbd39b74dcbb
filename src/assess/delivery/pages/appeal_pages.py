"""Pages on which a learner asks for a second look, at a result or at a badge that is not turned on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery import schemas
from assess.delivery.pages.answers import Fault
from assess.delivery.pages.catalogue_pages import badge_view, public_scope
from assess.delivery.pages.door import known_learner, open_session, services_of, visit_of, zone_of
from assess.delivery.pages.language import Language
from assess.delivery.pages.shell import Visit, form_text, read_form
from assess.delivery.service import appealing, eligibility
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.errors import AppealRefused, InvalidRequest, RateLimited, Unauthenticated

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class AppealView:
    """An appeal of the learner's own, in words."""

    title: tuple[str, str]
    words: str
    answer: str
    review: bool = False


@dataclass(frozen=True, slots=True)
class _Desk:
    """Who asks for a second look, at what, and where the page goes."""

    services: Services
    scope: Scope
    visit: Visit
    learner: str
    about: tuple[str, str]
    action: str
    back: str
    session: str | None = None
    badge: str | None = None


async def _at_session(request: Request, session: str) -> _Desk:
    entry = await open_session(request, session, signed_in=True)
    from assess.delivery.service import sessions

    view = await sessions.view(entry.services, entry.scope, session)
    return _Desk(
        entry.services,
        entry.scope,
        entry.visit,
        view.learner,
        entry.course_title(view.course),
        f"/s/{session}/appeal",
        f"/s/{session}/result",
        session=session,
    )


async def _at_badge(request: Request, badge: str) -> _Desk:
    visit, services = await visit_of(request), services_of(request)
    known = await known_learner(request)
    if known is None:
        raise Unauthenticated("sign in first", code="credentials_missing")
    shelf = await services.catalogue.shelf(services.settings.tenant)
    info = await eligibility.badge_info(services, public_scope(services), badge=badge)
    title = badge_view(info, shelf, visit.language).title
    action = f"/me/badges/{badge}/appeal"
    return _Desk(services, known.scope, visit, known.learner, title, action, "/me", badge=badge)


@router.get("/s/{session}/appeal")
async def session_appeal(request: Request, session: str) -> Response:
    """Ask for a second look at a result."""
    return _page(await _at_session(request, session))


@router.post("/s/{session}/appeal")
async def file_session_appeal(request: Request, session: str) -> Response:
    """File it."""
    return await _file(request, await _at_session(request, session))


@router.get("/me/badges/{badge}/appeal")
async def badge_appeal(request: Request, badge: str) -> Response:
    """Say that a badge should be turned on."""
    return _page(await _at_badge(request, badge))


@router.post("/me/badges/{badge}/appeal")
async def file_badge_appeal(request: Request, badge: str) -> Response:
    """File it."""
    return await _file(request, await _at_badge(request, badge))


async def _file(request: Request, desk: _Desk) -> Response:
    form = await read_form(request)
    desk.visit.check(form)
    reason = form_text(form, "reason")
    _ = desk.visit.language.gettext
    body = schemas.FileAppeal(reason=reason, session=desk.session, badge=desk.badge)
    try:
        found, _new = await appealing.file(desk.services, desk.scope, learner=desk.learner, body=body)
    except InvalidRequest:
        faults = (Fault("reason", _("Say in a few words what is wrong, in at most 2,000 characters.")),)
        return _page(desk, faults=faults, reason=reason, status=422)
    except AppealRefused:
        message = _(
            "Somebody is looking at it already, or has answered, or there is nothing to look at yet. "
            "Your page shows what came of it."
        )
        return _page(desk, message=message, reason=reason, status=409)
    except RateLimited as fault:
        message = _("You have asked several times today, and all of it is kept. Come back tomorrow.")
        response = _page(desk, message=message, reason=reason, status=429)
        response.headers["Retry-After"] = str(fault.retry_after)
        return response
    shelf = await desk.services.catalogue.shelf(desk.scope.tenant)
    return _page(desk, filed=appeal_view(found, shelf, desk.visit.language, title=desk.about))


def _page(
    desk: _Desk,
    *,
    message: str = "",
    faults: tuple[Fault, ...] = (),
    reason: str = "",
    filed: AppealView | None = None,
    status: int = 200,
) -> Response:
    return desk.visit.render(
        "appeal.html",
        status=status,
        about=desk.about,
        action=desk.action,
        back=desk.back,
        message=message,
        faults=faults,
        reason=reason,
        filed=filed,
    )


async def own_appeals(services: Services, scope: Scope, learner: str, words: Language) -> list[AppealView]:
    """The learner's appeals for their own page, the newest first."""
    found = await appealing.of_learner(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    views = []
    for one in reversed(found.items):
        title = await _title(services, one, shelf, words)
        views.append(appeal_view(one, shelf, words, title=title))
    return views


async def _title(
    services: Services, found: schemas.OwnAppeal, shelf: Shelf, words: Language
) -> tuple[str, str]:
    if found.course is not None:
        return words.pick(shelf.course(found.course).title)
    info = await eligibility.badge_info(services, public_scope(services), badge=found.about)
    return badge_view(info, shelf, words).title


def appeal_view(
    found: schemas.OwnAppeal, shelf: Shelf, words: Language, *, title: tuple[str, str]
) -> AppealView:
    """How an appeal stands, in the reader's words."""
    _ = words.gettext
    zone = UTC if found.course is None else zone_of(shelf, shelf.course(found.course))
    said = {
        "open": _("You asked on %(filed)s. You get an answer by %(due)s."),
        "upheld": _("Looked at again, and changed. You asked on %(filed)s."),
        "rejected": _("Looked at again, and not changed. You asked on %(filed)s."),
        "withdrawn": _("Taken back. You asked on %(filed)s."),
    }[found.state]
    if found.kind == "review":
        said = {
            "open": _(
                "On %(filed)s a check under supervision did not fit your result. Nobody fails by that. "
                "People look at it, and you get an answer by %(due)s; until then your result stands."
            ),
            "upheld": _(
                "People have looked at it. The check of %(filed)s and your result do not fit; nobody has "
                "failed, and the course can be taken again."
            ),
            "rejected": _("People have looked at the check of %(filed)s, and your result stands."),
            "withdrawn": _("The check of %(filed)s is no longer looked at."),
        }[found.state]
    days = {"filed": words.moment(found.filed_at, zone), "due": words.moment(found.due_at, zone)}
    return AppealView(title, said % days, found.answer or "", found.kind == "review")
