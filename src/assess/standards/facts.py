"""Facts and the days they count: who, what, from when, until when, as known when.

A day in a fact is a day in the programme's time zone. Inside, everything is an
instant in UTC: a day begins at its first instant, and a last day of validity
ends with its last one. A question "as of" a day is asked at its last instant,
so a fact of that day counts, and one voided on that day does not.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

from assess.errors import InvalidFact
from assess.standards.contents import Digest, Tokens
from assess.standards.grammar import RESERVED, HasFact, label
from assess.standards.periods import Period

Moment = date | datetime | str
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_TICK = timedelta(microseconds=1)
FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)

# What the word in a fact means. On equal instants the later word of a row speaks: a list of facts that does
# not say which of two came last is read with caution, never by the order in which it arrived.
_OUTCOMES = {"pass": "passed", "fail": "not_passed"}
_CAUTION: dict[str, tuple[str, ...]] = {
    "decision": ("passed", "undetermined", "pending", "incomplete", "not_passed", "void"),
    "application": ("undecided", "accepted", "rejected", "withdrawn"),
    "invitation": ("sent", "accepted", "declined", "withdrawn"),
    "judgement": ("yes", "no"),
}
_WORD = {"decision": "outcome", "application": "decision", "invitation": "status", "judgement": "answer"}
_ABSENT = {"application": "undecided", "invitation": "sent"}
_REQUIRED = {
    "decision": ("course",),
    "award": ("badge",),
    "application": ("program",),
    "invitation": ("program",),
    "judgement": ("q", "role"),
    "points": ("ledger", "key"),
    "membership": ("person",),
}


_NO_PROPERTIES = frozenset((*RESERVED, "id"))


@lru_cache(maxsize=4096)
def first_instant(day: date, time_zone: tzinfo) -> datetime:
    """The first instant of a day, in UTC.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> first_instant(date(2014, 1, 2), ZoneInfo("Asia/Kolkata")).isoformat()
    '2014-01-01T18:30:00+00:00'
    """
    try:
        return datetime(day.year, day.month, day.day, tzinfo=time_zone).astimezone(UTC)
    except OverflowError:
        return FIRST if day.year == 1 else LAST


def last_instant(day: date, time_zone: tzinfo) -> datetime:
    """The last instant of a day, in UTC; a day may have 23 or 25 hours."""
    if day == date.max:  # the usual way to say "for ever"
        return LAST
    return first_instant(day + timedelta(days=1), time_zone) - _TICK


def instant(value: Moment, time_zone: tzinfo, *, end: bool = False) -> datetime:
    """A day or a time as an instant; `end` asks for the last instant of a day.

    Raises
    ------
    InvalidFact
        Neither a day (2014-12-31) nor a time with its offset.

    Examples
    --------
    >>> instant("2014-12-31", UTC, end=True).isoformat()
    '2014-12-31T23:59:59.999999+00:00'
    >>> instant("2014-12-31T08:00:00+05:30", UTC).isoformat()
    '2014-12-31T02:30:00+00:00'
    """
    if isinstance(value, str):
        return _instant_of_text(value, time_zone, end)
    return _instant(value, time_zone, end)


@lru_cache(maxsize=4096)
def _instant_of_text(value: str, time_zone: tzinfo, end: bool) -> datetime:
    """The same days stand in the facts of thousands of people."""
    return _instant(value, time_zone, end)


def _instant(value: Moment, time_zone: tzinfo, end: bool) -> datetime:
    if type(value) is datetime and value.tzinfo is UTC:
        return value
    try:
        moment = value
        if isinstance(moment, str):
            moment = date.fromisoformat(moment) if _DAY.fullmatch(moment) else datetime.fromisoformat(moment)
        if not isinstance(moment, datetime):
            return last_instant(moment, time_zone) if end else first_instant(moment, time_zone)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, TypeError, AttributeError, OverflowError):
        pass
    raise InvalidFact(
        f"{value!r} is neither a day such as 2014-12-31 "
        "nor a time with its offset such as 2014-12-31T08:00:00Z",
        code="date_invalid",
    )


def add_years(start: datetime, years: int, time_zone: tzinfo) -> datetime:
    """The anniversary of an instant; that of 29 February in a common year is 28 February.

    Examples
    --------
    >>> add_years(datetime(2012, 2, 29, tzinfo=UTC), 1, UTC).date().isoformat()
    '2013-02-28'
    """
    local = start.astimezone(time_zone)
    year = local.year + years
    if not 1 <= year <= 9999:
        return LAST if years > 0 else FIRST
    try:
        return local.replace(year=year).astimezone(UTC)
    except ValueError:
        return local.replace(year=year, day=28).astimezone(UTC)


def period_end(start: datetime, period: Period, time_zone: tzinfo) -> datetime:
    """The last instant of a period that begins at an instant: that of its last day in the time zone.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> late = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    >>> period_end(late, Period(1, "day"), ZoneInfo("Europe/Paris")).isoformat()
    '2026-03-30T21:59:59.999999+00:00'
    """
    return last_instant(period.after(start.astimezone(time_zone).date()), time_zone)


_Order = tuple[datetime, datetime, float, Digest | str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact, checked: `word` is its outcome, decision, status or answer, if its type has one.

    `tested_at` is from when a decision ages: a rescoring decides anew and tests nobody anew.
    """

    type: str
    subject: str
    id: str
    at: datetime
    until: datetime
    void_at: datetime
    properties: Mapping[str, Any]
    tokens: Mapping[str, str]
    word: str
    order: _Order
    tested_at: datetime = FIRST

    def counts(self, moment: datetime, now: datetime) -> bool:
        """Happened by the moment, and not void now; it may have ended since."""
        return self.at <= moment and self.void_at > now

    def in_force(self, moment: datetime, now: datetime) -> bool:
        """Counts, and has not ended by the moment."""
        return self.counts(moment, now) and self.until >= moment

    @property
    def end(self) -> datetime:
        """The first instant at which it is not in force any more."""
        return min(self.void_at, LAST if self.until == LAST else self.until + _TICK)

    def text(self, name: str) -> str:
        """A property that must be text, such as a course."""
        return str(self.properties[name])

    def has_label(self, name: str, wanted: tuple[str, ...]) -> bool:
        """Whether a cohort or intake is one of those wanted; any will do when none is."""
        return not wanted or (name in self.properties and label(self.properties[name]) in wanted)


