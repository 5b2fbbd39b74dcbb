"""The accuracy of a rule: exact where it can be, simulated where it must be, and both the same."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from assess import irt
from assess.errors import InvalidParameters, InvalidResponses
from assess.irt import (
    ItemParameters,
    Prior,
    accuracy_of_outcomes,
    calibrate,
    information,
    lee,
    log_category_probabilities,
    raw_rule_accuracy,
    rudner,
    rule_accuracy,
    score,
    score_one,
    simulate,
    summed_score_table,
    test_characteristic,
)
from assess.scale import CutScore
from assess.standards.decisions import decide
from tests.irt.examples import parameter_sets


def two_parameter_form(seed=24):
    rng = np.random.default_rng(seed)
    return ItemParameters(
        [f"i{j}" for j in range(24)], "2PL", rng.lognormal(0.1, 0.3, 24), rng.normal(0.1, 0.9, (24, 1))
    )


def mixed_form(seed=7):
    rng = np.random.default_rng(seed)
    steps = np.full((16, 4), np.nan)
    steps[:, 0] = rng.normal(0.0, 0.8, 16)
    steps[10:13, 1:3] = steps[10:13, :1] + np.array([0.6, 1.2])
    steps[13:, 1:] = steps[13:, :1] + np.array([0.4, 0.9, 1.5])
    models = ["2PL"] * 5 + ["3PL"] * 5 + ["GPCM"] * 3 + ["GRM"] * 3
    lower = np.where(np.array(models) == "3PL", 0.2, 0.0)
    return ItemParameters(
        [f"m{j}" for j in range(16)], models, rng.lognormal(0.0, 0.25, 16), steps, lower=lower
    )


def rasch_form(n_items=20):
    return ItemParameters(
        [f"r{j}" for j in range(n_items)], "Rasch", [1.0] * n_items, np.linspace(-1.5, 1.5, n_items)[:, None]
    )


def truth_by_brute_force(items, cut, prior, n, seed, p_pass=0.75, p_fail=0.25, mean=0.0, sd=1.0):
    """Shares under the posterior rule by a second route: a fine plain grid instead of nodes and cubics."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(mean, sd, n)
    drawn = simulate(items, theta, rng)
    grid = np.linspace(prior.mean - 6 * prior.sd, prior.mean + 6 * prior.sd, 241)
    table = log_category_probabilities(items, grid)
    log_weights = np.tile(-0.5 * ((grid - prior.mean) / prior.sd) ** 2, (n, 1))
    for j in range(len(items)):
        log_weights += table[:, j, :].T[drawn[:, j]]
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    inside = np.clip((grid - cut) / (grid[1] - grid[0]) + 0.5, 0.0, 1.0)
    above = (weights * inside).sum(axis=1) / weights.sum(axis=1)
    master, passed, failed = theta >= cut, above >= p_pass, above <= p_fail
    return {
        "accuracy": (np.where(master, passed, failed)).mean(),
        "false_pass": (passed & ~master).mean(),
        "false_fail": (failed & master).mean(),
        "undetermined": (~passed & ~failed).mean(),
    }


# --- by simulation -------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "cut"), [(two_parameter_form, 0.0), (two_parameter_form, 0.8), (mixed_form, -0.3)]
)
def test_the_accuracy_of_the_posterior_rule_is_within_a_hundredth_of_the_truth(form, cut):
    items, prior = form(), Prior(cut, 1.0)
    truth = truth_by_brute_force(items, cut, prior, 30_000, seed=99)
    found = rule_accuracy(items, cut, n_simulees=25_000, rng=np.random.default_rng(1))
    for name, value in truth.items():
        assert getattr(found, name) == pytest.approx(value, abs=0.01), name
        assert found.errors[name] < 0.003


