from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assess.errors import DataWarning, InvalidParameters, InvalidResponses
from assess.irt import ItemParameters, ParameterSet, Prior, information, score, score_one, summed_score_table
from assess.irt import log_category_probabilities as log_probabilities
from assess.irt.calibration import calibrate
from assess.irt.quadrature import default_nodes, eap, posterior
from assess.irt.scoring import METHODS, summed_score_distribution
from assess.irt.simulate import simulate
from assess.responses import ResponseMatrix
from assess.scale import Scale
from tests.irt.examples import SCORE_CASES, numbers, parameter_sets, reference
from tests.shared import needs_shared

NODES = np.linspace(-6.0, 6.0, 61)
MONOTONE = ("2PL", "3PL", "4PL", "GRM", "PCM", "GPCM", "NRM")

# One person of score_mixed_public answered a single item, and the case's WLE_SE_expected is
# that of all twelve items, while its MAP_SE_expected uses the item given. Ours is the latter.
WRONG_IN_REFERENCE = {("score_mixed_public", "WL"): [254]}


def rasch(*b):
    return ItemParameters([f"i{j}" for j in range(len(b))], "Rasch", np.ones(len(b)), np.array(b)[:, None])


# --- the reference -----------------------------------------------------------


@needs_shared
@pytest.mark.parametrize("case", SCORE_CASES)
@pytest.mark.parametrize(
    ("method", "name", "tolerance"),
    [("EAP", "EAP", 1e-5), ("MAP", "MAP", 1e-4), ("ML", "ML", 1e-3), ("WL", "WLE", 1e-3)],
)
def test_every_estimate_agrees_with_the_reference(case, method, name, tolerance):
    results, items, responses = reference(case)
    prior = Prior(results["mean"], math.sqrt(results["var"]))
    own = results["own_code"]
    scores = score(responses, items, method, prior=prior, nodes=NODES)
    expected = numbers(own[name])
    finite = np.isfinite(expected)
    assert scores.theta[finite].to_numpy() == pytest.approx(expected[finite], abs=tolerance)
    assert scores.theta[~finite].tolist() == expected[~finite].tolist()
    assert ((scores.status == "infinite") == ~finite).all()
    errors = numbers(own["EAP_SE"] if method == "EAP" else own[f"{name}_SE_expected"])
    known = np.isfinite(errors)
    known[WRONG_IN_REFERENCE.get((case, method), [])] = False
    assert scores.se[known].to_numpy() == pytest.approx(errors[known], abs=1e-3)
    assert np.isinf(scores.se[~finite]).all()


@needs_shared
@pytest.mark.parametrize("case", SCORE_CASES)
@pytest.mark.parametrize("method", ["MAP", "ML"])
def test_observed_standard_errors_agree_with_the_reference(case, method):
    results, items, responses = reference(case)
    prior = Prior(results["mean"], math.sqrt(results["var"]))
    errors = numbers(results["own_code"][f"{method}_SE_observed"])
    scores = score(responses, items, method, prior=prior, se="observed")
    known = np.isfinite(errors)
    assert scores.se[known].to_numpy() == pytest.approx(errors[known], abs=1e-3)


@needs_shared
@pytest.mark.parametrize("case", SCORE_CASES)
def test_the_summed_score_table_agrees_with_the_reference(case):
    results, items, responses = reference(case)
    prior = Prior(results["mean"], math.sqrt(results["var"]))
    table = summed_score_table(items, prior=prior, nodes=NODES)
    expected = results["EAPsum"]
    assert table.index.tolist() == expected["score"]
    assert table.theta.to_numpy() == pytest.approx(expected["theta"], abs=1e-6)
    assert table.se.to_numpy() == pytest.approx(expected["sd"], abs=1e-6)
    assert table.probability.to_numpy() == pytest.approx(expected["prob"], abs=1e-6)
    complete = responses.dropna()
    scores = score(complete, items, "EAPsum", prior=prior, nodes=NODES)
    assert scores.theta.to_numpy() == pytest.approx(table.theta[complete.sum(axis=1).astype(int)].to_numpy())


