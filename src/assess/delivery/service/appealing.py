"""Appeals: a learner doubts a decision or a missing badge, and people look, answer, and may decide anew.

An appeal never edits a decision. Upheld, it makes a new one that cites the old
one by its hash, stands in the same chain, and says that people made it. What
they went by is kept beside it; the record holds only its hash, so that an
erasure can take the words away.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from assess import __version__
from assess.delivery import schemas
from assess.delivery.security import new_id
from assess.delivery.service import changes, learners
from assess.delivery.service.activations import require_second_person
from assess.delivery.service.confirming import REVIEW
from assess.delivery.service.confirming import SOURCE as CONFIRMATION
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.finishing import moved
from assess.delivery.service.loading import again
from assess.delivery.service.standing import with_decision
from assess.delivery.store import Writes, reading_appeals
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.rows import DecisionRow, Session, Update
from assess.delivery.store.rows_appeals import Appeal, AppealEntry
from assess.errors import AppealRefused, InvalidRequest, NotFound, RateLimited
from assess.standards.records import canonical_json, sha256

CAUSE = SOURCE = "appeal"
SCHEMA = "assess.appeal-decision/1"
RULE = "appeal/1"
LONGEST = 2000
_A_DAY = timedelta(days=1)
_PER_DAY = 3
_DECIDED = ("passed", "not_passed", "undetermined")


# --- filing ------------------------------------------------------------------------


async def file(
    services: Services, scope: Scope, *, learner: str, body: schemas.FileAppeal
) -> tuple[schemas.OwnAppeal, bool]:
    """`POST /v1/learners/{id}/appeals`: the appeal, and whether it is new; the same again makes no other.

    Raises
    ------
    NotFound
        The learner, the decision or the badge, or one that is not the learner's.
    InvalidRequest
        Nothing, or several things, are appealed against; no reason, or a very long one.
    AppealRefused
        Nothing is decided yet, practice, or an appeal about it stands or was answered.
    RateLimited
        More than 3 in a day.
    """
    if scope.learner is None:
        scope.require("deliver", "manage")
    elif not await learners.same_person(services, scope, learner):
        raise NotFound("learner", learner)
    words = _text(body.reason, "reason", "say in a few words what is wrong")
    return await again(lambda: _file(services, scope, learner, body, words))


async def _file(
    services: Services, scope: Scope, learner: str, body: schemas.FileAppeal, words: str
) -> tuple[schemas.OwnAppeal, bool]:
    named = [x for x in (body.decision, body.session, body.badge) if x is not None]
    if len(named) != 1:
        raise InvalidRequest("name one of decision, session and badge", path="decision")
    records = await learners.records(services, scope, learner)
    shelf = await services.catalogue.shelf(scope.tenant)
    now = services.clock()
    decision: DecisionRow | None = None
    if body.badge is not None:
        programme, kind, about = shelf.programme_of_badge(body.badge).id, "badge", body.badge
    else:
        decision = _appealed(records, body)
        programme, kind, about = decision.programme, "decision", decision.id
    before = await services.store.read(reading_appeals.appeals_of, scope.tenant, records.ids)
    same = [row for row in before if (row.kind, row.about) == (kind, about)]
    standing = next((row for row in same if row.state == "open"), None)
    if standing is not None:
        if standing.statement == words:
            return own_appeal(standing), False
        raise AppealRefused(f"an appeal about it is open until {standing.due_at:%Y-%m-%d}: {standing.id}")
    if kind == "decision" and same:
        raise AppealRefused(f"the appeal about it was answered: {same[-1].id}")
    recent = [row.filed_at for row in before if row.filed_at > now - _A_DAY]
    if len(recent) >= _PER_DAY:
        wait = min(recent) + _A_DAY - now
        raise RateLimited(
            f"{len(recent)} appeals came today; speak to your organisation",
            retry_after=max(1, int(wait.total_seconds())),
        )
    row = Appeal(
        tenant=scope.tenant,
        id=new_id("apl"),
        learner=records.learner.id,
        kind=kind,
        about=about,
        session=None if decision is None else decision.session,
        course=None if decision is None else decision.course,
        statement=words,
        filed_by=scope.actor,
        filed_at=now,
        due_at=now + timedelta(days=shelf.appeal_days(programme)),
        state="open",
        sandbox=scope.sandbox,
    )
    # Raising the version keeps an erasure, which reads all of a person's words, from missing these.
    await services.store.commit(Writes(scope.tenant, (moved(records.learner),), inserts=(row,)))
    return own_appeal(row), True


def _appealed(records: LearnerRecords, body: schemas.FileAppeal) -> DecisionRow:
    """The decision in force that the body names, by its id or by its session."""
    current = [row for row in records.decisions if row.superseded_at is None]
    if body.decision is not None:
        found = next((row for row in current if row.id == body.decision), None)
        if found is None:
            raise NotFound("decision", body.decision)
    else:
        assert body.session is not None
        found = next((row for row in current if row.session == body.session), None)
        if found is None:
            raise NotFound("session", body.session)
    if found.practice:
        raise AppealRefused("this was practice, which decides nothing")
    if found.source == CONFIRMATION:
        raise AppealRefused("a confirmation decides nothing; where it does not fit, people look already")
    if found.status == "pending":
        raise AppealRefused("nothing is decided yet; the result is still to come")
    return found


def _text(value: str, path: str, what: str) -> str:
    words = value.strip()
    if not words:
        raise InvalidRequest(what, path=path)
    if len(words) > LONGEST:
        raise InvalidRequest(f"{len(words)} characters; {LONGEST} are taken", path=path)
    return words


async def of_learner(services: Services, scope: Scope, learner: str) -> schemas.Page[schemas.OwnAppeal]:
    """`GET /v1/learners/{id}/appeals`: what came of each, as the learner is told."""
    if scope.learner is None:
        scope.require("deliver", "read-status", "manage")
    elif not await learners.same_person(services, scope, learner):
        raise NotFound("learner", learner)
    records = await learners.records(services, scope, learner)
    learners.require_known(scope, records.learner)
    rows = await services.store.read(reading_appeals.appeals_of, scope.tenant, records.ids)
    return schemas.Page(items=[own_appeal(row) for row in rows], next=None)


# --- looking -----------------------------------------------------------------------


async def listing(
    services: Services,
    scope: Scope,
    *,
    state: str | None = None,
    overdue: bool = False,
    after: str | None = None,
    limit: int = 100,
) -> schemas.Page[schemas.Appeal]:
    """`GET /v1/appeals`: by the day on which an answer is due, the most urgent first."""
    scope.require("manage")
    rows = await services.store.read(
        reading_appeals.listed,
        scope.tenant,
        sandbox=scope.sandbox,
        state=state,
        due_before=services.clock() if overdue else None,
        after=after,
        limit=limit + 1,
    )
    items = [await _full(services, row) for row in rows[:limit]]
    return schemas.Page(items=items, next=items[-1].id if len(rows) > limit else None)


async def get(services: Services, scope: Scope, id: str) -> schemas.Appeal:
    """`GET /v1/appeals/{id}`."""
    scope.require("manage")
    return await _full(services, await _row(services, scope, id))


async def look(services: Services, scope: Scope, id: str, body: schemas.LookAtAppeal) -> schemas.Appeal:
    """`POST /v1/appeals/{id}/looks`: enter who looked, what was found, and what shows it.

    Raises
    ------
    NotFound, InvalidRequest
    AppealRefused
        It was answered already.
    """
    scope.require("manage")
    note = _text(body.note, "note", "say what you found")

    async def once() -> schemas.Appeal:
        row = await _row(services, scope, id)
        _require_open(row)
        data = {"note": note, "evidence": body.evidence, "who": body.who or scope.actor}
        entry = await _entry(services, scope, row, "looked", None, data)
        # The state is expected, so that nothing is added to an appeal that was answered meanwhile.
        same = Update(Appeal, _key(row), {"state": "open"}, {"state": "open"})
        await services.store.commit(Writes(scope.tenant, (same,), inserts=(entry,)))
        return await get(services, scope, id)

    return await again(once)


def _require_open(row: Appeal) -> None:
    if row.state != "open":
        raise AppealRefused(f"appeal {row.id} was answered: {row.state}")


def _key(row: Appeal) -> dict[str, Any]:
    return {"tenant": row.tenant, "id": row.id}


async def _row(services: Services, scope: Scope, id: str) -> Appeal:
    row = await services.store.read(reading_appeals.appeal, scope.tenant, id)
    if row is None or row.sandbox != scope.sandbox:
        raise NotFound("appeal", id)
    return row


async def _entry(
    services: Services,
    scope: Scope,
    row: Appeal,
    what: str,
    approved_by: str | None,
    data: dict[str, Any],
) -> AppealEntry:
    known = await services.store.read(reading_appeals.entries, scope.tenant, row.id)
    return AppealEntry(
        scope.tenant, row.id, len(known) + 1, what, scope.actor, approved_by, services.clock(), data
    )


# --- deciding ----------------------------------------------------------------------


async def decide(services: Services, scope: Scope, id: str, body: schemas.DecideAppeal) -> schemas.Appeal:
    """`POST /v1/appeals/{id}/decide`: answer it; upheld, with what changes. The same again changes nothing.

    Raises
    ------
    NotFound
    InvalidRequest
        No answer, no evidence, or what is upheld and what changes do not fit together.
    AppealRefused
        Nobody has looked, it was answered otherwise, or the decision cannot be replaced.
    Forbidden
        No second person, where the tenant demands one.
    """
    scope.require("manage")
    answer = _text(body.answer, "answer", "say what the learner is told")
    return await again(lambda: _decide(services, scope, id, body, answer))


async def _decide(
    services: Services, scope: Scope, id: str, body: schemas.DecideAppeal, answer: str
) -> schemas.Appeal:
    row = await _row(services, scope, id)
    if (row.state, row.answer) == (body.outcome, answer):
        return await _full(services, row)
    _require_open(row)
    known = await services.store.read(reading_appeals.entries, scope.tenant, id)
    if not known:
        raise AppealRefused(f"nobody has looked at {id} yet; enter who did, and what was found")
    tenant = (await services.catalogue.shelf(scope.tenant)).tenant
    require_second_person(tenant, scope, body.approved_by, f"the answer to {id}")
    records = await learners.records(services, scope, row.learner)
    _require_sense(records, row, body)
    now = services.clock()
    grounds = {
        "outcome": body.outcome,
        "answer": answer,
        "evidence": body.evidence,
        "facts": body.facts,
        "who": body.who or scope.actor,
        "by": scope.actor,
        "approved_by": body.approved_by,
        "salt": secrets.token_hex(16),
    }
    updates: list[Update] = []
    old = new = None
    if body.status is not None:
        old, session = _replaceable(records, row, body)
        new = _confirmed(row, old, session, body.status, grounds, now)
        values = {"superseded_at": now, "superseded_by": new.id}
        key = {"tenant": old.tenant, "id": old.id}
        updates.append(Update(DecisionRow, key, values, {"superseded_at": None}))
    closed: dict[str, Any] = {
        "state": body.outcome,
        "closed_at": now,
        "answer": answer,
        "new": None if new is None else new.id,
    }
    updates += [moved(records.learner), Update(Appeal, _key(row), closed, {"state": "open"})]
    entry = await _entry(services, scope, row, "decided", body.approved_by, grounds)
    writes = Writes(
        scope.tenant,
        tuple(updates),
        inserts=(entry,),
        decisions=() if new is None else (new,),
        changes=()
        if old is None or new is None
        else await _told(services, scope, records, old, new, replace(row, **closed)),
    )
    await services.store.commit(writes)
    return await get(services, scope, id)


def _require_sense(records: LearnerRecords, row: Appeal, body: schemas.DecideAppeal) -> None:
    """What is upheld names what changes, and what shows it; what is rejected changes nothing."""
    if body.outcome == "rejected":
        if body.status is not None or body.facts:
            raise InvalidRequest(
                "a rejected appeal changes nothing", path="status" if body.status else "facts"
            )
        return
    if not [entry for entry in body.evidence if entry.strip()]:
        raise InvalidRequest("say what shows it: a document, a person who was there", path="evidence")
    if row.kind != "badge" and body.status is None:
        raise InvalidRequest("say the new status of the decision", path="status")
    if (row.kind == REVIEW) != (body.status == "undetermined"):
        raise InvalidRequest(
            "a review fails nobody: its new status is undetermined, which that of no other appeal is",
            path="status",
        )
    if row.kind == "badge" and (body.status is None) == (not body.facts):
        raise InvalidRequest("name the facts that were attested, or a decision and its status", path="facts")
    mine = {fact.id for fact in records.facts if fact.void_at is None}
    for index, fact in enumerate(body.facts):
        if fact not in mine:
            raise InvalidRequest(f"no fact {fact!r} stands for this learner", path=f"facts[{index}]")


def _replaceable(
    records: LearnerRecords, row: Appeal, body: schemas.DecideAppeal
) -> tuple[DecisionRow, Session]:
    """The decision in force that the answer replaces, and its session."""
    if row.kind == "badge" and body.decision is None:
        raise InvalidRequest("name the decision that gets another status", path="decision")
    # A rescoring may have superseded what was appealed against; its session still has one decision in force.
    session = row.session
    if row.kind == "badge":
        session = next((d.session for d in records.decisions if d.id == body.decision), None)
    elif body.decision not in (None, row.about):
        raise InvalidRequest(f"the appeal is about {row.about}", path="decision")
    old = next((d for d in records.decisions if d.session == session and d.superseded_at is None), None)
    taken = next((s for s in records.sessions if s.id == session), None)
    if old is None or taken is None:
        raise NotFound("decision", body.decision or row.about)
    if taken.void_at is not None or old.practice:
        raise AppealRefused(f"session {taken.id} does not count, so there is nothing to confirm")
    if old.status not in _DECIDED:
        raise AppealRefused(f"{old.id} is {old.status}: too little was answered; give another try instead")
    if old.status == body.status:
        raise AppealRefused(f"{old.id} is {old.status} already")
    return old, taken


def _confirmed(
    row: Appeal, old: DecisionRow, session: Session, status: str, grounds: dict[str, Any], now: datetime
) -> DecisionRow:
    """The new decision, made by people: it cites the old one and the hash of what they went by."""
    record = {
        "schema": SCHEMA,
        "engine": __version__,
        "programme": old.programme,
        "course": old.course,
        "release": old.report["release"],
        "form": old.form,
        "session": session.id,
        "learner": old.learner,
        "try": session.try_number,
        "decided_at": now.isoformat(),
        "practice": False,
        "supersedes": {"decision": old.id, "record_sha256": old.record_sha256},
        "appeal": {
            "id": row.id,
            "filed_at": row.filed_at.isoformat(),
            "grounds_sha256": grounds_digest(grounds),
        },
        "decision": {
            "status": status,
            "level": old.report["level"],
            "rule": RULE,
            "provisional": False,
        },
    }
    data = canonical_json(record)
    return replace(
        old,
        id=new_id("dec"),
        status=status,
        provisional=False,
        passed=status == "passed",
        source=SOURCE,
        record=data.decode(),
        record_sha256=sha256(data),
        report=old.report | {"rule": RULE, "p_at_or_above_cut": None},
        chain_seq=0,
        chain_sha256="",
        decided_at=now,
        supersedes=old.id,
        cause=CAUSE,
        reason=grounds["answer"],
    )


def grounds_digest(grounds: dict[str, Any]) -> str:
    """The salted hash of what an appeal was decided on."""
    return sha256(canonical_json(grounds))


async def _told(
    services: Services,
    scope: Scope,
    records: LearnerRecords,
    old: DecisionRow,
    new: DecisionRow,
    row: Appeal,
) -> Any:
    now = new.decided_at
    gone = replace(old, superseded_at=now, superseded_by=new.id)
    reviews = tuple(row if review.id == row.id else review for review in records.reviews)
    after = replace(with_decision(with_decision(records, gone), new), reviews=reviews)
    shelf = await services.catalogue.shelf(scope.tenant)
    return changes.events(records, after, shelf, now=now, cause=CAUSE, reason_id=row.id, course=new.course)


# --- what is said --------------------------------------------------------------------


def own_appeal(row: Appeal) -> schemas.OwnAppeal:
    """An appeal as its learner is told of it."""
    return schemas.OwnAppeal(
        id=row.id,
        kind=row.kind,  # type: ignore[arg-type]
        about=row.about,
        course=row.course,
        state=row.state,  # type: ignore[arg-type]
        filed_at=row.filed_at,
        due_at=row.due_at,
        closed_at=row.closed_at,
        answer=row.answer,
    )


async def _full(services: Services, row: Appeal) -> schemas.Appeal:
    entries = await services.store.read(reading_appeals.entries, row.tenant, row.id)
    return schemas.Appeal(
        id=row.id,
        learner=row.learner,
        kind=row.kind,  # type: ignore[arg-type]
        about=row.about,
        session=row.session,
        course=row.course,
        reason=row.statement,
        filed_by=row.filed_by,
        filed_at=row.filed_at,
        due_at=row.due_at,
        overdue=row.state == "open" and row.due_at < services.clock(),
        state=row.state,  # type: ignore[arg-type]
        closed_at=row.closed_at,
        answer=row.answer,
        decision=row.new,
        entries=_entries(entries),
    )


def _entries(rows: Sequence[AppealEntry]) -> list[schemas.AppealEntry]:
    return [
        schemas.AppealEntry(
            what=entry.what,  # type: ignore[arg-type]
            by=entry.by,
            who=entry.data.get("who", ""),
            approved_by=entry.approved_by,
            at=entry.at,
            note=entry.data.get("note", entry.data.get("answer", "")),
            evidence=entry.data.get("evidence", []),
        )
        for entry in rows
    ]
