"""Where a person stands in the tables: what an erasure must find."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from assess.delivery.store import tables, tables_appeals, tables_badges, tables_people
from assess.delivery.store.persons import person
from assess.delivery.store.reading import OPENED, _all
from assess.delivery.store.rows import (
    ChangeRow,
    DecisionRow,
    EligibilityState,
    Fact,
    Learner,
    LearnerExternalId,
    ResponseRow,
    Session,
    SessionEvent,
    Stored,
)
from assess.delivery.store.rows_appeals import Appeal, AppealEntry, Erasure
from assess.delivery.store.rows_badges import ClaimRow, Credential, Share
from assess.delivery.store.rows_people import Assignment, CohortMember, Merge, SignIn, SignInCode
from assess.delivery.store.rows_sitting import AccommodationRow


@dataclass(frozen=True, slots=True)
class Traces:
    """All rows that tell who somebody is, or hold what somebody wrote; of every id of the person.

    `going` are rows that go whole, with the key by which they are deleted.
    """

    learners: tuple[Learner, ...]
    going: tuple[tuple[type[Stored], dict[str, Any], int], ...]
    sessions: tuple[Session, ...]
    responses: tuple[ResponseRow, ...]
    events: tuple[SessionEvent, ...]
    merges: tuple[Merge, ...]
    told: tuple[ChangeRow, ...]
    appeals: tuple[Appeal, ...]
    entries: tuple[AppealEntry, ...]
    decisions: tuple[DecisionRow, ...]
    credentials: tuple[Credential, ...]


_BY_LEARNER: tuple[type[Stored], ...] = (
    LearnerExternalId,
    SignInCode,
    SignIn,
    CohortMember,
    AccommodationRow,
    EligibilityState,
    ClaimRow,
    Share,
)
_TELLING = ("problem_reported", "accommodated", OPENED)


def traces(connection: Connection, tenant: str, id: str) -> Traces | None:
    """Where the person whose record an id is stands in the tables; None for an unknown id."""
    ids = person(connection, tenant, id).ids
    c = tables.learners.c
    learners = _all(connection, Learner, c.tenant == tenant, c.id.in_(ids), order=(c.id,))
    if id not in {learner.id for learner in learners}:
        return None
    going = [
        (row, {"tenant": tenant, "learner": one}, _count(connection, row, tenant=tenant, learner=one))
        for one in ids
        for row in _BY_LEARNER
    ]
    for one in ids:
        for row, key in (
            (Fact, {"tenant": tenant, "subject": one}),
            (Assignment, {"tenant": tenant, "kind": "learner", "target": one}),
        ):
            going.append((row, key, _count(connection, row, **key)))
    s, r, e = tables.sessions.c, tables.responses.c, tables.session_events.c
    sessions = _all(connection, Session, s.tenant == tenant, s.learner.in_(ids), order=(s.id,))
    theirs = select(s.id).where(s.tenant == tenant, s.learner.in_(ids))
    m, d, a = tables_people.learner_merges.c, tables.decisions.c, tables_appeals.appeals.c
    merges = _all(connection, Merge, m.tenant == tenant, m.learner.in_(ids) | m.into.in_(ids), order=(m.id,))
    appeals = _all(connection, Appeal, a.tenant == tenant, a.learner.in_(ids), order=(a.id,))
    n, f, b = tables_appeals.appeal_entries.c, tables.changes.c, tables_badges.credentials.c
    return Traces(
        learners=tuple(learners),
        going=tuple(entry for entry in going if entry[2]),
        sessions=tuple(sessions),
        responses=tuple(
            _all(
                connection, ResponseRow, r.tenant == tenant, r.session.in_(theirs), r.salt.is_not(None),
                order=(r.session, r.position, r.revision),
            )
        ),
        events=tuple(
            _all(
                connection, SessionEvent, e.tenant == tenant, e.session.in_(theirs), e.type.in_(_TELLING),
                order=(e.session, e.seq),
            )
        ),
        merges=tuple(merges),
        told=tuple(
            _all(
                connection, ChangeRow, f.tenant == tenant, f.type == "learner.merged",
                f.reason_id.in_([merge.id for merge in merges]), order=(f.sequence,),
            )
        ),
        appeals=tuple(appeals),
        entries=tuple(
            _all(
                connection, AppealEntry, n.tenant == tenant, n.appeal.in_([appeal.id for appeal in appeals]),
                order=(n.appeal, n.seq),
            )
        ),
        decisions=tuple(
            _all(
                connection, DecisionRow, d.tenant == tenant, d.learner.in_(ids), d.cause == "appeal",
                order=(d.id,),
            )
        ),
        credentials=tuple(
            _all(connection, Credential, b.tenant == tenant, b.learner.in_(ids), order=(b.id,))
        ),
    )  # fmt: skip


def _count(connection: Connection, row: type[Stored], **key: str) -> int:
    conditions = [row.table.c[name] == value for name, value in key.items()]
    return len(connection.execute(select(row.table.c.tenant).where(*conditions)).all())


def erasure(connection: Connection, tenant: str, learners: Collection[str]) -> Erasure | None:
    """The erasure of a person, under any of their ids."""
    c = tables_appeals.erasures.c
    found = _all(connection, Erasure, c.tenant == tenant, c.learner.in_(list(learners)), limit=1)
    return found[0] if found else None


def erasures(connection: Connection, tenant: str, *, sandbox: bool) -> list[Erasure]:
    """Erasures of live data or of the sandbox, oldest first: to be repeated after an older backup."""
    c, p = tables_appeals.erasures.c, tables.learners.c
    there = select(p.id).where(p.tenant == tenant, p.sandbox == sandbox)
    return _all(connection, Erasure, c.tenant == tenant, c.learner.in_(there), order=(c.at, c.id))
