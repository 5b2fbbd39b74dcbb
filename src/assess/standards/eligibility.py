"""Badge eligibility: rules over decisions and facts, with reasons.

Two doors: `load_rules` reads and checks the rules of a programme; `evaluate`
asks them about a subject as of a day. The language is in `grammar`, the
meaning of facts and days in `facts`, the values in `evaluation`, what is
missing in `explanation`, and the wording in `sentences`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import yaml

from assess.errors import InvalidContent, InvalidRule, NotFound
from assess.standards import evaluation, explanation
from assess.standards.bounds import DEEPEST, require_bounded, require_shallow
from assess.standards.evaluation import Finding, Question, Truth
from assess.standards.facts import LAST, Fact, FactBook, Moment, instant
from assess.standards.rules import BadgeRule, BadgeRules, Course, parse_rules
from assess.standards.sentences import rule_in_words
from assess.standards.turning import turning_points

__all__ = [
    "BadgeRule",
    "BadgeRules",
    "Course",
    "Eligibility",
    "Evidence",
    "FactBook",
    "Missing",
    "Progress",
    "Reason",
    "evaluate",
    "load_rules",
    "rule_sentence",
    "status_of",
]

_TICK = timedelta(microseconds=1)


# --- rules -----------------------------------------------------------------


class _StrictLoader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """YAML without duplicate keys: the second of two badges of one id would replace the first in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise InvalidRule(
                    f"the key {key!r} is given twice", path=f"line {key_node.start_mark.line + 1}"
                )
            seen.add(key)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return found


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise InvalidRule(f"the key {twice!r} is given twice", path=twice)
    return mapping


def load_rules(source: str | Path | Mapping[str, Any]) -> BadgeRules:
    """The badge rules of a programme, checked.

    Parameters
    ----------
    source : path or mapping
        A YAML or JSON file, or what is in it: `badges` (a list of entries
        with an `id`, or a mapping by id), and if it is a programme file
        `courses`, `external_badges`, `time_zone` and `accept_provisional`.
        With `courses`, a rule may name only declared courses and badges;
        without, undeclared ones count as external.

    Raises
    ------
    InvalidRule
        A fault, with the path to it: an unknown field, course or badge, an
        empty group, an `at_least` that cannot hold; a file that is too deep or
        that its aliases blow up.
    RuleCycle
        Badges that feed each other, named.

    Examples
    --------
    >>> load_rules({"courses": ["c1", "c2"],
    ...             "badges": {"BOTH": {"rule": {"all_of": [{"pass": {"course": "c1"}}]}}}})
    <BadgeRules: 1 badge, 2 courses, UTC>
    >>> load_rules({"badges": {"NONE": {"rule": {"all_of": []}}}})
    Traceback (most recent call last):
        ...
    assess.errors.InvalidRule: badges.NONE.rule.all_of: an empty list of rules says nothing; name at least one
    """
    if isinstance(source, Mapping):
        return parse_rules(source)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            content = json.loads(text, object_pairs_hook=_without_duplicates)
            require_shallow(content)
        else:
            require_bounded(yaml.parse(text, Loader=_StrictLoader))
            content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader, only stricter
    except InvalidContent as fault:
        raise InvalidRule(str(fault), path=path.name) from None
    except RecursionError:
        raise InvalidRule(f"more than {DEEPEST} levels stand in one another", path=path.name) from None
    except (UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as fault:
        raise InvalidRule(
            f"not readable as UTF-8 {path.suffix.lstrip('.') or 'YAML'}: {fault}", path=path.name
        ) from fault
    if not isinstance(content, Mapping):
        raise InvalidRule("expected a mapping with `badges`", path=path.name)
    return parse_rules(content)


def rule_sentence(rules: BadgeRules, badge: str) -> str:
    """The rule of a badge as a sentence to hold against the published criterion.

    Examples
    --------
    >>> rules = load_rules({"badges": {"B": {"rule": {"all_of": [
    ...     {"pass": {"course": "c1"}}, {"pass": {"course": "c2"}}]}}}})
    >>> rule_sentence(rules, "B")
    'Pass both courses: c1, c2.'
    """
    return rule_in_words(_badge(rules, badge))


def _badge(rules: BadgeRules, badge: str) -> BadgeRule:
    if badge not in rules.badges:
        raise NotFound("badge", badge)
    return rules.badges[badge]


# --- answers ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reason:
    """The value of one predicate and the ids of the facts behind it."""

    path: str
    predicate: Mapping[str, Any]
    value: str
    code: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """One of the predicates that together stand between the subject and the badge."""

    path: str
    predicate: Mapping[str, Any]
    who: str
    action: str
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact that a reason rests on; `course` and `record_sha256` for a decision."""

    type: str
    id: str
    course: str | None = None
    badge: str | None = None
    record_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Predicates met, of those on the shortest way."""

    met: int
    of: int


@dataclass(frozen=True, slots=True, repr=False)
class Eligibility:
    """The answer about one badge and one subject, with all it rests on.

    Attributes
    ----------
    status : str
        eligible, not_eligible, undetermined, expired, retired or not_open.
    reasons : tuple of Reason
        Every predicate of the rule, in the order of the file.
    missing : tuple of Missing
        A minimal set: facts that make exactly these predicates true make the
        subject eligible. Empty unless not_eligible or undetermined.
    evidence : tuple of Evidence
        The facts that the reasons name.
    since, valid_until : datetime or None
        When the status began, None if the facts never held another; when, by
        what is known now, an eligible status will end.
    next_turn : datetime or None
        The first instant at which anything here may be another with the same
        facts; None if never.
    """

    badge: str
    subject: str
    as_of: datetime
    as_known_at: datetime | None
    status: str
    reasons: tuple[Reason, ...]
    missing: tuple[Missing, ...]
    evidence: tuple[Evidence, ...]
    sentence: str
    progress: Progress
    since: datetime | None
    valid_until: datetime | None
    rule_version: str
    next_turn: datetime | None = None

    @property
    def eligible(self) -> bool:
        return self.status == "eligible"

    def __repr__(self) -> str:
        return f"<Eligibility {self.badge} of {self.subject}: {self.status}; {self.sentence}>"

    def summary(self) -> str:
        """The whole answer as text, one line per predicate."""
        lines = [
            f"{self.badge} of {self.subject} as of {self.as_of.isoformat()}: {self.status}",
            self.sentence,
        ]
        lines += [f"  {reason.path or 'rule'}: {reason.value} ({reason.code})" for reason in self.reasons]
        lines += [f"  to do at {gap.path or 'rule'}: {gap.who} {gap.action}" for gap in self.missing]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(reason.path or 'rule')}</td><td>{reason.value}</td><td>{reason.code}</td></tr>"
            for reason in self.reasons
        )
        heading = escape(f"{self.badge} of {self.subject}: {self.status}")
        return f"<table><caption>{heading}. {escape(self.sentence)}</caption>{rows}</table>"

    def to_mapping(self) -> dict[str, Any]:
        """Plain values; times stay datetimes."""
        plain = asdict(self)
        for row in plain["evidence"]:
            for name in [name for name, value in row.items() if value is None]:
                del row[name]
        return plain


