"""What a rule is worth for a subject at a moment: true, false or unknown.

Groups follow Kleene's strong logic: one false conjunct makes a conjunction
false whatever is unknown, and one true alternative makes an alternative true.

References
----------
Kleene (1952), *Introduction to Metamathematics*, section 64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from enum import IntEnum
from fractions import Fraction
from functools import cached_property

from assess.standards.facts import (
    FIRST,
    LAST,
    Fact,
    FactBook,
    add_years,
    exact,
    first_instant,
    last_instant,
    period_end,
)
from assess.standards.grammar import (
    ASSURANCES,
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
)
from assess.standards.rules import BadgeRule, BadgeRules

_TICK = timedelta(microseconds=1)


class Truth(IntEnum):
    """Three values in their order, so that "and" is the least and "or" the greatest."""

    FALSE = 0
    UNKNOWN = 1
    TRUE = 2

    @property
    def word(self) -> str:
        """The word of the HTTP contract."""
        return self.name.lower()


def truth(known: bool) -> Truth:
    """A plain yes or no as one of three values."""
    return Truth.TRUE if known else Truth.FALSE


@dataclass(frozen=True, slots=True)
class Finding:
    """The value of a predicate, why in one code of the HTTP contract, and the facts behind it."""

    value: Truth
    code: str
    evidence: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Question:
    """Whom a rule is asked about, and as of when.

    `moment` is when the evidence must exist; `now` is when the question is
    asked, and what was voided by then is void. They differ only for a badge
    that is retired or has run out: it is judged at its last moment.
    """

    rules: BadgeRules
    book: FactBook
    subject: str
    moment: datetime
    now: datetime
    accept_provisional: bool
    # Statuses of badges below, asked once per question: a diamond would else be walked again and again.
    below: dict[tuple[str, str, datetime, datetime], str] = field(
        default_factory=dict, compare=False, repr=False
    )
    # Values of predicates, by identity; `replace` begins anew, for another moment, subject or book.
    memory: dict[int, Finding] = field(init=False, default_factory=dict, compare=False, repr=False)

    @property
    def time_zone(self) -> tzinfo:
        return self.rules.time_zone

    def named(self, type_: str, name: str) -> tuple[Fact, ...]:
        return self.book.named(self.subject, type_, name)

    def counting(self, facts: Iterable[Fact]) -> list[Fact]:
        return [fact for fact in facts if fact.at <= self.moment and fact.void_at > self.now]

    def in_force(self, facts: Iterable[Fact]) -> list[Fact]:
        return [fact for fact in self.counting(facts) if fact.until >= self.moment]

    def void(self, facts: Iterable[Fact]) -> list[Fact]:
        return [fact for fact in facts if fact.at <= self.moment and fact.void_at <= self.now]

    def supposing(self, facts: Iterable[Fact]) -> Question:
        return replace(self, book=self.book.supposing(facts), below={})

    @cached_property
    def members(self) -> dict[str, Fact]:
        """Persons with a membership in force."""
        memberships = self.book.of(self.subject, "membership")
        return {fact.text("person"): fact for fact in self.in_force(memberships)}


NAMED: dict[type[Predicate], tuple[str, str]] = {
    Pass: ("decision", "course"),
    Held: ("award", "badge"),
    Invited: ("invitation", "program"),
    Application: ("application", "program"),
    Judgement: ("judgement", "q"),
    Points: ("points", "ledger"),
}
"""The type of fact that a predicate looks at, and the property that it names."""


def value(rule: Rule, question: Question) -> Truth:
    """The value of a rule.

    Examples
    --------
    >>> from assess.standards.rules import parse_rules
    >>> rules = parse_rules({"badges": [{"id": "B", "rule": {"undefined": {"reason": "none published"}}}]})
    >>> question = Question(rules, FactBook([], subject="p1"), "p1", LAST, LAST, False)
    >>> value(rules.badges["B"].rule, question).word
    'unknown'
    """
    match rule:
        case AllOf():
            return min(_values(rule.rules, question, Truth.FALSE))
        case AnyOf():
            return max(_values(rule.rules, question, Truth.TRUE))
        case AtLeast():
            values = sorted((value(inner, question) for inner in dict.fromkeys(rule.rules)), reverse=True)
            return values[rule.n - 1]
        case Points() if id(rule) not in question.memory:  # without its evidence, which is slow to gather
            return truth(points(rule, question) >= exact(rule.at_least))
        case Predicate():
            return find(rule, question).value


def _values(rules: Iterable[Rule], question: Question, last: Truth) -> Iterator[Truth]:
    """The values of rules, up to one that says it all."""
    for rule in rules:
        found = value(rule, question)
        yield found
        if found is last:
            return


def find(predicate: Predicate, question: Question) -> Finding:
    """The value of a predicate with its reason."""
    known = question.memory.get(id(predicate))
    if known is None:
        known = question.memory[id(predicate)] = _find(predicate, question)
    return known


def _find(predicate: Predicate, question: Question) -> Finding:
    match predicate:
        case Pass():
            return _pass(predicate, question)
        case HasFact():
            return _has_fact(predicate, question)
        case Held():
            return _held(predicate, question)
        case Invited() | Application():
            return _invited_or_applied(predicate, question)
        case Judgement():
            return _judgement(predicate, question)
        case Points():
            return _points(predicate, question)
        case Members():
            return _members(predicate, question)
        case Undefined():
            return Finding(Truth.UNKNOWN, "rule_undefined")
    raise AssertionError(f"no evaluation for {type(predicate).__name__}")


# --- predicates ------------------------------------------------------------


def _pass(predicate: Pass, question: Question) -> Finding:
    at_moment = _current_decision(predicate, question, question.moment)
    if question.moment == question.now or at_moment.value is Truth.FALSE:
        return at_moment
    # A pass that was taken back after the badge's last moment was never one.
    return min(at_moment, _current_decision(predicate, question, question.now), key=lambda found: found.value)


def decision_end(decision: Fact, rules: BadgeRules) -> datetime:
    """The last instant of a pass: its own, or by how long one of the course is good for."""
    course = rules.courses.get(decision.text("course"))
    if decision.until != LAST or course is None or course.valid_for is None:
        return decision.until
    return period_end(decision.tested_at, course.valid_for, rules.time_zone)


def _speaks_for(decision: Fact, predicate: Pass, rules: BadgeRules) -> bool:
    """Whether a decision is about the level that is asked for; one without a level is about the first."""
    course = rules.courses.get(predicate.course)
    first = course.levels[0] if course is not None and course.levels else None
    said = decision.properties.get("level", first)
    if predicate.level is not None:
        return bool(said == predicate.level)
    return said == first if first is not None else not decision.properties.get("further", False)


def _current_decision(predicate: Pass, question: Question, moment: datetime) -> Finding:
    """What the last decision by date says; an adaptive practice session decides nothing."""
    decisions = [
        fact
        for fact in question.named("decision", predicate.course)
        if fact.at <= moment
        and not fact.properties.get("practice", False)
        and _speaks_for(fact, predicate, question.rules)
    ]
    counting = [fact for fact in decisions if fact.void_at > question.now]
    if not counting:
        return Finding(
            Truth.FALSE, "decision_withdrawn" if decisions else "no_decision", tuple(decisions[-1:])
        )
    current = counting[-1]
    codes = {
        "void": (Truth.FALSE, "decision_withdrawn"),
        "incomplete": (Truth.FALSE, "decision_incomplete"),
        "pending": (Truth.UNKNOWN, "decision_pending"),
        "undetermined": (Truth.UNKNOWN, "decision_undetermined"),
        "not_passed": (Truth.FALSE, "decision_not_passed"),
        "passed": (Truth.TRUE, "decision_passed"),
    }
    found, code = codes[current.word]
    decided = current.word in ("passed", "not_passed")
    if decided and current.properties.get("provisional", False) and not question.accept_provisional:
        found, code = Truth.UNKNOWN, "decision_provisional"
    elif current.word == "passed" and _good_until(current, predicate, question.rules) < moment:
        found, code = Truth.FALSE, "decision_too_old"
    elif current.word == "passed" and _assured(current) < ASSURANCES.index(predicate.assurance):
        found, code = Truth.FALSE, "assurance_too_low"
    return Finding(found, code, (current,))


def _good_until(decision: Fact, predicate: Pass, rules: BadgeRules) -> datetime:
    """The last instant at which a pass does for a rule that may ask for a young one."""
    end = decision_end(decision, rules)
    if predicate.not_older_than is None:
        return end
    return min(end, period_end(decision.tested_at, predicate.not_older_than, rules.time_zone))


def _assured(decision: Fact) -> int:
    """Place of a decision's assurance in their order; what is not said, or not known, is the least."""
    said = decision.properties.get("assurance")
    return ASSURANCES.index(said) if said in ASSURANCES else 0


