"""Routes of a session: an item, the overview, handing in, the result."""

from __future__ import annotations

import contextlib

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from assess.delivery.clock import arrived
from assess.delivery.pages.answers import Asked, Fault, Reading, fill, read_fields, refused
from assess.delivery.pages.door import (
    Pass,
    admit,
    is_left_behind,
    known_learner,
    learner_scope,
    left_behind,
    open_session,
    services_of,
    visit_of,
)
from assess.delivery.pages.item_page import Frame, render_item
from assess.delivery.pages.language import Language
from assess.delivery.pages.openings import address, fence_of
from assess.delivery.pages.result_page import render_result
from assess.delivery.pages.shell import SIGN_IN_COOKIE, form_text, opened_elsewhere, read_form, whole
from assess.delivery.pages.views import ItemView, item_view
from assess.delivery.pages.wording import notice_words
from assess.delivery.schemas import Current, Responded, SessionView, encode
from assess.delivery.service import breaks, confirming, extending, learners, placement, sessions
from assess.errors import (
    AnswerConflict,
    AnswerMalformed,
    BreakRefused,
    ItemNotOffered,
    ItemTimeOver,
    NotFinished,
    OpenedElsewhere,
    PositionConflict,
    SessionExpired,
    SessionFinished,
    SessionVoid,
    StaleSession,
    Unauthenticated,
)
from assess.items import INTERACTION_TYPES

router = APIRouter(include_in_schema=False)


@router.get("/s/{session}")
async def item(request: Request, session: str) -> Response:
    """The item to answer now, or one to look back on; a link with a token becomes a cookie first."""
    token = request.query_params.get("token")
    if token is not None:
        return await _exchange(request, session, token)
    entry = await open_session(request, session)
    view = await sessions.view(entry.services, entry.scope, session)
    if view.state == "void":
        raise SessionVoid(f"session {session} is void")
    if view.state == "finished":
        return entry.visit.redirect(f"/s/{session}/result")
    if view.on_break is not None:
        return _break_page(entry, view)
    fence = await fence_of(request, entry, view)
    asked = whole(request.query_params.get("item", ""))
    current = view.current
    if view.review and asked:
        try:
            current = await sessions.look(entry.services, entry.scope, session, asked)
        except PositionConflict:
            return entry.visit.redirect(address(session, fence))
    if current is None:
        return entry.visit.redirect(address(session, fence, "review"))
    shown = item_view(current)
    return render_item(
        entry.visit, shown, _frame(entry, view, shown, fence), filled=fill(shown.asked, current.answer)
    )


async def _exchange(request: Request, session: str, token: str) -> Response:
    """Keep a link's token in a cookie and take it out of the address, where it would be seen and shared."""
    scope = await learner_scope(services_of(request), token)
    scope.require_session(session)
    visit, known = await visit_of(request), await known_learner(request)
    response = admit(visit, session, token)
    if (
        known is not None
        and known.signed_in
        and not await learners.same_person(services_of(request), scope, known.learner)
    ):
        # Another learner's link on a shared device: whoever signed in before has left.
        visit.drop_cookie(response, SIGN_IN_COOKIE)
    return response


@router.post("/s/{session}")
async def respond(request: Request, session: str) -> Response:
    """Store one answer and show what comes next."""
    form = await read_form(request)
    try:
        return await _respond(request, session, form)
    except Unauthenticated:
        if not await is_left_behind(request, session):
            raise
    visit = await visit_of(request)
    visit.check(form)
    words = visit.language.gettext(
        "What you just sent was not stored. Every answer that was stored before is still there."
    )
    typed = _read(visit.language, form, None).filled.text
    return await left_behind(request, visit, answer=words, typed=typed)


