"""The accuracy of forms and badge rules agrees with closed forms and with other simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidParameters, NotFound
from assess.irt import ItemParameters, Prior, raw_rule_accuracy, rule_accuracy
from assess.irt.uncertainty import draw_parameters
from assess.publishing import load_bank, release_document
from assess.session import Release
from assess.simulation import accuracy_after_tries, badge_accuracy, form_accuracy
from assess.standards.eligibility import load_rules
from tests import synthetic
from tests.publishing.small_bank import write_bank


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return load_bank(write_bank(tmp_path_factory.mktemp("banks")))


def _calibrated(bank, *, form="toy-fixed.v1", scale=1.0, cut=0.0, cut_se=None, errors=None, **rule):
    document = release_document(bank, form)
    document["form"] |= {"rule": {"kind": "probability", **rule}}
    document["parameter_set"]["status"] = "calibrated"
    document["cut"]["theta"] = cut
    if cut_se is not None:
        document["cut"]["se"] = cut_se
    for record in document["parameter_set"]["items"]:
        record["a"] *= scale
    if errors is not None:
        document["parameter_set"]["provenance"]["standard_errors"] = {
            record["item"]: {name: errors for name in record if name[0] == "b"}
            for record in document["parameter_set"]["items"]
        }
    return Release.from_document(document)


# --- one form --------------------------------------------------------------------


def test_a_fixed_form_by_probability_equals_the_accuracy_of_its_parameters(bank):
    release = _calibrated(bank)
    found = form_accuracy(release, np.random.default_rng(1), n=20_000).rule
    other = rule_accuracy(
        release.parameters, 0.0, prior=release.prior, n_simulees=20_000, rng=np.random.default_rng(2)
    )
    for name in ("accuracy", "false_pass", "false_fail", "undetermined", "consistency", "kappa"):
        # Four standard errors of a difference of two independent simulations.
        room = 4.0 * math.hypot(found.errors[name], other.errors[name])
        assert getattr(found, name) == pytest.approx(getattr(other, name), abs=room)


def test_a_raw_rule_equals_the_exact_recursion(bank):
    release = _calibrated(bank, kind="raw")
    found = form_accuracy(release, np.random.default_rng(1), n=20_000).rule
    exact = raw_rule_accuracy(release.parameters, release.raw_cut, 0.0)
    for name in ("accuracy", "false_pass", "false_fail", "consistency"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=4.0 * found.errors[name])
    assert found.undetermined == 0.0


def test_a_point_rule_leaves_nobody_undetermined(bank):
    found = form_accuracy(_calibrated(bank, kind="point"), np.random.default_rng(1), n=2_000).rule
    assert found.undetermined == 0.0
    assert found.accuracy + found.false_pass + found.false_fail == pytest.approx(1.0)


def test_an_adaptive_form_is_simulated_by_the_kernel_that_serves_learners(bank):
    found = form_accuracy(_calibrated(bank, form="toy-adaptive.v1"), np.random.default_rng(1), n=2_000)
    assert "adaptive" in found.rule.method
    assert found.rule.accuracy + found.rule.false_pass + found.rule.false_fail + found.rule.undetermined == (
        pytest.approx(1.0)
    )


def test_sharper_items_err_less(bank):
    blunt = form_accuracy(_calibrated(bank), np.random.default_rng(1), n=4_000).rule
    sharp = form_accuracy(_calibrated(bank, scale=3.0), np.random.default_rng(1), n=4_000).rule
    assert sharp.undetermined < blunt.undetermined
    assert sharp.accuracy > blunt.accuracy


@given(st.floats(0.6, 0.9))
def test_a_stricter_rule_never_passes_more(bank, p_pass):
    strict = form_accuracy(_calibrated(bank, p_pass=0.95), np.random.default_rng(2), n=300, n_draws=1).rule
    mild = form_accuracy(_calibrated(bank, p_pass=p_pass), np.random.default_rng(2), n=300, n_draws=1).rule
    assert strict.passed <= mild.passed


def test_uncertain_items_and_an_uncertain_cut_have_their_shares(bank):
    release = _calibrated(bank, scale=2.0, cut_se=0.25, errors=0.5)
    found = form_accuracy(release, np.random.default_rng(3), n=20_000, n_draws=50)
    assert found.drawn == ("items", "cut")
    assert found.mean_se_b == pytest.approx(0.5)
    assert math.fsum(found.wrong.values()) == pytest.approx(found.rule.false_pass + found.rule.false_fail)
    assert all(share > 0.0 for share in found.wrong.values())
    known = form_accuracy(_calibrated(bank, scale=2.0), np.random.default_rng(3), n=20_000, n_draws=50)
    assert known.drawn == ()
    assert "items and cut taken as known" in known.basis
    assert known.rule.accuracy > found.rule.accuracy


def test_the_accuracy_with_drawn_items_is_that_of_estimates_around_the_truth(bank):
    """Truth around the estimate is what estimates around the truth look like: one normal difference."""
    release = _calibrated(bank, scale=2.0, errors=0.5)
    found = form_accuracy(release, np.random.default_rng(3), n=20_000, n_draws=100).rule
    errors = release.parameter_set.provenance["standard_errors"]
    rng = np.random.default_rng(4)
    shares = [
        rule_accuracy(
            draw_parameters(release.parameters, errors, rng),
            0.0,
            prior=release.prior,
            n_simulees=400,
            rng=rng,
            answering=release.parameters,
        ).accuracy
        for _ in range(100)
    ]
    room = 4.0 * math.hypot(found.errors["accuracy"], float(np.std(shares)) / 10.0)
    assert found.accuracy == pytest.approx(float(np.mean(shares)), abs=room + 0.01)


def test_what_is_kept_is_plain_and_says_its_basis(bank):
    found = form_accuracy(_calibrated(bank), np.random.default_rng(1), n=500)
    kept = found.to_mapping()
    assert kept["population"] == {"mean": 0.0, "sd": 1.0}
    assert kept["mean_se_b"] is None
    assert "500 simulated learners" in kept["basis"]
    assert found.to_frame().loc["toy-fixed.v1", "wrong_measurement"] == kept["wrong"]["measurement"]
    assert "toy-fixed.v1" in repr(found)


def test_judged_parameters_have_no_accuracy(bank):
    release = Release.from_document(release_document(bank, "toy-fixed.v1"))
    for study in (form_accuracy, accuracy_after_tries):
        with pytest.raises(InvalidParameters, match=r"toy-fixed\.v1 rests on judged parameters"):
            study(release, np.random.default_rng(1))


def test_too_few_learners_are_refused(bank):
    with pytest.raises(InvalidParameters, match="n is 30 for 20 draws"):
        form_accuracy(_calibrated(bank), np.random.default_rng(1), n=30)
    with pytest.raises(InvalidParameters, match="tries is 0"):
        accuracy_after_tries(_calibrated(bank), np.random.default_rng(1), tries=0)


# --- tries -----------------------------------------------------------------------


def test_tries_multiply_false_passes_as_the_arithmetic_says(bank):
    """A learner far below passes a try with probability f, and one of k with 1 - (1 - f)^k."""
    release = _calibrated(bank, scale=1.5)
    low = Prior(-0.6, 1e-9)
    found = accuracy_after_tries(release, np.random.default_rng(1), population=low, n=20_000, tries=3)
    f = found[0].false_pass
    assert 0.02 < f < 0.3
    for k, accuracy in enumerate(found, start=1):
        assert accuracy.false_pass == pytest.approx(1.0 - (1.0 - f) ** k, abs=0.02)


def test_the_policy_of_the_form_says_how_many_tries(bank):
    release = _calibrated(bank)
    found = accuracy_after_tries(release, np.random.default_rng(1), n=200)
    assert len(found) == release.form.retake.max_tries
    passed = [accuracy.passed for accuracy in found]
    assert passed == sorted(passed)


# --- a badge ---------------------------------------------------------------------

ALL_SIX = load_rules(
    {"badges": {"SIX": {"rule": {"all_of": [{"pass": {"course": f"c{k}"}} for k in range(1, 7)]}}}}
)


def test_a_badge_over_courses_that_always_go_together_is_as_good_as_its_courses_together(bank):
    """With correlation near one and sharp forms, all six is nearly one."""
    release = _calibrated(bank, scale=6.0)
    releases = {f"c{k}": release for k in range(1, 7)}
    found = badge_accuracy(ALL_SIX, "SIX", releases, np.random.default_rng(1), correlations=(0.999,), n=2_000)
    assert found.by_correlation[0.999].at_or_above == pytest.approx(0.48, abs=0.05)


def test_independent_courses_multiply(bank):
    release = _calibrated(bank, kind="point")
    releases = {f"c{k}": release for k in range(1, 7)}
    found = badge_accuracy(ALL_SIX, "SIX", releases, np.random.default_rng(1), correlations=(0.0,), n=20_000)
    one = form_accuracy(release, np.random.default_rng(2), n=20_000).rule
    accuracy = found.by_correlation[0.0]
    assert accuracy.at_or_above == pytest.approx(0.5**6, abs=0.005)
    assert accuracy.passed == pytest.approx(one.passed**6, abs=0.005)


def test_what_a_badge_rests_on_is_said_in_a_table(bank):
    releases = {f"c{k}": _calibrated(bank) for k in range(1, 7)}
    found = badge_accuracy(ALL_SIX, "SIX", releases, np.random.default_rng(1), n=500, tries=2)
    frame = found.to_frame()
    assert list(frame.index) == [0.5, 0.7, 0.9]
    assert frame["at_or_above"].is_monotonic_increasing


def test_a_badge_that_rests_on_something_else_is_refused(bank):
    rules = load_rules(
        {"badges": {"B": {"rule": {"all_of": [{"pass": {"course": "c1"}}, {"fact": {"type": "attended"}}]}}}}
    )
    rng = np.random.default_rng(1)
    with pytest.raises(InvalidParameters, match="badge B asks for fact"):
        badge_accuracy(rules, "B", {"c1": _calibrated(bank)}, rng)
    with pytest.raises(InvalidParameters, match="badge SIX asks for course c1"):
        badge_accuracy(ALL_SIX, "SIX", {}, rng)
    with pytest.raises(NotFound):
        badge_accuracy(ALL_SIX, "SEVEN", {}, rng)
    releases = {f"c{k}": _calibrated(bank) for k in range(1, 7)}
    for correlations in ((), (1.0,), (-0.1,)):
        with pytest.raises(InvalidParameters, match="at least 0 and below 1"):
            badge_accuracy(ALL_SIX, "SIX", releases, rng, correlations=correlations)


def test_an_item_parameter_set_of_other_units_is_refused(bank):
    release = _calibrated(bank, form="toy-adaptive.v1")
    from assess.irt import simulate_adaptive

    other = ItemParameters(["x"], "2PL", [1.0], [[0.0]])
    with pytest.raises(InvalidParameters, match="answer by other units"):
        simulate_adaptive(release.adaptive_test, [0.0], np.random.default_rng(1), answering=other)


def test_the_synthetic_release_of_the_service_tests_has_an_accuracy():
    release = Release.from_document(synthetic.document(calibrated=True))
    assert 0.5 < form_accuracy(release, np.random.default_rng(1), n=1_000).rule.accuracy < 1.0
