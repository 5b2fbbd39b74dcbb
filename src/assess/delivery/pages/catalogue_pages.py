"""Routes outside a session: courses, the page before the clock, badges."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from assess.delivery.clock import arrived
from assess.delivery.pages import confirming_words, start_page
from assess.delivery.pages.answers import Fault
from assess.delivery.pages.badge_words import BadgeView, badge_facts, course_state, rule_words
from assess.delivery.pages.door import Known, admit, known_learner, services_of, ticket_of, visit_of, zone_of
from assess.delivery.pages.language import CODES, Language, language
from assess.delivery.pages.shell import Visit, form_text, read_form
from assess.delivery.pages.waiting_page import waiting_redirect
from assess.delivery.pages.wording import (
    minutes_in_words,
    notice_words,
    supervised_words,
    too_many_codes,
    window_words,
)
from assess.delivery.schemas import BadgeInfo, CourseStatus
from assess.delivery.service import (
    accommodations,
    cohorts,
    confirming,
    eligibility,
    learners,
    placement,
    sessions,
    standing,
    status,
    windows,
)
from assess.delivery.service.catalogue import ProgrammeCourse, Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.store import reading
from assess.delivery.store.rows import Session
from assess.errors import (
    AlreadyPassed,
    Forbidden,
    InvalidRequest,
    LessSupervised,
    NotConfirmable,
    NotFound,
    Overloaded,
    RateLimited,
    RetakeTooEarly,
    TriesExhausted,
    WindowClosed,
)
from assess.session import NO_ACCOMMODATION, Release, StartRecord
from assess.standards import frameworks

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class CourseCard:
    """A course in the index."""

    id: str
    title: tuple[str, str]
    open: bool
    facts: list[str]
    state: str
    state_words: str


async def _shelf(request: Request) -> tuple[Services, Shelf]:
    services = services_of(request)
    return services, await services.catalogue.shelf(services.settings.tenant)


async def _status(services: Services, known: Known | None, course: str) -> CourseStatus | None:
    if known is None:
        return None
    found, _ = await status.course_status(services, known.scope, learner=known.learner, course=course)
    return found


@router.get("/")
async def index(request: Request) -> Response:
    """The courses of the tenant's programmes, with the learner's state where we know the learner."""
    visit, known = await visit_of(request), await known_learner(request)
    services, shelf = await _shelf(request)
    cards = []
    for course in shelf.courses():
        forms = shelf.course_forms(course.id)
        found = await _status(services, known, course.id)
        state, words = course_state(found, visit.language) if found else ("", "")
        cards.append(
            CourseCard(
                course.id,
                visit.language.pick(course.title),
                bool(forms),
                _card_facts(course, forms, visit.language),
                state,
                words,
            )
        )
    titles = [visit.language.pick(programme.title) for programme in shelf.programmes.values()]
    title = titles[0] if len(titles) == 1 else (visit.language.code, visit.language.gettext("Courses"))
    placements = [
        (f"/placement/{programme.id}", visit.language.pick(programme.placement.title))
        for programme in shelf.programmes.values()
        if programme.placement is not None and placement.part_releases(shelf, programme.id)
    ]
    return visit.render("index.html", programme_title=title, courses=cards, placements=placements)


def _card_facts(course: ProgrammeCourse, forms: list[Release], language: Language) -> list[str]:
    _ = language.gettext
    if not forms:
        return [_("Assessed elsewhere") if course.assessed != "here" else _("Not open yet")]
    form = forms[0].form
    facts = [_("Items: %(n)s") % {"n": start_page.items_words(forms[0], language)}]
    if form.time_limit_minutes is not None:
        facts.append(minutes_in_words(form.time_limit_minutes, language))
    return facts


# --- before the clock ------------------------------------------------------------


@router.get("/courses/{course}")
async def course_page(request: Request, course: str) -> Response:
    """All that a learner should know before beginning."""
    return await _course_page(request, course)


async def _course_page(
    request: Request, course: str, *, faults: tuple[Fault, ...] = (), message: str = "", code: int = 200
) -> Response:
    visit, known = await visit_of(request), await known_learner(request)
    services, shelf = await _shelf(request)
    entry = shelf.course(course)
    forms = shelf.course_forms(course)
    words = visit.language
    if not forms:
        return visit.render(
            "course.html", course_title=words.pick(entry.title), open=False, faults=faults, message=message
        )
    release = await _chosen(services, known, shelf, forms, request.query_params.get("form"))
    confirms = release.form.confirms is not None
    found = await _status(services, known, course)
    goes_on = None if known is None or found is None else _goes_on(known, found, zone_of(shelf, entry), words)
    if known is not None and found is not None and found.next.action == "extend":
        records = await learners.records(services, known.scope, known.learner)
        anew = standing.next_step(records, course, release.form.retake, services.clock(), anew=True)
        found = msgspec.structs.replace(found, next=anew)
    objectives = release.course.objectives
    given = NO_ACCOMMODATION
    if known is not None:
        given = await accommodations.in_force(services, known.scope.tenant, known.learner)
    own = await _own_session(services, known, release)
    notice = None if found is None else found.next.notice
    if notice is not None and not message:
        message = notice_words(notice, words)
    # Who comes out of the line has ticked the box before, and that is on record.
    let_in = services.admission.holds(ticket_of(request))
    agreed = (
        let_in
        and known is not None
        and await learners.has_consented(
            services, known.scope, form=release.form.id, version=release.form.consent_version
        )
    )
    if let_in and not message:
        message = start_page.turn_words(words)
    return visit.render(
        "course.html",
        status=code,
        course_title=words.pick(entry.title),
        open=True,
        faults=faults,
        message=message,
        facts=start_page.facts(release, words, given),
        objectives=[{"code": key, "text": words.pick(texts)} for key, texts in objectives.items()],
        timed=start_page.is_timed(release) and not given.untimed,
        know=start_page.good_to_know(release, words, given),
        known=known is not None,
        confirms=confirms,
        decided=confirming_words.rules(release, words)
        if confirms
        else start_page.pass_rule(release, words, (found.next.next_try if found else None) or 1),
        retakes=[] if confirms else start_page.retake_rule(release, words),
        seen_by=confirming_words.seen_by(words)
        if confirms
        else start_page.seen_by(release, words, demo=visit.demo),
        others=[
            (f"/courses/{course}?form={r.form.id}", _title(r, words))
            for r in sorted(forms, key=lambda r: r.form.id)
            if r is not release and not confirms
        ],
        resume=await _open_session(services, known, release),
        # A confirmation goes on with the code alone, which the form below asks for.
        resume_form=None if confirms or own is None else f"/me/sessions/{own.id}",
        resume_supervised=own is not None and was_supervised(own),
        goes_on=None if confirms else goes_on,
        blocked=await _unconfirmable(services, known, release, words)
        if confirms
        else await _closed(services, known, shelf, course, words)
        or ("" if release.practice else _blocked(found, shelf, entry, words)),
        may_begin=visit.demo or (known is not None and known.signed_in),
        action=f"/courses/{course}?form={release.form.id}",
        consent_version=release.form.consent_version,
        consent_words=start_page.consent_words(words),
        agreed=agreed,
        locale=request.query_params.get("locale", words.code),
        form_languages=[language(tag) for tag in release.form.languages if tag in CODES],
    )


def _title(release: Release, words: Language) -> str:
    return words.pick(release.form.title)[1]


async def _chosen(
    services: Services, known: Known | None, shelf: Shelf, forms: list[Release], asked: str | None
) -> Release:
    """The form that was asked for, else the one for this learner, else the default of the course."""
    offered = [*forms, *shelf.confirming_forms(forms[0].course.id)]
    named = next((release for release in offered if release.form.id == asked), None)
    if named is not None or known is None:
        return named or forms[0]
    records = await learners.records(services, known.scope, known.learner)
    return await sessions.fresh_form(services, records, shelf, forms[0].course.id)


async def _open_session(services: Services, known: Known | None, release: Release) -> str | None:
    """Where the learner's own open session on this form is, if the cookie leads there."""
    if known is None or known.session is None:
        return None
    scope = Scope(
        known.scope.tenant,
        known.scope.actor,
        learner=known.learner,
        session=known.session,
        sandbox=known.scope.sandbox,
    )
    try:
        view = await sessions.view(services, scope, known.session)
    except NotFound:
        return None
    mine = view.state == "in_progress" and view.form == release.form.reference
    return f"/s/{view.session}" if mine else None


