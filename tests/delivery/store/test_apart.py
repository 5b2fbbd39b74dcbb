"""Written by a process of its own: the promises are the same, and its death loses and blocks nothing."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from assess import errors
from assess.delivery.receipts import ReceiptSigner, new_signing_key
from assess.delivery.service.receipts import receipt
from assess.delivery.settings import Settings
from assess.delivery.store import Store, Writes, open_store, reading
from assess.delivery.store.apart import Packer, Unpacker, _answer, _answered, _read_answer
from assess.delivery.store.late import Late, work_out
from assess.delivery.store.rows import (
    Claim,
    Idempotency,
    Job,
    OfferRow,
    ResponseRow,
    Session,
    SessionEvent,
    StoredRelease,
    Update,
)
from assess.errors import StorageUnavailable

# What holds for a store that writes by a thread is run here again, with the fixture below.
from tests.delivery.store.test_stores import (  # noqa: F401
    NOW,
    learner,
    release,
    run,
    session,
    test_a_bad_member_of_a_group_fails_alone,
    test_a_client_that_hangs_up_does_not_cancel_its_write,
    test_an_update_of_what_was_not_read_is_stale_and_takes_everything_with_it,
    test_many_commits_at_once_are_numbered_and_chained_without_a_gap,
    test_numbers_that_are_not_finite_and_times_without_a_zone_are_refused,
    test_who_expects_an_empty_value_in_a_group_is_first_or_stale,
)
from tests.delivery.world import settings as world_settings


@pytest.fixture(autouse=True)
def the_loop_of_the_server() -> Iterator[None]:
    """uvicorn's choice, which makes what it watches non-blocking, whatever Python's sockets believe."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    yield
    asyncio.set_event_loop_policy(None)


@pytest.fixture
def store(both_settings: Settings) -> Iterator[Store]:
    """An empty store that writes by another process, on SQLite, then on PostgreSQL."""
    opened = open_store(replace(both_settings, write_apart=True))
    try:
        yield opened
    finally:
        opened.close()


def writer(store: Any) -> subprocess.Popen[bytes]:
    """The process that writes."""
    process: subprocess.Popen[bytes] = store._hand._begun[0]
    return process


def add(store: Store, id: str) -> None:
    run(store.commit(Writes("default", inserts=(learner(id),))))


def is_there(store: Store, id: str) -> bool:
    return run(store.read(reading.learner, "default", id)) is not None


# --- messages -----------------------------------------------------------------------

ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
INSTANTS = st.datetimes(timezones=st.just(UTC))


def group(answer: Any, at: datetime) -> list[Writes]:
    """What two answers write."""
    update = Update(Session, {"tenant": "t", "id": "s"}, {"version": 2}, {"version": 1, "state": "open"})
    rows = (
        ResponseRow("t", "s", 1, 1, "x.v1", answer, 0, at, "0f", "ab", "k", "signature"),
        Idempotency("t", "a", "POST /x", "k", "ab", "1/1", at),
        SessionEvent("t", "s", 1, "opened", at, {"answer": answer}),
        OfferRow("t", "s", 2, "y.v1", at),
    )
    return [Writes("t", (update,), inserts=rows), Writes("t", inserts=rows[:1])]


@settings(max_examples=200)
@given(answer=ANSWERS, at=INSTANTS)
def test_a_group_of_answers_arrives_as_it_was_sent(answer: Any, at: datetime) -> None:
    sent = group(answer, at)
    assert Unpacker().unpacked(Packer().packed(sent)) == sent


def test_what_is_no_answer_arrives_as_it_was_sent() -> None:
    sent = [
        Writes("t", inserts=(learner(), release(), session())),
        Writes("t", claim=Claim(Job, "lease", NOW, NOW, 3)),
        *group("b", NOW),
    ]
    assert Unpacker().unpacked(Packer().packed(sent)) == sent


