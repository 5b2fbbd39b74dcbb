"""A file of badge rules: courses, badges, time zone, and no circles.

The file is `programme.yaml` of a programme, or a plain list of badges. With a
list of courses it is closed: a rule may name only the courses and badges that
are declared. Without one its courses and foreign badges count as external.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from assess.errors import InvalidRule, RuleCycle
from assess.standards.facts import FIRST, LAST, first_instant, last_instant
from assess.standards.grammar import (
    AllOf,
    Members,
    Names,
    Pass,
    Predicate,
    Rule,
    RuleParser,
    badges_named,
    predicates,
    read_text,
    refuse_unknown,
)
from assess.standards.periods import Period, read_period

SUBJECTS = ("person", "student", "school")
ON_LOSS = ("keep", "suspend", "withdraw")
# Each badge below is asked within the one above; nobody builds a ladder of this height on purpose.
_HIGHEST = 64
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Course:
    """A course that rules may speak of; `assessed` is "here" or "external".

    `levels` are the cuts of a course that has several, the one by which the
    course itself is passed first. A pass ages from the day of the test and is
    good for `valid_for`; from `renew_from` before its end it may be renewed.
    """

    id: str
    title: str = ""
    assessed: str = "external"
    levels: tuple[str, ...] = ()
    valid_for: Period | None = None
    renew_from: Period | None = None


@dataclass(frozen=True, slots=True)
class BadgeRule:
    """One badge: who can have it, by which rule, and when.

    `criterion` is what was published, in our paraphrase or abridged, `source`
    where, and `reading` how we understood it. `valid_for` is how long an award
    of it lasts that states no end.

    `earlier` are the versions before this one, the newest first, each retired
    on the day on which the next begins: who met one while it was in force may
    still claim under it. `extends` is the badge, and its version, whose rule
    this one inherits and adds to.
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
    valid_for: Period | None = None
    effective_from: date | None = None
    claims_until: date | None = None
    earlier: tuple[BadgeRule, ...] = ()
    extends: tuple[str, str] | None = None
    image: str = ""
    # The predicates with their paths, and what follows from their values alone; see `explanation`.
    memory: dict[Any, Any] = field(init=False, default_factory=dict, compare=False, repr=False)

    @property
    def versions(self) -> tuple[BadgeRule, ...]:
        """The version itself and the earlier ones, the newest first."""
        return (self, *self.earlier)

    @property
    def placed(self) -> tuple[tuple[str, Predicate], ...]:
        """The predicates of the rule with their paths, in the order of the file."""
        found: tuple[tuple[str, Predicate], ...] | None = self.memory.get("placed")
        if found is None:
            found = self.memory["placed"] = tuple(predicates(self.rule))
        return found

    def bounds(self, time_zone: tzinfo) -> tuple[datetime, datetime, datetime]:
        """First instant open, last instant valid, first instant retired."""
        return (
            FIRST if self.starts_on is None else first_instant(self.starts_on, time_zone),
            LAST if self.valid_until is None else last_instant(self.valid_until, time_zone),
            LAST if self.retired_on is None else first_instant(self.retired_on, time_zone),
        )


@dataclass(frozen=True, slots=True, repr=False)
class BadgeRules:
    """The badge rules of a programme, checked.

    `on_loss` is what becomes of an award whose rule is not met any more: kept,
    suspended or withdrawn; only a kept one still counts for a badge above it.

    Examples
    --------
    >>> parse_rules({"badges": [{"id": "B", "rule": {"pass": {"course": "c"}}}]})
    <BadgeRules: 1 badge, 1 course, UTC>
    """

    badges: Mapping[str, BadgeRule]
    courses: Mapping[str, Course]
    time_zone: tzinfo = UTC
    accept_provisional: bool = False
    on_loss: str = "keep"
    # Which facts each badge looks at, gathered when it is first asked; see `turning`.
    interests: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __repr__(self) -> str:
        def number(n: int, word: str) -> str:
            return f"{n} {word}" if n == 1 else f"{n} {word}s"

        badges, courses = number(len(self.badges), "badge"), number(len(self.courses), "course")
        return f"<BadgeRules: {badges}, {courses}, {self.time_zone}>"


