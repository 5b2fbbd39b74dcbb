from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, information, lee, rudner
from tests.shared import needs_shared, shared


@needs_shared
@pytest.mark.parametrize("case", ["rudner_P", "rudner_D", "lee_P", "lee_D"])
def test_classification_agrees_with_the_reference(case):
    results = json.loads(shared("reference", "cases", "classification_public.json").read_text())["results"]
    people = pd.read_csv(shared("reference", "data", "class_theta_public.csv"))
    bank = results["bank"]
    items = ItemParameters([f"i{j}" for j in range(40)], "2PL", bank["a"], np.array(bank["b"])[:, None])
    nodes, weights = (np.array(results["quadrature"][name]) for name in ("nodes", "weights"))
    cuts = results["theta_cuts"] if case.startswith("rudner") else results["score_cuts"]

    def classified(chosen):
        if case == "rudner_P":
            return rudner(people.theta, people.se, chosen)
        if case == "rudner_D":
            return rudner(nodes, information(items, nodes).sum(axis=1) ** -0.5, chosen, weights)
        if case == "lee_P":
            return lee(items, chosen, people.theta)
        return lee(items, chosen, nodes, weights)

    found, own = classified(cuts), results[case]["own"]
    assert found.accuracy == pytest.approx(own["accuracy"], abs=1e-6)
    assert found.consistency == pytest.approx(own["consistency"], abs=1e-6)
    assert found.kappa == pytest.approx(own["kappa"]["kappa"], abs=1e-6)
    # cacIRT gives each cut alone, then all together: a second witness.
    package = results[case]["cacIRT"]
    singles = [classified([cut]) for cut in cuts] + [found]
    assert [single.accuracy for single in singles] == pytest.approx(package["accuracy"], abs=1e-6)
    assert [single.consistency for single in singles] == pytest.approx(package["consistency"], abs=1e-6)


def test_one_person_far_from_a_cut_is_classified_as_the_normal_says():
    result = rudner([1.0], [0.5], [0.0])
    p = 0.5 * math.erfc(-2.0 / math.sqrt(2.0))
    assert result.accuracy == pytest.approx(p)
    assert result.consistency == pytest.approx(p**2 + (1 - p) ** 2)
    assert result.method == "Rudner"


def test_a_theta_at_the_cut_belongs_above_it():
    assert rudner([0.0], [1e-6], [0.0]).accuracy == pytest.approx(0.5)
    assert lee(ItemParameters(["i"], "2PL", [1.0], [[0.0]]), [0.5], [0.0]).accuracy == pytest.approx(0.5)


@given(theta=st.lists(st.floats(-3, 3), min_size=2, max_size=20), cut=st.floats(-2, 2))
def test_no_error_means_no_wrong_classification(theta, cut):
    near = [value for value in theta if abs(value - cut) > 0.01]
    if near:
        result = rudner(near, [1e-4] * len(near), [cut])
        assert result.accuracy == pytest.approx(1.0)
        assert result.consistency == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rudner([0.0], [0.5, 0.5], [0.0]), "one positive standard error"),
        (lambda: rudner([math.inf], [0.5], [0.0]), "leave infinite ones out"),
        (lambda: rudner([0.0], [0.0], [0.0]), "one positive standard error"),
        (lambda: rudner([0.0], [0.5], [1.0, 0.0]), "that increase"),
        (lambda: rudner([0.0], [0.5], []), "one or more"),
        (lambda: rudner([0.0], [0.5], [0.0], [1.0, 1.0]), "as many finite weights"),
        (lambda: rudner([0.0], [0.5], [0.0], [-1.0]), "weights >= 0"),
        (lambda: rudner([0.0], [0.5], [0.0], [math.inf]), "finite weights"),
        (lambda: lee(ItemParameters(["i"], "2PL", [1.0], [[0.0]]), [1], [math.nan]), "finite thetas"),
    ],
)
def test_what_cannot_be_classified_is_refused(call, message):
    with pytest.raises(InvalidParameters, match=message):
        call()
