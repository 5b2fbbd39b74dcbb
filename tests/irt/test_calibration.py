"""What a calibration hands out, what it refuses, and what must hold for all data."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from assess.errors import AssessWarning, CalibrationError, ConvergenceWarning, DataWarning, InvalidResponses
from assess.irt.calibration import (
    Beta,
    Calibration,
    CalibrationOptions,
    LogNormal,
    NoPrior,
    Normal,
    calibrate,
)
from assess.irt.calibration.blocks import Sample, build_blocks, column_counts
from assess.irt.calibration.information import observed_information
from assess.irt.calibration.layout import ItemSpec, Layout
from assess.irt.calibration.likelihood import Likelihood
from assess.irt.calibration.spread import first_order_information
from assess.irt.calibration.starts import starting_values
from assess.irt.calibration.workers import Workers
from assess.irt.models import ItemParameters, category_probabilities
from assess.responses import ResponseMatrix
from tests.verification import record, replications

QUICK = CalibrationOptions(standard_errors=None)


def simulated(
    n_persons: int = 800,
    n_items: int = 8,
    n_categories: int = 2,
    *,
    seed: int = 1,
    missing: float = 0.0,
    mean: float = 0.0,
    sd: float = 1.0,
) -> NDArray[np.int64]:
    """Graded responses, -1 missing at random."""
    rng = np.random.default_rng(seed)
    theta = mean + sd * rng.standard_normal((n_persons, 1, 1))
    slopes = rng.uniform(0.7, 1.9, (1, n_items, 1))
    spread = np.linspace(-0.8, 0.8, n_categories - 1) if n_categories > 2 else np.zeros(1)
    steps = np.linspace(-1.3, 1.3, n_items)[None, :, None] + spread
    above = 1.0 / (1.0 + np.exp(-slopes * (theta - steps)))
    responses = (rng.random((n_persons, n_items, 1)) < above).sum(axis=2)
    responses[rng.random(responses.shape) < missing] = -1
    return np.asarray(responses, dtype=np.int64)


def matrix(categories: NDArray[np.int64]) -> ResponseMatrix:
    return ResponseMatrix(categories)


# --- what comes back -----------------------------------------------------------


def test_a_calibration_says_in_one_line_what_it_is() -> None:
    calibration = calibrate(matrix(simulated()), "2PL")
    n = calibration.n_iterations
    assert repr(calibration) == f"<Calibration: 2PL, 8 items, 800 persons, converged in {n} iterations>"
    page = calibration.summary()
    assert "log-likelihood" in page
    assert "item8" in page
    assert "<table" in calibration._repr_html_()


def test_the_frame_has_one_row_per_item_and_documented_columns() -> None:
    frame = calibrate(matrix(simulated()), "2PL").to_frame()
    assert list(frame.columns) == ["model", "n_categories", "a", "b", "se_a", "se_b"]
    assert frame.index.name == "item"
    assert ItemParameters.from_frame(frame).item_ids == tuple(f"item{j}" for j in range(1, 9))


@pytest.mark.parametrize(
    ("model", "columns"),
    [
        ("GRM", ["a", "b1", "b2"]),
        ("RSM", ["a", "b", "tau1", "tau2"]),
        ("NRM", ["a1", "a2", "a3", "c1", "c2", "c3"]),
        ("PCM", ["a", "b1", "b2"]),
    ],
)
def test_polytomous_models_report_their_own_parameters_with_errors(model: str, columns: list[str]) -> None:
    frame = calibrate(matrix(simulated(n_categories=3)), model).to_frame()
    assert set(columns) <= set(frame.columns)
    shown = [f"se_{name}" for name in columns if not (name == "a" and model in ("RSM", "PCM"))]
    assert np.isfinite(frame[shown].to_numpy(dtype=float)).all()
    if model == "NRM":
        np.testing.assert_allclose(frame[["a1", "a2", "a3"]].sum(axis=1), 0.0, atol=1e-12)
    if model == "RSM":
        assert np.ptp(frame["tau1"]) < 1e-12
        np.testing.assert_allclose(frame["tau1"] + frame["tau2"], 0.0, atol=1e-12)


def test_information_criteria_follow_from_the_log_likelihood() -> None:
    calibration = calibrate(matrix(simulated()), "2PL", options=QUICK)
    assert calibration.n_parameters == 16
    assert calibration.aic == pytest.approx(-2.0 * calibration.log_likelihood + 32.0)
    assert calibration.bic == pytest.approx(-2.0 * calibration.log_likelihood + 16.0 * np.log(800))


def test_the_log_likelihood_is_that_of_the_reported_parameters() -> None:
    """A second road: the library's own category probabilities, summed by brute force."""
    for model, n_categories in (("2PL", 2), ("GRM", 3), ("GPCM", 3), ("NRM", 3)):
        categories = simulated(900, 5, n_categories, missing=0.2)
        calibration = calibrate(matrix(categories), model, options=QUICK)
        theta = np.linspace(-6.0, 6.0, 61)
        weight = np.exp(-0.5 * theta**2)
        p = category_probabilities(calibration.parameters, theta)
        likelihood = np.ones((900, theta.size))
        for j in range(5):
            given_rows = categories[:, j] >= 0
            likelihood[given_rows] *= p[:, j, categories[given_rows, j]].T
        total = float(np.log(likelihood @ (weight / weight.sum())).sum())
        assert calibration.log_likelihood == pytest.approx(total, abs=1e-6)


