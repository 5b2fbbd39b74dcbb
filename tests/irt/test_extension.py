"""An extension looks for evidence at the cut, within the content, and stops as soon as the rule decides."""

from __future__ import annotations

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, information
from assess.irt.adaptive import AdaptiveTest, Constraint, StopRule
from assess.irt.extension import ExtendedTest, ExtensionRule
from assess.irt.traces import simulate_adaptive


def _bank(n=60, seed=1):
    rng = np.random.default_rng(seed)
    return ItemParameters(
        [f"i{j}" for j in range(n)], "2PL", rng.lognormal(0.1, 0.3, n), rng.normal(0.0, 1.0, (n, 1))
    )


def _test(**more):
    return AdaptiveTest(_bank(), stop=StopRule(8, 12, certainty=(0.9, 0.1)), **more)


def test_the_unit_of_greatest_information_at_the_cut_comes_next():
    test = _test(cut=0.4)
    extended = ExtendedTest(test, ExtensionRule(), (0.9, 0.1))
    given = [(0, 1), (1, 0), (2, 1)]
    worth = information(test.parameters, 0.4)[0]
    worth[[0, 1, 2]] = -1.0
    assert extended.next_unit(given, n_before=3, u=0.0).unit == int(worth.argmax())


def test_it_goes_on_to_its_minimum_and_ends_when_the_rule_decides():
    extended = ExtendedTest(_test(), ExtensionRule(2, 4), (0.6, 0.4))
    right = [(unit, 1) for unit in range(20)]
    assert extended.next_unit(right, n_before=19, u=0.0).unit is not None
    assert extended.next_unit(right, n_before=18, u=0.0).reason == "certainty"
    even = [(unit, unit % 2) for unit in range(20)]
    balanced = ExtendedTest(_test(), ExtensionRule(2, 4), (0.999, 0.001))
    assert balanced.next_unit(even, n_before=16, u=0.0).reason == "length"


def test_one_examinee_meets_what_the_simulation_says_step_by_step():
    test = _test()
    extended = ExtendedTest(test, ExtensionRule(6, 10), (0.9, 0.1))
    theta = np.random.default_rng(3).normal(0.0, 0.3, 40)
    run = simulate_adaptive(test, theta, np.random.default_rng(4))
    units, categories, final = extended.simulate(run.units, run.categories, theta, np.random.default_rng(5))
    for row in range(len(theta)):
        done = [(int(u), int(c)) for u, c in zip(run.units[row], run.categories[row], strict=True) if u >= 0]
        n_before = len(done)
        for unit, category in zip(units[row], categories[row], strict=True):
            found = extended.next_unit(done, n_before=n_before, u=0.0)
            assert (found.unit if found.unit is not None else -1) == unit
            if unit < 0:
                break
            done.append((int(unit), int(category)))
        assert extended.next_unit(done, n_before=n_before, u=0.0).p_above == pytest.approx(final[2, row])
        assert len({unit for unit, _ in done}) == len(done)


def test_maxima_grow_with_the_test_and_bound_it():
    constraint = Constraint("odd", np.tile([0.0, 1.0], 30), 0, 6)
    test = AdaptiveTest(_bank(), constraints=[constraint], stop=StopRule(8, 12))
    grown = [ExtendedTest(test, ExtensionRule(6, 6), (0.9, 0.1), n).test.constraints[0] for n in (1, 2)]
    assert [c.maximum for c in grown] == [9, 12]
    all_odd = [Constraint("all", np.ones(60), 0, 12)]
    tight = AdaptiveTest(_bank(), constraints=all_odd, stop=StopRule(8, 12))
    given = [(unit, 0) for unit in range(12)]
    assert ExtendedTest(tight, ExtensionRule(6, 6), (0.9, 0.1)).room(given) == 6


def test_room_counts_what_is_left():
    extended = ExtendedTest(_test(), ExtensionRule(6, 10), (0.9, 0.1))
    assert extended.room([(unit, 0) for unit in range(57)]) == 3
    assert extended.room([(unit, 0) for unit in range(55)], excluded=[55, 56]) == 3
    assert extended.next_unit([(u, 0) for u in range(60)], n_before=60, u=0.0).reason == "exhausted"


def test_enemies_of_what_was_given_stay_out():
    extended = ExtendedTest(_test(enemies=[(0, 59)]), ExtensionRule(6, 10), (0.9, 0.1))
    assert extended.room([(unit, 0) for unit in range(55)]) == 4


@pytest.mark.parametrize("rule", [(0, 5, 1), (6, 5, 1), (6, 10, 0)])
def test_a_rule_that_cannot_be_is_refused(rule):
    with pytest.raises(InvalidParameters, match="say 1 <= min <= max"):
        ExtensionRule(*rule)
