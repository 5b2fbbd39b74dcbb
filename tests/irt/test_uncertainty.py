"""Draws of item parameters spread as their standard errors and correlations say."""

from __future__ import annotations

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import ItemParameters
from assess.irt.uncertainty import draw_parameters

ITEMS = ItemParameters(
    ["i1", "i2", "i3"],
    ["2PL", "GRM", "3PL"],
    [1.2, -0.8, 1.0],
    [[0.3, np.nan], [-0.4, -0.5], [0.0, np.nan]],
    lower=[0.0, 0.0, 0.2],
)
ERRORS = {"i1": {"a": 0.12, "b": 0.2}, "i2": {"a": 0.1, "b1": 0.3, "b2": 0.3}, "i3": {"c": 0.05}}


def _draws(n, **more):
    rng = np.random.default_rng(1)
    return [draw_parameters(ITEMS, ERRORS, rng, **more) for _ in range(n)]


def test_draws_spread_as_the_standard_errors_say():
    drawn = _draws(4_000)
    b = np.array([d.steps[0, 0] for d in drawn])
    log_a = np.log([d.slopes[0] for d in drawn])
    # The standard error of a standard deviation over 4,000 draws is 1.1 %; four of them.
    assert b.std() == pytest.approx(0.2, rel=0.045)
    assert log_a.std() == pytest.approx(0.1, rel=0.045)
    assert b.mean() == pytest.approx(0.3, abs=0.013)


def test_correlations_are_kept_within_an_item():
    drawn = _draws(4_000, correlations={"i1": [-0.6]})
    found = np.corrcoef(np.log([d.slopes[0] for d in drawn]), [d.steps[0, 0] for d in drawn])[0, 1]
    assert found == pytest.approx(-0.6, abs=0.05)


def test_what_has_no_error_stays_and_order_and_sign_and_range_are_kept():
    for drawn in _draws(200):
        assert drawn.steps[1, 0] > drawn.steps[1, 1]
        assert drawn.slopes[1] < 0.0
        assert 0.0 < drawn.lower[2] < 1.0
        assert drawn.slopes[2] == 1.0
        assert drawn.steps[2, 0] == 0.0
    same = draw_parameters(ITEMS, {}, np.random.default_rng(1))
    assert same.to_records() == ITEMS.to_records()


def test_errors_that_cannot_be_are_refused_by_name():
    rng = np.random.default_rng(1)
    for bad in (-0.1, np.nan, np.inf):
        with pytest.raises(InvalidParameters, match="item 'i1': the standard error of b is"):
            draw_parameters(ITEMS, {"i1": {"b": bad}}, rng)
    with pytest.raises(InvalidParameters, match="2 correlations for 2 parameters; give 1"):
        draw_parameters(ITEMS, ERRORS, rng, correlations={"i1": [0.1, 0.2]})
    with pytest.raises(InvalidParameters, match="those of no parameters"):
        draw_parameters(ITEMS, ERRORS, rng, correlations={"i1": [1.5]})
