"""A confirmation errs as rarely as it states, whatever is chosen, and agrees with an independent integral."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import integrate, stats

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, category_probabilities
from assess.irt.adaptive import AdaptiveTest, Constraint, StopRule
from assess.irt.confirmation import ConfirmationRule, ConfirmationTest, FirstScore
from assess.irt.scoring import Prior, score_one
from assess.scale import Score
from tests.verification import record

NODES = np.linspace(-6.0, 6.0, 61)


def _bank(n=80, seed=1):
    rng = np.random.default_rng(seed)
    return ItemParameters(
        [f"i{j}" for j in range(n)], "2PL", rng.lognormal(0.1, 0.3, n), rng.normal(0.0, 1.0, (n, 1))
    )


def _mixed():
    """One item of each of four families."""
    return ItemParameters.from_records(
        [
            {"item": "i1", "model": "2PL", "a": 1.3, "b": 0.2},
            {"item": "i2", "model": "3PL", "a": 1.1, "b": -0.4, "c": 0.2},
            {"item": "i3", "model": "GRM", "a": 0.9, "b1": -0.8, "b2": 0.7},
            {"item": "i4", "model": "GPCM", "a": 0.7, "b1": -0.2, "b2": 0.9},
        ]
    )


def _normal(mean, sd):
    return FirstScore.of(Score(theta=mean, se=sd, method="WL", item_ids=("i1",)))


def _first_scores(n, rng, se=0.4):
    """Thetas from N(0, 1) and posteriors after a first session of this precision, (N, Q)."""
    theta = rng.normal(0.0, 1.0, n)
    variance = 1.0 / (1.0 + 1.0 / se**2)
    mean = (theta + se * rng.standard_normal(n)) * variance / se**2
    weights = np.exp(-0.5 * (NODES - mean[:, None]) ** 2 / variance)
    return theta, weights / weights.sum(axis=1, keepdims=True)


# --- the ratio ----------------------------------------------------------------------


@pytest.mark.parametrize("categories", [(1, 0, 2, 1), (0, 1, 0, 0), (1, 1, 2, 2)])
def test_the_ratio_is_that_of_two_integrals_computed_by_adaptive_quadrature(categories):
    items, loss = _mixed(), 0.8
    test = ConfirmationTest(AdaptiveTest(items), ConfirmationRule(loss, 0.05, 0.1))
    density = stats.norm(0.6, 0.35)

    def predictive(shift):
        def integrand(theta):
            p = category_probabilities(items, np.array([theta - shift]))[0]
            return density.pdf(theta) * math.prod(p[j, k] for j, k in enumerate(categories))

        return integrate.quad(integrand, -3.0, 4.2, epsabs=1e-14, epsrel=1e-12)[0]

    found = test.log_ratio(_normal(0.6, 0.35), list(enumerate(categories)))
    # Sixty-one nodes within six standard errors leave nothing at double precision but the tails.
    assert found == pytest.approx(math.log(predictive(loss) / predictive(0.0)), abs=1e-7)


def test_the_ratio_of_a_posterior_is_that_of_the_responses_to_both_sessions():
    # Independently: the joint likelihood of both sessions over one grid, with and without the loss between.
    items, loss, prior = _mixed(), 0.7, Prior(0.2, 1.1)
    before, after = {"i1": 1, "i3": 2}, [(1, 0), (3, 1)]
    first = FirstScore.of(score_one(before, items, prior=prior))
    test = ConfirmationTest(AdaptiveTest(items), ConfirmationRule(loss, 0.05, 0.1))
    theta = np.linspace(-8.0, 8.0, 4001)
    own, lowered = category_probabilities(items, theta), category_probabilities(items, theta - loss)
    joint = stats.norm(0.2, 1.1).pdf(theta) * own[:, 0, 1] * own[:, 2, 2]
    expected = (joint * lowered[:, 1, 0] * lowered[:, 3, 1]).sum() / (
        joint * own[:, 1, 0] * own[:, 3, 1]
    ).sum()
    assert test.log_ratio(first, after) == pytest.approx(math.log(expected), abs=1e-7)
    assert first.basis == "posterior"


def test_with_many_units_it_becomes_the_z_test_of_guo_and_drasgow():
    # log ratio = loss Z / s - loss^2 / (2 s^2), Z = (theta_1 - theta_2) / s, s the error of the difference.
    bank, loss, rng = _bank(400, seed=3), 1.0, np.random.default_rng(4)
    test = ConfirmationTest(AdaptiveTest(bank), ConfirmationRule(loss, 0.01, 0.05))
    p = category_probabilities(bank, np.array([0.1]))[0, :, 1]
    categories = (rng.random(400) < p).astype(int)
    given = dict(zip(bank.item_ids, categories.tolist(), strict=True))
    second = score_one(given, bank, method="WL")
    s = math.hypot(0.3, second.se)
    z = (0.8 - second.theta) / s
    found = test.log_ratio(_normal(0.8, 0.3), list(enumerate(categories.tolist())))
    # The likelihood of 400 answers is normal up to terms of the order of one over the root of their number.
    assert found == pytest.approx(loss * z / s - loss**2 / (2.0 * s**2), abs=0.1)


# --- error rates ----------------------------------------------------------------------


def _paths(test, first, u=0.0):
    """Every path of a small confirmation: probability while the score holds, after the loss, outcome."""
    bank = test.base.parameters
    for answers in product((0, 1), repeat=test.base.stop.max_units):
        given: list[tuple[int, int]] = []
        end = None
        for answer in answers:
            found = test.next_unit(first, given, u=u)
            if found.unit is None:
                end = found
                break
            given.append((found.unit, answer))
        end = end or test.next_unit(first, given, u=u)
        probability = []
        for shift in (0.0, test.rule.loss):
            p = category_probabilities(bank, first.nodes - shift)
            own = np.prod([p[:, unit, answer] for unit, answer in given], axis=0)
            # A path that ended early is met once for every continuation.
            probability.append(float((first.weights * own).sum()) * 0.5 ** (len(answers) - len(given)))
        yield *probability, end


@pytest.mark.parametrize(("mean", "sd"), [(1.0, 0.2), (0.0, 0.5), (-0.5, 0.35)])
def test_summed_over_every_possible_path_both_error_rates_are_within_what_is_stated(mean, sd):
    bank = ItemParameters(
        [f"i{j}" for j in range(14)], "2PL", [1.8] * 14, np.linspace(-1.5, 1.5, 14)[:, None]
    )
    rule = ConfirmationRule(1.2, 0.1, 0.15)
    test = ConfirmationTest(AdaptiveTest(bank, stop=StopRule(2, 7)), rule)
    paths = list(_paths(test, _normal(mean, sd)))
    holds, lost = sum(p for p, _, _ in paths), sum(q for _, q, _ in paths)
    # The paths are all there are, and the ratio has mean one: both to rounding.
    assert holds == pytest.approx(1.0, abs=1e-12)
    assert lost == pytest.approx(1.0, abs=1e-12)
    assert sum(p * math.exp(end.log_ratio) for p, _, end in paths) == pytest.approx(1.0, abs=1e-9)
    doubted = sum(p for p, _, end in paths if end.reason == "inconsistent")
    believed = sum(q for _, q, end in paths if end.reason == "consistent")
    assert 0.0 < doubted <= rule.alpha
    assert 0.0 < believed <= rule.beta


def _rates(n, seed, *, bank=None, loss=1.0, alpha=0.05, beta=0.1, stop=None, **more):
    rng = np.random.default_rng(seed)
    theta, weights = _first_scores(n, rng)
    base = AdaptiveTest(bank or _bank(), stop=stop or StopRule(4, 40), randomesque=3, **more)
    test = ConfirmationTest(base, ConfirmationRule(loss, alpha, beta))
    return [test.simulate(NODES, weights, theta - lower, rng) for lower in (0.0, loss, 2.0 * loss)]


def test_simulated_honest_and_cheating_learners_are_misjudged_no_more_often_than_stated():
    n = 1_500
    honest, cheating, more = _rates(n, seed=5)
    # Three standard errors of a share of n above the stated rates.
    assert np.mean(honest.signs == 1) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n)
    assert np.mean(cheating.signs == -1) <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / n)
    # Whose loss is twice the stated one is found out far more often, and sooner.
    assert np.mean(more.signs == 1) > 0.8 > np.mean(cheating.signs == 1)
    assert more.n_units.mean() < cheating.n_units.mean()
    assert np.mean(more.signs == -1) < 0.005


@pytest.mark.verify
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("longest", [12, 60])
@pytest.mark.parametrize(("alpha", "beta"), [(0.01, 0.1), (0.05, 0.05)])
def test_error_rates_of_ten_thousand_learners_keep_to_what_is_stated(alpha, beta, longest):
    n, seed = 10_000, 20261128 + longest
    bank, stop = _bank(150, seed=2), StopRule(3, longest)
    honest, cheating, more = _rates(n, seed=seed, bank=bank, alpha=alpha, beta=beta, stop=stop)
    doubted, believed = np.mean(honest.signs == 1), np.mean(cheating.signs == -1)
    record(
        f"confirmation, first SE 0.37: loss 1, alpha {alpha}, beta {beta}, up to {longest} of 150 units",
        f"honest: {doubted:.4f} inconsistent, {np.mean(honest.signs == -1):.2f} consistent, "
        f"{honest.n_units.mean():.1f} units; loss 1: {believed:.4f} consistent, "
        f"{np.mean(cheating.signs == 1):.2f} inconsistent, {cheating.n_units.mean():.1f} units; "
        f"loss 2: {np.mean(more.signs == 1):.2f} inconsistent, {more.n_units.mean():.1f} units",
        seed=seed,
    )
    # Three standard errors of a share at the stated rate.
    assert doubted <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / n)
    assert believed <= beta + 3 * math.sqrt(beta * (1 - beta) / n)


# --- choosing and ending ----------------------------------------------------------------


def test_one_examinee_meets_what_the_simulation_says_step_by_step():
    constraint = Constraint("odd", np.tile([0.0, 1.0], 40), 3, 6)
    base = AdaptiveTest(_bank(), constraints=[constraint], enemies=[(0, 1)], stop=StopRule(5, 12))
    test = ConfirmationTest(base, ConfirmationRule(1.0, 0.05, 0.1))
    rng = np.random.default_rng(7)
    theta, weights = _first_scores(40, rng)
    closed = rng.random((40, 80)) < 0.3
    run = test.simulate(NODES, weights, theta, rng, closed=closed)
    words = {1: "inconsistent", -1: "consistent", 0: "length"}
    for row in range(40):
        first, seen = FirstScore(NODES, weights[row]), np.flatnonzero(closed[row]).tolist()
        done: list[tuple[int, int]] = []
        for unit, category in zip(run.units[row], run.categories[row], strict=True):
            found = test.next_unit(first, done, u=0.0, excluded=seen)
            assert (found.unit if found.unit is not None else -1) == unit
            if unit < 0:
                break
            done.append((int(unit), int(category)))
        end = test.next_unit(first, done, u=0.0, excluded=seen)
        assert end.reason == words[int(run.signs[row])]
        assert end.log_ratio == pytest.approx(run.log_ratio[row], abs=1e-12)
        assert not {unit for unit, _ in done} & set(seen)
        assert 3 <= sum(unit % 2 for unit, _ in done) <= 6


def test_it_waits_for_its_minimum_and_for_its_content():
    bank = ItemParameters([f"i{j}" for j in range(20)], "2PL", [2.0] * 20, np.zeros((20, 1)))
    marks = np.zeros(20)
    marks[10:] = 1.0
    base = AdaptiveTest(bank, constraints=[Constraint("late", marks, 2, 9)], stop=StopRule(4, 12))
    test = ConfirmationTest(base, ConfirmationRule(1.5, 0.05, 0.05))
    first = _normal(1.5, 0.1)
    wrong = [(unit, 0) for unit in range(6)]
    assert test.next_unit(first, wrong[:3], u=0.0).unit is not None
    late = test.next_unit(first, wrong, u=0.0).unit
    assert late is not None
    assert late >= 10
    assert test.next_unit(first, [*wrong, (10, 0), (11, 0)], u=0.0).reason == "inconsistent"


def test_what_was_met_before_is_not_chosen_and_nothing_left_ends_it():
    test = ConfirmationTest(AdaptiveTest(_bank(6)), ConfirmationRule(1.0, 0.05, 0.05))
    first = _normal(0.0, 0.4)
    assert test.next_unit(first, [(0, 1)], u=0.0, excluded=[1, 2, 3, 4]).unit == 5
    assert test.next_unit(first, [(0, 1)], u=0.0, excluded=[1, 2, 3, 4, 5]).reason == "exhausted"


def test_a_learner_who_does_better_than_before_is_consistent():
    test = ConfirmationTest(AdaptiveTest(_bank(), stop=StopRule(3, 40)), ConfirmationRule(1.0, 0.01, 0.05))
    first = _normal(0.0, 0.4)
    done: list[tuple[int, int]] = []
    while (found := test.next_unit(first, done, u=0.0)).unit is not None:
        done.append((found.unit, 1))
    assert found.reason == "consistent"
    assert len(done) < 12


def test_the_order_of_the_answers_leaves_no_trace():
    test = ConfirmationTest(AdaptiveTest(_bank()), ConfirmationRule(1.0, 0.05, 0.05))
    given = [(3, 1), (17, 0), (40, 1), (9, 0)]
    assert test.next_unit(_normal(0.2, 0.3), given, u=0.0) == test.next_unit(
        _normal(0.2, 0.3), given[::-1], u=0.0
    )


# --- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.0, 0.05, 0.05), "say how far theta falls"),
        ((math.nan, 0.05, 0.05), "say how far theta falls"),
        ((1.0, 0.0, 0.05), "rates between 0 and 0.5"),
        ((1.0, 0.05, 0.5), "rates between 0 and 0.5"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(values, said):
    with pytest.raises(InvalidParameters, match=said):
        ConfirmationRule(*values)


def test_a_first_score_that_says_nothing_is_refused():
    with pytest.raises(InvalidParameters, match="cannot be confirmed"):
        FirstScore.of(Score(theta=math.inf, se=1.0, method="ML", item_ids=("i1",)))
    with pytest.raises(InvalidParameters, match="a weight for each"):
        FirstScore(NODES, np.ones(3))
    with pytest.raises(InvalidParameters, match="not all 0"):
        FirstScore(NODES, np.zeros(61))
