"""Banks of the full size keep the blueprint of their course, and the rules of careful item writing."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from assess import irt
from assess.items import Form, Item, SingleChoice
from assess.publishing import ItemBank, load_bank, load_programme
from assess.session.release import count_items

FOLDER = Path(__file__).resolve().parents[2] / "item_banks" / "teaching-with-technology"


@dataclass(frozen=True, slots=True)
class Course:
    """What the blueprint asks of a fixed form: items per objective, items of level KD, and items on trial."""

    objectives: dict[str, int]
    deepening: int
    pretest: int = 5
    form_minimum: int = 3

    @property
    def operational(self) -> int:
        return sum(self.objectives.values())

    @property
    def bank(self) -> Counter[str]:
        """Three forms' worth of items."""
        return Counter({code: self.form_minimum * count for code, count in self.objectives.items()})


COURSES = {
    "twt-2": Course({"TL.2.a": 8, "TL.2.b": 7, "TL.2.c": 9}, deepening=5),
    "twt-3": Course({"TL.3.a": 8, "TL.3.b": 9, "TL.3.c": 7}, deepening=5),
    "twt-4": Course({f"TL.4.{letter}": 3 for letter in "abcdefghijk"}, deepening=6, pretest=6),
    "twt-5": Course({"TL.5.a": 7, "TL.5.b": 9, "TL.5.c": 8}, deepening=5),
}
UNREVIEWED = "not reviewed by a native speaker"
FRENCH, ARABIC = 20, 10


@pytest.fixture(scope="module", params=COURSES)
def bank(request: pytest.FixtureRequest) -> ItemBank:
    return load_bank(FOLDER / request.param, load_programme(FOLDER))


@pytest.fixture(scope="module")
def course(bank: ItemBank) -> Course:
    return COURSES[bank.course]


@pytest.fixture(scope="module")
def items(bank: ItemBank) -> list[Item]:
    return list(bank.items.values())


@pytest.fixture(scope="module")
def fixed(bank: ItemBank) -> dict[str, Form]:
    return {name: form for name, form in bank.latest_forms().items() if form.kind == "fixed"}


def operational(bank: ItemBank, form: Form) -> list[Item]:
    return [item for unit in form.units for item in bank.unit_items(unit)]


def single_choice(items: list[Item]) -> list[Item]:
    return [item for item in items if isinstance(item.interaction, SingleChoice)]


def objective(item: Item) -> str:
    return next(a.code for a in item.alignments if (a.framework, a.version) == ("unesco-ict-cft", "2"))


def share(item: Item) -> float:
    """The judged score as a share of the points."""
    assert item.judged is not None
    return item.judged.just_proficient / (item.n_categories - 1)


def test_the_bank_has_the_items_of_three_forms_for_each_objective(course: Course, items: list[Item]) -> None:
    assert Counter(objective(item) for item in items) == course.bank


def test_every_item_has_one_primary_code_in_each_of_three_frameworks(items: list[Item]) -> None:
    wanted = [("iste-educators", "2017"), ("unesco-ict-cft", "2"), ("unesco-ict-cft", "3")]
    for item in items:
        primary = sorted((a.framework, a.version) for a in item.alignments if a.primary)
        assert primary == wanted, item.id
        level = next(a.code for a in item.alignments if a.primary and a.version == "3").split(".")[0]
        assert item.notes["level"] == level, item.id


def test_processes_levels_and_formats_have_the_shares_of_the_blueprint(items: list[Item]) -> None:
    processes = Counter(item.process for item in items)
    assert processes["recall"] <= 0.25 * len(items)
    assert processes["apply"] >= 0.5 * len(items)
    assert processes["analyse"] >= 0.125 * len(items)
    levels = Counter(item.notes["level"] for item in items)
    assert 0.15 <= levels["KD"] / len(items) <= 0.25
    formats = Counter(item.interaction_type for item in items)
    assert 0.65 <= formats["single_choice"] / len(items) <= 0.75
    assert 0.1 <= formats["multiple_response"] / len(items) <= 0.2
    assert 0.05 <= (formats["ordering"] + formats["matching"]) / len(items) <= 0.15
    assert formats["numeric"] >= 1


def test_case_sets_hold_three_or_four_items_and_a_fitting_share(bank: ItemBank, items: list[Item]) -> None:
    sizes = [len(case_set.items) for case_set in bank.case_sets.values()]
    assert set(sizes) <= {3, 4}
    assert 0.05 <= sum(sizes) / len(items) <= 0.15
    assert not {x.reference for x in items if x.case_set} ^ {
        i for s in bank.case_sets.values() for i in s.items
    }


