"""Routes of the practice: the real item page over items that nobody stores."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages.answers import Fault, Filled, read_fields, refused
from assess.delivery.pages.door import visit_of
from assess.delivery.pages.item_page import Frame, render_item
from assess.delivery.pages.practice import INTERACTIONS, N_ITEMS, practice_item
from assess.delivery.pages.shell import Visit, read_form, whole
from assess.errors import AnswerMalformed

router = APIRouter(include_in_schema=False)


def _position(request: Request) -> int:
    return min(whole(request.query_params.get("item", "")) or 1, N_ITEMS + 1)


def _address(position: int) -> str:
    return f"/practice?item={position}"


def _frame(visit: Visit, position: int) -> Frame:
    _ = visit.language.gettext
    links = [(_address(position - 1), _("Back"))] if position > 1 else []
    return Frame(
        course_title=_("Practice"),
        action=_address(position),
        about=_("This is practice: nothing is stored and nothing is scored."),
        links=[*links, ("/", _("Stop practising"))],
        stored_words=_("Your answer was taken. In an assessment it would be stored now."),
        save_words=_("Save and continue"),
        key=f"practice:{position}",
    )


@router.get("/practice")
async def practice(request: Request) -> Response:
    """A practice item, or the end of the practice."""
    visit = await visit_of(request)
    position = _position(request)
    if position > N_ITEMS:
        return visit.render("practice.html")
    return render_item(visit, practice_item(position, visit.language), _frame(visit, position))


@router.post("/practice")
async def practise(request: Request) -> Response:
    """Take a practice answer as an assessment would, and forget it."""
    visit = await visit_of(request)
    form = await read_form(request)
    visit.check(form)
    position = min(_position(request), N_ITEMS)
    item = practice_item(position, visit.language)
    filled = Filled()
    faults: tuple[Fault, ...] = ()
    if "blank" not in form:
        reading = read_fields(item.asked, form, visit.language)
        filled, faults = reading.filled, reading.faults
        if not faults:
            try:
                INTERACTIONS[position - 1].check(reading.answer)
            except AnswerMalformed:
                faults = (refused(item.asked, visit.language),)
    if faults:
        frame = _frame(visit, position)
        return render_item(
            visit, item, frame, filled=filled, faults=faults, status=422, address=_address(position)
        )
    if visit.fragment and position < N_ITEMS:
        following = practice_item(position + 1, visit.language)
        return render_item(visit, following, _frame(visit, position + 1), address=_address(position + 1))
    return visit.redirect(_address(position + 1))
