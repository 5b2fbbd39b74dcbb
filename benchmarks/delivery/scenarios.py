"""What learners do: at full speed, with time to think, in an exam, for a long time."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from client import Broken, Connection
from machinery import Server

_numbers = itertools.count(1)


@dataclass
class Times:
    """Seconds of every request of one kind, and how many failed."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    said: dict[str, int] = field(default_factory=dict)

    def quantile(self, share: float) -> float:
        """A quantile in milliseconds."""
        ordered = sorted(self.seconds)
        if not ordered:
            return float("nan")
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def fail(self, what: str) -> None:
        self.errors += 1
        self.said[what] = self.said.get(what, 0) + 1


class Choice(msgspec.Struct):
    """An option or a target of an item."""

    id: str


class Item(msgspec.Struct):
    """What a learner needs of an item to answer it."""

    id: str
    type: str
    options: list[Choice] | None = None
    targets: list[Choice] | None = None


class Current(msgspec.Struct):
    """The item that waits for an answer."""

    position: int
    revision: int
    item: Item
    n_items: int | None = None


class Told(msgspec.Struct):
    """What a learner needs of the reply to a begin or an answer; the rest is passed over."""

    session: str = ""
    token: str = ""
    current: Current | None = None
    finished: bool = False


_told = msgspec.json.Decoder(Told)


@dataclass
class Learner:
    """One learner with a connection, a session, and the item that waits."""

    wire: Connection
    session: str = ""
    token: str = ""
    current: Current | None = None
    finished: bool = False

    async def _asked(self, times: Times, expected: int, *request: Any, **options: Any) -> bytes | None:
        """The reply to a request that is timed; None, and an error counted, for any other status or none."""
        try:
            status, reply, seconds = await self.wire.ask(*request, **options)
        except (Broken, TimeoutError) as fault:
            times.fail(type(fault).__name__)
            return None
        if status != expected:
            times.fail(f"{status} {reply[:200]!r}")
            return None
        times.seconds.append(seconds)
        return reply

    async def make(self, id: str, times: Times) -> None:
        """Be known; not timed, for a roster is there before an exam."""
        if await self._asked(Times(), 201, "PUT", f"/v1/learners/{id}", {}) is None:
            times.fail("the learner was not made")

    async def begin(self, id: str, form: str, times: Times) -> None:
        """Begin as a learner who is known."""
        body = {"learner": id, "form": form}
        reply = await self._asked(times, 201, "POST", "/v1/sessions", body, key=id)
        if reply is not None:
            begun = _told.decode(reply)
            self.session, self.token, self.current = begun.session, begun.token, begun.current

    async def answer(self, times: Times) -> None:
        """Answer the item that waits."""
        current = self.current
        assert current is not None
        item = current.item
        options, targets = item.options or (), item.targets or ()
        raw: Any = "b"
        if item.type in ("multiple_response", "ordering"):
            raw = [option.id for option in options]
        elif item.type == "matching":
            raw = {option.id: targets[0].id for option in options}
        elif item.type == "numeric":
            raw = "1"
        elif item.type == "single_choice":
            raw = options[0].id
        body = {"position": current.position, "item": item.id, "revision": current.revision, "answer": raw}
        path, key = f"/v1/sessions/{self.session}/responses", f"{self.session}-{current.position}"
        reply = await self._asked(times, 200, "POST", path, body, key=key, token=self.token)
        if reply is not None:
            told = _told.decode(reply)
            self.current, self.finished = told.current, told.finished

    async def submit(self, times: Times) -> None:
        """Hand in."""
        path = f"/v1/sessions/{self.session}/submit"
        self.finished = await self._asked(times, 200, "POST", path, token=self.token) is not None


async def _all(jobs: list[Awaitable[None]]) -> None:
    await asyncio.gather(*jobs)


