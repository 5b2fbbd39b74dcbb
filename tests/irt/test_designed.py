from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import InvalidParameters
from assess.irt import (
    AdaptiveTest,
    Constraint,
    ItemParameters,
    Prior,
    StopRule,
    information,
    log_category_probabilities,
    score_one,
    simulate_adaptive,
)
from assess.irt.criteria import SELECTION_RULES
from assess.irt.designed import DesignedTest
from assess.irt.stopping import DesignedStop, Sequential
from tests.irt.test_adaptive import bank
from tests.verification import record, replications


def mixed(seed=3):
    """Dichotomous and graded units, nominal ones, and case sets under the partial credit model."""
    return ItemParameters.concat(
        [
            bank(16, seed),
            ItemParameters([f"g{j}" for j in range(4)], "GRM", [1.2] * 4, [[-1.0, 0.0, 1.0]] * 4),
            ItemParameters(["set1", "set2"], "GPCM", [0.7, 0.8], [[-1.0, 0.1, 0.9], [-0.2, 0.3, 1.5]]),
            ItemParameters(
                ["n1"],
                "NRM",
                [np.nan],
                [[np.nan]],
                category_slopes=[[-0.6, 0.1, 0.5]],
                category_intercepts=[[0.2, 0.3, -0.5]],
            ),
            ItemParameters(["p1"], "3PL", [1.5], [[0.4]], [0.2]),
        ]
    )


def areas(n_units, minimum, maximum, n_areas=3):
    return [
        Constraint(f"area {k}", np.arange(n_units) % n_areas == k, minimum, maximum) for k in range(n_areas)
    ]


def marks(which):
    return np.asarray(which, dtype=np.float64)


def run(test, answers, u=0.0, **options):
    """Units given to somebody who answers answers[unit], and how it ended."""
    done: list[tuple[int, int]] = []
    while True:
        found = test.next_unit(done, u=u, **options)
        if found.unit is None:
            return [unit for unit, _ in done], found
        done.append((found.unit, answers[found.unit]))


# --- the same as before, one and many ------------------------------------------


@settings(max_examples=20, deadline=None)
@given(answers=st.lists(st.integers(0, 1), min_size=30, max_size=30), u=st.floats(0.0, 0.999))
def test_with_the_plain_rules_it_is_the_plain_test(answers, u):
    plain = AdaptiveTest(
        bank(), constraints=areas(30, 3, 6), stop=StopRule(9, 14, se=0.4, certainty=(0.9, 0.1)), randomesque=3
    )
    stated = DesignedTest(
        bank(),
        constraints=areas(30, 3, 6),
        stop=DesignedStop(9, 14, se=0.4, certainty=(0.9, 0.1)),
        randomesque=3,
    )
    units, last = run(plain, answers, u)
    # The table of information is linear between its points there and cubic here: no choice turns on it.
    assert run(stated, answers, u)[0] == units
    assert run(stated, answers, u)[1].reason == last.reason


@pytest.mark.parametrize("selection", SELECTION_RULES)
@pytest.mark.parametrize("updating", ["EAP", "MAP", "ML", "WL"])
def test_many_at_once_are_each_alone(selection, updating):
    items = mixed()
    test = DesignedTest(
        items,
        cut=0.2,
        constraints=areas(len(items), 1, 5),
        enemies=[(0, 1), (18, 20)],
        stop=DesignedStop(4, 9, se=0.35, interval=1.3, sprt=Sequential(0.4), glr=Sequential(0.5, 0.1, 0.1)),
        randomesque=2,
        first_among=4,
        selection=selection,
        updating=updating,
    )
    theta = np.linspace(-2.5, 2.5, 7)
    found = simulate_adaptive(test, theta, np.random.default_rng(8))
    chance = np.random.default_rng(8).random((7, 9, 2))
    for i in range(len(theta)):
        done: list[tuple[int, int]] = []
        for step in range(10):
            one = test.next_unit(done, u=chance[i, min(step, 8), 0])
            assert test.choose(done, u=chance[i, min(step, 8), 0]) == one.unit
            if one.unit is None:
                break
            assert one.unit == found.units[i, step]
            done.append((one.unit, int(found.categories[i, step])))
        assert one.reason == found.reasons[i]
        assert len(done) == found.n_units[i]
        assert (one.theta, one.se, one.p_above) == pytest.approx(
            (found.theta[i], found.se[i], found.p_above[i]), abs=1e-10
        )


# --- what is chosen by, and what is scored ---------------------------------------


