"""A session as it is stored, and its fold."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar, cast

from assess.delivery.service import learners
from assess.delivery.service.context import Scope, Services
from assess.delivery.store import reading
from assess.delivery.store.late import Late
from assess.delivery.store.reading import SessionRecords
from assess.delivery.store.rows import OfferRow, ResponseRow, Session, SessionEvent, Stored, Update
from assess.errors import LearnerErased, NotFound, OpenedElsewhere, StaleSession, Unauthenticated
from assess.session import (
    Accommodation,
    Break,
    Ending,
    Extension,
    Offer,
    Release,
    Response,
    SectionEnd,
    SessionState,
    StartRecord,
    TimeGrant,
    fold,
)

T = TypeVar("T")
ERASED = "erased:"
"""With what the hash of the token begins in a session whose learner was erased; no true hash does."""
# Of one that never was, the same is said: who guesses learns nothing.
OPENS_NOTHING = "this token opens nothing; a session that was resumed elsewhere has a new one"
_RETRIES = 3


@dataclass(frozen=True, eq=False)
class Loaded:
    """A session as it is stored, and its fold."""

    records: SessionRecords
    state: SessionState
    remembered: bool = False  # taken from this process's memory, not from the database

    @property
    def row(self) -> Session:
        return self.records.session


async def again(use_case: Callable[[], Awaitable[T]], *, retries: int = _RETRIES) -> T:
    """Run a use case; if somebody else wrote first, read and run it again, a few times.

    Once is too few: an answer from one tab and the timer may both go before
    the hand-in from another, and a learner who hands in must not hear "try
    again" for that. Where many come at once, each waits longer every time, by
    lot, so that they come apart.
    """
    for n in range(retries):
        try:
            return await use_case()
        except OpenedElsewhere:
            raise
        except StaleSession:
            if n >= _RETRIES:
                await asyncio.sleep(secrets.randbelow(10 << min(n - _RETRIES, 5)) / 1000)
    return await use_case()


async def load(services: Services, scope: Scope, session: str, *, at_once: bool = False) -> Loaded:
    """A session of the scope's tenant, folded; NotFound for anybody else's, Unauthenticated by an old token.

    Parameters
    ----------
    at_once : bool
        Take what this process remembers even where another one may have written since. Only for a
        write, whose expected version finds out, and never for a refusal.
    """
    scope.require_session(session)
    known = services.recent.session(scope.tenant, session) if at_once or services.store.exclusive else None
    if known is None or not _opens(scope, known.row):
        # A memory that is behind knows neither the newest version nor the newest token.
        known = await _read(services, scope.tenant, session)
        services.recent.keep(replace(known, remembered=True))
    if not _opens(scope, known.row):
        raise Unauthenticated(OPENS_NOTHING)
    if known.row.sandbox != scope.sandbox:
        raise NotFound("session", session)
    whose = known.row.learner
    # Another record of the same person is as good.
    if scope.learner not in (None, whose) and not await learners.same_person(services, scope, whose):
        raise NotFound("session", session)
    return known


def _opens(scope: Scope, row: Session) -> bool:
    """Whether the scope's token is the session's own; any other scope was judged by its rights already.

    Whom a token stands for may come from memory, while another process gave the session a new one.
    """
    return scope.token_sha256 in ("", row.token_sha256)


def require_not_erased(session: Session) -> None:
    """Refuse to show a session whose learner was erased."""
    if session.token_sha256.startswith(ERASED):
        raise LearnerErased(f"the learner of session {session.id} was erased")


async def _read(services: Services, tenant: str, session: str) -> Loaded:
    records = await services.store.read(reading.session_records, tenant, session)
    if records is None:
        raise NotFound("session", session)
    release = await services.catalogue.release(records.session.release)
    return Loaded(records, folded(records, release))


def begun_with(row: Session, state: SessionState, rows: Iterable[Stored]) -> Loaded:
    """What to remember of a session that was just begun, so that its first answer reads nothing."""
    offers = tuple(stored for stored in rows if isinstance(stored, OfferRow))
    return Loaded(SessionRecords(row, offers, (), ()), state, remembered=True)


def after(loaded: Loaded, state: SessionState, rows: Iterable[Stored], **values: Any) -> Loaded:
    """What to remember of an open session after these rows were stored under the next version."""
    records = loaded.records
    version = records.session.version + 1
    row = records.session.changed(version=version, closes_at=state.closes_at, **values)
    offers, responses, events = records.offers, records.responses, records.events
    for stored in rows:
        if isinstance(stored, OfferRow):
            offers = (*offers, stored)
        elif isinstance(stored, ResponseRow):
            responses = (*responses, stored)
        elif isinstance(stored, SessionEvent):
            events = (*events, stored)
    return Loaded(SessionRecords(row, offers, responses, events), state, remembered=True)


def folded(records: SessionRecords, release: Release) -> SessionState:
    """The state of a stored session; also what replay starts from."""
    row = records.session
    ending = None
    if row.ended_at is not None and row.ended_by is not None:
        ending = Ending(row.ended_by, row.ended_at)
    timed_out = {e.data["position"] for e in records.events if e.type == "item_timed_out"}
    return fold(
        release,
        StartRecord.from_mapping(row.start_record),
        [Offer(o.position, o.item, o.at) for o in records.offers],
        [
            Response(
                r.position, r.revision, r.item, r.answer, r.category, r.at, r.salt or "", r.answer_sha256,
                timed_out=r.answer is None and r.position in timed_out,
            )
            for r in records.responses
        ],
        grants=[TimeGrant.from_mapping(e.data, e.at) for e in records.events if e.type == "time_granted"],
        ending=ending,
        void=row.void_at is not None or row.state == "reset",
        breaks=_breaks(records.events),
        section_ends=[
            SectionEnd(int(e.data["section"]), int(e.data["position"]), e.at)
            for e in records.events
            if e.type == "section_closed"
        ],
        accommodated=[
            Accommodation.from_mapping(e.data["given"]) for e in records.events if e.type == "accommodated"
        ],
        extensions=[Extension.from_mapping(e.data, e.at) for e in records.events if e.type == "extended"],
    )  # fmt: skip


def _breaks(events: tuple[SessionEvent, ...]) -> list[Break]:
    found: list[Break] = []
    for event in events:
        if event.type == "break_begun":
            found.append(Break(event.at, int(event.data["seconds"]), event.data.get("position")))
        elif event.type == "break_ended" and found:
            found[-1] = replace(found[-1], ended_at=event.at)
    return found


def as_decided(records: SessionRecords, decided_at: datetime) -> SessionRecords:
    """The records on which a decision of that time rests.

    A session that was opened again or extended goes on under the same id: its earlier
    decision stays, superseded, and rests on what there was before.
    """
    again = ("reopened", "extended")
    reopened = next((e for e in records.events if e.type in again and e.at > decided_at), None)
    if reopened is None:
        return records
    ended_at = datetime.fromisoformat(reopened.data["ended_at"])
    return SessionRecords(
        replace(records.session, state="ended", ended_at=ended_at, ended_by=reopened.data["ended_by"]),
        tuple(o for o in records.offers if o.at < reopened.at),
        tuple(r for r in records.responses if r.at < reopened.at),
        tuple(e for e in records.events if e.seq < reopened.seq),
    )


def offer_row(session: Session, offer: Offer) -> OfferRow:
    """The row of an offer."""
    return OfferRow(session.tenant, session.id, offer.position, offer.item, offer.at)


def session_update(row: Session, values: dict[str, object]) -> Update:
    """New values for an open session that nobody else has changed."""
    return Update(
        Session, {"tenant": row.tenant, "id": row.id}, values, {"version": row.version, "state": "open"}
    )


def response_row(services: Services, session: Session, response: Response) -> ResponseRow:
    """The row of a response, with its receipt, which is signed when the row is written."""
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
        signature=cast(str, Late(services.receipts.signing)),
    )


def event_row(
    records: SessionRecords, type: str, at: datetime, data: dict[str, Any], n: int = 1
) -> SessionEvent:
    """The n-th event that a use case adds to a session."""
    row = records.session
    last = records.events[-1].seq if records.events else 0
    return SessionEvent(row.tenant, row.id, last + n, type, at, data)


def moved_on(row: Session, state: SessionState, **values: object) -> Update:
    """Raises the version of an open session, and keeps what the sweep asks for: when its clocks close it."""
    changed: dict[str, object] = {"version": row.version + 1, **values}
    if state.closes_at != row.closes_at:
        changed["closes_at"] = state.closes_at
    return session_update(row, changed)