async def _respond(request: Request, session: str, form: FormData) -> Response:
    entry = await open_session(request, session)
    entry.visit.check(form)
    came = arrived(request)
    view = await sessions.view(entry.services, entry.scope, session, arrived=came)
    position, revision = whole(form_text(form, "position")), whole(form_text(form, "revision"))
    fence = whole(form_text(form, "fence"))
    current = await _asked_for(entry, view, position, came)
    reading = _read(entry.visit.language, form, current)
    if reading.faults and current is not None:
        return _again(entry, view, current, reading, reading.faults, fence)
    try:
        responded = await sessions.respond(
            entry.services,
            entry.scope,
            session,
            position=position,
            item=form_text(form, "item"),
            revision=revision,
            answer=reading.answer,
            fence=fence or None,
            arrived=came,
        )
    except AnswerMalformed:
        if current is None:
            return await _moved_on(entry, session, position, reading, fence)
        faults = (refused(item_view(current).asked, entry.visit.language),)
        return _again(entry, view, current, reading, faults, fence)
    except (SessionFinished, SessionExpired):
        return entry.visit.onward(f"/s/{session}/result?late=1")
    except ItemTimeOver:
        return await _moved_on(entry, session, position, reading, fence, late=True)
    except OpenedElsewhere:
        words = entry.visit.language.gettext("Your answer to item %(n)s was not stored.")
        number = {"n": entry.visit.language.number(position)}
        return opened_elsewhere(entry.visit, answer=words % number, typed=reading.filled.text)
    except (AnswerConflict, PositionConflict, ItemNotOffered, StaleSession):
        return await _moved_on(entry, session, position, reading, fence)
    response = _onward(entry, view, responded, fence)
    if entry.visit.fragment:
        # The script says "stored" on nothing less than this.
        response.headers["X-Receipt"] = encode(responded.receipt).decode()
    return response


def _onward(entry: Pass, view: SessionView, responded: Responded, fence: int) -> Response:
    """What follows a stored answer."""
    session, language = view.session, entry.visit.language
    if responded.finished:
        return entry.visit.onward(f"/s/{session}/result")
    if fence and fence != view.fence:
        # The same answer again from a window that was left behind: it stands, and goes no further here.
        words = language.gettext("Your answer to item %(n)s is stored.")
        number = {"n": language.number(responded.receipt.position)}
        return opened_elsewhere(entry.visit, answer=words % number, status=200)
    # A first answer sent again after a lost reply goes on; a changed one came from the overview.
    if responded.current is None or responded.receipt.revision > 1:
        return entry.visit.onward(address(session, fence, "review"))
    if not entry.visit.fragment:
        return entry.visit.redirect(address(session, fence))
    shown = item_view(responded.current)
    return render_item(entry.visit, shown, _frame(entry, view, shown, fence), address=f"/s/{session}")


async def _asked_for(entry: Pass, view: SessionView, position: int, came: float | None) -> Current | None:
    """The offered position that a form answers, where it may still be shown."""
    if view.current is not None and view.current.position == position:
        return view.current
    if not view.review or view.state != "in_progress":
        return None
    try:
        return await sessions.look(entry.services, entry.scope, view.session, position, arrived=came)
    except PositionConflict:
        return None


def _read(language: Language, form: FormData, current: Current | None) -> Reading:
    """The posted answer; of a position that may not be shown again, by the names of its fields."""
    if current is not None:
        asked = item_view(current).asked
    else:
        # A second click, or an old tab: the same answer must read as the same answer.
        kind = form_text(form, "type")
        names = [name.partition(".")[2] for name in form if name.startswith(("place.", "match."))]
        options = names or [str(value) for value in form.getlist("answer")]
        targets = [str(value) for name, value in form.multi_items() if name.startswith("match.")]
        asked = Asked(
            kind if kind in INTERACTION_TYPES else "short_text", tuple(sorted(options)), tuple(targets)
        )
    if "blank" in form:
        return Reading(fill(asked, None))
    if not asked.options and asked.type not in ("numeric", "short_text", "extended_text"):
        return Reading(fill(asked, None))
    return read_fields(asked, form, language)


def _again(
    entry: Pass, view: SessionView, current: Current, reading: Reading, faults: tuple[Fault, ...], fence: int
) -> Response:
    """The same item with what was typed, and what is wrong with it."""
    shown = item_view(current)
    back = 0 if current == view.current else shown.position
    return render_item(
        entry.visit,
        shown,
        _frame(entry, view, shown, fence),
        filled=reading.filled,
        faults=faults,
        status=422,
        address=address(view.session, 0, item=back),
    )


