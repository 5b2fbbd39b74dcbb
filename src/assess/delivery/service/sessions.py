"""A session from its begin to its result: each use case reads, computes, commits once, then answers."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from assess.delivery import schemas
from assess.delivery.security import derived_token, digest, new_id, new_token
from assess.delivery.service import finishing, idempotency, learners, showing, standing
from assess.delivery.service.catalogue import Shelf, pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.idempotency import Key
from assess.delivery.store import Writes, reading
from assess.delivery.store.reading import LearnerRecords, SessionRecords
from assess.delivery.store.rows import (
    OfferRow,
    ResponseRow,
    Session,
    Stored,
    Update,
)
from assess.errors import (
    AlreadyPassed,
    Forbidden,
    FormNotActive,
    InvalidRequest,
    NotFinished,
    NotFound,
    PositionConflict,
    RetakeTooEarly,
    SessionExpired,
    SessionFinished,
    SessionVoid,
    StaleSession,
    TriesExhausted,
)
from assess.session import (
    Ending,
    Offer,
    Release,
    Response,
    SessionState,
    StartRecord,
    TimeGrant,
    answer,
    count_items,
    fold,
    start,
    step,
    with_ending,
    with_offer,
    with_response,
)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Loaded:
    """A session as it is stored, and its fold."""

    records: SessionRecords
    state: SessionState

    @property
    def row(self) -> Session:
        return self.records.session


async def _again(use_case: Callable[[], Awaitable[T]]) -> T:
    """Run a use case; if somebody else wrote first, read and run it once more."""
    try:
        return await use_case()
    except StaleSession:
        return await use_case()


# --- reading -----------------------------------------------------------------


async def load(services: Services, scope: Scope, session: str) -> Loaded:
    """A session of the scope's tenant, folded; NotFound for anybody else's."""
    scope.require_session(session)
    records = await services.store.read(reading.session_records, scope.tenant, session)
    if records is None or records.session.sandbox != scope.sandbox:
        raise NotFound("session", session)
    if scope.learner is not None and records.session.learner != scope.learner:
        raise NotFound("session", session)
    release = await services.catalogue.release(records.session.release)
    return Loaded(records, folded(records, release))


def folded(records: SessionRecords, release: Release) -> SessionState:
    """The state of a stored session; also what replay starts from."""
    row = records.session
    ending = None
    if row.ended_at is not None and row.ended_by is not None:
        ending = Ending(row.ended_by, row.ended_at)
    return fold(
        release,
        StartRecord.from_mapping(row.start_record),
        [Offer(o.position, o.item, o.at) for o in records.offers],
        [
            Response(
                r.position, r.revision, r.item, r.answer, r.category, r.at, r.salt or "", r.answer_sha256
            )
            for r in records.responses
        ],
        grants=[
            TimeGrant(int(e.data["seconds"]), e.at, str(e.data.get("reason", "")))
            for e in records.events
            if e.type == "time_granted"
        ],
        ending=ending,
        void=row.void_at is not None or row.state == "reset",
    )


async def _touched(services: Services, scope: Scope, session: str) -> Loaded:
    """A session, after whatever its clock already decided was stored."""
    loaded = await load(services, scope, session)
    if loaded.state.ending is None and not loaded.state.void and services.clock() > loaded.state.closes_at:
        await _end(services, loaded, Ending("timed_out", loaded.state.closes_at))
        loaded = await load(services, scope, session)
    return loaded


# --- begin -------------------------------------------------------------------


async def begin(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    course: str | None = None,
    form: str | None = None,
    locale: str | None = None,
    key: Key | None = None,
) -> schemas.SessionBegun:
    """`POST /v1/sessions`: a new session, or the open one of this learner and form.

    Parameters
    ----------
    course, form : str
        One of them: a form id, or a course, for which the default form is taken.
    key : Key, optional
        The request's idempotency key: its repetition gives the same session and token.

    Raises
    ------
    NotFound, Forbidden, InvalidRequest, FormNotActive, AlreadyPassed, RetakeTooEarly, TriesExhausted
    """
    scope.require("deliver")
    if scope.learner is not None and scope.learner != learner:
        raise NotFound("learner", learner)
    if (course is None) == (form is None):
        raise InvalidRequest("name either a course or a form", path="course")
    return await _again(lambda: _begin(services, scope, learner, course, form, locale, key))


async def _begin(
    services: Services,
    scope: Scope,
    learner: str,
    course: str | None,
    form: str | None,
    locale: str | None,
    key: Key | None,
) -> schemas.SessionBegun:
    known = await idempotency.earlier(services, scope, key)
    if known is not None:
        assert key is not None
        loaded = await load(services, scope, known)
        return _begun(services, loaded.row, loaded.state, _derived(scope, known, key))
    records = await learners.records(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    form_id = _form_id(shelf, course, form)
    open_row = await services.store.read(reading.open_session, scope.tenant, learner, form_id)
    if open_row is not None:
        loaded = await _touched(services, scope, open_row.id)
        if loaded.state.ending is None:
            return await _resume(services, scope, loaded, key)
        records = await learners.records(services, scope, learner)
    release = shelf.form(form_id)
    await _require_consent(services, scope, release)
    now = services.clock()
    _require_try(records, release, now)
    excluded = await _met_before(services, records, release)
    session_id = new_id("ses")
    record = start(
        release,
        session=session_id,
        learner=learner,
        seed=secrets.token_hex(16),
        now=now,
        language=locale or records.learner.locale,
        try_number=1 + len(standing.counting_sessions(records, release.course.id, now)),
        excluded=excluded,
    )
    state = SessionState(release, record)
    first = step(state, now)
    assert first.offer is not None
    state = with_offer(state, first.offer, now)
    token = _token(scope, session_id, key)
    row = Session(
        tenant=scope.tenant,
        id=session_id,
        learner=learner,
        course=release.course.id,
        form_id=release.form.id,
        form=release.form.reference,
        release=release.sha256,
        start_record=record.to_mapping(),
        token_sha256=digest(token),
        version=1,
        state="open",
        started_at=now,
        closes_at=state.closes_at,
        ended_at=None,
        ended_by=None,
        void_at=None,
        void_reason=None,
        practice=release.practice,
        sandbox=scope.sandbox,
        try_number=record.try_number,
    )
    rows: tuple[Stored, ...] = (row, _offer_row(row, state.offers[-1]))
    rows += idempotency.rows(services, scope, key, session_id)
    # The learner's version keeps two starts of one course apart: each would be counted as the same try.
    await services.store.commit(Writes(scope.tenant, (finishing.moved(records.learner),), inserts=rows))
    return _begun(services, row, state, token)


async def _resume(services: Services, scope: Scope, loaded: Loaded, key: Key | None) -> schemas.SessionBegun:
    """The open session with a fresh token; the old token ends, and with it the other device's way in."""
    token = _token(scope, loaded.row.id, key)
    changes = {"token_sha256": digest(token), "version": loaded.row.version + 1}
    writes = Writes(
        scope.tenant,
        (_session_update(loaded.row, changes),),
        inserts=idempotency.rows(services, scope, key, loaded.row.id),
    )
    await services.store.commit(writes)
    return _begun(services, loaded.row, loaded.state, token)


