"""From an ended session to everything that its end makes: decision, chain, feed, eligibility."""

from __future__ import annotations

import contextlib
import logging
import secrets
from dataclasses import replace
from datetime import datetime, timedelta

from assess.delivery.security import new_id
from assess.delivery.service import changes, confirming, schools, status
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import (
    Loaded,
    event_row,
    load,
    moved_on,
    offer_row,
    response_row,
    session_update,
)
from assess.delivery.service.standing import with_decision, with_session
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import DecisionRow, Learner, Session, Stored, Update
from assess.errors import StaleSession, StorageUnavailable
from assess.session import (
    PENDING,
    Closing,
    Confirmation,
    Ending,
    Held,
    Outcome,
    SessionState,
    concluded,
    step,
    with_closing,
    with_ending,
    with_offer,
)

log = logging.getLogger(__name__)

# An answer that came in time may still wait for its turn: it is not overtaken by the end.
_STILL_COMING = timedelta(seconds=30)


def decision_row(
    session: Session,
    state: SessionState,
    found: Outcome | Held | Confirmation,
    now: datetime,
    earlier: DecisionRow | None = None,
) -> DecisionRow:
    """What an ended session leaves as a decision, ready to be numbered and chained; a held one is pending.

    Parameters
    ----------
    earlier : DecisionRow, optional
        The one that it supersedes, of a session that was opened again.
    """
    decision = found.decision if isinstance(found, Outcome) else None
    undecided = found.outcome if isinstance(found, Confirmation) else PENDING
    return DecisionRow(
        tenant=session.tenant,
        id=new_id("dec"),
        session=session.id,
        learner=session.learner,
        course=session.course,
        form=state.release.form.reference,
        status=undecided if decision is None else decision.status,
        provisional=decision is not None and decision.provisional,
        practice=state.release.practice,
        passed=decision is not None and decision.passed,
        source=_source(state),
        record=found.record_bytes.decode(),
        record_sha256=found.record_sha256,
        report=status.report(state, found),
        programme=state.release.course.programme,
        chain_seq=0,
        chain_sha256="",
        decided_at=now,
        supersedes=None if earlier is None else earlier.id,
        reason=None if earlier is None else _why_again(state),
    )


def _source(state: SessionState) -> str:
    if state.start.confirms is not None:
        return confirming.SOURCE
    return "placement" if state.release.form.placement else "course_form"


def _why_again(state: SessionState) -> str:
    if state.extensions:
        return "the session went on where it had been too close to say"
    return "the session was opened again after an incident"


def ended(session: Session, state: SessionState) -> Session:
    """The session's row with its ending."""
    assert state.ending is not None
    return replace(session, state="ended", ended_at=state.ending.at, ended_by=state.ending.how)


def reopened(row: Session, state: SessionState) -> Update:
    """The row of a session that ended and goes on."""
    values = {
        "state": "open",
        "ended_at": None,
        "ended_by": None,
        "closes_at": state.closes_at,
        "version": row.version + 1,
    }
    expected = {"version": row.version, "state": "ended"}
    return Update(Session, {"tenant": row.tenant, "id": row.id}, values, expected)


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


async def touched(services: Services, scope: Scope, session: str, *, arrived: float | None = None) -> Loaded:
    """A session, after whatever its clocks already decided was stored.

    Parameters
    ----------
    arrived : float, optional
        When the request came, on the services' monotonic clock: what had time left then is not ended, so
        that an answer is judged by its arrival.

    Raises
    ------
    StorageUnavailable
        A clock is over, and it is not known yet whether it stood still meanwhile.
    """
    loaded = await load(services, scope, session)
    for _ in range(4):
        state, now = loaded.state, services.instant(arrived)
        closing = state.closing
        if state.ending is not None or state.void:
            break
        if now <= state.closes_at and (closing is None or now <= closing.at):
            break
        # A clock that was over while nothing could be stored may not be over at all.
        if await services.settling.before_an_end(loaded.row):
            version = loaded.row.version
            loaded = await load(services, scope, session)
            if loaded.row.version != version:
                # It was given time, or somebody ended it meanwhile: the clocks are looked at again.
                continue
        # Somebody who touched it at the same time may have been first; then that ending is the one.
        with contextlib.suppress(StaleSession):
            if now > state.closes_at:
                await end(services, loaded, Ending("timed_out", state.closes_at))
            else:
                assert closing is not None
                await _close(services, loaded, closing, services.clock())
        loaded = await load(services, scope, session)
    return loaded


