"""What every command shares: where it writes, how it fails, and how it reaches the service."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from assess.errors import AssessError, InvalidContent

T = TypeVar("T")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Banks = Annotated[
    Path,
    typer.Option("--banks", envvar="ASSESS_ITEM_BANKS", help="The folder that holds the item banks."),
]
Server = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="ASSESS_SERVER",
        help="A running server to act through, such as http://127.0.0.1:8000.",
    ),
]
Key = Annotated[
    str,
    typer.Option(
        "--key", envvar="ASSESS_API_KEY", help="An API key of that server; a test key means sandbox data."
    ),
]
By = Annotated[str, typer.Option("--by", help="Who does this; by default the name of the account.")]
Sandbox = Annotated[bool, typer.Option("--sandbox", help="Sandbox data, not live data.")]

_UNBOUNDED = 1_000
DEFAULT_BANKS = Path("item_banks")


class CommandError(AssessError):
    """A command that cannot do what was asked, in one sentence."""


def guarded(run: Callable[[], object]) -> int:
    """Run a command; an error that was raised on purpose becomes one sentence and exit code 2."""
    try:
        run()
    except AssessError as fault:
        err.print("error:", str(fault), style="red", markup=False)
        return 2
    except KeyboardInterrupt:
        err.print("stopped")
        return 130
    return 0


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine to its end."""
    return asyncio.run(work)


async def together(work: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Run coroutines side by side; the first that fails ends all, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers stand right."""
    drawn = Table(title=title or None, title_justify="left", show_edge=False, header_style="bold")
    filled = [[*row] for row in rows]
    for j, column in enumerate(columns):
        numeric = bool(filled) and all(isinstance(row[j], int | float) for row in filled)
        drawn.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in filled:
        drawn.add_row(*(_cell(value) for value in row))
    # Read by a program, a row is a line, however long; only a terminal has an edge to fold at.
    console = out if out.is_terminal else Console(highlight=False, soft_wrap=True, width=_UNBOUNDED)
    console.print(drawn)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def account() -> str:
    """The name of the account that runs the command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "command line"


def find_bank_folder(banks: Path, course: str) -> Path:
    """The folder of a course's bank."""
    from assess.publishing import bank_folders, find_programmes

    folders = [folder for programme in find_programmes(banks) for folder in bank_folders(programme)]
    for folder in folders:
        if folder.name == course:
            return folder
    known = ", ".join(folder.name for folder in folders) or "none"
    raise InvalidContent(f"no bank for the course {course!r} in {banks}; courses with a bank: {known}")
