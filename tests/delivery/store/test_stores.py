"""Both stores: what is committed is there, what is refused leaves nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import create_engine, inspect, select, text
from sqlalchemy.exc import OperationalError

from assess.delivery.settings import Settings
from assess.delivery.store import (
    Store,
    Writes,
    open_store,
    reading,
    reading_bulk,
    reading_categories,
    rows_badges,
    tables,
)
from assess.delivery.store.rows import (
    Activation,
    ChangeRow,
    DecisionRow,
    Delete,
    EligibilityState,
    Fact,
    Idempotency,
    Learner,
    LearnerExternalId,
    Session,
    Stored,
    StoredRelease,
    Tenant,
    Update,
)
from assess.delivery.store.sqlite import take_lock
from assess.errors import InvalidContent, NotFound, StaleSession, StorageUnavailable, StoreLocked
from assess.standards.records import first_break
from tests.delivery.world import settings as world_settings

T = TypeVar("T")
NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def learner(id: str = "lrn_1") -> Learner:
    return Learner("default", id, None, sandbox=False, version=1, created_at=NOW)


def release() -> StoredRelease:
    return StoredRelease("0" * 64, "form", "x-fixed", "{}", NOW)


def session(id: str = "ses_1", who: str = "lrn_1", **changes: Any) -> Session:
    given: dict[str, Any] = {
        "tenant": "default",
        "id": id,
        "learner": who,
        "course": "twt-3",
        "form_id": "x-fixed",
        "form": "x-fixed.v1",
        "release": "0" * 64,
        "start_record": {"seed": "00"},
        "token_sha256": f"token of {id}",
        "version": 1,
        "state": "ended",
        "started_at": NOW,
        "closes_at": NOW + timedelta(hours=1),
        "ended_at": None,
        "ended_by": None,
        "void_at": None,
        "void_reason": None,
        "practice": False,
        "sandbox": False,
        "try_number": 1,
    }
    return Session(**given | changes)


def decision(id: str, of: str = "ses_1", **changes: Any) -> DecisionRow:
    given: dict[str, Any] = {
        "tenant": "default",
        "id": id,
        "session": of,
        "learner": "lrn_1",
        "course": "twt-3",
        "form": "x-fixed.v1",
        "status": "passed",
        "provisional": False,
        "practice": False,
        "passed": True,
        "source": "course_form",
        "record": json.dumps({"id": id}, separators=(",", ":")),
        "record_sha256": "",
        "report": {},
        "programme": "p",
        "chain_seq": 0,
        "chain_sha256": "",
        "decided_at": NOW,
    }
    return DecisionRow(**given | changes)


def change(badge: str | None = "B", **changes: Any) -> ChangeRow:
    given: dict[str, Any] = {
        "tenant": "default",
        "sequence": 0,
        "type": "eligibility.gained",
        "learner": "lrn_1",
        "course": None,
        "badge": badge,
        "previous": "not_eligible",
        "current": "eligible",
        "cause": "session",
        "reason_id": None,
        "at": NOW,
        "sandbox": False,
        "data": {},
    }
    return ChangeRow(**given | changes)


# --- reading and writing -------------------------------------------------------


def test_the_default_tenant_is_there_from_the_first_migration(store: Store) -> None:
    found = run(store.read(reading.tenant, "default"))
    assert found is not None
    assert (found.id, found.demo, found.change_sequence) == ("default", False, 0)


def test_what_is_committed_is_read_back_exactly(store: Store) -> None:
    fact = Fact(
        "default",
        "f1",
        "academy",
        "attended",
        "lrn_1",
        "2026-11-20",
        NOW,
        None,
        None,
        None,
        False,
        {"é": [1, None]},
    )
    rows: tuple[Stored, ...] = (
        learner(),
        LearnerExternalId("default", "moodle", "17", "lrn_1"),
        release(),
        session(),
        fact,
    )
    run(store.commit(Writes("default", inserts=rows)))
    assert run(store.read(reading.learner, "default", "lrn_1")) == learner()
    assert run(store.read(reading.fact, "default", "f1")) == fact
    records = run(store.read(reading.session_records, "default", "ses_1"))
    assert records is not None
    assert records.session == session()


def test_a_row_of_another_tenant_is_not_found(store: Store) -> None:
    run(store.commit(Writes("default", inserts=(learner(),))))
    assert run(store.read(reading.learner, "other", "lrn_1")) is None
    assert run(store.read(reading.learner_records, "other", "lrn_1")) is None


def test_an_update_of_what_was_not_read_is_stale_and_takes_everything_with_it(store: Store) -> None:
    run(store.commit(Writes("default", inserts=(learner(),))))
    key = {"tenant": "default", "id": "lrn_1"}
    good = Update(Learner, key, {"version": 2}, {"version": 1})
    bad = Update(Learner, key, {"version": 3}, {"version": 1})
    with pytest.raises(StaleSession):
        run(store.commit(Writes("default", (good, bad), inserts=(learner("lrn_2"),))))
    assert run(store.read(reading.learner, "default", "lrn_1")) == learner()
    assert run(store.read(reading.learner, "default", "lrn_2")) is None


def test_a_second_row_with_the_same_key_is_stale(store: Store) -> None:
    run(store.commit(Writes("default", inserts=(learner(),))))
    with pytest.raises(StaleSession):
        run(store.commit(Writes("default", inserts=(learner(),))))


def test_two_open_sessions_of_one_form_are_refused_and_two_ended_ones_are_not(store: Store) -> None:
    run(store.commit(Writes("default", inserts=(learner(), release(), session("a"), session("b")))))
    run(store.commit(Writes("default", inserts=(session("c", state="open"),))))
    with pytest.raises(StaleSession):
        run(store.commit(Writes("default", inserts=(session("d", state="open"),))))


def test_a_row_that_refers_to_nothing_is_refused(store: Store) -> None:
    with pytest.raises(StorageUnavailable):
        run(store.commit(Writes("default", inserts=(session(),))))
    with pytest.raises(NotFound):
        run(store.commit(Writes("nobody", changes=(change(tenant="nobody"),))))


def test_numbers_that_are_not_finite_and_times_without_a_zone_are_refused(store: Store) -> None:
    run(store.commit(Writes("default", inserts=(learner(), release()))))
    for bad in (
        session(start_record={"x": float("nan")}),
        session(started_at=NOW.replace(tzinfo=None)),
    ):
        with pytest.raises(StorageUnavailable):
            run(store.commit(Writes("default", inserts=(bad,))))
    assert run(store.read(reading.session_records, "default", "ses_1")) is None


def test_kept_rows_stay_as_they_are(store: Store) -> None:
    other = replace(release(), document='{"other":1}')
    run(store.commit(Writes("default", keep=(release(),))))
    run(store.commit(Writes("default", keep=(other,))))
    assert run(store.read(reading.release, "0" * 64)) == release()


def test_deleted_rows_are_replaced_in_the_same_commit(store: Store) -> None:
    row = LearnerExternalId("default", "m", "1", "lrn_1")
    run(store.commit(Writes("default", inserts=(learner(), row))))
    removal = Delete(LearnerExternalId, {"tenant": "default", "learner": "lrn_1"})
    run(store.commit(Writes("default", deletes=(removal,), inserts=(replace(row, subject="2"),))))
    found = run(store.read(reading.external_ids, "default", "lrn_1"))
    assert [row.subject for row in found] == ["2"]


def test_the_activation_in_force_is_the_last_of_its_name(store: Store) -> None:
    run(store.commit(Writes("default", keep=(release(),))))
    for name in ("x-fixed", "x-other", "x-fixed"):
        row = Activation("default", 0, "form", name, "c", "0" * 64, "me", None, "why", None, NOW)
        run(store.commit(Writes("default", activations=(row,))))
    assert [(a.seq, a.name) for a in run(store.read(reading.activations, "default"))] == [
        (2, "x-other"),
        (3, "x-fixed"),
    ]


# --- numbers given in the commit -----------------------------------------------


def test_changes_are_numbered_without_a_gap_and_move_the_state_of_the_badge(store: Store) -> None:
    run(store.commit(Writes("default", inserts=(learner(),))))
    first = run(store.commit(Writes("default", changes=(change(), change(None, course="twt-3")))))
    lost = change(type="eligibility.lost", current="not_eligible", at=NOW + timedelta(days=1))
    second = run(store.commit(Writes("default", changes=(lost,))))
    assert (first.last_sequence, second.last_sequence) == (2, 3)
    feed = run(store.read(reading.changes, "default", after=0, limit=10, sandbox=False))
    assert [row.sequence for row in feed] == [1, 2, 3]
    states = run(
        store.read(
            reading_bulk.badge_subjects, "default", "B", "not_eligible", after="", limit=9, sandbox=False
        )
    )
    assert states == [
        EligibilityState("default", "lrn_1", "B", "not_eligible", NOW + timedelta(days=1), 3, False)
    ]


def test_decisions_are_chained_in_the_order_of_their_commits(store: Store) -> None:
    run(store.commit(Writes("default", inserts=(learner(), release(), session("a"), session("b")))))
    run(store.commit(Writes("default", decisions=(decision("d1", "a"),))))
    superseded = Update(
        DecisionRow, {"tenant": "default", "id": "d1"}, {"superseded_at": NOW, "superseded_by": "d3"}
    )
    run(store.commit(Writes("default", decisions=(decision("d2", "b"),))))
    run(store.commit(Writes("default", (superseded,), decisions=(decision("d3", "a", supersedes="d1"),))))
    rows = run(store.read(reading.decisions, "default"))
    assert [(row.id, row.chain_seq) for row in rows] == [("d1", 1), ("d2", 2), ("d3", 3)]
    assert first_break((json.loads(row.record), row.chain_sha256) for row in rows) is None
    with pytest.raises(StaleSession):  # a second current outcome of one session
        run(store.commit(Writes("default", decisions=(decision("d4", "a"),))))
    assert len(run(store.read(reading.decisions, "default", after=("p", 1), limit=1))) == 1


def test_many_commits_at_once_are_numbered_and_chained_without_a_gap(store: Store) -> None:
    async def all_at_once() -> None:
        people = tuple(learner(f"lrn_{n}") for n in range(40))
        sessions = tuple(session(f"s{n}", f"lrn_{n}") for n in range(40))
        await store.commit(Writes("default", inserts=(*people, release(), *sessions)))
        await asyncio.gather(
            *(
                store.commit(
                    Writes(
                        "default",
                        decisions=(decision(f"d{n}", f"s{n}", learner=f"lrn_{n}"),),
                        changes=(change(learner=f"lrn_{n}"),),
                    )
                )
                for n in range(40)
            )
        )

    run(all_at_once())
    rows = run(store.read(reading.decisions, "default"))
    assert [row.chain_seq for row in rows] == list(range(1, 41))
    assert first_break((json.loads(row.record), row.chain_sha256) for row in rows) is None
    feed = run(store.read(reading.changes, "default", after=0, limit=99, sandbox=False))
    assert [row.sequence for row in feed] == list(range(1, 41))


def test_a_bad_member_of_a_group_fails_alone(store: Store) -> None:
    async def all_at_once() -> list[object]:
        run_ = [store.commit(Writes("default", inserts=(learner(f"lrn_{n % 20}"),))) for n in range(40)]
        return list(await asyncio.gather(*run_, return_exceptions=True))

    outcomes = run(all_at_once())
    assert sum(isinstance(outcome, StaleSession) for outcome in outcomes) == 20
    for n in range(20):
        assert run(store.read(reading.learner, "default", f"lrn_{n}")) is not None


def test_who_expects_an_empty_value_in_a_group_is_first_or_stale(store: Store) -> None:
    """Of two who supersede one decision at the same time, one does; those beside them are not held up."""
    people = tuple(learner(f"lrn_{n}") for n in range(3))
    sessions = tuple(session(f"s{n}", f"lrn_{n}") for n in range(3))
    first = tuple(decision(f"d{n}", f"s{n}", learner=f"lrn_{n}") for n in range(3))
    run(store.commit(Writes("default", inserts=(*people, release(), *sessions), decisions=first)))

    def superseding(n: int, by: str) -> Writes:
        key, values = {"tenant": "default", "id": f"d{n}"}, {"superseded_at": NOW, "superseded_by": by}
        new = decision(by, f"s{n}", learner=f"lrn_{n}", supersedes=f"d{n}")
        update = Update(DecisionRow, key, values, {"superseded_at": None})
        return Writes("default", (update,), decisions=(new,))

    async def both() -> list[Any]:
        writes = [superseding(0, "e0"), superseding(1, "e1"), superseding(1, "f1"), superseding(2, "e2")]
        return await asyncio.gather(*map(store.commit, writes), return_exceptions=True)

    outcomes = run(both())
    assert [isinstance(outcome, StaleSession) for outcome in outcomes] in (
        [False, False, True, False], [False, True, False, False],
    )  # fmt: skip
    rows = {row.id: row for row in run(store.read(reading.decisions, "default"))}
    assert len(rows) == 6
    assert [rows[str(rows[f"d{n}"].superseded_by)].supersedes for n in range(3)] == ["d0", "d1", "d2"]
    assert sorted(row.chain_seq for row in rows.values()) == [1, 2, 3, 4, 5, 6]


def test_a_client_that_hangs_up_does_not_cancel_its_write(store: Store) -> None:
    async def hang_up() -> None:
        task = asyncio.create_task(store.commit(Writes("default", inserts=(learner(),))))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        for _ in range(1000):
            if await store.read(reading.learner, "default", "lrn_1") is not None:
                return
            await asyncio.sleep(0.02)
        raise AssertionError("the write was lost")

    run(hang_up())


def test_a_read_cannot_write(store: Store) -> None:
    def write(connection: Any) -> None:
        connection.execute(text("DELETE FROM tenants"))
        connection.commit()

    with pytest.raises(StorageUnavailable):
        run(store.read(write))
    assert run(store.read(reading.tenant, "default")) is not None


# --- for calibration -----------------------------------------------------------


def test_only_the_highest_revision_of_ended_valid_sessions_is_calibrated_on(store: Store) -> None:
    from assess.delivery.store.rows import OfferRow, ResponseRow

    def answered(position: int, revision: int, category: int | None, answer: Any = "a") -> ResponseRow:
        return ResponseRow(
            "default", "s", position, revision, f"i{position}", answer, category, NOW, "00", "h", "k", "g"
        )

    rows: tuple[Stored, ...] = (
        learner(),
        release(),
        session("s", ended_by="submitted"),
        session("open", state="open"),
        session("void", void_at=NOW),
        *(OfferRow("default", "s", n, f"i{n}", NOW) for n in (1, 2, 3)),
        answered(1, 1, 0),
        answered(1, 2, 1),
        answered(2, 1, 0, None),
    )
    run(store.commit(Writes("default", inserts=rows)))
    found = run(store.read(reading_categories.course_categories, "default", "twt-3"))
    assert [(row.session, row.item, row.category, row.omitted) for row in found] == [
        ("s", "i1", 1, False),
        ("s", "i2", 0, True),
        ("s", "i3", None, False),
    ]


# --- SQLite --------------------------------------------------------------------


def test_all_tables_are_strict_and_hold_legal_types_only(tmp_path: Path) -> None:
    open_store(world_settings(tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / "assess.db")) as connection, connection:
        tables_ = connection.execute(
            "SELECT name, strict FROM pragma_table_list WHERE type = 'table'"
        ).fetchall()
        strict = {name for name, is_strict in tables_ if is_strict}
        assert set(tables.metadata.tables) <= strict
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_the_writing_connection_never_gives_up_durability(tmp_path: Path) -> None:
    store: Any = open_store(world_settings(tmp_path))
    with store._hand._writer._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    store.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


_OPENS = """
import sys
from assess.delivery.settings import Settings
from assess.delivery.store import open_store
from assess.errors import StoreLocked
try:
    open_store(Settings(database_url=sys.argv[1])).close()
