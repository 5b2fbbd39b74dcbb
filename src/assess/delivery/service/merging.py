"""Two records of one person: merged, and taken apart again.

A merge is a row of its own, and no other row is touched: sessions, decisions,
facts and external ids keep the id for which they were written, and reading a
person reads all of that person's ids. So a merge loses nothing, and to undo it
is to say so.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import changes, learners, schools
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import moved
from assess.delivery.service.loading import again
from assess.delivery.store import Writes, reading, reading_people
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import ChangeRow, Update
from assess.delivery.store.rows_people import Merge
from assess.errors import InvalidRequest

CAUSE = "merge"


async def merge(
    services: Services, scope: Scope, *, learner: str, into: str, reason: str
) -> schemas.MergeReply:
    """`POST /v1/learners/{id}/merge`: from here on `into` answers for `learner`, with all that both did.

    A record that was merged itself stands for the one that answers for it; if
    that merge is undone, this one goes with the record it named. The same merge
    again changes nothing.

    Raises
    ------
    NotFound
        One of the two is not known here.
    LearnerErased
        One of the two was erased.
    InvalidRequest
        No reason, a circle, or a learner who is merged into somebody else already.
    """
    scope.require("manage")
    _require_reason(reason)
    return await again(lambda: _merge(services, scope, learner, into, reason))


async def _merge(
    services: Services, scope: Scope, learner: str, into: str, reason: str
) -> schemas.MergeReply:
    mine = await learners.records(services, scope, learner)
    theirs = await learners.records(services, scope, into)
    target = theirs.learner.id
    if mine.learner.id != learner:
        standing = await services.store.read(reading_people.merge_of, scope.tenant, learner)
        assert standing is not None
        if mine.learner.id == target:
            return _reply(standing)
        raise InvalidRequest(
            f"{learner!r} is merged into {mine.learner.id!r} already; undo that merge first", path="into"
        )
    if target == learner:
        told = "itself" if into == learner else f"{into!r}, which is merged into {learner!r}"
        raise InvalidRequest(f"{learner!r} cannot be merged into {told}", path="into")
    learners.require_not_erased(mine.learner)
    learners.require_not_erased(theirs.learner)
    if mine.learner.kind != theirs.learner.kind:
        raise InvalidRequest(f"a {mine.learner.kind} and a {theirs.learner.kind} are never one", path="into")
    now = services.clock()
    row = Merge(scope.tenant, new_id("mrg"), learner, into, now, scope.actor, reason)
    shelf = await services.catalogue.shelf(scope.tenant)
    after = _together(theirs, mine)
    courses = sorted({session.course for session in mine.sessions})
    told_of = _told(row, mine, previous=learner, current=target, now=now)
    events = changes.events(theirs, after, shelf, now=now, cause=CAUSE, reason_id=row.id, courses=courses)
    jobs = await schools.follow_ups(services, shelf, after, cause=CAUSE, reason_id=row.id)
    writes = Writes(
        scope.tenant,
        # Whoever computes from the records of only one of them must compute again.
        tuple(moved(records.learner) for records in sorted((mine, theirs), key=_by_id)),
        inserts=(row, *jobs),
        changes=(told_of, *events),
    )
    await services.store.commit(writes)
    return _reply(row)


async def unmerge(services: Services, scope: Scope, *, learner: str, reason: str) -> schemas.MergeReply:
    """`POST /v1/learners/{id}/unmerge`: both records are again what they were, with what came since to each.

    A second time changes nothing.

    Raises
    ------
    NotFound
        The learner is not known here.
    InvalidRequest
        No reason, or the learner is not merged into anybody.
    """
    scope.require("manage")
    _require_reason(reason)
    return await again(lambda: _unmerge(services, scope, learner, reason))


async def _unmerge(services: Services, scope: Scope, learner: str, reason: str) -> schemas.MergeReply:
    both = await learners.records(services, scope, learner)
    row = await services.store.read(reading_people.merge_of, scope.tenant, learner)
    if row is None:
        raise InvalidRequest(f"{learner!r} is not merged into anybody", path="learner")
    if row.undone_at is not None:
        return _reply(row)
    now = services.clock()
    apart = []
    for side in (learner, row.into):
        found = await services.store.read(reading_people.records_apart, scope.tenant, side, without=row.id)
        assert found is not None
        apart.append(replace(found, undone=found.undone | {row.id}))
    mine, theirs = apart
    # What was last told about the learner's own record: who joined it since then was told under the other id.
    just_before = row.at - timedelta(microseconds=1)
    last = await services.store.read(reading.learner_records, scope.tenant, learner, known_at=just_before)
    assert last is not None
    shelf = await services.catalogue.shelf(scope.tenant)
    courses = sorted({session.course for session in both.sessions})
    undone = replace(row, undone_at=now, undone_by=scope.actor, undone_reason=reason)
    told = [_told(undone, mine, previous=both.learner.id, current=learner, now=now)]
    for before, after in ((both, theirs), (_as_it_stood(last, row.at), mine)):
        told += changes.events(before, after, shelf, now=now, cause=CAUSE, reason_id=row.id, courses=courses)
    update = Update(
        Merge,
        {"tenant": scope.tenant, "id": row.id},
        {"undone_at": now, "undone_by": scope.actor, "undone_reason": reason},
        {"undone_at": None},
    )
    jobs = await schools.follow_ups(services, shelf, both, cause=CAUSE, reason_id=row.id)
    writes = Writes(
        scope.tenant,
        (*(moved(records.learner) for records in sorted((mine, theirs), key=_by_id)), update),
        inserts=jobs,
        changes=tuple(told),
    )
    await services.store.commit(writes)
    return _reply(undone)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidRequest("say why; the reason is stored with the merge", path="reason")


def _by_id(records: LearnerRecords) -> str:
    """Two merges at once take their rows in one order, or each would wait for the other."""
    return records.learner.id


def _together(theirs: LearnerRecords, mine: LearnerRecords) -> LearnerRecords:
    """The records of both, as the commit will make them; in the order in which they are read."""
    return replace(
        theirs,
        sessions=tuple(sorted((*theirs.sessions, *mine.sessions), key=lambda s: (s.started_at, s.id))),
        decisions=tuple(sorted((*theirs.decisions, *mine.decisions), key=lambda d: (d.decided_at, d.id))),
        facts=tuple(sorted((*theirs.facts, *mine.facts), key=lambda f: (f.recorded_at, f.id))),
        changes=tuple(sorted((*theirs.changes, *mine.changes), key=lambda c: c.sequence)),
        reviews=tuple(sorted((*theirs.reviews, *mine.reviews), key=lambda r: (r.filed_at, r.id))),
        ids=(*theirs.ids, *mine.ids),
    )


def _as_it_stood(records: LearnerRecords, at: datetime) -> LearnerRecords:
    """The records as they were when they were last told about under this id."""

    def later(moment: datetime | None) -> bool:
        return moment is not None and moment > at

    return replace(
        records,
        sessions=tuple(
            replace(s, void_at=None) if later(s.void_at) else s
            for s in records.sessions
            if s.started_at <= at
        ),
        decisions=tuple(
            replace(d, superseded_at=None) if later(d.superseded_at) else d
            for d in records.decisions
            if d.decided_at <= at
        ),
        facts=tuple(
            replace(f, void_at=None, void_recorded_at=None) if later(f.void_recorded_at) else f
            for f in records.facts
            if f.recorded_at <= at
        ),
    )


def _told(row: Merge, records: LearnerRecords, *, previous: str, current: str, now: datetime) -> ChangeRow:
    """Who answered for the learner, and who does from here on; to undo a merge is told in the same words."""
    return ChangeRow(
        tenant=row.tenant,
        sequence=0,
        type="learner.merged",
        learner=row.learner,
        course=None,
        badge=None,
        previous=previous,
        current=current,
        cause=CAUSE,
        reason_id=row.id,
        at=now,
        sandbox=records.learner.sandbox,
        data=schemas.plain(_reply(row)),
    )


def _reply(row: Merge) -> schemas.MergeReply:
    return schemas.MergeReply(
        merge=row.id,
        learner=row.learner,
        into=row.into,
        at=row.at,
        by=row.by,
        reason=row.reason,
        undone_at=row.undone_at,
        undone_by=row.undone_by,
        undone_reason=row.undone_reason,
    )
