"""Progress of long work: a callback for machines, a bar for people.

Everything that takes long accepts `progress=`, a function
`(done, total, message) -> None`. It may raise to cancel the work. `bar()` makes
one that draws with rich, which is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int | None, str], None]


def silent(done: int, total: int | None, message: str) -> None:
    """The progress function that shows nothing."""


@contextmanager
def bar(description: str) -> Iterator[Progress]:
    """A progress bar on standard error; vanishes nowhere, so logs keep it.

    Examples
    --------
    >>> with bar("nothing") as progress:
    ...     progress(1, 1, "done")
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}"),
    )
    with RichProgress(*columns, console=console, disable=not console.is_terminal) as display:
        task = display.add_task(description, total=None, message="")

        def report(done: int, total: int | None, message: str) -> None:
            display.update(task, completed=done, total=total, message=message)

        yield report
