"""Thresholds lie where information crosses, or where stated shares of a population are told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, Prior, score
from assess.irt.routing import branches, crossing, population_points, raw_threshold, ways

STAGES = [[0], [1, 2, 3]]


def _bank(seed=1, n=40):
    rng = np.random.default_rng(seed)
    b = np.sort(rng.normal(0.0, 1.2, n))
    return ItemParameters([f"i{j}" for j in range(n)], "2PL", rng.lognormal(0.0, 0.2, n), b[:, None])


def _logistic_information(bank, units, theta):
    """a^2 p (1 - p), written out: nothing of the library but the numbers."""
    total = 0.0
    for u in units:
        a, b = float(bank.slopes[u]), float(bank.steps[u, 0])
        p = 1.0 / (1.0 + math.exp(-a * (theta - b)))
        total += a * a * p * (1.0 - p)
    return total


def test_a_crossing_is_where_the_curves_written_out_by_hand_are_equal():
    bank = _bank()
    easier, harder = list(range(5, 15)), list(range(24, 34))
    own = brentq(
        lambda t: _logistic_information(bank, harder, t) - _logistic_information(bank, easier, t), -2.0, 2.0
    )
    # Both end when the interval is below 1e-12.
    assert crossing(bank, easier, harder) == pytest.approx(own, abs=1e-9)


def test_two_rasch_modules_that_mirror_each_other_cross_in_the_middle_whatever_their_distance():
    for distance in (0.2, 1.0, 2.5):
        bank = ItemParameters(
            list("abcd"), "Rasch", [1.0] * 4, [[0.3 - distance], [-distance], [0.3 + distance], [distance]]
        )
        # Mirrored at 0.15, the mean of all four difficulties.
        assert crossing(bank, [0, 1], [2, 3]) == pytest.approx(0.15, abs=1e-9)


def test_of_two_crossings_the_one_that_loses_less_information_is_taken():
    # A very hard unit in the easier module makes its curve the higher one again far up.
    bank = ItemParameters(
        list("abcde"), "2PL", [1.5, 1.5, 1.5, 1.5, 1.5], [[-1.0], [-4.6], [1.0], [-4.0], [-1.2]]
    )
    theta = crossing(bank, [0, 3, 4], [1, 2])
    assert -0.5 < theta < 0.5


def test_modules_that_do_not_cross_are_refused_by_name():
    bank = ItemParameters(list("abc"), "Rasch", [1.0] * 3, [[0.0], [1.0], [1.0]])
    with pytest.raises(
        InvalidParameters, match="2-1 and 2-2: the information of the two modules does not cross"
    ):
        branches(bank, [[0], [1], [2]], [[0], [1, 2]], names=["1", "2-1", "2-2"])


def test_population_points_send_the_stated_shares_to_each_module():
    people, shares = Prior(0.4, 1.3), (0.2, 0.5, 0.3)
    points = population_points(people, shares)
    bounds = np.concatenate([[-np.inf], points, [np.inf]])
    np.testing.assert_allclose(np.diff(norm.cdf(bounds, 0.4, 1.3)), shares, atol=1e-12)
    for wrong in ((), (0.5, 0.4), (1.5, -0.5)):
        with pytest.raises(InvalidParameters, match="add up to 1"):
            population_points(people, wrong)


def test_a_raw_threshold_counted_by_hand():
    # Rasch at theta 1: 1 / (1 + e^-2) + 1 / (1 + e^-1) + 1 / 2 = 0.8808 + 0.7311 + 0.5 = 2.1119, so 3.
    bank = ItemParameters(list("abc"), "Rasch", [1.0] * 3, [[-1.0], [0.0], [1.0]])
    assert raw_threshold(bank, [0, 1, 2], 1.0) == 3
    # At 0 the middle one is a half and the others add up to 1: 1.5, so 2; symmetry, no rounding.
    assert raw_threshold(bank, [0, 1, 2], 0.0) == 2
    # Two items at 0: exactly 1, and 1 it is.
    assert raw_threshold(ItemParameters(["a", "b"], "Rasch", [1.0] * 2, [[0.0], [0.0]]), [0, 1], 0.0) == 1


def test_raw_routes_are_those_of_the_greatest_information_at_the_estimate_of_each_raw_score():
    """For Rasch items the raw score has one ML estimate; the best module there is the one of the route."""
    rng = np.random.default_rng(4)
    first, easy, middle, hard = (rng.normal(m, 0.4, 10) for m in (0.0, -1.0, 0.0, 1.0))
    b = np.concatenate([first, easy, middle, hard])
    bank = ItemParameters([f"i{j}" for j in range(40)], "Rasch", [1.0] * 40, b[:, None])
    modules = [list(range(10 * m, 10 * m + 10)) for m in range(4)]
    route = branches(bank, modules, STAGES)[(0,)]
    responses = np.tril(np.ones((9, 10), dtype=int))
    import pandas as pd

    frame = pd.DataFrame(responses, columns=list(bank.item_ids[:10]))
    estimates = score(frame, bank.take(bank.item_ids[:10]), method="ML")["theta"]
    for raw, theta in enumerate(estimates, start=1):
        told = [_logistic_information(bank, modules[m], float(theta)) for m in route.to]
        assert int(np.argmax(told)) == sum(raw >= t for t in route.thresholds)


def test_ways_never_lead_from_the_easiest_to_the_hardest_in_one_step():
    found = ways([[0], [1, 2, 3], [4, 5, 6]])
    assert {path: to for path, to in found.items() if len(path) == 2} == {
        (0, 1): (4, 5),
        (0, 2): (4, 5, 6),
        (0, 3): (5, 6),
    }
    assert ways([[0], [1, 2], [3, 4]])[(0, 1)] == (3, 4)
    assert ways([[0], [1], [2, 3]])[(0, 1)] == (2, 3)


def test_the_second_routes_rest_on_all_that_was_answered():
    bank = _bank(n=70)
    modules = [list(range(30, 40)), *(list(range(s, s + 10)) for s in (5, 45, 15, 55))]
    found = branches(bank, modules, [[0], [1, 2], [3, 4]])
    theta = crossing(bank, modules[3], modules[4])
    for path in ((0, 1), (0, 2)):
        units = [u for m in path for u in modules[m]]
        expected = sum(
            1.0 / (1.0 + math.exp(-float(bank.slopes[u]) * (theta - float(bank.steps[u, 0])))) for u in units
        )
        assert found[path].thresholds == (math.ceil(expected),)
    by_theta = branches(bank, modules, [[0], [1, 2], [3, 4]], "theta")
    assert by_theta[(0, 1)].thresholds == by_theta[(0, 2)].thresholds == (theta,)


def test_too_few_points_for_so_many_modules_are_refused():
    bank = ItemParameters(list("abcd"), "Rasch", [1.0] * 4, [[0.0], [-0.4], [0.0], [0.4]])
    with pytest.raises(
        InvalidParameters, match="after 0, of 1 points in all, raw scores of 1, 1 do not tell 3"
    ):
        branches(bank, [[0], [1], [2], [3]], STAGES)
    assert len(branches(bank, [[0], [1], [2], [3]], STAGES, "theta")[(0,)].thresholds) == 2


def test_modules_in_the_wrong_order_are_refused():
    bank = ItemParameters(list("abcd"), "Rasch", [1.0] * 4, [[0.0], [-1.0], [1.0], [2.0]])
    with pytest.raises(InvalidParameters, match="do not rise; they are too much alike"):
        branches(bank, [[0], [1], [2], [3]], STAGES, "theta", points=[(0.5, 0.5)])
