"""`assess erase`: remove who a learner is, and keep what was measured."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from assess.cli.console import By, Key, Sandbox, Server, out, table
from assess.cli.running import through


def erase(
    learner: Annotated[str, typer.Argument(help="The id of the learner; every id of the person goes.")],
    reason: Annotated[str, typer.Option(help="Why; it is stored, so it should name nobody.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be removed, and remove nothing.")
    ] = False,
    approved_by: Annotated[str, typer.Option(help="Another person, where the tenant demands two.")] = "",
    by: By = "",
    sandbox: Sandbox = False,
    server: Server = "",
    key: Key = "",
) -> None:
    """Remove names, contacts, codes, free text and the salts of answers; it cannot be undone."""
    from assess.delivery.service import erasing

    body = {"reason": reason, "approved_by": approved_by or None, "dry_run": dry_run}
    found = through(
        server,
        key,
        by,
        "POST",
        f"/v1/learners/{quote(learner, safe='')}/erase",
        body,
        lambda services, who: erasing.erase(
            services, who, learner=learner, reason=reason, approved_by=approved_by or None, dry_run=dry_run
        ),
        sandbox=sandbox,
    )
    table("", ["what", "removed"], list(found["removed"].items()))
    ids = ", ".join(found["ids"])
    if dry_run:
        out.print(f"{ids} would be erased; nothing was changed", markup=False)
        return
    out.print(f"{ids} erased at {found['erased_at']} as {found['erasure']}", markup=False)
    out.print("Backups that were made before still hold what was removed: see docs/erasure.md.")
