from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assess.irt import Constraint, StopRule
from assess.irt.content import Content


def drawn(rng, n_units, sizes):
    """Areas and processes that cross, with sets of several items, and a time that tells every unit apart."""
    size = rng.choice(sizes, n_units)
    area, process = rng.integers(0, 3, n_units), rng.integers(0, 2, n_units)
    found = [Constraint(f"area {k}", size * (area == k), 2.0, 5.0) for k in range(3)]
    found += [Constraint(f"process {k}", size * (process == k), 3.0) for k in range(2)]
    if rng.random() < 0.3:
        found.append(Constraint("seconds", rng.uniform(30.0, 90.0, n_units), 0.0, 600.0))
    return found


def of_unit(constraints, groups, stop, available, given_units, unit):
    """Whether a unit keeps every maximum, how many units the minima need after it, and its factor."""
    factor, allowed, needs = 1.0, bool(available[unit]), {}
    for k, c in enumerate(constraints):
        before = sum(c.coefficients[u] for u in given_units)
        own = c.coefficients[unit]
        allowed = allowed and before + own <= c.maximum
        needs[k] = c.minimum - before - own
        if own > 0.0:
            factor *= (2.0 - before / c.minimum) if before < c.minimum else (1.0 - before / c.maximum)
    return allowed, needs, factor


def by_hand(constraints, stop, available, given_units):
    """Allowed units and their factors, unit by unit in plain arithmetic."""
    units = range(len(available))
    seen = [of_unit(constraints, None, stop, available, given_units, unit) for unit in units]
    below = [unit for unit in units if seen[unit][0]]

    def disjoint(wanted):
        groups: list[list[int]] = []
        for k in wanted:
            marks = constraints[k].coefficients > 0
            for group in groups:
                if not any((marks & (constraints[other].coefficients > 0)).any() for other in group):
                    group.append(k)
                    break
            else:
                groups.append([k])
        return groups

    with_minimum = disjoint([k for k, c in enumerate(constraints) if c.minimum > 0.0])
    largest = {k: max((c.coefficients[u] for u in below), default=0.0) for k, c in enumerate(constraints)}
    needed = {
        unit: max(
            sum(
                math.ceil(max(seen[unit][1][k], 0.0) / (largest[k] or 1e-9)) if seen[unit][1][k] > 0.0 else 0
                for k in group
            )
            for group in with_minimum
        )
        for unit in below
    }
    places = (stop.min_units if stop.ends_early else stop.max_units) - len(given_units)
    for group in disjoint([k for k, c in enumerate(constraints) if math.isfinite(c.maximum)]):
        adds = [max(constraints[k].coefficients[u] for k in group) for u in units]
        if min(adds) > 0.0:
            room = sum(
                constraints[k].maximum - sum(constraints[k].coefficients[u] for u in given_units)
                for k in group
            )
            places = min(places, room / min(adds))
    least = min(needed.values(), default=math.inf)
    allowed = [unit for unit in below if needed[unit] <= max(places - 1, least)]
    return allowed, [factor for _, _, factor in seen]


@settings(max_examples=60, deadline=None)
@example(seed=7, n_given=7, several=False, early=False)  # more of an area than its maximum was given
@given(seed=st.integers(0, 10**6), n_given=st.integers(0, 8), several=st.booleans(), early=st.booleans())
def test_classes_say_of_every_unit_what_plain_arithmetic_says(seed, n_given, several, early):
    rng = np.random.default_rng(seed)
    n_units = 30
    constraints = drawn(rng, n_units, [1.0, 3.0] if several else [1.0])
    stop = StopRule(8, 10, se=0.3 if early else None)
    content = Content(constraints, n_units, stop)
    cases = []
    for _ in range(4):
        available = rng.random(n_units) < 0.8
        given_units = rng.choice(n_units, n_given, replace=False)
        available[given_units] = False
        cases.append((available, given_units))
    counts = np.array([content.coefficients[:, own].sum(axis=1) for _, own in cases])
    left = content.left(np.array([available for available, _ in cases]))
    many = content.allowed(left, counts, np.full(4, n_given))
    for row, (available, given_units) in enumerate(cases):
        one = content.allowed(left[[row]], counts[[row]], np.array([n_given]))[0]
        assert one.tolist() == many[row].tolist()
        allowed, factors = by_hand(constraints, stop, available, given_units.tolist())
        assert np.flatnonzero(available & one[content.class_of]).tolist() == allowed
        assert content.factor(counts[[row]])[0][content.class_of] == pytest.approx(factors, rel=1e-12)


