from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from assess.irt import (
    AdaptiveTest,
    Constraint,
    ItemParameters,
    Prior,
    StopRule,
    category_probabilities,
    simulate_adaptive,
)
from assess.irt.batch import Answers, Kernel
from assess.irt.designed import DesignedTest
from assess.irt.interim import Interim
from assess.irt.stopping import DesignedStop
from tests.irt.examples import parameter_sets
from tests.irt.test_adaptive import bank
from tests.verification import record, replications


@settings(max_examples=30, deadline=None)
@given(items=parameter_sets(min_size=1, max_size=6), theta=st.floats(-3.0, 3.0))
def test_a_category_is_drawn_where_its_probability_lies(items, theta):
    p = category_probabilities(items, theta)[0]
    for unit in range(len(items)):
        edges = np.concatenate([[0.0], np.cumsum(p[unit, : items.n_categories[unit]])])
        middle = 0.5 * (edges[1:] + edges[:-1])
        wide = np.diff(edges) > 1e-9
        drawn = Answers(items).drawn(np.full(len(middle), unit), np.full(len(middle), theta), middle)
        assert drawn[wide].tolist() == np.arange(len(middle))[wide].tolist()


@settings(max_examples=25, deadline=None)
@given(data=st.data(), among=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_the_short_way_by_classes_finds_what_a_search_over_all_units_finds(data, among, seed):
    """Equal units, overlapping content, sets of several items, enemies and closed units included."""
    rng = np.random.default_rng(seed)
    n = 120
    slopes, difficulties = rng.uniform(0.6, 2.0, n), rng.normal(size=(n, 1))
    slopes[60:64], difficulties[60:64] = slopes[60], difficulties[60]
    items = ItemParameters([f"i{j}" for j in range(n)], "2PL", slopes, difficulties)
    size = np.where(rng.random(n) < 0.1, 3.0, 1.0) if data.draw(st.booleans()) else np.ones(n)
    area, process = rng.integers(0, 4, n), rng.integers(0, 3, n)
    constraints = [Constraint(f"area {k}", size * (area == k), 2, 7) for k in range(4)]
    constraints += [Constraint(f"process {k}", size * (process == k), 3) for k in range(3)]
    test = AdaptiveTest(
        items,
        constraints=constraints,
        enemies=[(0, 1, 2), (60, 61)],
        stop=StopRule(10, 14, se=0.3),
        randomesque=among,
    )
    theta = rng.normal(size=6)
    chance = rng.random((6, 14, 2))
    closed = rng.random((6, n)) < data.draw(st.sampled_from([0.0, 0.5, 0.9]))
    kernel = Kernel(test)
    fast = kernel.run(Answers(items), theta, chance, closed=closed)
    slow_kernel = Kernel(test)
    slow_kernel.__dict__["_is_fast"] = False
    slow = slow_kernel.run(Answers(items), theta, chance, closed=closed)
    assert all(np.array_equal(fast[k], slow[k]) for k in range(4))


# --- estimates ------------------------------------------------------------------


def expected_eap(items, order, theta, n_given):
    """E[EAP | theta] of an adaptive test by all its paths, each posterior mean by adaptive quadrature.

    `order(answers)` says which unit follows these (unit, category) pairs.
    """
    expected = square = 0.0
    for answers in itertools.product((0, 1), repeat=n_given):
        done: list[tuple[int, int]] = []
        for answer in answers:
            unit = order(done)
            done.append((unit, answer))

        def likelihood(x, done=done):
            value = 1.0
            for unit, answer in done:
                right = 1.0 / (1.0 + math.exp(-items.slopes[unit] * (x - items.steps[unit, 0])))
                value *= right if answer else 1.0 - right
            return value

        def density(x, likelihood=likelihood):
            return likelihood(x) * math.exp(-0.5 * x * x)

        mass = quad(density, -9.0, 9.0, epsabs=1e-12)[0]
        mean = quad(lambda x, density=density: x * density(x), -9.0, 9.0, epsabs=1e-12)[0] / mass
        probability = likelihood(theta)
        expected += probability * mean
        square += probability * mean**2
    return expected, square - expected**2


def mean_and_expectation(theta, n_learners, seed):
    """Mean of the estimates of so many learners, its expectation, and the variance of one."""
    items = bank(40)
    test = AdaptiveTest(items, stop=StopRule(6, 6))
    known: dict[tuple[tuple[int, int], ...], int] = {}

    def order(done):
        key = tuple(done)
        if key not in known:
            unit = test.next_unit(done, u=0.0).unit
            assert unit is not None
            known[key] = unit
        return known[key]

    found = simulate_adaptive(test, np.full(n_learners, theta), np.random.default_rng(seed)).theta
    return float(found.mean()), float(found.var()), *expected_eap(items, order, theta, 6)


def test_the_mean_of_the_estimates_at_a_theta_is_its_expectation_over_all_paths():
    n = 10_000
    mean, spread, expected, variance = mean_and_expectation(0.4, n, 11)
    assert abs(mean - expected) <= 3.0 * math.sqrt(variance / n)
    assert spread == pytest.approx(variance, rel=0.08)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_the_mean_of_many_estimates_is_their_expectation_from_minus_two_to_two():
    grid, n = np.linspace(-2.0, 2.0, 5), 40_000
    found = replications(
        "E[EAP] by all paths", 5, lambda r: mean_and_expectation(float(grid[r]), n, 400 + r), seed=400
    )
    off = [(mean - expected) / math.sqrt(variance / n) for mean, _, expected, variance in found]
    record(
        f"E[EAP at theta] of 6 of 40 units, all paths by quadrature, 5 thetas in -2..2, {n:,} learners each",
        f"Monte Carlo errors away: {', '.join(f'{z:+.2f}' for z in off)}",
        seed=400,
    )
    assert max(map(abs, off)) <= 3.0


def warm_bias(theta, n_learners, seed):
    """Mean error of Warm's estimate after twenty units chosen at it."""
    rng = np.random.default_rng(3)
    items = ItemParameters(
        [f"i{j}" for j in range(300)], "2PL", rng.uniform(0.6, 2.0, 300), rng.normal(0.0, 1.3, (300, 1))
    )
    test = DesignedTest(items, stop=DesignedStop(20, 20), updating="WL")
    found = simulate_adaptive(test, np.full(n_learners, theta), np.random.default_rng(seed))
    estimator = Interim(items, "WL", Prior())
    curves = estimator.begin(n_learners)
    for step in range(20):
        estimator.enter(
            curves, np.arange(n_learners), found.units[:, step], found.categories[:, step].astype(np.int64)
        )
    error = estimator.estimate(curves)[0] - theta
    return float(error.mean()), float(error.std() / math.sqrt(n_learners))


def test_warms_estimate_is_nearly_without_bias_after_twenty_units():
    for theta in (-2.0, 0.5):
        bias, se = warm_bias(theta, 600, 21)
        assert abs(bias) <= 0.05 + 3.0 * se


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_warms_estimate_is_nearly_without_bias_from_minus_two_to_two():
    grid = np.linspace(-2.0, 2.0, 9)
    found = replications("WL bias", 9, lambda r: warm_bias(float(grid[r]), 10_000, 300 + r), seed=300)
    worst = max(abs(bias) for bias, _ in found)
    record(
        "bias of WL after 20 of 300 units at 9 thetas in -2..2, 10,000 learners each",
        f"largest {worst:.4f}, Monte Carlo error {max(se for _, se in found):.4f}",
        seed=300,
    )
    assert worst <= 0.05
