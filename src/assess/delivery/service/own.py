"""What a learner finds of their own: assigned courses, sessions to go on with, what came of the others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from assess.delivery import schemas
from assess.delivery.service import learners, windows
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.standing import Moment, spoken
from assess.delivery.service.status import status_at
from assess.delivery.store import reading_people
from assess.delivery.store.rows import Session
from assess.delivery.store.rows_people import Assignment


@dataclass(frozen=True, slots=True)
class OwnCourse:
    """A course that the learner was assigned, or took; `session` is the one whose decision speaks."""

    course: str
    status: schemas.CourseStatus
    window: Assignment | None
    is_open: bool
    session: str | None


@dataclass(frozen=True, slots=True)
class Own:
    """All of it, at a moment."""

    open_sessions: list[Session]
    courses: list[OwnCourse]
    now: datetime


async def own(services: Services, scope: Scope, learner: str) -> Own:
    """What the learner finds; assigned courses first, by their windows."""
    learners.require_reader(scope, learner)
    records = await learners.records(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    assigned = await services.store.read(reading_people.assignments_for, scope.tenant, learner)
    sessions = await services.store.read(reading_people.open_sessions, scope.tenant, learner)
    now = services.clock()
    by_course = {
        course: windows.speaking(list(rows), now)
        for course, rows in groupby(assigned, key=lambda row: row.course)
    }
    known = {course.id for course in shelf.courses()} | {
        release.course.id for release in shelf.forms.values()
    }
    # A part of a placement is no session of a course, unless it granted the course.
    taken = [
        session.course
        for session in records.sessions
        if session.state != "reset" and (session.try_number > 0 or spoken(records, session.course, now))
    ]
    found = []
    for course in dict.fromkeys((*by_course, *taken)):
        if course not in known:
            continue  # of a programme that is no longer live
        window, speaking = by_course.get(course), spoken(records, course, now)
        found.append(
            OwnCourse(
                course,
                status_at(records, shelf, course, Moment.at(now)),
                window,
                window is None or windows.open_at(window, now),
                None if speaking is None else speaking.session.id,
            )
        )
    live = [session for session in sessions if session.closes_at > now]
    return Own(live, found, now)


async def session_paths(services: Services, scope: Scope, learner: str) -> list[str]:
    """The paths under which a browser may hold this learner's cookies: those of their latest sessions."""
    records = await learners.records(services, scope, learner)
    return [f"/s/{session.id}" for session in records.sessions[-40:]]
