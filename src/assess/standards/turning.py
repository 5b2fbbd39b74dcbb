"""When the status of a badge may change: the facts that a rule looks at, and the days that bound it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from assess.standards.evaluation import NAMED, Question, award_end, decision_end
from assess.standards.facts import (
    FIRST,
    LAST,
    Fact,
    FactBook,
    add_years,
    first_instant,
    last_instant,
    period_end,
)
from assess.standards.grammar import (
    HasFact,
    Held,
    Members,
    Pass,
    Rule,
    Undefined,
    predicates,
)
from assess.standards.periods import Period
from assess.standards.rules import BadgeRule, BadgeRules

_TICK = timedelta(microseconds=1)


def turning_points(badge: BadgeRule, question: Question) -> list[datetime]:
    """Every instant at which the status may change, in order."""
    return sorted(turns(interest_of(badge, question.rules), question))


def turns(interest: Interest, question: Question) -> set[datetime]:
    """Every instant at which what is looked at may change."""
    rules, zone = question.rules, question.time_zone
    points: set[datetime] = set()
    for version in interest.versions:
        opens, valid, retired = version.bounds(zone)
        points |= {opens, retired, valid if valid == LAST else valid + _TICK}
        if version.effective_from is not None:
            points.add(first_instant(version.effective_from, zone))
        if version.claims_until is not None:
            points.add(last_instant(version.claims_until, zone) + _TICK)
    for fact in interest.touched(question.book):
        end = fact.until
        if fact.type == "award":
            end = award_end(fact, rules)
            points |= {add_years(fact.at, n, zone) for n in interest.years}
        elif fact.type == "decision":
            end = decision_end(fact, rules)
            points |= {period_end(fact.tested_at, age, zone) + _TICK for age in interest.ages}
        points |= {fact.at, fact.void_at, end if end == LAST else end + _TICK}
    return points - {FIRST, LAST}


def interest_of(badge: BadgeRule, rules: BadgeRules) -> Interest:
    """Which facts a badge looks at; gathered when it is first asked.

    Examples
    --------
    >>> from assess.standards.rules import parse_rules
    >>> rules = parse_rules({"badges": [{"id": "B", "rule": {"any_of": [
    ...     {"pass": {"course": "c1"}}, {"fact": {"type": "seen"}}]}}]})
    >>> interest = interest_of(rules.badges["B"], rules)
    >>> sorted(interest.courses), sorted(interest.fact_types)
    (['c1'], ['decision', 'seen'])
    """
    found: Interest | None = rules.interests.get(badge.id)
    if found is None:
        found = rules.interests[badge.id] = Interest()
        found.add_badge(badge, rules)
    return found


@dataclass
class Interest:
    """Which facts a badge looks at, through the badges below it and the members of a school.

    Whatever else is known about a subject changes no status of the badge.
    """

    versions: list[BadgeRule] = field(default_factory=list)
    named: set[tuple[str, str]] = field(default_factory=set)
    asked: dict[str, list[HasFact]] = field(default_factory=dict)
    memberships: bool = False
    years: set[int] = field(default_factory=set)
    ages: set[Period] = field(default_factory=set)

    @property
    def courses(self) -> frozenset[str]:
        """Courses whose decisions count."""
        return frozenset(name for type_, name in self.named if type_ == "decision")

    @property
    def fact_types(self) -> frozenset[str]:
        """Types of the facts of which some may count."""
        own = {"membership"} if self.memberships else set()
        return frozenset(own | set(self.asked) | {type_ for type_, _ in self.named})

    def touched(self, book: FactBook) -> Iterator[Fact]:
        """The facts of a book that it looks at, about anybody; one may come more than once."""
        for type_, name in self.named:
            for subject in book.subjects_of(type_):
                yield from book.named(subject, type_, name)
        for type_, asked in self.asked.items():
            for subject in book.subjects_of(type_):
                for predicate in asked:
                    yield from book.matching(subject, predicate)
        if self.memberships:
            for subject in book.subjects_of("membership"):
                yield from book.of(subject, "membership")

    def is_touched(self, book: FactBook) -> bool:
        """Whether there is any fact that it looks at."""
        return next(self.touched(book), None) is not None

    def meets(self, other: Interest) -> bool:
        """Whether some fact may be one that both look at."""
        if (self.memberships and other.memberships) or self.named & other.named:
            return True
        return any(
            one.may_share(another)
            for type_, asked in self.asked.items()
            for one in asked
            for another in other.asked.get(type_, ())
        )

    def add_badge(self, badge: BadgeRule, rules: BadgeRules) -> None:
        """Look at what the rule of a badge looks at too."""
        if badge in self.versions:
            return
        for version in badge.versions:
            self.versions.append(version)
            self.add_rule(version.rule, rules)
            if version.retired_on is not None:
                self.named.add(("award", version.id))

    def add_rule(self, rule: Rule, rules: BadgeRules) -> None:
        """Look at what a rule looks at too."""
        for _, predicate in predicates(rule):
            match predicate:
                case HasFact():
                    self.asked.setdefault(predicate.type, []).append(predicate)
                case Members():
                    self.memberships = True
                    self.add_rule(predicate.satisfy, rules)
                case Undefined():
                    pass
                case _:
                    type_, name = NAMED[type(predicate)]
                    self.named.add((type_, str(getattr(predicate, name))))
            if isinstance(predicate, Held):
                if predicate.for_years:
                    self.years.add(predicate.for_years)
                if rules.on_loss != "keep" and predicate.badge in rules.badges:
                    self.add_badge(rules.badges[predicate.badge], rules)
            if isinstance(predicate, Pass) and predicate.not_older_than is not None:
                self.ages.add(predicate.not_older_than)
