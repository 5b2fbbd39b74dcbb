"""How fast eligibility is told, and a new rule judged over everybody.

    python benchmarks/eligibility.py                      requests, and 20,000 learners judged; some minutes
    python benchmarks/eligibility.py --judged 1000000     the back-fill at its full size
    python benchmarks/eligibility.py --only back-fill --database postgres
    python benchmarks/eligibility.py --only requests --kept seeded      what is entered once is used again

Who is asked for has six sessions with their decisions, thirty facts and a
feed, and all the badges of the programmes that ship are live. Requests come at
a fixed rate, whether or not the ones before are answered. Other jobs on the
machine move every time; processor time per request hardly moves. The tables at
the end go into docs/badges.md as they are.

Who is judged is as `delivery/crowd.py` says. The work is done by `assess work`,
which is killed with half of the learners judged, and started again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "delivery"))

from client import Connection
from crowd import BUSY, name, populate
from machinery import BANKS, Server, database, hello, ours, prepare
from scenarios import Times

PROGRAMMES = ("microsoft-educator-network", "microsoft-educator-center", "piln", "pdln", "mps")
TARGETS = {"one badge": 20.0, "all badges": 100.0}


def fill(url: str, n: int) -> None:
    """Make the programmes live and so many learners known, and do the work that this enters."""
    from assess.cli.running import find_document
    from assess.delivery.jobs import worker
    from assess.delivery.service import activations, keys, open_services
    from assess.delivery.settings import Settings

    async def run() -> None:
        services = await open_services(Settings(database_url=url))
        try:
            scope = keys.local("default", "benchmark")
            for programme in PROGRAMMES:
                document = find_document(BANKS, programme)
                await activations.activate(services, scope, document=document, reason="to measure")
            populate(url, n, release_of(url), BUSY)
            # What activations and new learners left to do would else be done while we measure.
            working = worker(services)
            await working.prepare()
            while await working.work():
                pass
        finally:
            services.store.close()

    asyncio.run(run())


@contextlib.contextmanager
def seeded(options: argparse.Namespace, kind: str) -> Iterator[tuple[str, str]]:
    """A database with the learners in it, and a key; made anew, or as it was kept in a folder."""
    kept = options.kept and options.kept / f"{kind}-{options.learners}"
    said = kept and kept / "key"
    if kept and not said.exists():
        shutil.rmtree(kept, ignore_errors=True)  # it was cut off
    with database(kind, kept) as url:
        if kept and said.exists():
            yield url, said.read_text()
            return
        begun = time.perf_counter()
        key = prepare(url)
        fill(url, options.learners)
        print(f"{kind}: {options.learners} entered in {time.perf_counter() - begun:.0f} s", flush=True)
        if said:
            said.write_text(key)
        yield url, key


# --- requests at a fixed rate ------------------------------------------------------------


async def ask(server: Server, paths: list[str], rate: float, seconds: float, tags: list[str]) -> Times:
    """Requests at a fixed rate over a few dozen connections; each waits from when it was due."""
    times, n = Times(), int(rate * seconds)
    wanted = 304 if tags else 200
    idle = [Connection(server.port, server.key) for _ in range(64)]
    gate, started = asyncio.Semaphore(len(idle)), time.perf_counter()

    async def one(number: int) -> None:
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        async with gate:
            wire = idle.pop()
            place = number % len(paths)
            tag = tags[place] if tags else ""
            try:
                status, _, _ = await wire.ask("GET", paths[place], tag=tag)
            except (TimeoutError, OSError) as fault:
                times.fail(type(fault).__name__)
                wire.close()
                wire = Connection(server.port, server.key)
            else:
                if status != wanted:
                    times.fail(str(status))
            times.seconds.append(time.perf_counter() - due)
            idle.append(wire)

    await asyncio.gather(*(one(number) for number in range(n)))
    return times


def requests(options: argparse.Namespace, kind: str) -> list[str]:
    """One badge, and all badges of a learner, beside hello-world at the same rate; rows of a table."""
    rng = random.Random(1)
    with hello() as server:
        plain = measured(server, ["/"], options.rate, options.seconds / 2)
    rows = [plain.row(f"nothing (hello-world), {options.rate:.0f}/s")]
    with seeded(options, kind) as (url, key), ours(url, key) as server:
        for what, ending in (("one badge", "/TWT"), ("all badges", "")):
            n_others = int(options.rate * options.seconds / 2)
            some = rng.sample(range(options.learners), options.pool + n_others)
            paths = [f"/v1/learners/{name(number)}/badges{ending}" for number in some]
            known, others = paths[: options.pool], paths[options.pool :]
            again = f"{what}, {options.pool} learners again and again"
            tags = asyncio.run(tags_of(server, known))
            for said, asked, seconds, heads in (
                (again, known, options.seconds, []),
                (f"{again}, with their ETags", known, options.seconds, tags),
                (f"{what}, other learners every time", others, options.seconds / 2, []),
            ):
                found = measured(server, asked, options.rate, seconds, heads)
                rows.append(found.row(f"{kind}, {said}, {options.rate:.0f}/s", TARGETS[what]))
                print(rows[-1], flush=True)
    return rows


async def tags_of(server: Server, paths: list[str]) -> list[str]:
    """The ETag of each answer; whoever was asked for here is not asked for the first time afterwards."""
    wire, found = Connection(server.port, server.key), []
    for path in paths:
        await wire.ask("GET", path)
        found.append(wire.etag())
    wire.close()
    return found


@dataclass
class Measured:
    """Times as a client saw them, and what each request took of the server's processor."""

    times: Times
    processor_ms: float

    def row(self, what: str, target: float | None = None) -> str:
        p50, p95, p99 = (self.times.quantile(share) for share in (0.5, 0.95, 0.99))
        wanted = "" if target is None else f"{target:.0f}"
        return (
            f"| {what} | {p50:.1f} | {p95:.1f} | {p99:.1f} | {wanted} | {self.processor_ms:.2f} "
            f"| {self.times.errors} |"
        )