def _fault(place: str, name: str, message: str) -> InvalidFact:
    return InvalidFact(f"{place}.{name}: {message}", path=f"{place}.{name}")


def _when(value: Moment, name: str, time_zone: tzinfo, place: str, *, end: bool = False) -> datetime:
    try:
        return instant(value, time_zone, end=end)
    except InvalidFact as wrong:
        raise InvalidFact(f"{place}.{name}: {wrong}", path=f"{place}.{name}", code=wrong.code) from None


def _fact(
    raw: Mapping[str, Any], subject: str, time_zone: tzinfo, known_at: datetime, place: str
) -> Fact | None:
    """Parse one fact; None when it was not known yet."""
    given = raw.get

    def when(name: str, default: datetime, *, end: bool = False) -> datetime:
        value = given(name)
        return default if value is None else _when(value, name, time_zone, place, end=end)

    type_ = given("t")
    if not isinstance(type_, str) or not type_:
        raise _fault(place, "t", f"expected the type of the fact, got {type_!r}")
    if given("at") is None:
        raise _fault(place, "at", "a fact needs the day or time at which it happened")
    at, until = when("at", FIRST), when("until", LAST, end=True)
    if until < at:
        raise _fault(place, "until", f"it ends {raw['until']}, before it begins {raw['at']}")
    recorded = when("recorded_at", at)
    void_at = when("void_at", LAST)
    if recorded > known_at:
        return None
    if void_at != LAST and when("void_recorded_at", void_at) > known_at:
        void_at = LAST
    for name in _REQUIRED.get(type_, ()):
        value = given(name)
        if value is None or isinstance(value, Mapping | list):
            raise _fault(place, name, f"a fact of type {type_!r} needs it")
    word, caution = _word(type_, raw, place)
    properties = {name: value for name, value in raw.items() if name not in _NO_PROPERTIES}
    said, id_ = given("s"), given("id")
    who = subject if said is None else str(said)
    digest = Digest(properties, t=type_, s=who, at=at, until=until, void_at=void_at)
    return Fact(
        type_,
        who,
        f"sha256:{str(digest)[:16]}" if id_ is None else str(id_),
        at,
        until,
        void_at,
        properties,
        Tokens(properties),
        word,
        (at, recorded, caution, digest),
        when("tested_at", at) if type_ == "decision" else at,
    )


