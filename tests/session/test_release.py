"""A release is refused at activation, never in front of a learner."""

from __future__ import annotations

from typing import Any

import pytest

from assess.errors import ActivationRefused, AssessError, InvalidContent, ScaleMismatch
from assess.items import Requirement
from assess.session import Release, count_items
from tests import synthetic


def test_a_release_is_named_by_the_hash_of_its_document() -> None:
    document = synthetic.document()
    release = Release.from_document(document)
    assert Release.from_document(document, release.sha256).sha256 == release.sha256
    with pytest.raises(InvalidContent, match="altered"):
        Release.from_document(document, "0" * 64)


def test_a_release_knows_its_standing() -> None:
    fixed, practice = synthetic.release(), synthetic.release(kind="adaptive")
    calibrated = synthetic.release(kind="adaptive", calibrated=True)
    assert fixed.provisional
    assert not fixed.practice
    assert fixed.raw_cut == pytest.approx(7.2)
    assert practice.practice
    assert practice.provisional
    assert not calibrated.practice
    assert calibrated.provisional


def test_an_adopted_cut_on_calibrated_parameters_is_not_provisional() -> None:
    release = synthetic.release(calibrated=True, cut={"status": "adopted", "panel": "panel-1"})
    assert not release.provisional


def test_the_prior_is_centred_at_the_cut_unless_the_form_says_otherwise() -> None:
    assert synthetic.release(cut={"theta": 0.4}).prior.mean == 0.4
    assert synthetic.release(form={"prior": {"mean": 0.1, "sd": 0.8}}).prior.sd == 0.8


def test_a_case_set_counts_as_one_unit_with_the_sum_of_its_categories() -> None:
    release = synthetic.release(with_case_set=True)
    assert len(release.units) == 10
    assert release.units[-1].n_categories == 4
    assert len(release.units[-1].items) == 3


def without(document: dict[str, Any], path: str) -> dict[str, Any]:
    *parents, last = path.split("/")
    inner = document
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    return document


@pytest.mark.parametrize(
    ("document", "error", "message"),
    [
        (
            without(synthetic.document(), "items/x-003.v1"),
            ActivationRefused,
            "x-003.v1 is not in the release",
        ),
        (synthetic.document(cut={"scale": "twt-3/9"}), ScaleMismatch, "activating x-fixed.v1"),
        (synthetic.document(cut={"ratings": {}}), ActivationRefused, "no judged rating for x-001.v1"),
        (synthetic.document(cut={"ratings": {"x-001.v1": -1}}), InvalidContent, r"ratings.x-001.v1"),
        (synthetic.document(form={"rule": {"kind": "probability"}}), ActivationRefused, "is provisional"),
        (synthetic.document(kind="adaptive", form={"rule": {"kind": "raw"}}), ActivationRefused, "raw score"),
        (synthetic.document(form={"pilot": ["x-001.v1"]}), ActivationRefused, "x-001.v1 is used twice"),
        (
            synthetic.document(form={"blueprint": [{"label": "many a", "minimum": 9, "process": "recall"}]}),
            ActivationRefused,
            "blueprint many a wants 9",
        ),
        (
            synthetic.document(
                kind="adaptive",
                form={
                    "blueprint": [
                        {"label": c, "minimum": 4, "framework": "unesco-ict-cft", "version": "2", "code": c}
                        for c in synthetic.CODES
                    ]
                },
            ),
            ActivationRefused,
            "max_units allows 8",
        ),
        (
            synthetic.document(calibrated=True, form={"scoring": "WL"}),
            ActivationRefused,
            "the probability rule integrates a posterior, which WL does not have",
        ),
        (
            synthetic.document(
                kind="adaptive", calibrated=True, form={"scoring": "WL", "rule": {"kind": "point"}}
            ),
            ActivationRefused,
            "WL can rise after a wrong answer",
        ),
        ({**synthetic.document(), "schema": "other/1"}, InvalidContent, "reads assess.release/1"),
        ({**synthetic.document(), "extra": 1}, InvalidContent, "unknown field 'extra'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts_that_do_not_fit_are_refused(
    document: dict[str, Any], error: type[AssessError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Release.from_document(document)


def test_a_parameter_set_that_lacks_a_unit_is_refused() -> None:
    document = synthetic.document()
    document["parameter_set"]["items"] = document["parameter_set"]["items"][:-1]
    with pytest.raises(ActivationRefused, match=r"x-parameters\.v1 has no x-012\.v1"):
        Release.from_document(document)


def test_categories_that_differ_between_item_and_parameters_are_refused() -> None:
    document = synthetic.document()
    graded = synthetic.item(1, credit={"b": 2, "a": 1})
    del graded["key"]
    document["items"]["x-001.v1"] = graded
    with pytest.raises(ActivationRefused, match=r"x-001\.v1 has 3 categories, its parameters 2"):
        Release.from_document(document)


@pytest.mark.parametrize("state", ["draft", "reviewed", "pilot", "retired"])
def test_an_item_that_is_not_active_is_refused(state: str) -> None:
    document = synthetic.document()
    document["items"]["x-001.v1"]["state"] = state
    with pytest.raises(ActivationRefused, match=f"x-001.v1 is {state}"):
        Release.from_document(document)


def test_an_item_of_a_case_set_is_not_named_alone() -> None:
    document = synthetic.document()
    document["items"]["x-001.v1"]["case_set"] = "x-set"
    with pytest.raises(ActivationRefused, match="the form names the set"):
        Release.from_document(document)


def test_an_item_that_needs_a_rater_is_refused_as_operational() -> None:
    document = synthetic.document()
    text = synthetic.item(1)
    for key in ("options", "key"):
        del text[key]
    text |= {"interaction": "extended_text", "n_categories": 2, "texts": {"en": {"stem": "Write."}}}
    document["items"]["x-001.v1"] = text
    with pytest.raises(ActivationRefused, match="needs a rater"):
        Release.from_document(document)


def test_a_session_counts_what_a_code_holds_as_the_blueprint_does() -> None:
    release = synthetic.release()
    items = list(release.items.values())
    whole = Requirement("aspect", 1, framework="unesco-ict-cft", version="2", code="TL.3")
    parts = [
        Requirement(code, 1, framework="unesco-ict-cft", version="2", code=code) for code in synthetic.CODES
    ]
    assert count_items(items, whole) == sum(count_items(items, part) for part in parts) == len(items)


def test_an_adaptive_form_may_ask_for_an_aspect_as_a_whole() -> None:
    wanted = {"label": "aspect", "minimum": 5, "framework": "unesco-ict-cft", "version": "2", "code": "TL.3"}
    release = synthetic.release(kind="adaptive", form={"blueprint": [wanted]})
    assert release.adaptive_test.constraints[0].coefficients.tolist() == [1.0] * 12
