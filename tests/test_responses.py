from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assess.errors import DataWarning, InvalidResponses
from assess.responses import NOT_ADMINISTERED, NOT_REACHED, OMITTED, ResponseMatrix, as_matrix

matrices = hnp.arrays(np.int8, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.integers(-3, 4))


def small(**more):
    return ResponseMatrix([[0, 1], [1, 2], [1, 0]], ["p1", "p2", "p3"], ["i1", "i2"], **more)


def frame(**columns):
    return pd.DataFrame(columns or {"i1": [0, 1, 1], "i2": [1, 2, 0]})


# --- from and to tables ------------------------------------------------------


def test_an_empty_cell_was_not_administered():
    matrix = ResponseMatrix.from_frame(frame(i1=[0.0, None, 1.0], i2=[1, 2, 0]))
    assert matrix.categories.tolist() == [[0, 1], [NOT_ADMINISTERED, 2], [1, 0]]
    assert matrix.n_categories.tolist() == [2, 3]
    assert matrix.categories.dtype == np.int8


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([True, False, True]),
        pd.Series([1, 0, 1], dtype="Int64"),
        pd.Series([1, 0, 1], dtype=object),
        pd.Series([1, 0, 1], dtype="uint8"),
        pd.Series([1, 0, 1], dtype="category"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_every_way_to_write_whole_numbers_is_read(column):
    assert ResponseMatrix.from_frame(frame(i1=column, i2=[1, 2, 0])).categories[:, 0].tolist() == [1, 0, 1]


def test_nullable_and_object_columns_keep_their_gaps():
    columns = {"i1": pd.Series([1, None, 0], dtype="Int64"), "i2": pd.Series([None, 1, 0], dtype=object)}
    assert ResponseMatrix.from_frame(frame(**columns)).categories.tolist() == [[1, -1], [-1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"i1": ["A", "B", "A"]}, "column 'i1', row 0: 'A' is no number"),
        ({"i1": ["1", "0", "1"]}, "'1' is no number"),
        ({"i1": [0.5, 0.0, 1.0]}, "item 'i1', row 0: 0.5 is not a whole number"),
        ({"i1": [np.inf, 0.0, 1.0]}, "not a whole number"),
        ({"i1": [-9, 0, 1]}, "item 'i1', person 0: category -9 is negative"),
        ({"i1": [-1, 0, 1]}, "missing_codes=True"),
        ({"i1": [0, 1, 531]}, "531 is outside 0..126"),
        ({"i1": pd.to_datetime(["2026-01-01"] * 3)}, "is no number"),
    ],
)
def test_a_cell_that_is_no_category_is_refused_by_name(columns, message):
    with pytest.raises(InvalidResponses, match=message):
        ResponseMatrix.from_frame(frame(**columns))


def test_the_three_codes_are_taken_only_when_asked_for():
    codes = frame(i1=[-1, -2, -3], i2=[0, 1, 0])
    assert ResponseMatrix.from_frame(codes, missing_codes=True).categories[:, 0].tolist() == [-1, -2, -3]
    with pytest.raises(InvalidResponses, match="-9 is outside"):
        ResponseMatrix.from_frame(frame(i1=[-9, 0, 1]), missing_codes=True)


def test_a_wide_matrix_is_refused_unless_something_says_what_an_item_is():
    wide = pd.DataFrame([[0, 1, 1], [1, 0, 1]], columns=["i1", "i2", "i3"])
    with pytest.raises(InvalidResponses, match="looks transposed"):
        ResponseMatrix.from_frame(wide)
    assert ResponseMatrix.from_frame(wide, allow_wide=True).n_items == 3
    assert ResponseMatrix.from_frame(wide, known_items=["i1", "i2", "i3", "i4"]).n_items == 3


def test_a_column_that_is_not_an_item_is_refused():
    with pytest.raises(InvalidResponses, match="column 'age' is not an item; drop or rename"):
        ResponseMatrix.from_frame(frame(age=[1, 2, 3], i1=[0, 1, 1]), known_items=["i1"])


def test_a_transposed_matrix_is_recognised_by_the_labels_of_its_rows():
    turned = frame().T
    with pytest.raises(InvalidResponses, match="transpose the matrix"):
        ResponseMatrix.from_frame(turned, known_items=["i1", "i2"])


def test_labels_must_be_unique():
    with pytest.raises(InvalidResponses, match="item 'i1' occurs twice"):
        ResponseMatrix.from_frame(pd.DataFrame([[0, 1], [1, 0]], columns=["i1", "i1"]))
    with pytest.raises(InvalidResponses, match="person 'p' occurs twice"):
        ResponseMatrix.from_frame(pd.DataFrame({"i1": [0, 1]}, index=["p", "p"]))


def test_an_empty_table_is_refused():
    with pytest.raises(InvalidResponses, match="nothing is in them"):
        ResponseMatrix.from_frame(pd.DataFrame({"i1": []}))
    with pytest.raises(InvalidResponses, match="no rows"):
        ResponseMatrix.from_long(pd.DataFrame({"id": [], "item": [], "resp": []}))


@given(values=matrices)
def test_frames_keep_all_three_codes_both_ways(values):
    matrix = ResponseMatrix(values)
    again = ResponseMatrix.from_frame(
        matrix.to_frame(missing_codes=True), missing_codes=True, allow_wide=True
    )
    assert (again.categories == values).all()
    plain = matrix.to_frame()
    assert (plain.isna().to_numpy() == (values < 0)).all()


