from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, category_probabilities
from tests.irt.examples import parameter_sets
from tests.shared import needs_shared, shared

NODES = np.linspace(-3, 3, 7)


def alike(left, right, tolerance=1e-12):
    assert left.item_ids == right.item_ids
    assert category_probabilities(left, NODES) == pytest.approx(
        category_probabilities(right, NODES), abs=tolerance
    )


@given(items=parameter_sets())
def test_records_go_through_json_and_come_back_the_same(items):
    text = json.dumps(items.to_records())
    again = ItemParameters.from_records(json.loads(text))
    assert again.models == items.models
    alike(again, items)
    assert json.dumps(again.to_records()) == text or "RSM" in items.models


@given(items=parameter_sets())
def test_frames_come_back_the_same_also_through_csv(items):
    frame = items.to_frame()
    assert frame.index.name == "item"
    again = ItemParameters.from_frame(frame)
    assert again.models == items.models
    alike(again, items)


@given(items=parameter_sets())
def test_the_slope_intercept_form_comes_back_with_the_same_probabilities(items):
    nominal = [record for record in items.to_records() if record["model"] == "NRM"]
    assume(all(abs(record[f"a{record['n_categories']}"] - record["a1"]) > 0.01 for record in nominal))
    frame = items.to_mirt()
    alike(ItemParameters.from_mirt(frame), items, 1e-9)
    # mirt's coef() prints no itemtype: the family is read from the columns.
    alike(ItemParameters.from_mirt(frame.drop(columns="itemtype")), items, 1e-9)


def test_a_frame_has_the_columns_that_others_rely_on():
    items = ItemParameters.from_records(
        [
            {"item": "i1", "model": "4PL", "a": 1.0, "b": 0.0, "c": 0.2, "d": 0.9},
            {"item": "i2", "model": "GRM", "a": 1.0, "b1": -1.0, "b2": 1.0},
            {"item": "i3", "model": "RSM", "a": 1.0, "b": 0.5, "tau1": -0.3, "tau2": 0.3},
            {"item": "i4", "model": "NRM", "a1": -1.0, "a2": 1.0, "c1": 0.5, "c2": -0.5},
        ]
    )
    frame = items.to_frame()
    assert list(frame.columns) == [
        *("model", "n_categories", "a", "b", "c", "d", "b1", "b2", "tau1", "tau2", "a1", "a2", "c1", "c2")
    ]
    assert frame.loc["i3", "tau2"] == pytest.approx(0.3)
    assert (frame.loc["i4", "c1"], frame.loc["i4", "c2"]) == (0.5, -0.5)


def test_a_nominal_item_with_equal_ends_cannot_be_written_for_mirt():
    record = {"item": "n", "model": "NRM", "a1": 1, "a2": 2, "a3": 1, "c1": 0, "c2": 0, "c3": 0}
    with pytest.raises(InvalidParameters, match="first and last category slope are equal"):
        ItemParameters.from_records([record]).to_mirt()


def test_nominal_parameters_are_kept_with_sum_zero():
    items = ItemParameters.from_records([{"item": "n", "model": "NRM", "a1": 0, "a2": 1, "c1": 0, "c2": 2}])
    assert items.to_records()[0] == {
        "item": "n", "model": "NRM", "n_categories": 2, "a1": -0.5, "a2": 0.5, "c1": -1.0, "c2": 1.0,
    }  # fmt: skip


def test_standard_errors_in_a_frame_are_left_aside_and_families_inferred():
    frame = pd.DataFrame(
        {"a": [1.0, 1.2, 1.1], "b": [0.0, 0.1, 0.2], "c": [0.0, 0.2, 0.2], "d": [1.0, 1.0, 0.9], "se_a": 0.1},
        index=["i1", "i2", "i3"],
    )
    assert ItemParameters.from_frame(frame).models == ("2PL", "3PL", "4PL")