def test_the_covariance_agrees_with_the_standard_errors() -> None:
    calibration = calibrate(matrix(simulated(n_categories=3)), "GRM")
    vcov = calibration.vcov
    frame = calibration.to_frame()
    assert vcov.shape == (24, 24)
    for item in frame.index:
        for name in ("a", "b1", "b2"):
            label = f"{item}.{name}"
            assert vcov.loc[label, label] == pytest.approx(frame.loc[item, f"se_{name}"] ** 2)
    assert np.linalg.eigvalsh(vcov.to_numpy()).min() > 0.0


def test_no_covariance_without_standard_errors() -> None:
    calibration = calibrate(matrix(simulated()), "2PL", options=QUICK)
    assert calibration.to_frame()["se_a"].isna().all()
    with pytest.raises(CalibrationError, match="no standard errors were computed"):
        _ = calibration.vcov


def test_a_calibration_survives_json() -> None:
    calibration = calibrate(matrix(simulated(n_categories=3)), "GRM", priors={"a": LogNormal(0.0, 0.5)})
    text = calibration.to_json()
    assert json.loads(text)["schema"] == "assess.calibration/1"
    again = Calibration.from_json(text)
    pd.testing.assert_frame_equal(again.to_frame(), calibration.to_frame())
    pd.testing.assert_frame_equal(again.vcov, calibration.vcov)
    assert again.population.mean == calibration.population.mean
    assert again.to_json() == text
    with pytest.raises(CalibrationError, match="schema is"):
        Calibration.from_json(text.replace("assess.calibration/1", "assess.calibration/0"))


def test_a_calibration_remembers_data_options_priors_and_versions() -> None:
    responses = matrix(simulated())
    first = calibrate(responses, "2PL", priors={"a": LogNormal(0.0, 0.5)}, options=QUICK).provenance
    assert first["engine"] == "own"
    assert first["options"]["newton_decrement"] == QUICK.newton_decrement
    assert first["priors"] == {"a": {"prior": "LogNormal", "mean": 0.0, "sd": 0.5}}
    assert {"assess", "numpy", "scipy"} <= set(first["versions"])
    again = calibrate(responses, "2PL", options=QUICK).provenance
    other = calibrate(matrix(simulated(seed=2)), "2PL", options=QUICK).provenance
    assert first["data_sha256"] == again["data_sha256"] != other["data_sha256"]


def test_importing_irt_loads_neither_scipy_nor_pandas() -> None:
    code = "import sys, assess.irt; print([m for m in ('scipy', 'pandas', 'girth') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


# --- progress, threads -----------------------------------------------------------


def test_progress_is_reported_and_can_cancel() -> None:
    heard: list[str] = []

    class Cancelled(Exception):
        pass

    def listen(done: int, total: int | None, message: str) -> None:
        heard.append(message)
        if len(heard) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        calibrate(matrix(simulated()), "2PL", progress=listen)
    assert "log-likelihood" in heard[0]


@pytest.mark.parametrize(
    ("model", "n_categories", "missing"),
    [("2PL", 2, 0.0), ("GRM", 4, 0.0), ("2PL", 2, 0.4), ("GPCM", 3, 0.4)],
)
def test_the_number_of_threads_changes_nothing(model: str, n_categories: int, missing: float) -> None:
    responses = matrix(simulated(9_000, 10, n_categories, missing=missing))
    one = calibrate(responses, model, options=CalibrationOptions(n_threads=1))
    two = calibrate(responses, model, options=CalibrationOptions(n_threads=2))
    assert one.log_likelihood == two.log_likelihood
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame(), check_exact=True)


# --- refusals ----------------------------------------------------------------------


def test_constant_items_are_refused_by_name_or_set_aside_on_request() -> None:
    categories = simulated()
    categories[:, 3] = 1
    with pytest.raises(CalibrationError, match="'item4'"):
        calibrate(matrix(categories))
    with pytest.warns(DataWarning, match="'item4'"):
        calibration = calibrate(matrix(categories), options=CalibrationOptions(constant_items="exclude"))
    assert "item4" not in calibration.parameters.item_ids
    assert calibration.provenance["excluded"] == ["item4"]


