"""Tables of webhooks: who is to be told, and what is still to be told to whom."""

from __future__ import annotations

from sqlalchemy import Column, Integer, Text

from assess.delivery.store.columns import Flag, Instant, JsonText, Whole
from assess.delivery.store.tables import _key, _of, _partial, _table, claimable

webhooks = _table(
    "webhooks",
    _key("tenant"),
    _key("id"),
    Column("url", Text, nullable=False),
    Column("description", Text, nullable=False),
    # The types of events that it wants; null is all of them.
    Column("types", JsonText),
    Column("thin", Flag, nullable=False),
    Column("sandbox", Flag, nullable=False),
    # Needed in the clear to sign.
    Column("secret", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    # The one before still signs for a day, so that no message is lost meanwhile.
    Column("old_secret", Text),
    Column("old_secret_until", Instant),
    Column("disabled_at", Instant),
    Column("disabled_why", Text),
    # Never removed: a commit that is just filling the outbox may still refer to it.
    Column("deleted_at", Instant),
    _of("tenants", "tenant", to=("id",)),
)

_WAITS = "delivered_at IS NULL AND dead_at IS NULL"

outbox = _table(
    "outbox",
    _key("tenant"),
    _key("webhook"),
    # The change that is to be told, written in the same commit.
    Column("sequence", Whole, primary_key=True, nullable=False, autoincrement=False),
    # Whom it is about: what is told of one learner is told in order.
    Column("subject", Text, nullable=False),
    *claimable(),
    Column("delivered_at", Instant),
    # The HTTP status of the last attempt.
    Column("status", Integer),
    _of("changes", "tenant", "sequence", to=("tenant", "sequence")),
    _of("webhooks", "tenant", "webhook", to=("tenant", "id")),
    _partial("ix_outbox_waiting_subject", "tenant", "webhook", "subject", "sequence", where=_WAITS),
    _partial("ix_outbox_waiting_run_at", "tenant", "webhook", "run_at", where=_WAITS),
)
