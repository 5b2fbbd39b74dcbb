"""`assess exposure`: how often the units of a form are met, with an alarm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from assess.cli.console import Sandbox, out, table


def exposure(
    form: Annotated[str, typer.Argument(help="The id of a form, without its version.")],
    target: Annotated[
        float | None, typer.Option(help="The share no unit should exceed; else the form's own.")
    ] = None,
    days: Annotated[int, typer.Option(help="Sessions that began in so many days.")] = 30,
    sandbox: Sandbox = False,
    database: Annotated[str, typer.Option(help="A database address; by default the configured one.")] = "",
) -> None:
    """Compare the exposure of delivered sessions with its target; exit code 1 raises the alarm."""
    import assess
    from assess.delivery.watching import watch

    since = datetime.now(UTC) - timedelta(days=days)
    with assess.connect(database or None) as opened:
        found = watch(opened, form, since=since, target=target, sandbox=sandbox)
    rows = [
        (str(unit), int(row["met"]), float(row["share"]), float(row["low"]), "ALARM" if row["alarm"] else "")
        for unit, row in found.units.head(20).iterrows()
    ]
    table(f"{found.form}: the most exposed units", ["unit", "met", "share", "lower bound", ""], rows)
    said = f"{len(found.alarms)} units above" if found.alarms else "no unit above"
    out.print(
        f"{found.n_sessions:,} sessions in {days} days; {said} the target {found.target:g}", markup=False
    )
    if found.alarms:
        raise typer.Exit(1)
