"""Rows as one JSON text, which the database unpacks: one value for the driver, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect
from sqlalchemy.types import TypeEngine

from assess.delivery.store.rows import Stored

Processor = Callable[[Any], Any]
Processors = tuple[tuple[int, Processor], ...]


def insert_packed(connection: Connection, rows: Sequence[Stored], conflict: str = "") -> None:
    """Insert rows of one table; `conflict` is what to do where a key is there already."""
    if rows:
        statement, processors, values_of = insert_statement(type(rows[0]), connection.dialect, conflict)
        connection.exec_driver_sql(statement, (packed([list(values_of(r)) for r in rows], processors),))


def packed(rows: list[list[Any]], processors: Processors) -> str:
    """Values of rows, in the form in which their columns store them.

    Raises
    ------
    ValueError
        A text holds the character U+0000, which PostgreSQL cannot store.
    """
    for row in rows:
        for place, process in processors:
            row[place] = process(row[place])
    text = msgspec.json.encode(rows).decode()
    if "\\u0000" in text:
        raise ValueError("a text holds the character U+0000")
    return text


@cache
def insert_statement(
    kind: type[Stored], dialect: Dialect, conflict: str = ""
) -> tuple[str, Processors, Callable[[Any], tuple[Any, ...]]]:
    """The INSERT of one packed parameter, what stores its values, and what takes them from a row."""
    names: tuple[str, ...] = kind.__slots__
    quote = dialect.identifier_preparer.quote
    types = [kind.table.c[name].type for name in names]
    # Names of our own tables; the values come in one parameter.
    statement = (
        f"INSERT INTO {quote(kind.table.name)} ({', '.join(map(quote, names))}) "  # noqa: S608
        f"SELECT {', '.join(cells(types, dialect))} FROM {source(dialect)}"
    )
    # SQLite would take ON for a join's without a WHERE before it.
    statement += f" WHERE true {conflict}" if conflict else ""
    return statement, processors_of(types, dialect), attrgetter(*names)


def source(dialect: Dialect) -> str:
    """The parameter as a table `j` of one `value` a row."""
    return "json_each(?) AS j" if dialect.name == "sqlite" else "json_array_elements(%s::json) AS j(value)"


def cells(types: Sequence[TypeEngine[Any]], dialect: Dialect) -> list[str]:
    """One expression per column; JSON's null becomes NULL on both databases."""
    if dialect.name == "sqlite":
        return [f"json_extract(j.value, '$[{n}]')" for n in range(len(types))]
    return [f"(j.value->>{n})::{kind.compile(dialect)}" for n, kind in enumerate(types)]


def processors_of(types: Sequence[TypeEngine[Any]], dialect: Dialect) -> Processors:
    """What turns a value into the form in which its column stores it, by place."""
    found = ((n, kind.dialect_impl(dialect).bind_processor(dialect)) for n, kind in enumerate(types))
    return tuple((n, process) for n, process in found if process is not None)
