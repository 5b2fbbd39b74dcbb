"""A real server with a small bank, and a browser's view of it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from assess.delivery.app import create_app
from assess.delivery.service import activations, keys, open_services
from assess.delivery.settings import Settings
from tests.delivery.pages import small_bank

FORMS = ("c-1-fixed", "c-2-fixed", "c-2-adaptive")


class Clock:
    """The server's clock, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class Site:
    """A running server."""

    url: str
    clock: Clock


async def _seed(settings: Settings, *, demo: bool, form: dict[str, Any] | None = None) -> None:
    services = await open_services(settings)
    scope = keys.local(settings.tenant, "test")
    await activations.set_tenant(
        services, scope, title="Demonstration academy", demo=demo, accept_provisional=demo
    )
    documents = [small_bank.programme_document(), *map(small_bank.release_document, FORMS)]
    documents[1]["form"] |= form or {}
    for document in documents:
        await activations.activate(services, scope, document=document, reason="for the tests")
    services.store.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def serve_form(folder: Path, form: dict[str, Any]) -> Iterator[Site]:
    """A demonstration whose first form has these policies."""
    yield from _serve(folder, demo=True, form=form)


def _serve(folder: Path, *, demo: bool, form: dict[str, Any] | None = None) -> Iterator[Site]:
    settings = Settings(
        database_url=f"sqlite:///{folder / 'pages.db'}", refresh_seconds=0.0, heartbeat_seconds=0.0
    )
    # Playwright may keep a loop running in this thread, beside which no other can start.
    _in_thread(lambda: asyncio.run(_seed(settings, demo=demo, form=form)))
    clock, port = Clock(), _free_port()
    config = uvicorn.Config(
        create_app(settings, clock=clock), host="127.0.0.1", port=port, log_level="warning", ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    try:
        yield Site(f"http://127.0.0.1:{port}", clock)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _in_thread(work: Callable[[], None]) -> None:
    faults: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001 - raised again below, in the test's own thread
            faults.append(fault)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A demonstration: guests may begin."""
    yield from _serve(tmp_path_factory.mktemp("site"), demo=True)


@pytest.fixture(scope="module")
def closed_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An organisation that sends its own learners."""
    yield from _serve(tmp_path_factory.mktemp("closed"), demo=False)
