"""A real server with a small bank, and a browser's view of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from assess.delivery.app import create_app
from assess.delivery.service import SCOPES, activations, keys, open_services
from assess.delivery.settings import Settings
from tests.delivery.pages import small_bank
from tests.delivery.serving import free_port

FORMS = ("c-1-fixed", "c-2-fixed", "c-2-adaptive")


class Clock:
    """The server's clock, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class Site:
    """A running server, and a key with every scope over those who sit there; a demonstration is a sandbox."""

    url: str
    clock: Clock
    key: str
    database: Path
    app: FastAPI


def small_documents() -> list[dict[str, Any]]:
    """The small bank, with its programme first."""
    return [small_bank.programme_document(), *map(small_bank.release_document, FORMS)]


async def _seed(settings: Settings, documents: list[dict[str, Any]], *, demo: bool) -> str:
    services = await open_services(settings)
    scope = keys.local(settings.tenant, "test")
    await activations.set_tenant(
        services, scope, title="Demonstration academy", demo=demo, accept_provisional=demo
    )
    for document in documents:
        await activations.activate(services, scope, document=document, reason="for the tests")
    _, secret = await keys.create(services, scope, name="test", scopes=SCOPES, sandbox=demo)
    services.store.close()
    return secret


def serve_form(folder: Path, form: dict[str, Any]) -> Iterator[Site]:
    """A demonstration whose first form has these policies."""
    documents = small_documents()
    documents[1]["form"] |= form
    yield from serve(folder, documents, demo=True)


def serve(folder: Path, documents: list[dict[str, Any]], *, demo: bool) -> Iterator[Site]:
    """A server on a database of its own with these documents live."""
    database = folder / "pages.db"
    settings = Settings(database_url=f"sqlite:///{database}", refresh_seconds=0.0, heartbeat_seconds=0.0)
    # Playwright may keep a loop running in this thread, beside which no other can start.
    key = _in_thread(lambda: asyncio.run(_seed(settings, documents, demo=demo)))
    clock, port = Clock(), free_port()
    app = create_app(settings, clock=clock)
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    try:
        yield Site(f"http://127.0.0.1:{port}", clock, key, database, app)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _in_thread(work: Callable[[], str]) -> str:
    faults: list[BaseException] = []
    found: list[str] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as fault:  # noqa: BLE001 - raised again below, in the test's own thread
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return found[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A demonstration: guests may begin."""
    yield from serve(tmp_path_factory.mktemp("site"), small_documents(), demo=True)


@pytest.fixture(scope="module")
def closed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An organisation that sends its own learners."""
    yield from serve(tmp_path_factory.mktemp("closed"), small_documents(), demo=False)
