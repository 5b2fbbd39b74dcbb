"""A session as it is stored, and its fold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from assess.delivery.service import learners
from assess.delivery.service.context import Scope, Services
from assess.delivery.store import reading
from assess.delivery.store.reading import SessionRecords
from assess.delivery.store.rows import OfferRow, ResponseRow, Session, SessionEvent, Stored, Update
from assess.errors import NotFound, OpenedElsewhere, StaleSession
from assess.session import Ending, Offer, Release, Response, SessionState, StartRecord, TimeGrant, fold

T = TypeVar("T")
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


async def again(use_case: Callable[[], Awaitable[T]]) -> T:
    """Run a use case; if somebody else wrote first, read and run it again, a few times.

    Once is too few: an answer from one tab and the timer may both go before
    the hand-in from another, and a learner who hands in must not hear "try
    again" for that.
    """
    for _ in range(_RETRIES):
        try:
            return await use_case()
        except OpenedElsewhere:
            raise
        except StaleSession:
            continue
    return await use_case()


async def load(services: Services, scope: Scope, session: str, *, at_once: bool = False) -> Loaded:
    """A session of the scope's tenant, folded; NotFound for anybody else's.

    Parameters
    ----------
    at_once : bool
        Take what this process remembers even where another one may have written since. Only for a
        write, whose expected version finds out, and never for a refusal.
    """
    scope.require_session(session)
    known = services.recent.session(scope.tenant, session) if at_once or services.store.exclusive else None
    if known is None:
        known = await _read(services, scope.tenant, session)
        services.recent.keep(replace(known, remembered=True))
    if known.row.sandbox != scope.sandbox:
        raise NotFound("session", session)
    whose = known.row.learner
    # Another record of the same person is as good.
    if scope.learner not in (None, whose) and not await learners.same_person(services, scope, whose):
        raise NotFound("session", session)
    return known


async def _read(services: Services, tenant: str, session: str) -> Loaded:
    records = await services.store.read(reading.session_records, tenant, session)
    if records is None:
        raise NotFound("session", session)
    release = await services.catalogue.release(records.session.release)
    return Loaded(records, folded(records, release))


def after(loaded: Loaded, state: SessionState, rows: Iterable[Stored]) -> Loaded:
    """What to remember of an open session after these rows were stored under the next version."""
    records, stored = loaded.records, tuple(rows)
    return Loaded(
        SessionRecords(
            session=replace(records.session, version=records.session.version + 1),
            offers=(*records.offers, *(row for row in stored if isinstance(row, OfferRow))),
            responses=(*records.responses, *(row for row in stored if isinstance(row, ResponseRow))),
            events=records.events,
        ),
        state,
        remembered=True,
    )


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


def offer_row(session: Session, offer: Offer) -> OfferRow:
    """The row of an offer."""
    return OfferRow(session.tenant, session.id, offer.position, offer.item, offer.at)


def event_row(records: SessionRecords, type: str, at: datetime, data: dict[str, Any]) -> SessionEvent:
    """The row of the session's next event; of two that take the same number, the second is refused."""
    row = records.session
    seq = 1 + max((event.seq for event in records.events), default=0)
    return SessionEvent(row.tenant, row.id, seq, type, at, data)


def session_update(row: Session, values: dict[str, object]) -> Update:
    """New values for an open session that nobody else has changed."""
    return Update(
        Session, {"tenant": row.tenant, "id": row.id}, values, {"version": row.version, "state": "open"}
    )
