from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from assess.errors import DataWarning, InvalidParameters, InvalidResponses
from assess.irt import ItemParameters, simulate
from assess.irt.dif import dif, dif_likelihood_ratio
from assess.irt.dif.groups import false_discovery
from tests.irt.examples import numbers
from tests.shared import needs_shared, shared

SIDES: dict[str, Any] = {"reference": "ref", "focal": "foc"}


def case(name):
    return json.loads(shared("reference", "cases", f"{name}.json").read_text())["results"]


def data(name):
    frame = pd.read_csv(shared("reference", "data", f"{name}.csv.gz"))
    return frame.drop(columns="group"), frame["group"]


def two_groups(n=300, n_items=12, shift=0.0, impact=0.0, seed=1, item=3, model="2PL"):
    """Responses of two groups of n; one item is harder by `shift` for the second."""
    rng = np.random.default_rng(seed)
    b = np.linspace(-1.5, 1.5, n_items)
    steps = b[:, None] if model == "2PL" else np.column_stack([b - 0.6, b + 0.6])
    names = [f"i{j}" for j in range(n_items)]
    parts = []
    for moved, mean in ((0.0, 0.0), (shift, impact)):
        own = steps.copy()
        own[item] += moved
        bank = ItemParameters(names, model, np.full(n_items, 1.2), own)
        parts.append(simulate(bank, mean + rng.standard_normal(n), rng))
    return pd.DataFrame(np.concatenate(parts), columns=names), np.repeat(["a", "b"], n)


# --- reference ---------------------------------------------------------------


@needs_shared
def test_mantel_haenszel_is_that_of_the_reference():
    frame, group = data("dif_2pl_public")
    results = case("dif_observed_public")
    own = results["MH"]["own"]
    found = dif(frame, group, **SIDES)
    for column, name in (
        ("alpha", "alpha"),
        ("delta", "delta"),
        ("se_delta", "se_delta"),
        ("chi2", "chisq_corrected"),
        ("p", "p_corrected"),
    ):
        assert found[column].to_numpy() == pytest.approx(numbers(own[name]), rel=1e-6), column
    assert found["ets"].tolist() == own["ETS"]
    assert found["p_dif"].to_numpy() == pytest.approx(numbers(results["standardization_PDIF"]), rel=1e-6)
    plain = dif(frame, group, continuity=False, **SIDES)
    assert plain["chi2"].to_numpy() == pytest.approx(numbers(own["chisq_uncorrected"]), rel=1e-6)
    purified, theirs = dif(frame, group, purify=True, **SIDES), results["MH"]["difR_purified"]
    assert purified["chi2"].to_numpy() == pytest.approx(numbers(theirs["MH"]), rel=1e-6)
    assert purified["alpha"].to_numpy() == pytest.approx(numbers(theirs["alphaMH"]), rel=1e-6)
    removed = [f"I{number:02d}" for number in theirs["DIFitems"]]
    assert purified.attrs["removed_from_matching"] == removed


@needs_shared
def test_logistic_regression_is_that_of_the_reference():
    frame, group = data("dif_2pl_public")
    results = case("dif_observed_public")["logistic"]
    own = results["own"]
    found = dif(frame, group, "logistic", **SIDES)
    for column, name in (
        ("chi2", "chi_total"),
        ("chi2_uniform", "chi_uniform"),
        ("chi2_nonuniform", "chi_nonuniform"),
        ("p", "p_total"),
        ("p_uniform", "p_uniform"),
        ("p_nonuniform", "p_nonuniform"),
        ("r2", "R2_1"),
        ("b_intercept", "b0"),
        ("b_score", "b_score"),
        ("b_group", "b_group"),
        ("b_interaction", "b_inter"),
    ):
        assert found[column].to_numpy() == pytest.approx(numbers(own[name]), rel=1e-5), column
    r2 = [numbers(own[f"R2_{k}"]) for k in (1, 2, 3)]
    assert found["delta_r2"].to_numpy() == pytest.approx(r2[2] - r2[0], rel=1e-5)
    assert found["delta_r2_uniform"].to_numpy() == pytest.approx(r2[1] - r2[0], rel=1e-5)
    purified = dif(frame, group, "logistic", purify=True, **SIDES)
    theirs = results["difR_both_purified"]
    assert purified["chi2"].to_numpy() == pytest.approx(numbers(theirs["stat"]), rel=1e-5)


