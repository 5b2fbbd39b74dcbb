"""The appeal packet: all that a decision rests on in one file, which anybody can check without the server.

A packet holds the decisions of one session with their places in the chain, the
session as it was stored, the releases that were delivered and decided by, the
public keys of receipts, the appeal, and a report in plain words. `check` needs
nothing else: hashes, links, receipts, and every decision computed again.

The server signs the list of files with the key of its statements. Whoever has
its public keys, from `/.well-known/jwks.json` or kept from earlier, knows then
that the packet is the server's and was not altered; and the server cannot deny
later what it gave. That a server lied from the start no signature shows: for
that compare the links that `check` prints with those that were given before.

A packet holds keys and answers. Who may read it is for the one who makes it to
say.
"""

from __future__ import annotations

import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

import assess
from assess.delivery import schemas
from assess.delivery.explaining import REPLAYED, WORDS, rests_on
from assess.delivery.receipts import PURPOSE, public_key, signed_by
from assess.delivery.replay import link_of, recomputed, stored_fault
from assess.delivery.service import appealing
from assess.delivery.service.catalogue import pick
from assess.delivery.service.context import Scope, Services
from assess.delivery.service.receipts import receipt
from assess.delivery.statements import read, unverified
from assess.delivery.store import reading, reading_appeals
from assess.delivery.store.reading import SessionRecords
from assess.delivery.store.rows import DecisionRow
from assess.errors import AppealRefused, AssessError, InvalidContent
from assess.session import Release
from assess.standards.records import GENESIS, sha256

SCHEMA = "assess.appeal-packet/1"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.jws"
KIND = "assess-appeal-packet+jwt"
LARGEST = 64 * 2**20
_BROKEN_STREAM = (zlib.error, lzma.LZMAError)
_THEN = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class _Decision:
    """A decision in a packet: its row, and the link before it."""

    row: DecisionRow
    previous: str


# --- making ------------------------------------------------------------------------


async def build(services: Services, scope: Scope, id: str) -> bytes:
    """`GET /v1/appeals/{id}/packet`: the packet of an appeal about a decision, as a zip file.

    Raises
    ------
    NotFound
    AppealRefused
        The appeal is about a badge, whose facts other sources answer for.
    """
    found = await appealing.get(services, scope, id)
    session = found.session
    if session is None and found.decision is not None:
        new = await services.store.read(reading.decision, scope.tenant, found.decision)
        session = None if new is None else new.session
    if session is None:
        raise AppealRefused(
            f"{id} is about badge {found.about} and changed no decision: there is none to show"
        )
    rows = await services.store.read(reading_appeals.session_decisions, scope.tenant, session)
    records = await services.store.read(reading.session_records, scope.tenant, session)
    assert records is not None
    entries = await services.store.read(reading_appeals.entries, scope.tenant, id)
    shas = {records.session.release, *(json.loads(row.record)["release"] for row in rows)}
    releases = {}
    for sha in sorted(shas):
        stored = await services.store.read(reading.release, sha)
        assert stored is not None
        releases[sha] = stored.document
    keys = await services.store.read(reading.signing_keys, PURPOSE)
    files = {
        "appeal.json": _json(found),
        "grounds.json": _json({str(e.seq): e.data for e in entries if e.what == "decided"}),
        "session.json": _json(_plain(_without_secrets(records))),
        "receipt-keys.json": _json({key.id: key.public_key for key in keys}),
    }
    for row in rows:
        previous = await services.store.read(reading_appeals.link_before, row) or GENESIS
        # The record's own bytes are a file of their own: their hash is the one that every answer names.
        files[f"decisions/{row.chain_seq}-{row.id}.record.json"] = row.record.encode()
        entry = {"previous": previous, "row": {**_plain_row(row), "record": ""}}
        files[f"decisions/{row.chain_seq}-{row.id}.json"] = _json(entry)
    for sha, document in releases.items():
        files[f"releases/{sha}.json"] = document.encode()
    known = {sha: Release.from_document(json.loads(text), sha) for sha, text in releases.items()}
    said = [(row, *recomputed(row, records, known.__getitem__)) for row in rows]
    files["replay.json"] = _json(
        [{"decision": row.id, "found": word, "what": what} for row, word, what in said]
    )
    files["report.md"] = _report(found, records, said, known, services.clock().isoformat()).encode()
    now = services.clock()
    manifest = _json(
        {
            "schema": SCHEMA,
            "appeal": id,
            "engine": assess.__version__,
            "made_at": now.isoformat(),
            "files": {name: sha256(data) for name, data in sorted(files.items())},
        }
    )
    issuer = services.settings.public_url or "assess"
    claims = {"iss": issuer, "iat": int(now.timestamp()), "sub": id, "manifest_sha256": sha256(manifest)}
    signature = services.statements.jws(claims, kind=KIND)
    return _zipped(files | {MANIFEST: manifest, SIGNATURE: signature.encode()})