except StoreLocked as fault:
    print(fault)
else:
    print("opened")
"""


def test_a_second_process_is_refused_with_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    found = world_settings(tmp_path)
    store = open_store(found)
    for expected in ("stop that process", "opened"):
        # No child of this process, which would inherit what it has open.
        told = subprocess.run(
            [sys.executable, "-c", _OPENS, found.database_url], capture_output=True, text=True, check=True
        )
        assert expected in told.stdout
        store.close()


def test_a_file_that_is_open_is_refused_under_another_name_too(tmp_path: Path) -> None:
    """Two that write one file can corrupt it, whatever each of them calls it."""
    found = world_settings(tmp_path)
    assert found.sqlite_path is not None
    (tmp_path / "links").mkdir()
    link, beside = tmp_path / "links" / "other.db", tmp_path / "links" / "folder"
    link.symlink_to(found.sqlite_path)
    beside.symlink_to(tmp_path)
    names = [link, beside / found.sqlite_path.name]
    store = open_store(found)
    try:
        run(store.commit(Writes("default", inserts=(learner(),))))
        for name in names:
            with pytest.raises(StoreLocked):
                open_store(Settings(database_url=f"sqlite:///{name}"))
            with pytest.raises(StoreLocked):
                take_lock(name)
    finally:
        store.close()
    for name in names:
        store = open_store(Settings(database_url=f"sqlite:///{name}"))
        assert run(store.read(reading.learner, "default", "lrn_1")) is not None
        store.close()


def test_what_came_while_a_thread_wrote_is_written_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = open_store(world_settings(tmp_path))
    writer, sizes, goes_on = store._hand._writer, [], threading.Event()
    write = writer.write

    def slow(group: list[Writes]) -> Any:
        sizes.append(len(group))
        assert goes_on.wait(30)
        return write(group)

    async def come() -> list[Any]:
        waiting: list[Any] = []
        for n in range(0, 25, 5):
            some = [Writes("default", inserts=(learner(f"lrn_{m}"),)) for m in range(n, n + 5)]
            waiting += [asyncio.create_task(store.commit(writes)) for writes in some]
            await asyncio.sleep(0.02)
        goes_on.set()
        return await asyncio.gather(*waiting)

    monkeypatch.setattr(writer, "write", slow)
    try:
        assert len(run(come())) == 25
    finally:
        store.close()
    assert sum(sizes) == 25
    assert 2 <= len(sizes) <= 3  # the first group, and what had come by then


# --- PostgreSQL ----------------------------------------------------------------


def test_a_table_that_grew_is_counted_within_some_groups_and_not_again(pg_url: str) -> None:
    """Else PostgreSQL keeps the plans of an empty table for up to a minute."""
    store: Any = open_store(Settings(database_url=pg_url))
    counted = "SELECT relname, reltuples::int FROM pg_class WHERE relname IN ('learners', 'sessions')"

    def known() -> dict[str, int]:
        return dict(run(store.read(lambda c: [tuple(row) for row in c.exec_driver_sql(counted)])))

    def write(first: int, n: int) -> None:
        run(store.commit(Writes("default", inserts=tuple(learner(f"lrn_{first + m}") for m in range(n)))))

    try:
        assert known() == {"learners": -1, "sessions": -1}
        write(0, 600)
        deadline = time.monotonic() + 30
        first = 600
        # What PostgreSQL has heard of a table it tells a second later.
        while known()["learners"] < 0 and time.monotonic() < deadline:
            write(first, 1)
            first += 1
        assert known()["learners"] >= 600
        assert known()["sessions"] == -1
        before = known()
        write(first, 900)
        time.sleep(1.1)
        store._hand._writer.look()
        assert known() == before  # not four times as many
    finally:
        store.close()


def test_a_group_is_stored_where_no_thread_can_be_had_to_look(
    pg_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = open_store(Settings(database_url=pg_url))

    def none_left(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    try:
        monkeypatch.setattr(store._hand._writer, "_since_looked", 10_000)
        with monkeypatch.context() as patch:
            patch.setattr("assess.delivery.store.postgres.threading.Thread.start", none_left)
            run(store.commit(Writes("default", inserts=(learner(),))))
        assert store._hand._writer._since_looked == 0  # it did try
        assert run(store.read(reading.learner, "default", "lrn_1")) == learner()
    finally:
        store.close()


def test_a_closed_store_takes_nothing(tmp_path: Path) -> None:
    store = open_store(world_settings(tmp_path))
    store.close()
    store.close()
    with pytest.raises(StorageUnavailable):
        run(store.commit(Writes("default", inserts=(learner(),))))


def test_an_address_of_another_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidContent, match="ASSESS_DATABASE_URL"):
        open_store(Settings(database_url="mysql://x"))


def test_a_database_that_fails_in_the_commit_acknowledges_nothing_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assess.delivery.store import sqlite

    store = open_store(world_settings(tmp_path))

    def broken(*args: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "apply_batch", broken)
        patch.setattr(sqlite, "apply", broken)
        with pytest.raises(StorageUnavailable, match="disk I/O error"):
            run(store.commit(Writes("default", inserts=(learner(),))))
    run(store.commit(Writes("default", inserts=(learner(),))))
    assert run(store.read(reading.learner, "default", "lrn_1")) is not None
    store.close()


def test_a_transaction_that_sqlite_gave_up_by_itself_is_acknowledged_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assess.delivery.store import sqlite
    from assess.delivery.store.writing import apply

    store = open_store(world_settings(tmp_path))

    def gives_up(connection: Any, writes: Writes) -> Any:
        committed = apply(connection, writes)
        if writes.inserts[0].id == "lrn_2":  # type: ignore[attr-defined]
            connection.exec_driver_sql("ROLLBACK")  # as SQLite does when the disk is full
            raise StorageUnavailable("database or disk is full")
        return committed

    async def both() -> list[Any]:
        writes = [Writes("default", inserts=(learner(name),)) for name in ("lrn_1", "lrn_2")]
        return await asyncio.gather(*map(store.commit, writes), return_exceptions=True)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "is_plain", lambda writes: False)
        patch.setattr(sqlite, "apply", gives_up)
        outcomes = run(both())
    for name, outcome in zip(("lrn_1", "lrn_2"), outcomes, strict=True):
        stored = run(store.read(reading.learner, "default", name)) is not None
        assert isinstance(outcome, StorageUnavailable) or stored, f"{name} was acknowledged and is gone"
    assert isinstance(outcomes[1], StorageUnavailable)
    run(store.commit(Writes("default", inserts=(learner("lrn_3"),))))
    store.close()


# --- migrations ------------------------------------------------------------------


def test_the_migrations_make_exactly_the_declared_tables(store: Store) -> None:
    from alembic import command

    from assess.delivery.store.migrating import configuration

    def check(connection: Any) -> tuple[set[str], dict[str, list[str]]]:
        command.check(configuration(connection))
        found = inspect(connection)
        # Alembic compares no primary keys.
        keys = {t: found.get_pk_constraint(t)["constrained_columns"] for t in tables.metadata.tables}
        return set(found.get_table_names()), keys

    names, keys = run(store.read(check))
    assert names == {*tables.metadata.tables, "alembic_version"}
    assert keys == {
        name: list(table.primary_key.columns.keys()) for name, table in tables.metadata.tables.items()
    }


def test_what_was_remembered_of_requests_survives_another_order_of_its_key(
    both_settings: Settings,
) -> None:
    """Also back, where an earlier version is installed again."""
    from alembic import command

    from assess.delivery.store.migrating import configuration

    store: Any = open_store(both_settings)
    rows = [Idempotency("default", f"key_{n}", f"POST /{n % 3}", f"k{n}", "ab", "1/1", NOW) for n in range(9)]
    run(store.commit(Writes("default", inserts=tuple(rows))))
    store.close()
    engine = create_engine(both_settings.database_url)
    for move, revision in ((command.downgrade, "0012_placement"), (command.upgrade, "head")):
        with engine.begin() as connection:
            move(configuration(connection), revision)
            found = inspect(connection)
            assert found.get_pk_constraint("idempotency")["name"] == "pk_idempotency"
            assert [index["name"] for index in found.get_indexes("idempotency")] == ["ix_idempotency_at"]
    engine.dispose()
    again = open_store(both_settings)
    try:
        for row in rows:
            assert run(again.read(reading.idempotency, row.tenant, row.actor, row.route, row.key)) == row
        with pytest.raises(StaleSession):
            run(again.commit(Writes("default", inserts=(rows[0],))))
    finally:
        again.close()


def test_opening_again_migrates_nothing_and_keeps_everything(both_settings: Settings) -> None:
    first = open_store(both_settings)
    run(first.commit(Writes("default", inserts=(learner(),))))
    first.close()
    second = open_store(both_settings)
    assert run(second.read(reading.learner, "default", "lrn_1")) == learner()
    second.close()


def test_a_tenant_is_the_first_key_of_every_table_about_people() -> None:
    own = {"tenants", "releases", "signing_keys", "heartbeats", "jobs"}
    for name, table in tables.metadata.tables.items():
        if name not in own:
            assert next(iter(table.primary_key)).name == "tenant", name


def test_rows_and_tables_name_the_same_columns() -> None:
    assert rows_badges.Share in Stored.__subclasses__()
    # A dataclass with slots is made twice; only the second has them.
    rows: list[Any] = [kind for kind in Stored.__subclasses__() if getattr(kind, "__slots__", ())]
    assert {kind.table.name for kind in rows} | {"chain_heads"} == set(tables.metadata.tables)
    for kind in rows:
        assert list(kind.__slots__) == [column.name for column in kind.table.columns], kind
    assert select(Tenant.table) is not None


def test_a_log_that_cannot_be_copied_does_not_end_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assess.delivery.store import sqlite

    class Broken:
        @property
        def connection(self) -> Any:
            raise OperationalError("PRAGMA", None, sqlite3.OperationalError("disk I/O error"))

    store: Any = sqlite.SqliteStore(tmp_path / "assess.db")
    writer = store._hand._writer
    try:
        with monkeypatch.context() as patch:
            patch.setattr(writer, "_connection", Broken())
            patch.setattr(writer, "_since_copied", 1000)
            writer.rest()
            assert writer._since_copied == 0
        run(store.commit(Writes("default", inserts=(learner(),))))
    finally:
        store.close()
