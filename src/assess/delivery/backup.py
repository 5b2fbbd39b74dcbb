"""Backup and restore: one file that holds every row, may be checked anywhere, and fits either database.

A backup is a zip archive: for each table `tables/<name>.jsonl`, a JSON array
per row in the order of the columns, and `manifest.json` with the columns, the
number of rows and the SHA-256 of each. It is read at one moment beside a
running server. It holds everything, private signing keys and what people
answered included, so nobody but its owner may read the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

import assess
from assess.delivery.analysis import Database
from assess.delivery.receipts import rfc3339
from assess.delivery.settings import Settings
from assess.delivery.store import copying, migrating
from assess.errors import InvalidContent, StorageUnavailable
from assess.progress import Progress, silent

SCHEMA = "assess.backup/1"
# More changes than a tenant sees between a backup and the loss after it.
SKIPPED = 1_000_000
_MANIFEST = "manifest.json"
# What reading a damaged archive comes to; RuntimeError where a bit says that it is encrypted.
_DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup holds.

    Parameters
    ----------
    n_rows : mapping
        Table -> number of its rows.
    """

    path: Path
    made_at: str
    engine: str
    revision: str
    n_rows: dict[str, int]

    def summary(self) -> str:
        """What it holds, in one sentence."""
        shown = ("learners", "sessions", "responses", "decisions", "signing_keys")
        counts = ", ".join(f"{self.n_rows.get(name, 0):,} {name.replace('_', ' ')}" for name in shown)
        return f"{sum(self.n_rows.values()):,} rows in {len(self.n_rows)} tables: {counts}"


# --- backup --------------------------------------------------------------------


def back_up(database: Database, target: Path, *, now: datetime, progress: Progress = silent) -> Copied:
    """Write everything into a new file, and read it back.

    Parameters
    ----------
    target : Path
        A file that is not there yet, or a folder, where the file gets a name by the time.

    Raises
    ------
    StorageUnavailable
        The file is there already or cannot be written, or the database was not made by this version.
    """
    if target.is_dir():
        target = target / f"assess-{now:%Y%m%dT%H%M%SZ}.zip"
    if target.exists():
        raise StorageUnavailable(f"{target} is there already, and a backup is never written over another")
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with _private(unfinished) as file:
            database.read(_write, file, now, progress)
            file.flush()
            os.fsync(file.fileno())
        with zipfile.ZipFile(unfinished) as archive:
            _verify(archive, _manifest(archive), silent)
        unfinished.rename(target)
        _sync_folder(target.parent)
    except OSError as fault:
        raise StorageUnavailable(f"{target} cannot be written ({fault.strerror})") from fault
    finally:
        unfinished.unlink(missing_ok=True)
    return inspect(target)


@contextlib.contextmanager
def _private(path: Path) -> Iterator[Any]:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b") as file:
        yield file