def _form_id(shelf: Shelf, course: str | None, form: str | None) -> str:
    if form is not None:
        return shelf.form(form).form.id
    assert course is not None
    shelf.course(course)
    forms = shelf.course_forms(course)
    if not forms:
        raise FormNotActive(f"course {course} has no active form here")
    return forms[0].form.id


async def _require_consent(services: Services, scope: Scope, release: Release) -> None:
    """A learner who starts alone must have agreed; behind an API key the organisation answers for that."""
    form = release.form
    if scope.learner is not None and not await learners.has_consented(
        services, scope, form=form.id, version=form.consent_version
    ):
        raise Forbidden(
            f"consent to version {form.consent_version} of the conditions comes first", code="consent_missing"
        )


def _require_try(records: LearnerRecords, release: Release, now: datetime) -> None:
    """The retake policy; practice may be repeated at will, because it decides nothing."""
    if release.practice:
        return
    course = release.course.id
    found = standing.next_step(records, course, release.form.retake, now)
    speaking = standing.spoken(records, course, now)
    if speaking is not None and speaking.word == "passed":
        raise AlreadyPassed(f"course {course} is passed; it is not taken again except for renewal")
    if found.action == "contact":
        used = f"{found.tries_used} tries in {release.form.retake.period_days} days are used"
        raise TriesExhausted(used, not_before=found.not_before)
    if found.action == "wait":
        raise RetakeTooEarly(
            "the waiting time after the last try has not passed", not_before=found.not_before
        )


async def _met_before(services: Services, records: LearnerRecords, release: Release) -> list[str]:
    """Units of the last try that this one leaves out, as long as enough others are there."""
    rules = release.form.adaptive
    tries = [s for s in records.sessions if s.course == release.course.id and s.state == "ended"]
    if rules is None or not tries:
        return []
    seen = await services.store.read(reading.offered_items, records.learner.tenant, tries[-1].id)
    met = {release.unit_of[item] for item in seen if item in release.unit_of}
    left = [unit for u, unit in enumerate(release.units) if u not in met]
    items = [item for unit in left for item in unit.items]
    covered = all(count_items(items, r) >= r.minimum for r in release.form.blueprint)
    if len(left) < rules.max_units or not covered:
        return []
    return [release.units[u].reference for u in met]


def _token(scope: Scope, session: str, key: Key | None) -> str:
    return new_token() if key is None or not scope.token_key else _derived(scope, session, key)


def _derived(scope: Scope, session: str, key: Key) -> str:
    return derived_token(scope.token_key, session, key.key)


