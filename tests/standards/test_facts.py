"""Facts: their days, their knowledge, their identity, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidFact
from assess.standards.facts import LAST, FactBook, add_years, first_instant, instant, last_instant

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = st.dates(date(1990, 1, 1), date(2080, 12, 31))
ZONES = st.sampled_from(
    [UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Pacific/Apia"), ZoneInfo("Asia/Kolkata")]
)


@given(DAYS, ZONES)
def test_days_follow_each_other_without_gap_or_overlap(day, zone):
    after = first_instant(day + timedelta(days=1), zone)
    assert last_instant(day, zone) + timedelta(microseconds=1) == after
    assert first_instant(day, zone) < last_instant(day, zone)


def test_a_day_of_the_change_of_clocks_has_23_or_25_hours():
    def hours(day):
        return (last_instant(day, BERLIN) - first_instant(day, BERLIN)).total_seconds() / 3600

    assert hours(date(2026, 3, 29)) == pytest.approx(23)
    assert hours(date(2026, 10, 25)) == pytest.approx(25)


def test_the_first_and_the_last_day_of_the_calendar_are_days():
    assert instant("9999-12-31", ZoneInfo("America/New_York"), end=True) == LAST
    assert instant("0001-01-01", ZoneInfo("Asia/Kolkata")).year == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-01", datetime(2026, 2, 28, 23, tzinfo=UTC)),
        (date(2026, 3, 1), datetime(2026, 2, 28, 23, tzinfo=UTC)),
        ("2026-03-01T00:30:00Z", datetime(2026, 3, 1, 0, 30, tzinfo=UTC)),
        (datetime(2026, 3, 1, 5, tzinfo=timezone(timedelta(hours=5))), datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_day_is_the_programmes_and_a_time_is_its_own(value, expected):
    assert instant(value, BERLIN) == expected


@pytest.mark.parametrize(
    "value", ["2026-02-30", "20260301", "2026-W01-1", "2026-03-01T10:00:00", "yesterday", "", 20260301, None]
)
def test_what_is_neither_a_day_nor_a_time_with_offset_is_refused(value):
    with pytest.raises(InvalidFact) as refused:
        instant(value, UTC)
    assert refused.value.code == "date_invalid"


@given(DAYS, st.integers(1, 40), ZONES)
def test_an_anniversary_is_on_the_same_day_or_on_28_february(day, years, zone):
    anniversary = add_years(first_instant(day, zone), years, zone).astimezone(zone).date()
    if (day.month, day.day) == (2, 29) and anniversary.day == 28:
        assert anniversary.month == 2
    else:
        assert (anniversary.month, anniversary.day) == (day.month, day.day)
    assert anniversary.year == day.year + years


@pytest.mark.parametrize(
    ("fact", "path", "message"),
    [
        ({"at": "2013-01-01"}, "facts[0].t", "expected the type"),
        ({"t": "x"}, "facts[0].at", "needs the day"),
        ({"t": "x", "at": "2013-1-1"}, "facts[0].at", "neither a day"),
        ({"t": "x", "at": "2013-01-02", "until": "2013-01-01"}, "facts[0].until", "before it begins"),
        ({"t": "x", "at": "2013-01-02", "void_at": "soon"}, "facts[0].void_at", "neither a day"),
        ({"t": "x", "at": "2013-01-02", "recorded_at": 5}, "facts[0].recorded_at", "neither a day"),
        ({"t": "decision", "at": "2013-01-01", "outcome": "pass"}, "facts[0].course", "needs it"),
        ({"t": "decision", "at": "2013-01-01", "course": "c"}, "facts[0].outcome", "None is not one of"),
        (
            {"t": "decision", "at": "2013-01-01", "course": "c", "outcome": "ok"},
            "facts[0].outcome",
            "'ok' is not one of",
        ),
        (
            {"t": "decision", "at": "2013-01-01", "course": "c", "outcome": "pass", "provisional": "no"},
            "facts[0].provisional",
            "neither true nor false",
        ),
        ({"t": "award", "at": "2013-01-01"}, "facts[0].badge", "needs it"),
        (
            {"t": "invitation", "at": "2013-01-01", "program": "P", "status": "Accepted"},
            "facts[0].status",
            "'Accepted'",
        ),
        (
            {"t": "application", "at": "2013-01-01", "program": "P", "decision": "yes"},
            "facts[0].decision",
            "'yes'",
        ),
        (
            {"t": "judgement", "at": "2013-01-01", "q": "q", "role": "r", "answer": None},
            "facts[0].answer",
            "None",
        ),
        ({"t": "judgement", "at": "2013-01-01", "q": "q", "answer": "yes"}, "facts[0].role", "needs it"),
        ({"t": "points", "at": "2013-01-01", "ledger": "l", "value": 1}, "facts[0].key", "needs it"),
        (
            {"t": "points", "at": "2013-01-01", "ledger": "l", "key": "k", "value": "1"},
            "facts[0].value",
            "not a number",
        ),
        (
            {"t": "points", "at": "2013-01-01", "ledger": "l", "key": "k", "value": True},
            "facts[0].value",
            "not a number",
        ),
        (
            {"t": "points", "at": "2013-01-01", "ledger": "l", "key": "k", "value": float("nan")},
            "facts[0].value",
            "not a number",
        ),
        ({"t": "membership", "at": "2013-01-01"}, "facts[0].person", "needs it"),
    ],
)
def test_a_fact_that_lacks_what_its_type_carries_is_refused_by_field(fact, path, message):
    with pytest.raises(InvalidFact, match=message) as refused:
        FactBook([fact], subject="p1")
    assert refused.value.path == path


def test_what_is_no_mapping_is_no_fact():
    with pytest.raises(InvalidFact, match=r"facts\[1\]"):
        FactBook([{"t": "x", "at": "2013-01-01"}, "x"], subject="p1")  # type: ignore[list-item]


def test_one_id_with_two_contents_is_a_conflict():
    fact = {"t": "x", "at": "2013-01-01", "id": "f1"}
    assert len(FactBook([fact, dict(fact)], subject="p1").of("p1", "x")) == 1
    with pytest.raises(InvalidFact, match="'f1' names two different facts") as refused:
        FactBook([fact, fact | {"void_at": "2013-02-01"}], subject="p1")
    assert refused.value.code == "fact_id_conflict"


def test_two_deliveries_of_one_event_are_one_fact_known_since_the_first():
    fact = {"t": "x", "at": "2013-01-01", "event": "e"}
    twice = [fact | {"recorded_at": "2013-03-01"}, fact | {"recorded_at": "2013-02-01"}]
    for order in (twice, twice[::-1]):
        assert len(FactBook(order, subject="p1").of("p1", "x")) == 1
        assert len(FactBook(order, subject="p1", as_known_at="2013-02-10").of("p1", "x")) == 1
        assert not FactBook(order, subject="p1", as_known_at="2013-01-10").of("p1", "x")


def test_two_ids_are_two_facts_though_all_else_is_equal():
    fact = {"t": "x", "at": "2013-01-01"}
    assert len(FactBook([fact | {"id": "f1"}, fact | {"id": "f2"}], subject="p1").of("p1", "x")) == 2


def test_a_fact_without_subject_is_about_the_subject():
    book = FactBook([{"t": "x", "at": "2013-01-01"}, {"t": "x", "at": "2013-01-01", "s": "p2"}], subject="p1")
    assert [fact.subject for fact in book.of("p1", "x")] == ["p1"]
    assert [fact.subject for fact in book.of("p2", "x")] == ["p2"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5), st.integers(-3, 9)
        ),
        max_size=8,
    )
)
def test_the_running_total_of_a_ledger_is_the_plain_sum_of_every_day(rows):
    facts = [
        {
            "t": "points",
            "at": f"2026-01-{at:02}",
            "ledger": "l",
            "key": key,
            "value": points,
            **({"void_at": f"2026-01-{at + void:02}"} if void else {}),
            **({"until": f"2026-01-{at + until:02}"} if until else {}),
        }
        for key, at, void, until, points in rows
    ]
    book = FactBook(facts, subject="p1")
    for day in range(1, 20):
        current = {}
        in_force = [
            (fact["at"], -fact["value"], fact["key"])
            for fact in facts
            if fact["at"] <= f"2026-01-{day:02}" <= fact.get("until", "9")
            and f"2026-01-{day:02}" < fact.get("void_at", "9")
        ]
        for _, less, key in sorted(in_force):
            current[key] = -less
        assert book.total("p1", "l", instant(f"2026-01-{day:02}", UTC, end=True)) == sum(current.values())
