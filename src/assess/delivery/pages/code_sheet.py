"""A sheet of codes to sign in with: one card per learner, to be printed and cut up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from assess.delivery.pages.language import language
from assess.delivery.pages.shell import environment


@dataclass(frozen=True, slots=True)
class Card:
    """What one learner gets into the hand."""

    learner: str
    code: str
    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Printed:
    learner: str
    code: str
    url: str
    until: str


def code_sheet(cards: Iterable[Card], *, title: str, address: str, code: str, zone: tzinfo) -> str:
    """The sheet as a page of its own, which needs no server.

    Parameters
    ----------
    title : str
        Whose codes these are.
    address : str
        Where the code is typed.
    code : str
        The language of the cards.
    zone : tzinfo
        In whose clock the last moment is told.
    """
    words = language(code)
    printed = [_Printed(c.learner, c.code, c.url, words.moment(c.expires_at, zone)) for c in cards]
    return environment(code).get_template("codes.html").render(title=title, address=address, cards=printed)
