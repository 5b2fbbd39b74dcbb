"""`assess replay`: every stored decision computed again from the stored records, or one of them explained."""

from __future__ import annotations

from typing import Annotated

import typer

from assess.cli.console import CommandError, out, table
from assess.progress import bar


def replay(
    decision: Annotated[
        str, typer.Argument(help="One decision, dec_...: what it rests on, in words; else all of them.")
    ] = "",
    verify_chain: Annotated[bool, typer.Option(help="Also follow the chains of hashes.")] = False,
    database: Annotated[str, typer.Option(help="A database address; by default the configured one.")] = "",
) -> None:
    """Compute stored decisions again and compare; exit code 1 when one differs."""
    import assess
    from assess.delivery.replay import replay_all

    if decision:
        if verify_chain:
            raise CommandError("a chain is followed from its beginning; leave the decision out")
        _explain(decision, database)
        return
    with assess.connect(database or None) as opened, bar("replaying decisions") as progress:
        found = replay_all(opened, verify_chain=verify_chain, progress=progress)
    if found.differences:
        rows = [(d.decision, d.session, d.what) for d in found.differences[:50]]
        table("differences", ["decision", "session", "what differs"], rows)
    out.print(found.summary(), markup=False)
    if found.differences:
        raise typer.Exit(1)


def _explain(decision: str, database: str) -> None:
    import assess
    from assess.delivery.explaining import explain

    with assess.connect(database or None) as opened:
        found = explain(opened, decision)
    for line in found.lines:
        out.print(line, markup=False)
    if found.items:
        rows = [
            (e.position, e.item, "blank" if e.category is None else e.category, e.most) for e in found.items
        ]
        table("what was answered", ["position", "item", "earned", "of"], rows)
    if found.word == "differs":
        raise typer.Exit(1)