def _word(type_: str, raw: Mapping[str, Any], place: str) -> tuple[str, float]:
    """What the fact says, and how late it stands among facts of the same instant."""
    if type_ == "points":
        value = raw.get("value")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise _fault(place, "value", f"{value!r} is not a number of points")
        return "", -float(value)
    if type_ not in _WORD:
        return "", 0.0
    name, words = _WORD[type_], _CAUTION[type_]
    given = raw.get(name)
    if isinstance(given, bool) and type_ == "judgement":
        given = "yes" if given else "no"
    word = _ABSENT.get(type_) if given is None else _OUTCOMES.get(str(given), str(given))
    if word == "pending" and type_ in _ABSENT:
        word = _ABSENT[type_]
    if word not in words:
        allowed = ", ".join((*words, *(_OUTCOMES if type_ == "decision" else ())))
        raise _fault(place, name, f"{given!r} is not one of {allowed}")
    for flag in ("provisional", "practice", "further"):
        if type_ == "decision" and not isinstance(raw.get(flag, False), bool):
            raise _fault(place, flag, f"{raw[flag]!r} is neither true nor false")
    return word, float(words.index(word))


class FactBook:
    """Facts of one question, checked, each once, ready to be asked.

    Parameters
    ----------
    facts : iterable of mapping
        As `badges/README` has them: `t`, `at`, then `s`, `void_at`, `until`,
        `id`, `recorded_at`, `void_recorded_at` if known, then what the type
        carries. Their order, and repetitions, change nothing.
    subject : str
        Whom a fact without `s` is about.
    time_zone : tzinfo
        The programme's, for facts that name a day.
    as_known_at : date, datetime or str, optional
        Leave out what was recorded later. A fact without `recorded_at` is
        taken as recorded when it happened.

    Raises
    ------
    InvalidFact
        A fact lacks what its type must carry, or one id has two contents.

    Examples
    --------
    >>> book = FactBook([{"t": "attended", "at": "2013-03-01", "event": "x"}] * 3, subject="p1")
    >>> len(book.of("p1", "attended"))
    1
    """

    def __init__(
        self,
        facts: Iterable[Mapping[str, Any]],
        *,
        subject: str,
        time_zone: tzinfo = UTC,
        as_known_at: Moment | None = None,
    ) -> None:
        known_at = LAST if as_known_at is None else instant(as_known_at, time_zone, end=True)
        self.subject = subject
        self.time_zone = time_zone
        self._ledgers: dict[tuple[str, str], tuple[list[datetime], list[Fraction]]] = {}
        self._named: dict[tuple[str, str], dict[Any, tuple[Fact, ...]]] = {}
        # With the predicate itself, or another one might come to lie at its address.
        self._matching: dict[tuple[str, int], tuple[HasFact, tuple[Fact, ...]]] = {}
        by_id: dict[str, Fact] = {}
        for position, raw in enumerate(facts):
            if not isinstance(raw, Mapping):
                raise InvalidFact(f"facts[{position}]: expected a mapping", path=f"facts[{position}]")
            fact = _fact(raw, subject, time_zone, known_at, f"facts[{position}]")
            if fact is None:
                continue
            same = by_id.setdefault(fact.id, fact)
            if same is fact:
                continue
            if same.order[3] != fact.order[3]:
                raise InvalidFact(
                    f"facts[{position}].id: {fact.id!r} names two different facts; "
                    "hand over its current state",
                    path=f"facts[{position}].id",
                    code="fact_id_conflict",
                )
            if fact.order < same.order:  # delivered twice: it was known since the first time
                by_id[fact.id] = fact
        self._shelves = _shelve({}, by_id.values())

    def of(self, subject: str, type_: str) -> tuple[Fact, ...]:
        """Facts of one type about one subject, the earliest first."""
        return self._shelves.get((subject, type_), ())

    def named(self, subject: str, type_: str, name: str) -> tuple[Fact, ...]:
        """Those about one course, badge, program, question or ledger: by what names facts of the type."""
        key = (subject, type_)
        found = self._named.get(key)
        if found is None:
            by_name: dict[Any, list[Fact]] = {}
            naming = _REQUIRED[type_][0]
            for fact in self.of(subject, type_):
                by_name.setdefault(fact.properties[naming], []).append(fact)
            found = self._named[key] = {value: tuple(facts) for value, facts in by_name.items()}
        return found.get(name, ())

    def matching(self, subject: str, predicate: HasFact) -> tuple[Fact, ...]:
        """Those that carry all that a predicate asks for, whenever they count."""
        key = (subject, id(predicate))
        found = self._matching.get(key)
        if found is None:
            facts = tuple(fact for fact in self.of(subject, predicate.type) if predicate.matches(fact.tokens))
            found = self._matching[key] = (predicate, facts)
        return found[1]

    def supposing(self, facts: Iterable[Fact]) -> FactBook:
        """The same book with some facts more."""
        book = FactBook((), subject=self.subject, time_zone=self.time_zone)
        book._shelves = _shelve(self._shelves, facts)
        return book

    def total(self, subject: str, ledger: str, moment: datetime) -> Fraction:
        """The exact points of a ledger at a moment: the latest value of each distinct key in force."""
        key = (subject, ledger)
        if key not in self._ledgers:
            self._ledgers[key] = _running_total(self.named(subject, "points", ledger))
        times, totals = self._ledgers[key]
        position = bisect_right(times, moment)
        return totals[position - 1] if position else Fraction()

    @cached_property
    def _subjects(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for subject, type_ in self._shelves:
            found.setdefault(type_, []).append(subject)
        return found

    def subjects_of(self, type_: str) -> Sequence[str]:
        """Whom facts of a type are about."""
        return self._subjects.get(type_, ())


_Shelves = dict[tuple[str, str], tuple[Fact, ...]]


def _shelve(known: _Shelves, more: Iterable[Fact]) -> _Shelves:
    new: dict[tuple[str, str], list[Fact]] = {}
    for fact in more:
        new.setdefault((fact.subject, fact.type), []).append(fact)
    shelves = dict(known)
    for key, facts in new.items():
        shelves[key] = tuple(sorted((*shelves.get(key, ()), *facts), key=lambda fact: fact.order))
    return shelves


def exact(number: float) -> Fraction:
    """The number that was written: ten times 0.1 point is one point."""
    return Fraction(repr(number))


def _running_total(facts: Iterable[Fact]) -> tuple[list[datetime], list[Fraction]]:
    """Instants at which a ledger changes, and its total from each of them on.

    Asking a ledger of a thousand entries since when it is full would else add
    up a million of them.
    """
    by_key: dict[str, list[Fact]] = {}
    for fact in facts:
        by_key.setdefault(fact.tokens["key"], []).append(fact)
    changes: dict[datetime, Fraction] = {}
    for entries in by_key.values():
        turns = {fact.at for fact in entries} | {fact.end for fact in entries}
        before = Fraction()
        for turn in sorted(turns - {LAST}):
            current = [fact for fact in entries if fact.in_force(turn, turn)]
            now = exact(current[-1].properties["value"]) if current else Fraction()
            changes[turn] = changes.get(turn, Fraction()) + now - before
            before = now
    times = sorted(changes)
    return times, list(accumulate(changes[time] for time in times))


def supposed(subject: str, type_: str, at: datetime, number: int, word: str = "", **properties: Any) -> Fact:
    """A fact that nobody has attested, to ask what it would change.

    It stands last among facts of its instant.
    """
    return Fact(
        type=type_,
        subject=subject,
        id=f"supposed:{number}",
        at=at,
        until=LAST,
        void_at=LAST,
        properties=properties,
        tokens=Tokens(properties),
        word=word,
        order=(at, LAST, math.inf, str(number)),
        tested_at=at,
    )
