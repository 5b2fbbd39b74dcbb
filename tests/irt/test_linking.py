from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess import irt
from assess.errors import ConvergenceWarning, InvalidParameters
from assess.irt import ItemParameters, Prior, category_probabilities, simulate
from assess.irt.calibration import CalibrationOptions, Normal
from assess.irt.linking import (
    METHODS,
    AnchorDrift,
    DriftRules,
    Link,
    Method,
    anchor_drift,
    link,
    observed_score_equating,
    true_score_equating,
)
from tests.irt.examples import numbers, parameter_sets
from tests.shared import needs_shared, shared

CURVES: tuple[Method, ...] = ("Haebara", "Stocking-Lord")
NOMINAL = {"item": "n", "model": "NRM", "a1": -1, "a2": 1, "c1": 0, "c2": 0}
KEYS = dict(zip(METHODS, ("mean_mean", "mean_sigma", "haebara", "stocking_lord"), strict=True))


def case(name):
    return json.loads(shared("reference", "cases", f"link_{name}_public.json").read_text())["results"]


def parameters(table, model):
    steps = np.array(table["b"], dtype=float)
    steps = steps[:, None] if steps.ndim == 1 else steps
    return ItemParameters(table["name"], model, table["a"], steps, table["c"] if model == "3PL" else None)


def both(name):
    results, model = case(name), name.upper()
    return results, parameters(results["params_X"], model), parameters(results["params_Y"], model)


def two_pl(b, a=1.0, prefix="i"):
    b = np.asarray(b, dtype=float)
    return ItemParameters(
        [f"{prefix}{j}" for j in range(len(b))], "2PL", np.broadcast_to(a, b.shape), b[:, None]
    )


def calibrated(items, se, converged=True):
    """A stand-in for a calibration of 2PL items with independent errors."""
    names = [f"{item}.{name}" for item in items.item_ids for name in ("a", "b")]
    return SimpleNamespace(
        parameters=items,
        population=Prior(),
        vcov_names=tuple(names),
        vcov_matrix=np.diag(np.full(len(names), se**2)),
        converged=converged,
    )


# --- reference ---------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["2pl", "3pl", "grm"])
def test_constants_are_those_of_the_reference(name, method):
    results, x, y = both(name)
    own = results.get("own_gh30", results.get("own"))
    found = link(x, y, method)
    assert [found.slope, found.intercept] == pytest.approx(own[KEYS[method]], abs=1e-4)
    if method in CURVES and name != "grm":
        found = link(x, y, method, symmetric=True)
        assert [found.slope, found.intercept] == pytest.approx(own[f"{KEYS[method]}_symmetric"], abs=1e-4)


@needs_shared
@pytest.mark.parametrize("name", ["2pl", "3pl"])
def test_equated_scores_are_those_of_the_reference(name):
    results, x, y = both(name)
    onto = link(x, y)
    back = onto.inverse()
    there, reference = true_score_equating(x, y, onto), results["tse_own"]
    assert there["equivalent"].to_numpy() == pytest.approx(numbers(reference["equiv"]), abs=1e-4)
    assert there["theta"].to_numpy() == pytest.approx(numbers(reference["theta"]), abs=1e-4)
    reference = results["tse_own_Y_to_X"]
    again = true_score_equating(y, x, back).loc[reference["score"], "equivalent"]
    assert again.to_numpy() == pytest.approx(numbers(reference["equiv"]), abs=1e-4)
    for population, weight in (("population_Y", 0.0), ("population_X", 1.0), ("synthetic_half", 0.5)):
        forth = observed_score_equating(x, y, onto, weight_new=weight)["equivalent"]
        assert forth.to_numpy() == pytest.approx(numbers(results["ose_own"][population]), abs=1e-4)
        again = observed_score_equating(y, x, back, weight_new=1.0 - weight)["equivalent"]
        assert again.to_numpy() == pytest.approx(numbers(results["ose_own_Y_to_X"][population]), abs=1e-4)


