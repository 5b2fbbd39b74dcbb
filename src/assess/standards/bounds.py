"""How much a YAML or JSON file may hold: what a person could have meant, and no trap.

A reader that calls itself for every level ends in an error without a place or,
written in C, ends the process; and nine lines of aliases of aliases stand for
more values than any memory holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from assess.errors import InvalidContent

DEEPEST = 128
"""Levels: the rules of badges may nest 32 times, at three levels each."""

MOST_VALUES = 500_000
"""Values, a mapping's keys among them: ten times what the largest bank of its own needs in one file."""


def require_bounded(events: Iterable[yaml.Event]) -> None:
    r"""Refuse a YAML text that is too deep, too large once its aliases are followed, or inside itself.

    Parameters
    ----------
    events : iterable of yaml.Event
        What `yaml.parse` yields. No more of it is asked for than is needed to refuse.

    Raises
    ------
    InvalidContent
        With the line.

    Examples
    --------
    >>> require_bounded(yaml.parse("a: &x [1, 2]\nb: [*x, *x]"))
    >>> require_bounded(yaml.parse("a: &x [*x]"))
    Traceback (most recent call last):
        ...
    assess.errors.InvalidContent: line 1: *x stands inside what it names
    """
    n_values: dict[str, int | None] = {}  # of what an anchor names; None while that is still open
    within = [0]  # values so far in each collection that is open
    names: list[str | None] = []
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            n, name = within.pop(), names.pop()
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(names) == DEEPEST:
                raise InvalidContent(f"line {_line(event)}: more than {DEEPEST} levels stand in one another")
            within.append(1)
            names.append(event.anchor)
            if event.anchor is not None:
                n_values[event.anchor] = None
            continue
        elif isinstance(event, yaml.AliasEvent):
            found = n_values.get(
                event.anchor or "", 1
            )  # the reader says of an unknown one that it is unknown
            if found is None:
                raise InvalidContent(f"line {_line(event)}: *{event.anchor} stands inside what it names")
            n, name = found, None
        elif isinstance(event, yaml.ScalarEvent):
            n, name = 1, event.anchor
        else:
            continue
        if name is not None:
            n_values[name] = n
        within[-1] += n
        if within[-1] > MOST_VALUES:
            raise InvalidContent(
                f"line {_line(event)}: with its aliases followed, the file holds more than "
                f"{MOST_VALUES:,} values; write out what is meant, or split the file"
            )


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def require_shallow(content: Any) -> None:
    """Refuse what was read from JSON, which has no aliases, if it is too deep.

    Raises
    ------
    InvalidContent

    Examples
    --------
    >>> require_shallow({"all_of": [{"pass": {"course": "c1"}}]})
    """
    level, n_levels = [content], 0
    while level := [inner for value in level for inner in _inside(value)]:
        n_levels += 1
        if n_levels > DEEPEST:
            raise InvalidContent(f"more than {DEEPEST} levels stand in one another")


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
