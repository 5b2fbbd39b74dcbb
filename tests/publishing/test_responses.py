"""Response files: wide and long, CSV and Parquet, scored and raw, and every refusal with its row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import InvalidContent, InvalidResponses
from assess.publishing import load_bank, open_responses, read_key, read_options, read_responses
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED
from tests.shared import needs_shared, shared


@pytest.fixture
def csv(tmp_path):
    def write(text, name="answers.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


WIDE = "person,i1,i2,i3\np1,0,1,2\np2,1,,0\np3,1,0,1\n"
LONG = "id,item,resp\np1,i1,0\np1,i2,1\np1,i3,2\np2,i1,1\np2,i3,0\np3,i1,1\np3,i2,0\np3,i3,1\n"


def test_a_wide_file_is_persons_by_items(csv):
    matrix = read_responses(csv(WIDE))
    assert matrix.categories.tolist() == [[0, 1, 2], [1, -1, 0], [1, 0, 1]]
    assert (matrix.person_ids.tolist(), matrix.item_ids) == (["p1", "p2", "p3"], ("i1", "i2", "i3"))
    assert matrix.n_categories.tolist() == [2, 2, 3]


def test_persons_with_several_rows_are_named_by_columns_together(csv):
    twice = csv("person,occasion,i1\np1,1,0\np1,2,1\np2,1,1\n")
    with pytest.raises(InvalidResponses, match=r"'p1' occurs twice; .* columns together: person\+"):
        read_responses(twice, items=["i*"])
    matrix = read_responses(twice, person="person+occasion")
    assert (matrix.person_ids.tolist(), matrix.item_ids) == (["p1/1", "p1/2", "p2/1"], ("i1",))
    options = read_options(twice, {"i1": "1"}, person="person+occasion")
    assert options.index.tolist() == ["p1/1", "p1/2", "p2/1"]
    with pytest.raises(InvalidResponses, match="no column 'rater' to name the persons"):
        read_responses(twice, person="person+rater")


def test_a_long_file_gives_the_same_matrix(csv):
    assert read_responses(csv(LONG)).sha256() == read_responses(csv(WIDE, "wide.csv")).sha256()


def test_parquet_gives_the_same_matrix(csv, tmp_path):
    wide = pd.read_csv(csv(WIDE))
    wide.to_parquet(tmp_path / "wide.parquet")
    pd.read_csv(csv(LONG)).to_parquet(tmp_path / "long.parquet")
    expected = read_responses(csv(WIDE)).sha256()
    assert read_responses(tmp_path / "wide.parquet").sha256() == expected
    assert read_responses(tmp_path / "long.parquet").sha256() == expected


def test_raw_options_are_scored_with_a_key(csv):
    raw = csv("id,i1,i2\np1,A,B\np2,C,\np3,A,D\n")
    key = csv("item,key\ni1,A\ni2,D\n", "key.csv")
    assert read_responses(raw, key=key).categories.tolist() == [[1, 0], [0, -1], [1, 1]]


def test_a_cell_may_mean_omitted(csv):
    path = csv("id,i1\np1,1\np2,9\np3,0\n")
    assert read_responses(path, omitted=["9"]).categories[:, 0].tolist() == [1, OMITTED, 0]


def test_three_codes_of_missing_are_kept_apart_when_asked_for(csv):
    path = csv("id,i1\np1,1\np2,-1\np3,-2\np4,-3\n")
    codes = [1, NOT_ADMINISTERED, OMITTED, NOT_REACHED]
    assert read_responses(path, missing_codes=True).categories[:, 0].tolist() == codes
    with pytest.raises(InvalidResponses, match=r"row 2, column 'i1': -1 is outside"):
        read_responses(path)


def test_rows_without_a_person_column_are_numbered(csv):
    assert read_responses(csv("i1,i2\n0,1\n1,0\n")).person_ids.tolist() == [1, 2]


def test_the_person_column_can_be_named(csv):
    matrix = read_responses(csv("i1,code,i2\n0,x,1\n1,y,0\n"), person="code")
    assert (matrix.person_ids.tolist(), matrix.item_ids) == (["x", "y"], ("i1", "i2"))
    with pytest.raises(InvalidResponses, match="no column 'name'"):
        read_responses(csv(WIDE), person="name")


def test_items_are_chosen_by_pattern_and_other_columns_left_aside(csv):
    path = csv("person,s_1,s_2,total,name\np1,0,1,9,Ann\np2,1,1,8,Bo\n")
    assert read_responses(path, items=["s_*"]).item_ids == ("s_1", "s_2")
    with pytest.raises(InvalidResponses, match="no column is called 't_"):
        read_responses(path, items=["s_*", "t_*"])


def test_a_bank_says_what_is_an_item_and_how_many_categories_it_has(csv, course):
    bank = load_bank(course)
    matrix = read_responses(csv("id,toy-001.v1,toy-set.v1\np1,1,1\np2,0,0\n"), bank=bank)
    assert matrix.n_categories.tolist() == [2, 3]
    with pytest.raises(InvalidResponses, match=r"row 1, column 'toy-set\.v1': 3 is outside 0\.\.2"):
        read_responses(csv("id,toy-set.v1\np1,3\n"), bank=bank)
    with pytest.raises(InvalidResponses, match="column 'age' is not an item of the bank"):
        read_responses(csv("id,toy-001.v1,age\np1,1,33\n"), bank=bank)


@given(
    st.lists(st.lists(st.integers(-1, 3), min_size=3, max_size=3), min_size=4, max_size=12),
    st.integers(1, 5),
)
@settings(max_examples=25)
def test_what_is_written_is_read_whole_and_in_chunks(tmp_path_factory, rows, chunk):
    path = tmp_path_factory.mktemp("files") / "answers.csv"
    lines = [",".join([f"p{i}", *("" if x < 0 else str(x) for x in row)]) for i, row in enumerate(rows)]
    path.write_text("\n".join(["person,a,b,c", *lines, ""]))
    whole = read_responses(path)
    assert whole.categories.tolist() == rows
    file = open_responses(path, chunk_persons=chunk)
    for _ in range(2):  # a calibration passes over the file many times
        parts = list(file)
        assert np.concatenate([part.categories for part in parts]).tolist() == rows
        assert all(part.n_categories.tolist() == whole.n_categories.tolist() for part in parts)


def test_a_long_file_and_parquet_come_in_chunks_too(csv, tmp_path):
    assert [len(part.person_ids) for part in open_responses(csv(LONG), chunk_persons=2)] == [2, 1]
    pd.read_csv(csv(WIDE)).to_parquet(tmp_path / "wide.parquet")
    parts = list(open_responses(tmp_path / "wide.parquet", chunk_persons=2))
    assert np.concatenate([part.categories for part in parts]).tolist() == [[0, 1, 2], [1, -1, 0], [1, 0, 1]]


# --- refusals --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("person,i1\n", "no row below the first line"),
        ("person,i1,i1\np1,0,1\n", "two columns are called 'i1'"),
        ("person,,i1\np1,0,1\n", "column 2 has no name"),
        ("person;i1\np1;0\n", "separate the columns by commas"),
        ("person,i1\np1,yes\n", r"row 1, column 'i1': 'yes' is not a category"),
        ("person,i1\np1,0\np2,1.5\n", r"row 2, column 'i1': 1\.5 is outside"),
        ("person,i1\np1,0\np2,999\n", r"row 2, column 'i1': 999 is outside 0\.\.126"),
        ("person,i1,i2\np1,0,1\np2,1\n", "row 2 has 2 cells, the first line has 3"),
        ("person,i1\np1,0\np2,1,7\n", "row 2 has 3 cells, the first line has 2"),
        ("person,i1\np1,0\np1,1\n", "person 'p1' occurs twice"),
        ("person,i1,i2,i3\np1,0,1,0\np2,1,1,0\n", "looks transposed"),
        ("person\np1\n", "no column is an item"),
        ("id,item,resp\np1,i1,0\np1,i1,1\n", "row 2: person 'p1' answers item 'i1' a second time"),
        ("id,item,resp\np1,i1,0\n,i1,1\n", "row 2: id is empty"),
        ("id,item,resp\np1,i1,zero\n", "column 'i1': 'zero' is not a category"),
    ],
)
def test_a_fault_names_the_file_and_the_place(csv, text, message):
    with pytest.raises(InvalidResponses, match=message) as caught:
        read_responses(csv(text))
    assert str(caught.value).startswith("answers.csv: ")


def test_a_file_that_is_not_utf8_is_named_with_its_line(csv):
    path = csv("person,i1\npé,0\n", encoding="latin-1")
    with pytest.raises(InvalidResponses, match=r"answers\.csv: line 2: byte 0xe9 is not UTF-8"):
        read_responses(path)


def test_a_missing_file_and_a_false_parquet_are_refused(csv, tmp_path):
    with pytest.raises(InvalidResponses, match="no such file"):
        read_responses(tmp_path / "nowhere.csv")
    with pytest.raises(InvalidResponses, match="not a Parquet file"):
        read_responses(csv("person,i1\n", "answers.parquet"))


def test_a_wide_file_that_is_read_as_long_is_refused(csv):
    with pytest.raises(InvalidResponses, match="'id' is not there"):
        read_responses(csv(WIDE), format="long")


def test_a_transposed_file_is_recognised_by_its_items(csv):
    path = csv("id,p1,p2\ni1,A,B\ni2,C,D\n")
    with pytest.raises(
        InvalidResponses, match="'p1' is not an item of the key; the row labels are items: transpose"
    ):
        read_responses(path, key={"i1": "A", "i2": "D"})


def test_more_items_than_persons_are_read_when_asked_for(csv):
    assert read_responses(csv("person,i1,i2,i3\np1,0,1,0\np2,1,1,0\n"), allow_wide=True).n_items == 3


def test_a_column_without_a_key_is_refused(csv):
    with pytest.raises(InvalidResponses, match="column 'i2' is not an item of the key"):
        read_responses(csv("id,i1,i2\np1,A,B\n"), key={"i1": "A"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,answer\ni1,A\n", "the columns item, key"),
        ("item,key\ni1,A\ni1,B\n", "row 2: item 'i1' is listed twice"),
        ("item,key\ni1,\n", "row 1: item 'i1' has no key"),
    ],
)
def test_a_bad_key_file_is_refused(csv, text, message):
    with pytest.raises(InvalidContent, match=message):
        read_key(csv(text, "key.csv"))


# --- real files --------------------------------------------------------------------


@needs_shared
def test_the_homeostasis_inventory_is_read_from_its_raw_options():
    matrix = read_responses(
        shared("data", "hci_raw_options.csv"), key=shared("data", "hci_key.csv"), items=["item*"]
    )
    assert matrix.categories.shape == (651, 20)
    totals = pd.read_csv(shared("data", "hci_raw_options.csv"))["total"]
    assert (matrix.categories.sum(axis=1) == totals.to_numpy()).all()


@needs_shared
def test_the_numeracy_test_is_read_from_its_scored_columns():
    matrix = read_responses(shared("data", "numeracy.csv"), items=["scored_*"])
    assert matrix.categories.shape == (876, 15)
    assert matrix.constant_items() == ()


@needs_shared
def test_the_science_test_keeps_its_omitted_responses():
    matrix = read_responses(
        shared("data", "sat12_raw_options.csv"), key=shared("data", "sat12_key.csv"), omitted=["8"]
    )
    assert matrix.categories.shape == (600, 32)
    assert (matrix.categories == OMITTED).sum() == 69


@needs_shared
def test_a_calibration_from_chunks_is_the_one_from_the_whole():
    from assess import irt

    path, items = shared("data", "numeracy.csv"), ["scored_*"]
    whole = irt.calibrate(read_responses(path, items=items), "2PL")
    chunked = irt.calibrate(open_responses(path, items=items, chunk_persons=200), "2PL")
    assert chunked.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-6)
    assert np.allclose(chunked.parameters.steps, whole.parameters.steps, atol=1e-5)
