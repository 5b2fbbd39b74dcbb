"""Panels of the real banks keep the blueprint of their pattern on every path; the example is such a form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from assess.errors import InvalidContent, InvalidParameters
from assess.items import Form, Requirement
from assess.publishing import load_bank
from assess.publishing.banks import release_document
from assess.publishing.files import read_yaml
from assess.publishing.freezing import plan_freeze
from assess.publishing.panels import PanelOptions, assemble_panels
from assess.session import Release, outcome
from assess.session.release import count_items
from tests.session.driving import NOON, always_blank, always_right, run

ROOT = Path(__file__).parents[2]
BANKS = ROOT / "item_banks" / "teaching-with-technology"
EXAMPLE = ROOT / "examples" / "multistage" / "twt-3-staged.v1.yaml"


@pytest.fixture(scope="module")
def bank():
    return load_bank(BANKS / "twt-3")


@pytest.fixture(scope="module")
def pattern(bank):
    return bank.forms["twt-3-fixed.v1"]


def _keeps(bank, form):
    """Every path has the items, the blueprint, and no two items that name each other."""
    rules = form.multistage
    for panel in rules.panels:
        for path in panel.paths():
            items = [item for unit in rules.units_of(path) for item in bank.unit_items(unit)]
            ids = {item.id for item in items}
            assert not any(set(item.notes.get("not_with", ())) & ids for item in items)
            for requirement in form.blueprint:
                held = count_items(items, requirement)
                assert held >= requirement.minimum
                assert requirement.maximum is None or held <= requirement.maximum


def test_paths_keep_the_pattern_and_routes_are_where_information_crosses(bank, pattern):
    form, found = assemble_panels(bank, pattern, "new", PanelOptions(stages=(1, 2)))
    _keeps(bank, form)
    assert [len(module) for module in found.panels[0]] == [12, 12, 12]
    assert form.kind == "multistage"
    assert (form.rule.kind, form.review, form.time_limit_minutes) == ("probability", "none", 36)
    rules = form.multistage
    assert rules is not None
    (route,) = rules.panels[0].routes
    assert (route.after, route.to) == (("a-1",), ("a-2-1", "a-2-2"))
    assert rules.made["routes"] == "where information crosses"
    # As it would stand in a file.
    assert Form.from_mapping(form.to_mapping(), "form") == form
    # Each module tells more at its aim than the other of its stage.
    parameters = bank.parameter_sets[form.parameter_set].parameters
    from assess.irt import information

    for name, other, theta in (("a-2-1", "a-2-2", -1.0), ("a-2-2", "a-2-1", 1.0)):
        own, rival = (information(parameters.take(rules.modules[m]), [theta]).sum() for m in (name, other))
        assert own > rival


def test_shares_of_a_population_can_say_where_to_route(bank, pattern):
    options = PanelOptions(stages=(1, 2), routing="theta", shares=[(0.5, 0.5)])
    form, _ = assemble_panels(bank, pattern, "new", options)
    assert form.multistage is not None
    # Half of N(0, 1) is below 0.
    assert form.multistage.panels[0].routes[0].thresholds == (0.0,)
    assert form.multistage.made["routes"]["shares"] == [[0.5, 0.5]]


def test_the_example_is_a_form_that_can_be_delivered(bank):
    form = Form.from_mapping(read_yaml(EXAMPLE, "example"), "example")
    _keeps(bank, form)
    extended = replace(bank, forms={**bank.forms, form.reference: form})
    release = Release.from_document(release_document(extended, form.reference))
    assert release.practice
    for rule, last in ((always_right, "a-2-2"), (always_blank, "a-2-1")):
        found = outcome(run(release, rule), decided_at=NOON).record
        assert [stage["module"] for stage in found["evidence"]["stages"]] == ["a-1", last]
        assert all(row["met"] for row in found["evidence"]["blueprint"])
        assert found["evidence"]["units"] == {"asked": 24, "found": 24}


def test_a_frozen_unit_leaves_the_form_to_be_assembled_again(bank):
    form = Form.from_mapping(read_yaml(EXAMPLE, "example"), "example")
    extended = replace(bank, forms={**bank.forms, form.reference: form})
    planned = plan_freeze(extended, [form.units[0]], reason="drifted", by="me", now=NOON)
    assert "assemble it again" in planned.set_aside[form.reference]


def test_panels_that_cannot_be_hear_which_requirements_clash(bank, pattern):
    with pytest.raises(InvalidParameters, match=r"cannot be met together: .*in a panel or in two panels"):
        assemble_panels(bank, pattern, "new", PanelOptions(stages=(1, 3), n_panels=2))
    asked = Requirement("essays", 2, interaction="extended_text")
    with pytest.raises(InvalidParameters, match="cannot be met: essays: at least 2, the units offer 0"):
        assemble_panels(bank, pattern, "new", PanelOptions(stages=(1, 2), requirements=[asked]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": (2, 3)}, "stages 2-3: say 2 to 5 numbers of modules, the first 1"),
        ({"stages": (1,)}, "the first 1"),
        ({"stages": (1, 6)}, "none above 5"),
        ({"stages": (1, 2), "items": (8,)}, "one number for each of 2 stages"),
        ({"stages": (1, 2), "n_panels": 0}, "0 panels have no letters"),
        ({"stages": (1, 2), "shares": [(1.0,)]}, "one for each module of every stage after the first"),
        (
            {"stages": (1, 2), "targets": {"3-1": {0.0: 1.0}}},
            "there is no module 3-1; the modules are 1, 2-1",
        ),
        ({"stages": (1, 2), "avoid": ["x.v1"]}, "x.v1 is not a form"),
    ],
)
def test_stages_that_cannot_be_meant_are_refused(bank, pattern, options, message):
    with pytest.raises(InvalidContent, match=message):
        assemble_panels(bank, pattern, "new", PanelOptions(**options))


def test_the_pattern_is_fixed_and_the_name_is_new(bank, pattern):
    adaptive = next(form for form in bank.latest_forms().values() if form.kind == "adaptive")
    with pytest.raises(InvalidContent, match="is adaptive; a fixed form is the pattern of panels"):
        assemble_panels(bank, adaptive, "new", PanelOptions())
    with pytest.raises(InvalidContent, match="has a form twt-3-fixed already"):
        assemble_panels(bank, pattern, "twt-3-fixed", PanelOptions())
