"""Bring a database to the tables of this version, by Alembic; `revision` says whether that is needed."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from assess.errors import StorageUnavailable

_SCRIPTS = Path(__file__).resolve().parents[1] / "migrations"


def configuration(connection: Connection | None) -> Config:
    """Alembic's configuration for an open connection."""
    # Without it Alembic prints where standard output went when its module was loaded.
    config = Config(stdout=sys.stdout)
    config.set_main_option("script_location", str(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def known(revision: str) -> bool:
    """Whether this version has a migration of this name."""
    scripts = ScriptDirectory.from_config(configuration(None)).walk_revisions()
    return revision in {script.revision for script in scripts}


def current(connection: Connection) -> str | None:
    """The revision that the tables have; None where there are none of ours."""
    return MigrationContext.configure(connection).get_current_revision()


def pending(connection: Connection) -> list[str] | None:
    """Revisions that the next start will run, oldest first; None if this version does not know the tables."""
    found = current(connection)
    if found is not None and not known(found):
        return None
    scripts = ScriptDirectory.from_config(configuration(None)).iterate_revisions("head", found or "base")
    return [script.revision for script in scripts if script.revision != found][::-1]


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations that are missing, up to a revision.

    On SQLite a table is changed by making it anew; with foreign keys enforced,
    dropping the old one would silently delete what refers to it. They are
    checked as a whole afterwards instead.
    """
    if connection.dialect.name != "sqlite":
        command.upgrade(configuration(connection), revision)
        return
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        command.upgrade(configuration(connection), revision)
        broken = driver.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise StorageUnavailable(
                f"after the migration {len(broken)} rows refer to nothing, first in {broken[0][0]}"
            )
    finally:
        driver.execute("PRAGMA foreign_keys = ON")
