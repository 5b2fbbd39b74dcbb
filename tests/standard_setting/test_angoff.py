"""Modified Angoff: the cut is where the expected score equals what the panel judged."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import CutNotFound, InvalidParameters
from assess.irt.models import ItemParameters, expected_score
from assess.standard_setting import angoff, cut_from_ratings, variance_components
from tests.standard_setting.panels import mixed_form, true_ratings


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


# --- the panel ---------------------------------------------------------------------


@pytest.mark.parametrize("theta", [-1.2, 0.0, 0.7])
def test_judges_who_rate_the_true_probabilities_recover_theta(theta):
    form = mixed_form()
    assert cut_from_ratings(true_ratings(form, theta), form).theta == pytest.approx(theta, abs=1e-9)
    # So they do where each errs, but the panel does not.
    assert cut_from_ratings(true_ratings(form, theta, noise=0.5), form).theta == pytest.approx(
        theta, abs=1e-9
    )


def test_the_errors_name_their_design():
    form = mixed_form()
    cut = cut_from_ratings(true_ratings(form, 0.3, noise=0.5), form)
    fixed, random, placed = (
        cut.error(f"judges random, items {items}")
        for items in ("fixed", "random", "random, difficulty known")
    )
    assert cut.se == fixed.theta
    assert fixed.raw / fixed.theta == pytest.approx(random.raw / random.theta)
    # How hard the items are is most of what differs between them, and the curve knows it.
    assert fixed.raw <= placed.raw < 0.5 * random.raw
    with pytest.raises(InvalidParameters, match="there is: judges random, items fixed;"):
        cut.error("judges fixed")


def test_variance_components_are_those_of_the_table_of_mean_squares():
    """Brennan's three mean squares, worked by hand: 1.5 between judges, 6 between items, 0 left."""
    table = pd.DataFrame([[1.0, 2.0, 4.0], [2.0, 3.0, 5.0]])
    found = variance_components(table)
    # MS judges 3 * 0.5 = 1.5; MS items 2 * var(1.5, 2.5, 4.5) = 2 * 7/3; residual 0.
    assert [found.judge, found.residual] == pytest.approx([0.5, 0.0], abs=1e-12)
    assert found.item == pytest.approx(7 / 3)
    assert found.variance_of_sum(items="fixed") == pytest.approx(9 * 0.5 / 2)
    assert found.variance_of_sum(items="random") == pytest.approx(9 * (0.5 / 2 + 7 / 9))
    with pytest.raises(InvalidParameters, match="fixed or random"):
        found.variance_of_sum(items="both")


def test_the_standard_errors_are_the_spread_over_panels_and_items():
    """Panels and items drawn from known components: the sums spread as the two designs say."""
    rng = np.random.default_rng(2)
    n_judges, n_items, n_panels = 6, 12, 3000
    judge = rng.normal(0.0, 0.05, (n_panels, n_judges, 1))
    residual = rng.normal(0.0, 0.10, (n_panels, n_judges, n_items))
    fixed = 0.6 + rng.normal(0.0, 0.15, n_items) + judge + residual
    drawn = 0.6 + rng.normal(0.0, 0.15, (n_panels, 1, n_items)) + judge + residual
    for items, tables in (("fixed", fixed), ("random", drawn)):
        said = np.mean(
            [variance_components(pd.DataFrame(table)).variance_of_sum(items=items) for table in tables[:400]]
        )
        assert said == pytest.approx(tables.mean(axis=1).sum(axis=1).var(ddof=1), rel=0.12)


def test_the_error_with_items_fixed_is_that_of_the_components():
    form = mixed_form()
    ratings = true_ratings(form, 0.0, noise=0.6)
    ratings += np.array([[0.02], [-0.01], [0.03], [-0.04]])
    ratings = ratings.clip(lower=0.0, upper=(form.n_categories - 1).astype(float), axis=1)
    found = variance_components(ratings).variance_of_sum(items="fixed")
    sums = ratings.sum(axis=1)
    assert found >= sums.var(ddof=1) / 4 - 1e-9
    assert cut_from_ratings(ratings, form).errors[0].raw == pytest.approx(math.sqrt(sums.var(ddof=1) / 4))


# --- rounds ------------------------------------------------------------------------


def test_the_last_round_is_the_cut_and_every_round_is_kept():
    form = mixed_form()
    first, second = true_ratings(form, -0.3, noise=0.8), true_ratings(form, 0.2, noise=0.3, seed=2)
    result = angoff([first, second], form)
    assert result.estimate is result.rounds[-1]
    assert [found.theta for found in result.rounds] == pytest.approx([-0.3, 0.2], abs=1e-9)
    table = result.to_frame()
    assert table.index.tolist() == [1, 2]
    assert math.isnan(table.mean_change[1])
    assert table.mean_change[2] == pytest.approx((second - first).abs().to_numpy().mean())
    assert table.sd_judges[1] == pytest.approx(first.sum(axis=1).std())
    assert "after 2 rounds theta 0.200" in result.summary()


def test_each_judge_has_a_cut_unless_his_sum_has_none():
    form = _items()
    panel = pd.DataFrame(
        [expected_score(form, 0.5)[0], [1.0, 1.0, 1.0]], index=["j1", "j2"], columns=list(form.item_ids)
    )
    judges = angoff([panel], form).judges
    assert judges["j1"] == pytest.approx(0.5)
    assert math.isnan(judges["j2"])


def test_a_judge_may_leave_but_not_join():
    form = mixed_form()
    whole = true_ratings(form, 0.0, noise=0.2)
    assert angoff([whole, whole.iloc[:3]], form).estimate.n_judges == 3
    with pytest.raises(InvalidParameters, match="round 2: judge 'j4' was not there in round 1"):
        angoff([whole.iloc[:3], whole], form)


def test_faults_name_the_round():
    form = _items()
    good = pd.DataFrame([[0.5, 0.5, 0.5], [0.6, 0.6, 0.6]], index=["j1", "j2"], columns=list(form.item_ids))
    with pytest.raises(InvalidParameters, match="no rounds"):
        angoff([], form)
    with pytest.raises(InvalidParameters, match="round 2: unit 'i2' is not rated in every round"):
        angoff([good, good[["i0", "i1"]]], form)
    with pytest.raises(
        InvalidParameters, match=r"round 2: unit 'i1': rating 1\.4 by judge 'j2' is not between"
    ):
        angoff([good, good.assign(i1=[0.5, 1.4])], form)
    with pytest.raises(CutNotFound, match="round 1: the judged sum"):
        angoff([good * 0.0, good], form)


def test_ratings_with_gaps_or_doubles_are_refused():
    form = _items()
    panel = pd.DataFrame({"i0": [0.5, np.nan], "i1": [0.5, 0.5]}, index=["j1", "j2"])
    with pytest.raises(InvalidParameters, match="'i0': rating nan by judge 'j2'"):
        cut_from_ratings(panel, form)
    with pytest.raises(InvalidParameters, match="judge 'j1' occurs twice"):
        cut_from_ratings(panel.fillna(0.5).set_axis(["j1", "j1"]), form)
    with pytest.raises(InvalidParameters, match="two or more judges"):
        variance_components(panel)
