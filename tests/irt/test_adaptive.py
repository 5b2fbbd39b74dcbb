from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt import (
    AdaptiveTest,
    Constraint,
    ItemParameters,
    Prior,
    StopRule,
    information,
    score_one,
    simulate_adaptive,
)
from assess.irt.adaptive import REASONS
from assess.scale import upper_tail
from tests.irt.examples import parameter_sets


def bank(n_units=30, seed=3):
    rng = np.random.default_rng(seed)
    return ItemParameters(
        [f"i{j}" for j in range(n_units)],
        "2PL",
        rng.uniform(0.6, 2.0, n_units),
        rng.normal(size=(n_units, 1)),
    )


def content(n_units=30, minimum=3.0, maximum=math.inf, n_areas=3):
    return [
        Constraint(f"area {k}", np.arange(n_units) % n_areas == k, minimum, maximum) for k in range(n_areas)
    ]


def run(test, answers, u=0.0, excluded=frozenset()):
    """Units given to somebody who answers answers[unit], and why it ended."""
    given_so_far: list[tuple[int, int]] = []
    while True:
        selection = test.next_unit(given_so_far, u=u, excluded=excluded)
        if selection.unit is None:
            return [unit for unit, _ in given_so_far], selection
        given_so_far.append((selection.unit, answers[selection.unit]))


# --- selection ---------------------------------------------------------------


def test_the_first_unit_has_the_most_information_at_the_prior_mean():
    items = bank()
    for mean in (-1.0, 0.0, 1.5):
        chosen = AdaptiveTest(items, prior=Prior(mean, 1.0)).next_unit([], u=0.0).unit
        assert chosen == information(items, mean)[0].argmax()


def test_the_next_unit_has_the_most_information_at_the_posterior_mean():
    items = bank()
    test = AdaptiveTest(items)
    done = [(4, 1), (9, 1), (17, 0)]
    selection = test.next_unit(done, u=0.0)
    scored = score_one({items.item_ids[unit]: category for unit, category in done}, items, nodes=test.nodes)
    assert selection.theta == pytest.approx(scored.theta, abs=1e-12)
    assert selection.se == pytest.approx(scored.se, abs=1e-12)
    worth = information(items, selection.theta)[0]
    worth[[unit for unit, _ in done]] = -1.0
    assert selection.unit == worth.argmax()


@given(
    cut=st.floats(-3.0, 3.0),
    done=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 1)), unique_by=lambda p: p[0]),
)
def test_stopping_sees_the_same_probability_as_the_decision(cut, done):
    items = bank()
    test = AdaptiveTest(items, cut=cut, stop=StopRule(1, 30))
    responses = {items.item_ids[unit]: category for unit, category in done}
    decided = score_one(responses, items, nodes=test.nodes)
    assert test.next_unit(done, u=0.0).p_above == pytest.approx(
        decided.probability_at_or_above(cut), abs=1e-10
    )


def test_a_cut_outside_the_nodes_is_certain():
    items = bank()
    for cut in (-7.0, 7.0):
        test = AdaptiveTest(items, cut=cut)
        weights = np.exp(test.prior.log_density(test.nodes))
        assert test.next_unit([], u=0.0).p_above == upper_tail(test.nodes, weights, cut)


@given(items=parameter_sets(min_size=3, max_size=6), data=st.data())
def test_the_order_of_the_answers_leaves_no_trace(items, data):
    done = [(j, data.draw(st.integers(0, k - 1))) for j, k in enumerate(items.n_categories[:-1].tolist())]
    test = AdaptiveTest(items)
    assert test.next_unit(done, u=0.3) == test.next_unit(data.draw(st.permutations(done)), u=0.3)