def _goes_on(known: Known, found: CourseStatus, zone: tzinfo, words: Language) -> tuple[str, str] | None:
    """By when a session of this course may go on, in words, and its result page, if it opens."""
    step, opens = found.next, known.signed_in or known.session == found.next.session
    if step.action != "extend" or step.until is None or not opens:
        return None
    until = words.gettext("You can go on until %(when)s.") % {"when": words.moment(step.until, zone)}
    return until, f"/s/{step.session}/result"


async def _own_session(services: Services, known: Known | None, release: Release) -> Session | None:
    """The open session on this form of a learner who signed in; a form takes them there."""
    if known is None or not known.signed_in:
        return None
    found = await services.store.read(
        reading.open_session, known.scope.tenant, known.learner, release.form.id
    )
    return None if found is None or found.closes_at <= services.clock() else found


def was_supervised(session: Session) -> bool:
    """Whether somebody watched at the begin of a session, so that it goes on elsewhere with a code only."""
    return StartRecord.from_mapping(session.start_record).assurance != "unsupervised"


async def _closed(services: Services, known: Known | None, shelf: Shelf, course: str, words: Language) -> str:
    """Why a window keeps the learner from beginning now; empty if none does."""
    if known is None:
        return ""
    found = await cohorts.window(services, known.scope, known.learner, course)
    if found is None:
        assigned_only = shelf.tenant.assigned_only
        return words.gettext("This course is not assigned to you.") if assigned_only else ""
    now = services.clock()
    return "" if windows.open_at(found, now) else window_words(found, now, words)


