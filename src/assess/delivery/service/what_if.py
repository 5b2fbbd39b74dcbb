"""What would change if: another cut, retake policy or badge rule over the past, with nothing written.

The sessions that were taken stand as they are. Under another release they are
scored again, as a rescoring would; under another retake policy those that it
would not have let begin are left out; under another programme its badge rules
are asked instead. What people would have done differently nobody knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from assess.delivery import schemas
from assess.delivery.service import rescoring
from assess.delivery.service.catalogue import Programme, Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.judging import evaluated, personal_badges
from assess.delivery.service.standing import Moment, next_step, spoken
from assess.delivery.store import reading, reading_rescores
from assess.delivery.store.reading import LearnerRecords
from assess.errors import InvalidContent, InvalidRequest, NotFound
from assess.items import RetakePolicy
from assess.session import Release
from assess.standards.records import canonical_json, sha256

_PAGE = 200
_NOT_LET = ("wait", "contact")


async def ask(
    services: Services,
    scope: Scope,
    *,
    document: Mapping[str, Any] | None = None,
    retake: bool = False,
    programme: Mapping[str, Any] | None = None,
) -> schemas.WhatIf:
    """What would change for everybody who was decided on.

    Parameters
    ----------
    document : mapping, optional
        A release document: another cut, rule or key of a form that was delivered.
    retake : bool
        Hold the past sessions of its course to the waiting times and tries of its retake policy too.
    programme : mapping, optional
        A programme document with other badge rules, under the id of one that is live.

    Raises
    ------
    InvalidRequest
        Neither of them is given, or a retake policy without the form that states it.
    RescoreRefused
        The release cannot stand in for one that was delivered.
    NotFound
        The programme is not live here.
    InvalidContent, InvalidRule
        A document that cannot be what it says.
    """
    scope.require("manage")
    if document is None and programme is None:
        raise InvalidRequest("say what would be different: a release, or a programme", path="document")
    if retake and document is None:
        raise InvalidRequest("a retake policy stands in a form; send its release", path="document")
    shelf = await services.catalogue.shelf(scope.tenant)
    other = shelf if programme is None else _with_programme(shelf, programme)
    release = None
    if document is not None:
        release = Release.from_document(document, sha256(canonical_json(document, floats=True)))
    running = None if release is None else await rescoring.drafted(services, scope, release, ())
    tally = _Tally()
    after = ""
    while True:
        page = await services.store.read(
            reading_rescores.learners_decided, scope.tenant, sandbox=scope.sandbox, after=after, limit=_PAGE
        )
        for learner in page:
            before = await services.store.read(reading.learner_records, scope.tenant, learner)
            assert before is not None
            if before.learner.id != learner:
                continue  # a record that was merged: the person comes under the other id
            then = before
            if release is not None and running is not None:
                ids = before.ids or (learner,)
                for found in await services.store.read(reading_rescores.to_rescore, running, ids):
                    plan = await rescoring.planned(services, running, release, found)
                    then = rescoring.with_outcomes(then, plan.pairs)
                if retake:
                    then, left_out = _under_policy(then, release.course.id, release.form.retake)
                    tally.left_out += left_out
            # Not before: what was computed just now is known only from now on.
            tally.add(before, then, shelf, other, Moment.at(services.clock()))
        if len(page) < _PAGE:
            break
        after = page[-1]
    return schemas.WhatIf(
        learners=tally.learners,
        left_out=tally.left_out,
        courses=[
            schemas.CourseMoves(course=course, old=old, new=new, learners=n)
            for (course, old, new), n in sorted(tally.courses.items())
        ],
        badges=[
            schemas.BadgeMoves(badge=badge, gained=tally.gained[badge], lost=tally.lost[badge])
            for badge in sorted({*tally.gained, *tally.lost})
        ],
        changed=sorted(tally.changed),
    )


def _with_programme(shelf: Shelf, document: Mapping[str, Any]) -> Shelf:
    try:
        programme = Programme.from_document(document)
    except (KeyError, TypeError, AttributeError, RecursionError) as fault:
        said = f"something is missing or of another kind ({type(fault).__name__}: {fault})"
        raise InvalidContent(said, place="programme") from fault
    if programme.id not in shelf.programmes:
        raise NotFound("programme", programme.id)
    return replace(shelf, programmes={**shelf.programmes, programme.id: programme})


def _under_policy(records: LearnerRecords, course: str, policy: RetakePolicy) -> tuple[LearnerRecords, int]:
    """The records without the sessions of a course that a retake policy would not have let begin."""
    tries = {s.id for s in records.sessions if s.course == course and s.try_number > 0 and s.void_at is None}
    kept = replace(records, sessions=tuple(s for s in records.sessions if s.id not in tries))
    left_out: set[str] = set()
    for session in records.sessions:
        if session.id not in tries:
            continue
        found = next_step(kept, course, policy, session.started_at, anew=True)
        if found.action in _NOT_LET:
            left_out.add(session.id)
        else:
            kept = replace(kept, sessions=(*kept.sessions, session))
    decisions = tuple(row for row in records.decisions if row.session not in left_out)
    return replace(kept, decisions=decisions), len(left_out)


class _Tally:
    """What adds up over the learners."""

    def __init__(self) -> None:
        self.learners = 0
        self.left_out = 0
        self.courses: Counter[tuple[str, str, str]] = Counter()
        self.gained: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.changed: list[str] = []

    def add(
        self, before: LearnerRecords, after: LearnerRecords, shelf: Shelf, other: Shelf, moment: Moment
    ) -> None:
        self.learners += 1
        changed = False
        for course in dict.fromkeys(row.course for row in before.decisions):
            words = [
                "none" if found is None else found.word
                for found in (spoken(records, course, moment.effective) for records in (before, after))
            ]
            self.courses[course, words[0], words[1]] += 1
            changed = changed or words[0] != words[1]
        for badge in dict.fromkeys(badge for one in (shelf, other) for _, badge in personal_badges(one)):
            was, would_be = (
                badge in {known for _, known in personal_badges(one)}
                and evaluated(records, one, badge, moment).status == "eligible"
                for records, one in ((before, shelf), (after, other))
            )
            # Only badges that move stand in the answer.
            if was != would_be:
                (self.gained if would_be else self.lost)[badge] += 1
            changed = changed or was != would_be
        if changed:
            self.changed.append(before.learner.id)


__all__ = ["ask"]
