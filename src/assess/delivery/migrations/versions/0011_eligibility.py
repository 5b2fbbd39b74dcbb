"""Schools and students beside persons, who is private, where they are, and whom a membership is about

Revision: 0011_eligibility, after 0007_rescores
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from assess.delivery.store import columns

revision = "0011_eligibility"
down_revision = "0010_webhooks"
branch_labels = None
depends_on = None

_MEMBERSHIPS = sa.text("person IS NOT NULL")


def upgrade() -> None:
    op.add_column(
        "learners", sa.Column("kind", sa.Text(), nullable=False, server_default=sa.text("'person'"))
    )
    op.add_column(
        "learners", sa.Column("private", columns.Flag(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column("learners", sa.Column("region", sa.Text(), nullable=True))
    op.add_column("facts", sa.Column("person", sa.Text(), nullable=True))
    op.create_index(
        "ix_facts_person",
        "facts",
        ["tenant", "person"],
        sqlite_where=_MEMBERSHIPS,
        postgresql_where=_MEMBERSHIPS,
    )


def downgrade() -> None:
    op.drop_index("ix_facts_person", "facts")
    op.drop_column("facts", "person")
    op.drop_column("learners", "region")
    op.drop_column("learners", "private")
    op.drop_column("learners", "kind")
