"""Rows of webhooks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from assess.delivery.store import tables_webhooks as tables
from assess.delivery.store.rows import Stored


@dataclass(frozen=True, slots=True)
class Webhook(Stored):
    """An address that is told of changes; a deleted one has no secret any more."""

    table = tables.webhooks
    tenant: str
    id: str
    url: str
    description: str
    types: list[str] | None
    thin: bool
    sandbox: bool
    secret: str = field(repr=False)
    by: str
    created_at: datetime
    old_secret: str | None = field(default=None, repr=False)
    old_secret_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_why: str | None = None
    deleted_at: datetime | None = None

    def wants(self, type: str, *, sandbox: bool) -> bool:
        """Whether it is to be told of an event."""
        return self.sandbox == sandbox and (self.types is None or type in self.types)
