"""Who a learner is: cohorts, assigned courses, sign-in, merges

Revision: 0002_people, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0002_people"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assignments",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("opens_at", columns.Instant(), nullable=True),
        sa.Column("closes_at", columns.Instant(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_assignments_tenant")),
        sa.PrimaryKeyConstraint("tenant", "kind", "target", "course", name=op.f("pk_assignments")),
        sqlite_strict=True,
    )
    op.create_table(
        "cohorts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_cohorts_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_cohorts")),
        sqlite_strict=True,
    )
    op.create_table(
        "cohort_members",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("cohort", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("since", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "cohort"],
            ["cohorts.tenant", "cohorts.id"],
            name=op.f("fk_cohort_members_tenant_cohort"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"],
            ["learners.tenant", "learners.id"],
            name=op.f("fk_cohort_members_tenant_learner"),
        ),
        sa.PrimaryKeyConstraint("tenant", "cohort", "learner", name=op.f("pk_cohort_members")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_cohort_members_tenant_learner"), "cohort_members", ["tenant", "learner"], unique=False
    )
    op.create_table(
        "learner_merges",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("into", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("undone_at", columns.Instant(), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "into"], ["learners.tenant", "learners.id"], name=op.f("fk_learner_merges_tenant_into")
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"],
            ["learners.tenant", "learners.id"],
            name=op.f("fk_learner_merges_tenant_learner"),
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_learner_merges")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_learner_merges_tenant_into"), "learner_merges", ["tenant", "into"], unique=False)
    op.create_index(
        op.f("ix_learner_merges_tenant_learner"), "learner_merges", ["tenant", "learner"], unique=False
    )
    op.create_index(
        "uq_learner_merges_one_standing",
        "learner_merges",
        ["tenant", "learner"],
        unique=True,
        sqlite_where=sa.text("undone_at IS NULL"),
        postgresql_where=sa.text("undone_at IS NULL"),
    )
    op.create_table(
        "sign_in_codes",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("code_sha256", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("cohort", sa.Text(), nullable=True),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", columns.Instant(), nullable=False),
        sa.Column("ended_at", columns.Instant(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"],
            ["learners.tenant", "learners.id"],
            name=op.f("fk_sign_in_codes_tenant_learner"),
        ),
        sa.PrimaryKeyConstraint("tenant", "code_sha256", name=op.f("pk_sign_in_codes")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_sign_in_codes_tenant_learner"), "sign_in_codes", ["tenant", "learner"], unique=False
    )
    op.create_table(
        "sign_ins",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("cohort", sa.Text(), nullable=True),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("expires_at", columns.Instant(), nullable=False),
        sa.Column("ended_at", columns.Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"], ["learners.tenant", "learners.id"], name=op.f("fk_sign_ins_tenant_learner")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_sign_ins")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sign_ins_token_sha256")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_sign_ins_tenant_learner"), "sign_ins", ["tenant", "learner"], unique=False)
    op.add_column(
        "tenants", sa.Column("assigned_only", columns.Flag(), server_default=sa.text("0"), nullable=False)
    )


def downgrade() -> None:
    with op.batch_alter_table("tenants") as batch:
        batch.drop_column("assigned_only")
    op.drop_table("sign_ins")
    op.drop_table("sign_in_codes")
    op.drop_table("learner_merges")
    op.drop_table("cohort_members")
    op.drop_table("assignments")
    op.drop_table("cohorts")
