"""The roster of a whole country: checked, written, and the second time changing nothing."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from assess.delivery.store import tables
from tests.cli.conftest import Done
from tests.verification import record

_N_PEOPLE, _N_COHORTS = 70_000, 400


def _write(file: Path) -> int:
    """Two lines of seven name an external id alone; half of these are given to a learner at the end."""
    lines = []
    for i in range(_N_PEOPLE):
        learner = "" if i % 7 in (0, 3) else f"t{i:06d}"
        courses = "toy" if i < _N_COHORTS else ""
        lines.append(f"{learner},https://sis.example,{i},s{i % _N_COHORTS:03d},{courses},fr\n")
    lines += [f"n{i:06d},https://sis.example,{i},,,\n" for i in range(0, _N_PEOPLE, 7)]
    file.write_text("learner,issuer,subject,cohort,courses,locale\n" + "".join(lines), encoding="utf-8")
    return len(lines)


def _timed(run: Callable[..., Done], *arguments: object) -> tuple[str, str]:
    """What a command that succeeds says, and how long it took."""

    def processor() -> float:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return used.ru_utime + used.ru_stime

    began, used = time.monotonic(), processor()
    done = run(*arguments)
    assert done.code == 0, done.out + done.err
    return done.out, f"{time.monotonic() - began:.0f} s ({processor() - used:.0f} s of processor)"


def _n_learners(connection: Connection, tenant: str) -> int:
    found = select(func.count()).where(tables.learners.c.tenant == tenant)
    return connection.execute(found).scalar_one()


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_a_large_roster_is_imported_and_the_second_time_changes_nothing(
    kind: str,
    assess: Callable[..., Done],
    banks: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "PostgreSQL":
        monkeypatch.setenv("ASSESS_DATABASE_URL", request.getfixturevalue("pg_url"))
    assert assess("activate", "toys", "--reason", "test").code == 0
    file = tmp_path / "roster.csv"
    n = _write(file)
    said, checked = _timed(assess, "roster", "import", file, "--dry-run")
    assert "dry run: nothing was written" in said
    said, written = _timed(assess, "roster", "import", file)
    assert f"{n:,} lines written" in said
    said, again = _timed(assess, "roster", "import", file)
    assert "nothing had changed" in said
    import assess as package

    with package.connect() as database:
        learners = database.read(_n_learners, database.tenant)
    assert learners == _N_PEOPLE
    apart = "" if kind == "SQLite" else ", without PostgreSQL's own"
    record(
        f"a roster of {n:,} lines in parts of 500, on {kind}",
        f"dry run {checked}; written in {written}; the same file again {again}{apart}; "
        f"{learners:,} learners, none twice; at a load of {os.getloadavg()[1]:.0f} "
        f"on {os.cpu_count()} processors",
        seed="-",
    )
