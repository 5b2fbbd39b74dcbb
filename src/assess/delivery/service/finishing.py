"""From an ended session to everything that its end makes: decision, chain, feed, eligibility."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from datetime import datetime

from assess.delivery.security import new_id
from assess.delivery.service import changes, status
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import Loaded, load, session_update
from assess.delivery.service.standing import with_decision, with_session
from assess.delivery.store import Writes, reading
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, DecisionRow, Learner, Session, Stored, Update
from assess.errors import StaleSession, StorageUnavailable
from assess.session import Ending, Outcome, SessionState, outcome, with_ending

log = logging.getLogger(__name__)


def decision_row(session: Session, state: SessionState, found: Outcome, now: datetime) -> DecisionRow:
    """An outcome of an ended session as a decision, ready to be numbered and chained."""
    return DecisionRow(
        tenant=session.tenant,
        id=new_id("dec"),
        session=session.id,
        learner=session.learner,
        course=session.course,
        form=state.release.form.reference,
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


# --- the end ---


async def touched(services: Services, scope: Scope, session: str) -> Loaded:
    """A session, after whatever its clock already decided was stored."""
    loaded = await load(services, scope, session)
    for _ in range(3):
        state = loaded.state
        if state.ending is not None or state.void or services.clock() <= state.closes_at:
            break
        # Somebody who touched it at the same time may have ended it first; then that ending is the one.
        with contextlib.suppress(StaleSession):
            await end(services, loaded, Ending("timed_out", state.closes_at))
        loaded = await load(services, scope, session)
    return loaded


async def end(services: Services, loaded: Loaded, ending: Ending) -> None:
    """End an open session in this way."""
    await commit_end(services, loaded, with_ending(loaded.state, ending), services.clock(), ())


async def commit_end(
    services: Services, loaded: Loaded, state: SessionState, now: datetime, rows: tuple[Stored, ...]
) -> None:
    """Store an ending with its decision, and everything that changes by it, in one commit."""
    row = ended(loaded.row, state)
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    shelf = await services.catalogue.shelf(row.tenant)
    decision = decision_row(row, state, outcome(state, decided_at=now), now)
    changes = consequences(records, row, decision, shelf, now, "session")
    values: dict[str, object] = {
        "version": row.version + 1,
        "state": row.state,
        "ended_at": row.ended_at,
        "ended_by": row.ended_by,
    }
    updates = (session_update(loaded.row, values), moved(records.learner))
    await services.store.commit(
        Writes(row.tenant, updates, inserts=rows, decisions=(decision,), changes=changes)
    )


async def sweep(services: Services, *, limit: int = 200) -> int:
    """End the sessions whose time ran out, of all tenants; how many there were.

    One that cannot be ended is logged and left: the oldest comes first, and
    would keep every other from its end.
    """
    overdue = await services.store.read(reading.overdue_sessions, services.clock(), limit)
    for row in overdue:
        scope = Scope(row.tenant, "sweep", frozenset({"deliver"}), sandbox=row.sandbox)
        try:
            await touched(services, scope, row.id)
        except StorageUnavailable:
            raise
        except Exception:
            log.exception("session %s could not be ended", row.id)
    return len(overdue)
