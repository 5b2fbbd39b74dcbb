"""Standard setting: the cut is where the expected score equals what the panel judged."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import CutNotFound, InvalidParameters
from assess.irt.models import ItemParameters, expected_score
from assess.standard_setting import cut_from_ratings


def _items(a=(1.0, 1.4, 0.7), b=(-0.5, 0.2, 1.1)):
    return ItemParameters([f"i{j}" for j in range(len(a))], "2PL", list(a), [[x] for x in b])


def test_one_rasch_item_is_solved_by_its_logit():
    cut = cut_from_ratings({"i0": 0.8}, _items(a=(1.0,), b=(0.3,)))
    assert cut.theta == pytest.approx(0.3 + math.log(4.0), abs=1e-10)
    assert (cut.raw, cut.n_units, cut.n_judges) == (0.8, 1, 1)
    assert math.isnan(cut.se)


@given(
    theta=st.floats(-3, 3),
    a=st.lists(st.floats(0.3, 2.5), min_size=2, max_size=8),
    shift=st.floats(-2, 2),
)
def test_expected_scores_at_a_theta_lead_back_to_it(theta, a, shift):
    items = _items(a=tuple(a), b=tuple(shift + 0.3 * j for j in range(len(a))))
    ratings = dict(zip(items.item_ids, expected_score(items, theta)[0].tolist(), strict=True))
    assert cut_from_ratings(ratings, items).theta == pytest.approx(theta, abs=1e-6)


@given(st.permutations(range(3)))
def test_the_order_of_the_units_does_not_matter(order):
    ratings = {"i0": 0.7, "i1": 0.5, "i2": 0.3}
    shuffled = {f"i{j}": ratings[f"i{j}"] for j in order}
    assert cut_from_ratings(shuffled, _items()).theta == pytest.approx(
        cut_from_ratings(ratings, _items()).theta, abs=1e-10
    )


def test_polytomous_units_count_their_expected_category():
    items = ItemParameters(
        ["set", "i1"], ["GPCM", "2PL"], [0.8, 1.0], [[-1.0, 0.0, 1.0], [0.0, np.nan, np.nan]]
    )
    # By symmetry the expected score of both at 0 is half of their maximum.
    assert cut_from_ratings({"set": 1.5, "i1": 0.5}, items).theta == pytest.approx(0.0, abs=1e-9)


def test_parameters_of_other_units_are_left_aside():
    assert cut_from_ratings({"i1": 0.5}, _items()).theta == pytest.approx(0.2, abs=1e-9)


def test_the_standard_error_is_that_of_the_judges_mean_over_the_slope_of_the_curve():
    items = _items(a=(2.0,), b=(0.0,))
    panel = pd.DataFrame({"i0": [0.4, 0.5, 0.6]}, index=["j1", "j2", "j3"])
    cut = cut_from_ratings(panel, items)
    # sd 0.1 over root 3; the curve rises by a / 4 = 0.5 at its location.
    assert cut.theta == pytest.approx(0.0, abs=1e-10)
    assert cut.se == pytest.approx(0.1 / math.sqrt(3.0) / 0.5, rel=1e-6)
    assert "3 judges" in cut.summary()


@pytest.mark.parametrize("rating", [0.0, 1.0])
def test_a_sum_at_the_end_of_the_curve_has_no_cut(rating):
    with pytest.raises(CutNotFound, match="not between"):
        cut_from_ratings({"i0": rating, "i1": rating, "i2": rating}, _items())


def test_a_sum_below_the_guessing_level_has_no_cut():
    items = ItemParameters(["i0"], "3PL", [1.0], [[0.0]], lower=[0.25])
    with pytest.raises(CutNotFound, match=r"0\.25"):
        cut_from_ratings({"i0": 0.2}, items)


def test_a_rated_unit_without_parameters_is_named():
    with pytest.raises(InvalidParameters, match="'i9'"):
        cut_from_ratings({"i9": 0.5}, _items())


def test_a_rating_outside_the_categories_is_named():
    with pytest.raises(InvalidParameters, match=r"'i1': rating 1\.2 is not between 0 and 1"):
        cut_from_ratings({"i0": 0.5, "i1": 1.2}, _items())


def test_no_ratings_are_refused():
    with pytest.raises(InvalidParameters, match="no ratings"):
        cut_from_ratings({}, _items())


def test_a_unit_that_falls_with_theta_is_refused():
    with pytest.raises(InvalidParameters, match="falls"):
        cut_from_ratings({"i0": 0.5}, _items(a=(-1.0,), b=(0.0,)))