def response(signer: ReceiptSigner, n: int) -> ResponseRow:
    return ResponseRow(
        "default",
        "ses_1",
        n,
        1,
        "x.v1",
        "b",
        0,
        NOW,
        "0f",
        "ab",
        signer.key_id,
        cast(str, Late(signer.signing)),
    )


def test_texts_that_are_late_arrive_with_their_makers_whichever_way_a_group_goes() -> None:
    old, new = (ReceiptSigner([new_signing_key(name, NOW)]) for name in ("rk_1", "rk_2"))
    packer, unpacker = Packer(), Unpacker()
    plain = []
    for signers in ([old], [old], [old, new], [new, old], [new], [old]):
        for more in ((), (learner(),)):
            rows = [response(signer, n) for n, signer in enumerate(signers)]
            message = packer.packed([Writes("default", inserts=(*rows, *more))])
            plain.append(message[:1] == b"a")
            found: Any = unpacker.unpacked(message)[0].inserts
            assert [row.signature.maker for row in found[: len(rows)]] == [s.signing for s in signers]
            work_out(found)
            assert all(s.valid(receipt(row)) for s, row in zip(signers, found, strict=False))
    # A maker that is new makes its first group go pickled; rows of another kind do so every time.
    assert plain == [False, False, True, False, False, False, True, False, True, False, True, False]


def test_the_process_that_writes_signs_and_what_it_signed_comes_back(store: Store) -> None:
    signer = ReceiptSigner([new_signing_key("rk_1", NOW)])
    offers = [OfferRow("default", "ses_1", n, f"x.v{n}", NOW) for n in range(1, 21)]
    run(store.commit(Writes("default", inserts=(learner(), release(), session(), *offers))))
    rows = [response(signer, n) for n in (*range(1, 21), 21)]  # nothing was offered at the last

    async def together() -> list[Any]:
        return await asyncio.gather(
            *(store.commit(Writes("default", inserts=(row,))) for row in rows), return_exceptions=True
        )

    outcomes = run(together())
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [False] * 20 + [True]
    assert all(signer.valid(receipt(row)) for row in rows[:20])
    found = run(store.read(reading.session_records, "default", "ses_1"))
    assert found is not None
    assert [row.signature for row in found.responses] == [str(row.signature) for row in rows[:20]]


@pytest.mark.parametrize(
    "fault",
    [
        errors.StaleSession("somebody was faster"),
        errors.StorageUnavailable("the disk is full"),
        errors.NotFound("learner", "l-1"),
        errors.InvalidContent("is not so", place="row 3"),
        errors.InvalidRequest("is missing", path="answer"),
    ],
)
def test_a_refusal_crosses_the_line_with_all_that_it_says(fault: errors.AssessError) -> None:
    found = pickle.loads(pickle.dumps(fault))
    assert (type(found), str(found), found.__dict__) == (type(fault), str(fault), fault.__dict__)


# --- the process ----------------------------------------------------------------------


@pytest.mark.parametrize("policy", [asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy])
def test_groups_larger_than_the_line_are_stored_and_those_after_them(store: Store, policy: Any) -> None:
    asyncio.set_event_loop_policy(policy())
    add(store, "lrn_0")
    large = [StoredRelease(f"{n}" * 64, "form", "x", f'"{"x" * 900_000}"', NOW) for n in range(3)]

    async def together() -> list[Any]:
        waiting = []
        for n, one in enumerate(large):
            waiting.append(asyncio.create_task(store.commit(Writes("default", inserts=(one,)))))
            await asyncio.sleep(0.01)
            waiting += await _in_groups(store, [f"lrn_{8 * n + k}" for k in range(1, 9)])
        return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)

    assert not [outcome for outcome in run(together()) if isinstance(outcome, BaseException)]
    assert [run(store.read(reading.release, one.sha256)) for one in large] == large
    assert all(is_there(store, f"lrn_{n}") for n in range(25))


