"""Responses written as files are read back as they were."""

from __future__ import annotations

import pytest

from assess.errors import InvalidResponses
from assess.publishing import read_responses, write_responses
from assess.responses import ResponseMatrix

MATRIX = ResponseMatrix([[0, 2, -1], [1, -2, 0], [-3, 1, 1]], ["p1", "p2", "p3"], ["i1", "i2", "i3"])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("layout", ["wide", "long"])
def test_all_kinds_of_missing_come_back(tmp_path, suffix, layout):
    path = tmp_path / f"data.{suffix}"
    write_responses(MATRIX, path, layout=layout, missing_codes=True)
    found = read_responses(path, missing_codes=True, format=layout).take_items(MATRIX.item_ids)
    assert found.categories.tolist() == MATRIX.categories.tolist()
    assert found.person_ids.tolist() == MATRIX.person_ids.tolist()


@pytest.mark.parametrize("layout", ["wide", "long"])
def test_without_codes_what_is_missing_is_empty(tmp_path, layout):
    path = tmp_path / "data.csv"
    write_responses(MATRIX, path, layout=layout)
    found = read_responses(path).take_items(MATRIX.item_ids)
    assert found.categories.tolist() == [[0, 2, -1], [1, -1, 0], [-1, 1, 1]]


def test_a_file_is_not_overwritten_and_a_layout_is_known(tmp_path):
    path = tmp_path / "data.csv"
    write_responses(MATRIX, path)
    with pytest.raises(InvalidResponses, match="exists already"):
        write_responses(MATRIX, path)
    with pytest.raises(InvalidResponses, match="'tall' is not known"):
        write_responses(MATRIX, tmp_path / "other.csv", layout="tall")  # type: ignore[arg-type]
