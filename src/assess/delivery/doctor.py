"""The doctor: is this installation able to keep its promises? Every finding says what to do.

It only reads, beside a running server, and changes nothing.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import assess
from assess.delivery import jobs, replay
from assess.delivery.analysis import Database
from assess.delivery.service import downtime
from assess.delivery.settings import Settings
from assess.delivery.store import inspecting, migrating, reading, sitting
from assess.delivery.store.rows import Job, Outgoing
from assess.errors import AssessError
from assess.publishing import check
from assess.standards.records import sha256

Verdict = Literal["ok", "warning", "failure"]

_ENOUGH, _LITTLE = 2 * 1024**3, 200 * 1024**2
_LATE = timedelta(minutes=5)
_SLACK = timedelta(seconds=5)
# SQLite before this one can damage a write-ahead log that two connections write at the same moment.
_TWO_WRITERS_SAFE = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    do : str
        What to do about it; empty when nothing is to be done.
    """

    name: str
    verdict: Verdict
    said: str
    do: str = ""


def examine(settings: Settings, banks: Path, *, now: datetime) -> list[Finding]:
    """Look at everything; what cannot be looked at is a failure, and the rest is looked at all the same."""
    found = [
        Finding("assess", "ok", assess.__version__),
        Finding("python", "ok", sys.version.split()[0]),
    ]
    try:
        with assess.connect(settings) as database:
            found += _database(database, settings, now)
    except AssessError as fault:
        do = "start the server, or set ASSESS_DATABASE_URL"
        found.append(Finding("database", "failure", str(fault), do))
    found += _disk(settings)
    return [*found, _banks(banks)]


def _database(database: Database, settings: Settings, now: datetime) -> Iterator[Finding]:
    yield _version(database)
    yield from _settings(database)
    migrations = _migrations(database)
    yield migrations
    if migrations.verdict == "failure":
        return
    yield _clock(database, now)
    yield _heartbeats(database, now)
    yield _damage(database)
    yield _releases(database)
    yield _chains(database)
    if migrations.verdict == "ok":
        yield from _work(database, now)
    yield from _live(database, settings.tenant)


# --- does it keep what it is given? ----------------------------------------------


def _version(database: Database) -> Finding:
    said = database.read(inspecting.version)
    kind, _, number = said.partition(" ")
    if kind == "SQLite" and tuple(map(int, number.split("."))) < _TWO_WRITERS_SAFE:
        said += "; before 3.51.3 two writers can damage the file, and the lock of the server allows one"
    return Finding("database", "ok", said)


def _settings(database: Database) -> Iterator[Finding]:
    wanted = {"journal_mode": ("wal",), "synchronous": ("FULL", "EXTRA")}
    why = {
        "journal_mode": "start the server once; it sets it",
        "synchronous": "this SQLite was built not to wait for the disk; take another",
        "fsync": "set fsync = on; after a power cut the database may be lost",
        "full_page_writes": "set full_page_writes = on; a page that was half written cannot be mended",
        "synchronous_commit": "an answer may be called stored before it is; see who sets it for this role",
    }
    for name, value in database.read(inspecting.settings).items():
        # local: not told to a standby, and still on the disk here, which is what is promised.
        allowed = wanted.get(name, ("on", "local", "remote_write", "remote_apply"))
        good = value in allowed
        yield Finding(name, "ok" if good else "failure", value, "" if good else why[name])


def _migrations(database: Database) -> Finding:
    pending = database.read(migrating.pending)
    if pending is None:
        said = "the tables are of a newer version of assess"
        return Finding("migrations", "failure", said, "install that version")
    if pending:
        said = f"to be run: {', '.join(pending)}"
        return Finding("migrations", "warning", said, "take a backup; the next start of the server runs them")
    return Finding("migrations", "ok", "none is pending")


def _clock(database: Database, now: datetime) -> Finding:
    newest = database.read(inspecting.newest_instant)
    if newest is not None and newest > now + _SLACK:
        said = f"it says {now:%Y-%m-%d %H:%M:%S} UTC; the newest time stored is {newest:%Y-%m-%d %H:%M:%S}"
        do = (
            "set the clock; sessions get too much time, and what comes later is recorded as earlier. If the "
            "clock is right, it was wrong when that was stored: see heartbeats"
        )
        return Finding("clock", "failure", said, do)
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC, not behind anything that is stored")