def test_unused_categories_are_closed_up_with_a_warning() -> None:
    categories = simulated(n_categories=4)
    categories[categories[:, 2] == 1, 2] = 2
    with pytest.warns(DataWarning, match=r"'item3' keeps \[0, 2, 3\]"):
        calibration = calibrate(matrix(categories), "GRM")
    assert calibration.collapsed == {"item3": (0, 2, 3)}
    assert calibration.parameters.n_categories.tolist() == [4, 4, 3, 4, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("2PL", "'item1' has 3 categories and 2PL is for two; use GRM or GPCM"),
        ("Rasch", "use PCM"),
        ("5PL", "unknown model '5PL'"),
        ({"item1": "GRM"}, "item 'item2': no model given"),
        ({f"item{j}": "GRM" for j in range(1, 10)}, "item 'item1'|names item 'item9'"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(model: str | dict[str, str], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(matrix(simulated(n_categories=3)), model)


def test_an_asymptote_needs_a_prior_or_a_reason() -> None:
    responses = matrix(simulated(1_500))
    with pytest.raises(CalibrationError, match=r"'item1' \(3PL\) needs a prior on c, .*NoPrior\(reason\)"):
        calibrate(responses, "3PL")
    with pytest.raises(CalibrationError, match="needs a reason"):
        NoPrior(" ")
    with pytest.raises(CalibrationError, match="needs a prior on d"):
        calibrate(responses, "4PL", priors={"c": Beta(5.0, 17.0)})
    calibration = calibrate(responses, "4PL", priors={"c": Beta(2.0, 18.0), "d": Beta(40.0, 2.0)})
    assert calibration.converged
    assert (calibration.to_frame()["d"] > calibration.to_frame()["c"]).all()


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"g": Beta(5.0, 17.0)}, "'g' is no parameter"),
        ({"a": 1.0}, "give Normal, LogNormal, Beta or NoPrior"),
        ({"item99": {"a": LogNormal(0.0, 0.5)}}, "'item99' is not an item"),
    ],
)
def test_priors_that_mean_nothing_are_refused(priors: dict[str, object], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(matrix(simulated()), priors=priors)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"groups": ["a"] * 3}, "one label for each of 800 persons"),
        ({"groups": [None] * 800}, "a group label is missing"),
        ({"weights": [1.0] * 3}, "800 finite numbers"),
        ({"weights": [-1.0] * 800}, "none negative"),
        ({"clusters": [1] * 3}, "one label for each person"),
        ({"anchors": ItemParameters(["x"], "2PL", [1.0], [[0.0]])}, "no anchor is among the items"),
    ],
)
def test_arguments_that_do_not_match_the_data_are_refused(argument: dict[str, object], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        calibrate(matrix(simulated()), **argument)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"standard_errors": "bootstrap"}, "option standard_errors"),
        ({"max_iterations": 0}, "at least 1"),
        ({"newton_decrement": 0.0}, "must be positive"),
        ({"theta_range": (3.0, -3.0)}, "below the second"),
    ],
)
def test_options_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(CalibrationError, match=message):
        CalibrationOptions(**change)  # type: ignore[arg-type]


def test_a_reference_group_that_does_not_occur_is_refused() -> None:
    groups = ["x"] * 400 + ["y"] * 400
    with pytest.raises(CalibrationError, match="reference group 'z' does not occur"):
        calibrate(matrix(simulated()), groups=groups, options=CalibrationOptions(reference_group="z"))


def test_a_free_population_needs_something_that_holds_the_scale() -> None:
    with pytest.raises(CalibrationError, match="needs anchors"):
        calibrate(matrix(simulated()), "2PL", options=CalibrationOptions(population="free"))


def test_few_responses_an_item_are_said_with_what_would_be_right() -> None:
    few = calibrate(matrix(simulated(499)), "2PL", options=QUICK)
    said = "8 item(s) with a slope of their own have fewer than 500 responses (item1, item2, item3 ...): "
    said += "prefer Rasch or PCM, or a named prior such as priors={'a': LogNormal(0, 0.5)}"
    assert said in few.notes
    assert said in few.summary()
    assert "fewer than 500 responses" in few._repr_html_()
    for model, n in (("2PL", 500), ("Rasch", 200)):
        assert not any("fewer than" in note for note in calibrate(matrix(simulated(n)), model).notes)


def test_data_without_any_response_are_refused() -> None:
    with pytest.raises(InvalidResponses, match="none of 800 persons"):
        calibrate(matrix(np.full((800, 3), -1)))


def test_a_category_above_an_anchors_is_refused() -> None:
    anchors = ItemParameters(["item1"], "2PL", [1.0], [[0.0]])
    with pytest.raises(CalibrationError, match=r"anchor 'item1' has categories 0\.\.1, but 2"):
        calibrate(matrix(simulated(n_categories=3)), "GRM", anchors=anchors)


# --- what is not held by the data ------------------------------------------------------


def test_an_item_whose_slope_has_no_maximum_is_named_and_the_fit_is_not_converged() -> None:
    categories = simulated(400, 6)
    categories[:, 1] = categories[:, 0]
    categories[:, 2] = categories[:, 0]
    with pytest.warns(ConvergenceWarning, match="do not hold the slopes of item1"):
        calibration = calibrate(matrix(categories), "2PL")
    assert not calibration.converged
    assert "item1" in calibration.unbounded
    assert "NOT converged" in repr(calibration)
    held = calibrate(matrix(categories), "2PL", priors={"a": LogNormal(0.0, 0.5)})
    assert held.converged