def test_the_simulated_decision_is_the_one_that_decide_takes():
    """Two administrations to 60 people, decided in production form, give the same shares to the last bit."""
    items, cut, n = mixed_form(), CutScore("c.v1", "KA", 0.2, 0.1, "", "judged"), 60
    found = rule_accuracy(items, cut.theta, prior=Prior(0.2, 1.1), n_simulees=n, rng=np.random.default_rng(5))
    rng = np.random.default_rng(5)
    theta = rng.normal(0.0, 1.0, n)
    word = {"passed": 1, "not_passed": -1, "undetermined": 0}
    outcomes = []
    for _ in range(2):
        drawn = simulate(items, theta, rng)
        scores = [
            score_one(dict(zip(items.item_ids, row.tolist(), strict=True)), items, prior=Prior(0.2, 1.1))
            for row in drawn
        ]
        outcomes.append([word[decide(one, cut).status] for one in scores])
    expected = accuracy_of_outcomes(theta, np.array(outcomes).T, cut.theta)
    assert found.to_frame().equals(expected.to_frame())


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.7, 0.8)])
def test_where_the_summed_score_says_all_simulation_and_recursion_agree(mean, sd):
    """Under Rasch the posterior rule is a raw rule with two limits, and so has an exact accuracy."""
    items, cut, prior, population = rasch_form(), 0.3, Prior(0.3, 1.0), Prior(mean, sd)
    above = []
    for raw in range(21):
        responses = {item: int(j < raw) for j, item in enumerate(items.item_ids)}
        above.append(score_one(responses, items, prior=prior).probability_at_or_above(cut))
    raw_cut = next(raw for raw, p in enumerate(above) if p >= 0.75)
    raw_fail = max(raw for raw, p in enumerate(above) if p <= 0.25)
    exact = raw_rule_accuracy(items, raw_cut, cut, population, raw_fail=raw_fail)
    found = rule_accuracy(
        items, cut, prior=prior, population=population, n_simulees=40_000, rng=np.random.default_rng(8)
    )
    both = found.to_frame().assign(value_exact=exact.to_frame().value)
    assert ((both.value - both.value_exact).abs() <= 4.0 * both.se).all(), both
    assert (both.se > 0.0).all()
    assert (exact.to_frame().se == 0.0).all()


def test_the_monte_carlo_errors_are_the_spread_over_repetitions():
    items = rasch_form(10)
    rng = np.random.default_rng(3)
    runs = [rule_accuracy(items, 0.0, n_simulees=400, rng=rng) for _ in range(150)]
    for name in ("accuracy", "false_pass_rate", "undetermined", "consistency", "kappa"):
        spread = np.std([getattr(run, name) for run in runs], ddof=1)
        said = np.mean([run.errors[name] for run in runs])
        # A standard deviation over 150 runs is itself uncertain by about 6 %.
        assert said == pytest.approx(spread, rel=0.2), name


@pytest.mark.parametrize("form", [two_parameter_form, mixed_form])
def test_with_estimated_parameters_the_accuracy_is_within_two_hundredths_of_the_truth(form):
    """Believed: answers and scores by the calibration. True: answers by the items as they are."""
    items = form()
    rng = np.random.default_rng(17)
    responses = pd.DataFrame(simulate(items, rng.normal(size=1_000), rng), columns=list(items.item_ids))
    models = dict(zip(items.item_ids, items.models, strict=True))
    # Whoever estimates a lower asymptote from so few responses has to say where it may lie.
    priors = {"c": irt.Beta(5.0, 17.0)} if "3PL" in items.models else None
    estimated = calibrate(responses, model=models, priors=priors).parameters
    believed, true = (
        rule_accuracy(estimated, 0.2, n_simulees=20_000, rng=np.random.default_rng(18), answering=answering)
        for answering in (None, items)
    )
    for name in ("accuracy", "false_pass", "false_fail", "undetermined"):
        assert getattr(believed, name) == pytest.approx(getattr(true, name), abs=0.02), name


def test_learners_answer_the_units_by_which_they_are_scored():
    with pytest.raises(InvalidParameters, match="give the same units"):
        rule_accuracy(rasch_form(), 0.0, rng=np.random.default_rng(1), answering=rasch_form(19))


def test_a_sample_can_be_the_population():
    items = two_parameter_form()
    found = rule_accuracy(items, 0.0, population=[2.5, 3.0], n_simulees=500, rng=np.random.default_rng(2))
    assert found.at_or_above == 1.0
    assert found.passed > 0.99
    assert math.isnan(found.false_pass_rate)


