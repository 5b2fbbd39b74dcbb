"""`assess appeal`: what learners doubt, who looked, what was answered, and packets that show it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from assess.cli.console import By, CommandError, Key, Sandbox, Server, out, table
from assess.cli.running import through
from assess.cli.sitting import decoded

app = typer.Typer(help="Appeals and learners' notes: list, show, look, decide, packet.", no_args_is_help=True)

_Id = Annotated[str, typer.Argument(help="The id of the appeal, apl_...")]
_Evidence = Annotated[
    list[str] | None, typer.Option("--evidence", help="What shows it: a document, a person; repeatable.")
]
_Who = Annotated[str, typer.Option("--who", help="Who looked, where another person enters it.")]


@app.command("list")
def list_appeals(
    state: Annotated[str, typer.Option(help="open, upheld, rejected, withdrawn, or all.")] = "open",
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose day has passed.")] = False,
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """List appeals by the day on which an answer is due."""
    from assess.delivery.service import appealing

    wanted = None if state == "all" else state
    if wanted not in (None, "open", "upheld", "rejected", "withdrawn"):
        raise CommandError(f"--state {state!r}: say open, upheld, rejected, withdrawn or all")
    query = f"?limit=1000&overdue={str(overdue).lower()}{'' if wanted is None else f'&state={wanted}'}"
    found = through(
        server,
        key,
        "",
        "GET",
        f"/v1/appeals{query}",
        None,
        lambda services, who: appealing.listing(services, who, state=wanted, overdue=overdue, limit=1000),
        sandbox=sandbox,
    )
    rows = [
        (a["id"], a["learner"], a["about"], a["state"], a["due_at"], "overdue" if a["overdue"] else "")
        for a in found["items"]
    ]
    table("", ["appeal", "learner", "about", "state", "due", ""], rows)
    if found["next"]:
        out.print("there are more; ask the API for the rest")


@app.command("show")
def show(appeal: _Id, sandbox: Sandbox = False, server: Server = "", key: Key = "") -> None:
    """Show an appeal and all that was done about it."""
    from assess.delivery.service import appealing

    found = through(
        server,
        key,
        "",
        "GET",
        _path(appeal),
        None,
        lambda services, who: appealing.get(services, who, appeal),
        sandbox=sandbox,
    )
    _say(found)


@app.command("look")
def look(
    appeal: _Id,
    note: Annotated[str, typer.Option(help="What was found.")],
    evidence: _Evidence = None,
    who: _Who = "",
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Enter who looked at an appeal, what was found, and what shows it."""
    from assess.delivery import schemas
    from assess.delivery.service import appealing

    body = {"note": note, "who": who or None, "evidence": evidence or []}
    read = decoded(schemas.LookAtAppeal, body)
    found = through(
        server,
        key,
        by,
        "POST",
        f"{_path(appeal)}/looks",
        body,
        lambda services, scope: appealing.look(services, scope, appeal, read),
        sandbox=sandbox,
    )
    _say(found)


@app.command("decide")
def decide(
    appeal: _Id,
    outcome: Annotated[str, typer.Argument(help="upheld or rejected.")],
    answer: Annotated[str, typer.Option(help="What the learner is told.")],
    evidence: _Evidence = None,
    status: Annotated[
        str, typer.Option(help="Upheld: the new status, passed or not_passed; of a review, undetermined.")
    ] = "",
    decision: Annotated[str, typer.Option(help="Of a badge's appeal: the decision that changes.")] = "",
    fact: Annotated[list[str] | None, typer.Option(help="Of a badge's appeal: a new fact.")] = None,
    who: _Who = "",
    approved_by: Annotated[str, typer.Option(help="Another person, where the tenant demands two.")] = "",
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Answer an appeal; upheld, a new decision cites the old one."""
    from assess.delivery import schemas
    from assess.delivery.service import appealing

    body = {
        "outcome": outcome,
        "answer": answer,
        "evidence": evidence or [],
        "status": status or None,
        "decision": decision or None,
        "facts": fact or [],
        "who": who or None,
        "approved_by": approved_by or None,
    }
    read = decoded(schemas.DecideAppeal, body)
    found = through(
        server,
        key,
        by,
        "POST",
        f"{_path(appeal)}/decide",
        body,
        lambda services, scope: appealing.decide(services, scope, appeal, read),
        sandbox=sandbox,
    )
    _say(found)


@app.command("packet")
def packet(
    appeal: _Id,
    save: Annotated[Path | None, typer.Option("--out", help="Where to; by default the appeal's id.")] = None,
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Write all that the appealed decision rests on into one file that can be checked anywhere."""
    from assess.delivery import packets

    target = save or Path(f"{appeal}.zip")
    if target.exists():
        raise CommandError(f"{target} exists; name another file with --out")
    data: bytes = through(
        server,
        key,
        "",
        "GET",
        f"{_path(appeal)}/packet",
        None,
        lambda services, who: packets.build(services, who, appeal),
        sandbox=sandbox,
    )
    target.write_bytes(data)
    target.chmod(0o600)
    out.print(f"wrote {target}: check it with assess appeal check {target}", markup=False)
    out.print("It holds keys of items and what a learner answered; only you may read it.")


@app.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A file that `assess appeal packet` wrote.")],
    keys: Annotated[
        Path | None,
        typer.Option(help="Its server's public keys: /.well-known/jwks.json, saved from there, or kept."),
    ] = None,
) -> None:
    """Check a packet without any server; exit code 1 when something does not hold.

    With --keys it must be signed under one of them; without, nobody knows who made it.
    """
    from assess.delivery.packets import check as checked
    from assess.delivery.packets import read_keys

    found = checked(file, None if keys is None else read_keys(keys))
    for line in found.lines:
        out.print(line, markup=False)
    for fault in found.faults:
        out.print(f"FAULT {fault}", markup=False)
    if found.faults:
        out.print(f"{found.appeal}: {len(found.faults)} faults", markup=False)
        raise typer.Exit(1)
    out.print(f"{found.appeal} holds", markup=False)


@app.command("notes")
def notes(sandbox: Sandbox = False, server: Server = "", key: Key = "") -> None:
    """List what learners wrote when something went wrong."""
    from assess.delivery import schemas
    from assess.delivery.service import Scope, Services, problem_notes

    async def here(services: Services, who: Scope) -> Any:
        found, _ = await problem_notes.listing(services, who, limit=1000)
        return schemas.Page(items=found)

    found = through(server, key, "", "GET", "/v1/problem-notes?limit=1000", None, here, sandbox=sandbox)
    rows = [(n["at"], n["session"], n["position"] or "", n["note"]) for n in found["items"]]
    table("", ["when", "session", "item", "note"], rows)


def _path(appeal: str) -> str:
    return f"/v1/appeals/{quote(appeal, safe='')}"


def _say(found: dict[str, Any]) -> None:
    about = f"{found['kind']} {found['about']}"
    late = ", overdue" if found["overdue"] else ""
    out.print(f"{found['id']}, {found['learner']}, about {about}: {found['state']}{late}", markup=False)
    out.print(f"filed {found['filed_at']}, due {found['due_at']}: {found['reason'] or ''}", markup=False)
    for entry in found["entries"]:
        out.print(f"{entry['at']} {entry['what']} by {entry['who']}: {entry['note']}", markup=False)
        for evidence in entry["evidence"]:
            out.print(f"  {evidence}", markup=False)
    if found["decision"]:
        out.print(f"new decision {found['decision']}", markup=False)
