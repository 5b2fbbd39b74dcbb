"""Group commit: what comes while a commit runs is committed together.

The loop hands writes over in small groups, a few of them ahead of the writer, and the
writer makes durable together all that has come: neither waits for the other for long.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection, Engine

from assess.delivery.store.rows import Committed, Writes
from assess.errors import AssessError, StorageUnavailable
from assess.session.records import record

LARGEST_GROUP = 128
_GATHERING_SECONDS = 0.004
# What is handed over at once; fewer are, when nothing is on its way.
_ENOUGH = 8
_ON_THEIR_WAY = 3
Outcome = Committed | AssessError


def said(fault: BaseException) -> str:
    """What a database says without the values: PostgreSQL's details quote the row, and rows are answers."""
    origin = getattr(fault, "orig", None) or fault
    diagnosis = getattr(origin, "diag", None)
    primary = getattr(diagnosis, "message_primary", None)
    return str(primary or str(origin).partition("\n")[0])


def refused(fault: Exception) -> AssessError:
    """What those who wait hear of a fault of the database."""
    if isinstance(fault, AssessError):
        return fault
    refusal = StorageUnavailable(f"the database refused the write ({said(fault)})")
    refusal.__cause__ = fault
    return refusal


class Writer(Protocol):
    """Who makes groups durable, one commit at a time: a thread of this process, or a process of its own."""

    def write(self, group: list[Writes]) -> list[Outcome]:
        """Make the members durable; what became of each."""
        ...

    def forget(self) -> None:
        """The writing failed as a whole: begin the next group on a new connection."""
        ...

    def rest(self) -> None:
        """Nobody waits at this moment: what has to be done now and then is done best here."""
        ...

    def close(self) -> None:
        """Let the database go."""
        ...


