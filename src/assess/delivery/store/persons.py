"""Which records are one person's: the merges that stand, followed to their ends."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, or_, select

from assess.delivery.store.rows_people import Merge
from assess.delivery.store.tables_people import learner_merges


@dataclass(frozen=True, slots=True)
class Person:
    """The learner who survives, every id that counts for them, and the merges that ever touched one of these.

    Rows are never rewritten by a merge: each keeps the id for which it was
    written, and a person's records are those of all `ids`.
    """

    id: str
    ids: tuple[str, ...]
    merges: tuple[Merge, ...] = ()

    def undone(self, known_at: datetime | None) -> frozenset[str]:
        """Ids of the merges that no longer stand."""
        return frozenset(
            merge.id
            for merge in self.merges
            if merge.undone_at is not None and (known_at is None or merge.undone_at <= known_at)
        )


def _stands(known_at: datetime | None) -> Any:
    c = learner_merges.c
    if known_at is None:
        return c.undone_at.is_(None)
    return and_(c.at <= known_at, or_(c.undone_at.is_(None), c.undone_at > known_at))


def person(connection: Connection, tenant: str, id: str, known_at: datetime | None = None) -> Person:
    """The person whose record an id is.

    Parameters
    ----------
    known_at : datetime, optional
        As known then: a merge that was made later, or undone by then, joins nothing. Without it, as it is.
    """
    c = learner_merges.c
    own = or_(c.learner == id, c.into == id)
    if connection.execute(select(c.id).where(c.tenant == tenant, own).limit(1)).first() is None:
        return Person(id, (id,))
    stands = _stands(known_at)
    survivor = id
    # Merges make trees, for a circle is refused when it is made; `met` keeps a damaged table from a loop.
    met = {id}
    while True:
        into = connection.scalar(select(c.into).where(c.tenant == tenant, c.learner == survivor, stands))
        if into is None or into in met:
            break
        survivor = into
        met.add(survivor)
    ids = [survivor]
    level = [survivor]
    while level:
        below = connection.scalars(
            select(c.learner).where(c.tenant == tenant, c.into.in_(level), stands).order_by(c.learner)
        )
        level = [learner for learner in below if learner not in ids]
        ids += level
    touched = or_(c.learner.in_(ids), c.into.in_(ids))
    found = connection.execute(select(learner_merges).where(c.tenant == tenant, touched).order_by(c.at, c.id))
    return Person(survivor, tuple(ids), tuple(Merge.read(row) for row in found))


def survivors(connection: Connection, tenant: str) -> dict[str, str]:
    """Every merged id of a tenant with the id that answers for it."""
    c = learner_merges.c
    found = connection.execute(select(c.learner, c.into).where(c.tenant == tenant, c.undone_at.is_(None)))
    into: dict[str, str] = {row.learner: row.into for row in found}

    def end(learner: str) -> str:
        met = {learner}
        while learner in into and into[learner] not in met:
            learner = into[learner]
            met.add(learner)
        return learner

    return {learner: end(learner) for learner in into}
