"""`assess facts`, `badge` and `usage`: attested facts, rules that are tried, badges to take away, counts."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

import typer

from assess.cli.console import By, CommandError, Key, Sandbox, Server, out, table
from assess.cli.desk import Desk, at_desk
from assess.cli.running import through
from assess.progress import Progress, bar

if TYPE_CHECKING:
    from assess.delivery import schemas
    from assess.publishing.facts import FactFile, FactLine

facts_app = typer.Typer(help="Facts that others attest.", no_args_is_help=True)
app = typer.Typer(help="Badge rules, and badges as Open Badges.", no_args_is_help=True)
_PART = 250
_SHOWN = 40


# --- facts -------------------------------------------------------------------------


@facts_app.command("import")
def import_facts(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8; `docs/badges.md` lists the columns.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, write nothing.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave faulty lines out instead of refusing the file.")
    ] = False,
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """Attest the facts of a file; the same file again changes nothing.

    All lines are checked before the first one is written. They are written in
    parts; after a crash run it again, and the rest follows.
    """
    from assess.publishing.facts import read_facts

    found = read_facts(file)
    at_desk(
        lambda desk: _import(desk, found, dry_run, skip_bad), server=server, key=key, by=by, sandbox=sandbox
    )


async def _import(desk: Desk, file: FactFile, dry_run: bool, skip_bad: bool) -> None:
    faults = [str(fault) for fault in file.faults]
    bad = {fault.number for fault in file.faults}
    states: Counter[str] = Counter()
    new: list[FactLine] = []
    with bar("checking") as progress:
        for part in _parts(file.lines, progress):
            reply = await desk.facts(_body(part, dry_run=True))
            by_number = {line.number: line for line in part}
            for told in reply.lines:
                states[told.state] += 1
                if told.state == "new":
                    new.append(by_number[told.row])
            faults += [f"line {fault.row}, {fault.field}: {fault.message}" for fault in reply.faults]
            bad |= {fault.row for fault in reply.faults}
    for words in faults[:_SHOWN]:
        out.print(words, markup=False)
    if len(faults) > _SHOWN:
        out.print(f"and {len(faults) - _SHOWN:,} faults more")
    if bad and not skip_bad:
        out.print(f"{len(bad):,} lines are faulty; nothing was written")
        raise typer.Exit(1)
    out.print(f"{states['new']:,} new, {states['unchanged']:,} unchanged, {len(bad):,} left out")
    if dry_run:
        out.print("dry run: nothing was written")
        return
    with bar("importing") as progress:
        for part in _parts(new, progress):
            reply = await desk.facts(_body(part, dry_run=False))
            if reply.faults:
                first = reply.faults[0]
                raise CommandError(
                    f"line {first.row}, {first.field}: {first.message}; something changed since the check. "
                    "The parts before this one are stored: run the same command again"
                )
    out.print(f"{len(new):,} facts written" if new else "nothing had changed")


def _parts(lines: Sequence[FactLine], progress: Progress) -> Iterator[list[FactLine]]:
    for start in range(0, len(lines), _PART):
        yield list(lines[start : start + _PART])
        progress(min(start + _PART, len(lines)), len(lines), "")


def _body(part: Sequence[FactLine], *, dry_run: bool) -> schemas.ImportFacts:
    from assess.delivery import schemas

    rows = [schemas.FactRow(row=line.number, fact=line.fact) for line in part]
    return schemas.ImportFacts(rows=rows, dry_run=dry_run)


# --- a rule that is tried -------------------------------------------------------------


@app.command("try")
def try_rule(
    badge: Annotated[str, typer.Argument(help="The badge, live or new.")],
    file: Annotated[Path, typer.Argument(help="A programme.yaml, or a file with the badge's entry alone.")],
    save: Annotated[
        Path | None, typer.Option("--out", help="Write everybody whose status would differ to this CSV.")
    ] = None,
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """Say who would gain or lose a badge by another rule, and write nothing."""
    from assess.publishing.files import read_yaml

    document = read_yaml(file, str(file))
    moves, counts = at_desk(
        lambda desk: _attempt(desk, badge, document), server=server, key=key, by=by, sandbox=sandbox
    )
    table(
        f"{badge}, if the rule of {file} went live",
        ["learners", "gain", "lose", "change otherwise", "unchanged"],
        [tuple(counts[name] for name in ("seen", "gains", "losses", "others", "unchanged"))],
    )
    for move in moves[: 0 if save is not None else _SHOWN]:
        out.print(f"{move.learner}: {move.was} -> {move.would_be}", markup=False)
    if save is not None:
        with save.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(["learner", "was", "would_be"])
            writer.writerows((move.learner, move.was, move.would_be) for move in moves)
        out.print(f"wrote {len(moves):,} learners to {save}", markup=False)
    elif len(moves) > _SHOWN:
        out.print(f"and {len(moves) - _SHOWN:,} more; --out writes them all")


async def _attempt(
    desk: Desk, badge: str, document: dict[str, Any]
) -> tuple[list[schemas.TrialMove], Counter[str]]:
    from assess.delivery import schemas

    moves: list[schemas.TrialMove] = []
    counts: Counter[str] = Counter()
    after: str | None = ""
    with bar("learners") as progress:
        while after is not None:
            page = await desk.attempt(badge, schemas.TryRule(document=document, after=after, limit=_PART))
            for name in ("gains", "losses", "others"):
                found = getattr(page, name)
                counts[name] += len(found)
                moves += found
            counts["seen"] += page.seen
            counts["unchanged"] += page.unchanged
            after = page.next
            progress(counts["seen"], None, "")
    return moves, counts


# --- a badge to take away ---------------------------------------------------------------


@app.command("export")
def export_badge(
    learner: Annotated[str, typer.Argument(help="The id of the learner.")],
    badge: Annotated[str, typer.Argument(help="The id of the badge.")],
    format: Annotated[
        Literal["vc-jwt", "ob2"],
        typer.Option(help="Open Badges 3.0 as a signed credential, or 2.0 as a hosted assertion."),
    ] = "vc-jwt",
    target: Annotated[Path | None, typer.Option("--out", help="A new file; else it is printed.")] = None,
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """Write the credential of a learner who meets the rule of a badge."""
    from assess.delivery.service import credentials

    if target is not None and target.exists():
        raise CommandError(f"{target} is there already; name a new file")
    found = through(
        server, key, by, "GET",
        f"/v1/learners/{quote(learner, safe='')}/badges/{quote(badge, safe='')}/credential", None,
        lambda services, who: credentials.credential(services, who, learner=learner, badge=badge),
        sandbox=sandbox,
    )  # fmt: skip
    text = found["credential"] if format == "vc-jwt" else json.dumps(found["assertion"], indent=2)
    if target is None:
        print(text)
    else:
        target.write_text(text + "\n", encoding="utf-8")
        out.print(f"wrote {target}: {found['id']} of {found['learner']}", markup=False)


# --- usage -----------------------------------------------------------------------------


def usage(
    count_by: Annotated[str, typer.Option("--count-by", help="badge, cohort, region or month.")] = "badge",
    badge: Annotated[str, typer.Option(help="Only this badge.")] = "",
    save: Annotated[Path | None, typer.Option("--out", help="Write the table to this CSV.")] = None,
    sandbox: Sandbox = False,
    by: By = "",
    server: Server = "",
    key: Key = "",
) -> None:
    """Count who is eligible and who was awarded; a count that could tell who they are is hidden."""
    found = at_desk(
        lambda desk: desk.usage(count_by, badge or None), server=server, key=key, by=by, sandbox=sandbox
    )
    hidden = f"<{found.smallest}"
    rows = [
        (
            cell.badge,
            cell.group or "",
            hidden if cell.eligible is None else cell.eligible,
            hidden if cell.awarded is None else cell.awarded,
        )
        for cell in found.items
    ]
    columns = ["badge", "" if found.by == "badge" else found.by, "eligible", "awarded"]
    if save is None:
        table(f"what began before {found.as_of.date()}", columns, rows)
        return
    with save.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(["badge", "group", "eligible", "awarded"])
        writer.writerows(rows)
    out.print(f"wrote {len(rows):,} rows to {save}", markup=False)