async def _close(services: Services, loaded: Loaded, closing: Closing, now: datetime) -> None:
    """Store what a clock closed, and offer what comes next: its clock runs from when somebody looks."""
    state = with_closing(loaded.state, closing, salt=secrets.token_hex(16))
    rows: list[Stored] = []
    if closing.name == "item":
        rows.append(response_row(services, loaded.row, state.responses[-1]))
        data = {"position": closing.position}
        rows.append(event_row(loaded.records, "item_timed_out", closing.at, data))
    else:
        data = {"section": state.section_ends[-1].section, "position": closing.position}
        rows.append(event_row(loaded.records, "section_closed", closing.at, data))
    following = step(state, now)
    if following.ending is not None:
        state = with_ending(state, Ending(following.ending.how, closing.at))
        await commit_end(services, loaded, state, now, tuple(rows))
        return
    if following.offer is not None:
        state = with_offer(state, following.offer, now)
        rows.append(offer_row(loaded.row, state.offers[-1]))
    await services.store.commit(
        Writes(loaded.row.tenant, (moved_on(loaded.row, state),), inserts=tuple(rows))
    )


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
    updates = [
        session_update(
            loaded.row,
            {
                "version": row.version + 1,
                "state": row.state,
                "ended_at": row.ended_at,
                "ended_by": row.ended_by,
            },
        ),
        moved(records.learner),
    ]
    earlier = next((d for d in records.decisions if d.session == row.id and d.superseded_at is None), None)
    found = concluded(state, decided_at=now)
    if isinstance(found, Confirmation):
        rows += confirming.review(row, state, found, records, shelf, now)
    decision = decision_row(row, state, found, now, earlier)
    before, after = records, records
    if earlier is not None:
        after = with_decision(after, replace(earlier, superseded_at=now, superseded_by=decision.id))
        values = {"superseded_at": now, "superseded_by": decision.id}
        updates.append(
            Update(DecisionRow, {"tenant": row.tenant, "id": earlier.id}, values, {"superseded_at": None})
        )
    after = with_decision(with_session(after, row), decision)
    told = changes.events(before, after, shelf, now=now, cause="session", reason_id=row.id, course=row.course)
    jobs = await schools.follow_ups(services, shelf, records, cause="session", reason_id=row.id)
    await services.store.commit(
        Writes(row.tenant, tuple(updates), inserts=(*rows, *jobs), decisions=(decision,), changes=told)
    )


async def sweep(services: Services, *, limit: int = 200) -> int:
    """End the sessions whose time ran out, of all tenants; how many there were.

    One that cannot be ended is logged and left: the oldest comes first, and
    would keep every other from its end. None is ended before it is known
    whether the clocks ran.
    """
    try:
        await services.settling.before_an_end()
    except StorageUnavailable as fault:
        log.info("no session was ended: %s", fault)
        return 0
    overdue = await services.store.read(reading.overdue_sessions, services.clock() - _STILL_COMING, limit)
    for row in overdue:
        scope = Scope(row.tenant, "sweep", frozenset({"deliver"}), sandbox=row.sandbox)
        try:
            await touched(services, scope, row.id)
        except StorageUnavailable:
            raise
        except Exception:
            log.exception("session %s could not be ended", row.id)
    return len(overdue)
