"""Everybody, a page at a time: of whom there is anything that some rules look at, and what that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, select

from assess.delivery.store import tables
from assess.delivery.store.gathering import Part, gathered
from assess.delivery.store.reading import LearnerRecords
from assess.delivery.store.reading_bulk import answering, joined
from assess.delivery.store.reading_marks import LEAN
from assess.delivery.store.rows import DecisionRow, EligibilityState, Fact, Learner, Session
from assess.delivery.store.rows_people import Merge


@dataclass(frozen=True, slots=True)
class Page:
    """Some learners in a row.

    Parameters
    ----------
    ids : tuple of str
        All of them, in order.
    apart : frozenset of str
        Schools, and whose records were ever merged: what counts for them stands with others.
    courses, types : mapping
        Of what each of the others has decisions, and facts; without an entry, of nothing.
    states : mapping
        What was told last, by learner and badge.
    """

    ids: tuple[str, ...]
    apart: frozenset[str]
    courses: Mapping[str, Collection[str]]
    types: Mapping[str, Collection[str]]
    states: Mapping[tuple[str, str], EligibilityState]


_RANGE = "tenant = :tenant AND learner > :after AND learner <= :last"
_BESIDE = (
    Part(EligibilityState, f"{_RANGE} AND badge IN :badges"),
    Part(Merge, _RANGE),
    Part(Merge, 'tenant = :tenant AND "into" > :after AND "into" <= :last'),
)


def page(
    connection: Connection,
    tenant: str,
    *,
    after: str,
    limit: int,
    sandbox: bool,
    kinds: Collection[str],
    badges: Sequence[str],
    courses: Sequence[str],
    types: Sequence[str],
) -> Page:
    """A page of those who answer for themselves, with the least that tells who must be looked at.

    Parameters
    ----------
    courses, types : sequence of str
        The courses, and the types of facts, that the rules of the badges look at.
    """
    found = connection.execute(
        answering(tenant, after=after, limit=limit, sandbox=sandbox, kinds=kinds)
    ).all()
    if not found:
        return Page((), frozenset(), {}, {}, {})
    last = found[-1].id
    d, f = tables.decisions.c, tables.facts.c
    decided = select(d.learner, d.course).where(
        d.tenant == tenant, d.learner > after, d.learner <= last, d.course.in_(courses)
    )
    attested = select(f.subject, f.t).where(
        f.tenant == tenant, f.subject > after, f.subject <= last, f.t.in_(types)
    )
    states, merges, into = gathered(
        connection, _BESIDE, {"tenant": tenant, "after": after, "last": last, "badges": list(badges)}
    )
    merged = {id_ for merge in (*merges, *into) for id_ in (merge.learner, merge.into)}
    return Page(
        tuple(id_ for id_, _ in found),
        frozenset(id_ for id_, kind in found if kind == "school" or id_ in merged),
        _sets(connection, decided),
        _sets(connection, attested),
        {(state.learner, state.badge): state for state in states},
    )


def _sets(connection: Connection, statement: Select[str, str]) -> Mapping[str, Collection[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for learner, what in connection.execute(statement):
        found[learner].add(what)
    return found


_OWN = "tenant = :tenant AND learner IN :ids"
_MATTERS = (
    Part(Learner, "tenant = :tenant AND id IN :ids", ("id",)),
    Part(Session, f"{_OWN} AND course IN :courses", ("started_at", "id"), LEAN[Session]),
    Part(DecisionRow, f"{_OWN} AND course IN :courses", ("decided_at", "id"), LEAN[DecisionRow]),
    Part(Fact, "tenant = :tenant AND subject IN :ids AND t IN :types", ("recorded_at", "id")),
)


def what_matters(
    connection: Connection, tenant: str, ids: Sequence[str], *, courses: Sequence[str], types: Sequence[str]
) -> list[LearnerRecords]:
    """The records of learners who were never merged, without all that the rules do not look at."""
    values = {"tenant": tenant, "ids": list(ids), "courses": list(courses), "types": list(types)}
    return joined(*gathered(connection, _MATTERS, values))
