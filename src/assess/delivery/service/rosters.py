"""Rosters: who the learners of an organisation are, in which cohorts, with which courses and windows.

A roster comes in parts, each planned and committed as a whole. What a line
says is compared with what is stored, so a part that came before changes
nothing, and an import that was cut off is completed by running it again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import windows
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.cohorts import ID
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import again
from assess.delivery.store import Writes, reading_people
from assess.delivery.store.reading_people import Known
from assess.delivery.store.rows import Delete, Learner, LearnerExternalId, Stored, Update
from assess.delivery.store.rows_people import Assignment, Cohort, CohortMember
from assess.errors import InvalidRequest, NotFound

LARGEST = 1000
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


async def take(services: Services, scope: Scope, body: schemas.ImportRoster) -> schemas.RosterReply:
    """`POST /v1/roster`: what a part of a roster changes; written as a whole, or with a fault not at all.

    Raises
    ------
    InvalidRequest
        More lines than a part may have.
    """
    scope.require("manage")
    if len(body.rows) + len(body.leaving) > LARGEST:
        raise InvalidRequest(f"a part of a roster has at most {LARGEST} lines", path="rows")
    return await again(lambda: _take(services, scope, body))


async def _take(services: Services, scope: Scope, body: schemas.ImportRoster) -> schemas.RosterReply:
    shelf = await services.catalogue.shelf(scope.tenant)
    given: dict[tuple[str, str], list[str]] = {}
    for row in body.rows:
        if row.issuer and row.subject:
            given.setdefault((row.issuer, row.subject), []).extend([row.learner] if row.learner else [])
    known = await services.store.read(
        reading_people.known,
        scope.tenant,
        learners={row.learner for row in body.rows if row.learner} | {gone.learner for gone in body.leaving},
        external=given,
        cohorts={row.cohort for row in body.rows if row.cohort} | {gone.cohort for gone in body.leaving},
    )
    # A line that names no learner means the one to whom another line gives its external id, wherever that is.
    named = {pair: learners[0] for pair, learners in given.items() if learners}
    plan = _Plan(scope, shelf, known, services.clock(), named)
    lines = [plan.line(row) for row in body.rows]
    left = [words for gone in body.leaving if (words := plan.leaving(gone))]
    written = not body.dry_run and not plan.faults and plan.changes_anything
    if written:
        await services.store.commit(plan.writes())
    return schemas.RosterReply(
        lines=[line for line in lines if line is not None],
        cohorts=plan.cohort_words,
        left=left,
        faults=plan.faults,
        written=written,
    )


@dataclass
class _Plan:
    """What a part of a roster adds to what is known, line by line; known is kept as later lines find it."""

    scope: Scope
    shelf: Shelf
    known: Known
    now: datetime
    named: dict[tuple[str, str], str]
    learners: dict[str, Learner] = field(default_factory=dict)
    locales: dict[str, str] = field(default_factory=dict)
    external: dict[tuple[str, str], str] = field(default_factory=dict)
    cohorts: dict[str, Cohort] = field(default_factory=dict)
    members: dict[tuple[str, str], CohortMember] = field(default_factory=dict)
    assignments: dict[tuple[str, str, str], Assignment] = field(default_factory=dict)
    # What lines said, changed or not: two that disagree would change each other's word at every import.
    said_locales: dict[str, str] = field(default_factory=dict)
    said_windows: dict[tuple[str, str, str], Assignment] = field(default_factory=dict)
    gone: list[Delete] = field(default_factory=list)
    cohort_words: list[str] = field(default_factory=list)
    faults: list[schemas.RosterFault] = field(default_factory=list)

    @property
    def changes_anything(self) -> bool:
        return bool(
            self.learners or self.locales or self.external or self.cohorts or self.members
            or self.assignments or self.gone
        )  # fmt: skip

    def writes(self) -> Writes:
        tenant = self.scope.tenant
        changed = [row for key, row in self.assignments.items() if key in self.known.assignments]
        new = [row for key, row in self.assignments.items() if key not in self.known.assignments]
        updates = [
            Update(Learner, {"tenant": tenant, "id": learner}, {"locale": locale})
            for learner, locale in self.locales.items()
        ]
        updates += [
            Update(
                Assignment,
                {"tenant": tenant, "kind": row.kind, "target": row.target, "course": row.course},
                {"opens_at": row.opens_at, "closes_at": row.closes_at, "zone": row.zone},
            )
            for row in changed
        ]
        rows: list[Stored] = [*self.learners.values()]
        rows += [LearnerExternalId(tenant, *pair, learner) for pair, learner in self.external.items()]
        rows += [*self.cohorts.values(), *self.members.values(), *new]
        return Writes(tenant, tuple(updates), tuple(self.gone), tuple(rows))

    def line(self, row: schemas.RosterRow) -> schemas.RosterLine | None:
        """What one line does; None when it is at fault."""
        before = len(self.faults)
        learner, said, is_new = self._learner(row)
        if learner is not None:
            said += self._locale(row, learner)
            said += self._cohort(row, learner)
            said += self._courses(row, learner)
        if len(self.faults) > before:
            return None
        state = "new" if is_new else "changed" if said else "unchanged"
        # A new learner's id is only settled when it is written.
        told = None if is_new and not row.learner else learner
        return schemas.RosterLine(row=row.row, learner=told, state=state, changes=said)  # type: ignore[arg-type]

    def _fault(self, row: schemas.RosterRow, name: str, message: str) -> None:
        self.faults.append(schemas.RosterFault(row=row.row, field=name, message=message))

    # --- who ---

    def _learner(self, row: schemas.RosterRow) -> tuple[str | None, list[str], bool]:
        pair = (row.issuer, row.subject) if row.issuer and row.subject else None
        if bool(row.issuer) != bool(row.subject):
            self._fault(row, "subject" if row.issuer else "issuer", "issuer and subject come together")
            return None, [], False
        owner = None if pair is None else self.external.get(pair) or self.known.external.get(pair)
        learner = row.learner or owner
        if learner is None:
            if pair is None:
                self._fault(row, "learner", "name the learner, or issuer and subject")
                return None, [], False
            learner = self.named.get(pair) or new_id("lrn")
        if not ID.fullmatch(learner):
            self._fault(row, "learner", f"{learner!r} is no learner id: letters, digits and . _ : @ ~ - only")
            return None, [], False
        # What came with a record that was merged stays with that one: the merge may be undone.
        if owner is not None and not self.known.is_one_person(owner, learner):
            self._fault(row, "subject", f"{row.issuer} {row.subject!r} belongs to learner {owner!r}")
            return None, [], False
        known = self.learners.get(learner) or self.known.learners.get(learner)
        if known is not None and (known.sandbox != self.scope.sandbox or known.erased_at is not None):
            why = "was erased" if known.erased_at is not None else "is not reached by this key"
            self._fault(row, "learner", f"learner {learner!r} {why}")
            return None, [], False
        said = []
        if pair is not None and owner is None:
            self.external[pair] = learner
            said.append(f"external id {row.issuer} {row.subject}")
        if known is None:
            self.learners[learner] = Learner(
                self.scope.tenant,
                learner,
                row.locale or None,
                self.scope.sandbox,
                version=1,
                created_at=self.now,
            )
        return learner, said, known is None

    def _locale(self, row: schemas.RosterRow, learner: str) -> list[str]:
        if not row.locale:
            return []
        if not _LOCALE.fullmatch(row.locale):
            self._fault(row, "locale", f"{row.locale!r} is no language; write en, fr-CA or ar")
            return []
        said = self.said_locales.setdefault(learner, row.locale)
        if said != row.locale:
            self._fault(row, "locale", f"another line says {said} for learner {learner!r}")
            return []
        made = self.learners.get(learner)
        if made is not None:
            self.learners[learner] = replace(made, locale=row.locale)
            return []
        was = self.known.learners[learner].locale
        if was == row.locale:
            return []
        self.locales[learner] = row.locale
        return [f"locale {was or 'none'} -> {row.locale}"]

    # --- where ---

    def _cohort(self, row: schemas.RosterRow, learner: str) -> list[str]:
        cohort = row.cohort
        if not cohort:
            return []
        if not ID.fullmatch(cohort):
            self._fault(row, "cohort", f"{cohort!r} is no cohort id: letters, digits and . _ : @ ~ - only")
            return []
        known = self.cohorts.get(cohort) or self.known.cohorts.get(cohort)
        if known is None:
            self.cohorts[cohort] = Cohort(self.scope.tenant, cohort, cohort, self.scope.sandbox, self.now)
            self.cohort_words.append(f"cohort {cohort}: new")
        elif known.sandbox != self.scope.sandbox:
            self._fault(row, "cohort", f"cohort {cohort!r} is not reached by this key")
            return []
        if (cohort, learner) in self.known.members or (cohort, learner) in self.members:
            return []
        self.members[cohort, learner] = CohortMember(self.scope.tenant, cohort, learner, self.now)
        return [f"cohort {cohort}"]

    def _courses(self, row: schemas.RosterRow, learner: str) -> list[str]:
        """Courses go to the cohort of the line, or without one to the learner alone."""
        if not row.courses:
            for name in ("window_from", "window_to"):
                if getattr(row, name):
                    self._fault(row, name, "a window needs courses")
            return []
        kind, target = ("cohort", row.cohort) if row.cohort else ("learner", learner)
        said = []
        for course in dict.fromkeys(row.courses):
            found = self._assignment(row, kind, target, course)
            if found is None:
                continue
            key = (kind, target, course)
            if self.said_windows.setdefault(key, found) != found:
                words = f"another line gives {kind} {target} another window for {course}"
                self._fault(row, "window_from", words)
                continue
            was = self.known.assignments.get(key)
            if found in (was, self.assignments.get(key)):
                continue
            self.assignments[key] = found
            words = f"course {course} {_window(found)}" + ("" if was is None else f", was {_window(was)}")
            if kind == "cohort":
                self.cohort_words.append(f"cohort {target}: {words}")
            else:
                said.append(words)
        return said

    def _assignment(self, row: schemas.RosterRow, kind: str, target: str, course: str) -> Assignment | None:
        names = {"from": "window_from", "to": "window_to"}
        try:
            return windows.assignment(
                self.shelf,
                self.scope.tenant,
                kind=kind,
                target=target,
                course=course,
                opens=row.window_from,
                closes=row.window_to,
                zone=row.time_zone,
            )
        except NotFound as fault:
            self._fault(row, "courses", str(fault))
        except InvalidRequest as fault:
            self._fault(row, names.get(fault.path, fault.path), str(fault))
        return None

    def leaving(self, gone: schemas.Leaving) -> str | None:
        """A learner leaves a cohort, if they are in it."""
        cohort = self.known.cohorts.get(gone.cohort)
        mine = cohort is not None and cohort.sandbox == self.scope.sandbox
        if not mine or (gone.cohort, gone.learner) not in self.known.members:
            return None
        key = {"tenant": self.scope.tenant, "cohort": gone.cohort, "learner": gone.learner}
        self.gone.append(Delete(CohortMember, key))
        return f"{gone.learner} leaves cohort {gone.cohort}"


def _window(row: Assignment) -> str:
    if row.opens_at is None and row.closes_at is None:
        return "at any time"
    ends = (("from", row.opens_at), ("to", row.closes_at))
    return " ".join(f"{word} {end:%Y-%m-%d %H:%M}Z" for word, end in ends if end is not None)
