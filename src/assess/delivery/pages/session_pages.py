"""Routes of a session: an item, the overview, handing in, the result."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from assess.delivery.pages.answers import Asked, Fault, Reading, fill, read_fields, refused
from assess.delivery.pages.door import Pass, admit, learner_scope, open_session, services_of, visit_of
from assess.delivery.pages.item_page import Frame, render_item
from assess.delivery.pages.language import Language
from assess.delivery.pages.result_page import render_result
from assess.delivery.pages.shell import form_text, read_form, whole
from assess.delivery.pages.views import ItemView, item_view
from assess.delivery.schemas import Current, SessionView
from assess.delivery.service import sessions
from assess.errors import (
    AnswerConflict,
    AnswerMalformed,
    ItemNotOffered,
    NotFinished,
    PositionConflict,
    SessionExpired,
    SessionFinished,
    SessionVoid,
    StaleSession,
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
    asked = whole(request.query_params.get("item", ""))
    current = view.current
    if view.review and asked:
        try:
            current = await sessions.look(entry.services, entry.scope, session, asked)
        except PositionConflict:
            return entry.visit.redirect(f"/s/{session}")
    if current is None:
        return entry.visit.redirect(f"/s/{session}/review")
    shown = item_view(current)
    return render_item(
        entry.visit, shown, _frame(entry, view, shown), filled=fill(shown.asked, current.answer)
    )


async def _exchange(request: Request, session: str, token: str) -> Response:
    """Keep a link's token in a cookie and take it out of the address, where it would be seen and shared."""
    scope = await learner_scope(services_of(request), token)
    scope.require_session(session)
    return admit(await visit_of(request), session, token)


@router.post("/s/{session}")
async def respond(request: Request, session: str) -> Response:
    """Store one answer and show what comes next."""
    entry = await open_session(request, session)
    form = await read_form(request)
    entry.visit.check(form)
    view = await sessions.view(entry.services, entry.scope, session)
    position, revision = whole(form_text(form, "position")), whole(form_text(form, "revision"))
    current = await _asked_for(entry, view, position)
    reading = _read(entry, form, current)
    if reading.faults and current is not None:
        return _again(entry, view, current, reading, reading.faults, 422)
    try:
        responded = await sessions.respond(
            entry.services,
            entry.scope,
            session,
            position=position,
            item=form_text(form, "item"),
            revision=revision,
            answer=reading.answer,
        )
    except AnswerMalformed:
        if current is None:
            return await _moved_on(entry, session, position, reading)
        faults = (refused(item_view(current).asked, entry.visit.language),)
        return _again(entry, view, current, reading, faults, 422)
    except (SessionFinished, SessionExpired):
        return entry.visit.redirect(f"/s/{session}/result?late=1")
    except (AnswerConflict, PositionConflict, ItemNotOffered, StaleSession):
        return await _moved_on(entry, session, position, reading)
    if responded.finished:
        return entry.visit.redirect(f"/s/{session}/result")
    # A first answer sent again after a lost reply goes on; a changed one came from the overview.
    if responded.current is None or revision > 1:
        return entry.visit.redirect(f"/s/{session}/review")
    if not entry.visit.fragment:
        return entry.visit.redirect(f"/s/{session}")
    shown = item_view(responded.current)
    return render_item(entry.visit, shown, _frame(entry, view, shown), address=f"/s/{session}")


async def _asked_for(entry: Pass, view: SessionView, position: int) -> Current | None:
    """The offered position that a form answers, where it may still be shown."""
    if view.current is not None and view.current.position == position:
        return view.current
    if not view.review or view.state != "in_progress":
        return None
    try:
        return await sessions.look(entry.services, entry.scope, view.session, position)
    except PositionConflict:
        return None


def _read(entry: Pass, form: FormData, current: Current | None) -> Reading:
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
    return read_fields(asked, form, entry.visit.language)


