"""`assess roster`: import who the learners are, print codes to sign in with, merge two records."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from assess.cli.console import By, CommandError, Key, Sandbox, Server, out, table
from assess.cli.desk import Desk, at_desk
from assess.progress import Progress, bar

if TYPE_CHECKING:
    from assess.delivery import schemas
    from assess.publishing.rosters import Roster, RosterLine

app = typer.Typer(help="Who the learners are: import, codes, merge.", no_args_is_help=True)
Reason = Annotated[str, typer.Option(help="Why; stored with it.")]
_PART = 500
_SHOWN = 40


# --- import ------------------------------------------------------------------------


@app.command("import")
def import_roster(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8; `docs/learners.md` lists the columns.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, write nothing.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave faulty lines out instead of refusing the file.")
    ] = False,
    remove_missing: Annotated[
        bool,
        typer.Option("--remove-missing", help="Take out of the file's cohorts whoever is not in the file."),
    ] = False,
    shown: Annotated[int, typer.Option("--list", help="How many changes to list, of each kind.")] = _SHOWN,
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """Make learners known, with cohorts, courses and windows; the same file again changes nothing.

    All lines are checked before the first one is written. They are written in
    parts, each of them whole: after a crash run it again, and the rest follows.
    """
    from assess.publishing.rosters import read_roster

    if skip_bad and remove_missing:
        raise CommandError(
            "--remove-missing needs every line: a learner whose line is faulty would leave the cohort"
        )
    roster = read_roster(file)
    options = _Options(dry_run, skip_bad, remove_missing, shown)
    at_desk(lambda desk: _import(desk, roster, options), server=server, key=key, by=by, sandbox=sandbox)


@dataclass(frozen=True, slots=True)
class _Options:
    dry_run: bool
    skip_bad: bool
    remove_missing: bool
    shown: int


@dataclass
class _Found:
    """What the check of a whole roster found."""

    states: Counter[str] = field(default_factory=Counter)
    changed: list[str] = field(default_factory=list)
    cohorts: dict[str, None] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    bad: set[int] = field(default_factory=set)
    moving: set[int] = field(default_factory=set)
    stay: set[tuple[str, str]] = field(default_factory=set)
    learners: dict[int, str] = field(default_factory=dict)

    def add(self, part: list[RosterLine], reply: schemas.RosterReply, new: set[tuple[str, ...]]) -> None:
        """Count a part; a learner with two lines is new once."""
        lines = {line.number: line for line in part}
        for told in reply.lines:
            line = lines[told.row]
            state = "changed" if told.state == "new" and line.who in new else str(told.state)
            self.states[state] += 1
            if told.learner:
                self.learners[told.row] = told.learner
            if state == "new":
                new.add(line.who)
            if state == "changed":
                self.changed.append(
                    f"line {told.row} {' '.join(line.who)}: {'; '.join(told.changes) or 'new'}"
                )
            if state != "unchanged":
                self.moving.add(told.row)
            if line.cohort and told.learner:
                self.stay.add((line.cohort, told.learner))
        if reply.cohorts:
            # A cohort's courses are said by any of its lines; the part that says them has to be sent.
            self.moving |= {line.number for line in part if line.cohort}
        self.cohorts |= dict.fromkeys(reply.cohorts)
        for fault in reply.faults:
            self.fault(fault.row, f"line {fault.row}, {fault.field}: {fault.message}")

    def fault(self, number: int, words: str) -> None:
        """Note a faulty line."""
        self.bad.add(number)
        self.faults.append(words)


async def _import(desk: Desk, roster: Roster, options: _Options) -> None:
    from assess.delivery import schemas

    found = _Found()
    for fault in roster.faults:
        found.fault(fault.number, str(fault))
    n_bad = len(found.bad)
    lines = await _check(desk, list(roster.lines), found)
    if found.faults and not options.skip_bad:
        _list(found.faults, options.shown)
        out.print(f"{len(found.bad):,} of {_n_lines(roster, found):,} lines are faulty; nothing was written")
        raise typer.Exit(1)
    if len(found.bad) > n_bad:
        # What is left out has no say in what the others do: a cohort that it alone named is not made.
        found = _Found(faults=found.faults, bad=found.bad)
        lines = await _check(desk, lines, found)
    leaving = [gone async for gone in _leaving(desk, lines, found)] if options.remove_missing else []
    _say(found, leaving, options)
    if options.dry_run:
        out.print("dry run: nothing was written")
        return
    moving = [line for line in lines if line.number in found.moving]
    with bar("importing") as progress:
        for part in _parts(moving, progress):
            await _write(desk, schemas.ImportRoster(rows=[_row(line) for line in part]))
        for start in range(0, len(leaving), _PART):
            await _write(desk, schemas.ImportRoster(leaving=leaving[start : start + _PART]))
    out.print(f"{len(moving):,} lines written" if moving or leaving else "nothing had changed")


async def _check(desk: Desk, lines: list[RosterLine], found: _Found) -> list[RosterLine]:
    """Compare lines with what is stored and with each other; those that are not at fault come back."""
    from assess.delivery import schemas
    from assess.publishing.rosters import contradictions

    lines = [line for line in lines if line.number not in found.bad]
    new: set[tuple[str, ...]] = set()
    with bar("checking") as progress:
        for part in _parts(lines, progress):
            body = schemas.ImportRoster(rows=[_row(line) for line in part], dry_run=True)
            found.add(part, await desk.roster(body), new)
    # A part knows nothing of the others, and only here is it known which lines mean one learner.
    lines = [line for line in lines if line.number not in found.bad]
    for fault in contradictions(lines, found.learners):
        found.fault(fault.number, str(fault))
    return [line for line in lines if line.number not in found.bad]


async def _write(desk: Desk, body: schemas.ImportRoster) -> None:
    reply = await desk.roster(body)
    if reply.faults:
        first = reply.faults[0]
        raise CommandError(
            f"line {first.row}, {first.field}: {first.message}; something changed since the check. The parts "
            "before this one are stored: run the same command again"
        )


def _parts(lines: list[RosterLine], progress: Progress) -> Iterable[list[RosterLine]]:
    for start in range(0, len(lines), _PART):
        yield lines[start : start + _PART]
        progress(min(start + _PART, len(lines)), len(lines), "")


def _row(line: RosterLine) -> schemas.RosterRow:
    from assess.delivery import schemas

    return schemas.RosterRow(
        row=line.number,
        learner=line.learner,
        issuer=line.issuer,
        subject=line.subject,
        cohort=line.cohort,
        courses=list(line.courses),
        window_from=line.window_from,
        window_to=line.window_to,
        time_zone=line.time_zone,
        locale=line.locale,
    )


async def _leaving(desk: Desk, lines: list[RosterLine], found: _Found) -> AsyncIterator[schemas.Leaving]:
    """Members of the file's cohorts that the file does not name; a cohort that is new has none."""
    from assess.delivery import schemas

    for cohort in dict.fromkeys(line.cohort for line in lines if line.cohort):
        if f"cohort {cohort}: new" in found.cohorts:
            continue
        after: str | None = ""
        while after is not None:
            page = await desk.members(cohort, after)
            for learner in page.items:
                if (cohort, learner.id) not in found.stay:
                    yield schemas.Leaving(cohort=cohort, learner=learner.id)
            after = page.next