def test_an_answer_larger_than_the_line_is_read_to_its_end() -> None:
    group = [Writes("default")] * 8
    wordy = errors.StaleSession("x" * 900_000)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        saying = threading.Thread(target=theirs.sendall, args=(_answer([group], [[wordy] * 8]),))
        saying.start()
        n_groups, said = _answered(ours)
        saying.join()
    outcomes, texts = _read_answer(said)
    assert n_groups == 1
    assert outcomes is not None
    assert [str(outcome) for outcome in next(outcomes)] == [str(wordy)] * 8
    assert not list(texts)


def test_due_work_is_claimed_through_the_line(store: Store) -> None:
    job = Job("job_1", "nothing", {"a": 1}, NOW)
    run(store.commit(Writes("default", inserts=(job,))))
    claim = Claim(Job, "lease_1", NOW, NOW + timedelta(seconds=9), 5, ("nothing",))
    committed = run(store.commit(Writes("default", claim=claim)))
    assert [found.lease for found in committed.claimed] == ["lease_1"]


def test_signals_for_the_server_do_not_end_the_writing(store: Store) -> None:
    add(store, "lrn_1")
    for name in (signal.SIGINT, signal.SIGTERM):
        writer(store).send_signal(name)
    add(store, "lrn_2")
    assert writer(store).poll() is None
    assert is_there(store, "lrn_2")


def test_after_its_death_the_next_group_is_written_by_another(store: Store) -> None:
    add(store, "lrn_1")
    first = writer(store)
    first.kill()
    first.wait()
    outcomes = [_tried(store, f"lrn_{n}") for n in (2, 2, 3)]
    assert isinstance(outcomes[0], StorageUnavailable | None)
    assert outcomes[2] is None
    assert writer(store).pid != first.pid
    assert [is_there(store, f"lrn_{n}") for n in (1, 2, 3)] == [True, True, True]


def _tried(store: Store, id: str) -> Exception | None:
    try:
        add(store, id)
    except errors.AssessError as fault:
        return fault
    return None


def test_a_death_with_a_group_on_its_way_is_told_to_those_who_wait(store: Store) -> None:
    add(store, "lrn_1")
    process = writer(store)

    async def dies() -> list[Any]:
        process.send_signal(signal.SIGSTOP)
        ids = [f"lrn_{n}" for n in range(2, 6)]
        waiting = [asyncio.create_task(store.commit(Writes("default", inserts=(learner(i),)))) for i in ids]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in waiting)
        process.kill()
        return await asyncio.gather(*waiting, return_exceptions=True)

    for outcome in run(dies()):
        assert isinstance(outcome, StorageUnavailable)
        assert "may or may not be stored" in str(outcome)
    assert not is_there(store, "lrn_2")
    add(store, "lrn_2")
    assert is_there(store, "lrn_2")


async def _in_groups(store: Any, ids: list[str]) -> list[asyncio.Task[Any]]:
    """Commits that are handed over in one group after the other: as many as are enough come at a time."""
    tasks: list[asyncio.Task[Any]] = []
    for n in range(0, len(ids), 8):
        some = ids[n : n + 8]
        tasks += [asyncio.create_task(store.commit(Writes("default", inserts=(learner(i),)))) for i in some]
        await asyncio.sleep(0.02)
    return tasks


def test_groups_are_handed_over_ahead_and_a_bad_member_of_one_fails_alone(store: Any) -> None:
    add(store, "lrn_0")
    process = writer(store)
    ids = [f"lrn_{n}" for n in range(1, 41)]
    ids[11] = "lrn_0"  # is there already

    async def ahead() -> tuple[int, list[Any]]:
        process.send_signal(signal.SIGSTOP)
        waiting = await _in_groups(store, ids)
        n = len(store._hand._out)
        assert not any(task.done() for task in waiting)
        process.send_signal(signal.SIGCONT)
        return n, await asyncio.gather(*waiting, return_exceptions=True)

    n, outcomes = run(ahead())
    assert 1 < n <= 3
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)] == [11]
    assert isinstance(outcomes[11], errors.StaleSession)
    assert all(is_there(store, name) for name in ids)