@needs_shared
@pytest.mark.parametrize("case", SCORE_CASES)
def test_empirical_reliability_agrees_with_the_reference(case):
    results, items, responses = reference(case)
    prior = Prior(results["mean"], math.sqrt(results["var"]))
    scores = score(responses, items, prior=prior, nodes=NODES)
    variance = scores.theta.var(ddof=1)
    reliability = variance / (variance + (scores.se**2).mean())
    assert reliability == pytest.approx(results["empirical_rxx_EAP"], abs=1e-4)


@needs_shared
@pytest.mark.parametrize("case", SCORE_CASES)
@pytest.mark.parametrize("method", METHODS)
def test_one_person_scores_as_in_a_crowd(case, method):
    _, items, responses = reference(case)
    rows = responses.iloc[[0, 1, 5, len(responses) - 1]]
    crowd = score(rows, items, method, nodes=NODES)
    for (_, row), theta, se in zip(rows.iterrows(), crowd.theta, crowd.se, strict=True):
        one = score_one(row, items, method=method, nodes=NODES)
        assert one.theta == pytest.approx(theta, abs=1e-8)
        assert one.se == pytest.approx(se, abs=1e-8)
        assert one.item_ids == tuple(row.dropna().index)


# --- by hand -----------------------------------------------------------------


def test_maximum_likelihood_on_equal_items_is_the_log_odds():
    scores = score_one({"i0": 1, "i1": 1, "i2": 0}, rasch(0.0, 0.0, 0.0), method="ML")
    assert scores.theta == pytest.approx(math.log(2.0))
    assert scores.se == pytest.approx((3 * 2 / 9) ** -0.5)


def test_map_is_the_root_of_its_equation_and_its_error_adds_the_prior():
    items, prior = rasch(0.0, 1.0), Prior(0.5, 1.2)
    found = score_one({"i0": 1, "i1": 0}, items, method="MAP", prior=prior)
    p = 1 / (1 + np.exp(-(found.theta - np.array([0.0, 1.0]))))
    assert 1 - p.sum() - (found.theta - 0.5) / 1.44 == pytest.approx(0.0, abs=1e-9)
    assert found.se == pytest.approx(((p * (1 - p)).sum() + 1 / 1.44) ** -0.5)


def test_warms_estimate_is_the_root_of_his_equation():
    items = ItemParameters(["i0", "i1", "i2"], "2PL", [1.0, 1.5, 0.8], [[-0.5], [0.3], [1.0]])
    theta = score_one({"i0": 1, "i1": 1, "i2": 1}, items, method="WL").theta
    a, b = items.slopes, items.steps[:, 0]
    p = 1 / (1 + np.exp(-a * (theta - b)))
    w = p * (1 - p)
    equation = (a * (1 - p)).sum() + (a**3 * w * (1 - 2 * p)).sum() / (2 * (a**2 * w).sum())
    assert equation == pytest.approx(0.0, abs=1e-8)


def test_summed_scores_of_two_coins_are_binomial():
    table = summed_score_distribution(rasch(0.0, 0.0), np.array([0.0]))
    assert table[:, 0].tolist() == [0.25, 0.5, 0.25]


@given(items=parameter_sets(), data=st.data())
def test_the_posterior_is_bayes_rule(items, data):
    categories = np.array([data.draw(st.integers(-1, k - 1)) for k in items.n_categories])
    weights = posterior(categories, items, Prior(0.3, 1.1), NODES)
    density = np.exp(-0.5 * ((NODES - 0.3) / 1.1) ** 2)
    for j, category in enumerate(categories):
        if category >= 0:
            density *= np.exp(log_probabilities(items, NODES)[:, j, category])
    assert weights == pytest.approx(density / density.sum(), abs=1e-12)


# --- properties --------------------------------------------------------------


def as_number(theta):
    return math.copysign(1e9, theta) if math.isinf(theta) else theta


