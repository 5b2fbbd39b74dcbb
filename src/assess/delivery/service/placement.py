"""Placement: one sitting of short adaptive parts, each of them a session on its course's own scale.

What a part grants is a pass of its course, decided by the placement rule of
its form. What it does not grant is no fail and no try: no decision speaks for
the course, and the learner is advised where to start.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import beginning, learners, standing, windows
from assess.delivery.service.catalogue import Programme, Shelf, pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import touched
from assess.delivery.service.loading import again, load
from assess.delivery.store import reading, reading_people, reading_placements
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import DecisionRow, Session
from assess.delivery.store.rows_placements import PlacementRow
from assess.errors import FormNotActive, NotFound, RetakeTooEarly, WindowClosed
from assess.session import Release

State = Literal["to_come", "in_progress", "granted", "advised", "left_out"]


async def begin(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    programme: str,
    locale: str | None = None,
    assurance: str | None = None,
    ticket: str = "",
) -> schemas.PlacementStep:
    """`POST /v1/placements`: a new placement, or the open one of this learner.

    It stands in the line of those who begin. A next part does not: its learner has begun.

    Raises
    ------
    NotFound
        The learner, or a programme with a placement.
    FormNotActive
        No part is left: every course is passed, was tried, or has no part that is live.
    RetakeTooEarly
        The learner was placed not long ago; with the day from which it is possible again.
    Overloaded
        Too many begin at this moment.
    """
    scope.require("deliver")
    if scope.learner is not None and scope.learner != learner:
        raise NotFound("learner", learner)

    async def once() -> schemas.PlacementStep:
        records = await learners.records(services, scope, learner)
        learners.require_not_erased(records.learner)
        shelf = await services.catalogue.shelf(scope.tenant)
        found = _placing(shelf, programme)
        assert found.placement is not None
        now = services.clock()
        last = await services.store.read(reading_placements.last_placement, scope.tenant, learner, programme)
        if last is not None:
            if (await _folded(services, last, records, shelf)).state == "in_progress":
                return await _go_on(services, scope, last, locale, assurance)
            again_from = last.started_at + timedelta(days=found.placement.wait_days)
            if now < again_from:
                raise RetakeTooEarly("this learner was placed not long ago", not_before=again_from)
        parts = await _to_take(services, records, shelf, found)
        if not parts:
            raise FormNotActive(
                f"no part of the placement in {programme} is left for this learner: a course that is passed "
                "or was tried has none"
            )
        row = PlacementRow(
            tenant=scope.tenant,
            id=new_id("plc"),
            learner=learner,
            programme=programme,
            parts=parts,
            sandbox=scope.sandbox,
            started_at=now,
            closes_at=now + timedelta(hours=found.placement.window_hours),
        )
        form = parts[0][1]
        begun = await beginning.begin_part(
            services, scope, records, shelf.forms[form], row.id, locale, assurance, also=(row,)
        )
        return await _step(services, scope, row, begun)

    async with services.admission.begins(ticket):
        return await again(once)


async def proceed(
    services: Services,
    scope: Scope,
    placement: str,
    *,
    locale: str | None = None,
    assurance: str | None = None,
) -> schemas.PlacementStep:
    """`POST /v1/placements/{id}/next`: the part to be taken now, begun or gone on with.

    Raises
    ------
    NotFound
        Another learner's, or none.
    Unauthenticated
        By the token of a part that was resumed elsewhere since.
    """
    if scope.learner is None:
        scope.require("deliver")
    if scope.session is not None:
        # What this process remembers of a token is enough to look, and not to open a part.
        await load(services, scope, scope.session)

    async def once() -> schemas.PlacementStep:
        row = await _own(services, scope, placement)
        return await _go_on(services, scope, row, locale, assurance)

    return await again(once)


async def view(
    services: Services, scope: Scope, placement: str, *, language: str | None = None
) -> schemas.PlacementReply:
    """`GET /v1/placements/{id}`: how far it is, and what came of it."""
    row = await _own(services, scope, placement)
    records = await _records(services, row)
    learners.require_known(scope, records.learner)
    for session in _sessions(row, records).values():
        if session.state == "open":
            # Whatever its clock has decided already.
            await touched(services, _reach(scope, row), session.id)
    shelf = await services.catalogue.shelf(scope.tenant)
    return await _folded(services, row, await _records(services, row), shelf, language)


async def of_session(services: Services, scope: Scope, session: str) -> str | None:
    """The placement of which a session is a part; None for any other session."""
    found = await services.store.read(reading.session_records, scope.tenant, session)
    placement = None if found is None else found.session.start_record.get("placement")
    return None if placement is None else str(placement)


# --- inside --------------------------------------------------------------------


def _placing(shelf: Shelf, programme: str) -> Programme:
    found = shelf.programmes.get(programme)
    if found is None or found.placement is None:
        raise NotFound("placement", programme)
    return found


async def _own(services: Services, scope: Scope, id: str) -> PlacementRow:
    """A placement that the scope reaches: another learner's, tenant's or sandbox's does not exist for it."""
    if scope.learner is None:
        scope.require("deliver", "read-status")
    row = await services.store.read(reading_placements.placement, scope.tenant, id)
    if row is None or row.sandbox != scope.sandbox:
        raise NotFound("placement", id)
    mine = scope.learner is None or await learners.same_person(services, scope, row.learner)
    if not mine:
        raise NotFound("placement", id)
    return row


def _reach(scope: Scope, row: PlacementRow) -> Scope:
    """The scope that reaches all parts of a placement, for whoever reaches the placement."""
    return Scope(
        scope.tenant,
        scope.actor,
        frozenset({"deliver"}),
        sandbox=row.sandbox,
        may_proctor=scope.may_proctor,
    )


