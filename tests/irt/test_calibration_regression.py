"""Latent regression: against a likelihood written out anew, the truth, and what must always hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from assess import irt
from assess.errors import CalibrationError
from assess.irt.calibration import Calibration, CalibrationOptions
from assess.responses import ResponseMatrix

FloatArray = NDArray[np.float64]
SLOPES = np.array([0.7, 1.4, 1.0, 1.8, 0.9, 1.2])
LOCATIONS = np.array([-1.2, -0.5, 0.0, 0.3, 0.8, 1.5])
IDS = [f"item{j + 1}" for j in range(6)]


def simulated(
    n: int, beta: tuple[float, float] = (0.6, -0.3), seed: int = 7, missing: float = 0.0
) -> tuple[ResponseMatrix, pd.DataFrame]:
    """2PL responses of persons whose theta depends on training (0, 1) and hours (0 to 4)."""
    rng = np.random.default_rng(seed)
    training, hours = rng.integers(0, 2, n), rng.integers(0, 5, n)
    theta = beta[0] * (training - 0.5) + beta[1] * (hours - 2) + rng.standard_normal(n)
    chance = 1.0 / (1.0 + np.exp(-SLOPES * (theta[:, None] - LOCATIONS)))
    responses = (rng.random(chance.shape) < chance).astype(np.int8)
    responses[rng.random(responses.shape) < missing] = -1
    return ResponseMatrix(responses, item_ids=IDS), pd.DataFrame({"training": training, "hours": hours})


def written_out(values: FloatArray, responses: NDArray[np.int8], x: FloatArray) -> float:
    """Minus the marginal log-likelihood of (a, -a b, beta), person by person: no groups, other nodes."""
    a, d, beta = values[:6], values[6:12], values[12:]
    mean = x @ beta
    theta = mean[:, None] + np.linspace(-6.0, 6.0, 97)
    weight = np.exp(-0.5 * np.linspace(-6.0, 6.0, 97) ** 2)
    log_joint = np.broadcast_to(np.log(weight / weight.sum()), theta.shape).copy()
    for j in range(6):
        z = a[j] * theta + d[j]
        signed = np.where(responses[:, j, None] == 1, z, -z)
        log_joint += np.where(responses[:, j, None] < 0, 0.0, -np.logaddexp(0.0, -signed))
    top = log_joint.max(axis=1)
    return -float((top + np.log(np.exp(log_joint - top[:, None]).sum(axis=1))).sum())


@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_the_maximum_is_that_of_a_likelihood_written_out_person_by_person(missing):
    matrix, covariates = simulated(600, missing=missing)
    found = irt.calibrate(matrix, covariates=covariates)
    assert found.converged
    assert found.regression is not None
    x = (covariates - covariates.mean()).to_numpy(dtype=float)
    a = found.parameters.slopes
    start = np.concatenate([a, -a * found.parameters.steps[:, 0], found.regression.coefficients])
    other = minimize(written_out, start, args=(matrix.categories, x), method="BFGS", options={"gtol": 1e-2})
    # both quadratures are exact to far less than this
    assert found.log_likelihood == pytest.approx(-written_out(start, matrix.categories, x), abs=1e-5)
    assert found.log_likelihood == pytest.approx(-other.fun, abs=1e-3)
    assert found.regression.coefficients == pytest.approx(other.x[12:], abs=2e-3)


def test_standard_errors_are_those_of_the_second_differences_of_that_likelihood():
    matrix, covariates = simulated(600)
    found = irt.calibrate(matrix, covariates=covariates)
    assert found.regression is not None
    x = (covariates - covariates.mean()).to_numpy(dtype=float)
    a = found.parameters.slopes
    at = np.concatenate([a, -a * found.parameters.steps[:, 0], found.regression.coefficients])
    h, n = 1e-3, at.size
    steps = h * np.eye(n)

    def value(point: FloatArray) -> float:
        return written_out(point, matrix.categories, x)

    here = value(at)
    up = np.array([value(at + step) for step in steps])
    down = np.array([value(at - step) for step in steps])
    hessian = np.diag((up + down - 2.0 * here) / h**2)
    for i in range(n):
        for j in range(i):
            both = value(at + steps[i] + steps[j]) + value(at - steps[i] - steps[j])
            hessian[i, j] = hessian[j, i] = (both - up[i] - up[j] - down[i] - down[j] + 2.0 * here) / (
                2 * h**2
            )
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))[12:]
    assert found.regression.errors == pytest.approx(errors, rel=1e-3)


def test_two_groups_of_one_variance_are_a_covariate_of_0_and_1():
    matrix, covariates = simulated(3_000)
    found = irt.calibrate(matrix, "Rasch", covariates=covariates[["training"]])
    apart = irt.calibrate(matrix, "Rasch", groups=covariates["training"])
    assert found.regression is not None
    # the groups' variances are equal in truth; freeing them moves their distance little
    assert found.regression.coefficients[0] == pytest.approx(apart.population.means[1], abs=0.02)
    assert found.n_parameters == apart.n_parameters - 1
    assert -1e-3 < apart.log_likelihood - found.log_likelihood < 6.0


def test_the_truth_lies_within_three_standard_errors_and_the_spread_is_explained():
    matrix, covariates = simulated(8_000)
    found = irt.calibrate(matrix, covariates=covariates)
    regression = found.regression
    assert regression is not None
    z = (np.array(regression.coefficients) - [0.6, -0.3]) / np.array(regression.errors)
    assert np.abs(z).max() < 3.0
    # var of 0.6 t is 0.09, of 0.3 h is 0.18, the residual has 1
    assert regression.explained == pytest.approx(0.27 / 1.27, abs=0.03)
    assert found.population.sd == pytest.approx(np.sqrt(1.27), abs=0.03)
    assert found.population.mean == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(regression.se_residual_sd)


def test_shifting_and_scaling_a_covariate_changes_its_coefficient_alone():
    matrix, covariates = simulated(800)
    found = irt.calibrate(matrix, covariates=covariates)
    moved = irt.calibrate(matrix, covariates=covariates.assign(hours=10.0 * covariates["hours"] + 3.0))
    assert found.regression is not None
    assert moved.regression is not None
    assert moved.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-5)
    assert 10.0 * moved.regression.coefficients[1] == pytest.approx(
        found.regression.coefficients[1], abs=1e-5
    )
    assert 10.0 * moved.regression.errors[1] == pytest.approx(found.regression.errors[1], rel=1e-3)
    assert moved.parameters.slopes == pytest.approx(found.parameters.slopes, abs=1e-4)


def test_a_person_who_answered_nothing_changes_nothing_whatever_the_covariates():
    matrix, covariates = simulated(500)
    found = irt.calibrate(matrix, covariates=covariates)
    longer = ResponseMatrix(np.vstack([matrix.categories, np.full((1, 6), -1)]), item_ids=IDS)
    more = pd.concat([covariates, pd.DataFrame({"training": [1], "hours": [40]})])
    again = irt.calibrate(longer, covariates=more)
    assert found.regression is not None
    assert again.regression is not None
    assert again.parameters.steps == pytest.approx(found.parameters.steps, abs=1e-4)
    assert again.regression.coefficients == pytest.approx(found.regression.coefficients, abs=1e-4)


def test_frequency_weights_stand_for_copies_with_the_same_covariates():
    matrix, covariates = simulated(400)
    weights = np.tile([1, 3], 200)
    copies = np.repeat(np.arange(400), weights)
    found = irt.calibrate(matrix, covariates=covariates, weights=weights)
    again = irt.calibrate(
        ResponseMatrix(matrix.categories[copies], item_ids=IDS), covariates=covariates.iloc[copies]
    )
    assert found.regression is not None
    assert again.regression is not None
    assert found.regression.coefficients == pytest.approx(again.regression.coefficients, abs=1e-4)
    assert found.regression.errors == pytest.approx(again.regression.errors, rel=1e-3)


def test_anchors_free_the_mean_and_the_residual_spread():
    matrix, covariates = simulated(4_000)
    truth = irt.ItemParameters(IDS, "2PL", SLOPES, (LOCATIONS - 0.5)[:, None])
    found = irt.calibrate(matrix, anchors=truth.take(IDS[:4]), covariates=covariates)
    assert found.regression is not None
    # anchors half a unit easier than they were: everybody is half a unit lower
    assert found.population.mean == pytest.approx(-0.5, abs=4.0 * found.population.se_means[0])
    assert found.regression.residual_sd == pytest.approx(1.0, abs=4.0 * found.regression.se_residual_sd)


def test_the_regression_survives_json_and_is_shown():
    matrix, covariates = simulated(400)
    found = irt.calibrate(matrix, covariates=covariates)
    again = Calibration.from_json(found.to_json())
    assert again.regression is not None
    assert found.regression is not None
    assert again.regression.to_frame().equals(found.regression.to_frame())
    assert np.isnan(again.regression.se_residual_sd)
    assert "regression of theta on covariates" in found.summary()
    assert "training" in found._repr_html_()
    assert Calibration.from_json(irt.calibrate(matrix).to_json()).regression is None


def test_without_standard_errors_the_coefficients_have_none():
    matrix, covariates = simulated(400)
    found = irt.calibrate(
        matrix, covariates=covariates, options=CalibrationOptions(standard_errors=None)
    ).regression
    assert found is not None
    assert np.isnan(found.errors).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.assign(hours=1.0), "'hours' is the same for everybody"),
        (lambda x: x.assign(other=1 - x["training"]), "leave out that of its reference category"),
        (lambda x: x.assign(hours=x["hours"].where(x["hours"] > 0)), "'hours' is missing for some persons"),
        (lambda x: x.assign(hours=x["hours"].map(str)), "'hours' is not a number"),
        (lambda x: x.head(10), "give one row for each of 1200 persons"),
        (lambda x: x[[]], "and a column at least"),
        (lambda x: x.to_numpy(), "must be a DataFrame"),
        (lambda x: x.assign(hours=np.arange(len(x)) / 7), "round continuous covariates"),
    ],
)
def test_covariates_that_cannot_be_used_are_refused(change, message):
    matrix, covariates = simulated(1_200)
    with pytest.raises(CalibrationError, match=message):
        irt.calibrate(matrix, covariates=change(covariates))


def test_groups_beside_covariates_and_girth_with_covariates_are_refused():
    matrix, covariates = simulated(200)
    with pytest.raises(CalibrationError, match="groups or covariates"):
        irt.calibrate(matrix, covariates=covariates, groups=covariates["training"])
    with pytest.raises(CalibrationError, match="takes no groups, covariates"):
        irt.calibrate(matrix, covariates=covariates, engine="girth")
