"""The records of a session, and their fold into what the session is now.

A session is the fold of its start record, offers and responses over a release.
Nothing here knows a clock or a random generator: times, secrets and seeds come
in, so that a session replays to the same state in five years.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from assess.errors import InvalidContent
from assess.items import Item, RawAnswer
from assess.items.reading import Fields
from assess.session.release import Release

ASSURANCES = ("unsupervised", "supervised", "proctored")


@dataclass(frozen=True, slots=True)
class StartRecord:
    """All that selection and scoring may know besides offers and responses; written once.

    Parameters
    ----------
    seed : str
        128 secret bits as 32 hexadecimal digits; the source of every choice by chance.
    excluded : tuple of str
        Units that this learner must not meet.
    pilot : tuple of (int, str)
        Position and reference of each unscored item, fixed before the first offer.
    time_limit_seconds : int or None
        The allowance on the server's clock; later grants are events.
    """

    session: str
    learner: str
    release: str
    seed: str
    started_at: datetime
    language: str
    prior_mean: float
    prior_sd: float
    engine: str
    try_number: int = 1
    time_limit_seconds: int | None = None
    excluded: tuple[str, ...] = ()
    pilot: tuple[tuple[int, str], ...] = ()
    assurance: str = "unsupervised"

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for storage."""
        out = {name: getattr(self, name) for name in self.__slots__}
        out["started_at"] = self.started_at.isoformat()
        out["excluded"] = list(self.excluded)
        out["pilot"] = [list(entry) for entry in self.pilot]
        return out

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> StartRecord:
        """Read what `to_mapping` wrote."""
        fields = Fields(mapping, "start record")
        record = cls(
            session=fields.text("session"),
            learner=fields.text("learner"),
            release=fields.text("release"),
            seed=fields.text("seed"),
            started_at=datetime.fromisoformat(fields.text("started_at")),
            language=fields.text("language"),
            prior_mean=fields.number("prior_mean"),
            prior_sd=fields.number("prior_sd"),
            engine=fields.text("engine"),
            try_number=fields.integer("try_number", minimum=1),
            time_limit_seconds=fields.integer("time_limit_seconds", None),
            excluded=fields.strings("excluded", ()),
            pilot=tuple((int(position), str(reference)) for position, reference in fields.raw("pilot", ())),
            assurance=fields.choice("assurance", ASSURANCES),
        )
        fields.finish()
        return record


