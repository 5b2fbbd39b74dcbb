"""When the database fails: no acknowledgement without a row, words that say so, no restart afterwards.

Each fault is real, not a patched function: a full disk, a file that may only be
read, a commit that the database itself refuses after the reply was prepared, a
PostgreSQL that is gone. Each is met by the API and by the pages.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url

from assess.delivery.settings import Settings
from assess.delivery.store import open_store
from assess.errors import StorageUnavailable
from tests.delivery import cluster
from tests.delivery.conftest import open_world
from tests.delivery.world import Clock, World, refused
from tests.delivery.world import settings as world_settings

# --- two ways to answer --------------------------------------------------------------


class ByApi:
    """A learner's client, by JSON."""

    def __init__(self, world: World, learner: str) -> None:
        self.world = world
        begun = world.begin(world.learner(learner))
        self.session: str = begun["session"]
        self.position = 1

    def answer(self) -> bool:
        """Send the answer to the next item; whether it was called stored."""
        body = {"position": self.position, "item": f"x-{self.position:03d}", "revision": 1, "answer": "b"}
        reply = self.world.call("POST", f"/v1/sessions/{self.session}/responses", body)
        if reply.status_code == 200:
            assert reply.json()["receipt"]["position"] == self.position
            self.position += 1
            return True
        refused(reply, 503, "storage_unavailable")
        assert int(reply.headers["retry-after"]) > 0
        assert "receipt" not in reply.json()
        return False

    def hand_in(self) -> bool:
        """Hand in; whether it was said to be done."""
        reply = self.world.call("POST", f"/v1/sessions/{self.session}/submit")
        if reply.status_code == 200:
            return True
        refused(reply, 503, "storage_unavailable")
        return False


class ByPage:
    """A learner without JavaScript: a form, a redirect, a page."""

    def __init__(self, world: World, learner: str) -> None:
        self.world = world
        begun = world.begin(world.learner(learner))
        self.session: str = begun["session"]
        page = world.client.get(f"/s/{self.session}?token={begun['token']}")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        self.token = found[1]
        self.position = 1

    def answer(self) -> bool:
        """Send the form of the next item; whether the page went on."""
        form = {
            "csrf": self.token,
            "position": str(self.position),
            "item": f"x-{self.position:03d}",
            "revision": "1",
            "type": "single_choice",
            "answer": "b",
        }
        return self._posted(f"/s/{self.session}", form, 1)

    def hand_in(self) -> bool:
        """Send the form that hands in."""
        return self._posted(f"/s/{self.session}/submit", {"csrf": self.token}, 0)

    def _posted(self, address: str, form: dict[str, str], step: int) -> bool:
        reply = self.world.client.post(address, data=form, follow_redirects=False)
        if reply.status_code == 303:
            self.position += step
            return True
        assert reply.status_code == 503, reply.text
        assert int(reply.headers["retry-after"]) > 0
        assert "is stored" not in reply.text
        assert "<h1" in reply.text, "a learner gets a page, not a problem document"
        return False


CLIENTS = pytest.mark.parametrize("client", [ByApi, ByPage], ids=["api", "page"])
Client = ByApi | ByPage


def rows(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """What another program reads in the same database."""
    path = settings.sqlite_path
    if path is not None:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return connection.execute(statement).fetchall()
    address = make_url(settings.database_url).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False)) as other:
        return other.execute(statement.encode()).fetchall()


def stored(settings: Settings, client: Client) -> list[int]:
    statement = f"SELECT position FROM responses WHERE session = '{client.session}' ORDER BY position"
    return [position for (position,) in rows(settings, statement)]


def decisions(settings: Settings) -> int:
    return int(rows(settings, "SELECT count(*) FROM decisions")[0][0])


# --- faults of the database itself -------------------------------------------------------


@contextmanager
def on_begin(world: World, statement: str, undo: str) -> Iterator[None]:
    """Run a statement on the writing connection before each write, and another once it is over."""
    store: Any = world.services.store
    writer = store._hand._writer
    engine = writer._engine
    said = [statement]

    def run(connection: Any) -> None:
        if said[0]:
            connection.exec_driver_sql(said[0])

    event.listen(engine, "begin", run)
    try:
        yield
    finally:
        # The store may keep its connection, so the next write undoes it there.
        said[0] = undo


def full_disk(world: World, settings: Settings) -> AbstractContextManager[None]:
    """The file may not grow by a page: SQLite says what it says when the disk is full."""
    return on_begin(world, "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1073741823")


