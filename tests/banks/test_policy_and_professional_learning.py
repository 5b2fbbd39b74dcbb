"""The banks of twt-1 and twt-6 keep the promises of their blueprints and of careful item writing."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from assess import irt
from assess.items import Alignment, Item
from assess.publishing import ItemBank, Programme, load_bank, load_programme
from assess.session.release import count_items

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"
COURSES = ("twt-1", "twt-6")
FIXED = ("fixed", "fixed-b", "fixed-c")
# What one fixed form of 20 items asks of each part of its course; the bank holds three times as much.
PARTS = {
    "twt-1": {
        "aims": 5,
        "policy to practice": 6,
        "structure of the framework": 4,
        "equity and citizenship": 5,
    },
    "twt-6": {"TL.6.a": 6, "TL.6.b": 7, "TL.6.c": 7},
}


@pytest.fixture(scope="module")
def programme() -> Programme:
    return load_programme(FOLDER)


@pytest.fixture(scope="module", params=COURSES)
def bank(request: pytest.FixtureRequest, programme: Programme) -> ItemBank:
    return load_bank(FOLDER / request.param, programme)


def part(item: Item) -> str:
    """The topic where one objective is split into topics, else the objective."""
    codes = [a.code for a in item.alignments if a.primary and a.version == "2"]
    return str(item.notes.get("topic", codes[0]))


def operational(bank: ItemBank, form: str) -> list[Item]:
    drawn = bank.forms[f"{bank.course}-{form}.v1"]
    return [item for unit in drawn.units for item in bank.unit_items(unit)]


def highest(item: Item) -> int:
    return item.n_categories - 1


def test_the_bank_holds_three_forms_of_each_part_and_three_frameworks_per_item(bank: ItemBank) -> None:
    assert Counter(map(part, bank.items.values())) == {name: 3 * n for name, n in PARTS[bank.course].items()}
    aspect = bank.course[-1]
    for item in bank.items.values():
        primary = {(a.framework, a.version): a.code for a in item.alignments if a.primary}
        assert primary["unesco-ict-cft", "2"].startswith(f"TL.{aspect}.")
        assert primary["unesco-ict-cft", "3"] == f"{item.notes['level']}.{aspect}"
        assert ("iste-educators", "2017") in primary


def test_formats_processes_and_levels_are_those_of_the_blueprint(bank: ItemBank) -> None:
    items = list(bank.items.values())
    formats = Counter(item.interaction_type for item in items)
    assert formats["single_choice"] == 42
    assert formats["multiple_response"] == 9
    assert formats["ordering"] + formats["matching"] == 6
    processes = Counter(item.process for item in items)
    assert processes["recall"] <= 15
    assert processes["apply"] >= 30
    assert Counter(item.notes["level"] for item in items) == {"KA": 48, "KD": 12}
    assert [len(case_set.items) for case_set in bank.case_sets.values()] == [3, 3, 3]


def test_a_stem_says_how_many_options_to_choose_or_that_a_number_is_wanted(bank: ItemBank) -> None:
    endings = {"multiple_response": "Choose two.", "numeric": "Answer with a number."}
    for item in bank.items.values():
        if item.interaction_type in endings:
            assert item.text("en")[1].stem.endswith(endings[item.interaction_type]), item.id
        if item.interaction_type == "multiple_response":
            assert len(item.interaction.best()) == 2


def test_translations_are_whole_and_say_that_nobody_reviewed_them(bank: ItemBank) -> None:
    languages = Counter(language for item in bank.items.values() for language in item.languages)
    assert languages == {"en": 60, "fr": 20, "ar": 10}
    for item in bank.items.values():
        assert not (item.case_set and len(item.languages) > 1)
        for language in item.languages[1:]:
            assert item.texts[language].review == "not reviewed by a native speaker"
        if "ar" in item.languages:
            arabic = item.texts["ar"]
            assert all(re.search("[\u0600-\u06ff]", text) for text in (arabic.stem, *arabic.options.values()))


def test_the_cut_rests_on_the_judgements_in_the_items(bank: ItemBank) -> None:
    ratings = bank.cuts[f"{bank.course}-ka.v1"].ratings
    judged = {item.reference: item.judged.just_proficient for item in bank.items.values() if item.judged}
    assert ratings == judged
    shares = np.array([judged[item.reference] / highest(item) for item in bank.items.values()])
    assert 0.4 <= shares.min() < 0.5
    assert 0.8 < shares.max() <= 0.88
    assert 0.6 < shares.mean() < 0.7


@pytest.mark.parametrize("form", [*FIXED, "adaptive"])
def test_a_form_holds_what_its_blueprint_wants_and_no_pilot_item_twice(bank: ItemBank, form: str) -> None:
    drawn, wanted = operational(bank, form), bank.forms[f"{bank.course}-{form}.v1"]
    for requirement in wanted.blueprint:
        found = count_items(drawn, requirement)
        assert found >= requirement.minimum, requirement.label
        if wanted.kind == "fixed" and requirement.maximum is not None:
            assert found <= requirement.maximum, requirement.label
    assert not {item.reference for item in drawn} & set(wanted.pilot)
    assert wanted.pilot_slots == 4
    assert not any(bank.items[reference].case_set for reference in wanted.pilot)


@pytest.mark.parametrize("form", [*FIXED, "adaptive"])
def test_no_form_holds_two_units_that_help_with_each_other(bank: ItemBank, form: str) -> None:
    wanted = bank.forms[f"{bank.course}-{form}.v1"]
    shown = {reference.rsplit(".v", 1)[0] for reference in (*wanted.units, *wanted.pilot)}
    named = [item for item in bank.items.values() if "not_with" in item.notes]
    assert named
    for item in named:
        assert item.id not in item.notes["not_with"]
        assert item.id not in shown or not shown & set(item.notes["not_with"]), item.id


@pytest.mark.parametrize("form", FIXED)
def test_a_fixed_form_has_the_counts_of_the_course(bank: ItemBank, form: str) -> None:
    drawn = operational(bank, form)
    assert Counter(map(part, drawn)) == PARTS[bank.course]
    assert Counter(item.notes["level"] for item in drawn) == {"KA": 16, "KD": 4}
    assert sum(bool(item.case_set) for item in drawn) == 3
    assert all(
        Alignment("unesco-ict-cft", "3", f"{item.notes['level']}.{bank.course[-1]}") in item.alignments
        for item in drawn
    )


def test_the_fixed_forms_share_no_scored_item_and_measure_alike(bank: ItemBank) -> None:
    references = [{item.reference for item in operational(bank, form)} for form in FIXED]
    assert all(not a & b for a, b in combinations(references, 2))
    parameters = bank.parameter_sets[f"{bank.course}-judged.v1"].parameters
    at = np.array([-1.0, 0.0, 1.0])
    information = np.array(
        [
            irt.information(parameters.take(bank.forms[f"{bank.course}-{form}.v1"].units), at).sum(axis=1)
            for form in FIXED
        ]
    )
    # At the cut and one unit to each side the forms may differ by one item's worth of information at most.
    assert np.ptp(information, axis=0).max() < 0.9**2 / 4


def test_the_courses_are_assessed_here_with_their_forms(bank: ItemBank, programme: Programme) -> None:
    assert bank.course in programme.assessed_here
    entry = programme.document["courses"][bank.course]
    assert entry["default_form"] == f"{bank.course}-fixed"
    assert set(entry["forms"]) == {f.id for f in bank.latest_forms().values() if not f.placement}