@needs_shared
@pytest.mark.parametrize("name", ["2PL", "3PL"])
def test_from_responses_to_constants(name):
    results = case(name.lower())
    sides = [
        irt.calibrate(
            pd.read_csv(shared("reference", "data", f"link_{name}_{form}_public.csv.gz")),
            name,
            priors={"logit_c": Normal(-1.4, 0.5)} if name == "3PL" else None,
            options=CalibrationOptions(population="standard"),
        )
        for form in ("X", "Y")
    ]
    truth = results["truth"]
    for method in METHODS:
        found = link(sides[0], sides[1], method)
        assert [found.slope, found.intercept] == pytest.approx(results["own_gh30"][KEYS[method]], abs=0.005)
        assert 0.0 < found.se.slope < 0.1
        assert abs(found.slope - truth["true_A"]) < 4.0 * found.se.slope
        assert abs(found.intercept - truth["true_B"]) < 4.0 * found.se.intercept


# --- properties --------------------------------------------------------------


@given(items=parameter_sets(min_size=2), slope=st.floats(0.4, 2.5), intercept=st.floats(-2.0, 2.0))
def test_a_moved_scale_gives_every_person_the_same_probabilities(items, slope, intercept):
    moved = Link(slope, intercept, np.zeros((2, 2)), "mean-mean", ())
    theta = np.linspace(-3.0, 3.0, 7)
    there = category_probabilities(moved.parameters(items), moved.theta(theta))
    assert there == pytest.approx(category_probabilities(items, theta), abs=1e-9)


@given(
    items=parameter_sets(models=("2PL", "3PL", "GRM", "GPCM", "NRM"), monotone=True, min_size=3, max_size=6),
    slope=st.floats(0.6, 1.6),
    intercept=st.floats(-1.0, 1.0),
    method=st.sampled_from(CURVES),
)
def test_curve_methods_find_a_known_transformation_in_mixed_formats(items, slope, intercept, method):
    moved = Link(slope, intercept, np.zeros((2, 2)), "mean-mean", ()).parameters(items)
    found = link(items, moved, method)
    assert found.criterion < 1e-10
    theta = np.linspace(-2.0, 2.0, 5)
    there = category_probabilities(found.parameters(items), theta)
    assert there == pytest.approx(category_probabilities(moved, theta), abs=1e-3)


@given(slope=st.floats(0.5, 2.0), intercept=st.floats(-1.5, 1.5), method=st.sampled_from(METHODS))
def test_all_methods_find_a_transformation_without_error(slope, intercept, method):
    items = two_pl([-1.0, 0.2, 0.9, 1.5], a=[0.8, 1.0, 1.4, 1.1])
    moved = Link(slope, intercept, np.zeros((2, 2)), "mean-mean", ()).parameters(items)
    found = link(items, moved, method)
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.intercept == pytest.approx(intercept, abs=1e-6)
    there_and_back = found.then(found.inverse())
    assert there_and_back.slope == pytest.approx(1.0)
    assert there_and_back.intercept == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_standard_errors_are_those_of_the_delta_method_by_brute_force(method, symmetric):
    rng = np.random.default_rng(11)
    x = two_pl(np.linspace(-1.5, 1.5, 8), a=np.linspace(0.8, 1.4, 8))
    y = Link(0.8, 0.3, np.zeros((2, 2)), "", ()).parameters(x)
    y = two_pl(y.steps[:, 0] + 0.1 * rng.standard_normal(8), y.slopes + 0.1 * rng.standard_normal(8))
    found = link(calibrated(x, 0.1), calibrated(y, 0.1), method, symmetric=symmetric)
    step, squares = 1e-4, np.zeros(2)
    for side, items in enumerate((x, y)):
        for j in range(8):
            for part in ("b", "a"):
                ends = []
                for sign in (1, -1):
                    b, a = items.steps[:, 0].copy(), items.slopes.copy()
                    (b if part == "b" else a)[j] += sign * step
                    new, onto = (two_pl(b, a), y) if side == 0 else (x, two_pl(b, a))
                    moved = link(new, onto, method, symmetric=symmetric)
                    ends.append(np.array([moved.slope, moved.intercept]))
                squares += (0.1 * (ends[0] - ends[1]) / (2 * step)) ** 2
    assert list(found.se) == pytest.approx(np.sqrt(squares).tolist(), rel=1e-3)