def _n_lines(roster: Roster, found: _Found) -> int:
    return len({line.number for line in roster.lines} | found.bad)


def _say(found: _Found, leaving: list[schemas.Leaving], options: _Options) -> None:
    _list(list(found.cohorts), options.shown)
    _list(found.changed, options.shown)
    _list([f"{gone.learner} leaves cohort {gone.cohort}" for gone in leaving], options.shown)
    if found.faults:
        _list(found.faults, options.shown)
    rows: list[tuple[str, int]] = [(state, found.states[state]) for state in ("new", "changed", "unchanged")]
    if options.remove_missing:
        rows.append(("leaving a cohort", len(leaving)))
    if found.bad:
        rows.append(("faulty, left out", len(found.bad)))
    table("", ["lines", "number"], rows)


def _list(words: list[str], shown: int) -> None:
    for line in words[:shown]:
        out.print(line, markup=False)
    if len(words) > shown:
        out.print(f"... and {len(words) - shown:,} more; --list {len(words)} shows them all")


# --- codes -------------------------------------------------------------------------


@app.command("codes")
def make_codes(
    cohort: Annotated[str, typer.Argument(help="The cohort.")],
    file: Annotated[Path, typer.Option("--out", help="Where to write: a name that ends in .html or .csv.")],
    learner: Annotated[
        list[str] | None, typer.Option(help="Only this learner of the cohort; repeatable.")
    ] = None,
    days: Annotated[int, typer.Option(help="How long the codes are good.")] = 14,
    address: Annotated[
        str,
        typer.Option(
            envvar="ASSESS_PUBLIC_URL", help="Where learners reach the server; by default --server."
        ),
    ] = "",
    language: Annotated[str, typer.Option(help="The language of the cards: en, fr or ar.")] = "en",
    time_zone: Annotated[str, typer.Option(help="In whose clock the last moment is printed.")] = "UTC",
    by: By = "",
    server: Server = "",
    key: Key = "",
    sandbox: Sandbox = False,
) -> None:
    """Print a one-time code for each learner of a cohort; codes that they had for it end.

    The file holds the codes in the clear, and nothing else does: print it, then delete it.
    """
    place = (address or server).rstrip("/")
    if file.suffix not in (".html", ".csv"):
        raise CommandError(f"{file}: the name must end in .html or .csv")
    if not place:
        raise CommandError(
            "add --address, where learners reach the server, such as https://assess.example.org"
        )
    zone = _zone(time_zone)
    _check_language(language)
    # Before any code is made: one that cannot be written down is lost, and the one before it ended.
    fresh = file.with_name(file.name + ".part")
    try:
        sheet = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as fault:
        raise CommandError(f"{file} cannot be written ({fault.strerror})") from None
    try:
        with os.fdopen(sheet, "w", encoding="utf-8", newline="") as opened:
            codes = at_desk(
                lambda desk: _codes(desk, cohort, days, learner),
                server=server,
                key=key,
                by=by,
                sandbox=sandbox,
            )
            if file.suffix == ".csv":
                opened.write(_csv(codes, cohort, place, zone))
            else:
                opened.write(_sheet(codes, cohort, place, language, zone))
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
    out.print(f"{len(codes):,} codes in {file}, good for {days} days; print it, then delete it", markup=False)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise CommandError(f"{name!r} is no time zone; write one such as Africa/Nairobi") from None


