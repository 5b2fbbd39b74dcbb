"""The numbers of a design are those of exact recursions and of counting by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import Prior, raw_rule_accuracy, score_one
from assess.irt.models import category_probabilities
from assess.simulation import DesignOptions, alternative, design, run_form, usual_alternatives
from tests import synthetic

SMALL = DesignOptions(n=300, n_at=20)


@pytest.fixture(scope="module")
def adaptive():
    form = {"adaptive": {"min_units": 5, "max_units": 8, "randomesque": 2}, "target": {"accuracy": 0.99}}
    return synthetic.release(kind="adaptive", calibrated=True, n_items=18, form=form)


@pytest.fixture(scope="module")
def found(adaptive):
    options = DesignOptions(n=400, n_at=30, groups={"lower": Prior(-1.0, 1.0)}, seconds_per_item=60.0)
    return design(adaptive, np.random.default_rng(1), options=options)


def test_a_raw_form_errs_as_the_exact_recursion_says():
    release = synthetic.release()
    made = design(release, np.random.default_rng(2), options=DesignOptions(n=4_000, n_at=2))
    exact = raw_rule_accuracy(release.parameters, release.raw_cut, 0.0)
    for name in ("accuracy", "false_pass_rate", "false_fail_rate", "consistency"):
        room = 4.0 * made.accuracy.errors[name]
        assert getattr(made.accuracy, name) == pytest.approx(getattr(exact, name), abs=room)


def test_bias_and_rmse_are_those_of_all_response_patterns():
    """Eight items: each of 256 patterns is scored alone, and weighted by its probability."""
    release = synthetic.release(n_items=8)
    made = design(release, np.random.default_rng(3), options=DesignOptions(n=2, n_at=600))
    ids = release.parameters.item_ids
    patterns = list(itertools.product((0, 1), repeat=8))
    scores = np.array(
        [
            score_one(dict(zip(ids, pattern, strict=True)), release.parameters, prior=release.prior).theta
            for pattern in patterns
        ]
    )
    for theta in (-2.0, 0.0, 1.5):
        p = category_probabilities(release.parameters, np.array([theta]))[0]
        weights = np.array([math.prod(p[j, c] for j, c in enumerate(pattern)) for pattern in patterns])
        bias = float(weights @ (scores - theta))
        rmse = math.sqrt(float(weights @ (scores - theta) ** 2))
        spread = math.sqrt(rmse**2 - bias**2)
        row = made.by_theta.loc[theta]
        assert row["bias"] == pytest.approx(bias, abs=4.0 * spread / math.sqrt(600))
        assert row["rmse"] == pytest.approx(rmse, abs=4.0 * spread / math.sqrt(600))


def test_overlap_is_the_mean_over_all_pairs(adaptive):
    options = DesignOptions(n=60, n_at=2)
    made = design(adaptive, np.random.default_rng(4), options=options)
    # The same learners once more: the population draws from the second generator.
    rng = np.random.default_rng(4).spawn(2)[1]
    theta = rng.normal(0.0, 1.0, 60)
    run = run_form(adaptive, theta, rng)
    met = [set(row[row >= 0].tolist()) for row in run.units]
    shared = np.mean([len(a & b) for a, b in itertools.combinations(met, 2)])
    assert made.overlap == pytest.approx(shared / np.mean([len(m) for m in met]))
    counts = np.bincount([u for m in met for u in m], minlength=18)
    assert made.exposure["share"].to_numpy() == pytest.approx(counts / 60)
    assert made.mean_items == pytest.approx(np.mean([len(m) for m in met]))


def test_shares_add_up_and_errors_stand_on_their_side_of_the_cut(found):
    table = found.by_theta
    assert (table[["passed", "undetermined", "not_passed"]].sum(axis=1) - 1.0).abs().max() < 1e-12
    assert (table.loc[table.index < 0.0, "wrong"] == table.loc[table.index < 0.0, "passed"]).all()
    assert (table.loc[table.index >= 0.0, "wrong"] == table.loc[table.index >= 0.0, "not_passed"]).all()
    assert table["minutes"].to_numpy() == pytest.approx(table["items"].to_numpy())
    assert table["items"].between(5.0, 8.0).all()
    assert found.lengths.sum() == pytest.approx(1.0)


def test_who_ends_by_length_is_truncated_and_most_of_them_near_the_cut(found):
    near, far = found.by_theta.loc[0.0, "truncated"], found.by_theta.loc[3.0, "truncated"]
    assert near > far
    fixed = design(synthetic.release(), np.random.default_rng(1), options=SMALL)
    assert math.isnan(fixed.truncated)


def test_a_group_of_lower_ability_has_other_errors_and_the_same_test(found):
    groups = found.by_group
    assert groups.index.tolist() == ["everybody", "lower"]
    assert groups.loc["lower", "passed"] < groups.loc["everybody", "passed"]
    assert groups.loc["everybody", "accuracy"] == pytest.approx(found.accuracy.accuracy)


def test_one_more_group_changes_no_other_number(adaptive, found):
    again = design(adaptive, np.random.default_rng(1), options=DesignOptions(n=400, n_at=30))
    assert again.by_theta.drop(columns="minutes").equals(found.by_theta.drop(columns="minutes"))
    assert again.accuracy.shares == found.accuracy.shares


def test_a_blueprint_that_a_test_can_miss_shows_its_violations():
    """Five units cannot hold six of one code: whoever stops at once has too few."""
    release = synthetic.release(kind="adaptive", calibrated=True, n_items=18)
    met = design(release, np.random.default_rng(5), options=SMALL).content
    assert (met["violated"] == 0.0).all()
    assert (met["lowest"] >= met["minimum"]).all()
    assert met.index.tolist() == list(synthetic.CODES)


def test_what_the_target_asks_and_the_form_does_not_reach_is_named(found):
    assert len(found.missed) == 1
    assert found.missed[0].startswith("accuracy is 0.")
    assert found.to_mapping()["missed"] == list(found.missed)


def test_judged_parameters_are_said_to_be_judged():
    made = design(synthetic.release(kind="adaptive"), np.random.default_rng(1), options=SMALL)
    assert "judged parameters are taken as true" in made.basis
    assert "point rule" in made.accuracy.method
    assert made.accuracy.undetermined == 0.0


def test_alternatives_are_compared_on_the_same_population(adaptive):
    designs, refused = usual_alternatives(adaptive)
    assert refused == {}
    chosen = {name: designs[name] for name in ("always 8 units", "extended where undetermined")}
    made = design(adaptive, np.random.default_rng(6), options=SMALL, alternatives=chosen)
    table = made.alternatives
    assert table.index.tolist() == ["as it stands", *chosen]
    assert table.loc["always 8 units", "items"] == 8.0
    undetermined = table["undetermined"].to_dict()
    assert undetermined["extended where undetermined"] < undetermined["as it stands"]


def test_an_alternative_that_could_not_go_live_is_named_with_its_reason():
    need = [
        {"label": code, "minimum": 3, "framework": "unesco-ict-cft", "version": "2", "code": code}
        for code in synthetic.CODES
    ]
    form = {"adaptive": {"min_units": 9, "max_units": 9}, "blueprint": need}
    release = synthetic.release(kind="adaptive", calibrated=True, form=form)
    designs, refused = usual_alternatives(release)
    assert "at most 7 units" not in designs
    assert "min_units exceeds max_units" in refused["at most 7 units"]


def test_a_field_can_be_taken_out_of_a_form(adaptive):
    assert alternative(adaptive, target=None).form.target is None
    target = alternative(adaptive, target={"kappa": 0.5}).form.target
    assert target is not None
    assert target.to_mapping() == {"accuracy": 0.99, "kappa": 0.5}


def test_progress_ends_at_its_total(adaptive):
    told = []
    design(
        adaptive,
        np.random.default_rng(1),
        options=DesignOptions(n=4, n_at=2),
        progress=lambda done, total, _: told.append((done, total)),
    )
    assert told[-1] == (58, 58)


@pytest.mark.parametrize("options", [{"n": 1}, {"n_at": 1}, {"seconds_per_item": 0.0}])
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(InvalidParameters):
        DesignOptions(**options)
