"""The impact table: what each candidate would do, a standard error either side."""

from __future__ import annotations

import math

import numpy as np
import pytest

from assess.errors import InvalidParameters
from assess.irt import Prior, rule_accuracy
from assess.standard_setting import CutEstimate, cut_from_ratings, impact
from tests.standard_setting.panels import mixed_form, true_ratings

FORM = mixed_form()


def test_each_candidate_has_three_rows_on_the_same_learners():
    panel = cut_from_ratings(true_ratings(FORM, 0.2, noise=0.6), FORM)
    group = CutEstimate(0.5, math.nan, math.nan, 80, 1, "borderline group")
    table = impact(
        {"Angoff": panel, "borderline": group}, FORM, n_simulees=3000, rng=np.random.default_rng(1)
    )
    assert table.index.tolist() == [("Angoff", -1), ("Angoff", 0), ("Angoff", 1), ("borderline", 0)]
    assert table.theta.tolist()[:3] == pytest.approx([0.2 - panel.se, 0.2, 0.2 + panel.se])
    assert table.passed.is_monotonic_decreasing
    assert table.at_or_above.is_monotonic_decreasing
    assert table.raw.is_monotonic_increasing
    assert (table.passed + table.not_passed + table.undetermined).tolist() == pytest.approx([1.0] * 4)


def test_the_numbers_are_those_of_the_rule():
    """At another seed: within the Monte Carlo errors that the table states."""
    cut = CutEstimate(0.1, math.nan, math.nan, 24, 4)
    population, prior = Prior(0.3, 0.9), Prior(0.0, 1.2)
    table = impact(
        {"c": cut}, FORM, population=population, prior=prior, p_pass=0.8, p_fail=0.2, n_simulees=10_000,
        rng=np.random.default_rng(2),
    )  # fmt: skip
    found = rule_accuracy(
        FORM, 0.1, population=population, prior=prior, p_pass=0.8, p_fail=0.2, n_simulees=10_000,
        rng=np.random.default_rng(3),
    )  # fmt: skip
    for share in ("passed", "accuracy"):
        error = math.hypot(table[f"se_{share}"].item(), found.errors[share])
        assert abs(table[share].item() - getattr(found, share)) < 4 * error


def test_the_table_is_the_same_for_the_same_chance():
    cut = CutEstimate(0.1, math.nan, 0.2, 24, 4)
    first, second = (impact({"c": cut}, FORM, n_simulees=500, rng=np.random.default_rng(9)) for _ in range(2))
    assert first.equals(second)


def test_without_candidates_there_is_nothing_to_show():
    with pytest.raises(InvalidParameters, match="no candidates"):
        impact({}, FORM, rng=np.random.default_rng(1))
