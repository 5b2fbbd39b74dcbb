"""A session from its begin to its result: each use case reads, computes, commits once, then answers."""

from __future__ import annotations

import secrets
from datetime import datetime

from assess.delivery import schemas
from assess.delivery.service import idempotency, showing, standing
from assess.delivery.service.beginning import begin
from assess.delivery.service.catalogue import pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import commit_end, end, sweep, touched
from assess.delivery.service.idempotency import Key
from assess.delivery.service.loading import again, folded, load, offer_row, session_update
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import ResponseRow, Session, Stored
from assess.errors import NotFinished, PositionConflict, SessionExpired, SessionFinished, SessionVoid
from assess.session import (
    Ending,
    Response,
    SessionState,
    answer,
    step,
    with_ending,
    with_offer,
    with_response,
)

# --- looking -----------------------------------------------------------------


async def view(services: Services, scope: Scope, session: str) -> schemas.SessionView:
    """`GET /v1/sessions/{id}`: where the session is; resuming is reading this."""
    loaded = await touched(services, scope, session)
    row, state, now = loaded.row, loaded.state, services.clock()
    word = "void" if state.void else "finished" if state.ending is not None else "in_progress"
    return schemas.SessionView(
        session=row.id,
        state=word,  # type: ignore[arg-type]
        current=None if state.void else showing.current(services.renderer, state, now),
        progress=showing.progress(state),
        accommodations=schemas.Accommodations(extra_seconds=sum(g.seconds for g in state.grants)),
        learner=row.learner,
        course=row.course,
        form=row.form,
        review=state.release.form.review == "allowed",
        language=state.start.language,
        started_at=row.started_at,
        expires_at=state.closes_at,
        seconds_left=None if state.ending is not None else state.seconds_left(now),
        practice=row.practice,
        sandbox=row.sandbox,
    )


async def look(services: Services, scope: Scope, session: str, position: int) -> schemas.Current:
    """An offered position of an open session, where the form allows looking back; the current one always.

    Raises
    ------
    PositionConflict
        Not offered, or answered in a form without review.
    SessionFinished, SessionVoid
    """
    loaded = await touched(services, scope, session)
    state = loaded.state
    _require_open(state)
    if not 1 <= position <= state.position:
        raise PositionConflict(f"position {position} has not been offered; the last one is {state.position}")
    waiting = state.awaiting is not None and state.awaiting.position == position
    if state.release.form.review != "allowed" and not waiting:
        raise PositionConflict(f"position {position} is answered, and this form does not allow looking back")
    return showing.position_view(services.renderer, state, position, services.clock())


async def overview(services: Services, scope: Scope, session: str) -> list[schemas.PositionView]:
    """All offered positions, answered, left blank or open, for the page before handing in."""
    return showing.overview((await touched(services, scope, session)).state)


def _require_open(state: SessionState) -> None:
    if state.void:
        raise SessionVoid("this session was declared void")
    if state.ending is not None:
        raise SessionFinished("this session has ended")


# --- answering ---------------------------------------------------------------


async def respond(
    services: Services,
    scope: Scope,
    session: str,
    *,
    position: int,
    item: str,
    revision: int,
    answer: object,
    key: Key | None = None,
) -> schemas.Responded:
    """`POST /v1/sessions/{id}/responses`: store one answer, then say so and what comes next.

    The same answer under the same revision gives the receipt that was given
    before, and today's current item.

    Raises
    ------
    SessionRefusal
        One of its kinds; nothing was stored.
    """
    return await again(lambda: _respond(services, scope, session, position, item, revision, answer, key))


async def _respond(
    services: Services,
    scope: Scope,
    session: str,
    position: int,
    item: str,
    revision: int,
    raw: object,
    key: Key | None,
) -> schemas.Responded:
    now = services.clock()
    loaded = await load(services, scope, session)
    await idempotency.earlier(services, scope, key)
    state = loaded.state
    try:
        response = answer(
            state,
            position=position,
            item=item,
            revision=revision,
            raw=raw,
            now=now,
            salt=secrets.token_hex(16),
        )
    except SessionExpired:
        await touched(services, scope, session)
        raise
    stored = next(
        (r for r in loaded.records.responses if (r.position, r.revision) == (position, revision)), None
    )
    if stored is not None:
        if state.ending is None and now > state.closes_at:
            state = (await touched(services, scope, session)).state
        return _responded(services, stored, state, now)
    row = _response_row(services, loaded.row, response)
    state = with_response(state, response)
    following = step(state, now)
    rows: list[Stored] = [row, *idempotency.rows(services, scope, key, f"{position}/{revision}")]
    if following.offer is not None:
        state = with_offer(state, following.offer, now)
        rows.append(offer_row(loaded.row, state.offers[-1]))
    if following.ending is not None:
        state = with_ending(state, following.ending)
        await commit_end(services, loaded, state, now, tuple(rows))
    else:
        update = session_update(loaded.row, {"version": loaded.row.version + 1})
        await services.store.commit(Writes(scope.tenant, (update,), inserts=tuple(rows)))
    return _responded(services, row, state, now)


