"""Pass status: the decision that speaks for a course, and what it rests on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.service import learners
from assess.delivery.service.catalogue import ProgrammeCourse, Shelf, pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.standing import (
    Moment,
    Spoken,
    attested,
    counting_sessions,
    next_step,
    sequence,
    spoken,
)
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import Fact
from assess.session import Outcome, Release, SessionState, can_be_extended
from assess.standards.facts import instant

SCHEMA = "assess.status/1"
_OUTCOMES = {"pass": "passed", "fail": "not_passed"}


async def course_status(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    course: str,
    as_of: str | None = None,
    as_known_at: str | None = None,
) -> tuple[schemas.CourseStatus, Moment]:
    """`GET /v1/learners/{learner}/courses/{course}/status`, with the moment it answers for.

    Raises
    ------
    NotFound
        The learner or the course.
    InvalidRequest
        A date that cannot be read, or a knowledge of the future.
    """
    learners.require_reader(scope, learner)
    records = await learners.records(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    moment = Moment.asked(as_of, as_known_at, services.clock(), zone(shelf, shelf.course(course)))
    records = await learners.as_known(services, scope, learner, records, moment)
    return status_at(records, shelf, course, moment), moment


def zone(shelf: Shelf, course: ProgrammeCourse) -> tzinfo:
    """The time zone in which a day of this course begins and ends."""
    programme = shelf.programmes.get(course.programme)
    return UTC if programme is None else programme.rules.time_zone


def status_at(records: LearnerRecords, shelf: Shelf, course_id: str, moment: Moment) -> schemas.CourseStatus:
    """The status of a course from a learner's records."""
    course = shelf.course(course_id)
    accepted = shelf.accepts_provisional(course.programme)
    forms = shelf.course_forms(course_id)
    at = moment.effective
    step = next_step(records, course_id, forms[0].form.retake if forms else None, at)
    speaking = spoken(records, course_id, at)
    decision: schemas.StatusDecision | None = None
    pending: schemas.Pending | None = None
    passed: bool | None = None
    state: Any
    if speaking is not None:
        decision = _decision(speaking, shelf)
        state, passed, pending = _state(speaking, accepted)
        if state == "pending" and step.action in ("retake", "wait"):
            step = msgspec.structs.replace(step, action="wait", not_before=None)
    elif (fact := attested(records, course_id, moment, zone(shelf, course))) is not None:
        decision = _attested_decision(fact, course, shelf)
        state, passed, pending = _attested_state(decision, accepted)
        if passed and decision.valid_until is not None and decision.valid_until < moment.as_of:
            passed = False
        if passed:
            step = msgspec.structs.replace(step, action="none", not_before=None)
    else:
        # A session that was declared void before it had an end has no decision: the course is to begin.
        state = "in_progress" if counting_sessions(records, course_id, at) else "not_started"
        if course.assessed == "external":
            step = msgspec.structs.replace(step, action="start")
    return schemas.CourseStatus(
        schema=SCHEMA,
        learner=records.learner.id,
        sandbox=records.learner.sandbox,
        course=schemas.CourseName(id=course_id, title=pick(course.title, records.learner.locale)),
        as_of=moment.as_of,
        as_known_at=moment.as_known_at,
        sequence=sequence(records, moment.as_known_at),
        state=state,
        passed=passed,
        decision=decision,
        pending=pending,
        next=step,
    )


def _state(speaking: Spoken, accepted: bool) -> tuple[str, bool | None, schemas.Pending | None]:
    row = speaking.decision
    if speaking.void:
        return "void", None, None
    if row.status == "incomplete":
        return "incomplete", None, None
    if row.status == "pending":
        reason: Any = row.report.get("pending", "under_review")
        return "pending", None, schemas.Pending(reason=reason, since=row.decided_at)
    if row.provisional and not accepted:
        judged = row.report.get("probability_basis") == "not_calibrated"
        reason = "awaiting_calibration" if judged else "awaiting_standard"
        return "pending", None, schemas.Pending(reason=reason, since=row.decided_at)
    return "decided", {"passed": True, "not_passed": False}.get(row.status), None


