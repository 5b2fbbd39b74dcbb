"""Who need not be judged, and what need not be read of the others: never anybody whose status it changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from assess.standards.eligibility import FactBook, evaluate, load_rules, status_of
from assess.standards.grammar import Points
from assess.standards.reaching import within_reach
from assess.standards.rules import BadgeRules, parse_rules
from assess.standards.turning import interest_of
from tests.standards.test_explanation import _FACTS, _GENERATED, _RULE, AS_OF

_SOME = settings(_GENERATED, max_examples=60)
_NAMES = {
    "decision": "course",
    "award": "badge",
    "invitation": "program",
    "application": "program",
    "judgement": "q",
    "points": "ledger",
}
_BELOW = st.sampled_from(
    [{"pass": {"course": "c1"}}, {"fact": {"type": "t"}}, {"points": {"ledger": "l", "at_least": 10}}]
)
_LIFE = st.sampled_from(
    [
        {},
        {"retired_on": "2026-01-01"},
        {"valid_until": "2026-01-01"},
        {"starts_on": "2027-01-01"},
        {"effective_from": "2026-01-01"},
    ]
)


@st.composite
def programmes(draw: st.DrawFn) -> BadgeRules:
    """The badge B above A1, perhaps retired, run out, or in a second version."""
    badge: dict[str, Any] = {"rule": draw(_RULE), **draw(_LIFE)}
    if "effective_from" in badge:
        badge |= {"version": "2", "earlier": [{"version": "1", "rule": draw(_RULE)}]}
    badges = {"A1": {"rule": draw(_BELOW)}, "B": badge}
    return load_rules({"badges": badges, "on_loss": draw(st.sampled_from(["keep", "suspend"]))})


def status(rules: BadgeRules, facts: list[dict[str, Any]]) -> str:
    return status_of(rules, facts, badge="B", subject="p1", as_of=AS_OF)


def own_award(facts: list[dict[str, Any]], has: bool) -> list[dict[str, Any]]:
    return [*facts, {"t": "award", "at": "2024-01-01", "badge": "B"}] if has else facts


@_SOME
@given(programmes(), _FACTS, st.booleans())
def test_facts_that_the_rules_do_not_look_at_change_no_status(rules, facts, awarded):
    facts = own_award(facts, awarded)
    interest = interest_of(rules.badges["B"], rules)
    kept = [
        fact
        for fact in facts
        if fact["t"] in interest.fact_types
        and (fact["t"] != "decision" or fact["course"] in interest.courses)
    ]
    event(f"left out: {len(kept) < len(facts)}")
    assert status(rules, kept) == status(rules, facts)


@_SOME
@given(programmes(), _FACTS, st.booleans())
def test_facts_that_turn_nothing_change_nothing_of_the_answer(rules, facts, awarded):
    facts = [fact | {"id": f"f{n}"} for n, fact in enumerate(own_award(facts, awarded))]
    interest = interest_of(rules.badges["B"], rules)
    touched = {fact.id for fact in interest.touched(FactBook(facts, subject="p1"))}
    event(f"nothing touched: {not touched}")
    kept = [fact for fact in facts if fact["id"] in touched]
    answers = [evaluate(rules, known, badge="B", subject="p1", as_of=AS_OF) for known in (kept, facts)]
    assert answers[0] == answers[1]


@_SOME
@given(programmes(), _FACTS, st.booleans())
def test_whoever_is_out_of_reach_has_the_status_of_somebody_without_facts(rules, facts, awarded):
    facts = own_award(facts, awarded)
    traces = {(f["t"], str(f[_NAMES[f["t"]]]) if f["t"] in _NAMES else "") for f in facts}
    reached = within_reach(rules.badges["B"], traces)
    event(f"within reach: {reached}")
    if not reached:
        assert status(rules, facts) == status(rules, [])


def test_a_retired_badge_is_within_reach_of_whoever_was_given_it():
    rules = load_rules(
        {"badges": {"B": {"rule": {"pass": {"course": "c1"}}, "retired_on": "2026-01-01"}}, "on_loss": "keep"}
    )
    assert status(rules, own_award([], True)) == "eligible"
    assert within_reach(rules.badges["B"], {("award", "B")})
    assert not within_reach(rules.badges["B"], {("award", "other")})


@pytest.mark.parametrize(
    "rule",
    [
        {"judgement": {"q": "q", "by": ["r"]}},
        {"undefined": {"reason": "none published"}},
        {"any_of": [{"pass": {"course": "c1"}}, {"judgement": {"q": "q", "by": ["r"]}}]},
    ],
)
def test_what_is_unknown_before_anybody_says_anything_is_within_everybodys_reach(rule):
    rules = load_rules({"badges": {"B": {"rule": rule}}})
    assert within_reach(rules.badges["B"], set())
    assert status(rules, []) == "undetermined"


def test_a_school_is_within_reach_by_its_members():
    rules = parse_rules(
        {
            "badges": [
                {
                    "id": "B",
                    "subject": "school",
                    "rule": {"members": {"at_least": 1, "satisfy": {"pass": {"course": "c1"}}}},
                }
            ]
        }
    )
    assert within_reach(rules.badges["B"], set())


@pytest.mark.parametrize(("least", "reached"), [(1, False), (0, True), (-1, True)])
def test_no_points_at_all_may_be_enough(least, reached):
    rules = load_rules({"badges": {"B": {"rule": {"pass": {"course": "c1"}}}}})
    badge = rules.badges["B"]
    asked = type(badge)("B", Points("l", least, declared={}))
    assert within_reach(asked, set()) is reached
