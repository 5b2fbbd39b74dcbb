"""What an answer touches lies together, and has room

An idempotency key is found by its route first, which names the session. On PostgreSQL a page of
sessions keeps some room: the next version of a row fits beside it, and no index hears of it.

Revision: 0013_answers, after 0012_placement
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0013_answers"
down_revision = "0012_placement"
branch_labels = None
depends_on = None

_NAME = "pk_idempotency"


def upgrade() -> None:
    _order("tenant", "route", "actor", "key")
    if not _on_sqlite():
        op.execute("ALTER TABLE sessions SET (fillfactor = 70)")


def downgrade() -> None:
    if not _on_sqlite():
        op.execute("ALTER TABLE sessions RESET (fillfactor)")
    _order("tenant", "actor", "route", "key")


def _on_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _order(*key: str) -> None:
    if not _on_sqlite():
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
