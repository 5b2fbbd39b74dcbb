"""`assess analyse`: from responses to one table of flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from assess.cli.console import CommandError, out, table
from assess.cli.measuring import from_database, from_file, is_file


def analyse(
    source: Annotated[
        str, typer.Argument(help="A course, read from the database; or a CSV or Parquet file.")
    ],
    key: Annotated[
        Path | None, typer.Option(help="Of a file of raw options: a CSV with the columns item, key.")
    ] = None,
    items: Annotated[
        list[str] | None, typer.Option(help="Columns that are items, patterns allowed; repeatable.")
    ] = None,
    person: Annotated[
        str, typer.Option(help="The column that names the persons; several as person+occasion.")
    ] = "",
    omitted: Annotated[
        list[str] | None, typer.Option(help="A cell that means left blank; repeatable.")
    ] = None,
    group: Annotated[str, typer.Option(help="Of a file: a column of groups, for DIF.")] = "",
    model: Annotated[
        str, typer.Option(help="A model for all, or auto: 2PL, and GPCM where there are more points.")
    ] = "auto",
    table_file: Annotated[Path | None, typer.Option("--out", help="A CSV for the table of flags.")] = None,
    allow_wide: Annotated[bool, typer.Option(help="Accept more items than persons in a file.")] = False,
    sandbox: Annotated[
        bool | None, typer.Option("--sandbox/--real", help="Of the database: sandbox learners, or real ones.")
    ] = None,
) -> None:
    """Run every analysis that the responses allow, and print what is wrong, item by item."""
    from assess.publishing import read_column, read_key, read_options
    from assess.reports.flags import flags

    more: dict[str, Any] = {}
    if not is_file(source):
        if group or key:
            raise CommandError("--group and --key belong to a file; the database knows keys by itself")
        responses: Any = from_database(source, sandbox)[0]
    elif key is not None:
        keyed = read_key(key)
        responses = read_options(source, keyed, person=person)
        more = {"key": keyed, "omitted_options": omitted or ()}
    else:
        responses = from_file(Path(source), None, items or (), person, omitted or (), None, allow_wide)
    if group:
        more["group"] = read_column(source, group)
    found = flags(responses, model=model, **more)
    table(
        repr(found)[1:-1],
        ["item", "analysis", "flag", "sentence"],
        [tuple(row) for row in found.table.itertuples(index=False)],
    )
    if table_file is not None:
        table_file.parent.mkdir(parents=True, exist_ok=True)
        found.table.to_csv(table_file, index=False)
        out.print(f"wrote {table_file}", markup=False)