def different(predicate: HasFact, facts: Iterable[Fact]) -> dict[tuple[str, ...], Fact]:
    """Of facts that a predicate asks for, one for each different thing."""
    found: dict[tuple[str, ...], Fact] = {}
    for fact in facts:
        # Facts that lack the property cannot be told apart, so together they are one.
        key = tuple(fact.tokens.get(name, "") for name in predicate.distinct_by) or (fact.id,)
        found.setdefault(key, fact)
    return found


def _has_fact(predicate: HasFact, question: Question) -> Finding:
    matching = question.book.matching(question.subject, predicate)
    found = different(predicate, question.in_force(matching))
    if len(found) >= predicate.count:
        return Finding(Truth.TRUE, "fact_present", tuple(found.values()))
    void = different(predicate, question.void(matching))
    code = "fact_void" if void else "fact_missing"
    return Finding(Truth.FALSE, code, (*found.values(), *void.values()))


def award_end(award: Fact, rules: BadgeRules) -> datetime:
    """The last instant of an award: its own, or that of the badge if it states none."""
    badge = rules.badges.get(award.text("badge"))
    if award.until != LAST or badge is None:
        return award.until
    ends = [LAST]
    if badge.valid_until is not None:
        ends.append(last_instant(badge.valid_until, rules.time_zone))
    if badge.valid_for is not None:
        ends.append(period_end(award.at, badge.valid_for, rules.time_zone))
    return min(ends)


