from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.irt import category_probabilities, simulate
from tests.irt.examples import parameter_sets


@given(items=parameter_sets(), seed=st.integers(0, 1000), n=st.integers(0, 20))
def test_categories_are_in_range_and_come_back_with_the_seed(items, seed, n):
    theta = np.random.default_rng(seed).normal(size=n)
    drawn = simulate(items, theta, np.random.default_rng(seed))
    assert drawn.shape == (n, len(items))
    assert drawn.dtype == np.int8
    assert (drawn >= 0).all()
    assert (drawn < items.n_categories).all()
    assert (drawn == simulate(items, theta, np.random.default_rng(seed))).all()


@given(items=parameter_sets(max_size=3), theta=st.floats(-2, 2))
def test_frequencies_approach_the_probabilities(items, theta):
    n = 4000
    drawn = simulate(items, np.full(n, theta), np.random.default_rng(7))
    p = category_probabilities(items, theta)[0]
    for j in range(len(items)):
        share = np.bincount(drawn[:, j], minlength=p.shape[1]) / n
        # Five standard errors: about one false alarm in a million categories.
        assert np.all(np.abs(share - p[j]) <= 5.0 * np.sqrt(p[j] * (1 - p[j]) / n) + 2.0 / n)


def test_the_first_persons_do_not_depend_on_how_many_follow():
    rng = np.random.default_rng(0)
    from assess.irt import ItemParameters

    items = ItemParameters(["i1", "i2"], "2PL", [1.0, 2.0], [[0.0], [0.5]])
    theta = rng.normal(size=10_000)
    few = simulate(items, theta[:5], np.random.default_rng(3))
    many = simulate(items, theta, np.random.default_rng(3))
    assert (few == many[:5]).all()
    assert many[:, 0].mean() == pytest.approx(0.5, abs=0.03)
