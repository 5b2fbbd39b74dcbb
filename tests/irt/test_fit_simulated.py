"""Fit against simulated critical values: person statistics after routing, X2, G2 and mean squares."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import pytest

from assess import irt
from assess.errors import DataWarning, InvalidParameters, InvalidResponses
from assess.irt import AdaptiveTest, ItemParameters, StopRule, simulate, simulate_adaptive
from assess.irt.models import category_probabilities, expected_score
from assess.responses import ResponseMatrix

NAMES = [f"i{j}" for j in range(30)]
BANK = ItemParameters(NAMES, "2PL", np.linspace(0.8, 1.6, 30), np.linspace(-2.0, 2.0, 30)[:, None])


def answers(n=500, seed=1, items=BANK):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(simulate(items, rng.standard_normal(n), rng), columns=list(items.item_ids)), rng


def test_cumulative_sums_are_those_of_a_loop_in_the_given_order():
    data, rng = answers(20)
    order = np.array([rng.permutation(30) for _ in range(20)])
    theta = rng.standard_normal(20)
    found = irt.cusum(BANK, ResponseMatrix.from_frame(data, allow_wide=True), order=order, theta=theta)
    for person in range(20):
        away = data.to_numpy()[person] - expected_score(BANK, theta[person])[0]
        up = down = highest = lowest = 0.0
        for j in np.argsort(order[person]):
            up, down = max(0.0, up + away[j] / 30), min(0.0, down + away[j] / 30)
            highest, lowest = max(highest, up), min(lowest, down)
        assert found.iloc[person].tolist() == pytest.approx([highest, lowest], abs=1e-12)


def test_missing_responses_neither_move_a_sum_nor_count():
    data, _ = answers(40)
    few = data.astype(float).copy()
    few.iloc[:, 20:] = np.nan
    theta = np.zeros(40)
    whole = irt.cusum(BANK.take(NAMES[:20]), data[NAMES[:20]], theta=theta)
    assert irt.cusum(BANK, few, theta=theta).to_numpy() == pytest.approx(whole.to_numpy(), abs=1e-12)


def test_limits_leave_the_stated_share_of_fitting_persons_and_find_who_does_not_fit():
    data, rng = answers(700)
    limits = irt.person_fit_limits(BANK, data, rng, n_replications=4)
    fit = irt.person_fit(BANK, data)
    share = (fit["lz_star"] < limits["lz_star"]).mean()
    # 700 persons: standard error 0.008.
    assert 0.025 < share < 0.08
    # Who fails the first half of the test and knows the rest.
    data.iloc[0, :15], data.iloc[0, 15:] = 0, 1
    odd = irt.person_fit(BANK, data).iloc[0]
    assert odd["lz_star"] < limits["lz_star"]
    assert odd["outfit"] > limits["outfit"]
    sums = irt.cusum(BANK, data).iloc[0]
    assert sums["cusum_lower"] < limits["cusum_lower"]


def adaptive(test):
    def administer(theta, rng):
        run = simulate_adaptive(test, theta, rng)
        categories = np.full((len(theta), len(test.parameters)), -1, dtype=np.int8)
        order = np.full(categories.shape, -1, dtype=np.int64)
        rows, steps = np.nonzero(run.units >= 0)
        categories[rows, run.units[rows, steps]] = run.categories[rows, steps]
        order[rows, run.units[rows, steps]] = steps
        return categories, order

    return administer


def test_after_adaptive_routing_the_limits_are_those_of_routed_persons():
    bank = ItemParameters(
        [f"i{j}" for j in range(80)], "2PL", [1.4] * 80, np.linspace(-2.5, 2.5, 80)[:, None]
    )
    test = AdaptiveTest(bank, stop=StopRule(min_units=12, max_units=12))
    administer, rng = adaptive(test), np.random.default_rng(3)
    categories, order = administer(rng.standard_normal(600), rng)
    data = ResponseMatrix(categories, None, bank.item_ids, bank.n_categories)
    limits = irt.person_fit_limits(bank, data, rng, n_replications=5, administer=administer)
    lz = irt.person_fit(bank, data)["lz"]
    # By the normal table of lz hardly anybody is ever found: items near theta have one likelihood for all.
    assert (lz < -1.645).mean() < 0.02
    assert 0.025 < (lz < limits["lz"]).mean() < 0.085
    sums = irt.cusum(bank, data, order=order)
    assert 0.025 < (sums["cusum_upper"] > limits["cusum_upper"]).mean() < 0.085


@pytest.mark.parametrize("statistic", ["X2", "G2"])
def test_grouped_statistics_are_those_of_their_definition(statistic):
    data, rng = answers(400, items=BANK.take(NAMES[8:20]))
    items = BANK.take(NAMES[8:20])
    found = irt.item_fit_bootstrap(items, data, rng, statistic, n_replications=20, n_groups=5)
    theta = irt.score(data, items)["theta"].to_numpy()
    p = category_probabilities(items, theta)[:, 3, 1]
    total = 0.0
    for group in np.array_split(np.argsort(theta, kind="stable"), 5):
        seen = np.array([(data.iloc[group, 3] == k).sum() for k in (0, 1)])
        expected = np.array([len(group) - p[group].sum(), p[group].sum()])
        if statistic == "X2":
            total += ((seen - expected) ** 2 / expected).sum()
        else:
            total += 2 * sum(o * np.log(o / e) for o, e in zip(seen, expected, strict=True) if o)
    assert found["statistic"].iloc[3] == pytest.approx(total, rel=1e-9)


def bootstrap_rates(n: int, statistic: Literal["X2", "G2"]) -> tuple[float, float]:
    """Share of good items rejected at 5 % by the printed table and by the bootstrap."""
    items = BANK.take(NAMES[8:20])
    by_table, by_bootstrap = [], []
    for seed in range(n):
        data, rng = answers(400, seed=100 + seed, items=items)
        found = irt.item_fit_bootstrap(items, data, rng, statistic, n_replications=39)
        by_table += (found["p_table"] < 0.05).tolist()
        by_bootstrap += (found["p"] <= 0.05).tolist()
    return float(np.mean(by_table)), float(np.mean(by_bootstrap))


def test_the_bootstrap_holds_its_level_where_the_table_does_not():
    table, bootstrap = bootstrap_rates(5, "X2")
    # 60 tests: standard error 0.028. Twelve items leave thetas so uncertain that the table rejects too often.
    assert table > 0.12
    assert bootstrap < 0.14


def test_a_random_answer_is_found_by_its_mean_square():
    data, rng = answers(500)
    data["i15"] = (rng.random(500) < 0.5).astype(int)
    found = irt.item_fit_bootstrap(BANK, data, rng, "outfit", n_replications=39)
    assert found.loc["i15", "p"] == pytest.approx(0.05)
    assert found["statistic"]["i15"] > found["limit_high"]["i15"]
    assert "p_table" not in found.columns


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d, r: irt.item_fit_bootstrap(BANK, d, r, "Q1"),  # type: ignore[arg-type]
            "'Q1' is not known",
        ),
        (lambda d, r: irt.item_fit_bootstrap(BANK, d, r, n_replications=5), "at least 20"),
        (lambda d, r: irt.person_fit_limits(BANK, d, r, level=0.0), "0 < level < 1"),
        (lambda d, r: irt.cusum(BANK, d, order=[[1]]), "one position per response"),
    ],
)
def test_what_cannot_be_meant_is_refused(call, message):
    data, rng = answers(50)
    with pytest.raises(InvalidParameters, match=message):
        call(data, rng)


def test_the_limit_of_dependence_knows_categories_that_were_closed_up():
    """A category that nobody used is no fault of the bootstrap; one item alone has no pair."""
    data, rng = answers(300, items=BANK.take(NAMES[10:16]))
    data["p"] = 2 * data.pop("i12")
    with pytest.warns(DataWarning):
        calibration = irt.calibrate(data, {item: "GPCM" if item == "p" else "2PL" for item in data.columns})
    assert 0.0 < irt.local_dependence_limit(calibration, data, rng, n_replications=20) < 0.5
    with pytest.raises(InvalidResponses, match="one item has no pairs"):
        irt.local_dependence_limit(BANK.take(["i1"]), data[["i11"]].set_axis(["i1"], axis=1), rng)
