"""Rescorings and what they did with each session

Revision: 0007_rescores, after 0005_jobs
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0007_rescores"
down_revision = "0005_jobs"
branch_labels = None
depends_on = None

_RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    op.create_table(
        "rescores",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("onto", sa.Text(), nullable=False),
        sa.Column("sources", columns.JsonText(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", columns.Instant(), nullable=False),
        sa.Column("finished_at", columns.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_rescores_tenant")),
        sa.ForeignKeyConstraint(["onto"], ["releases.sha256"], name=op.f("fk_rescores_onto")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_rescores")),
        sqlite_strict=True,
    )
    op.create_index(
        "uq_rescores_one_running",
        "rescores",
        ["tenant", "course"],
        unique=True,
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )
    op.create_table(
        "rescored_sessions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("rescore", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=True),
        sa.Column("excluded", sa.Text(), nullable=True),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "rescore"],
            ["rescores.tenant", "rescores.id"],
            name=op.f("fk_rescored_sessions_tenant_rescore"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "session"],
            ["sessions.tenant", "sessions.id"],
            name=op.f("fk_rescored_sessions_tenant_session"),
        ),
        sa.PrimaryKeyConstraint("tenant", "rescore", "session", name=op.f("pk_rescored_sessions")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("rescored_sessions")
    op.drop_index("uq_rescores_one_running", "rescores")
    op.drop_table("rescores")
