"""Load on delivery: a table of measured figures, their ratios in this run, and the targets.

    python benchmarks/delivery                              six minutes: saturation
    python benchmarks/delivery --full                       the whole table, more than an hour
    python benchmarks/delivery --only saturation --database sqlite
    python benchmarks/delivery --only soak --soak-minutes 20 --json soak.json

Servers run on loopback with databases in the temporary folder, and everything
is bounded in count and time. Other jobs on the machine move every figure; the
ratios within one run are what to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scenarios
from machinery import FORMS, Server, commits_one_at_a_time, database, hello, ours, prepare

SCENARIOS = ("saturation", "thinkers", "exam", "soak")


@dataclass
class Line:
    """A row of the table."""

    what: str
    measured: str
    ratio: float | None = None
    target: str = ""
    met: bool | None = None


def run(coroutine: Any) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def saturation(options: argparse.Namespace, kinds: list[str]) -> list[Line]:
    """Answers at 50 connections beside hello-world and beside one commit at a time.

    A machine that others use as well is faster in one minute than in the next. So the
    three are measured in turns, and what is compared is always of the same turn.
    """
    lines = []
    with hello() as plain:
        for kind in kinds:
            for form in FORMS:
                with database(kind) as url, ours(url, prepare(url)) as server:
                    turns = [_turn(options, plain, server, kind, form) for _ in range(options.turns)]
                lines += _compared(f"{kind}, {form.rpartition('-')[2]} form", turns)
    return lines


@dataclass
class Turn:
    """What was measured within a few seconds."""

    plain: scenarios.Saturation
    found: scenarios.Saturation
    commits: float | None

    def share(self) -> float:
        return self.found.rate / self.plain.rate

    def cost(self) -> float:
        return (self.found.server_busy / self.found.rate) / (self.plain.server_busy / self.plain.rate)

    def tail(self) -> float:
        return self.found.times.quantile(0.99) / self.plain.times.quantile(0.99)

    def over_commits(self) -> float:
        assert self.commits is not None
        return self.found.rate / self.commits


def _turn(options: argparse.Namespace, plain: Server, server: Server, kind: str, form: str) -> Turn:
    n = options.connections
    return Turn(
        run(scenarios.hello_saturation(plain, n, options.seconds / 2)),
        run(scenarios.answer_saturation(server, n, options.seconds, form, options.sessions)),
        commits_one_at_a_time(options.seconds / 2) if kind == "sqlite" else None,
    )


def _compared(name: str, turns: list[Turn]) -> list[Line]:
    middle = sorted(turns, key=Turn.share)[len(turns) // 2]
    lines = [_rate(f"{name}: hello-world", middle.plain), _rate(f"{name}: answers", middle.found)]
    if middle.commits is not None:
        lines.append(Line("... one durable commit of an answer's rows at a time", f"{middle.commits:,.0f}/s"))
    for what, of, meets, bound in (
        ("... over hello-world", Turn.share, operator.ge, 0.12),
        ("... over one commit at a time", Turn.over_commits, operator.ge, 0.8),
        ("... p99 over hello-world's p99", Turn.tail, operator.le, 10),
        ("... processor time of an answer, in hello-worlds", Turn.cost, operator.le, 8.3),
    ):
        if of is Turn.over_commits and middle.commits is None:
            continue
        ratios = sorted(map(of, turns))
        ratio = ratios[len(ratios) // 2]
        spread = f"middle of {len(ratios)} turns, {ratios[0]:.3f} to {ratios[-1]:.3f}"
        target = f"{'>=' if meets is operator.ge else '<='} {bound}"
        lines.append(Line(what, spread, ratio, target, meets(ratio, bound)))
    errors = sum(turn.found.times.errors for turn in turns)
    if errors:
        lines.append(Line("... errors", f"{errors} {[turn.found.times.said for turn in turns]}", met=False))
    return lines


def _rate(what: str, found: scenarios.Saturation) -> Line:
    times = found.times
    return Line(
        what,
        f"{found.rate:,.0f}/s; p50 {times.quantile(0.5):.1f}, p99 {times.quantile(0.99):.1f} ms; "
        f"server {found.server_busy:.0%}, driver {found.client_busy:.0%} of a processor",
    )


def thinkers(options: argparse.Namespace, kinds: list[str]) -> list[Line]:
    """1,000 learners who think 5 s."""
    lines = []
    with hello() as server:
        plain = run(scenarios.hello_thinkers(server, options.thinkers, 5.0, options.think_seconds))
    middle = plain.quantile(0.5)
    lines.append(Line(f"{options.thinkers} clients of hello-world, 5 s apart", _times(plain)))
    for kind in kinds:
        with database(kind) as url, ours(url, prepare(url)) as server:
            found = run(scenarios.thinkers(server, options.thinkers, 5.0, options.think_seconds, FORMS[1]))
        tail = found.quantile(0.99)
        met = tail <= 25 and not found.errors
        lines.append(
            Line(
                f"{kind}: {options.thinkers} learners, 5 s to think", _times(found), None, "p99 <= 25 ms", met
            )
        )
        lines.append(Line("... p99 over hello-world's p50", "", tail / middle, "<= 20", tail / middle <= 20))
    return lines


def _times(times: scenarios.Times) -> str:
    failed = f"; {times.errors} errors {times.said}" if times.errors else "; 0 errors"
    parts = ", ".join(f"p{round(100 * share)} {times.quantile(share):.1f}" for share in (0.5, 0.95, 0.99))
    return f"{len(times.seconds):,} requests, {parts} ms{failed}"


def exam(options: argparse.Namespace, kinds: list[str]) -> list[Line]:
    """Starts, answers and submits of an exam."""
    lines = []
    for kind in kinds:
        with database(kind) as url, ours(url, prepare(url)) as server:
            found = run(
                scenarios.exam(server, options.learners, options.items, tuple(options.think), FORMS[0])
            )
        name = f"{kind}: {options.learners} learners"
        for act, times, target in (
            ("answers", found.answers, 150),
            ("500 starts in 10 s", found.starts, 1000),
            ("500 submits in 5 s", found.submits, 1000),
        ):
            met = not times.errors and times.quantile(0.95) <= target
            lines.append(Line(f"{name}, {act}", _times(times), None, f"0 errors, p95 <= {target} ms", met))
        busy = f"server {found.server_busy:.0%}, driver {found.client_busy:.0%} of a processor"
        lines.append(Line("... all the while", busy))
    return lines


def soak(options: argparse.Namespace, kinds: list[str]) -> list[Line]:
    """Memory under a steady load of ten times the realistic rate."""
    lines = []
    for kind in kinds:
        with database(kind) as url, ours(url, prepare(url)) as server:
            found = run(scenarios.soak(server, options.soak_rate, 60 * options.soak_minutes, FORMS[1]))
        grown = found.growth()
        said = f"{_times(found.answers)}; {found.memory[0]:.0f} to {found.memory[-1]:.0f} MB"
        name = f"{kind}: {options.soak_minutes:g} minutes at {options.soak_rate:g}/s"
        lines.append(Line(name, said))
        lines.append(Line("... memory after warm-up", "", grown, "within 0.05", abs(grown) <= 0.05))
    return lines


def main() -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="this scenario (may be repeated)")
    parser.add_argument("--full", action="store_true", help="every scenario in its full length")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5, help="of a saturation; the middle one counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument(
        "--sessions", type=int, default=1200, help="begun before a turn, and more than enough"
    )
    parser.add_argument("--thinkers", type=int, default=1000)
    parser.add_argument("--think-seconds", type=float, default=20.0, help="how long they are watched")
    parser.add_argument("--learners", type=int, help="of the exam; 500, and 2000 with --full")
    parser.add_argument("--items", type=int, help="of the exam; 3, and 16 with --full")
    parser.add_argument("--think", type=float, nargs=2, help="seconds to think in the exam; 2 to 6, 30 to 90")
    parser.add_argument("--soak-minutes", type=float, help="1, and 20 with --full")
    parser.add_argument("--soak-rate", type=float, default=333.0, help="answers per second")
    parser.add_argument("--json", type=Path, help="write the table there too")
    options = parser.parse_args()
    options.learners = options.learners or (2000 if options.full else 500)
    options.items = options.items or (16 if options.full else 3)
    options.think = options.think or ((30.0, 90.0) if options.full else (2.0, 6.0))
    options.soak_minutes = options.soak_minutes or (20.0 if options.full else 1.0)
    kinds = ["sqlite", "postgresql"] if options.database == "both" else [options.database]
    wanted = options.only or (SCENARIOS if options.full else ("saturation",))
    known = {"saturation": saturation, "thinkers": thinkers, "exam": exam, "soak": soak}
    lines: list[Line] = []
    for name in wanted:
        found = known[name](options, kinds)
        for line in found:
            ratio = "" if line.ratio is None else f"{line.ratio:.3f}"
            met = {True: "met", False: "MISSED", None: ""}[line.met]
            print(f"{line.what:58} {line.measured} {ratio:>8} {line.target:>28} {met}", flush=True)
        lines += found
    if options.json:
        options.json.write_text(json.dumps([vars(line) for line in lines], indent=1) + "\n")


if __name__ == "__main__":
    main()
