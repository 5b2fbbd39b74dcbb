from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from assess import irt
from assess.errors import ConvergenceWarning, InvalidParameters, InvalidResponses
from assess.irt.dimensionality import binormal, parallel_analysis, polychoric


def off_diagonal(frame):
    """The correlation of two items."""
    return float(polychoric(frame).to_numpy()[0, 1])


def categories(n=4000, rho=0.5, cuts=(-0.5, 0.4), seed=1):
    rng = np.random.default_rng(seed)
    z = rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], n)
    return pd.DataFrame(np.searchsorted(cuts, z), columns=["i1", "i2"])


@given(h=st.floats(-3, 3), k=st.floats(-3, 3), rho=st.floats(-0.95, 0.95))
def test_bivariate_normal_probabilities_are_those_of_another_algorithm(h, k, rho):
    expected = multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([h, k])
    assert binormal(np.array(h), np.array(k), np.array(rho)) == pytest.approx(expected, abs=1e-6)


def test_four_equal_margins_give_the_sine_of_the_textbook():
    # With medians as thresholds the tetrachoric correlation is sin(2 pi (p11 - 1/4)).
    for p in (0.05, 0.2, 0.25, 0.35, 0.45):
        counts = [round(1000 * p), round(1000 * (0.5 - p))]
        x = np.repeat([0, 0, 1, 1], [counts[0], counts[1], counts[1], counts[0]])
        y = np.repeat([0, 1, 0, 1], [counts[0], counts[1], counts[1], counts[0]])
        assert off_diagonal(pd.DataFrame({"x": x, "y": y})) == pytest.approx(
            np.sin(2 * np.pi * (p - 0.25)), abs=1e-6
        )


@pytest.mark.parametrize("rho", [-0.8, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("cuts", [(0.3,), (-0.5, 0.4), (-1.0, -0.2, 0.3, 1.2)])
def test_the_correlation_behind_the_categories_is_found(rho, cuts):
    found = polychoric(categories(20_000, rho, cuts))
    assert found.to_numpy()[0, 1] == pytest.approx(rho, abs=0.03)
    assert (np.diag(found) == 1.0).all()


def test_missing_responses_are_left_out_pair_by_pair():
    frame = categories().astype(float)
    frame.iloc[:1000, 0] = np.nan
    assert off_diagonal(frame) == pytest.approx(off_diagonal(categories().iloc[1000:]), abs=0.01)


def test_perfect_agreement_is_near_one_and_finite():
    frame = pd.DataFrame({"i1": [0] * 50 + [1] * 50, "i2": [0] * 50 + [1] * 50})
    assert 0.9 < off_diagonal(frame) < 1.0


def test_a_constant_item_is_refused():
    with pytest.raises(InvalidResponses, match="without variation"):
        polychoric(categories().assign(i2=1))


def dimensional(n_dimensions, n=800, seed=2):
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal((n, n_dimensions))
    latent = np.repeat(theta, 6, axis=1) * 1.2 + rng.standard_normal((n, 6 * n_dimensions))
    return pd.DataFrame((latent > 0.2).astype(int) + (latent > 1.0).astype(int))


@pytest.mark.parametrize("correlation", ["polychoric", "Pearson"])
@pytest.mark.parametrize("n_dimensions", [1, 2, 3])
def test_the_number_of_dimensions_is_found(correlation, n_dimensions):
    rng = np.random.default_rng(5)
    found = parallel_analysis(dimensional(n_dimensions), rng, correlation=correlation, n_replications=10)
    assert found["retained"].sum() == n_dimensions
    assert found["eigenvalue"].sum() == pytest.approx(len(found))


def test_items_with_nothing_in_common_have_no_dimension():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.integers(0, 2, (500, 8)))
    assert parallel_analysis(frame, rng, n_replications=20, level=0.99)["retained"].sum() == 0


def test_what_cannot_be_meant_is_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(InvalidParameters, match="'polychoric' or 'Pearson'"):
        parallel_analysis(categories(), rng, correlation="Kendall")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match="at least 10"):
        parallel_analysis(categories(), rng, n_replications=2)
    apart = categories(100).astype(float)
    apart.iloc[:50, 0] = np.nan
    apart.iloc[50:, 1] = np.nan
    with pytest.raises(InvalidResponses, match="share no persons"):
        parallel_analysis(apart, rng)


# --- factor analysis -------------------------------------------------------------


def two_factors(n=3000, seed=3):
    rng = np.random.default_rng(seed)
    true = np.zeros((10, 2))
    true[:6, 0], true[6:, 1] = np.linspace(0.5, 0.8, 6), np.linspace(0.6, 0.8, 4)
    error = np.sqrt(1.0 - (true**2).sum(axis=1))
    latent = rng.standard_normal((n, 2)) @ true.T + error * rng.standard_normal((n, 10))
    return pd.DataFrame((latent > np.linspace(-0.8, 0.8, 10)).astype(int)), true


def test_factors_are_found_with_their_loadings():
    data, true = two_factors()
    found = irt.factor_analysis(data, 2)
    # A polychoric correlation of 3,000 persons has a standard error near 0.03, a loading a little more.
    assert found.loadings.to_numpy() == pytest.approx(true, abs=0.1)
    assert found.uniqueness.to_numpy() == pytest.approx(1.0 - (true**2).sum(axis=1), abs=0.12)
    assert found.converged
    assert found.rmsr < 0.03
    assert repr(found).startswith("<FactorAnalysis: 2 of 10 items,")
    assert "uniqueness" in found.summary()
    assert "<table" in found._repr_html_()


def test_no_other_loadings_leave_smaller_residuals():
    """The second witness: a general optimiser on the same correlations."""
    from scipy.optimize import minimize

    data, _ = two_factors(800)
    table = np.corrcoef(data.to_numpy().T)
    above = np.triu_indices(10, 1)

    def residual(values):
        loadings = values.reshape(10, 2)
        return ((table - loadings @ loadings.T)[above] ** 2).sum()

    found = irt.factor_analysis(data, 2, correlation="Pearson", rotation="none")
    best = min(
        minimize(residual, np.random.default_rng(k).normal(0.0, 0.5, 20), method="BFGS").fun for k in range(5)
    )
    assert residual(found.loadings.to_numpy().ravel()) == pytest.approx(best, rel=1e-4)
    turned = irt.factor_analysis(data, 2, correlation="Pearson")
    assert turned.rmsr == pytest.approx(found.rmsr, rel=1e-9)


def test_factors_that_cannot_be_told_apart_are_refused():
    data, _ = two_factors(200)
    with pytest.raises(InvalidParameters, match="7 factors cannot be told apart"):
        irt.factor_analysis(data, 7)
    with pytest.raises(InvalidParameters, match="'varimax' or 'none'"):
        irt.factor_analysis(data, 1, rotation="oblimin")  # type: ignore[arg-type]


def test_an_item_that_a_factor_explains_wholly_is_said():
    data, _ = two_factors(400)
    data[10] = data[9]
    with pytest.warns(ConvergenceWarning, match="fewer factors may do"):
        found = irt.factor_analysis(data, 3, correlation="Pearson")
    assert found.uniqueness.min() < 0.01
