"""Accommodations: what a learner asks for and is granted, before a session or during one; never why.

Rows are only added. The latest one that was granted, and has not run out, is
in force for the sessions that begin; a grant during a session is an event of
that session. A row keeps the id for which it was written. Where records were
merged, what is in force under each id counts, and of each part the more
generous: nobody loses a promise because somebody found two records.
"""

from __future__ import annotations

from datetime import datetime

from assess.delivery import schemas
from assess.delivery.service import learners
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import touched
from assess.delivery.service.loading import again, event_row, moved_on
from assess.delivery.service.windows import in_utc
from assess.delivery.store import Writes, sitting
from assess.delivery.store.rows_sitting import AccommodationRow
from assess.errors import (
    Forbidden,
    InvalidContent,
    InvalidRequest,
    NotFound,
    SessionFinished,
    SessionVoid,
)
from assess.session import NO_ACCOMMODATION, Accommodation, with_accommodation


def accommodation(given: schemas.GiveAccommodation) -> Accommodation:
    """What a body asks for.

    Raises
    ------
    InvalidRequest
        A value that cannot be; the field is named.
    """
    try:
        return Accommodation(
            time_multiplier=float(given.time_multiplier),
            untimed=given.untimed,
            breaks=given.breaks,
            break_minutes=given.break_minutes,
            no_pilot=given.no_pilot,
        )
    except InvalidContent as fault:
        raise InvalidRequest(str(fault), path=fault.place) from None


async def grant(
    services: Services, scope: Scope, *, learner: str, given: schemas.GiveAccommodation
) -> schemas.LearnerAccommodations:
    """`PUT /v1/learners/{id}/accommodations`: in force for the sessions that the learner begins from now on.

    Raises
    ------
    NotFound, Forbidden, InvalidRequest
    """
    scope.require("manage")
    now = services.clock()
    if given.until is not None and in_utc(given.until, path="until") <= now:
        raise InvalidRequest("it would have run out already", path="until")
    return await _add(services, scope, learner, "granted", accommodation(given), given.until)


async def ask(
    services: Services, scope: Scope, *, given: schemas.GiveAccommodation
) -> schemas.LearnerAccommodations:
    """A learner's own wish; somebody with the right to manage grants it, or does not."""
    if scope.learner is None:
        raise Forbidden("only a learner asks for an accommodation", code="role_not_allowed")
    return await _add(services, scope, scope.learner, "asked", accommodation(given), None)


async def _add(
    services: Services,
    scope: Scope,
    learner: str,
    word: str,
    given: Accommodation,
    until: datetime | None,
) -> schemas.LearnerAccommodations:
    async def once() -> schemas.LearnerAccommodations:
        person, rows = await _rows(services, scope, learner)
        mine = [row for row in rows if row.learner == learner]
        same = mine[-1] if mine else None
        plain = given.to_mapping()
        # What was asked for under another id is answered by a row of its own, though it says the same again.
        answers = word == "granted" and any(_is_open(row, rows) for row in _asked(rows))
        if same is None or answers or (same.state, same.given, same.until) != (word, plain, until):
            seq = 1 if same is None else same.seq + 1
            row = AccommodationRow(
                scope.tenant, learner, seq, word, plain, until, scope.actor, services.clock()
            )
            await services.store.commit(Writes(scope.tenant, inserts=(row,)))
            rows.append(row)
        return _reply(person, rows, services.clock())

    return await again(once)


async def of_learner(services: Services, scope: Scope, learner: str) -> schemas.LearnerAccommodations:
    """`GET /v1/learners/{id}/accommodations`: what is in force, and everything that was asked and granted."""
    if scope.learner != learner or scope.session is not None:
        scope.require("manage", "deliver")
    if scope.learner is not None and scope.learner != learner:
        raise NotFound("learner", learner)
    person, rows = await _rows(services, scope, learner)
    return _reply(person, rows, services.clock())


async def in_force(services: Services, tenant: str, learner: str) -> Accommodation:
    """What a session that begins now is given."""
    rows = await services.store.read(sitting.accommodations, tenant, learner)
    return granted(rows, services.clock())