def _zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            # A fixed time: the same content is the same file.
            archive.writestr(zipfile.ZipInfo(name, _THEN), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(schemas.plain(value), ensure_ascii=False, indent=1, sort_keys=True).encode()


def _plain_row(row: Any) -> dict[str, Any]:
    plain: dict[str, Any] = schemas.plain(row.values())
    return plain


def _plain(records: SessionRecords) -> dict[str, Any]:
    return {
        "session": _plain_row(records.session),
        "offers": [_plain_row(row) for row in records.offers],
        "responses": [_plain_row(row) for row in records.responses],
        "events": [_plain_row(row) for row in records.events],
    }


def _without_secrets(records: SessionRecords) -> SessionRecords:
    """The records without what opens a session, and without notes that were left for others."""
    events = tuple(
        replace(event, data={name: value for name, value in event.data.items() if name != reading.REPLACED})
        for event in records.events
        if event.type != reading_appeals.REPORTED
    )
    return replace(records, session=replace(records.session, token_sha256=""), events=events)


# --- the report --------------------------------------------------------------------


def _report(
    found: schemas.Appeal,
    records: SessionRecords,
    said: list[tuple[DecisionRow, str, str]],
    releases: Mapping[str, Release],
    made_at: str,
) -> str:
    """What happened, in words for somebody who was not there."""
    session = records.session
    course = releases[session.release].course
    ended = "" if session.ended_at is None else session.ended_at.isoformat()
    lines = [
        f"# Appeal {found.id}",
        "",
        f"Made on {made_at}. Check this packet with `assess appeal check`.",
        "",
        f"- Course: {pick(course.title, 'en')} ({session.course}), form {session.form}",
        f"- Learner: {found.learner}, try {session.try_number}",
        f"- Session {session.id}: begun {session.started_at.isoformat()}, ended {ended} ({session.ended_by})",
        f"- Items shown: {len(records.offers)}; answers stored: {len(records.responses)}",
        "",
        "## What the learner says",
        "",
        found.reason or "(erased)",
        "",
        f"Filed on {found.filed_at.isoformat()}; an answer is due by {found.due_at.isoformat()}.",
        "",
        "## What was decided",
        "",
    ]
    for row, word, what in said:
        lines += [f"### {row.id}: {WORDS[row.status]}, on {row.decided_at.isoformat()}", "", *rests_on(row)]
        lines += [f"- Replay: {REPLAYED[word]}{': ' + what if what else ''}.", ""]
    lines += ["## What was done about the appeal", ""]
    for entry in found.entries:
        lines.append(f"- {entry.at.isoformat()}, {entry.what} by {entry.who or entry.by}: {entry.note}")
        lines += [f"  - evidence: {evidence}" for evidence in entry.evidence]
        if entry.approved_by:
            lines.append(f"  - approved by {entry.approved_by}")
    outcome = f"{found.state}: {found.answer}" if found.answer else found.state
    return "\n".join([*lines, "", f"Outcome: {outcome}", ""])


# --- checking ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: a line for each thing that was looked at, and the faults among them."""

    appeal: str
    lines: tuple[str, ...]
    faults: tuple[str, ...]


def check(path: Path, keys: Mapping[str, str] | None = None) -> Checked:
    """Check a packet without any server.

    Parameters
    ----------
    keys : mapping of key id to public key, optional
        Of the server that is said to have made it, as `read_keys` gives them; without them nobody
        knows who made it.

    Raises
    ------
    InvalidContent
        It is no packet.
    """
    files = _unzipped(path)
    manifest = _manifest(files, path)
    faults = [f"{name}: {what}" for name, what in _file_faults(files, manifest["files"])]
    lines = [f"{len(manifest['files'])} files, as the packet lists them"]
    said, unsigned = _signature(files, keys)
    if unsigned:
        faults.append(f"{SIGNATURE}: {unsigned}")
    if faults:
        return Checked(str(manifest["appeal"]), tuple(lines), tuple(faults))
    try:
        told, wrong = _content(files)
    except (AssessError, msgspec.ValidationError, ValueError, KeyError, TypeError, RecursionError) as fault:
        told, wrong = [], [f"what it holds cannot be read: {fault}"]
    return Checked(str(manifest["appeal"]), (*lines, said, *told), tuple(wrong))


def read_keys(path: Path) -> dict[str, str]:
    """Public keys by id from a key set that was saved, as `/.well-known/jwks.json` gives it.

    Raises
    ------
    InvalidContent
        It is no key set, or holds no key of the kind that signs packets.
    """
    try:
        found = json.loads(path.read_bytes())["keys"]
        keys = {str(key["kid"]): str(key["x"]) for key in found if key.get("crv") == "Ed25519"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise InvalidContent(f"it cannot be read as a key set: {fault!r}", place=str(path)) from None
    if not keys:
        raise InvalidContent("it holds no Ed25519 key", place=str(path))
    return keys


def _signature(files: Mapping[str, bytes], keys: Mapping[str, str] | None) -> tuple[str, str]:
    """What is known of who made a packet, and what is wrong with it."""
    if SIGNATURE not in files:
        return "not signed: nothing says who made it", "" if keys is None else "it is missing: nobody signed"
    token = files[SIGNATURE].decode("ascii", "replace")
    try:
        header, claims = unverified(token)
        by, issuer, meant = header["kid"], claims["iss"], claims["manifest_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "", "it cannot be read"
    if meant != sha256(files[MANIFEST]):
        return "", "it signs another list of files: the packet was altered after it was signed"
    if keys is None:
        where = "/.well-known/jwks.json of that server"
        return f"it says that {issuer} signed it under {by}; to know it, save {where} and add --keys", ""
    if by not in keys:
        return "", f"it is signed under {by}, which is not among the keys that were given"
    if read(token, keys, kind=KIND) is None:
        return "", f"the signature under {by} does not verify"
    return f"signed by {issuer} under {by}: verifies with the keys that were given", ""


def _content(files: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
    records = msgspec.convert(json.loads(files["session.json"]), SessionRecords, strict=False)
    releases = {
        Path(name).stem: Release.from_document(json.loads(data), Path(name).stem)
        for name, data in files.items()
        if name.startswith("releases/")
    }
    decisions = list(_decisions(files))
    rows = {decision.row.id: decision.row for decision in decisions}
    grounds = list(json.loads(files["grounds.json"]).values())
    told, wrong = [], []
    for decision in decisions:
        row = decision.row
        fault = stored_fault(row)
        if fault is None and link_of(decision.previous, row.record) != row.chain_sha256:
            fault = "its link in the chain does not follow from the one before it"
        word, what = ("differs", fault) if fault else recomputed(row, records, releases.__getitem__)
        if word == "confirmed":
            fault = _confirmation_fault(row, rows, grounds)
            word, what = ("differs", fault) if fault else (word, what)
        told.append(f"{row.id}, {row.status}: {REPLAYED[word]}; link {row.chain_seq} is {row.chain_sha256}")
        if word == "differs":
            wrong.append(f"{row.id}: {what}")
    keys = {name: public_key(text) for name, text in json.loads(files["receipt-keys.json"]).items()}
    signed = [row for row in records.responses if row.key_id in keys]
    bad = [row for row in signed if not signed_by(keys[row.key_id], receipt(row))]
    told.append(f"{len(signed) - len(bad)} of {len(records.responses)} answers carry a receipt that verifies")
    wrong += [f"the receipt at position {row.position} does not verify" for row in bad]
    return told, wrong


def _confirmation_fault(
    row: DecisionRow, rows: Mapping[str, DecisionRow], grounds: list[dict[str, Any]]
) -> str | None:
    record = json.loads(row.record)
    cited = record["supersedes"]
    old = rows.get(cited["decision"])
    if old is None or old.record_sha256 != cited["record_sha256"]:
        return f"it cites {cited['decision']}, which is not in the packet with that hash"
    digests = {appealing.grounds_digest(entry) for entry in grounds if entry}
    if digests and record["appeal"]["grounds_sha256"] not in digests:
        return "the grounds in the packet are not those that its record names"
    return None


def _decisions(files: Mapping[str, bytes]) -> Iterator[_Decision]:
    for name in sorted(files):
        if not name.startswith("decisions/") or name.endswith(".record.json"):
            continue
        entry = json.loads(files[name])
        record = files[name.removesuffix(".json") + ".record.json"].decode()
        yield _Decision(
            msgspec.convert(entry["row"] | {"record": record}, DecisionRow, strict=False), entry["previous"]
        )


def _unzipped(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise InvalidContent(f"it would unpack to more than {LARGEST:,} bytes", place=str(path))
            names = [entry.filename for entry in entries]
            doubled = next((name for name in names if names.count(name) > 1), None)
            if doubled is not None:
                raise InvalidContent(f"it holds {doubled} twice", place=str(path))
            return {entry.filename: archive.read(entry) for entry in entries}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError, *_BROKEN_STREAM) as fault:
        # A password, and a compression that this Python does not know, are runtime errors there; a name
        # in no known letters is an error of values.
        raise InvalidContent(f"it cannot be read as a packet: {fault}", place=str(path)) from None


def _manifest(files: Mapping[str, bytes], path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(files[MANIFEST])
        listed = manifest["files"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise InvalidContent(f"it holds no {MANIFEST} that lists its files", place=str(path)) from None
    if manifest.get("schema") != SCHEMA or not isinstance(listed, dict):
        raise InvalidContent(f"its schema is {manifest.get('schema')!r}; expected {SCHEMA}", place=str(path))
    found: dict[str, Any] = manifest
    return found


def _file_faults(files: Mapping[str, bytes], listed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, wanted in listed.items():
        if name not in files:
            yield name, "it is listed and missing"
        elif sha256(files[name]) != wanted:
            yield name, "it does not have the hash that the packet lists: it was altered"
    for name in files:
        if name not in listed and name not in (MANIFEST, SIGNATURE):
            yield name, "it is not listed"
