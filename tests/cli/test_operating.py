"""`assess backup`, `restore`, `doctor`, `work`, and every command that opens the store beside a server."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from assess.cli import app
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store
from assess.delivery.store.rows_sitting import Heartbeat
from tests.delivery.serving import free_port


def live(assess):
    for name in ("toys", "toy-fixed"):
        assert assess("activate", name, "--reason", "first release").code == 0


def test_a_backup_restored_elsewhere_gives_the_same_decisions(assess, banks, tmp_path, monkeypatch):
    live(assess)
    assert assess("simulate", "toy", "--learners", 6, "--form", "toy-fixed").code == 0
    done = assess("backup", tmp_path / "b.zip")
    assert done.code == 0, done.err
    assert "6 learners, 6 sessions" in done.out
    assert "private signing keys" in done.out
    done = assess("restore", tmp_path / "b.zip")
    assert (done.code, "the database is not empty" in done.err) == (2, True)
    monkeypatch.setenv("ASSESS_DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere/assess.db")
    done = assess("restore", tmp_path / "b.zip")
    assert done.code == 0, done.err
    assert "tenant default: 6 decisions come out the same, byte by byte; 0 differences" in done.out
    assert "1 chain of hashes followed" in done.out
    assert assess("replay", "--verify-chain").code == 0


def test_a_restored_decision_that_does_not_replay_is_said(assess, banks, tmp_path, monkeypatch):
    """What was altered before the backup was taken has its hash in the backup, and is found all the same."""
    import sqlite3

    live(assess)
    assert assess("simulate", "toy", "--learners", 2, "--form", "toy-fixed").code == 0
    with closing(sqlite3.connect(tmp_path / "assess.db")) as connection, connection:
        connection.execute("UPDATE responses SET category = 1 - category")
    connection.close()
    assert assess("backup", tmp_path / "b.zip").code == 0
    monkeypatch.setenv("ASSESS_DATABASE_URL", f"sqlite:///{tmp_path}/elsewhere.db")
    done = assess("restore", tmp_path / "b.zip")
    assert (done.code, "earns category" in done.out) == (1, True)


def test_a_backup_of_nothing_says_where_nothing_is(assess, tmp_path):
    done = assess("backup", tmp_path / "b.zip")
    assert (done.code, "there is no database at" in done.err) == (2, True)
    done = assess("restore", tmp_path / "b.zip")
    assert (done.code, "cannot be read" in done.err) == (2, True)


def test_the_doctor_says_what_is_live_and_what_is_wrong(assess, banks):
    done = assess("doctor")
    assert done.code == 1
    assert "there is no database at" in done.out
    assert assess("activate", "toy-fixed", "--reason", "x").code == 0
    done = assess("doctor")
    assert done.code == 0, done.out
    assert "toy-fixed" in done.out
    found = json.loads(assess("doctor", "--json").out)
    assert found["ok"] is True
    assert {"name": "synchronous", "verdict": "ok", "said": "FULL", "do": ""} in found["findings"]


def test_work_is_done_once_or_until_a_signal(assess, banks, tmp_path):
    done = assess("work", "--once")
    assert (done.code, done.out.strip()) == (0, "2 done")
    command = [sys.executable, "-m", "assess.cli", "work"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "assess works\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def ran_until(at: datetime) -> None:
    """A server that said at its last heartbeat that it was so late."""
    with closing(open_store(Settings.from_environment())) as store:
        asyncio.run(store.commit(Writes("default", inserts=(Heartbeat("prc_x", at, at, at),))))


def test_a_server_far_behind_a_heartbeat_starts_only_when_a_person_says_which_clock_is_right(assess, banks):
    live(assess)
    ran_until(datetime(2199, 1, 1, tzinfo=UTC))
    done = assess("serve", "--port", free_port())
    assert done.code == 2
    assert "a server ran until 2199-01-01 00:00:00 UTC" in done.err
    assert f"this machine says {datetime.now(UTC):%Y-}" in done.err
    assert "assess heartbeats --forget" in done.err
    assert "2199-01-01" in assess("heartbeats").out
    with held():
        refused = assess("heartbeats", "--forget")
    assert (refused.code, "stop it first" in refused.err) == (2, True)
    done = assess("heartbeats", "--forget")
    assert (done.code, "1 forgotten" in done.out) == (0, True)
    assert "2199" not in assess("heartbeats").out


def test_only_heartbeats_in_the_future_are_forgotten(assess, banks):
    live(assess)
    ran_until(datetime(2026, 1, 1, tzinfo=UTC))
    assert "0 forgotten" in assess("heartbeats", "--forget").out
    assert "2026-01-01" in assess("heartbeats").out


def test_a_worker_that_never_looks_is_refused(assess, monkeypatch):
    monkeypatch.setenv("ASSESS_WORK_SECONDS", "0")
    done = assess("work")
    assert (done.code, "ASSESS_WORK_SECONDS is 0" in done.err) == (2, True)


# --- beside a running server on SQLite ------------------------------------------------

READS = "reads beside the server"
ASKS = "goes through the server with --server and --key, and says so without them"
REFUSES = "refuses with a sentence"
LACKS = "reads beside the server, and finds nothing to work on here"
APART = "never opens the store"

BESIDE = {
    "serve": REFUSES,
    "demo": REFUSES,
    "bank check": APART,
    "bank judge": APART,
    "bank seal": APART,
    "bank preview": APART,
    "bank standards": APART,
    "design": APART,
    "assemble": APART,
    "exposure": READS,
    "exposure-table": LACKS,
    "standard compute": APART,
    "standard adopt": APART,
    "standard scores": READS,
    "keys create": REFUSES,
    "keys revoke": REFUSES,
    "keys list": READS,
    "activate": ASKS,
    "simulate": ASKS,
    "accuracy": READS,
    "analyse": READS,
    "calibrate": READS,
    "publish": APART,
    "pilot review": LACKS,
    "pilot promote": APART,
    "drift check": LACKS,
    "drift freeze": APART,
    "replay": READS,
    "rescore": ASKS,
    "what-if": ASKS,
    "release": ASKS,
    "roster import": ASKS,
    "roster codes": ASKS,
    "roster merge": ASKS,
    "roster unmerge": ASKS,
    "facts import": ASKS,
    "badge try": ASKS,
    "usage": ASKS,
    "incident declare": ASKS,
    "incident list": ASKS,
    "incident show": ASKS,
    "accommodate": ASKS,
    "invigilator create": ASKS,
    "invigilator list": ASKS,
    "invigilator revoke": ASKS,
    "badge export": ASKS,
    "webhook create": ASKS,
    "webhook list": ASKS,
    "webhook deliveries": ASKS,
    "webhook replay": ASKS,
    "webhook test": ASKS,
    "erase": ASKS,
    "appeal list": ASKS,
    "appeal show": ASKS,
    "appeal look": ASKS,
    "appeal decide": ASKS,
    "appeal packet": ASKS,
    "appeal check": APART,
    "appeal notes": ASKS,
    "backup": READS,
    "restore": REFUSES,
    "doctor": READS,
    "heartbeats": READS,
    "work": REFUSES,
    "version": APART,
}
"""Every command, and what it does while a server has the SQLite file."""


def commands() -> set[str]:
    group = typer.main.get_command(app)
    found = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found |= {name} if inner is None else {f"{name} {below}" for below in inner}
    return found


def test_every_command_is_known_here():
    """A new command is added to the table above, with a case below, before it is shipped."""
    assert commands() == set(BESIDE)


@contextmanager
def held() -> Iterator[None]:
    """The lock of a running server, as the commands of this test's environment meet it."""
    store = open_store(Settings.from_environment())
    try:
        yield
    finally:
        store.close()


