"""A real server process for tests, and a learner who answers it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

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


def plain_client(**options: Any) -> httpx2.Client:
    """A client for HTTP alone: to load the certificates of the world takes longer than twenty answers."""
    return httpx2.Client(verify=False, **options)


def wait_until_ready(url: str, process: subprocess.Popen[Any]) -> None:
    """Ask until a server says that it is ready."""
    deadline = time.monotonic() + 120
    with plain_client() as client:
        while True:
            try:
                if client.get(f"{url}/readyz", timeout=2).status_code == 200:
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


def answer_current(
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
