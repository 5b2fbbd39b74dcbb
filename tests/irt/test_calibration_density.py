"""Populations of any shape: what is recovered, what must hold, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from assess import irt
from assess.errors import CalibrationError, InvalidParameters
from assess.irt.calibration import Calibration, CalibrationOptions, calibrate
from assess.irt.models import ItemParameters, category_probabilities
from assess.irt.quadrature import DensityPrior
from assess.irt.simulate import simulate
from assess.responses import ResponseMatrix

FloatArray = NDArray[np.float64]
SHAPED = CalibrationOptions(density="empirical-histogram")
QUICK = CalibrationOptions(density="empirical-histogram", standard_errors=None)
NORMAL = CalibrationOptions(standard_errors=None)

# modes at -0.85 and 0.85; mean 0 and standard deviation 1
APART = np.sqrt(1.0 - 0.85**2)


def persons(shape: str, n: int, rng: np.random.Generator) -> FloatArray:
    if shape == "normal":
        return rng.standard_normal(n)
    if shape == "skewed":
        return np.asarray((rng.gamma(3.0, 1.0, n) - 3.0) / np.sqrt(3.0))
    return np.where(rng.random(n) < 0.5, -0.85, 0.85) + APART * rng.standard_normal(n)


def density(shape: str, theta: FloatArray) -> FloatArray:
    def phi(x: FloatArray) -> FloatArray:
        return np.asarray(np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi))

    if shape == "normal":
        return phi(theta)
    if shape == "skewed":
        x = np.maximum(theta * np.sqrt(3.0) + 3.0, 0.0)
        return np.asarray(0.5 * x**2 * np.exp(-x) * np.sqrt(3.0))
    return 0.5 * (phi((theta + 0.85) / APART) + phi((theta - 0.85) / APART)) / APART


def bank(n_items: int = 30, n_categories: int = 2) -> ItemParameters:
    rng = np.random.default_rng(3)
    slopes = np.exp(rng.normal(0.2, 0.25, n_items))
    spread = np.linspace(-0.7, 0.7, n_categories - 1) if n_categories > 2 else np.zeros(1)
    steps = np.linspace(-2.0, 2.0, n_items)[:, None] + spread
    return ItemParameters(
        [f"i{j}" for j in range(n_items)], "2PL" if n_categories == 2 else "GRM", slopes, steps
    )


def data(shape: str, n: int, items: ItemParameters, seed: int, missing: float = 0.0) -> ResponseMatrix:
    rng = np.random.default_rng(seed)
    drawn = simulate(items, persons(shape, n, rng), rng)
    drawn[rng.random(drawn.shape) < missing] = -1
    return ResponseMatrix(drawn, item_ids=list(items.item_ids))


def found(calibration: Calibration) -> tuple[FloatArray, FloatArray]:
    """Nodes, and the density at them."""
    nodes = np.array(calibration.population.nodes)
    return nodes, np.array(calibration.population.weights[0]) / (nodes[1] - nodes[0])


def test_normal_data_give_the_normal_answer() -> None:
    items = bank()
    responses = data("normal", 4_000, items, seed=11)
    shaped, normal = calibrate(responses, options=SHAPED), calibrate(responses)
    assert shaped.converged
    nodes, own = found(shaped)
    assert np.sqrt(np.mean((own - density("normal", nodes)) ** 2)) < 0.02
    # the difference between the two is noise of the density, within a standard error
    gap = (shaped.to_frame()["b"] - normal.to_frame()["b"]) / normal.to_frame()["se_b"]
    assert np.abs(gap).max() < 1.0
    # few parameters are spent, and they gain about half a unit of log-likelihood each
    worth = shaped.n_parameters - normal.n_parameters
    assert 2 <= worth <= 15
    assert shaped.log_likelihood - normal.log_likelihood < worth + 4.0


@pytest.mark.parametrize("shape", ["skewed", "two modes"])
def test_a_population_that_is_not_normal_is_recovered(shape: str) -> None:
    items = bank()
    responses = data(shape, 4_000, items, seed=12)
    shaped, normal = calibrate(responses, options=QUICK), calibrate(responses, options=NORMAL)
    assert shaped.converged
    assert shaped.population.mean == pytest.approx(0.0, abs=1e-9)
    assert shaped.population.sd == pytest.approx(1.0, abs=1e-9)
    nodes, own = found(shaped)
    truth = density(shape, nodes)

    def rmse(other: FloatArray) -> float:
        return float(np.sqrt(np.mean((other - truth) ** 2)))

    assert rmse(own) < 0.5 * rmse(density("normal", nodes))
    assert rmse(own) < 0.02
    # a unit of log-likelihood for every parameter that was spent would be AIC's break-even
    assert shaped.aic < normal.aic - 50.0


def test_difficulties_are_less_biased_where_the_population_is_skewed() -> None:
    items = bank()
    easy = slice(0, 8)
    bias: dict[str, list[float]] = {"shaped": [], "normal": []}
    for seed in (13, 14):
        responses = data("skewed", 4_000, items, seed)
        for name, options in (("shaped", QUICK), ("normal", NORMAL)):
            b = calibrate(responses, options=options).parameters.steps[:, 0]
            bias[name].append(float((b - items.steps[:, 0])[easy].mean()))
    assert abs(np.mean(bias["normal"])) > 0.15
    assert abs(np.mean(bias["shaped"])) < 0.05


@pytest.mark.parametrize(
    ("model", "n_categories", "missing", "shape", "n"),
    [
        ("2PL", 2, 0.0, "normal", 300),
        ("2PL", 2, 0.3, "two modes", 600),
        ("GRM", 3, 0.0, "skewed", 500),
        ("GPCM", 3, 0.2, "normal", 400),
        ("Rasch", 2, 0.0, "skewed", 500),
    ],
)
def test_the_log_likelihood_is_never_below_that_of_the_normal_density(
    model: str, n_categories: int, missing: float, shape: str, n: int
) -> None:
    for seed in (21, 22):
        responses = data(shape, n, bank(10, n_categories), seed, missing)
        shaped, normal = (calibrate(responses, model, options=options) for options in (QUICK, NORMAL))
        assert shaped.converged
        assert shaped.log_likelihood >= normal.log_likelihood - 1e-5
        assert shaped.n_parameters > normal.n_parameters - (model == "Rasch")


def test_the_log_likelihood_is_that_of_the_reported_parameters_and_weights() -> None:
    """A second road: category probabilities and weights as reported, summed by brute force."""
    responses = data("two modes", 500, bank(12), seed=31, missing=0.2)
    calibration = calibrate(responses, options=QUICK)
    p = category_probabilities(calibration.parameters, np.array(calibration.population.nodes))
    likelihood = np.ones((500, p.shape[0]))
    for j in range(12):
        rows = responses.categories[:, j] >= 0
        likelihood[rows] *= p[:, j, responses.categories[rows, j]].T
    total = float(np.log(likelihood @ np.array(calibration.population.weights[0])).sum())
    assert calibration.log_likelihood == pytest.approx(total, abs=1e-6)


def test_slopes_of_one_hold_the_unit_and_the_spread_is_estimated() -> None:
    items = ItemParameters(
        [f"i{j}" for j in range(25)], "Rasch", np.ones(25), np.linspace(-2, 2, 25)[:, None]
    )
    rng = np.random.default_rng(41)
    theta = 1.5 * persons("two modes", 3_000, rng)
    responses = ResponseMatrix(simulate(items, theta, rng), item_ids=list(items.item_ids))
    calibration = calibrate(responses, "Rasch", options=SHAPED)
    assert calibration.population.mean == pytest.approx(0.0, abs=1e-9)
    assert calibration.population.sd == pytest.approx(1.5, abs=0.08)


def test_each_group_has_its_own_shape_and_the_reference_holds_the_scale() -> None:
    items = bank(25)
    rng = np.random.default_rng(42)
    theta = np.concatenate([persons("skewed", 2_500, rng), 0.6 + 0.8 * persons("two modes", 2_500, rng)])
    responses = ResponseMatrix(simulate(items, theta, rng), item_ids=list(items.item_ids))
    calibration = calibrate(responses, groups=["a"] * 2_500 + ["b"] * 2_500, options=QUICK)
    assert calibration.converged
    np.testing.assert_allclose(calibration.population.of("a"), (0.0, 1.0), atol=1e-9)
    mean, sd = calibration.population.of("b")
    assert mean == pytest.approx(0.6, abs=0.07)
    assert sd == pytest.approx(0.8, abs=0.07)
    skew = [
        float(np.array(w) @ ((np.array(calibration.population.nodes) - m) / s) ** 3)
        for w, m, s in zip(
            calibration.population.weights,
            calibration.population.means,
            calibration.population.sds,
            strict=True,
        )
    ]
    # a gamma distribution of shape 3 has skewness 1.15
    assert skew[0] == pytest.approx(1.15, abs=0.35)
    assert abs(skew[1]) < 0.3


def test_errors_take_the_density_as_known_and_the_result_says_so() -> None:
    calibration = calibrate(data("skewed", 1_500, bank(15), seed=51), options=SHAPED)
    assert any("standard errors take it as known" in note for note in calibration.notes)
    assert "take it as known" in calibration.summary()
    assert np.isnan([*calibration.population.se_means, *calibration.population.se_sds]).all()
    assert np.isfinite(calibration.to_frame()[["se_a", "se_b"]].to_numpy()).all()
    assert calibration.provenance["options"]["density"] == "empirical-histogram"


def test_weights_survive_json() -> None:
    calibration = calibrate(data("skewed", 500, bank(8), seed=52), options=SHAPED)
    again = Calibration.from_json(calibration.to_json())
    assert again.population.nodes == calibration.population.nodes
    assert again.population.weights == calibration.population.weights
    assert again.to_json() == calibration.to_json()


def test_scoring_takes_the_estimated_density_as_prior() -> None:
    responses = data("skewed", 1_000, bank(8), seed=53)
    calibration = calibrate(responses, options=SHAPED)
    scores = irt.score(responses, calibration)
    nodes, weights = np.array(calibration.population.nodes), np.array(calibration.population.weights[0])
    p = category_probabilities(calibration.parameters, nodes)
    posterior = np.stack(
        [weights * p[:, np.arange(8), row].prod(axis=1) for row in responses.categories[:50]]
    )
    posterior /= posterior.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores["theta"].to_numpy()[:50], posterior @ nodes, atol=1e-6)
    # the posterior means of the sample have the mean of the population it defines
    assert scores["theta"].mean() == pytest.approx(0.0, abs=0.01)
    one = irt.score_one(
        dict(zip(responses.item_ids, responses.categories[0].tolist(), strict=True)), calibration
    )
    assert one.theta == pytest.approx(float(posterior[0] @ nodes), abs=1e-6)
    with pytest.raises(InvalidParameters, match="MAP takes a normal prior"):
        irt.score(responses, calibration, "MAP")
    with pytest.raises(InvalidParameters, match="knows those of normal ones"):
        irt.model_fit(calibration, responses)


def test_marginal_reliability_is_that_over_the_estimated_density() -> None:
    calibration = calibrate(data("two modes", 2_000, bank(10), seed=55), options=QUICK)
    nodes, weights = np.array(calibration.population.nodes), np.array(calibration.population.weights[0])
    information = irt.information(calibration.parameters, nodes).sum(axis=1)
    expected = float(weights @ (information / (information + 1.0)))
    assert irt.reliability(calibration, method="marginal").value == pytest.approx(expected, abs=1e-9)


def test_a_density_as_prior_is_read_between_and_beyond_its_nodes() -> None:
    nodes = np.linspace(-4.0, 4.0, 41)
    weights = np.exp(-0.5 * (nodes - 0.3) ** 2)
    prior = DensityPrior(0.3, 1.0, tuple(nodes.tolist()), tuple(weights.tolist()))
    theta = np.array([-6.0, -4.0, -1.23, 0.3, 2.71, 5.5])
    # the logarithm of a normal density is a parabola, which cubic and parabola repeat
    np.testing.assert_allclose(prior.log_density(theta), -0.5 * (theta - 0.3) ** 2, atol=1e-9)
    drawn = prior.drawn(50_000, np.random.default_rng(1))
    assert drawn.mean() == pytest.approx(0.3, abs=0.02)
    assert drawn.std() == pytest.approx(1.0, abs=0.02)
    moved = prior.moved(2.0, 1.0)
    np.testing.assert_allclose((moved.mean, moved.sd), (1.6, 2.0))
    np.testing.assert_allclose(moved.log_density(2.0 * theta + 1.0), prior.log_density(theta), atol=1e-9)
    with pytest.raises(InvalidParameters, match="four nodes at least"):
        DensityPrior(0.0, 1.0, (0.0, 1.0), (0.5, 0.5))


def test_a_density_is_refused_where_it_cannot_be_had() -> None:
    responses = data("normal", 400, bank(6), seed=54)
    with pytest.raises(CalibrationError, match="not to be had with engine='girth'"):
        calibrate(responses, engine="girth", options=SHAPED)
    hours = pd.DataFrame({"hours": np.arange(400) % 5})
    with pytest.raises(CalibrationError, match="not to be had with covariates"):
        calibrate(responses, covariates=hours, options=SHAPED)
    halves = [ResponseMatrix(responses.categories[:200]), ResponseMatrix(responses.categories[200:])]
    with pytest.raises(CalibrationError, match="not to be had with chunks"):
        calibrate(halves, options=CalibrationOptions(density="empirical-histogram", memory_bytes=1))
    with pytest.raises(CalibrationError, match="option density"):
        CalibrationOptions(density="uniform")  # type: ignore[arg-type]
