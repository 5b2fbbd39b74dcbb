"""The programme offers the forms of every bank, and its badges name their courses."""

from __future__ import annotations

from pathlib import Path

import pytest

from assess.publishing import ItemBank, Programme, bank_folders, load_bank, load_programme
from assess.standards.eligibility import load_rules, rule_sentence

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"


@pytest.fixture(scope="module")
def programme() -> Programme:
    return load_programme(FOLDER)


@pytest.fixture(scope="module", params=[folder.name for folder in bank_folders(FOLDER)])
def bank(request: pytest.FixtureRequest, programme: Programme) -> ItemBank:
    return load_bank(FOLDER / request.param, programme)


def test_a_course_with_a_bank_offers_each_of_its_forms(bank: ItemBank, programme: Programme) -> None:
    entry = programme.document["courses"][bank.course]
    assert set(entry["forms"]) == {f.id for f in bank.latest_forms().values() if not f.placement}
    assert entry["default_form"] == f"{bank.course}-fixed"


def test_a_newer_form_rests_on_parameters_and_a_cut_of_the_whole_bank(bank: ItemBank) -> None:
    for form in bank.latest_forms().values():
        units = set(form.units) | set(form.pilot)
        assert units <= set(bank.parameter_sets[form.parameter_set].parameters.item_ids), form.reference
        shown = {item.reference for unit in units for item in bank.unit_items(unit)}
        assert shown <= set(bank.cuts[form.cut].ratings), form.reference


def test_the_badges_ask_for_all_courses_of_their_row(programme: Programme) -> None:
    rules = load_rules({key: value for key, value in programme.document.items() if key != "on_loss"})
    assert rule_sentence(rules, "TWT").startswith(
        "Pass all six courses: twt-1, twt-2, twt-3, twt-4, twt-5, twt-6."
    )
    assert rule_sentence(rules, "TWTB").startswith("Pass all four courses: twtb-1, twtb-2, twtb-3, twtb-4.")
    assert set(programme.assessed_here) == {folder.name for folder in bank_folders(FOLDER)}
