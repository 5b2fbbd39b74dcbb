"""Routes of a placement: what it is, its parts one after the other, what it grants and advises."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages import start_page
from assess.delivery.pages.answers import Fault
from assess.delivery.pages.door import Known, admit, known_learner, services_of, ticket_of, visit_of
from assess.delivery.pages.language import CODES, Language, language
from assess.delivery.pages.shell import read_form
from assess.delivery.pages.waiting_page import waiting_redirect
from assess.delivery.pages.wording import minutes_in_words
from assess.delivery.schemas import PlacementPart, PlacementReply
from assess.delivery.service import learners, placement
from assess.delivery.service.catalogue import Programme, Shelf
from assess.errors import Forbidden, FormNotActive, NotFound, Overloaded, RetakeTooEarly, Unauthenticated
from assess.session import Release

router = APIRouter(include_in_schema=False)


def _programme(shelf: Shelf, id: str) -> tuple[Programme, list[Release]]:
    releases = placement.part_releases(shelf, id)
    if not releases:
        raise NotFound("placement", id)
    return shelf.programmes[id], releases


@router.get("/placement/{programme}")
async def placement_page(request: Request, programme: str) -> Response:
    """What a placement is, before it begins."""
    return await _before(request, programme)


async def _before(
    request: Request, programme: str, *, faults: tuple[Fault, ...] = (), message: str = "", code: int = 200
) -> Response:
    visit, known = await visit_of(request), await known_learner(request)
    services = services_of(request)
    shelf = await services.catalogue.shelf(services.settings.tenant)
    found, releases = _programme(shelf, programme)
    words = visit.language
    # Who comes out of the line has ticked the box before, and that is on record.
    let_in = services.admission.holds(ticket_of(request))
    agreed = let_in and known is not None
    for release in releases:
        asked = {"form": release.form.id, "version": release.form.consent_version}
        agreed = agreed and known is not None and await learners.has_consented(services, known.scope, **asked)
    if let_in and not message:
        message = start_page.turn_words(words)
    assert found.placement is not None
    common = set.intersection(*(set(release.form.languages) for release in releases))
    return visit.render(
        "placement.html",
        status=code,
        placement_title=words.pick(found.placement.title),
        message=message,
        faults=faults,
        facts=_facts(releases, words),
        sentences=_what_it_does(releases, found.placement.wait_days, words),
        courses=[words.pick(release.course.title) for release in releases],
        may_begin=visit.demo or (known is not None and known.signed_in),
        action=f"/placement/{programme}",
        consent_words=start_page.consent_words(words),
        agreed=agreed,
        locale=request.query_params.get("locale", words.code),
        form_languages=[
            language(tag) for tag in releases[0].form.languages if tag in CODES and tag in common
        ],
    )


def _facts(releases: list[Release], words: Language) -> list[tuple[str, str]]:
    _ = words.gettext
    minutes = sum(release.form.time_limit_minutes or 0 for release in releases)
    rules = [release.form.adaptive for release in releases if release.form.adaptive is not None]
    least, most = (sum(getattr(r, name) for r in rules) for name in ("min_units", "max_units"))
    length = _("%(least)s to %(most)s") % {"least": words.number(least), "most": words.number(most)}
    return [
        (_("Parts"), words.number(len(releases))),
        (_("Items in all"), length),
        (_("Time in all, at most"), minutes_in_words(minutes, words)),
    ]


def _what_it_does(releases: list[Release], wait_days: int, words: Language) -> list[str]:
    _ = words.gettext
    p_pass = {"p": words.percent(min(release.form.rule.p_pass for release in releases))}
    found = [
        _("For each course there is one short part. It finds out what you can do already."),
        _("A course is granted to you only if it is at least %(p)s probable that you meet its standard.")
        % p_pass,
        _("Nobody fails here, and no try is used up. Where no course is granted, you are told what to do."),
        _("Every part has its own clock, which starts when you begin the part. You can rest in between."),
    ]
    if all(not release.calibrated for release in releases):
        found.append(
            _(
                "The items have not been tried out with enough teachers yet. Until then no course is granted "
                "here; you are advised where to start."
            )
        )
    again = words.ngettext(
        "You can do this once in %(n)s day.", "You can do this once in %(n)s days.", wait_days
    )
    found.append(again % {"n": words.number(wait_days)})
    return found


@router.post("/placement/{programme}")
async def begin(request: Request, programme: str) -> Response:
    """Note the consent, begin the placement, and go to the first item of its first part."""
    visit = await visit_of(request)
    form = await read_form(request)
    visit.check(form)
    services = services_of(request)
    shelf = await services.catalogue.shelf(services.settings.tenant)
    _found, releases = _programme(shelf, programme)
    words = visit.language
    _ = words.gettext
    known = await known_learner(request)
    if not visit.demo and (known is None or not known.signed_in):
        raise Forbidden("learners are sent here by their organisation", code="role_not_allowed")
    if form.get("consent") != "yes":
        fault = Fault("consent", _("Tick the box if you agree; without it we may not store your answers."))
        return await _before(request, programme, faults=(fault,), code=422)
    scope = (
        known.scope if known else await learners.enrol_guest(services, services.settings.tenant, words.code)
    )
    assert scope.learner is not None
    for release in releases:
        consent = {"form": release.form.id, "version": release.form.consent_version, "language": words.code}
        await learners.consent(services, scope, **consent)
    asked = form.get("locale")
    locale = asked if isinstance(asked, str) and asked in releases[0].form.languages else words.code
    try:
        step = await placement.begin(
            services,
            scope,
            learner=scope.learner,
            programme=programme,
            locale=locale,
            ticket=ticket_of(request),
        )
    except Overloaded:
        # What was chosen comes back with the learner; the box comes back ticked, for the consent is stored.
        return waiting_redirect(f"/placement/{programme}?{urlencode({'locale': locale})}")
    except FormNotActive:
        message = _("There is nothing to find out: you have passed or tried every course already.")
        return await _before(request, programme, message=message, code=409)
    except RetakeTooEarly as fault:
        message = _("You have done this already. You can do it again from %(when)s.")
        zone = shelf.programmes[programme].rules.time_zone
        when = "" if fault.not_before is None else words.moment(fault.not_before, zone)
        return await _before(request, programme, message=message % {"when": when}, code=409)
    if step.session is None:
        return visit.redirect(f"/placements/{step.placement.placement}")
    return admit(visit, step.session.session, step.session.token)


async def _known(request: Request) -> Known:
    known = await known_learner(request)
    if known is None:
        raise Unauthenticated("open the link of your session first, or sign in", code="credentials_missing")
    return known


@router.get("/placements/{id}")
async def sitting(request: Request, id: str) -> Response:
    """How far it is; at the end what was granted, and where to start."""
    visit, known = await visit_of(request), await _known(request)
    services, words = services_of(request), visit.language
    found = await placement.view(services, known.scope, id, language=words.code)
    shelf = await services.catalogue.shelf(services.settings.tenant)
    stated = shelf.programmes.get(found.programme)
    title = ("en", found.programme)
    if stated is not None and stated.placement is not None:
        title = words.pick(stated.placement.title)
    titles = {part.course.id: words.pick(shelf.course(part.course.id).title) for part in found.parts}
    return visit.render(
        "placed.html",
        placement_title=title,
        finished=found.state == "finished",
        lines=[
            {
                "id": part.course.id,
                "title": titles[part.course.id],
                "tone": "true" if part.state == "granted" else "false",
                "words": _part_words(part, words),
                "open": part.state == "advised",
            }
            for part in found.parts
        ],
        lead=_lead(found, words),
        start_with=None if found.start_with is None else (found.start_with, titles[found.start_with]),
        action=f"/placements/{found.placement}",
        goes_on=any(part.state == "in_progress" for part in found.parts),
    )


def _lead(found: PlacementReply, words: Language) -> str:
    _ = words.gettext
    if found.state != "finished":
        done = sum(part.state in ("granted", "advised") for part in found.parts)
        left = words.ngettext(
            "%(done)s part of %(n)s is done. Your answers are stored.",
            "%(done)s parts of %(n)s are done. Your answers are stored.",
            done,
        )
        return left % {"done": words.number(done), "n": words.number(len(found.parts))}
    granted = sum(part.state == "granted" for part in found.parts)
    if granted == len(found.parts):
        return _("All courses are granted to you. You need not take them.")
    if granted:
        some = words.ngettext(
            "%(n)s course is granted to you. You need not take it.",
            "%(n)s courses are granted to you. You need not take them.",
            granted,
        )
        return some % {"n": words.number(granted)}
    return _("This is no fail. You know now where to start.")


def _part_words(part: PlacementPart, words: Language) -> str:
    _ = words.gettext
    if part.state == "advised":
        return (
            _("You know much of this. Look through the course and take its assessment.")
            if part.advice == "take_assessment"
            else _("Work through this course, then take its assessment.")
        )
    return {
        "granted": _("Granted: it counts as passed"),
        "in_progress": _("Begun"),
        "to_come": _("To come"),
    }.get(part.state, _("Left out"))


@router.post("/placements/{id}")
async def next_part(request: Request, id: str) -> Response:
    """Begin the next part, or go on with the one that was begun."""
    visit = await visit_of(request)
    visit.check(await read_form(request))
    known = await _known(request)
    step = await placement.proceed(services_of(request), known.scope, id, locale=visit.language.code)
    if step.session is None:
        return visit.redirect(f"/placements/{id}")
    return admit(visit, step.session.session, step.session.token)
