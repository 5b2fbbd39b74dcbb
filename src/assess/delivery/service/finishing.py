"""From an ended session to everything that its end makes: decision, chain, feed, eligibility."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from assess.delivery.security import new_id
from assess.delivery.service import changes, status
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.standing import with_decision, with_session
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, DecisionRow, Learner, Session, Update
from assess.session import SessionState, outcome


def decision_row(session: Session, state: SessionState, now: datetime) -> DecisionRow:
    """The decision of an ended session, ready to be numbered and chained."""
    found = outcome(state, decided_at=now)
    return DecisionRow(
        tenant=session.tenant,
        id=new_id("dec"),
        session=session.id,
        learner=session.learner,
        course=session.course,
        form=session.form,
        status=found.decision.status,
        provisional=found.decision.provisional,
        practice=state.release.practice,
        passed=found.decision.passed,
        source="course_form",
        record=found.record_bytes.decode(),
        record_sha256=found.record_sha256,
        report=status.report(state, found),
        programme=state.release.course.programme,
        chain_seq=0,
        chain_sha256="",
        decided_at=now,
    )


def ended(session: Session, state: SessionState) -> Session:
    """The session's row with its ending."""
    assert state.ending is not None
    return replace(session, state="ended", ended_at=state.ending.at, ended_by=state.ending.how)


def consequences(
    records: LearnerRecords, session: Session, decision: DecisionRow, shelf: Shelf, now: datetime, cause: str
) -> tuple[ChangeRow, ...]:
    """What a new decision changes for its learner, for the feed."""
    after = with_decision(with_session(records, session), decision)
    return changes.events(
        records, after, shelf, now=now, cause=cause, reason_id=session.id, course=session.course
    )


def moved(learner: Learner) -> Update:
    """Raises the learner's version; who computed from an older one must compute again.

    Two sessions of one learner may end at the same time. Each would find the
    other's course still missing, and the badge would be gained without anyone
    being told.
    """
    return Update(
        Learner,
        {"tenant": learner.tenant, "id": learner.id},
        {"version": learner.version + 1},
        {"version": learner.version},
    )
