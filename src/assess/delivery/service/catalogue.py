"""What is live: programmes, their courses and badges, and the release of each form.

Read from the database alone. Every process asks again after at most
`refresh_seconds`, so an activation reaches all of them without a restart.
Releases never change under their hash, so they are kept once read.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.store import Store, reading
from assess.delivery.store.rows import Activation, StoredRelease, Tenant
from assess.errors import InvalidRule, NotFound
from assess.items import Placement
from assess.items.reading import Fields
from assess.session import Release
from assess.standards.eligibility import BadgeRules, load_rules
from assess.standards.grammar import Pass, judgements, predicates

PROGRAMME_SCHEMA = "assess.programme/1"
_KEPT_RELEASES = 64
APPEAL_DAYS = 30
"""How long an appeal may take where the programme says nothing."""


def pick(texts: Mapping[str, str], language: str | None) -> str:
    """The text in a language, its base language, English, or the first there is.

    Examples
    --------
    >>> pick({"en": "Pedagogy", "fr": "Pédagogie"}, "fr-CA"), pick({"en": "Pedagogy"}, "ar")
    ('Pédagogie', 'Pedagogy')
    """
    for candidate in (language, (language or "").split("-")[0], "en"):
        if candidate and candidate in texts:
            return texts[candidate]
    return next(iter(texts.values()), "")


@dataclass(frozen=True, slots=True)
class ProgrammeCourse:
    """A course as its programme declares it.

    `forms` are the form ids that may be offered, `default_form` the one that
    is taken when only the course is named.
    """

    id: str
    programme: str
    title: Mapping[str, str]
    assessed: str
    forms: tuple[str, ...]
    default_form: str | None
    minutes: int | None
    objectives: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, eq=False)
class Programme:
    """An active programme with its checked badge rules."""

    id: str
    document: Mapping[str, Any]
    title: Mapping[str, str]
    courses: Mapping[str, ProgrammeCourse]
    rules: BadgeRules
    accept_provisional: bool
    on_loss: str
    appeal_days: int = APPEAL_DAYS
    placement: Placement | None = None

    @cached_property
    def judges(self) -> Mapping[str, frozenset[str]]:
        """Question -> the roles whose answer some rule of the programme hears."""
        found: dict[str, set[str]] = {}
        for badge in self.rules.badges.values():
            for version in badge.versions:
                for judgement in judgements(version.rule):
                    found.setdefault(judgement.q, set()).update(judgement.by)
        return {q: frozenset(roles) for q, roles in found.items()}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Programme:
        """Read a stored programme document.

        Raises
        ------
        InvalidRule
            Courses or badges that cannot be; with the path.
        """
        entries = document["courses"]
        if not isinstance(entries, Mapping):
            entries = {entry["id"]: entry for entry in entries}
        courses = {
            course: ProgrammeCourse(
                id=course,
                programme=document["id"],
                title=_texts(entry.get("title", course)),
                assessed=entry.get("assessed", "external"),
                forms=tuple(entry.get("forms", ())),
                default_form=entry.get("default_form"),
                minutes=entry.get("minutes"),
                objectives=tuple(entry.get("objectives", ())),
            )
            for course, entry in entries.items()
        }
        rules = load_rules(document)
        return cls(
            id=document["id"],
            document=document,
            title=_texts(document["title"]),
            courses=courses,
            rules=rules,
            accept_provisional=bool(document.get("accept_provisional", False)),
            on_loss=rules.on_loss,
            appeal_days=_appeal_days(document),
            placement=None
            if document.get("placement") is None
            else Placement.from_fields(Fields(document["placement"], "programme: placement")),
        )

    def claim_url(self, badge: str) -> str | None:
        """Where a learner claims a badge; None if there is no such place."""
        return self.badge_document(badge).get("claim_url") or self.document.get("claim_url")

    @cached_property
    def _entries(self) -> list[Mapping[str, Any]]:
        badges = self.document["badges"]
        if isinstance(badges, Mapping):
            return [{"id": id_, **(entry or {})} for id_, entry in badges.items()]
        return list(badges)

    def badge_entries(self) -> list[Mapping[str, Any]]:
        """All badges as the programme's file states them, each with its id."""
        return list(self._entries)

    def badge_document(self, badge: str) -> Mapping[str, Any]:
        """A badge as the programme's file states it."""
        return next(entry for entry in self._entries if entry["id"] == badge)