# Without https only on one's own machine, to try things out.
_ADDRESS = re.compile(
    r"(https://[\w.-]+|http://(localhost|127\.0\.0\.1))(:\d{1,5})?(/[\x21\x24-\x3b=\x3f-\x7e]*)?"
)
_FILE_KEYS = (
    "schema", "id", "version", "title", "description", "notes", "source", "licence", "languages",
    "frameworks", "policies", "on_loss", "time_zone", "accept_provisional",
    "courses", "external_badges", "parents", "badges", "claim_url", "placement",
)  # fmt: skip
_BADGE_KEYS = (
    "id", "version", "title", "description", "subject", "rule", "starts_on", "retired_on", "valid_until",
    "criterion", "published_criterion", "criterion_source", "reading", "alignments", "image", "claim_url",
    "valid_for", "effective_from", "earlier", "extends",
)  # fmt: skip
_EARLIER_KEYS = (
    "version", "rule", "effective_from", "claims_until",
    "criterion", "published_criterion", "criterion_source", "reading",
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
    _claim_url(mapping, "")
    declared = list(_named_entries(mapping.get("badges"), "badges"))
    external = mapping.get("external_badges", [])
    if isinstance(external, str) or not isinstance(external, Sequence):
        raise InvalidRule("list the ids of badges of other programmes", path="external_badges")
    closed = "courses" in mapping
    on_loss = mapping.get("on_loss", "suspend" if closed else "keep")
    if on_loss not in ON_LOSS:
        raise InvalidRule(f"{on_loss!r} is not one of {', '.join(ON_LOSS)}", path="on_loss")
    courses = _courses(mapping["courses"]) if closed else {}
    names = Names(
        courses=frozenset(courses) if closed else None,
        badges=frozenset([*(id_ for id_, _, _ in declared), *map(str, external)]) if closed else None,
        levels={course.id: course.levels for course in courses.values() if course.levels},
    )
    # A parent of another programme stands here as it was pinned; its courses are that programme's.
    parents = {
        id_: _badge(id_, entry, path, Names(None, None), {})
        for id_, entry, path in _named_entries(mapping.get("parents", ()), "parents")
    }
    badges = _badges(declared, names, parents)
    _refuse_cycles(badges)
    if on_loss != "keep":
        _refuse_towers(badges)
    if not closed:
        spoken_of = {p.course for b in badges.values() for v in b.versions for p in _passes(v.rule)}
        courses = {course: Course(course) for course in sorted(spoken_of)}
    zone = _time_zone(mapping.get("time_zone", "UTC"))
    return BadgeRules(badges, courses, zone, accept, str(on_loss))


def _badges(
    declared: list[tuple[str, Mapping[str, Any], str]], names: Names, parents: Mapping[str, BadgeRule]
) -> dict[str, BadgeRule]:
    """All badges; one that extends another comes after it, wherever it stands in the file."""
    known: dict[str, BadgeRule] = dict(parents)
    waiting: dict[str, tuple[Mapping[str, Any], str]] = {}
    for id_, entry, path in declared:
        if id_ in waiting:
            raise InvalidRule(f"badge {id_!r} is declared twice", path=path)
        waiting[id_] = (entry, path)
    order = list(waiting)
    while waiting:
        ready = [id_ for id_, (entry, _) in waiting.items() if _parent(entry) not in waiting]
        for id_ in ready:
            entry, path = waiting.pop(id_)
            known[id_] = _badge(id_, entry, path, names, known)
        if not ready:
            trail = [next(iter(waiting))]
            while trail[-1] not in trail[:-1]:
                trail.append(str(_parent(waiting[trail[-1]][0])))
            circle = trail[trail.index(trail[-1]) :]
            raise RuleCycle(
                f"badges extend each other in a circle: {' -> '.join(circle)}",
                path=f"badges.{circle[0]}.extends",
            )
    return {id_: known[id_] for id_ in order}


def _parent(entry: Mapping[str, Any]) -> object:
    extends = entry.get("extends")
    return extends.get("badge") if isinstance(extends, Mapping) else None


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
        levels = entry.get("levels", ())
        if isinstance(levels, str) or not isinstance(levels, Sequence) or len(set(levels)) != len(levels):
            raise InvalidRule("list the levels, each once, the lowest first", path=f"{path}.levels")
        valid_for, renew_from = (
            read_period(entry[key], f"{path}.{key}") if key in entry else None
            for key in ("valid_for", "renew_from")
        )
        if renew_from is not None and valid_for is None:
            raise InvalidRule(
                "only a pass that ends can be renewed; add valid_for", path=f"{path}.renew_from"
            )
        courses[id_] = Course(id_, _title(entry), assessed, tuple(map(str, levels)), valid_for, renew_from)
    return courses


def _title(entry: Mapping[str, Any]) -> str:
    title = entry.get("title", "")
    return str(next(iter(title.values()), "")) if isinstance(title, Mapping) else str(title or "")


def _badge(
    id_: str, entry: Mapping[str, Any], path: str, names: Names, known: Mapping[str, BadgeRule]
) -> BadgeRule:
    refuse_unknown(entry, _BADGE_KEYS, path)
    _claim_url(entry, f"{path}.")
    subject = entry.get("subject", "person")
    if subject not in SUBJECTS:
        raise InvalidRule(f"{subject!r} is not one of {', '.join(SUBJECTS)}", path=f"{path}.subject")
    extends, rule = _rule(entry, path, names, subject, known)
    starts, retired, valid = (_day(entry, key, path) for key in ("starts_on", "retired_on", "valid_until"))
    for key, end in (("retired_on", retired), ("valid_until", valid)):
        if starts is not None and end is not None and end < starts:
            raise InvalidRule(f"{end} lies before starts_on {starts}", path=f"{path}.{key}")
    badge = BadgeRule(
        id=id_,
        rule=rule,
        title=_title(entry),
        subject=subject,
        version=str(entry.get("version", "1")),
        starts_on=starts,
        retired_on=retired,
        valid_until=valid,
        valid_for=read_period(entry["valid_for"], f"{path}.valid_for") if "valid_for" in entry else None,
        effective_from=_day(entry, "effective_from", path),
        extends=extends,
        image=str(entry.get("image") or ""),
    )
    badge = _with_criterion(badge, entry)
    return replace(badge, earlier=_earlier(badge, entry, path, names))


def _with_criterion(badge: BadgeRule, entry: Mapping[str, Any]) -> BadgeRule:
    return replace(
        badge,
        criterion=str(entry.get("criterion") or entry.get("published_criterion") or ""),
        source=str(entry.get("criterion_source") or ""),
        reading=str(entry.get("reading") or ""),
    )


def _rule(
    entry: Mapping[str, Any], path: str, names: Names, subject: str, known: Mapping[str, BadgeRule]
) -> tuple[tuple[str, str] | None, Rule]:
    """The rule of a badge, with what it inherits from a pinned version of another."""
    own = RuleParser(names, subject).rule(entry["rule"], f"{path}.rule") if "rule" in entry else None
    if "extends" not in entry:
        if own is None:
            raise InvalidRule(
                "a badge needs a rule; write {undefined: {reason: ...}} if none is known", path=path
            )
        return None, own
    here = f"{path}.extends"
    extends = entry["extends"]
    if not isinstance(extends, Mapping):
        raise InvalidRule("expected {badge: ..., version: ...}", path=here)
    refuse_unknown(extends, ("badge", "version"), here)
    parent_id = read_text(extends, "badge", here)
    parent = known.get(parent_id)
    if parent is None:
        raise InvalidRule(
            f"unknown badge {parent_id!r}; declare it under badges, or under parents as it is pinned",
            path=f"{here}.badge",
        )
    versions = {version.version: version for version in parent.versions}
    version = extends.get("version")
    if not isinstance(version, str) or version not in versions:
        raise InvalidRule(
            f"{version!r} is no version of {parent_id}; pin one of {', '.join(map(repr, versions))}",
            path=f"{here}.version",
        )
    if parent.subject != subject:
        raise InvalidRule(f"{parent_id} is about a {parent.subject}, this badge about a {subject}", path=here)
    inherited = versions[version].rule
    return (parent_id, version), inherited if own is None else AllOf((inherited, own))


def _earlier(badge: BadgeRule, entry: Mapping[str, Any], path: str, names: Names) -> tuple[BadgeRule, ...]:
    """The versions before, each in force until the day on which the next one begins."""
    listed = entry.get("earlier", ())
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise InvalidRule("list the earlier versions, the newest first", path=f"{path}.earlier")
    versions = [badge]
    for index, one in enumerate(listed):
        here, newer = f"{path}.earlier[{index}]", versions[-1]
        if not isinstance(one, Mapping):
            raise InvalidRule("expected a mapping", path=here)
        refuse_unknown(one, _EARLIER_KEYS, here)
        if newer.effective_from is None:
            where = path if index == 0 else f"{path}.earlier[{index - 1}]"
            raise InvalidRule(
                "say from which day this version is in force; another one came before it",
                path=f"{where}.effective_from",
            )
        version = read_text(one, "version", here)
        if version in {known.version for known in versions}:
            raise InvalidRule(f"version {version!r} is listed twice", path=f"{here}.version")
        begins = _day(one, "effective_from", here)
        if begins is not None and begins >= newer.effective_from:
            raise InvalidRule(
                f"{begins} is not before {newer.effective_from}, when version {newer.version} begins",
                path=f"{here}.effective_from",
            )
        if "rule" not in one:
            raise InvalidRule("a version needs its rule", path=here)
        versions.append(
            replace(
                badge,
                rule=RuleParser(names, badge.subject).rule(one["rule"], f"{here}.rule"),
                version=version,
                effective_from=begins,
                starts_on=begins or badge.starts_on,
                retired_on=min(newer.effective_from, badge.retired_on or newer.effective_from),
                claims_until=_day(one, "claims_until", here),
                extends=None,
            )
        )
        versions[-1] = _with_criterion(versions[-1], one)
    return tuple(versions[1:])


def _claim_url(entry: Mapping[str, Any], path: str) -> None:
    """Refuse an address that a learner must not be sent to with a token."""
    value = entry.get("claim_url")
    if value is not None and not _ADDRESS.fullmatch(str(value)):
        raise InvalidRule(
            f"{value!r} is not an address such as https://badges.example/claim", path=f"{path}claim_url"
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

    def feeding_into(badge: str) -> Iterator[str]:
        return (fed for version in badges[badge].versions for fed in badges_named(version.rule))

    finished: set[str] = set()
    for start in badges:
        trail: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = [(start, feeding_into(start))]
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
                stack.append((following, feeding_into(following)))
                trail.append(following)


def _refuse_towers(badges: Mapping[str, BadgeRule]) -> None:
    """Refuse a ladder of badges that is too high to be asked from the top; there are no circles."""
    below: dict[str, set[str]] = {
        id_: {fed for version in badge.versions for fed in badges_named(version.rule) if fed in badges}
        for id_, badge in badges.items()
    }
    level, left = 0, dict(below)
    while left:
        ground = [id_ for id_, fed in left.items() if not fed & left.keys()]
        level += 1
        if level > _HIGHEST:
            raise InvalidRule(
                f"badges stand on each other {_HIGHEST} high; say on_loss: keep, or hold fewer below each",
                path=f"badges.{next(iter(left))}.rule",
            )
        for id_ in ground:
            del left[id_]
