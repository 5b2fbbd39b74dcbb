"""A session as it is stored, and its fold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from assess.delivery.service import learners
from assess.delivery.service.context import Scope, Services
from assess.delivery.store import reading
from assess.delivery.store.reading import SessionRecords
from assess.delivery.store.rows import OfferRow, Session, SessionEvent, Update
from assess.errors import NotFound, OpenedElsewhere, StaleSession
from assess.session import Ending, Offer, Release, Response, SessionState, StartRecord, TimeGrant, fold

T = TypeVar("T")
_RETRIES = 3


@dataclass(frozen=True, eq=False)
class Loaded:
    """A session as it is stored, and its fold."""

    records: SessionRecords
    state: SessionState

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


async def load(services: Services, scope: Scope, session: str) -> Loaded:
    """A session of the scope's tenant, folded; NotFound for anybody else's."""
    scope.require_session(session)
    records = await services.store.read(reading.session_records, scope.tenant, session)
    if records is None or records.session.sandbox != scope.sandbox:
        raise NotFound("session", session)
    whose = records.session.learner
    # Another record of the same person is as good.
    if scope.learner not in (None, whose) and not await learners.same_person(services, scope, whose):
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