def test_standard_errors_follow_steps_and_asymptotes_too():
    items = ItemParameters.from_records(
        [
            {"item": "m", "model": "3PL", "a": 1.0, "b": 0.0, "c": 0.2},
            {"item": "g", "model": "GRM", "a": 1.2, "b1": -1.0, "b2": 1.0},
            {"item": "r", "model": "RSM", "a": 1.0, "b": 0.3, "tau1": -0.5, "tau2": 0.5},
            {"item": "n", "model": "NRM", "a1": -0.6, "a2": 0.0, "a3": 0.6, "c1": 0.0, "c2": 0.3, "c3": -0.3},
        ]
    )
    names = ["m.a", "m.b", "m.c", "g.a", "g.b1", "g.b2", "r.b", "n.a1", "n.a2", "n.a3", "n.c1", "group.mean"]
    new = SimpleNamespace(
        parameters=items,
        population=Prior(),
        vcov_names=tuple(names),
        vcov_matrix=np.diag(np.full(len(names), 0.01)),
    )
    moved = Link(1.2, 0.1, np.zeros((2, 2)), "", ()).parameters(items)
    for method in CURVES:
        found = link(new, moved, method)
        # Brute force: shift one parameter, link again.
        for name in ("m.c", "g.b2", "r.b", "n.a3"):
            item, _, key = name.rpartition(".")
            records = [dict(record) for record in items.to_records()]
            for record in records:
                if record["item"] == item:
                    record[key] = float(record[key]) + 1e-4
            other = link(ItemParameters.from_records(records), moved, method)
            only = SimpleNamespace(
                parameters=items, population=Prior(), vcov_names=(name,), vcov_matrix=np.eye(1)
            )
            expected = abs(other.slope - link(items, moved, method).slope) / 1e-4
            assert link(only, moved, method).se.slope == pytest.approx(expected, rel=1e-2, abs=1e-4)
        assert found.se.slope > 0.0


def test_rasch_anchors_keep_the_unit():
    x = ItemParameters(["i1", "i2", "i3"], "Rasch", np.ones(3), [[-1.0], [0.0], [1.5]])
    y = ItemParameters(["i1", "i2", "i3"], "Rasch", np.ones(3), [[-0.6], [0.6], [2.0]])
    for method in METHODS:
        found = link(x, y, method)
        assert found.slope == 1.0
        assert found.intercept == pytest.approx(0.5, abs=0.02)
        assert found.parameters(x).models == ("Rasch",) * 3
        assert any("slope is 1" in note for note in found.notes)


def test_a_link_shows_its_constants():
    found = link(calibrated(two_pl([-1.0, 1.0]), 0.1), two_pl([0.0, 2.0]), "mean-mean")
    assert repr(found) == "<Link mean-mean: theta_onto = 1.0000 theta_new + 1.0000, 2 anchors>"
    assert found.to_frame().loc["slope", "se"] == found.se.slope
    assert "intercept" in found.summary()
    assert "<table" in found._repr_html_()
    assert np.isnan(link(two_pl([-1.0, 1.0]), two_pl([0.0, 2.0])).se.slope)


# --- refusals ----------------------------------------------------------------


def test_a_link_without_common_items_is_refused():
    with pytest.raises(InvalidParameters, match="no common items"):
        link(two_pl([0.0, 1.0]), two_pl([0.0, 1.0], prefix="k"))


