"""Why a status is what it is, what is still missing, and rules as sentences.

What is missing is a *minimal* set of predicates: facts that make exactly these
true make the rule true, and no part of the set does. The cheapest alternative
is chosen first; then every predicate is dropped whose facts the others bring
along (500 points bring 100), by supposing these facts and evaluating again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from assess.standards.evaluation import Finding, Question, Truth, matching, points, value
from assess.standards.evaluation import decimal as exact
from assess.standards.facts import Fact, add_years, supposed
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
    children,
    predicates,
)
from assess.standards.rules import BadgeRule

Placed = tuple[str, Predicate]


# --- what is missing -------------------------------------------------------


def missing(rule: Rule, question: Question) -> list[Placed]:
    """A minimal set of predicates, with their paths, that stand between the subject and the rule.

    An `undefined` predicate is in it only if there is no way round.
    """
    _, chosen = _cheapest(rule, "", question)
    kept = list(chosen.items())
    if not any(isinstance(predicate, Undefined) for predicate in chosen):
        numbers = itertools.count()
        brought = {predicate: list(_facts_for(predicate, question, numbers)) for predicate in chosen}
        for predicate in chosen:
            others = [other for other, _ in kept if other != predicate]
            if value(rule, question.supposing(f for other in others for f in brought[other])) is Truth.TRUE:
                kept = [(other, path) for other, path in kept if other != predicate]
    return [(path, predicate) for predicate, path in kept]


_Cost = tuple[int, int]


def _cheapest(rule: Rule, path: str, question: Question) -> tuple[_Cost, dict[Predicate, str]]:
    """The cheapest set that makes a rule true: fewest unattainable predicates, then fewest at all."""
    if value(rule, question) is Truth.TRUE:
        return (0, 0), {}
    if isinstance(rule, Predicate):
        return (int(_unattainable(rule)), 1), {rule: path}
    options: dict[Rule, tuple[_Cost, dict[Predicate, str]]] = {}
    for inner_path, inner in children(rule, path):
        if inner not in options:  # the same rule twice is one rule
            options[inner] = _cheapest(inner, inner_path, question)
    ranked = sorted(options.values(), key=lambda option: option[0])
    match rule:
        case AllOf():
            needed = list(options.values())
        case AnyOf():
            needed = ranked[:1]
        case AtLeast():
            needed = ranked[: rule.n]
    chosen: dict[Predicate, str] = {}
    for _, parts in needed:
        for predicate, where in parts.items():
            chosen.setdefault(predicate, where)
    return (sum(_unattainable(predicate) for predicate in chosen), len(chosen)), chosen


def _unattainable(predicate: Predicate) -> bool:
    """Whether no fact can make it true."""
    if isinstance(predicate, Members):
        return not _attainable(predicate.satisfy)
    return isinstance(predicate, Undefined)


def _attainable(rule: Rule) -> bool:
    match rule:
        case AllOf():
            return all(_attainable(inner) for inner in rule.rules)
        case AnyOf():
            return any(_attainable(inner) for inner in rule.rules)
        case AtLeast():
            return sum(_attainable(inner) for inner in dict.fromkeys(rule.rules)) >= rule.n
        case Predicate():
            return not _unattainable(rule)


def _facts_for(predicate: Predicate, question: Question, numbers: Iterator[int]) -> Iterator[Fact]:
    """Facts that would make a predicate true: no more of them than are missing."""
    at, who = question.moment, question.subject

    def fact(type_: str, word: str = "", **properties: Any) -> Fact:
        return supposed(who, type_, at, next(numbers), word, **properties)

    match predicate:
        case Pass():
            yield fact("decision", "passed", course=predicate.course)
        case HasFact():
            yield from _things_for(predicate, question, numbers)
        case Held():
            since = add_years(at, -predicate.for_years, question.time_zone)
            yield supposed(who, "award", since, next(numbers), badge=predicate.badge)
        case Invited() | Application():
            type_ = "application" if isinstance(predicate, Application) else "invitation"
            labels = {"cohort": predicate.cohort[:1]}
            if isinstance(predicate, Application):
                labels["intake"] = predicate.intake[:1]
            given = {name: wanted[0] for name, wanted in labels.items() if wanted}
            yield fact(type_, "accepted", program=predicate.program, **given)
        case Judgement():
            yield fact("judgement", "yes", q=predicate.q, role=predicate.by[0])
        case Points():
            short = exact(predicate.at_least) - points(predicate, question)[0]
            key = f"supposed:{next(numbers)}"
            yield fact("points", ledger=predicate.ledger, key=key, value=_Exact(short))
        case Members():
            yield from _members_for(predicate, question, numbers)


class _Exact(Fraction):
    """Points whose `repr` is the exact fraction, so that a shortfall of a third adds up."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _things_for(predicate: HasFact, question: Question, numbers: Iterator[int]) -> Iterator[Fact]:
    """As many new things as are short, each different from those that are there."""
    there = matching(predicate, question.in_force(predicate.type))
    short = predicate.count - len(there)
    where = dict(predicate.where)
    free = [name for name in predicate.distinct_by if name not in where]
    for combination in itertools.product(*(where.get(name, ("",)) for name in predicate.distinct_by)):
        told_apart = dict(zip(predicate.distinct_by, combination, strict=True))
        if not free and predicate.distinct_by and combination in there:
            continue
        for _ in range(short if free or not predicate.distinct_by else 1):
            number = next(numbers)
            tokens = {name: wanted[0] for name, wanted in where.items()} | told_apart
            tokens |= dict.fromkeys(free, f"supposed:{number}")
            new = supposed(question.subject, predicate.type, question.moment, number)
            yield replace(new, tokens=tokens)
            short -= 1
        if short <= 0:
            return