def _held(predicate: Held, question: Question) -> Finding:
    awards = question.counting(question.named("award", predicate.badge))
    if not awards:
        return Finding(Truth.FALSE, "award_missing")
    active = [fact for fact in awards if award_end(fact, question.rules) >= question.moment]
    if not active and predicate.status == "active":
        return Finding(Truth.FALSE, "award_expired", tuple(awards))
    if predicate.status == "active" and lost(predicate.badge, question):
        return Finding(Truth.FALSE, "award_suspended", tuple(active))
    met = not predicate.for_years or _held_for(awards, predicate.for_years, question)
    return Finding(truth(met), "award_active" if active else "award_expired", tuple(active or awards))


def lost(badge: str, question: Question) -> bool:
    """Whether awards of a badge do not count because its own rule is not met.

    What the programme suspends or withdraws at the bottom holds up nothing
    above. A rule that is undecided suspends nobody.
    """
    rules = question.rules
    if rules.on_loss == "keep" or badge not in rules.badges:
        return False
    key = (badge, question.subject, question.moment, question.now)
    if key not in question.below:
        question.below[key] = standing(rules.badges[badge], question).status
    return question.below[key] == "not_eligible"


def _held_for(awards: list[Fact], years: int, question: Question) -> bool:
    """Whether awards that follow each other without a gap cover that many years."""
    begun = reached = FIRST
    for award in awards:
        end = award_end(award, question.rules)
        if begun == FIRST or award.at > reached:
            begun, reached = award.at, FIRST
        reached = max(reached, end if end == LAST else end + _TICK)
        if add_years(begun, years, question.time_zone) <= min(reached, question.moment):
            return True
    return False


def _invited_or_applied(predicate: Invited | Application, question: Question) -> Finding:
    """The latest word for each cohort and intake counts; one that was accepted is enough."""
    type_ = "application" if isinstance(predicate, Application) else "invitation"
    intake = predicate.intake if isinstance(predicate, Application) else ()

    def wanted(fact: Fact) -> bool:
        return fact.has_label("cohort", predicate.cohort) and fact.has_label("intake", intake)

    to_program = question.named(type_, predicate.program)
    counting = question.in_force(to_program)
    current = {
        (fact.tokens.get("cohort"), fact.tokens.get("intake")): fact for fact in counting if wanted(fact)
    }
    accepted = tuple(fact for fact in current.values() if fact.word == "accepted")
    if accepted:
        return Finding(Truth.TRUE, "fact_present", accepted)
    undecided = tuple(fact for fact in current.values() if fact.word == "undecided")
    if undecided:
        return Finding(Truth.UNKNOWN, "application_undecided", undecided)
    if current:
        return Finding(Truth.FALSE, "fact_missing", tuple(current.values()))
    void = [fact for fact in question.void(to_program) if wanted(fact)]
    if void:
        return Finding(Truth.FALSE, "fact_void", tuple(void))
    if counting:
        return Finding(Truth.FALSE, "cohort_mismatch", tuple(counting))
    return Finding(Truth.FALSE, "fact_missing")


