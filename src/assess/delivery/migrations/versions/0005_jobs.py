"""Jobs and outbox

Revision: 0005_jobs, after 0003_incidents
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0005_jobs"
down_revision = "0003_incidents"
branch_labels = None
depends_on = None

_WAITING = sa.text("dead_at IS NULL")


def _claimable() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("run_at", columns.Instant(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", columns.Instant(), nullable=True),
        sa.Column("lease", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("dead_at", columns.Instant(), nullable=True),
    )


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", columns.JsonText(), nullable=False),
        *_claimable(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sqlite_strict=True,
    )
    op.create_table(
        "outbox",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("sequence", columns.Whole(), autoincrement=False, nullable=False),
        *_claimable(),
        sa.ForeignKeyConstraint(
            ["tenant", "sequence"],
            ["changes.tenant", "changes.sequence"],
            name=op.f("fk_outbox_tenant_sequence"),
        ),
        sa.PrimaryKeyConstraint("tenant", "sequence", name=op.f("pk_outbox")),
        sqlite_strict=True,
    )
    for table in ("jobs", "outbox"):
        op.create_index(
            f"ix_{table}_waiting_run_at",
            table,
            ["run_at"],
            unique=False,
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        )


def downgrade() -> None:
    for table in ("outbox", "jobs"):
        op.drop_index(
            f"ix_{table}_waiting_run_at",
            table_name=table,
            sqlite_where=_WAITING,
            postgresql_where=_WAITING,
        )
        op.drop_table(table)
