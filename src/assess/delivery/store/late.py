"""Texts of rows that are worked out when their rows are written, for all rows that are written together.

A text that costs less for many at once, and that nobody may see before its row is stored, is left to whoever
writes: a row says who makes it. It does so in place of the text, so that its type is that of rows that were
read back, which hold a plain text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator


class Maker(Protocol):
    """Works out texts. It may be pickled, and equals those that make the same texts."""

    def texts(self, rows: Sequence[Any]) -> list[str]:
        """A text for each row."""
        ...


class Late:
    """Stands in a row for a text; `text` is empty until `work_out`."""

    __slots__ = ("maker", "text")

    def __init__(self, maker: Maker, text: str = "") -> None:
        self.maker = maker
        self.text = text

    def __str__(self) -> str:
        if not self.text:
            raise ValueError("a text is worked out when its row is written, and this one was not")
        return self.text

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Late):
            return self.text == other.text and self.maker == other.maker
        return bool(self.text) and self.text == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        raise TypeError("a text that is still to come has no hash")

    def __repr__(self) -> str:
        return repr(self.text)


class LateText(TypeDecorator[str]):
    """A text that may be a `Late` one."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)


def late_in(rows: Iterable[Any]) -> Iterator[tuple[Any, Late]]:
    """The late texts of rows, each with its row."""
    for row in rows:
        kind: Any = type(row)
        for name in _columns(kind):
            value = getattr(row, name)
            if type(value) is Late:
                yield row, value


def work_out(rows: Iterable[Any]) -> None:
    """Have all texts made that rows still lack; those of one maker together."""
    lacking: dict[Maker, list[tuple[Any, Late]]] = {}
    for row, late in late_in(rows):
        if not late.text:
            lacking.setdefault(late.maker, []).append((row, late))
    for maker, some in lacking.items():
        for (_, late), text in zip(some, maker.texts([row for row, _ in some]), strict=True):
            late.text = text


@cache
def _columns(kind: Any) -> tuple[str, ...]:
    return tuple(column.name for column in kind.table.columns if isinstance(column.type, LateText))
