"""Fixtures of delivery: a world on SQLite, and stores on both databases."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url
from starlette.testclient import TestClient

from assess.delivery.service import keys
from assess.delivery.settings import Settings
from assess.delivery.store import Store, open_store
from tests.conftest import Databases
from tests.delivery import cluster
from tests.delivery.crashing import Server
from tests.delivery.world import DOCUMENTS, Clock, World, application
from tests.delivery.world import settings as world_settings


def open_world(found: Settings, clock: Clock, known: dict[str, str] | None = None) -> Iterator[World]:
    """A running application with everything live, and a live and a test key with every scope."""
    app = application(found, clock)
    with TestClient(app) as client:
        world = World(app, client, clock, keys.local(found.tenant, "test"))
        if known is None:
            for make in DOCUMENTS:
                world.activate(make())
            world.keys["live"] = world.key()
            world.keys["test"] = world.key(sandbox=True)
        else:
            world.keys |= known
        yield world


Saved = tuple[Path, dict[str, str]]
"""The SQLite file of a world that was closed, and its keys."""


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A seeded SQLite file that tests copy, and its keys."""
    folder = tmp_path_factory.mktemp("seeded")
    (world,) = open_world(world_settings(folder), Clock())
    return folder / "assess.db", dict(world.keys)


def copy_of(saved: Saved, found: Settings, clock: Clock) -> Iterator[World]:
    """A world of its own that begins where a saved one ended."""
    assert found.sqlite_path is not None
    shutil.copyfile(saved[0], found.sqlite_path)
    yield from open_world(found, clock, saved[1])


def saved_after(saved: Saved, folder: Path, prepare: Callable[[World], None]) -> Saved:
    """A saved world in which more happened, for the tests of a module whose beginning takes long."""
    for world in copy_of(saved, world_settings(folder), Clock()):
        prepare(world)
    return folder / "assess.db", saved[1]


@pytest.fixture(scope="session")
def without_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables, which tests copy: to run the migrations takes longer than most tests."""
    folder = tmp_path_factory.mktemp("without-rows")
    open_store(world_settings(folder)).close()
    return folder / "assess.db"


@dataclass(frozen=True)
class Templates:
    """Databases on PostgreSQL that tests copy: one with all tables, one that is seeded, and its keys."""

    without_rows: str
    seeded: str
    keys: dict[str, str]


@pytest.fixture(scope="session")
def templates(
    pg_server: str, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Templates]:
    """Each worker makes its own."""
    folder = tmp_path_factory.mktemp("templates")
    made = Databases(pg_server, f"assess_{worker_id}_template")
    try:
        empty = made.make()
        open_store(world_settings(folder, database_url=made.url(empty))).close()
        full = made.make(empty)
        (world,) = open_world(world_settings(folder, database_url=made.url(full)), Clock())
        yield Templates(empty, full, dict(world.keys))
    finally:
        made.close()


@pytest.fixture
def server(tmp_path: Path, seeded: Saved) -> Iterator[Server]:
    """A server on SQLite that a test may kill."""
    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    found = Server(tmp_path)
    found.start()
    yield found
    found.close()


@pytest.fixture
def own() -> Iterator[cluster.Cluster]:
    """A PostgreSQL that a test may kill."""
    with cluster.running() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return world_settings(tmp_path)


@pytest.fixture
def world(settings: Settings, clock: Clock, seeded: Saved) -> Iterator[World]:
    yield from copy_of(seeded, settings, clock)


@pytest.fixture(params=["sqlite", "postgres"])
def both_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings on SQLite, then on PostgreSQL; the tables are there."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("without_rows"), tmp_path / "assess.db")
        return world_settings(tmp_path)
    databases: Databases = request.getfixturevalue("pg_databases")
    found: Templates = request.getfixturevalue("templates")
    return world_settings(tmp_path, database_url=databases.url(databases.make(found.without_rows)))


@pytest.fixture
def store(both_settings: Settings) -> Iterator[Store]:
    """An empty store, on SQLite, then on PostgreSQL."""
    opened = open_store(both_settings)
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def both_worlds(request: pytest.FixtureRequest, both_settings: Settings, clock: Clock) -> Iterator[World]:
    """A world on SQLite, then on PostgreSQL."""
    if both_settings.sqlite_path is not None:
        yield from copy_of(request.getfixturevalue("seeded"), both_settings, clock)
        return
    found: Templates = request.getfixturevalue("templates")
    name = make_url(both_settings.database_url).database
    request.getfixturevalue("pg_databases").refill(name, found.seeded)
    yield from open_world(both_settings, clock, found.keys)
