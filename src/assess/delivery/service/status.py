"""Pass status: the decision that speaks for a course, and what it rests on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from assess.delivery import schemas
from assess.delivery.service import confirming, learners
from assess.delivery.service.catalogue import ProgrammeCourse, Shelf, pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.standing import (
    Moment,
    Spoken,
    attested,
    counting_sessions,
    further_levels,
    next_step,
    renewal,
    sequence,
    spoken,
    valid_until,
)
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import DecisionRow, Fact
from assess.session import (
    AWAITING_STANDARD,
    PENDING,
    Confirmation,
    Held,
    Outcome,
    Release,
    SessionState,
    can_be_extended,
)
from assess.standards.eligibility import Course
from assess.standards.facts import instant, period_end

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
    learners.require_visible(scope, records.learner)
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
    speaking = spoken(records, course_id, at)
    rule, days = course_rule(shelf, course), zone(shelf, course)
    step = next_step(
        records,
        course_id,
        forms[0].form.retake if forms else None,
        at,
        renewable_from=renewal(speaking, rule, days),
    )
    decision: schemas.StatusDecision | None = None
    pending: schemas.Pending | None = None
    passed: bool | None = None
    state: Any
    if speaking is not None:
        end = valid_until(speaking, rule, days)
        decision = msgspec.structs.replace(
            _decision(speaking, shelf),
            valid_until=end,
            levels=_levels(records, course_id, at, rule, days),
            confirmation=confirming.of_session(records, speaking.session.id, at),
        )
        state, passed, pending = _state(speaking, accepted)
        if passed and end is not None and end < moment.as_of:
            passed = False
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


def course_rule(shelf: Shelf, course: ProgrammeCourse) -> Course | None:
    """How long passes of a course are good and which levels it lists, as its programme says."""
    programme = shelf.programmes.get(course.programme)
    return None if programme is None else programme.rules.courses.get(course.id)


def _levels(
    records: LearnerRecords, course: str, at: datetime, rule: Course | None, days: tzinfo
) -> list[schemas.LevelDecision]:
    """The decision that speaks for each further level of a course."""
    found = []
    for level in further_levels(records, course):
        speaking = spoken(records, course, at, level)
        if speaking is None or speaking.level is None:
            continue
        told = speaking.level
        found.append(
            schemas.LevelDecision(
                level=level,
                status=speaking.word,
                provisional=bool(told["provisional"]),
                cut=msgspec.convert(told["cut"], schemas.DecisionCut),
                p_at_or_above_cut=told["p_at_or_above_cut"],
                decision=speaking.decision.id,
                tested_at=speaking.tested_at,
                valid_until=valid_until(speaking, rule, days),
            )
        )
    return found


def _state(speaking: Spoken, accepted: bool) -> tuple[str, bool | None, schemas.Pending | None]:
    row = speaking.decision
    if speaking.void:
        return "void", None, None
    if row.status == "incomplete":
        return "incomplete", None, None
    if row.status == PENDING:
        return "pending", None, pending_for(row)
    if row.provisional and not accepted:
        judged = row.report.get("probability_basis") == "not_calibrated"
        reason = "awaiting_calibration" if judged else "awaiting_standard"
        return "pending", None, _pending(reason, row.decided_at)
    return "decided", {"passed": True, "not_passed": False}.get(row.status), None


def _attested_state(
    decision: schemas.StatusDecision, accepted: bool
) -> tuple[str, bool | None, schemas.Pending | None]:
    if decision.status in ("void", "incomplete"):
        return decision.status, None, None
    if decision.status == "pending" or (decision.provisional and not accepted):
        return "pending", None, _pending("under_review", decision.decided_at)
    return "decided", {"passed": True, "not_passed": False}.get(decision.status), None


_SENTENCES = {
    "awaiting_calibration": "The result waits until enough answers were gathered to measure by.",
    "awaiting_standard": "The answers are stored, and the result comes when the standard has been set.",
    "awaiting_rater": "The result waits for somebody who reads the answers.",
    "under_review": "The result is being looked at.",
}


def _pending(reason: Any, since: datetime) -> schemas.Pending:
    return schemas.Pending(reason=reason, since=since, sentence=_SENTENCES[reason])


def pending_for(row: DecisionRow) -> schemas.Pending:
    """Why a decision that is pending cannot be told yet."""
    return _pending(row.report.get("pending", "under_review"), row.decided_at)


def _decision(speaking: Spoken, shelf: Shelf) -> schemas.StatusDecision:
    row, report = speaking.decision, speaking.decision.report
    return msgspec.convert(
        {
            **report,
            "levels": [],
            "id": row.id,
            "status": row.status,
            "provisional": row.provisional,
            "source": row.source,
            "tested_at": speaking.session.ended_at or row.decided_at,
            "decided_at": row.decided_at,
            "valid_until": None,
            "try": speaking.session.try_number or None,
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
    days = zone(shelf, course)
    at = instant(fact.at, days)
    tested = instant(str(fact.data["tested_at"]), days) if fact.data.get("tested_at") else at
    until, rule = fact.data.get("until"), course_rule(shelf, course)
    end = None if until is None else instant(str(until), days, end=True)
    if end is None and rule is not None and rule.valid_for is not None:
        end = period_end(tested, rule.valid_for, days).replace(microsecond=0)
    return schemas.StatusDecision(
        id=fact.id,
        status=_OUTCOMES.get(outcome, outcome),
        level=_told(fact, "level"),
        provisional=bool(fact.data.get("provisional", False)),
        source=fact.source,
        assurance=_told(fact, "assurance"),
        tested_at=tested,
        decided_at=fact.recorded_at,
        valid_until=end,
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


def _extension(state: SessionState, found: Outcome) -> dict[str, Any]:
    """By when an undetermined session may go on by the form that was delivered; empty where it may not."""
    policy = state.release.form.extension
    delivered = state.start.release == state.release.sha256 and "delivered" not in found.record
    if policy is None or found.decision.status != "undetermined" or not delivered:
        return {}
    if not can_be_extended(state):
        return {}
    until = datetime.fromisoformat(found.record["decided_at"]) + timedelta(days=policy.within_days)
    return {"extension": {"until": until.isoformat()}}


def report(state: SessionState, found: Outcome | Held | Confirmation) -> dict[str, Any]:
    """What a status answer shows beside the record; stored with the decision."""
    release = state.release
    about = {
        "release": release.sha256,
        "level": release.cut.level,
        "assurance": state.start.assurance,
        "parameter_set": release.parameter_set.id,
        "engine": state.start.engine,
        "bank_security": release.security,
        "alignments": alignments(release),
    }
    if isinstance(found, Held):
        return about | _UNTOLD | {"pending": AWAITING_STANDARD}
    if isinstance(found, Confirmation):
        rule = found.record["decision"]["rule"]
        return about | _UNTOLD | {"rule": rule, "confirmation": confirming.report(state, found)}
    decision, score = found.decision, found.reported
    return (
        about
        | _extension(state, found)
        | {
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
            "objectives": [{"code": o.code, "right": o.right, "seen": o.seen} for o in found.objectives],
            **({"levels": _level_reports(state, found)} if found.levels else {}),
        }
    )


def _level_reports(state: SessionState, found: Outcome) -> list[dict[str, Any]]:
    release = state.release
    reports = []
    for decision, (cut, ratings) in zip(found.levels, release.further_cuts, strict=True):
        raw = found.score is None
        value = round(release.raw_cut_of(ratings), 1) if raw else release.scale.report(cut.theta)
        reports.append(
            {
                "level": decision.level,
                "status": decision.status,
                "provisional": decision.provisional,
                "p_at_or_above_cut": decision.p_at_or_above_cut,
                "cut": {"value": value, "version": decision.cut_id, "status": cut.status},
            }
        )
    return reports


_UNTOLD: dict[str, Any] = {
    "score": None,
    "cut": None,
    "p_at_or_above_cut": None,
    "probability_basis": "not_calibrated",
    "rule": None,
    "objectives": [],
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
