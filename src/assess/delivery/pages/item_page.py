"""The page of one item, for a session and for practice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from assess.delivery.pages.answers import Fault, Filled
from assess.delivery.pages.shell import Visit
from assess.delivery.pages.views import ItemView
from assess.delivery.pages.wording import announcements


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
        clock_words=_clock(item.seconds_left),
        announcements=announcements(visit.language),
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


def _clock(seconds: int | None) -> str:
    """Minutes and seconds, with hours where there are any.

    Examples
    --------
    >>> _clock(61), _clock(3600), _clock(None)
    ('01:01', '1:00:00', '')
    """
    if seconds is None:
        return ""
    rest = f"{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{seconds // 3600}:{rest}" if seconds >= 3600 else rest
