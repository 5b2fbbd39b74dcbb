"""Whether a database has the tables of this version, without Alembic: loading it takes longer than asking."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

NEWEST = "0013_answers"


def bring_up(connection: Connection) -> None:
    """Run the migrations that are missing; on most starts there are none."""
    if not is_newest(connection):
        from assess.delivery.store.migrating import upgrade

        upgrade(connection)


def is_newest(connection: Connection) -> bool:
    """Whether every migration was run."""
    try:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return list(connection.scalars(text("SELECT version_num FROM alembic_version"))) == [NEWEST]
    finally:
        connection.rollback()  # migrations begin their own transaction