@dataclass(frozen=True, slots=True)
class Offer:
    """The recorded fact that an item was shown at a position (from 1)."""

    position: int
    item: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Response:
    """A raw answer with its category and when; `answer` None means left blank on purpose.

    `salt` and `answer_sha256` let a record name an answer without holding it.
    """

    position: int
    revision: int
    item: str
    answer: RawAnswer | None
    category: int | None
    at: datetime
    salt: str
    answer_sha256: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How and when a session ended: completed, submitted or timed_out."""

    how: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TimeGrant:
    """Seconds added to the allowance after the start."""

    seconds: int
    at: datetime
    reason: str = ""


def answer_digest(salt: str, answer: RawAnswer | None) -> str:
    """Salted hash of a canonical answer, so that erasing the salt erases the link.

    Examples
    --------
    >>> answer_digest("00", "b") == answer_digest("01", "b")
    False
    """
    text = json.dumps(answer, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()


def chance(seed: str, *labels: str | int) -> float:
    """A number in [0, 1) that depends on the secret seed and the labels alone.

    SHA-256 rather than a library's generator: its stream is the same in every
    version of every library, so a session replays.

    Examples
    --------
    >>> 0.0 <= chance("00" * 16, "select", 3) < 1.0
    True
    """
    text = ":".join([seed, *map(str, labels)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56


@dataclass(frozen=True, eq=False)
class SessionState:
    """What a session is now: the fold of its records."""

    release: Release
    start: StartRecord
    offers: tuple[Offer, ...] = ()
    responses: tuple[Response, ...] = ()
    grants: tuple[TimeGrant, ...] = ()
    ending: Ending | None = None
    void: bool = False

    @cached_property
    def latest(self) -> Mapping[int, Response]:
        """The response that counts at each position: the one of the highest revision."""
        found: dict[int, Response] = {}
        for response in sorted(self.responses, key=lambda r: (r.position, r.revision)):
            found[response.position] = response
        return found

    def grown(
        self, *, offers: tuple[Offer, ...] | None = None, responses: tuple[Response, ...] | None = None
    ) -> SessionState:
        """The state with more offers or responses; what is known of the others is carried over."""
        found = replace(
            self,
            offers=self.offers if offers is None else offers,
            responses=self.responses if responses is None else responses,
        )
        if responses is None and "latest" in self.__dict__:
            found.__dict__["latest"] = self.latest
        return found

    @property
    def position(self) -> int:
        """The position offered last; 0 before the first offer."""
        return len(self.offers)

    @property
    def awaiting(self) -> Offer | None:
        """The last offer if it has no response yet."""
        if not self.offers or self.ending is not None:
            return None
        return None if self.offers[-1].position in self.latest else self.offers[-1]

    @cached_property
    def deadline(self) -> datetime | None:
        """When the allowance ends, grants included; None without a limit."""
        if self.start.time_limit_seconds is None:
            return None
        granted = sum(grant.seconds for grant in self.grants)
        return self.start.started_at + timedelta(seconds=self.start.time_limit_seconds + granted)

    @cached_property
    def closes_at(self) -> datetime:
        """The last instant at which an answer is taken: deadline plus grace, or the end of the window."""
        form = self.release.form
        window = self.start.started_at + timedelta(hours=form.window_hours)
        if self.deadline is None:
            return window
        return min(window, self.deadline + timedelta(seconds=form.late_grace_seconds))

    def seconds_left(self, now: datetime) -> int | None:
        """Whole seconds of the allowance that are left, never below 0; None without a limit."""
        if self.deadline is None:
            return None
        return max(0, int((self.deadline - now).total_seconds()))

    def item_at(self, position: int) -> Item:
        """The item offered at a position."""
        return self.release.items[self.offers[position - 1].item]

    def unit_categories(self) -> list[tuple[int, int]]:
        """Complete units with their category, in the order of completion; a blank scores 0."""
        by_unit: dict[int, dict[str, int]] = {}
        complete: list[tuple[int, int]] = []
        for offer in self.offers:
            response = self.latest.get(offer.position)
            unit = self.release.unit_of.get(offer.item)
            if unit is None or response is None:
                continue
            categories = by_unit.setdefault(unit, {})
            categories[offer.item] = response.category or 0
            if len(categories) == len(self.release.units[unit].items):
                complete.append((unit, sum(categories.values())))
        return complete


def fold(
    release: Release,
    start: StartRecord,
    offers: Iterable[Offer],
    responses: Iterable[Response],
    *,
    grants: Iterable[TimeGrant] = (),
    ending: Ending | None = None,
    void: bool = False,
) -> SessionState:
    """Put a session together from its stored records, refusing records that do not fit.

    Raises
    ------
    InvalidContent
        A record names another release, a gap in the positions, or an item that the release does not hold.

    Examples
    --------
    >>> state = fold(release, record, [Offer(1, "x-001.v1", noon)], ())
    >>> state.position, state.awaiting.item, state.seconds_left(noon)
    (1, 'x-001.v1', 1800)
    """
    if start.release != release.sha256:
        raise InvalidContent(
            f"session {start.session} started on release {start.release}, not {release.sha256}"
        )
    ordered = tuple(sorted(offers, key=lambda offer: offer.position))
    for expected, offer in enumerate(ordered, start=1):
        if offer.position != expected:
            raise InvalidContent(f"session {start.session}: no offer at position {expected}")
        if offer.item not in release.items:
            raise InvalidContent(
                f"session {start.session}: position {expected} offers {offer.item}, not in the release"
            )
    kept = tuple(responses)
    for response in kept:
        if not 1 <= response.position <= len(ordered) or ordered[response.position - 1].item != response.item:
            raise InvalidContent(
                f"session {start.session}: the response at position {response.position} answers "
                f"{response.item}, which was not offered there"
            )
    return SessionState(release, start, ordered, kept, tuple(grants), ending, void)
