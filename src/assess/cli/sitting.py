"""`assess incident`, `accommodate`, `invigilator`: what happens around a sitting.

Beside a running server each acts through it (--server, --key); without one, in
the database itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from assess.cli.console import By, CommandError, Key, Sandbox, Server, out, table
from assess.cli.running import through

incidents_app = typer.Typer(help="Incidents: declare, list, show.", no_args_is_help=True)
invigilators_app = typer.Typer(help="Invigilators' codes: make, list, revoke.", no_args_is_help=True)

_When = Annotated[str, typer.Option(help="An instant with its zone, such as 2026-11-22T10:00:00Z.")]


def _instant(value: str, name: str) -> str:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise CommandError(f"--{name} {value!r} is no instant; write 2026-11-22T10:00:00Z") from None
    if found.tzinfo is None:
        raise CommandError(f"--{name} {value!r} has no zone; end it in Z, or in +03:00")
    return found.isoformat()


def decoded(kind: Any, body: dict[str, Any]) -> Any:
    """A body as the server would read it, with its refusal as a sentence."""
    import msgspec

    try:
        return msgspec.convert(body, kind, strict=False)
    except msgspec.ValidationError as fault:
        raise CommandError(str(fault)) from None


# --- incidents -----------------------------------------------------------------


@incidents_app.command("declare")
def declare(
    action: Annotated[str, typer.Argument(help="add_time, reopen or void_without_try.")],
    from_: Annotated[str, typer.Option("--from", help="When it began, such as 2026-11-22T10:00:00Z.")],
    to: _When,
    reason: Annotated[str, typer.Option(help="Why; stored with it, and not shown to learners.")],
    everyone: Annotated[bool, typer.Option("--everyone", help="All sessions of the tenant.")] = False,
    course: Annotated[str, typer.Option(help="The sessions of a course.")] = "",
    form: Annotated[str, typer.Option(help="The sessions of a form, by its id.")] = "",
    cohort: Annotated[str, typer.Option(help="The sessions of a cohort.")] = "",
    session: Annotated[list[str] | None, typer.Option(help="One session; repeatable.")] = None,
    seconds: Annotated[int, typer.Option(help="Time to give; else as long as it took from each.")] = 0,
    message: Annotated[str, typer.Option(help="What learners are told beside the fact.")] = "",
    approved_by: Annotated[str, typer.Option(help="Another person, where the tenant demands two.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; store nothing.")] = False,
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Declare an incident and carry it out; what it did to each session is listed."""
    from assess.delivery import schemas
    from assess.delivery.service import incidents

    body = {
        "action": action,
        "scope": {
            "tenant": everyone,
            "course": course or None,
            "form": form or None,
            "cohort": cohort or None,
            "sessions": session or None,
        },
        "from": _instant(from_, "from"),
        "to": _instant(to, "to"),
        "reason": reason,
        "seconds": seconds or None,
        "message": message or None,
        "approved_by": approved_by or None,
        "dry_run": dry_run,
    }
    read = decoded(schemas.DeclareIncident, body)
    found = through(
        server,
        key,
        by,
        "POST",
        "/v1/incidents",
        body,
        lambda services, who: incidents.declare(services, who, read),
        sandbox=sandbox,
    )
    _show(found)


def _show(found: dict[str, Any]) -> None:
    rows = [(s["session"], s["learner"], s["state"], s["seconds"], s["why"] or "") for s in found["sessions"]]
    table("", ["session", "learner", "", "seconds", "why"], rows)
    done = sum(s["state"] == "done" for s in found["sessions"])
    told = f"{found['action']}: {done} sessions, {len(rows) - done} left as they are"
    if found["dry_run"]:
        out.print(f"would be {told}; nothing was stored", markup=False)
    else:
        more = "" if found["done_at"] else "; not finished, and carried on by the server"
        out.print(f"{found['id']} {told}{more}", markup=False)


@incidents_app.command("list")
def list_incidents(by: By = "", sandbox: Sandbox = False, server: Server = "", key: Key = "") -> None:
    """List the incidents, newest first."""
    from assess.delivery.service import incidents

    found = through(server, key, by, "GET", "/v1/incidents", None, incidents.listing, sandbox=sandbox)
    table(
        "",
        ["id", "kind", "action", "from", "to", "by", "reason"],
        [(i["id"], i["kind"], i["action"], i["from"], i["to"], i["by"], i["reason"]) for i in found["items"]],
    )


