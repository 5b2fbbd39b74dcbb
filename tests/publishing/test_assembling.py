"""Assembled forms of the real banks are as good as those made by hand, and pass the check of a bank."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assess import irt
from assess.errors import InvalidContent, InvalidParameters
from assess.items import Requirement
from assess.publishing import check, load_bank
from assess.publishing.assembling import AssemblyOptions, assemble, enemies, write_forms
from assess.session.release import count_items

BANKS = Path(__file__).parents[2] / "item_banks" / "teaching-with-technology"


@pytest.fixture(scope="module")
def banks():
    return {course: load_bank(BANKS / course) for course in ("twt-2", "twt-3", "twt-5")}


def _fixed(bank):
    return [form for form in bank.latest_forms().values() if form.kind == "fixed"]


def _at_cut(bank, form):
    parameters = bank.parameter_sets[form.parameter_set].parameters.take(form.units)
    return float(irt.information(parameters, np.array([bank.cuts[form.cut].cut.theta])).sum())


@pytest.mark.parametrize("course", ["twt-2", "twt-3", "twt-5"])
def test_the_weakest_form_is_better_at_the_cut_than_the_weakest_made_by_hand(banks, course):
    bank = banks[course]
    by_hand = _fixed(bank)
    forms, found = assemble(bank, by_hand[-1], "new", AssemblyOptions(n_forms=len(by_hand)))
    assert found.information.min() >= min(_at_cut(bank, form) for form in by_hand)
    assert np.ptp(found.information) < 0.1
    seen = [unit for form in forms for unit in form.units]
    assert len(seen) == len(set(seen))
    for form in forms:
        items = [item for unit in form.units for item in bank.unit_items(unit)]
        for requirement in form.blueprint:
            held = count_items(items, requirement)
            assert held >= requirement.minimum
            assert requirement.maximum is None or held <= requirement.maximum


def test_enemies_are_read_in_both_directions_and_kept_apart_unscored_items_included(banks):
    bank = banks["twt-5"]
    foes = {item.id: set(item.notes.get("not_with", ())) for item in bank.items.values()}
    forms, _ = assemble(bank, _fixed(bank)[0], "new", AssemblyOptions())
    for form in forms:
        shown = {item.id for unit in (*form.units, *form.pilot) for item in bank.unit_items(unit)}
        assert not any(foes[item] & shown for item in shown)
        assert len(form.pilot) == len(_fixed(bank)[0].pilot)
    units = ["twt-5-028.v1", "twt-5-029.v1", "twt-5-001.v1"]
    assert enemies(bank, units) == [(0, 1)]
    one_way = {**bank.items}
    one_way["twt-5-028.v1"] = replace(one_way["twt-5-028.v1"], notes={})
    assert enemies(replace(bank, items=one_way), units) == [(0, 1)]


def test_what_is_written_passes_the_check_of_the_bank_and_replaces_nothing(banks, tmp_path):
    programme = tmp_path / BANKS.name
    programme.mkdir()
    shutil.copy(BANKS / "programme.yaml", programme)
    shutil.copytree(BANKS / "twt-2", programme / "twt-2")
    bank = load_bank(programme / "twt-2")
    forms, _ = assemble(bank, _fixed(bank)[0], "new", AssemblyOptions(n_forms=2, objective="target"))
    paths = write_forms(bank, forms, "made for a test")
    assert [path.name for path in paths] == ["new-a.v1.yaml", "new-b.v1.yaml"]
    # Not sealed yet is no error.
    errors = [found for found in check(programme / "twt-2") if found.severity == "error"]
    assert [found for found in errors if "has no bank" not in found.message] == []
    again = load_bank(programme / "twt-2")
    assert {"new-a.v1", "new-b.v1"} <= set(again.forms)
    assert again.forms["new-a.v1"] == forms[0]
    with pytest.raises(InvalidContent, match="has a form new-a already"):
        assemble(again, _fixed(bank)[0], "new", AssemblyOptions(n_forms=2))
    paths[0].unlink()
    with pytest.raises(InvalidContent, match="is not edited"):
        write_forms(bank, forms, "")
    assert not paths[0].exists()


def test_a_bank_that_is_too_small_hears_which_requirements_clash(banks):
    bank = banks["twt-2"]
    options = AssemblyOptions(n_forms=4)
    with pytest.raises(InvalidParameters, match=r"cannot be met together: .*no unit stands in two forms"):
        assemble(bank, _fixed(bank)[0], "new", options)


def test_a_requirement_that_no_form_can_meet_is_named(banks):
    bank = banks["twt-2"]
    asked = Requirement("essays", 2, interaction="extended_text")
    with pytest.raises(InvalidParameters, match="cannot be met: essays: at least 2, the units offer 0"):
        assemble(bank, _fixed(bank)[0], "new", AssemblyOptions(n_forms=1, requirements=[asked]))


def test_units_can_be_common_and_forms_avoided(banks):
    bank = banks["twt-2"]
    first = _fixed(bank)[0]
    anchor = first.units[:4]
    forms, _ = assemble(
        bank, first, "new", AssemblyOptions(n_forms=1, common=anchor, avoid=[first.reference])
    )
    for form in forms:
        assert set(form.units) & set(first.units) == set(anchor)


def test_questions_about_what_is_not_there_are_refused(banks):
    bank = banks["twt-2"]
    adaptive = next(form for form in bank.latest_forms().values() if form.kind == "adaptive")
    with pytest.raises(InvalidContent, match="is adaptive"):
        assemble(bank, adaptive, "new", AssemblyOptions())
    for change, message in (
        ({"common": ["x.v1"]}, "x.v1 cannot stand in a form"),
        ({"avoid": ["x.v1"]}, "x.v1 is not a form"),
        ({"n_forms": 27}, "have no letters"),
    ):
        with pytest.raises(InvalidContent, match=message):
            assemble(bank, _fixed(bank)[0], "new", AssemblyOptions(**change))
