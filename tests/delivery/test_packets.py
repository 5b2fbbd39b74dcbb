"""Appeal packets: one file, checked without the server, and nothing in it can be changed unseen."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assess.delivery import packets
from assess.delivery.receipts import new_signing_key
from assess.delivery.security import digest
from assess.delivery.statements import StatementSigner
from assess.errors import InvalidContent
from assess.standards.records import sha256
from tests.delivery.conftest import open_world
from tests.delivery.service.test_appealing import decide, filed, look
from tests.delivery.service.test_rescoring import carried_out, corrected, sit
from tests.delivery.world import Clock, World
from tests.delivery.world import settings as world_settings


@pytest.fixture(scope="module")
def packet(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A packet of a session that was decided, rescored, appealed against and confirmed by people."""
    for world in open_world(world_settings(tmp_path_factory.mktemp("packet")), Clock()):
        session = sit(world, "lrn_1", "bbbbbb-" + "aaaaa")
        world.clock.advance(minutes=1)
        carried_out(world, world.activate(corrected()))
        appeal = filed(world, session=session)
        look(world, appeal)
        assert decide(world, appeal).status_code == 200
        found = world.call("GET", f"/v1/appeals/{appeal}/packet")
        assert found.headers["content-type"] == "application/zip"
        again = world.call("GET", f"/v1/appeals/{appeal}/packet").content
        assert found.content == again  # the same content is the same file
        KEYS.append(world.client.get("/.well-known/jwks.json").json())
    return bytes(found.content)


KEYS: list[dict[str, Any]] = []
"""The public keys of the server that made the packet."""


def files_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def checked(tmp_path: Path, files: dict[str, bytes], *, listed: bool = True) -> packets.Checked:
    """The check of these files; with `listed`, the manifest is made to agree with what was changed."""
    manifest = json.loads(files[packets.MANIFEST])
    if listed:
        # Whoever makes another list cannot sign it.
        files = {name: data for name, data in files.items() if name != packets.SIGNATURE}
        names = [name for name in files if name != packets.MANIFEST]
        manifest["files"] = {name: sha256(files[name]) for name in names}
        files = files | {packets.MANIFEST: json.dumps(manifest).encode()}
    path = tmp_path / "packet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packets.check(path)


def test_a_packet_holds_no_token_not_even_one_that_was_replaced(world: World) -> None:
    world.learner()
    tokens = [world.begin()["token"] for _ in range(3)]
    session = world.begin()["session"]
    world.call("POST", f"/v1/sessions/{session}/submit")
    appeal = filed(world, session=session)
    kept = files_of(world.call("GET", f"/v1/appeals/{appeal}/packet").content)["session.json"].decode()
    assert '"opened"' in kept
    assert not [token for token in tokens if digest(token) in kept]


