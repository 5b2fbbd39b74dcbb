"""A badge may ask under which supervision a course was passed."""

from __future__ import annotations

from typing import Any

import pytest

from assess.errors import InvalidRule
from assess.standards import eligibility
from assess.standards.grammar import ASSURANCES


def rules(**wanted: Any) -> Any:
    rule = {"pass": {"course": "c1", **wanted}}
    return eligibility.load_rules({"courses": {"c1": {}}, "badges": {"B": {"rule": rule}}})


def asked(wanted: str | None, fact: dict[str, Any]) -> eligibility.Eligibility:
    facts = [{"t": "decision", "at": "2026-05-01", "course": "c1", "outcome": "pass", **fact}]
    given = rules() if wanted is None else rules(assurance=wanted)
    return eligibility.evaluate(given, facts, badge="B", subject="p1", as_of="2026-06-01")


@pytest.mark.parametrize("had", ASSURANCES)
@pytest.mark.parametrize("wanted", ASSURANCES)
def test_a_pass_counts_when_its_assurance_is_at_least_what_is_asked_for(wanted: str, had: str) -> None:
    found = asked(wanted, {"assurance": had})
    enough = ASSURANCES.index(had) >= ASSURANCES.index(wanted)
    assert found.status == ("eligible" if enough else "not_eligible")
    assert found.reasons[0].code == ("decision_passed" if enough else "assurance_too_low")


@pytest.mark.parametrize("fact", [{}, {"assurance": None}, {"assurance": "witnessed"}])
def test_what_is_not_said_or_not_known_is_the_least(fact: dict[str, Any]) -> None:
    assert asked("supervised", fact).reasons[0].code == "assurance_too_low"
    assert asked(None, fact).status == "eligible"


def test_a_rule_that_asks_for_an_assurance_that_nobody_knows_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidRule, match="'witnessed' is not one of unsupervised, supervised, proctored"):
        rules(assurance="witnessed")


def test_the_sentence_says_what_is_asked_for_and_what_is_missing_can_be_had() -> None:
    found = asked("proctored", {"assurance": "supervised"})
    assert "c1 with a proctor" in found.sentence
    assert [(m.action, m.who) for m in found.missing] == [("retake", "learner")]
