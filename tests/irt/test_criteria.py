from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assess.errors import InvalidParameters
from assess.irt import ItemParameters, category_probabilities, information, log_category_probabilities
from assess.irt.criteria import SELECTION_RULES, Criterion
from tests.irt.examples import parameter_sets
from tests.shared import needs_shared, shared

NODES = np.linspace(-6.0, 6.0, 121)
LOG_PRIOR = -0.5 * NODES**2


def mixed():
    """A unit of every family."""
    return ItemParameters.concat(
        [
            ItemParameters(["a", "b"], "2PL", [1.2, 0.8], [[0.3], [-0.9]]),
            ItemParameters(["c"], "3PL", [1.5], [[0.1]], [0.2]),
            ItemParameters(["d"], "4PL", [1.1], [[-0.4]], [0.1], [0.95]),
            ItemParameters(["e"], "GRM", [1.4], [[-1.0, 0.0, 1.2]]),
            ItemParameters(["f"], "GPCM", [0.9], [[-0.5, 0.2, 0.9]]),
            ItemParameters(
                ["g"],
                "NRM",
                [np.nan],
                [[np.nan]],
                category_slopes=[[-0.6, 0.1, 0.5]],
                category_intercepts=[[0.2, 0.3, -0.5]],
            ),
        ]
    )


def by_definition(rule, items, log_weights, theta, cut):
    """The formula of each rule, unit by unit and category by category."""
    prior = LOG_PRIOR if rule in ("MLWI", "KL") else 0.0
    weights = np.exp(log_weights - prior - (log_weights - prior).max())
    found = []
    for j, item in enumerate(items.item_ids):
        one = items.take([item])
        n_categories = int(items.n_categories[j])
        p_at = category_probabilities(one, theta)[0, 0]
        log_p = log_category_probabilities(one, NODES)[:, 0]
        if rule == "MFI":
            found.append(information(one, theta)[0, 0])
        elif rule == "cut":
            found.append(information(one, cut)[0, 0])
        elif rule in ("MLWI", "MPWI"):
            found.append(np.trapezoid(weights * information(one, NODES)[:, 0], dx=1.0))
        elif rule in ("KL", "KLP"):
            k = sum(p_at[x] * (np.log(p_at[x]) - log_p[:, x]) for x in range(n_categories))
            found.append(np.trapezoid(weights * k, dx=1.0))
        else:
            total = 0.0
            for x in range(n_categories):
                after = weights * np.exp(log_p[:, x])
                mean = (after * NODES).sum() / after.sum()
                variance = (after * (NODES - mean) ** 2).sum() / after.sum()
                total += p_at[x] * (information(one, mean)[0, 0] if rule == "MEI" else variance)
            found.append(total if rule == "MEI" else 1.0 / total)
    return np.array(found)


@pytest.mark.parametrize("rule", SELECTION_RULES)
@pytest.mark.parametrize(("centre", "sd"), [(0.0, 1.0), (0.7, 0.4), (-2.3, 0.5)])
def test_each_criterion_is_its_formula_for_every_family(rule, centre, sd):
    items = mixed()
    log_weights = -0.5 * ((NODES - centre) / sd) ** 2
    criterion = Criterion(rule, items, NODES, LOG_PRIOR, cut=0.35)
    found = criterion.worth(log_weights[None, :], np.array([centre]))[0]
    # The tables at single thetas are cubics through points 0.05 apart.
    assert found == pytest.approx(by_definition(rule, items, log_weights, centre, 0.35), rel=2e-6, abs=1e-7)


@settings(max_examples=20, deadline=None)
@given(items=parameter_sets(min_size=2, max_size=5), rule=st.sampled_from(SELECTION_RULES))
def test_many_examinees_are_worth_what_each_is_alone_and_never_less_than_nothing(items, rule):
    centres = np.array([-1.0, 0.2, 2.0])
    log_weights = -0.5 * ((NODES - centres[:, None]) / 0.6) ** 2
    criterion = Criterion(rule, items, NODES, LOG_PRIOR, cut=0.0)
    together = criterion.worth(log_weights, centres)
    assert (together >= 0.0).all()
    for i in range(3):
        alone = criterion.worth(log_weights[[i]], centres[[i]])[0]
        assert together[i] == pytest.approx(alone, rel=1e-9, abs=1e-12)


@needs_shared
@pytest.mark.parametrize("name", ["2pl", "3pl"])
def test_the_values_of_the_criteria_are_those_of_catr(name):
    case = json.loads(shared("reference", "cases", f"cat_{name}_public.json").read_text())
    values = case["results"]["criterion_values"]
    table = pd.read_csv(shared("reference", "data", f"cat_bank_{name}_public.csv"))
    items = ItemParameters(table.item.astype(str), "3PL", table.a, table[["b"]].to_numpy(), table.c)
    nodes = np.linspace(-6.0, 6.0, 61)
    log_prior = -0.5 * nodes**2
    log_p = log_category_probabilities(items, nodes)
    given_items = np.array(values["given_items"]) - 1
    log_likelihood = log_p[:, given_items, values["given_responses"]].sum(axis=1)
    log_weights = log_likelihood + log_prior
    weights = np.exp(log_weights)
    theta = (weights * nodes).sum() / weights.sum()
    assert theta == pytest.approx(values["eap"], abs=1e-8)
    rows = np.array(values["items"]) - 1

    def worth(rule):
        return Criterion(rule, items, nodes, log_prior).worth(log_weights[None, :], np.array([theta]))[
            0, rows
        ]

    # catR integrates the unnormalised densities over nodes 0.2 apart; ours have their largest value at one.
    likelihood, posterior = 0.2 * np.exp(log_likelihood.max()), 0.2 * weights.max() / np.sqrt(2.0 * np.pi)
    for rule, key, unit in [
        ("MFI", "fisher_info", 1.0),
        ("KL", "KL", likelihood),
        ("KLP", "KLP", posterior),
        ("MLWI", "MLWI", likelihood),
        ("MPWI", "MPWI", posterior),
        ("MEI", "MEI", 1.0),
    ]:
        assert unit * worth(rule) == pytest.approx(values[key], rel=1e-5), rule
    assert 1.0 / worth("MEPV") == pytest.approx(values["EPV"], rel=1e-5)


def test_an_unknown_criterion_is_refused():
    with pytest.raises(InvalidParameters, match="'magic' is not known; say one of MFI"):
        Criterion("magic", mixed(), NODES, LOG_PRIOR)  # type: ignore[arg-type]