def some_answers(data, items):
    return {
        item: data.draw(st.integers(0, k - 1))
        for item, k in zip(items.item_ids, items.n_categories.tolist(), strict=True)
    }


@settings(max_examples=40)
@given(items=parameter_sets(models=MONOTONE, monotone=True, min_size=2, max_size=8), data=st.data())
@pytest.mark.parametrize("method", ["EAP", "MAP", "ML", "WL"])
def test_theta_never_rises_when_an_answer_on_a_monotone_item_is_changed_for_a_worse_one(method, items, data):
    better = some_answers(data, items)
    item = data.draw(st.sampled_from(items.item_ids))
    assume(better[item] > 0)
    worse = better | {item: data.draw(st.integers(0, better[item] - 1))}
    high = as_number(score_one(better, items, method=method).theta)
    assert as_number(score_one(worse, items, method=method).theta) <= high + 1e-7


@settings(max_examples=40)
@given(items=parameter_sets(models=MONOTONE, monotone=True, min_size=2, max_size=8), data=st.data())
@pytest.mark.parametrize("method", ["EAP", "MAP", "ML"])
def test_theta_never_rises_after_a_further_wrong_answer_on_a_monotone_item(method, items, data):
    answers = some_answers(data, items)
    *before, last = items.item_ids
    high = as_number(score_one({item: answers[item] for item in before}, items, method=method).theta)
    assert as_number(score_one(answers | {last: 0}, items, method=method).theta) <= high + 1e-7


def test_warms_estimate_may_rise_after_a_further_wrong_answer():
    items = ItemParameters(["i0", "i1", "hard"], "2PL", [0.5, 0.5, 2.0], [[-0.5], [0.5], [2.0]])
    before = {"i0": 1, "i1": 0}
    after = before | {"hard": 0}
    assert score_one(after, items, method="WL").theta > score_one(before, items, method="WL").theta + 0.1
    for method in ("EAP", "MAP", "ML"):
        assert score_one(after, items, method=method).theta < score_one(before, items, method=method).theta


def test_global_ml_takes_the_higher_of_two_maxima():
    # A 3PL pattern with two maxima: right on hard items, wrong on easy ones.
    b = np.array([[-2.0], [-1.8], [-1.6], [1.6], [1.8], [2.0]])
    items = ItemParameters([f"i{j}" for j in range(6)], "3PL", [2.0] * 6, b, [0.25] * 6)
    grid = np.linspace(-12, 12, 48001)
    table = log_probabilities(items, grid)
    for answers in ([0, 0, 1, 1, 1, 1], [1, 0, 0, 1, 0, 1], [0, 1, 1, 0, 1, 1], [1, 1, 0, 0, 1, 1]):
        best = grid[table[:, range(6), answers].sum(axis=1).argmax()]
        theta = score_one(dict(zip(items.item_ids, answers, strict=True)), items, method="ML").theta
        assert theta == pytest.approx(best, abs=1e-3) or (math.isinf(theta) and abs(best) == 12.0)


@settings(max_examples=30)
@given(items=parameter_sets(min_size=2), data=st.data())
@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_responses_does_not_move_the_score_by_a_bit(method, items, data):
    answers = [
        (item, data.draw(st.integers(0, k - 1)))
        for item, k in zip(items.item_ids, items.n_categories.tolist(), strict=True)
    ]
    shuffled = data.draw(st.permutations(answers))
    left, right = (score_one(dict(pairs), items, method=method) for pairs in (answers, shuffled))
    assert (left.theta, left.se) == (right.theta, right.se) or math.isnan(left.theta)
    if left.posterior is not None and right.posterior is not None:
        assert left.posterior.tobytes() == right.posterior.tobytes()
    assert right.item_ids == tuple(item for item, _ in shuffled)


