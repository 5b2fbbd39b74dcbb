"""`assess serve`, `keys`, `activate`: run the service and say what is live."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, By, CommandError, Key, Server, account, out, table, wait
from assess.errors import InvalidContent, StoreLocked

if TYPE_CHECKING:
    from assess.delivery.service import Scope, Services
    from assess.delivery.settings import Settings
    from assess.delivery.store import Store
    from assess.publishing import ItemBank

T = TypeVar("T")
Port = Annotated[int, typer.Option(help="The port to listen on.")]
Host = Annotated[str, typer.Option(help="The address to listen on.")]


# --- serve -------------------------------------------------------------------


def serve(
    port: Port = 8000,
    host: Host = "127.0.0.1",
    demo: Annotated[
        bool, typer.Option("--demo", help="With banks, sandbox learners and keys to try it.")
    ] = False,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Serve the API and the pages."""
    from assess.delivery.settings import Settings

    if demo:
        from assess.cli.demo import serve_demo

        serve_demo(port=port, host=host, banks=banks)
        return
    require_free(host, port)
    address = f"http://{host}:{port}"
    run_server(
        Settings.from_environment(),
        host,
        port,
        started=lambda: out.print(f"assess serves at {address}", markup=False),
    )


def require_free(host: str, port: int) -> None:
    """Refuse a port that is taken, with the line to type."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise CommandError(
                f"port {port} is taken; type: PORT={port + 1} make run, or add --port {port + 1}"
            ) from None


def run_server(
    settings: Settings, host: str, port: int, *, started: Callable[[], None] | None = None
) -> None:
    """Serve until a signal comes."""
    from assess.delivery.service.downtime import require_clock
    from assess.delivery.settings import utc_now
    from assess.delivery.store import open_store

    if settings.write_apart is None:
        settings = replace(settings, write_apart=(os.cpu_count() or 1) > 1)
    # A database that another process holds is said here, in one sentence, and not in the log of a start; and
    # a process that writes gets ready while the rest is loaded here.
    with contextlib.closing(open_store(settings)) as store:
        wait(require_clock(store, settings, utc_now()))
        _run(settings, store, host, port, started)


def _run(settings: Settings, store: Store, host: str, port: int, started: Callable[[], None] | None) -> None:
    import uvicorn

    from assess.delivery import logs
    from assess.delivery.app import create_app, settle_memory

    logs.configure()

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                settle_memory()
                if started is not None:
                    started()

    config = uvicorn.Config(
        create_app(settings, store=store),
        host=host,
        port=port,
        log_level="warning",
        log_config=None,
        access_log=False,
        # A learner thinks longer than the usual 5 s, and would answer on a socket that is just being closed.
        timeout_keep_alive=75,
        # What was asked before the signal is answered; who hangs on for longer is cut off.
        timeout_graceful_shutdown=30,
        server_header=False,
    )
    server = Announcing(config)
    server.run()
    if not server.started:
        raise typer.Exit(3)


# --- the service at the command line -----------------------------------------


def with_services(
    settings: Settings, by: str, use: Callable[[Services, Scope], Awaitable[T]], *, sandbox: bool = False
) -> T:
    """Do something with the service in this process, as somebody at this machine."""
    from assess.delivery.service import open_services
    from assess.delivery.service.keys import local

    async def run() -> T:
        services = await open_services(settings)
        try:
            return await use(services, local(settings.tenant, by, sandbox=sandbox))
        finally:
            services.store.close()

    return wait(run())


def call(server: str, key: str, method: str, path: str, body: object = None) -> Any:
    """One request to a running server: its JSON, or the bytes of a file; a problem becomes one sentence."""
    import httpx

    try:
        response = httpx.request(
            method,
            f"{server.rstrip('/')}{path}",
            json=body,
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
        )
    except httpx.HTTPError as fault:
        raise CommandError(f"{server} does not answer ({fault}); is the address right?") from None
    if response.is_error:
        try:
            problem = response.json()
            said = f"{problem['detail']} ({problem['code']})"
        except (ValueError, KeyError, TypeError):
            said = f"status {response.status_code}"
        raise CommandError(f"{server} refused: {said}")
    is_json = response.headers.get("content-type", "").startswith("application/json")
    return response.json() if is_json else response.content


def either(
    here: Callable[[Services, Scope], Awaitable[T]],
    there: Callable[[str], T],
    *,
    server: str,
    key: str,
    by: str,
    sandbox: bool = False,
) -> T:
    """Do it in this process, or through the server that has the database; `there` is given its address."""
    from assess.delivery.settings import Settings

    if not server:
        try:
            return with_services(Settings.from_environment(), by or account(), here, sandbox=sandbox)
        except StoreLocked:
            if not key:
                raise CommandError(
                    "a running server has the database; go through it: "
                    "add --server http://127.0.0.1:8000 --key ask_..."
                ) from None
            server = "http://127.0.0.1:8000"
    if not key:
        raise CommandError("add --key, an API key with the scope manage of that server")
    return there(server)


def through(
    server: str,
    key: str,
    by: str,
    method: str,
    path: str,
    body: object,
    use: Callable[[Services, Scope], Awaitable[Any]],
    *,
    sandbox: bool = False,
) -> Any:
    """The reply of a running server, or of the service in this process where none runs."""
    from assess.delivery import schemas

    async def here(services: Services, who: Scope) -> Any:
        found = await use(services, who)
        return found if isinstance(found, bytes) else schemas.plain(found)

    def there(address: str) -> Any:
        return call(address, key, method, path, body)

    return either(here, there, server=server, key=key, by=by, sandbox=sandbox)


# --- keys --------------------------------------------------------------------

keys_app = typer.Typer(help="API keys: make, end, list.", no_args_is_help=True)


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Who will use it, for example badge-platform.")],
    scope: Annotated[list[str], typer.Option(help="deliver, read-status, attest or manage; repeatable.")],
    sandbox: Annotated[bool, typer.Option("--sandbox", help="A test key: sandbox data only.")] = False,
    source: Annotated[
        list[str] | None,
        typer.Option(help="A source of facts it may speak for, or lms=attended,points; repeatable."),
    ] = None,
    may_proctor: Annotated[
        bool, typer.Option("--may-proctor", help="It may state that a session is proctored.")
    ] = False,
) -> None:
    """Make an API key; its secret is printed once and stored as a hash."""
    from assess.delivery.service import keys

    row, secret = _with_keys(
        lambda services, who: keys.create(
            services,
            who,
            name=name,
            scopes=scope,
            sandbox=sandbox,
            sources=source,
            may_proctor=may_proctor,
        )
    )
    out.print(f"{row.id} {row.name}: {', '.join(row.scopes)}", markup=False)
    out.print(secret, markup=False)


def _with_keys(use: Callable[[Services, Scope], Awaitable[T]]) -> T:
    from assess.delivery.settings import Settings

    try:
        return with_services(Settings.from_environment(), account(), use)
    except StoreLocked:
        # There is no way over HTTP: a key that makes keys would be worth stealing.
        raise CommandError(
            "a running server has the database; stop it, make or end the key, and start it again, "
            "or use PostgreSQL (ASSESS_DATABASE_URL)"
        ) from None


@keys_app.command("revoke")
def revoke_key(key: Annotated[str, typer.Argument(help="The id of the key, key_...")]) -> None:
    """End a key at once."""
    from assess.delivery.service import keys

    _with_keys(lambda services, who: keys.revoke(services, who, key))
    out.print(f"{key} is revoked")


@keys_app.command("list")
def list_keys() -> None:
    """List the keys; reads beside a running server."""
    import assess
    from assess.delivery.store import reading

    with assess.connect() as database:
        rows = database.read(reading.api_keys, database.tenant)
    table(
        f"keys of tenant {database.tenant}",
        ["id", "name", "scopes", "sandbox", "created", "revoked"],
        [
            (r.id, r.name, " ".join(r.scopes), "yes" if r.sandbox else "", r.created_at, r.revoked_at or "")
            for r in rows
        ],
    )


# --- activate ----------------------------------------------------------------


def activate(
    form: Annotated[str, typer.Argument(help="A form such as twt-3-fixed.v2, or a programme.")],
    reason: Annotated[str, typer.Option(help="Why it goes live; stored with it.")],
    by: By = "",
    approved_by: Annotated[str, typer.Option(help="Another person, where the tenant demands two.")] = "",
    exception: Annotated[
        str, typer.Option(help="Why a form goes live that misses its target; another person approves.")
    ] = "",
    banks: Banks = DEFAULT_BANKS,
    server: Server = "",
    key: Key = "",
) -> None:
    """Make a form or a programme live: new sessions pin it, old ones keep theirs.

    Through a server (--server, --key) the key is who activates.
    """
    from assess.delivery.service import activations

    document, bank, reference = _found(banks, form)
    if bank is not None:
        bank.require_offerable(reference)
    asked: dict[str, Any] = {
        "document": document,
        "reason": reason,
        "approved_by": approved_by or None,
        "exception": exception or None,
    }
    if bank is not None and bank.frozen:
        asked["frozen"] = sorted(bank.frozen)
    done = through(
        server,
        key,
        by,
        "POST",
        "/v1/activations",
        asked,
        lambda services, who: activations.activate(services, who, **asked),
    )
    out.print(
        f"{done['name']} is live as {done['release'][:12]}, activation {done['sequence']}", markup=False
    )


def find_document(banks: Path, name: str) -> dict[str, Any]:
    """The document of a form, by reference or by id (then its highest version), or of a programme."""
    return _found(banks, name)[0]


def _found(banks: Path, name: str) -> tuple[dict[str, Any], ItemBank | None, str]:
    """The document, and of a form its bank and reference too."""
    from assess.publishing import (
        bank_folders,
        find_programmes,
        load_bank,
        load_programme,
        programme_document,
        release_document,
    )

    seen: list[str] = []
    for programme_folder in find_programmes(banks):
        programme = load_programme(programme_folder)
        if name == programme.id:
            return programme_document(programme), None, name
        for folder in bank_folders(programme_folder):
            bank = load_bank(folder, programme)
            latest = bank.latest_forms()
            if name in bank.forms or name in latest:
                reference = name if name in bank.forms else latest[name].reference
                return release_document(bank, reference), bank, reference
            seen += bank.forms
    raise InvalidContent(
        f"{name!r} is neither a form nor a programme in {banks}; forms: {', '.join(seen) or 'none'}"
    )
