"""Facts: what authorised outside sources attest; voided, never deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from assess.delivery import schemas
from assess.delivery.service import changes, learners, schools
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import moved
from assess.delivery.service.loading import again
from assess.delivery.service.standing import with_fact
from assess.delivery.store import Writes, reading
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, Fact, Update
from assess.errors import FactConflict, Forbidden, InvalidFact, NotFound
from assess.standards.facts import FactBook, instant
from assess.standards.grammar import RESERVED

# A platform hands over all that it has of one learner at once, and each of it moves the learner's version.
_RETRIES = 40
_OWN = ("id", "source", "t", "subject", "at")
# The id is a key, of which an index of PostgreSQL holds 2,704 bytes.
_LONGEST_ID = 500


async def attest(
    services: Services, scope: Scope, body: dict[str, Any], *, dry_run: bool = False
) -> tuple[schemas.FactReply, bool]:
    """`POST /v1/facts`: the stored fact, and whether it is new; a dry run checks all and stores nothing.

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
        return await again(lambda: _attest(services, scope, body, dry_run), retries=_RETRIES)


async def _attest(
    services: Services, scope: Scope, body: dict[str, Any], dry_run: bool
) -> tuple[schemas.FactReply, bool]:
    now = services.clock()
    for name in _OWN:
        if not isinstance(body.get(name), str) or not body[name]:
            raise InvalidFact(f"a fact needs {name}, as text", path=name)
    if len(body["id"]) > _LONGEST_ID:
        raise InvalidFact(f"an id of {len(body['id'])} characters; {_LONGEST_ID} are taken", path="id")
    data = {name: value for name, value in body.items() if name not in _OWN}
    forbidden = next((name for name in data if name in RESERVED and name != "until"), None)
    if forbidden is not None:
        raise InvalidFact(f"{forbidden} is set by this server", path=forbidden, code="field_unknown")
    _require_authorised(scope, body["source"], body["t"])
    records = await learners.records(services, scope, body["subject"])
    shelf = await services.catalogue.shelf(scope.tenant)
    _require_sense(records, shelf, body, data, now)
    person = await _member(services, scope, records, body["t"], data)
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
        person=person,
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
    if dry_run:
        return _reply(fact), True
    told = await _events(services, records, fact, shelf, now)
    jobs = await schools.follow_ups(services, shelf, records, cause="fact", reason_id=fact.id)
    await services.store.commit(
        Writes(scope.tenant, (moved(records.learner),), inserts=(fact, *jobs), changes=told)
    )
    return _reply(fact), True


def _require_authorised(scope: Scope, source: str, type_: str) -> None:
    """Refuse a source, or a type of fact of a source, for which the key does not speak.

    Raises
    ------
    Forbidden
        With the code source_not_authorised.
    """
    if scope.sources is None or source in scope.sources:
        return
    for entry in scope.sources:
        name, _, types = entry.partition("=")
        if name == source and types:
            if type_ in types.split(","):
                return
            raise Forbidden(
                f"this key attests {types.replace(',', ', ')} for {source}, not {type_}",
                code="source_not_authorised",
            )
    raise Forbidden(f"this key does not speak for {source}", code="source_not_authorised")


async def _member(
    services: Services, scope: Scope, records: LearnerRecords, type_: str, data: dict[str, Any]
) -> str | None:
    """Whom a membership is about; None for any other fact.

    Raises
    ------
    InvalidFact
        The subject is no school, or the person is not known.
    """
    if type_ != "membership":
        return None
    if records.learner.kind != "school":
        raise InvalidFact(
            f"{records.learner.id!r} is a {records.learner.kind}; schools have members", path="subject"
        )
    person = str(data["person"])
    known = await services.store.read(reading.learner, scope.tenant, person)
    if known is None or known.sandbox != scope.sandbox or known.kind == "school":
        raise InvalidFact(f"no person {person!r} is known; make the learner known first", path="person")
    return person


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
    if body["t"] == "judgement":
        _require_role(shelf, str(data["q"]), str(data["role"]))
    if body["t"] == "decision" and shelf.course(str(data["course"])).assessed == "here":
        raise Forbidden(
            f"course {data['course']} is assessed here; its decisions come from sessions",
            code="source_not_authorised",
        )


def _require_role(shelf: Shelf, q: str, role: str) -> None:
    """Refuse an answer of somebody whom no rule that asks the question would hear.

    Raises
    ------
    Forbidden
        With the code role_not_allowed.
    """
    roles = {r for programme in shelf.programmes.values() for r in programme.judges.get(q, ())}
    if roles and role not in roles:
        raise Forbidden(
            f"role: {q!r} is for {', '.join(sorted(roles))} to judge, not {role}", code="role_not_allowed"
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
    _require_authorised(scope, known.source, known.t)
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
    told = await _events(services, records, voided, shelf, now)
    jobs = await schools.follow_ups(services, shelf, records, cause="fact", reason_id=id)
    update = Update(
        Fact,
        {"tenant": scope.tenant, "id": id},
        {"void_at": at, "void_recorded_at": now, "void_reason": reason},
        {"void_at": None},
    )
    await services.store.commit(
        Writes(scope.tenant, (update, moved(records.learner)), inserts=jobs, changes=told)
    )
    return _reply(voided)


async def _events(
    services: Services, records: LearnerRecords, fact: Fact, shelf: Shelf, now: datetime
) -> tuple[ChangeRow, ...]:
    after = with_fact(records, fact)
    if fact.person is not None:
        after = await learners.with_members(services, after)
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