def test_a_long_table_becomes_the_same_matrix():
    long = pd.DataFrame(
        {"id": ["a", "b", "a"], "item": ["i1", "i2", "i2"], "resp": [1, None, 0], "rt": [1.0, 2.0, 3.0]}
    )
    matrix = ResponseMatrix.from_long(long, n_categories={"i1": 2, "i2": 4})
    assert matrix.item_ids == ("i1", "i2")
    assert matrix.person_ids.tolist() == ["a", "b"]
    assert matrix.categories.tolist() == [[1, 0], [-1, -1]]
    assert matrix.n_categories.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resp": None}, "'resp' is not there"),
        ({"id": ["a", "a", "b"], "item": ["i1", "i1", "i1"]}, "'a' answers item 'i1' more than once"),
        ({"id": ["a", None, "b"]}, "row 1: id or item is empty"),
        ({"item": ["i1", "i2", None]}, "row 2: id or item is empty"),
        ({"resp": [1, -7, 0]}, "-7 is negative"),
        ({"resp": [1, "B", 0]}, "'B' is no number"),
    ],
)
def test_a_faulty_long_table_is_refused(change, message):
    columns = {"id": ["a", "b", "a"], "item": ["i1", "i2", "i2"], "resp": [1, 1, 0]} | change
    table = pd.DataFrame({name: values for name, values in columns.items() if values is not None})
    with pytest.raises(InvalidResponses, match=message):
        ResponseMatrix.from_long(table)


def test_a_long_table_is_checked_against_the_bank_and_for_orientation():
    long = pd.DataFrame({"id": ["a", "a"], "item": ["i1", "i2"], "resp": [1, 0]})
    with pytest.raises(InvalidResponses, match="looks transposed"):
        ResponseMatrix.from_long(long)
    with pytest.raises(InvalidResponses, match="'i2' is not an item"):
        ResponseMatrix.from_long(long, known_items=["i1"])


# --- categories --------------------------------------------------------------


def test_a_category_beyond_the_item_is_refused_by_item():
    with pytest.raises(InvalidResponses, match=r"item 'i2': category 2 is outside 0..1"):
        small(n_categories=[2, 2])
    with pytest.raises(InvalidResponses, match="each at least 2"):
        small(n_categories=[1, 3])
    with pytest.raises(InvalidResponses, match="item 'i2': its number of categories is not given"):
        small(n_categories={"i1": 2})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1],), "persons x items"),
        (([["a", "b"]],), "are of type"),
        (([[0, 1]], ["p1", "p2"]), "person ids"),
        (([[0, 1]], ["p1"], ["i1"]), "item ids"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InvalidResponses, match=message):
        ResponseMatrix(*arguments)


def test_the_matrix_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        small().categories[0, 0] = 1


def test_the_three_kinds_of_missing_are_recoded_as_asked():
    matrix = ResponseMatrix([[1, OMITTED, NOT_REACHED, NOT_ADMINISTERED]])
    assert matrix.recode().tolist() == [[1, 0, -1, -1]]
    assert matrix.recode(omitted="missing", not_reached=0).tolist() == [[1, -1, 0, -1]]
    with pytest.raises(InvalidResponses, match="5 is no category"):
        matrix.recode(omitted=5)


# --- taking apart ------------------------------------------------------------


def test_persons_and_items_can_be_taken_and_keep_their_categories():
    matrix = small()
    assert matrix.take_persons([2, 0]).person_ids.tolist() == ["p3", "p1"]
    assert matrix.take_persons(slice(0, 1)).n_categories.tolist() == [2, 3]
    assert matrix.take_persons(np.array([True, False, False])).n_persons == 1
    assert matrix.take_items(["i2"]).categories.tolist() == [[1], [2], [0]]
    with pytest.raises(InvalidResponses, match="no responses to item 'x'"):
        matrix.take_items(["x"])


def test_items_without_variation_are_named_refused_or_set_aside():
    matrix = ResponseMatrix([[0, 1, -1], [1, 1, -1], [1, -2, -3]], item_ids=["i1", "same", "nobody"])
    assert matrix.constant_items() == ("same",)
    assert matrix.empty_items() == ("nobody",)
    with pytest.raises(InvalidResponses, match="'same', 'nobody'"):
        matrix.informative_items()
    with pytest.warns(DataWarning, match="set aside 2 items"):
        assert matrix.informative_items(exclude=True).item_ids == ("i1",)
    assert small().informative_items() is not None


def test_the_hash_sees_every_response_and_label():
    base = small()
    assert base.sha256() == small().sha256()
    others = [
        ResponseMatrix([[0, 1], [1, 2], [1, -2]], ["p1", "p2", "p3"], ["i1", "i2"]),
        ResponseMatrix(base.categories, ["p1", "p2", "p4"], ["i1", "i2"]),
        ResponseMatrix(base.categories, ["p1", "p2", "p3"], ["i1", "i3"]),
        small(n_categories=[3, 3]),
    ]
    assert len({base.sha256(), *(other.sha256() for other in others)}) == 5


def test_what_users_hand_in_becomes_a_matrix():
    matrix = small()
    assert as_matrix(matrix) is matrix
    assert as_matrix(frame()).n_persons == 3
    with pytest.raises(InvalidResponses, match="got list"):
        as_matrix([[0, 1]])  # type: ignore[arg-type]


def test_a_representation_is_one_line():
    assert repr(small()) == "<ResponseMatrix: 3 persons x 2 items, 0.0 % missing>"
