"""Erasure: who somebody is goes, and what was measured stays.

Names, contacts, codes, free text and the salts of the answers are removed in
one commit. Categories stay under the random id, so that a calibration gives
the same numbers; records stay, so that every chain of hashes holds; a replay
says `erased`, because the answers can no longer be shown to have their hashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service.activations import require_second_person
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.loading import ERASED, again
from assess.delivery.service.voiding import voided
from assess.delivery.store import Writes, reading_erasure
from assess.delivery.store.reading import OPENED, REPLACED
from assess.delivery.store.reading_appeals import REPORTED
from assess.delivery.store.reading_erasure import Traces
from assess.delivery.store.rows import (
    ChangeRow,
    DecisionRow,
    Delete,
    Learner,
    ResponseRow,
    Session,
    SessionEvent,
    Update,
)
from assess.delivery.store.rows_appeals import Appeal, AppealEntry, Erasure
from assess.delivery.store.rows_badges import Credential
from assess.delivery.store.rows_people import Merge
from assess.errors import InvalidRequest, NotFound

CAUSE = "erasure"
GONE = "[erased]"
"""What stands where a learner's own words stood: an answer in words is still no blank."""


async def erase(
    services: Services,
    scope: Scope,
    *,
    learner: str,
    reason: str,
    approved_by: str | None = None,
    dry_run: bool = False,
) -> schemas.ErasureReply:
    """`POST /v1/learners/{id}/erase`: remove who a person is, under every id; a second time changes nothing.

    Parameters
    ----------
    dry_run : bool
        Count what would be removed, and remove nothing.

    Raises
    ------
    NotFound
        The learner is not known here.
    InvalidRequest
        Without a reason.
    Forbidden
        No second person, where the tenant demands one.
    """
    scope.require("manage")
    if not reason.strip():
        raise InvalidRequest("say why; the reason is stored, and should name nobody", path="reason")
    return await again(lambda: _erase(services, scope, learner, reason, approved_by, dry_run=dry_run))


async def _erase(
    services: Services, scope: Scope, id: str, reason: str, approved_by: str | None, *, dry_run: bool
) -> schemas.ErasureReply:
    found = await services.store.read(reading_erasure.traces, scope.tenant, id)
    if found is None or any(learner.sandbox != scope.sandbox for learner in found.learners):
        raise NotFound("learner", id)
    ids = [learner.id for learner in found.learners]
    known = await services.store.read(reading_erasure.erasure, scope.tenant, ids)
    if known is not None and all(learner.erased_at is not None for learner in found.learners):
        return _reply(known, ids, dry_run=False)
    tenant = (await services.catalogue.shelf(scope.tenant)).tenant
    now = services.clock()
    row = Erasure(
        scope.tenant,
        new_id("ers"),
        id,
        scope.actor,
        approved_by,
        reason,
        now,
        await _counted(services, found),
    )
    if dry_run:
        return _reply(row, ids, dry_run=True)
    require_second_person(tenant, scope, approved_by, f"the erasure of {id}")
    updates = [update async for update in _updates(services, found, now)]
    deletes = tuple(Delete(kind, key) for kind, key, _ in found.going)
    told = tuple(_told(row, learner) for learner in found.learners)
    await services.store.commit(Writes(scope.tenant, tuple(updates), deletes, (row,), changes=told))
    return _reply(row, ids, dry_run=False)


async def _updates(services: Services, found: Traces, now: datetime) -> AsyncIterator[Update]:
    for learner in found.learners:
        # The version makes whoever computes from these records at this moment compute again.
        values: dict[str, Any] = {
            "erased_at": now,
            "locale": None,
            "region": None,
            "version": learner.version + 1,
        }
        key: dict[str, Any] = {"tenant": learner.tenant, "id": learner.id}
        yield Update(Learner, key, values, {"version": learner.version})
    for session in found.sessions:
        ended = voided(session, now, CAUSE) if session.state == "open" else session
        values = {
            "version": session.version + 1,
            "token_sha256": f"{ERASED}{session.id}",
            # More time tells of a need.
            "start_record": {k: v for k, v in session.start_record.items() if k != "accommodation"},
            **{name: getattr(ended, name) for name in ("state", "ended_at", "ended_by", "void_at")},
            "void_reason": None if session.void_reason is None and ended is session else CAUSE,
        }
        key = {"tenant": session.tenant, "id": session.id}
        yield Update(Session, key, values, {"version": session.version})
    for response in found.responses:
        values = {"salt": None}
        if await _in_words(services, found, response):
            values["answer"] = GONE
        key = {
            "tenant": response.tenant,
            "session": response.session,
            "position": response.position,
            "revision": response.revision,
        }
        yield Update(ResponseRow, key, values)
    for update in (*_words(found), *_badges(found)):
        yield update


