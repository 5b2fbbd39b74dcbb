"""Roster files: what a spreadsheet may write, and how a fault is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from assess.errors import InvalidContent
from assess.publishing.rosters import Roster, contradictions, read_roster


def read(folder: Path, text: str | bytes) -> Roster:
    path = folder / "roster.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_roster(path)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_roster_is_read_as_spreadsheets_write_it(
    tmp_path: Path, mark: str, separator: str, end: str
) -> None:
    lines = [
        ["learner", "cohort", "courses", "locale"],
        ["lrn_1", " c1 ", "twt-1 twt-3", "fr"],
        ["", "", "", ""],
        ["lrn_é", "c1", '"twt-1|twt-3"', ""],
    ]
    roster = read(tmp_path, mark + end.join(separator.join(line) for line in lines) + end)
    assert roster.faults == ()
    first, second = roster.lines
    assert (first.number, first.learner, first.cohort, first.locale) == (2, "lrn_1", "c1", "fr")
    assert first.courses == second.courses == ("twt-1", "twt-3")
    assert (second.number, second.learner, second.locale) == (4, "lrn_é", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"learner\nlrn_\xe9\n", "line 2 is not UTF-8"),
        (b"learner\nlrn\0\n", "line 2 holds a character"),
        ("name,cohort\nx,y\n", r"unknown columns \['name'\]; known are learner"),
        ("learner,learner\nx,y\n", r"columns \['learner'\] come twice"),
        ("cohort\nc1\n", "name the column learner, or issuer and subject"),
        ("issuer,cohort\nm,c1\n", "name the column learner, or issuer and subject"),
        ("", "name the column learner"),
        ('learner\n"lrn_1\n', "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_as_a_whole(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    with pytest.raises(InvalidContent, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidContent, match=r"none.csv: cannot be read"):
        read_roster(tmp_path / "none.csv")


_HEADER = "learner,issuer,subject,cohort,courses,window_from,locale\n"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (",,,c1,,,\n", "line 2, learner: name the learner, or issuer and subject"),
        (",m,,c1,,,\n", "line 2, subject: issuer and subject come together"),
        (",,s,c1,,,\n", "line 2, issuer: issuer and subject come together"),
        ("a,,,c1\n", "line 2, line: has 4 cells, the header has 7"),
        (f"{'a' * 201},,,,,,\n", "line 2, learner: longer than 200 characters"),
        ("a,,,c1,,,\n\na,,,c1,,,\n", "line 4, learner: line 2 has this learner in this cohort already"),
        ("a,m,1,,,,\nb,m,1,,,,\n", "line 3, subject: line 2 gives it to another learner"),
        ("a,,,c1,,,fr\na,,,c2,,,en\n", "line 3, locale: line 2 says another one for this learner"),
        (
            "a,,,c1,x,,\nb,,,c1,y,,\n",
            "line 3, courses: line 2 gives cohort c1 other courses or another window",
        ),
        (
            "a,,,c1,x,2026-11-22,\nb,,,c1,x,2026-11-23,\n",
            "line 3, courses: line 2 gives cohort c1 other courses or another window",
        ),
    ],
)
def test_a_faulty_line_is_named_with_its_column(tmp_path: Path, lines: str, fault: str) -> None:
    assert [str(found) for found in read(tmp_path, _HEADER + lines).faults] == [fault]


@pytest.mark.parametrize(
    "lines",
    [",m,1,c1,,,fr\nb,m,1,c2,,,en\n", "b,m,1,c2,,,fr\n,m,1,c1,,,en\n"],
)
def test_a_line_without_a_learner_has_the_one_whom_the_file_names_elsewhere(
    tmp_path: Path, lines: str
) -> None:
    roster = read(tmp_path, _HEADER + lines + ",m,2,c1,,,\n")
    assert [line.learner for line in roster.lines] == ["b", "b", None]
    assert [str(fault) for fault in roster.faults] == [
        "line 3, locale: line 2 says another one for this learner"
    ]


def test_lines_that_turn_out_to_mean_one_learner_must_not_contradict_each_other(tmp_path: Path) -> None:
    roster = read(tmp_path, _HEADER + "b,,,,x,2026-11-22,fr\n,m,1,,x,2026-11-23,en\n,m,1,c1,,,\n")
    assert roster.faults == ()
    assert list(contradictions(roster.lines, {2: "b", 3: "c", 4: "c"})) == []
    assert [str(fault) for fault in contradictions(roster.lines, {2: "b", 3: "b", 4: "b"})] == [
        "line 3, locale: line 2 says another one for this learner",
        "line 3, courses: line 2 gives this learner another window for x",
    ]


def test_a_cell_may_hold_line_breaks_and_lines_are_counted_as_in_the_file(tmp_path: Path) -> None:
    roster = read(tmp_path, 'learner,cohort\n"a","c\n1"\nb,\nb,\n')
    assert [line.number for line in roster.lines] == [2, 4, 5]
    assert [fault.number for fault in roster.faults] == [5]


def test_a_cohort_may_be_said_once_and_left_out_after(tmp_path: Path) -> None:
    assert read(tmp_path, _HEADER + "a,,,c1,x,2026-11-22,\nb,,,c1,,,\n").faults == ()