@pytest.mark.parametrize("n_items", [1, 2])
def test_more_parameters_than_the_data_can_tell_apart_are_said(n_items: int) -> None:
    with pytest.warns(ConvergenceWarning, match="do not determine item1"):
        calibration = calibrate(matrix(simulated(600, n_items)), "2PL")
    assert not calibration.converged
    assert calibration.to_frame()["se_b"].isna().any()


def test_a_nominal_item_with_two_categories_is_determined() -> None:
    responses = matrix(simulated(600))
    nominal, logistic = calibrate(responses, "NRM"), calibrate(responses, "2PL")
    assert nominal.converged
    assert nominal.log_likelihood == pytest.approx(logistic.log_likelihood, abs=1e-5)


def test_too_few_iterations_are_said() -> None:
    with pytest.warns(ConvergenceWarning, match="below the maximum after 2 iterations"):
        calibration = calibrate(matrix(simulated()), "2PL", options=CalibrationOptions(max_iterations=2))
    assert not calibration.converged


def test_a_reversed_item_keeps_its_negative_slope_and_is_flagged() -> None:
    categories = simulated(1_000, 8)
    categories[:, 5] = 1 - categories[:, 5]
    calibration = calibrate(matrix(categories), "2PL")
    slopes = calibration.parameters.slopes
    assert np.flatnonzero(slopes < 0.0).tolist() == [5]
    assert any("negative slope, check the key: item6" in note for note in calibration.notes)


def test_few_responses_are_said_aloud() -> None:
    assert any("fewer than 500" in note for note in calibrate(matrix(simulated(300))).notes)
    assert not calibrate(matrix(simulated(600))).notes
    assert not calibrate(matrix(simulated(300)), weights=np.full(300, 2.0)).notes
    assert not calibrate(matrix(simulated(300)), "Rasch").notes


# --- what must hold for all data ---------------------------------------------------------


@settings(max_examples=8)
@given(seed=st.integers(0, 10_000), missing=st.sampled_from([0.0, 0.3]))
def test_the_order_of_persons_and_items_changes_nothing(seed: int, missing: float) -> None:
    categories = simulated(400, 6, 3, seed=seed, missing=missing)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(400), rng.permutation(6)
    names = [f"item{j + 1}" for j in range(6)]
    first = calibrate(ResponseMatrix(categories, item_ids=names), "GPCM", options=QUICK)
    shuffled = ResponseMatrix(categories[np.ix_(rows, columns)], item_ids=[names[j] for j in columns])
    second = calibrate(shuffled, "GPCM", options=QUICK)
    assert first.log_likelihood == pytest.approx(second.log_likelihood, abs=1e-5)
    np.testing.assert_allclose(
        first.parameters.slopes, second.parameters.take(names).slopes, atol=2e-3, rtol=2e-3
    )


