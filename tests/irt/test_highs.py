from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from assess.irt import _highs
from assess.irt._highs import Solver

N_COLUMNS, N_ROWS = 40, 7


def rows(rng):
    """Marks that cross, a time that leaves fractions, and the length."""
    marks = (rng.random((N_ROWS - 2, N_COLUMNS)) < 0.3).astype(float)
    return np.vstack([marks, rng.uniform(30.0, 120.0, N_COLUMNS), np.ones(N_COLUMNS)])


def problem(rng):
    """Worth and bounds as a step of a shadow test has them: some columns given, some closed, a tight time."""
    length = int(rng.integers(8, 12))
    lower, upper = np.zeros(N_COLUMNS), np.ones(N_COLUMNS)
    order = rng.permutation(N_COLUMNS)
    lower[order[: rng.integers(0, 4)]] = 1.0
    upper[order[N_COLUMNS - rng.integers(0, 8) :]] = 0.0
    time = rng.uniform(45.0, 75.0) * length
    low = np.array([*rng.integers(0, 3, N_ROWS - 2), rng.choice([0.0, time - 1.0]), length], dtype=float)
    high = np.array([*rng.integers(4, 7, N_ROWS - 2), time, length], dtype=float)
    return rng.random(N_COLUMNS), lower, upper, low, high


def said(solver, question, gap):
    found = solver.maximise(*question, gap=gap)
    return None if found is None else (found.values.tolist(), found.worth)


@pytest.mark.parametrize("gap", [None, 0.0, 0.02])
def test_a_solver_answers_as_if_it_had_never_been_asked_before(gap):
    rng = np.random.default_rng(5)
    matrix = rows(rng)
    used = Solver(matrix)
    questions = [problem(rng) for _ in range(25)]
    answers = [said(used, question, gap) for question in questions]
    assert answers == [said(Solver(matrix), question, gap) for question in questions]
    assert [said(used, question, gap) for question in reversed(questions)] == answers[::-1]
    # Some cannot be met, so that what is kept of their bounds is seen to be put right as well.
    assert 0 < answers.count(None) < len(answers) / 2


def by_every_row(solver, worth, values, whole, bounds):
    """`_completed` in plain words: every column or pair near the solution, every row, the best that fits."""
    missing = round(float(values.sum() - whole.sum()))
    if missing not in (1, 2):
        return None
    duals = np.abs(solver._linear.duals())
    free = [c for c in np.argsort(duals, kind="stable") if whole[c] == 0.0 and bounds.upper[c] > 0.0]
    best, best_gain = None, -np.inf
    held = solver._matrix @ whole
    for added in combinations(free[: _highs._NEAR[missing]], missing):
        total = held + sum(solver._matrix[:, c] for c in added)
        gain = sum(worth[c] for c in added)
        low, high = bounds.row_lower - _highs._ROW, bounds.row_upper + _highs._ROW
        if np.all((total >= low) & (total <= high)) and gain > best_gain:
            best, best_gain = whole.copy(), gain
            best[list(added)] = 1.0
    return best


def test_a_test_is_completed_by_the_best_columns_that_satisfy_every_row(monkeypatch):
    rng = np.random.default_rng(11)
    solver, seen = Solver(rows(rng)), []
    completed = Solver._completed

    def compared(self, worth, values, whole, bounds):
        missing = round(float(values.sum() - whole.sum()))
        expected = by_every_row(self, worth, values, whole.copy(), bounds)
        found = completed(self, worth, values, whole, bounds)
        assert (found is None) == (expected is None)
        assert found is None or found.tolist() == expected.tolist()
        seen.append((missing, found is not None))
        return found

    monkeypatch.setattr(Solver, "_completed", compared)
    for _ in range(40):
        worth, *bounds = problem(rng)
        # Of few different values, so that several columns or pairs are the best.
        solver.maximise(np.round(worth, 1), *bounds, gap=0.02)
    for missing in (1, 2):
        assert {fits for n, fits in seen if n == missing} == {True, False}