async def _unconfirmable(services: Services, known: Known | None, release: Release, words: Language) -> str:
    """Why there is nothing to confirm; empty where there is something, or nobody is known."""
    if known is None or await confirming.would_confirm(services, known.scope, known.learner, release):
        return ""
    return words.gettext("You have no result here that could be confirmed now.")


def _blocked(found: CourseStatus | None, shelf: Shelf, course: ProgrammeCourse, words: Language) -> str:
    """Why the learner may not begin now; empty if they may."""
    _ = words.gettext
    if found is None or found.next.action in ("start", "retake", "resume"):
        return ""
    if found.next.action == "none":
        return _("You have passed this course. You need not take it again.")
    if found.next.action == "contact":
        return _("You have used all tries for now. Please contact your organisation.")
    if found.next.not_before is None:
        return _("Your last result is not settled yet.")
    when = words.moment(found.next.not_before, zone_of(shelf, course))
    return _("You can take the course assessment again from %(when)s.") % {"when": when}


@router.post("/courses/{course}")
async def begin(request: Request, course: str) -> Response:
    """Note the consent, begin a session, and go to its first item."""
    visit = await visit_of(request)
    form = await read_form(request)
    visit.check(form)
    services, shelf = await _shelf(request)
    forms = shelf.course_forms(course)
    if not forms:
        raise NotFound("form", course)
    words, known = visit.language, await known_learner(request)
    release = await _chosen(services, known, shelf, forms, request.query_params.get("form"))
    _ = words.gettext
    if not visit.demo and (known is None or not known.signed_in):
        raise Forbidden("learners are sent here by their organisation", code="role_not_allowed")
    if form.get("consent") != "yes" or form.get("consent_version") != release.form.consent_version:
        fault = Fault("consent", _("Tick the box if you agree; without it we may not store your answers."))
        return await _course_page(request, course, faults=(fault,), code=422)
    scope = (
        known.scope if known else await learners.enrol_guest(services, services.settings.tenant, words.code)
    )
    assert scope.learner is not None
    locale = _locale(form, release, words)
    consent = {"form": release.form.id, "version": release.form.consent_version, "language": words.code}
    await learners.consent(services, scope, **consent)
    try:
        begun = await sessions.begin(
            services,
            scope,
            learner=scope.learner,
            form=release.form.id,
            locale=locale,
            code=form_text(form, "code").strip() or None,
            arrived=arrived(request),
            ticket=ticket_of(request),
        )
    except Overloaded:
        # What was chosen comes back with the learner; the box comes back ticked, for the consent is stored.
        asked = {"form": release.form.id, "locale": locale}
        return waiting_redirect(f"/courses/{course}?{urlencode(asked)}")
    except InvalidRequest as refusal:
        if refusal.path != "code":
            raise
        words_ = _("This code opens nothing here and now. Ask the invigilator, or leave it empty.")
        if release.form.confirms:
            words_ = _("This check is sat under supervision. Enter the code that the invigilator gives you.")
        return await _course_page(request, course, faults=(Fault("code", words_),), code=422)
    except LessSupervised:
        fault = Fault("code", supervised_words(words))
        return await _course_page(request, course, faults=(fault,), code=422)
    except RateLimited:
        return await _course_page(request, course, message=too_many_codes(words), code=429)
    except (AlreadyPassed, NotConfirmable, RetakeTooEarly, TriesExhausted, WindowClosed):
        message = _("A new session cannot begin now. Below you see when it can.")
        return await _course_page(request, course, message=message, code=409)
    return admit(visit, begun.session, begun.token)


