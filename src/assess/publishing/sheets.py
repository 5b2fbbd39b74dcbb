"""Tables that an office's spreadsheet writes: CSV in UTF-8, checked for what a file alone can tell."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assess.errors import InvalidContent

_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with a line, in which column."""

    number: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"line {self.number}, {self.column}: {self.message}"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Lines by their number, the header being line 1, and faults of those with too many or too few cells."""

    header: tuple[str, ...]
    lines: tuple[tuple[int, dict[str, str]], ...]
    faults: tuple[LineFault, ...]


def read_sheet(path: Path, check_header: Callable[[list[str]], None]) -> Sheet:
    """Read a CSV file with or without a byte order mark; empty lines are left out.

    Parameters
    ----------
    path : Path
        Columns are separated by commas, semicolons or tabs.
    check_header : callable
        Refuses a header that cannot be meant.

    Raises
    ------
    InvalidContent
        The file as a whole cannot be read: not UTF-8, or no table.
    """
    text = _text(path)
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[tuple[int, dict[str, str]]] = []
    faults: list[LineFault] = []
    try:
        header = [name.strip() for name in next(rows, [])]
        check_header(header)
        before = rows.line_num
        for cells in rows:
            number, before = before + 1, rows.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                words = f"has {len(cells)} cells, the header has {len(header)}"
                faults.append(LineFault(number, "line", words))
                continue
            lines.append((number, dict(zip(header, cells, strict=True))))
    except csv.Error as fault:
        raise InvalidContent(f"line {rows.line_num} cannot be read ({fault})", place=str(path)) from None
    return Sheet(tuple(header), tuple(lines), tuple(faults))


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise InvalidContent(f"cannot be read ({fault.strerror})", place=str(path)) from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        number = data[: fault.start].count(b"\n") + 1
        raise InvalidContent(
            f"line {number} is not UTF-8; save the file as CSV in UTF-8", place=str(path)
        ) from None
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise InvalidContent(f"line {number} holds a character that no text has", place=str(path))
    return text
