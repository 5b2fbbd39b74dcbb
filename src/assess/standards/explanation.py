"""What is still missing, who can do what about it, and how far the subject is.

What is missing is a *minimal* set of predicates: facts that make exactly these
true make the rule true, and no part of the set does. The cheapest alternative
is chosen first; then every predicate is dropped whose facts the others bring
along (500 points bring 100), by supposing these facts and evaluating again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from assess.standards.evaluation import (
    NAMED,
    Finding,
    Question,
    Truth,
    different,
    find,
    lost,
    points,
    standing,
    value,
)
from assess.standards.facts import Fact, add_years, exact, supposed
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
from assess.standards.rules import BadgeRule, BadgeRules
from assess.standards.sentences import status_sentence
from assess.standards.turning import Interest, turns

Placed = tuple[str, Predicate]


# --- what follows from the values alone ------------------------------------

_TICK = timedelta(microseconds=1)
_OUTLINES_KEPT = 500
_EXPLAINED = ("not_eligible", "undetermined")


@dataclass(frozen=True, slots=True)
class Outline:
    """What is missing, how far the subject is, and both as a sentence."""

    gaps: tuple[Placed, ...]
    progress: tuple[int, int]
    sentence: str


def outline(badge: BadgeRule, question: Question, status: str) -> Outline:
    """The outline of an answer about one version of a badge.

    Most often it follows from the values of the predicates, and is the same for everybody who has these.
    """
    values = tuple([find(predicate, question).value for _, predicate in badge.placed])
    known: Outline | None = badge.memory.get((status, values))
    if known is not None:
        return known
    rule, gaps, alone = badge.rule, [], True
    if status in _EXPLAINED:
        gaps, alone = missing(rule, question), _follows(badge, question)
    done = progress(rule, question)
    value_at = {path: found for (path, _), found in zip(badge.placed, values, strict=True)}
    told = [(predicate, value_at[path]) for path, predicate in gaps]
    found = Outline(tuple(gaps), done, status_sentence(badge, status, done, told))
    if alone:
        if len(badge.memory) >= _OUTLINES_KEPT:
            badge.memory.clear()
        badge.memory[status, values] = found
    return found


def _follows(badge: BadgeRule, question: Question) -> bool:
    """Whether what is missing follows from the values: no fact about one predicate says anything of another.

    And none of those that the cheapest way asks for is spared by the others; then facts were supposed, and
    these are made for the subject.
    """
    apart = badge.memory.get("apart")
    if apart is None:
        apart = badge.memory["apart"] = _are_apart(badge, question.rules)
    if not apart:
        return False
    _, chosen = _cheapest(badge.rule, "", question)
    return not any(
        _holds_by_logic(badge.rule, question, [other for other in chosen if other != predicate])
        for predicate in chosen
    )


def _are_apart(badge: BadgeRule, rules: BadgeRules) -> bool:
    interests = dict(_interests(badge, rules)).values()
    return not any(one.meets(other) for one, other in itertools.combinations(interests, 2))


def _interests(badge: BadgeRule, rules: BadgeRules) -> list[tuple[Predicate, Interest]]:
    """The predicates of a rule with what each looks at."""
    found: list[tuple[Predicate, Interest]] | None = badge.memory.get("interests")
    if found is None:
        found = []
        for _, predicate in badge.placed:
            found.append((predicate, Interest()))
            found[-1][1].add_rule(predicate, rules)
        badge.memory["interests"] = found
    return found


def is_bounded(badge: BadgeRule) -> bool:
    """Whether the status depends on days besides those of the facts."""
    return len(badge.versions) > 1 or any((badge.starts_on, badge.valid_until, badge.retired_on))


def last_turn(badge: BadgeRule, question: Question) -> datetime | None:
    """The last instant by the moment at which the value of a rule became what it is; None if it always was.

    Back from turn to turn, only the predicates that turn are asked again. For a badge that no day bounds.
    """
    then = replace(question)
    turning: dict[datetime, list[Predicate]] = {}
    for predicate, interest in _interests(badge, question.rules):
        then.memory[id(predicate)] = find(predicate, question)
        for turn in turns(interest, question):
            if turn <= question.now:
                turning.setdefault(turn, []).append(predicate)
    known = value(badge.rule, then)
    for turn in sorted(turning, reverse=True):
        before = replace(question, moment=turn - _TICK, now=turn - _TICK, below={})
        differs = False
        for predicate in turning[turn]:
            found = find(predicate, before)
            differs |= found.value is not then.memory[id(predicate)].value
            then.memory[id(predicate)] = found
        if differs and value(badge.rule, then) is not known:
            return turn
    return None


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
            if _would_hold(rule, question, others, [f for other in others for f in brought[other]]):
                kept = [(other, path) for other, path in kept if other != predicate]
    return [(path, predicate) for predicate, path in kept]


def _would_hold(rule: Rule, question: Question, met: list[Predicate], facts: list[Fact]) -> bool:
    """Whether facts that make some predicates true make the rule true.

    Most facts are looked at by the predicate that they were made for and by no
    other; then plain logic over the values that are known says it, without the
    facts.
    """
    placed = [predicate for _, predicate in predicates(rule)]
    if any(_looks_at(predicate, fact) for predicate in placed if predicate not in met for fact in facts):
        return value(rule, question.supposing(facts)) is Truth.TRUE
    return _holds_by_logic(rule, question, met)


def _holds_by_logic(rule: Rule, question: Question, met: list[Predicate]) -> bool:
    """Whether the rule is true where some predicates are met and the others are worth what they are."""
    asked = replace(question)
    for _, predicate in predicates(rule):
        known = Finding(Truth.TRUE, "fact_present") if predicate in met else find(predicate, question)
        asked.memory[id(predicate)] = known
    return value(rule, asked) is Truth.TRUE


def _looks_at(predicate: Predicate, fact: Fact) -> bool:
    """Whether a fact may make a predicate true; most of what is missing has nothing to do with the rest."""
    if isinstance(predicate, Members | Held):
        return True  # what it looks at may be below it
    if isinstance(predicate, Undefined):
        return False
    if isinstance(predicate, HasFact):
        return fact.type == predicate.type
    type_, name = NAMED[type(predicate)]
    return fact.type == type_ and str(fact.properties.get(name)) == str(getattr(predicate, name))


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
            level = {} if predicate.level is None else {"level": predicate.level}
            course, assurance = predicate.course, predicate.assurance
            yield fact("decision", "passed", course=course, assurance=assurance, **level)
        case HasFact():
            yield from _things_for(predicate, question, numbers)
        case Held():
            since = add_years(at, -predicate.for_years, question.time_zone)
            yield supposed(who, "award", since, next(numbers), badge=predicate.badge)
            if predicate.status == "active" and lost(predicate.badge, question):
                below = standing(question.rules.badges[predicate.badge], question)
                for _, needed in missing(below.rule.rule, below.question):
                    yield from _facts_for(needed, below.question, numbers)
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
            short = exact(predicate.at_least) - points(predicate, question)
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
    matching = question.book.matching(question.subject, predicate)
    there = different(predicate, question.in_force(matching))
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


def next_step(predicate: Predicate, found: Finding, question: Question) -> tuple[str, str]:
    """Who can do what about a missing predicate."""
    match predicate:
        case Pass():
            return {
                "no_decision": ("learner", "start"),
                "decision_not_passed": ("learner", "retake"),
                "decision_incomplete": ("learner", "retake"),
                "decision_too_old": ("learner", "retake"),
                "assurance_too_low": ("learner", "retake"),
                "decision_undetermined": ("learner", "extend"),
                "decision_pending": ("programme", "wait"),
                "decision_provisional": ("programme", "wait"),
            }.get(found.code, ("learner", "contact"))
        case Held():
            # Nobody can award what is not earned.
            return ("learner", "earn") if lost(predicate.badge, question) else ("issuer", "award")
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
