"""`assess roster`: import, codes, merge; here and through a running server."""

from __future__ import annotations

import csv
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest
import uvicorn

from assess.delivery.app import create_app
from assess.delivery.service import keys, open_services
from assess.delivery.settings import Settings
from assess.delivery.store import reading_people

_HEADER = "learner,cohort,courses,window_from,window_to,time_zone,locale\n"
_TWO = _HEADER + "lrn_1,c1,toy,2026-11-30,2026-12-01,Africa/Nairobi,fr\nlrn_2,c1,,,,,\n"


@pytest.fixture
def live(assess, banks):
    """The small bank's programme is live, so that its course can be assigned."""
    assert assess("activate", "toys", "--reason", "test").code == 0
    return assess


def members(cohort: str = "c1") -> list[str]:
    import assess as package

    with package.connect() as database:
        return database.read(reading_people.cohort_members, database.tenant, cohort)


def test_a_roster_is_checked_written_and_then_changes_nothing(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text("\ufeff" + _TWO, encoding="utf-8")
    done = live("roster", "import", file, "--dry-run")
    assert (done.code, "dry run: nothing was written" in done.out) == (0, True), done.err
    assert "cohort c1: new" in done.out
    assert "cohort c1: course toy from 2026-11-29 21:00Z to 2026-12-01 20:59Z" in done.out
    assert members() == []
    assert "2 lines written" in live("roster", "import", file).out
    assert members() == ["lrn_1", "lrn_2"]
    assert "nothing had changed" in live("roster", "import", file).out
    file.write_text(_TWO.replace(",fr\n", ",ar\n").replace("2026-12-01", "2026-12-02"))
    done = live("roster", "import", file)
    assert "line 2 lrn_1: locale fr -> ar" in done.out
    assert "course toy from 2026-11-29 21:00Z to 2026-12-02 20:59Z, was from" in done.out


def test_one_faulty_line_keeps_the_file_out_unless_it_is_to_be_skipped(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_TWO + "lrn_3,c2,nothing,,,,\nlrn_4,c2,,,\nlrn_5,c3,,,,,\n")
    done = live("roster", "import", file)
    assert done.code == 1
    assert "line 4, courses: no course 'nothing'" in done.out
    assert "line 5, line: has 5 cells, the header has 7" in done.out
    assert "2 of 5 lines are faulty; nothing was written" in done.out
    assert (members("c1"), members("c3")) == ([], [])
    done = live("roster", "import", file, "--skip-bad")
    assert done.code == 0, done.err
    assert "faulty, left out" in done.out
    assert (members("c1"), members("c2"), members("c3")) == (["lrn_1", "lrn_2"], [], ["lrn_5"])
    assert live("roster", "import", file, "--skip-bad", "--remove-missing").code == 2


_WITH_IDS = "learner,issuer,subject,cohort,locale\n"
_BETWEEN = "".join(f"l{n:03d},,,c1,\n" for n in range(600))


def test_lines_of_two_parts_that_mean_one_learner_are_one_learner(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_WITH_IDS + ",lms,42,c1,\n" + _BETWEEN + "B,lms,42,c2,fr\n")
    assert live("roster", "import", file, "--dry-run").code == 0
    done = live("roster", "import", file)
    assert (done.code, "602 lines written" in done.out) == (0, True), done.out + done.err
    assert "B" in members("c1")
    assert members("c2") == ["B"]
    assert "nothing had changed" in live("roster", "import", file).out


def test_a_contradiction_between_two_parts_is_found_before_the_first_is_written(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_WITH_IDS + "B,lms,42,,\n")
    assert live("roster", "import", file).code == 0
    file.write_text(_WITH_IDS + "B,,,c1,fr\n" + _BETWEEN + ",lms,42,c2,en\n")
    for option in ("--dry-run", "--list=40"):
        done = live("roster", "import", file, option)
        assert done.code == 1
        assert "line 603, locale: line 2 says another one for this learner" in done.out
        assert "1 of 602 lines are faulty; nothing was written" in done.out
    assert members("c1") == []
    done = live("roster", "import", file, "--skip-bad")
    assert (done.code, "601 lines written" in done.out) == (0, True), done.out + done.err
    assert (len(members("c1")), members("c2")) == (601, [])
    assert "nothing had changed" in live("roster", "import", file, "--skip-bad").out


def test_a_roster_goes_on_naming_the_survivor_of_a_merge(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_WITH_IDS + "old,sis,77,c1,\nnew,,,c1,\n")
    assert live("roster", "import", file).code == 0
    file.write_text(_WITH_IDS + "new,sis,77,c1,\n")
    assert "belongs to learner 'old'" in live("roster", "import", file).out
    assert live("roster", "merge", "old", "--into", "new", "--reason", "registered twice").code == 0
    done = live("roster", "import", file)
    assert (done.code, "nothing had changed" in done.out) == (0, True), done.out + done.err


def test_who_is_missing_leaves_the_cohort_only_when_asked(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_TWO)
    live("roster", "import", file)
    file.write_text(_HEADER + "lrn_2,c1,,,,,\n")
    assert "leaves" not in live("roster", "import", file).out
    done = live("roster", "import", file, "--remove-missing", "--dry-run")
    assert "lrn_1 leaves cohort c1" in done.out
    assert members() == ["lrn_1", "lrn_2"]
    assert live("roster", "import", file, "--remove-missing").code == 0
    assert members() == ["lrn_2"]


def test_an_import_that_was_killed_is_completed_by_running_it_again(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_HEADER + "".join(f"l{n:05d},c{n % 3},toy,,,,\n" for n in range(3000)))
    line = [sys.executable, "-m", "assess.cli", "roster", "import", str(file)]
    process = subprocess.Popen(line, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not members("c0") and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    n_before = sum(len(_all(f"c{n}")) for n in range(3))
    # Parts are whole: whatever was stored is a number of parts, and none of the rest.
    assert n_before % 500 == 0
    assert n_before > 0
    assert live("roster", "import", file).code == 0
    assert sum(len(_all(f"c{n}")) for n in range(3)) == 3000
    assert "nothing had changed" in live("roster", "import", file).out


def _all(cohort: str) -> list[str]:
    import assess as package

    with package.connect() as database:
        return database.read(reading_people.cohort_members, database.tenant, cohort, limit=100_000)


# --- codes --------------------------------------------------------------------------


def test_codes_are_printed_as_a_sheet_and_as_a_table_for_the_owner_only(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_TWO)
    live("roster", "import", file)
    sheet, rows = tmp_path / "codes.html", tmp_path / "codes.csv"
    place = ("--address", "https://assess.example.org/")
    done = live("roster", "codes", "c1", "--out", sheet, "--language", "ar", *place)
    assert (done.code, "2 codes in" in done.out) == (0, True), done.err
    assert 'dir="rtl"' in sheet.read_text(encoding="utf-8")
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    assert live("roster", "codes", "c1", "--out", rows, "--learner", "lrn_2", *place).code == 0
    (row,) = csv.DictReader(rows.read_text(encoding="utf-8").splitlines())
    assert row["learner"] == "lrn_2"
    assert row["link"] == f"https://assess.example.org/sign-in?code={row['code']}"
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["c1", "--out", "codes.txt"], "must end in .html or .csv"),
        (["c1", "--out", "codes.csv"], "add --address"),
        (["c1", "--out", "codes.csv", "--address", "https://a", "--time-zone", "Mars"], "is no time zone"),
        (["c1", "--out", "codes.csv", "--address", "https://a", "--language", "tlh"], "is no language"),
        (["c1", "--out", "nowhere/codes.csv", "--address", "https://a"], "cannot be written"),
        (["c9", "--out", "codes.csv", "--address", "https://a"], "no cohort 'c9'"),
    ],
)
def test_codes_that_cannot_be_written_down_are_not_made(live, tmp_path, arguments, said):
    done = live("roster", "codes", *arguments)
    assert (done.code, said in done.err) == (2, True), done.err
    assert not list(tmp_path.glob("codes*"))


