"""girth behind its one door: a second witness, and everything it must not be given."""

from __future__ import annotations

import numpy as np
import pytest

from assess.errors import CalibrationError
from assess.irt import _girth
from assess.irt.calibration import CalibrationOptions, LogNormal, calibrate
from assess.responses import ResponseMatrix


def simulated(
    n_persons: int = 1_000, n_items: int = 12, n_categories: int = 2, seed: int = 11
) -> ResponseMatrix:
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal((n_persons, 1, 1))
    slopes = rng.uniform(0.7, 1.8, (1, n_items, 1))
    steps = np.linspace(-1.2, 1.2, n_items)[None, :, None] + np.linspace(-0.8, 0.8, n_categories - 1)
    above = 1.0 / (1.0 + np.exp(-slopes * (theta - steps)))
    return ResponseMatrix((rng.random((n_persons, n_items, 1)) < above).sum(axis=2))


@pytest.mark.parametrize(("model", "n_categories"), [("1PL", 2), ("2PL", 2), ("GRM", 4), ("GPCM", 3)])
def test_girth_and_our_engine_agree_on_complete_data(model: str, n_categories: int) -> None:
    responses = simulated(n_categories=n_categories)
    theirs = calibrate(responses, model, engine="girth")
    ours = calibrate(responses, model)
    assert theirs.engine == "girth"
    assert ours.log_likelihood >= theirs.log_likelihood - 1e-6
    assert theirs.log_likelihood == pytest.approx(ours.log_likelihood, abs=0.2)
    np.testing.assert_allclose(theirs.parameters.slopes, ours.parameters.slopes, atol=0.05)
    np.testing.assert_allclose(theirs.parameters.steps, ours.parameters.steps, atol=0.05)


def test_girths_solution_is_judged_by_our_derivatives_and_given_our_errors() -> None:
    calibration = calibrate(simulated(), "2PL", engine="girth")
    assert calibration.converged
    assert 0.0 < calibration.newton_decrement < 0.1
    assert calibration.to_frame()["se_a"].between(0.03, 0.5).all()
    assert any("reports no convergence" in note for note in calibration.notes)
    assert calibration.provenance["versions"]["girth"] == "0.8.0"


def test_girths_partial_credit_model_is_reported_as_what_it_is() -> None:
    calibration = calibrate(simulated(n_categories=3), "PCM", engine="girth")
    assert set(calibration.parameters.models) == {"GPCM"}
    assert any("reported as GPCM" in note for note in calibration.notes)


def test_missing_responses_are_refused_by_place() -> None:
    categories = simulated().categories.copy()
    categories[3, 2] = -1
    with pytest.raises(CalibrationError, match="person 3 has no response to item 2"):
        calibrate(ResponseMatrix(categories), "2PL", engine="girth")


def test_constant_items_are_refused() -> None:
    categories = simulated().categories.copy()
    categories[:, 4] = 1
    with pytest.raises(CalibrationError, match="item 4 is constant"):
        _girth.estimate(categories, "2PL")
    with pytest.raises(CalibrationError, match="item5"):
        calibrate(ResponseMatrix(categories), "2PL", engine="girth")


@pytest.mark.parametrize("model", ["3PL", "Rasch", "NRM"])
def test_models_that_girth_cannot_do_are_refused(model: str) -> None:
    with pytest.raises(CalibrationError, match=f"has no {model} that works"):
        _girth.estimate(simulated().categories, model)


def test_what_girth_would_ignore_is_refused() -> None:
    responses = simulated()
    with pytest.raises(CalibrationError, match="no groups, covariates, anchors, priors or weights"):
        calibrate(responses, "2PL", engine="girth", priors={"a": LogNormal(0.0, 0.5)})
    models = dict.fromkeys(responses.item_ids, "2PL") | {"item1": "1PL"}
    with pytest.raises(CalibrationError, match="one model for all items"):
        calibrate(responses, models, engine="girth")


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(CalibrationError, match="'own' or 'girth'"):
        calibrate(simulated(), "2PL", engine="mirt", options=CalibrationOptions())  # type: ignore[arg-type]