def _members_for(predicate: Members, question: Question, numbers: Iterator[int]) -> Iterator[Fact]:
    """As many new members as are short, each with all that the inner rule asks."""
    satisfied = sum(
        value(predicate.satisfy, replace(question, subject=person)) is Truth.TRUE
        for person in question.members
    )
    for _ in range(predicate.at_least - satisfied):
        person = f"supposed:{next(numbers)}"
        yield supposed(question.subject, "membership", question.moment, next(numbers), person=person)
        asked = replace(question, subject=person)
        for _, needed in missing(predicate.satisfy, asked):
            yield from _facts_for(needed, asked, numbers)


def next_step(predicate: Predicate, found: Finding) -> tuple[str, str]:
    """Who can do what about a missing predicate."""
    match predicate:
        case Pass():
            return {
                "no_decision": ("learner", "start"),
                "decision_not_passed": ("learner", "retake"),
                "decision_incomplete": ("learner", "retake"),
                "decision_too_old": ("learner", "retake"),
                "decision_undetermined": ("learner", "extend"),
                "decision_pending": ("programme", "wait"),
                "decision_provisional": ("programme", "wait"),
            }.get(found.code, ("learner", "contact"))
        case Held():
            return ("issuer", "award")
        case Invited():
            return ("learner", "accept") if found.evidence else ("programme", "invite")
        case Application():
            return ("programme", "decide") if found.value is Truth.UNKNOWN else ("learner", "apply")
        case Judgement():
            return (predicate.by[0], "judge")
        case Points():
            return ("learner", "earn")
        case Members():
            return ("school", "attest")
        case Undefined():
            return ("programme", "define")
    return ("learner", "attest")


# --- how far ---------------------------------------------------------------


def progress(rule: Rule, question: Question) -> tuple[int, int]:
    """Predicates met, of those on the shortest way to the rule.

    Alternatives count by the one that has the least left to do.
    """
    if isinstance(rule, Predicate):
        return int(value(rule, question) is Truth.TRUE), 1
    parts = [progress(inner, question) for inner in dict.fromkeys(inner for _, inner in children(rule))]
    match rule:
        case AnyOf():
            parts = sorted(parts, key=_left)[:1]
        case AtLeast():
            parts = sorted(parts, key=_left)[: rule.n]
    return sum(met for met, _ in parts), sum(of for _, of in parts)


