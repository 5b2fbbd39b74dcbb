"""`assess backup`, `restore`, `doctor`, `heartbeats`, `work`: keep an installation, and know how it is."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from assess.cli.console import DEFAULT_BANKS, Banks, CommandError, out, table, wait
from assess.errors import StoreLocked
from assess.progress import bar


def backup(
    target: Annotated[Path, typer.Argument(help="A new file, or a folder, where it is named by the time.")],
) -> None:
    """Write everything that is stored into one checked file, beside a running server."""
    import assess
    from assess.delivery.backup import back_up

    with assess.connect() as database, bar("copying rows") as progress:
        copied = back_up(database, target, now=datetime.now(UTC), progress=progress)
    out.print(f"wrote {copied.path}: {copied.summary()}", markup=False)
    out.print(
        "It holds the private signing keys and what people answered, and only you may read it: "
        "keep it like the database itself."
    )


def restore(
    source: Annotated[Path, typer.Argument(help="A file that `assess backup` wrote.")],
) -> None:
    """Put a backup into an empty database, then compute every decision again; exit code 1 if one differs."""
    import assess
    from assess.delivery import backup
    from assess.delivery.replay import replay_all
    from assess.delivery.settings import Settings
    from assess.delivery.store import reading

    settings = Settings.from_environment()
    with bar("restoring") as progress:
        copied = backup.restore(source, settings, progress=progress)
    out.print(f"restored what {copied.path} held at {copied.made_at}: {copied.summary()}", markup=False)
    differs = False
    with assess.connect(settings) as database, bar("replaying decisions") as progress:
        for tenant in database.read(reading.tenants):
            database.tenant = tenant
            found = replay_all(database, verify_chain=True, progress=progress)
            out.print(f"tenant {tenant}: {found.summary()}", markup=False)
            if found.differences:
                rows = [(d.decision, d.session, d.what) for d in found.differences[:50]]
                table("differences", ["decision", "session", "what differs"], rows)
                differs = True
    if differs:
        raise typer.Exit(1)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For a program.")] = False,
    banks: Banks = DEFAULT_BANKS,
) -> None:
    """Say how this installation is and what to do; exit code 1 when something fails."""
    from assess.delivery.doctor import examine
    from assess.delivery.settings import Settings

    settings = Settings.from_environment()
    findings = examine(settings, banks, now=datetime.now(UTC))
    failed = any(finding.verdict == "failure" for finding in findings)
    if as_json:
        found = {"ok": not failed, "findings": [asdict(finding) for finding in findings]}
        print(json.dumps(found, ensure_ascii=False, indent=1))
    else:
        out.print(f"tenant {settings.tenant} in {settings.database_url.split('@')[-1]}", markup=False)
        rows = [(f.name, f.verdict, f.said, f.do) for f in findings]
        table("", ["", "", "found", "to do"], rows)
    if failed:
        raise typer.Exit(1)


def heartbeats(
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget those that lie in the future; stop the servers first.")
    ] = False,
) -> None:
    """Show when each server last ran; after one whose clock was wrong, forget what it left."""
    import assess
    from assess.cli.running import with_services
    from assess.delivery.service import downtime
    from assess.delivery.settings import Settings
    from assess.delivery.store import sitting

    settings = Settings.from_environment()
    if forget:
        try:
            n = with_services(settings, "", lambda services, _: downtime.forget(services))
        except StoreLocked:
            raise CommandError("a running server has the database; stop it first") from None
        out.print(f"{n} forgotten; a server that starts now goes by the clock of its machine")
        return
    with assess.connect(settings) as database:
        found = database.read(sitting.heartbeats)
    rows = [(row.process, row.started_at, row.at, "" if row.stopped_at is None else "yes") for row in found]
    table("", ["server", "started", "last ran", "stopped"], rows)


def work(
    once: Annotated[bool, typer.Option("--once", help="Do what is due, and end.")] = False,
) -> None:
    """Do jobs and send webhooks, beside servers that share PostgreSQL; a server on SQLite does it itself."""
    from assess.delivery.service import open_services
    from assess.delivery.settings import Settings

    settings = Settings.from_environment()

    async def run() -> int | None:
        from assess.delivery.jobs import worker
        from assess.delivery.sender import Sender

        services = await open_services(settings)
        try:
            found, sender = worker(services), Sender(services)
            if once:
                await found.prepare()
                await sender.prepare()
                return await found.work() + await sender.work()
            if settings.work_seconds <= 0:
                raise CommandError(
                    "ASSESS_WORK_SECONDS is 0, which means never; set it to 1 for this command"
                )
            stop = asyncio.Event()
            for name in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(name, stop.set)
            out.print("assess works")
            await asyncio.gather(found.run(stop), sender.run(stop))
            return None
        finally:
            services.store.close()

    try:
        n_done = wait(run())
    except StoreLocked:
        raise CommandError(
            "a running server has the database and does its work by itself; a worker beside it needs "
            "PostgreSQL (ASSESS_DATABASE_URL)"
        ) from None
    if n_done is not None:
        out.print(f"{n_done} done")