class KeptConnection:
    """What writers share: one connection, which is kept from group to group."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def forget(self) -> None:
        """Begin the next group on a new connection."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        """Let the database go."""
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


def outcomes_of(writer: Writer, group: list[Writes]) -> list[Outcome]:
    """What became of the members, whatever happened."""
    try:
        return writer.write(group)
    except Exception as fault:  # noqa: BLE001 - whatever it was, those who wait must hear of it
        writer.forget()
        return [refused(fault)] * len(group)


def written(writer: Writer, groups: Sequence[list[Writes]]) -> list[list[Outcome]]:
    """What became of the members of groups that are made durable together."""
    outcomes = iter(outcomes_of(writer, [writes for group in groups for writes in group]))
    return [list(islice(outcomes, len(group))) for group in groups]


Done = Callable[[list[Outcome]], bool]
"""Takes what became of a group that was given away, on any thread; whether others wait by now."""


class Hand(Protocol):
    """Carries groups to their writer, in order, and back what became of them."""

    def is_free(self) -> bool:
        """Whether a group can be given although others are on their way."""
        ...

    def give(self, group: list[Writes], loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """Have a group written; called on the loop, which does not wait for it."""
        ...

    def finish(self) -> None:
        """The loop that gave groups has ended: see to it that each `done` is called all the same."""
        ...

    def close(self, group: list[Writes], done: Done) -> None:
        """Finish what was given, have one more group written, and let the database go."""
        ...


class Threaded:
    """A hand that writes by a thread of this process."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._given: queue.SimpleQueue[tuple[list[Writes], Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._thread.start()

    def is_free(self) -> bool:
        """Always: what is given waits in a queue."""
        return True

    def give(self, group: list[Writes], loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """Have a group written."""
        self._given.put((group, done))

    def finish(self) -> None:
        """The thread calls `done` whether or not the loop runs."""

    def close(self, group: list[Writes], done: Done) -> None:
        """Finish what was given, have one more group written, and let the database go."""
        if group:
            self._given.put((group, done))
        self._given.put(None)
        self._thread.join()
        self._writer.close()

    def _write(self) -> None:
        while (given := self._given.get()) is not None:
            together = [given]
            # Who closes waits for the thread, and gives nothing after the last.
            while sum(len(group) for group, _ in together) < LARGEST_GROUP and not self._given.empty():
                if (given := self._given.get()) is None:
                    self._given.put(None)
                    break
                together.append(given)
            outcomes = written(self._writer, [group for group, _ in together])
            wanted = [done(found) for (_, done), found in zip(together, outcomes, strict=True)]
            if not any(wanted):
                self._writer.rest()


@record
class Job:
    """Writes that wait, and who waits for them."""

    writes: Writes
    future: asyncio.Future[Committed]
    loop: asyncio.AbstractEventLoop


class GroupCommit:
    """The writing half of a store: all that waits is made durable at once.

    A group is handed over when `_ENOUGH` wait, when the event loop has nothing more
    to add to it, or `_GATHERING_SECONDS` after its first member came: a handful of
    answers in one commit cost little more than one of them. While others are on
    their way, fewer than `_ENOUGH` wait for one of them to arrive.

    Who inherits calls `_start_writing` when it is ready, and `_stop_writing` when it closes.
    """

    _writing_closed = True

    def _start_writing(self, hand: Hand) -> None:
        self._hand = hand
        self._watchers: list[Callable[[Writes], None]] = []
        self._lock_waiting = threading.Lock()
        self._waiting: list[Job] = []
        self._gathering = False
        self._on_their_way: deque[float] = deque()  # since when each group is
        self._giver: asyncio.AbstractEventLoop | None = None  # whose groups these are
        self._writing_closed = False

    def _stop_writing(self) -> None:
        """Finish what was handed over."""
        if not self._writing_closed:
            with self._lock_waiting:
                self._writing_closed = True
                left, self._waiting = self._waiting, []
                if left:
                    self._on_their_way.append(time.monotonic())
            self._hand.close([job.writes for job in left], partial(self._done, left))

    def watch(self, watcher: Callable[[Writes], None]) -> None:
        """Tell somebody of all writes, stored or refused, before those who wait for them hear of it."""
        self._watchers.append(watcher)

    def standstill(self) -> float:
        """For how many seconds the oldest group has been on its way; 0 when none is."""
        with self._lock_waiting:
            return time.monotonic() - self._on_their_way[0] if self._on_their_way else 0.0

    async def commit(self, writes: Writes) -> Committed:
        """Make all of the writes durable, or none; returns only then.

        Raises
        ------
        StaleSession
            Something else was stored first.
        StorageUnavailable
            The database did not take it; an `OutcomeUnknown` says that it may have.
        """
        loop = asyncio.get_running_loop()
        # A client that hangs up cancels its waiting, not the write that is on its way.
        future: asyncio.Future[Committed] = loop.create_future()
        with self._lock_waiting:
            if self._writing_closed:
                raise StorageUnavailable("the store is closed")
            self._waiting.append(Job(writes, future, loop))
            begins, self._gathering = not self._gathering, True
        if begins:
            loop.call_soon(self._gather, loop, 0, loop.time())
        return await future

    # --- on the event loop -------------------------------------------------------

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int, since: float) -> None:
        with self._lock_waiting:
            n = len(self._waiting)
            more = seen < n < _ENOUGH and loop.time() - since < _GATHERING_SECONDS
            group: list[Job] = []
            giver = self._giver
            if not more:
                self._gathering = False
                if n and self._may_give(n, loop):
                    self._on_their_way.append(time.monotonic())
                    self._giver = loop
                    group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
        if more:
            loop.call_soon(self._gather, loop, n, since)
        elif group:
            done = partial(self._done, group)
            try:
                self._hand.give([job.writes for job in group], loop, done)
            except Exception as fault:  # noqa: BLE001 - as above; nothing was given
                done([refused(fault)] * len(group))
        elif giver is not None and giver.is_closed():
            # That loop hears of nothing, and what waits here is gathered again when its groups are stored.
            self._hand.finish()

    def _may_give(self, n: int, loop: asyncio.AbstractEventLoop) -> bool:
        if not self._on_their_way:
            return True
        ahead = self._giver is loop and len(self._on_their_way) < _ON_THEIR_WAY
        return ahead and n >= _ENOUGH and self._hand.is_free()

    def _settle(self, settled: list[tuple[Job, Outcome]]) -> None:
        for job, outcome in settled:
            for watcher in self._watchers:
                watcher(job.writes)
            if job.future.done():
                continue
            if isinstance(outcome, Committed):
                job.future.set_result(outcome)
            else:
                job.future.set_exception(outcome)

    # --- wherever the hand was ---------------------------------------------------

    def _done(self, group: list[Job], outcomes: list[Outcome]) -> bool:
        # Only here is it on the disk; before this line nobody may hear "stored".
        for loop in {job.loop for job in group}:
            pairs = zip(group, outcomes, strict=True)
            _call(loop, self._settle, [(job, outcome) for job, outcome in pairs if job.loop is loop])
        return self._ask_again()

    def _ask_again(self) -> bool:
        """What came in the meantime is the next group; whether anything did."""
        with self._lock_waiting:
            self._on_their_way.popleft()
            if not self._on_their_way:
                self._giver = None
            if self._gathering:
                return True
            for job in self._waiting:
                if _call(job.loop, self._gather, job.loop, 0, 0.0):
                    self._gathering = True
                    return True
            self._waiting.clear()  # nobody is left who waits
            return False


def _call(loop: asyncio.AbstractEventLoop, *callback: Any) -> bool:
    """Whether the loop could be told; one that has ended has nobody left who waits."""
    try:
        if asyncio._get_running_loop() is loop:
            loop.call_soon(*callback)  # without the system call that wakes another thread's loop
        else:
            loop.call_soon_threadsafe(*callback)
    except RuntimeError:
        return False
    return True
