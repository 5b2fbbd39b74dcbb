"""How fast eligibility is told, and a new rule judged over everybody.

    python benchmarks/eligibility.py                      some minutes: 2,000 learners, 20,000 judged
    python benchmarks/eligibility.py --judged 1000000     the back-fill at its full size
    python benchmarks/eligibility.py --only back-fill --database postgres

Learners have six sessions with their decisions, thirty facts and a feed; all
the badges of the programmes that ship are live. Requests come at a fixed rate,
whether or not the ones before are answered. Other jobs on the machine move
every time; processor time per request hardly moves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "delivery"))

from client import Connection
from machinery import BANKS, Server, database, hello, ours, prepare
from scenarios import Times

PROGRAMMES = ("microsoft-educator-network", "microsoft-educator-center", "piln", "pdln", "mps")
COURSES = tuple(f"twt-{n}" for n in range(1, 7))
START = datetime(2026, 1, 1, tzinfo=UTC)
TARGETS = {"one badge": 20.0, "all badges": 100.0}
_PART = 250


def rows_of(learner: str, release: str, rng: random.Random) -> list[Any]:
    """What a learner of two years has: sessions with decisions, facts, and what was told."""
    from assess.delivery.store.rows import DecisionRow, EligibilityState, Fact, Learner, Session

    rows: list[Any] = [Learner("default", learner, "en", False, 1, START, region=rng.choice("ABCD"))]
    report = {
        "release": release, "level": "KA", "assurance": "unsupervised",
        "score": {"value": 12, "se": 2.0, "interval_90": [9, 15], "min": 0, "max": 20, "scale": "raw/x"},
        "cut": {"value": 12.0, "version": "x.v1", "status": "adopted"}, "p_at_or_above_cut": None,
        "probability_basis": "not_calibrated", "rule": "raw/1", "parameter_set": "x.v1", "engine": "1",
        "bank_security": "open", "alignments": [], "objectives": [],
    }  # fmt: skip
    for n, course in enumerate(COURSES):
        at, id_ = START + timedelta(days=10 * n, seconds=rng.randrange(80_000)), f"{learner}-{course}"
        rows.append(
            Session(
                "default", f"ses-{id_}", learner, course, f"{course}-fixed", f"{course}-fixed.v1", release,
                {}, f"hash-{id_}", 1, "ended", at, at, at, "submitted", None, None, False, False, 1,
            )
        )  # fmt: skip
        status = "passed" if rng.random() < 0.8 else "not_passed"
        rows.append(
            DecisionRow(
                "default", f"dec-{id_}", f"ses-{id_}", learner, course, f"{course}-fixed.v1", status,
                False, False, status == "passed", "course_form", "{}", "0" * 64, report, "benchmark", 0,
                "0" * 64, at,
            )
        )  # fmt: skip
    for n in range(30):
        t, data = rng.choice(_FACTS)
        at = (START + timedelta(days=rng.randrange(300))).date().isoformat()
        given = {name: value() if callable(value) else value for name, value in data.items()}
        if t == "points":
            given["key"] = f"k{n}"
        rows.append(
            Fact(
                "default",
                f"f-{learner}-{n}",
                "benchmark",
                t,
                learner,
                at,
                START,
                None,
                None,
                None,
                False,
                given,
            )
        )
    rows.append(EligibilityState("default", learner, "TWT", "not_eligible", START, 0, False))
    return rows


_FACTS: list[tuple[str, dict[str, Any]]] = [
    ("registered", {"network": "MSEN"}),
    ("profile_created", {"network": "MSEN"}),
    ("attended", {"event": "21CLD training"}),
    ("attended", {"event": "train-the-trainer"}),
    ("points", {"ledger": "activity", "value": 10}),
    ("award", {"badge": "MIE-TRAINER"}),
    ("award", {"badge": "PILN-ACTIVITY"}),
    ("judged", {"forum": "local"}),
    ("invitation", {"program": "Regional Forum", "status": "accepted"}),
    ("application", {"program": "MIE Expert", "cohort": "2021-2022", "decision": "accepted"}),
    ("judgement", {"q": "top expert or trainer", "role": "program_manager", "answer": "yes"}),
    ("program_joined", {"program": "MIE"}),
]


def fill(url: str, n: int, *, settle: bool) -> None:
    """Make the programmes live and so many learners known; `settle` does the work that this enters."""
    from dataclasses import replace

    from assess.cli.running import find_document
    from assess.delivery.jobs import worker
    from assess.delivery.service import activations, keys, open_services
    from assess.delivery.settings import Settings
    from assess.delivery.store import Writes
    from assess.delivery.store.rows import DecisionRow, Learner

    def written(part: range, release: str) -> Iterator[Writes]:
        made = [rows_of(f"lrn{number:07d}", release, random.Random(number)) for number in part]
        rows = [row for one in made for row in one]
        plain = sorted(
            (row for row in rows if not isinstance(row, DecisionRow)), key=lambda row: str(row.table.name)
        )
        plain = [r for r in plain if isinstance(r, Learner)] + [
            r for r in plain if not isinstance(r, Learner)
        ]
        first = part.start * len(COURSES) + 1
        decisions = [row for row in rows if isinstance(row, DecisionRow)]
        numbered = [replace(row, chain_seq=first + k) for k, row in enumerate(decisions)]
        yield Writes("default", inserts=tuple(plain))
        yield Writes("default", inserts=tuple(numbered))

    async def run() -> None:
        services = await open_services(Settings(database_url=url))
        try:
            scope = keys.local("default", "benchmark")
            for name in PROGRAMMES:
                document = find_document(BANKS, name)
                await activations.activate(services, scope, document=document, reason="to measure")
            shelf = await services.catalogue.shelf("default")
            release = next(iter(shelf.forms.values())).sha256
            for start in range(0, n, _PART):
                for writes in written(range(start, min(start + _PART, n)), release):
                    await services.store.commit(writes)
            if settle:
                # What activations and new learners left to do would else be done while we measure.
                while await worker(services).work():
                    pass
        finally:
            services.store.close()

    asyncio.run(run())


# --- requests at a fixed rate ------------------------------------------------------------


async def ask(server: Server, paths: list[str], rate: float, seconds: float) -> Times:
    """Requests at a fixed rate over a few dozen connections; each waits from when it was due."""
    times, n = Times(), int(rate * seconds)
    idle = [Connection(server.port, server.key) for _ in range(64)]
    gate, started = asyncio.Semaphore(len(idle)), time.perf_counter()

    async def one(number: int) -> None:
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        async with gate:
            wire = idle.pop()
            try:
                status, _, _ = await wire.ask("GET", paths[number % len(paths)])
            except (TimeoutError, OSError) as fault:
                times.fail(type(fault).__name__)
                wire.close()
                wire = Connection(server.port, server.key)
            else:
                if status != 200:
                    times.fail(str(status))
            times.seconds.append(time.perf_counter() - due)
            idle.append(wire)

    await asyncio.gather(*(one(number) for number in range(n)))
    return times


def requests(options: argparse.Namespace, kind: str) -> None:
    """One badge, and all badges of a learner, beside hello-world at the same rate."""
    rng = random.Random(1)
    with hello() as server:
        plain = asyncio.run(ask(server, ["/"], options.rate, options.seconds / 2))
    print(f"hello-world at {options.rate:.0f}/s: p95 {plain.quantile(0.95):.1f} ms")
    with database(kind) as url:
        key = prepare(url)
        fill(url, options.learners, settle=True)
        with ours(url, key) as server:
            for what, ending in (("one badge", "/TWT"), ("all badges", "")):
                learners = rng.sample(range(options.learners), options.pool)
                paths = [f"/v1/learners/lrn{number:07d}/badges{ending}" for number in learners]
                first = measured(server, paths, options.first_rate, options.pool / options.first_rate)
                again = measured(server, paths, options.rate, options.seconds)
                print(
                    f"{kind}, {what}, asked for the first time at {options.first_rate:.0f}/s: {first.words()}"
                )
                print(
                    f"{kind}, {what}, {options.pool} learners again and again at {options.rate:.0f}/s: "
                    f"{again.words()}, target p95 {TARGETS[what]:.0f} ms, "
                    f"{again.times.quantile(0.95) / plain.quantile(0.95):.1f} x hello-world"
                )


@dataclass
class Measured:
    """Times as a client saw them, and what each request took of the server's processor."""

    times: Times
    processor_ms: float

    def words(self) -> str:
        p50, p95, p99 = (self.times.quantile(share) for share in (0.5, 0.95, 0.99))
        return (
            f"p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms, {self.processor_ms:.2f} ms of processor each, "
            f"{self.times.errors} failed"
        )


