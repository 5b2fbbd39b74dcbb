"""Files of facts: what a file alone can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from assess.errors import InvalidContent
from assess.publishing.facts import read_facts

HEADER = "id,source,t,subject,at,until,value,cohort,flag,code:text\n"


def written(tmp_path: Path, text: str, encoding: str = "utf-8-sig") -> Path:
    path = tmp_path / "facts.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_each_line_is_a_fact_with_what_it_carries(tmp_path: Path) -> None:
    found = read_facts(
        written(
            tmp_path,
            HEADER + "f1,lms,points,p1,2026-01-01,,12.5,2014,true,007\n\nf2,lms,t,p2,2026-01-02,,,,,\n",
        )
    )
    assert found.faults == ()
    assert [line.number for line in found.lines] == [2, 4]
    assert found.lines[0].fact == {
        "id": "f1", "source": "lms", "t": "points", "subject": "p1", "at": "2026-01-01",
        "value": 12.5, "cohort": "2014", "flag": True, "code": "007",
    }  # fmt: skip
    assert found.lines[1].fact == {
        "id": "f2", "source": "lms", "t": "t", "subject": "p2", "at": "2026-01-02",
    }  # fmt: skip


def test_the_same_line_twice_is_one_and_another_under_its_id_is_a_fault(tmp_path: Path) -> None:
    line = "f1,lms,t,p1,2026-01-01,,,,,\n"
    found = read_facts(written(tmp_path, HEADER + line + line + line.replace("p1", "p2")))
    assert [line.number for line in found.lines] == [2]
    assert [str(fault) for fault in found.faults] == ["line 4, id: line 2 has another fact under it"]


def test_a_line_that_lacks_what_every_fact_needs_is_a_fault_with_its_column(tmp_path: Path) -> None:
    found = read_facts(written(tmp_path, HEADER + "f1,,t,p1,2026-01-01,,,,,\nf2,lms,t\n"))
    assert [str(fault) for fault in found.faults] == [
        "line 3, line: has 3 cells, the header has 10",
        "line 2, source: a fact needs it",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,source,t,subject\n", "columns .'at'. are missing"),
        ("id,source,t,subject,at,x,x:text\n", "come twice"),
        ("id,source,t,subject,at,\n", "no name"),
        ("", "missing"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidContent, match=message):
        read_facts(written(tmp_path, text))


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidContent, match="line 2 is not UTF-8"):
        read_facts(written(tmp_path, HEADER + "é,lms,t,p,2026-01-01,,,,,\n", "latin-1"))
