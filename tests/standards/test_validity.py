"""Levels of a course, how long a pass or an award is good for, and renewal; all days are the programme's."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidFact, InvalidRule
from assess.standards.eligibility import evaluate, load_rules, rule_sentence, status_of
from assess.standards.periods import Period


def programme(rule, courses=None, **more):
    return load_rules({"courses": courses or {"c": {}}, "badges": {"B": {"rule": rule}}, **more})


def failed(at, **more):
    return passed(at, "not_passed", **more)


def passed(at, outcome="passed", **more):
    return {"t": "decision", "at": at, "course": "c", "outcome": outcome, **more}


def asked(rules, facts, as_of):
    return evaluate(rules, facts, badge="B", subject="p1", as_of=as_of)


# --- levels ---------------------------------------------------------------------

TWO = {"c": {"levels": ["KA", "KD"]}}


@pytest.mark.parametrize(
    ("level", "facts", "status"),
    [
        (None, [passed("2026-01-01", level="KA"), failed("2026-01-01", level="KD")], "eligible"),
        ("KA", [passed("2026-01-01", level="KA"), failed("2026-01-01", level="KD")], "eligible"),
        ("KD", [passed("2026-01-01", level="KA"), failed("2026-01-01", level="KD")], "not_eligible"),
        ("KD", [passed("2026-01-01", level="KA"), passed("2026-01-01", level="KD")], "eligible"),
        ("KD", [passed("2026-01-01", "undetermined", level="KD")], "undetermined"),
        # A decision that names no level is about the first.
        ("KA", [passed("2026-01-01")], "eligible"),
        ("KD", [passed("2026-01-01")], "not_eligible"),
        # One level says nothing about another, and a later test of one leaves the other as it is.
        ("KA", [passed("2026-01-01", level="KD")], "not_eligible"),
        ("KD", [passed("2026-01-01", level="KD"), failed("2026-02-01", level="KA")], "eligible"),
    ],
)  # fmt: skip
def test_every_level_has_a_decision_of_its_own(level, facts, status):
    body = {"course": "c"} if level is None else {"course": "c", "level": level}
    assert asked(programme({"pass": body}, TWO), facts, "2026-06-01").status == status


def test_a_course_that_lists_no_levels_is_passed_by_what_is_no_further_level():
    facts = [passed("2026-01-01", level="KA"), passed("2026-01-01", "not_passed", level="KD", further=True)]
    assert asked(programme({"pass": {"course": "c"}}), facts, "2026-06-01").eligible
    assert not asked(programme({"pass": {"course": "c", "level": "KD"}}), facts, "2026-06-01").eligible


def test_what_is_missing_of_a_level_is_named_and_enough():
    rules = programme({"pass": {"course": "c", "level": "KD"}}, TWO)
    answer = asked(rules, [passed("2026-01-01", level="KA")], "2026-06-01")
    assert answer.sentence == "0 of 1 course passed; still missing: c at level KD."
    assert answer.missing[0].predicate == {"pass": {"course": "c", "level": "KD"}}
    assert asked(rules, [passed("2026-05-01", level="KD")], "2026-06-01").eligible


@pytest.mark.parametrize(
    ("courses", "body", "path", "message"),
    [
        (TWO, {"course": "c", "level": "KC"}, "badges.B.rule.pass.level", "it lists KA, KD"),
        (TWO, {"course": "c", "level": 2}, "badges.B.rule.pass.level", "expected text"),
        (TWO, {"course": "c", "levels": "KA"}, "badges.B.rule.pass.levels", "did you mean 'level'"),
        ({"c": {"levels": ["KA", "KA"]}}, {"course": "c"}, "courses.c.levels", "each once"),
        ({"c": {"levels": "KA"}}, {"course": "c"}, "courses.c.levels", "list the levels"),
        ({"c": {"valid_for": "3"}}, {"course": "c"}, "courses.c.valid_for", "not a period"),
        ({"c": {"valid_for": "0 days"}}, {"course": "c"}, "courses.c.valid_for", "not a period"),
        ({"c": {"renew_from": "90 days"}}, {"course": "c"}, "courses.c.renew_from", "add valid_for"),
        (None, {"course": "c", "not_older_than": 2}, "badges.B.rule.pass.not_older_than", "not a period"),
        (None, {"course": "c", "not_older_than": "1 week"}, "badges.B.rule.pass.not_older_than", "90 days"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_path(courses, body, path, message):
    with pytest.raises(InvalidRule, match=message) as refused:
        programme({"pass": body}, courses)
    assert refused.value.path == path


def test_a_time_of_the_test_that_cannot_be_read_is_refused_with_its_path():
    with pytest.raises(InvalidFact) as refused:
        asked(programme({"pass": {"course": "c"}}), [passed("2026-01-01", tested_at="May")], "2026-06-01")
    assert refused.value.path == "facts[0].tested_at"


# --- how long a pass is good for ----------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "courses"),
    [
        ({"pass": {"course": "c"}}, {"c": {"valid_for": "1 year"}}),
        ({"pass": {"course": "c", "not_older_than": "1 year"}}, {"c": {}}),
    ],
)
@pytest.mark.parametrize(
    ("at", "last"),
    [("2026-02-10", "2027-02-10"), ("2024-02-29", "2025-02-28"), ("2026-02-10T23:59:00Z", "2027-02-10")],
)
def test_the_last_day_on_which_a_pass_is_good_still_counts(rule, courses, at, last):
    rules, day = programme(rule, courses), date.fromisoformat(last)
    answer = asked(rules, [passed(at)], day)
    assert answer.eligible
    assert answer.valid_until == datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
    late = asked(rules, [passed(at)], day + timedelta(days=1))
    assert (late.status, late.reasons[0].code) == ("not_eligible", "decision_too_old")
    assert (late.missing[0].who, late.missing[0].action) == ("learner", "retake")
    assert late.since == datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


@pytest.mark.parametrize(
    ("zone", "tested", "last_instant"),
    [
        # Half past ten in London is the next day in Paris; clocks are put forward on the last day.
        ("Europe/Paris", "2025-03-29T23:30:00Z", "2026-03-30T21:59:59Z"),
        ("Europe/London", "2025-03-29T22:30:00Z", "2026-03-29T22:59:59Z"),
        # A day of 25 hours in New York.
        ("America/New_York", "2025-11-01T12:00:00Z", "2026-11-02T04:59:59Z"),
        ("Asia/Kolkata", "2025-02-28T20:00:00Z", "2026-03-01T18:29:59Z"),
    ],
)
def test_a_last_day_is_a_day_of_the_programmes_time_zone(zone, tested, last_instant):
    rules = programme({"pass": {"course": "c"}}, {"c": {"valid_for": "1 year"}}, time_zone=zone)
    last = datetime.fromisoformat(last_instant)
    assert asked(rules, [passed(tested)], last).valid_until == last
    assert asked(rules, [passed(tested)], last).eligible
    assert not asked(rules, [passed(tested)], last + timedelta(seconds=1)).eligible


def test_an_end_of_its_own_goes_before_that_of_the_course():
    rules = programme({"pass": {"course": "c"}}, {"c": {"valid_for": "1 year"}})
    facts = [passed("2026-01-01", until="2029-12-31")]
    assert asked(rules, facts, "2029-12-31").eligible
    assert not asked(rules, facts, "2030-01-01").eligible


def test_a_decision_made_anew_does_not_make_the_test_younger():
    rules = programme({"pass": {"course": "c"}}, {"c": {"valid_for": "1 year"}})
    rescored = [passed("2026-06-01", tested_at="2025-01-01T10:00:00Z")]
    assert not asked(rules, rescored, "2026-06-02").eligible


def test_a_pass_may_be_renewed():
    rules = programme({"pass": {"course": "c"}}, {"c": {"valid_for": "1 year", "renew_from": "90 days"}})
    facts = [passed("2025-01-10"), passed("2026-01-05")]
    assert rules.courses["c"].renew_from == Period(90, "day")
    assert asked(rules, facts, "2027-01-05").eligible
    assert asked(rules, facts, "2026-01-04").valid_until == datetime(2027, 1, 5, 23, 59, 59, tzinfo=UTC)
    gap = [passed("2025-01-10"), passed("2026-03-01")]
    assert not asked(rules, gap, "2026-02-01").eligible
    assert asked(rules, gap, "2026-03-01").since == datetime(2026, 3, 1, tzinfo=UTC)


def test_one_rule_may_ask_for_a_younger_pass_than_another():
    rules = load_rules({"courses": {"c": {"valid_for": "3 years"}}, "badges": {
        "OLD": {"rule": {"pass": {"course": "c"}}},
        "NEW": {"rule": {"pass": {"course": "c", "not_older_than": "18 months", "assurance": "supervised"}}},
    }})  # fmt: skip
    facts = [passed("2024-01-31", assurance="supervised")]
    statuses = {day: [status_of(rules, facts, badge=b, subject="p1", as_of=day) for b in ("OLD", "NEW")]
                for day in ("2025-07-31", "2025-08-01", "2027-02-01")}  # fmt: skip
    assert statuses == {
        "2025-07-31": ["eligible", "eligible"],
        "2025-08-01": ["eligible", "not_eligible"],
        "2027-02-01": ["not_eligible", "not_eligible"],
    }
    assert rule_sentence(rules, "NEW") == "Pass the course c under supervision not more than 18 months ago."


# --- how long an award is good for -----------------------------------------------------


def test_an_award_without_an_end_is_good_for_as_long_as_its_badge_says():
    rules = load_rules({"badges": {
        "BELOW": {"rule": {"undefined": {"reason": "none"}}, "valid_for": "2 years"},
        "ABOVE": {"rule": {"held": {"badge": "BELOW"}}},
    }})  # fmt: skip
    award = {"t": "award", "at": "2024-02-29", "badge": "BELOW"}
    answer = evaluate(rules, [award], badge="ABOVE", subject="p1", as_of="2026-02-28")
    assert answer.eligible
    assert answer.valid_until == datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    late = evaluate(rules, [award], badge="ABOVE", subject="p1", as_of="2026-03-01")
    assert (late.status, late.reasons[0].code) == ("not_eligible", "award_expired")
    renewed = [award, award | {"at": "2026-02-01"}]
    assert evaluate(rules, renewed, badge="ABOVE", subject="p1", as_of="2027-12-31").eligible
    assert "An award is good for 2 years." in rule_sentence(rules, "BELOW")


@given(
    st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    st.integers(1, 2000),
    st.sampled_from(["day", "month", "year"]),
)
def test_a_period_moves_forward_and_back_by_days_that_exist(day, n, unit):
    n = n if unit == "day" else 1 + n % 60
    end = Period(n, unit).after(day)
    assert end > day
    back = Period(n, unit).before(end)
    assert abs((back - day).days) <= 3
    assert Period(n + 1, unit).after(day) > end


def test_the_end_of_the_calendar_is_the_end_of_a_period():
    assert Period(9999, "year").after(date(2026, 1, 1)) == date.max
    assert Period(9999, "year").before(date(2026, 1, 1)) == date.min


@pytest.mark.parametrize("zone", ["UTC", "Africa/Nairobi", "America/St_Johns"])
def test_a_status_is_the_same_alone_and_with_its_reasons(zone):
    rules = programme({"pass": {"course": "c", "not_older_than": "1 month"}}, time_zone=zone)
    start = datetime(2026, 1, 31, 12, tzinfo=ZoneInfo(zone))
    facts = [passed(start)]
    for hours in range(0, 24 * 40, 7):
        when = start + timedelta(hours=hours)
        assert (
            status_of(rules, facts, badge="B", subject="p1", as_of=when) == asked(rules, facts, when).status
        )