def _appeal_days(document: Mapping[str, Any]) -> int:
    policies = document.get("policies") or {}
    days = policies.get("appeal_days", APPEAL_DAYS) if isinstance(policies, Mapping) else APPEAL_DAYS
    if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= 365:
        raise InvalidRule(f"{days!r} is no number of days from 1 to 365", path="policies.appeal_days")
    return days


def _texts(value: Any) -> Mapping[str, str]:
    return value if isinstance(value, Mapping) else {"en": str(value)}


@dataclass(frozen=True, eq=False)
class Shelf:
    """What is live for one tenant, read at one moment."""

    tenant: Tenant
    programmes: Mapping[str, Programme]
    forms: dict[str, Release]
    activations: tuple[Activation, ...] = ()
    accuracies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    badge_accuracies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def course(self, id: str) -> ProgrammeCourse:
        """A course of any programme; NotFound otherwise."""
        for programme in self.programmes.values():
            if id in programme.courses:
                return programme.courses[id]
        for release in self.forms.values():
            if release.course.id == id:
                return _undeclared(release)
        raise NotFound("course", id)

    def courses(self) -> list[ProgrammeCourse]:
        """All courses in the order of their programmes."""
        return [course for programme in self.programmes.values() for course in programme.courses.values()]

    def programme_of_badge(self, badge: str) -> Programme:
        """The programme that declares a badge; NotFound otherwise."""
        found = self._of_badges.get(badge)
        if found is None:
            raise NotFound("badge", badge)
        return found

    @cached_property
    def _of_badges(self) -> Mapping[str, Programme]:
        # Where two declare a badge, the first of them counts.
        last_first = reversed([*self.programmes.values()])
        return {badge: programme for programme in last_first for badge in programme.rules.badges}

    def accepts_provisional(self, programme: str) -> bool:
        """Whether provisional decisions count: by the tenant, or by the programme."""
        found = self.programmes.get(programme)
        return self.tenant.accept_provisional or (found is not None and found.accept_provisional)

    def form(self, id: str) -> Release:
        """The active release of a form; NotFound otherwise."""
        if id not in self.forms:
            raise NotFound("form", id)
        return self.forms[id]

    def form_accuracy(self, release: str) -> schemas.FormAccuracy | None:
        """How often the rule of a release errs, by the study made when it went live; None without one."""
        study = self.accuracies.get(release)
        return None if study is None else msgspec.convert(study, schemas.FormAccuracy)

    def badge_releases(self, badge: str) -> dict[str, Release] | None:
        """The release taken by default in each course of a badge; None where one has no calibrated form.

        None too for a badge that asks for anything besides courses.
        """
        asked = [p for _, p in predicates(self.programme_of_badge(badge).rules.badges[badge].rule)]
        known = {course.id for course in self.courses()}
        found: dict[str, Release] = {}
        for predicate in asked:
            if not isinstance(predicate, Pass) or predicate.course not in known:
                return None
            forms = self.course_forms(predicate.course)
            if not forms or not forms[0].calibrated:
                return None
            found[predicate.course] = forms[0]
        return found

    def appeal_days(self, programme: str) -> int:
        """Within how many days an appeal is to be answered."""
        found = self.programmes.get(programme)
        return APPEAL_DAYS if found is None else found.appeal_days

    def badge_accuracy(self, badge: str) -> schemas.BadgeAccuracy | None:
        """How often a badge's rule errs; None without a study of the forms that are live."""
        study, releases = self.badge_accuracies.get(badge), self.badge_releases(badge)
        if study is None or releases is None:
            return None
        if study["releases"] != {course: release.sha256 for course, release in releases.items()}:
            return None
        return msgspec.convert(study, schemas.BadgeAccuracy)

    def course_forms(self, course: str) -> list[Release]:
        """The active releases of a course, the one taken by default first.

        Default is the form that the programme names, else the one activated
        last among those that are no practice, else any.
        """
        if course not in self._of_courses:
            self._of_courses[course] = self._forms_of(course)
        return list(self._of_courses[course])

    @cached_property
    def _of_courses(self) -> dict[str, list[Release]]:
        return {}

    def _forms_of(self, course: str) -> list[Release]:
        entry = self.course(course)
        newest_first = [
            r
            for r in reversed(self.forms.values())
            if r.course.id == course and not r.form.placement and not r.form.confirms
        ]

        def rank(release: Release) -> tuple[bool, bool]:
            return (release.form.id != entry.default_form, release.practice)

        return sorted(newest_first, key=rank)

    def confirming_forms(self, course: str) -> list[Release]:
        """The active releases of a course that confirm its passes."""
        return [r for r in self.forms.values() if r.course.id == course and r.form.confirms]


