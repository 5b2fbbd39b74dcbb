"""A multistage form says its modules, panels and routes as data, and what cannot be meant is refused."""

from __future__ import annotations

import copy
import json

import pytest

from assess.errors import InvalidContent
from assess.items import Form, Panel, Route
from tests import synthetic


def _form(**changes):
    mapping = synthetic.document(kind="multistage", calibrated=True)["form"]
    return copy.deepcopy(mapping | changes)


def _with(change):
    mapping = _form()
    change(mapping["multistage"])
    return mapping


def test_a_multistage_form_survives_its_mapping():
    form = Form.from_mapping(_form(), "form")
    assert Form.from_mapping(json.loads(json.dumps(form.to_mapping())), "form") == form
    assert form.multistage is not None
    assert form.multistage.lengths == (8, 8)
    assert form.multistage.panels[0].modules == ("a-1", "a-2-1", "a-2-2")


def test_the_paths_of_a_panel_follow_its_routes_to_their_ends():
    panel = Panel(
        "p",
        "1",
        (
            Route(("1",), ("2e", "2h"), (3,)),
            Route(("1", "2e"), ("3e", "3m"), (5,)),
            Route(("1", "2h"), ("3m",)),
        ),
    )
    assert panel.paths() == (("1", "2e", "3e"), ("1", "2e", "3m"), ("1", "2h", "3m"))


def test_other_forms_are_written_as_before():
    fixed = synthetic.release().form
    assert "multistage" not in fixed.to_mapping()


def _set(name, value):
    return lambda rules: rules["panels"][0]["routes"][0].update({name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("to", ["a-2-1", "a-9"]), "to: unknown module 'a-9'; known here: a-1, a-2-1, a-2-2"),
        (lambda r: r["panels"][0].update(start="b-1"), "start: unknown module 'b-1'"),
        (lambda r: r["modules"]["a-1"].append("x-099.v1"), "x-099.v1 is not a unit of this form"),
        (lambda r: r["modules"]["a-1"].pop(), "is a unit of this form and stands in no module"),
        (lambda r: r["modules"]["a-1"].append("x-001.v1"), "x-001.v1 stands in a-1 and in a-2-1; once"),
        (lambda r: r["modules"]["a-1"].append(r["modules"]["a-1"][0]), "each of them once"),
        (lambda r: r["modules"].update({"a-3": ["x-001.v1"]}), "a-3: no path of any panel leads to it"),
        (lambda r: r.update(modules=[]), "expected a mapping from the name of a module"),
        (lambda r: r.update(panels=[]), "one panel or more"),
        (lambda r: r["panels"].append(r["panels"][0]), "an id of its own"),
        (lambda r: r.update(routing="guess"), "'guess' is not one of raw, theta"),
        (_set("thresholds", [2.5]), "expected a list of whole raw scores"),
        (_set("thresholds", [True]), "expected a list of whole raw scores"),
        (_set("thresholds", []), "2 modules are told apart by 1 rising numbers"),
        (_set("thresholds", [1, 2]), "2 modules are told apart by 1 rising numbers"),
        (_set("to", ["a-2-1", "a-2-1"]), "name one module or more, each of them once"),
        (_set("to", ["a-1", "a-2-1"]), "a-1 would be met again"),
        (_set("after", ["a-2-1"]), "nothing leads to a-2-1"),
        (lambda r: r["panels"][0]["routes"].append(r["panels"][0]["routes"][0]), "or it has a route already"),
        (_set("when", "always"), "unknown field 'when'"),
    ],
)
def test_rules_that_cannot_be_meant_are_refused_with_their_place(change, message):
    with pytest.raises(InvalidContent, match=message):
        Form.from_mapping(_with(change), "form")


def test_thetas_may_be_any_rising_numbers():
    mapping = _form()
    mapping["multistage"]["routing"] = "theta"
    mapping["multistage"]["panels"][0]["routes"][0]["thresholds"] = [-0.25]
    form = Form.from_mapping(mapping, "form")
    assert form.multistage is not None
    assert form.multistage.panels[0].routes[0].thresholds == (-0.25,)
    mapping["multistage"]["panels"][0]["routes"][0]["thresholds"] = ["high"]
    with pytest.raises(InvalidContent, match="expected a list of thetas"):
        Form.from_mapping(mapping, "form")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "fixed"}, "a form of kind multistage, and no other, states its multistage rules"),
        ({"multistage": None}, "a form of kind multistage, and no other, states its multistage rules"),
        ({"review": "allowed"}, "a form of kind multistage never allows review"),
        ({"extension": {"most": 1}}, "only an adaptive form has items left to go on with"),
        ({"sections": [{"title": {"en": "One"}, "units": ["x-001.v1"]}]}, "only it has them"),
        ({"rule": {"kind": "placement"}}, "a part of a placement is adaptive"),
    ],
)
def test_what_does_not_go_with_modules_is_refused(changes, message):
    with pytest.raises(InvalidContent, match=message):
        Form.from_mapping(_form(**changes), "form")