def measured(server: Server, paths: list[str], rate: float, seconds: float) -> Measured:
    before = server.processor_seconds()
    times = asyncio.run(ask(server, paths, rate, seconds))
    used = 1000 * (server.processor_seconds() - before) / max(len(times.seconds), 1)
    return Measured(times, used)


# --- a new rule over everybody --------------------------------------------------------------


def back_fill(options: argparse.Namespace, kind: str) -> None:
    """A new rule of a badge judged over everybody, in one go."""
    from assess.delivery.service import open_services, reassessing
    from assess.delivery.settings import Settings

    with database(kind) as url:
        prepare(url)
        fill(url, options.judged, settle=False)

        async def run() -> int:
            services = await open_services(Settings(database_url=url))
            try:
                payload = {
                    "tenant": "default", "sandbox": False, "badges": ["TWT"], "reason_id": "benchmark",
                    "after": "",
                }  # fmt: skip
                return await reassessing.work_everybody(services, payload, seconds=None)
            finally:
                services.store.close()

        begun, used = time.perf_counter(), time.process_time()
        seen = asyncio.run(run())
        lasted, used = time.perf_counter() - begun, time.process_time() - used
        print(
            f"{kind}, back-fill of one badge over {seen:,} learners: {lasted:.1f} s, "
            f"{used:.1f} s of processor, {1000 * used / seen:.2f} ms each; "
            f"1,000,000 at this rate: {lasted / seen * 1e6 / 60:.0f} minutes"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["requests", "back-fill"])
    parser.add_argument("--database", choices=["sqlite", "postgres"])
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--first-rate", type=float, default=20, help="when a learner is asked for first")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--pool", type=int, default=400, help="learners who are asked for again and again")
    parser.add_argument("--learners", type=int, default=2_000)
    parser.add_argument("--judged", type=int, default=20_000)
    options = parser.parse_args()
    print(json.dumps({k: v for k, v in vars(options).items() if v is not None}))
    for kind in [options.database] if options.database else ["sqlite", "postgres"]:
        if options.only != "back-fill":
            requests(options, kind)
        if options.only != "requests":
            back_fill(options, kind)


if __name__ == "__main__":
    main()
