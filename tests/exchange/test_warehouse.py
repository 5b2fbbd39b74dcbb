"""The long format of the Item Response Warehouse, both ways."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from assess.errors import InvalidResponses
from assess.exchange.warehouse import from_warehouse, read_warehouse, to_warehouse, write_warehouse
from assess.responses import ResponseMatrix

MATRIX = ResponseMatrix(
    [[0, 2, -1], [1, -2, 0], [-3, 1, 1]], ["p1", "NA", "p3"], ["i1", "i2", "i3"], [2, 4, 2]
)


def same(left: ResponseMatrix, right: ResponseMatrix) -> bool:
    kept = right.take_items(left.item_ids)
    order = [right.person_ids.tolist().index(person) for person in left.person_ids.tolist()]
    return bool(
        (kept.categories[order] == left.categories).all() and (kept.n_categories == left.n_categories).all()
    )


def test_what_is_written_is_read_with_all_kinds_of_missing_and_unused_categories():
    assert same(MATRIX, from_warehouse(to_warehouse(MATRIX)))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_go_both_ways(tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    write_warehouse(MATRIX, path, times=np.full((3, 3), 4.5), covariates=pd.DataFrame({"age": [30, 40, 50]}))
    assert same(MATRIX, read_warehouse(path))
    frame = pd.read_csv(path, keep_default_na=False) if suffix == "csv" else pd.read_parquet(path)
    assert list(frame.columns) == ["id", "item", "resp", "rt", "cov_age", "itemcov_n_categories", "missing"]
    assert set(frame["cov_age"]) == {30, 40, 50}


def test_a_table_of_the_warehouse_with_na_and_covariates_is_read(tmp_path):
    path = tmp_path / "irw.csv"
    path.write_text("id,item,resp,rt,cov_sex\n1,a,0,3.1,f\n1,b,NA,2.2,f\n2,a,1,4.0,m\n2,b,1,1.1,m\n")
    assert read_warehouse(path).categories.tolist() == [[0, -1], [1, 1]]


def test_waves_are_chosen_and_never_mixed(tmp_path):
    frame = pd.DataFrame({"id": [1, 1, 2], "item": "a", "resp": [0, 1, 1], "wave": [1, 2, 1]})
    with pytest.raises(InvalidResponses, match="answers item 'a' more than once; choose one wave"):
        from_warehouse(frame)
    assert from_warehouse(frame, chosen={"wave": 1}).categories.tolist() == [[0], [1]]
    with pytest.raises(InvalidResponses, match="no row has wave = 3"):
        from_warehouse(frame, chosen={"wave": 3})
    with pytest.raises(InvalidResponses, match="no column 'rater'"):
        from_warehouse(frame, chosen={"rater": 3})


def test_what_is_no_table_of_the_warehouse_is_refused(tmp_path):
    with pytest.raises(InvalidResponses, match="'resp' is not there"):
        from_warehouse(pd.DataFrame({"id": [1], "item": ["a"]}))
    with pytest.raises(InvalidResponses, match="no such file"):
        read_warehouse(tmp_path / "nothing.csv")
    twice = pd.DataFrame({"id": [1, 1], "item": "a", "resp": [0, 1]})
    with pytest.raises(InvalidResponses, match="keep one row"):
        from_warehouse(twice)
    path = tmp_path / "bad.csv"
    path.write_text("id,item,resp\n1,a,right\n2,a,1\n")
    with pytest.raises(InvalidResponses, match=r"bad\.csv: .*resp"):
        read_warehouse(path)
    with pytest.raises(InvalidResponses, match="one per response"):
        to_warehouse(MATRIX, times=[[1.0]])
    with pytest.raises(InvalidResponses, match="covariates have 1 rows"):
        to_warehouse(MATRIX, covariates=pd.DataFrame({"age": [1]}))
