"""Tables of rescorings."""

from __future__ import annotations

from sqlalchemy import Column, Text, text

from assess.delivery.store.columns import Flag, Instant, JsonText
from assess.delivery.store.tables import _key, _of, _partial, _table

rescores = _table(
    "rescores",
    _key("tenant"),
    _key("id"),
    Column("course", Text, nullable=False),
    # The release by which sessions are scored again, and those under which they were delivered.
    Column("onto", Text, nullable=False),
    Column("sources", JsonText, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("approved_by", Text),
    Column("sandbox", Flag, nullable=False),
    # running, or done: reconciled without a difference.
    Column("state", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    # rescore, or release: decides for the first time what was held.
    Column("kind", Text, nullable=False, server_default=text("'rescore'")),
    _of("tenants", "tenant", to=("id",)),
    _of("releases", "onto", to=("sha256",)),
    # Two at once would supersede each other's outcomes in an order that nobody chose.
    _partial("uq_rescores_one_running", "tenant", "course", where="state = 'running'", unique=True),
)

rescored_sessions = _table(
    "rescored_sessions",
    _key("tenant"),
    _key("rescore"),
    _key("session"),
    Column("learner", Text, nullable=False),
    # The outcome before, and the one that supersedes it; none where the session was excluded.
    Column("old", Text),
    Column("new", Text),
    Column("excluded", Text),
    Column("at", Instant, nullable=False),
    _of("rescores", "tenant", "rescore", to=("tenant", "id")),
    _of("sessions", "tenant", "session", to=("tenant", "id")),
)