def _heartbeats(database: Database, now: datetime) -> Finding:
    newest = max((row.at for row in database.read(sitting.heartbeats)), default=None)
    if newest is None or newest <= now + _SLACK:
        return Finding("heartbeats", "ok", "none lies in the future")
    far = newest > now + downtime.FAR
    said = f"a server ran until {newest:%Y-%m-%d %H:%M:%S} UTC, which is still to come"
    said += "; no server will start" if far else "; who starts goes on from there"
    do = "if this clock is right, stop the servers and type: assess heartbeats --forget"
    return Finding("heartbeats", "failure" if far else "warning", said, do)


def _disk(settings: Settings) -> Iterator[Finding]:
    path = settings.sqlite_path
    if path is None:
        yield Finding("disk", "ok", "PostgreSQL's is not to be seen from here", "watch it where it runs")
        return
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free, size = shutil.disk_usage(folder).free, path.stat().st_size if path.exists() else 0
    said = f"{free / 1024**3:,.1f} GiB free at {folder}, the database has {size / 1024**3:,.2f}"
    verdict: Verdict = "failure" if free < _LITTLE else "warning" if free < max(_ENOUGH, size) else "ok"
    yield Finding("disk", verdict, said, "" if verdict == "ok" else "make room, before answers are refused")
    if path.exists():
        modes = inspecting.file_modes(path)
        open_ones = [str(file) for file, mode in modes.items() if mode & 0o077]
        if open_ones:
            said = f"others on this machine may read or write {', '.join(open_ones)}"
            yield Finding("permissions", "warning", said, f"chmod 600 {' '.join(open_ones)}")
        else:
            yield Finding("permissions", "ok", "only their owner reads the files of the database")


# --- is it whole? ------------------------------------------------------------------


def _damage(database: Database) -> Finding:
    broken = database.read(inspecting.damage)
    if broken:
        return Finding("file", "failure", "; ".join(broken), "stop the server and restore a backup")
    return Finding("file", "ok", "whole")


def _releases(database: Database) -> Finding:
    found = database.read(inspecting.releases)
    bad = [
        f"{name} ({digest[:12]})" for digest, name, document in found if sha256(document.encode()) != digest
    ]
    if bad:
        do = "restore a backup; what rests on them cannot be defended"
        return Finding("releases", "failure", f"altered: {', '.join(bad)}", do)
    return Finding("releases", "ok", f"{len(found)}, each with its hash")


def _chains(database: Database) -> Finding:
    n_links, broken = replay.verify_chains(database)
    if broken:
        first = broken[0]
        said = f"{len(broken)} faults in {n_links:,} decisions; {first.decision or 'the end'}: {first.what}"
        return Finding("decisions", "failure", said, "assess replay --verify-chain; compare with a backup")
    return Finding("decisions", "ok", f"{n_links:,}, chained without a gap")


# --- does it go on? ----------------------------------------------------------------


def _work(database: Database, now: datetime) -> Iterator[Finding]:
    repairs = {
        "jobs": "mend the cause; they stay in the table jobs",
        "outbox": "assess webhook deliveries shows them; mend the cause, then assess webhook replay",
    }
    for name, row in (("jobs", Job), ("outbox", Outgoing)):
        backlog = database.read(reading.backlog, row)
        late = jobs.overdue(backlog, now)
        if backlog.n_dead:
            said = f"{backlog.n_dead} given up, the last because of {backlog.last_error}"
            yield Finding(name, "warning", said, repairs[name])
        elif late > _LATE:
            said = f"{backlog.n_waiting} wait, the oldest for {late.total_seconds() / 60:,.0f} minutes"
            yield Finding(name, "warning", said, "start the server, or assess work beside it")
        else:
            yield Finding(name, "ok", f"{backlog.n_waiting} wait")


def _live(database: Database, tenant: str) -> Iterator[Finding]:
    live = database.read(reading.activations, tenant)
    if not live:
        do = "assess activate, or assess demo"
        yield Finding("live", "warning", f"nothing is live for tenant {tenant}", do)
    for activation in live:
        said = f"{activation.name} {activation.release[:12]} since {activation.at:%Y-%m-%d %H:%M}"
        try:
            if activation.kind != "programme":
                database.release(activation.release)
        except AssessError as fault:
            yield Finding(f"live {activation.kind}", "failure", f"{said}: {fault}", "activate another")
        else:
            yield Finding(f"live {activation.kind}", "ok", said)


def _banks(banks: Path) -> Finding:
    try:
        findings = check(banks)
    except AssessError as fault:
        return Finding("banks", "failure", str(fault), "set ASSESS_ITEM_BANKS, or add --banks")
    n_errors = sum(finding.severity == "error" for finding in findings)
    said = f"{n_errors} errors, {len(findings) - n_errors} warnings in {banks}"
    return Finding("banks", "failure" if n_errors else "ok", said, "assess bank check" if n_errors else "")