def test_the_reported_estimate_is_the_posterior_mean_whatever_units_are_chosen_by():
    items = bank()
    done = [(4, 1), (9, 1), (17, 0)]
    scored = score_one({items.item_ids[unit]: category for unit, category in done}, items)
    for updating in ("EAP", "MAP", "ML", "WL"):
        found = DesignedTest(items, updating=updating).next_unit(done, u=0.0)
        assert (found.theta, found.se) == pytest.approx((scored.theta, scored.se), abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(
    mean=st.floats(-2.0, 2.0),
    sd=st.floats(0.3, 2.0),
    done=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 1)), unique_by=lambda p: p[0], max_size=10),
)
def test_a_prior_for_choosing_never_reaches_the_score_or_the_end(mean, sd, done):
    test = DesignedTest(bank(), cut=0.3, stop=DesignedStop(2, 12, se=0.5, certainty=(0.9, 0.1)))
    plain = test.next_unit(done, u=0.0)
    tilted = test.next_unit(done, u=0.0, choosing=Prior(mean, sd))
    assert (plain.theta, plain.se, plain.p_above) == (tilted.theta, tilted.se, tilted.p_above)
    assert plain.reason == tilted.reason


def test_a_prior_for_choosing_chooses_the_first_units():
    items = bank()
    test = DesignedTest(items)
    for mean in (-1.5, 1.5):
        found = test.next_unit([], u=0.0, choosing=Prior(mean, 0.5))
        assert found.unit == information(items, mean)[0].argmax()
    same = test.next_unit([(3, 1)], u=0.0, choosing=Prior(0.0, 1.0))
    assert same == test.next_unit([(3, 1)], u=0.0)


def test_the_first_unit_is_chosen_at_the_stated_start_or_drawn_among_the_stated_number():
    items = bank()
    at = information(items, 1.2)[0]
    assert DesignedTest(items, start=1.2).next_unit([], u=0.0).unit == at.argmax()
    best = np.argsort(-at, kind="stable")[:5]
    test = DesignedTest(items, start=1.2, first_among=5)
    assert [test.next_unit([], u=u).unit for u in (0.0, 0.21, 0.41, 0.61, 0.999)] == best.tolist()
    later = {test.next_unit([(0, 1)], u=u).unit for u in (0.0, 0.5, 0.99)}
    assert len(later) == 1


def test_while_the_likelihood_has_no_maximum_the_posterior_mean_stands_in():
    items = bank()
    by_likelihood = DesignedTest(items, updating="ML").next_unit([(4, 1), (9, 1)], u=0.0)
    assert by_likelihood == DesignedTest(items).next_unit([(4, 1), (9, 1)], u=0.0)
    done = [(4, 1), (9, 0), (11, 1)]
    responses = {items.item_ids[unit]: category for unit, category in done}
    for updating in ("ML", "MAP", "WL"):
        found = DesignedTest(items, updating=updating).next_unit(done, u=0.0)
        at = information(items, score_one(responses, items, method=updating).theta)[0]
        at[[unit for unit, _ in done]] = -1.0
        assert found.unit == at.argmax()


# --- ends --------------------------------------------------------------------------


def likelihood_at(items, done, theta):
    table = log_category_probabilities(items, theta)
    return sum(table[:, unit, category] for unit, category in done)


@settings(max_examples=40, deadline=None)
@given(
    done=st.lists(
        st.tuples(st.integers(0, 29), st.integers(0, 1)), unique_by=lambda p: p[0], min_size=1, max_size=25
    )
)
def test_the_sequential_tests_decide_as_their_likelihoods_say(done):
    items, cut = bank(), 0.1
    rule = Sequential(0.3, 0.05, 0.1)
    upper, lower = rule.bounds
    low, high = likelihood_at(items, done, np.array([cut - 0.3, cut + 0.3]))
    found = DesignedTest(items, cut=cut, stop=DesignedStop(1, 30, sprt=rule)).next_unit(done, u=0.0)
    assert (found.reason == "sprt") == (not lower < high - low < upper)
    fine = np.linspace(-6.0, 6.0, 4801)
    own = likelihood_at(items, done, fine)
    ratio = own[fine >= cut + 0.3].max() - own[fine <= cut - 0.3].max()
    generalised = DesignedTest(items, cut=cut, stop=DesignedStop(1, 30, glr=rule)).next_unit(done, u=0.0)
    if min(abs(ratio - upper), abs(ratio - lower)) > 0.02:  # a parabola between nodes 0.2 apart
        assert (generalised.reason == "glr") == (not lower < ratio < upper)


def test_an_interval_and_too_little_information_end_a_test():
    items = bank()
    done = [(unit, 1) for unit in range(12)]
    test = DesignedTest(items, cut=-1.0, stop=DesignedStop(1, 30, interval=1.96))
    found = test.next_unit(done, u=0.0)
    assert (found.reason == "interval") == (abs(found.theta + 1.0) >= 1.96 * found.se)
    assert found.reason == "interval"
    left = information(items, found.theta)[0][12:].max()
    for bound, reason in ((left * 1.01, "information"), (left * 0.99, None)):
        stop = DesignedStop(1, 30, information=bound)
        assert DesignedTest(items, stop=stop).next_unit(done, u=0.0).reason == reason