def _responded(services: Services, row: ResponseRow, state: SessionState, now: datetime) -> schemas.Responded:
    receipt = schemas.Receipt(
        session=row.session,
        position=row.position,
        revision=row.revision,
        answer_sha256=row.answer_sha256,
        stored_at=row.at,
        key_id=row.key_id,
        signature=row.signature,
    )
    finished = state.ending is not None
    return schemas.Responded(
        receipt=receipt, current=showing.current(services.renderer, state, now), finished=finished
    )


def _response_row(services: Services, session: Session, response: Response) -> ResponseRow:
    signature = services.receipts.sign(
        session=session.id,
        position=response.position,
        revision=response.revision,
        answer_sha256=response.answer_sha256,
        at=response.at,
    )
    return ResponseRow(
        tenant=session.tenant,
        session=session.id,
        position=response.position,
        revision=response.revision,
        item=response.item,
        answer=response.answer,
        category=response.category,
        at=response.at,
        salt=response.salt,
        answer_sha256=response.answer_sha256,
        key_id=services.receipts.key_id,
        signature=signature,
    )


# --- ending ------------------------------------------------------------------


async def submit(services: Services, scope: Scope, session: str) -> schemas.Finished:
    """`POST /v1/sessions/{id}/submit`: hand in; a second time changes nothing."""

    async def once() -> schemas.Finished:
        loaded = await touched(services, scope, session)
        if loaded.state.void:
            raise SessionVoid("this session was declared void")
        if loaded.state.ending is None:
            await end(services, loaded, Ending("submitted", services.clock()))
        return schemas.Finished()

    return await again(once)


# --- result ------------------------------------------------------------------


async def result(services: Services, scope: Scope, session: str) -> schemas.Result:
    """`GET /v1/sessions/{id}/result`: what came of it.

    Raises
    ------
    NotFinished
        The session is still open.
    SessionVoid
    """
    loaded = await touched(services, scope, session)
    state, row = loaded.state, loaded.row
    if state.void:
        raise SessionVoid("this session was declared void")
    decision = await services.store.read(reading.session_decision, row.tenant, row.id)
    if state.ending is None or decision is None:
        raise NotFinished(f"session {session} has not ended; its result comes with its end")
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    report = decision.report
    # A rescoring may have decided by another release than the one that was delivered.
    release = await services.catalogue.release(report["release"])
    score, language = report["score"], state.start.language
    passed = decision.status == "passed"
    return schemas.Result(
        session=row.id,
        decision=schemas.ResultDecision(
            id=decision.id,
            status=decision.status,
            level=report["level"],
            provisional=decision.provisional,
            practice=decision.practice,
            p_at_or_above_cut=report["p_at_or_above_cut"] if passed else None,
        ),
        score=schemas.ResultScore(
            value=score["value"],
            low=score["interval_90"][0],
            high=score["interval_90"][1],
            min=score["min"],
            max=score["max"],
            cut=report["cut"]["value"],
        ),
        objectives=[
            schemas.ObjectiveResult(
                code=o["code"],
                right=o["right"],
                seen=o["seen"],
                text=pick(release.course.objectives.get(o["code"], {}), language),
            )
            for o in report["objectives"]
        ],
        next=standing.next_step(records, row.course, release.form.retake, services.clock()),
        rationales=showing.rationales(services.renderer, state),
        form_accuracy=(await services.catalogue.shelf(row.tenant)).form_accuracy(release.sha256),
        release=release.sha256,
        corrected=None
        if decision.supersedes is None
        else schemas.Correction(at=decision.decided_at, reason=decision.reason or "", cause=decision.cause),
    )


__all__ = ["begin", "folded", "load", "look", "overview", "respond", "result", "submit", "sweep", "view"]