def _judgement(predicate: Judgement, question: Question) -> Finding:
    answers = [
        fact
        for fact in question.in_force(question.named("judgement", predicate.q))
        if fact.properties["role"] in predicate.by
    ]
    if not answers:
        return Finding(Truth.UNKNOWN, "judgement_missing")
    latest = answers[-1]
    yes = latest.word == "yes"
    return Finding(truth(yes), "fact_present" if yes else "fact_missing", (latest,))


def points(predicate: Points, question: Question) -> Fraction:
    """The exact sum over distinct keys, the latest value of each."""
    if question.moment == question.now:
        return question.book.total(question.subject, predicate.ledger, question.moment)
    return sum((exact(fact.properties["value"]) for fact in _entries(predicate, question)), Fraction())


def _entries(predicate: Points, question: Question) -> list[Fact]:
    """The latest entry of each key of a ledger."""
    entries = question.in_force(question.named("points", predicate.ledger))
    return list({fact.tokens["key"]: fact for fact in entries}.values())


def _points(predicate: Points, question: Question) -> Finding:
    enough = points(predicate, question) >= exact(predicate.at_least)
    return Finding(
        truth(enough), "fact_present" if enough else "points_short", tuple(_entries(predicate, question))
    )


def _members(predicate: Members, question: Question) -> Finding:
    values = {
        person: value(predicate.satisfy, replace(question, subject=person)) for person in question.members
    }
    satisfied = [person for person, found in values.items() if found is Truth.TRUE]
    possible = [person for person, found in values.items() if found is not Truth.FALSE]
    evidence = tuple(question.members[person] for person in satisfied)
    if len(satisfied) >= predicate.at_least:
        return Finding(Truth.TRUE, "fact_present", evidence)
    return Finding(
        truth(False) if len(possible) < predicate.at_least else Truth.UNKNOWN, "members_short", evidence
    )


# --- a badge ---------------------------------------------------------------


def question_about(badge: BadgeRule, question: Question) -> Question:
    """The same question about one version of a badge: judged at its last moment if that has passed."""
    _, valid, retired = badge.bounds(question.time_zone)
    last = min(valid, retired if retired == LAST else retired - _TICK)
    return question if question.moment <= last else replace(question, moment=last)


def granted(badge: BadgeRule, question: Question) -> Finding:
    """Whether the subject was given this very badge before its last moment, and still has it."""
    awards = tuple(
        fact
        for fact in question.counting(question.named("award", badge.id))
        if award_end(fact, question.rules) >= question.now
    )
    return Finding(truth(bool(awards)), "award_active" if awards else "award_missing", awards)


def status(badge: BadgeRule, question: Question) -> str:
    """The status by one version of a badge, in the words of the HTTP contract.

    A badge that is not open yet, has run out, or is retired says so, whoever
    asks; a retired one stays with those who had it, or who met the rule before.
    """
    opens, valid, retired = badge.bounds(question.time_zone)
    if question.now < opens:
        return "not_open"
    if question.now > valid:
        return "expired"
    found = value(badge.rule, question)
    if question.now >= retired:
        kept = found is Truth.TRUE or granted(badge, question).value is Truth.TRUE
        return "eligible" if kept else "retired"
    return {Truth.TRUE: "eligible", Truth.FALSE: "not_eligible", Truth.UNKNOWN: "undetermined"}[found]


@dataclass(frozen=True, slots=True)
class Standing:
    """The status of a subject for a badge, the version that gives it, and the question put to it."""

    status: str
    rule: BadgeRule
    question: Question


def standing(badge: BadgeRule, question: Question) -> Standing:
    """The status of a badge by the version in force, or by an earlier one that was met while it was.

    A late claim under an earlier version is good for ever, or until the day
    that the version names.
    """
    zone = question.time_zone
    versions = list(badge.versions)
    while len(versions) > 1 and not _begun(versions[0], question):
        versions.pop(0)
    found: list[Standing] = []
    for version in versions:
        if found and version.claims_until is not None:
            if question.now > last_instant(version.claims_until, zone):
                continue
        asked = question_about(version, question)
        found.append(Standing(status(version, asked), version, asked))
        if found[-1].status == "eligible":
            return found[-1]
    return found[0]


def _begun(version: BadgeRule, question: Question) -> bool:
    begins = version.effective_from
    return begins is None or first_instant(begins, question.time_zone) <= question.now
