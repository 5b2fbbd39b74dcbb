"""Incidents, heartbeats, accommodations, invigilators' codes, keys that may proctor

Revision: 0003_incidents
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0003_incidents"
down_revision = "0002_people"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_keys", sa.Column("may_proctor", columns.Flag(), nullable=False, server_default=sa.text("0"))
    )
    op.create_table(
        "heartbeats",
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("started_at", columns.Instant(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("stopped_at", columns.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("process", name=op.f("pk_heartbeats")),
        sqlite_strict=True,
    )
    op.create_table(
        "incidents",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("scope", columns.JsonText(), nullable=False),
        sa.Column("from_at", columns.Instant(), nullable=False),
        sa.Column("to_at", columns.Instant(), nullable=False),
        sa.Column("seconds", columns.Whole(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("done_at", columns.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_incidents_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_incidents")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_incidents_not_done",
        "incidents",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "incident_sessions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("incident", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("seconds", columns.Whole(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "incident"],
            ["incidents.tenant", "incidents.id"],
            name=op.f("fk_incident_sessions_tenant_incident"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "session"],
            ["sessions.tenant", "sessions.id"],
            name=op.f("fk_incident_sessions_tenant_session"),
        ),
        sa.PrimaryKeyConstraint("tenant", "incident", "session", name=op.f("pk_incident_sessions")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_incident_sessions_tenant_learner"), "incident_sessions", ["tenant", "learner"], unique=False
    )
    op.create_table(
        "accommodations",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("given", columns.JsonText(), nullable=False),
        sa.Column("until", columns.Instant(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"],
            ["learners.tenant", "learners.id"],
            name=op.f("fk_accommodations_tenant_learner"),
        ),
        sa.PrimaryKeyConstraint("tenant", "learner", "seq", name=op.f("pk_accommodations")),
        sqlite_strict=True,
    )
    op.create_table(
        "invigilator_codes",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("cohort", sa.Text(), nullable=True),
        sa.Column("from_at", columns.Instant(), nullable=False),
        sa.Column("to_at", columns.Instant(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("revoked_at", columns.Instant(), nullable=True),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_invigilator_codes_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_invigilator_codes")),
        sa.UniqueConstraint("tenant", "code_hash", name=op.f("uq_invigilator_codes_tenant_code_hash")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("invigilator_codes")
    op.drop_table("accommodations")
    op.drop_index(op.f("ix_incident_sessions_tenant_learner"), table_name="incident_sessions")
    op.drop_table("incident_sessions")
    op.drop_index(
        "ix_incidents_not_done",
        table_name="incidents",
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.drop_table("incidents")
    op.drop_table("heartbeats")
    op.drop_column("api_keys", "may_proctor")
