"""Badges above badges: what is taken away below holds up nothing above, where the programme says so."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import InvalidRule
from assess.standards.eligibility import FactBook, evaluate, load_rules, status_of


def ladder(depth, on_loss="suspend"):
    badges = {"B0": {"rule": {"fact": {"type": "component"}}}}
    badges |= {f"B{n}": {"rule": {"held": {"badge": f"B{n - 1}"}}} for n in range(1, depth + 1)}
    return load_rules({"badges": badges, "on_loss": on_loss})


def facts_of(depth, void_at=None):
    component = {"t": "component", "at": "2025-01-01", "id": "c"}
    if void_at is not None:
        component |= {"void_at": void_at}
    return [component, *({"t": "award", "at": "2025-02-01", "badge": f"B{n}"} for n in range(depth + 1))]


def statuses(rules, facts, as_of):
    book = FactBook(facts, subject="p1")
    return [status_of(rules, book, badge=b, subject="p1", as_of=as_of) for b in rules.badges]


@pytest.mark.parametrize("on_loss", ["suspend", "withdraw"])
def test_a_component_that_is_revoked_takes_ten_badges_above_with_it(on_loss):
    rules, facts = ladder(10, on_loss), facts_of(10, void_at="2026-03-01")
    assert set(statuses(rules, facts, "2026-02-28")) == {"eligible"}
    assert set(statuses(rules, facts, "2026-03-01")) == {"not_eligible"}
    top = evaluate(rules, facts, badge="B10", subject="p1", as_of="2026-04-01")
    assert top.reasons[0].code == "award_suspended"
    assert top.since is not None
    assert top.since.date().isoformat() == "2026-03-01"
    assert (top.missing[0].who, top.missing[0].action) == ("learner", "earn")
    before = evaluate(rules, facts, badge="B10", subject="p1", as_of="2026-02-01")
    assert before.valid_until is not None
    assert before.valid_until.isoformat() == "2026-02-28T23:59:59+00:00"


def test_where_awards_are_kept_only_the_badge_itself_is_lost():
    found = statuses(ladder(10, "keep"), facts_of(10, void_at="2026-03-01"), "2026-03-01")
    assert found == ["not_eligible"] + ["eligible"] * 10


def test_a_badge_that_is_undecided_below_suspends_nobody():
    rules = load_rules({"on_loss": "suspend", "badges": {
        "A": {"rule": {"judgement": {"q": "q", "by": ["r"]}}}, "B": {"rule": {"held": {"badge": "A"}}},
        "C": {"rule": {"held": {"badge": "A", "status": "ever"}}},
    }})  # fmt: skip
    award = {"t": "award", "at": "2025-02-01", "badge": "A"}
    no = {"t": "judgement", "at": "2026-01-01", "q": "q", "role": "r", "answer": "no"}
    assert statuses(rules, [award], "2026-06-01") == ["undetermined", "eligible", "eligible"]
    assert statuses(rules, [award, no], "2026-06-01") == ["not_eligible", "not_eligible", "eligible"]


def test_a_thousand_badges_above_one_component_are_lost_with_it():
    badges = {"A": {"rule": {"fact": {"type": "component"}}}}
    badges |= {f"B{n}": {"rule": {"held": {"badge": "A"}}} for n in range(1000)}
    rules = load_rules({"badges": badges, "on_loss": "suspend"})
    facts = facts_of(0, void_at="2026-03-01")
    facts[1]["badge"] = "A"
    assert set(statuses(rules, facts, "2026-02-28")) == {"eligible"}
    assert set(statuses(rules, facts, "2026-03-01")) == {"not_eligible"}


def test_a_wide_diamond_is_asked_once_per_badge():
    """Forty floors of two badges, each on both below: asked without memory that is 2 ** 40 questions."""
    badges: dict[str, Any] = {
        "A0": {"rule": {"fact": {"type": "component"}}},
        "B0": {"rule": {"fact": {"type": "component"}}},
    }
    for n in range(1, 40):
        both = {"all_of": [{"held": {"badge": f"A{n - 1}"}}, {"held": {"badge": f"B{n - 1}"}}]}
        badges |= {f"A{n}": {"rule": both}, f"B{n}": {"rule": both}}
    rules = load_rules({"badges": badges, "on_loss": "suspend"})
    facts = [{"t": "component", "at": "2025-01-01", "void_at": "2026-03-01"}]
    facts += [{"t": "award", "at": "2025-02-01", "badge": b} for b in badges]
    assert set(statuses(rules, facts, "2026-03-01")) == {"not_eligible"}


def test_a_tower_is_refused_where_losing_reaches_upward_and_allowed_where_it_does_not():
    chain = {f"B{n}": {"rule": {"held": {"badge": f"B{n - 1}"}}} for n in range(1, 65)}
    chain |= {"B0": {"rule": {"fact": {"type": "component"}}}}
    with pytest.raises(InvalidRule, match="64 high") as refused:
        load_rules({"badges": chain, "on_loss": "suspend"})
    assert refused.value.path == "badges.B64.rule"
    assert len(load_rules({"badges": chain, "on_loss": "keep"}).badges) == 65
    with pytest.raises(InvalidRule, match="not one of keep, suspend, withdraw"):
        load_rules({"badges": chain, "on_loss": "drop"})


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from(["A", "B"])))
def test_what_is_missing_under_a_suspended_badge_is_enough(components, awards):
    rules = load_rules({"on_loss": "suspend", "badges": {
        "A": {"rule": {"all_of": [{"fact": {"type": t}} for t in "ab"]}},
        "B": {"rule": {"all_of": [{"held": {"badge": "A"}}, {"fact": {"type": "c"}}]}},
        "TOP": {"rule": {"all_of": [{"held": {"badge": "B"}}, {"fact": {"type": "d"}}]}},
    }})  # fmt: skip
    facts = [{"t": t, "at": "2026-01-01"} for t in sorted(components)]
    facts += [{"t": "award", "at": "2026-01-02", "badge": b} for b in sorted(awards)]
    plain_a, plain_b = {"a", "b"} <= components, False
    plain_b = plain_a and "A" in awards and "c" in components
    plain = plain_b and "B" in awards and "d" in components
    answer = evaluate(rules, facts, badge="TOP", subject="p1", as_of="2026-06-01")
    assert answer.eligible is plain
    held = any("held" in gap.predicate for gap in answer.missing)
    assert held is not (plain_b and "B" in awards)
    assert any("fact" in gap.predicate for gap in answer.missing) is ("d" not in components)
