"""Publishing a calibration founds the scale, re-derives the cut, and writes new files only."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from assess import irt
from assess.errors import PublishRefused
from assess.irt.models import ItemParameters, category_probabilities, test_characteristic
from assess.items import PriorSpec
from assess.publishing import check, load_bank, plan_calibration, publish_calibration, release_document, seal
from assess.publishing.calibrated import standardised
from assess.publishing.judged import judged_parameters
from assess.responses import ResponseMatrix
from assess.session.release import Release
from tests.publishing import small_bank

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    bank = load_bank(small_bank.write_bank(tmp_path_factory.mktemp("banks")))
    parameters = ItemParameters.from_records(judged_parameters(bank)["items"])
    rng = np.random.default_rng(5)
    categories = irt.simulate(parameters, rng.standard_normal(600), rng)
    matrix = ResponseMatrix(categories, None, parameters.item_ids, parameters.n_categories)
    models = {
        unit: "2PL" if n == 2 else "GPCM"
        for unit, n in zip(matrix.item_ids, matrix.n_categories, strict=True)
    }
    return irt.calibrate(matrix, models)


def _arguments(**changes):
    given: dict[str, Any] = {
        "set_id": "toy-2026-11",
        "reference_group": "600 simulated teachers",
        "reason": "first calibration",
        "by": "R. Reader",
        "now": NOW,
    }
    return given | changes


def _publish(course, calibration, **changes):
    return publish_calibration(load_bank(course), calibration, **_arguments(**changes))


def _on_scale(calibration, **drift):
    """The calibration as `assess calibrate --anchors` leaves it: with the check of its anchors."""
    return replace(
        calibration,
        provenance={**calibration.provenance, "drift": {"removed": [], "refusal": ""} | drift},
    )


def _digests(course):
    return {
        str(path.relative_to(course)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(course.rglob("*.yaml"))
    }


def test_the_first_calibration_founds_the_scale(course, calibration):
    published = _publish(course, calibration)
    assert published.parameter_set.scale.id == "toy/1"
    assert published.parameter_set.scale.reference_group == "600 simulated teachers"
    assert published.parameter_set.status == "calibrated"
    assert published.set_aside == {}
    assert [form.reference for form in published.forms] == ["toy-adaptive.v2", "toy-fixed.v2"]


def test_the_effect_on_pass_rates_is_known_before_anything_is_written(course, calibration):
    before = _digests(course)
    planned = plan_calibration(load_bank(course), calibration, **_arguments())
    fixed = {effect.form: effect for effect in planned.effects}["toy-fixed.v2"]
    assert _digests(course) == before
    assert fixed.replaces == "toy-fixed.v1"
    assert fixed.before is not None
    # The judged parameters were the true ones, and both cuts rest on the same ratings: both see one standard.
    assert fixed.before.at_or_above == fixed.after.at_or_above
    # By the probability rule nobody is decided who is too close to say.
    assert fixed.before.undetermined == 0.0 < fixed.after.undetermined
    assert fixed.after.false_pass < fixed.before.false_pass
    assert "% pass as toy-fixed.v1" in fixed.summary()
    assert planned.write().effects == planned.effects


def test_the_cut_is_derived_anew_from_the_ratings(course, calibration):
    stored = _publish(course, calibration).cuts[0]
    bank = load_bank(course)
    assert (stored.cut.id, stored.cut.scale_id, stored.cut.status) == ("toy-ka.v2", "toy/1", "provisional")
    parameters = bank.parameter_sets["toy-2026-11.v1"].parameters
    expected = float(test_characteristic(parameters, stored.cut.theta)[0])
    assert expected == pytest.approx(sum(stored.ratings.values()), abs=1e-4)
    # The judged parameters were the true ones, with the cut at 0; 600 persons leave an SE near 0.06.
    assert stored.cut.theta == pytest.approx(0.0, abs=0.25)


def test_new_forms_decide_by_probability_and_resolve(course, calibration):
    _publish(course, calibration)
    bank = load_bank(course)
    for form in ("toy-fixed.v2", "toy-adaptive.v2"):
        release = Release.from_document(release_document(bank, form))
        assert release.calibrated
        assert release.form.rule.kind == "probability"
        assert release.prior.mean == release.cut.theta


def test_no_published_file_is_touched_and_the_new_ones_are_sealed(course, calibration):
    seal(course)
    before = _digests(course)
    published = _publish(course, calibration)
    after = _digests(course)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == set(published.files)
    assert check(course) == []


def test_the_file_says_who_why_and_from_what(course, calibration):
    _publish(course, calibration)
    provenance = load_bank(course).parameter_sets["toy-2026-11.v1"].provenance
    assert (provenance["published_by"], provenance["reason"]) == ("R. Reader", "first calibration")
    assert provenance["n_persons"] == 600
    assert provenance["log_likelihood"] == pytest.approx(calibration.log_likelihood, abs=1e-3)
    assert "toy-001.v1" in provenance["standard_errors"]


# --- refusals --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"converged": False}, "did not converge"),
        ({"unbounded": ("toy-001.v1",)}, r"the data do not hold the parameters of toy-001\.v1"),
    ],
)
def test_an_unsound_calibration_is_refused(course, calibration, changes, message):
    with pytest.raises(PublishRefused, match=message):
        _publish(course, replace(calibration, **changes))


def test_a_slope_that_the_data_hardly_tell_from_zero_is_refused(course, calibration):
    errors = dict(calibration.errors)
    errors["toy-002.v1"] = {**errors["toy-002.v1"], "a": 37.8}
    with pytest.raises(PublishRefused, match=r"slope of toy-002\.v1 is smaller than its own standard error"):
        _publish(course, replace(calibration, errors=errors))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"set_id": "toy-judged"}, r"'toy-judged' is taken by toy-judged\.v1"),
        ({"set_id": "Toy 2026"}, "is not an id"),
        ({"reason": " "}, "who publishes and why"),
        ({"by": ""}, "who publishes and why"),
        ({"scale_id": "toy/1"}, "has no scale yet"),
        ({"reference_group": ""}, "name its reference group"),
    ],
)
def test_what_cannot_be_published_is_refused_with_the_reason(course, calibration, changes, message):
    before = _digests(course)
    with pytest.raises(PublishRefused, match=message):
        _publish(course, calibration, **changes)
    assert _digests(course) == before


def test_a_second_calibration_on_a_scale_of_its_own_is_refused(course, calibration):
    _publish(course, calibration)
    with pytest.raises(
        PublishRefused, match=r"reported on 'toy/1', and the calibration lives on a scale of its own"
    ):
        _publish(course, calibration, set_id="toy-2027-01")
    with pytest.raises(PublishRefused, match=r"lives on 'toy/9'"):
        _publish(course, calibration, set_id="toy-2027-01", scale_id="toy/9")


def test_anchors_that_were_not_checked_or_drift_block_publishing(course, calibration):
    _publish(course, calibration)
    later = {"set_id": "toy-2027-01", "scale_id": "toy/1"}
    before = _digests(course)
    with pytest.raises(PublishRefused, match="does not say whether its anchors drifted"):
        _publish(course, calibration, **later)
    with pytest.raises(PublishRefused, match="the scale is not held: 3 of 9 anchors drift"):
        _publish(course, _on_scale(calibration, refusal="3 of 9 anchors drift"), **later)
    assert _digests(course) == before


def test_a_second_calibration_on_the_scale_is_published_and_the_standard_stays(course, calibration):
    first = _publish(course, calibration)
    stricter = replace(
        calibration,
        parameters=standardised(calibration.parameters, -0.2, 1.0),
    )
    second = _publish(course, _on_scale(stricter), set_id="toy-2027-01", scale_id="toy/1")
    assert second.parameter_set.scale == first.parameter_set.scale
    assert [form.version for form in second.forms] == [3, 3]
    # On one scale the same theta stays the standard, however the items' estimates move.
    assert second.cuts == ()
    assert {form.cut for form in second.forms} == {first.cuts[0].cut.id}
    assert [name for name in second.files if name.startswith("cuts/")] == []


def test_a_form_that_joins_later_takes_the_cut_of_the_scale(course, calibration):
    first = _publish(course, calibration)
    small_bank.write(
        course / "forms" / "toy-late.v1.yaml",
        small_bank.form("fixed", id="toy-late", units=[f"toy-{n:03d}.v1" for n in range(1, 9)], blueprint=[]),
    )
    second = _publish(course, _on_scale(calibration), set_id="toy-2027-01", scale_id="toy/1")
    assert {form.id: form.cut for form in second.forms}["toy-late"] == first.cuts[0].cut.id


def test_a_form_that_decides_by_point_keeps_its_rule(course, calibration):
    small_bank.write(
        course / "forms" / "toy-adaptive.v1.yaml", small_bank.form("adaptive", rule={"kind": "point"})
    )
    published = _publish(course, calibration)
    assert {form.id: form.rule.kind for form in published.forms} == {
        "toy-adaptive": "point",
        "toy-fixed": "probability",
    }


def test_a_prior_stated_on_the_judged_scale_does_not_reach_the_founded_one(course, calibration):
    small_bank.write(
        course / "forms" / "toy-fixed.v1.yaml", small_bank.form("fixed", prior={"mean": 0.4, "sd": 0.8})
    )
    published = _publish(course, calibration)
    assert {form.prior for form in published.forms} == {PriorSpec()}
    stated = PriorSpec(0.3, 1.2)
    late = small_bank.form("fixed", version=3, prior={"mean": 0.3, "sd": 1.2}, rule={"kind": "probability"})
    late |= {"parameter_set": published.parameter_set.id, "cut": published.cuts[0].cut.id}
    small_bank.write(course / "forms" / "toy-fixed.v3.yaml", late)
    second = _publish(course, _on_scale(calibration), set_id="toy-2027-01", scale_id="toy/1")
    assert {form.id: form.prior for form in second.forms}["toy-fixed"] == stated


def test_published_standard_errors_are_those_of_the_published_scale(course):
    bank = load_bank(course)
    parameters = ItemParameters.from_records(judged_parameters(bank)["items"])
    rng = np.random.default_rng(6)
    drawn = irt.simulate(parameters, 0.3 + 1.6 * rng.standard_normal(500), rng)
    matrix = ResponseMatrix(drawn, None, parameters.item_ids, parameters.n_categories)
    models = {
        u: "Rasch" if n == 2 else "PCM" for u, n in zip(matrix.item_ids, matrix.n_categories, strict=True)
    }
    calibration = irt.calibrate(matrix, models)
    published = _publish(course, calibration)
    stated = published.parameter_set.provenance["standard_errors"]
    sd = calibration.population.sd
    assert abs(sd - 1.0) > 0.2
    assert stated["toy-001.v1"]["b"] == pytest.approx(calibration.errors["toy-001.v1"]["b"] / sd, abs=1e-4)
    assert stated["toy-set.v1"]["b2"] == pytest.approx(calibration.errors["toy-set.v1"]["b2"] / sd, abs=1e-4)


def test_an_item_that_the_bank_does_not_have_is_refused(course, calibration):
    (course / "items" / "toy-001.v1.yaml").rename(course / "gone.yaml")
    with pytest.raises(PublishRefused, match=r"toy-001\.v1 is neither an item nor a case set"):
        _publish(course, calibration)


def test_an_item_without_a_valid_alignment_is_refused(course, calibration):
    item = small_bank.item(1)
    item["alignments"][0]["code"] = "TL.3.z"
    small_bank.write(course / "items" / "toy-001.v1.yaml", item)
    with pytest.raises(PublishRefused, match=r"toy-001\.v1: .*TL\.3\.z"):
        _publish(course, calibration)


def test_units_whose_categories_were_not_all_observed_are_set_aside(course, calibration):
    small_bank.write(course / "items" / "toy-009.v1.yaml", small_bank.item(9, judged=0.5))
    small_bank.write(
        course / "forms" / "toy-fixed.v1.yaml",
        small_bank.form("fixed", units=[f"toy-{n:03d}.v1" for n in range(1, 9)], blueprint=[]),
    )
    published = _publish(course, calibration)
    assert published.set_aside == {
        "toy-009.v1": "has 2 categories, of which 3 were observed",
        "toy-adaptive.v1": "no new version: toy-009.v1 is not calibrated",
    }
    assert [form.reference for form in published.forms] == ["toy-fixed.v2"]


def test_a_bank_without_a_form_for_it_is_refused(course, calibration):
    small_bank.write(course / "items" / "toy-009.v1.yaml", small_bank.item(9, judged=0.5))
    with pytest.raises(PublishRefused, match="no form of toy has all its units calibrated"):
        _publish(course, calibration)


# --- standardising ---------------------------------------------------------------


def test_standardised_parameters_give_the_same_probabilities():
    items = ItemParameters.from_records(
        [
            {"item": "r", "model": "Rasch", "b": 0.4},
            {"item": "p", "model": "PCM", "b1": -1.0, "b2": 0.7},
            {"item": "g", "model": "GRM", "a": 1.3, "b1": -1.0, "b2": 0.7},
            {"item": "t", "model": "3PL", "a": 1.2, "b": 0.3, "c": 0.2},
            {"item": "n", "model": "NRM", "a1": -1.0, "a2": 0.2, "a3": 0.8, "c1": 0.1, "c2": 0.3, "c3": -0.4},
        ]
    )
    theta = np.linspace(-3, 3, 13)
    moved = standardised(items, 0.4, 1.7)
    same = category_probabilities(moved, (theta - 0.4) / 1.7)
    assert np.allclose(same, category_probabilities(items, theta), atol=1e-12)
