"""At equal error rates an adaptive form is half as long as the best fixed one where the cut is far away."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assess.irt import ItemParameters, Prior
from assess.irt.adaptive import AdaptiveTest, StopRule
from assess.irt.assembly import Assembly
from assess.irt.composition import Composition
from assess.irt.decision_accuracy import accuracy_of_outcomes, rule_outcomes
from assess.irt.simulate import simulate
from assess.irt.traces import simulate_adaptive
from tests.verification import record

_LENGTH, _FAR = 40, 1.0
# As good as even: both forms decide everybody by the more probable side of the cut.
_SIDES = {"p_pass": 0.5000001, "p_fail": 0.4999999}


def _study(n: int) -> dict[str, float]:
    """A fixed form of the 40 best items at the cut against an adaptive one on the same bank and learners."""
    rng = np.random.default_rng(8)
    bank = ItemParameters(
        [f"i{j}" for j in range(300)], "2PL", rng.lognormal(0.0, 0.25, 300), rng.normal(0.0, 1.0, (300, 1))
    )
    chosen = Assembly(bank, Composition(bank.item_ids), 1, _LENGTH, _LENGTH).solve().forms[0]
    fixed = bank.take([bank.item_ids[unit] for unit in chosen])
    theta = rng.normal(0.0, 1.0, n)
    by_form = rule_outcomes(simulate(fixed, theta, rng), fixed, 0.0, prior=Prior(0.0, 1.0), **_SIDES)
    test = AdaptiveTest(bank, stop=StopRule(5, 50, certainty=(0.98, 0.02)))
    run = simulate_adaptive(test, theta, rng)
    adaptively = np.where(run.p_above >= 0.5, 1, -1).astype(np.int8)
    ours, theirs = (accuracy_of_outcomes(theta, out, 0.0) for out in (adaptively, by_form))
    found = {"far": float(run.n_units[np.abs(theta) >= _FAR].mean()), "everybody": float(run.n_units.mean())}
    for name in ("false_pass_rate", "false_fail_rate"):
        found[name] = getattr(ours, name) - getattr(theirs, name)
        found[f"{name}_se"] = math.hypot(ours.errors[name], theirs.errors[name])
    return found


def _check(found: dict[str, float]) -> None:
    for name in ("false_pass_rate", "false_fail_rate"):
        # No more errors than the fixed form, within three standard errors of the difference.
        assert found[name] <= 3.0 * found[f"{name}_se"]
    assert found["far"] <= _LENGTH / 2


def test_the_adaptive_form_is_half_as_long_far_from_the_cut_and_errs_no_more() -> None:
    _check(_study(1_500))


@pytest.mark.verify
def test_it_is_so_with_many_learners() -> None:
    found = _study(40_000)
    said = (
        f"far from the cut {found['far']:.1f} units, all {found['everybody']:.1f}, of {_LENGTH}; more "
        f"false passes {found['false_pass_rate']:+.4f}, false fails {found['false_fail_rate']:+.4f}"
    )
    record("adaptive against fixed, equal errors, 40,000 learners", said, seed=8)
    _check(found)
