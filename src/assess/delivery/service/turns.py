"""Turns: what many ask at once about one learner is done one after the other in this process.

Each would otherwise compute from what it read, find that another was first,
and compute again. Other processes are kept apart by the learner's version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A line per key, kept only as long as somebody stands in it."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, tenant: str, learner: str) -> AsyncIterator[None]:
        """Wait for one's turn."""
        key = (tenant, learner)
        lock, n = self._lines.get(key, (asyncio.Lock(), 0))
        self._lines[key] = (lock, n + 1)
        try:
            async with lock:
                yield
        finally:
            _, n = self._lines[key]
            if n == 1:
                del self._lines[key]
            else:
                self._lines[key] = (lock, n - 1)
