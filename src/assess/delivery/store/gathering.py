"""Rows of several tables by one statement: what a use case reads before it may do anything.

A begin or an end rests on rows of a dozen tables about one learner. Asked one
after the other they cost a dozen round trips and, dearer still, a dozen times
the work of building a statement and taking its rows apart. Here all that is
wanted of a table travels as one JSON list, and all tables come in one row: one
consistent snapshot by itself, whose text is made once, and which the driver
hands over at one go (for each row it would wait for the interpreter anew).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect, Text
from sqlalchemy.types import TypeEngine

from assess.delivery.store.columns import EPOCH, Flag, Instant, JsonText
from assess.delivery.store.rows import Stored

_PARAMETER = re.compile(r":(\w+)")
_ONE_OF = re.compile(r" IN (:\w+)")
# The texts travel as one JSON list, so that the statement is the same however many they are.
_LIST = {
    "sqlite": r" IN (SELECT value FROM json_each(\1))",
    "postgresql": r" = ANY (ARRAY(SELECT json_array_elements_text(CAST(\1 AS json))))",
}
_EMPTY: dict[type[Any], str] = {JsonText: "'{}'", Text: "''"}
_decode = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one table.

    Parameters
    ----------
    row : type
    where : str
        SQL of our own with `:name` for each value, and `column IN :name` for one of several texts; the same
        on both databases.
    order : tuple of str
        Columns without NULL. Sorted here, by code points, whatever the database's collation is.
    without : tuple of str
        Columns of text or JSON that stay empty: long ones that nobody reads who asks for this.
    """

    row: type[Stored]
    where: str
    order: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def gathered(
    connection: Connection, parts: tuple[Part, ...], values: Mapping[str, object]
) -> list[tuple[Any, ...]]:
    """The rows of every part, in the order of the parts."""
    return beside(connection, (), parts, values)[1]


def beside(
    connection: Connection, plain: tuple[str, ...], parts: tuple[Part, ...], values: Mapping[str, object]
) -> tuple[list[Any], list[tuple[Any, ...]]]:
    """Some plain values, SQL as in the parts and the same on both databases, and the rows of every part."""
    statement, names, makers = _prepared(plain, parts, connection.dialect)
    # Through SQLAlchemy, which knows a lost connection when it sees one, and calls it by its own name.
    raw = connection.exec_driver_sql(statement, tuple([_value(values[name]) for name in names])).one()
    found = []
    for part, make, text in zip(parts, makers, raw[len(plain) :], strict=True):
        rows = [] if text is None else [make(cells) for cells in _decode(text)]
        if part.order and len(rows) > 1:
            rows.sort(key=attrgetter(*part.order))
        found.append(rows)
    return [*raw[: len(plain)]], [tuple(rows) for rows in found]


def _value(value: object) -> object:
    return msgspec.json.encode(value).decode() if isinstance(value, list) else value


@cache
def _prepared(
    plain: tuple[str, ...], parts: tuple[Part, ...], dialect: Dialect
) -> tuple[str, tuple[str, ...], tuple[Callable[[list[Any]], Any], ...]]:
    sqlite = dialect.name == "sqlite"
    quote = dialect.identifier_preparer.quote
    mark = "?" if sqlite else "%s"
    texts = [_PARAMETER.sub(mark, text) for text in plain]
    names = [name for text in plain for name in _PARAMETER.findall(text)]
    for part in parts:
        empty = {name: _EMPTY[type(part.row.table.c[name].type)] for name in part.without}
        slots: tuple[str, ...] = part.row.__slots__
        columns = ", ".join(empty.get(name) or quote(name) for name in slots)
        rows = (
            f"json_group_array(json_array({columns}))"
            if sqlite
            else (f"json_agg(json_build_array({columns}))::text")
        )
        # Names of our own tables; every value is a parameter.
        texts.append(
            f"(SELECT {rows} FROM {quote(part.row.table.name)} "  # noqa: S608
            f"WHERE {_PARAMETER.sub(mark, _ONE_OF.sub(_LIST[dialect.name], part.where))})"
        )
        names += _PARAMETER.findall(part.where)
    return f"SELECT {', '.join(texts)}", tuple(names), tuple(_maker(part.row) for part in parts)


def _maker(row: Any) -> Callable[[list[Any]], Any]:
    """A row of its stored values."""
    kinds = (row.table.c[name].type for name in row.__slots__)
    readers = tuple((n, read) for n, kind in enumerate(kinds) if (read := _reader(kind)) is not None)

    def make(cells: list[Any]) -> Any:
        for place, read in readers:
            if cells[place] is not None:
                cells[place] = read(cells[place])
        return row(*cells)

    return make


def _reader(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """What makes a value of the form in which a column stores it."""
    if isinstance(kind, Instant):
        return _instant
    if isinstance(kind, Flag):
        return bool
    return _decode if isinstance(kind, JsonText) else None


def _instant(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)