def test_the_draw_is_among_the_best_units_only_and_reaches_each():
    items = bank()
    best = np.argsort(-information(items, 0.0)[0], kind="stable")[:4]
    test = AdaptiveTest(items, randomesque=4)
    drawn = [test.next_unit([], u=u).unit for u in (0.0, 0.26, 0.51, 0.76, 0.999999)]
    assert drawn == [*best, best[-1]]
    few = AdaptiveTest(bank(3), randomesque=5)
    assert {few.next_unit([], u=u).unit for u in np.linspace(0, 0.999, 50)} == {0, 1, 2}


def test_used_and_excluded_units_never_come_and_an_empty_bank_says_exhausted():
    test = AdaptiveTest(bank(8), stop=StopRule(1, 30))
    units, last = run(test, [1] * 8, excluded=frozenset({2, 5}))
    assert sorted(units) == [0, 1, 3, 4, 6, 7]
    assert last.reason == "exhausted"


def test_of_enemies_only_one_is_given():
    test = AdaptiveTest(bank(8), enemies=[(0, 1, 2), {6, 7}], stop=StopRule(1, 30))
    for answers in ([0] * 8, [1] * 8):
        units, _ = run(test, answers)
        assert len({0, 1, 2} & set(units)) == 1
        assert len({6, 7} & set(units)) == 1


def test_a_unit_that_was_given_but_not_scored_counts_as_used_only():
    test = AdaptiveTest(bank(5), stop=StopRule(1, 2))
    fresh, given_one = test.next_unit([], u=0.0), test.next_unit([(0, -1)], u=0.0)
    assert (fresh.theta, fresh.se) == (given_one.theta, given_one.se)
    assert given_one.unit != 0
    assert test.next_unit([(0, -1), (1, -1)], u=0.0).reason == "length"


# --- content -----------------------------------------------------------------


