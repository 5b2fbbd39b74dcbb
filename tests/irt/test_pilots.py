"""Pilot items: enough responses at preset looks, on the scale, and a gate before they count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from assess import irt
from assess.errors import InvalidParameters, InvalidResponses
from assess.irt import ItemParameters, PilotRules, review_pilot, simulate
from assess.irt.models import category_probabilities
from tests.verification import judged, planned, record, replications

OPERATIONAL = [f"i{j:02d}" for j in range(20)]
BANK = ItemParameters(OPERATIONAL, "2PL", np.linspace(0.9, 1.5, 20), np.linspace(-2.0, 2.0, 20)[:, None])


def sample(
    n: int = 600, pilot: ItemParameters | None = None, *, seed: int = 1, routed: bool = False
) -> tuple[pd.DataFrame, Any, Any]:
    """Responses to the operational items and to pilot items, thetas, and the generator."""
    rng = np.random.default_rng(seed)
    theta = 0.2 + 0.9 * rng.standard_normal(n)
    pilot = pilot or ItemParameters(["p1"], "2PL", [1.2], [[0.3]])
    scored = simulate(BANK, theta, rng).astype(float)
    if routed:
        # The next ten items by the sum of the first ten: which items are seen depends on the answers.
        low = scored[:, 5:15].sum(axis=1) < 5
        scored[low, 15:] = np.nan
        scored[~low, :5] = np.nan
    frame = pd.DataFrame(scored, columns=OPERATIONAL)
    return (
        frame.join(pd.DataFrame(simulate(pilot, theta, rng), columns=list(pilot.item_ids))),
        theta,
        rng,
    )


def test_an_item_that_follows_its_model_passes_with_the_numbers_of_the_fixed_calibration():
    data, _, _ = sample()
    found = review_pilot(data, BANK, pilot=["p1"])
    assert found.with_status("passes") == ("p1",)
    # The second witness: the public calibration on the first 500 persons with the bank as anchors.
    kept = data.copy()
    kept.loc[500:, "p1"] = np.nan
    frame = irt.calibrate(kept, "2PL", anchors=BANK).to_frame()
    row = found.table.loc["p1"]
    assert (row["n"], row["look"]) == (600, 500)
    assert row["b"] == pytest.approx(frame.loc["p1", "b"], abs=1e-9)
    assert row["se_b"] == pytest.approx(frame.loc["p1", "se_b"], abs=1e-9)
    assert row["se_log_a"] == pytest.approx((frame["se_a"] / frame["a"])["p1"], abs=1e-9)
    assert abs(row["b"] - 0.3) < 3.0 * row["se_b"]
    assert found.parameters is not None
    assert found.parameters.item_ids == ("p1",)
    assert set(found.errors["p1"]) == {"a", "b"}
    assert len(found.correlations["p1"]) == 1
    assert repr(found) == "<PilotReview: 1 pilot items, 1 pass, 0 fail, 0 collecting>"
    assert "p1" in found.summary()
    assert "<table" in found._repr_html_()


def test_the_verdict_rests_on_the_look_and_not_on_when_it_was_asked():
    data, _, _ = sample(900)
    early, late = data.copy(), data.copy()
    early.loc[500:, "p1"] = np.nan
    first = review_pilot(early, BANK, pilot=["p1"]).table.drop(columns="n")
    second = review_pilot(late, BANK, pilot=["p1"]).table.drop(columns="n")
    assert first.equals(second)


def test_too_few_responses_leave_an_item_collecting():
    data, _, _ = sample(499)
    row = review_pilot(data, BANK, pilot=["p1"]).table.loc["p1"]
    assert (row["status"], row["n"]) == ("collecting", 499)
    assert np.isnan(row["b"])
    assert review_pilot(data, BANK, pilot=["p1"], model="Rasch").table.loc["p1", "look"] == 250


def test_an_item_too_hard_to_be_precise_goes_on_and_fails_at_the_last_look():
    data, _, _ = sample(1100, ItemParameters(["p1"], "2PL", [0.9], [[3.5]]))
    rules = PilotRules(looks=(500, 1000, 4000))
    row = review_pilot(data, BANK, pilot=["p1"], rules=rules).table.loc["p1"]
    assert (row["status"], row["look"]) == ("collecting", 1000)
    assert "SE(b)" in row["why"]
    last = review_pilot(data, BANK, pilot=["p1"], rules=PilotRules(looks=(500, 1000))).table.loc["p1"]
    assert last["status"] == "fails"


def test_an_item_that_everybody_answers_alike_is_said():
    data, _, _ = sample()
    data["p1"] = 1
    row = review_pilot(data, BANK, pilot=["p1"]).table.loc["p1"]
    assert row["why"] == "all of the first 500 responses are category 1"


def test_a_step_that_few_reach_goes_on():
    data, _, _ = sample(600, ItemParameters(["p1"], "GPCM", [1.0], [[-0.5, 3.8]]))
    row = review_pilot(data, BANK, pilot=["p1"]).table.loc["p1"]
    assert row["status"] == "collecting"
    assert "15 are needed" in row["why"]


def test_an_item_of_more_points_is_calibrated_as_gpcm_on_the_scale():
    true = ItemParameters(["p1"], "GPCM", [1.0], [[-0.6, 0.8]])
    data, _, _ = sample(1000, true)
    found = review_pilot(data, BANK, pilot=["p1"])
    row = found.table.loc["p1"]
    assert (row["status"], row["model"]) == ("passes", "GPCM")
    assert abs(row["b"] - 0.1) < 3.0 * row["se_b"]


# --- the gate ------------------------------------------------------------------


def test_an_item_against_its_model_fails():
    data, theta, rng = sample(2000)
    # Hardly anybody but the middle solves it.
    data["p1"] = (rng.random(2000) < np.exp(-(theta**2)) * 0.9).astype(int)
    row = review_pilot(data, BANK, pilot=["p1"], rules=PilotRules(se_b=9.0, se_log_a=9.0)).table.loc["p1"]
    assert row["status"] == "fails"
    assert "does not follow its model" in row["why"]


def test_an_item_that_favours_a_group_fails_and_the_group_is_named():
    data, theta, rng = sample(2000, seed=4)
    group = np.where(rng.random(2000) < 0.4, "fr", "en")
    harder = 1.0 / (1.0 + np.exp(-1.2 * (theta - 0.3 - 1.2 * (group == "fr"))))
    data["p1"] = (rng.random(2000) < harder).astype(int)
    row = review_pilot(data, BANK, pilot=["p1"], group=group, rules=PilotRules(looks=(2000,))).table.loc["p1"]
    assert row["dif"] == "fr: C"
    assert "large DIF for fr against en" in row["why"]


def test_a_small_group_is_said_and_not_tested():
    data, _, _ = sample()
    group = np.where(np.arange(600) < 60, "ar", "en")
    assert review_pilot(data, BANK, pilot=["p1"], group=group).table.loc["p1", "dif"] == (
        "ar: 60 responses, too few"
    )


def test_an_item_that_became_easier_fails():
    data, theta, rng = sample(1000, seed=2)
    b = np.where(np.arange(1000) < 500, 0.5, -0.4)
    data["p1"] = (rng.random(1000) < 1.0 / (1.0 + np.exp(-1.2 * (theta - b)))).astype(int)
    row = review_pilot(data, BANK, pilot=["p1"], rules=PilotRules(looks=(1000,))).table.loc["p1"]
    assert row["drift"] == pytest.approx(-0.9, abs=0.4)
    assert "became easier by" in row["why"]


def test_a_clue_to_another_item_fails():
    data, _, rng = sample(600, seed=5)
    same = rng.random(600) < 0.6
    data.loc[same, "p1"] = data.loc[same, "i10"]
    row = review_pilot(data, BANK, pilot=["p1"]).table.loc["p1"]
    assert "depends on i10" in row["why"]


def rates(n: int, *, routed: bool = True, seed: int = 0, keep: bool = False) -> tuple[float, float]:
    """Share of good items whose fit and whose drift are rejected at 5 %."""
    pilot = ItemParameters([f"p{j}" for j in range(8)], "2PL", [1.2] * 8, np.linspace(-1.0, 1.2, 8)[:, None])

    def one(k: int) -> list[list[float]]:
        data, _, _ = sample(500, pilot, seed=1000 + seed + k, routed=routed)
        table = review_pilot(
            data, BANK, pilot=list(pilot.item_ids), rules=PilotRules(looks=(500,), se_b=1.0, se_log_a=1.0)
        ).table
        return [table["fit_p"].tolist(), table["drift_z"].tolist()]

    found = (
        replications("pilot items: level of fit and drift", n, one, seed=seed) if keep else map(one, range(n))
    )
    p, z = np.array(list(found)).transpose(1, 0, 2)
    return float((p < 0.05).mean()), float((np.abs(z) > 1.96).mean())


def test_fit_and_drift_hold_their_level_where_operational_items_were_routed():
    fit, drift = rates(25)
    # 200 tests of each kind: standard error 0.015.
    assert 0.01 < fit < 0.10
    assert 0.01 < drift < 0.10


@pytest.mark.verify
def test_the_gate_of_pilot_items_holds_its_level():
    n = planned(1000)
    fit, drift = rates(n, seed=7, keep=True)
    record(
        f"pilot items after routing, N 500, {n:,} replications of 8 items",
        f"rejected at 5 %: fit {100 * fit:.1f} %, drift {100 * drift:.1f} %",
        seed=7,
    )
    judged(n, 1000)
    assert 0.035 < fit < 0.065
    assert 0.035 < drift < 0.065


# --- refusals --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "fault", "message"),
    [
        ({"pilot": []}, InvalidResponses, "name at least one"),
        ({"pilot": ["p9"]}, InvalidResponses, "'p9' is not among the responses"),
        ({"pilot": ["i01"]}, InvalidParameters, "'i01' has published parameters"),
        ({"model": "NRM"}, InvalidParameters, "has no location"),
        ({"group": ["a"]}, InvalidResponses, "one label per person"),
    ],
)
def test_reviews_that_cannot_be_meant_are_refused(change, fault, message):
    data, _, _ = sample(30)
    with pytest.raises(fault, match=message):
        review_pilot(data, BANK, **({"pilot": ["p1"]} | change))


def test_without_an_operational_item_there_is_no_scale():
    data, _, _ = sample(30)
    with pytest.raises(InvalidResponses, match="no scale to calibrate"):
        review_pilot(data[["p1"]], BANK, pilot=["p1"])


@pytest.mark.parametrize("looks", [(), (500, 250), (0, 10)])
def test_looks_that_do_not_rise_are_refused(looks):
    with pytest.raises(InvalidParameters, match="rising numbers"):
        PilotRules(looks=looks)


def test_the_chance_that_fit_is_tested_against_is_that_of_the_simulated_answers():
    """In each third of posterior means the expected share of a good item is the observed one."""
    data, _, _ = sample(3000, seed=8)
    theta = irt.score(data[OPERATIONAL], BANK, prior=irt.Prior(0.2, 0.9))
    own = ItemParameters(["p1"], "2PL", [1.2], [[0.3]])
    for part in np.array_split(np.argsort(theta["theta"].to_numpy()), 3):
        nodes = np.linspace(-4, 4, 81)
        spread = np.exp(
            -0.5 * ((nodes - theta["theta"].to_numpy()[part, None]) / theta["se"].to_numpy()[part, None]) ** 2
        )
        spread /= spread.sum(axis=1, keepdims=True)
        expected = (spread @ category_probabilities(own, nodes)[:, 0, 1]).mean()
        # 1,000 persons: standard error below 0.016.
        assert data["p1"].to_numpy()[part].mean() == pytest.approx(expected, abs=0.05)
