"""Idempotency keys of one session lie together: their route names the session

Revision: 0013_idempotency_by_route, after 0012_placement
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0013_idempotency_by_route"
down_revision = "0012_placement"
branch_labels = None
depends_on = None

_NAME = "pk_idempotency"


def upgrade() -> None:
    _order("tenant", "route", "actor", "key")


def downgrade() -> None:
    _order("tenant", "actor", "route", "key")


def _order(*key: str) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(_NAME, "idempotency", type_="primary")
        op.create_primary_key(_NAME, "idempotency", [*key])
        return
    op.drop_index("ix_idempotency_at", "idempotency")
    op.rename_table("idempotency", "idempotency_before")
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name=_NAME),
        sqlite_strict=True,
    )
    op.execute("INSERT INTO idempotency SELECT * FROM idempotency_before")
    op.drop_table("idempotency_before")
    op.create_index("ix_idempotency_at", "idempotency", ["at"])
