"""The language of badge rules: what can be said, and what is refused when it is read.

A rule is a group (`AllOf`, `AnyOf`, `AtLeast`) of rules, or a predicate about
one subject. There is no negation, so that evidence can only help, and the set
of things still missing is well defined. Everything that could make a rule
vacuously true, or never true by mistake, is refused here with its path.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assess.errors import InvalidRule
from assess.standards.periods import Period, read_period

# A file can nest rules without end through YAML aliases; nobody can read one of this depth.
_DEEPEST = 32

# Facts that have a predicate of their own; `fact` would bypass what that predicate knows (which decision is
# current, which award is active, who may judge).
_OWN_PREDICATE = {
    "decision": "pass",
    "award": "held",
    "invitation": "invited",
    "application": "application",
    "judgement": "judgement",
    "points": "points",
    "membership": "members",
}
ASSURANCES = ("unsupervised", "supervised", "proctored")
"""How sure it is who answered, the least sure first."""
RESERVED = ("t", "s", "at", "until", "void_at", "recorded_at", "void_recorded_at")
"""Fields that every fact may have; they are not properties that a rule can ask for."""


# Made once: `json.dumps` with options makes an encoder for every call. Most values are texts.
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=str).encode
_quoted = json.encoder.encode_basestring


def token(value: object) -> str:
    """A JSON value as text, so that equal values, and only they, are equal.

    Python holds ``True == 1``; a requirement number 1 is not a yes.

    Examples
    --------
    >>> token(1) == token(1.0), token(1) == token(True), token(1) == token("1")
    (True, False, False)
    """
    if type(value) is str:
        return _quoted(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _encode(value)


def label(value: object) -> str:
    """A cohort or intake as text: 2014 and "2014" name the same cohort."""
    return value if isinstance(value, str) else token(value)


# --- predicates and groups -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Predicate:
    """A leaf of a rule; `declared` is what the file says, for explanations."""

    declared: Mapping[str, Any] = field(compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Pass(Predicate):
    """The current decision on the course is a pass, made under at least this assurance.

    `level` names one of several cuts of the course; None is the one that the
    course itself is passed by. `not_older_than` counts from the day of the test.
    """

    course: str
    assurance: str = ASSURANCES[0]
    level: str | None = None
    not_older_than: Period | None = None


@dataclass(frozen=True, slots=True)
class HasFact(Predicate):
    """`count` distinct facts of a type, each of which carries all properties itself."""

    type: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    count: int = 1
    distinct_by: tuple[str, ...] = ()

    def matches(self, tokens: Mapping[str, str]) -> bool:
        """Whether a fact of the type, with these properties as tokens, carries all that is asked for."""
        return all(tokens.get(name) in wanted for name, wanted in self.where)

    def may_share(self, other: HasFact) -> bool:
        """Whether a fact may carry what this one asks for and what another one does, too."""
        where = dict(other.where)
        return self.type == other.type and all(
            not set(wanted).isdisjoint(where.get(name, wanted)) for name, wanted in self.where
        )


@dataclass(frozen=True, slots=True)
class Held(Predicate):
    """The badge is active, or was ever held, if asked for some years in a row."""

    badge: str
    status: str = "active"
    for_years: int = 0


@dataclass(frozen=True, slots=True)
class Invited(Predicate):
    """An invitation to the programme, of one of the cohorts if any are named, was accepted."""

    program: str
    cohort: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Application(Predicate):
    """An application to the programme was accepted; unknown while undecided."""

    program: str
    cohort: tuple[str, ...] = ()
    intake: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement(Predicate):
    """Somebody with one of the roles answered yes; unknown until one of them has answered."""

    q: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Points(Predicate):
    """The sum over distinct activity keys of a ledger."""

    ledger: str
    at_least: float


@dataclass(frozen=True, slots=True)
class Members(Predicate):
    """That many member educators of a school satisfy a rule."""

    at_least: int
    satisfy: Rule


@dataclass(frozen=True, slots=True)
class Undefined(Predicate):
    """No criterion is known: never true, never false."""

    reason: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every rule holds."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one rule holds."""

    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """At least n different rules hold."""

    n: int
    rules: tuple[Rule, ...]


