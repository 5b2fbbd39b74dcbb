"""The table of placements: sittings of several parts, each of which is a session of its own."""

from __future__ import annotations

from sqlalchemy import Column, Index, Text

from assess.delivery.store.columns import Flag, Instant, JsonText
from assess.delivery.store.tables import _key, _of, _table

placements = _table(
    "placements",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    Column("programme", Text, nullable=False),
    # Pairs of course and form id in the order in which they are taken, settled at the begin.
    Column("parts", JsonText, nullable=False),
    Column("sandbox", Flag, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("closes_at", Instant, nullable=False),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index("ix_placements_learner", "tenant", "learner"),
)
