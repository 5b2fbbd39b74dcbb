"""What learners are told of incidents: on the pages of a session, and beside what they can do next."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from assess.delivery import schemas
from assess.delivery.store.reading import LearnerRecords
from assess.session import SessionState


def of_session(state: SessionState) -> list[schemas.Notice]:
    """What happened to the clocks of a session from outside; waiting for the server is not worth a word."""
    found = []
    for grant in state.grants:
        if grant.cause == "waiting":
            continue
        action: Any = "reopen" if grant.cause == "reopen" else "add_time"
        found.append(
            schemas.Notice(
                incident=grant.incident or "",
                action=action,
                seconds=grant.told_seconds if grant.told_seconds is not None else grant.seconds,
                message=grant.message,
                at=grant.at,
            )
        )
    return found


def of_course(records: LearnerRecords, course: str, at: datetime) -> schemas.Notice | None:
    """The latest incident that changes what can be done about a course, until the next session begins."""
    sessions = {s.id: s for s in records.sessions if s.course == course and s.state != "reset"}
    begun = [s.started_at for s in sessions.values() if s.started_at <= at]
    for row in reversed(records.incidents):
        session = sessions.get(row.session)
        if session is None or row.at > at or row.at <= max(begun):
            continue
        going_on = session.ended_at is None or session.ended_at > at
        if row.action == "void_without_try" or going_on:
            action: Any = row.action
            return schemas.Notice(
                incident=row.incident, action=action, seconds=row.seconds, message=row.message, at=row.at
            )
    return None
