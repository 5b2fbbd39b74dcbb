"""Group commit: what waits while a commit runs is committed together, by one thread."""

from __future__ import annotations

import asyncio
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from assess.delivery.store.rows import Committed, Writes
from assess.errors import AssessError, StorageUnavailable

LARGEST_GROUP = 128
_GATHERING_SECONDS = 0.004
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


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Writes that wait, and who waits for them."""

    writes: Writes
    future: asyncio.Future[Committed]
    loop: asyncio.AbstractEventLoop


class GroupCommit(ABC):
    """The writing half of a store: one thread takes all that waits and makes it durable at once.

    A group is handed over when the event loop has nothing more to add to it,
    or `_GATHERING_SECONDS` after its first member came: a handful of answers in
    one commit cost little more than one of them.

    Who inherits says how a group is written (`_write_group`), calls
    `_start_writing` when it is ready, and `_stop_writing` when it closes.
    """

    _writing_closed = True

    def _start_writing(self) -> None:
        self._watchers: list[Callable[[Writes], None]] = []
        self._lock_waiting = threading.Lock()
        self._waiting: list[Job] = []
        self._gathering = False
        self._busy = False
        self._groups: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._writing_closed = False
        self._writer.start()

    def _stop_writing(self) -> None:
        """Finish what was handed over."""
        if not self._writing_closed:
            with self._lock_waiting:
                self._writing_closed = True
                left, self._waiting = self._waiting, []
            self._groups.put(left)
            self._groups.put(None)
            self._writer.join()

    def watch(self, watcher: Callable[[Writes], None]) -> None:
        """Tell somebody of all writes, stored or refused, before those who wait for them hear of it."""
        self._watchers.append(watcher)

    @abstractmethod
    def _write_group(self, group: list[Writes]) -> list[Outcome]:
        """Make the members durable; what became of each."""

    @abstractmethod
    def _forget_connection(self) -> None:
        """The writing failed as a whole: begin the next group on a new connection."""

    @abstractmethod
    def _rest(self) -> None:
        """Nobody waits at this moment: what has to be done now and then is done best here."""

    async def commit(self, writes: Writes) -> Committed:
        """Make all of the writes durable, or none; returns only then.

        Raises
        ------
        StaleSession
            Something else was stored first.
        StorageUnavailable
            The database did not take it.
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
            more = seen < n < LARGEST_GROUP and loop.time() - since < _GATHERING_SECONDS
            if not more:
                self._gathering = False
                if self._busy or not n:
                    return  # the writer asks again when its group is stored
                self._busy = True
                group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
        if more:
            loop.call_soon(self._gather, loop, n, since)
        else:
            self._groups.put(group)

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

    # --- the writing thread ----------------------------------------------------

    def _write(self) -> None:
        while (group := self._groups.get()) is not None:
            if not group:
                continue
            try:
                outcomes = self._write_group([job.writes for job in group])
            except Exception as fault:  # noqa: BLE001 - whatever it was, those who wait must hear of it
                outcomes = [refused(fault)] * len(group)
                self._forget_connection()
            # Only here is it on the disk; before this line nobody may hear "stored".
            for loop in {job.loop for job in group}:
                pairs = zip(group, outcomes, strict=True)
                _call(loop, self._settle, [(job, outcome) for job, outcome in pairs if job.loop is loop])
            if not self._waiting:
                self._rest()
            self._ask_again()

    def _ask_again(self) -> None:
        """What came in the meantime is the next group."""
        with self._lock_waiting:
            self._busy = False
            if self._gathering:
                return
            for job in self._waiting:
                if _call(job.loop, self._gather, job.loop, 0, 0.0):
                    self._gathering = True
                    return
            self._waiting.clear()  # nobody is left who waits


def _call(loop: asyncio.AbstractEventLoop, *callback: Any) -> bool:
    """Whether the loop could be told; one that has ended has nobody left who waits."""
    try:
        loop.call_soon_threadsafe(*callback)
    except RuntimeError:
        return False
    return True
