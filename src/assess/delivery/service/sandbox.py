"""The sandbox: force the state of a course, so that a badge platform is tried before anyone sits a test."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime
from typing import Any

from assess import __version__
from assess.delivery import schemas
from assess.delivery.receipts import rfc3339
from assess.delivery.security import digest, new_id, new_timed_id, new_token
from assess.delivery.service import changes, finishing, learners, status, voiding
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import SCOPES, Scope, Services
from assess.delivery.service.standing import Moment, with_decision, with_fact, with_session
from assess.delivery.store import Writes
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import DecisionRow, Fact, Learner, OfferRow, Session, Stored, Update
from assess.errors import Forbidden, FormNotActive, InvalidRequest, NotFound, StaleSession
from assess.session import Release, SessionState, start, step, with_offer
from assess.standards.records import canonical_json, sha256

SCHEMA = "assess.sandbox-decision/1"


async def force(
    services: Services, scope: Scope, *, learner: str, course: str, state: str
) -> schemas.CourseStatus:
    """`PUT /v1/sandbox/learners/{id}/courses/{course}`: replaces what the learner did on the course before.

    A forced decision says so in its source and its record, and is chained
    apart from the real ones, so that every real one still replays. A learner
    who is not known yet is made.

    Raises
    ------
    Forbidden
        The key is no test key, it is a learner's token, or the learner is real.
    InvalidRequest
        The state is none of `schemas.SANDBOX_STATES`.
    FormNotActive
        The course is assessed here, and no form of it is live.
    """
    # A sandbox learner's own token is no key.
    scope.require(*SCOPES)
    if not scope.sandbox:
        raise Forbidden(
            "only a test key may force a state, and only of a sandbox learner", code="sandbox_only"
        )
    if state not in schemas.SANDBOX_STATES:
        raise InvalidRequest(f"{state!r} is not one of {', '.join(schemas.SANDBOX_STATES)}", path="state")
    try:
        return await _force(services, scope, learner, course, state)
    except StaleSession:
        return await _force(services, scope, learner, course, state)


async def _force(
    services: Services, scope: Scope, learner: str, course: str, state: str
) -> schemas.CourseStatus:
    now = services.clock()
    shelf = await services.catalogue.shelf(scope.tenant)
    external = shelf.course(course).assessed == "external"
    forms = [release for release in shelf.course_forms(course) if not release.practice]
    if not (forms or external):
        raise FormNotActive(f"course {course} has no active form here that decides")
    try:
        before = await learners.records(services, scope, learner)
    except NotFound:
        # The route is for trying things out; a learner that has to be made first would only be in the way.
        maker = replace(scope, rights=frozenset({"deliver"}))
        await learners.upsert(services, maker, id=learner)
        before = await learners.records(services, scope, learner)
    if external:
        await _force_external(services, scope, before, shelf, course, state)
        records = await learners.records(services, scope, learner)
        return status.status_at(records, shelf, course, Moment.at(services.clock()))
    updates, after = _taken_back(before, course)
    rows: tuple[Stored, ...] = ()
    decisions: tuple[DecisionRow, ...] = ()
    if state != "not_started":
        session, offers = _session(before.learner, forms[0], now, ended=state != "in_progress")
        if state == "void":
            session = voiding.voided(session, now, "forced in the sandbox")
        rows = (session, *offers)
        after = with_session(after, session)
        if state != "in_progress":
            word = "passed" if state == "void" else state
            decision = _decision(session, forms[0], word, now)
            decisions = (decision,)
            after = with_decision(after, decision)
    if state == "void":
        told = voiding.told(before, after, shelf, course=course, now=now, reason_id="sandbox")
    else:
        told = changes.events(
            before, after, shelf, now=now, cause="session", reason_id="sandbox", course=course
        )
    writes = Writes(
        scope.tenant,
        (*updates, finishing.moved(before.learner)),
        inserts=rows,
        decisions=decisions,
        changes=told,
    )
    await services.store.commit(writes)
    records = await learners.records(services, scope, learner)
    return status.status_at(records, shelf, course, Moment.at(services.clock()))


async def _force_external(
    services: Services, scope: Scope, before: LearnerRecords, shelf: Shelf, course: str, state: str
) -> None:
    """The same for a course that is assessed elsewhere: a decision fact, instead of those before."""
    if state == "in_progress":
        raise InvalidRequest("what goes on elsewhere is not known here", path="state")
    now = services.clock()
    at = rfc3339(now)
    after, updates = before, []
    for fact in before.facts:
        if fact.t != "decision" or fact.data.get("course") != course or fact.void_at is not None:
            continue
        voided = replace(fact, void_at=at, void_recorded_at=now, void_reason="forced in the sandbox")
        after = with_fact(after, voided)
        key = {"tenant": fact.tenant, "id": fact.id}
        values = {name: getattr(voided, name) for name in ("void_at", "void_recorded_at", "void_reason")}
        updates.append(Update(Fact, key, values, {"void_at": None}))
    rows: tuple[Stored, ...] = ()
    if state != "not_started":
        forced = Fact(
            tenant=scope.tenant,
            id=new_id("fct"),
            source="sandbox",
            t="decision",
            subject=before.learner.id,
            at=at,
            recorded_at=now,
            void_at=None,
            void_recorded_at=None,
            void_reason=None,
            sandbox=True,
            data={"course": course, "outcome": state},
        )
        rows = (forced,)
        after = with_fact(after, forced)
    told = changes.events(before, after, shelf, now=now, cause="fact", reason_id="sandbox")
    updates.append(finishing.moved(before.learner))
    await services.store.commit(Writes(scope.tenant, tuple(updates), inserts=rows, changes=told))


def _taken_back(records: LearnerRecords, course: str) -> tuple[tuple[Update, ...], LearnerRecords]:
    """The learner's sessions of the course without effect from now on."""
    updates = []
    for session in records.sessions:
        if session.course != course or session.state == "reset":
            continue
        key = {"tenant": session.tenant, "id": session.id}
        values = {"state": "reset", "version": session.version + 1}
        updates.append(Update(Session, key, values, {"version": session.version}))
        records = with_session(records, replace(session, state="reset"))
    return tuple(updates), records


