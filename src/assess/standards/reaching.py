"""Whether a badge is within reach at all, by which facts there are, without a look into them.

Rules have no negation, so a predicate of which there is no fact is as good as
for somebody of whom nothing is known. Where that leaves no version of a badge
to be met, the status is the one that everybody has who did nothing; among a
million learners these are most.
"""

from __future__ import annotations

from collections.abc import Set

from assess.standards.evaluation import NAMED
from assess.standards.grammar import (
    AllOf,
    AnyOf,
    AtLeast,
    HasFact,
    Judgement,
    Members,
    Points,
    Rule,
    Undefined,
)
from assess.standards.rules import BadgeRule

Trace = tuple[str, str]
"""The type of a fact, and the course, badge, programme, question or ledger that it names; "" for others."""


def within_reach(badge: BadgeRule, traces: Set[Trace]) -> bool:
    """Whether facts that leave these traces could make the status other than that of somebody without facts.

    Examples
    --------
    >>> from assess.standards.rules import parse_rules
    >>> rules = parse_rules({"badges": [{"id": "B", "rule": {"all_of": [
    ...     {"pass": {"course": "c1"}}, {"fact": {"type": "attended"}}]}}]})
    >>> within_reach(rules.badges["B"], {("decision", "c1")})
    False
    >>> within_reach(rules.badges["B"], {("decision", "c1"), ("attended", "")})
    True
    """
    return any(
        _could_hold(version.rule, traces)
        or (version.retired_on is not None and ("award", version.id) in traces)
        for version in badge.versions
    )


def _could_hold(rule: Rule, traces: Set[Trace]) -> bool:
    """Whether the value may be other than false."""
    match rule:
        case AllOf():
            return all(_could_hold(inner, traces) for inner in rule.rules)
        case AnyOf():
            return any(_could_hold(inner, traces) for inner in rule.rules)
        case AtLeast():
            return sum(_could_hold(inner, traces) for inner in dict.fromkeys(rule.rules)) >= rule.n
        case Judgement() | Members() | Undefined():
            # Unknown before anybody says anything, or a matter of other people.
            return True
        case HasFact():
            return (rule.type, "") in traces
        case Points() if rule.at_least <= 0:
            return True
    type_, name = NAMED[type(rule)]
    return (type_, str(getattr(rule, name))) in traces