def _undeclared(release: Release) -> ProgrammeCourse:
    return ProgrammeCourse(
        release.course.id, release.course.programme, release.course.title, "here", (), None, None, ()
    )


@dataclass
class _Known:
    shelf: Shelf
    read_at: float


@dataclass
class Catalogue:
    """What is live, for every tenant, never older than `refresh_seconds`."""

    store: Store
    refresh_seconds: float
    _shelves: dict[str, _Known] = field(default_factory=dict)
    _releases: OrderedDict[str, Release] = field(default_factory=OrderedDict)
    _programmes: dict[str, Programme] = field(default_factory=dict)

    async def shelf(self, tenant: str) -> Shelf:
        """What is live for a tenant."""
        known = self._shelves.get(tenant)
        if known is not None and time.monotonic() - known.read_at < self.refresh_seconds:
            return known.shelf
        read_at = time.monotonic()
        row = await self.store.read(reading.tenant, tenant)
        if row is None:
            raise NotFound("tenant", tenant)
        # The number of the last change rises all the time, and changes nothing of what is live.
        row = replace(row, change_sequence=0)
        activations = tuple(await self.store.read(reading.activations, tenant))
        if known is not None and known.shelf.activations == activations and known.shelf.tenant == row:
            known.read_at = read_at
            return known.shelf
        forms, programmes = {}, {}
        for activation in activations:
            if activation.kind == "programme":
                programmes[activation.name] = await self._programme(activation.release)
            else:
                forms[activation.name] = await self.release(activation.release)
        studies = await self.store.read(reading.accuracies, tenant)
        badges = await self.store.read(reading.badge_accuracies, tenant)
        shelf = Shelf(row, programmes, forms, activations, studies, badges)
        self._shelves[tenant] = _Known(shelf, read_at)
        return shelf

    def forget(self, tenant: str) -> None:
        """Ask the database next time: something was just activated here."""
        self._shelves.pop(tenant, None)

    async def release(self, sha256: str) -> Release:
        """A release by its hash, active or not; sessions pin theirs for good."""
        release = self._releases.get(sha256)
        if release is None:
            stored = await self._stored(sha256)
            release = await asyncio.to_thread(Release.from_document, json.loads(stored.document), sha256)
            self._releases[sha256] = release
            if len(self._releases) > _KEPT_RELEASES:
                self._releases.popitem(last=False)
        else:
            self._releases.move_to_end(sha256)
        return release

    async def _programme(self, sha256: str) -> Programme:
        if sha256 not in self._programmes:
            stored = await self._stored(sha256)
            self._programmes[sha256] = Programme.from_document(json.loads(stored.document))
        return self._programmes[sha256]

    async def _stored(self, sha256: str) -> StoredRelease:
        stored = await self.store.read(reading.release, sha256)
        if stored is None:
            raise NotFound("release", sha256)
        return stored

    # --- what pages ask ------------------------------------------------------

    async def active_release(self, tenant: str, name: str) -> Release:
        """The active release of a form id, or the default one of a course."""
        shelf = await self.shelf(tenant)
        if name in shelf.forms:
            return shelf.forms[name]
        forms = shelf.course_forms(name)
        if not forms:
            raise NotFound("form", name)
        return forms[0]

    async def courses(self, tenant: str) -> list[ProgrammeCourse]:
        """All courses of the tenant's programmes."""
        return (await self.shelf(tenant)).courses()

    async def course(self, tenant: str, id: str) -> ProgrammeCourse:
        """One course."""
        return (await self.shelf(tenant)).course(id)

    async def programmes(self, tenant: str) -> list[Programme]:
        """The tenant's active programmes."""
        return list((await self.shelf(tenant)).programmes.values())
