"""What a use case may read of claims, shared links and credentials."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, func, select

from assess.delivery.store import tables_badges as tables
from assess.delivery.store.reading import _all, _one
from assess.delivery.store.rows_badges import ClaimRow, Credential, Share
from assess.delivery.store.tables import eligibility_states, learners


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


def standing_in(connection: Connection, tenant: str, which: int) -> list[tuple[Credential, str | None]]:
    """All credentials of one status list, each with what was last told of its learner and badge.

    None where nothing was ever told, and "erased" where the learner was.
    """
    c, s, p = tables.credentials.c, eligibility_states.c, learners.c
    found = (
        select(tables.credentials, s.status, p.erased_at)
        .join(learners, (p.tenant == c.tenant) & (p.id == c.learner))
        .outerjoin(
            eligibility_states, (s.tenant == c.tenant) & (s.learner == c.learner) & (s.badge == c.badge)
        )
        .where(c.tenant == tenant, c.list == which)
        .order_by(c.place)
    )
    return [
        (Credential.read(row), row.status if row.erased_at is None else "erased")
        for row in connection.execute(found)
    ]