def _left(part: tuple[int, int]) -> int:
    return part[1] - part[0]


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
    return predicate.course if isinstance(predicate, Pass) else _phrase(predicate)


# --- rules as sentences ----------------------------------------------------

_NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def _number(n: int) -> str:
    return _NUMBERS[n] if n < len(_NUMBERS) else str(n)


def rule_in_words(badge: BadgeRule) -> str:
    """A badge's rule as a sentence to hold against the published criterion."""
    sentence = _phrase(badge.rule)
    text = f"{sentence[:1].upper()}{sentence[1:]}."
    if badge.subject == "school":
        text = f"The school: {text[:1].lower()}{text[1:]}"
    for words, day in (
        ("Opens on", badge.starts_on),
        ("Valid until", badge.valid_until),
        ("Retired on", badge.retired_on),
    ):
        if day is not None:
            text += f" {words} {day}."
    return text


def _phrase(rule: Rule) -> str:
    match rule:
        case AllOf() | AnyOf() | AtLeast():
            return _group(rule)
        case Pass():
            return f"pass the course {rule.course}"
        case HasFact():
            return _fact_phrase(rule)
        case Held():
            verb = "hold" if rule.status == "active" else "hold, or have held,"
            years = (
                f" for at least {_number(rule.for_years)} year{'s' * (rule.for_years > 1)}"
                if rule.for_years
                else ""
            )
            return f"{verb} the badge {rule.badge}{years}"
        case Invited():
            return f"be invited to {rule.program}{_labels('cohort', rule.cohort)} and accept"
        case Application():
            labels = _labels("cohort", rule.cohort) + _labels("intake", rule.intake)
            return f"apply to {rule.program}{labels} and be accepted"
        case Judgement():
            return f"be judged by a {_either(rule.by)}: {rule.q}"
        case Points():
            return f"collect at least {rule.at_least:g} points of {rule.ledger}"
        case Members():
            people = _plural("member educator", rule.at_least)
            return f"have at least {_number(rule.at_least)} {people} with [{_phrase(rule.satisfy)}]"
        case Undefined():
            return f"no rule is defined ({rule.reason})"
    raise AssertionError(f"no words for {type(rule).__name__}")


def _group(rule: AllOf | AnyOf | AtLeast) -> str:
    rules = list(dict.fromkeys(rule.rules))
    n = {AllOf: len(rules), AnyOf: 1}.get(type(rule), getattr(rule, "n", 0))
    if len(rules) == 1:
        return _phrase(rules[0])
    courses = [inner.course for inner in rules if isinstance(inner, Pass)]
    if len(courses) == len(rules):
        many = (
            f"all {_number(n)}" if n == len(rules) else f"at least {_number(n)} of the {_number(len(rules))}"
        )
        return f"pass {many} courses: {', '.join(courses)}"
    parts = [
        f"({_phrase(inner)})"
        if isinstance(inner, AllOf | AnyOf | AtLeast) and len(inner.rules) > 1
        else _phrase(inner)
        for inner in rules
    ]
    if n == len(rules):
        return "; and ".join(parts)
    if n == 1:
        return "; or ".join(parts)
    return f"at least {_number(n)} of: {'; '.join(parts)}"


def _fact_phrase(rule: HasFact) -> str:
    carried = []
    declared: Mapping[str, Any] = rule.declared["fact"].get("where", {})
    for name, wanted in declared.items():
        values = wanted if isinstance(wanted, list | tuple) else [wanted]
        if len(values) == 1 and values[0] is True:
            carried.append(name.replace("_", " "))
        else:
            carried.append(f"{name.replace('_', ' ')} {_either([str(one) for one in values])}")
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
