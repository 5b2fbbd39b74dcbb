"""A design study of a multistage form tells of its paths, and what routing is worth."""

from __future__ import annotations

import json

import numpy as np
import pytest

from assess.simulation import DesignOptions, alternative, design, form_accuracy, usual_alternatives
from assess.simulation.expectation import expectation
from assess.simulation.form_runs import run_form, with_estimates
from tests import synthetic


@pytest.fixture(scope="module")
def staged():
    return synthetic.release(kind="multistage", calibrated=True, n_items=36)


@pytest.fixture(scope="module")
def found(staged):
    others, refused = usual_alternatives(staged)
    assert refused == {}
    options = DesignOptions(n=400, n_at=20)
    return design(staged, np.random.default_rng(1), options=options, alternatives=others)


def test_paths_and_modules_are_told_with_their_shares(found):
    assert found.paths.index.tolist() == ["a: a-1 > a-2-1", "a: a-1 > a-2-2"]
    assert found.paths["share"].sum() == pytest.approx(1.0)
    assert found.paths["theta"].iloc[0] < found.paths["theta"].iloc[1]
    assert found.modules["share"].tolist() == [1.0, *found.paths["share"]]
    assert found.modules["items"].tolist() == [12.0, 12.0, 12.0]
    assert found.mean_items == 24.0
    # The exposure of a unit is that of its module.
    assert found.exposure.loc["x-001.v1", "share"] == found.modules.loc["a-2-1", "share"]
    kept = json.loads(json.dumps(found.to_mapping()))
    assert [row["path"] for row in kept["paths"]] == found.paths.index.tolist()


def test_the_form_is_compared_with_one_path_for_all_and_with_units_chosen_one_by_one(found):
    assert list(found.alternatives.index) == [
        "as it stands",
        "bounds of 0.9 and 0.1",
        "everybody on a-1 > a-2-1",
        "the same items, adaptive, as long",
    ]
    assert found.alternatives["items"].tolist() == [24.0] * 4
    assert found.alternatives.loc["everybody on a-1 > a-2-1", "overlap"] == pytest.approx(1.0)


def test_other_forms_have_no_paths():
    fixed = design(
        synthetic.release(calibrated=True), np.random.default_rng(1), options=DesignOptions(n=50, n_at=5)
    )
    assert len(fixed.paths) == len(fixed.modules) == 0
    assert "paths" not in fixed.to_mapping()


def test_far_from_the_middle_routing_errs_less_than_a_fixed_form_of_equal_length(staged):
    """The fixed form has every second unit of both ends: as long, and as wide."""
    units = staged.form.units
    even = [*units[0:12:2], *units[12:24], *units[24:36:2]]
    fixed = alternative(staged, kind="fixed", units=even, multistage=None)
    assert len(fixed.units) == 24
    for theta in (-1.8, 1.8):
        at = np.full(4_000, theta)
        routed = run_form(staged, at, np.random.default_rng(2)).theta - theta
        spread = with_estimates(fixed, run_form(fixed, at, np.random.default_rng(3))).theta - theta
        gained = (spread**2).mean() - (routed**2).mean()
        noise = np.sqrt((spread**2).var() / 4_000 + (routed**2).var() / 4_000)
        assert gained > 3.0 * noise


def test_accuracy_and_expectation_of_a_multistage_form_are_those_of_its_procedure(staged):
    accuracy = form_accuracy(staged, np.random.default_rng(4), n=400)
    assert "multistage" in accuracy.rule.method
    assert 0.4 < accuracy.rule.shares["accuracy"] < 0.95
    expected = expectation(staged, np.random.default_rng(5), n=200)
    assert expected.length == 24.0
    assert 0.6 < expected.reliability < 0.95
