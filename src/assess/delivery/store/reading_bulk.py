"""The records of many learners at once: members of a school, and everybody, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, exists, or_, select

from assess.delivery.store import tables
from assess.delivery.store.gathering import Part, gathered
from assess.delivery.store.persons import Person, person
from assess.delivery.store.reading import LearnerRecords, not_private, records_of
from assess.delivery.store.reading_marks import LEAN
from assess.delivery.store.rows import ChangeRow, DecisionRow, EligibilityState, Fact, Learner, R, Session
from assess.delivery.store.tables_people import learner_merges

_AT_ONCE = 500
_OWN = "tenant = :tenant AND learner IN :ids"
_RECORDS = (
    Part(Learner, "tenant = :tenant AND id IN :ids", ("id",)),
    Part(Session, _OWN, ("started_at", "id"), LEAN[Session]),
    Part(DecisionRow, _OWN, ("decided_at", "id"), LEAN[DecisionRow]),
    Part(Fact, "tenant = :tenant AND subject IN :ids", ("recorded_at", "id")),
    Part(ChangeRow, _OWN, ("sequence",), LEAN[ChangeRow]),
)
# Its index leaves out all other facts, and neither database sees by itself that a list names no NULL.
_MEMBERSHIPS = (Part(Fact, "tenant = :tenant AND person IS NOT NULL AND person IN :persons"),)


def _all(
    connection: Connection,
    row: type[R],
    *conditions: Any,
    order: tuple[Any, ...],
    limit: int | None = None,
) -> list[R]:
    found = connection.execute(select(row.table).where(*conditions).order_by(*order).limit(limit))
    return [row.read(one) for one in found]


def learner_ids(
    connection: Connection, tenant: str, *, after: str, limit: int, sandbox: bool, kinds: Collection[str]
) -> list[str]:
    """Ids of those who answer for themselves, in order: neither merged into another nor erased."""
    found = answering(tenant, after=after, limit=limit, sandbox=sandbox, kinds=kinds)
    return [id_ for id_, _ in connection.execute(found)]


def answering(
    tenant: str, *, after: str, limit: int, sandbox: bool, kinds: Collection[str]
) -> Select[str, str]:
    """Ids and kinds of a page of those who answer for themselves."""
    c, m = tables.learners.c, learner_merges.c
    merged = select(m.learner).where(m.tenant == tenant, m.undone_at.is_(None))
    return (
        select(c.id, c.kind)
        .where(c.tenant == tenant, c.id > after, c.sandbox == sandbox, c.kind.in_(list(kinds)))
        .where(c.erased_at.is_(None), c.id.not_in(merged))
        .order_by(c.id)
        .limit(limit)
    )


def records_of_many(
    connection: Connection, tenant: str, ids: Iterable[str], *, known_at: datetime | None = None
) -> list[LearnerRecords]:
    """What `reading.learner_records` gives, by one query for each table; unknown ids are left out.

    The incidents of a session change no decision that was made, and are left out too; and so is what is
    long (`LEAN`), except for those whose records were merged.
    """
    asked = list(dict.fromkeys(ids))
    found: list[LearnerRecords] = []
    for start in range(0, len(asked), _AT_ONCE):
        found += _page(connection, tenant, asked[start : start + _AT_ONCE], known_at)
    return found


def _page(
    connection: Connection, tenant: str, ids: list[str], known_at: datetime | None
) -> list[LearnerRecords]:
    m = learner_merges.c
    touched = or_(m.learner.in_(ids), m.into.in_(ids))
    rows = connection.execute(select(m.learner, m.into).where(m.tenant == tenant, touched))
    merged = {id_ for row in rows for id_ in row} & set(ids)
    # The few that were ever merged are read as anybody is; each person once, whichever id was asked for.
    persons: dict[str, Person] = {}
    for id_ in sorted(merged):
        who = person(connection, tenant, id_, known_at)
        persons[who.id] = who
    found = [records_of(connection, tenant, who, known_at=known_at) for who in persons.values()]
    plain = [id_ for id_ in ids if id_ not in merged]
    parts = gathered(connection, _RECORDS, {"tenant": tenant, "ids": plain})
    return [records for records in found if records is not None] + joined(*parts)


def joined(
    learners: Iterable[Learner],
    sessions: Iterable[Session],
    decisions: Iterable[DecisionRow],
    facts: Iterable[Fact],
    changes: Iterable[ChangeRow] = (),
) -> list[LearnerRecords]:
    """Each learner with the rows that are theirs, of whom none was ever merged."""
    s, d, f, c = (_grouped(rows) for rows in (sessions, decisions, facts, changes))
    return [
        LearnerRecords(
            one, tuple(s[one.id]), tuple(d[one.id]), tuple(f[one.id]), tuple(c[one.id]), ids=(one.id,)
        )
        for one in learners
    ]


def _grouped(rows: Iterable[Any]) -> defaultdict[str, list[Any]]:
    """Rows by the learner whose they are."""
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for row in rows:
        owner: str = getattr(row, "subject" if isinstance(row, Fact) else "learner")
        groups[owner].append(row)
    return groups


def states(
    connection: Connection, tenant: str, learners: Collection[str]
) -> dict[tuple[str, str], EligibilityState]:
    """What was told last about each learner and badge."""
    c = tables.eligibility_states.c
    found = _all(
        connection, EligibilityState, c.tenant == tenant, c.learner.in_(list(learners)), order=(c.learner,)
    )
    return {(state.learner, state.badge): state for state in found}


def schools_of(connection: Connection, tenant: str, persons: Collection[str]) -> list[str]:
    """Schools of which one of the persons is, or ever was, a member."""
    values = {"tenant": tenant, "persons": list(persons)}
    (memberships,) = gathered(connection, _MEMBERSHIPS, values)
    return sorted({fact.subject for fact in memberships})


def badge_subjects(
    connection: Connection,
    tenant: str,
    badge: str,
    status: str,
    *,
    after: str,
    limit: int,
    sandbox: bool,
    private: bool = True,
) -> list[EligibilityState]:
    """Learners of a status for a badge, by id; one who was merged is answered for by the other."""
    c = tables.eligibility_states.c
    m = learner_merges.c
    merged = exists().where(m.tenant == tenant, m.learner == c.learner, m.undone_at.is_(None))
    conditions = [
        ~merged,
        c.tenant == tenant,
        c.badge == badge,
        c.status == status,
        c.learner > after,
        c.sandbox == sandbox,
    ]
    if not private:
        conditions.append(not_private(tenant, c.learner))
    return _all(connection, EligibilityState, *conditions, order=(c.learner,), limit=limit)
