"""Files of facts: one line for each, with a column for each property that any of them carries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assess.errors import InvalidContent
from assess.publishing.sheets import LineFault, read_sheet

REQUIRED = ("id", "source", "t", "subject", "at")
# What the language compares as text; any other cell that reads as a number or as true or false is one.
_TEXT = (
    *REQUIRED, "until", "tested_at", "course", "level", "outcome", "assurance", "badge", "program", "cohort",
    "intake", "decision", "status", "q", "role", "answer", "ledger", "key", "person",
)  # fmt: skip
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_AS_TEXT = ":text"


@dataclass(frozen=True, slots=True)
class FactLine:
    """One line: `number` counts as a spreadsheet does, the header being line 1."""

    number: int
    fact: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FactFile:
    """The facts of a file, and the faults of lines that cannot be meant."""

    lines: tuple[FactLine, ...]
    faults: tuple[LineFault, ...]


def read_facts(path: Path) -> FactFile:
    """Read facts from CSV in UTF-8.

    The columns `id`, `source`, `t`, `subject` and `at` must be there; every
    other column is a property, and an empty cell means that the fact does not
    carry it. A cell that reads as a number, `true` or `false` is one, unless
    the column's name ends in `:text`.

    Raises
    ------
    InvalidContent
        The file as a whole cannot be read: not UTF-8, or a column is missing or comes twice.
    """
    sheet = read_sheet(path, lambda header: _check_header(header, path))
    lines, faults = [], list(sheet.faults)
    seen: dict[str, tuple[int, dict[str, Any]]] = {}
    for number, cells in sheet.lines:
        fact = {
            name.removesuffix(_AS_TEXT): _value(name, cell.strip())
            for name, cell in cells.items()
            if cell.strip()
        }
        missing = [name for name in REQUIRED if name not in fact]
        if missing:
            faults.append(LineFault(number, missing[0], "a fact needs it"))
            continue
        before, same = seen.setdefault(fact["id"], (number, fact))
        if same != fact:
            faults.append(LineFault(number, "id", f"line {before} has another fact under it"))
        elif before == number:
            lines.append(FactLine(number, fact))
    return FactFile(tuple(lines), tuple(faults))


def _check_header(header: list[str], path: Path) -> None:
    names = [name.removesuffix(_AS_TEXT) for name in header]
    missing = [name for name in REQUIRED if name not in names]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if missing or twice or "" in names:
        wrong = f"the columns {missing} are missing" if missing else f"columns {twice} come twice"
        wrong = "a column has no name" if "" in names else wrong
        raise InvalidContent(f"{wrong}; needed are {', '.join(REQUIRED)}", place=f"{path}, line 1")


def _value(name: str, cell: str) -> Any:
    if name in _TEXT or name.endswith(_AS_TEXT):
        return cell
    if cell in ("true", "false") or _NUMBER.fullmatch(cell):
        return json.loads(cell)
    return cell