async def _moved_on(
    entry: Pass, session: str, position: int, reading: Reading, fence: int, *, late: bool = False
) -> Response:
    """The session went on, in another tab or by its clock: say what was not stored, and show where it is."""
    _ = entry.visit.language.gettext
    view = await sessions.view(entry.services, entry.scope, session)
    if view.state != "in_progress":
        return entry.visit.onward(f"/s/{session}/result")
    if view.on_break is not None:
        return entry.visit.onward(address(session, fence))
    if view.current is None:
        return entry.visit.onward(address(session, fence, "review", moved=position))
    shown = item_view(view.current)
    message = _moved_words(position, entry.visit.language)
    if late:
        message = _(
            "The time for item %(n)s was over before your answer came, so it was not stored. "
            "Here is the next item."
        ) % {"n": entry.visit.language.number(position)}
    elif shown.position == position:
        message = _(
            "Your answer was not stored, because the session changed at the same moment. Save it again."
        )
    return render_item(
        entry.visit,
        shown,
        _frame(entry, view, shown, fence),
        filled=reading.filled if shown.position == position else None,
        message=message,
        typed="" if shown.position == position else reading.filled.text,
        status=409,
        address=f"/s/{session}",
    )


def _moved_words(position: int, language: Language) -> str:
    _ = language.gettext
    return _(
        "Item %(n)s has an answer already, perhaps from another tab. That one counts; what you just sent was "
        "not stored. Here is where you are now."
    ) % {"n": language.number(position)}


def _frame(entry: Pass, view: SessionView, shown: ItemView, fence: int) -> Frame:
    _, session = entry.visit.language.gettext, view.session
    links: list[tuple[str, str]] = []
    if view.review:
        about = _("You can come back to this item and change your answer until you hand in.")
        if shown.position > 1:
            links.append((address(session, fence, item=shown.position - 1), _("Previous item")))
        links.append((address(session, fence, "review"), _("Overview of your answers")))
    else:
        about = _(
            "Once it is saved, an answer cannot be changed. An item that is left blank counts as not right."
        )
        links.append((address(session, fence, "submit"), _("Stop and hand in …")))
    looking_back = shown.revision > 1
    return Frame(
        course_title=entry.course_title(view.course)[1],
        action=f"/s/{session}",
        about=about,
        links=links,
        save_words=_("Save and go to the overview") if looking_back else _("Save and continue"),
        key=f"{session}:{shown.position}:{shown.revision}",
        session=session,
        fence=fence,
        notices=[notice_words(notice, entry.visit.language) for notice in view.notices],
        pause=_pause(entry, view),
    )


def _pause(entry: Pass, view: SessionView) -> tuple[str, str] | None:
    if view.breaks_left == 0:
        return None
    words = entry.visit.language.ngettext(
        "Take a break (%(n)s left)", "Take a break (%(n)s left)", view.breaks_left
    )
    return f"/s/{view.session}/break", words % {"n": entry.visit.language.number(view.breaks_left)}


# --- breaks ------------------------------------------------------------------------


def _break_page(entry: Pass, view: SessionView) -> Response:
    """What a learner sees instead of the item while the clocks stand."""
    assert view.on_break is not None
    language = entry.visit.language
    _ = language.gettext
    when = {"when": language.moment(view.on_break.ends_at, entry.zone(view.course))}
    left = language.ngettext("You have %(n)s break left.", "You have %(n)s breaks left.", view.breaks_left)
    return entry.visit.render(
        "break.html",
        course_title=entry.course_title(view.course)[1],
        until=_("The break ends by itself on %(when)s; then the clock runs on.") % when,
        sentences=[left % {"n": language.number(view.breaks_left)}],
        action=f"/s/{view.session}/break/end",
    )


@router.post("/s/{session}/break")
async def begin_break(request: Request, session: str) -> Response:
    """Stop the clocks; without a break left, go on."""
    entry = await open_session(request, session)
    entry.visit.check(await read_form(request))
    with contextlib.suppress(BreakRefused, SessionFinished):
        await breaks.begin(entry.services, entry.scope, session)
    return entry.visit.redirect(f"/s/{session}")


@router.get("/s/{session}/break")
@router.get("/s/{session}/break/end")
async def back_from_break(request: Request, session: str) -> Response:
    """Who reloads the address of a form is shown where the session is."""
    entry = await open_session(request, session)
    return entry.visit.redirect(f"/s/{session}")


@router.post("/s/{session}/break/end")
async def end_break(request: Request, session: str) -> Response:
    """Let the clocks run on."""
    entry = await open_session(request, session)
    entry.visit.check(await read_form(request))
    await breaks.end(entry.services, entry.scope, session)
    return entry.visit.redirect(f"/s/{session}")


# --- looking back and handing in -----------------------------------------------------


