"""Clocks: what an accommodation makes of an allowance, what stops a clock, and what a clock closes.

A session has up to three clocks: its own, that of the section it is in, and
that of the item on the page. Each has one allowance, stated by the form, which
is scaled here and nowhere else; everything that was given later is added to
the clocks that ran when it happened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from assess.errors import InvalidContent
from assess.items.reading import Fields
from assess.session.records import record

ClockName = Literal["session", "section", "item"]
LARGEST_MULTIPLIER = 5.0


@dataclass(frozen=True, slots=True)
class Accommodation:
    """What one learner is given beyond the form; never why.

    Parameters
    ----------
    time_multiplier : float
        Every allowance is multiplied by it, from 1 to `LARGEST_MULTIPLIER`.
    untimed : bool
        No clock at all; the window of the form still ends the session.
    breaks : int
        How often the learner may stop the clocks.
    break_minutes : int
        How long each of these breaks may last.
    no_pilot : bool
        Unscored items are left out.

    Examples
    --------
    >>> Accommodation(1.5).scaled(61), Accommodation().scaled(60)
    (92, 60)
    """

    time_multiplier: float = 1.0
    untimed: bool = False
    breaks: int = 0
    break_minutes: int = 0
    no_pilot: bool = False

    def __post_init__(self) -> None:
        if not 1.0 <= self.time_multiplier <= LARGEST_MULTIPLIER:
            raise InvalidContent(
                f"{self.time_multiplier} is not from 1 to {LARGEST_MULTIPLIER:g}", place="time_multiplier"
            )
        if not 0 <= self.breaks <= 50:
            raise InvalidContent(f"{self.breaks} is not from 0 to 50", place="breaks")
        if not 0 <= self.break_minutes <= 240:
            raise InvalidContent(f"{self.break_minutes} is not from 0 to 240", place="break_minutes")
        if (self.breaks > 0) != (self.break_minutes > 0):
            raise InvalidContent("breaks need a number and a length in minutes", place="breaks")

    def scaled(self, seconds: int) -> int:
        """An allowance of the form as this learner has it, rounded up to whole seconds."""
        # Rounded first: 1.1 times 600 must not become 661 because of the last bit.
        return math.ceil(round(seconds * self.time_multiplier, 6))

    def covers(self, other: Accommodation) -> bool:
        """Whether it gives at least what another one gives.

        Examples
        --------
        >>> more, untimed = Accommodation(2.0), Accommodation(untimed=True)
        >>> more.covers(Accommodation(1.25)), more.covers(untimed)
        (True, False)
        """
        return (
            (self.untimed or (not other.untimed and self.time_multiplier >= other.time_multiplier))
            and self.breaks >= other.breaks
            and self.break_minutes >= other.break_minutes
            and (self.no_pilot or not other.no_pilot)
        )

    def beside(self, other: Accommodation) -> Accommodation:
        """Of two that hold at once, the more generous of each part.

        Examples
        --------
        >>> longer, with_breaks = Accommodation(2.0), Accommodation(1.25, breaks=1, break_minutes=10)
        >>> both = longer.beside(with_breaks)
        >>> both.time_multiplier, both.breaks, both.covers(longer), both.covers(with_breaks)
        (2.0, 1, True, True)
        """
        return Accommodation(
            time_multiplier=max(self.time_multiplier, other.time_multiplier),
            untimed=self.untimed or other.untimed,
            breaks=max(self.breaks, other.breaks),
            break_minutes=max(self.break_minutes, other.break_minutes),
            no_pilot=self.no_pilot or other.no_pilot,
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for storage."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Accommodation:
        """Read what `to_mapping` wrote.

        Examples
        --------
        >>> Accommodation.from_mapping(Accommodation(2.0).to_mapping()).time_multiplier
        2.0
        """
        fields = Fields(mapping, "accommodation")
        found = cls(
            time_multiplier=fields.number("time_multiplier", 1.0),
            untimed=fields.flag("untimed", False),
            breaks=fields.integer("breaks", 0),
            break_minutes=fields.integer("break_minutes", 0),
            no_pilot=fields.flag("no_pilot", False),
        )
        fields.finish()
        return found


NO_ACCOMMODATION = Accommodation()


@dataclass(frozen=True, slots=True)
class TimeGrant:
    """Seconds added after the start.

    Parameters
    ----------
    position : int or None
        The one that waited for an answer when it happened: its item, its
        section and the session get the time. Without one only the session does.
    cause : str
        incident, downtime, reopen, or waiting (for the server).
    incident : str or None
        The incident by which it was granted.
    message : str or None
        What the learner is told beside the fact.
    told_seconds : int or None
        What the learner is told where that is not `seconds`: a session that is
        opened again is also given the time since its end.

    Examples
    --------
    >>> from datetime import UTC
    >>> grant = TimeGrant(60, datetime(2026, 11, 22, 12, tzinfo=UTC), "a power cut")
    >>> grant.to_mapping()
    {'seconds': 60, 'reason': 'a power cut', 'cause': 'incident'}
    """

    seconds: int
    at: datetime
    reason: str = ""
    position: int | None = None
    cause: str = "incident"
    incident: str | None = None
    message: str | None = None
    told_seconds: int | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for storage, beside the time of the event."""
        out = {name: getattr(self, name) for name in self.__slots__ if name != "at"}
        return {name: value for name, value in out.items() if value is not None}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], at: datetime) -> TimeGrant:
        """Read what `to_mapping` wrote.

        Examples
        --------
        >>> from datetime import UTC
        >>> TimeGrant.from_mapping({"seconds": 60}, datetime(2026, 11, 22, 12, tzinfo=UTC)).cause
        'incident'
        """
        fields = Fields(mapping, "time grant")
        found = cls(
            seconds=fields.integer("seconds"),
            at=at,
            reason=fields.raw("reason", ""),
            position=fields.integer("position", None),
            cause=fields.text("cause", "incident"),
            incident=fields.text("incident", None),
            message=fields.text("message", None),
            told_seconds=fields.integer("told_seconds", None),
        )
        fields.finish()
        return found


