"""How often a wrong code may be entered: counted in this process, on its monotonic clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from assess.errors import RateLimited


@dataclass
class Attempts:
    """Wrong codes of this process: few for one learner, more for a whole tenant, within a span of time."""

    per_learner: int = 5
    per_tenant: int = 200
    seconds: float = 600.0
    _wrong: dict[str, deque[float]] = field(default_factory=dict)

    def require(self, now: float, tenant: str, learner: str) -> None:
        """Refuse who has tried too often.

        Raises
        ------
        RateLimited
            With the seconds to wait.
        """
        for key, limit in self._keys(tenant, learner):
            wrong = self._recent(key, now)
            if len(wrong) >= limit:
                raise RateLimited(
                    "too many wrong codes; ask the invigilator, and wait",
                    retry_after=int(self.seconds - (now - wrong[0])) + 1,
                )

    def count(self, now: float, tenant: str, learner: str) -> None:
        """Remember a wrong code."""
        for key, limit in self._keys(tenant, learner):
            self._wrong.setdefault(key, deque(maxlen=limit)).append(now)
        if len(self._wrong) > 10_000:
            for key in [key for key in self._wrong if not self._recent(key, now)]:
                del self._wrong[key]

    def _keys(self, tenant: str, learner: str) -> tuple[tuple[str, int], tuple[str, int]]:
        return (f"{tenant}\n{learner}", self.per_learner), (f"{tenant}\n", self.per_tenant)

    def _recent(self, key: str, now: float) -> deque[float]:
        wrong = self._wrong.get(key, deque())
        while wrong and now - wrong[0] >= self.seconds:
            wrong.popleft()
        return wrong
