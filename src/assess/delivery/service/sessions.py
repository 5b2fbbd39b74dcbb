"""A session from its begin to its result: each use case reads, computes, commits once, then answers."""

from __future__ import annotations

from datetime import datetime

import msgspec

from assess.delivery import schemas
from assess.delivery.security import new_salt
from assess.delivery.service import (
    confirming,
    fencing,
    idempotency,
    notices,
    receipts,
    showing,
    standing,
    status,
    waiting,
)
from assess.delivery.service.beginning import begin, fresh_form, take_over
from assess.delivery.service.catalogue import pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import commit_end, end, sweep, touched
from assess.delivery.service.idempotency import Key
from assess.delivery.service.loading import (
    Loaded,
    after,
    again,
    event_row,
    folded,
    load,
    moved_on,
    offer_row,
    require_not_erased,
    response_row,
)
from assess.delivery.store import Writes, reading
from assess.delivery.store.rows import ResponseRow, Stored
from assess.errors import (
    AnswerConflict,
    ItemTimeOver,
    NotFinished,
    PositionConflict,
    SessionExpired,
    SessionFinished,
    SessionRefusal,
    SessionVoid,
    StaleSession,
)
from assess.session import (
    PENDING,
    Ending,
    SessionState,
    answer,
    step,
    with_ending,
    with_offer,
    with_response,
)

# --- looking -----------------------------------------------------------------


async def view(
    services: Services, scope: Scope, session: str, *, arrived: float | None = None
) -> schemas.SessionView:
    """`GET /v1/sessions/{id}`: where the session is, or was when a request came."""
    loaded = await touched(services, scope, session, arrived=arrived)
    require_not_erased(loaded.row)
    row, state, now = loaded.row, loaded.state, services.clock()
    word = "void" if state.void else "finished" if state.ending is not None else "in_progress"
    return schemas.SessionView(
        session=row.id,
        state=word,  # type: ignore[arg-type]
        current=None if state.void else showing.current(services.renderer, state, now),
        progress=showing.progress(state),
        accommodations=showing.accommodations(state),
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
        fence=fencing.newest(loaded.records),
        timers=showing.timers(state, now),
        assurance=state.start.assurance,
        on_break=showing.on_break(state, now),
        breaks_left=0 if state.ending is not None else state.breaks_left,
        notices=notices.of_session(state),
    )


async def look(
    services: Services, scope: Scope, session: str, position: int, *, arrived: float | None = None
) -> schemas.Current:
    """An offered position of an open session, where the form allows looking back; the current one always.

    Raises
    ------
    PositionConflict
        Not offered, or answered in a form without review.
    SessionFinished, SessionVoid
    """
    loaded = await touched(services, scope, session, arrived=arrived)
    state = loaded.state
    _require_open(state)
    if state.on_break(services.clock()) is not None:
        raise PositionConflict("the session is on a break; no item is shown until it ends")
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
    fence: int | None = None,
    arrived: float | None = None,
) -> schemas.Responded:
    """`POST /v1/sessions/{id}/responses`: store one answer, then say so and what comes next.

    The same answer under the same revision gives the receipt that was given
    before, and today's current item.

    Parameters
    ----------
    fence : int, optional
        Of the opening that answers; without one, nothing is asked.
    arrived : float, optional
        When the request came, on the services' monotonic clock. An answer is
        judged by that instant, however long it has to wait here, and a wait
        that is felt is given back.

    Raises
    ------
    OpenedElsewhere
        The session was opened again since, and this answer is not one that is stored already.
    SessionRefusal
        One of its kinds; nothing was stored.
    Unauthenticated
        The scope's token was replaced since this process remembered it.
    """
    begun = services.monotonic() if arrived is None else arrived
    # An answer is in time if it arrived in time, however often it must be tried.
    at = services.instant(begun)

    given = position, item, revision, answer, key, fence, at
    try:
        loaded = await load(services, scope, session, at_once=True)
        responded = await _respond(services, scope, loaded, *given)
    except StaleSession:

        async def attempt() -> schemas.Responded:
            return await _respond(services, scope, await load(services, scope, session), *given)

        responded = await again(attempt)
    if not waiting.was_felt(services, begun):
        return responded
    current = await waiting.given_back(services, scope, session, responded.current, begun)
    return msgspec.structs.replace(responded, current=current)