@settings(max_examples=150, deadline=None)
@example(seed=7, n_given=7, sizes=[1.0], early=False)  # more of an area than its maximum was given
@given(
    seed=st.integers(0, 10**6),
    n_given=st.integers(0, 10),
    sizes=st.sampled_from([[1.0], [1.0, 3.0], [1.0, 2.0, 4.0], [0.5, 1.0]]),
    early=st.booleans(),
)
def test_one_examinee_is_told_in_plain_numbers_what_many_are_told_in_arrays(seed, n_given, sizes, early):
    rng = np.random.default_rng(seed)
    n_units = 30
    constraints = drawn(rng, n_units, sizes)
    content = Content(constraints, n_units, StopRule(8, 10, se=0.3 if early else None))
    in_whole_numbers = 0.5 not in sizes and len(constraints) == 5
    assert (content._whole is not None) == in_whole_numbers
    gone = rng.choice(n_units, min(n_units, n_given + int(rng.integers(0, 20))), replace=False)
    available = np.ones(n_units, dtype=bool)
    available[gone] = False
    given_units = sorted(gone[:n_given].tolist())
    counts = np.add.reduce(content.by_unit[given_units], axis=0)
    left = content.left(available[None])
    allowed = content.allowed(left, counts[None], np.array([n_given]))[0]
    expected = np.where(allowed, content.factor(counts[None])[0], -1.0)
    assert list(content.counts_of(given_units)) == counts.tolist()
    assert [n > 0 for n in content.left_without(gone.tolist())] == left[0].tolist()
    own = content.weights_of(content.left_without(gone.tolist()), counts.tolist(), n_given)
    assert list(own) == expected.tolist()


def test_what_is_remembered_of_a_place_is_what_was_worked_out(monkeypatch):
    monkeypatch.setattr("assess.irt.content._PLACES", 20)
    rng = np.random.default_rng(3)
    content = Content(drawn(rng, 30, [1.0, 3.0]), 30, StopRule(8, 10))
    whole = content._whole
    assert whole is not None
    for _ in range(300):
        gone = rng.choice(30, 3, replace=False).tolist()
        place = content.left_without(gone), whole.counts_of(gone), len(gone)
        for _ in range(2):
            told: Any = content.weights_of(*place)
            assert told == whole._weights_of(*place)
            told[0] = 99.0  # what is done with it stays with whoever asked
        assert len(whole._known) <= 20


def test_a_minimum_without_end_is_left_to_arrays():
    endless = Constraint("a", np.ones(3), math.inf, math.inf)
    assert Content([endless], 3, StopRule(1, 3))._whole is None


def test_units_that_add_the_same_are_one_class_and_keep_their_order():
    area = Constraint("a", np.array([1.0, 0.0, 1.0, 0.0, 1.0]))
    content = Content([area], 5, StopRule(1, 3))
    assert content.order.tolist() == [1, 3, 0, 2, 4]
    assert content.starts.tolist() == [0, 2]
    assert content.left(np.array([[True, False, False, False, False]])).tolist() == [[False, True]]


def test_without_constraints_there_is_one_class_without_rules():
    content = Content([], 3, StopRule(1, 3))
    assert content.class_of.tolist() == [0, 0, 0]
    counts = np.empty((2, 0))
    assert content.factor(counts).tolist() == [[1.0], [1.0]]
    left = np.array([[True], [False]])
    assert content.allowed(left, counts, np.zeros(2, dtype=int)).tolist() == left.tolist()
