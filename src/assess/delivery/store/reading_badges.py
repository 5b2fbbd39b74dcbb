"""What a use case may read of claims, shared links and credentials."""

from __future__ import annotations

from sqlalchemy import Connection

from assess.delivery.store import tables_badges as tables
from assess.delivery.store.reading import _all, _one
from assess.delivery.store.rows_badges import ClaimRow, Credential, Share


def claim(connection: Connection, tenant: str, id: str) -> ClaimRow | None:
    """A claim by its id."""
    c = tables.claims.c
    return _one(connection, ClaimRow, c.tenant == tenant, c.id == id)


def shares(connection: Connection, tenant: str, learners: list[str]) -> list[Share]:
    """The links of a person, the newest first."""
    c = tables.shares.c
    order = (c.created_at.desc(), c.id)
    return _all(connection, Share, c.tenant == tenant, c.learner.in_(learners), order=order)


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


def credentials_in(connection: Connection, tenant: str, list: int) -> list[Credential]:
    """All credentials whose bits lie in one status list."""
    c = tables.credentials.c
    return _all(connection, Credential, c.tenant == tenant, c.list == list, order=(c.place,))
