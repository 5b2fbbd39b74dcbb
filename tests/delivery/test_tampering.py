"""One changed byte in a stored decision is found by following the chain."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import assess
from assess.delivery.replay import Replayed, replay_all, stored_fault, verify_chains
from assess.delivery.store.rows import DecisionRow
from tests.delivery.conftest import open_world
from tests.delivery.service.test_appealing import decide, file, look
from tests.delivery.service.test_rescoring import carried_out, corrected, sit
from tests.delivery.test_corpus import NAMES, load
from tests.delivery.world import Clock
from tests.delivery.world import settings as world_settings

UNCOVERED = {"id", "cause", "reason"}
"""What no hash and no other row speaks for: a name, and two words beside a decision that change no status."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three learners; everybody was rescored, and one appealed."""
    found = world_settings(tmp_path_factory.mktemp("tampering"))
    for world in open_world(found, Clock()):
        for number, answers in enumerate(("b" * 12, "a" * 12, "bbbbbbaaaaaa")):
            sit(world, f"lrn_{number}", answers)
        world.clock.advance(hours=1)
        carried_out(world, world.activate(corrected()))
        world.clock.advance(hours=1)
        decision = world.call("GET", "/v1/learners/lrn_1/courses/twt-3/status").json()["decision"]["id"]
        appeal = file(world, "lrn_1", decision=decision).json()["id"]
        look(world, appeal)
        assert decide(world, appeal).status_code == 200
    assert found.sqlite_path is not None
    return found.sqlite_path


@pytest.fixture
def copy(database: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy.db"
    shutil.copyfile(database, target)
    return target


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def replayed(path: Path) -> Replayed:
    with assess.connect(f"sqlite:///{path}") as opened:
        return replay_all(opened, verify_chain=True)


def chain(path: Path) -> int:
    """How many faults the chain alone shows, without computing anything."""
    with assess.connect(f"sqlite:///{path}") as opened:
        return len(verify_chains(opened)[1])


def test_nothing_is_found_where_nothing_was_changed(copy: Path) -> None:
    found = replayed(copy)
    assert (found.n_same, found.n_confirmed, found.differences) == (6, 1, ())
    assert chain(copy) == 0


# The decision with number 2 was superseded by a rescoring, and then on an appeal: 2, 5, 7.
_ALTERED = {
    "tenant": None,  # the tenant's rows would be asked for and not found: see the test below
    "session": "UPDATE decisions SET session = session || 'x' WHERE chain_seq = 2",
    "learner": "UPDATE decisions SET learner = 'lrn_x' WHERE chain_seq = 2",
    "course": "UPDATE decisions SET course = 'twt-4' WHERE chain_seq = 2",
    "form": "UPDATE decisions SET form = 'x-fixed.v9' WHERE chain_seq = 2",
    "status": "UPDATE decisions SET status = 'passed' WHERE chain_seq = 5",
    "provisional": "UPDATE decisions SET provisional = 1 - provisional WHERE chain_seq = 5",
    "practice": "UPDATE decisions SET practice = 1 - practice WHERE chain_seq = 5",
    "passed": "UPDATE decisions SET passed = 1 - passed WHERE chain_seq = 5",
    "source": "UPDATE decisions SET source = 'sandbox' WHERE chain_seq = 5",
    "record": "UPDATE decisions SET record = replace(record, 'not_passed', 'not_Passed') WHERE chain_seq = 5",
    "record_sha256": "UPDATE decisions SET record_sha256 = 'f' || substr(record_sha256, 2) || 'g' "
    "WHERE chain_seq = 5",
    "report": "UPDATE decisions SET report = replace(report, '\"provisional\"', '\"adopted\"') "
    "WHERE chain_seq = 5",
    "programme": "UPDATE decisions SET programme = programme || 'x' WHERE chain_seq = 5",
    "chain_seq": "UPDATE decisions SET chain_seq = 50 WHERE chain_seq = 5",
    "chain_sha256": "UPDATE decisions SET chain_sha256 = 'x' || substr(chain_sha256, 2) WHERE chain_seq = 5",
    "decided_at": "UPDATE decisions SET decided_at = decided_at + 1 WHERE chain_seq = 5",
    "superseded_at": "UPDATE decisions SET superseded_at = superseded_at + 1 WHERE chain_seq = 2",
    "superseded_by": "UPDATE decisions SET superseded_by = 'dec_x' WHERE chain_seq = 2",
    "supersedes": "UPDATE decisions SET supersedes = 'dec_x' WHERE chain_seq = 5",
}


def test_every_field_of_a_decision_is_tried() -> None:
    assert set(_ALTERED) | UNCOVERED == {field.name for field in fields(DecisionRow)}


@pytest.mark.parametrize("name", [name for name, statement in _ALTERED.items() if statement])
def test_a_changed_field_is_found(copy: Path, name: str) -> None:
    statement = _ALTERED[name]
    assert statement is not None
    change(copy, statement)
    assert replayed(copy).differences != ()


@pytest.mark.parametrize("number", range(1, 8))
def test_a_decision_that_was_taken_out_or_put_to_another_tenant_is_found(copy: Path, number: int) -> None:
    change(copy, "UPDATE decisions SET tenant = 'other' WHERE chain_seq = ?", number)
    assert chain(copy) > 0


def test_a_superseded_decision_that_is_made_to_stand_again_is_found(copy: Path) -> None:
    """Both rows are changed, so that one decision speaks: what no hash covers is told by the other row."""
    change(copy, "UPDATE decisions SET superseded_at = 1, superseded_by = 'x' WHERE chain_seq = 7")
    change(copy, "UPDATE decisions SET superseded_at = NULL, superseded_by = NULL WHERE chain_seq = 5")
    assert chain(copy) > 0


def test_the_grounds_of_an_appeal_cannot_be_changed_unseen(copy: Path) -> None:
    change(
        copy, "UPDATE appeal_entries SET data = replace(data, 'minutes', 'nothing') WHERE what = 'decided'"
    )
    (found,) = replayed(copy).differences
    assert "the grounds of appeal" in found.what


def test_a_forged_tail_is_found(copy: Path) -> None:
    """The last decision with a record, a hash and a link of its own: the head of the chain differs."""
    import hashlib

    with closing(sqlite3.connect(copy)) as connection, connection:
        (previous,) = connection.execute("SELECT chain_sha256 FROM decisions WHERE chain_seq = 5").fetchone()
        (record,) = connection.execute("SELECT record FROM decisions WHERE chain_seq = 6").fetchone()
        forged = record.replace('"try":1', '"try":2')
        link = hashlib.sha256(f"{previous}\n{forged}".encode()).hexdigest()
        sha = hashlib.sha256(forged.encode()).hexdigest()
        connection.execute(
            "UPDATE decisions SET record = ?, record_sha256 = ?, chain_sha256 = ? WHERE chain_seq = 6",
            (forged, sha, link),
        )
    connection.close()
    assert chain(copy) > 0


@settings(max_examples=200)
@given(st.sampled_from(NAMES), st.data())
def test_any_changed_byte_of_any_record_is_found(name: str, data: st.DataObject) -> None:
    from dataclasses import replace

    _, rows = load(name)
    row = data.draw(st.sampled_from(rows))
    raw = bytearray(row.record.encode())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 127))
    try:
        altered = raw.decode()
        json.loads(altered)
    except ValueError:
        altered = raw.decode("latin-1")
    assert stored_fault(replace(row, record=altered)) == (
        "the stored record does not have its hash: it was altered"
    )