@pytest.mark.parametrize(("model", "n_categories"), [("2PL", 2), ("GRM", 3), ("PCM", 3)])
def test_every_person_twice_halves_the_variances(model: str, n_categories: int) -> None:
    categories = simulated(500, 6, n_categories, missing=0.1)
    once = calibrate(matrix(categories), model)
    twice = calibrate(matrix(np.concatenate([categories, categories])), model)
    weighted = calibrate(matrix(categories), model, weights=np.full(500, 2.0))
    assert twice.log_likelihood == pytest.approx(2.0 * once.log_likelihood, rel=1e-9)
    assert weighted.log_likelihood == pytest.approx(twice.log_likelihood, rel=1e-9)
    assert weighted.n_persons == twice.n_persons == 1_000
    np.testing.assert_allclose(twice.vcov, once.vcov / 2.0, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(weighted.vcov, twice.vcov, rtol=2e-3, atol=1e-6)


def test_a_person_without_responses_changes_no_estimate() -> None:
    categories = simulated(500, 6, missing=0.2)
    with_empty = np.concatenate([categories, np.full((7, 6), -1)])
    first, second = calibrate(matrix(categories)), calibrate(matrix(with_empty))
    assert first.log_likelihood == pytest.approx(second.log_likelihood, abs=1e-7)
    assert first.n_persons == second.n_persons == int((categories >= 0).any(axis=1).sum())
    np.testing.assert_allclose(first.parameters.slopes, second.parameters.slopes, atol=1e-4)
    streamed = calibrate(chunks_of(with_empty, 507), options=CalibrationOptions(memory_bytes=1))
    assert streamed.n_persons == first.n_persons
    clusters = np.arange(507)
    assert calibrate(matrix(with_empty), clusters=clusters).provenance["standard_errors"] == "sandwich"


def test_shifting_a_group_shifts_its_mean() -> None:
    reference = simulated(1_500, 10, seed=3)
    groups = ["first"] * 1_500 + ["second"] * 1_500
    means = []
    for shift in (0.0, 0.8):
        focal = simulated(1_500, 10, seed=3, mean=shift)
        calibration = calibrate(matrix(np.concatenate([reference, focal])), groups=groups)
        means.append(calibration.population.of("second")[0])
        assert calibration.population.of("first") == (0.0, 1.0)
    assert means[1] - means[0] == pytest.approx(0.8, abs=0.1)


def test_booklets_give_what_their_mixture_with_odd_patterns_gives() -> None:
    """Large booklets take another road through the likelihood than scattered patterns."""
    categories = simulated(900, 9, missing=0.0)
    categories[:450, :3] = -1
    categories[450:, 6:] = -1
    plain = calibrate(matrix(categories), "2PL")
    # items that everybody answered in their own model, so that nothing is canonical
    theta = np.linspace(-6.0, 6.0, 61)
    p = category_probabilities(plain.parameters, theta)
    weight = np.exp(-0.5 * theta**2)
    likelihood = np.ones((900, 61))
    for j in range(9):
        rows = categories[:, j] >= 0
        likelihood[rows] *= p[:, j, categories[rows, j]].T
    assert plain.log_likelihood == pytest.approx(
        float(np.log(likelihood @ (weight / weight.sum())).sum()), abs=1e-6
    )


def test_a_large_sample_is_fitted_through_a_subsample_to_the_same_maximum() -> None:
    categories = simulated(24_000, 10, seed=9)
    whole = calibrate(matrix(categories), "2PL")
    assert whole.converged
    assert whole.newton_decrement < 1e-4
    # the same data as frequencies of their patterns: a small problem in double precision
    patterns, counts = np.unique(categories, axis=0, return_counts=True)
    small = calibrate(matrix(patterns), "2PL", weights=counts)
    assert whole.log_likelihood == pytest.approx(small.log_likelihood, abs=1e-3)
    np.testing.assert_allclose(whole.parameters.slopes, small.parameters.slopes, atol=5e-4)
    np.testing.assert_allclose(whole.to_frame()["se_a"], small.to_frame()["se_a"], rtol=1e-3)


def test_a_booklet_too_small_for_the_subsample_is_fitted_all_the_same() -> None:
    """200 persons share a booklet; among 10,000 of 24,000 they are too few for a block of their own."""
    categories = simulated(24_000, 40, seed=12, missing=0.5)
    rows = np.random.default_rng(13).choice(24_000, 200, replace=False)
    categories[rows] = simulated(200, 40, seed=13)
    categories[rows, 20:] = -1
    calibration = calibrate(matrix(categories), "2PL", options=QUICK)
    assert calibration.converged
    gap = calibration.parameters.steps[:, 0] - np.linspace(-1.3, 1.3, 40)
    assert np.sqrt(np.mean(gap**2)) < 0.08


def test_single_precision_chunks_reach_the_maximum_that_double_reaches() -> None:
    categories = simulated(6_000, 8, 3, seed=10)
    whole = calibrate(matrix(categories), "GRM")
    patterns, counts = np.unique(categories, axis=0, return_counts=True)
    small = calibrate(matrix(patterns[:, :]), "GRM", weights=counts)
    assert whole.log_likelihood == pytest.approx(small.log_likelihood, abs=2e-3)
    np.testing.assert_allclose(whole.to_frame()["a"], small.to_frame()["a"], atol=1e-3)
    np.testing.assert_allclose(whole.to_frame()["se_b1"], small.to_frame()["se_b1"], rtol=1e-3)


def test_a_long_test_gets_more_nodes() -> None:
    rng = np.random.default_rng(4)
    theta = rng.standard_normal((300, 1))
    chance = 1.0 / (1.0 + np.exp(-2.0 * (theta - rng.standard_normal(120))))
    calibration = calibrate(matrix((rng.random(chance.shape) < chance).astype(int)), "2PL", options=QUICK)
    assert calibration.provenance["n_nodes"] > 61


def test_a_wide_population_widens_the_nodes() -> None:
    calibration = calibrate(matrix(simulated(1_500, 10, sd=2.5)), "Rasch")
    assert calibration.converged
    assert calibration.population.sd > 2.0
    assert calibration.provenance["n_nodes"] > 100


# --- anchors, weights, clusters ------------------------------------------------------------


def test_anchors_keep_every_parameter_and_the_population_moves() -> None:
    first = calibrate(matrix(simulated(2_000, 10, 3, seed=5)), "GRM")
    shifted = matrix(simulated(2_000, 10, 3, seed=5, mean=0.7, sd=1.3))
    anchors = first.parameters.take(["item1", "item4", "item7"])
    second = calibrate(shifted, "GRM", anchors=anchors)
    np.testing.assert_array_equal(second.parameters.take(anchors.item_ids).steps[:, :2], anchors.steps[:, :2])
    assert second.population.mean == pytest.approx(0.7, abs=0.15)
    assert second.population.sd == pytest.approx(1.3, abs=0.15)
    assert np.isfinite(second.population.se_means[0])
    np.testing.assert_allclose(second.parameters.slopes, first.parameters.slopes, atol=0.25)
    assert any("anchor(s) held" in note for note in second.notes)
    held = calibrate(shifted, "GRM", anchors=first, options=CalibrationOptions(population="standard"))
    assert (held.population.mean, held.population.sd) == (0.0, 1.0)
    assert held.n_parameters == 0


def test_an_anchor_may_be_a_frame_and_have_another_model() -> None:
    frame = pd.DataFrame(
        {"model": ["3PL"], "n_categories": [2], "a": [1.2], "b": [-1.3], "c": [0.2]},
        index=pd.Index(["item1"], name="item"),
    )
    calibration = calibrate(matrix(simulated()), "2PL", anchors=frame)
    assert calibration.parameters.models[0] == "3PL"
    assert calibration.parameters.lower[0] == 0.2
    assert calibration.parameters.steps[0, 0] == -1.3


def test_sampling_weights_give_sandwich_errors_and_no_larger_sample() -> None:
    categories = simulated(1_000)
    rng = np.random.default_rng(6)
    weights = rng.uniform(0.5, 4.0, 1_000)
    plain = calibrate(matrix(categories))
    weighted = calibrate(matrix(categories), weights=weights, options=CalibrationOptions(weights="sampling"))
    assert weighted.n_persons == 1_000
    assert weighted.provenance["standard_errors"] == "sandwich"
    # weights that mean nothing cost efficiency: the design effect is 1 + cv²
    effect = 1.0 + np.var(weights) / np.mean(weights) ** 2
    ratio = (weighted.to_frame()["se_a"] / plain.to_frame()["se_a"]).to_numpy()
    assert float(np.mean(ratio)) == pytest.approx(np.sqrt(effect), rel=0.1)


def test_clusters_of_copies_undo_the_copies() -> None:
    categories = simulated(600)
    once = calibrate(matrix(categories), options=CalibrationOptions(standard_errors="sandwich"))
    copies = np.concatenate([categories, categories])
    clusters = np.concatenate([np.arange(600), np.arange(600)])
    clustered = calibrate(matrix(copies), clusters=clusters)
    np.testing.assert_allclose(
        clustered.to_frame()["se_a"], once.to_frame()["se_a"] * np.sqrt(600 / 599), rtol=1e-3
    )


def test_three_kinds_of_errors_agree_under_the_model() -> None:
    responses = matrix(simulated(4_000, 6))
    frames = {
        kind: calibrate(responses, options=CalibrationOptions(standard_errors=kind)).to_frame()
        for kind in ("observed", "cross-product", "sandwich")
    }
    for kind in ("cross-product", "sandwich"):
        np.testing.assert_allclose(frames[kind]["se_b"], frames["observed"]["se_b"], rtol=0.1)


@pytest.mark.parametrize(
    ("priors", "column", "value"),
    [
        ({"a": LogNormal(0.0, 0.01)}, "a", 1.0),
        ({"b": Normal(0.5, 0.001), "a": LogNormal(0.0, 0.3)}, "b", 0.5),
        ({"intercept": Normal(0.0, 0.001), "a": LogNormal(0.0, 0.3)}, "b", 0.0),
    ],
)
def test_a_narrow_prior_wins_over_the_data(
    priors: dict[str, LogNormal | Normal], column: str, value: float
) -> None:
    frame = calibrate(matrix(simulated(200, 5)), "2PL", priors=priors).to_frame()
    np.testing.assert_allclose(frame[column], value, atol=0.02)


def test_a_prior_may_hold_for_one_item() -> None:
    frame = calibrate(matrix(simulated()), "2PL", priors={"item2": {"a": Normal(3.0, 0.001)}}).to_frame()
    assert frame.loc["item2", "a"] == pytest.approx(3.0, abs=0.01)
    assert frame["a"].to_numpy()[0] < 2.5


def test_omitted_responses_count_as_wrong_and_unreached_ones_are_missing() -> None:
    categories = simulated(400)
    categories[::7, 2] = -2
    categories[::9, 7] = -3
    scored = np.where(categories == -2, 0, np.where(categories == -3, -1, categories))
    first, second = calibrate(matrix(categories)), calibrate(matrix(scored))
    pd.testing.assert_frame_equal(first.to_frame(), second.to_frame())
    other = calibrate(matrix(categories), options=CalibrationOptions(omitted="missing"))
    assert other.log_likelihood != pytest.approx(first.log_likelihood, abs=0.1)


# --- chunks -----------------------------------------------------------------------------


def chunks_of(categories: NDArray[np.int64], size: int) -> list[ResponseMatrix]:
    return [matrix(categories[i : i + size]) for i in range(0, len(categories), size)]


@pytest.mark.parametrize(("model", "n_categories", "missing"), [("2PL", 2, 0.0), ("GRM", 3, 0.2)])
def test_chunks_give_what_the_whole_gives(model: str, n_categories: int, missing: float) -> None:
    categories = simulated(3_000, 8, n_categories, missing=missing)
    whole = calibrate(matrix(categories), model)
    kept = calibrate(chunks_of(categories, 700), model)
    assert kept.log_likelihood == whole.log_likelihood
    assert kept.provenance["data_sha256"] == whole.provenance["data_sha256"]
    streamed = calibrate(chunks_of(categories, 700), model, options=CalibrationOptions(memory_bytes=1))
    assert streamed.converged
    assert streamed.n_persons == whole.n_persons
    assert streamed.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-4)
    np.testing.assert_allclose(streamed.to_frame()["a"], whole.to_frame()["a"], atol=1e-3)
    np.testing.assert_allclose(streamed.to_frame()["se_a"], whole.to_frame()["se_a"], rtol=1e-3)


