"""Group commit: what waits while a commit runs is committed together, by one thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from assess.delivery.store.rows import Committed, Writes
from assess.errors import AssessError, StorageUnavailable

LARGEST_GROUP = 128
Outcome = Committed | AssessError


def refused(fault: Exception) -> AssessError:
    """What those who wait hear of a fault of the database."""
    if isinstance(fault, AssessError):
        return fault
    refusal = StorageUnavailable(f"the database refused the write ({fault})")
    refusal.__cause__ = fault
    return refusal


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Writes that wait, and who waits for them."""

    writes: Writes
    future: asyncio.Future[Committed]
    loop: asyncio.AbstractEventLoop


class GroupCommit:
    """The writing half of a store: one thread takes all that waits and makes it durable at once.

    Who inherits says how a group is written (`_write_group`) and calls
    `_start_writing` when it is ready, `_stop_writing` when it closes.
    """

    _writing_closed = True

    def _start_writing(self) -> None:
        self._watchers: list[Callable[[Writes], None]] = []
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="store-write", daemon=True)
        self._writing_closed = False
        self._writer.start()

    def _stop_writing(self) -> None:
        """Finish what was handed over."""
        if not self._writing_closed:
            self._writing_closed = True
            self._waiting.put(None)
            self._writer.join()

    def watch(self, watcher: Callable[[Writes], None]) -> None:
        """Tell somebody of all writes, stored or refused, before those who wait for them hear of it."""
        self._watchers.append(watcher)

    def _write_group(self, group: list[Writes]) -> list[Outcome]:
        """Make the members durable; what became of each."""
        raise NotImplementedError

    def _forget_connection(self) -> None:
        """The writing failed as a whole: begin the next group on a new connection."""
        raise NotImplementedError

    async def commit(self, writes: Writes) -> Committed:
        """Make all of the writes durable, or none; returns only then.

        Raises
        ------
        StaleSession
            Something else was stored first.
        StorageUnavailable
            The database did not take it.
        """
        if self._writing_closed:
            raise StorageUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        # A client that hangs up cancels its waiting, not the write that is on its way.
        future: asyncio.Future[Committed] = loop.create_future()
        self._waiting.put(Job(writes, future, loop))
        return await future

    # --- the writing thread ----------------------------------------------------

    def _write(self) -> None:
        running = True
        while running:
            group, running = self._next_group()
            if not group:
                continue
            try:
                outcomes = self._write_group([job.writes for job in group])
            except Exception as fault:  # noqa: BLE001 - whatever it was, those who wait must hear of it
                outcomes = [refused(fault)] * len(group)
                self._forget_connection()
            # Only here is it on the disk; before this line nobody may hear "stored".
            for loop in {job.loop for job in group}:
                mine = [
                    (job, outcome)
                    for job, outcome in zip(group, outcomes, strict=True)
                    if job.loop is loop
                ]
                # A loop that has ended has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._settle, mine)

    def _next_group(self) -> tuple[list[Job], bool]:
        """The jobs that wait, at least one; and whether more may come."""
        group: list[Job] = []
        job = self._waiting.get()
        while job is not None:
            group.append(job)
            if len(group) == LARGEST_GROUP:
                return group, True
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

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
