"""The example beside a real server process: it asks, checks, awards, and suspends."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "badge_platform" / "badge_platform.py"


@dataclass
class Server:
    address: str
    key: str
    printed: str
    process: subprocess.Popen[str]


def start_demo(folder: Path) -> Server:
    """`assess demo` as a process of its own, on a free port, until it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = folder / "demo.txt"
    environment = {
        **os.environ,
        "ASSESS_DATABASE_URL": f"sqlite:///{folder}/assess.db",
        "ASSESS_ITEM_BANKS": str(ROOT / "item_banks"),
        "PYTHONUNBUFFERED": "1",
    }
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "assess.cli", "demo", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 90
    while "curl" not in output.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the demonstration did not start:\n{output.read_text()}")
        time.sleep(0.1)
    printed = output.read_text()
    found = re.search(r"ask_test_\w+", printed)
    assert found is not None
    return Server(address, found.group(), printed, process)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    started = start_demo(folder)
    yield started
    started.process.send_signal(signal.SIGTERM)
    started.process.wait(20)


def _platform(server: Server, awards: Path, *learners: str) -> list[str]:
    done = subprocess.run(
        [
            sys.executable,
            str(EXAMPLE),
            "--server",
            server.address,
            "--key",
            server.key,
            "--awards",
            str(awards),
            *learners,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_it_is_one_short_file_that_needs_httpx_only():
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.count("\n") < 150
    assert "assess." not in text.replace("assess.py", "")


def test_it_awards_what_may_be_awarded_and_nothing_else(server, tmp_path):
    awards = tmp_path / "awards.json"
    learners = ["eligible", "4-of-6", "none-started", "undetermined", "withdrawn", "pending"]
    told = _platform(server, awards, *(f"demo-{name}" for name in learners), "nobody")
    assert told[0] == "demo-eligible: awarded"
    assert told[1] == "demo-4-of-6: not_eligible: 4 of 6 courses passed; still missing: twt-5, twt-6."
    assert told[2].startswith("demo-none-started: not_eligible: 0 of 6")
    assert told[3].startswith("demo-undetermined: undetermined: 5 of 6")
    assert told[4].startswith("demo-withdrawn: not_eligible: 5 of 6")
    assert told[5].startswith("demo-pending: undetermined: 5 of 6")
    assert told[6].startswith("nobody: no award: learner_unknown")
    stored = json.loads(awards.read_text())
    assert list(stored) == ["TWT/demo-eligible"]
    assert any(evidence.get("record_sha256") for evidence in stored["TWT/demo-eligible"]["evidence"])


def test_the_printed_question_is_answered(server):
    found = re.search(r"curl -H 'Authorization: Bearer (\S+)' (\S+)", server.printed)
    assert found is not None
    reply = httpx.get(found.group(2), headers={"Authorization": f"Bearer {found.group(1)}"}).json()
    assert (reply["status"], reply["sandbox"]) == ("eligible", True)


def test_nothing_is_awarded_when_the_reply_does_not_hold(server, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("badge_platform", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    badge_platform = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(badge_platform)
    with httpx.Client(
        base_url=server.address, headers={"Authorization": f"Bearer {server.key}"}, timeout=20
    ) as client:
        reply, etag = badge_platform.ask(client, "demo-eligible", "TWT")
        badge_platform.check(client, reply, "demo-eligible", "TWT", etag)
        with pytest.raises(badge_platform.Doubt, match="the reply speaks of demo-eligible"):
            badge_platform.check(client, reply, "demo-4-of-6", "TWT", etag)
        with pytest.raises(badge_platform.Doubt, match="changed while it was checked"):
            badge_platform.check(client, reply, "demo-eligible", "TWT", '"another"')
        forged = [
            {**e, "record_sha256": "0" * 64} if e.get("record_sha256") else e for e in reply["evidence"]
        ]
        with pytest.raises(badge_platform.Doubt, match="does not have the hash"):
            badge_platform.check(client, {**reply, "evidence": forged}, "demo-eligible", "TWT", etag)


def test_it_suspends_when_a_course_is_withdrawn(server, tmp_path):
    awards = tmp_path / "awards.json"
    # A learner of this test's own: the others stay as they are.
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.address, headers=headers, timeout=20) as client:
        courses = "/v1/sandbox/learners/withdrawn-later/courses"
        for course in ("twt-1", "twt-2", "twt-3", "twt-4", "twt-5", "twt-6"):
            client.put(f"{courses}/{course}", json={"state": "passed"}).raise_for_status()
        assert _platform(server, awards, "withdrawn-later") == ["withdrawn-later: awarded"]
        assert _platform(server, awards, "withdrawn-later") == ["withdrawn-later: awarded, nothing changed"]
        client.put(f"{courses}/twt-5", json={"state": "void"}).raise_for_status()
    told = _platform(server, awards, "withdrawn-later")
    assert told == ["withdrawn-later: suspended: 5 of 6 courses passed; still missing: twt-5."]


def _assess(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "ASSESS_DATABASE_URL": f"sqlite:///{folder}/assess.db",
        "ASSESS_ITEM_BANKS": str(ROOT / "item_banks"),
    }
    command = [sys.executable, "-m", "assess.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_commands_act_through_the_running_server(server, folder):
    through = ("--server", server.address, "--key", server.key)
    done = _assess(folder, "activate", "twt-3-adaptive", "--reason", "once more", *through)
    assert done.returncode == 0, done.stderr
    assert "twt-3-adaptive is live" in done.stdout
    done = _assess(folder, "simulate", "twt-3", "--learners", 4, "--seed", 77, *through)
    assert done.returncode == 0, done.stderr
    assert "4 simulated teachers" in done.stdout
    done = _assess(folder, "replay", "--verify-chain")
    assert done.returncode == 0, done.stdout
    assert "0 differences" in done.stdout
    done = _assess(folder, "serve", "--port", 1 + int(server.address.rsplit(":", 1)[1]))
    assert done.returncode == 2
    assert "another process has" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_activation_names_a_release_or_sends_a_document(server):
    headers = {"Authorization": f"Bearer {server.key}"}
    for body in ({"reason": "x"}, {"reason": "x", "release": "0" * 64, "document": {}}):
        reply = httpx.post(f"{server.address}/v1/activations", json=body, headers=headers)
        assert (reply.status_code, reply.json()["code"]) == (422, "field_invalid")


def test_a_killed_demonstration_starts_again_as_it_was(server, folder, tmp_path):
    """Runs last: it ends the server of this module and starts it anew on the same database."""
    before = _platform(server, tmp_path / "a.json", "demo-eligible", "demo-withdrawn", "demo-4-of-6")
    server.process.kill()
    server.process.wait(10)
    again = start_demo(folder)
    try:
        after = _platform(again, tmp_path / "b.json", "demo-eligible", "demo-withdrawn", "demo-4-of-6")
        assert after == before
        assert again.key != server.key
        old = httpx.get(
            f"{again.address}/v1/learners/demo-eligible/badges",
            headers={"Authorization": f"Bearer {server.key}"},
        )
        assert old.status_code == 401
    finally:
        again.process.terminate()
        again.process.wait(20)
