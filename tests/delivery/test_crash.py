"""A server that is killed in mid-session loses nothing that it acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from assess.delivery.store import open_store, reading
from tests.delivery.world import settings

SERVE = """
import sys, uvicorn
from assess.delivery.app import create_app
from assess.delivery.settings import Settings
settings = Settings(database_url=sys.argv[1], refresh_seconds=0.0)
uvicorn.run(create_app(settings), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", ws="none")
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Ask until a server says that it is ready."""
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx2.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline, "the server did not come up"
        assert process.poll() is None, "the server ended"
        time.sleep(0.1)


class Server:
    """A real server process on a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, "-c", SERVE, settings(folder).database_url, str(self.port)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command)
        wait_until_ready(self.url, self.process)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=30) in (0, -signal.SIGTERM)


@pytest.fixture
def server(tmp_path: Path, seeded: tuple[Path, dict[str, str]]) -> Any:
    shutil.copyfile(seeded[0], tmp_path / "assess.db")
    found = Server(tmp_path)
    found.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        found.kill()


def _answer(
    client: httpx2.Client, session: str, current: dict[str, Any], acknowledged: list[dict[str, Any]]
) -> Any:
    body = {
        "position": current["position"],
        "item": current["item"]["id"],
        "revision": current["revision"],
        "answer": "b",
    }
    reply = client.post(f"/v1/sessions/{session}/responses", json=body)
    assert reply.status_code == 200, reply.text
    acknowledged.append(reply.json()["receipt"])
    return reply.json()["current"]


def test_kill_in_mid_session_loses_nothing_acknowledged(
    server: Server, seeded: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {seeded[1]['live']}"}

    def connect() -> httpx2.Client:
        return httpx2.Client(base_url=server.url, headers=headers, timeout=10)

    sessions: dict[str, dict[str, Any] | None] = {}
    with connect() as client:
        for n in range(6):
            client.put(f"/v1/learners/lrn_{n}", json={})
            begun = client.post("/v1/sessions", json={"learner": f"lrn_{n}", "form": "x-fixed"}).json()
            sessions[begun["session"]] = begun["current"]
    acknowledged: dict[str, list[dict[str, Any]]] = {session: [] for session in sessions}

    def sit(session: str) -> None:
        current = sessions[session]
        # The server is killed under the learner.
        with contextlib.suppress(httpx2.TransportError), connect() as own:
            while current is not None:
                current = _answer(own, session, current, acknowledged[session])
                sessions[session] = current

    threads = [threading.Thread(target=sit, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    while sum(map(len, acknowledged.values())) < 12:
        time.sleep(0.002)
    server.kill()
    for thread in threads:
        thread.join()
    assert any(current is not None for current in sessions.values()), "nobody was in mid-session"

    server.start()
    with connect() as client:
        for session, current in sessions.items():
            receipts = acknowledged[session]
            view = client.get(f"/v1/sessions/{session}").json()
            # One answer more may be stored than was acknowledged; never one less.
            assert view["progress"]["answered"] in (len(receipts), len(receipts) + 1)
            if current is not None and view["progress"]["answered"] == len(receipts):
                assert view["current"]["position"] == current["position"]
                assert view["current"]["item"] == current["item"]
            for receipt in receipts:
                body = {
                    "position": receipt["position"],
                    "item": f"x-{receipt['position']:03d}",
                    "revision": 1,
                    "answer": "b",
                }
                again = client.post(f"/v1/sessions/{session}/responses", json=body)
                assert again.json()["receipt"] == receipt
                assert client.post("/v1/receipts/verify", json={"receipt": receipt}).json() == {"valid": True}
        for session in sessions:
            current = client.get(f"/v1/sessions/{session}").json()["current"]
            while current is not None:
                current = _answer(client, session, current, acknowledged[session])
            client.post(f"/v1/sessions/{session}/submit")
            assert client.get(f"/v1/sessions/{session}/result").json()["score"]["value"] == 12
    server.stop()

    store = open_store(settings(tmp_path))
    chained = asyncio.run(store.read(reading.decisions, "default"))
    store.close()
    assert [row.chain_seq for row in chained] == list(range(1, 7))
