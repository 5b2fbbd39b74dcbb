"""The records of many learners at once: members of a school, and everybody, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, or_, select

from assess.delivery.store import tables
from assess.delivery.store.gathering import Part, gathered
from assess.delivery.store.persons import Person, person
from assess.delivery.store.reading import LearnerRecords, not_private, records_of
from assess.delivery.store.reading_marks import LEAN
from assess.delivery.store.rows import ChangeRow, DecisionRow, EligibilityState, Fact, Learner, R, Session
from assess.delivery.store.rows_people import Merge
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


def _all(
    connection: Connection,
    row: type[R],
    *conditions: Any,
    order: tuple[Any, ...],
    limit: int | None = None,
) -> list[R]:
    found = connection.execute(select(row.table).where(*conditions).order_by(*order).limit(limit))
    return [row.read(one) for one in found]


@dataclass(frozen=True, slots=True)
class Everybody:
    """A page of learners, and of them what can matter for some badges.

    Parameters
    ----------
    ids : tuple of str
        All of the page, in order.
    known : tuple of LearnerRecords
        Those of whom there is anything that can matter, with nothing else.
    apart : tuple of str
        Schools, and whose records were ever merged: what counts for them stands with others.
    states : mapping
        What was told last, by learner and badge.
    """

    ids: tuple[str, ...]
    known: tuple[LearnerRecords, ...]
    apart: tuple[str, ...]
    states: Mapping[tuple[str, str], EligibilityState]


_PAGE = "tenant = :tenant AND learner > :after AND learner <= :last"
_MATTERS = (
    Part(Session, f"{_PAGE} AND course IN :courses", ("started_at", "id"), LEAN[Session]),
    Part(DecisionRow, f"{_PAGE} AND course IN :courses", ("decided_at", "id"), LEAN[DecisionRow]),
    Part(
        Fact,
        "tenant = :tenant AND subject > :after AND subject <= :last AND t IN :types",
        ("recorded_at", "id"),
    ),
    Part(EligibilityState, f"{_PAGE} AND badge IN :badges"),
    Part(Merge, _PAGE),
    Part(Merge, 'tenant = :tenant AND "into" > :after AND "into" <= :last'),
)


def everybody(
    connection: Connection,
    tenant: str,
    *,
    after: str,
    limit: int,
    sandbox: bool,
    kinds: Collection[str],
    badges: Collection[str],
    courses: Collection[str],
    types: Collection[str],
) -> Everybody:
    """A page of those who answer for themselves, with what can matter for badges: neither merged nor erased.

    Parameters
    ----------
    courses, types : collection of str
        The courses, and the types of facts, that the rules of the badges look at.
    """
    page = _answering(connection, tenant, after, limit, sandbox, kinds)
    if not page:
        return Everybody((), (), (), {})
    values = {
        "tenant": tenant, "after": after, "last": page[-1].id,
        "courses": list(courses), "types": list(types), "badges": list(badges),
    }  # fmt: skip
    *owned, states, merges, into = gathered(connection, _MATTERS, values)
    sessions, decisions, facts = map(grouped, owned)
    joined = {id_ for merge in (*merges, *into) for id_ in (merge.learner, merge.into)}
    apart = {one.id for one in page if one.kind == "school" or one.id in joined}
    known = (
        LearnerRecords(
            one, tuple(sessions[one.id]), tuple(decisions[one.id]), tuple(facts[one.id]), (), ids=(one.id,)
        )
        for one in page
        if one.id not in apart and (one.id in decisions or one.id in facts)
    )
    return Everybody(
        tuple(one.id for one in page),
        tuple(known),
        tuple(sorted(apart)),
        {(state.learner, state.badge): state for state in states},
    )


def learner_ids(
    connection: Connection, tenant: str, *, after: str, limit: int, sandbox: bool, kinds: Collection[str]
) -> list[str]:
    """Ids of those who answer for themselves, in order: neither merged into another nor erased."""
    return [one.id for one in _answering(connection, tenant, after, limit, sandbox, kinds)]


def _answering(
    connection: Connection, tenant: str, after: str, limit: int, sandbox: bool, kinds: Collection[str]
) -> list[Learner]:
    c, m = tables.learners.c, learner_merges.c
    merged = select(m.learner).where(m.tenant == tenant, m.undone_at.is_(None))
    conditions = (
        c.tenant == tenant, c.id > after, c.sandbox == sandbox, c.kind.in_(list(kinds)),
        c.erased_at.is_(None), c.id.not_in(merged),
    )  # fmt: skip
    return _all(connection, Learner, *conditions, order=(c.id,), limit=limit)


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
    learners, *owned = gathered(connection, _RECORDS, {"tenant": tenant, "ids": plain})
    sessions, decisions, facts, changes = map(grouped, owned)
    return [records for records in found if records is not None] + [
        LearnerRecords(
            learner,
            tuple(sessions[learner.id]),
            tuple(decisions[learner.id]),
            tuple(facts[learner.id]),
            tuple(changes[learner.id]),
            ids=(learner.id,),
        )
        for learner in learners
    ]


def grouped(rows: Iterable[R]) -> defaultdict[str, list[R]]:
    """Rows by the learner whose they are."""
    groups: defaultdict[str, list[R]] = defaultdict(list)
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
    c = tables.facts.c
    statement = select(c.subject).where(c.tenant == tenant, c.person.in_(list(persons))).distinct()
    return sorted(connection.scalars(statement))


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
