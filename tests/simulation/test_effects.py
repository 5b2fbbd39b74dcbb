"""The effect of a new version of a form: both versions see the same simulated learners."""

from __future__ import annotations

import numpy as np
import pytest

from assess.irt import Prior
from assess.session import Release
from assess.simulation import effect_of_change, form_accuracy
from tests import synthetic

DOCUMENT = synthetic.document(calibrated=True, n_items=12)
FORM = Release.from_document(DOCUMENT)


def test_a_form_against_itself_changes_nothing():
    found = effect_of_change(FORM, FORM, np.random.default_rng(3), n=1000)
    assert found.before is not None
    assert found.before.shares == found.after.shares
    # Another function, other draws: 10,000 learners, standard error of either share below 0.017.
    whole = form_accuracy(FORM, np.random.default_rng(4)).rule
    assert found.after.accuracy == pytest.approx(whole.accuracy, abs=0.05)
    assert found.after.passed == pytest.approx(whole.passed, abs=0.05)


def test_a_higher_cut_and_a_weaker_population_pass_fewer():
    strict = synthetic.document(calibrated=True, n_items=12, cut={"theta": 0.8})
    found = effect_of_change(FORM, Release.from_document(strict), np.random.default_rng(3), n=1000)
    assert found.before is not None
    assert found.after.passed < found.before.passed - 0.1
    weaker = effect_of_change(FORM, FORM, np.random.default_rng(3), population=Prior(-1.0, 1.0), n=1000)
    assert weaker.after.passed < found.before.passed - 0.1
    assert "% pass as x-fixed.v1" in found.summary()
    assert {name: (a, b) for name, a, b in found.rows()}["passed"] == (
        found.before.passed,
        found.after.passed,
    )


def test_a_form_without_a_past_or_on_an_unknown_scale_is_said():
    found = effect_of_change(None, FORM, np.random.default_rng(3), n=200)
    assert found.before is None
    assert "there is no version before" in found.summary()
    judged = Release.from_document(synthetic.document(n_items=14))
    other = effect_of_change(judged, FORM, np.random.default_rng(3), n=200)
    assert other.note == "x-fixed.v1 cannot be compared: x-013.v1 has no parameters on twt-3/1"
    assert np.isnan(other.rows()[0][1])
