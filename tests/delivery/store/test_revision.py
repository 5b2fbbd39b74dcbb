"""A start asks for the newest revision without Alembic; the two must name the same one."""

from __future__ import annotations

from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from assess.delivery.store import migrating, revision
from assess.delivery.store.sqlite import SqliteStore


def test_the_newest_revision_is_the_last_migration() -> None:
    assert ScriptDirectory.from_config(migrating.configuration(None)).get_current_head() == revision.NEWEST


def test_only_a_database_with_every_migration_is_newest(tmp_path) -> None:
    with create_engine(f"sqlite:///{tmp_path / 'empty.db'}").connect() as connection:
        assert not revision.is_newest(connection)
    SqliteStore(tmp_path / "a.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as connection:
        assert revision.is_newest(connection)
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0005_jobs'")
        assert not revision.is_newest(connection)
