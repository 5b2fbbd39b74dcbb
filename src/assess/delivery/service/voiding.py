"""A session that does not count: declared void, never deleted, and its try given back.

The only way in which a session becomes void; an incident and the sandbox both
take it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from assess.delivery.service import changes
from assess.delivery.service.catalogue import Shelf
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, Session


def voided(session: Session, now: datetime, reason: str) -> Session:
    """The session's row as void; an open one takes no more answers, and has no decision."""
    if session.state == "open":
        session = replace(session, state="ended", ended_at=now, ended_by="voided")
    return replace(session, void_at=now, void_reason=reason)


def told(
    before: LearnerRecords,
    after: LearnerRecords,
    shelf: Shelf,
    *,
    course: str,
    now: datetime,
    reason_id: str,
) -> tuple[ChangeRow, ...]:
    """What a void changes, for the feed: the decision is withdrawn, and badges are judged anew."""
    return changes.events(before, after, shelf, now=now, cause="void", reason_id=reason_id, course=course)