def test_a_stream_is_sampled_evenly_whatever_its_length() -> None:
    categories = simulated(45_000, 5, seed=8)
    options = CalibrationOptions(memory_bytes=1)
    streamed = calibrate(chunks_of(categories, 4_000), "2PL", options=options)
    whole = calibrate(matrix(categories), "2PL")
    assert streamed.n_persons == 45_000
    assert streamed.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-3)


def test_chunks_that_cannot_be_read_again_or_do_not_fit_together_are_refused() -> None:
    categories = simulated(900, 4)
    with pytest.raises(InvalidResponses, match="read more than once"):
        calibrate(iter(chunks_of(categories, 300)), "2PL")
    with pytest.raises(InvalidResponses, match="the chunk from person 900 on has items"):
        calibrate([matrix(categories), matrix(categories[:, :3])], "2PL")
    streamed = CalibrationOptions(memory_bytes=1)
    with pytest.raises(CalibrationError, match="weights cannot be given with chunks"):
        calibrate(chunks_of(categories, 300), "2PL", weights=np.ones(900), options=streamed)
    with pytest.raises(CalibrationError, match="take engine='own'"):
        calibrate(chunks_of(categories, 300), "2PL", engine="girth", options=streamed)
    with pytest.raises(InvalidResponses, match="give a DataFrame"):
        calibrate(3, "2PL")  # type: ignore[arg-type]