@dataclass(frozen=True, slots=True)
class Break:
    """Clocks that stand still from `at` on: until `ended_at`, at most for `seconds`."""

    at: datetime
    seconds: int
    position: int | None = None
    ended_at: datetime | None = None

    @property
    def ends_at(self) -> datetime:
        """When it ended, or ends by itself."""
        latest = self.at + timedelta(seconds=self.seconds)
        return latest if self.ended_at is None else min(max(self.ended_at, self.at), latest)

    @property
    def length(self) -> timedelta:
        """How long the clocks stand; of an open break as if it were used up."""
        return self.ends_at - self.at


@dataclass(frozen=True, slots=True)
class Extension:
    """The recorded fact that an undetermined session goes on, after this position, with a clock of its own.

    `seconds` is the allowance from `at` on, before any accommodation; None without a limit.
    """

    number: int
    at: datetime
    after_position: int
    seconds: int | None

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for storage, beside the time of the event."""
        return {"number": self.number, "after_position": self.after_position, "seconds": self.seconds}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], at: datetime) -> Extension:
        """Read what `to_mapping` wrote; how the session had ended stands beside it."""
        return cls(int(mapping["number"]), at, int(mapping["after_position"]), mapping["seconds"])


@dataclass(frozen=True, slots=True)
class SectionEnd:
    """The recorded fact that a section's time was over while this position was on the page."""

    section: int
    position: int
    at: datetime


@record
class Clock:
    """One running clock: whose it is, its whole allowance in seconds, and when it is over."""

    name: ClockName
    seconds: int
    deadline: datetime


@record
class Closing:
    """What a clock closes: the item at a position (as a blank), or the section that it stands in."""

    name: Literal["section", "item"]
    position: int
    at: datetime
