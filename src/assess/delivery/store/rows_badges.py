"""Rows of what a learner does with a badge."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from assess.delivery.store import tables_badges as tables
from assess.delivery.store.rows import Stored


@dataclass(frozen=True, slots=True)
class ClaimRow(Stored):
    """A learner who went to the platform to claim a badge, and whether the platform redeemed that."""

    table = tables.claims
    tenant: str
    id: str
    learner: str
    badge: str
    audience: str
    issued_at: datetime
    expires_at: datetime
    sandbox: bool
    redeemed_at: datetime | None = None
    redeemed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Share(Stored):
    """A link under which a learner shows badges, until it is revoked."""

    table = tables.shares
    tenant: str
    id: str
    learner: str
    token_sha256: str = field(repr=False)
    badges: list[str]
    name: str
    scores: bool
    statement: bool
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Credential(Stored):
    """An Open Badges credential as it was given out, and its place in a status list."""

    table = tables.credentials
    tenant: str
    id: str
    learner: str
    badge: str
    basis_sha256: str
    purpose: str
    list: int
    place: int
    token: str = field(repr=False)
    issued_at: datetime
    sequence: int
    sandbox: bool
