"""The page of one item, for a session and for practice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from assess.delivery.pages.answers import Fault, Filled
from assess.delivery.pages.language import Language
from assess.delivery.pages.shell import Visit
from assess.delivery.pages.views import ItemView
from assess.delivery.pages.wording import announcements, second_announcements
from assess.delivery.schemas import Timer


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around an item.

    Parameters
    ----------
    action : str
        Where its form is sent.
    about : str
        One sentence below the item: whether answers can be changed.
    links : sequence of (address, words)
        Ways out: look back, hand in, stop.
    stored_words : str
        What the script says in practice, where nothing is stored and no receipt comes.
    key : str
        Names this answer through all repetitions of its request.
    session : str
        The session that stores the answer; none in practice.
    fence : int
        Of the opening that shows the item; 0 in practice.
    notices : sequence of str
        What happened to the learner's time from outside.
    pause : (address, words) or None
        Where a break is taken, for a learner who has one left.
    """

    course_title: str
    action: str
    about: str
    links: Sequence[tuple[str, str]]
    save_words: str
    key: str
    stored_words: str = ""
    session: str = ""
    fence: int = 0
    notices: Sequence[str] = ()
    pause: tuple[str, str] | None = None

    @property
    def draft_key(self) -> str:
        """Names what is typed but not sent; nothing in practice."""
        return self.key if self.session else ""


def render_item(
    visit: Visit,
    item: ItemView,
    frame: Frame,
    *,
    filled: Filled | None = None,
    faults: Sequence[Fault] = (),
    message: str = "",
    typed: str = "",
    status: int = 200,
    address: str | None = None,
) -> Response:
    """The item with what stands in its controls, and what is wrong with it."""
    return visit.render(
        "item.html",
        status=status,
        address=address,
        item=item,
        filled=filled or Filled(),
        faults=faults,
        message=message,
        typed=typed,
        place_words=place_words(visit, item),
        clocks=[_clock_view(timer, visit.language) for timer in item.timers],
        number=visit.language.number(item.position),
        draft_key=frame.draft_key,
        **{name: getattr(frame, name) for name in frame.__slots__},
    )


def place_words(visit: Visit, item: ItemView) -> str:
    """Which item this is, of how many where that is known."""
    _, number = visit.language.gettext, visit.language.number
    if item.n_items is None:
        return _("Item %(n)s") % {"n": number(item.position)}
    return _("Item %(n)s of %(total)s") % {"n": number(item.position), "total": number(item.n_items)}


@dataclass(frozen=True, slots=True)
class ClockView:
    """A running clock: what it is called, what it shows, and what it says aloud."""

    of: str
    seconds: int
    label: str
    time: str
    over: str
    announcements: Mapping[str, str]


def _clock_view(timer: Timer, language: Language) -> ClockView:
    _ = language.gettext
    if timer.of == "item":
        label, over = _("Time left for this item"), _("The time for this item is over.")
    elif timer.of == "section":
        label = _("Time left in the section %(title)s") % {"title": timer.title or ""}
        over = _("The time for this section is over.")
    else:
        label, over = _("Time left"), _("The time is over.")
    short = timer.of != "session"
    return ClockView(
        timer.of,
        timer.seconds_left,
        label,
        _clock(timer.seconds_left),
        over,
        announcements(language) | (second_announcements(language) if short else {}),
    )


def _clock(seconds: int) -> str:
    """Minutes and seconds, with hours where there are any.

    Examples
    --------
    >>> _clock(61), _clock(3600)
    ('01:01', '1:00:00')
    """
    rest = f"{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{seconds // 3600}:{rest}" if seconds >= 3600 else rest
