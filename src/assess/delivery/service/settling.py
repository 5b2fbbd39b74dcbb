"""What has to be known before a clock may end anything: that no time was lost which is not yet given back.

Who ends sessions asks here, and `downtime` answers. Between them stands a
slot, for downtime gives time by incidents, and incidents know endings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from assess.delivery.store.rows import Session


@dataclass
class Pulse:
    """The heartbeat of this process.

    Parameters
    ----------
    settled : bool
        Whether it is known if any server ran before this one started.
    beaten : float
        Until when no time is owed to anybody, on the monotonic clock.
    at : datetime
        The same in the time of day.
    """

    process: str
    started_at: datetime
    settled: bool
    beaten: float
    at: datetime
    warned: bool = False
    # Whoever needs to know and the heartbeat itself go one after the other.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Settling:
    """The heartbeat of this process, if it has one, and how to settle what was lost."""

    pulse: Pulse | None = None
    how: Callable[[Session | None], Awaitable[bool]] | None = None

    async def before_an_end(self, session: Session | None = None) -> bool:
        """Wait until lost time is found and given back to this session; whether that may have moved it.

        Raises
        ------
        StorageUnavailable
            It cannot be known yet; nothing may end by a clock until it is.
        """
        return self.how is not None and await self.how(session)