_EMPTIED: dict[str, dict[str, Any]] = {
    REPORTED: {"note": None, "request": None},
    "accommodated": {"given": {}},
    OPENED: {REPLACED: None},
}


def _words(found: Traces) -> Iterator[Update]:
    """What the learner, and people about the learner, wrote."""
    for event in found.events:
        if event.type == OPENED and REPLACED not in event.data:
            continue
        key = {"tenant": event.tenant, "session": event.session, "seq": event.seq}
        yield Update(SessionEvent, key, {"data": event.data | _EMPTIED[event.type]})
    for merge in found.merges:
        why = {"reason": GONE, "undone_reason": None if merge.undone_reason is None else GONE}
        yield Update(Merge, {"tenant": merge.tenant, "id": merge.id}, why)
    for change in found.told:
        key = {"tenant": change.tenant, "sequence": change.sequence}
        yield Update(ChangeRow, key, {"data": change.data | {"reason": GONE, "undone_reason": None}})
    for appeal in found.appeals:
        values: dict[str, Any] = {"statement": None, "answer": None if appeal.answer is None else GONE}
        if appeal.state == "open":
            values["state"] = "withdrawn"
        yield Update(Appeal, {"tenant": appeal.tenant, "id": appeal.id}, values)
    for entry in found.entries:
        key = {"tenant": entry.tenant, "appeal": entry.appeal, "seq": entry.seq}
        yield Update(AppealEntry, key, {"data": {}})
    for decision in found.decisions:
        yield Update(DecisionRow, {"tenant": decision.tenant, "id": decision.id}, {"reason": GONE})


def _badges(found: Traces) -> Iterator[Update]:
    """Credentials lose what they say; the row stays, for its bit takes back the copies that others have."""
    for one in found.credentials:
        yield Update(Credential, {"tenant": one.tenant, "id": one.id}, {"token": GONE})


async def _in_words(services: Services, found: Traces, response: ResponseRow) -> bool:
    """Whether an answer is text that somebody wrote, and not a choice among what was offered."""
    if response.answer is None:
        return False
    session = next(session for session in found.sessions if session.id == response.session)
    item = (await services.catalogue.release(session.release)).items.get(response.item)
    return item is None or item.interaction_type == "short_text"


async def _counted(services: Services, found: Traces) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for kind, _, n in found.going:
        counts[kind.table.name] += n
    counts["sessions"] = len(found.sessions)
    counts["answers"] = len(found.responses)
    counts["answers in words"] = sum([await _in_words(services, found, r) for r in found.responses])
    counts["notes"] = sum(event.type == REPORTED for event in found.events)
    counts["appeals"] = len(found.appeals)
    counts["credentials"] = len(found.credentials)
    return {name: n for name, n in sorted(counts.items()) if n}


def _told(row: Erasure, learner: Learner) -> ChangeRow:
    return ChangeRow(
        tenant=row.tenant,
        sequence=0,
        type="learner.erased",
        learner=learner.id,
        course=None,
        badge=None,
        previous=None,
        current=None,
        cause=CAUSE,
        reason_id=row.id,
        at=row.at,
        sandbox=learner.sandbox,
        data={"learner": learner.id, "erased_at": schemas.plain(row.at)},
    )


async def all_of(services: Services, scope: Scope) -> schemas.Page[schemas.ErasureReply]:
    """`GET /v1/erasures`: who was erased, oldest first, so that a restored backup can be brought up to it."""
    scope.require("manage")
    rows = await services.store.read(reading_erasure.erasures, scope.tenant, sandbox=scope.sandbox)
    return schemas.Page(items=[_reply(row, [row.learner], dry_run=False) for row in rows], next=None)


def _reply(row: Erasure, ids: list[str], *, dry_run: bool) -> schemas.ErasureReply:
    return schemas.ErasureReply(
        erasure=None if dry_run else row.id,
        learner=row.learner,
        ids=ids,
        erased_at=None if dry_run else row.at,
        by=row.by,
        approved_by=row.approved_by,
        reason=row.reason,
        removed=row.removed,
        dry_run=dry_run,
    )