def test_an_anchor_of_another_version_is_refused_and_the_version_named():
    new = ItemParameters(["a.v2"], "2PL", [1.0], [[0.0]])
    onto = ItemParameters(["a.v1"], "2PL", [1.0], [[0.0]])
    with pytest.raises(InvalidParameters, match=r"'a.v2' is not in `onto`, which has 'a.v1'"):
        link(new, onto, anchors=["a.v2"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "Loglinear"}, "not known"),
        ({"anchors": []}, "name at least one"),
        ({"anchors": ["i0", "i0"]}, "each once"),
        ({"anchors": ["i9"]}, "'i9' is not in `new`"),
    ],
)
def test_links_that_cannot_be_meant_are_refused(change, message):
    with pytest.raises(InvalidParameters, match=message):
        link(two_pl([0.0, 1.0]), two_pl([0.0, 1.0]), **change)


def test_an_anchor_of_another_model_is_refused():
    graded = ItemParameters(["i0"], "GRM", [1.0], [[-1.0, 1.0]])
    partial = ItemParameters(["i0"], "GPCM", [1.0], [[-1.0, 1.0]])
    with pytest.raises(InvalidParameters, match="one model, or it is no anchor"):
        link(graded, partial)


def test_moment_methods_refuse_what_they_cannot_use():
    nominal = ItemParameters.from_records(
        [{"item": "n", "model": "NRM", "a1": -1, "a2": 1, "c1": 0, "c2": 0}]
    )
    with pytest.raises(InvalidParameters, match="NRM and has no steps"):
        link(nominal, nominal, "mean-mean")
    with pytest.raises(InvalidParameters, match="different difficulty"):
        link(two_pl([0.5, 0.5]), two_pl([0.5, 0.5]), "mean-sigma")
    with pytest.raises(InvalidParameters, match="sign of the slopes"):
        link(two_pl([0.5, 1.0], -1.0), two_pl([0.5, 1.0]), "mean-mean")


def test_a_calibration_that_did_not_converge_is_said_aloud():
    new = calibrated(two_pl([0.0, 1.0]), 0.1, converged=False)
    with pytest.warns(ConvergenceWarning, match="`new` did not converge"):
        found = link(new, two_pl([0.0, 1.0]))
    assert "did not converge" in found.notes[0]


# --- drift -------------------------------------------------------------------


def drifting(n_items=20, moved=(), by=0.9, seed=1, noise=0.08):
    rng = np.random.default_rng(seed)
    b = np.linspace(-2.0, 2.0, n_items)
    shift = noise * rng.standard_normal(n_items)
    shift[list(moved)] += by
    return two_pl(b + 0.5 + shift), two_pl(b)


def test_a_drifting_anchor_leaves_and_the_link_is_estimated_again():
    found = anchor_drift(*drifting(moved=[3]))
    assert found.removed == ("i3",)
    assert len(found.link.anchors) == 19
    assert abs(found.link.intercept + 0.5) < abs(found.first_link.intercept + 0.5)
    assert found.table.loc["i3", "d"] == pytest.approx(0.9, abs=0.2)
    assert found.refusal == ""
    assert repr(found) == "<AnchorDrift: 1 of 20 anchors drift, link stands>"
    assert "i3" in found.summary()
    assert "<table" in found._repr_html_()


def test_too_many_drifting_or_too_few_remaining_anchors_block_publishing():
    many = anchor_drift(*drifting(moved=[1, 5, 9, 13, 17], by=1.5))
    assert len(many.removed) == 5
    assert "not an item, has moved" in many.refusal
    few = anchor_drift(*drifting(n_items=5))
    assert few.refusal == "5 anchors are left; at least 6 are needed"


def test_where_a_third_of_the_anchors_moved_no_z_is_large_and_publishing_is_blocked_all_the_same():
    new, onto = drifting(n_items=20, moved=range(0, 20, 3), by=-1.2, noise=0.15)
    found = anchor_drift(new, onto, "mean-mean")
    assert len(found.removed) <= 4
    assert "too many to tell by a robust z" in found.refusal