def test_no_end_comes_before_the_minimum_length_and_the_content():
    stop = DesignedStop(
        5, 20, interval=0.01, information=9.0, sprt=Sequential(5.0), glr=Sequential(5.0), se=5.0
    )
    units, _ = run(DesignedTest(bank(), stop=stop), [1] * 30)
    assert len(units) == 5
    content = [Constraint("late", marks(np.arange(30) >= 27), 3.0)]
    units, _ = run(DesignedTest(bank(), stop=stop, constraints=content), [1] * 30)
    assert sum(unit >= 27 for unit in units) == 3


def sprt_errors(n_learners, seed):
    """Observed errors at the cut less and plus delta on an ample bank, how many were cut off, the longest."""
    rng = np.random.default_rng(seed)
    items = ItemParameters(
        [f"i{j}" for j in range(300)], "2PL", rng.uniform(0.8, 2.0, 300), rng.normal(0.2, 0.6, (300, 1))
    )
    test = DesignedTest(items, cut=0.2, stop=DesignedStop(1, 300, sprt=Sequential(0.3)), selection="cut")
    table = log_category_probabilities(items, [-0.1, 0.5])
    ratio = table[1] - table[0]
    errors, truncated, longest = [], 0, 0
    for theta, passes_wrongly in ((-0.1, True), (0.5, False)):
        found = simulate_adaptive(test, np.full(n_learners, theta), rng)
        own = np.where(found.units >= 0, ratio[found.units, found.categories], 0.0).sum(axis=1)
        ended = np.array([reason == "sprt" for reason in found.reasons])
        errors.append(float((ended & ((own > 0.0) == passes_wrongly)).mean()))
        truncated += int((~ended).sum())
        longest = max(longest, int(found.n_units.max()))
    return errors, truncated, longest


def test_the_sequential_test_errs_no_more_often_than_it_states():
    n = 2_000
    errors, truncated, _ = sprt_errors(n, 5)
    assert truncated == 0
    # 0.055 and three Monte Carlo errors of a share of 0.05.
    assert max(errors) <= 0.055 + 3.0 * math.sqrt(0.05 * 0.95 / n)