def test_a_unit_slope_need_not_be_said():
    frame = pd.DataFrame({"item": ["i1"], "model": ["Rasch"], "b": [0.4]})
    assert ItemParameters.from_frame(frame).slopes.tolist() == [1.0]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"model": "2PL", "a1": 1.0, "d": 0.5}, "from_mirt"),
        ({"model": "3PL", "a": 1.0, "b": 0.0, "c": 0.2, "d": -0.5}, r"in \(c, 1\].*from_mirt"),
        ({"model": "4PL", "a": 1.0, "b": 0.0, "c": 0.2, "d": 1.5}, r"in \(c, 1\].*from_mirt"),
        ({"model": "4PL", "a": 1.0, "b": 0.0, "c": 0.5, "d": 0.5}, r"in \(c, 1\].*from_mirt"),
        ({"model": "GRM", "a": 1.0, "d1": 1.0, "d2": 0.0}, "from_mirt"),
        ({"model": "3PL", "a": 1.0, "b": 0.0, "g": 0.2}, "from_mirt"),
        ({"a": 1.0, "b1": 0.0, "b2": 1.0}, "column 'model'"),
        ({"model": "2PL", "a": 1.0, "b": 0.0, "discrimination": 2.0}, "no parameter 'discrimination'"),
        ({"model": "2PL", "a": 1.0, "b": 0.0, "c": 0.2}, "no parameter 'c'"),
        ({"model": "2PL", "b": 0.0}, "slope a is missing"),
        ({"model": "2PL", "a": 1.0}, "location b is missing"),
        ({"model": "3PL", "a": 1.0, "b": 0.0}, "asymptote c is missing"),
        ({"model": "4PL", "a": 1.0, "b": 0.0, "c": 0.1}, "asymptote d is missing"),
        ({"model": "GRM", "a": 1.0}, "steps b1"),
        ({"model": "RSM", "b": 1.0}, "steps tau1"),
        ({"model": "NRM", "a1": 1.0, "a2": 2.0, "c1": 1.0}, "one of each per category"),
        ({"model": "GRM", "n_categories": 4, "a": 1.0, "b1": 0.0, "b2": 1.0}, "n_categories is 4"),
        ({"model": "2PL", "a": "steep", "b": 0.0}, "a is 'steep'"),
        ({"model": "5PL", "a": 1.0}, "model is '5PL'"),
    ],
)
def test_a_row_that_cannot_be_what_was_meant_is_refused(row, message):
    with pytest.raises(InvalidParameters, match=message):
        ItemParameters.from_frame(pd.DataFrame([row], index=["i1"]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"d": 1.0}, "a1 is missing"),
        ({"a1": 1.0}, "intercept d is missing"),
        ({"a1": 0.0, "d": 1.0}, "no location"),
        ({"a1": 1.0, "a2": 0.5, "d": 1.0}, "second slope"),
        ({"a1": 1.0, "d": 1.0, "itemtype": "spline"}, "itemtype 'spline'"),
    ],
)
def test_a_mirt_row_that_cannot_be_read_is_refused(row, message):
    with pytest.raises(InvalidParameters, match=message):
        ItemParameters.from_mirt(pd.DataFrame([row], index=["i1"]))


def test_a_record_without_an_id_is_refused():
    with pytest.raises(InvalidParameters, match="its id is None"):
        ItemParameters.from_records([{"model": "2PL", "a": 1.0, "b": 0.0}])


@needs_shared
@pytest.mark.parametrize(
    "case", ["calib_science_nrm", "calib_science_gpcm", "calib_science_pcm", "calib_science_grm"]
)
def test_the_two_forms_that_mirt_prints_are_the_same_items(case):
    results = json.loads(shared("reference", "cases", f"{case}.json").read_text())["results"]
    kinds = {"nominal": "NRM", "gpcm": "GPCM", "graded": "GRM", "Rasch": "PCM"}
    slope_intercept = ItemParameters.from_mirt(
        pd.DataFrame(
            [
                {"item": name, "itemtype": kind} | item["est"]
                for (name, item), kind in zip(
                    results["items_slope_intercept"].items(), results["item_type"], strict=True
                )
            ]
        )
    )
    traditional = ItemParameters.from_records(
        {"item": name, "model": kinds[kind]} | item["est"]
        for (name, item), kind in zip(results["items_irt"].items(), results["item_type"], strict=True)
    )
    assert slope_intercept.models == traditional.models
    alike(slope_intercept, traditional, 1e-9)
