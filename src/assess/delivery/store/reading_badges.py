"""What a use case may read of claims, shared links and credentials."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, exists, func, select

from assess.delivery.store import tables_badges as tables
from assess.delivery.store.reading import _all, _one
from assess.delivery.store.rows_badges import ClaimRow, Credential, Share
from assess.delivery.store.tables import changes, eligibility_states, learners


def claim(connection: Connection, tenant: str, id: str) -> ClaimRow | None:
    """A claim by its id."""
    c = tables.claims.c
    return _one(connection, ClaimRow, c.tenant == tenant, c.id == id)


def shares(connection: Connection, tenant: str, ids: Collection[str]) -> list[Share]:
    """The links of a person, the newest first."""
    c = tables.shares.c
    order = (c.created_at.desc(), c.id)
    return _all(connection, Share, c.tenant == tenant, c.learner.in_(ids), order=order)


def share(connection: Connection, token_sha256: str) -> Share | None:
    """The link that a token opens, revoked or not."""
    return _one(connection, Share, tables.shares.c.token_sha256 == token_sha256)


def credential(connection: Connection, tenant: str, id: str) -> Credential | None:
    """A credential by its id."""
    c = tables.credentials.c
    return _one(connection, Credential, c.tenant == tenant, c.id == id)


def credential_on(
    connection: Connection, tenant: str, learner: str, badge: str, basis_sha256: str
) -> Credential | None:
    """The credential that was given out on this ground."""
    c = tables.credentials.c
    ground = (c.learner == learner, c.badge == badge, c.basis_sha256 == basis_sha256)
    return _one(connection, Credential, c.tenant == tenant, *ground)


def count_credentials(connection: Connection, tenant: str) -> int:
    """How many credentials were given out."""
    c = tables.credentials.c
    return connection.scalar(select(func.count()).where(c.tenant == tenant)) or 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A credential's bit, and what was last told of its learner and badge.

    Parameters
    ----------
    status : str or None
        None where nothing was ever told, and "erased" where the learner was.
    was_lost : bool
        The learner was told since it was given out that the rule is not met.
    """

    id: str
    badge: str
    purpose: str
    place: int
    status: str | None
    was_lost: bool


def standing(
    connection: Connection, tenant: str, *, which: int | None = None, id: str | None = None
) -> list[Standing]:
    """How all credentials of one status list stand, or one of them; without their tokens, which are long."""
    c, s, p = tables.credentials.c, eligibility_states.c, learners.c
    wanted = c.id == id if which is None else c.list == which
    h = changes.c
    since = (h.tenant == c.tenant, h.learner == c.learner, h.badge == c.badge, h.sequence > c.sequence)
    lost = exists().where(*since, h.current == "not_eligible").label("was_lost")
    found = (
        select(c.id, c.badge, c.purpose, c.place, s.status, p.erased_at, lost)
        .join(learners, (p.tenant == c.tenant) & (p.id == c.learner))
        .outerjoin(
            eligibility_states, (s.tenant == c.tenant) & (s.learner == c.learner) & (s.badge == c.badge)
        )
        .where(c.tenant == tenant, wanted)
        .order_by(c.place)
    )
    return [
        Standing(
            row.id,
            row.badge,
            row.purpose,
            row.place,
            row.status if row.erased_at is None else "erased",
            bool(row.was_lost),
        )
        for row in connection.execute(found)
    ]
