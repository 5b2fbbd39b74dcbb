"""A file of badge rules: courses, badges, time zone, and no circles.

The file is `programme.yaml` of a programme, or a plain list of badges. With a
list of courses it is closed: a rule may name only the courses and badges that
are declared. Without one its courses and foreign badges count as external.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assess.errors import InvalidRule, RuleCycle
from assess.standards.grammar import (
    Members,
    Names,
    Pass,
    Rule,
    RuleParser,
    badges_named,
    predicates,
    read_text,
    refuse_unknown,
)

SUBJECTS = ("person", "student", "school")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Course:
    """A course that rules may speak of; `assessed` is "here" or "external"."""

    id: str
    title: str = ""
    assessed: str = "external"


@dataclass(frozen=True, slots=True)
class BadgeRule:
    """One badge: who can have it, by which rule, and when.

    `criterion` is what was published, in our paraphrase or abridged, `source`
    where, and `reading` how we understood it.
    """

    id: str
    rule: Rule
    title: str = ""
    subject: str = "person"
    version: str = "1"
    starts_on: date | None = None
    retired_on: date | None = None
    valid_until: date | None = None
    criterion: str = ""
    source: str = ""
    reading: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class BadgeRules:
    """The badge rules of a programme, checked.

    Examples
    --------
    >>> parse_rules({"badges": [{"id": "B", "rule": {"pass": {"course": "c"}}}]})
    <BadgeRules: 1 badge, 1 course, UTC>
    """

    badges: Mapping[str, BadgeRule]
    courses: Mapping[str, Course]
    time_zone: tzinfo = UTC
    accept_provisional: bool = False

    def __repr__(self) -> str:
        def number(n: int, word: str) -> str:
            return f"{n} {word}" if n == 1 else f"{n} {word}s"

        badges, courses = number(len(self.badges), "badge"), number(len(self.courses), "course")
        return f"<BadgeRules: {badges}, {courses}, {self.time_zone}>"


_FILE_KEYS = (
    "schema", "id", "version", "title", "description", "notes", "source", "licence", "languages",
    "frameworks", "policies", "on_loss", "time_zone", "accept_provisional",
    "courses", "external_badges", "badges", "placement",
)  # fmt: skip
_BADGE_KEYS = (
    "id", "version", "title", "description", "subject", "rule", "starts_on", "retired_on", "valid_until",
    "criterion", "published_criterion", "criterion_source", "reading", "alignments", "image",
)  # fmt: skip


def parse_rules(mapping: Mapping[str, Any]) -> BadgeRules:
    """Badge rules from a plain mapping; see `eligibility.load_rules`."""
    refuse_unknown(mapping, _FILE_KEYS, "")
    policies = mapping.get("policies")
    if isinstance(policies, Mapping) and "accept_provisional" in policies:
        raise InvalidRule(
            "state it beside `courses` and `badges`, not below policies", path="policies.accept_provisional"
        )
    accept = mapping.get("accept_provisional", False)
    if not isinstance(accept, bool):
        raise InvalidRule(f"{accept!r} is neither true nor false", path="accept_provisional")
    declared = list(_named_entries(mapping.get("badges"), "badges"))
    external = mapping.get("external_badges", [])
    if isinstance(external, str) or not isinstance(external, Sequence):
        raise InvalidRule("list the ids of badges of other programmes", path="external_badges")
    closed = "courses" in mapping
    courses = _courses(mapping["courses"]) if closed else {}
    names = Names(
        courses=frozenset(courses) if closed else None,
        badges=frozenset([*(id_ for id_, _, _ in declared), *map(str, external)]) if closed else None,
    )
    badges: dict[str, BadgeRule] = {}
    for id_, entry, path in declared:
        if id_ in badges:
            raise InvalidRule(f"badge {id_!r} is declared twice", path=path)
        badges[id_] = _badge(id_, entry, path, names)
    _refuse_cycles(badges)
    if not closed:
        spoken_of = {p.course for b in badges.values() for p in _passes(b.rule)}
        courses = {course: Course(course) for course in sorted(spoken_of)}
    return BadgeRules(badges, courses, _time_zone(mapping.get("time_zone", "UTC")), accept)


def _passes(rule: Rule) -> Iterator[Pass]:
    for _, predicate in predicates(rule):
        if isinstance(predicate, Pass):
            yield predicate
        elif isinstance(predicate, Members):
            yield from _passes(predicate.satisfy)


def _time_zone(name: object) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRule(
            f"{name!r} is not a time zone; use a name such as Africa/Nairobi", path="time_zone"
        ) from None


def _named_entries(value: object, path: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Entries of a list with ids, or of a mapping by id, with the path of each."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            inner = {} if entry is None else entry
            if not isinstance(inner, Mapping):
                raise InvalidRule("expected a mapping", path=f"{path}.{key}")
            if str(inner.get("id", key)) != str(key):
                raise InvalidRule(f"the id {inner['id']!r} differs from the key", path=f"{path}.{key}.id")
            yield str(key), inner, f"{path}.{key}"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, entry in enumerate(value):
            entry = {"id": entry} if isinstance(entry, str) and path == "courses" else entry
            if not isinstance(entry, Mapping):
                raise InvalidRule("expected a mapping", path=f"{path}[{index}]")
            id_ = read_text(entry, "id", f"{path}[{index}]")
            yield id_, entry, f"{path}.{id_}"
    else:
        raise InvalidRule("expected a list of entries with an id, or a mapping by id", path=path)


def _courses(value: object) -> dict[str, Course]:
    courses: dict[str, Course] = {}
    for id_, entry, path in _named_entries(value, "courses"):
        if id_ in courses:
            raise InvalidRule(f"course {id_!r} is declared twice", path=path)
        assessed = entry.get("assessed", "external")
        if assessed not in ("here", "external"):
            raise InvalidRule(f"{assessed!r} is neither here nor external", path=f"{path}.assessed")
        courses[id_] = Course(id_, _title(entry), assessed)
    return courses


def _title(entry: Mapping[str, Any]) -> str:
    title = entry.get("title", "")
    return str(next(iter(title.values()), "")) if isinstance(title, Mapping) else str(title or "")


def _badge(id_: str, entry: Mapping[str, Any], path: str, names: Names) -> BadgeRule:
    refuse_unknown(entry, _BADGE_KEYS, path)
    subject = entry.get("subject", "person")
    if subject not in SUBJECTS:
        raise InvalidRule(f"{subject!r} is not one of {', '.join(SUBJECTS)}", path=f"{path}.subject")
    if "rule" not in entry:
        raise InvalidRule(
            "a badge needs a rule; write {undefined: {reason: ...}} if none is known", path=path
        )
    starts, retired, valid = (_day(entry, key, path) for key in ("starts_on", "retired_on", "valid_until"))
    for key, end in (("retired_on", retired), ("valid_until", valid)):
        if starts is not None and end is not None and end < starts:
            raise InvalidRule(f"{end} lies before starts_on {starts}", path=f"{path}.{key}")
    return BadgeRule(
        id=id_,
        rule=RuleParser(names, subject).rule(entry["rule"], f"{path}.rule"),
        title=_title(entry),
        subject=subject,
        version=str(entry.get("version", "1")),
        starts_on=starts,
        retired_on=retired,
        valid_until=valid,
        criterion=str(entry.get("criterion") or entry.get("published_criterion") or ""),
        source=str(entry.get("criterion_source") or ""),
        reading=str(entry.get("reading") or ""),
    )


def _day(entry: Mapping[str, Any], key: str, path: str) -> date | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise InvalidRule(f"{value!r} is not a day such as 2014-12-31", path=f"{path}.{key}")


def _refuse_cycles(badges: Mapping[str, BadgeRule]) -> None:
    """Depth-first search without recursion: a chain of badges may be long."""
    finished: set[str] = set()
    for start in badges:
        trail: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [(start, badges_named(badges[start].rule))]
        trail.append(start)
        while stack:
            badge, feeding = stack[-1]
            following = next((b for b in feeding if b in badges and b not in finished), None)
            if following is None:
                finished.add(badge)
                stack.pop()
                trail.pop()
            elif following in trail:
                circle = [*trail[trail.index(following) :], following]
                raise RuleCycle(
                    f"badges feed each other in a circle: {' -> '.join(circle)}",
                    path=f"badges.{following}.rule",
                )
            else:
                stack.append((following, badges_named(badges[following].rule)))
                trail.append(following)
