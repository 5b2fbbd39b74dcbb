"""`assess replay`: every stored decision computed again from the stored records, byte by byte."""

from __future__ import annotations

from typing import Annotated

import typer

from assess.cli.console import out, table
from assess.progress import bar


def replay(
    verify_chain: Annotated[bool, typer.Option(help="Also follow the chains of hashes.")] = False,
    database: Annotated[str, typer.Option(help="A database address; by default the configured one.")] = "",
) -> None:
    """Compute every stored decision again and compare; exit code 1 when one differs."""
    import assess
    from assess.delivery.replay import replay_all

    with assess.connect(database or None) as opened, bar("replaying decisions") as progress:
        found = replay_all(opened, verify_chain=verify_chain, progress=progress)
    if found.differences:
        rows = [(d.decision, d.session, d.what) for d in found.differences[:50]]
        table("differences", ["decision", "session", "what differs"], rows)
    out.print(found.summary(), markup=False)
    if found.differences:
        raise typer.Exit(1)