def evaluate(
    rules: BadgeRules,
    facts: Iterable[Mapping[str, Any]] | FactBook,
    *,
    badge: str,
    subject: str,
    as_of: Moment,
    as_known_at: Moment | None = None,
    accept_provisional: bool | None = None,
    begun: Mapping[str, datetime] | None = None,
) -> Eligibility:
    """Whether a subject is eligible for a badge, and why.

    Parameters
    ----------
    rules : BadgeRules
    facts : iterable of mapping, or FactBook
        In any order. A `FactBook` is checked once and can be asked about many
        badges; it must have been made for the same time zone and knowledge.
    badge, subject : str
        A fact without `s` is about the subject.
    as_of : date, datetime or str
        A day means its last instant in the programme's time zone.
    as_known_at : date, datetime or str, optional
        Leave out what was recorded later.
    accept_provisional : bool, optional
        Instead of what the rules say.
    begun : mapping, optional
        Status -> since when it holds if that is the status, where it is known from elsewhere. Else it is
        worked out from the facts, which is slow.

    Raises
    ------
    NotFound
        No such badge.
    InvalidFact
        A fact that lacks what its type must carry.

    Examples
    --------
    >>> rules = load_rules({"badges": {"B": {"rule": {"all_of": [
    ...     {"pass": {"course": "c1"}}, {"pass": {"course": "c2"}}]}}}})
    >>> facts = [{"t": "decision", "at": "2026-05-01", "course": "c1", "outcome": "pass"}]
    >>> answer = evaluate(rules, facts, badge="B", subject="p1", as_of="2026-06-01")
    >>> answer
    <Eligibility B of p1: not_eligible; 1 of 2 courses passed; still missing: c2.>
    >>> [(gap.path, gap.who, gap.action) for gap in answer.missing]
    [('all_of[1]', 'learner', 'start')]
    """
    declared = _badge(rules, badge)
    question = _question(rules, facts, subject, as_of, as_known_at, accept_provisional)
    now = question.now
    standing = evaluation.standing(declared, question)
    status, rule, question = standing.status, standing.rule, standing.question

    found = {path: evaluation.find(predicate, question) for path, predicate in rule.placed}
    outline = explanation.outline(rule, question, status)
    reasons = [
        Reason(path, predicate.declared, finding.value.word, finding.code, _ids(finding))
        for (path, predicate), finding in zip(rule.placed, found.values(), strict=True)
    ]
    evidence = [fact for finding in found.values() for fact in finding.evidence]
    if status == "eligible" and evaluation.value(rule.rule, question) is not Truth.TRUE:
        kept = evaluation.granted(rule, question)
        if kept.value is Truth.TRUE:
            own = {"held": {"badge": rule.id}}
            reasons.insert(0, Reason("", own, "true", kept.code, _ids(kept)))
            evidence = [*kept.evidence, *evidence]
    since, until, turn = _period(declared, question, status, begun or {})
    return Eligibility(
        badge=badge,
        subject=subject,
        as_of=now,
        as_known_at=None if as_known_at is None else instant(as_known_at, rules.time_zone, end=True),
        status=status,
        reasons=tuple(reasons),
        missing=tuple(
            Missing(path, predicate.declared, *explanation.next_step(predicate, found[path], question))
            for path, predicate in outline.gaps
        ),
        evidence=tuple({fact.id: _evidence(fact) for fact in evidence}.values()),
        sentence=outline.sentence,
        progress=Progress(*outline.progress),
        since=since,
        valid_until=until,
        rule_version=rule.version,
        next_turn=turn,
    )