# --- roads through the likelihood that must agree ------------------------------------------


@pytest.mark.parametrize(("model", "n_categories"), [("2PL", 2), ("GPCM", 3)])
def test_scattered_responses_give_what_indicators_of_their_categories_give(
    model: str, n_categories: int
) -> None:
    """An item of another family sends all persons through the indicators; without it items suffice."""
    categories = simulated(700, 7, n_categories, missing=0.3)
    plain = calibrate(matrix(categories), model)
    anchor = ItemParameters(["item8"], "3PL", [1.0], [[0.0]], [0.2])
    nobody = np.concatenate([categories, np.full((700, 1), -1)], axis=1)
    held = CalibrationOptions(population="standard")
    other = calibrate(matrix(nobody), model, anchors=anchor, options=held)
    assert other.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
    names = ["a", "b" if n_categories == 2 else "b1"]
    np.testing.assert_allclose(other.to_frame()[names][:7], plain.to_frame()[names], atol=1e-3)
    errors = [f"se_{name}" for name in names]
    np.testing.assert_allclose(other.to_frame()[errors][:7], plain.to_frame()[errors], rtol=1e-3)


def test_columns_are_counted_right_beyond_a_byte() -> None:
    mask = np.random.default_rng(0).random((1_100, 3)) < 0.7
    assert column_counts(mask).tolist() == mask.sum(axis=0).tolist()


# --- nasty data -------------------------------------------------------------------------