def read_only(world: World, settings: Settings) -> AbstractContextManager[None]:
    """The file, or the server after a failover, may only be read."""
    if settings.sqlite_path is not None:
        return on_begin(world, "PRAGMA query_only = ON", "PRAGMA query_only = OFF")
    return on_begin(world, "SET TRANSACTION READ ONLY", "")


@contextmanager
def failing_commit(world: World, settings: Settings) -> Iterator[None]:
    """All statements are taken, and the commit itself is refused."""
    path = settings.sqlite_path
    if path is not None:
        with closing(sqlite3.connect(path)) as other:
            other.executescript(
                "CREATE TABLE hook (id INTEGER PRIMARY KEY,"
                " ref INTEGER REFERENCES hook (id) DEFERRABLE INITIALLY DEFERRED);"
                "CREATE TRIGGER r AFTER INSERT ON responses BEGIN INSERT INTO hook (ref) VALUES (-1); END;"
                "CREATE TRIGGER d AFTER INSERT ON decisions BEGIN INSERT INTO hook (ref) VALUES (-1); END;"
            )
        yield
        with closing(sqlite3.connect(path)) as other:
            other.executescript("DROP TRIGGER r; DROP TRIGGER d; DROP TABLE hook;")
        return
    address = make_url(settings.database_url).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as other:
        other.execute(
            b"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            b" $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$"
        )
        for table in (b"responses", b"decisions"):
            other.execute(
                b"CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON " + table
                + b" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
            )  # fmt: skip
        yield
        other.execute(b"DROP FUNCTION refuse CASCADE")


Fault = Callable[[World, Settings], AbstractContextManager[None]]


def met(world: World, settings: Settings, client: type[Client], fault: Fault) -> None:
    """Answer into a fault until it is felt; what was called stored is stored, and afterwards all goes on."""
    clients = [client(world, f"lrn_{n}") for n in range(4)]
    assert all(each.answer() for each in clients)
    with fault(world, settings):
        # A full disk takes what fits into pages that are there; the others take nothing.
        felt = next((each for _ in range(11) for each in clients if not each.answer()), None)
        assert felt is not None, "the fault was not felt"
        assert not felt.answer()
        for each in clients:
            assert stored(settings, each) == list(range(1, each.position))
    for each in clients:
        # The same request again, and all others: accepted, once.
        while each.position <= 12:
            assert each.answer()
        assert stored(settings, each) == list(range(1, 13))
        assert each.hand_in()
    assert decisions(settings) == len(clients)


@CLIENTS
@pytest.mark.parametrize("fault", [full_disk, read_only, failing_commit])
def test_no_answer_is_called_stored_that_sqlite_did_not_take(
    world: World, settings: Settings, client: type[Client], fault: Fault
) -> None:
    met(world, settings, client, fault)


@CLIENTS
@pytest.mark.parametrize("fault", [read_only, failing_commit])
def test_no_answer_is_called_stored_that_postgresql_did_not_take(
    pg_url: str, tmp_path: Path, clock: Clock, client: type[Client], fault: Fault
) -> None:
    found = world_settings(tmp_path, database_url=pg_url)
    for world in open_world(found, clock):
        met(world, found, client, fault)


@CLIENTS
def test_a_session_is_not_called_handed_in_whose_decision_was_not_stored(
    both_worlds: World, both_settings: Settings, client: type[Client]
) -> None:
    found = client(both_worlds, "lrn_1")
    assert found.answer()
    with failing_commit(both_worlds, both_settings):
        assert not found.hand_in()
        assert decisions(both_settings) == 0
        assert rows(both_settings, "SELECT DISTINCT state FROM sessions") == [("open",)]
    assert found.hand_in()
    assert found.hand_in(), "a second time changes nothing"
    assert decisions(both_settings) == 1


def test_nothing_of_a_group_is_called_stored_when_the_disk_takes_the_transaction_away(
    world: World, settings: Settings
) -> None:
    """SQLite undoes the whole transaction when the disk is full, and the driver's commit then says nothing.

    Members of the group that had gone through before were once called stored, and were gone.
    """
    import asyncio
    from dataclasses import replace

    from assess.delivery.store import Writes, reading
    from tests.delivery.store.test_stores import learner

    store = world.services.store
    people = [replace(learner(f"p{n}"), locale="x" * 300_000 if n == 3 else None) for n in range(6)]

    async def together() -> list[Any]:
        writes = (store.commit(Writes("default", inserts=(row,))) for row in people)
        return await asyncio.gather(*writes, return_exceptions=True)

    assert world.client.portal is not None
    with full_disk(world, settings):
        outcomes = world.client.portal.call(together)
    told = [not isinstance(outcome, BaseException) for outcome in outcomes]
    kept = [world.ask(reading.learner, "default", row.id) is not None for row in people]
    assert told == kept
    assert not told[3]
    assert isinstance(outcomes[3], StorageUnavailable)
    assert "full" in str(outcomes[3])
    assert sum(told) >= 3, "those who brought little are taken"