async def _respond(
    services: Services,
    scope: Scope,
    loaded: Loaded,
    position: int,
    item: str,
    revision: int,
    raw: object,
    key: Key | None,
    fence: int | None,
    now: datetime,
) -> schemas.Responded:
    if not loaded.remembered:
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
            salt=new_salt(),
        )
    except SessionRefusal as refusal:
        _judge_again(services, loaded)
        await idempotency.earlier(services, scope, key)
        if isinstance(refusal, AnswerConflict | PositionConflict):
            fencing.require(loaded.records, fence)
        if isinstance(refusal, SessionExpired | ItemTimeOver):
            fresh = await touched(services, scope, loaded.row.id)
            if fresh.state.grants != state.grants:
                raise StaleSession("time was given back meanwhile; it is judged again") from None
        raise
    if position in state.latest and (stored := _row(loaded, position, revision)) is not None:
        _judge_again(services, loaded)
        await idempotency.earlier(services, scope, key)
        state = (await touched(services, scope, loaded.row.id)).state
        return _responded(services, stored, state, now)
    try:
        fencing.require(loaded.records, fence)
    except StaleSession:
        _judge_again(services, loaded)
        raise
    row = response_row(services, loaded.row, response)
    state = with_response(state, response)
    following = step(state, now)
    # A key that came before makes this commit stale; what was remembered is dropped, and the key looked up.
    rows: list[Stored] = [row, *idempotency.rows(services, scope, key, f"{position}/{revision}")]
    if response.timed_out:
        rows.append(event_row(loaded.records, "item_timed_out", now, {"position": position}))
    if following.offer is not None:
        state = with_offer(state, following.offer, now)
        rows.append(offer_row(loaded.row, state.offers[-1]))
    if following.ending is not None:
        state = with_ending(state, following.ending)
        await commit_end(services, loaded, state, now, tuple(rows))
    else:
        update = moved_on(loaded.row, state)
        await services.store.commit(Writes(scope.tenant, (update,), inserts=tuple(rows)))
        services.recent.keep(after(loaded, state, rows))
    return _responded(services, row, state, now)


def _row(loaded: Loaded, position: int, revision: int) -> ResponseRow | None:
    rows = loaded.records.responses
    return next((row for row in rows if (row.position, row.revision) == (position, revision)), None)


def _judge_again(services: Services, loaded: Loaded) -> None:
    """Nothing but a stored answer rests on memory where another process may have written since."""
    if loaded.remembered and not services.store.exclusive:
        raise StaleSession("what this process remembered may be behind; read again")


def _responded(services: Services, row: ResponseRow, state: SessionState, now: datetime) -> schemas.Responded:
    return schemas.Responded(
        receipt=receipts.receipt(row),
        current=showing.current(services.renderer, state, now),
        finished=state.ending is not None,
    )


# --- ending ------------------------------------------------------------------


async def submit(
    services: Services,
    scope: Scope,
    session: str,
    *,
    fence: int | None = None,
    arrived: float | None = None,
) -> schemas.Finished:
    """`POST /v1/sessions/{id}/submit`: hand in; a second time changes nothing.

    Judged by when it arrived, as an answer is.

    Raises
    ------
    OpenedElsewhere
        The session is open, and was opened again since this fence was taken.
    SessionVoid
    """
    at = services.instant(arrived)

    async def once() -> schemas.Finished:
        loaded = await touched(services, scope, session, arrived=arrived)
        if loaded.state.void:
            raise SessionVoid("this session was declared void")
        if loaded.state.ending is None:
            fencing.require(loaded.records, fence)
            await end(services, loaded, Ending("submitted", at))
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
    require_not_erased(loaded.row)
    state, row = loaded.state, loaded.row
    if state.void:
        raise SessionVoid("this session was declared void")
    decision = await services.store.read(reading.session_decision, row.tenant, row.id)
    if state.ending is None or decision is None:
        raise NotFinished(f"session {session} has not ended; its result comes with its end")
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    report, now = decision.report, services.clock()
    untold, said = decision.status == PENDING, decision.source == confirming.SOURCE
    # A rescoring may have decided by another release than the one that was delivered.
    release = await services.catalogue.release(report["release"])
    score, language = report["score"], state.start.language
    passed = decision.status == "passed"
    shelf = await services.catalogue.shelf(row.tenant)
    forms = shelf.course_forms(row.course) if said else [release]
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
        score=None
        if score is None
        else schemas.ResultScore(
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
        next=standing.next_step(records, row.course, forms[0].form.retake if forms else None, now),
        rationales=None if untold or said else showing.rationales(services.renderer, state),
        form_accuracy=shelf.form_accuracy(release.sha256),
        release=release.sha256,
        corrected=None
        # What was held was no result yet, so that its release corrects none.
        if decision.supersedes is None or decision.cause == "release"
        else schemas.Correction(at=decision.decided_at, reason=decision.reason or "", cause=decision.cause),
        pending=status.pending_for(decision) if untold else None,
        confirmation=confirming.said(records, decision, now)
        if said
        else confirming.of_session(records, row.id, now),
    )


__all__ = [
    "begin",
    "folded",
    "fresh_form",
    "load",
    "look",
    "overview",
    "respond",
    "result",
    "submit",
    "sweep",
    "take_over",
    "view",
]