@needs_shared
def test_ordered_categories_are_those_of_the_reference():
    frame, group = data("dif_grm_public")
    results = case("dif_grm_public")
    found = dif(frame, group, "Mantel", **SIDES)
    assert found["chi2"].to_numpy() == pytest.approx(numbers(results["mantel"]["chisq"]), rel=1e-6)
    assert found["smd"].to_numpy() == pytest.approx(numbers(results["mantel"]["SMD"]), rel=1e-6)
    found = dif(frame, group, "logistic", **SIDES)
    own = results["ordinal_logistic"]
    for column, name in (
        ("chi2", "chi_total"),
        ("chi2_uniform", "chi_uniform"),
        ("chi2_nonuniform", "chi_nonuniform"),
    ):
        assert found[column].to_numpy() == pytest.approx(numbers(own[name]), abs=1e-3), column


@needs_shared
def test_likelihood_ratios_are_those_of_the_reference():
    frame, group = data("dif_2pl_public")
    results = case("dif_irt_lr_public")
    found = dif_likelihood_ratio(frame, group, **SIDES)
    own = results["all_other_as_anchor"]
    assert found["chi2"].to_numpy() == pytest.approx(numbers(own["X2"]), abs=0.05)
    assert found["p"].to_numpy() == pytest.approx(numbers(own["p"]), abs=0.005)
    assert found["df"].tolist() == own["df"]
    guilty = results["designated_anchor_add"]["item"]
    anchors = [item for item in frame.columns if item not in guilty]
    added = dif_likelihood_ratio(frame, group, anchors=anchors, **SIDES)
    assert added.index.tolist() == guilty
    assert added["chi2"].to_numpy() == pytest.approx(
        numbers(results["designated_anchor_add"]["X2"]), abs=0.05
    )
    own = results["designated_anchor_drop"]
    dropped = dif_likelihood_ratio(frame, group, anchors=anchors, items=own["item"], **SIDES)
    assert dropped["chi2"].to_numpy() == pytest.approx(numbers(own["X2"]), abs=0.05)


@needs_shared
def test_likelihood_ratios_of_graded_items_are_those_of_the_reference():
    frame, group = data("dif_grm_public")
    results = case("dif_grm_public")
    guilty = results["lr_add"]["item"]
    anchors = [item for item in frame.columns if item not in guilty]
    for name, items in (("lr_add", guilty), ("lr_drop", results["lr_drop"]["item"])):
        found = dif_likelihood_ratio(frame, group, "GRM", anchors=anchors, items=items, **SIDES)
        assert found["chi2"].to_numpy() == pytest.approx(numbers(results[name]["X2"]), abs=0.05)
        assert found["df"].tolist() == results[name]["df"]


# --- properties --------------------------------------------------------------


def test_a_hand_counted_table_gives_its_odds_ratio():
    # One stratum: 30 of 40 against 10 of 40 right; the odds ratio is 3 / (1/3) = 9.
    x = np.repeat([1, 0, 1, 0], [30, 10, 10, 30])
    frame, group = pd.DataFrame({"i1": x}), np.repeat(["a", "b"], 40)
    with pytest.warns(DataWarning, match="40 persons"):
        found = dif(frame, group, matching=np.zeros(80))
    assert found["alpha"].iloc[0] == pytest.approx(9.0)
    assert found["delta"].iloc[0] == pytest.approx(-2.35 * np.log(9.0))
    assert found["p_dif"].iloc[0] == pytest.approx(-0.5)