# --- a disk that is full -------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """A file system of its own; skips where that is not allowed."""
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a full disk is made with a file system of its own, which takes root")
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system of its own here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(path: Path) -> None:
    """Take all the room there is."""
    handle = os.open(path, os.O_CREAT | os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"):
        _write_for_ever(handle)
    os.close(handle)


def _write_for_ever(handle: int) -> None:
    while True:
        os.write(handle, b"x" * 4096)


@contextmanager
def no_room(world: World, settings: Settings) -> Iterator[None]:
    """The disk of the database is full, until somebody makes room."""
    assert settings.sqlite_path is not None
    filler = settings.sqlite_path.parent / "filler"
    _fill(filler)
    yield
    filler.unlink()


@CLIENTS
def test_a_disk_that_is_really_full_loses_nothing_and_is_no_end(
    seeded: tuple[Path, dict[str, str]], tmp_path: Path, client: type[Client]
) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m", "tmpfs") as disk:
        shutil.copyfile(seeded[0], disk / "assess.db")
        found = world_settings(disk)
        for world in open_world(found, Clock(), seeded[1]):
            met(world, found, client, no_room)


def test_a_backup_onto_a_full_disk_leaves_nothing_behind(
    seeded: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    import assess
    from assess.delivery.backup import back_up
    from tests.delivery.world import NOON

    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=4k", "tmpfs") as disk:
        with (
            assess.connect(world_settings(tmp_path)) as database,
            pytest.raises(StorageUnavailable, match="No space left"),
        ):
            back_up(database, disk / "b.zip", now=NOON)
        assert list(disk.iterdir()) == []


# --- a place that may only be read ------------------------------------------------------------


def test_a_server_does_not_start_on_a_file_that_it_may_only_read(
    seeded: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder = tmp_path / "shelf"
    folder.mkdir()
    shutil.copyfile(seeded[0], folder / "assess.db")
    (folder / "assess.db.lock").touch()
    if os.geteuid() != 0:
        (folder / "assess.db").chmod(0o400)
        with pytest.raises(StorageUnavailable, match=r"assess\.db"):
            open_store(world_settings(folder))
        return
    with mounted(tmp_path / "readonly", "-o", "bind", str(folder)) as readonly:
        remount = ["mount", "-o", "remount,ro,bind", str(readonly)]
        if subprocess.run(remount, capture_output=True).returncode:
            pytest.skip("a file system cannot be made read-only here")
        with pytest.raises(StorageUnavailable, match=r"assess\.db"):
            open_store(world_settings(readonly))


def test_a_folder_in_which_no_file_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="cannot be made"):
        open_store(world_settings(tmp_path / "file"))


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "assess.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageUnavailable, match="cannot be used as a database"):
        open_store(world_settings(tmp_path))


# --- PostgreSQL that is gone ----------------------------------------------------------------


@pytest.fixture(scope="module")
def own() -> Iterator[cluster.Cluster]:
    """A PostgreSQL that these tests may kill."""
    with cluster.running() as found:
        yield found


@CLIENTS
def test_a_server_whose_postgresql_is_gone_says_so_and_goes_on_when_it_is_back(
    own: cluster.Cluster, tmp_path: Path, clock: Clock, client: type[Client]
) -> None:
    url = own.fresh_database(f"gone_{client.__name__.lower()}")
    found = world_settings(tmp_path, database_url=url)
    for world in open_world(found, clock):
        sitter = client(world, "lrn_1")
        assert sitter.answer()
        own.kill()
        for _ in range(3):
            assert not sitter.answer()
        ready = world.client.get("/readyz")
        assert ready.status_code == 503
        own.start()
        assert world.client.get("/readyz").status_code == 200
        assert stored(found, sitter) == [1]
        while sitter.position <= 12:
            assert sitter.answer()
        assert sitter.hand_in()
        assert decisions(found) == 1


def test_a_server_does_not_start_without_its_postgresql(tmp_path: Path) -> None:
    nowhere = f"postgresql+psycopg://nobody@/nowhere?host={tmp_path}"
    with pytest.raises(StorageUnavailable, match="cannot be used"):
        open_store(world_settings(tmp_path, database_url=nowhere))


# --- what the page on operations promises -------------------------------------------------------


def test_every_promise_of_the_page_on_operations_names_a_test_that_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs" / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    there = {
        name
        for path in (root / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(named) > 10
    assert named <= there, named - there