@pytest.fixture
def filled(assess, banks, tmp_path) -> Path:
    """A database with sessions, its backup, and a calibration."""
    live(assess)
    assert assess("simulate", "toy", "--learners", 40, "--form", "toy-fixed").code == 0
    assert assess("backup", tmp_path / "b.zip").code == 0
    (tmp_path / "roster.csv").write_text("learner\na\n", encoding="utf-8")
    (tmp_path / "facts.csv").write_text("id,source,t,subject,at\nf,x,t,a,2026-01-01\n", encoding="utf-8")
    (tmp_path / "rule.yaml").write_text("rule: {fact: {type: t}}\n", encoding="utf-8")
    return tmp_path


_AT = "2026-11-22T10:00:00Z"
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "serve": ("--port", 0),
    "demo": ("--port", 0),
    "keys create": ("x", "--scope", "manage"),
    "keys revoke": ("key_x",),
    "keys list": (),
    "activate": ("toy-fixed", "--reason", "again"),
    "simulate": ("toy", "--learners", 1),
    "accuracy": ("toy-fixed", "--as-if-calibrated", "--learners", 100),
    "analyse": ("toy", "--sandbox"),
    "standard scores": ("toy", "--sandbox", "--out", "scores.csv"),
    "calibrate": ("toy", "--sandbox", "--model", "PCM", "--exclude-constant", "--min-responses", 5),
    # A fixed form shows every unit to all; so high a target raises no alarm.
    "exposure": ("toy-fixed", "--sandbox", "--target", "0.9999"),
    "exposure-table": ("toy-adaptive", "--sandbox", "--target", 0.8),
    "pilot review": ("toy", "--sandbox", "--parameters", "toy-judged.v1"),
    "drift check": ("toy", "--sandbox", "--parameters", "toy-judged.v1"),
    "replay": ("--verify-chain",),
    "rescore": ("toy-fixed", "--dry-run"),
    "what-if": ("toy-fixed", "--raw-cut", 5),
    "release": ("toy-fixed", "--dry-run"),
    "roster import": ("roster.csv",),
    "roster codes": ("c1", "--out", "codes.csv", "--address", "http://a.example"),
    "roster merge": ("a", "--into", "b", "--reason", "x"),
    "roster unmerge": ("a", "--reason", "x"),
    "facts import": ("facts.csv",),
    "badge try": ("TOY", "rule.yaml"),
    "usage": (),
    "incident declare": ("add_time", "--from", _AT, "--to", _AT, "--reason", "x", "--course", "toy"),
    "incident list": (),
    "incident show": ("inc_x",),
    "accommodate": ("a",),
    "invigilator create": ("toy", "--from", _AT, "--to", _AT),
    "invigilator list": (),
    "invigilator revoke": ("inv_x",),
    "badge export": ("a", "TOY"),
    "webhook create": ("https://a.example/hook",),
    "webhook list": (),
    "webhook deliveries": ("whk_x",),
    "webhook replay": ("whk_x", "--after", 0),
    "webhook test": ("whk_x",),
    "erase": ("a", "--reason", "x"),
    "appeal list": (),
    "appeal show": ("apl_x",),
    "appeal look": ("apl_x", "--note", "x"),
    "appeal decide": ("apl_x", "rejected", "--answer", "x"),
    "appeal packet": ("apl_x",),
    "appeal notes": (),
    "backup": ("second.zip",),
    "restore": ("b.zip",),
    "doctor": (),
    "heartbeats": (),
    "work": (),
}
_THROUGH = "add --server http://127.0.0.1:8000 --key ask_"
SENTENCES = {
    "exposure-table": "toy-adaptive has 0 scores on scale",
    "serve": "stop that process",
    "demo": "stop that process",
    "keys create": "stop it, make or end the key, and start it again",
    "keys revoke": "stop it, make or end the key, and start it again",
    "activate": _THROUGH,
    "simulate": "add --server http://127.0.0.1:8000 --key ask_test_",
    "pilot review": "nobody was shown an item of toy that is being tried out",
    "drift check": "no item can be an anchor: toy-001.v1 has 40 responses",
    "rescore": _THROUGH,
    "what-if": _THROUGH,
    "release": _THROUGH,
    "roster import": _THROUGH,
    "roster codes": _THROUGH,
    "roster merge": _THROUGH,
    "roster unmerge": _THROUGH,
    "facts import": _THROUGH,
    "badge try": _THROUGH,
    "usage": _THROUGH,
    "incident declare": _THROUGH,
    "incident list": _THROUGH,
    "incident show": _THROUGH,
    "accommodate": _THROUGH,
    "invigilator create": _THROUGH,
    "invigilator list": _THROUGH,
    "invigilator revoke": _THROUGH,
    "badge export": _THROUGH,
    "webhook create": _THROUGH,
    "webhook list": _THROUGH,
    "webhook deliveries": _THROUGH,
    "webhook replay": _THROUGH,
    "webhook test": _THROUGH,
    "erase": _THROUGH,
    "appeal list": _THROUGH,
    "appeal show": _THROUGH,
    "appeal look": _THROUGH,
    "appeal decide": _THROUGH,
    "appeal packet": _THROUGH,
    "appeal notes": _THROUGH,
    "restore": "stop that process",
    "work": "does its work by itself",
}


def test_every_command_beside_a_server_reads_asks_or_refuses_in_one_sentence(assess, filled):
    with held():
        for command, does in BESIDE.items():
            if does == APART:
                continue
            done = assess(*command.split(), *ARGUMENTS[command])
            assert "Traceback" not in done.err, command
            if does == READS:
                assert done.code == 0, (command, done.err)
            else:
                assert done.code == 2, (command, done.out)
                assert SENTENCES[command] in done.err, (command, done.err)
                assert done.err.count("\n") == 1, (command, done.err)


def test_commands_that_stay_apart_import_no_store():
    """They could not open it even by mistake."""
    script = (
        "import sys\n"
        "from assess.cli import main\n"
        "sys.argv = ['assess', 'bank', 'check', sys.argv[1]]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('assess.delivery')))\n"
    )
    root = Path(__file__).resolve().parents[2] / "item_banks"
    done = subprocess.run(
        [sys.executable, "-c", script, str(root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
