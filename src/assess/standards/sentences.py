"""Rules and statuses as sentences that a person can hold against a published criterion."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from assess.standards.evaluation import Truth
from assess.standards.grammar import (
    AllOf,
    AnyOf,
    Application,
    AtLeast,
    HasFact,
    Held,
    Invited,
    Judgement,
    Members,
    Pass,
    Points,
    Predicate,
    Rule,
    Undefined,
    predicates,
    token,
)
from assess.standards.rules import BadgeRule

_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip

_ASSURED = {"unsupervised": "", "supervised": " under supervision", "proctored": " with a proctor"}


def rule_in_words(badge: BadgeRule) -> str:
    """A badge's rule as one sentence, with the days that bound it."""
    sentence = _phrase(badge.rule)
    text = (
        f"The school: {sentence}." if badge.subject == "school" else f"{sentence[:1].upper()}{sentence[1:]}."
    )
    bounds = {
        "Opens on": badge.starts_on,
        "Valid until": badge.valid_until,
        "Retired on": badge.retired_on,
        "An award is good for": badge.valid_for,
    }
    told = [text, *(f"{words} {bound}." for words, bound in bounds.items() if bound is not None)]
    for newer, older in itertools.pairwise(badge.versions):
        claims = "" if older.claims_until is None else f", to be claimed until {older.claims_until}"
        rule = _phrase(older.rule)
        told.append(f"Before {newer.effective_from} (version {older.version}{claims}): {rule}.")
    return " ".join(told)


def status_sentence(
    badge: BadgeRule, status: str, done: tuple[int, int], gaps: Iterable[tuple[Predicate, Truth]]
) -> str:
    """The status in one sentence for a person."""
    if status == "not_open":
        return f"This badge opens on {badge.starts_on}."
    if status == "expired":
        return f"This badge was valid until {badge.valid_until}."
    if status == "retired":
        return f"This badge was retired on {badge.retired_on} and is not given any more."
    only_courses = all(isinstance(predicate, Pass) for _, predicate in predicates(badge.rule))
    thing, verb = ("course", "passed") if only_courses else ("requirement", "met")
    met, of = done
    text = f"{met} of {of} {_plural(thing, of)} {verb}"
    gaps = list(gaps)
    for heading, wanted in (("still missing", Truth.FALSE), ("not decided yet", Truth.UNKNOWN)):
        names = [_name(predicate) for predicate, found in gaps if found is wanted]
        if names:
            text += f"; {heading}: {', '.join(names)}"
    return text + "."


def _plural(word: str, n: int) -> str:
    return word if n == 1 else f"{word}s"


def _name(predicate: Predicate) -> str:
    if isinstance(predicate, Pass):
        level = "" if predicate.level is None else f" at level {predicate.level}"
        age = predicate.not_older_than
        young = "" if age is None else f" not more than {age} ago"
        return f"{predicate.course}{level}{_ASSURED[predicate.assurance]}{young}"
    return _phrase(predicate)


def _number(n: int) -> str:
    return _NUMBERS[n] if n < len(_NUMBERS) else str(n)


def _phrase(rule: Rule) -> str:
    match rule:
        case AllOf() | AnyOf() | AtLeast():
            return _group(rule)
        case Pass():
            return f"pass the course {_name(rule)}"
        case HasFact():
            return _fact_phrase(rule)
        case Held():
            text = f"{'hold' if rule.status == 'active' else 'hold, or have held,'} the badge {rule.badge}"
            if rule.for_years:
                text += f" for at least {_number(rule.for_years)} {_plural('year', rule.for_years)}"
            return text
        case Invited():
            return f"be invited to {rule.program}{_labels('cohort', rule.cohort)} and accept"
        case Application():
            labels = _labels("cohort", rule.cohort) + _labels("intake", rule.intake)
            return f"apply to {rule.program}{labels} and be accepted"
        case Judgement():
            return f"be judged by a {_either(rule.by).replace('_', ' ')}: {rule.q}"
        case Points():
            return f"collect at least {token(rule.at_least)} points of {rule.ledger}"
        case Members():
            people = _plural("member educator", rule.at_least)
            return f"have at least {_number(rule.at_least)} {people} with [{_phrase(rule.satisfy)}]"
        case Undefined():
            return f"no rule is defined ({rule.reason})"
    raise AssertionError(f"no words for {type(rule).__name__}")


def _group(group: AllOf | AnyOf | AtLeast) -> str:
    rules = list(dict.fromkeys(group.rules))
    match group:
        case AllOf():
            n = len(rules)
        case AnyOf():
            n = 1
        case AtLeast():
            n = group.n
    if len(rules) == 1:
        return _phrase(rules[0])
    every = n == len(rules)
    courses = [_name(inner) for inner in rules if isinstance(inner, Pass)]
    if len(courses) == len(rules):
        share = f"at least {_number(n)} of the {_number(len(rules))}"
        if every:
            share = "both" if n == 2 else f"all {_number(n)}"
        return f"pass {share} courses: {', '.join(courses)}"
    parts = [_phrase(inner) if isinstance(inner, Predicate) else f"({_phrase(inner)})" for inner in rules]
    if every or n == 1:
        return ("; and " if every else "; or ").join(parts)
    return f"at least {_number(n)} of: {'; '.join(parts)}"


def _fact_phrase(rule: HasFact) -> str:
    carried = []
    declared: Mapping[str, Any] = rule.declared["fact"].get("where", {})
    for name, wanted in declared.items():
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        what = "" if len(values) == 1 and values[0] is True else f" {_either(str(one) for one in values)}"
        carried.append(f"{name.replace('_', ' ')}{what}")
    text = rule.type.replace("_", " ")
    if carried:
        text += f" ({', '.join(carried)})"
    if rule.count > 1:
        apart = f" that differ in {' and '.join(rule.distinct_by)}" if rule.distinct_by else ""
        text += f", at least {_number(rule.count)}{apart}"
    return text


def _labels(name: str, wanted: tuple[str, ...]) -> str:
    return f" ({name} {_either(wanted)})" if wanted else ""


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