async def begun(wires: list[Connection], n: int, form: str, times: Times) -> list[Learner]:
    """Sessions that have begun, made over a few connections."""
    made: list[Learner] = []

    async def make(wire: Connection, share: int) -> None:
        for _ in range(share):
            learner, who = Learner(wire), f"lrn_{next(_numbers)}"
            await learner.make(who, times)
            await learner.begin(who, form, times)
            if learner.session:
                made.append(learner)

    share = -(-n // len(wires))
    await _all([make(wire, share) for wire in wires])
    return made


# --- full speed ------------------------------------------------------------------


@dataclass
class Saturation:
    """Requests per second and their times with every connection always busy."""

    times: Times
    rate: float
    server_busy: float
    client_busy: float


async def _saturate(
    server: Server, jobs: list[Callable[[float], Awaitable[None]]], seconds: float
) -> tuple[float, float, float]:
    """Run until the time is over; seconds, and the shares of a processor that server and client took."""
    started, used, own = time.perf_counter(), server.processor_seconds(), time.process_time()
    await _all([job(started + seconds) for job in jobs])
    spent = time.perf_counter() - started
    return spent, (server.processor_seconds() - used) / spent, (time.process_time() - own) / spent


async def hello_saturation(server: Server, connections: int, seconds: float) -> Saturation:
    """Hello-world with every connection busy."""
    times = Times()

    async def run(until: float) -> None:
        wire = Connection(server.port)
        while time.perf_counter() < until:
            _, _, taken = await wire.ask("GET", "/")
            times.seconds.append(taken)
        wire.close()

    spent, busy, own = await _saturate(server, [run] * connections, seconds)
    return Saturation(times, len(times.seconds) / spent, busy, own)


async def answer_saturation(
    server: Server, connections: int, seconds: float, form: str, n_sessions: int
) -> Saturation:
    """The answer route with every connection busy; each goes from session to session.

    A session is left before its last answer: what its end costs is measured by the exam.
    """
    times, starts = Times(), Times()
    wires = [Connection(server.port, server.key) for _ in range(connections)]
    learners = await begun(wires[:8], n_sessions, form, starts)
    if starts.errors:
        raise SystemExit(f"sessions could not begin: {starts.said}")
    pool = iter(learners)

    def job(wire: Connection) -> Callable[[float], Awaitable[None]]:
        async def run(until: float) -> None:
            for learner in pool:
                learner.wire = wire
                while learner.current is not None and time.perf_counter() < until:
                    if learner.current.position >= (learner.current.n_items or 12):
                        break
                    await learner.answer(times)
                    if times.errors > 100:
                        return
                if time.perf_counter() >= until:
                    return

        return run

    spent, busy, own = await _saturate(server, [job(wire) for wire in wires], seconds)
    if next(pool, None) is None:
        raise SystemExit(f"{n_sessions} sessions were used up within {spent:.1f} s: begin more")
    for wire in wires:
        wire.close()
    return Saturation(times, len(times.seconds) / spent, busy, own)


# --- with time to think ------------------------------------------------------------


async def thinkers(server: Server, n: int, think: float, seconds: float, form: str) -> Times:
    """Learners who think between answers, each on a connection of their own; spread evenly over time."""
    starts, times, rng = Times(), Times(), random.Random(4)
    wires = [Connection(server.port, server.key) for _ in range(n)]
    learners = await begun(wires[:16], n, form, starts)
    if starts.errors:
        raise SystemExit(f"sessions could not begin: {starts.said}")
    until = time.perf_counter() + seconds

    async def run(learner: Learner, wire: Connection) -> None:
        learner.wire = wire
        await asyncio.sleep(rng.uniform(0, think))
        while time.perf_counter() < until and learner.current is not None:
            await learner.answer(times)
            await asyncio.sleep(rng.uniform(0.5 * think, 1.5 * think))

    await _all([run(learner, wire) for learner, wire in zip(learners, wires, strict=False)])
    for wire in wires:
        wire.close()
    return times


async def hello_thinkers(server: Server, n: int, think: float, seconds: float) -> Times:
    """Hello-world at the same pace."""
    times, rng = Times(), random.Random(4)
    until = time.perf_counter() + seconds

    async def run() -> None:
        wire = Connection(server.port)
        await asyncio.sleep(rng.uniform(0, think))
        while time.perf_counter() < until:
            times.seconds.append((await wire.ask("GET", "/"))[2])
            await asyncio.sleep(rng.uniform(0.5 * think, 1.5 * think))
        wire.close()

    await _all([run() for _ in range(n)])
    return times


# --- an exam ------------------------------------------------------------------------


@dataclass
class Exam:
    """Times of the three acts of an exam, and the shares of a processor that server and client took."""

    starts: Times
    answers: Times
    submits: Times
    server_busy: float = 0.0
    client_busy: float = 0.0


async def exam(
    server: Server, n: int, n_items: int, think: tuple[float, float], form: str, *, wave: int = 500
) -> Exam:
    """`wave` learners begin in each 10 s; all answer; then `wave` hand in within each 5 s."""
    found, rng = Exam(Times(), Times(), Times()), random.Random(5)

    async def make(some: list[Learner], theirs: list[str]) -> None:
        for learner, who in zip(some, theirs, strict=True):
            await learner.make(who, found.starts)

    learners = [Learner(Connection(server.port, server.key)) for _ in range(n)]
    ids = [f"lrn_{next(_numbers)}" for _ in learners]
    await _all([make(learners[k::8], ids[k::8]) for k in range(8)])
    began, used, own = time.perf_counter(), server.processor_seconds(), time.process_time()

    async def sit(number: int, learner: Learner) -> None:
        await asyncio.sleep(number * 10.0 / wave)
        await learner.begin(ids[number], form, found.starts)
        for _ in range(n_items):
            if learner.current is None:
                break
            await asyncio.sleep(rng.uniform(*think))
            await learner.answer(found.answers)

    async def hand_in(number: int, learner: Learner) -> None:
        await asyncio.sleep(number * 5.0 / wave)
        if learner.session:
            await learner.submit(found.submits)

    await _all([sit(number, learner) for number, learner in enumerate(learners)])
    await _all([hand_in(number, learner) for number, learner in enumerate(learners)])
    spent = time.perf_counter() - began
    found.server_busy = (server.processor_seconds() - used) / spent
    found.client_busy = (time.process_time() - own) / spent
    for learner in learners:
        learner.wire.close()
    return found


# --- for a long time -------------------------------------------------------------------


@dataclass
class Soak:
    """Memory over time, in MB, one sample a second, and the answers."""

    answers: Times
    memory: list[float]

    def growth(self) -> float:
        """Last tenth over the tenth after warm-up (a quarter of the time), less one."""
        n = len(self.memory)
        tenth = max(1, n // 10)
        warm, last = self.memory[n // 4 : n // 4 + tenth], self.memory[-tenth:]
        return (sum(last) / len(last)) / (sum(warm) / len(warm)) - 1


async def soak(server: Server, rate: float, seconds: float, form: str) -> Soak:
    """Answers at a steady rate: learners begin, answer everything, hand in, and others come."""
    found = Soak(Times(), [])
    until = time.perf_counter() + seconds
    n, others = 50, Times()

    async def sit(number: int) -> None:
        await asyncio.sleep(number / rate)
        wire = Connection(server.port, server.key)
        due = time.perf_counter()
        while time.perf_counter() < until:
            learner, who = Learner(wire), f"lrn_{next(_numbers)}"
            await learner.make(who, others)
            await learner.begin(who, form, others)
            while learner.current is not None and time.perf_counter() < until:
                await learner.answer(found.answers)
                due += n / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if learner.session and not learner.finished:
                await learner.submit(others)
        wire.close()

    async def watch() -> None:
        while time.perf_counter() < until:
            found.memory.append(server.memory_mb())
            await asyncio.sleep(1)

    await _all([watch(), *(sit(number) for number in range(n))])
    found.answers.errors += others.errors
    found.answers.said |= others.said
    return found
