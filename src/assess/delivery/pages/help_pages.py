"""Pages for when something went wrong: what to do, a note to leave, and the receipts of what is stored."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages.answers import Fault
from assess.delivery.pages.door import known_learner, open_session, visit_of
from assess.delivery.pages.shell import Visit, form_text, read_form
from assess.delivery.schemas import encode
from assess.delivery.service import problem_notes, receipts, sessions
from assess.errors import InvalidRequest, NotFound, RateLimited, Unauthenticated

router = APIRouter(include_in_schema=False)
_REQUEST = re.compile(r"req_[a-z2-7]{20}")


def _request_named(text: str) -> str:
    """The request id that a page's link names; nothing else is echoed."""
    return text if _REQUEST.fullmatch(text) else ""


@router.get("/problem")
async def problem(request: Request) -> Response:
    """What to do, for whoever is not in a session, or whose session does not open."""
    visit, known = await visit_of(request), await known_learner(request)
    named = _request_named(request.query_params.get("request", ""))
    _ = visit.language.gettext
    inside = known is not None and known.session is not None
    return visit.render(
        "problem.html",
        references=[named or visit.request_id],
        action=None,
        faults=(),
        message="",
        back=f"/s/{known.session}" if known is not None and inside else "/",
        back_words=_("Back to the assessment") if inside else _("See the courses"),
    )


@router.get("/s/{session}/problem")
async def session_problem(request: Request, session: str) -> Response:
    """What to do in a session, and a note to leave with it."""
    named = _request_named(request.query_params.get("request", ""))
    try:
        entry = await open_session(request, session)
    except (Unauthenticated, NotFound):
        visit = await visit_of(request)
        return visit.redirect(f"/problem?request={named or visit.request_id}")
    _ = entry.visit.language.gettext
    sent = "sent" in request.query_params
    message = _("Thank you. Your note is kept with this assessment.") if sent else ""
    return _note_page(entry.visit, session, named or entry.visit.request_id, message=message)


@router.post("/s/{session}/problem")
async def leave_note(request: Request, session: str) -> Response:
    """Keep the note."""
    entry = await open_session(request, session)
    form = await read_form(request)
    entry.visit.check(form)
    note, named = form_text(form, "note"), _request_named(form_text(form, "request"))
    _ = entry.visit.language.gettext
    try:
        await problem_notes.report(entry.services, entry.scope, session, note=note, request=named)
    except InvalidRequest:
        words = _("Say in a few words what happened, in at most 1,000 characters.")
        faults = (Fault("note", words),)
        return _note_page(entry.visit, session, named, faults=faults, note=note, status=422)
    except RateLimited as fault:
        message = _(
            "You have left several notes already, and they are kept. Tell your organisation in person."
        )
        response = _note_page(entry.visit, session, named, message=message, note=note, status=429)
        response.headers["Retry-After"] = str(fault.retry_after)
        return response
    return entry.visit.redirect(f"/s/{session}/problem?sent=1")


def _note_page(
    visit: Visit,
    session: str,
    named: str,
    *,
    message: str = "",
    faults: Sequence[Fault] = (),
    note: str = "",
    status: int = 200,
) -> Response:
    return visit.render(
        "problem.html",
        status=status,
        references=[session, *([named] if named else [])],
        action=f"/s/{session}/problem",
        request_id=named,
        faults=faults,
        message=message,
        note=note,
        back=f"/s/{session}",
    )


@router.get("/s/{session}/receipts")
async def receipt_page(request: Request, session: str) -> Response:
    """Every receipt of a session, for the learner to keep."""
    entry = await open_session(request, session)
    view = await sessions.view(entry.services, entry.scope, session)
    language = entry.visit.language
    _, number = language.gettext, language.number
    found = await receipts.listed(entry.services, entry.scope, session)
    lines = [
        (
            _("Item %(n)s") % {"n": number(receipt.position)},
            _("answer %(n)s") % {"n": number(receipt.revision)} if receipt.revision > 1 else "",
            language.moment(receipt.stored_at, entry.zone(view.course)),
        )
        for receipt in found
    ]
    return entry.visit.render(
        "receipts.html",
        course_title=entry.course_title(view.course)[1],
        lines=lines,
        file=f"/s/{session}/receipts.json",
        back=f"/s/{session}",
    )


@router.get("/s/{session}/receipts.json")
async def receipt_file(request: Request, session: str) -> Response:
    """The receipts as they can be sent to be verified."""
    entry = await open_session(request, session)
    found = await receipts.listed(entry.services, entry.scope, session)
    return Response(
        encode({"receipts": found}),
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="receipts-{session}.json"',
            "Cache-Control": "no-store",
        },
    )