def status_of(
    rules: BadgeRules,
    facts: Iterable[Mapping[str, Any]] | FactBook,
    *,
    badge: str,
    subject: str,
    as_of: Moment,
    as_known_at: Moment | None = None,
    accept_provisional: bool | None = None,
) -> str:
    """The status alone, for whoever asks about many subjects; the same as that of `evaluate`.

    Examples
    --------
    >>> rules = load_rules({"badges": {"B": {"rule": {"pass": {"course": "c1"}}}}})
    >>> status_of(rules, [], badge="B", subject="p1", as_of="2026-06-01")
    'not_eligible'
    """
    question = _question(rules, facts, subject, as_of, as_known_at, accept_provisional)
    return evaluation.standing(_badge(rules, badge), question).status


def _question(
    rules: BadgeRules,
    facts: Iterable[Mapping[str, Any]] | FactBook,
    subject: str,
    as_of: Moment,
    as_known_at: Moment | None,
    accept_provisional: bool | None,
) -> Question:
    now = instant(as_of, rules.time_zone, end=True)
    book = facts
    if not isinstance(book, FactBook):
        book = FactBook(book, subject=subject, time_zone=rules.time_zone, as_known_at=as_known_at)
    accept = rules.accept_provisional if accept_provisional is None else accept_provisional
    return Question(rules, book, subject, now, now, accept)


def _ids(finding: Finding) -> tuple[str, ...]:
    return tuple([fact.id for fact in finding.evidence])


def _evidence(fact: Fact) -> Evidence:
    course, badge, record = map(fact.properties.get, ("course", "badge", "record_sha256"))
    return Evidence(
        fact.type,
        fact.id,
        str(course) if course else None,
        str(badge) if badge else None,
        str(record) if record else None,
    )


def _period(
    rule: BadgeRule, question: Question, status: str, begun: Mapping[str, datetime]
) -> tuple[datetime | None, datetime | None, datetime | None]:
    """Since when the status holds, until when an eligible one will, and when anything may change at all."""

    def status_at(now: datetime) -> str:
        asked = Question(
            question.rules, question.book, question.subject, now, now, question.accept_provisional
        )
        return evaluation.standing(rule, asked).status

    turns = turning_points(rule, question)
    since = begun.get(status)
    if since is None and not explanation.is_bounded(rule):
        since = explanation.last_turn(rule, question)
    elif since is None:
        past = reversed([turn for turn in turns if turn <= question.now])
        since = next((turn for turn in past if status_at(turn - _TICK) != status), None)
    coming = [turn for turn in turns if question.now < turn < LAST]
    following = coming[0] if coming else None
    if status == "eligible":
        for turn in coming:
            if status_at(turn) != "eligible":
                last = turn - _TICK
                whole = last.replace(microsecond=0) if last.microsecond == 999_999 else last
                return since, whole, following
    return since, None, following
