"""The page where a learner asks for more time or breaks: a choice, and never a reason."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from assess.delivery.pages.answers import Fault
from assess.delivery.pages.door import known_learner, services_of, visit_of
from assess.delivery.pages.language import Language
from assess.delivery.pages.shell import form_text, read_form
from assess.delivery.pages.start_page import arranged
from assess.delivery.pages.wording import minutes_in_words
from assess.delivery.schemas import GiveAccommodation, plain
from assess.delivery.service import accommodations
from assess.session import Accommodation

router = APIRouter(include_in_schema=False)

_MULTIPLIERS = ("1", "1.25", "1.5", "2")
_BREAKS = {"0": (0, 0), "1x10": (1, 10), "2x10": (2, 10), "3x10": (3, 10), "3x20": (3, 20)}


@router.get("/accommodations")
async def accommodation_page(request: Request) -> Response:
    """What the learner has, and the choices."""
    return await _page(request)


async def _page(request: Request, *, faults: tuple[Fault, ...] = (), status: int = 200) -> Response:
    visit, known = await visit_of(request), await known_learner(request)
    words = visit.language
    has: list[str] = []
    waiting = False
    if known is not None:
        found = await accommodations.of_learner(services_of(request), known.scope, known.learner)
        has = arranged(Accommodation.from_mapping(plain(found.given)), words)
        waiting = found.open_request
    return visit.render(
        "accommodations.html",
        status=status,
        faults=faults,
        known=known is not None,
        has=has,
        waiting=waiting,
        stored="stored" in request.query_params,
        times=_times(words),
        pauses=_pauses(words),
    )


def _times(words: Language) -> list[tuple[str, str]]:
    _ = words.gettext
    longer = [
        (value, _("%(times)s times the time") % {"times": words.number(float(value))})
        for value in _MULTIPLIERS[1:]
    ]
    return [("1", _("The time that everybody has")), *longer, ("untimed", _("No time limit"))]


def _pauses(words: Language) -> list[tuple[str, str]]:
    _, ngettext = words.gettext, words.ngettext
    found = [("0", _("No breaks"))]
    for value, (n, minutes) in list(_BREAKS.items())[1:]:
        sentence = ngettext("%(n)s break of %(minutes)s", "%(n)s breaks of %(minutes)s", n)
        found.append((value, sentence % {"n": words.number(n), "minutes": minutes_in_words(minutes, words)}))
    return found


@router.post("/accommodations")
async def ask(request: Request) -> Response:
    """Store the wish; somebody of the organisation decides on it."""
    visit = await visit_of(request)
    form = await read_form(request)
    visit.check(form)
    known = await known_learner(request)
    if known is None:
        return await _page(request, status=401)
    time, pauses = form_text(form, "time"), form_text(form, "breaks")
    if time not in (*_MULTIPLIERS, "untimed") or pauses not in _BREAKS:
        fault = Fault("main", visit.language.gettext("Choose one line for the time and one for the breaks."))
        return await _page(request, faults=(fault,), status=422)
    n, minutes = _BREAKS[pauses]
    wish = GiveAccommodation(
        time_multiplier=1.0 if time == "untimed" else float(time),
        untimed=time == "untimed",
        breaks=n,
        break_minutes=minutes,
        no_pilot=form_text(form, "no_pilot") == "yes",
    )
    await accommodations.ask(services_of(request), known.scope, given=wish)
    return visit.redirect("/accommodations?stored=1")
