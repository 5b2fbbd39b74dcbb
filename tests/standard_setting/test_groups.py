"""Judges who know learners: contrasting groups and the borderline group."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from assess.errors import CutNotFound, InvalidParameters
from assess.irt import score, simulate
from assess.standard_setting import borderline_group, contrasting_groups
from tests.standard_setting.panels import mixed_form


def judged(theta_cut, n=200_000, sharpness=4.0, seed=3):
    """Learners and judges who are as likely to say proficient as the logistic curve at the cut."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=n)
    return theta, rng.random(n) < 1.0 / (1.0 + np.exp(-sharpness * (theta - theta_cut)))


# --- contrasting groups --------------------------------------------------------------


@pytest.mark.parametrize("theta_cut", [-0.7, 0.0, 0.9])
def test_judges_who_know_the_true_probabilities_recover_theta(theta_cut):
    theta, said = judged(theta_cut)
    assert contrasting_groups(theta, said).theta == pytest.approx(theta_cut, abs=0.01)
    # And so do judges who see the truth itself: the groups then do not overlap.
    sure = contrasting_groups(theta, theta >= theta_cut)
    assert sure.theta == pytest.approx(theta_cut, abs=0.01)
    assert math.isnan(sure.se)


def test_the_curve_is_the_one_of_greatest_likelihood():
    theta, said = judged(0.4, n=300, sharpness=2.0)

    def loss(beta):
        z = beta[0] + beta[1] * theta
        return (np.logaddexp(0.0, z) - said * z).sum()

    best = minimize(loss, [0.0, 1.0], tol=1e-12).x
    assert contrasting_groups(theta, said).theta == pytest.approx(-best[0] / best[1], abs=1e-5)


def test_the_error_with_persons_as_the_sample_is_the_spread_over_samples():
    runs = [contrasting_groups(*judged(0.3, n=400, sharpness=2.0, seed=seed)) for seed in range(300)]
    spread = np.std([run.theta for run in runs], ddof=1)
    assert np.mean([run.se for run in runs]) == pytest.approx(spread, rel=0.12)


def test_with_judges_the_error_is_a_jackknife_over_them():
    theta, said = judged(0.0, n=600, sharpness=3.0)
    judges = [f"j{n % 5}" for n in range(600)]
    cut = contrasting_groups(theta, said, judges=judges)
    without = [
        contrasting_groups(theta[keep], said[keep]).theta
        for judge in sorted(set(judges))
        for keep in [np.array(judges) != judge]
    ]
    assert cut.n_judges == 5
    assert cut.se == pytest.approx(math.sqrt(4 / 5 * ((np.array(without) - np.mean(without)) ** 2).sum()))
    assert [error.design for error in cut.errors] == ["judges random", "persons random"]


