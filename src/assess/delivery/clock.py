"""The clock of a server: it follows the time of day at its start, and then only time that passes.

A machine's time of day may be set forward or back while learners sit. Every
duration that a server measures, such as what is left of an allowance, comes
from two readings of this clock, so no such step shortens or lengthens it. A
zone or its daylight saving plays no part: instants are in UTC, and a zone is
put on only when a page shows one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from starlette.requests import Request

from assess.delivery.settings import utc_now


class SteadyClock:
    """Gives the time in UTC, and never goes back.

    Parameters
    ----------
    wall : callable
        The machine's time of day, read at the start.
    monotonic : callable
        Seconds that only ever rise.

    Examples
    --------
    >>> from datetime import UTC
    >>> passed = iter([0.0, 90.0])
    >>> noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    >>> SteadyClock(lambda: noon, lambda: next(passed))().isoformat()
    '2026-11-22T12:01:30+00:00'
    """

    def __init__(
        self, wall: Callable[[], datetime] = utc_now, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._base, self._from = wall(), monotonic()

    def __call__(self) -> datetime:
        """The time now."""
        return self._base + timedelta(seconds=self._monotonic() - self._from)

    def not_before(self, instant: datetime) -> None:
        """Go on from an instant that is known to be past, if the time of day at the start lay before it."""
        behind = instant - self()
        if behind > timedelta():
            self._base += behind

    def ahead_of_wall(self) -> timedelta:
        """How far it is ahead of the machine's time of day; far from zero only after a step of that."""
        return self() - self._wall()


def arrived(request: Request) -> float | None:
    """When a request came, on the monotonic clock; None outside a server."""
    found: float | None = request.scope.get("state", {}).get("arrived")
    return found
