"""Parameters to and from plain CSV and R mirt, with the metric stated."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from assess.errors import InvalidParameters
from assess.exchange.parameters import read_parameters, write_parameters
from assess.irt import ItemParameters
from assess.irt.models import category_probabilities
from tests.shared import needs_shared, shared

ITEMS = ItemParameters.from_records(
    [
        {"item": "t", "model": "3PL", "a": 1.2, "b": 0.3, "c": 0.2},
        {"item": "p", "model": "PCM", "b1": -1.0, "b2": 0.7},
        {"item": "g", "model": "GRM", "a": 1.3, "b1": -1.0, "b2": 0.7},
        {"item": "n", "model": "NRM", "a1": -1.0, "a2": 0.2, "a3": 0.8, "c1": 0.1, "c2": 0.3, "c3": -0.4},
    ]
)
THETA = np.linspace(-3, 3, 13)


@pytest.mark.parametrize("program", ["assess", "mirt"])
def test_a_file_gives_the_same_curves(tmp_path, program):
    path = tmp_path / "items.csv"
    write_parameters(ITEMS, path, program=program)
    found = read_parameters(path, program=program)
    assert found.item_ids == ITEMS.item_ids
    assert np.allclose(category_probabilities(found, THETA), category_probabilities(ITEMS, THETA), atol=1e-12)


def test_a_table_for_another_metric_gives_the_curves_it_was_made_for(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,model,a,b,b1,b2,c\ni1,3PL,0.8,0.5,,,0.2\ni2,PCM,,,-0.5,0.5,\n")
    found = read_parameters(path, scaling=1.702)
    p = category_probabilities(found, [1.0])[0]
    assert p[0, 1] == pytest.approx(0.2 + 0.8 / (1.0 + np.exp(-1.702 * 0.8 * 0.5)))
    weights = np.exp(1.702 * np.array([0.0, 1.5, 2.0]))
    assert p[1] == pytest.approx(weights / weights.sum())


def test_a_file_that_states_its_metric_needs_nobody_to_say_it(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item,a,b,D\ni1,1.0,0.5,1.7\n")
    assert read_parameters(path).slopes.tolist() == [1.7]
    with pytest.raises(InvalidParameters, match=r"says \[1.7\], you say 1"):
        read_parameters(path, scaling=1)


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("item,a,b\ni1,1,0\n", {}, "its metric is not stated"),
        ("item,a,b\ni1,1,0\ni1,1,0\n", {"scaling": 1}, "'i1' is listed twice"),
        ("item,a,b\ni1,1,0\n", {"scaling": -1.7}, "positive D"),
        ("item,a,b,D\ni1,1,0,1\ni2,1,0,1.7\n", {}, "a table has one metric"),
        ("item,a1,d\ni1,1,0\n", {"program": "mirt", "scaling": 1.7}, "mirt's parameters have D = 1"),
        ("item,a,b\ni1,1,0\n", {"program": "bilog"}, "'bilog' is not known"),
        ("item,a1,d\ni1,1,0\n", {"scaling": 1}, "from_mirt"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, text, given, message):
    path = tmp_path / "items.csv"
    path.write_text(text)
    with pytest.raises(InvalidParameters, match=message):
        read_parameters(path, **given)


def test_other_refusals(tmp_path):
    with pytest.raises(InvalidParameters, match="no such file"):
        read_parameters(tmp_path / "nothing.csv")
    with pytest.raises(InvalidParameters, match="'bilog' is not known"):
        write_parameters(ITEMS, tmp_path / "x.csv", program="bilog")  # type: ignore[arg-type]


@needs_shared
def test_what_mirt_estimated_is_read_from_its_own_table(tmp_path):
    results = json.loads(shared("reference", "cases", "calib_science_grm.json").read_text())["results"]
    rows = [
        {"item": name, "itemtype": "graded"} | item["est"]
        for name, item in results["items_slope_intercept"].items()
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "mirt.csv", index=False)
    found = read_parameters(tmp_path / "mirt.csv", program="mirt")
    for name, item in results["items_irt"].items():
        j = found.position[name]
        assert found.slopes[j] == pytest.approx(item["est"]["a"], abs=1e-6)
        assert found.steps[j, 0] == pytest.approx(item["est"]["b1"], abs=1e-6)