def granted(rows: list[AccommodationRow], now: datetime) -> Accommodation:
    """What is in force at an instant, of all that was ever asked and granted to a person."""
    found = NO_ACCOMMODATION
    for row in _current(rows, now):
        found = found.beside(Accommodation.from_mapping(row.given))
    return found


async def grant_in_session(
    services: Services, scope: Scope, session: str, given: schemas.GiveAccommodation
) -> schemas.Accommodations:
    """`POST /v1/sessions/{id}/accommodations`: more time, breaks, or no unscored items, for an open session.

    What counts is the whole allowance: a multiplier holds for it from its
    start, so that the clock stands where it would have stood had the
    accommodation been there before.

    Raises
    ------
    InvalidRequest
        It would give less than the session has: what was promised is not taken away.
    SessionFinished, SessionVoid, Forbidden, NotFound
    """
    scope.require("manage")
    if given.until is not None:
        raise InvalidRequest("in a session it holds until the session ends", path="until")
    found = accommodation(given)
    # The right to manage is the right to reach any session of the tenant.
    reach = Scope(scope.tenant, scope.actor, frozenset({"deliver"}), sandbox=scope.sandbox)

    async def once() -> schemas.Accommodations:
        from assess.delivery.service import showing

        loaded = await touched(services, reach, session)
        state = loaded.state
        if state.void:
            raise SessionVoid("this session was declared void")
        if state.ending is not None:
            raise SessionFinished("this session has ended")
        if found == state.accommodation:
            return showing.accommodations(state)
        if not found.covers(state.accommodation):
            raise InvalidRequest(
                "the session has more than this already; what was promised is not taken away",
                path="time_multiplier",
            )
        state = with_accommodation(state, found)
        data = {"given": found.to_mapping(), "by": scope.actor}
        row = event_row(loaded.records, "accommodated", services.clock(), data)
        await services.store.commit(Writes(scope.tenant, (moved_on(loaded.row, state),), inserts=(row,)))
        return showing.accommodations(state)

    return await again(once)


async def _rows(services: Services, scope: Scope, learner: str) -> tuple[str, list[AccommodationRow]]:
    """Who the person is, and the rows of all their ids, each id's in the order of time."""
    person = await learners.get(services, scope, learner)
    return person.id, await services.store.read(sitting.accommodations, scope.tenant, learner)


def _current(rows: list[AccommodationRow], now: datetime) -> list[AccommodationRow]:
    """The grant in force under each id; one that ran out gives way to nothing, not to the one before it."""
    last = {row.learner: row for row in rows if row.state == "granted"}
    return [row for row in last.values() if row.until is None or row.until > now]


def _until(rows: list[AccommodationRow], now: datetime) -> datetime | None:
    """When what is in force now first becomes less, if nobody says anything more."""
    given = granted(rows, now)
    ends = sorted({row.until for row in _current(rows, now) if row.until is not None})
    return next((end for end in ends if granted(rows, end) != given), None)


def _asked(rows: list[AccommodationRow]) -> list[AccommodationRow]:
    return [row for row in rows if row.state == "asked"]


def _is_open(asked: AccommodationRow, rows: list[AccommodationRow]) -> bool:
    """Whether nothing was granted since somebody asked; clocks tell only what was said under two ids."""
    return not any(
        row.seq > asked.seq if row.learner == asked.learner else row.at > asked.at
        for row in rows
        if row.state == "granted"
    )


def _reply(person: str, rows: list[AccommodationRow], now: datetime) -> schemas.LearnerAccommodations:
    return schemas.LearnerAccommodations(
        learner=person,
        given=schemas.Given(**granted(rows, now).to_mapping()),
        until=_until(rows, now),
        open_request=any(_is_open(row, rows) for row in _asked(rows)),
        history=[
            schemas.AccommodationEntry(
                learner=row.learner,
                state=row.state,  # type: ignore[arg-type]
                given=schemas.Given(**row.given),
                until=row.until,
                by=row.by,
                at=row.at,
            )
            for row in sorted(rows, key=lambda row: row.at)
        ],
    )
