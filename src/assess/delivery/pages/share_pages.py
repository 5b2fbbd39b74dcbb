"""Pages of shared links: the learner's own, where they are made and revoked, and what others see."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages.answers import Fault
from assess.delivery.pages.catalogue_pages import badge_view, public_scope
from assess.delivery.pages.door import Known, known_learner, services_of, visit_of, zone_of
from assess.delivery.pages.language import Language
from assess.delivery.pages.shell import Visit, form_text, read_form
from assess.delivery.schemas import CourseStatus
from assess.delivery.service import eligibility, shares
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Services
from assess.delivery.store.rows_badges import Share
from assess.errors import InvalidRequest, NotEligible, Unauthenticated

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class LinkView:
    """A link in the learner's own list."""

    id: str
    badges: list[tuple[str, str]]
    words: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class ShownBadge:
    """A badge as others see it."""

    id: str
    title: tuple[str, str]
    sentence: tuple[str, str]
    since: str
    until: str
    statement: str


async def _known(request: Request, visit: Visit) -> Known:
    known = await known_learner(request)
    if known is None or not (known.signed_in or visit.demo):
        raise Unauthenticated("sign in first", code="credentials_missing")
    return known


async def _titles(
    services: Services, shelf: Shelf, badges: list[str], words: Language
) -> dict[str, tuple[str, str]]:
    found = {}
    for badge in badges:
        info = await eligibility.badge_info(services, public_scope(services), badge=badge)
        found[badge] = badge_view(info, shelf, words).title
    return found


async def _page(
    request: Request, *, faults: tuple[Fault, ...] = (), status: int = 200, link: str = ""
) -> Response:
    visit, services = await visit_of(request), services_of(request)
    known = await _known(request, visit)
    words, shelf = visit.language, await services.catalogue.shelf(services.settings.tenant)
    found, _moment = await eligibility.badges(services, known.scope, learner=known.learner)
    met = [answer.badge.id for answer in found.items if answer.status == "eligible"]
    links = await shares.mine(services, known.scope)
    declared = {answer.badge.id for answer in found.items}
    named = await _titles(services, shelf, [answer.badge.id for answer in found.items], words)
    return visit.render(
        "shares.html",
        status=status,
        faults=faults,
        link=link,
        met=[(badge, named[badge]) for badge in met],
        links=[_link(share, named, declared, words, shelf) for share in links],
    )


def _link(
    share: Share, named: dict[str, tuple[str, str]], declared: set[str], words: Language, shelf: Shelf
) -> LinkView:
    _ = words.gettext
    zone = zone_of(shelf, shelf.courses()[0]) if shelf.courses() else share.created_at.tzinfo
    assert zone is not None
    told = [_("Made on %(when)s.") % {"when": words.moment(share.created_at, zone)}]
    if share.scores:
        told.append(_("It shows scores."))
    if share.statement:
        told.append(_("It shows the signed statement."))
    if share.revoked_at is not None:
        told = [_("Revoked on %(when)s.") % {"when": words.moment(share.revoked_at, zone)}]
    titles = [named.get(badge, ("en", badge)) for badge in share.badges if badge in declared]
    return LinkView(share.id, titles, " ".join(told), share.revoked_at is not None)


@router.get("/me/shares")
async def my_links(request: Request) -> Response:
    """The learner's links, and a form for a new one."""
    return await _page(request)


@router.post("/me/shares")
async def make_link(request: Request) -> Response:
    """Make a link; it is shown once, for only its hash is stored."""
    visit, services = await visit_of(request), services_of(request)
    form = await read_form(request)
    visit.check(form)
    known = await _known(request, visit)
    _ = visit.language.gettext
    try:
        _share, token = await shares.create(
            services,
            known.scope,
            badges=[badge for badge in form.getlist("badge") if isinstance(badge, str)],
            name=form_text(form, "name"),
            scores=form_text(form, "scores") == "yes",
            statement=form_text(form, "statement") == "yes",
        )
    except (InvalidRequest, NotEligible) as refusal:
        if isinstance(refusal, InvalidRequest) and refusal.path == "name":
            fault = Fault("name", _("This name is too long."))
        elif form.getlist("badge"):
            fault = Fault("badges", _("This cannot be shared now. Perhaps too many links are open."))
        else:
            fault = Fault("badges", _("Choose at least one badge."))
        return await _page(request, faults=(fault,), status=422)
    base = services.settings.public_url or str(request.base_url).rstrip("/")
    return await _page(request, link=f"{base}/share/{token}")


@router.post("/me/shares/{share}/revoke")
async def revoke_link(request: Request, share: str) -> Response:
    """Close a link for good."""
    visit = await visit_of(request)
    visit.check(await read_form(request))
    known = await _known(request, visit)
    await shares.revoke(services_of(request), known.scope, share)
    return visit.redirect("/me/shares")


@router.get("/share/{token}")
async def shared(request: Request, token: str) -> Response:
    """What the learner chose to show, for whoever has the link, and for no search engine."""
    visit, services = await visit_of(request), services_of(request)
    found = await shares.shown(services, token)
    words, shelf = visit.language, await services.catalogue.shelf(services.settings.tenant)
    badges = []
    for badge in found.badges:
        info = await eligibility.badge_info(services, public_scope(services), badge=badge.badge.id)
        view = badge_view(info, shelf, words)
        zone = shelf.programme_of_badge(badge.badge.id).rules.time_zone
        since = "" if badge.since is None else words.moment(badge.since, zone)
        until = (badge.valid_until or "")[:10]
        badges.append(ShownBadge(view.id, view.title, view.sentence, since, until, badge.statement or ""))
    response = visit.render(
        "share.html",
        name=found.name,
        badges=badges,
        courses=[_course(c, shelf, words) for c in found.courses],
    )
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    return response


def _course(found: CourseStatus, shelf: Shelf, words: Language) -> tuple[tuple[str, str], str]:
    assert found.decision is not None
    score = found.decision.score
    assert score is not None
    told = words.gettext("%(value)s, on a scale from %(least)s to %(most)s") % {
        "value": words.number(score.value),
        "least": words.number(score.min),
        "most": words.number(score.max),
    }
    return words.pick(shelf.course(found.course.id).title), told
