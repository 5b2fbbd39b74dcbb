"""The error rates of a confirming form, after the form whose passes it confirms."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from assess.errors import InvalidParameters
from assess.irt.scoring import score_one
from assess.simulation import confirmation_study, run_form
from assess.simulation.confirming import first_scores
from tests import synthetic

FIRST = synthetic.release(calibrated=True, n_items=24, form={"rule": {"kind": "probability"}})
FORM = synthetic.confirming(n_items=50)


@pytest.fixture(scope="module")
def study():
    return confirmation_study(FORM, FIRST, np.random.default_rng(11), n=400)


def test_it_counts_what_becomes_of_honest_learners_and_of_scores_that_are_too_high(study):
    table = study.by_loss
    np.testing.assert_allclose(table[["inconsistent", "consistent", "undecided"]].sum(axis=1), 1.0)
    assert list(table.index) == [0.0, 0.5, 1.0, 1.5, 2.0]
    # The more is lost, the more often it is found, and the less often it is believed.
    assert (np.diff(table["inconsistent"]) > 0.0).all()
    assert (np.diff(table["consistent"]) <= 0.0).all()
    assert study.kept
    assert 0.0 < study.false_alarm < study.found


def test_it_says_what_it_rests_on_and_can_be_kept(study):
    assert "at most 5.0%" in study.summary()
    assert "400 simulated learners each who pass x-fixed.v1" in study.basis
    kept = json.loads(json.dumps(study.to_mapping()))
    assert kept["stated"] == {"loss": 1.0, "alpha": 0.05, "beta": 0.1}
    assert kept["by_theta"][0]["n"] >= 50
    # Those who pass are about those above the cut, half of the population less the undetermined.
    assert 0.25 < kept["share_passed"] < 0.5


def test_a_first_score_is_the_posterior_that_production_computes():
    run = run_form(FIRST, [0.5, -1.0], np.random.default_rng(2))
    nodes, weights = first_scores(FIRST, run)
    for row in range(2):
        given = dict(zip(FIRST.parameters.item_ids, run.categories[row].tolist(), strict=True))
        own = score_one(given, FIRST.parameters, prior=FIRST.prior)
        assert weights[row] @ nodes == pytest.approx(own.theta, abs=1e-9)
        assert own.nodes is not None
        assert own.posterior is not None
        np.testing.assert_allclose(np.interp(nodes, own.nodes, own.posterior), weights[row], atol=1e-9)


def test_a_form_scored_by_wl_gives_normal_first_scores():
    form = {"rule": {"kind": "point"}, "scoring": "WL"}
    release = synthetic.release(calibrated=True, n_items=24, form=form)
    run = run_form(release, [0.3], np.random.default_rng(3))
    nodes, weights = first_scores(release, run)
    given = dict(zip(release.parameters.item_ids, run.categories[0].tolist(), strict=True))
    own = score_one(given, release.parameters, method="WL")
    expected = stats.norm(own.theta, own.se).pdf(nodes)
    np.testing.assert_allclose(weights[0], expected / expected.sum(), atol=1e-9)


def test_what_has_no_theta_or_confirms_nothing_is_refused():
    rng = np.random.default_rng(1)
    with pytest.raises(InvalidParameters, match="decides by a raw score"):
        confirmation_study(FORM, synthetic.release(), rng)
    with pytest.raises(InvalidParameters, match="confirms nothing"):
        confirmation_study(FIRST, FIRST, rng)


def test_a_population_of_whom_nobody_passes_is_refused():
    from assess.irt.scoring import Prior

    with pytest.raises(InvalidParameters, match="state a population of whom more do"):
        confirmation_study(FORM, FIRST, np.random.default_rng(1), population=Prior(-4.0, 0.2), n=20)