@router.get("/s/{session}/review")
async def review(request: Request, session: str) -> Response:
    """Which items are answered and which are blank."""
    entry = await open_session(request, session)
    view = await sessions.view(entry.services, entry.scope, session)
    if view.state != "in_progress":
        return entry.visit.redirect(f"/s/{session}/result")
    if view.on_break is not None:
        return entry.visit.redirect(f"/s/{session}")
    fence = await fence_of(request, entry, view)
    if not view.review:
        return entry.visit.redirect(address(session, fence, "submit" if view.current is None else ""))
    language = entry.visit.language
    lines = [
        {
            "address": address(session, fence, item=line.position),
            "answered": line.state == "answered",
            "words": language.gettext("Item %(n)s") % {"n": language.number(line.position)},
        }
        for line in await sessions.overview(entry.services, entry.scope, session)
    ]
    moved = whole(request.query_params.get("moved", ""))
    return entry.visit.render(
        "review.html",
        course_title=entry.course_title(view.course)[1],
        lines=lines,
        count_words=count_words(sum(bool(line["answered"]) for line in lines), len(lines), language),
        onward=address(session, fence) if view.current is not None else None,
        hand_in=address(session, fence, "submit"),
        message=_moved_words(moved, language) if moved else "",
        session=session,
        fence=fence,
    )


def count_words(answered: int, of: int, language: Language) -> str:
    """How many items have an answer."""
    words = language.ngettext(
        "%(answered)s of %(n)s item answered.", "%(answered)s of %(n)s items answered.", of
    )
    return words % {"answered": language.number(answered), "n": language.number(of)}


@router.get("/s/{session}/submit")
async def confirm(request: Request, session: str) -> Response:
    """Ask before the end."""
    entry = await open_session(request, session)
    view = await sessions.view(entry.services, entry.scope, session)
    if view.state != "in_progress":
        return entry.visit.redirect(f"/s/{session}/result")
    if view.on_break is not None:
        return entry.visit.redirect(f"/s/{session}")
    fence = await fence_of(request, entry, view)
    language = entry.visit.language
    _ = language.gettext
    answered, total = view.progress.answered, view.progress.n_items
    sentences = [count_words(answered, total or view.progress.offered, language)]
    if total is not None and answered < total:
        sentences.append(_("Items without an answer count as not right."))
    sentences.append(_("After handing in, nothing can be changed."))
    warning = ""
    if view.current is not None:
        warning = _(
            "You have not reached the end. Handing in now may mean that there is not enough to decide."
        )
    return entry.visit.render(
        "submit.html",
        course_title=entry.course_title(view.course)[1],
        sentences=sentences,
        warning=warning,
        action=f"/s/{session}/submit",
        back=address(session, fence, "review" if view.review else ""),
        session=session,
        fence=fence,
    )


@router.post("/s/{session}/submit")
async def hand_in(request: Request, session: str) -> Response:
    """End the session; a second time changes nothing."""
    entry = await open_session(request, session)
    form = await read_form(request)
    entry.visit.check(form)
    fence = whole(form_text(form, "fence")) or None
    await sessions.submit(entry.services, entry.scope, session, fence=fence, arrived=arrived(request))
    return entry.visit.redirect(f"/s/{session}/result")


@router.post("/s/{session}/extend")
async def go_on(request: Request, session: str) -> Response:
    """Go on where it was too close to say; a second time changes nothing."""
    entry = await open_session(request, session)
    form = await read_form(request)
    entry.visit.check(form)
    code = form_text(form, "code").strip() or None
    await extending.extend(entry.services, entry.scope, session, code=code)
    return entry.visit.redirect(f"/s/{session}")


@router.get("/s/{session}/result")
async def result(request: Request, session: str) -> Response:
    """What was decided, how sure that is, and what comes next."""
    entry = await open_session(request, session, signed_in=True)
    part_of = await placement.of_session(entry.services, entry.scope, session)
    if part_of is not None:
        # A part has no result of its own: what it grants or advises stands with the other parts.
        return entry.visit.onward(f"/placements/{part_of}")
    try:
        found = await sessions.result(entry.services, entry.scope, session)
    except NotFinished:
        return entry.visit.redirect(f"/s/{session}")
    view = await sessions.view(entry.services, entry.scope, session)
    release = await entry.services.catalogue.release(found.release)
    further = None
    if found.decision.status == "passed" and found.confirmation is None:
        further = await confirming.form_for(entry.services, entry.scope, view)
    late = "late" in request.query_params
    return render_result(entry, view, found, release, late=late, confirming=further)