async def _records(services: Services, row: PlacementRow) -> LearnerRecords:
    records = await services.store.read(reading.learner_records, row.tenant, row.learner)
    assert records is not None
    return records


async def _to_take(
    services: Services, records: LearnerRecords, shelf: Shelf, programme: Programme
) -> list[list[str]]:
    """Course and form of the parts that are left for a learner.

    A course that was passed needs none. One that was tried has none: a
    placement is no way around the waiting time, nor a further try.
    """
    now = services.clock()
    assigned = await services.store.read(
        reading_people.assignments_for, records.learner.tenant, records.learner.id
    )
    assert programme.placement is not None
    left = []
    for part in programme.placement.parts:
        release = shelf.forms.get(part.form)
        if release is None or not release.form.placement or release.course.id != part.course:
            continue
        tried = standing.counting_sessions(records, part.course, now)
        if tried or standing.spoken(records, part.course, now) is not None:
            continue
        try:
            windows.require_open(shelf, assigned, part.course, records.learner.id, now)
        except WindowClosed:
            continue
        left.append([part.course, part.form])
    return left


async def _go_on(
    services: Services, scope: Scope, row: PlacementRow, locale: str | None, assurance: str | None
) -> schemas.PlacementStep:
    """Open the part that is under way, or begin the next one that is still left.

    The consent was settled at the begin; a learner's token of one part is enough for the next.
    """
    reach = _reach(scope, row)
    records = await _records(services, row)
    for session in _sessions(row, records).values():
        if session.state == "open":
            loaded = await touched(services, reach, session.id)
            if loaded.state.ending is None and not loaded.state.void:
                opened = await beginning.take_over(services, reach, session.id, assurance=assurance)
                return await _step(services, scope, row, opened)
    records = await _records(services, row)
    shelf = await services.catalogue.shelf(scope.tenant)
    programme = shelf.programmes.get(row.programme)
    taken = _sessions(row, records)
    begun: schemas.SessionBegun | None = None
    if services.clock() < row.closes_at and programme is not None and programme.placement is not None:
        left = await _to_take(services, records, shelf, programme)
        following = next(
            (form for course, form in row.parts if course not in taken and [course, form] in left), None
        )
        if following is not None:
            begun = await beginning.begin_part(
                services, reach, records, shelf.forms[following], row.id, locale, assurance
            )
    return await _step(services, scope, row, begun)


async def _step(
    services: Services, scope: Scope, row: PlacementRow, begun: schemas.SessionBegun | None
) -> schemas.PlacementStep:
    shelf = await services.catalogue.shelf(scope.tenant)
    found = await _folded(services, row, await _records(services, row), shelf)
    return schemas.PlacementStep(placement=found, session=begun)


def _sessions(row: PlacementRow, records: LearnerRecords) -> dict[str, Session]:
    """The sessions of a placement by course."""
    return {
        session.course: session
        for session in records.sessions
        if session.start_record.get("placement") == row.id and session.state != "reset"
    }


async def _folded(
    services: Services,
    row: PlacementRow,
    records: LearnerRecords,
    shelf: Shelf,
    language: str | None = None,
) -> schemas.PlacementReply:
    sessions = _sessions(row, records)
    programme = shelf.programmes.get(row.programme)
    left: list[list[str]] = []
    if services.clock() < row.closes_at and programme is not None and programme.placement is not None:
        left = await _to_take(services, records, shelf, programme)
    current = {d.session: d for d in records.decisions if d.superseded_at is None}
    parts = []
    for course, form in row.parts:
        session = sessions.get(course)
        state, advice = _state(session, None if session is None else current.get(session.id))
        if session is None and [course, form] not in left:
            state = "left_out"
        title = pick(shelf.course(course).title, language or records.learner.locale)
        parts.append(
            schemas.PlacementPart(
                course=schemas.CourseName(id=course, title=title),
                form=form,
                session=None if session is None else session.id,
                state=state,
                advice=advice,
            )
        )
    finished = not any(part.state in ("to_come", "in_progress") for part in parts)
    advised = [part for part in parts if part.state == "advised"]
    first = next((part for part in advised if part.advice == "take_course"), advised[0] if advised else None)
    return schemas.PlacementReply(
        placement=row.id,
        programme=row.programme,
        learner=row.learner,
        state="finished" if finished else "in_progress",
        started_at=row.started_at,
        closes_at=row.closes_at,
        parts=parts,
        start_with=first.course.id if finished and first is not None else None,
    )


def _state(
    session: Session | None, decision: DecisionRow | None
) -> tuple[State, Literal["take_course", "take_assessment"] | None]:
    if session is None:
        return "to_come", None
    if session.void_at is not None:
        return "left_out", None
    if session.state == "open" or decision is None:
        return "in_progress", None
    if decision.status == "passed":
        return "granted", None
    score, cut = decision.report["score"]["value"], decision.report["cut"]["value"]
    # An estimate on the far side of the cut is too little to grant and enough to advise.
    near = decision.status != "incomplete" and score >= cut
    return "advised", "take_assessment" if near else "take_course"


def part_releases(shelf: Shelf, programme: str) -> list[Release]:
    """The live releases of a programme's placement, in the order of its parts; empty without one."""
    found = shelf.programmes.get(programme)
    if found is None or found.placement is None:
        return []
    live = (shelf.forms.get(part.form) for part in found.placement.parts)
    return [release for release in live if release is not None and release.form.placement]