def test_operational_responses_are_compared_item_by_item_and_what_cannot_be_is_named():
    rng = np.random.default_rng(11)
    b = np.linspace(-1.5, 1.5, 14)
    published = two_pl(b, a=np.full(14, 1.2))
    today = two_pl(b + 0.8 * (np.arange(14) == 6), a=np.full(14, 1.2))
    data = pd.DataFrame(simulate(today, 0.3 + 1.1 * rng.standard_normal(2000), rng), columns=today.item_ids)
    data = data.astype(float)
    data.loc[150:, "i1"] = np.nan
    data["i2"] = 1.0
    data["new"] = (rng.random(2000) < 0.5).astype(float)
    found = irt.operational_drift(data, published)
    assert found.removed == ("i6",)
    assert found.not_checked == {
        "i1": "has 150 responses",
        "i2": "has 2000 responses, all alike",
        "new": "has no published parameters",
    }
    record = found.to_mapping()
    assert record["removed"] == ["i6"]
    assert record["anchors"]["i6"]["d"] == pytest.approx(0.8, abs=0.25)
    assert record["refusal"] == ""
    # The link is that of the population: theta = 0.3 + 1.1 theta_new.
    assert abs(found.link.slope - 1.1) < 3 * found.link.se.slope
    assert abs(found.link.intercept - 0.3) < 3 * found.link.se.intercept
    with pytest.raises(InvalidParameters, match="no item can be an anchor: new has no published"):
        irt.operational_drift(data[["new"]], published)


def test_equal_differences_are_no_drift():
    items = two_pl([-1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 2.0])
    found = anchor_drift(items, items)
    assert isinstance(found, AnchorDrift)
    assert found.removed == ()


def test_drift_refuses_nominal_anchors_and_senseless_rules():
    nominal = ItemParameters.from_records(
        [{"item": "n", "model": "NRM", "a1": -1, "a2": 1, "c1": 0, "c2": 0}]
    )
    with pytest.raises(InvalidParameters, match="no difficulty"):
        anchor_drift(nominal, nominal)
    with pytest.raises(InvalidParameters, match="z > 0"):
        DriftRules(z=0.0)


def test_false_alarms_of_drift_are_rare_and_real_drift_is_seen():
    # Errors of b as after 500 responses (about 0.12), with only the method under study random.
    alarms, seen = [], []
    for seed in range(60):
        still, onto = drifting(seed=seed, noise=0.12)
        alarms.append(len(anchor_drift(still, onto, "mean-mean").removed) / 20)
        moved, onto = drifting(moved=[7], by=0.5, seed=seed, noise=0.12)
        seen.append("i7" in anchor_drift(moved, onto, "mean-mean").removed)
    assert np.mean(alarms) <= 0.02
    assert np.mean(seen) >= 0.8


# --- equating ----------------------------------------------------------------


@given(items=parameter_sets(models=("2PL", "3PL", "4PL", "GRM", "GPCM"), monotone=True, min_size=2))
def test_a_form_is_equated_to_itself_by_the_identity(items):
    true = true_score_equating(items, items)
    assert true["equivalent"].to_numpy() == pytest.approx(true.index.to_numpy(), abs=1e-5)
    observed = observed_score_equating(items, items)
    # The equivalent is a percentile divided by the score's own probability: where that is of the size of the
    # rounding of a percentile (1e-16), the quotient holds few digits, or none.
    error = np.abs(observed["equivalent"].to_numpy() - observed.index.to_numpy())
    assert (error <= 1e-6 + 1e-15 / np.maximum(observed["probability"].to_numpy(), 1e-15)).all()
    assert observed["probability"].sum() == pytest.approx(1.0)


def test_forms_that_fall_with_theta_and_shares_beyond_one_are_refused():
    with pytest.raises(InvalidParameters, match="'i0' of `onto` does not rise"):
        true_score_equating(two_pl([0.0]), two_pl([0.0], -1.0))
    with pytest.raises(InvalidParameters, match="weight_new is 2"):
        observed_score_equating(two_pl([0.0]), two_pl([0.0]), weight_new=2)