def _again(
    entry: Pass, view: SessionView, current: Current, reading: Reading, faults: tuple[Fault, ...], status: int
) -> Response:
    """The same item with what was typed, and what is wrong with it."""
    shown = item_view(current)
    address = f"/s/{view.session}" if current == view.current else f"/s/{view.session}?item={shown.position}"
    frame = _frame(entry, view, shown)
    return render_item(
        entry.visit, shown, frame, filled=reading.filled, faults=faults, status=status, address=address
    )


async def _moved_on(entry: Pass, session: str, position: int, reading: Reading) -> Response:
    """The session went on in another tab: say what was not stored, and show where it is."""
    _ = entry.visit.language.gettext
    view = await sessions.view(entry.services, entry.scope, session)
    if view.state != "in_progress":
        return entry.visit.redirect(f"/s/{session}/result")
    if view.current is None:
        return entry.visit.redirect(f"/s/{session}/review?moved={position}")
    shown = item_view(view.current)
    message = _moved_words(position, entry.visit.language)
    if shown.position == position:
        message = _(
            "Your answer was not stored, because the session changed at the same moment. Save it again."
        )
    return render_item(
        entry.visit,
        shown,
        _frame(entry, view, shown),
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


def _frame(entry: Pass, view: SessionView, shown: ItemView) -> Frame:
    _ = entry.visit.language.gettext
    links: list[tuple[str, str]] = []
    if view.review:
        about = _("You can come back to this item and change your answer until you hand in.")
        if shown.position > 1:
            links.append((f"/s/{view.session}?item={shown.position - 1}", _("Previous item")))
        links.append((f"/s/{view.session}/review", _("Overview of your answers")))
    else:
        about = _(
            "Once it is saved, an answer cannot be changed. An item that is left blank counts as not right."
        )
        links.append((f"/s/{view.session}/submit", _("Stop and hand in …")))
    looking_back = shown.revision > 1
    return Frame(
        course_title=entry.course_title(view.course)[1],
        action=f"/s/{view.session}",
        about=about,
        links=links,
        stored_words=_("Your answer to item %(n)s is stored.")
        % {"n": entry.visit.language.number(shown.position)},
        save_words=_("Save and go to the overview") if looking_back else _("Save and continue"),
        key=f"{view.session}:{shown.position}:{shown.revision}",
        draft_key=f"{view.session}:{shown.position}",
    )


@router.get("/s/{session}/review")
async def review(request: Request, session: str) -> Response:
    """Which items are answered and which are blank."""
    entry = await open_session(request, session)
    view = await sessions.view(entry.services, entry.scope, session)
    if view.state != "in_progress":
        return entry.visit.redirect(f"/s/{session}/result")
    if not view.review:
        return entry.visit.redirect(f"/s/{session}/submit" if view.current is None else f"/s/{session}")
    language = entry.visit.language
    lines = [
        {
            "address": f"/s/{session}?item={line.position}",
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
        onward=f"/s/{session}" if view.current is not None else None,
        hand_in=f"/s/{session}/submit",
        message=_moved_words(moved, language) if moved else "",
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
        back=f"/s/{session}/review" if view.review else f"/s/{session}",
    )


@router.post("/s/{session}/submit")
async def hand_in(request: Request, session: str) -> Response:
    """End the session; a second time changes nothing."""
    entry = await open_session(request, session)
    entry.visit.check(await read_form(request))
    await sessions.submit(entry.services, entry.scope, session)
    return entry.visit.redirect(f"/s/{session}/result")


@router.get("/s/{session}/result")
async def result(request: Request, session: str) -> Response:
    """What was decided, how sure that is, and what comes next."""
    entry = await open_session(request, session)
    try:
        found = await sessions.result(entry.services, entry.scope, session)
    except NotFinished:
        return entry.visit.redirect(f"/s/{session}")
    view = await sessions.view(entry.services, entry.scope, session)
    release = await entry.services.catalogue.release(found.release)
    return render_result(entry, view, found, release, late="late" in request.query_params)