@given(seed=st.integers(0, 1000))
def test_swapping_the_groups_turns_delta_around(seed):
    frame, group = two_groups(150, 6, shift=0.5, seed=seed)
    one, other = (dif(frame, group, reference=r, focal=f) for r, f in (("a", "b"), ("b", "a")))
    assert one["delta"].to_numpy() == pytest.approx(-other["delta"].to_numpy())
    assert one["chi2"].to_numpy() == pytest.approx(other["chi2"].to_numpy())
    assert one["ets"].tolist() == other["ets"].tolist()


def test_unordered_and_ordered_tests_of_two_categories_are_one():
    frame, group = two_groups(shift=0.6)
    plain = dif(frame, group, continuity=False)["chi2"].to_numpy()
    assert dif(frame, group, "GMH")["chi2"].to_numpy() == pytest.approx(plain)
    assert dif(frame, group, "Mantel")["chi2"].to_numpy() == pytest.approx(plain)


@pytest.mark.parametrize("method", ["MH", "Mantel", "GMH", "logistic"])
def test_the_item_that_is_harder_for_one_group_is_found(method):
    frame, group = two_groups(600, shift=0.9, impact=-0.5)
    found = dif(frame, group, method, purify=True)
    assert found["p_adjusted"].idxmin() == "i3"
    assert found["p_adjusted"].min() < 1e-6
    assert (found.drop(index="i3")["p_adjusted"] > 0.005).all()
    if method == "MH":
        assert found.loc["i3", "ets"] == "C"
        assert found["delta"].loc["i3"] < 0.0
    if method == "logistic":
        assert found["b_group"].loc["i3"] < 0.0
        assert found["p_uniform"].loc["i3"] < 0.001


def test_graded_items_are_compared_too():
    frame, group = two_groups(500, shift=0.8, model="GRM")
    found = dif(frame, group, "Mantel", purify=True)
    assert found["smd"].idxmin() == "i3"
    assert found["ets"].loc["i3"] == "C"
    assert dif(frame, group, "GMH")["df"].tolist() == [2] * 12


def test_non_uniform_dif_is_told_from_uniform():
    rng = np.random.default_rng(7)
    frame, group = two_groups(1500)
    theta = frame.sum(axis=1).to_numpy() - 6.0
    slope = np.where(group == "a", 0.8, 0.0)
    frame["i3"] = (rng.random(3000) < 1 / (1 + np.exp(-slope * theta))).astype(int)
    found = dif(frame, group, "logistic")
    assert found["p_nonuniform"].idxmin() == "i3"
    assert found["jodoin_gierl"].loc["i3"] == "C"


def test_incomplete_responses_are_matched_on_theta():
    frame, group = two_groups(600, shift=0.9)
    rng = np.random.default_rng(3)
    holes = frame.mask(rng.random(frame.shape) < 0.3)
    with pytest.raises(InvalidResponses, match="theta"):
        dif(holes, group)
    theta = holes.mean(axis=1)
    found = dif(holes, group, matching=theta)
    assert found["p"].idxmin() == "i3"
    assert dif(holes, group, "logistic", matching=theta)["p"].idxmin() == "i3"
    # A person without a theta is in no stratum.
    theta.iloc[:3] = np.nan
    assert dif(holes, group, matching=theta)["chi2"].notna().all()


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.5])
    assert false_discovery(p) == pytest.approx([0.04, 0.16 / 3, np.nan, 0.16 / 3, 0.5], nan_ok=True)


def test_likelihood_ratios_purify_themselves_and_find_the_item():
    frame, group = two_groups(600, 6, shift=1.0, impact=0.4, item=2)
    found = dif_likelihood_ratio(frame, group, purify=True)
    assert "i2" not in found.attrs["anchors"]
    assert found["p"].idxmin() == "i2"
    assert (found.drop(index="i2")["p_adjusted"] > 0.05).all()


