"""Who may come in when too many come at once: those who have begun first, those who begin in a line.

A synchronised start is the ordinary case of an exam. Beginning a session reads
much and writes little; so only a few begin at a time, the others wait in the
order in which they came, and whoever finds the line too long is told so at
once, with a time after which to come again. No session was stored for them,
and no clock runs.

Who was sent away comes back with a ticket. A ticket that is let in holds one
of the places of the line until its holder begins, or for a short while: else
all who ask before the first of them has begun would be let in to one place.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from assess.errors import Overloaded

KEPT_SECONDS = 45.0
_KEPT_PLACES = 20_000
# Looking for those who gave up goes through the whole line: a millisecond or two, so not at every question.
_CLEARED_SECONDS = 1.0


def seconds_to_look(before: int) -> int:
    """After how long somebody with so many before them looks again: many who wait must not ask too much.

    Examples
    --------
    >>> [seconds_to_look(before) for before in (1, 299, 5000)]
    [10, 10, 120]
    """
    return max(10, min(120, before // 20 // 10 * 10))


class Admission:
    """The line of those who begin, and the places of those who were sent away to come again.

    Parameters
    ----------
    at_once : int
        How many sessions begin at the same time in this process.
    line : int
        How many more may wait inside a request.
    patience : float
        Seconds that a request waits in the line before it is sent away.

    Attributes
    ----------
    crowded : callable
        Whether the server takes no newcomers at all; whoever was let in now would be sent away at the next
        page.

    Examples
    --------
    >>> line = Admission(at_once=4, line=2, patience=10.0)
    >>> [line.place(ticket) for ticket in ("a", "b", "c")]
    [0, 0, 1]
    >>> line.holds("a"), line.holds("c")
    (True, False)
    """

    def __init__(self, *, at_once: int, line: int, patience: float) -> None:
        self._at_once = asyncio.Semaphore(at_once)
        self._line = line
        self._patience = patience
        # Each ticket's number in the order of first questions, and until when it is expected to ask again.
        self._places: dict[str, tuple[int, float]] = {}
        self._numbers: list[int] = []
        self._given = 0
        self._cleared = 0.0
        # Tickets that were let in and have not begun, with the end of their time.
        self._held: OrderedDict[str, float] = OrderedDict()
        self.crowded: Callable[[], bool] = lambda: False
        self.waiting = 0

    @property
    def room(self) -> int:
        """Places of the line that nobody waits in or holds."""
        self._lapse()
        return self._line - self.waiting - len(self._held)

    @asynccontextmanager
    async def begins(self, ticket: str = "") -> AsyncIterator[None]:
        """Wait for one's turn, then begin; a ticket that was let in takes the place that it holds.

        Raises
        ------
        Overloaded
            The line is too long, or one's turn did not come in time.
        """
        self._lapse()
        self._held.pop(ticket, None)
        if self._at_once.locked() and self.room <= 0:
            raise Overloaded("too many sessions begin at this moment; nothing was stored")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._patience):
                await self._at_once.acquire()
        except TimeoutError:
            raise Overloaded("the turn to begin did not come in time; nothing was stored") from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._at_once.release()

    def holds(self, ticket: str) -> bool:
        """Whether a place is held for this ticket."""
        self._lapse()
        return ticket in self._held

    def place(self, ticket: str) -> int:
        """How many who were sent away earlier are still before this one; 0 goes in, and holds a place.

        Who has not asked for a while has given up. The order is that of the
        first question; a ticket that this process does not know, perhaps
        because another gave it out, begins at the end.
        """
        now, crowded = time.monotonic(), self.crowded()
        if self.holds(ticket):
            return int(crowded)
        self._clear(now)
        room = 0 if crowded else max(0, self.room)
        known = self._places.pop(ticket, None)
        if known is None:
            self._given += 1
        number = self._given if known is None else known[0]
        before = bisect_left(self._numbers, number)
        if before < room:
            if known is not None:
                del self._numbers[before]
            self._held[ticket] = now + KEPT_SECONDS
            return 0
        if known is None and len(self._numbers) < _KEPT_PLACES:
            self._numbers.append(number)
            known = number, now
        if known is not None:
            self._places[ticket] = number, now + max(KEPT_SECONDS, 2.5 * seconds_to_look(before))
        return before - room + 1

    def _lapse(self) -> None:
        """Free the places that were held for those who did not come."""
        now = time.monotonic()
        while self._held and next(iter(self._held.values())) <= now:
            self._held.popitem(last=False)

    def _clear(self, now: float) -> None:
        """Forget those who have not asked for a while."""
        if now - self._cleared < _CLEARED_SECONDS:
            return
        self._cleared = now
        self._places = {ticket: place for ticket, place in self._places.items() if place[1] >= now}
        # Who asks again keeps the number and comes last in the dictionary: its order is not that of the line.
        self._numbers = sorted(number for number, _ in self._places.values())
