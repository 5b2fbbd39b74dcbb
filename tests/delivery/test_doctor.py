"""The doctor finds what is wrong, says what to do, and changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from assess.delivery.doctor import Finding, examine
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, migrating, open_store
from assess.delivery.store.rows import Job
from assess.delivery.store.sqlite import writing_engine
from tests.delivery.store.test_stores import run
from tests.delivery.world import NOON, World
from tests.delivery.world import settings as world_settings
from tests.publishing.small_bank import write_bank


@pytest.fixture(scope="session")
def banks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("banks")
    write_bank(folder)
    return folder


@pytest.fixture
def closed(settings: Settings, seeded: tuple[Path, dict[str, str]]) -> Settings:
    """Settings of a seeded SQLite file that no server has."""
    assert settings.sqlite_path is not None
    shutil.copyfile(seeded[0], settings.sqlite_path)
    settings.sqlite_path.chmod(0o600)
    return settings


def found(settings: Settings, banks: Path, **ahead: float) -> dict[str, Finding]:
    return {each.name: each for each in examine(settings, banks, now=NOON + timedelta(**ahead))}


def sql(settings: Settings, *statements: str) -> None:
    assert settings.sqlite_path is not None
    with closing(sqlite3.connect(settings.sqlite_path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_sound_installation_has_nothing_to_do(world: World, settings: Settings, banks: Path) -> None:
    """Beside a running server, whose lock it does not need."""
    world.sit(world.learner())
    assert settings.sqlite_path is not None
    settings.sqlite_path.chmod(0o600)
    for beside in settings.sqlite_path.parent.glob("assess.db-*"):
        beside.chmod(0o600)
    looked_at = found(settings, banks, minutes=1)
    assert {each.verdict for each in looked_at.values()} == {"ok"}, looked_at
    assert set(looked_at) == {
        "assess", "python", "database", "journal_mode", "synchronous", "migrations", "clock",
        "heartbeats", "file", "releases", "decisions", "jobs", "outbox", "live programme", "live form",
        "disk", "permissions", "banks",
    }  # fmt: skip
    assert looked_at["decisions"].said == "1, chained without a gap"
    assert looked_at["synchronous"].said == "FULL"


def test_the_doctor_changes_nothing(closed: Settings, banks: Path) -> None:
    assert closed.sqlite_path is not None
    before = closed.sqlite_path.read_bytes()
    examine(closed, banks, now=NOON)
    assert closed.sqlite_path.read_bytes() == before


def _alter_release(settings: Settings) -> None:
    sql(settings, "UPDATE releases SET document = replace(document, 'e', 'E') WHERE name = 'x-fixed'")


def _rollback_journal(settings: Settings) -> None:
    sql(settings, "PRAGMA journal_mode = DELETE")


def _newer(settings: Settings) -> None:
    sql(settings, "UPDATE alembic_version SET version_num = '9999'")


def _open_to_others(settings: Settings) -> None:
    assert settings.sqlite_path is not None
    settings.sqlite_path.chmod(0o640)


def _nothing_live(settings: Settings) -> None:
    sql(settings, "DELETE FROM activations")


@pytest.mark.parametrize(
    ("harm", "name", "verdict", "said"),
    [
        (_alter_release, "releases", "failure", "altered: x-fixed"),
        (_alter_release, "live form", "failure", "x-fixed"),
        (_rollback_journal, "journal_mode", "failure", "delete"),
        (_newer, "migrations", "failure", "newer version"),
        (_open_to_others, "permissions", "warning", "assess.db"),
        (_nothing_live, "live", "warning", "nothing is live"),
    ],
)
def test_a_fault_is_found_with_what_to_do(
    closed: Settings, banks: Path, harm: Callable[[Settings], None], name: str, verdict: str, said: str
) -> None:
    harm(closed)
    forms = [
        each for each in examine(closed, banks, now=NOON) if each.name == name and each.verdict == verdict
    ]
    assert forms
    assert said in forms[0].said
    assert forms[0].do


def test_a_clock_behind_what_is_stored_is_a_failure(closed: Settings, banks: Path) -> None:
    assert found(closed, banks, days=1)["clock"].verdict == "ok"
    sql(closed, f"UPDATE activations SET at = {int((NOON + timedelta(hours=2)).timestamp() * 1e6)}")
    behind = found(closed, banks, hours=1, days=0)["clock"]
    assert behind.verdict == "failure"
    assert "the newest time stored is 2026-11-22 14:00:00" in behind.said


@pytest.mark.parametrize(
    ("ahead", "verdict", "said"),
    [
        (timedelta(seconds=4), "ok", "none lies in the future"),
        (timedelta(hours=2), "warning", "who starts goes on from there"),
        (timedelta(days=2), "failure", "no server will start"),
    ],
)
def test_a_heartbeat_from_the_future_is_found_with_the_command_that_puts_it_right(
    closed: Settings, banks: Path, ahead: timedelta, verdict: str, said: str
) -> None:
    now = NOON + timedelta(minutes=1)
    at = int((now + ahead).timestamp() * 1e6)
    sql(closed, f"INSERT INTO heartbeats (process, started_at, at) VALUES ('prc_x', {at}, {at})")
    seen = {finding.name: finding for finding in examine(closed, banks, now=now)}["heartbeats"]
    assert (seen.verdict, said in seen.said) == (verdict, True)
    assert ("assess heartbeats --forget" in seen.do) == (verdict != "ok")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE decisions SET record = replace(record, 'not_', '') WHERE chain_seq = 1", "altered"),
        ("DELETE FROM decisions WHERE chain_seq = 1", "a decision is missing"),
        ("DELETE FROM decisions WHERE chain_seq = 2", "its head says 2"),
    ],
)
def test_a_decision_that_was_altered_or_taken_away_is_found(
    world: World, settings: Settings, banks: Path, statement: str, what: str
) -> None:
    world.sit(world.learner(), answer="a")
    world.sit(world.learner("lrn_2"))
    sql(settings, statement)
    broken = found(settings, banks)["decisions"]
    assert broken.verdict == "failure"
    assert what in broken.said


def test_a_damaged_file_is_found(closed: Settings, banks: Path) -> None:
    path = closed.sqlite_path
    assert path is not None
    with closing(sqlite3.connect(path)) as connection, connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ix_idempotency_at'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    assert found(closed, banks)["file"].verdict == "failure"


def test_a_file_that_is_no_database_is_one_failure_and_the_rest_is_looked_at(
    settings: Settings, banks: Path
) -> None:
    assert settings.sqlite_path is not None
    assert found(settings, banks)["database"].said.startswith("there is no database at")
    settings.sqlite_path.write_bytes(b"no database" * 1000)
    looked_at = found(settings, banks)
    assert looked_at["database"].verdict == "failure"
    assert looked_at["banks"].verdict == "ok"


def test_migrations_that_wait_are_named(tmp_path: Path, banks: Path) -> None:
    old = world_settings(tmp_path)
    engine = writing_engine(tmp_path / "assess.db")
    with engine.connect() as connection:
        migrating.upgrade(connection, "0001")
    engine.dispose()
    looked_at = found(old, banks)
    assert looked_at["migrations"].verdict == "warning"
    assert "0005_jobs" in looked_at["migrations"].said
    open_store(old).close()
    assert found(old, banks)["migrations"].verdict == "ok"


@pytest.mark.parametrize(
    ("free", "verdict"), [(100 * 2**20, "failure"), (2**30, "warning"), (3 * 2**30, "ok")]
)
def test_a_disk_that_fills_up_is_seen_in_time(
    closed: Settings, banks: Path, free: int, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**40, 0, free))
    assert found(closed, banks)["disk"].verdict == verdict


def test_work_that_nobody_does_and_work_that_was_given_up_are_seen(settings: Settings, banks: Path) -> None:
    store = open_store(settings)
    run(store.commit(Writes("default", inserts=(Job("a", "sweep", {}, NOON),))))
    assert found(settings, banks, minutes=4)["jobs"].verdict == "ok"
    late = found(settings, banks, minutes=6)["jobs"]
    assert (late.verdict, late.said) == ("warning", "1 wait, the oldest for 6 minutes")
    dead = Job("b", "x", {}, NOON, 12, error="OSError: no paper", dead_at=NOON)
    run(store.commit(Writes("default", inserts=(dead,))))
    store.close()
    given_up = found(settings, banks)["jobs"]
    assert (given_up.verdict, given_up.said) == (
        "warning",
        "1 given up, the last because of OSError: no paper",
    )


def test_faulty_banks_are_a_failure(closed: Settings, tmp_path: Path) -> None:
    write_bank(tmp_path / "bad")
    path = next((tmp_path / "bad").rglob("toy-001.v1.yaml"))
    path.write_text(path.read_text().replace("key: a", "key: z"))
    assert found(closed, tmp_path / "bad")["banks"].verdict == "failure"
    assert found(closed, tmp_path / "nowhere")["banks"].verdict == "failure"


def test_postgresql_is_asked_whether_it_keeps_what_it_is_given(
    pg_url: str, tmp_path: Path, banks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = world_settings(tmp_path, database_url=pg_url)
    open_store(settings).close()
    # The database prefers speed; the server asks for durability on each of its connections.
    engine = create_engine(pg_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
        stated = {
            setting: connection.scalar(text(f"SHOW {setting}")) for setting in ("fsync", "full_page_writes")
        }
    engine.dispose()
    looked_at = found(settings, banks)
    assert looked_at["synchronous_commit"].verdict == "ok"
    for setting, value in stated.items():
        assert looked_at[setting].said == value
        assert looked_at[setting].verdict == ("ok" if value == "on" else "failure")
    assert looked_at["database"].said.startswith("PostgreSQL ")
    assert looked_at["migrations"].verdict == "ok"


def test_what_was_found_is_plain_json(closed: Settings, banks: Path) -> None:
    from dataclasses import asdict

    json.dumps([asdict(each) for each in examine(closed, banks, now=NOON)])
