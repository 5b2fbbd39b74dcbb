"""`assess badge`: a learner's badge as a file that others can verify."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

import typer

from assess.cli.console import By, CommandError, Key, Server, out
from assess.cli.sitting import _Sandbox, through

badges_app = typer.Typer(help="Badges as Open Badges.", no_args_is_help=True)


@badges_app.command("export")
def export_badge(
    learner: Annotated[str, typer.Argument(help="The id of the learner.")],
    badge: Annotated[str, typer.Argument(help="The id of the badge.")],
    format: Annotated[
        Literal["vc-jwt", "ob2"],
        typer.Option(help="Open Badges 3.0 as a signed credential, or 2.0 as a hosted assertion."),
    ] = "vc-jwt",
    target: Annotated[Path | None, typer.Option("--out", help="A new file; else it is printed.")] = None,
    sandbox: _Sandbox = False,
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
