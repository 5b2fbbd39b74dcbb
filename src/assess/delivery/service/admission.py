"""Who may come in when too many come at once: those who have begun first, those who begin in a line.

A synchronised start is the ordinary case of an exam. Beginning a session reads
much and writes little; so only a few begin at a time, the others wait in the
order in which they came, and whoever finds the line too long is told so at
once, with a time after which to come again. Nothing was stored for them, and
no clock runs.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from assess.errors import Overloaded

_SEEN_SECONDS = 45.0
_KEPT_PLACES = 20_000


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
    """

    def __init__(self, *, at_once: int, line: int, patience: float) -> None:
        self._at_once = asyncio.Semaphore(at_once)
        self._line = line
        self._patience = patience
        self._places: OrderedDict[str, float] = OrderedDict()
        self.waiting = 0

    @property
    def full(self) -> bool:
        """Whether the line takes nobody more."""
        return self.waiting >= self._line

    @asynccontextmanager
    async def begins(self) -> AsyncIterator[None]:
        """Wait for one's turn, then begin.

        Raises
        ------
        Overloaded
            The line is too long, or one's turn did not come in time.
        """
        if self._at_once.locked() and self.full:
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

    def place(self, ticket: str) -> int:
        """How many who were sent away earlier are still before this one; 0 goes in.

        Who has not asked for a while has given up. The order is that of the
        first question; a ticket that this process does not know, perhaps
        because another gave it out, begins at the end.
        """
        now = time.monotonic()
        for other in [other for other, seen in self._places.items() if now - seen > _SEEN_SECONDS]:
            del self._places[other]
        if ticket in self._places or len(self._places) < _KEPT_PLACES:
            self._places[ticket] = now
        before = 0
        for other in self._places:
            if other == ticket:
                break
            before += 1
        room = 0 if self.full else max(1, self._line - self.waiting)
        if before < room:
            self._places.pop(ticket, None)
            return 0
        return before - room + 1
