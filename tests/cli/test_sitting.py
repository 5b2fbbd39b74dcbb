"""`assess incident`, `accommodate`, `invigilator`: beside a running server, and without one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assess.cli.console import CommandError
from assess.cli.sitting import accommodate, create_code, declare, list_codes, list_incidents, revoke_code
from assess.cli.sitting import show_incident as show
from tests.delivery.conftest import open_world
from tests.delivery.world import NOON, Clock, settings

FROM, TO = "2026-11-22T12:00:00Z", "2026-11-22T12:10:00Z"


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A database with one open session, that no server holds; its session."""
    found = settings(tmp_path)
    (session,) = (
        world.begin(world.learner())["session"] for world in open_world(found, Clock(datetime.now(UTC)))
    )
    monkeypatch.setenv("ASSESS_DATABASE_URL", found.database_url)
    return session


def test_an_incident_is_tried_dry_declared_listed_and_shown(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    when: dict[str, Any] = {"from_": (now - timedelta(minutes=5)).isoformat(), "to": now.isoformat()}
    declare("add_time", reason="a drill", course="twt-3", seconds=60, dry_run=True, by="A", **when)
    assert "would be add_time: 1 sessions, 0 left as they are; nothing was stored" in capsys.readouterr().out
    declare("add_time", reason="a drill", session=[database], seconds=60, by="A", **when)
    said = capsys.readouterr().out
    found = re.search(r"inc_\w+", said)
    assert found is not None
    assert database in said
    list_incidents(by="A")
    assert "a drill" in capsys.readouterr().out
    show(found[0], by="A")
    assert "add_time: 1 sessions" in capsys.readouterr().out


def test_an_accommodation_is_granted_to_a_learner_and_to_a_session(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    accommodate("lrn_1", multiplier=1.5, breaks=1, break_minutes=10, by="A")
    assert "from the next session on" in capsys.readouterr().out
    accommodate("lrn_1", multiplier=1.25, session=database, by="A")
    assert f"{database} has it from now on" in capsys.readouterr().out


def test_a_code_is_printed_once_and_ended(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC)
    create_code("twt-3", from_=now.isoformat(), to=(now + timedelta(hours=3)).isoformat(), by="A")
    said = capsys.readouterr().out
    code, found = re.search(r"[A-Z2-9]{5}-[A-Z2-9]{5}", said), re.search(r"inv_\w+", said)
    assert code is not None
    assert found is not None
    list_codes(by="A")
    listed = capsys.readouterr().out
    assert found[0] in listed
    assert code[0] not in listed
    revoke_code(found[0], by="A")
    assert f"{found[0]} is revoked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"from_": "yesterday"}, "--from 'yesterday' is no instant"),
        ({"to": "2026-11-22T12:10:00"}, "has no zone"),
        ({"action": "forget"}, "Invalid enum value 'forget'"),
    ],
)
def test_what_cannot_be_read_is_said_before_anything_is_opened(changes: dict[str, str], said: str) -> None:
    given: dict[str, Any] = {"action": "add_time", "from_": FROM, "to": TO, "reason": "x"} | changes
    with pytest.raises(CommandError, match=said):
        declare(**given)


def test_beside_a_running_server_the_commands_ask_for_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = settings(tmp_path)
    monkeypatch.setenv("ASSESS_DATABASE_URL", found.database_url)
    for _ in open_world(found, Clock(NOON)):
        with pytest.raises(CommandError, match="a running server has the database"):
            declare("add_time", from_=FROM, to=TO, reason="x", course="twt-3")
    with pytest.raises(CommandError, match="add --key"):
        declare("add_time", from_=FROM, to=TO, reason="x", course="twt-3", server="http://127.0.0.1:9")