def test_nobody_right_in_one_group_is_no_crash():
    frame, group = two_groups(200)
    frame.loc[group == "b", "i3"] = 0
    found = dif(frame, group)
    assert np.isinf(found["delta"].loc["i3"])
    assert found["ets"].loc["i3"] == "C"
    constant = frame.assign(i3=1)
    for method in ("MH", "Mantel", "GMH", "logistic"):
        assert np.isnan(dif(constant, group, method)["chi2"].loc["i3"])


# --- refusals ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"method": "SIBTEST"}, InvalidParameters, "not known"),
        ({"reference": "z"}, InvalidResponses, "name both"),
        ({"reference": "a", "focal": "z"}, InvalidResponses, "'z' is empty"),
        ({"reference": "a", "focal": "a"}, InvalidResponses, "two groups"),
        ({"matching": np.zeros(3)}, InvalidParameters, "one number per person"),
        ({"matching": np.full(600, np.nan)}, InvalidParameters, "no finite number"),
        ({"matching": np.arange(600), "n_strata": 1}, InvalidParameters, "at least 2"),
        ({"matching": np.arange(600), "purify": True}, InvalidParameters, "nothing to purify"),
    ],
)
def test_what_cannot_be_meant_is_refused(change, error, message):
    frame, group = two_groups()
    with pytest.raises(error, match=message):
        dif(frame, group, **change)


def test_groups_that_are_none_are_refused():
    frame, group = two_groups()
    with pytest.raises(InvalidResponses, match="1 labels"):
        dif(frame, np.repeat("a", 600))
    with pytest.raises(InvalidResponses, match="one label per person"):
        dif(frame, group[:5])
    three = group.astype(object)
    three[:50] = "c"
    with pytest.raises(InvalidResponses, match="3 labels"):
        dif(frame, three)
    assert dif(frame, three, reference="a", focal="b").attrs["n_reference"] == 250


def test_a_group_of_three_is_said_aloud_and_crashes_nothing():
    frame, group = two_groups(300)
    small = group.copy()
    small[303:] = "a"
    for method in ("MH", "Mantel", "GMH", "logistic"):
        with pytest.warns(DataWarning, match="'b' has 3 persons"):
            found = dif(frame, small, method)
        assert len(found) == 12


def test_mantel_haenszel_refuses_more_than_two_categories():
    frame, group = two_groups(model="GRM")
    with pytest.raises(InvalidResponses, match="more than two categories"):
        dif(frame, group)


def test_one_item_cannot_match_itself():
    frame, group = two_groups()
    with pytest.raises(InvalidResponses, match="give `matching`"):
        dif(frame[["i1"]], group)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anchors": ["z"]}, "anchor 'z'"),
        ({"items": ["z"]}, "item 'z'"),
        ({"anchors": []}, "share no scale"),
        ({"anchors": ["i1"], "purify": True}, "nothing to purify"),
    ],
)
def test_likelihood_ratios_refuse_what_cannot_be_meant(change, message):
    frame, group = two_groups(150, 4)
    with pytest.raises(InvalidParameters, match=message):
        dif_likelihood_ratio(frame, group, **change)


# --- a short study (the long ones: tests/irt/test_studies.py) -----------------------


def _rates(n_replications):
    rejected: dict[str, list[float]] = {"MH": [], "logistic": []}
    for seed in range(n_replications):
        frame, group = two_groups(500, 30, seed=seed)
        rejected["MH"].append((dif(frame, group, continuity=False)["p"] < 0.05).mean())
        logistic = dif(frame, group, "logistic")
        rejected["logistic"].append(float((chi2.sf(logistic["chi2_uniform"], 1) < 0.05).mean()))
    return {method: float(np.mean(values)) for method, values in rejected.items()}


def test_the_tests_hold_their_level_in_a_short_study():
    for method, rate in _rates(20).items():
        assert 0.025 < rate < 0.08, method
