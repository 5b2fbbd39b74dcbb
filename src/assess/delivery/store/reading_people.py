"""What a use case may read about cohorts, assigned courses, sign-in and merges."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select

from assess.delivery.store import tables
from assess.delivery.store import tables_people as people
from assess.delivery.store.persons import Person, person, survivors
from assess.delivery.store.reading import LearnerRecords, _all, _one, records_of
from assess.delivery.store.rows import Learner, LearnerExternalId, Session
from assess.delivery.store.rows_people import Assignment, Cohort, CohortMember, Merge, SignIn, SignInCode

# --- persons -------------------------------------------------------------------


def who(connection: Connection, tenant: str, id: str) -> Person:
    """The person whose record an id is, as merges stand."""
    return person(connection, tenant, id)


def merge_of(connection: Connection, tenant: str, learner: str) -> Merge | None:
    """The last merge of a learner into another, standing or undone."""
    c = people.learner_merges.c
    order = (c.undone_at.is_not(None), c.at.desc(), c.id)
    found = _all(connection, Merge, c.tenant == tenant, c.learner == learner, order=order, limit=1)
    return found[0] if found else None


def records_apart(
    connection: Connection, tenant: str, learner: str, *, without: str
) -> LearnerRecords | None:
    """A learner's records as they are if one merge does not stand."""
    c = people.learner_merges.c
    rows = _all(connection, Merge, c.tenant == tenant, c.undone_at.is_(None), c.id != without)
    into = {row.learner: row.into for row in rows}
    top = learner
    while top in into:
        top = into[top]
    ids = [top]
    for upper in ids:
        ids += sorted(below for below, above in into.items() if above == upper and below not in ids)
    touched = or_(c.learner.in_(ids), c.into.in_(ids))
    merges = _all(connection, Merge, c.tenant == tenant, touched, order=(c.at, c.id))
    return records_of(connection, tenant, Person(top, tuple(ids), tuple(merges)))


def external_ids_of(connection: Connection, tenant: str, learners: Sequence[str]) -> list[LearnerExternalId]:
    """Who these learners are elsewhere."""
    c = tables.learner_external_ids.c
    order = (c.issuer, c.subject)
    return _all(connection, LearnerExternalId, c.tenant == tenant, c.learner.in_(learners), order=order)


# --- cohorts and assigned courses ------------------------------------------------


def cohort(connection: Connection, tenant: str, id: str) -> Cohort | None:
    """A cohort."""
    c = people.cohorts.c
    return _one(connection, Cohort, c.tenant == tenant, c.id == id)


def cohorts(
    connection: Connection, tenant: str, *, sandbox: bool, after: str = "", limit: int = 1000
) -> list[Cohort]:
    """Cohorts by id, a page at a time."""
    c = people.cohorts.c
    mine = (c.tenant == tenant, c.sandbox == sandbox, c.id > after)
    return _all(connection, Cohort, *mine, order=(c.id,), limit=limit)


def cohort_members(
    connection: Connection, tenant: str, cohort: str, *, after: str = "", limit: int = 1000
) -> list[str]:
    """Ids of the learners of a cohort, a page at a time."""
    c = people.cohort_members.c
    statement = select(c.learner).where(c.tenant == tenant, c.cohort == cohort, c.learner > after)
    return list(connection.scalars(statement.order_by(c.learner).limit(limit)))


def n_members(connection: Connection, tenant: str, cohort: str) -> int:
    """How many learners a cohort has."""
    c = people.cohort_members.c
    n = connection.scalar(select(func.count()).where(c.tenant == tenant, c.cohort == cohort))
    return int(n or 0)


def assignments_of(connection: Connection, tenant: str, kind: str, target: str) -> list[Assignment]:
    """The courses assigned to a cohort, or to a learner alone."""
    c = people.assignments.c
    return _all(
        connection, Assignment, c.tenant == tenant, c.kind == kind, c.target == target, order=(c.course,)
    )


def assignments_for(connection: Connection, tenant: str, learner: str) -> list[Assignment]:
    """All that is assigned to a person: to each of their ids, and to the cohorts of these."""
    ids = person(connection, tenant, learner).ids
    m, c = people.cohort_members.c, people.assignments.c
    mine = select(m.cohort).where(m.tenant == tenant, m.learner.in_(ids))
    given = or_(and_(c.kind == "learner", c.target.in_(ids)), and_(c.kind == "cohort", c.target.in_(mine)))
    return _all(connection, Assignment, c.tenant == tenant, given, order=(c.course, c.opens_at, c.target))