def test_equal_base_rates_do_not_care_how_many_of_each_group_were_sampled():
    theta, said = judged(0.2, n=60_000, sharpness=3.0)
    fewer = np.flatnonzero(said)[: said.sum() // 5]
    kept = np.sort(np.concatenate([np.flatnonzero(~said), fewer]))
    whole, thinned = (
        contrasting_groups(theta[rows], said[rows], base_rates="equal").theta
        for rows in (np.arange(len(theta)), kept)
    )
    assert thinned == pytest.approx(whole, abs=0.03)
    assert contrasting_groups(theta[kept], said[kept]).theta > whole + 0.2


def test_posterior_means_lead_to_the_true_cut_and_warm_estimates_beyond_it():
    """What the docstring says of estimates: EAP under the learners' own distribution, not WL."""
    form, rng = mixed_form(12), np.random.default_rng(11)
    theta = rng.normal(size=20_000)
    responses = pd.DataFrame(simulate(form, theta, rng), columns=list(form.item_ids))
    cuts = {
        method: contrasting_groups(score(responses, form, method).theta, theta >= 1.0).theta
        for method in ("EAP", "WL")
    }
    assert cuts["EAP"] == pytest.approx(1.0, abs=0.05)
    assert cuts["WL"] > cuts["EAP"] + 0.1


@given(shift=st.floats(-3, 3), scale=st.floats(0.2, 5))
def test_the_cut_moves_with_the_scale(shift, scale):
    theta, said = judged(0.1, n=80, sharpness=1.5)
    plain = contrasting_groups(theta, said)
    moved = contrasting_groups(shift + scale * theta, said)
    assert moved.theta == pytest.approx(shift + scale * plain.theta, abs=1e-6)
    assert moved.se == pytest.approx(scale * plain.se, rel=1e-5)


def test_judgements_that_say_nothing_have_no_cut():
    with pytest.raises(CutNotFound, match="not the more able ones"):
        contrasting_groups([1.0, 0.5, -0.5, -1.0], [0, 0, 1, 1])
    with pytest.raises(CutNotFound, match="without judge 'j1'"):
        contrasting_groups([-1.0, -0.5, 0.5, 1.0], [0, 0, 1, 1], judges=["j1", "j1", "j2", "j2"])


@pytest.mark.parametrize(
    ("theta", "said", "more", "message"),
    [
        ([0.0, math.inf, 1.0, 2.0], [0, 0, 1, 1], {}, "finite estimates"),
        ([0.0, 1.0], [0, 0, 1], {}, "as many judgements"),
        ([0.0, 1.0, 2.0], [0, 1, 2], {}, "each true or false"),
        ([0.0, 1.0, 2.0], [0, 1, 1], {}, "2 of 3 learners are judged proficient"),
        ([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], {"judges": ["j1"]}, "name the judge of each learner"),
        ([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1], {"base_rates": "none"}, "'as sampled' or 'equal'"),
    ],
)
def test_groups_that_cannot_be_contrasted_are_refused(theta, said, more, message):
    with pytest.raises(InvalidParameters, match=message):
        contrasting_groups(theta, said, **more)


# --- borderline group ------------------------------------------------------------------


@pytest.mark.parametrize("combine", ["median", "mean"])
@pytest.mark.parametrize("theta_cut", [-0.7, 0.0, 0.9])
def test_judges_who_find_those_at_the_border_recover_theta(theta_cut, combine):
    theta = np.random.default_rng(4).normal(size=200_000)
    # The chance of being called borderline falls alike on both sides, among as many on either side.
    near = theta[np.abs(theta - theta_cut) < 0.05]
    assert borderline_group(near, combine=combine).theta == pytest.approx(theta_cut, abs=0.01)


def test_warm_estimates_of_those_at_the_border_are_centred_on_it_and_posterior_means_are_not():
    form, rng = mixed_form(12), np.random.default_rng(13)
    drawn = simulate(form, np.full(6_000, 1.0), rng)
    responses = pd.DataFrame(drawn, columns=list(form.item_ids))
    cuts = {
        method: borderline_group(score(responses, form, method).theta, combine="mean").theta
        for method in ("WL", "EAP")
    }
    assert cuts["WL"] == pytest.approx(1.0, abs=0.03)
    assert cuts["EAP"] < 0.95


def test_the_error_is_that_of_the_middle_or_a_jackknife_over_judges():
    theta = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.3])
    mean = borderline_group(theta, combine="mean")
    assert mean.se == pytest.approx(theta.std(ddof=1) / math.sqrt(6))
    judges = ["j1", "j1", "j2", "j2", "j3", "j3"]
    by_judge = borderline_group(theta, combine="mean", judges=judges)
    # With equal loads the jackknife of a mean is the standard error of the judges' means.
    means = theta.reshape(3, 2).mean(axis=1)
    assert by_judge.se == pytest.approx(means.std(ddof=1) / math.sqrt(3))
    assert by_judge.errors[1].theta == pytest.approx(mean.se)


def test_one_borderline_learner_is_no_group():
    with pytest.raises(InvalidParameters, match="1 borderline learners; two or more"):
        borderline_group([0.3])