@settings(max_examples=30)
@given(
    answers=st.lists(st.integers(0, 1), min_size=30, max_size=30),
    u=st.floats(0.0, 0.999),
    minima=st.lists(st.integers(0, 4), min_size=3, max_size=3),
)
def test_minima_are_met_and_maxima_kept_whatever_is_answered(answers, u, minima):
    areas = [
        Constraint(f"area {k}", np.arange(30) % 3 == k, minimum, minimum + 2)
        for k, minimum in enumerate(minima)
    ]
    processes = [Constraint(f"process {k}", np.arange(30) // 15 == k, 3) for k in range(2)]
    test = AdaptiveTest(bank(), constraints=areas + processes, stop=StopRule(1, 12, se=0.9), randomesque=3)
    units, _ = run(test, answers, u)
    for constraint in test.constraints:
        total = constraint.coefficients[units].sum()
        assert constraint.minimum <= total <= constraint.maximum


def test_minima_leave_no_place_unused_when_they_fill_the_test():
    test = AdaptiveTest(bank(), constraints=content(minimum=4.0), stop=StopRule(12, 12))
    units, last = run(test, [1, 0] * 15)
    assert [sum(unit % 3 == k for unit in units) for k in range(3)] == [4, 4, 4]
    assert last.reason == "length"


def test_a_unit_of_several_items_counts_as_many():
    coefficients = np.ones(10)
    coefficients[0] = 3.0
    constraint = Constraint("items", coefficients, minimum=5.0, maximum=5.0)
    units, _ = run(AdaptiveTest(bank(10), constraints=[constraint], stop=StopRule(1, 3)), [1] * 10)
    assert 0 in units
    assert coefficients[units].sum() == 5.0


def test_minima_that_cannot_be_met_are_approached_as_far_as_the_length_allows():
    test = AdaptiveTest(bank(), constraints=content(minimum=5.0), stop=StopRule(6, 9))
    units, last = run(test, [1, 0] * 15)
    assert len(units) == 9
    assert last.reason == "length"
    assert max(sum(unit % 3 == k for unit in units) for k in range(3)) <= 5


def test_no_rule_ends_a_test_before_its_minimum_length_and_content():
    stop = StopRule(6, 20, se=0.99, certainty=(0.5, 0.49))
    units, last = run(AdaptiveTest(bank(), stop=stop), [1] * 30)
    assert len(units) == 6
    assert last.reason == "precision"
    units, last = run(AdaptiveTest(bank(), constraints=content(minimum=4.0), stop=stop), [1] * 30)
    assert len(units) == 12


# --- stopping ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_units", "se", "p_above", "minima_met", "reason"),
    [
        (20, 0.9, 0.5, False, "length"),
        (10, 0.3, 0.5, True, "precision"),
        (10, 0.3, 0.5, False, None),
        (10, 0.31, 0.95, True, "certainty"),
        (10, 0.31, 0.05, True, "certainty"),
        (10, 0.31, 0.5, True, None),
        (4, 0.1, 0.99, True, None),
    ],
)
def test_a_test_ends_by_length_precision_or_certainty(n_units, se, p_above, minima_met, reason):
    rule = StopRule(5, 20, se=0.3, certainty=(0.95, 0.05))
    assert rule.should_stop(n_units, se, p_above, minima_met=minima_met) == reason


# --- one and many --------------------------------------------------------------


def test_the_batched_run_equals_the_single_steps():
    items = ItemParameters.concat(
        [bank(20), ItemParameters([f"g{j}" for j in range(6)], "GRM", [1.2] * 6, [[-1.0, 0.0, 1.0]] * 6)]
    )
    test = AdaptiveTest(
        items, cut=0.2, constraints=content(26, 2.0, 7.0), enemies=[(0, 1), (20, 21)],
        stop=StopRule(6, 15, se=0.35, certainty=(0.9, 0.1)), randomesque=3,
    )  # fmt: skip
    theta = np.linspace(-2.5, 2.5, 25)
    result = simulate_adaptive(test, theta, np.random.default_rng(8))
    chance = np.random.default_rng(8).random((25, 15, 2))
    assert len(set(result.reasons)) > 1
    for i in range(len(theta)):
        done: list[tuple[int, int]] = []
        for step in range(16):
            selection = test.next_unit(done, u=chance[i, min(step, 14), 0])
            if selection.unit is None:
                break
            assert selection.unit == result.units[i, step]
            done.append((selection.unit, int(result.categories[i, step])))
        assert selection.reason == result.reasons[i]
        assert len(done) == result.n_units[i]
        assert selection.theta == pytest.approx(result.theta[i], abs=1e-12)
        assert selection.se == pytest.approx(result.se[i], abs=1e-12)
        assert selection.p_above == pytest.approx(result.p_above[i], abs=1e-12)


def _by_arrays_of_one(test, done, u, excluded):
    """`next_unit` by the functions for many examinees, which the simulations use."""
    state = test.begin(1)
    scored = sorted(pair for pair in done if pair[1] >= 0)
    given_units = sorted(unit for unit, _ in done)
    if done:
        state.log_weights[0] += np.add.reduce(
            test._log_table[[unit for unit, _ in scored], [category for _, category in scored]], axis=0
        )
        state.n_units[0] = len(done)
        state.counts[0] = np.add.reduce(test.content.coefficients[:, given_units], axis=1)
        state.available[0, given_units] = False
        if test._enemies is not None:
            state.available[0] &= ~test._enemies[given_units].any(axis=0)
    state.available[0, list(excluded)] = False
    theta, se, p_above = test.estimate(state)
    code = int(test.stopped(state, se, p_above)[0])
    unit = -1 if code >= 0 else int(test.select(state, theta, np.array([u]))[0])
    return (unit if unit >= 0 else None), code, float(theta[0]), float(se[0]), float(p_above[0])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_examinee_is_served_as_many_are_to_the_last_bit(data):
    n_units = data.draw(st.integers(4, 30))
    minimum = data.draw(st.sampled_from([0.0, 1.0, 2.0]))
    maximum = data.draw(st.sampled_from([2.0, 4.0, math.inf]))
    test = AdaptiveTest(
        bank(n_units, seed=data.draw(st.integers(0, 50))),
        cut=data.draw(st.sampled_from([-0.4, 0.0, 7.0])),
        constraints=data.draw(st.sampled_from([(), content(n_units, minimum, maximum)])),
        enemies=data.draw(st.sampled_from([(), [(0, 1), (2, 3)]])),
        stop=data.draw(
            st.sampled_from([StopRule(2, 8), StopRule(1, 12, se=0.5), StopRule(3, 9, certainty=(0.8, 0.2))])
        ),
        randomesque=data.draw(st.sampled_from([1, 3, 5])),
    )
    units = data.draw(st.lists(st.integers(0, n_units - 1), unique=True, max_size=10))
    done = [(unit, data.draw(st.sampled_from([0, 1, -1]))) for unit in units]
    excluded = data.draw(st.sets(st.integers(0, n_units - 1), max_size=3))
    u = data.draw(st.sampled_from([0.0, 0.4, 0.999]))
    unit, code, *numbers = _by_arrays_of_one(test, done, u, excluded)
    found = test.next_unit(done, u=u, excluded=excluded)
    assert (found.unit, [found.theta, found.se, found.p_above]) == (unit, numbers)
    assert found.reason == (REASONS[code] if code >= 0 else None if unit is not None else "exhausted")
    assert test.choose(done, u=u, excluded=excluded) == unit


def test_a_unit_that_is_worth_nothing_is_given_before_one_that_is_not_allowed():
    # So steep and so far away that their information is zero as a number.
    items = ItemParameters(["i0", "i1", "i2", "i3"], "2PL", np.full(4, 60.0), np.full((4, 1), 40.0))
    area = Constraint("area", np.array([1.0, 0.0, 1.0, 0.0]), 0.0, 1.0)
    for randomesque, u in ((1, 0.0), (2, 0.9)):
        test = AdaptiveTest(items, constraints=[area], stop=StopRule(1, 4), randomesque=randomesque)
        unit, *_ = _by_arrays_of_one(test, [(0, 0)], u, {1})
        assert unit == 3
        assert test.next_unit([(0, 0)], u=u, excluded={1}).unit == 3


# --- refusals ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constraint("x", np.array([1.0, -1.0])), "'x': numbers >= 0|'x': give|coefficients"),
        (lambda: Constraint("x", np.ones(2), 3.0, 2.0), "is no range"),
        (lambda: StopRule(0, 5), "is no length"),
        (lambda: StopRule(6, 5), "is no length"),
        (lambda: StopRule(1, 5, se=0.0), "must be positive"),
        (lambda: StopRule(1, 5, certainty=(0.2, 0.8)), "p_fail < p_pass"),
        (
            lambda: AdaptiveTest(bank(3), constraints=[Constraint("x", np.ones(2))]),
            "2 coefficients for 3 units",
        ),
        (lambda: AdaptiveTest(bank(3), enemies=[(0, 3)]), "enemy unit 3"),
        (lambda: AdaptiveTest(bank(3), randomesque=0), "at least one unit"),
        (lambda: AdaptiveTest(bank(3).take([])), "needs units"),
    ],
)
def test_rules_that_make_no_sense_are_refused(make, message):
    with pytest.raises(InvalidParameters, match=message):
        make()


@pytest.mark.parametrize(
    ("done", "message"),
    [
        ([(0, 1), (0, 0)], "unit 0 is given twice"),
        ([(7, 1)], "outside 0..2"),
        ([(-1, 1)], "outside 0..2"),
        ([(1, 2)], "item 'i1': category 2 is outside 0..1"),
    ],
)
def test_answers_that_cannot_be_are_refused(done, message):
    with pytest.raises(InvalidResponses, match=message):
        AdaptiveTest(bank(3)).next_unit(done, u=0.0)