def _sync_folder(folder: Path) -> None:
    """A new name is durable when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(connection: Connection, file: Any, now: datetime, progress: Progress) -> None:
    with copying.one_moment(connection), zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        missing = migrating.pending(connection)
        if missing is None:
            raise StorageUnavailable("the database was made by a newer version of assess; take that one")
        described = []
        n_done = 0
        for table in copying.stored_tables(connection):
            sha, n_rows = hashlib.sha256(), 0
            with archive.open(_entry(table.name), "w", force_zip64=True) as entry:
                for row in copying.rows(connection, table):
                    line = _line(table.name, row)
                    sha.update(line)
                    entry.write(line)
                    n_rows += 1
                    n_done += 1
                    if n_done % 1_000 == 0:
                        progress(n_done, None, table.name)
            described.append(
                {
                    "name": table.name,
                    "columns": [column.name for column in table.columns],
                    "rows": n_rows,
                    "sha256": sha.hexdigest(),
                }
            )
        manifest = {
            "schema": SCHEMA,
            "made_at": rfc3339(now),
            "engine": assess.__version__,
            "revision": migrating.current(connection),
            "from": connection.dialect.name,
            "tables": described,
        }
        archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))


def _entry(table: str) -> str:
    return f"tables/{table}.jsonl"


def _line(table: str, row: copying.Row) -> bytes:
    for value in row:
        if value is not None and type(value) not in (int, str):
            raise StorageUnavailable(f"{table} holds a value of the kind {type(value).__name__}")
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


# --- reading one -----------------------------------------------------------------


def inspect(source: Path) -> Copied:
    """What a backup says that it holds; `restore` checks it.

    Raises
    ------
    InvalidContent
        The file is no backup.
    """
    with _opened(source) as archive:
        manifest = _manifest(archive)
    return Copied(
        path=source,
        made_at=manifest["made_at"],
        engine=manifest["engine"],
        revision=manifest["revision"],
        n_rows={table["name"]: table["rows"] for table in manifest["tables"]},
    )


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except (zipfile.BadZipFile, UnicodeDecodeError) as fault:
        raise InvalidContent(f"this is no backup, or it is damaged ({fault})", place=str(source)) from fault
    except OSError as fault:
        raise InvalidContent(f"it cannot be read ({fault.strerror})", place=str(source)) from fault


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    place = str(archive.filename)
    try:
        found: dict[str, Any] = json.loads(archive.read(_MANIFEST))
        schema = found["schema"]
        names = [
            (table["name"], table["columns"], table["rows"], table["sha256"]) for table in found["tables"]
        ]
        known = (found["made_at"], found["engine"], found["revision"])
    except (KeyError, TypeError, ValueError, *_DAMAGED) as fault:
        raise InvalidContent("it holds no manifest of a backup", place=place) from fault
    if schema != SCHEMA or not names or not all(isinstance(value, str) for value in known):
        raise InvalidContent(f"its schema is {schema!r}, not {SCHEMA!r}", place=place)
    return found


def _verify(archive: zipfile.ZipFile, manifest: dict[str, Any], progress: Progress) -> None:
    """Refuse a backup in which a row is missing, changed or added."""
    entries = {_entry(table["name"]) for table in manifest["tables"]} | {_MANIFEST}
    if set(archive.namelist()) != entries:
        odd = ", ".join(sorted(set(archive.namelist()) ^ entries))
        raise InvalidContent(f"it does not hold what its manifest says: {odd}", place=str(archive.filename))
    for done, table in enumerate(manifest["tables"]):
        progress(done, len(manifest["tables"]), f"checking {table['name']}")
        sha, n_rows = hashlib.sha256(), 0
        try:
            with archive.open(_entry(table["name"])) as entry:
                for line in entry:
                    sha.update(line)
                    n_rows += 1
        except _DAMAGED as fault:
            said = f"{table['name']} is damaged ({fault}); take another backup"
            raise InvalidContent(said, place=str(archive.filename)) from fault
        if (n_rows, sha.hexdigest()) != (table["rows"], table["sha256"]):
            raise InvalidContent(
                f"{table['name']} has {n_rows} rows with another hash than its manifest says "
                f"({table['rows']} rows); take another backup",
                place=str(archive.filename),
            )


# --- restore ---------------------------------------------------------------------


def restore(source: Path, settings: Settings, *, progress: Progress = silent) -> Copied:
    """Put a backup into an empty database, all of it or nothing.

    Numbers of changes go on far ahead. Receivers have seen numbers that were given after the backup, and drop
    what is not newer: what happens from now on must not come to them under those.

    A backup of an older version gets the tables of that version first, and
    then the migrations that this version runs.

    Raises
    ------
    InvalidContent
        The file is no backup, is damaged, or was made by a newer version.
    StorageUnavailable
        The database is not empty, or did not take it.
    StoreLocked
        A server has it.
    """
    with _opened(source) as archive:
        manifest = _manifest(archive)
        if not migrating.known(manifest["revision"]):
            raise InvalidContent(
                f"it was made by assess {manifest['engine']}, with tables that this version "
                f"({assess.__version__}) does not know; take that version or a later one",
                place=str(source),
            )
        _verify(archive, manifest, progress)
        with copying.empty_database(settings, manifest["revision"]) as connection:
            tables = {table.name: table for table in copying.stored_tables(connection)}
            given = {described["name"]: described for described in manifest["tables"]}
            if {name: {column.name for column in table.columns} for name, table in tables.items()} != {
                name: set(described["columns"]) for name, described in given.items()
            }:
                raise InvalidContent("its tables are not those of its version", place=str(source))
            for done, (name, table) in enumerate(tables.items()):
                progress(done, len(tables), name)
                with archive.open(_entry(name)) as entry:
                    copying.fill(connection, table, given[name]["columns"], map(json.loads, entry))
            counter = tables["tenants"].c.change_sequence
            connection.execute(tables["tenants"].update().values({counter: counter + SKIPPED}))
    return inspect(source)
