from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.irt import ItemParameters, category_probabilities, log_category_probabilities
from assess.irt.models import log_derivatives
from assess.irt.modes import bracketed_root, maximise, tabulated, warm
from tests.irt.examples import parameter_sets

FINE = np.linspace(-12.0, 12.0, 8001)


def test_of_two_almost_equal_roots_warm_takes_the_higher():
    # By a quadrature of 800,001 points the roots -1.9499 and -0.4250 differ by 1.63e-4 in height.
    items = ItemParameters(["i0"], "PCM", [2.6875], [[-2.375, 0.0, 3.0]])
    assert warm(np.array([[1]], dtype=np.int8), items)[0] == pytest.approx(-0.4250, abs=1e-4)


def drawn_categories(data, items):
    return np.array([[data.draw(st.integers(-1, k - 1)) for k in items.n_categories.tolist()]], dtype=np.int8)


@settings(max_examples=40)
@given(items=parameter_sets(max_size=8), data=st.data(), mean=st.floats(-2, 2), sd=st.floats(0.3, 3.0))
def test_map_is_where_a_fine_grid_finds_it(items, data, mean, sd):
    categories = drawn_categories(data, items)
    height = (
        tabulated(categories, log_category_probabilities(items, FINE))[0] - 0.5 * ((FINE - mean) / sd) ** 2
    )
    theta = maximise(categories, items, mean, sd)[0]
    at = (
        tabulated(categories, log_category_probabilities(items, [theta]))[0, 0]
        - 0.5 * ((theta - mean) / sd) ** 2
    )
    assert at >= height.max() - 1e-9


@settings(max_examples=40)
@given(items=parameter_sets(max_size=8), data=st.data())
def test_warms_estimate_is_the_top_of_his_weighted_likelihood(items, data):
    categories = drawn_categories(data, items)
    if (categories < 0).all():
        return
    u, v = log_derivatives(items, FINE)
    p = category_probabilities(items, FINE)
    given_items = categories[0] >= 0
    i, j = ((p * u**2).sum(axis=2), (p * u * (u**2 + v)).sum(axis=2))
    information = i[:, given_items].sum(axis=1)
    if information.min() <= 0.0:
        return
    slope = tabulated(categories, u)[0] + j[:, given_items].sum(axis=1) / (2 * information)
    weighted = np.concatenate([[0.0], np.cumsum(0.5 * (slope[1:] + slope[:-1]) * (FINE[1] - FINE[0]))])
    theta = float(np.clip(warm(categories, items)[0], -12.0, 12.0))
    assert np.interp(theta, FINE, weighted) >= weighted.max() - 1e-4


def test_many_persons_at_once_score_as_each_alone():
    rng = np.random.default_rng(2)
    items = ItemParameters.from_records(
        [
            *(
                {"item": f"d{j}", "model": "3PL", "a": 1.5, "b": b, "c": 0.2}
                for j, b in enumerate((-1.0, 0.0, 1.0))
            ),
            {"item": "g", "model": "GRM", "a": 1.2, "b1": -1.0, "b2": 0.5},
            {"item": "p", "model": "GPCM", "a": 0.8, "b1": 0.5, "b2": -0.5},
        ]
    )
    categories = np.array(
        [[rng.integers(-1, k) for k in items.n_categories] for _ in range(60)], dtype=np.int8
    )
    for estimate in (
        lambda x: maximise(x, items),
        lambda x: maximise(x, items, 0.2, 1.1),
        lambda x: warm(x, items),
    ):
        alone = np.concatenate([estimate(row[None]) for row in categories])
        together = estimate(categories)
        finite = np.isfinite(alone)
        assert together[finite] == pytest.approx(alone[finite], abs=1e-8)
        assert (together[~finite & ~np.isnan(alone)] == alone[~finite & ~np.isnan(alone)]).all()


def test_items_far_out_widen_the_search():
    items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[19.0], [21.0]])
    assert maximise(np.array([[1, 0]], dtype=np.int8), items)[0] == pytest.approx(20.0)
    near = ItemParameters(["i1"], "2PL", [1.0], [[0.0]])
    assert maximise(np.array([[1]], dtype=np.int8), near, 30.0, 0.5)[0] == pytest.approx(30.0, abs=1e-6)


@given(root=st.floats(-5, 5), curve=st.floats(0.1, 30))
def test_the_root_finder_finds_roots_of_steep_and_flat_functions(root, curve):
    found = bracketed_root(
        lambda x: -np.expm1(curve * (x - root)), np.array([root - 0.7]), np.array([root + 0.4])
    )
    assert found[0] == pytest.approx(root, abs=1e-8)