def test_translations_are_whole_and_say_that_nobody_reviewed_them(items: list[Item]) -> None:
    french = [item for item in items if "fr" in item.languages]
    arabic = [item for item in items if "ar" in item.languages]
    assert len(french) == FRENCH
    assert len(arabic) == ARABIC
    assert {item.id for item in arabic} <= {item.id for item in french}
    assert len({item.interaction_type for item in arabic}) >= 4
    for item in french:
        assert not item.case_set
        source = item.text("en")[1]
        for language in set(item.languages) - {"en"}:
            text = item.texts[language]
            assert text.review == UNREVIEWED
            assert set(text.options) == set(source.options)
            assert text.stem.count("**") == source.stem.count("**"), (item.id, language)
            if language == "ar":
                words = (text.stem, *text.options.values(), *text.targets.values(), *text.rationales.values())
                assert all(re.search("[\u0600-\u06ff]", word) for word in words)


def test_the_cut_rests_on_the_judgements_in_the_items(bank: ItemBank, items: list[Item]) -> None:
    stored = bank.cuts[f"{bank.course}-ka.v{len(bank.cuts)}"]
    assert stored.ratings == {item.reference: item.judged.just_proficient for item in items if item.judged}
    shares = [share(item) for item in items]
    assert min(shares) < 0.47
    assert 0.84 < max(shares) <= 0.88
    assert sum(shares) / len(shares) == pytest.approx(0.65, abs=0.03)
    assert len({item.judged.reason for item in items if item.judged}) == len(items)


def test_three_fixed_forms_and_an_adaptive_one_meet_their_blueprints(
    bank: ItemBank, course: Course, fixed: dict[str, Form]
) -> None:
    assert len(fixed) == 3
    assert {form.kind for form in bank.latest_forms().values() if form not in fixed.values()} == {"adaptive"}
    assert sum(form.placement for form in bank.latest_forms().values()) == 1
    assert len(bank.latest_forms()) == 5
    for name, form in bank.forms.items():
        if form.placement:
            continue  # a short part, without items on trial
        drawn = operational(bank, form)
        assert not {item.reference for item in drawn} & set(form.pilot)
        assert form.pilot_slots in (4, course.pretest)
        for requirement in form.blueprint:
            found = count_items(drawn, requirement)
            assert found >= requirement.minimum, (name, requirement.label)
            if form.kind == "fixed" and requirement.maximum is not None:
                assert found <= requirement.maximum, (name, requirement.label)
    for name, form in fixed.items():
        drawn = operational(bank, form)
        assert Counter(objective(item) for item in drawn) == course.objectives, name
        assert Counter(item.notes["level"] for item in drawn)["KD"] == course.deepening, name
        assert max(Counter(x.interaction.best() for x in single_choice(drawn)).values()) <= 6, name


def test_the_fixed_forms_share_no_scored_item_and_measure_alike(
    bank: ItemBank, fixed: dict[str, Form]
) -> None:
    drawn = [{item.reference: item for item in operational(bank, form)} for form in fixed.values()]
    assert all(not set(first) & set(second) for first, second in itertools.combinations(drawn, 2))
    means = [sum(map(share, found.values())) / len(found) for found in drawn]
    points = [sum(item.n_categories - 1 for item in found.values()) for found in drawn]
    # Judgements are given to about 0.02, so forms closer than 0.01 on average do not differ.
    assert max(means) - min(means) < 0.01
    assert max(points) - min(points) <= 1
    at = np.array([-1.0, 0.0, 1.0])
    parameters = [bank.parameter_sets[form.parameter_set].parameters for form in fixed.values()]
    taken = [own.take(form.units) for own, form in zip(parameters, fixed.values(), strict=True)]
    found = np.array([irt.information(own, at).sum(axis=1) for own in taken])
    # At the cut, and one unit to each side, forms differ by the information of one item at most.
    assert np.ptp(found, axis=0).max() < 0.9**2 / 4


def test_pilot_items_of_a_fixed_form_come_from_the_other_two(bank: ItemBank, fixed: dict[str, Form]) -> None:
    """So every item links two forms, and each form's pilot items cover all objectives."""
    for form in fixed.values():
        others = {unit for other in fixed.values() if other is not form for unit in other.units}
        assert set(form.pilot) <= others
        assert len(form.pilot) > form.pilot_slots
        assert {objective(bank.items[reference]) for reference in form.pilot} == set(
            COURSES[bank.course].objectives
        )


def test_no_form_holds_two_items_that_help_with_each_other(bank: ItemBank) -> None:
    # The later item names the earlier one, which may be sealed; a form must respect either direction.
    named = {item.id: set(item.notes["not_with"]) for item in bank.items.values() if "not_with" in item.notes}
    assert named
    assert all(foes <= {item.id for item in bank.items.values()} - {name} for name, foes in named.items())
    for name, form in bank.forms.items():
        shown = {item.id for unit in (*form.units, *form.pilot) for item in bank.unit_items(unit)}
        for item, foes in named.items():
            assert item not in shown or not shown & foes, (name, item)
