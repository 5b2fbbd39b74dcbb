"""Windows: days and local times in the clock of a place, and which of several windows speaks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.delivery.service import windows
from assess.delivery.store.rows_people import Assignment
from assess.errors import InvalidRequest

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def row(opens: int | None, closes: int | None) -> Assignment:
    """A window by its hours from now."""

    def at(hours: int | None) -> datetime | None:
        return None if hours is None else NOW + timedelta(hours=hours)

    return Assignment("default", "cohort", f"{opens}/{closes}", "twt-3", at(opens), at(closes), "UTC")


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        # The clocks go forward on 29 March 2026 at 2:00 and back on 25 October 2026 at 3:00.
        ("2026-03-29", False, "2026-03-28T23:00:00+00:00"),
        ("2026-03-29", True, "2026-03-29T21:59:59.999999+00:00"),
        ("2026-10-25", True, "2026-10-25T22:59:59.999999+00:00"),
        ("2026-03-29T01:59", False, "2026-03-29T00:59:00+00:00"),
        ("2026-03-29T03:00", False, "2026-03-29T01:00:00+00:00"),
        ("2026-10-25 03:00", False, "2026-10-25T02:00:00+00:00"),
        ("2026-10-25T02:30:00+02:00", False, "2026-10-25T00:30:00+00:00"),
        ("2026-10-25T02:30:00+01:00", False, "2026-10-25T01:30:00+00:00"),
    ],
)
def test_a_window_is_read_in_the_clock_of_its_place(text: str, end: bool, expected: str) -> None:
    found = windows.moment(text, BERLIN, path="from", end=end)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-03-29T02:30", "put forward over it"),
        ("2026-10-25T02:30", "comes twice"),
        ("tomorrow", "write a day such as"),
        ("2026-13-01", "write a day such as"),
        ("30.11.2026", "write a day such as"),
    ],
)
def test_a_time_that_is_none_or_two_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as refusal:
        windows.moment(text, BERLIN, path="window_from")
    assert (refusal.value.path, refusal.value.code) == ("window_from", "date_invalid")


@given(st.integers(0, 20 * 366 * 24 * 60))
def test_a_local_time_that_is_taken_is_what_the_clock_there_shows(minutes: int) -> None:
    local = NOW.replace(tzinfo=None) + timedelta(minutes=minutes)
    try:
        found = windows.moment(local.isoformat(), BERLIN, path="from")
    except InvalidRequest:
        return
    assert found is not None
    assert found.astimezone(BERLIN).replace(tzinfo=None) == local


@pytest.mark.parametrize(
    ("rows", "speaks"),
    [
        ([(-2, -1), (-1, 5), (1, 2)], "-1/5"),
        ([(-1, 5), (-1, None)], "-1/None"),
        ([(-1, 5), (None, 7)], "None/7"),
        ([(3, 4), (1, 2), (-9, -8)], "1/2"),
        ([(-9, -8), (-3, -2)], "-3/-2"),
        ([(None, None)], "None/None"),
        ([(0, 0)], "0/0"),
    ],
)
def test_an_open_window_speaks_before_the_next_one_and_this_before_the_last(
    rows: list[tuple[int | None, int | None]], speaks: str
) -> None:
    found = windows.speaking([row(*ends) for ends in rows], NOW)
    assert found is not None
    assert found.target == speaks


def test_both_ends_belong_to_the_window() -> None:
    found = row(0, 1)
    assert found.closes_at is not None
    assert windows.open_at(found, NOW)
    assert windows.open_at(found, found.closes_at)
    assert not windows.open_at(found, found.closes_at + timedelta(microseconds=1))
    assert not windows.open_at(found, NOW - timedelta(microseconds=1))
