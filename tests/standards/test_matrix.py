"""The matrix of a framework counts each item once, where its main code lies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidContent
from assess.items import Item
from assess.standards import frameworks
from assess.standards.matrix import NOTHING, Holding, framework_matrix


def item(name: str, *alignments: tuple[str, str, str] | tuple[str, str, str, bool]) -> Item:
    mapping: dict[str, Any] = {
        "id": name,
        "version": 1,
        "state": "active",
        "interaction": "single_choice",
        "options": ["a", "b"],
        "key": "a",
        "process": "apply",
        "alignments": [
            dict(zip(("framework", "version", "code", "primary"), alignment, strict=False))
            for alignment in alignments
        ],
        "texts": {"en": {"stem": "Which?", "options": {"a": "This", "b": "That"}}},
    }
    return Item.from_mapping(mapping, name)


V2, V3 = ("unesco-ict-cft", "2"), ("unesco-ict-cft", "3")


def test_an_item_counts_for_its_code_and_everything_that_the_code_is_part_of() -> None:
    matrix = framework_matrix(*V2, [("c-1", item("x-1", (*V2, "TL.3.a"), (*V3, "KA.3")))])
    assert matrix.cells["3", "TL"] == Holding(1, ("c-1",))
    assert [matrix.codes[code].n_items for code in ("TL.3.a", "TL.3", "3", "TL.3.b")] == [1, 1, 1, 0]
    assert matrix.n_items == 1
    assert len(matrix.gaps) == 17
    assert matrix.levels == ("TL", "KD", "KC")


def test_an_item_of_two_forms_or_versions_counts_once_and_names_both_courses() -> None:
    twice = item("x-1", (*V3, "KA.3"))
    matrix = framework_matrix(*V3, [("c-1", twice), ("c-1", twice), ("c-2", twice)])
    assert matrix.cells["3", "KA"] == Holding(1, ("c-1", "c-2"))


def test_secondary_alignments_and_other_editions_count_for_nothing() -> None:
    matrix = framework_matrix(*V3, [("c-1", item("x-1", (*V3, "KD.3", False), (*V2, "KD.3")))])
    assert matrix.n_items == 0
    assert set(matrix.cells.values()) == {NOTHING}


@pytest.mark.parametrize(
    ("framework", "code", "part"),
    [
        (("iste-educators", "2017"), "2.5.b", "2.5"),
        (("digcompedu", "2017"), "2.1", "2"),
        (("iste-t", "2008"), "1.a", "1"),
    ],
)
def test_a_framework_without_levels_of_codes_has_one_column(
    framework: tuple[str, str], code: str, part: str
) -> None:
    matrix = framework_matrix(*framework, [("c-1", item("x-1", (*framework, code)))])
    assert matrix.levels == ("",)
    assert matrix.cells[part, ""].n_items == 1
    assert list(matrix.to_frame().columns) == ["items"]


def test_a_code_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(InvalidContent, match=r"KA\.9"):
        framework_matrix(*V3, [("c-1", item("x-1", (*V3, "KA.9")))])


@given(
    st.lists(
        st.sampled_from([c.code for c in frameworks.load(*V3).competencies if c.level]),
        min_size=0,
        max_size=40,
    )
)
def test_cells_add_up_to_the_items(codes: list[str]) -> None:
    items = [("c-1", item(f"x-{n}", (*V3, code))) for n, code in enumerate(codes)]
    matrix = framework_matrix(*V3, items)
    assert sum(held.n_items for held in matrix.cells.values()) == matrix.n_items == len(codes)
    assert matrix.to_frame().to_numpy().sum() == len(codes)