@pytest.mark.verify
@pytest.mark.timeout(3600)
def test_the_sequential_test_errs_no_more_often_than_it_states_among_many():
    n, each, seed = 100_000, 10_000, 51
    runs = replications("SPRT", n // each, lambda r: sprt_errors(each, seed + r), seed=seed)
    below, above = (float(np.mean([errors[side] for errors, _, _ in runs])) for side in (0, 1))
    truncated, longest = sum(cut_off for _, cut_off, _ in runs), max(most for _, _, most in runs)
    record(
        "SPRT at the cut -+ 0.3, alpha = beta = 0.05, 300 units, 100,000 learners on each side",
        f"errors {below:.4f} and {above:.4f}; {truncated} truncated, longest test {longest} units",
        seed=seed,
    )
    # Hardly anybody uses up 300 units; who does counts as an error on either side.
    assert truncated <= n // 10_000
    assert max(below, above) + truncated / n <= 0.055


# --- shadow tests ---------------------------------------------------------------------


def shadowed(**changes):
    options: dict[str, Any] = {
        "constraints": [
            *areas(24, 3, 5),
            Constraint("hard", marks(np.arange(24) >= 16), 4, 6),
            Constraint("seconds", np.linspace(40.0, 120.0, 24), 0.0, 900.0),
        ],
        "enemies": [(0, 1, 2), (20, 23)],
        "stop": DesignedStop(11, 11),
        "randomesque": 2,
        "shadow": True,
    }
    return DesignedTest(bank(24), **(options | changes))


@settings(max_examples=15, deadline=None)
@given(answers=st.lists(st.integers(0, 1), min_size=24, max_size=24), u=st.floats(0.0, 0.999))
def test_a_shadow_test_keeps_every_constraint_whatever_is_answered(answers, u):
    test = shadowed()
    units, last = run(test, answers, u)
    assert last.reason == "length"
    assert len(set(units)) == 11
    for constraint in test.constraints:
        assert constraint.minimum <= constraint.coefficients[units].sum() <= constraint.maximum
    for group in test.enemies:
        assert len(set(group) & set(units)) <= 1


def test_a_shadow_test_that_may_end_early_ends_with_its_content_whole():
    test = shadowed(stop=DesignedStop(10, 12, certainty=(0.9, 0.1)), constraints=areas(24, 3, 5))
    for answers in ([1] * 24, [0] * 24, [1, 0] * 12):
        units, last = run(test, answers)
        assert 10 <= len(units) <= 12
        assert last.reason in ("certainty", "length")
        assert all(3 <= sum(unit % 3 == k for unit in units) <= 5 for k in range(3))


def test_without_constraints_a_shadow_test_gives_the_best_unit():
    items = bank(24)
    stop = DesignedStop(8, 8)
    answers = [1, 0, 0] * 8
    assert (
        run(DesignedTest(items, stop=stop, shadow=True), answers)[0]
        == run(DesignedTest(items, stop=stop), answers)[0]
    )


def test_the_unit_alone_is_the_unit_of_a_whole_answer_under_shadow_tests_too():
    early = DesignedStop(9, 11, certainty=(0.8, 0.2), information=0.2)
    for changes in ({}, {"stop": early}, {"start": 0.7, "first_among": 4}, {"selection": "MEPV"}):
        test = shadowed(**({"constraints": areas(24, 2, 5)} | changes))
        done: list[tuple[int, int]] = []
        while (unit := test.choose(done, u=0.6, excluded=(4,))) is not None:
            state = test.begin(1)
            for given_unit, category in sorted(done):
                test.update(state, np.array([0]), np.array([given_unit]), np.array([category]))
            state.available[0, 4] = False
            assert test.select(state, np.zeros(1), np.array([0.6])).tolist() == [unit]
            assert test.next_unit(done, u=0.6, excluded=(4,)).unit == unit
            done.append((unit, unit % 2))
        assert test.next_unit(done, u=0.6, excluded=(4,)).unit is None


def test_what_was_composed_before_leaves_no_trace_in_fractions():
    # The bound on time makes nearly every linear solution fractional, so that it is completed or rounded.
    answers = [[1, 0] * 12, [0] * 24, [1, 1, 0] * 8]
    fresh = [run(shadowed(), own)[0] for own in answers]
    used = shadowed()
    for own in reversed(answers):
        run(used, own, u=0.9, excluded=(3, 7))
    assert [run(used, own)[0] for own in answers] == fresh


def test_what_was_composed_before_leaves_no_trace():
    # Equal units, so that every program has many solutions: only the path of the solver tells them apart.
    items = ItemParameters([f"i{j}" for j in range(24)], "2PL", [1.0] * 24, [[0.0]] * 24)
    options: dict[str, Any] = {"constraints": areas(24, 3, 5), "stop": DesignedStop(11, 11), "shadow": True}
    answers = [[1, 0] * 12, [0] * 24, [1, 1, 0] * 8]
    fresh = [run(DesignedTest(items, **options), own)[0] for own in answers]
    used = DesignedTest(items, **options)
    assert [run(used, own)[0] for own in reversed(answers)][::-1] == fresh
    assert [run(used, own)[0] for own in answers] == fresh


def test_excluded_units_are_in_no_shadow_test():
    units, last = run(shadowed(), [1] * 24, excluded=frozenset({5, 9, 14}))
    assert last.reason == "length"
    assert not {5, 9, 14} & set(units)


# --- refusals ----------------------------------------------------------------------------


def test_a_conflict_names_its_demands_and_how_far_they_would_have_to_give_way():
    assert shadowed().conflict() is None
    conflict = shadowed(
        constraints=[*areas(24, 4, 5), Constraint("hard", marks(np.arange(24) >= 16), 4, 6)]
    ).conflict()
    assert str(conflict) == (
        "cannot be met together: area 0: at least 4, with the others 3 or less; "
        "area 1: at least 4, with the others 3 or less; area 2: at least 4, with the others 3 or less; "
        "length: at most 11, with the others 12 or more"
    )
    alone = shadowed(constraints=[Constraint("TL.3.a", marks(np.arange(24) < 2), 3)]).conflict()
    assert "TL.3.a: at least 3" in str(alone)
    assert shadowed().feasible()
    assert not shadowed().feasible(closed=range(14))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DesignedTest(bank(3), selection=cast("Any", "magic")), "say one of MFI"),
        (lambda: DesignedTest(bank(3), updating=cast("Any", "magic")), "say one of EAP"),
        (lambda: DesignedTest(bank(3), start=math.inf), "finite theta"),
        (lambda: DesignedTest(bank(3), first_among=0), "at least one unit"),
        (lambda: Sequential(0.0), "delta is 0.0"),
        (lambda: Sequential(0.2, alpha=0.6), "between 0 and 0.5"),
        (lambda: DesignedStop(1, 2, interval=-1.0), "interval is -1.0"),
        (lambda: DesignedStop(1, 2, information=0.0), "information is 0.0"),
        (lambda: DesignedStop(3, 2), "is no length"),
    ],
)
def test_rules_that_make_no_sense_are_refused(make, message):
    with pytest.raises(InvalidParameters, match=message):
        make()