def _check_language(code: str) -> None:
    from assess.delivery.pages.language import CODES

    if code not in CODES:
        raise CommandError(f"{code!r} is no language of the cards; take one of {', '.join(CODES)}")


async def _codes(desk: Desk, cohort: str, days: int, learners: list[str] | None) -> list[schemas.CodeReply]:
    from assess.delivery import schemas

    found: list[schemas.CodeReply] = []
    after: str | None = ""
    with bar("codes") as progress:
        while after is not None:
            body = schemas.MakeCodes(days=days, learners=learners or None, after=after, limit=_PART)
            page = await desk.codes(cohort, body)
            found += page.items
            after = page.next
            progress(len(found), None, "")
    return found


def _link(code: schemas.CodeReply, place: str) -> str:
    return f"{place}/sign-in?code={code.code}"


def _sheet(codes: list[schemas.CodeReply], cohort: str, place: str, language: str, zone: ZoneInfo) -> str:
    from assess.delivery.pages.code_sheet import Card, code_sheet

    cards = [Card(code.learner, code.code, _link(code, place), code.expires_at) for code in codes]
    return code_sheet(cards, title=cohort, address=f"{place}/sign-in", code=language, zone=zone)


def _csv(codes: list[schemas.CodeReply], cohort: str, place: str, zone: ZoneInfo) -> str:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["learner", "cohort", "code", "link", "expires_at"])
    for code in codes:
        until = code.expires_at.astimezone(zone).isoformat(timespec="minutes")
        rows.writerow([code.learner, cohort, code.code, _link(code, place), until])
    return text.getvalue()


# --- merge -------------------------------------------------------------------------


@app.command()
def merge(
    learner: Annotated[str, typer.Argument(help="The record that is no longer to stand alone.")],
    into: Annotated[str, typer.Option(help="The record that answers for both.")],
    reason: Reason,
    by: By = "",
    server: Server = "",
    key: Key = "",
    sandbox: Sandbox = False,
) -> None:
    """Say that two records are one person's; nothing is lost, and it can be undone."""
    from assess.delivery import schemas

    body = schemas.MergeLearner(into=into, reason=reason)
    done = at_desk(lambda desk: desk.merge(learner, body), server=server, key=key, by=by, sandbox=sandbox)
    out.print(f"{done.into} answers for {done.learner} ({done.merge})", markup=False)


@app.command()
def unmerge(
    learner: Annotated[str, typer.Argument(help="The record that was merged.")],
    reason: Reason,
    by: By = "",
    server: Server = "",
    key: Key = "",
    sandbox: Sandbox = False,
) -> None:
    """Undo a merge: each record has again what it had, and what came since to each."""
    from assess.delivery import schemas

    body = schemas.UnmergeLearner(reason=reason)
    done = at_desk(lambda desk: desk.unmerge(learner, body), server=server, key=key, by=by, sandbox=sandbox)
    out.print(f"{done.learner} stands alone again ({done.merge})", markup=False)