Rule = AllOf | AnyOf | AtLeast | Predicate


def children(rule: Rule, path: str = "") -> Iterator[tuple[str, Rule]]:
    """The rules of a group with their paths; nothing for a predicate.

    Examples
    --------
    >>> [path for path, _ in children(AtLeast(1, (AllOf(()), AnyOf(()))), "any_of[1]")]
    ['any_of[1].at_least.of[0]', 'any_of[1].at_least.of[1]']
    """
    match rule:
        case AllOf():
            name = "all_of"
        case AnyOf():
            name = "any_of"
        case AtLeast():
            name = "at_least.of"
        case _:
            return
    prefix = f"{path}.{name}" if path else name
    for index, inner in enumerate(rule.rules):
        yield f"{prefix}[{index}]", inner


def predicates(rule: Rule, path: str = "") -> Iterator[tuple[str, Predicate]]:
    """The predicates of a rule in the order of the file, with their paths."""
    if isinstance(rule, Predicate):
        yield path, rule
    for inner_path, inner in children(rule, path):
        yield from predicates(inner, inner_path)


def badges_named(rule: Rule) -> Iterator[str]:
    """The badges that feed a rule, through members too."""
    for _, predicate in predicates(rule):
        if isinstance(predicate, Held):
            yield predicate.badge
        elif isinstance(predicate, Members):
            yield from badges_named(predicate.satisfy)


def judgements(rule: Rule) -> Iterator[Judgement]:
    """The judgements that a rule asks for, of members too.

    Examples
    --------
    >>> asked = Judgement("well done", ("mentor",), declared={})
    >>> [found.q for found in judgements(AllOf((asked, Members(1, asked, declared={}))))]
    ['well done', 'well done']
    """
    for _, predicate in predicates(rule):
        if isinstance(predicate, Judgement):
            yield predicate
        elif isinstance(predicate, Members):
            yield from judgements(predicate.satisfy)


