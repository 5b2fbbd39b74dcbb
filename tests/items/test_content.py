"""Items, case sets and forms: what is read back, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from assess.errors import InvalidContent
from assess.items import CaseSet, Form, Item, split_reference

ITEM: dict[str, Any] = {
    "id": "x-1",
    "version": 2,
    "state": "active",
    "interaction": "matching",
    "options": ["1", "2"],
    "targets": ["x", "y"],
    "key": {"1": "y", "2": "x"},
    "scoring": "partial",
    "process": "apply",
    "alignments": [
        {"framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a", "primary": True},
        {"framework": "iste-educators", "version": "2017", "code": "2.5.b", "primary": False},
    ],
    "judged": {"just_proficient": 1.2, "reason": "Two of the pairs are common knowledge."},
    "texts": {
        "en": {"stem": "Match.", "options": {"1": "one", "2": "two"}, "targets": {"x": "X", "y": "Y"}},
        "fr": {
            "stem": "Reliez.",
            "options": {"1": "un", "2": "deux"},
            "targets": {"x": "X", "y": "Y"},
            "review": "not reviewed by a native speaker",
        },
    },
}
FORM: dict[str, Any] = {
    "id": "f-1",
    "version": 1,
    "course": "c-1",
    "kind": "adaptive",
    "title": {"en": "A form"},
    "units": ["x-1.v1", "x-2.v1"],
    "parameter_set": "p.v1",
    "cut": "k.v1",
    "adaptive": {"min_units": 1, "max_units": 2},
    "blueprint": [
        {"label": "a", "minimum": 1, "framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a"}
    ],
}


def changed(base: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    out = copy.deepcopy(base)
    *parents, last = path.split(".")
    inner: Any = out
    for parent in parents:
        inner = inner[int(parent)] if isinstance(inner, list) else inner[parent]
    if isinstance(inner, list):
        inner[int(last)] = value
    else:
        inner[last] = value
    return out


def test_an_item_is_read_back_as_it_was_written() -> None:
    item = Item.from_mapping(ITEM, "x")
    assert Item.from_mapping(item.to_mapping(), "x") == item
    assert item.reference == "x-1.v2"
    assert item.n_categories == 3
    assert item.languages == ("en", "fr")


def test_a_language_falls_back_to_its_base_and_then_to_the_source() -> None:
    item = Item.from_mapping(ITEM, "x")
    assert item.text("fr-CA")[0] == "fr"
    assert item.text("ar")[0] == "en"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("id", "X 1", "not an id"),
        ("id", 7, "expected text, got 7"),
        ("version", 0, "below 1"),
        ("version", True, "whole number"),
        ("state", "live", "not one of draft"),
        ("process", "guess", "not one of recall"),
        ("alignments", [], "at least one framework"),
        ("alignments.0.version", 2, "quote it"),
        (
            "alignments.1",
            {"framework": "unesco-ict-cft", "version": "2", "code": "TL.3.b"},
            "already has a primary",
        ),
        (
            "alignments.1",
            {"framework": "unesco-ict-cft", "version": "2", "code": "TL.3.a", "primary": False},
            "twice",
        ),
        ("judged.just_proficient", 2.5, "between 0 and 2"),
        ("texts", {}, "at least one language"),
        ("texts.en.options", {"1": "one"}, "differ at '2'"),
        ("texts.en.options", {"1": "one", "2": "two", "3": "three"}, "differ at '3'"),
        ("texts.en.targets", {"x": "X"}, "differ at 'y'"),
        ("texts.en.stem", "  ", "expected text"),
        ("keys", {"1": "x"}, "unknown field 'keys'"),
        ("notes", "x", "mapping"),
    ],
)
def test_a_faulty_item_is_refused_with_its_place(path: str, value: object, message: str) -> None:
    with pytest.raises(InvalidContent, match=message) as caught:
        Item.from_mapping(changed(ITEM, path, value), "items/x-1.v2.yaml")
    assert str(caught.value).startswith("items/x-1.v2.yaml")


def test_an_unknown_language_tag_is_refused() -> None:
    with pytest.raises(InvalidContent, match="language tag"):
        Item.from_mapping(changed(ITEM, "texts.english please", ITEM["texts"]["en"]), "x")


def test_a_case_set_is_read_back_and_needs_two_items() -> None:
    mapping = {
        "kind": "case_set",
        "id": "s-1",
        "version": 1,
        "items": ["a-1.v1", "a-2.v1"],
        "texts": {"en": "Story."},
    }
    case_set = CaseSet.from_mapping(mapping, "s")
    assert CaseSet.from_mapping(case_set.to_mapping(), "s") == case_set
    assert case_set.text("ar") == ("en", "Story.")
    with pytest.raises(InvalidContent, match="two or more"):
        CaseSet.from_mapping({**mapping, "items": ["a-1.v1"]}, "s")


def test_a_form_is_read_back_as_it_was_written() -> None:
    form = Form.from_mapping(FORM, "f")
    assert Form.from_mapping(form.to_mapping(), "f") == form


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("kind", "fixed", "states its adaptive rules"),
        ("units", [], "at least one unit"),
        ("units", ["x-1.v1", "x-1.v1"], "listed twice"),
        ("units", ["x-1"], "versioned reference"),
        ("units", "x-1.v1", "expected a list"),
        ("review", "allowed", "never allows review"),
        ("pilot_slots", 1, "1 slots for 0"),
        ("adaptive.min_units", 3, "exceeds max_units"),
        ("adaptive.se", -0.1, "positive"),
        ("adaptive.selection", "magic", "not one of MFI"),
        ("prior", {"sd": 0}, "positive"),
        ("rule", {"kind": "probability", "p_pass": 0.2}, "must hold"),
        ("blueprint.0.version", None, "a code needs its framework"),
        ("blueprint.0.process", "apply", "counts one of"),
        ("blueprint.0.maximum", 0, "below the minimum"),
        ("retake", {"max_tries": 0}, "below 1"),
        ("retake", {"p_pass_by_try": [0.75, 0.7]}, "never falls"),
        ("retake", {"p_pass_by_try": [0.8, 0.9]}, "begins with the rule's own 0.75"),
        ("retake", {"p_pass_by_try": [0.75, 1.0]}, "is below 1"),
        ("retake", {"p_pass_by_try": 0.8}, "one per try"),
        ("rule", {"kind": "placement", "p_pass": 0.9}, "grants a course at 0.95 or more, not at 0.9"),
        ("rule", {"kind": "chance"}, "not one of"),
        ("time_limit", 30, "unknown field 'time_limit'"),
    ],
)
def test_a_faulty_form_is_refused_with_its_place(path: str, value: object, message: str) -> None:
    with pytest.raises(InvalidContent, match=message) as caught:
        Form.from_mapping(changed(FORM, path, value), "forms/f-1.v1.yaml")
    assert str(caught.value).startswith("forms/f-1.v1.yaml") or "versioned reference" in message


def test_a_policy_that_asks_more_of_later_tries_says_what_each_asks() -> None:
    rising = {"p_pass_by_try": [0.75, 0.8, 0.9]}
    form = Form.from_mapping(FORM | {"retake": rising}, "f")
    assert [form.rule_at(n).p_pass for n in (1, 2, 3, 4, 9)] == [0.75, 0.8, 0.9, 0.9, 0.9]
    assert Form.from_mapping(form.to_mapping(), "f") == form
    plain = Form.from_mapping(FORM, "f")
    assert plain.rule_at(5) == plain.rule
    assert "p_pass_by_try" not in plain.to_mapping()["retake"], "documents of before keep their hash"


def test_a_rising_probability_needs_a_rule_that_has_one() -> None:
    rising = {"rule": {"kind": "point"}, "retake": {"p_pass_by_try": [0.75, 0.8]}}
    with pytest.raises(
        InvalidContent, match="only a probability rule has a probability that rises, not point"
    ):
        Form.from_mapping(FORM | rising, "f")


def test_a_part_of_a_placement_is_adaptive_and_covers_content() -> None:
    placement = FORM | {"rule": {"kind": "placement"}}
    assert Form.from_mapping(placement, "f").placement
    assert Form.from_mapping(placement, "f").rule.p_pass == 0.95
    with pytest.raises(InvalidContent, match="adaptive, has a blueprint, and tries no items out"):
        Form.from_mapping({**placement, "blueprint": []}, "f")


def test_a_reference_without_a_version_is_refused() -> None:
    with pytest.raises(InvalidContent, match=r"x-1\.v0"):
        split_reference("x-1.v0")
