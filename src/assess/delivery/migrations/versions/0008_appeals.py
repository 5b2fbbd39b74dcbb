"""Appeals, erasures, and the release of results that were held

Revision: 0008_appeals, after 0007_rescores
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0008_appeals"
down_revision = "0007_rescores"
branch_labels = None
depends_on = None

_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    op.add_column(
        "rescores", sa.Column("kind", sa.Text(), nullable=False, server_default=sa.text("'rescore'"))
    )
    op.create_table(
        "appeals",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("course", sa.Text(), nullable=True),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.Column("filed_by", sa.Text(), nullable=False),
        sa.Column("filed_at", columns.Instant(), nullable=False),
        sa.Column("due_at", columns.Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("closed_at", columns.Instant(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"], ["learners.tenant", "learners.id"], name=op.f("fk_appeals_tenant_learner")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_appeals")),
        sqlite_strict=True,
    )
    op.create_index("ix_appeals_tenant_learner", "appeals", ["tenant", "learner"])
    op.create_index("ix_appeals_tenant_state_due_at", "appeals", ["tenant", "state", "due_at"])
    op.create_index(
        "uq_appeals_one_open",
        "appeals",
        ["tenant", "learner", "kind", "about"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "appeal_entries",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("appeal", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("data", columns.JsonText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "appeal"],
            ["appeals.tenant", "appeals.id"],
            name=op.f("fk_appeal_entries_tenant_appeal"),
        ),
        sa.PrimaryKeyConstraint("tenant", "appeal", "seq", name=op.f("pk_appeal_entries")),
        sqlite_strict=True,
    )
    op.create_table(
        "erasures",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("removed", columns.JsonText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"], ["learners.tenant", "learners.id"], name=op.f("fk_erasures_tenant_learner")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_erasures")),
        sqlite_strict=True,
    )
    op.create_index("ix_erasures_tenant_learner", "erasures", ["tenant", "learner"], unique=True)


def downgrade() -> None:
    op.drop_table("erasures")
    op.drop_table("appeal_entries")
    op.drop_index("uq_appeals_one_open", "appeals")
    op.drop_table("appeals")
    with op.batch_alter_table("rescores") as rescores:
        rescores.drop_column("kind")