def _locale(form: FormData, release: Release, words: Language) -> str:
    asked = form.get("locale")
    return asked if isinstance(asked, str) and asked in release.form.languages else words.code


# --- badges ----------------------------------------------------------------------


@router.get("/badges")
async def badges(request: Request) -> Response:
    """Every badge with its rule in a sentence."""
    visit = await visit_of(request)
    services, shelf = await _shelf(request)
    found = await eligibility.catalogue(services, public_scope(services), language=visit.language.code)
    return visit.render(
        "badges.html", badges=[badge_view(info, shelf, visit.language) for info in found.items]
    )


@router.get("/badges/{badge}")
async def badge_page(request: Request, badge: str) -> Response:
    """A badge: its rule beside the criterion as published, its courses and alignments."""
    visit = await visit_of(request)
    services, shelf = await _shelf(request)
    info = await eligibility.badge_info(
        services, public_scope(services), badge=badge, language=visit.language.code
    )
    by_framework: dict[tuple[str, str], list[str]] = {}
    for found in info.alignments:
        by_framework.setdefault((found.framework, found.version), []).append(found.code)
    return visit.render(
        "badge.html",
        claimable=info.subject == "person" and await _claimable(request, services, visit, badge),
        badge=badge_view(info, shelf, visit.language),
        facts=badge_facts(info, visit.language),
        courses=[
            {
                "id": course.id,
                "title": visit.language.pick(shelf.course(course.id).title),
                "open": bool(shelf.course_forms(course.id)),
            }
            for course in info.courses
        ],
        alignments=[
            (_framework(name, version), ", ".join(codes)) for (name, version), codes in by_framework.items()
        ],
    )


async def _claimable(request: Request, services: Services, visit: Visit, badge: str) -> bool:
    """Whether the learner whom the cookie names may claim this badge now."""
    known = await known_learner(request)
    if known is None or not (known.signed_in or visit.demo):
        return False
    found, _moment = await eligibility.badge(services, known.scope, learner=known.learner, badge=badge)
    return found.award.claim_url is not None


def _framework(name: str, version: str) -> str:
    known = (name, version) in frameworks.available()
    return frameworks.load(name, version).title if known else f"{name} {version}"


def badge_view(info: BadgeInfo, shelf: Shelf, words: Language) -> BadgeView:
    """A badge as the catalogue shows it."""
    rules = shelf.programme_of_badge(info.id).rules
    document = shelf.programme_of_badge(info.id).badge_document(info.id)
    title = document.get("title", info.id)
    named = words.pick(title) if isinstance(title, dict) else ("en", str(title))
    return BadgeView(info.id, named, rule_words(rules.badges[info.id].rule, info.sentence, words))


def public_scope(services: Services) -> Scope:
    """The scope of somebody who only reads what everybody may read."""
    return Scope(services.settings.tenant, "visitor")
