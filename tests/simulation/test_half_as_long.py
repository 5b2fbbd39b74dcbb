"""At equal error rates an adaptive form is half as long as the best fixed one where the cut is far away.

And as short as by the rules of catsim and catR, on the same bank and learners:
maximum information at the estimate (maximum likelihood in catsim, the mode of
the posterior in catR's default), until a confidence interval leaves the cut
outside. How sure each rule wants to be sets its error rates, so that each is run
at several and its length read at the same share of wrong decisions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from assess.irt import ItemParameters, Prior
from assess.irt.adaptive import AdaptiveTest, StopRule
from assess.irt.assembly import Assembly
from assess.irt.composition import Composition
from assess.irt.decision_accuracy import accuracy_of_outcomes, rule_outcomes
from assess.irt.designed import DesignedTest
from assess.irt.simulate import simulate
from assess.irt.stopping import DesignedStop
from assess.irt.traces import simulate_adaptive
from tests.verification import record, replications

_LENGTH, _FAR = 40, 1.0
# As good as even: both forms decide everybody by the more probable side of the cut.
_SIDES = {"p_pass": 0.5000001, "p_fail": 0.4999999}


def _bank(rng: np.random.Generator) -> ItemParameters:
    return ItemParameters(
        [f"i{j}" for j in range(300)], "2PL", rng.lognormal(0.0, 0.25, 300), rng.normal(0.0, 1.0, (300, 1))
    )


def _study(n: int) -> dict[str, float]:
    """A fixed form of the 40 best items at the cut against an adaptive one on the same bank and learners."""
    rng = np.random.default_rng(8)
    bank = _bank(rng)
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


# --- the rules of others -----------------------------------------------------------


def _rules(bank: ItemParameters) -> dict[str, list[AdaptiveTest]]:
    """Each rule at several degrees of certainty."""

    def interval(updating: str) -> list[AdaptiveTest]:
        stops = [DesignedStop(5, 50, interval=z) for z in (1.5, 2.0, 2.5)]
        return [DesignedTest(bank, stop=stop, updating=updating) for stop in stops]  # type: ignore[arg-type]

    ours = [AdaptiveTest(bank, stop=StopRule(5, 50, certainty=(p, 1.0 - p))) for p in (0.93, 0.97, 0.99)]
    return {"ours": ours, "catsim": interval("ML"), "catR": interval("MAP")}


def _lengths_and_errors(n: int, seed: int) -> dict[str, list[list[float]]]:
    """Mean length and share of wrong decisions of every rule over the same learners and the same luck."""
    rng = np.random.default_rng(seed)
    # One in each n-th part of the population: who comes is the same in every replication, almost.
    theta = norm.ppf(rng.permutation((np.arange(n) + rng.random(n)) / n))
    found: dict[str, list[list[float]]] = {}
    for name, tests in _rules(_bank(np.random.default_rng(8))).items():
        found[name] = []
        for test in tests:
            run = simulate_adaptive(test, theta, np.random.default_rng([seed, 1]))
            wrong = (run.p_above >= 0.5) != (theta >= 0.0)
            found[name].append([float(run.n_units.mean()), float(wrong.mean())])
    return found


def _at_equal_errors(curves: dict[str, list[list[float]]]) -> dict[str, float]:
    """Length of each rule where they err equally often: a straight line through length and errors."""
    lines = {}
    for name, curve in curves.items():
        length, wrong = np.array(curve).T
        lines[name] = np.polyfit(wrong, length, 1)
    errors = float(np.mean([share for _, share in curves["ours"]]))
    return {name: float(np.polyval(line, errors)) for name, line in lines.items()}


@pytest.mark.verify
@pytest.mark.timeout(7200)
def test_it_is_as_short_as_by_the_rules_of_catsim_and_catr() -> None:
    n = 60
    parts = replications(
        "lengths by the rules of others", n, lambda r: _lengths_and_errors(1_000, 80 + r), seed=80
    )

    def lengths_of(some: list[dict[str, list[list[float]]]]) -> dict[str, float]:
        return _at_equal_errors({k: np.mean([part[k] for part in some], axis=0).tolist() for k in some[0]})

    def longer(lengths: dict[str, float]) -> float:
        return lengths["ours"] - min(lengths["catsim"], lengths["catR"])

    lengths = lengths_of(parts)
    without = [longer(lengths_of(parts[:k] + parts[k + 1 :])) for k in range(n)]
    error = math.sqrt((n - 1) * float(np.var(without)))  # jackknife
    mean = {k: np.mean([part[k] for part in parts], axis=0).tolist() for k in parts[0]}
    said = "; ".join(
        f"{name} {lengths[name]:.1f} units ({', '.join(f'{k:.1f}: {wrong:.4f}' for k, wrong in mean[name])})"
        for name in lengths
    )
    record(
        f"length where all err equally often, {n * 1_000:,} learners, 300 units (length: share wrong)",
        f"{said}; ours longer than the shorter of the others by {longer(lengths):+.1f} ± {error:.1f}",
        seed=80,
    )
    assert longer(lengths) <= 0.05 * min(lengths.values()) + 2.0 * error


def test_a_few_learners_meet_as_few_units_as_by_the_rules_of_others() -> None:
    ours, theirs, likelihood = (
        _rules(_bank(np.random.default_rng(8)))[name][k]
        for name, k in (("ours", 1), ("catR", 1), ("catsim", 1))
    )
    theta = np.random.default_rng(3).normal(0.0, 1.0, 250)
    runs = [simulate_adaptive(test, theta, np.random.default_rng(4)) for test in (ours, theirs, likelihood)]
    lengths = [run.n_units.mean() for run in runs]
    wrong = [((run.p_above >= 0.5) != (theta >= 0.0)).mean() for run in runs]
    # 250 learners with an SD of 17 units, mostly the same luck.
    assert lengths[0] <= 1.1 * min(lengths[1:])
    assert wrong[0] <= min(wrong[1:]) + 0.04
