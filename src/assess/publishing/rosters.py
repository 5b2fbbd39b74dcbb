"""Roster files: one line per learner and cohort, as an office's spreadsheet writes them.

What a file alone can tell is checked here: its encoding, its columns, and that
its lines agree with each other. What it means for the people who are known
already is the service's to say; with its word, lines that mean the same
learner in different ways are compared as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from assess.errors import InvalidContent
from assess.publishing.sheets import LineFault, read_sheet

COLUMNS = (
    "learner", "issuer", "subject", "cohort", "courses", "window_from", "window_to", "time_zone", "locale",
)  # fmt: skip
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class RosterLine:
    """One line: `number` counts as a spreadsheet does, the header being line 1; empty cells are None."""

    number: int
    learner: str | None
    issuer: str | None
    subject: str | None
    cohort: str | None
    courses: tuple[str, ...]
    window_from: str | None
    window_to: str | None
    time_zone: str | None
    locale: str | None

    @property
    def who(self) -> tuple[str, ...]:
        """What tells one learner of the file from another."""
        return (self.learner,) if self.learner else (self.issuer or "", self.subject or "")


@dataclass(frozen=True, slots=True)
class Roster:
    """The lines of a file, and the faults of those that cannot be meant."""

    lines: tuple[RosterLine, ...]
    faults: tuple[LineFault, ...]


def read_roster(path: Path) -> Roster:
    """Read a roster from CSV in UTF-8, with or without a byte order mark.

    Columns are separated by commas, semicolons or tabs; several courses in a
    cell by spaces or bars. A line without a learner has the one to whom another
    line of the file gives its issuer and subject, before it or after it.

    Parameters
    ----------
    path : Path
        With a header; `learner`, or `issuer` and `subject`, must be among its columns.

    Raises
    ------
    InvalidContent
        The file as a whole cannot be read: not UTF-8, no header, unknown or missing columns.
    """
    sheet = read_sheet(path, lambda header: _check_header(header, path))
    lines: list[RosterLine] = []
    faults = list(sheet.faults)
    for number, cells in sheet.lines:
        line = _line(number, cells)
        found = list(_faults(line))
        faults += found
        if not found:
            lines.append(line)
    faults += _disagreements(lines)
    named = _named(lines)
    faults += contradictions(named, {})
    return Roster(named, tuple(sorted(faults, key=lambda fault: fault.number)))


def _check_header(header: list[str], path: Path) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if unknown or twice:
        wrong = f"unknown columns {unknown}" if unknown else f"columns {twice} come twice"
        raise InvalidContent(f"{wrong}; known are {', '.join(COLUMNS)}", place=f"{path}, line 1")
    if "learner" not in header and not {"issuer", "subject"} <= set(header):
        raise InvalidContent("name the column learner, or issuer and subject", place=f"{path}, line 1")


def _line(number: int, cells: dict[str, str]) -> RosterLine:
    found = {name: cells.get(name, "").strip() or None for name in COLUMNS}
    courses = tuple(re.split(r"[\s|]+", found.pop("courses") or ""))
    return RosterLine(number, courses=tuple(filter(None, courses)), **found)


def _faults(line: RosterLine) -> Iterator[LineFault]:
    if line.learner is None and line.issuer is None and line.subject is None:
        yield LineFault(line.number, "learner", "name the learner, or issuer and subject")
    elif (line.issuer is None) != (line.subject is None):
        missing = "issuer" if line.issuer is None else "subject"
        yield LineFault(line.number, missing, "issuer and subject come together")
    for name in COLUMNS:
        value = getattr(line, name)
        if isinstance(value, str) and len(value) > _LONGEST:
            yield LineFault(line.number, name, f"longer than {_LONGEST} characters")


def _named(lines: list[RosterLine]) -> tuple[RosterLine, ...]:
    """The lines with the learner that the file names for an external id.

    Lines are imported in parts: one that came in an earlier part than the line which names its learner
    would make another learner, who then has the external id.
    """
    named: dict[tuple[str | None, str | None], str] = {}
    for line in lines:
        if line.learner and line.issuer:
            named.setdefault((line.issuer, line.subject), line.learner)
    found = (None if line.learner else named.get((line.issuer, line.subject)) for line in lines)
    return tuple(
        line if learner is None else replace(line, learner=learner)
        for line, learner in zip(lines, found, strict=True)
    )


class _Said:
    """What lines said first, and the number of the line."""

    def __init__(self) -> None:
        self._said: dict[tuple[object, ...], tuple[int, object]] = {}

    def against(self, line: RosterLine, key: tuple[object, ...], value: object) -> int | None:
        """The line that said something else before; None where there is none."""
        number, known = self._said.setdefault(key, (line.number, value))
        return None if known == value else number


def contradictions(lines: Iterable[RosterLine], learners: Mapping[int, str]) -> Iterator[LineFault]:
    """Lines of one learner that would take each other's word back at every import.

    Parameters
    ----------
    learners : mapping
        From the number of a line to the learner whom it means, where that is known.

    Examples
    --------
    >>> by_id = RosterLine(2, "lrn_1", None, None, None, (), None, None, None, "fr")
    >>> by_name = RosterLine(903, None, "moodle", "17", None, (), None, None, None, "en")
    >>> list(contradictions([by_id, by_name], {}))
    []
    >>> print(*contradictions([by_id, by_name], {903: "lrn_1"}))
    line 903, locale: line 2 says another one for this learner
    """
    said = _Said()
    for line in lines:
        learner = learners.get(line.number)
        who = line.who if learner is None else (learner,)
        if line.locale:
            other = said.against(line, ("locale", *who), line.locale)
            if other is not None:
                yield LineFault(line.number, "locale", f"line {other} says another one for this learner")
        window = (line.window_from, line.window_to, line.time_zone)
        for course in () if line.cohort else dict.fromkeys(line.courses):
            other = said.against(line, ("course", course, *who), window)
            if other is not None:
                words = f"line {other} gives this learner another window for {course}"
                yield LineFault(line.number, "courses", words)


def _disagreements(lines: list[RosterLine]) -> Iterator[LineFault]:
    """Lines of which one must be wrong, whoever the learners are."""
    known: dict[tuple[object, ...], int] = {}
    said = _Said()
    for line in lines:
        before = known.setdefault((*line.who, "in", line.cohort), line.number)
        if before != line.number:
            yield LineFault(line.number, "learner", f"line {before} has this learner in this cohort already")
        if line.issuer and line.learner:
            other = said.against(line, ("owner", line.issuer, line.subject), line.learner)
            if other is not None:
                yield LineFault(line.number, "subject", f"line {other} gives it to another learner")
        if line.courses and line.cohort:
            what = (frozenset(line.courses), line.window_from, line.window_to, line.time_zone)
            other = said.against(line, ("courses", line.cohort), what)
            if other is not None:
                words = f"line {other} gives cohort {line.cohort} other courses or another window"
                yield LineFault(line.number, "courses", words)
