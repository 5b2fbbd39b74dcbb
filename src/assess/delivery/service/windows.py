"""Windows: from when until when a course may be begun, in the clock of a place."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from assess.delivery.receipts import rfc3339
from assess.delivery.service.catalogue import Shelf
from assess.delivery.store.rows_people import Assignment
from assess.errors import Forbidden, InvalidFact, InvalidRequest, WindowClosed
from assess.standards.facts import instant

_HOW = (
    "write a day such as 2026-11-30, a local time such as 2026-11-30T09:00, "
    "or a time with its offset such as 2026-11-30T09:00:00+01:00"
)


def place(shelf: Shelf, course: str, name: str | None) -> tuple[str, tzinfo]:
    """The time zone of a window by its name; without one, that of the course's programme.

    Raises
    ------
    InvalidRequest
        Nobody keeps a zone of this name.
    """
    if not name:
        programme = shelf.programmes.get(shelf.course(course).programme)
        zone: Any = UTC if programme is None else programme.rules.time_zone
        return str(getattr(zone, "key", "UTC")), zone
    try:
        return name, ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise InvalidRequest(
            f"{name!r} is no time zone; write one such as Africa/Nairobi", path="time_zone"
        ) from None


def moment(text: str | None, zone: tzinfo, *, path: str, end: bool = False) -> datetime | None:
    """The instant of one end of a window; a day is its first instant, or at the end its last one.

    Raises
    ------
    InvalidRequest
        It cannot be read, or the clocks were put forward over it or back over it.

    Examples
    --------
    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> moment("2026-11-30T09:00", berlin, path="from").isoformat()
    '2026-11-30T08:00:00+00:00'
    >>> moment("2026-03-29", berlin, path="to", end=True).isoformat()
    '2026-03-29T21:59:59.999999+00:00'
    >>> moment("2026-03-29T02:30", berlin, path="from")
    Traceback (most recent call last):
        ...
    assess.errors.InvalidRequest: 2026-03-29T02:30 does not exist there: the clocks are put forward over it
    """
    if not text:
        return None
    try:
        naive = datetime.fromisoformat(text.replace(" ", "T", 1))
    except ValueError:
        naive = None
    if naive is None or naive.tzinfo is not None or _is_day(text):
        try:
            return instant(text, zone, end=end)
        except InvalidFact:
            raise InvalidRequest(f"{text!r} cannot be read; {_HOW}", path=path, code="date_invalid") from None
    early, late = (in_utc(naive.replace(tzinfo=zone, fold=fold), path=path) for fold in (0, 1))
    if early.astimezone(zone).replace(tzinfo=None) != naive:
        told = "does not exist there: the clocks are put forward over it"
        raise InvalidRequest(f"{text} {told}", path=path, code="date_invalid")
    if early != late:
        told = "comes twice there, for the clocks are put back; write it with its offset"
        raise InvalidRequest(f"{text} {told}", path=path, code="date_invalid")
    return early


def in_utc(value: datetime, *, path: str) -> datetime:
    """An instant that a client named, in UTC: what lies beyond could be stored and never be read again.

    Raises
    ------
    InvalidRequest
        It has no time zone, or is no instant of the years 1 to 9999 in UTC.

    Examples
    --------
    >>> in_utc(datetime.fromisoformat("2026-11-22T10:00:00+03:00"), path="from").isoformat()
    '2026-11-22T07:00:00+00:00'
    """
    if value.tzinfo is None:
        raise InvalidRequest("say the time zone, as in 2027-01-01T00:00:00Z", path=path)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        told = f"{value.isoformat()} is not within the years 1 to 9999 of UTC"
        raise InvalidRequest(told, path=path, code="date_invalid") from None


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def assignment(
    shelf: Shelf,
    tenant: str,
    *,
    kind: str,
    target: str,
    course: str,
    opens: str | None,
    closes: str | None,
    zone: str | None,
) -> Assignment:
    """A course assigned to a cohort or a learner, checked.

    Raises
    ------
    NotFound
        The course.
    InvalidRequest
        A time that cannot be read, or a window that closes before it opens.
    """
    shelf.course(course)
    name, found = place(shelf, course, zone)
    opens_at = moment(opens, found, path="from")
    closes_at = moment(closes, found, path="to", end=True)
    if opens_at is not None and closes_at is not None and closes_at <= opens_at:
        raise InvalidRequest(f"the window closes at {closes} and opens at {opens}", path="to")
    return Assignment(tenant, kind, target, course, opens_at, closes_at, name)


def open_at(row: Assignment, now: datetime) -> bool:
    """Whether a course may be begun at an instant; both ends belong to the window."""
    return (row.opens_at is None or row.opens_at <= now) and (row.closes_at is None or now <= row.closes_at)


def speaking(rows: list[Assignment], now: datetime) -> Assignment | None:
    """Of several windows of one course: an open one, else the next to open, else the last that closed."""
    if not rows:
        return None

    def rank(row: Assignment) -> tuple[int, timedelta]:
        if open_at(row, now):
            # Of two, the one that stays open longer.
            return 0, timedelta.min if row.closes_at is None else now - row.closes_at
        if row.opens_at is not None and row.opens_at > now:
            return 1, row.opens_at - now
        assert row.closes_at is not None
        return 2, now - row.closes_at

    return min(rows, key=rank)


def require_open(
    shelf: Shelf, assignments: list[Assignment], course: str, learner: str, now: datetime
) -> None:
    """Refuse to begin a course outside its windows; one that was assigned to nobody has none.

    Raises
    ------
    WindowClosed
        None of the learner's windows for this course is open.
    Forbidden
        The tenant lets learners begin assigned courses only, and this one is not.
    """
    row = speaking([found for found in assignments if found.course == course], now)
    if row is None:
        if shelf.tenant.assigned_only:
            raise Forbidden(
                f"course {course} is not assigned to learner {learner}; here only assigned courses are begun",
                code="role_not_allowed",
            )
        return
    if open_at(row, now):
        return
    if row.opens_at is not None and row.opens_at > now:
        raise WindowClosed(
            f"course {course} may be begun from {rfc3339(row.opens_at)} on", not_before=row.opens_at
        )
    assert row.closes_at is not None
    raise WindowClosed(f"course {course} could be begun until {rfc3339(row.closes_at)}")
