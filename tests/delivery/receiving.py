"""A receiver of webhooks as a process of its own, which does what it is told: take, refuse, dawdle, go away.

What it receives is appended to a file, line by line, before it answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.delivery.serving import free_port, plain_client

_RECEIVE = """
import json, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

folder, port = Path(sys.argv[1]), int(sys.argv[2])
lock = threading.Lock()

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        does = json.loads((folder / "does.json").read_text())
        subject = json.loads(body)["data"].get("subject", {}).get("id", "")
        one = does.get(subject, does["*"])
        time.sleep(one.get("seconds", 0))
        with lock, (folder / "received.jsonl").open("a") as file:
            line = {"headers": dict(self.headers), "path": self.path, "body": body, "status": one["status"]}
            file.write(json.dumps(line) + "\\n")
        self.send_response(one["status"])
        for name, value in one.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass

ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Receiver:
    """A receiver process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.process: subprocess.Popen[bytes] | None = None
        self.answer()

    def answer(self, status: int = 200, *, subject: str = "*", **more: Any) -> None:
        """Answer like this from now on; messages about one subject only, if it is named."""
        path = self.folder / "does.json"
        known = json.loads(path.read_text()) if path.exists() else {}
        known[subject] = {"status": status, **more}
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(known))
        beside.replace(path)

    def start(self) -> None:
        command = [sys.executable, "-c", _RECEIVE, str(self.folder), str(self.port)]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 30
        with plain_client(timeout=1) as client:
            while True:
                try:
                    client.get(self.url)
                except httpx2.TransportError:
                    assert time.monotonic() < deadline, "the receiver did not come up"
                    time.sleep(0.05)
                else:
                    return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def received(self) -> list[dict[str, Any]]:
        """Everything that came, in order."""
        path = self.folder / "received.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def taken(self) -> list[dict[str, Any]]:
        """The bodies of what was answered with 200, in order."""
        return [json.loads(line["body"]) for line in self.received() if line["status"] == 200]

    def numbers(self, subject: str | None = None) -> list[int]:
        """The sequence numbers of what was taken, in order."""
        return [
            body["data"]["sequence"]
            for body in self.taken()
            if subject is None or body["data"]["subject"]["id"] == subject
        ]
