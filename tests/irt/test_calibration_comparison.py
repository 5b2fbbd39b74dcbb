"""Comparing calibrations and naming their reliability."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from assess.errors import CalibrationError
from assess.irt.calibration import CalibrationOptions, LogNormal, calibrate, compare, reliability
from assess.responses import ResponseMatrix
from tests.irt.test_calibration import simulated
from tests.shared import needs_shared, shared

QUICK = CalibrationOptions(standard_errors=None)


def test_two_models_of_the_same_data_are_compared() -> None:
    responses = ResponseMatrix(simulated())
    one, two = (calibrate(responses, model, options=QUICK) for model in ("1PL", "2PL"))
    comparison = compare(two, one)
    assert (comparison.smaller, comparison.larger) == (one, two)
    assert comparison.df == 7
    assert comparison.statistic == pytest.approx(2.0 * (two.log_likelihood - one.log_likelihood))
    assert comparison.p < 0.05
    assert list(comparison.to_frame().index) == ["1PL", "2PL"]
    assert "1PL against 2PL" in comparison.summary()


def test_rasch_and_1pl_are_the_same_model_in_two_parametrisations() -> None:
    responses = ResponseMatrix(simulated(1_500))
    comparison = compare(calibrate(responses, "1PL"), calibrate(responses, "Rasch"))
    assert comparison.statistic == pytest.approx(0.0, abs=1e-4)
    assert comparison.df == 0
    assert np.isnan(comparison.p)


def test_different_data_or_priors_are_not_compared() -> None:
    first = calibrate(ResponseMatrix(simulated()), "2PL", options=QUICK)
    with pytest.raises(CalibrationError, match="different responses"):
        compare(first, calibrate(ResponseMatrix(simulated(seed=2)), "2PL", options=QUICK))
    held = calibrate(ResponseMatrix(simulated()), "2PL", priors={"a": LogNormal(0.0, 0.5)}, options=QUICK)
    with pytest.raises(CalibrationError, match="compare without priors"):
        compare(first, held)


@needs_shared
@pytest.mark.parametrize(
    ("case", "file", "model"),
    [
        ("fit_lsat6_2pl", "lsat6.csv", "2PL"),
        ("fit_lsat6_rasch", "lsat6.csv", "Rasch"),
        ("fit_science_grm", "science.csv", "GRM"),
        ("fit_verbagg_pcm", "verbagg_poly.csv", "PCM"),
    ],
)
def test_reliabilities_equal_their_references(case: str, file: str, model: str) -> None:
    expected = json.loads(shared("reference", "cases", f"{case}.json").read_text())["results"]
    frame = pd.read_csv(shared("reference", "data", file))
    calibration = calibrate(frame, model, options=QUICK)
    marginal = reliability(calibration, method="marginal")
    own = expected["marginal_reliability_own"]["mean_of_I_over_I_plus_1_over_var"]
    assert marginal.value == pytest.approx(own, abs=5e-4)
    assert reliability(calibration, frame).value == pytest.approx(expected["empirical_rxx_EAP"], abs=1e-3)


def test_each_reliability_says_what_it_is() -> None:
    responses = ResponseMatrix(simulated(1_000, 20))
    calibration = calibrate(responses, "2PL", options=QUICK)
    values = {name: reliability(calibration, responses, name) for name in ("EAP", "ML", "WL", "marginal")}
    assert all(0.6 < one.value < 0.95 for one in values.values())
    assert "1 - mean squared error / var" in repr(values["WL"])
    with pytest.raises(CalibrationError, match="give the responses"):
        reliability(calibration)
    with pytest.raises(CalibrationError, match="say EAP, ML, WL or marginal"):
        reliability(calibration, responses, "alpha")  # type: ignore[arg-type]