def _begun(services: Services, row: Session, state: SessionState, token: str) -> schemas.SessionBegun:
    return schemas.SessionBegun(
        session=row.id,
        token=token,
        url=f"{services.settings.public_url}/s/{row.id}?token={token}",
        form=row.form,
        release=row.release,
        expires_at=state.closes_at,
        current=showing.current(services.renderer, state, services.clock()),
    )


# --- looking -----------------------------------------------------------------


async def view(services: Services, scope: Scope, session: str) -> schemas.SessionView:
    """`GET /v1/sessions/{id}`: where the session is; resuming is reading this."""
    loaded = await _touched(services, scope, session)
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
    loaded = await _touched(services, scope, session)
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
    return showing.overview((await _touched(services, scope, session)).state)


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
    return await _again(lambda: _respond(services, scope, session, position, item, revision, answer, key))


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
    known = await idempotency.earlier(services, scope, key)
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
        await _touched(services, scope, session)
        raise
    stored = next(
        (r for r in loaded.records.responses if (r.position, r.revision) == (position, revision)), None
    )
    if stored is not None:
        if state.ending is None and now > state.closes_at:
            state = (await _touched(services, scope, session)).state
        return _responded(services, stored, state, now)
    assert known is None
    row = _response_row(services, loaded.row, response)
    state = with_response(state, response)
    following = step(state, now)
    rows: list[Stored] = [row, *idempotency.rows(services, scope, key, f"{position}/{revision}")]
    if following.offer is not None:
        state = with_offer(state, following.offer, now)
        rows.append(_offer_row(loaded.row, state.offers[-1]))
    if following.ending is not None:
        state = with_ending(state, following.ending)
        await _commit_end(services, loaded, state, now, tuple(rows))
    else:
        update = _session_update(loaded.row, {"version": loaded.row.version + 1})
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


def _offer_row(session: Session, offer: Offer) -> OfferRow:
    return OfferRow(session.tenant, session.id, offer.position, offer.item, offer.at)


def _session_update(row: Session, values: dict[str, object]) -> Update:
    return Update(
        Session, {"tenant": row.tenant, "id": row.id}, values, {"version": row.version, "state": "open"}
    )


# --- ending ------------------------------------------------------------------


async def submit(services: Services, scope: Scope, session: str) -> schemas.Finished:
    """`POST /v1/sessions/{id}/submit`: hand in; a second time changes nothing."""

    async def once() -> schemas.Finished:
        loaded = await _touched(services, scope, session)
        if loaded.state.void:
            raise SessionVoid("this session was declared void")
        if loaded.state.ending is None:
            await _end(services, loaded, Ending("submitted", services.clock()))
        return schemas.Finished()

    return await _again(once)


async def _end(services: Services, loaded: Loaded, ending: Ending) -> None:
    await _commit_end(services, loaded, with_ending(loaded.state, ending), services.clock(), ())


async def _commit_end(
    services: Services, loaded: Loaded, state: SessionState, now: datetime, rows: tuple[Stored, ...]
) -> None:
    """Store an ending with its decision, and everything that changes by it, in one commit."""
    row = finishing.ended(loaded.row, state)
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    shelf = await services.catalogue.shelf(row.tenant)
    decision = finishing.decision_row(row, state, now)
    changes = finishing.consequences(records, row, decision, shelf, now, "session")
    values: dict[str, object] = {
        "version": row.version + 1,
        "state": row.state,
        "ended_at": row.ended_at,
        "ended_by": row.ended_by,
    }
    updates = (_session_update(loaded.row, values), finishing.moved(records.learner))
    await services.store.commit(
        Writes(row.tenant, updates, inserts=rows, decisions=(decision,), changes=changes)
    )


async def sweep(services: Services, *, limit: int = 200) -> int:
    """End the sessions whose time ran out, of all tenants; how many there were."""
    overdue = await services.store.read(reading.overdue_sessions, services.clock(), limit)
    for row in overdue:
        scope = Scope(row.tenant, "sweep", frozenset({"deliver"}), sandbox=row.sandbox)
        try:
            await _touched(services, scope, row.id)
        except StaleSession:
            continue  # its learner is acting at this moment, and ends it by that
    return len(overdue)


# --- result ------------------------------------------------------------------


async def result(services: Services, scope: Scope, session: str) -> schemas.Result:
    """`GET /v1/sessions/{id}/result`: what came of it.

    Raises
    ------
    NotFinished
        The session is still open.
    SessionVoid
    """
    loaded = await _touched(services, scope, session)
    state, row = loaded.state, loaded.row
    if state.void:
        raise SessionVoid("this session was declared void")
    decision = await services.store.read(reading.session_decision, row.tenant, row.id)
    if state.ending is None or decision is None:
        raise NotFinished(f"session {session} has not ended; its result comes with its end")
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    release, report = state.release, decision.report
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
    )