@given(items=parameter_sets(models=("2PL", "GPCM", "NRM"), max_size=8), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_the_fast_path_by_the_sufficient_statistic_is_the_plain_one(items, seed):
    rng = np.random.default_rng(seed)
    categories = simulate(items, rng.normal(size=6000), rng)
    prior = Prior(0.2, 1.3)
    nodes = default_nodes(items, prior)
    fast, plain = eap(categories, items, prior, nodes), eap(categories[:100], items, prior, nodes)
    assert fast[0][:100] == pytest.approx(plain[0], abs=1e-9)
    assert fast[1][:100] == pytest.approx(plain[1], abs=1e-9)


def test_a_longer_test_gets_more_nodes_and_the_sum_is_still_an_integral():
    rng = np.random.default_rng(5)
    items = ItemParameters(
        [f"i{j}" for j in range(300)], "2PL", rng.uniform(1.5, 2.5, 300), rng.normal(size=(300, 1))
    )
    nodes = default_nodes(items, Prior())
    assert len(nodes) > 61
    spacing = nodes[1] - nodes[0]
    assert spacing <= (1.0 + information(items, NODES).sum(axis=1).max()) ** -0.5
    categories = simulate(items, rng.normal(size=50), rng)
    fine = eap(categories, items, Prior(), np.linspace(-6, 6, 2001))
    assert eap(categories, items, Prior(), nodes)[0] == pytest.approx(fine[0], abs=1e-6)
    assert eap(categories, items, Prior(), nodes)[1] == pytest.approx(fine[1], abs=1e-6)


# --- what is scored, and with which prior --------------------------------------


def test_missing_responses_are_scored_by_kind():
    items = rasch(-0.5, 0.0, 0.5, 1.0)
    matrix = ResponseMatrix([[1, -2, -3, -1], [1, 0, -1, -1]], item_ids=items.item_ids)
    scores = score(matrix, items)
    assert scores.theta[0] == scores.theta[1]
    assert scores.n_items.tolist() == [2, 2]
    assert score(matrix, items, omitted="missing").n_items.tolist() == [1, 2]
    assert score(matrix, items, not_reached=0).n_items.tolist() == [3, 2]
    row = pd.Series({"i0": 1, "i1": -2, "i2": -3, "i3": math.nan})
    assert score_one(row, items).theta == pytest.approx(scores.theta[0])


def test_a_person_without_responses_keeps_the_prior_or_has_no_estimate():
    items = rasch(0.0, 1.0)
    empty = pd.DataFrame({"i0": [1.0, np.nan, 0.0], "i1": [0.0, np.nan, 1.0]})
    for method in METHODS:
        row = score(empty, items, method, prior=Prior(0.5, 2.0)).iloc[1]
        assert row.status == "no responses"
        assert row.n_items == 0
        one = score_one({}, items, method=method, prior=Prior(0.5, 2.0))
        assert one.status == "no responses"
        if method in ("ML", "WL"):
            assert math.isnan(row.theta)
            assert math.isnan(one.theta)
        else:
            assert (row.theta, row.se) == (0.5, 2.0)
            assert [one.theta, one.se] == pytest.approx([0.5, 2.0], abs=1e-6)


def test_the_prior_and_its_source_are_said():
    items = rasch(0.0, 1.0)
    responses = pd.DataFrame({"i0": [1, 0], "i1": [0, 1]})
    assert score(responses, items).attrs["prior_source"] == "N(0, 1) by default"
    assert score(responses, items, prior=Prior(1.0, 2.0)).attrs["prior_mean"] == 1.0
    calibration = SimpleNamespace(parameters=items, population=SimpleNamespace(mean=0.7, sd=1.4))
    scores = score(responses, calibration)
    assert scores.attrs == {
        "method": "EAP", "prior_mean": 0.7, "prior_sd": 1.4, "prior_source": "population of the calibration",
    }  # fmt: skip
    assert scores.theta[0] == score(responses, items, prior=Prior(0.7, 1.4)).theta[0]
    assert "prior_mean" not in score(responses, items, "ML").attrs


def test_a_score_from_a_parameter_set_carries_its_scale_and_posterior():
    published = ParameterSet("p.v1", "twt-3", Scale("twt-3/1", "teachers"), rasch(0.0, 1.0), "calibrated")
    found = score_one({"i1": 1}, published)
    assert (found.scale_id, found.parameter_set, found.method) == ("twt-3/1", "p.v1", "EAP")
    assert found.posterior is not None
    assert found.posterior.sum() == pytest.approx(1.0)
    assert found.nodes is not None
    assert found.nodes[[0, -1]].tolist() == [-6.0, 6.0]
    assert score_one({"i1": 1}, published, method="WL").posterior is None


def test_an_infinite_estimate_says_so_and_lies_on_the_right_side_of_every_cut():
    items = rasch(0.0, 1.0)
    high, low = (score_one({"i0": x, "i1": x}, items, method="ML") for x in (1, 0))
    assert (high.theta, high.se, high.status) == (math.inf, math.inf, "infinite")
    assert low.theta == -math.inf
    assert high.probability_at_or_above(5.0) == 1.0
    assert low.probability_at_or_above(-5.0) == 0.0


def test_items_outside_the_responses_are_not_administered_and_columns_may_come_in_any_order():
    items = rasch(-1.0, 0.0, 1.0)
    scores = score(pd.DataFrame({"i2": [1, 0], "i0": [0, 1]}), items)
    assert scores.n_items.tolist() == [2, 2]
    assert scores.theta[0] == pytest.approx(score_one({"i0": 0, "i2": 1}, items).theta)


# --- refusals ----------------------------------------------------------------


def test_bad_responses_are_refused_by_item():
    items = rasch(0.0, 1.0)
    with pytest.raises(InvalidResponses, match="item 'x' has no parameters"):
        score_one({"x": 1}, items)
    with pytest.raises(InvalidResponses, match=r"item 'i0': category 2 is outside 0..1"):
        score_one({"i0": 2}, items)
    with pytest.raises(InvalidResponses, match=r"category 0.5 is outside"):
        score_one(pd.Series({"i0": 0.5}), items)
    with pytest.raises(InvalidResponses, match="column 'x' is not an item"):
        score(pd.DataFrame({"x": [1, 0]}), items)
    with pytest.raises(InvalidResponses, match="item 'x' has no parameters"):
        score(ResponseMatrix([[1], [0]], item_ids=["x"]), items)
    with pytest.raises(InvalidResponses, match=r"item 'i0': category 3 is outside 0..1"):
        score(pd.DataFrame({"i0": [3, 0]}), items)


def test_unknown_methods_errors_and_priors_are_refused():
    items = rasch(0.0, 1.0)
    responses = pd.DataFrame({"i0": [1, 0]})
    with pytest.raises(InvalidParameters, match="say one of EAP, MAP, ML, WL, EAPsum"):
        score(responses, items, "MLE")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match="say one of"):
        score_one({"i0": 1}, items, method="eap")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match="'observed' with MAP or ML"):
        score(responses, items, "WL", se="observed")
    with pytest.raises(InvalidParameters, match="'expected', or"):
        score(responses, items, "ML", se="robust")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match="positive sd"):
        Prior(0.0, 0.0)
    with pytest.raises(InvalidParameters, match="finite mean"):
        Prior(math.nan, 1.0)


def test_categories_that_the_calibration_closed_up_are_closed_up_before_scoring():
    rng = np.random.default_rng(6)
    items = ItemParameters([f"i{j}" for j in range(5)], "GPCM", np.ones(5), np.tile([-0.5, 0.5], (5, 1)))
    data = pd.DataFrame(simulate(items, rng.standard_normal(400), rng), columns=list(items.item_ids))
    gap = data.assign(i2=data["i2"].replace(1, 2))
    with pytest.warns(DataWarning, match="closed up"):
        calibration = calibrate(gap, "GPCM")
    found = score(gap, calibration)
    renumbered = score(gap.assign(i2=gap["i2"] // 2), calibration.parameters)
    assert found["theta"].to_numpy() == pytest.approx(renumbered["theta"].to_numpy(), abs=1e-12)
    with pytest.raises(InvalidResponses, match="'i2': category 1 was not seen"):
        score(data, calibration)