# --- merge ----------------------------------------------------------------------------


def test_two_records_are_merged_and_parted(live, tmp_path):
    file = tmp_path / "r.csv"
    file.write_text(_TWO)
    live("roster", "import", file)
    done = live("roster", "merge", "lrn_1", "--into", "lrn_2", "--reason", "registered twice")
    assert (done.code, "lrn_2 answers for lrn_1" in done.out) == (0, True), done.err
    assert "registered" not in done.out
    assert "cannot be merged" in live("roster", "merge", "lrn_2", "--into", "lrn_1", "--reason", "x").err
    assert "lrn_1 stands alone again" in live("roster", "unmerge", "lrn_1", "--reason", "two people").out
    assert "no learner 'lrn_9'" in live("roster", "unmerge", "lrn_9", "--reason", "x").err


# --- beside a server ---------------------------------------------------------------------


def test_a_roster_goes_through_the_server_that_has_the_database(live, tmp_path):
    import asyncio

    settings = Settings.from_environment()

    async def key() -> str:
        services = await open_services(settings)
        try:
            scope = keys.local(settings.tenant, "test")
            return (await keys.create(services, scope, name="office", scopes=["manage"]))[1]
        finally:
            services.store.close()

    secret = asyncio.run(key())
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        file = tmp_path / "r.csv"
        file.write_text(_TWO)
        refused = live("roster", "import", file)
        assert (refused.code, "a running server has the database; go through it" in refused.err) == (2, True)
        through: tuple[str, ...] = ("--server", f"http://127.0.0.1:{port}")
        assert "add --key" in live("roster", "import", file, *through).err
        through += ("--key", secret)
        assert "2 lines written" in live("roster", "import", file, *through).out
        assert "nothing had changed" in live("roster", "import", file, *through).out
        rows = tmp_path / "codes.csv"
        assert live("roster", "codes", "c1", "--out", rows, *through).code == 0
        assert f"http://127.0.0.1:{port}/sign-in?code=" in rows.read_text()
        assert live("roster", "merge", "lrn_1", "--into", "lrn_2", "--reason", "x", *through).code == 0
        assert live("roster", "unmerge", "lrn_1", "--reason", "x", *through).code == 0
        file.write_text(_HEADER + "lrn_2,c1,,,,,\n")
        assert live("roster", "import", file, "--remove-missing", *through).code == 0
    finally:
        server.should_exit = True
        thread.join(30)
    assert members() == ["lrn_2"]
