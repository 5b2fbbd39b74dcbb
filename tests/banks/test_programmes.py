"""The badges of five real programmes ship as their rules, with what was published and how we read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assess.standards.eligibility import BadgeRules, evaluate, load_rules, rule_sentence
from tests.shared import SHARED, needs_shared, shared

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "item_banks").glob("*/programme.yaml"))
PUBLISHED = json.loads(shared("badges", "rules.json").read_text())["badges"] if SHARED else []
VECTORS = json.loads(shared("badges", "vectors.json").read_text()) if SHARED else []
# The basics had an id of its own here before the list of published badges was taken up.
OURS = {"TWT-BASICS": "TWTB"}


@pytest.fixture(scope="module")
def shipped() -> dict[str, BadgeRules]:
    """Badge id -> the rules of the programme that declares it."""
    return {badge: rules for rules in map(load_rules, FILES) for badge in rules.badges}


def ours(badge: str) -> str:
    return OURS.get(badge, badge)


@needs_shared
def test_all_published_badges_ship_and_no_id_is_used_twice(shipped):
    assert len(PUBLISHED) == 37
    assert {ours(entry["id"]) for entry in PUBLISHED} == set(shipped)
    assert sum(len(load_rules(path).badges) for path in FILES) == len(shipped)


@needs_shared
@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry["id"])
def test_a_shipped_rule_says_what_the_formal_reading_says(shipped, entry):
    badge = ours(entry["id"])
    mine = shipped[badge].badges[badge]
    theirs = load_rules({"badges": [entry]}).badges[entry["id"]]
    assert mine.rule == theirs.rule
    assert mine.subject == theirs.subject
    assert (mine.starts_on, mine.retired_on, mine.valid_until) == (
        theirs.starts_on,
        theirs.retired_on,
        theirs.valid_until,
    )


@needs_shared
@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: entry["id"])
def test_what_was_published_stands_in_our_words_with_its_source_and_our_reading(shipped, entry):
    mine = shipped[ours(entry["id"])].badges[ours(entry["id"])]
    assert mine.criterion
    assert mine.source
    assert mine.reading
    # Not the text itself: six words in a row would be a copy.
    words = entry["published_criterion"].split()
    runs = {" ".join(words[n : n + 7]) for n in range(len(words) - 6)}
    assert not [run for run in runs if run in mine.criterion]


@needs_shared
@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['badge']}: {v['case']}")
def test_every_vector_holds_by_the_rules_that_ship(shipped, vector):
    badge = ours(vector["badge"])
    rules = shipped[badge]
    answer = evaluate(rules, vector["facts"], badge=badge, subject=vector["subject"], as_of=vector["as_of"])
    assert answer.status == vector["expect"]


@pytest.mark.parametrize("badge", sorted(b for path in FILES for b in load_rules(path).badges))
def test_the_sentence_of_every_badge_stands_beside_its_differences(shipped, badge):
    rows = [
        line.split(" | ")
        for line in (ROOT / "docs" / "badges.md").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"| {badge} |")
    ]
    assert len(rows) == 1
    assert rows[0][1] == rule_sentence(shipped[badge], badge)
    assert len(rows[0][2]) > len(" |")
