from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.irt import Prior, score_one
from assess.irt.interim import Interim
from tests.irt.examples import parameter_sets


def kept_up(items, method, prior, categories):
    estimator = Interim(items, method, prior)
    curves = estimator.begin(1)
    for unit, category in enumerate(categories):
        estimator.enter(curves, np.array([0]), np.array([unit]), np.array([category]))
    theta, se = estimator.estimate(curves)
    return float(theta[0]), float(se[0])


@settings(max_examples=60, deadline=None)
@given(
    items=parameter_sets(min_size=1, max_size=8), method=st.sampled_from(["MAP", "ML", "WL"]), data=st.data()
)
def test_what_is_kept_up_answer_by_answer_is_the_exact_estimate(items, method, data):
    categories = [data.draw(st.integers(0, k - 1)) for k in items.n_categories.tolist()]
    prior = Prior(0.2, 1.1)
    theta, se = kept_up(items, method, prior, categories)
    exact = score_one(dict(zip(items.item_ids, categories, strict=True)), items, method=method, prior=prior)
    if np.isnan(theta):
        # No finite estimate, or none within six standard deviations of the prior.
        assert not abs(exact.theta - prior.mean) < 6.0 * prior.sd - 0.1
        return
    if abs(exact.theta - prior.mean) < 6.0 * prior.sd - 0.1:
        # A cubic over cells of 0.05: far below what a choice of units can feel.
        assert theta == pytest.approx(exact.theta, abs=2e-4)
        assert se == pytest.approx(exact.se, rel=2e-3)


def test_one_right_answer_has_no_maximum_of_its_likelihood():
    from assess.irt import ItemParameters

    items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [0.5]])
    assert np.isnan(kept_up(items, "ML", Prior(), [1])).all()
    assert np.isfinite(kept_up(items, "WL", Prior(), [1])).all()
    assert np.isfinite(kept_up(items, "ML", Prior(), [1, 0])).all()