def nasty(seed: int) -> tuple[str, NDArray[np.int64]]:
    """Small, separated, near-constant, perfect, duplicated, gappy, reversed: by the seed."""
    rng = np.random.default_rng(seed)
    model = str(rng.choice(["2PL", "GRM", "GPCM", "PCM", "3PL", "NRM", "Rasch", "1PL", "RSM"]))
    N, J = int(rng.integers(50, 401)), int(rng.integers(5, 41))
    K = 2 if model in ("2PL", "3PL", "Rasch", "1PL") else int(rng.integers(3, 6))
    theta = rng.standard_normal((N, 1, 1)) * rng.choice([0.3, 1.0, 2.5])
    slopes = rng.uniform(0.3, 3.0, (1, J, 1)) * np.where(rng.random((1, J, 1)) < 0.05, -1.0, 1.0)
    location = rng.normal(0.0, rng.choice([0.5, 1.5, 3.0]), (1, J, 1))
    steps = location + np.sort(rng.standard_normal((1, J, K - 1)), axis=2)
    X = (rng.random((N, J, 1)) < 1.0 / (1.0 + np.exp(-slopes * (theta - steps)))).sum(axis=2)
    trouble = int(rng.integers(0, 6))
    if trouble == 0:
        X[:, 0] = (theta[:, 0, 0] > 0.0) * (K - 1)
    elif trouble == 1:
        X[:, 1] = 0
        X[0, 1] = 1
    elif trouble == 2:
        X[: N // 10 + 1] = K - 1
        X[-(N // 10) - 1 :] = 0
    elif trouble == 3:
        X[X[:, 2] == 1, 2] = 0
    elif trouble == 4:
        X[:, 1] = X[:, 0]
    if rng.random() < 0.4:
        X[rng.random(X.shape) < rng.choice([0.1, 0.6])] = -1
    return model, np.asarray(X, dtype=np.int64)


def check_nasty(seed: int) -> bool:
    model, categories = nasty(seed)
    priors = {"c": Beta(5.0, 17.0)} if model == "3PL" else None
    options = CalibrationOptions(constant_items="exclude", allow_wide=True, max_iterations=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssessWarning)
        calibration = calibrate(matrix(categories), model, priors=priors, options=options)
    assert np.isfinite(calibration.log_likelihood)
    parameters = calibration.to_frame().drop(columns=["model", "n_categories"])
    shown = parameters[[name for name in parameters if not str(name).startswith("se_")]]
    assert not np.isinf(shown.to_numpy(dtype=float)).any()
    assert np.isfinite(calibration.parameters.slopes).all() or model == "NRM"
    if calibration.converged:
        assert calibration.newton_decrement <= 1e-5
        assert calibration.gradient_norm < 0.05 * np.sqrt(calibration.n_persons)
    return calibration.converged


@pytest.mark.parametrize("seed", range(12))
def test_nasty_data_neither_crash_nor_pretend(seed: int) -> None:
    check_nasty(seed)


@pytest.mark.verify
@pytest.mark.timeout(3_600)
def test_three_hundred_nasty_data_sets_neither_crash_nor_pretend() -> None:
    study, seed = "nasty data: 300 sets, nine models", "0 to 299"
    converged = replications(study, 300, check_nasty, seed=seed)
    record(
        study, f"0 crashed, 0 pretended; {sum(converged)} converged, the others said they had not", seed=seed
    )


# --- the information matrix ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "n_categories", "missing"),
    [("2PL", 2, 0.4), ("GRM", 3, 0.0), ("GRM", 3, 0.3), ("3PL", 2, 0.0), ("GPCM", 3, 0.3), ("NRM", 3, 0.0)],
)
def test_the_information_is_minus_the_second_derivative(
    model: str, n_categories: int, missing: float
) -> None:
    """Louis's formula against differences of the gradient, weights and a group's mean and sd included."""
    categories = simulated(400, 5, n_categories, missing=missing)
    answered = categories[(categories >= 0).any(axis=1)].astype(np.int8)
    items = tuple(ItemSpec(f"item{j}", model, n_categories) for j in range(5))
    layout = Layout(items, ("first", "second"), (False, True), (False, True))
    group = (np.arange(len(answered)) % 2).astype(np.int64)
    sample = Sample(answered, group, np.random.default_rng(2).uniform(0.5, 2.0, len(answered)))
    with Workers(1) as workers:
        likelihood = Likelihood(layout, np.linspace(-6.0, 6.0, 61), build_blocks(sample, layout), workers)
        eta = starting_values(sample, layout, {})
        eta[-2:] = 0.3, np.log(1.2)
        information = observed_information(likelihood, likelihood(eta))
        step = 1e-5
        for k in range(eta.size):
            if k in (eta.size - 4, eta.size - 3):
                continue
            shift = np.zeros_like(eta)
            shift[k] = step
            difference = likelihood(eta + shift).gradient - likelihood(eta - shift).gradient
            np.testing.assert_allclose(information[k], -difference / (2.0 * step), atol=2e-4)


@pytest.mark.parametrize(("model", "missing"), [("GRM", 0.0), ("2PL", 0.8)])
def test_the_first_order_matrix_is_near_the_exact_one(model: str, missing: float) -> None:
    """In the metric of the exact matrix its eigenvalues are near one: a Newton step then leaves little."""
    n_categories = 4 if model == "GRM" else 2
    answered = simulated(6_000, 40, n_categories, missing=missing).astype(np.int8)
    items = tuple(ItemSpec(f"item{j}", model, n_categories) for j in range(40))
    layout = Layout(items, ("population",), (False,), (False,))
    sample = Sample(answered, np.zeros(6_000, dtype=np.int64))
    with Workers(1) as workers:
        likelihood = Likelihood(layout, np.linspace(-6.0, 6.0, 61), build_blocks(sample, layout), workers)
        expectation = likelihood(starting_values(sample, layout, {}))
        used = layout.restriction.selection
        assert used is not None
        exact = observed_information(likelihood, expectation)[np.ix_(used, used)]
        near = first_order_information(likelihood, expectation)[np.ix_(used, used)]
    root = np.linalg.inv(np.linalg.cholesky(exact))
    values = np.linalg.eigvalsh(root @ near @ root.T)
    # eight answers a person leave wide posteriors, for which the first order is roughest
    assert values.min() > 0.4
    assert values.max() < 2.0
    assert np.mean(np.abs(values - 1.0)) < 0.15