def test_stricter_limits_leave_more_undetermined_and_pass_fewer_wrongly():
    items = two_parameter_form()
    loose, strict = (
        rule_accuracy(items, 0.0, p_pass=p, p_fail=1 - p, n_simulees=4_000, rng=np.random.default_rng(4))
        for p in (0.6, 0.95)
    )
    assert strict.undetermined > loose.undetermined
    assert strict.false_pass < loose.false_pass
    assert strict.accuracy < loose.accuracy
    assert strict.accuracy_when_decided > loose.accuracy_when_decided


# --- exact -----------------------------------------------------------------------


def test_two_items_agree_with_an_integral_done_by_hand():
    """By symmetry two equal items at the cut, one point needed, are right with probability E sigma(|Z|)."""
    items = ItemParameters(["i1", "i2"], "2PL", [1.0, 1.0], [[0.0], [0.0]])
    expected, _ = quad(lambda z: 2.0 * norm.pdf(z) / (1.0 + math.exp(-z)), 0.0, 12.0)
    found = raw_rule_accuracy(items, 1, 0.0)
    assert found.accuracy == pytest.approx(expected, abs=1e-10)
    assert found.at_or_above == pytest.approx(0.5, abs=1e-10)


def test_the_exact_rule_agrees_with_simulated_sums_on_a_mixed_form():
    items, population = mixed_form(), Prior(0.2, 1.1)
    rng = np.random.default_rng(12)
    theta = rng.normal(0.2, 1.1, 60_000)
    sums = np.stack([simulate(items, theta, rng).sum(axis=1, dtype=int) for _ in range(2)], axis=1)
    simulated = accuracy_of_outcomes(theta, np.where(sums >= 14, 1, -1), 0.1)
    exact = raw_rule_accuracy(items, 14, 0.1, population)
    both = simulated.to_frame().assign(value_exact=exact.to_frame().value)
    assert ((both.value - both.value_exact).abs() <= 4.0 * both.se + 1e-12).all(), both


def test_without_an_undetermined_band_consistency_is_that_of_lee():
    items, cut = two_parameter_form(), 0.4
    nodes = np.linspace(-3.0, 3.0, 41)
    raw_cut = math.ceil(float(test_characteristic(items, cut)[0]))
    exact, classical = raw_rule_accuracy(items, raw_cut, cut, nodes), lee(items, [raw_cut], nodes)
    assert exact.consistency == pytest.approx(classical.consistency, abs=1e-12)
    assert exact.agreement == pytest.approx(classical.consistency, abs=1e-12)
    assert exact.kappa == pytest.approx(classical.kappa, abs=1e-12)


def test_lee_and_rudner_are_within_a_hundredth_of_simulated_truth():
    """The classical estimates against what happens: Lee for the summed score, Rudner for WL at the cut."""
    for items, cut in ((two_parameter_form(), 0.3), (mixed_form(), 0.3)):
        rng = np.random.default_rng(31)
        theta = rng.normal(size=40_000)
        drawn = simulate(items, theta, rng)
        nodes = np.linspace(-6.0, 6.0, 601)
        weights = norm.pdf(nodes)
        raw_cut = math.ceil(float(test_characteristic(items, cut)[0]))
        # Lee's truth is the level of the expected score, so the theta cut is where that meets the raw cut.
        at = nodes[np.searchsorted(test_characteristic(items, nodes), raw_cut)]
        truth = np.mean((drawn.sum(axis=1, dtype=int) >= raw_cut) == (theta >= at))
        assert lee(items, [raw_cut], nodes, weights).accuracy == pytest.approx(truth, abs=0.01)
        estimate = score(pd.DataFrame(drawn[:15_000], columns=list(items.item_ids)), items, "WL").theta
        truth = np.mean((estimate >= cut) == (theta[:15_000] >= cut))
        error = information(items, nodes).sum(axis=1) ** -0.5
        assert rudner(nodes, error, [cut], weights).accuracy == pytest.approx(truth, abs=0.01)


