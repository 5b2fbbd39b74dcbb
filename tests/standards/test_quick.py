"""What is worked out once, and what is skipped, changes no answer: the quick way against the plain one.

The plain way remembers nothing of other subjects and tries every instant at
which a status may have begun.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assess.standards import explanation
from assess.standards.eligibility import evaluate, load_rules, status_of
from tests.shared import needs_shared, shared
from tests.standards.test_explanation import _FACTS, _RULE
from tests.standards.test_vectors import CONTENT, RULES, VECTORS

AS_OF = date(2026, 6, 1)
_LOCAL = {
    # Badges of the programme below the one that is asked about, which lose an award with their rule.
    "A1": {"rule": {"all_of": [{"pass": {"course": "c1"}}, {"points": {"ledger": "l", "at_least": 10}}]}},
    "A2": {"rule": {"fact": {"type": "t", "where": {"x": 2}}}},
}


def plain(rules, facts, **asked):
    """The answer by rules that were just read, without a short cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explanation, "_follows", lambda *_: False)
        patch.setattr(explanation, "is_bounded", lambda *_: True)
        return evaluate(load_rules(rules), facts, **asked)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_RULE, st.lists(_FACTS, min_size=2, max_size=3), st.sampled_from(["keep", "suspend"]), st.booleans())
def test_answers_about_several_subjects_are_as_if_each_were_the_only_one(rule, subjects, on_loss, bounded):
    days = {"starts_on": "2024-01-01", "valid_until": "2026-05-01"} if bounded else {}
    content = {"on_loss": on_loss, "badges": {"B": {"rule": rule, **days}, **_LOCAL}}
    rules = load_rules(content)
    for facts in (*subjects, *subjects):
        asked: dict[str, Any] = {"badge": "B", "subject": "p1", "as_of": AS_OF}
        found = evaluate(rules, facts, **asked)
        assert found == plain(content, facts, **asked)
        assert found.status == status_of(rules, facts, **asked)
        if found.since is not None:
            assert evaluate(rules, facts, begun={found.status: found.since}, **asked) == found


def test_every_vector_is_answered_the_same_way():
    for vector in VECTORS:
        asked: dict[str, Any] = {
            "badge": vector["badge"],
            "subject": vector.get("subject", "p1"),
            "as_of": vector["as_of"],
            "as_known_at": vector.get("as_known_at"),
        }
        rules = RULES[vector["programme"]]
        expected = plain(CONTENT["programmes"][vector["programme"]], vector["facts"], **asked)
        assert evaluate(rules, vector["facts"], **asked) == expected, vector["why"]


@needs_shared
def test_every_published_vector_is_answered_the_same_way():
    content = json.loads(shared("badges", "rules.json").read_text(encoding="utf-8"))
    rules = load_rules(content)
    for vector in json.loads(shared("badges", "vectors.json").read_text(encoding="utf-8")):
        asked: dict[str, Any] = {name: vector[name] for name in ("badge", "subject", "as_of")}
        expected = plain(content, vector["facts"], **asked)
        assert evaluate(rules, vector["facts"], **asked) == expected, vector["case"]