def test_a_death_with_several_groups_on_their_way_is_told_to_all_who_wait(store: Any) -> None:
    add(store, "lrn_0")
    process = writer(store)

    async def dies() -> tuple[int, list[Any]]:
        process.send_signal(signal.SIGSTOP)
        waiting = await _in_groups(store, [f"lrn_{n}" for n in range(1, 17)])
        n = len(store._hand._out)
        process.kill()
        return n, await asyncio.gather(*waiting, return_exceptions=True)

    n, outcomes = run(dies())
    assert n == 2
    assert all("may or may not be stored" in str(outcome) for outcome in outcomes)
    add(store, "lrn_1")
    assert writer(store).pid != process.pid


def test_while_a_group_larger_than_the_line_is_sent_others_wait_for_it(store: Any) -> None:
    add(store, "lrn_0")
    process = writer(store)
    large = StoredRelease("1" * 64, "form", "x", f'"{"x" * 900_000}"', NOW)

    async def together() -> tuple[int, list[Any]]:
        process.send_signal(signal.SIGSTOP)
        first = asyncio.create_task(store.commit(Writes("default", inserts=(large,))))
        await asyncio.sleep(0.05)
        waiting = await _in_groups(store, [f"lrn_{n}" for n in range(1, 17)])
        n = len(store._hand._out)
        process.send_signal(signal.SIGCONT)
        return n, await asyncio.gather(first, *waiting, return_exceptions=True)

    n, outcomes = run(together())
    assert n == 1
    assert not [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert run(store.read(reading.release, large.sha256)) == large
    assert is_there(store, "lrn_16")


def test_a_line_that_breaks_while_a_group_is_sent_is_told_to_all_who_wait(store: Any) -> None:
    add(store, "lrn_0")
    process = writer(store)

    async def breaks() -> list[Any]:
        process.send_signal(signal.SIGSTOP)
        waiting = await _in_groups(store, [f"lrn_{n}" for n in range(1, 9)])
        line = store._hand._begun[1]
        line.shutdown(socket.SHUT_WR)  # what is sent now is refused, and the process lives
        waiting += await _in_groups(store, [f"lrn_{n}" for n in range(9, 17)])
        return await asyncio.gather(*waiting, return_exceptions=True)

    for outcome in run(breaks()):
        assert "may or may not be stored" in str(outcome)
    process.wait(10)
    add(store, "lrn_1")


def test_a_large_group_that_no_thread_can_send_is_told_and_the_next_is_stored(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the answers to later groups would be taken for those of earlier ones."""
    add(store, "lrn_0")
    large = StoredRelease("1" * 64, "form", "x", f'"{"x" * 900_000}"', NOW)

    def none_left(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("assess.delivery.store.apart.threading.Thread.start", none_left)
        with pytest.raises(StorageUnavailable, match="may or may not be stored"):
            run(store.commit(Writes("default", inserts=(large,))))
    assert not store._hand._out
    add(store, "lrn_1")
    assert is_there(store, "lrn_1")


def test_a_loop_that_ends_while_its_group_is_written_holds_nobody_up(store: Store) -> None:
    add(store, "lrn_1")
    process = writer(store)

    async def gives_up() -> None:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(store.commit(Writes("default", inserts=(learner("lrn_2"),))), 0.2)

    run(gives_up())
    process.send_signal(signal.SIGCONT)
    add(store, "lrn_3")
    assert [is_there(store, name) for name in ("lrn_2", "lrn_3")] == [True, True]


def test_what_waits_when_the_store_closes_is_stored(both_settings: Settings) -> None:
    apart = replace(both_settings, write_apart=True)

    async def closes() -> list[Any]:
        store = open_store(apart)
        ids = [f"lrn_{n}" for n in range(300)]
        waiting = [asyncio.create_task(store.commit(Writes("default", inserts=(learner(i),)))) for i in ids]
        await asyncio.sleep(0)
        store.close()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert not [outcome for outcome in run(closes()) if isinstance(outcome, BaseException)]
    again = open_store(both_settings)
    try:
        assert is_there(again, "lrn_299")
    finally:
        again.close()


@pytest.mark.parametrize("apart", [False, True])
def test_a_postgresql_that_reads_slowly_gets_a_large_group_all_the_same(pg_url: str, apart: bool) -> None:
    """The driver's pipeline once waited for ever for the result of a statement that was not all sent."""
    store: Any = open_store(Settings(database_url=pg_url, write_apart=apart))
    try:
        add(store, "lrn_1")
        backends = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT'"
        pids = run(store.read(lambda connection: connection.exec_driver_sql(backends).scalars().all()))
        assert pids
        names = " ".join(map(str, pids))
        # Another process lets it go on: whoever sends may hold this one's lock.
        large = StoredRelease("1" * 64, "form", "x", f'"{"x" * 4_000_000}"', NOW)
        slowly = f"kill -STOP {names}; echo; sleep 0.5; kill -CONT {names}"
        with subprocess.Popen(["sh", "-c", slowly], stdout=subprocess.PIPE) as slow:
            assert slow.stdout is not None
            slow.stdout.readline()
            run(asyncio.wait_for(store.commit(Writes("default", inserts=(large,))), 30))
        assert run(store.read(reading.release, large.sha256)) == large
    finally:
        store.close()


# --- the server's own death --------------------------------------------------------------

_HOLDS = """
import asyncio, sys, time
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store
from tests.delivery.store.test_stores import learner
store = open_store(Settings(database_url=sys.argv[1], write_apart=True))
asyncio.run(store.commit(Writes("default", inserts=(learner("lrn_1"),))))
print(store._hand._begun[0].pid, flush=True)
time.sleep(600)
"""


def test_the_file_is_free_as_soon_as_a_killed_server_and_its_writer_are_gone(tmp_path: Path) -> None:
    found = world_settings(tmp_path)
    command = [sys.executable, "-c", _HOLDS, found.database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        os.kill(pid, signal.SIGSTOP)  # in the midst of whatever it does
        server.kill()
        server.wait()
        with pytest.raises(errors.StoreLocked):
            open_store(found)
        os.kill(pid, signal.SIGCONT)
        store = open_store(found)
    try:
        assert is_there(store, "lrn_1")
    finally:
        store.close()
    _until(lambda: not _lives(pid), 10)


_WAITS = """
import asyncio, sys
from assess.delivery.settings import Settings
from assess.delivery.store import Writes, open_store
from assess.delivery.store.rows import Learner, Update
store = open_store(Settings(database_url=sys.argv[1], write_apart=True))
print(store._hand._begun[0].pid, flush=True)
update = Update(Learner, {"tenant": "default", "id": "lrn_1"}, {"version": 2})
asyncio.run(store.commit(Writes("default", (update,))))
"""


def test_a_writer_that_waits_for_a_lock_does_not_outlive_its_server_for_long(pg_url: str) -> None:
    """What it has locked itself would else stay locked for as long as the other one lives."""
    store = open_store(Settings(database_url=pg_url))
    engine = create_engine(pg_url)
    try:
        add(store, "lrn_1")
        with engine.begin() as other:
            other.exec_driver_sql("UPDATE learners SET version = 9 WHERE id = 'lrn_1'")
            command = [sys.executable, "-c", _WAITS, pg_url]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                assert server.stdout is not None
                pid = int(server.stdout.readline())
                waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                _until(lambda: run(store.read(lambda c: c.exec_driver_sql(waits).scalar())) == 1, 30)
                server.kill()
            time.sleep(1)
            assert _lives(pid)
            _until(lambda: not _lives(pid), 20)
    finally:
        engine.dispose()
        store.close()


def _until(true: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    # Whoever adopted it may not have asked for its end yet.
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