def open_sessions(connection: Connection, tenant: str, learner: str) -> list[Session]:
    """A person's open sessions, of all forms."""
    c = tables.sessions.c
    ids = person(connection, tenant, learner).ids
    mine = (c.tenant == tenant, c.learner.in_(ids), c.state == "open", c.void_at.is_(None))
    return _all(connection, Session, *mine, order=(c.started_at, c.id))


# --- rosters ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored about the people and cohorts that a part of a roster names."""

    learners: dict[str, Learner]
    external: dict[tuple[str, str], str]
    members: frozenset[tuple[str, str]]
    cohorts: dict[str, Cohort]
    assignments: dict[tuple[str, str, str], Assignment]
    # Who answers for whom, where a line gives somebody an external id that came with another record.
    merged: dict[str, str]

    def is_one_person(self, learner: str, other: str) -> bool:
        """Whether two ids are one person's, as merges stand."""
        return self.merged.get(learner, learner) == self.merged.get(other, other)


def known(
    connection: Connection,
    tenant: str,
    *,
    learners: Collection[str],
    external: Mapping[tuple[str, str], Collection[str]],
    cohorts: Collection[str],
) -> Known:
    """Everything that a part of a roster is compared with, in a handful of statements.

    Parameters
    ----------
    external : mapping
        From issuer and subject to the learners to whom lines of the part give them.
    """
    e = tables.learner_external_ids.c
    subjects: dict[str, list[str]] = {}
    for issuer, subject in external:
        subjects.setdefault(issuer, []).append(subject)
    # Issuer by issuer: SQLite walks the whole table for a list of pairs.
    pairs = [
        row
        for issuer, theirs in subjects.items()
        for row in _all(
            connection, LearnerExternalId, e.tenant == tenant, e.issuer == issuer, e.subject.in_(theirs)
        )
    ]
    owners = {(row.issuer, row.subject): row.learner for row in pairs}
    claims = ({*given, owners[pair]} if pair in owners else {*given} for pair, given in external.items())
    # Merges are few, and lines that need them fewer: nobody else pays for reading them.
    merged = survivors(connection, tenant) if any(len(ids) > 1 for ids in claims) else {}
    ids = {*learners, *owners.values()}
    learner, m = tables.learners.c, people.cohort_members.c
    c, a = people.cohorts.c, people.assignments.c
    to = or_(
        and_(a.kind == "cohort", a.target.in_(list(cohorts))),
        and_(a.kind == "learner", a.target.in_(list(ids))),
    )
    # By learner alone: nobody is in many cohorts, and a cohort may hold everybody.
    here = (m.tenant == tenant, m.learner.in_(list(ids)))
    return Known(
        {
            row.id: row
            for row in _all(connection, Learner, learner.tenant == tenant, learner.id.in_(list(ids)))
        },
        owners,
        frozenset((row.cohort, row.learner) for row in _all(connection, CohortMember, *here)),
        {row.id: row for row in _all(connection, Cohort, c.tenant == tenant, c.id.in_(list(cohorts)))},
        {
            (row.kind, row.target, row.course): row
            for row in _all(connection, Assignment, a.tenant == tenant, to)
        },
        merged,
    )


# --- sign-in ---------------------------------------------------------------------


def sign_in_code(connection: Connection, tenant: str, code_sha256: str) -> SignInCode | None:
    """The code with this hash, whatever became of it."""
    c = people.sign_in_codes.c
    return _one(connection, SignInCode, c.tenant == tenant, c.code_sha256 == code_sha256)


def live_codes(connection: Connection, tenant: str, learners: Sequence[str]) -> list[SignInCode]:
    """Codes of these learners that nobody has used or replaced."""
    c = people.sign_in_codes.c
    return _all(connection, SignInCode, c.tenant == tenant, c.learner.in_(learners), c.ended_at.is_(None))


def sign_in(connection: Connection, tenant: str, token_sha256: str) -> SignIn | None:
    """The sign-in that a token continues, ended or not."""
    c = people.sign_ins.c
    return _one(connection, SignIn, c.tenant == tenant, c.token_sha256 == token_sha256)


def learners_by_id(connection: Connection, tenant: str, ids: Sequence[str]) -> list[Learner]:
    """The learners with these ids."""
    c = tables.learners.c
    return _all(connection, Learner, c.tenant == tenant, c.id.in_(ids), order=(c.id,))
