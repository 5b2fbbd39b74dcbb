"""Many learners at once, written past the program: what a back-fill is measured over.

Half of them are known and nothing else. A third has one session with its decision and
three facts, a tenth three sessions and ten facts, and one in twenty all six sessions
and thirty facts. A few hundred of each kind are made, and copied under other names.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

COURSES = tuple(f"twt-{n}" for n in range(1, 7))
START = datetime(2026, 1, 1, tzinfo=UTC)
# Of twenty learners: how many have so many sessions and facts.
MIXED = ((10, 0, 0), (7, 1, 3), (2, 3, 10), (1, 6, 30))
_VARIANTS = 200
_AT_ONCE = 50_000

FACTS: list[tuple[str, dict[str, Any]]] = [
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


def rows_of(
    learner: str, release: str, rng: random.Random, n_sessions: int = 6, n_facts: int = 30
) -> list[Any]:
    """What a learner has: sessions with their decisions, and facts."""
    from assess.delivery.store.rows import DecisionRow, Fact, Learner, Session

    rows: list[Any] = [Learner("default", learner, "en", False, 1, START, region=rng.choice("ABCD"))]
    report: dict[str, object] = {
        "release": release, "level": "KA", "assurance": "unsupervised",
        "score": {"value": 12, "se": 2.0, "interval_90": [9, 15], "min": 0, "max": 20, "scale": "raw/x"},
        "cut": {"value": 12.0, "version": "x.v1", "status": "adopted"}, "p_at_or_above_cut": None,
        "probability_basis": "not_calibrated", "rule": "raw/1", "parameter_set": "x.v1", "engine": "1",
        "bank_security": "open", "alignments": [], "objectives": [],
    }  # fmt: skip
    for n, course in enumerate(COURSES[:n_sessions]):
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
    for n in range(n_facts):
        t, data = rng.choice(FACTS)
        at_day = (START + timedelta(days=rng.randrange(300))).date().isoformat()
        given = {**data, "key": f"k{n}"} if t == "points" else data
        rows.append(
            Fact(
                "default", f"f-{learner}-{n}", "benchmark", t, learner, at_day, START,
                None, None, None, False, given,
            )
        )  # fmt: skip
    return rows


class _Copies:
    """Rows of one learner as the database stores them, to be given to others."""

    def __init__(self, dialect: Any, release: str, rng: random.Random, n_sessions: int, n_facts: int) -> None:
        from assess.delivery.store import packing

        self.rows: dict[Any, list[tuple[list[Any], list[int], int | None]]] = {}
        for row in rows_of("@", release, rng, n_sessions, n_facts):
            processors, values_of = packing._reading(type(row), dialect)
            values = list(values_of(row))
            for place, process in processors:
                values[place] = process(values[place])
            named = [n for n, value in enumerate(values) if isinstance(value, str) and "@" in value]
            names: tuple[str, ...] = row.__slots__
            counted = names.index("chain_seq") if "chain_seq" in names else None
            self.rows.setdefault(type(row), []).append((values, named, counted))

    def of(self, kind: Any, learner: str, count: Callable[[], int]) -> Iterator[list[Any]]:
        for values, named, counted in self.rows.get(kind, ()):
            copy = values.copy()
            for n in named:
                copy[n] = copy[n].replace("@", learner)
            if counted is not None:
                copy[counted] = count()
            yield copy


BUSY = ((1, 6, 30),)
"""Everybody has all six sessions and thirty facts."""


def populate(
    url: str, n: int, release: str, shares: tuple[tuple[int, int, int], ...] = MIXED
) -> dict[str, int]:
    """Enter so many learners with what they have; how many rows of each table that made."""
    from sqlalchemy import make_url
    from sqlalchemy.dialects import postgresql, sqlite

    from assess.delivery.store.rows import DecisionRow, Fact, Learner, Session

    address = make_url(url)
    on_sqlite = address.get_backend_name() == "sqlite"
    dialect: Any = sqlite.dialect() if on_sqlite else postgresql.dialect()
    rng = random.Random(20261128)
    made = [
        (share, [_Copies(dialect, release, rng, sessions, facts) for _ in range(_VARIANTS)])
        for share, sessions, facts in shares
    ]
    wheel = [variants for share, variants in made for _ in range(share)]
    chained = 0

    def count() -> int:
        nonlocal chained
        chained += 1
        return chained

    def rows(kind: Any) -> Iterator[list[Any]]:
        for number in range(n):
            variants = wheel[number % len(wheel)]
            yield from variants[(number // len(wheel)) % _VARIANTS].of(kind, name(number), count)

    write = _into_sqlite(str(address.database)) if on_sqlite else _into_postgres(url)
    return {kind.table.name: write(kind, rows(kind)) for kind in (Learner, Session, DecisionRow, Fact)}


def name(number: int) -> str:
    """The id of a learner."""
    return f"lrn{number:07d}"


Write = Callable[[Any, Iterator[list[Any]]], int]


def _into_sqlite(path: str) -> Write:
    def write(kind: Any, rows: Iterator[list[Any]]) -> int:
        columns = ", ".join(f'"{column}"' for column in kind.__slots__)
        marks = ", ".join("?" * len(kind.__slots__))
        connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = OFF", "cache_size = -500000"):
            connection.execute(f"PRAGMA {pragma}")
        written = 0
        while some := list(islice(rows, _AT_ONCE)):
            connection.execute("BEGIN")
            connection.executemany(
                f"INSERT INTO {kind.table.name} ({columns}) VALUES ({marks})",
                some,
            )
            connection.execute("COMMIT")
            written += len(some)
        connection.execute("ANALYZE")
        connection.close()
        return written

    return write


def _into_postgres(url: str) -> Write:
    import psycopg

    def write(kind: Any, rows: Iterator[list[Any]]) -> int:
        columns = ", ".join(f'"{column}"' for column in kind.__slots__)
        written = 0
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            with connection.cursor().copy(f"COPY {kind.table.name} ({columns}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
                    written += 1
            connection.execute(f"ANALYZE {kind.table.name}")
        return written

    return write
