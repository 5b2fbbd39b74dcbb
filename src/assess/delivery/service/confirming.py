"""Supervised confirmation: with a few unseen items a learner shows that a pass is theirs.

A confirming session is an ordinary session that uses no try and decides
nothing. What it says stands beside the decision that it confirms. Where it does
not fit, a review is opened, which is an appeal that nobody had to file: people
look, and until they have answered everything stays as it is.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import learners, standing
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import as_decided, folded
from assess.delivery.service.standing import Spoken
from assess.delivery.store import reading
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import DecisionRow, Session
from assess.delivery.store.rows_appeals import Appeal
from assess.errors import AssessError, InvalidRequest, NotConfirmable
from assess.scale import Score
from assess.session import (
    ASSURANCES,
    INCONSISTENT,
    Confirmation,
    FirstDecision,
    Release,
    SessionState,
    can_confirm,
    met_units,
    outcome,
    rescore,
)

SOURCE = "confirmation"
REVIEW = "review"


# --- before it begins ----------------------------------------------------------------


def require_supervised(assured: str) -> None:
    """Refuse a confirmation that nobody watches.

    Raises
    ------
    InvalidRequest
    """
    if ASSURANCES.index(assured) < ASSURANCES.index("supervised"):
        raise InvalidRequest(
            "a confirmation is sat under supervision; enter the invigilator's code", path="code"
        )


def confirmable(records: LearnerRecords, release: Release, now: datetime, assured: str) -> Spoken:
    """The decision that a confirming form would confirm.

    Raises
    ------
    NotConfirmable
        There is none, it was supervised already, it is too old, or it was confirmed before.
    """
    policy, course = release.form.confirms, release.course.id
    assert policy is not None
    speaking = standing.spoken(records, course, now)
    if speaking is None or speaking.word != "passed" or speaking.decision.practice:
        raise NotConfirmable(f"course {course} is not passed; only a pass is confirmed")
    if speaking.session.form_id not in policy.forms or speaking.decision.source != "course_form":
        raise NotConfirmable(
            f"{speaking.decision.id} is no pass that {release.form.id} confirms; it confirms those of "
            f"{', '.join(policy.forms)} that were computed"
        )
    known = speaking.decision.report["assurance"]
    if ASSURANCES.index(known) >= ASSURANCES.index(assured):
        raise NotConfirmable(f"the session of {speaking.decision.id} was {known} already")
    last = speaking.tested_at + timedelta(days=policy.within_days)
    if now > last:
        raise NotConfirmable(
            f"{speaking.decision.id} could be confirmed until {last:%Y-%m-%d}; later, forgetting looks "
            "like a score that was never true"
        )
    before = next(
        (s for s in _confirming(records, speaking.session.id) if s.form_id != release.form.id), None
    )
    before = before or next((s for s in _confirming(records, speaking.session.id) if s.ended_at), None)
    if before is not None:
        raise NotConfirmable(f"{speaking.decision.id} has its confirmation: session {before.id}")
    return speaking


async def form_for(services: Services, scope: Scope, view: schemas.SessionView) -> Release | None:
    """The live form by which the pass of a session can be confirmed; None where there is none."""
    shelf = await services.catalogue.shelf(scope.tenant)
    for release in shelf.confirming_forms(view.course):
        if await would_confirm(services, scope, view.learner, release) == view.session:
            return release
    return None


async def would_confirm(services: Services, scope: Scope, learner: str, release: Release) -> str | None:
    """The session whose pass this form would confirm under supervision; None where there is none."""
    records = await learners.records(services, scope, learner)
    try:
        return confirmable(records, release, services.clock(), "supervised").session.id
    except NotConfirmable:
        return None


async def prepared(
    services: Services, scope: Scope, records: LearnerRecords, release: Release, now: datetime, assured: str
) -> tuple[FirstDecision, tuple[str, ...]]:
    """What a new confirming session confirms, and the units that its learner has met.

    Raises
    ------
    InvalidRequest
        Nobody watches.
    NotConfirmable
        As `confirmable` says; or the score cannot be computed again, stands on another scale, or too
        few unseen items are left.
    """
    require_supervised(assured)
    speaking = confirmable(records, release, now, assured)
    row = speaking.decision
    score = await _score(services, row)
    if score is None or score.scale_id != release.scale.id:
        raise NotConfirmable(f"{row.id} has no score on {release.scale.id} that could be confirmed")
    met: set[str] = set()
    for session in records.sessions:
        if session.course == release.course.id:
            met.update(await services.store.read(reading.offered_items, scope.tenant, session.id))
    excluded = met_units(release, met)
    if not can_confirm(release, excluded):
        raise NotConfirmable(
            f"{len(release.units) - len(excluded)} of {len(release.units)} units of {release.form.id} are "
            "unseen, too few for a confirmation; sit the course again under supervision"
        )
    return FirstDecision.of(row.id, row.record_sha256, speaking.session.id, score), excluded


async def _score(services: Services, row: DecisionRow) -> Score | None:
    """The score behind a decision, computed again; only where that gives the record that is stored."""
    records = await services.store.read(reading.session_records, row.tenant, row.session)
    assert records is not None
    stored: dict[str, Any] = json.loads(row.record)
    engine = stored["engine"]
    try:
        delivered = await services.catalogue.release(records.session.release)
        state = folded(as_decided(records, row.decided_at), delivered)
        if "delivered" in stored:
            onto = await services.catalogue.release(stored["release"])
            found = rescore(state, onto, decided_at=row.decided_at, engine=engine)
        else:
            found = outcome(state, decided_at=row.decided_at, engine=engine)
    except AssessError as fault:
        raise NotConfirmable(f"{row.id} cannot be computed again: {fault}") from None
    if found.record_sha256 != row.record_sha256:
        raise NotConfirmable(f"{row.id} does not come out as it is stored; replay it first")
    return found.score


def _confirming(records: LearnerRecords, first: str) -> list[Session]:
    """The confirming sessions of a session that count."""
    return [
        session
        for session in records.sessions
        if session.void_at is None
        and session.state != "reset"
        and session.start_record.get("confirms", {}).get("session") == first
    ]


# --- at its end ------------------------------------------------------------------------


def report(state: SessionState, found: Confirmation) -> dict[str, Any]:
    """What a status answer shows of a confirmation; stored with its decision."""
    first, policy = state.start.confirms, state.release.form.confirms
    assert first is not None
    assert policy is not None
    return {
        "outcome": found.outcome,
        "of": first.decision,
        "session": first.session,
        "loss": policy.loss,
        "alpha": policy.alpha,
        "beta": policy.beta,
    }


def review(
    session: Session,
    state: SessionState,
    found: Confirmation,
    records: LearnerRecords,
    shelf: Shelf,
    now: datetime,
) -> tuple[Appeal, ...]:
    """The review that an inconsistent confirmation opens; nothing for another one, or where one is open."""
    first = state.start.confirms
    if found.outcome != INCONSISTENT or first is None:
        return ()
    if any(one.about == first.decision and one.state == "open" for one in records.reviews):
        # The session was opened again after an incident, and had ended like this before.
        return ()
    stated = found.record["decision"]["terms"]
    return (
        Appeal(
            tenant=session.tenant,
            id=new_id("apl"),
            learner=session.learner,
            kind=REVIEW,
            about=first.decision,
            session=first.session,
            course=session.course,
            statement=(
                f"The {state.start.assurance} confirmation {session.id} ({session.form}) does not fit the "
                f"score of {first.decision}: log-ratio {found.record['log_ratio']} after "
                f"{len(found.record['units'])} unseen units, for a loss of {stated['loss']}, alpha "
                f"{stated['alpha']}, beta {stated['beta']}. At most the share alpha of scores that hold are "
                "found so; forgetting, illness and trouble in the room look the same."
            ),
            filed_by=SOURCE,
            filed_at=now,
            due_at=now + timedelta(days=shelf.appeal_days(state.release.course.programme)),
            state="open",
            sandbox=session.sandbox,
        ),
    )


# --- what is said ------------------------------------------------------------------------


def of_session(records: LearnerRecords, first: str, at: datetime) -> schemas.Confirmation | None:
    """What stands beside the decision of a session, from what was known at a moment."""
    sessions = {session.id: session for session in records.sessions}
    for row in records.decisions:
        if row.source != SOURCE or row.decided_at > at:
            continue
        if row.superseded_at is not None and row.superseded_at <= at:
            continue
        told, session = row.report["confirmation"], sessions[row.session]
        void = session.void_at is not None and session.void_at <= at
        if told["session"] == first and not void:
            return said(records, row, at)
    return None


def said(records: LearnerRecords, row: DecisionRow, at: datetime) -> schemas.Confirmation:
    """A confirmation as it is told, with its review where one was opened."""
    told = row.report["confirmation"]
    opened = next((r for r in records.reviews if r.about == told["of"] and r.filed_at <= at), None)
    return schemas.Confirmation(
        outcome=told["outcome"],
        of=told["of"],
        session=row.session,
        decision=row.id,
        record_sha256=row.record_sha256,
        form=row.form,
        assurance=row.report["assurance"],
        confirmed_at=row.decided_at,
        loss=told["loss"],
        alpha=told["alpha"],
        beta=told["beta"],
        review=None if opened is None else _review(opened, at),
    )


def _review(row: Appeal, at: datetime) -> schemas.Review:
    closed = row.closed_at is not None and row.closed_at <= at
    return schemas.Review(
        id=row.id,
        state=row.state if closed else "open",  # type: ignore[arg-type]
        due_at=row.due_at,
        closed_at=row.closed_at if closed else None,
    )