@settings(max_examples=30)
@given(items=parameter_sets(), cut=st.floats(-2.0, 2.0), share=st.floats(0.05, 1.0), sd=st.floats(0.3, 2.0))
def test_right_wrong_and_undetermined_are_everybody(items, cut, share, sd):
    highest = int((items.n_categories - 1).sum())
    raw_cut = max(1, round(share * highest))
    result = raw_rule_accuracy(items, raw_cut, cut, Prior(0.0, sd), raw_fail=raw_cut // 2 - 1)
    whole = result.accuracy + result.false_pass + result.false_fail + result.undetermined
    assert whole == pytest.approx(1.0, abs=1e-9)
    assert result.passed + result.not_passed + result.undetermined == pytest.approx(1.0, abs=1e-9)
    assert result.at_or_above == pytest.approx(norm.sf(cut / sd), abs=1e-9)
    assert 0.0 <= result.consistency <= result.agreement <= 1.0 + 1e-12


def test_the_summed_score_rule_never_depends_on_what_the_scores_are_called():
    """The share passing is the probability of those scores in the population, from the score table."""
    items = mixed_form()
    table = summed_score_table(items)
    assert raw_rule_accuracy(items, 15, 0.0).passed == pytest.approx(
        table.probability.loc[15:].sum(), abs=1e-8
    )


def test_a_raw_cut_between_scores_passes_from_the_next_whole_one():
    items = two_parameter_form()
    assert raw_rule_accuracy(items, 13.2, 0.0).passed == raw_rule_accuracy(items, 14, 0.0).passed
    # As in `decide_raw`, nine digits are compared.
    assert raw_rule_accuracy(items, 14.000000001, 0.0).passed == raw_rule_accuracy(items, 14, 0.0).passed


# --- from outcomes -----------------------------------------------------------------


def test_a_rule_that_never_decides_is_never_right_and_never_consistent():
    result = accuracy_of_outcomes([-1.0, 1.0], [[0, 0], [0, 0]], 0.0)
    assert (result.accuracy, result.undetermined, result.consistency, result.agreement) == (
        0.0,
        1.0,
        0.0,
        1.0,
    )
    assert math.isnan(result.kappa)
    assert math.isnan(result.accuracy_when_decided)


def test_one_administration_has_no_consistency():
    result = accuracy_of_outcomes([-1.0, 1.0, 2.0], [-1, 1, -1], 0.0)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.false_fail_rate == pytest.approx(1 / 2)
    assert math.isnan(result.consistency)
    assert math.isnan(result.kappa)
    assert "right 66.7 %" in result.summary()


def test_a_theta_at_the_cut_is_at_or_above_it():
    assert accuracy_of_outcomes([0.0, 0.0], [1, 1], 0.0).accuracy == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_pass": 0.2}, "0 < p_fail < p_pass < 1"),
        ({"p_pass": 1.0}, "0 < p_fail < p_pass < 1"),
        ({"cut": math.nan}, "finite cut"),
        ({"n_simulees": 1}, "two or more"),
        ({"population": []}, "one row of finite abilities"),
        ({"population": [math.inf]}, "one row of finite abilities"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(change, message):
    cut = change.pop("cut", 0.0)
    with pytest.raises(InvalidParameters, match=message):
        rule_accuracy(rasch_form(), cut, **{"rng": np.random.default_rng(1), **change})


@pytest.mark.parametrize(
    ("raw_cut", "theta", "raw_fail"), [(0, 0.0, None), (21, 0.0, None), (9, math.inf, None), (9, 0.0, 9)]
)
def test_a_raw_rule_that_cannot_be_is_refused(raw_cut, theta, raw_fail):
    with pytest.raises(InvalidParameters, match="a raw cut is above 0 and at most 20"):
        raw_rule_accuracy(rasch_form(), raw_cut, theta, raw_fail=raw_fail)


@pytest.mark.parametrize(
    ("theta", "outcomes", "message"),
    [
        ([0.0, 1.0], [1], "one row for each"),
        ([0.0], [1], "two or more"),
        ([0.0, 1.0], [1, 2], "1, 0 or -1"),
        ([0.0, math.nan], [1, 1], "finite"),
    ],
)
def test_outcomes_that_cannot_be_are_refused(theta, outcomes, message):
    with pytest.raises(InvalidResponses, match=message):
        accuracy_of_outcomes(theta, outcomes, 0.0)
