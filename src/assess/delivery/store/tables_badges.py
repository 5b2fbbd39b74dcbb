"""Tables of what a learner does with a badge: claims it, shares it, takes a credential of it."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Text, UniqueConstraint

from assess.delivery.store.columns import Flag, Instant, JsonText, Whole
from assess.delivery.store.tables import _key, _of, _table

# The token itself is not stored: its signature tells ours, and its id finds the row.
claims = _table(
    "claims",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    Column("badge", Text, nullable=False),
    Column("audience", Text, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("sandbox", Flag, nullable=False),
    Column("redeemed_at", Instant),
    Column("redeemed_by", Text),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
)

shares = _table(
    "shares",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    Column("token_sha256", Text, nullable=False, unique=True),
    # What the learner chose to show.
    Column("badges", JsonText, nullable=False),
    Column("name", Text, nullable=False),
    Column("scores", Flag, nullable=False),
    Column("statement", Flag, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    Index(None, "tenant", "learner"),
)

credentials = _table(
    "credentials",
    _key("tenant"),
    _key("id"),
    Column("learner", Text, nullable=False),
    Column("badge", Text, nullable=False),
    # The hash of what it rests on: the same ground gives the same credential again.
    Column("basis_sha256", Text, nullable=False),
    # suspension or revocation, by what the programme does when the ground is lost.
    Column("purpose", Text, nullable=False),
    # Its bit: which status list, and where in it. Drawn by lot, so that it tells nothing.
    Column("list", Integer, nullable=False),
    Column("place", Integer, nullable=False),
    Column("token", Text, nullable=False),
    Column("issued_at", Instant, nullable=False),
    # The last change of the learner when it was given out: what came later may have taken it back.
    Column("sequence", Whole, nullable=False),
    Column("sandbox", Flag, nullable=False),
    _of("learners", "tenant", "learner", to=("tenant", "id")),
    UniqueConstraint("tenant", "list", "place"),
    UniqueConstraint("tenant", "learner", "badge", "basis_sha256"),
)