def _attested_state(
    decision: schemas.StatusDecision, accepted: bool
) -> tuple[str, bool | None, schemas.Pending | None]:
    if decision.status in ("void", "incomplete"):
        return decision.status, None, None
    if decision.status == "pending" or (decision.provisional and not accepted):
        return "pending", None, schemas.Pending(reason="under_review", since=decision.decided_at)
    return "decided", {"passed": True, "not_passed": False}.get(decision.status), None


def _decision(speaking: Spoken, shelf: Shelf) -> schemas.StatusDecision:
    row, report = speaking.decision, speaking.decision.report
    return msgspec.convert(
        {
            **report,
            "id": row.id,
            "status": row.status,
            "provisional": row.provisional,
            "source": row.source,
            "tested_at": speaking.session.ended_at or row.decided_at,
            "decided_at": row.decided_at,
            "valid_until": None,
            "try": speaking.session.try_number,
            "form": row.form,
            "form_accuracy": shelf.form_accuracy(report.get("release", "")),
            "record_sha256": row.record_sha256,
            "supersedes": row.supersedes,
            "change_reason": row.reason,
            "url": f"/v1/decisions/{row.id}",
        },
        schemas.StatusDecision,
    )


def _attested_decision(fact: Fact, course: ProgrammeCourse, shelf: Shelf) -> schemas.StatusDecision:
    """A decision that an authorised source made elsewhere; what it rests on stays there."""
    outcome = str(fact.data.get("outcome", ""))
    at = instant(fact.at, zone(shelf, course))
    until = fact.data.get("until")
    return schemas.StatusDecision(
        id=fact.id,
        status=_OUTCOMES.get(outcome, outcome),
        level=_told(fact, "level"),
        provisional=bool(fact.data.get("provisional", False)),
        source=fact.source,
        assurance=_told(fact, "assurance"),
        tested_at=at,
        decided_at=fact.recorded_at,
        valid_until=None if until is None else instant(str(until), zone(shelf, course), end=True),
        try_=None,
        score=None,
        cut=None,
        p_at_or_above_cut=None,
        probability_basis="not_calibrated",
        rule=None,
        form=None,
        form_accuracy=None,
        parameter_set=None,
        engine=None,
        bank_security=None,
        alignments=[
            schemas.AlignedTo(framework=o["framework"], version=str(o["version"]), code=o["code"])
            for o in course.objectives
        ],
        record_sha256=None,
        supersedes=None,
        change_reason=None,
        url=None,
    )


def _told(fact: Fact, name: str) -> str | None:
    return str(fact.data[name]) if fact.data.get(name) is not None else None


def report(state: SessionState, found: Outcome) -> dict[str, Any]:
    """What a status answer shows beside the record; stored with the decision."""
    release, decision, score = state.release, found.decision, found.reported
    extension = {}
    if decision.status == "undetermined" and can_be_extended(state):
        assert release.form.extension is not None
        decided_at = datetime.fromisoformat(found.record["decided_at"])
        until = decided_at + timedelta(days=release.form.extension.within_days)
        # Of the release that was delivered, which a rescoring may have replaced.
        if state.start.release == release.sha256 and "delivered" not in found.record:
            extension = {"extension": {"until": until.isoformat()}}
    return extension | {
        "release": release.sha256,
        "level": decision.level,
        "assurance": state.start.assurance,
        "score": {
            "value": score.value,
            "se": score.se,
            "interval_90": [score.low, score.high],
            "min": score.minimum,
            "max": score.maximum,
            "scale": score.scale,
        },
        "cut": {"value": score.cut, "version": decision.cut_id, "status": release.cut.status},
        "p_at_or_above_cut": decision.p_at_or_above_cut,
        "probability_basis": decision.probability_basis,
        "rule": decision.rule,
        "parameter_set": release.parameter_set.id,
        "engine": state.start.engine,
        "bank_security": release.security,
        "alignments": alignments(release),
        "objectives": [{"code": o.code, "right": o.right, "seen": o.seen} for o in found.objectives],
    }


def alignments(release: Release) -> list[dict[str, str]]:
    """The primary alignments of the operational items of a form, each once, in order of code."""
    codes = {
        (a.framework, a.version, a.code)
        for unit in release.units
        for item in unit.items
        for a in item.alignments
        if a.primary
    }
    return [{"framework": f, "version": v, "code": c} for f, v, c in sorted(codes)]
