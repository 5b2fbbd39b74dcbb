"""Modules are given by routes that can be followed by hand, and as often as theory says."""

from __future__ import annotations

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, Prior, category_probabilities, score_one
from assess.irt.multistage import Branch, ModulePanel, MultistageTest
from assess.irt.routing import branches

# Seven units in three stages: 1 routes at 2 of 3 points; then the score so far routes again.
BANK = ItemParameters(
    [f"i{j}" for j in range(9)],
    "2PL",
    [1.0, 1.2, 0.8, 1.0, 1.1, 1.0, 0.9, 1.3, 1.0],
    [[-0.5], [0.0], [0.5], [-1.2], [-0.8], [0.8], [1.2], [-1.0], [1.0]],
)
MODULES = [[0, 1, 2], [3, 4], [5, 6], [7], [8]]
PANEL = ModulePanel(
    0, {(0,): Branch((1, 2), (2,)), (0, 1): Branch((3, 4), (3,)), (0, 2): Branch((3, 4), (3,))}
)


def _test(**options):
    return MultistageTest(BANK, MODULES, [PANEL], **options)


@pytest.mark.parametrize(
    ("answers", "path"),
    [
        # One point of three: the easier module; with both of its points that makes 3, and the harder end.
        ([1, 0, 0, 1, 1], (0, 1, 4)),
        ([1, 0, 0, 1, 0], (0, 1, 3)),
        # Two points are the threshold itself, and reach it.
        ([1, 1, 0, 0, 0], (0, 2, 3)),
        ([1, 1, 0, 0, 1], (0, 2, 4)),
        ([0, 0, 0, 0, 0], (0, 1, 3)),
        ([1, 1, 1, 1, 1], (0, 2, 4)),
    ],
)
def test_a_path_by_raw_score_is_the_one_counted_by_hand(answers, path):
    test = _test()
    second = test.following(PANEL, (0,), answers[:3])
    assert second is not None
    third = test.following(PANEL, (0, second), answers)
    assert (0, second, third) == path
    assert test.following(PANEL, path, [*answers, 1]) is None


def test_routing_by_theta_compares_the_score_that_would_be_reported():
    test = _test(routing="theta", prior=Prior(0.2, 1.1), cut=0.4)
    for answers in ([0, 1, 1], [1, 0, 0], [0, 0, 1]):
        known = {f"i{j}": answer for j, answer in enumerate(answers)}
        # Both sum over nodes; theirs differ in number, and their sums in the tenth digit.
        assert test.score((0,), [answers])[0] == pytest.approx(
            score_one(known, BANK, prior=Prior(0.2, 1.1)).theta, abs=1e-8
        )


def test_a_theta_at_the_threshold_reaches_it():
    plain = _test(routing="theta")
    at = float(plain.score((0,), [[1, 0, 1]])[0])
    panel = ModulePanel(0, {(0,): Branch((1, 2), (at,))})
    test = MultistageTest(BANK, MODULES, [panel], routing="theta")
    assert test.following(panel, (0,), [1, 0, 1]) == 2
    assert test.following(panel, (0,), [1, 0, 0]) == 1


def _raw_distribution(units, theta):
    """Probability of each raw score on some units, one unit after the other (Lord & Wingersky)."""
    p = category_probabilities(BANK, np.array([theta]))[0, units, 1]
    out = np.ones(1)
    for right in p:
        out = np.append(out, 0.0) * (1.0 - right) + np.append(0.0, out) * right
    return out


def _expected_shares(theta):
    """Share of each path at a theta, by recursion over raw scores; no response is drawn."""
    first = _raw_distribution(MODULES[0], theta)
    shares = {}
    for second, low, high in ((1, 0, 2), (2, 2, 4)):
        own = _raw_distribution(MODULES[second], theta)
        joint = np.zeros(6)
        for raw in range(low, high):
            joint[raw : raw + 3] += first[raw] * own
        shares[(0, second, 3)], shares[(0, second, 4)] = joint[:3].sum(), joint[3:].sum()
    return shares


@pytest.mark.parametrize("theta", [-1.0, 0.0, 0.7])
def test_paths_are_taken_as_often_as_the_recursion_over_raw_scores_says(theta):
    test, n = _test(), 5_000
    run = test.simulate(np.full(n, theta), np.random.default_rng(5))
    expected = _expected_shares(theta)
    assert sum(expected.values()) == pytest.approx(1.0)
    for k, (_, path) in enumerate(test.paths):
        p = expected[path]
        # Four standard errors of a share of n: one of twelve in about a thousand runs would be outside.
        assert (run.path == k).mean() == pytest.approx(p, abs=4.0 * np.sqrt(p * (1.0 - p) / n))


def test_panels_are_drawn_alike_and_everybody_is_given_a_whole_path_of_one():
    other = ModulePanel(0, {(0,): Branch((3,))})
    test = MultistageTest(BANK, MODULES, [PANEL, other])
    run = test.simulate(np.zeros(4_000), np.random.default_rng(1))
    paths = [test.units_of(path) for _, path in test.paths]
    for units, taken in zip(run.units, run.path, strict=True):
        assert units[units >= 0].tolist() == paths[taken]
    in_other = np.mean([test.paths[k][0] == 1 for k in run.path])
    # Four standard errors of a half of 4,000.
    assert in_other == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4_000))


def test_what_an_examinee_meets_does_not_depend_on_who_else_is_there():
    test, theta = _test(routing="theta"), np.linspace(-2.0, 2.0, 40)
    whole = test.simulate(theta, np.random.default_rng(3))
    part = test.simulate(theta[:7], np.random.default_rng(3))
    np.testing.assert_array_equal(whole.units[:7], part.units)
    np.testing.assert_array_equal(whole.categories[:7], part.categories)
    np.testing.assert_array_equal(whole.theta[:7], part.theta)


def test_examinees_may_answer_by_other_parameters_than_they_are_scored_by():
    easy = ItemParameters(BANK.item_ids, "2PL", [1.0] * 9, [[-9.0]] * 9)
    test = _test()
    run = test.simulate(np.zeros(50), np.random.default_rng(1), answering=easy)
    assert {test.paths[k][1] for k in run.path} == {(0, 2, 4)}


def test_a_polytomous_unit_counts_with_all_its_points():
    nan = np.nan
    steps = [[-0.5, 0.0, 0.5], [-1.0, nan, nan], [1.0, nan, nan]]
    bank = ItemParameters(["set", "e", "h"], ["GPCM", "2PL", "2PL"], [0.8, 1.0, 1.0], steps)
    panel = ModulePanel(0, branches(bank, [[0], [1], [2]], [[0], [1, 2]]))
    (threshold,) = panel.branches[(0,)].thresholds
    # Three points; at theta 0, where the two others cross, half of them are expected: 1.5.
    assert threshold == 2
    test = MultistageTest(bank, [[0], [1], [2]], [panel])
    assert [test.following(panel, (0,), [raw]) for raw in range(4)] == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("modules", "panel", "message"),
    [
        ([[0, 9]], ModulePanel(0), "unit 9 of a module is outside 0..8"),
        ([[0]], ModulePanel(1), "module 1 of a panel is outside 0..0"),
        ([[0], [1]], ModulePanel(0, {(0,): Branch((1,), (2,))}), "1 modules need 0 thresholds"),
    ],
)
def test_tests_that_cannot_be_are_refused(modules, panel, message):
    with pytest.raises(InvalidParameters, match=message):
        MultistageTest(BANK, modules, [panel])
