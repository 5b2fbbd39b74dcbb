"""Records that are made many times for every answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """A dataclass with slots that nobody changes, as the type checker sees to.

    `dataclass(frozen=True)` sees to it at run time as well, and its `__init__`
    takes seven times as long for it: an answer makes a hundred such fields.

    Examples
    --------
    >>> from assess.session.records import record
    >>> @record
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1) == Point(1, 0), len({Point(1), Point(1, 0)})
    (True, 1)
    """
    made: type[T] = dataclass(slots=True, unsafe_hash=True)(kind)
    return made
