"""Placements

Revision: 0012_placement, after 0011_eligibility
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0012_placement"
down_revision = "0011_eligibility"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "placements",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("programme", sa.Text(), nullable=False),
        sa.Column("parts", columns.JsonText(), nullable=False),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("started_at", columns.Instant(), nullable=False),
        sa.Column("closes_at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"],
            ["learners.tenant", "learners.id"],
            name=op.f("fk_placements_tenant_learner"),
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_placements")),
        sqlite_strict=True,
    )
    op.create_index("ix_placements_learner", "placements", ["tenant", "learner"])


def downgrade() -> None:
    op.drop_index("ix_placements_learner", "placements")
    op.drop_table("placements")
