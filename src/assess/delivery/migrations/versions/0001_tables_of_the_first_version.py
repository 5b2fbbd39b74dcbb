"""Tables of the first version

Revision: 0001, after None
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "actor", "route", "key", name=op.f("pk_idempotency")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_idempotency_at"), "idempotency", ["at"], unique=False)
    op.create_table(
        "releases",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_releases")),
        sqlite_strict=True,
    )
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("private_key", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("retired_at", columns.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
        sqlite_strict=True,
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("accept_provisional", columns.Flag(), nullable=False),
        sa.Column("demo", columns.Flag(), nullable=False),
        sa.Column("two_person", columns.Flag(), nullable=False),
        sa.Column("change_sequence", columns.Whole(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sqlite_strict=True,
    )
    op.create_table(
        "activations",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("seq", columns.Whole(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=True),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence", columns.JsonText(), nullable=True),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["releases.sha256"], name=op.f("fk_activations_release")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_activations_tenant")),
        sa.PrimaryKeyConstraint("tenant", "seq", name=op.f("pk_activations")),
        sqlite_strict=True,
    )
    op.create_table(
        "api_keys",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_sha256", sa.Text(), nullable=False),
        sa.Column("scopes", columns.JsonText(), nullable=False),
        sa.Column("sources", columns.JsonText(), nullable=True),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("revoked_at", columns.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_api_keys_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_api_keys_secret_sha256")),
        sqlite_strict=True,
    )
    op.create_table(
        "chain_heads",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("programme", sa.Text(), nullable=False),
        sa.Column("seq", columns.Whole(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_chain_heads_tenant")),
        sa.PrimaryKeyConstraint("tenant", "programme", name=op.f("pk_chain_heads")),
        sqlite_strict=True,
    )
    op.create_table(
        "changes",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("sequence", columns.Whole(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=True),
        sa.Column("badge", sa.Text(), nullable=True),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("current", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason_id", sa.Text(), nullable=True),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("data", columns.JsonText(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_changes_tenant")),
        sa.PrimaryKeyConstraint("tenant", "sequence", name=op.f("pk_changes")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_changes_tenant_learner_sequence"), "changes", ["tenant", "learner", "sequence"], unique=False
    )
    op.create_table(
        "learners",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("version", columns.Whole(), nullable=False),
        sa.Column("created_at", columns.Instant(), nullable=False),
        sa.Column("erased_at", columns.Instant(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_learners_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_learners")),
        sqlite_strict=True,
    )
    op.create_table(
        "consents",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"], ["learners.tenant", "learners.id"], name=op.f("fk_consents_tenant_learner")
        ),
        sa.PrimaryKeyConstraint("tenant", "learner", "form", "version", "language", name=op.f("pk_consents")),
        sqlite_strict=True,
    )
    op.create_table(
        "eligibility_states",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("badge", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("since", columns.Instant(), nullable=False),
        sa.Column("sequence", columns.Whole(), nullable=False),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"],
            ["learners.tenant", "learners.id"],
            name=op.f("fk_eligibility_states_tenant_learner"),
        ),
        sa.PrimaryKeyConstraint("tenant", "learner", "badge", name=op.f("pk_eligibility_states")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_eligibility_states_tenant_badge_status_learner"),
        "eligibility_states",
        ["tenant", "badge", "status", "learner"],
        unique=False,
    )
    op.create_table(
        "facts",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("t", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("recorded_at", columns.Instant(), nullable=False),
        sa.Column("void_at", sa.Text(), nullable=True),
        sa.Column("void_recorded_at", columns.Instant(), nullable=True),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("data", columns.JsonText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "subject"], ["learners.tenant", "learners.id"], name=op.f("fk_facts_tenant_subject")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_facts")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_facts_tenant_subject"), "facts", ["tenant", "subject"], unique=False)
    op.create_table(
        "learner_external_ids",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"],
            ["learners.tenant", "learners.id"],
            name=op.f("fk_learner_external_ids_tenant_learner"),
        ),
        sa.PrimaryKeyConstraint("tenant", "issuer", "subject", name=op.f("pk_learner_external_ids")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_learner_external_ids_tenant_learner"),
        "learner_external_ids",
        ["tenant", "learner"],
        unique=False,
    )
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("form_id", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("release", sa.Text(), nullable=False),
        sa.Column("start_record", columns.JsonText(), nullable=False),
        sa.Column("token_sha256", sa.Text(), nullable=False),
        sa.Column("version", columns.Whole(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_at", columns.Instant(), nullable=False),
        sa.Column("closes_at", columns.Instant(), nullable=False),
        sa.Column("ended_at", columns.Instant(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("void_at", columns.Instant(), nullable=True),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.Column("practice", columns.Flag(), nullable=False),
        sa.Column("sandbox", columns.Flag(), nullable=False),
        sa.Column("try_number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["release"], ["releases.sha256"], name=op.f("fk_sessions_release")),
        sa.ForeignKeyConstraint(
            ["tenant", "learner"], ["learners.tenant", "learners.id"], name=op.f("fk_sessions_tenant_learner")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_sessions_token_sha256")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_sessions_open_closes_at",
        "sessions",
        ["closes_at"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        op.f("ix_sessions_tenant_learner_course"), "sessions", ["tenant", "learner", "course"], unique=False
    )
    op.create_index(
        "uq_sessions_one_open",
        "sessions",
        ["tenant", "learner", "form_id"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "decisions",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("learner", sa.Text(), nullable=False),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("provisional", columns.Flag(), nullable=False),
        sa.Column("practice", columns.Flag(), nullable=False),
        sa.Column("passed", columns.Flag(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("record_sha256", sa.Text(), nullable=False),
        sa.Column("report", columns.JsonText(), nullable=False),
        sa.Column("programme", sa.Text(), nullable=False),
        sa.Column("chain_seq", columns.Whole(), nullable=False),
        sa.Column("chain_sha256", sa.Text(), nullable=False),
        sa.Column("decided_at", columns.Instant(), nullable=False),
        sa.Column("superseded_at", columns.Instant(), nullable=True),
        sa.Column("superseded_by", sa.Text(), nullable=True),
        sa.Column("supersedes", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "session"],
            ["sessions.tenant", "sessions.id"],
            name=op.f("fk_decisions_tenant_session"),
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_decisions")),
        sa.UniqueConstraint(
            "tenant", "programme", "chain_seq", name=op.f("uq_decisions_tenant_programme_chain_seq")
        ),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_decisions_tenant_learner_course"), "decisions", ["tenant", "learner", "course"], unique=False
    )
    op.create_index(
        "uq_decisions_one_current",
        "decisions",
        ["tenant", "session"],
        unique=True,
        sqlite_where=sa.text("superseded_at IS NULL"),
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.create_table(
        "offers",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "session"], ["sessions.tenant", "sessions.id"], name=op.f("fk_offers_tenant_session")
        ),
        sa.PrimaryKeyConstraint("tenant", "session", "position", name=op.f("pk_offers")),
        sa.UniqueConstraint("tenant", "session", "item", name=op.f("uq_offers_tenant_session_item")),
        sqlite_strict=True,
    )
    op.create_table(
        "session_events",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("data", columns.JsonText(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "session"],
            ["sessions.tenant", "sessions.id"],
            name=op.f("fk_session_events_tenant_session"),
        ),
        sa.PrimaryKeyConstraint("tenant", "session", "seq", name=op.f("pk_session_events")),
        sqlite_strict=True,
    )
    op.create_table(
        "responses",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("answer", columns.JsonText(), nullable=True),
        sa.Column("category", sa.Integer(), nullable=True),
        sa.Column("at", columns.Instant(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=True),
        sa.Column("answer_sha256", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "session", "position"],
            ["offers.tenant", "offers.session", "offers.position"],
            name=op.f("fk_responses_tenant_session_position"),
        ),
        sa.PrimaryKeyConstraint("tenant", "session", "position", "revision", name=op.f("pk_responses")),
        sqlite_strict=True,
    )

    # Every key, learner and session belongs to a tenant, from the first row on.
    op.bulk_insert(
        sa.table(
            "tenants",
            sa.column("id", sa.Text()),
            sa.column("title", sa.Text()),
            sa.column("accept_provisional", columns.Flag()),
            sa.column("demo", columns.Flag()),
            sa.column("two_person", columns.Flag()),
            sa.column("change_sequence", columns.Whole()),
            sa.column("created_at", columns.Instant()),
        ),
        [
            {
                "id": "default",
                "title": "",
                "accept_provisional": False,
                "demo": False,
                "two_person": False,
                "change_sequence": 0,
                "created_at": datetime.now(UTC),
            }
        ],
    )


def downgrade() -> None:
    op.drop_table("responses")
    op.drop_table("session_events")
    op.drop_table("offers")
    op.drop_index(
        "uq_decisions_one_current",
        table_name="decisions",
        sqlite_where=sa.text("superseded_at IS NULL"),
        postgresql_where=sa.text("superseded_at IS NULL"),
    )
    op.drop_index(op.f("ix_decisions_tenant_learner_course"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(
        "uq_sessions_one_open",
        table_name="sessions",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index(op.f("ix_sessions_tenant_learner_course"), table_name="sessions")
    op.drop_index(
        "ix_sessions_open_closes_at",
        table_name="sessions",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_table("sessions")
    op.drop_index(op.f("ix_learner_external_ids_tenant_learner"), table_name="learner_external_ids")
    op.drop_table("learner_external_ids")
    op.drop_index(op.f("ix_facts_tenant_subject"), table_name="facts")
    op.drop_table("facts")
    op.drop_index(op.f("ix_eligibility_states_tenant_badge_status_learner"), table_name="eligibility_states")
    op.drop_table("eligibility_states")
    op.drop_table("consents")
    op.drop_table("learners")
    op.drop_index(op.f("ix_changes_tenant_learner_sequence"), table_name="changes")
    op.drop_table("changes")
    op.drop_table("chain_heads")
    op.drop_table("api_keys")
    op.drop_table("activations")
    op.drop_table("tenants")
    op.drop_table("signing_keys")
    op.drop_table("releases")
    op.drop_index(op.f("ix_idempotency_at"), table_name="idempotency")
    op.drop_table("idempotency")
