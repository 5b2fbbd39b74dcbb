"""Alembic's entrance: migrations run on the connection that the store hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from assess.delivery.store import (  # noqa: F401 - they join the metadata
    columns,
    tables_appeals,
    tables_badges,
    tables_people,
    tables_placements,
    tables_rescores,
    tables_webhooks,
)
from assess.delivery.store.tables import metadata


def _render(kind: str, what: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Name our column types by their own names in a new revision."""
    if kind == "type" and type(what).__module__ == columns.__name__:
        autogen.imports.add("from assess.delivery.store import columns")
        return f"columns.{type(what).__name__}()"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_item=_render,
    compare_type=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