def measured(
    server: Server, paths: list[str], rate: float, seconds: float, tags: list[str] | None = None
) -> Measured:
    before = server.processor_seconds()
    times = asyncio.run(ask(server, paths, rate, seconds, tags or []))
    used = 1000 * (server.processor_seconds() - before) / max(len(times.seconds), 1)
    return Measured(times, used)


# --- a new rule over everybody --------------------------------------------------------------


def release_of(url: str) -> str:
    """Some release that is live: a session must have one."""
    from sqlalchemy import create_engine, text

    with create_engine(url).connect() as connection:
        return str(connection.scalar(text("SELECT sha256 FROM releases WHERE kind <> 'programme' LIMIT 1")))


def back_fill(options: argparse.Namespace, kind: str) -> str:
    """A badge that went live judged over everybody, with a kill in the midst; a row of a table."""
    with database(kind) as url:
        prepare(url)
        begun = time.perf_counter()
        entered = populate(url, options.judged, release_of(url))
        print(f"{kind}: {entered} entered in {time.perf_counter() - begun:.0f} s", flush=True)
        begun, used = time.perf_counter(), 0.0
        work = _Work(url)
        while work.judged() < options.judged / 2:
            time.sleep(0.5)
        used += work.end(signal.SIGKILL)
        done, killed = work.judged(), time.perf_counter()
        work = _Work(url)
        while work.judged() == done and work.waits():
            time.sleep(0.5)
        idle = time.perf_counter() - killed
        while work.waits():
            time.sleep(0.5)
        lasted = time.perf_counter() - begun
        used += work.end(signal.SIGTERM)
        told, twice = work.told()
    each = 1e6 * used / options.judged
    print(f"{kind}: killed at {done:,}, the next slice ended after {idle:.0f} s, {told:,} told", flush=True)
    return (
        f"| {kind} | {options.judged:,} | {lasted / 60:.1f} | {used / 60:.1f} | {each:.0f} | {done:,} "
        f"| {told:,} | {twice} |"
    )


class _Work:
    """`assess work` as a process, and what another process sees of how far it is."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine

        self._engine = create_engine(url)
        command = [str(Path(sys.executable).with_name("assess")), "work"]
        self._process = subprocess.Popen(
            command, env=os.environ | {"ASSESS_DATABASE_URL": url}, stdout=subprocess.DEVNULL
        )

    def _asked(self, statement: str) -> list[tuple[object, ...]]:
        from sqlalchemy import text

        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    def judged(self) -> int:
        """Live learners judged in slices that are over."""
        found = self._asked("SELECT payload FROM jobs WHERE kind = 'reassess-everybody'")
        left = [payload for (text,) in found if not (payload := json.loads(str(text)))["sandbox"]]
        return max((payload.get("seen", 0) for payload in left), default=1 << 60)

    def waits(self) -> bool:
        """Whether any of it is still to be done."""
        return bool(self._asked("SELECT id FROM jobs WHERE kind = 'reassess-everybody' LIMIT 1"))

    def told(self) -> tuple[int, int]:
        """How many changes were told, and how many of them twice."""
        ((n, different),) = self._asked("SELECT count(*), count(DISTINCT learner) FROM changes")
        return int(str(n)), int(str(n)) - int(str(different))

    def end(self, how: signal.Signals) -> float:
        """End the process; what it used of the processor, in seconds."""
        if self._process.poll() is not None:
            raise SystemExit("assess work ended by itself")
        self._process.send_signal(how)
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = 0
        return usage.ru_utime + usage.ru_stime


REQUESTS = """\
| asked | p50 ms | p95 ms | p99 ms | target p95 | processor ms each | failed |
|---|---|---|---|---|---|---|"""
JUDGED = """\
| database | learners | minutes | of processor | microseconds each | killed at | told | told twice |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["requests", "back-fill"])
    parser.add_argument("--database", choices=["sqlite", "postgres"])
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pool", type=int, default=400, help="learners who are asked for again and again")
    parser.add_argument("--learners", type=int, default=2_500)
    parser.add_argument(
        "--kept", type=Path, help="a folder to keep databases of requests in, for another time"
    )
    parser.add_argument("--judged", type=int, default=20_000)
    options = parser.parse_args()
    kinds = [options.database] if options.database else ["sqlite", "postgres"]
    load = os.getloadavg()[0]
    tables: list[str] = []
    if options.only != "back-fill":
        tables += [REQUESTS, *(row for kind in kinds for row in requests(options, kind)), ""]
    if options.only != "requests":
        tables += [JUDGED, *(back_fill(options, kind) for kind in kinds), ""]
    print(f"\n`python {shlex.join(sys.argv)}` on {os.cpu_count()} processors, load {load:.1f} before:\n")
    print("\n".join(tables))


if __name__ == "__main__":
    main()
