"""Limits against guessing: how often a wrong code may be tried, from one place and from everywhere.

Kept in the memory of a process: a restart forgets it, and several processes
allow several times as much. That is enough, because a code to sign in has 80
random bits and an invigilator's 49: the limit keeps a guesser from costing
anything, it is not what keeps them out.
"""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass, field
from datetime import datetime

from assess.errors import RateLimited

_MOST_PLACES = 20_000


@dataclass
class Bucket:
    """Tries that are left; they come back with time.

    Parameters
    ----------
    size : int
        Tries of somebody who has made none yet.
    seconds : float
        Until one try comes back.
    """

    size: int
    seconds: float
    left: float
    at: datetime

    def fill(self, now: datetime) -> None:
        """Give back what time has given."""
        passed = max(0.0, (now - self.at).total_seconds())
        self.left, self.at = min(float(self.size), self.left + passed / self.seconds), now

    @property
    def wait(self) -> int:
        """Whole seconds until there is a try again; 0 if there is one."""
        return 0 if self.left >= 1 else math.ceil((1 - self.left) * self.seconds)


def place_of(address: str) -> str:
    """Who shares a limit: an IPv4 address, or the half of an IPv6 address that names a network.

    Examples
    --------
    >>> place_of("192.0.2.7"), place_of("2001:db8:1:2:aa::1"), place_of("testclient")
    ('192.0.2.7', '2001:db8:1:2::/64', 'testclient')
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(found) if found.version == 4 else str(ipaddress.ip_network(f"{found}/64", strict=False))


@dataclass
class Guesses:
    """Wrong codes from each place and from all of a group; right ones cost nothing: a school is one place.

    Parameters
    ----------
    per_place, place_seconds : int, float
        Wrong codes from one place at once, and until another one is allowed.
    in_all, all_seconds : int, float
        The same for all places of a group together.
    """

    per_place: int = 20
    place_seconds: float = 15.0
    in_all: int = 2000
    all_seconds: float = 0.1
    _places: dict[str, Bucket] = field(default_factory=dict)
    _all: dict[str, Bucket] = field(default_factory=dict)

    def require(self, address: str, now: datetime, group: str = "") -> None:
        """Refuse a try while there are none left.

        Raises
        ------
        RateLimited
            With the seconds to wait; also for a right code, or the answer would tell which codes are.
        """
        wait = max(bucket.wait for bucket in self._buckets(address, now, group))
        if wait:
            raise RateLimited(f"too many wrong codes; try again in {wait} seconds", retry_after=wait)

    def wrong(self, address: str, now: datetime, group: str = "") -> None:
        """Count a wrong code."""
        for bucket in self._buckets(address, now, group):
            bucket.left = max(0.0, bucket.left - 1)

    def _buckets(self, address: str, now: datetime, group: str) -> tuple[Bucket, Bucket]:
        if group not in self._all:
            self._all[group] = Bucket(self.in_all, self.all_seconds, float(self.in_all), now)
        place = f"{group}\n{place_of(address)}"
        if place not in self._places:
            if len(self._places) >= _MOST_PLACES:
                self._forget(now)
            self._places[place] = Bucket(self.per_place, self.place_seconds, float(self.per_place), now)
        both = (self._places[place], self._all[group])
        for bucket in both:
            bucket.fill(now)
        return both

    def _forget(self, now: datetime) -> None:
        """Forget places that have all their tries again; if all are busy, the older half."""
        for bucket in self._places.values():
            bucket.fill(now)
        busy = {place: bucket for place, bucket in self._places.items() if bucket.left < bucket.size}
        self._places = busy if len(busy) < _MOST_PLACES else dict(list(busy.items())[len(busy) // 2 :])
