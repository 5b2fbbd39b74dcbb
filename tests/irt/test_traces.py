from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from assess.errors import InvalidParameters, InvalidResponses
from assess.irt import AdaptiveTest, ItemParameters, StopRule, information, replay, simulate_adaptive
from tests.shared import needs_shared, shared


def catr_bank(name):
    table = pd.read_csv(shared("reference", "data", f"cat_bank_{name}_public.csv"))
    ids = [f"V{number}" for number in table["item"]]
    if name == "grm":
        return ItemParameters(ids, "GRM", table.a, table.filter(like="b.").to_numpy())
    return ItemParameters(ids, name.upper(), table.a, table[["b"]].to_numpy(), table.c)


@needs_shared
@pytest.mark.parametrize(
    ("name", "criterion", "estimator"),
    [
        *(("2pl", "MFI_EAP", "EAP"), ("2pl", "MFI_WL", "WL"), ("2pl", "MFI_BM", "MAP")),
        *(("3pl", "MFI_EAP", "EAP"), ("3pl", "MFI_WL", "WL"), ("3pl", "MFI_BM", "MAP")),
        *(("grm", "MFI_EAP", "EAP"), ("grm", "MFI_WL", "WL")),
    ],
)
def test_traces_agree_with_catr_item_by_item(name, criterion, estimator):
    bank = catr_bank(name)
    responses = pd.read_csv(shared("reference", "data", f"cat_resp_{name}_public.csv")).drop(
        columns="true_theta"
    )
    case = json.loads(shared("reference", "cases", f"cat_{name}_public.json").read_text())
    longest = 20 if name == "grm" else 60
    for trace in case["results"]["traces"][criterion]:
        row = responses.iloc[trace["simulee"] - 1]
        found = replay(bank, row, estimator=estimator, max_items=longest, se=0.3)
        assert found.item.tolist() == [f"V{number}" for number in trace["items"]]
        assert found.response.tolist() == trace["responses"]
        assert found.theta.to_numpy() == pytest.approx(trace["theta"], abs=1e-3)
        assert found.se.to_numpy() == pytest.approx(trace["se"], abs=1e-3)


@needs_shared
@pytest.mark.parametrize("selection", ["MLWI", "MPWI", "KL", "KLP", "MEI", "MEPV"])
@pytest.mark.parametrize("name", ["2pl", "3pl"])
def test_every_criterion_chooses_what_catr_chooses(name, selection):
    whole = catr_bank(name)
    bank = whole.take(whole.item_ids[:50])
    responses = pd.read_csv(shared("reference", "data", f"cat_resp_{name}_public.csv"))
    case = json.loads(shared("reference", "cases", f"cat_{name}_public.json").read_text())
    for trace in case["results"]["traces"][f"{selection}_EAP"]:
        row = responses.iloc[trace["simulee"] - 1][list(bank.item_ids)]
        found = replay(bank, row, selection=selection, max_items=12, se=0.3)
        assert found.item.tolist() == [f"V{number}" for number in trace["items"]]
        assert found.theta.to_numpy() == pytest.approx(trace["theta"], abs=1e-3)
        assert found.se.to_numpy() == pytest.approx(trace["se"], abs=1e-3)


def small():
    return ItemParameters(["i1", "i2", "i3"], "2PL", [1.0, 1.2, 0.9], [[-1.0], [0.1], [1.0]])


def test_the_first_item_is_chosen_at_the_start_and_missing_responses_are_not_offered():
    responses = pd.Series({"i1": 1.0, "i2": np.nan, "i3": 0.0})
    assert replay(small(), responses, start=1.0).item.tolist() == ["i3", "i1"]
    assert replay(small(), responses, start=-1.0).item.tolist() == ["i1", "i3"]


def test_a_trace_ends_at_the_standard_error_but_not_before_the_minimum():
    responses = {"i1": 1, "i2": 0, "i3": 1}
    assert len(replay(small(), responses, se=5.0)) == 1
    assert len(replay(small(), responses, se=5.0, min_items=2)) == 2
    assert len(replay(small(), responses, max_items=2)) == 2


def test_an_infinite_estimate_goes_on_with_the_furthest_items():
    trace = replay(small(), {"i1": 1, "i2": 1, "i3": 0}, estimator="ML")
    assert np.isinf(trace.theta[0])
    assert (
        trace.item[1]
        == small().item_ids[int(np.where([True, False, True], information(small(), 6.0)[0], 0).argmax())]
    )
    assert np.isfinite(trace.theta[2])


def test_what_cannot_be_replayed_is_refused():
    with pytest.raises(InvalidParameters, match="say one of MFI, MLWI"):
        replay(small(), {"i1": 1}, selection="magic")  # type: ignore[arg-type]
    with pytest.raises(InvalidParameters, match="no common summed score"):
        replay(small(), {"i1": 1}, estimator="EAPsum")
    with pytest.raises(InvalidResponses, match="item 'x' has no parameters"):
        replay(small(), {"x": 1})


def test_a_simulated_cohort_recovers_its_thetas():
    rng = np.random.default_rng(4)
    bank = ItemParameters(
        [f"i{j}" for j in range(200)], "2PL", rng.uniform(0.8, 2.0, 200), rng.normal(size=(200, 1))
    )
    theta = rng.normal(size=1500)
    result = simulate_adaptive(AdaptiveTest(bank, stop=StopRule(10, 30), randomesque=3), theta, rng)
    assert (result.n_units == 30).all()
    error = result.theta - theta
    assert abs(error.mean()) < 0.05
    assert np.sqrt((error**2).mean()) == pytest.approx(np.sqrt((result.se**2).mean()), rel=0.08)
    assert repr(result) == "<AdaptiveRun: 1,500 examinees, 30.0 units on average>"


def test_nobodys_run_depends_on_who_comes_after():
    bank = small()
    alone = simulate_adaptive(AdaptiveTest(bank), [0.3], np.random.default_rng(2))
    crowd = simulate_adaptive(AdaptiveTest(bank), [0.3, 1.0, -1.0], np.random.default_rng(2))
    assert alone.units[0].tolist() == crowd.units[0].tolist()
    assert alone.theta[0] == crowd.theta[0]
