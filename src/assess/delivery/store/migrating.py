"""Bring a database to the tables of this version, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from assess.errors import StorageUnavailable

_SCRIPTS = Path(__file__).resolve().parents[1] / "migrations"


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for an open connection."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing.

    On SQLite a table is changed by making it anew; with foreign keys enforced,
    dropping the old one would silently delete what refers to it. They are
    checked as a whole afterwards instead.
    """
    if connection.dialect.name != "sqlite":
        command.upgrade(configuration(connection), "head")
        return
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        command.upgrade(configuration(connection), "head")
        broken = driver.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise StorageUnavailable(
                f"after the migration {len(broken)} rows refer to nothing, first in {broken[0][0]}"
            )
    finally:
        driver.execute("PRAGMA foreign_keys = ON")
