"""The whole loop of a badge platform in one process: told, verified, awarded, taken back, claimed.

    python receiver.py --server http://127.0.0.1:8000 --key ask_test_... --badge TWT --port 8100

It makes itself a webhook when it starts for the first time, and then:

* `POST /hook` verifies each message by its signature, drops what it has seen, stores the rest and answers
  at once; a thread then asks, checks and awards, so that the sender never waits for that;
* `GET /claim?token=` redeems the token with which a learner comes, and awards;
* every award is attested to the server, where its state is then `claimed`;
* what is lost is suspended or withdrawn, as the programme says.

Everything lies in one SQLite file. Killed at any moment, it goes on where it was: a message is answered with
200 only after it is stored, and doing the same twice changes nothing.

Needs httpx and standardwebhooks, and `badge_platform.py` beside it for what is checked before an award.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from badge_platform import ON_LOSS, Doubt, ask, check
from standardwebhooks import Webhook, WebhookVerificationError

TABLES = """
CREATE TABLE IF NOT EXISTS webhook (id TEXT, secret TEXT);
CREATE TABLE IF NOT EXISTS seen (message TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS last (learner TEXT PRIMARY KEY, sequence INTEGER);
CREATE TABLE IF NOT EXISTS inbox (n INTEGER PRIMARY KEY, learner TEXT);
CREATE TABLE IF NOT EXISTS award (learner TEXT, badge TEXT, state TEXT, fact TEXT, sequence INTEGER,
                                  PRIMARY KEY (learner, badge));
CREATE TABLE IF NOT EXISTS log (n INTEGER PRIMARY KEY, words TEXT);
"""


class Platform:
    """What this platform knows and does; one lock, one connection."""

    def __init__(self, store: Path, client: httpx.Client, badge: str) -> None:
        self.client, self.badge = client, badge
        self.lock = threading.RLock()
        self.db = sqlite3.connect(store, check_same_thread=False)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + TABLES)

    def listen(self, address: str) -> None:
        """Make the webhook, once; its secret is told only then."""
        found = self.db.execute("SELECT secret FROM webhook").fetchone()
        if found is None:
            made = self.client.post("/v1/webhooks", json={"url": address, "description": "receiver.py"})
            made.raise_for_status()
            with self.lock, self.db:
                self.db.execute(
                    "INSERT INTO webhook VALUES (?, ?)", (made.json()["id"], made.json()["secret"])
                )
            found = (made.json()["secret"],)
        self.verifier = Webhook(found[0])

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        """Store a message unless it was seen, or is older than what was seen; the status to answer."""
        try:
            event = self.verifier.verify(body, headers)
        except WebhookVerificationError:
            return 401
        if event["type"] == "endpoint.test":
            return 200
        data = event["data"]
        learner, sequence = data["subject"]["id"], data["sequence"]
        with self.lock, self.db:
            new = self.db.execute(
                "INSERT INTO seen VALUES (?) ON CONFLICT DO NOTHING", (headers["webhook-id"],)
            ).rowcount
            newer = self.db.execute(
                "INSERT INTO last VALUES (?, ?) ON CONFLICT (learner) DO UPDATE "
                "SET sequence = excluded.sequence WHERE excluded.sequence > last.sequence",
                (learner, sequence),
            ).rowcount
            if new and newer and data["badge"] == self.badge:
                self.db.execute("INSERT INTO inbox (learner) VALUES (?)", (learner,))
        return 200

    def work(self) -> None:
        """Do what is in the inbox, oldest first, for ever; what fails is tried again."""
        while True:
            row = self.db.execute("SELECT n, learner FROM inbox ORDER BY n LIMIT 1").fetchone()
            if row is None:
                time.sleep(0.05)
                continue
            try:
                self.say(f"{row[1]}: {self.decide(row[1])}")
            except httpx.HTTPError as fault:
                self.say(f"{row[1]}: later, {type(fault).__name__}")
                time.sleep(1)
                continue
            with self.lock, self.db:
                self.db.execute("DELETE FROM inbox WHERE n = ?", (row[0],))

    def decide(self, learner: str) -> str:
        """Ask how it stands now; award, suspend or withdraw accordingly. In words."""
        with self.lock:
            state, fact = self.db.execute(
                "SELECT state, fact FROM award WHERE learner = ? AND badge = ?", (learner, self.badge)
            ).fetchone() or ("none", None)
            try:
                reply, etag = ask(self.client, learner, self.badge)
                assert reply is not None
                if reply["status"] == "eligible":
                    if state == "awarded":
                        return "awarded already"
                    check(self.client, reply, learner, self.badge, etag)
                    return self.award(learner, reply)
            except Doubt as doubt:
                return f"no award: {doubt}"
            if state == "none" or reply["award"]["policy_on_loss"] == "keep":
                return f"{reply['status']}: {reply['sentence']}"
            new = ON_LOSS[reply["award"]["policy_on_loss"]]
            if new == "withdrawn" and fact is not None:
                day = datetime.now(UTC).date().isoformat()
                void = {"at": day, "reason": reply["sentence"]}
                self.client.post(f"/v1/facts/{fact}/void", json=void).raise_for_status()
            self.store(learner, new, fact, reply["sequence"])
            return f"{new}: {reply['sentence']}"

    def award(self, learner: str, reply: dict[str, Any]) -> str:
        """Award, and attest it to the server; the id makes a second time the same."""
        fact = f"award:{self.badge}:{learner}:{reply['sequence']}"
        body = {
            "id": fact, "source": "badge-platform", "t": "award", "subject": learner, "badge": self.badge,
            "at": reply["as_of"][:10],
        }  # fmt: skip
        self.client.post("/v1/facts", json=body).raise_for_status()
        self.store(learner, "awarded", fact, reply["sequence"])
        return "awarded"

    def store(self, learner: str, state: str, fact: str | None, sequence: int) -> None:
        with self.db:
            self.db.execute(
                "INSERT OR REPLACE INTO award VALUES (?, ?, ?, ?, ?)",
                (learner, self.badge, state, fact, sequence),
            )

    def claim(self, token: str) -> tuple[int, str]:
        """Redeem the token of a learner who came; once, and only within its ten minutes."""
        found = self.client.post("/v1/claims/redeem", json={"token": token})
        if found.is_error:
            return 403, f"No badge: {found.json()['detail']}"
        learner = found.json()["learner"]
        words = self.decide(learner) if found.json()["badge"] == self.badge else "another badge"
        self.say(f"{learner} came: {words}")
        return 200, f"Your badge: {words}."

    def say(self, words: str) -> None:
        print(words, flush=True)
        with self.lock, self.db:
            self.db.execute("INSERT INTO log (words) VALUES (?)", (words,))


def handler(platform: Platform) -> type[BaseHTTPRequestHandler]:
    """What the web reaches of the platform."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if self.path != "/hook":
                self.reply(404, "")
                return
            body = self.rfile.read(min(int(self.headers.get("content-length", 0)), 1_000_000))
            self.reply(platform.take(body, {name.lower(): value for name, value in self.headers.items()}), "")

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/claim":
                self.reply(*platform.claim(parse_qs(parts.query).get("token", [""])[0]))
            elif parts.path == "/awards":
                rows = platform.db.execute("SELECT learner, state FROM award ORDER BY learner").fetchall()
                self.reply(200, json.dumps(dict(rows)))
            else:
                self.reply(404, "")

        def reply(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """The address of a claim carries its token; nothing of it is logged."""

    return Handler


def main() -> None:
    """Listen until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--key", required=True, help="an API key with read-status, attest and manage")
    parser.add_argument("--badge", default="TWT")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--store", type=Path, default=Path("platform.db"))
    given = parser.parse_args()
    headers = {"Authorization": f"Bearer {given.key}"}
    client = httpx.Client(base_url=given.server, headers=headers, timeout=10)
    platform = Platform(given.store, client, given.badge)
    server = ThreadingHTTPServer(("127.0.0.1", given.port), handler(platform))
    platform.listen(f"http://127.0.0.1:{given.port}/hook")
    threading.Thread(target=platform.work, daemon=True).start()
    print("listening", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