# --- one rule --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Names:
    """The courses and badges a rule may name; None accepts any as external.

    `levels` are those of the courses that list theirs.
    """

    courses: frozenset[str] | None
    badges: frozenset[str] | None
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def refuse_unknown(entry: Mapping[str, Any], allowed: Sequence[str], path: str) -> None:
    """Refuse a field that the language does not know, with the nearest that it does."""
    for key in entry:
        if key not in allowed:
            near = difflib.get_close_matches(str(key), allowed, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known here: {', '.join(allowed)}"
            raise InvalidRule(f"unknown field {key!r}{hint}", path=f"{path}.{key}" if path else str(key))


def read_text(entry: Mapping[str, Any], key: str, path: str) -> str:
    """A field that must be a non-empty text."""
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InvalidRule(
            f"expected text, got {value!r}; quote it if it looks like a number", path=f"{path}.{key}"
        )
    return value


def read_whole(entry: Mapping[str, Any], key: str, path: str, default: int | None = None) -> int:
    """A field that must be a whole number of 1 or more."""
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRule(f"{value!r} is not a whole number of 1 or more", path=f"{path}.{key}")
    return value


def _several(value: object, path: str, as_text: Callable[[object], str]) -> tuple[str, ...]:
    """A scalar or a non-empty list of scalars, as texts."""
    values = value if isinstance(value, list | tuple) else [value]
    if not values:
        raise InvalidRule("an empty list matches nothing; name at least one value", path=path)
    for inner in values:
        if isinstance(inner, Mapping | list | tuple):
            raise InvalidRule(f"{inner!r} is not a single value", path=path)
    return tuple(dict.fromkeys(as_text(inner) for inner in values))


class RuleParser:
    """Rules of one badge; every fault carries the path to it."""

    def __init__(self, names: Names, subject: str) -> None:
        self._names = names
        self._subject = subject
        self._kinds: dict[str, Callable[[Mapping[str, Any], str], Predicate]] = {
            "pass": self._pass,
            "fact": self._fact,
            "held": self._held,
            "invited": self._invited,
            "application": self._application,
            "judgement": self._judgement,
            "points": self._points,
            "members": self._members,
            "undefined": self._undefined,
        }

    def rule(self, value: object, path: str, depth: int = 0) -> Rule:
        if depth > _DEEPEST:
            raise InvalidRule(f"rules are nested deeper than {_DEEPEST}", path=path)
        if not isinstance(value, Mapping) or len(value) != 1:
            raise InvalidRule(f"a rule is a mapping with exactly one of {self._vocabulary()}", path=path)
        ((kind, body),) = value.items()
        here = f"{path}.{kind}"
        if kind in ("all_of", "any_of"):
            rules = self._rules(body, here, depth)
            return AllOf(rules) if kind == "all_of" else AnyOf(rules)
        if kind not in (*self._kinds, "at_least"):
            near = difflib.get_close_matches(str(kind), [*self._kinds, "all_of", "any_of", "at_least"], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"say one of {self._vocabulary()}"
            raise InvalidRule(f"unknown kind of rule {kind!r}; {hint}", path=here)
        if not isinstance(body, Mapping):
            raise InvalidRule("expected a mapping", path=here)
        if kind == "at_least":
            return self._at_least(body, here, depth)
        return self._kinds[kind](body, here)

    def _vocabulary(self) -> str:
        return ", ".join(("all_of", "any_of", "at_least", *self._kinds))

    def _rules(self, body: object, path: str, depth: int) -> tuple[Rule, ...]:
        if isinstance(body, str) or not isinstance(body, Sequence):
            raise InvalidRule("expected a list of rules", path=path)
        if not body:
            raise InvalidRule("an empty list of rules says nothing; name at least one", path=path)
        return tuple(self.rule(inner, f"{path}[{index}]", depth + 1) for index, inner in enumerate(body))

    def _at_least(self, body: Mapping[str, Any], path: str, depth: int) -> AtLeast:
        refuse_unknown(body, ("n", "of"), path)
        n = read_whole(body, "n", path)
        rules = self._rules(body.get("of"), f"{path}.of", depth)
        # The same rule twice is one rule: nobody earns two things by one.
        different = len(set(rules))
        if n > different:
            raise InvalidRule(f"{n} of {different} different rules can never hold", path=f"{path}.n")
        return AtLeast(n, rules)

    def _known(self, name: str, kind: str, names: frozenset[str] | None, path: str) -> None:
        if names is None or name in names:
            return
        near = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"declare it under {kind}s"
        if kind == "badge" and not near:
            hint = "declare it under badges, or under external_badges"
        raise InvalidRule(f"unknown {kind} {name!r}; {hint}", path=path)

    def _pass(self, body: Mapping[str, Any], path: str) -> Pass:
        refuse_unknown(body, ("course", "level", "assurance", "not_older_than"), path)
        course = read_text(body, "course", path)
        self._known(course, "course", self._names.courses, f"{path}.course")
        assurance = body.get("assurance", ASSURANCES[0])
        if assurance not in ASSURANCES:
            raise InvalidRule(
                f"{assurance!r} is not one of {', '.join(ASSURANCES)}", path=f"{path}.assurance"
            )
        level = read_text(body, "level", path) if "level" in body else None
        levels = self._names.levels.get(course)
        if level is not None and levels is not None and level not in levels:
            raise InvalidRule(
                f"course {course!r} has no level {level!r}; it lists {', '.join(levels)}",
                path=f"{path}.level",
            )
        age = (
            read_period(body["not_older_than"], f"{path}.not_older_than")
            if "not_older_than" in body
            else None
        )
        return Pass(course, assurance, level, age, declared={"pass": dict(body)})

    def _fact(self, body: Mapping[str, Any], path: str) -> HasFact:
        refuse_unknown(body, ("type", "where", "count", "distinct_by"), path)
        type_ = read_text(body, "type", path)
        if type_ in _OWN_PREDICATE:
            raise InvalidRule(
                f"facts of type {type_!r} are asked for by {_OWN_PREDICATE[type_]!r}", path=f"{path}.type"
            )
        where = body.get("where", {})
        if not isinstance(where, Mapping):
            raise InvalidRule("expected a mapping of properties", path=f"{path}.where")
        for name in where:
            if not isinstance(name, str) or name in RESERVED:
                raise InvalidRule(f"{name!r} is not a property of a fact", path=f"{path}.where.{name}")
        wanted = {name: _several(value, f"{path}.where.{name}", token) for name, value in where.items()}
        count = read_whole(body, "count", path, 1)
        distinct_by = self._distinct_by(body["distinct_by"], path) if "distinct_by" in body else ()
        if distinct_by and all(name in wanted for name in distinct_by):
            possible = math.prod(len(wanted[name]) for name in distinct_by)
            if possible < count:
                raise InvalidRule(
                    f"`where` leaves {possible} different values of {', '.join(distinct_by)}, not {count}",
                    path=f"{path}.count",
                )
        return HasFact(
            type_, tuple(sorted(wanted.items())), count, distinct_by, declared={"fact": dict(body)}
        )

    @staticmethod
    def _distinct_by(given: object, path: str) -> tuple[str, ...]:
        names = tuple(given) if isinstance(given, list | tuple) else (given,)
        if not names or not all(isinstance(name, str) and name for name in names):
            raise InvalidRule(
                "name the property, or properties, that tell facts apart", path=f"{path}.distinct_by"
            )
        return names

    def _held(self, body: Mapping[str, Any], path: str) -> Held:
        refuse_unknown(body, ("badge", "status", "for_years"), path)
        badge = read_text(body, "badge", path)
        self._known(badge, "badge", self._names.badges, f"{path}.badge")
        status = body.get("status", "active")
        if status not in ("active", "ever"):
            raise InvalidRule(f"{status!r} is neither active nor ever", path=f"{path}.status")
        years = read_whole(body, "for_years", path) if "for_years" in body else 0
        return Held(badge, status, years, declared={"held": dict(body)})

    def _invited(self, body: Mapping[str, Any], path: str) -> Invited:
        refuse_unknown(body, ("program", "cohort"), path)
        return Invited(
            read_text(body, "program", path),
            self._labels(body, "cohort", path),
            declared={"invited": dict(body)},
        )

    def _application(self, body: Mapping[str, Any], path: str) -> Application:
        refuse_unknown(body, ("program", "cohort", "intake"), path)
        return Application(
            read_text(body, "program", path),
            self._labels(body, "cohort", path),
            self._labels(body, "intake", path),
            declared={"application": dict(body)},
        )

    @staticmethod
    def _labels(body: Mapping[str, Any], key: str, path: str) -> tuple[str, ...]:
        return _several(body[key], f"{path}.{key}", label) if key in body else ()

    def _judgement(self, body: Mapping[str, Any], path: str) -> Judgement:
        refuse_unknown(body, ("q", "by"), path)
        by = body.get("by")
        if isinstance(by, str) or not isinstance(by, Sequence) or not by:
            raise InvalidRule("list the roles that may answer", path=f"{path}.by")
        roles = tuple(read_text({"by": role}, "by", path) for role in by)
        return Judgement(read_text(body, "q", path), roles, declared={"judgement": dict(body)})

    def _points(self, body: Mapping[str, Any], path: str) -> Points:
        refuse_unknown(body, ("ledger", "at_least"), path)
        wanted = body.get("at_least")
        if isinstance(wanted, bool) or not isinstance(wanted, int | float) or not 0 < wanted < math.inf:
            raise InvalidRule(f"{wanted!r} is not a positive number of points", path=f"{path}.at_least")
        return Points(read_text(body, "ledger", path), wanted, declared={"points": dict(body)})

    def _members(self, body: Mapping[str, Any], path: str) -> Members:
        refuse_unknown(body, ("at_least", "satisfy"), path)
        if self._subject != "school":
            raise InvalidRule(f"a {self._subject} has no members; `members` is for schools", path=path)
        satisfy = RuleParser(self._names, "person").rule(body.get("satisfy"), f"{path}.satisfy")
        return Members(read_whole(body, "at_least", path), satisfy, declared={"members": dict(body)})

    def _undefined(self, body: Mapping[str, Any], path: str) -> Undefined:
        refuse_unknown(body, ("reason",), path)
        return Undefined(read_text(body, "reason", path), declared={"undefined": dict(body)})
