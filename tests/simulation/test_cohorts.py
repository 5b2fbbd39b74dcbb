"""Simulated teachers answer real items with the chance that their ability and the items give."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt.models import ItemParameters, expected_score
from assess.items import Item, Matching, MultipleResponse, Numeric, Ordering, ShortText, SingleChoice
from assess.publishing import judged_parameters, load_bank, release_document
from assess.publishing.judged import unit_references
from assess.session import Release, fold, outcome
from assess.simulation import Cohort, administer, answers_by_category, true_parameters
from tests.publishing.small_bank import write_bank

NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return load_bank(write_bank(tmp_path_factory.mktemp("banks")))


@pytest.fixture(scope="module")
def judged(bank):
    return ItemParameters.from_records(judged_parameters(bank)["items"])


def _cohort(bank, judged, **changes):
    units = {unit: bank.unit_items(unit) for unit in unit_references(bank)}
    return Cohort(units, judged, seed=3, **changes)


@pytest.mark.parametrize(
    "interaction",
    [
        SingleChoice(("a", "b", "c"), {"b": 1}),
        SingleChoice(("a", "b", "c"), {"b": 2, "c": 1}),
        MultipleResponse(("a", "b", "c", "d"), frozenset("ac")),
        MultipleResponse(("a", "b", "c", "d"), frozenset("ac"), "partial"),
        Ordering(("a", "b", "c"), ("c", "a", "b"), "partial"),
        Ordering(tuple("abcdefgh"), tuple("hgfedcba"), "all_or_nothing"),
        Matching(("1", "2"), ("x", "y", "z"), {"1": "x", "2": "z"}, "partial"),
        Matching(tuple("123456"), tuple("uvwxyz"), dict(zip("123456", "uvwxyz", strict=True))),
        Numeric("3.5", "0.1"),
        ShortText(("Creative Commons",)),
    ],
)
def test_every_category_has_answers_that_earn_it(interaction):
    found = answers_by_category(interaction, np.random.default_rng(1))
    assert list(found) == list(range(interaction.n_categories))
    for category, answers in found.items():
        assert all(interaction.grade(interaction.check(raw)) == category for raw in answers)


def test_true_parameters_scatter_around_the_judged_ones():
    judged = ItemParameters([f"i{j}" for j in range(4000)], "2PL", [0.9] * 4000, [[0.5]] * 4000)
    true = true_parameters(judged, np.random.default_rng(1))
    # Monte Carlo errors: 0.6 / sqrt(4000) = 0.0095 and half of that for logs.
    assert np.mean(true.steps - judged.steps) == pytest.approx(0.0, abs=0.03)
    assert np.std(true.steps) == pytest.approx(0.6, abs=0.03)
    assert np.mean(np.log(true.slopes)) == pytest.approx(np.log(0.9), abs=0.015)
    assert np.std(np.log(true.slopes)) == pytest.approx(0.3, abs=0.015)


def test_a_teacher_is_the_same_every_time_and_differs_from_the_next(bank, judged):
    first, again = _cohort(bank, judged).teacher(7), _cohort(bank, judged).teacher(7)
    assert (first.theta, first.categories) == (again.theta, again.categories)
    assert _cohort(bank, judged).teacher(8).theta != first.theta


def test_answers_earn_the_drawn_categories(bank, judged):
    cohort = _cohort(bank, judged, p_blank=0.1)
    for number in range(20):
        teacher = cohort.teacher(number)
        for item in bank.items.values():
            raw = cohort.answer(teacher, item)
            assert (None if raw is None else item.grade(item.check(raw))) == teacher.categories[
                item.reference
            ]


def test_scores_have_the_expectation_of_the_model(bank, judged):
    cohort = _cohort(bank, judged, sd=1e-9, p_blank=0.0)
    totals = [sum(c or 0 for c in cohort.teacher(n).categories.values()) for n in range(1500)]
    expected = float(expected_score(judged, 0.0).sum())
    # The raw score has an SD near 1.8 here: Monte Carlo error 0.05.
    assert np.mean(totals) == pytest.approx(expected, abs=0.2)


def test_an_item_of_another_bank_is_refused(bank, judged):
    cohort = _cohort(bank, judged)
    foreign = Item.from_mapping(
        bank.items["toy-001.v1"].to_mapping() | {"id": "elsewhere-1"}, "items/elsewhere-1.v1.yaml"
    )
    with pytest.raises(InvalidParameters, match=r"elsewhere-1\.v1 is not an item"):
        cohort.answer(cohort.teacher(0), foreign)


@pytest.mark.parametrize("form", ["toy-fixed.v1", "toy-adaptive.v1"])
def test_a_session_runs_to_a_decision_in_memory(bank, judged, form):
    release = Release.from_document(release_document(bank, form))
    cohort = _cohort(bank, judged, p_walk_away=0.0)
    state = administer(release, cohort, 1, session="s1", seed="00" * 16, now=NOW)
    assert state.ending is not None
    assert state.ending.how == ("submitted" if form == "toy-fixed.v1" else "completed")
    replayed = fold(release, state.start, state.offers, state.responses, ending=state.ending)
    found = outcome(replayed, decided_at=state.ending.at)
    assert found.record_sha256 == outcome(state, decided_at=state.ending.at).record_sha256
    assert found.decision.status in ("passed", "not_passed")


def test_a_teacher_who_walks_away_runs_out_of_time(bank, judged):
    release = Release.from_document(release_document(bank, "toy-fixed.v1"))
    cohort = _cohort(bank, judged, p_walk_away=1.0)
    number = next(n for n in range(50) if (cohort.teacher(n).patience or 99) < 9)
    state = administer(release, cohort, number, session="s1", seed="00" * 16, now=NOW)
    assert state.ending is not None
    assert state.ending.how == "timed_out"
    assert len(state.responses) == cohort.teacher(number).patience
