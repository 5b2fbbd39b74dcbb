"""A backup holds every row of one moment, gives the same decisions again, and is refused when damaged."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import threading
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

import assess
from assess.delivery import backup
from assess.delivery.replay import replay_all
from assess.delivery.settings import Settings
from assess.delivery.store import copying, migrating, open_store, reading, tables
from assess.delivery.store.sqlite import writing_engine
from assess.errors import InvalidContent, StorageUnavailable, StoreLocked
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World
from tests.delivery.world import settings as world_settings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def taken(settings: Settings, target: Path) -> backup.Copied:
    with assess.connect(settings) as database:
        return backup.back_up(database, target, now=NOW)


def manifest(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("manifest.json"))
    return found


def hashes(path: Path) -> dict[str, str]:
    return {table["name"]: table["sha256"] for table in manifest(path)["tables"]}


def rows_of(path: Path) -> dict[str, str]:
    """The hash of each table but the one that counts the changes, which goes on ahead after a restore."""
    return {name: sha for name, sha in hashes(path).items() if name != "tenants"}


def sit(world: World) -> None:
    """People passed, failed, walked away, and one came to an event."""
    world.sit(world.learner("lrn_1"))
    world.sit(world.learner("lrn_2"), answer="a")
    world.sit(world.learner("LRN-4"), form="x-adaptive")
    world.begin(world.learner("lrn_3"))
    fact = {"id": "f1", "source": "academy", "t": "attended", "subject": "lrn_1", "event": "é"}
    assert world.call("POST", "/v1/facts", fact | {"at": "2026-11-20"}).status_code == 201


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, seeded: tuple[Path, dict[str, str]]) -> Path:
    """A backup of a world in which things happened; tests copy it before they change it."""
    folder = tmp_path_factory.mktemp("full")
    shutil.copyfile(seeded[0], folder / "assess.db")
    found = world_settings(folder)
    for world in open_world(found, Clock(), seeded[1]):
        sit(world)
    return taken(found, folder / "backup.zip").path


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An empty SQLite database, then an empty PostgreSQL."""
    if request.param == "sqlite":
        return world_settings(tmp_path / "fresh")
    return world_settings(tmp_path, database_url=request.getfixturevalue("pg_url"))


def names(settings: Settings) -> list[str]:
    """The tables of a database; none where there is no file."""
    if settings.sqlite_path is not None and not settings.sqlite_path.exists():
        return []
    engine = create_engine(settings.database_url)
    found = inspect(engine).get_table_names()
    engine.dispose()
    return found


# --- there and back -----------------------------------------------------------------


def test_a_restored_backup_gives_the_same_rows_and_decisions(
    source: Path, empty: Settings, tmp_path: Path
) -> None:
    restored = backup.restore(source, empty)
    assert restored.n_rows["sessions"] == 4
    with assess.connect(empty) as database:
        found = replay_all(database, verify_chain=True)
        assert (found.n_same, found.differences) == (3, ())
    again = taken(empty, tmp_path / "again.zip")
    assert rows_of(again.path) == rows_of(source)