def test_a_packet_holds_without_any_server(packet: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    path.write_bytes(packet)
    found = packets.check(path)
    assert found.faults == ()
    told = "\n".join(found.lines)
    assert told.count("comes out the same, byte by byte") == 2
    assert told.count("made by people, it cites the decision before it") == 1
    assert "12 of 12 answers carry a receipt that verifies" in told


def test_the_report_says_in_words_what_happened(packet: bytes) -> None:
    report = files_of(packet)["report.md"].decode()
    for part in (
        "My answer to item 3 was right", "not passed, on", "passed, on", "People decided it on the appeal",
        "You were right about item 3.", "minutes of the board", "Items right by objective",
    ):  # fmt: skip
        assert part in report, part


def test_a_packet_holds_nothing_that_opens_a_session(packet: bytes) -> None:
    session = json.loads(files_of(packet)["session.json"])["session"]
    assert session["token_sha256"] == ""
    assert all(b"private" not in data for data in files_of(packet).values())


def _session(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        found = json.loads(files["session.json"])
        change(found)
        files["session.json"] = json.dumps(found).encode()

    return apply


def _row_of(files: dict[str, bytes], number: int) -> str:
    """The file of the decision with this number, beside its record."""
    return next(n for n in files if n.startswith(f"decisions/{number}-") and not n.endswith(".record.json"))


def _an_answer(session: dict[str, Any]) -> None:
    session["responses"][8]["answer"] = "b"


def _a_category(session: dict[str, Any]) -> None:
    session["responses"][8]["category"] = 1


def _a_time(session: dict[str, Any]) -> None:
    session["responses"][3]["at"] = "2026-11-22T11:59:59Z"


def _a_record(files: dict[str, bytes]) -> None:
    name = next(name for name in files if name.endswith(".record.json"))
    files[name] = files[name].replace(b"not_passed", b"passed")


def _a_column(files: dict[str, bytes]) -> None:
    name = next(
        name for name in files if name.startswith("decisions/1-") and not name.endswith("record.json")
    )
    files[name] = files[name].replace(b'"status": "not_passed"', b'"status": "passed"')


def _a_report(files: dict[str, bytes]) -> None:
    name = next(
        name for name in files if name.startswith("decisions/1-") and not name.endswith("record.json")
    )
    entry = json.loads(files[name])
    entry["row"]["report"]["score"]["value"] = 12
    files[name] = json.dumps(entry).encode()


def _a_link(files: dict[str, bytes]) -> None:
    name = next(
        name for name in files if name.startswith("decisions/2-") and not name.endswith("record.json")
    )
    entry = json.loads(files[name])
    entry["previous"] = "0" * 64
    files[name] = json.dumps(entry).encode()


def _a_key(files: dict[str, bytes]) -> None:
    name = next(name for name in files if name.startswith("releases/"))
    files[name] = files[name].replace(b'"key":"b"', b'"key":"a"', 1)


def _grounds(files: dict[str, bytes]) -> None:
    files["grounds.json"] = files["grounds.json"].replace(b"minutes of the board", b"a nice letter")


def _a_missing_old_decision(files: dict[str, bytes]) -> None:
    for name in [name for name in files if name.startswith("decisions/2-")]:
        del files[name]


@pytest.mark.parametrize(
    "change",
    [
        _session(_an_answer), _session(_a_category), _session(_a_time), _a_record, _a_column, _a_report,
        _a_link, _a_key, _grounds, _a_missing_old_decision,
    ],
)  # fmt: skip
def test_what_was_altered_is_found_even_where_the_list_of_files_agrees(
    packet: bytes, tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    files = files_of(packet)
    before = dict(files)
    change(files)
    assert files != before
    assert checked(tmp_path, files).faults != ()


def test_a_file_that_was_changed_added_or_lost_is_named(packet: bytes, tmp_path: Path) -> None:
    files = files_of(packet)
    changed = checked(tmp_path, files | {"report.md": b"All was well."}, listed=False)
    assert changed.faults == ("report.md: it does not have the hash that the packet lists: it was altered",)
    added = checked(tmp_path, files | {"more.txt": b""}, listed=False)
    assert added.faults == ("more.txt: it is not listed",)
    less = {name: data for name, data in files.items() if name != "report.md"}
    assert checked(tmp_path, less, listed=False).faults == ("report.md: it is listed and missing",)


def test_what_is_no_packet_is_refused_in_a_sentence(packet: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with pytest.raises(InvalidContent, match="cannot be read as a packet"):
        packets.check(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidContent, match="cannot be read as a packet"):
        packets.check(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(InvalidContent, match="holds no manifest"):
        packets.check(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(packets.MANIFEST, json.dumps({"schema": "other/1", "files": {}}))
    with pytest.raises(InvalidContent, match=r"expected assess\.appeal-packet/1"):
        packets.check(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", "2")
    with pytest.raises(InvalidContent, match="holds a twice"):
        packets.check(path)


def _with_flag(data: bytes, flag: int) -> bytes:
    """A packet whose entries all say that they are stored in another way than they are."""
    out = bytearray(data)
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = out.find(mark)
        while at >= 0:
            out[at + place] |= flag
            at = out.find(mark, at + 4)
    return bytes(out)


def _with_broken_stream(data: bytes) -> bytes:
    """A packet whose first entry holds a block of a kind that deflate does not have."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        first = archive.infolist()[0]
    start = first.header_offset + 30 + len(first.filename)
    return data[:start] + b"\xff" + data[start + 1 :]


def test_a_packet_under_a_password_or_with_a_broken_stream_is_refused_in_a_sentence(
    packet: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "packet.zip"
    for data in (_with_flag(packet, 1), _with_broken_stream(packet)):
        path.write_bytes(data)
        with pytest.raises(InvalidContent, match="cannot be read as a packet"):
            packets.check(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_packet_in_another_compression_is_refused_in_a_sentence_when_it_is_broken(
    tmp_path: Path, compression: int
) -> None:
    path, name = tmp_path / "packet.zip", packets.MANIFEST
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, 500 * "abcde")
    start = 30 + len(name)
    data = bytearray(path.read_bytes())
    data[start + 12 : start + 24] = 12 * b"\xff"
    path.write_bytes(data)
    with pytest.raises(InvalidContent, match="cannot be read as a packet"):
        packets.check(path)


def test_a_name_in_no_known_letters_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "packet.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é", b"")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xff"))
    with pytest.raises(InvalidContent, match="cannot be read as a packet"):
        packets.check(path)


def test_what_is_nested_without_end_is_a_fault_and_no_crash(packet: bytes, tmp_path: Path) -> None:
    deep = 200_000 * b"["
    found = checked(tmp_path, files_of(packet) | {"session.json": deep})
    assert "cannot be read" in found.faults[0]
    path = tmp_path / "deep.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(packets.MANIFEST, deep)
    with pytest.raises(InvalidContent, match="no manifest"):
        packets.check(path)


def test_a_packet_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", b"\0" * (packets.LARGEST + 1))
    with pytest.raises(InvalidContent, match="would unpack to more than"):
        packets.check(path)


def test_broken_content_is_a_fault_and_no_crash(packet: bytes, tmp_path: Path) -> None:
    found = checked(tmp_path, files_of(packet) | {"session.json": b"[]"})
    assert "cannot be read" in found.faults[0]


# --- who made it -----------------------------------------------------------------


def signed(
    packet: bytes, tmp_path: Path, keys: object, edit: Callable[[dict[str, bytes]], None] = lambda files: None
) -> packets.Checked:
    """The check of a packet, after an edit, with the keys of a server."""
    files = files_of(packet)
    edit(files)
    path, saved = tmp_path / "packet.zip", tmp_path / "jwks.json"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    saved.write_text(json.dumps(keys))
    return packets.check(path, packets.read_keys(saved))


def _relist(files: dict[str, bytes]) -> None:
    """Somebody alters the report and makes the list of files agree."""
    files["report.md"] += b"It was a pass."
    manifest = json.loads(files[packets.MANIFEST])
    manifest["files"]["report.md"] = sha256(files["report.md"])
    files[packets.MANIFEST] = json.dumps(manifest).encode()


def _unsign(files: dict[str, bytes]) -> None:
    _relist(files)
    del files[packets.SIGNATURE]


def _sign_anew(files: dict[str, bytes]) -> None:
    """Somebody signs what was altered under the server's key id, with a key of their own."""
    _relist(files)
    own = StatementSigner([new_signing_key(KEYS[0]["keys"][0]["kid"], Clock()(), "statement")])
    claims = {"iss": "assess", "iat": 0, "sub": "x", "manifest_sha256": sha256(files[packets.MANIFEST])}
    files[packets.SIGNATURE] = own.jws(claims, kind=packets.KIND).encode()


def test_the_keys_of_its_server_say_who_made_a_packet(packet: bytes, tmp_path: Path) -> None:
    found = signed(packet, tmp_path, KEYS[0])
    assert found.faults == ()
    assert "verifies with the keys that were given" in found.lines[1]
    unknown = packets.check(tmp_path / "packet.zip")
    assert unknown.faults == ()
    assert "add --keys" in unknown.lines[1]


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (_relist, "it signs another list of files"),
        (_unsign, "it is missing: nobody signed"),
        (_sign_anew, "does not verify"),
        (lambda files: files.update({packets.SIGNATURE: b"a.b"}), "it cannot be read"),
        (lambda files: files.update({packets.SIGNATURE: b"\xff.e30.e30"}), "it cannot be read"),
    ],
)
def test_a_packet_that_its_server_did_not_sign_is_refused(
    packet: bytes, tmp_path: Path, edit: Callable[[dict[str, bytes]], None], fault: str
) -> None:
    found = signed(packet, tmp_path, KEYS[0], edit)
    assert [fault in one for one in found.faults] == [True], found.faults


def test_a_statement_of_another_kind_is_no_signature(packet: bytes, tmp_path: Path) -> None:
    """The same key signs eligibilities and claims; none of them can be taken for a packet's."""
    secret = new_signing_key("key_1", Clock()(), "statement")

    def edit(files: dict[str, bytes]) -> None:
        claims = {"iss": "assess", "sub": "x", "manifest_sha256": sha256(files[packets.MANIFEST])}
        files[packets.SIGNATURE] = StatementSigner([secret]).jws(claims, kind="JWT").encode()

    keys = {"keys": [{"kid": "key_1", "crv": "Ed25519", "x": secret.public_key}]}
    assert "does not verify" in signed(packet, tmp_path, keys, edit).faults[0]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"keys": [1]}', '{"keys": []}', '{"keys": [{"crv": "Ed25519"}]}']
)
def test_what_is_no_key_set_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(text)
    with pytest.raises(InvalidContent, match=r"no Ed25519 key|cannot be read as a key set"):
        packets.read_keys(path)


def test_keys_of_another_server_do_not_fit(packet: bytes, tmp_path: Path) -> None:
    other = new_signing_key("key_other", Clock()(), "statement")
    keys = {"keys": [{"kid": other.id, "crv": "Ed25519", "x": other.public_key}]}
    found = signed(packet, tmp_path, keys)
    assert "not among the keys that were given" in found.faults[0]