@incidents_app.command("show")
def show_incident(
    incident: Annotated[str, typer.Argument(help="The id of the incident, inc_...")],
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Show what an incident did to each session."""
    from assess.delivery.service import incidents

    path = f"/v1/incidents/{quote(incident, safe='')}"
    _show(
        through(
            server,
            key,
            by,
            "GET",
            path,
            None,
            lambda services, who: incidents.get(services, who, incident),
            sandbox=sandbox,
        )
    )


# --- accommodations ----------------------------------------------------------------


def accommodate(
    learner: Annotated[str, typer.Argument(help="The learner's id.")],
    multiplier: Annotated[float, typer.Option(help="All times are multiplied by it, from 1 to 5.")] = 1.0,
    untimed: Annotated[bool, typer.Option("--untimed", help="No clock at all.")] = False,
    breaks: Annotated[int, typer.Option(help="How many breaks that stop the clock.")] = 0,
    break_minutes: Annotated[int, typer.Option(help="How long each may last.")] = 0,
    no_pilot: Annotated[bool, typer.Option("--no-pilot", help="No items that are being tried out.")] = False,
    until: Annotated[str, typer.Option(help="When it runs out; by default never.")] = "",
    session: Annotated[str, typer.Option(help="For this session that is going on, not for later ones.")] = "",
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Grant a learner more time, breaks, or no unscored items; never say why."""
    from assess.delivery import schemas
    from assess.delivery.service import accommodations

    body = {
        "time_multiplier": multiplier,
        "untimed": untimed,
        "breaks": breaks,
        "break_minutes": break_minutes,
        "no_pilot": no_pilot,
        "until": _instant(until, "until") if until else None,
    }
    given = decoded(schemas.GiveAccommodation, body)
    if session:
        path = f"/v1/sessions/{quote(session, safe='')}/accommodations"
        through(
            server,
            key,
            by,
            "POST",
            path,
            body,
            lambda services, who: accommodations.grant_in_session(services, who, session, given),
            sandbox=sandbox,
        )
        out.print(f"{session} has it from now on", markup=False)
        return
    path = f"/v1/learners/{quote(learner, safe='')}/accommodations"
    through(
        server,
        key,
        by,
        "PUT",
        path,
        body,
        lambda services, who: accommodations.grant(services, who, learner=learner, given=given),
        sandbox=sandbox,
    )
    out.print(f"{learner} has it from the next session on", markup=False)


# --- invigilators ------------------------------------------------------------------


@invigilators_app.command("create")
def create_code(
    course: Annotated[str, typer.Argument(help="The course that is sat.")],
    from_: Annotated[str, typer.Option("--from", help="When it begins to work.")],
    to: _When,
    cohort: Annotated[str, typer.Option(help="For whom; kept for the record.")] = "",
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Make a code to give out in the room; it is printed once and stored as a hash."""
    from assess.delivery.service import invigilation

    begins, ends = _instant(from_, "from"), _instant(to, "to")
    body = {"course": course, "from": begins, "to": ends, "cohort": cohort or None}
    found = through(
        server,
        key,
        by,
        "POST",
        "/v1/invigilator-codes",
        body,
        lambda services, who: invigilation.create(
            services,
            who,
            course=course,
            from_at=datetime.fromisoformat(begins),
            to_at=datetime.fromisoformat(ends),
            cohort=cohort or None,
        ),
        sandbox=sandbox,
    )
    out.print(found["code"], markup=False)
    out.print(f"{found['id']} for {course}, from {found['from']} to {found['to']}", markup=False)


@invigilators_app.command("list")
def list_codes(by: By = "", sandbox: Sandbox = False, server: Server = "", key: Key = "") -> None:
    """List the codes that were made, without the codes themselves."""
    from assess.delivery.service import invigilation

    path = "/v1/invigilator-codes"
    found = through(server, key, by, "GET", path, None, invigilation.listing, sandbox=sandbox)
    table(
        "",
        ["id", "course", "cohort", "from", "to", "by", "revoked"],
        [
            (c["id"], c["course"], c["cohort"] or "", c["from"], c["to"], c["by"], c["revoked_at"] or "")
            for c in found["items"]
        ],
    )


@invigilators_app.command("revoke")
def revoke_code(
    code: Annotated[str, typer.Argument(help="The id of the code, inv_...")],
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """End a code at once."""
    from assess.delivery.service import invigilation

    path = f"/v1/invigilator-codes/{quote(code, safe='')}/revoke"
    through(
        server,
        key,
        by,
        "POST",
        path,
        None,
        lambda services, who: invigilation.revoke(services, who, code),
        sandbox=sandbox,
    )
    out.print(f"{code} is revoked", markup=False)
