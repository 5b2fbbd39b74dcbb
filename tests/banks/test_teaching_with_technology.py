"""The bank of twt-3 keeps the promises of its blueprint and of careful item writing."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from assess.items import Alignment, Item, SingleChoice
from assess.publishing import ItemBank, Programme, bank_folders, load_bank, load_programme
from assess.session.release import count_items
from assess.standards.eligibility import load_rules, rule_sentence

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"
OBJECTIVES = ("TL.3.a", "TL.3.b", "TL.3.c")
TRANSLATED = 8


@pytest.fixture(scope="module")
def programme() -> Programme:
    return load_programme(FOLDER)


@pytest.fixture(scope="module")
def bank(programme: Programme) -> ItemBank:
    return load_bank(FOLDER / "twt-3", programme)


@pytest.fixture(scope="module")
def items(bank: ItemBank) -> list[Item]:
    return list(bank.items.values())


def operational(bank: ItemBank, form: str) -> list[Item]:
    return [item for unit in bank.forms[form].units for item in bank.unit_items(unit)]


def single_choice(items: list[Item]) -> list[Item]:
    return [item for item in items if isinstance(item.interaction, SingleChoice)]


def highest(item: Item) -> int:
    return item.n_categories - 1


def test_each_objective_has_twelve_items_and_every_item_three_frameworks(items: list[Item]) -> None:
    primary = [{(a.framework, a.version): a.code for a in item.alignments if a.primary} for item in items]
    assert Counter(codes["unesco-ict-cft", "2"] for codes in primary) == dict.fromkeys(OBJECTIVES, 12)
    assert all({("unesco-ict-cft", "3"), ("iste-educators", "2017")} < set(codes) for codes in primary)


def test_formats_processes_and_levels_are_those_of_the_blueprint(bank: ItemBank, items: list[Item]) -> None:
    formats = Counter(item.interaction_type for item in items)
    assert formats == {"single_choice": 27, "multiple_response": 5, "ordering": 2, "matching": 2}
    processes = Counter(item.process for item in items)
    assert processes["recall"] <= 9
    assert processes["apply"] >= 18
    assert Counter(item.notes["level"] for item in items) == {"KA": 29, "KD": 7}
    assert [len(case_set.items) for case_set in bank.case_sets.values()] == [3]


def test_translations_are_whole_and_say_that_nobody_reviewed_them(items: list[Item]) -> None:
    translated = [item for item in items if item.languages == ("en", "fr", "ar")]
    assert len(translated) == TRANSLATED
    assert len({item.interaction_type for item in translated}) == 4
    assert {item.languages for item in items} == {("en",), ("en", "fr", "ar")}
    for item in translated:
        assert not item.case_set
        assert {item.texts[x].review for x in ("fr", "ar")} == {"not reviewed by a native speaker"}
        arabic = item.texts["ar"]
        assert all(re.search("[\u0600-\u06ff]", text) for text in (arabic.stem, *arabic.options.values()))


def test_the_cut_rests_on_the_judgements_in_the_items(bank: ItemBank, items: list[Item]) -> None:
    ratings = bank.cuts["twt-3-ka.v1"].ratings
    assert ratings == {item.reference: item.judged.just_proficient for item in items if item.judged}
    shares = [ratings[item.reference] / highest(item) for item in items]
    assert 0.35 <= min(shares) < 0.45
    assert 0.8 < max(shares) <= 0.86


@pytest.mark.parametrize("form", ["twt-3-fixed.v1", "twt-3-adaptive.v1"])
def test_a_form_holds_what_its_blueprint_wants_and_no_pilot_item_twice(bank: ItemBank, form: str) -> None:
    drawn = operational(bank, form)
    for requirement in bank.forms[form].blueprint:
        found = count_items(drawn, requirement)
        assert found >= requirement.minimum, requirement.label
        if bank.forms[form].kind == "fixed" and requirement.maximum is not None:
            assert found <= requirement.maximum, requirement.label
    assert not {item.reference for item in drawn} & set(bank.forms[form].pilot)


def test_the_fixed_form_has_the_counts_of_the_course(bank: ItemBank) -> None:
    drawn = operational(bank, "twt-3-fixed.v1")
    counts = [
        sum(Alignment("unesco-ict-cft", "2", code) in item.alignments for item in drawn)
        for code in OBJECTIVES
    ]
    assert counts == [8, 9, 7]
    assert Counter(item.notes["level"] for item in drawn) == {"KA": 19, "KD": 5}


def test_the_badges_ask_for_all_courses_of_their_row(programme: Programme) -> None:
    rules = load_rules({key: value for key, value in programme.document.items() if key != "on_loss"})
    assert rule_sentence(rules, "TWT").startswith(
        "Pass all six courses: twt-1, twt-2, twt-3, twt-4, twt-5, twt-6."
    )
    assert rule_sentence(rules, "TWTB").startswith("Pass all four courses: twtb-1, twtb-2, twtb-3, twtb-4.")
    assert set(programme.assessed_here) == {folder.name for folder in bank_folders(FOLDER)}