def test_a_restored_server_answers_as_before_and_knows_its_receipts(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    sit(world)
    path = "/v1/learners/lrn_1/badges/ONE"
    begun = world.begin("lrn_2", form="x-adaptive")
    receipt = world.respond(begun["session"], begun["current"], "b").json()["receipt"]
    before = world.call("GET", path).json()
    fresh = world_settings(tmp_path / "fresh")
    backup.restore(taken(settings, tmp_path / "b.zip").path, fresh)
    for restored in open_world(fresh, world.clock, dict(world.keys)):
        assert restored.call("GET", path).json() == before
        answer = restored.call("POST", "/v1/receipts/verify", {"receipt": receipt}, key=None)
        assert answer.json() == {"valid": True}
        view = restored.call("GET", f"/v1/sessions/{begun['session']}").json()
        assert view["current"]["position"] == 2
        restored.sit(restored.learner("lrn_new"))


def test_a_change_after_a_restore_has_a_number_that_no_receiver_has_seen(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    def told(world: World) -> list[int]:
        return [entry["data"]["sequence"] for entry in world.call("GET", "/v1/changes").json()["items"]]

    world.sit(world.learner("lrn_1"))
    copied = taken(settings, tmp_path / "b.zip")
    kept = told(world)
    # Told to receivers, and lost with the machine.
    world.sit(world.learner("lrn_2"))
    lost = told(world)[len(kept) :]
    assert lost
    fresh = world_settings(tmp_path / "fresh")
    backup.restore(copied.path, fresh)
    for restored in open_world(fresh, world.clock, dict(world.keys)):
        assert told(restored) == kept
        restored.sit(restored.learner("lrn_2"))
        assert min(told(restored)[len(kept) :]) > max(lost)
        # Whoever reads on from where the old server was misses nothing.
        after = restored.call("GET", f"/v1/changes?after={max(lost)}").json()["items"]
        assert [entry["data"]["sequence"] for entry in after] == told(restored)[len(kept) :]


def test_a_backup_from_postgresql_fits_sqlite(pg_url: str, tmp_path: Path) -> None:
    found = world_settings(tmp_path, database_url=pg_url)
    for world in open_world(found, Clock()):
        world.sit(world.learner("LRN-4"))
        world.sit(world.learner("lrn_Z"))
        copied = taken(found, tmp_path / "pg.zip")
    fresh = world_settings(tmp_path / "fresh")
    backup.restore(copied.path, fresh)
    with assess.connect(fresh) as database:
        assert replay_all(database, verify_chain=True).n_same == 2
    assert rows_of(taken(fresh, tmp_path / "again.zip").path) == rows_of(copied.path)


def test_every_column_holds_what_a_backup_can_carry() -> None:
    for table in tables.metadata.tables.values():
        for column in table.columns:
            kind = getattr(column.type, "impl", column.type).__class__.__name__
            assert kind in ("Text", "Integer", "BigInteger"), (table.name, column.name, kind)


def test_a_backup_beside_a_busy_server_is_of_one_moment(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    """Rows refer to each other: a copy table by table would tear them apart, and restoring checks that."""
    stop = threading.Event()

    def keep_busy(name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            world.sit(world.learner(f"{name}_{number}"))

    threads = [threading.Thread(target=keep_busy, args=(f"busy_{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(3):
            copied = taken(settings, tmp_path / f"{number}.zip")
            fresh = world_settings(tmp_path / f"fresh{number}")
            backup.restore(copied.path, fresh)
            with assess.connect(fresh) as database:
                assert replay_all(database, verify_chain=True).differences == ()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_backup_of_an_older_version_gets_the_migrations_since(tmp_path: Path) -> None:
    first = "0001"
    old = world_settings(tmp_path / "old")
    path = tmp_path / "old" / "assess.db"
    path.parent.mkdir()
    engine = writing_engine(path)
    with engine.connect() as connection:
        migrating.upgrade(connection, first)
    with engine.begin() as connection:
        connection.execute(text("UPDATE tenants SET title = 'of old'"))
    engine.dispose()
    copied = taken(old, tmp_path / "old.zip")
    assert copied.revision == first
    fresh = world_settings(tmp_path / "fresh")
    backup.restore(copied.path, fresh)
    with assess.connect(fresh) as database:
        assert database.read(migrating.pending) == []
        tenant = database.read(reading.tenant, "default")
    assert tenant is not None
    assert tenant.title == "of old"
    open_store(fresh).close()


# --- the file ----------------------------------------------------------------------


def test_only_its_owner_reads_a_backup(source: Path) -> None:
    assert stat.S_IMODE(source.stat().st_mode) == 0o600


def test_a_folder_gets_a_file_named_by_the_time(world: World, settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    assert taken(settings, folder).path == folder / "assess-20261128T120000Z.zip"
    assert [file.name for file in folder.iterdir()] == ["assess-20261128T120000Z.zip"]


def test_a_backup_is_never_written_over_another(world: World, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"the only copy")
    with pytest.raises(StorageUnavailable, match="there already"):
        taken(settings, tmp_path / "b.zip")
    assert (tmp_path / "b.zip").read_bytes() == b"the only copy"


def test_a_place_that_cannot_be_written_is_named(world: World, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="nowhere"):
        taken(settings, tmp_path / "nowhere" / "b.zip")


# --- refusals ----------------------------------------------------------------------


def _rewritten(source: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(source) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return target


def _altered_answer(entries: dict[str, bytes]) -> None:
    entries["tables/responses.jsonl"] = entries["tables/responses.jsonl"].replace(
        b'"\\"a\\""', b'"\\"b\\""', 1
    )


def _lost_row(entries: dict[str, bytes]) -> None:
    entries["tables/responses.jsonl"] = b"".join(entries["tables/responses.jsonl"].splitlines(True)[1:])


def _lost_table(entries: dict[str, bytes]) -> None:
    del entries["tables/responses.jsonl"]


def _more(entries: dict[str, bytes]) -> None:
    entries["tables/../evil"] = b"[]"


def _no_manifest(entries: dict[str, bytes]) -> None:
    del entries["manifest.json"]


def _manifest(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        entries["manifest.json"] = json.dumps(json.loads(entries["manifest.json"]) | changes).encode()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_altered_answer, "another hash"),
        (_lost_row, "another hash"),
        (_lost_table, "responses.jsonl"),
        (_more, "evil"),
        (_no_manifest, "no manifest"),
        (_manifest(schema="assess.backup/2"), "assess.backup/2"),
        (_manifest(revision="9999_of_tomorrow"), "take that version or a later one"),
        (_manifest(tables=[]), "schema"),
        (_manifest(tables=5), "no manifest"),
    ],
    ids=range(9),
)
def test_a_damaged_backup_is_refused_and_nothing_is_made(
    source: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    fresh = world_settings(tmp_path / "fresh")
    with pytest.raises(InvalidContent, match=message):
        backup.restore(_rewritten(source, tmp_path / "bad.zip", change), fresh)
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize("length", [0, 10, -200])
def test_a_file_that_was_cut_off_or_is_none_is_refused(source: Path, tmp_path: Path, length: int) -> None:
    bad = tmp_path / "bad.zip"
    bad.write_bytes(source.read_bytes()[:length])
    with pytest.raises(InvalidContent, match=r"bad\.zip"):
        backup.restore(bad, world_settings(tmp_path / "fresh"))
    with pytest.raises(InvalidContent, match="cannot be read"):
        backup.restore(tmp_path / "nowhere.zip", world_settings(tmp_path / "fresh"))


def test_a_flipped_bit_is_noticed_wherever_it_is(source: Path, tmp_path: Path) -> None:
    whole = source.read_bytes()
    for place in range(50, len(whole), len(whole) // 12):
        bad = tmp_path / f"bad{place}.zip"
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        fresh = world_settings(tmp_path / f"fresh{place}")
        try:
            backup.restore(bad, fresh)
        except InvalidContent:
            assert names(fresh) == []
        else:
            # A bit that no reader looks at, such as a time in the directory: what was restored is the same.
            assert rows_of(taken(fresh, tmp_path / f"again{place}.zip").path) == rows_of(source)


def test_a_database_that_is_not_empty_stays_as_it_is(source: Path, empty: Settings) -> None:
    open_store(empty).close()
    with pytest.raises(StorageUnavailable, match="not empty"):
        backup.restore(source, empty)
    with assess.connect(empty) as database:
        assert database.read(reading.learner, "default", "lrn_1") is None
        assert database.read(reading.tenant, "default") is not None


def test_a_running_server_keeps_its_database(world: World, source: Path, settings: Settings) -> None:
    with pytest.raises(StoreLocked):
        backup.restore(source, settings)


def test_what_fails_in_the_middle_leaves_nothing(
    source: Path, empty: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = copying.fill

    def fails_at_last(connection: Any, table: Any, *rest: Any) -> None:
        if table.name == "responses":
            raise OSError(28, "No space left on device")
        fill(connection, table, *rest)

    monkeypatch.setattr(copying, "fill", fails_at_last)
    with pytest.raises(StorageUnavailable, match="No space left"):
        backup.restore(source, empty)
    assert names(empty) == []
    monkeypatch.undo()
    backup.restore(source, empty)


def test_rows_that_refer_to_nothing_are_refused(source: Path, tmp_path: Path) -> None:
    """A backup whose hashes were made anew for fewer rows is still no database."""

    def change(entries: dict[str, bytes]) -> None:
        import hashlib

        entries["tables/offers.jsonl"] = b""
        found = json.loads(entries["manifest.json"])
        for table in found["tables"]:
            if table["name"] == "offers":
                table |= {"rows": 0, "sha256": hashlib.sha256(b"").hexdigest()}
        entries["manifest.json"] = json.dumps(found).encode()

    bad = _rewritten(source, tmp_path / "bad.zip", change)
    with pytest.raises(StorageUnavailable, match="refer to nothing"):
        backup.restore(bad, world_settings(tmp_path / "fresh"))
    assert names(world_settings(tmp_path / "fresh")) == []


def test_a_database_of_a_newer_version_is_not_backed_up_by_half(
    seeded: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    found = world_settings(tmp_path)
    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    with closing(sqlite3.connect(tmp_path / "assess.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_of_tomorrow'")
    connection.close()
    with pytest.raises(StorageUnavailable, match="newer version"):
        taken(found, tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()
    assert list(tmp_path.glob("*.unfinished")) == []
