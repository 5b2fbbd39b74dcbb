"""Assembled forms are the best of all there are, keep every demand, and say what cannot be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, information
from assess.irt.adaptive import Constraint
from assess.irt.assembly import Assembly, Objective
from assess.irt.composition import Composition


def _bank(n, seed=1):
    rng = np.random.default_rng(seed)
    return ItemParameters(
        [f"i{j}" for j in range(n)], "2PL", rng.lognormal(0.0, 0.3, n), rng.normal(0.0, 1.0, (n, 1))
    )


def _marks(n, *units):
    out = np.zeros(n)
    out[list(units)] = 1.0
    return out


def _all_pairs(bank, size):
    """Every pair of disjoint forms of this many units."""
    units = range(len(bank))
    for first in itertools.combinations(units, size):
        left = [unit for unit in units if unit not in first]
        for second in itertools.combinations(left, size):
            if first < second:
                yield first, second


def test_two_forms_are_as_informative_as_the_best_of_all_pairs():
    bank = _bank(9)
    points = (-0.5, 0.5)
    worth = information(bank, np.array(points)).T
    best = max(min(worth[list(form)].sum(axis=0).min() for form in pair) for pair in _all_pairs(bank, 3))
    question = Assembly(bank, Composition(bank.item_ids), 2, 3, 3, points=points)
    found = question.solve()
    # The solver stops within half a percent.
    assert found.information.min() >= 0.995 * best
    assert found.information.min() <= best + 1e-9
    assert not set(found.forms[0]) & set(found.forms[1])


def test_a_target_is_met_as_closely_as_by_the_best_of_all_pairs():
    bank = _bank(9, seed=2)
    worth = information(bank, np.array([0.0]))[0]
    target = 3 * float(np.median(worth))
    distances = [max(abs(worth[list(form)].sum() - target) for form in pair) for pair in _all_pairs(bank, 3)]
    found = Assembly(bank, Composition(bank.item_ids), 2, 3, 3).solve("target", target=[target])
    # The solver stops within half a percent of the target.
    assert np.abs(found.information - target).max() <= min(distances) + 0.005 * target


def test_accuracy_as_objective_is_the_accuracy_of_the_best_form():
    bank = _bank(12, seed=3)
    question = Assembly(bank, Composition(bank.item_ids), 1, 5, 5, points=(0.8,))
    found = question.solve("accuracy")
    marks = np.zeros((792, 12), dtype=bool)
    for row, form in enumerate(itertools.combinations(range(12), 5)):
        marks[row, list(form)] = True
    best = float(question.classification(marks).max())
    assert float(found.accuracy[0]) == pytest.approx(best, abs=5e-4)
    assert float(found.accuracy[0]) >= float(question.solve("maximin").accuracy[0]) - 1e-9


def test_content_enemies_and_common_units_are_kept():
    bank = _bank(30, seed=4)
    area = Constraint("area", _marks(30, *range(15)), 4, 5)
    question = Assembly(
        bank, Composition(bank.item_ids, [area], [(0, 1), (16, 17, 18)]), 2, 9, 10, common=[2, 20]
    )
    found = question.solve()
    for form in found.forms:
        assert {2, 20} <= set(form)
        assert 4 <= sum(unit < 15 for unit in form) <= 5
        assert not {0, 1} <= set(form)
        assert len({16, 17, 18} & set(form)) <= 1
    assert set(found.forms[0]) & set(found.forms[1]) == {2, 20}
    assert found.to_frame()["units"].between(9, 10).all()


def test_an_overlap_that_is_allowed_is_used_and_not_exceeded():
    bank = _bank(10, seed=5)
    apart = Assembly(bank, Composition(bank.item_ids), 2, 5, 5).solve()
    shared = Assembly(bank, Composition(bank.item_ids), 2, 5, 5, max_overlap=2).solve()
    assert len(set(shared.forms[0]) & set(shared.forms[1])) == 2
    assert shared.information.min() > apart.information.min()


def test_a_demand_that_no_form_can_meet_is_named():
    bank = _bank(8)
    few = Constraint("objective TL.3.a", _marks(8, 0, 1), 3)
    conflict = Assembly(bank, Composition(bank.item_ids, [few]), 1, 4, 4).conflict()
    assert str(conflict).startswith("cannot be met: objective TL.3.a: at least 3, the units offer 2")


def test_demands_that_only_the_number_of_forms_defeats_are_named_together():
    bank = _bank(20)
    constraints = [
        Constraint("objective a", _marks(20, *range(5)), 2),
        Constraint("objective b", _marks(20, *range(5, 20)), 1),
    ]
    question = Assembly(bank, Composition(bank.item_ids, constraints), 3, 4, 5)
    conflict = question.conflict()
    assert conflict is not None
    assert conflict.demands == (
        "objective a: at least 2 in each of 3 forms; the units hold 5",
        "no unit stands in two forms",
    )
    with pytest.raises(InvalidParameters, match="cannot be met together: objective a"):
        question.solve()
    # Without any one of them the others can be met.
    assert Assembly(bank, Composition(bank.item_ids, constraints[1:]), 3, 4, 5).conflict() is None
    assert Assembly(bank, Composition(bank.item_ids, constraints), 3, 4, 5, max_overlap=1).conflict() is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_forms": 0}, "cannot be assembled"),
        ({"min_units": 5, "max_units": 4}, "cannot be assembled"),
        ({"points": ()}, "one finite theta"),
        ({"max_overlap": -1}, "at least 0"),
        ({"common": [8]}, "outside 0..7"),
        ({"composition": Composition(["i1"])}, "of 1 units, the parameters of 8"),
    ],
)
def test_questions_that_cannot_be_are_refused(change, message):
    bank = _bank(8)
    given = {"composition": Composition(bank.item_ids), "n_forms": 1, "min_units": 2, "max_units": 3} | change
    with pytest.raises(InvalidParameters, match=message):
        Assembly(bank, **given)


def test_objectives_are_checked():
    question = Assembly(_bank(4), Composition(["a", "b", "c", "d"]), 1, 2, 2)
    with pytest.raises(InvalidParameters, match="'best' is not known"):
        question.solve("best")  # type: ignore[arg-type]
    given: list[tuple[Objective, list[float] | None]] = [
        ("target", None),
        ("maximin", [1.0]),
        ("target", [1.0, 2.0]),
    ]
    for objective, target in given:
        with pytest.raises(InvalidParameters, match="one number per point"):
            question.solve(objective, target=target)