def _session(
    learner: Learner, release: Release, now: datetime, *, ended: bool
) -> tuple[Session, tuple[OfferRow, ...]]:
    session_id = new_timed_id("ses", now)
    record = start(
        release,
        session=session_id,
        learner=learner.id,
        seed=secrets.token_hex(16),
        now=now,
        language=learner.locale,
    )
    state = SessionState(release, record)
    first = step(state, now).offer
    assert first is not None
    offers: tuple[OfferRow, ...] = ()
    if not ended:
        state = with_offer(state, first, now)
        offers = (OfferRow(learner.tenant, session_id, 1, first, now),)
    row = Session(
        tenant=learner.tenant,
        id=session_id,
        learner=learner.id,
        course=release.course.id,
        form_id=release.form.id,
        form=release.form.reference,
        release=release.sha256,
        start_record=record.to_mapping(),
        token_sha256=digest(new_token()),
        version=1,
        state="ended" if ended else "open",
        started_at=now,
        closes_at=state.closes_at,
        ended_at=now if ended else None,
        ended_by="submitted" if ended else None,
        void_at=None,
        void_reason=None,
        practice=False,
        sandbox=True,
        try_number=1,
    )
    return row, offers


def _decision(session: Session, release: Release, word: str, now: datetime) -> DecisionRow:
    """A decision that says of itself that nobody earned it."""
    record = {
        "schema": SCHEMA,
        "forced": True,
        "engine": __version__,
        "session": session.id,
        "learner": session.learner,
        "course": session.course,
        "release": session.release,
        "decided_at": now.isoformat(),
        "decision": {"status": word},
    }
    data = canonical_json(record)
    return DecisionRow(
        tenant=session.tenant,
        id=new_id("dec"),
        session=session.id,
        learner=session.learner,
        course=session.course,
        form=session.form,
        status=word,
        provisional=False,
        practice=False,
        passed=word == "passed",
        source="sandbox",
        record=data.decode(),
        record_sha256=sha256(data),
        report=_report(release, word),
        programme=f"{release.course.programme}/sandbox",
        chain_seq=0,
        chain_sha256="",
        decided_at=now,
    )


def _report(release: Release, word: str) -> dict[str, Any]:
    """Plausible numbers in the shape of a real report, for a platform to lay out."""
    scale = release.scale
    cut = scale.report(release.cut.theta)
    shift = {"passed": 0.8, "not_passed": -0.8}.get(word, 0.0)
    value = scale.report(release.cut.theta + shift)
    spread = round(0.5 * scale.sd)
    certainty = {"passed": 0.95, "not_passed": 0.05, "undetermined": 0.5}
    return {
        "level": release.cut.level,
        "assurance": "unsupervised",
        "score": {
            "value": value,
            "se": round(0.3 * scale.sd),
            "interval_90": [max(value - spread, scale.minimum), min(value + spread, scale.maximum)],
            "min": scale.minimum,
            "max": scale.maximum,
            "scale": scale.id,
        },
        "cut": {"value": cut, "version": release.cut.id, "status": release.cut.status},
        "p_at_or_above_cut": certainty.get(word) if release.calibrated else None,
        "probability_basis": "posterior" if release.calibrated else "not_calibrated",
        "rule": "sandbox/1",
        "parameter_set": release.parameter_set.id,
        "engine": __version__,
        "bank_security": release.security,
        "alignments": status.alignments(release),
        "objectives": [],
        "pending": "awaiting_calibration",
    }
