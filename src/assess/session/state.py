"""The records of a session, and their fold into what the session is now.

A session is the fold of its start record, offers and responses over a release,
with what happened to its clocks. Nothing here asks the time or a random
generator: times, secrets and seeds come in, so that a session replays to the
same state in five years.

It is above 500 lines: records, what is read from them and their fold know each other's fields, and what a
state carries to the next must stand beside what it would be worked out from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from assess.errors import InvalidContent
from assess.items import Item, RawAnswer
from assess.items.reading import Fields
from assess.session.first import FirstDecision
from assess.session.lazily import lazy
from assess.session.records import record
from assess.session.release import Release
from assess.session.timing import (
    NO_ACCOMMODATION,
    Accommodation,
    Break,
    Clock,
    ClockName,
    Closing,
    Extension,
    SectionEnd,
    TimeGrant,
)
from assess.standards.grammar import ASSURANCES


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
        The form's allowance on the server's clock; later grants are events.
    accommodation : Accommodation
        What the learner was given before; it scales every allowance when it is read.
    try_number : int
        From 1; 0 for a part of a placement and for a confirmation, which use no try.
    placement : str
        The placement of which the session is a part; empty for all others.
    closed : tuple of str
        Units that exposure control keeps from this session.
    choosing : (mean, sd) or None
        The prior by which units are chosen, where that is not the prior of the score.
    panel : str
        Of a multistage form, the panel that the session takes.
    evidence : bool
        Whether the record tells what was covered and why the session ended.
    confirms : FirstDecision or None
        What a confirming session confirms; None for all others.
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
    accommodation: Accommodation = NO_ACCOMMODATION
    closed: tuple[str, ...] = ()
    choosing: tuple[float, float] | None = None
    evidence: bool = False
    placement: str = ""
    panel: str = ""
    confirms: FirstDecision | None = None

    def to_mapping(self) -> dict[str, Any]:
        """Plain data for storage; what says nothing is left out, as before it could be said."""
        out = {name: getattr(self, name) for name in self.__slots__}
        for name in ("accommodation", "closed", "choosing", "evidence", "placement", "confirms", "panel"):
            del out[name]
        if self.closed:
            out["closed"] = list(self.closed)
        if self.choosing is not None:
            out["choosing"] = list(self.choosing)
        if self.evidence:
            out["evidence"] = True
        if self.placement:
            out["placement"] = self.placement
        if self.panel:
            out["panel"] = self.panel
        if self.confirms is not None:
            out["confirms"] = self.confirms.to_mapping()
        if self.accommodation != NO_ACCOMMODATION:
            out["accommodation"] = self.accommodation.to_mapping()
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
            try_number=fields.integer("try_number", minimum=0),
            time_limit_seconds=fields.integer("time_limit_seconds", None),
            excluded=fields.strings("excluded", ()),
            pilot=tuple((int(position), str(reference)) for position, reference in fields.raw("pilot", ())),
            assurance=fields.choice("assurance", ASSURANCES),
            accommodation=Accommodation.from_mapping(fields.raw("accommodation", {})),
            closed=fields.strings("closed", ()),
            choosing=_read_pair(fields.raw("choosing", None)),
            evidence=fields.flag("evidence", False),
            placement=fields.text("placement", ""),
            panel=fields.text("panel", ""),
            confirms=None
            if fields.raw("confirms", None) is None
            else FirstDecision.from_mapping(fields.raw("confirms")),
        )
        fields.finish()
        return record


def _read_pair(value: Any) -> tuple[float, float] | None:
    return None if value is None else (float(value[0]), float(value[1]))


@record
class Offer:
    """The recorded fact that an item was shown at a position (from 1)."""

    position: int
    item: str
    at: datetime


@record
class Response:
    """A raw answer with its category and when; `answer` None means left blank.

    `salt` and `answer_sha256` let a record name an answer without holding it.
    `timed_out` tells a blank that the item's clock left from one on purpose.
    """

    position: int
    revision: int
    item: str
    answer: RawAnswer | None
    category: int | None
    at: datetime
    salt: str
    answer_sha256: str
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Ending:
    """How and when a session ended: completed, submitted, timed_out, or voided before any of these."""

    how: str
    at: datetime


# Made once: `json.dumps` with options makes an encoder for every call.
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def answer_digest(salt: str, answer: RawAnswer | None) -> str:
    """Salted hash of a canonical answer, so that erasing the salt erases the link.

    Examples
    --------
    >>> answer_digest("00", "b") == answer_digest("01", "b")
    False
    """
    text = _encode(answer)
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


_NOTHING = timedelta()


def _any_position(_: int | None) -> bool:
    """What the session's own clock is given: everything."""
    return True


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
    breaks: tuple[Break, ...] = ()
    section_ends: tuple[SectionEnd, ...] = ()
    accommodated: tuple[Accommodation, ...] = ()
    extensions: tuple[Extension, ...] = ()

    @lazy
    def latest(self) -> Mapping[int, Response]:
        """The response that counts at each position: the one of the highest revision."""
        found: dict[int, Response] = {}
        for response in sorted(self.responses, key=lambda r: (r.position, r.revision)):
            found[response.position] = response
        return found

    def offering(self, offer: Offer) -> SessionState:
        """The state with one offer more."""
        return self._grown(
            offers=(*self.offers, offer),
            offered=self.offered | {offer.item},
            latest=self.latest,
            complete=self.complete,
        )

    def answered(self, response: Response) -> SessionState:
        """The state with one response more, under a revision that is the highest of its position."""
        position, latest, release = response.position, self.latest, self.release
        found = self._grown(
            responses=(*self.responses, response), latest={**latest, position: response}, offered=self.offered
        )
        if position == len(self.offers) and position not in latest:
            # The first answer to what was offered last completes its unit or none, and changes no other.
            unit = release.unit_of.get(response.item)
            complete = self.complete
            if unit is not None:
                n_items = len(release.units[unit].items)
                given = [response]
                if n_items > 1:
                    given += [r for r in latest.values() if release.unit_of.get(r.item) == unit]
                if len(given) == n_items:
                    complete = (*complete, (unit, sum([r.category or 0 for r in given])))
            found.__dict__["complete"] = complete
        return found

    def _grown(self, **values: Any) -> SessionState:
        """Another state with these values; what they cannot change is not worked out again.

        An answer makes two states, and making them anew took a third of its time.
        """
        found = object.__new__(SessionState)
        kept = found.__dict__
        kept.update(self.__dict__)
        for name in _PASSING_WITH_SECTIONS if self.release.form.sections else _PASSING:
            kept.pop(name, None)
        kept.update(values)
        return found

    @property
    def position(self) -> int:
        """The position offered last; 0 before the first offer."""
        return len(self.offers)

    @lazy
    def awaiting(self) -> Offer | None:
        """The last offer if it has no response yet, and its section's time did not end on it."""
        if not self.offers or self.ending is not None:
            return None
        last = self.offers[-1]
        closed = self.section_ends and any(end.position == last.position for end in self.section_ends)
        return None if closed or last.position in self.latest else last

    # --- clocks ---

    @property
    def accommodation(self) -> Accommodation:
        """What the learner has: as granted last during the session, else as before it."""
        return self.accommodated[-1] if self.accommodated else self.start.accommodation

    def _added(self, positions: Callable[[int | None], bool]) -> timedelta:
        """Granted time and breaks that began while one of these positions was on the page."""
        if not self.grants and not self.breaks:
            return _NOTHING
        added = timedelta(seconds=sum(g.seconds for g in self.grants if positions(g.position)))
        return added + sum((b.length for b in self.breaks if positions(b.position)), timedelta())

    @lazy
    def offered(self) -> frozenset[str]:
        """References of the items that were offered."""
        return frozenset(offer.item for offer in self.offers)

    def _clock(
        self, name: ClockName, limit: int | None, begun: datetime, positions: Callable[[int | None], bool]
    ) -> Clock | None:
        if limit is None or self.accommodation.untimed:
            return None
        seconds = self.accommodation.scaled(limit)
        return Clock(name, seconds, begun + timedelta(seconds=seconds) + self._added(positions))

    @lazy
    def session_clock(self) -> Clock | None:
        """The clock of the whole session; None without a limit."""
        if self.extensions:
            extension = self.extensions[-1]
            return self._clock("session", extension.seconds, extension.at, self._since(extension))
        limit = self.start.time_limit_seconds
        return self._clock("session", limit, self.start.started_at, _any_position)

    @staticmethod
    def _since(extension: Extension) -> Callable[[int | None], bool]:
        """What the clock of an extension is given: what happened at one of its positions."""
        return lambda position: position is not None and position > extension.after_position

    def section_of(self, position: int) -> int | None:
        """Index of the section in which a position was offered; a pilot item stands in the one around it."""
        if not self.release.form.sections:
            return None
        found = 0
        for offer in self.offers[:position]:
            unit = self.release.unit_of.get(offer.item)
            if unit is not None:
                found = self.release.section_of_unit[unit]
        return found

    @lazy
    def section(self) -> int | None:
        """Index of the section that the session has reached; None without sections."""
        return self.section_of(self.position)

    @lazy
    def section_clock(self) -> Clock | None:
        """The clock of the section that the session has reached, from the offer of its first item on."""
        section = self.section
        if section is None or not self.offers:
            return None
        limit = self.release.form.sections[section].time_limit_seconds
        begun = next(offer.at for offer in self.offers if self.section_of(offer.position) == section)

        def inside(position: int | None) -> bool:
            return position is not None and self.section_of(position) == section

        return self._clock("section", limit, begun, inside)

    @lazy
    def item_clock(self) -> Clock | None:
        """The clock of the item that waits for an answer, from its offer on."""
        awaiting, limit = self.awaiting, self.release.form.item_time_limit_seconds
        if awaiting is None or limit is None:
            return None
        return self._clock("item", limit, awaiting.at, lambda position: position == awaiting.position)

    @lazy
    def clocks(self) -> tuple[Clock, ...]:
        """The clocks that run, the one that is over first coming first."""
        section = None if self.awaiting is None else self.section_clock
        running = [clock for clock in (self.item_clock, section, self.session_clock) if clock is not None]
        if len(running) > 1:
            running.sort(key=lambda clock: clock.deadline)
        return tuple(running)

    @lazy
    def deadline(self) -> datetime | None:
        """When the allowance of the session ends, grants included; None without a limit."""
        clock = self.session_clock
        return None if clock is None else clock.deadline

    @lazy
    def closes_at(self) -> datetime:
        """The last instant at which the session takes an answer: deadline plus grace, or the window's end.

        The window of the form is an allowance like the others: it is scaled and extended with them.
        """
        form, grace = self.release.form, timedelta(seconds=self.release.form.late_grace_seconds)
        window = timedelta(seconds=self.accommodation.scaled(3600 * form.window_hours))
        begun = self.start.started_at
        given: Callable[[int | None], bool] = _any_position
        if self.extensions:
            begun, given = self.extensions[-1].at, self._since(self.extensions[-1])
        closing = [begun + window + self._added(given)]
        if self.deadline is not None:
            closing.append(self.deadline + grace)
        if form.sections and self.section == len(form.sections) - 1:
            last = self.section_clock
            if last is not None:
                closing.append(last.deadline + grace)
        return min(closing)

    @property
    def closing(self) -> Closing | None:
        """What the clock of the item or of the section closes next, and when if nothing comes before."""
        awaiting = self.awaiting
        if awaiting is None:
            return None
        grace = timedelta(seconds=self.release.form.late_grace_seconds)
        for clock in self.clocks:
            if clock.name != "session":
                return Closing(clock.name, awaiting.position, clock.deadline + grace)
        return None

    def section_is_over(self, section: int, now: datetime) -> bool:
        """Whether no further item of a section may be offered: it was left, closed, or its time is up."""
        current = self.section
        if current is None or section > current:
            return False
        if section < current or any(end.section == section for end in self.section_ends):
            return True
        clock = self.section_clock
        return clock is not None and now > clock.deadline

    def on_break(self, now: datetime) -> Break | None:
        """The break that stops the clocks now, if there is one."""
        last = self.breaks[-1] if self.breaks else None
        return last if last is not None and last.ended_at is None and now < last.ends_at else None

    @property
    def breaks_left(self) -> int:
        """How many breaks the learner may still take."""
        return max(0, self.accommodation.breaks - len(self.breaks))

    def left(self, clock: Clock, now: datetime) -> int:
        """Whole seconds that are left on a clock, never below 0; during a break they stand."""
        pause = self.on_break(now)
        effective = now if pause is None else pause.ends_at
        return max(0, int((clock.deadline - effective).total_seconds()))

    def seconds_left(self, now: datetime) -> int | None:
        """Whole seconds of the session's allowance that are left, never below 0; None without a limit."""
        clock = self.session_clock
        return None if clock is None else self.left(clock, now)

    # --- content ---

    def item_at(self, position: int) -> Item:
        """The item offered at a position."""
        return self.release.items[self.offers[position - 1].item]

    @lazy
    def complete(self) -> tuple[tuple[int, int], ...]:
        """Complete units with their category, in the order of completion; a blank scores 0."""
        return self.completed_by(self.position)

    def completed_by(self, position: int) -> tuple[tuple[int, int], ...]:
        """Those that the positions up to this one completed."""
        by_unit: dict[int, dict[str, int]] = {}
        complete: list[tuple[int, int]] = []
        for offer in self.offers[:position]:
            response = self.latest.get(offer.position)
            unit = self.release.unit_of.get(offer.item)
            if unit is None or response is None:
                continue
            categories = by_unit.setdefault(unit, {})
            categories[offer.item] = response.category or 0
            if len(categories) == len(self.release.units[unit].items):
                complete.append((unit, sum(categories.values())))
        return tuple(complete)

    def _rows(self, references: tuple[str, ...]) -> tuple[int, ...]:
        row_of = self.release.row_of
        return tuple(row_of[reference] for reference in references if reference in row_of)

    @lazy
    def excluded_rows(self) -> tuple[int, ...]:
        """Rows of the units that this learner must not meet."""
        return self._rows(self.start.excluded)

    @lazy
    def closed_rows(self) -> tuple[int, ...]:
        """Rows of the units that exposure control keeps from this session."""
        return self._rows(self.start.closed)


_LAZY = frozenset(name for name, value in vars(SessionState).items() if isinstance(value, lazy))
# What an offer or an answer may change. Without sections, no clock of the session depends on either.
_PASSING_WITH_SECTIONS = tuple(_LAZY - {"excluded_rows", "closed_rows"})
_PASSING = tuple(
    _LAZY
    - {"excluded_rows", "closed_rows", "session_clock", "deadline", "closes_at", "section", "section_clock"}
)


def fold(
    release: Release,
    start: StartRecord,
    offers: Iterable[Offer],
    responses: Iterable[Response],
    *,
    grants: Iterable[TimeGrant] = (),
    ending: Ending | None = None,
    void: bool = False,
    breaks: Iterable[Break] = (),
    section_ends: Iterable[SectionEnd] = (),
    accommodated: Iterable[Accommodation] = (),
    extensions: Iterable[Extension] = (),
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
    return SessionState(
        release,
        start,
        ordered,
        kept,
        tuple(grants),
        ending,
        void,
        tuple(breaks),
        tuple(section_ends),
        tuple(accommodated),
        tuple(extensions),
    )
