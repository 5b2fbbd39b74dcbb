"""Facts: what authorised outside sources attest; voided, never deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from assess.delivery import schemas
from assess.delivery.service import changes, learners
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import moved
from assess.delivery.service.loading import again
from assess.delivery.service.standing import with_fact
from assess.delivery.store import Writes, reading
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import Fact, Update
from assess.errors import FactConflict, Forbidden, InvalidFact, NotFound
from assess.standards.facts import FactBook, instant
from assess.standards.grammar import RESERVED

# A platform hands over all that it has of one learner at once, and each of it moves the learner's version.
_RETRIES = 40
_OWN = ("id", "source", "t", "subject", "at")


async def attest(services: Services, scope: Scope, body: dict[str, Any]) -> tuple[schemas.FactReply, bool]:
    """`POST /v1/facts`: the stored fact, and whether it is new.

    Raises
    ------
    InvalidFact
        A field is missing, malformed or in the future; with its path.
    Forbidden
        The key may not speak for the source, or the course is assessed here.
    FactConflict
        The id stands for another fact.
    """
    scope.require("attest")
    async with services.turns.of(scope.tenant, str(body.get("subject"))):
        return await again(lambda: _attest(services, scope, body), retries=_RETRIES)


async def _attest(services: Services, scope: Scope, body: dict[str, Any]) -> tuple[schemas.FactReply, bool]:
    now = services.clock()
    for name in _OWN:
        if not isinstance(body.get(name), str) or not body[name]:
            raise InvalidFact(f"a fact needs {name}, as text", path=name)
    data = {name: value for name, value in body.items() if name not in _OWN}
    forbidden = next((name for name in data if name in RESERVED and name != "until"), None)
    if forbidden is not None:
        raise InvalidFact(f"{forbidden} is set by this server", path=forbidden, code="field_unknown")
    if scope.sources is not None and body["source"] not in scope.sources:
        raise Forbidden(f"this key does not speak for {body['source']}", code="source_not_authorised")
    records = await learners.records(services, scope, body["subject"])
    shelf = await services.catalogue.shelf(scope.tenant)
    _require_sense(records, shelf, body, data, now)
    fact = Fact(
        tenant=scope.tenant,
        id=body["id"],
        source=body["source"],
        t=body["t"],
        subject=body["subject"],
        at=body["at"],
        recorded_at=now,
        void_at=None,
        void_recorded_at=None,
        void_reason=None,
        sandbox=scope.sandbox,
        data=data,
    )
    known = await services.store.read(reading.fact, scope.tenant, fact.id)
    if known is not None:
        same = replace(
            known,
            recorded_at=now,
            void_at=None,
            void_recorded_at=None,
            void_reason=None,
            sandbox=scope.sandbox,
        )
        if same != fact or known.sandbox != scope.sandbox:
            raise FactConflict(f"fact {fact.id!r} is stored with another content; a correction has a new id")
        return _reply(known), False
    told = _events(records, fact, shelf, now)
    await services.store.commit(
        Writes(scope.tenant, (moved(records.learner),), inserts=(fact,), changes=told)
    )
    return _reply(fact), True


def _require_sense(
    records: LearnerRecords, shelf: Shelf, body: dict[str, Any], data: dict[str, Any], now: datetime
) -> None:
    """Refuse what no rule could read, before it is stored."""
    fact = {**data, "t": body["t"], "at": body["at"], "id": body["id"]}
    try:
        FactBook([fact], subject=records.learner.id)
        happened = instant(body["at"], shelf_zone(shelf))
    except InvalidFact as fault:
        path = fault.path.removeprefix("facts[0].")
        raise InvalidFact(str(fault).removeprefix("facts[0]."), path=path or "at", code=fault.code) from None
    if happened > now:
        raise InvalidFact(f"{body['at']} has not come yet", path="at", code="time_in_future")
    if body["t"] == "decision" and shelf.course(str(data["course"])).assessed == "here":
        raise Forbidden(
            f"course {data['course']} is assessed here; its decisions come from sessions",
            code="source_not_authorised",
        )


def shelf_zone(shelf: Shelf) -> tzinfo:
    """The time zone in which a day of a fact is read."""
    return next((programme.rules.time_zone for programme in shelf.programmes.values()), UTC)


async def void(services: Services, scope: Scope, id: str, *, at: str, reason: str) -> schemas.FactReply:
    """`POST /v1/facts/{id}/void`: the fact no longer counts from that day; a second time changes nothing.

    Raises
    ------
    NotFound
        No such fact, for this key.
    InvalidFact
        The day cannot be read or lies in the future.
    FactConflict
        It is void already, from another day.
    """
    scope.require("attest")
    return await again(lambda: _void(services, scope, id, at, reason), retries=_RETRIES)


async def _void(services: Services, scope: Scope, id: str, at: str, reason: str) -> schemas.FactReply:
    now = services.clock()
    known = await services.store.read(reading.fact, scope.tenant, id)
    if known is None or known.sandbox != scope.sandbox:
        raise NotFound("fact", id)
    if scope.sources is not None and known.source not in scope.sources:
        raise Forbidden(f"this key does not speak for {known.source}", code="source_not_authorised")
    shelf = await services.catalogue.shelf(scope.tenant)
    try:
        if instant(at, shelf_zone(shelf)) > now:
            raise InvalidFact(f"{at} has not come yet", path="at", code="time_in_future")
    except InvalidFact as fault:
        raise InvalidFact(str(fault), path="at", code=fault.code) from None
    if known.void_at is not None:
        if (known.void_at, known.void_reason) != (at, reason):
            raise FactConflict(f"fact {id!r} is void from {known.void_at} already")
        return _reply(known)
    records = await learners.records(services, scope, known.subject)
    voided = replace(known, void_at=at, void_recorded_at=now, void_reason=reason)
    told = _events(records, voided, shelf, now)
    update = Update(
        Fact,
        {"tenant": scope.tenant, "id": id},
        {"void_at": at, "void_recorded_at": now, "void_reason": reason},
        {"void_at": None},
    )
    await services.store.commit(Writes(scope.tenant, (update, moved(records.learner)), changes=told))
    return _reply(voided)


def _events(records: LearnerRecords, fact: Fact, shelf: Shelf, now: datetime) -> Any:
    after = with_fact(records, fact)
    return changes.events(records, after, shelf, now=now, cause="fact", reason_id=fact.id)


def _reply(fact: Fact) -> schemas.FactReply:
    return schemas.FactReply(
        id=fact.id,
        source=fact.source,
        t=fact.t,
        subject=fact.subject,
        at=fact.at,
        recorded_at=fact.recorded_at,
        void_at=fact.void_at,
        void_reason=fact.void_reason,
        data=fact.data,
    )
