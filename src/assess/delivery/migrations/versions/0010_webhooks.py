"""Webhooks and their outbox; the end of an eligibility; claims, shared links and credentials

Revision: 0010_webhooks, after 0007_rescores

The outbox of before named changes without an address: what waited in it was
only to be written to the log.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0010_webhooks"
down_revision = "0008_appeals"
branch_labels = None
depends_on = None

_WAITING = sa.text("dead_at IS NULL")
_ENDS = sa.text("ends_at IS NOT NULL")
_WAITS = sa.text("delivered_at IS NULL AND dead_at IS NULL")


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _instant(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, columns.Instant(), nullable=nullable)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, columns.Flag(), nullable=False)


def _claimable() -> tuple[sa.Column[Any], ...]:
    return (
        _instant("run_at"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _instant("leased_until", nullable=True),
        _text("lease", nullable=True),
        _text("error", nullable=True),
        _instant("dead_at", nullable=True),
    )


def _of(table: str, to: str, *names: str, under: tuple[str, ...]) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{'_'.join(names)}")
    return sa.ForeignKeyConstraint([*names], [f"{to}.{column}" for column in under], name=name)


def _of_learner(table: str) -> sa.ForeignKeyConstraint:
    return _of(table, "learners", "tenant", "learner", under=("tenant", "id"))


def upgrade() -> None:
    op.drop_index("ix_outbox_waiting_run_at", "outbox")
    op.drop_table("outbox")
    op.add_column("eligibility_states", _instant("ends_at", nullable=True))
    op.create_index(
        "ix_eligibility_states_ends_at",
        "eligibility_states",
        ["tenant", "ends_at"],
        sqlite_where=_ENDS,
        postgresql_where=_ENDS,
    )
    op.create_table(
        "webhooks",
        _text("tenant"),
        _text("id"),
        _text("url"),
        _text("description"),
        sa.Column("types", columns.JsonText(), nullable=True),
        _flag("thin"),
        _flag("sandbox"),
        _text("secret"),
        _text("by"),
        _instant("created_at"),
        _text("old_secret", nullable=True),
        _instant("old_secret_until", nullable=True),
        _instant("disabled_at", nullable=True),
        _text("disabled_why", nullable=True),
        _instant("deleted_at", nullable=True),
        _of("webhooks", "tenants", "tenant", under=("id",)),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_webhooks")),
        sqlite_strict=True,
    )
    op.create_table(
        "outbox",
        _text("tenant"),
        _text("webhook"),
        sa.Column("sequence", columns.Whole(), autoincrement=False, nullable=False),
        _text("subject"),
        *_claimable(),
        _instant("delivered_at", nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        _of("outbox", "changes", "tenant", "sequence", under=("tenant", "sequence")),
        _of("outbox", "webhooks", "tenant", "webhook", under=("tenant", "id")),
        sa.PrimaryKeyConstraint("tenant", "webhook", "sequence", name=op.f("pk_outbox")),
        sqlite_strict=True,
    )
    for name, last in (("subject", ["subject", "sequence"]), ("run_at", ["run_at"])):
        op.create_index(
            f"ix_outbox_waiting_{name}",
            "outbox",
            ["tenant", "webhook", *last],
            unique=False,
            sqlite_where=_WAITS,
            postgresql_where=_WAITS,
        )
    op.create_table(
        "claims",
        _text("tenant"),
        _text("id"),
        _text("learner"),
        _text("badge"),
        _text("audience"),
        _instant("issued_at"),
        _instant("expires_at"),
        _flag("sandbox"),
        _instant("redeemed_at", nullable=True),
        _text("redeemed_by", nullable=True),
        _of_learner("claims"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_claims")),
        sqlite_strict=True,
    )
    op.create_table(
        "shares",
        _text("tenant"),
        _text("id"),
        _text("learner"),
        _text("token_sha256"),
        sa.Column("badges", columns.JsonText(), nullable=False),
        _text("name"),
        _flag("scores"),
        _flag("statement"),
        _instant("created_at"),
        _instant("revoked_at", nullable=True),
        _of_learner("shares"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_shares")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_shares_token_sha256")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_shares_tenant_learner"), "shares", ["tenant", "learner"])
    op.create_table(
        "credentials",
        _text("tenant"),
        _text("id"),
        _text("learner"),
        _text("badge"),
        _text("basis_sha256"),
        _text("purpose"),
        sa.Column("list", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        _text("token"),
        _instant("issued_at"),
        sa.Column("sequence", columns.Whole(), nullable=False),
        _flag("sandbox"),
        _of_learner("credentials"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("tenant", "list", "place", name=op.f("uq_credentials_tenant_list_place")),
        sa.UniqueConstraint(
            "tenant", "learner", "badge", "basis_sha256",
            name=op.f("uq_credentials_tenant_learner_badge_basis_sha256"),
        ),
        sqlite_strict=True,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_eligibility_states_ends_at", "eligibility_states")
    op.drop_column("eligibility_states", "ends_at")
    op.drop_table("credentials")
    op.drop_index(op.f("ix_shares_tenant_learner"), "shares")
    for table in ("shares", "claims"):
        op.drop_table(table)
    for name in ("run_at", "subject"):
        op.drop_index(f"ix_outbox_waiting_{name}", "outbox")
    for table in ("outbox", "webhooks"):
        op.drop_table(table)
    op.create_table(
        "outbox",
        _text("tenant"),
        sa.Column("sequence", columns.Whole(), autoincrement=False, nullable=False),
        *_claimable(),
        _of("outbox", "changes", "tenant", "sequence", under=("tenant", "sequence")),
        sa.PrimaryKeyConstraint("tenant", "sequence", name=op.f("pk_outbox")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_outbox_waiting_run_at",
        "outbox",
        ["run_at"],
        unique=False,
        sqlite_where=_WAITING,
        postgresql_where=_WAITING,
    )
