"""The changes feed: what a commit changes for a learner, told in the same commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from assess.delivery import schemas
from assess.delivery.service.catalogue import Shelf
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.judging import Books, badge_at, personal_badges, statuses
from assess.delivery.service.standing import Moment, Spoken, spoken
from assess.delivery.service.status import status_at
from assess.delivery.store import reading
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, Learner


def events(
    before: LearnerRecords,
    after: LearnerRecords,
    shelf: Shelf,
    *,
    now: datetime,
    cause: str,
    reason_id: str | None,
    course: str | None = None,
    courses: Iterable[str] = (),
) -> tuple[ChangeRow, ...]:
    """What differs for a learner between two sets of records, as rows of the feed.

    Parameters
    ----------
    before, after : LearnerRecords
        As they are, and as the commit will make them.
    cause : str
        session, rescore, void, appeal, fact, rule_change, expiry, merge or release.
    course, courses : str, optional
        The course, or the courses, whose decision may have changed.
    """
    moment = Moment.at(now)
    rows: list[ChangeRow] = []
    row = partial(_row, after.learner, now=now, cause=cause, reason_id=reason_id)
    for one in (*courses, *(() if course is None else (course,))):
        old, new = spoken(before, one, now), spoken(after, one, now)
        kind = _decision_event(old, new)
        if kind is not None:
            words = (None if old is None else old.word, None if new is None else new.word)
            rows.append(row(kind, one, None, *words))
    mine = [badge for _, badge in personal_badges(shelf, after.learner.kind)]
    was, is_now = (statuses(records, shelf, mine, moment) for records in (before, after))
    rows += [
        row(_eligibility_event(was[badge], is_now[badge]), None, badge, was[badge], is_now[badge])
        for badge in mine
        if was[badge] != is_now[badge]
    ]
    return told(rows, after, shelf, moment)


def badge_row(
    records: LearnerRecords,
    badge: str,
    was: str,
    is_now: str,
    *,
    now: datetime,
    cause: str,
    reason_id: str | None,
) -> ChangeRow:
    """A change of one badge, still without its snapshot."""
    kind = "eligibility.changed" if was == is_now else _eligibility_event(was, is_now)
    return _row(records.learner, kind, None, badge, was, is_now, now=now, cause=cause, reason_id=reason_id)


def course_row(
    records: LearnerRecords, course: str, was: str, is_now: str, *, now: datetime, cause: str, reason_id: str
) -> ChangeRow:
    """A change of the decision on one course, still without its snapshot."""
    return _row(
        records.learner, "decision.changed", course, None, was, is_now,
        now=now, cause=cause, reason_id=reason_id,
    )  # fmt: skip


def _row(
    learner: Learner,
    kind: str,
    course: str | None,
    badge: str | None,
    previous: str | None,
    current: str | None,
    *,
    now: datetime,
    cause: str,
    reason_id: str | None,
) -> ChangeRow:
    return ChangeRow(
        tenant=learner.tenant,
        sequence=0,
        type=kind,
        learner=learner.id,
        course=course,
        badge=badge,
        previous=previous,
        current=current,
        cause=cause,
        reason_id=reason_id,
        at=now,
        sandbox=learner.sandbox,
        data={},
    )


def told(
    rows: Sequence[ChangeRow], after: LearnerRecords, shelf: Shelf, moment: Moment
) -> tuple[ChangeRow, ...]:
    """The rows with what the resources answer once they are written."""
    known = replace(after, changes=(*after.changes, *rows))
    books = Books()
    return tuple(replace(row, data=_snapshot(row, known, shelf, moment, books)) for row in rows)


def _decision_event(old: Spoken | None, new: Spoken | None) -> str | None:
    if new is None:
        return None if old is None else "decision.withdrawn"
    if old is None:
        return "decision.withdrawn" if new.void else "decision.made"
    if (old.decision.id, old.void) == (new.decision.id, new.void):
        return None
    return "decision.withdrawn" if new.void else "decision.changed"


def _eligibility_event(was: str, is_now: str) -> str:
    if is_now == "eligible":
        return "eligibility.gained"
    return "eligibility.lost" if was == "eligible" else "eligibility.changed"


def _snapshot(
    row: ChangeRow, records: LearnerRecords, shelf: Shelf, moment: Moment, books: Books
) -> dict[str, object]:
    body: object
    if row.badge is not None:
        body = badge_at(records, shelf, row.badge, moment, books)
    else:
        assert row.course is not None
        body = status_at(records, shelf, row.course, moment)
    plain: dict[str, object] = schemas.plain(body)
    return plain


async def feed(
    services: Services, scope: Scope, *, after: int = 0, limit: int = 100
) -> schemas.Page[schemas.Change]:
    """`GET /v1/changes`: what happened after a sequence number, in its order."""
    scope.require("read-status")
    rows = await services.store.read(
        reading.changes,
        scope.tenant,
        after=after,
        limit=limit + 1,
        sandbox=scope.sandbox,
        private="manage" in scope.rights,
    )
    items = [entry(row) for row in rows[:limit]]
    return schemas.Page(items=items, next=str(rows[limit - 1].sequence) if len(rows) > limit else None)


def _subject(row: ChangeRow) -> schemas.Subject:
    """Whom a change is about, as the snapshot says; a course is a person's or a student's."""
    told = row.data.get("subject") if row.data else None
    kind = str(told["type"]) if isinstance(told, dict) else "person"
    return schemas.Subject(type=kind, id=row.learner)


def entry(row: ChangeRow) -> schemas.Change:
    """A change as the feed and webhooks tell it."""
    if row.badge is not None:
        resource = f"/v1/learners/{row.learner}/badges/{row.badge}"
    elif row.course is None:
        resource = f"/v1/learners/{row.learner}"
    else:
        resource = f"/v1/learners/{row.learner}/courses/{row.course}/status"
    return schemas.Change(
        type=row.type,
        timestamp=row.at,
        data=schemas.ChangeData(
            sequence=row.sequence,
            subject=_subject(row),
            course=row.course,
            badge=row.badge,
            previous=row.previous,
            current=row.current,
            cause=row.cause,
            reason_id=row.reason_id,
            resource=resource,
            # The number was not known yet when the snapshot was taken.
            snapshot={**row.data, "sequence": row.sequence} if row.data else {},
        ),
    )
