"""Badges and course states in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assess.delivery.pages.language import Language
from assess.delivery.schemas import BadgeEligibility, BadgeInfo, CourseStatus
from assess.delivery.service.catalogue import Shelf
from assess.errors import NotFound
from assess.standards.grammar import ASSURANCES, AllOf, Pass, Rule


@dataclass(frozen=True, slots=True)
class BadgeView:
    """A badge in the catalogue; texts with the language they are in."""

    id: str
    title: tuple[str, str]
    sentence: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement of a badge with its value."""

    name: tuple[str, str]
    value: str
    words: str
    address: str | None


@dataclass(frozen=True, slots=True)
class ProgressView:
    """A learner's standing for a badge."""

    id: str
    title: tuple[str, str]
    status: str
    tone: str
    status_words: str
    met: int
    of: int
    progress_words: str
    lines: list[Line]
    claimable: bool


def course_state(found: CourseStatus, language: Language) -> tuple[str, str]:
    """The tone and words of a learner's state in a course."""
    _ = language.gettext
    if found.decision is not None and found.state == "decided":
        if found.decision.status == "passed" and found.passed is False:
            return "open", _("Passed too long ago")
        outcomes = {
            "passed": ("met", _("Passed")),
            "not_passed": ("open", _("Not shown yet")),
            "undetermined": ("open", _("Too close to say")),
        }
        return outcomes.get(found.decision.status, ("open", _("Decided")))
    states = {
        "in_progress": ("open", _("Begun")),
        "incomplete": ("open", _("Not enough answered to decide")),
        "pending": ("open", _("Result not settled yet")),
        "void": ("open", _("Does not count")),
    }
    return states.get(found.state, ("", ""))


def rule_words(rule: Rule, sentence: str, language: Language) -> tuple[str, str]:
    """A rule as a sentence: one of passes alone in the reader's language, others as the rule book says."""
    if isinstance(rule, AllOf) and all(
        isinstance(part, Pass)
        and part.assurance == ASSURANCES[0]
        and part.level is None
        and part.not_older_than is None
        for part in rule.rules
    ):
        n = len(rule.rules)
        words = language.ngettext("Pass %(n)s course.", "Pass all %(n)s courses.", n)
        return language.code, words % {"n": language.number(n)}
    return "en", sentence


def badge_facts(info: BadgeInfo, language: Language) -> list[tuple[str, tuple[str, str]]]:
    """What is to be known of a badge beside its rule."""
    _ = language.gettext
    here = language.code
    facts = [
        (_("Criterion as published"), ("en", info.criterion.text)),
        (_("Source"), ("en", info.criterion.source)),
        (_("How we read it"), ("en", info.criterion.reading)),
        (_("Rule"), (here, _("version %(n)s") % {"n": info.rule_version})),
        (_("Open from"), (here, info.starts_on or "")),
        (_("Valid until"), (here, info.valid_until or "")),
        (_("Retired on"), (here, info.retired_on or "")),
    ]
    return [(name, value) for name, value in facts if value[1]]


def progress_view(
    found: BadgeEligibility, title: tuple[str, str], shelf: Shelf, language: Language
) -> ProgressView:
    """A learner's standing for a badge in words."""
    _ = language.gettext
    statuses = {
        "eligible": ("met", _("You meet the rule of this badge.")),
        "not_eligible": ("", _("Not all of it is met yet.")),
        "undetermined": ("open", _("Not decided yet; this is not a no.")),
        "expired": ("open", _("This badge has expired.")),
        "retired": ("", _("This badge is no longer given.")),
        "not_open": ("", _("This badge is not open yet.")),
    }
    tone, words = statuses.get(found.status, ("", found.status))
    met, of = found.progress.met, found.progress.of
    progress = language.ngettext("%(met)s of %(n)s met", "%(met)s of %(n)s met", of)
    return ProgressView(
        id=found.badge.id,
        title=title,
        status=found.status,
        tone=tone,
        status_words=words,
        met=met,
        of=of,
        progress_words=progress % {"met": language.number(met), "n": language.number(of)},
        claimable=found.award.claim_url is not None,
        lines=[_line(r.predicate, r.value, r.code, shelf, language) for r in found.reasons],
    )


def _line(predicate: Mapping[str, Any], value: str, code: str, shelf: Shelf, language: Language) -> Line:
    course = (predicate.get("pass") or {}).get("course")
    words = _reason(code, value, language)
    if not course:
        return Line(("en", _plain(predicate)), value, words, None)
    try:
        title = language.pick(shelf.course(course).title)
    except NotFound:
        title = (language.code, str(course))
    level = predicate["pass"].get("level")
    if level is not None:
        title = (title[0], f"{title[1]} ({level})")
    address = f"/courses/{course}" if shelf.course_forms(course) else None
    return Line(title, value, words, address)


def _plain(predicate: Mapping[str, Any]) -> str:
    """A predicate without a course, in the words of the rule language.

    Examples
    --------
    >>> _plain({"fact": {"type": "training_attended", "where": {}}})
    'training attended'
    """
    for kind, terms in predicate.items():
        named = terms if isinstance(terms, Mapping) else {}
        word = named.get("type") or named.get("badge") or named.get("program") or named.get("q") or kind
        return str(word).replace("_", " ")
    return ""


def _reason(code: str, value: str, language: Language) -> str:
    _ = language.gettext
    reasons = {
        "decision_passed": _("Passed"),
        "decision_not_passed": _("Not shown yet"),
        "decision_incomplete": _("Not enough answered to decide"),
        "decision_undetermined": _("Too close to say"),
        "decision_provisional": _("Provisional; not accepted for the badge"),
        "decision_pending": _("Result not settled yet"),
        "decision_withdrawn": _("Does not count"),
        "decision_too_old": _("Passed too long ago"),
        "assurance_too_low": _("Passed, but not under the supervision that this badge asks for"),
        "no_decision": _("Not taken yet"),
        "fact_present": _("Done"),
        "fact_missing": _("Not done yet"),
        "award_active": _("Held"),
        "award_suspended": _("Held, but its own rule is not met any more"),
        "award_missing": _("Not held yet"),
    }
    by_value = {"true": _("Met"), "false": _("Not met yet"), "unknown": _("Not decided yet")}
    return reasons.get(code) or by_value[value]
